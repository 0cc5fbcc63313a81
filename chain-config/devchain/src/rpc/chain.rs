//! `chain_*`: blocks, headers, and the three head subscriptions, which are one here (every block is final).

use super::{Context, Module, errors, send};
use crate::{
    chain::{Chain, ReadError},
    runtime::{BlockNumber, Hash, Header},
};
use jsonrpsee::{
    PendingSubscriptionSink,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sp_core::{Bytes, U256};
use std::sync::Arc;

/// Block numbers in one `chain_getBlockHash`.
const NUMBERS_LIMIT: usize = 1024;

pub(super) fn register(module: &mut Module) -> Result<(), RegisterMethodError> {
    module.register_blocking_method("chain_getBlockHash", |params, context, _| block_hash(&params, &context))?;
    module.register_blocking_method("chain_getHeader", |params, context, _| header(&params, &context))?;
    module.register_blocking_method("chain_getBlock", |params, context, _| block(&params, &context))?;
    module.register_method("chain_getFinalizedHead", |_, context, _| {
        Ok::<Hash, ErrorObjectOwned>(context.chain.head().hash)
    })?;
    module.register_alias("chain_getHead", "chain_getBlockHash")?;
    module.register_alias("chain_getFinalisedHead", "chain_getFinalizedHead")?;

    register_heads(module, "chain_subscribeNewHeads", "chain_newHead", "chain_unsubscribeNewHeads")?;
    register_heads(module, "chain_subscribeFinalizedHeads", "chain_finalizedHead", "chain_unsubscribeFinalizedHeads")?;
    register_heads(module, "chain_subscribeAllHeads", "chain_allHead", "chain_unsubscribeAllHeads")?;
    for (alias, name) in [
        ("chain_subscribeNewHead", "chain_subscribeNewHeads"),
        ("chain_unsubscribeNewHead", "chain_unsubscribeNewHeads"),
        ("chain_subscribeFinalisedHeads", "chain_subscribeFinalizedHeads"),
        ("chain_unsubscribeFinalisedHeads", "chain_unsubscribeFinalizedHeads"),
    ] {
        module.register_alias(alias, name)?;
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(u64),
    Hex(U256),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Number),
    Many(Vec<Number>),
}

impl Number {
    fn block(&self) -> Option<BlockNumber> {
        match self {
            Self::Plain(number) => BlockNumber::try_from(*number).ok(),
            Self::Hex(number) => BlockNumber::try_from(*number).ok(),
        }
    }
}

fn block_hash(params: &Params<'_>, context: &Context) -> Result<Value, ErrorObjectOwned> {
    let asked: Option<OneOrMany> = params.sequence().optional_next()?;
    let hash_of = |number: &Number| -> Result<Option<Hash>, ErrorObjectOwned> {
        let Some(number) = number.block() else { return Ok(None) };
        let block = context.chain.block_numbered(number).map_err(|error| errors::read(&error))?;
        Ok(block.map(|block| block.hash()))
    };
    match asked {
        None => Ok(json!(context.chain.head().hash)),
        Some(OneOrMany::One(number)) => Ok(json!(hash_of(&number)?)),
        Some(OneOrMany::Many(numbers)) if numbers.len() > NUMBERS_LIMIT => {
            Err(errors::too_much("block numbers", numbers.len(), NUMBERS_LIMIT))
        }
        Some(OneOrMany::Many(numbers)) => Ok(json!(numbers.iter().map(hash_of).collect::<Result<Vec<_>, _>>()?)),
    }
}

fn header(params: &Params<'_>, context: &Context) -> Result<Option<Header>, ErrorObjectOwned> {
    let hash: Option<Hash> = params.sequence().optional_next()?;
    Ok(found(context.chain.block(hash))?.map(|block| block.header))
}

#[derive(Clone, Serialize)]
struct SignedBlock {
    block: Block,
    justifications: Option<()>,
}

#[derive(Clone, Serialize)]
struct Block {
    header: Header,
    extrinsics: Vec<Bytes>,
}

fn block(params: &Params<'_>, context: &Context) -> Result<Option<SignedBlock>, ErrorObjectOwned> {
    let hash: Option<Hash> = params.sequence().optional_next()?;
    Ok(found(context.chain.block(hash))?.map(|block| SignedBlock {
        block: Block { header: block.header, extrinsics: block.body.into_iter().map(Bytes).collect() },
        justifications: None,
    }))
}

/// An unknown block is `null` here, not an error.
fn found<T>(read: Result<T, ReadError>) -> Result<Option<T>, ErrorObjectOwned> {
    match read {
        Ok(block) => Ok(Some(block)),
        Err(ReadError::UnknownBlock(_)) => Ok(None),
        Err(error) => Err(errors::read(&error)),
    }
}

fn register_heads(
    module: &mut Module,
    subscribe: &'static str,
    notification: &'static str,
    unsubscribe: &'static str,
) -> Result<(), RegisterMethodError> {
    module.register_subscription(subscribe, notification, unsubscribe, |_, pending, context, _| {
        heads(pending, context)
    })?;
    Ok(())
}

/// The current head at once, then each later one, none left out however slow the subscriber is.
async fn heads(pending: PendingSubscriptionSink, context: Arc<Context>) {
    let mut announced = context.chain.heads();
    let Ok(sink) = pending.accept().await else { return };
    let mut next = announced.borrow_and_update().header.number;
    loop {
        let newest = announced.borrow_and_update().header.clone();
        while next <= newest.number {
            let header = match next == newest.number {
                true => Some(newest.clone()),
                false => header_numbered(&context.chain, next).await,
            };
            let Some(header) = header else { return };
            if !send(&sink, &header).await {
                return;
            }
            next = next.saturating_add(1);
        }
        tokio::select! {
            changed = announced.changed() => if changed.is_err() { return },
            () = sink.closed() => return,
        }
    }
}

async fn header_numbered(chain: &Chain, number: BlockNumber) -> Option<Header> {
    let chain = chain.clone();
    let block = tokio::task::spawn_blocking(move || chain.block_numbered(number)).await;
    block.ok()?.ok()?.map(|block| block.header)
}
