//! `eth_*`, `net_*`, `web3_*`: what an Ethereum wallet and its libraries ask for to connect, estimate, send a raw
//! transaction and get its receipt.
//!
//! Blocks have two hashes: Substrate's, which the rest of this server speaks of, and the one of the Ethereum header that
//! pallet-revive builds in every block. Here it is always the second. Of public networks the official server answers
//! these; there are no subscriptions, no filters, no logs of more than one transaction, and it keeps no keys.

mod answers;
mod index;
mod refusal;
mod send;

use super::{Context, Module, errors};
use crate::{
    chain::ReadError,
    runtime::{AccountId, BlockNumber, Nonce},
    state::State,
};
use codec::{Decode, Encode};
use jsonrpsee::{
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params, error::INVALID_PARAMS_CODE},
};
use pallet_revive::{
    EthTransactError,
    pallet_revive_types::runtime_api::{BlockV1, DryRunConfigV1, EthTransactInfoV1, GenericTransactionV1},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sp_core::{Bytes, H160, H256, U256};
use std::sync::Arc;

pub(super) use index::Index;

/// Blocks that one `eth_feeHistory` may be about, as everywhere.
const HISTORY_LIMIT: u32 = 1024;
/// Percentiles that one `eth_feeHistory` may name.
const PERCENTILES_LIMIT: usize = 100;
/// Code of an execution that reverted, by Ethereum's convention: its `data` is what the contract said.
const REVERTED: i32 = 3;
/// Code of everything else that Ethereum's servers refuse.
const REFUSED: i32 = -32_000;

/// Which block a question is about: its number, or a word for one. Every block is final here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Asked {
    Number(U256),
    Word(Word),
    #[default]
    Newest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Latest,
    Safe,
    Finalized,
    Pending,
    Earliest,
}

pub(super) fn register(module: &mut Module) -> Result<(), RegisterMethodError> {
    module
        .register_method("web3_clientVersion", |_, _, _| concat!("encompute-devchain/", env!("CARGO_PKG_VERSION")))?;
    module.register_method("net_version", |_, _, _| chain_id().to_string())?;
    module.register_method("net_listening", |_, _, _| true)?;
    module.register_method("eth_chainId", |_, _, _| json!(U256::from(chain_id())))?;
    module.register_method("eth_syncing", |_, _, _| false)?;
    module.register_method("eth_accounts", |_, _, _| json!([]))?;
    module.register_method("eth_maxPriorityFeePerGas", |_, _, _| json!(U256::zero()))?;
    module.register_method("eth_blockNumber", |_, context, _| json!(U256::from(context.chain.head().header.number)))?;
    module.register_blocking_method("eth_gasPrice", |_, context, _| gas_price(&newest(&context)?))?;
    module.register_blocking_method("eth_feeHistory", |params, context, _| fee_history(&params, &context))?;
    module.register_blocking_method("eth_getBalance", |params, context, _| {
        about::<U256>(&params, &context, "ReviveApi_balance")
    })?;
    module.register_blocking_method("eth_getCode", |params, context, _| {
        about::<Vec<u8>>(&params, &context, "ReviveApi_code").map(Bytes)
    })?;
    module.register_blocking_method("eth_call", |params, context, _| call(&params, &context))?;
    module.register_blocking_method("eth_estimateGas", |params, context, _| estimate(&params, &context))?;
    module.register_blocking_method("eth_getBlockByNumber", |params, context, _| block(&params, &context))?;
    module.register_blocking_method("eth_getTransactionByHash", |params, context, _| {
        answers::transaction(&context, params.one()?)
    })?;
    module.register_blocking_method("eth_getTransactionReceipt", |params, context, _| {
        answers::receipt(&context, params.one()?)
    })?;
    module.register_async_method("eth_getTransactionCount", |params, context, _| count(params, context))?;
    module.register_async_method("eth_sendRawTransaction", |params, context, _| async move {
        let raw: Bytes = params.one()?;
        send::send(context, raw.0).await
    })?;
    Ok(())
}

fn chain_id() -> u64 {
    <<crate::runtime::Runtime as pallet_revive::Config>::ChainId as frame_support::traits::Get<u64>>::get()
}

fn refused(words: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(REFUSED, words, None::<()>)
}

/// What the runtime answers in a state.
fn answer<T: Decode>(state: &State, method: &'static str, arguments: &[u8]) -> Result<T, ErrorObjectOwned> {
    let bytes = state.call(method, arguments).map_err(|error| errors::read(&error.into()))?;
    T::decode(&mut bytes.as_slice()).map_err(|_| errors::read(&ReadError::Nonsense(method)))
}

fn newest(context: &Context) -> Result<State, ErrorObjectOwned> {
    context.chain.state(None).map_err(|error| errors::read(&error))
}

/// The number of the block that is asked about, which may not be there yet.
fn number(context: &Context, asked: Asked) -> Option<BlockNumber> {
    match asked {
        Asked::Number(number) => BlockNumber::try_from(number).ok(),
        Asked::Word(Word::Earliest) => Some(0),
        Asked::Word(_) | Asked::Newest => Some(context.chain.head().header.number),
    }
}

/// The state after a block, and its number; none without such a block.
fn state_at(context: &Context, number: BlockNumber) -> Result<Option<State>, ErrorObjectOwned> {
    let found = context.chain.block_numbered(number).map_err(|error| errors::read(&error))?;
    let state = found.map(|block| context.chain.state(Some(block.hash()))).transpose();
    state.map_err(|error| errors::read(&error))
}

fn state_asked(context: &Context, asked: Asked) -> Result<State, ErrorObjectOwned> {
    let state = number(context, asked).map(|number| state_at(context, number)).transpose()?.flatten();
    state.ok_or_else(|| refused("header not found: there is no such block yet"))
}

fn gas_price(state: &State) -> Result<U256, ErrorObjectOwned> {
    answer(state, "ReviveApi_gas_price", &[])
}

/// What the runtime says about an address.
fn about<T: Decode>(params: &Params<'_>, context: &Context, method: &'static str) -> Result<T, ErrorObjectOwned> {
    let mut params = params.sequence();
    let address: H160 = params.next()?;
    let asked: Option<Asked> = params.optional_next()?;
    answer(&state_asked(context, asked.unwrap_or_default())?, method, &address.encode())
}

/// The number that the address' next transaction needs; those in the pool are counted where `pending` is asked for.
async fn count(params: Params<'static>, context: Arc<Context>) -> Result<U256, ErrorObjectOwned> {
    let mut params = params.sequence();
    let address: H160 = params.next()?;
    let asked = params.optional_next::<Asked>()?.unwrap_or_default();
    if asked != Asked::Word(Word::Pending) {
        return blocking(context, move |context| {
            answer::<Nonce>(&state_asked(&context, asked)?, "ReviveApi_nonce", &address.encode()).map(U256::from)
        })
        .await;
    }
    let account = blocking(context.clone(), move |context| {
        answer::<AccountId>(&newest(&context)?, "ReviveApi_account_id", &address.encode())
    });
    let counted = context.chain.next_nonce(account.await?).await.map_err(errors::queue)?;
    counted.map(U256::from).map_err(|error| errors::read(&error))
}

/// Runs what executes the runtime where it may.
async fn blocking<T: Send + 'static>(
    context: Arc<Context>,
    read: impl FnOnce(Arc<Context>) -> Result<T, ErrorObjectOwned> + Send + 'static,
) -> Result<T, ErrorObjectOwned> {
    let read = tokio::task::spawn_blocking(move || read(context)).await;
    read.unwrap_or_else(|_| Err(refused("the server is stopping")))
}

/// The transaction that is to be tried, and the state in which.
fn tried(params: &Params<'_>, context: &Context) -> Result<(GenericTransactionV1, State), ErrorObjectOwned> {
    let mut params = params.sequence();
    let transaction: GenericTransactionV1 = params.next()?;
    let asked: Option<Asked> = params.optional_next()?;
    Ok((transaction, state_asked(context, asked.unwrap_or_default())?))
}

fn call(params: &Params<'_>, context: &Context) -> Result<Bytes, ErrorObjectOwned> {
    let (transaction, state) = tried(params, context)?;
    let config = DryRunConfigV1::<u64> { perform_balance_checks: Some(false), ..DryRunConfigV1::default() };
    let arguments = (transaction, config).encode();
    let tried: Result<EthTransactInfoV1<u128>, EthTransactError> =
        answer(&state, "ReviveApi_eth_transact_with_config", &arguments)?;
    Ok(Bytes(tried.map_err(|error| failed(&error))?.data))
}

fn estimate(params: &Params<'_>, context: &Context) -> Result<U256, ErrorObjectOwned> {
    let (transaction, state) = tried(params, context)?;
    let arguments = (transaction, DryRunConfigV1::<u64>::default()).encode();
    let gas: Result<U256, EthTransactError> = answer(&state, "ReviveApi_eth_estimate_gas", &arguments)?;
    gas.map_err(|error| failed(&error))
}

fn failed(error: &EthTransactError) -> ErrorObjectOwned {
    match error {
        EthTransactError::Data(said) => {
            ErrorObjectOwned::owned(REVERTED, "execution reverted", Some(Bytes(said.clone())))
        }
        EthTransactError::Message(words) => refused(words.clone()),
    }
}

fn block(params: &Params<'_>, context: &Context) -> Result<Value, ErrorObjectOwned> {
    let mut params = params.sequence();
    let asked: Asked = params.next()?;
    let with_transactions = params.optional_next::<bool>()?.unwrap_or_default();
    let Some(number) = number(context, asked) else { return Ok(Value::Null) };
    let Some(state) = state_at(context, number)? else { return Ok(Value::Null) };
    answers::block(context, number, &state, with_transactions)
}

/// The block as pallet-revive built it.
fn built(state: &State) -> Result<BlockV1, ErrorObjectOwned> {
    answer(state, "ReviveApi_eth_block", &[])
}

#[derive(Deserialize)]
#[serde(untagged)]
enum BlockCount {
    Plain(u32),
    Hex(U256),
}

/// Fees of the newest blocks. The price of gas only moves with the fee multiplier, and tips are not taken.
fn fee_history(params: &Params<'_>, context: &Context) -> Result<Value, ErrorObjectOwned> {
    let mut params = params.sequence();
    let blocks = match params.next()? {
        BlockCount::Plain(blocks) => blocks,
        BlockCount::Hex(blocks) => u32::try_from(blocks).unwrap_or(u32::MAX),
    };
    let asked: Asked = params.next()?;
    let percentiles: Option<Vec<f64>> = params.optional_next()?;
    let percentiles = percentiles.unwrap_or_default();
    if blocks == 0 || blocks > HISTORY_LIMIT {
        return Err(errors::too_much("blocks", blocks as usize, HISTORY_LIMIT as usize));
    }
    if percentiles.len() > PERCENTILES_LIMIT {
        return Err(errors::too_much("percentiles", percentiles.len(), PERCENTILES_LIMIT));
    }
    let last = number(context, asked).filter(|last| *last <= context.chain.head().header.number);
    let last =
        last.ok_or_else(|| ErrorObjectOwned::owned(INVALID_PARAMS_CODE, "request beyond head block", None::<()>))?;
    let oldest = last.saturating_sub(blocks.saturating_sub(1));
    let count = last.saturating_sub(oldest) as usize + 1;
    let price = gas_price(&state_asked(context, Asked::Number(last.into()))?)?;
    Ok(json!({
        "oldestBlock": U256::from(oldest),
        "baseFeePerGas": vec![price; count + 1],
        "gasUsedRatio": vec![0.0; count],
        "reward": vec![vec![U256::zero(); percentiles.len()]; count],
    }))
}

/// Keccak-256 of a signed transaction: its hash for Ethereum.
fn hash_of(payload: &[u8]) -> H256 {
    H256(pallet_revive::keccak_256(payload))
}
