//! Why a raw transaction is not taken. The words begin as those of Ethereum's own servers do: libraries tell their
//! users what is wrong by them.

use super::REFUSED;
use jsonrpsee::types::{ErrorObjectOwned, error::INVALID_PARAMS_CODE};
use sp_core::U256;

/// A raw transaction that is not even tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("transaction has {found_bytes} bytes, the limit is {limit_bytes}")]
    TooLong { found_bytes: usize, limit_bytes: usize },
    #[error("rlp: the bytes are no signed transaction: {reason}")]
    Malformed { reason: String },
    #[error("transaction type not supported: {found} was sent, 0 (legacy), 1 (EIP-2930) and 2 (EIP-1559) are taken")]
    Kind { found: u8 },
    #[error("invalid chain id for signer: have {found} want {wanted}")]
    OtherChain { found: U256, wanted: u64 },
    #[error("invalid sender: no key is recovered from the signature")]
    Signature,
    #[error("nonce too low: the next of {sender:?} is {wanted}, tx has {found}")]
    Used { sender: sp_core::H160, found: U256, wanted: U256 },
    #[error("max fee per gas less than block base fee: it offers {found}, the base fee is {wanted}")]
    Price { found: U256, wanted: U256 },
    #[error("insufficient funds for gas * price + value: {sender:?} has {found}, tx costs {wanted}")]
    Funds { sender: sp_core::H160, found: U256, wanted: U256 },
    #[error("intrinsic gas too low: {found} gas do not pay for taking the transaction in")]
    Gas { found: U256 },
}

impl From<Refusal> for ErrorObjectOwned {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::TooLong { .. } | Refusal::Malformed { .. } => INVALID_PARAMS_CODE,
            _ => REFUSED,
        };
        Self::owned(code, refusal.to_string(), None::<()>)
    }
}
