//! Takes a signed Ethereum transaction in: looks at it, wraps it in the extrinsic that carries it, submits that.

use super::{Context, answer, blocking, chain_id, gas_price, hash_of, newest, refusal::Refusal, refused};
use crate::{
    chain::SubmitError,
    pool::AdmitError,
    rpc::errors,
    runtime::{Nonce, RuntimeCall, UncheckedExtrinsic},
    state::State,
};
use codec::Encode;
use jsonrpsee::types::ErrorObjectOwned;
use pallet_revive::evm::{GenericTransaction, TransactionSigned};
use sp_core::{H160, H256, U256};
use sp_runtime::{
    generic,
    transaction_validity::{InvalidTransaction, TransactionValidityError},
};
use std::sync::Arc;

/// Bytes of a raw transaction: what carries the longest calldata a contract takes, twice over.
const LIMIT_BYTES: usize = 256 * 1024;

/// Submits, and says the transaction's hash.
pub(super) async fn send(context: Arc<Context>, raw: Vec<u8>) -> Result<H256, ErrorObjectOwned> {
    if raw.len() > LIMIT_BYTES {
        return Err(Refusal::TooLong { found_bytes: raw.len(), limit_bytes: LIMIT_BYTES }.into());
    }
    let hash = hash_of(&raw);
    let (gas, carrier) = blocking(context.clone(), move |context| {
        let gas = looked_at(&raw, &newest(&context)?)?;
        Ok((gas, carrier(raw)))
    })
    .await?;
    match context.chain.submit(carrier, None).await {
        Ok(_) => Ok(hash),
        // What else could be short of was looked at.
        Err(SubmitError::Invalid(TransactionValidityError::Invalid(InvalidTransaction::Payment))) => {
            Err(Refusal::Gas { found: gas }.into())
        }
        Err(SubmitError::Pool(AdmitError::Duplicate(_))) => Err(refused("already known")),
        Err(SubmitError::Pool(AdmitError::Outbid { .. })) => Err(refused("replacement transaction underpriced")),
        Err(error) => Err(errors::submit(&error)),
    }
}

/// The extrinsic that carries a signed Ethereum transaction: nobody signs it, the transaction in it is signed.
fn carrier(payload: Vec<u8>) -> Vec<u8> {
    let call = RuntimeCall::Revive(pallet_revive::Call::eth_transact { payload });
    UncheckedExtrinsic::from(generic::UncheckedExtrinsic::new_bare(call)).encode()
}

/// The gas it brings. The runtime checks all of this again, but says one word for most of it.
fn looked_at(raw: &[u8], state: &State) -> Result<U256, ErrorObjectOwned> {
    let signed = decoded(raw)?;
    let sender = signed.recover_eth_address().map_err(|()| Refusal::Signature)?;
    let base_fee = gas_price(state)?;
    let offered = offer(&signed);
    let transaction = GenericTransaction::from_signed(signed, base_fee, Some(sender));
    if let Some(found) = transaction.chain_id.filter(|found| *found != chain_id().into()) {
        return Err(Refusal::OtherChain { found, wanted: chain_id() }.into());
    }
    if offered < base_fee {
        return Err(Refusal::Price { found: offered, wanted: base_fee }.into());
    }
    let (found, wanted) = (transaction.nonce.unwrap_or_default(), next(state, sender)?);
    if found < wanted {
        return Err(Refusal::Used { sender, found, wanted }.into());
    }
    let gas = transaction.gas.unwrap_or_default();
    let cost = gas.saturating_mul(base_fee).saturating_add(transaction.value.unwrap_or_default());
    let has: U256 = answer(state, "ReviveApi_balance", &sender.encode())?;
    if has < cost {
        return Err(Refusal::Funds { sender, found: has, wanted: cost }.into());
    }
    Ok(gas)
}

fn decoded(raw: &[u8]) -> Result<TransactionSigned, Refusal> {
    let signed = TransactionSigned::decode(raw).map_err(|error| Refusal::Malformed { reason: error.to_string() })?;
    match signed {
        TransactionSigned::Transaction7702Signed(_) => return Err(Refusal::Kind { found: 4 }),
        TransactionSigned::Transaction4844Signed(_) => return Err(Refusal::Kind { found: 3 }),
        _ => {}
    }
    // The decoder passes over what follows; the hash would be of more than was signed.
    match signed.signed_payload() == raw {
        true => Ok(signed),
        false => Err(Refusal::Malformed { reason: "it has another encoding, or bytes follow it".to_owned() }),
    }
}

/// Most that the transaction pays for a unit of gas.
fn offer(signed: &TransactionSigned) -> U256 {
    match signed {
        TransactionSigned::TransactionLegacySigned(signed) => signed.transaction_legacy_unsigned.gas_price,
        TransactionSigned::Transaction2930Signed(signed) => signed.transaction_2930_unsigned.gas_price,
        TransactionSigned::Transaction1559Signed(signed) => signed.transaction_1559_unsigned.max_fee_per_gas,
        TransactionSigned::Transaction4844Signed(signed) => signed.transaction_4844_unsigned.max_fee_per_gas,
        TransactionSigned::Transaction7702Signed(signed) => signed.transaction_7702_unsigned.max_fee_per_gas,
    }
}

fn next(state: &State, sender: H160) -> Result<U256, ErrorObjectOwned> {
    answer::<Nonce>(state, "ReviveApi_nonce", &sender.encode()).map(U256::from)
}
