//! Nested calls from strangers: the native entry of the runtime decodes them without a depth limit (a wasm runtime
//! is held by its own stack), and a stack that overflows ends the process. So they are decoded once with the
//! limit transactions have on every chain, before the runtime sees them.

use crate::runtime::{Hash, Header, UncheckedExtrinsic};
use codec::{Decode, DecodeLimit};
use frame_support::MAX_EXTRINSIC_DEPTH;
use sp_runtime::{generic::Block, transaction_validity::TransactionSource};

/// Refuses arguments that nest deeper than the runtime's own limit, or do not decode at all.
///
/// # Errors
/// The decoder's reason.
pub(crate) fn check(method: &str, arguments: &[u8]) -> Result<(), codec::Error> {
    type WholeBlock = Block<Header, UncheckedExtrinsic>;
    match method {
        "BlockBuilder_apply_extrinsic" => limited::<UncheckedExtrinsic>(arguments),
        "TaggedTransactionQueue_validate_transaction" => {
            limited::<(TransactionSource, UncheckedExtrinsic, Hash)>(arguments)
        }
        "TransactionPaymentApi_query_info" | "TransactionPaymentApi_query_fee_details" => {
            limited::<(UncheckedExtrinsic, u32)>(arguments)
        }
        "Core_execute_block" | "BlockBuilder_check_inherents" | "ReviveApi_trace_block" | "ReviveApi_trace_tx" => {
            limited::<WholeBlock>(arguments)
        }
        // A version byte comes first.
        "ReviveApi_trace_block_versioned" | "ReviveApi_trace_tx_versioned" => limited::<(u8, WholeBlock)>(arguments),
        _ => Ok(()),
    }
}

/// Whatever follows the nested part is the runtime's to judge.
fn limited<T: Decode>(mut arguments: &[u8]) -> Result<(), codec::Error> {
    T::decode_with_depth_limit(MAX_EXTRINSIC_DEPTH, &mut arguments).map(drop)
}
