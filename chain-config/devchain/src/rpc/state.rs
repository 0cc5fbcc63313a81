//! `state_*`: storage, metadata and runtime calls at any block, and the storage subscription.

use super::{Context, Module, errors, send};
use crate::{
    chain::{Chain, ReadError},
    runtime::{Hash, VERSION},
};
use codec::Decode;
use jsonrpsee::{
    PendingSubscriptionSink,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use serde::Serialize;
use sp_core::Bytes;
use sp_version::RuntimeVersion;
use std::{collections::HashMap, sync::Arc};

/// Keys one call or subscription may name, and keys one page may have.
const KEYS_LIMIT: usize = 8192;
const PAGE_LIMIT: usize = 1000;

pub(super) fn register(module: &mut Module) -> Result<(), RegisterMethodError> {
    module.register_blocking_method("state_call", |params, context, _| call(&params, &context))?;
    module.register_blocking_method("state_getStorage", |params, context, _| value(&params, &context))?;
    module.register_blocking_method("state_getStorageHash", |params, context, _| value_hash(&params, &context))?;
    module.register_blocking_method("state_getStorageSize", |params, context, _| value_size(&params, &context))?;
    module.register_blocking_method("state_getKeysPaged", |params, context, _| keys(&params, &context))?;
    module.register_blocking_method("state_queryStorageAt", |params, context, _| values(&params, &context))?;
    module.register_blocking_method("state_getMetadata", |params, context, _| metadata(&params, &context))?;
    module.register_method("state_getRuntimeVersion", |params, context, _| version(&params, context))?;
    for (alias, name) in [
        ("state_callAt", "state_call"),
        ("state_getStorageAt", "state_getStorage"),
        ("state_getStorageHashAt", "state_getStorageHash"),
        ("state_getStorageSizeAt", "state_getStorageSize"),
        ("state_getKeysPagedAt", "state_getKeysPaged"),
        ("chain_getRuntimeVersion", "state_getRuntimeVersion"),
    ] {
        module.register_alias(alias, name)?;
    }
    module.register_subscription(
        "state_subscribeStorage",
        "state_storage",
        "state_unsubscribeStorage",
        |params, pending, context, _| watch_storage(params, pending, context),
    )?;
    module.register_subscription(
        "state_subscribeRuntimeVersion",
        "state_runtimeVersion",
        "state_unsubscribeRuntimeVersion",
        |_, pending, _, _| watch_version(pending),
    )?;
    module.register_alias("chain_subscribeRuntimeVersion", "state_subscribeRuntimeVersion")?;
    module.register_alias("chain_unsubscribeRuntimeVersion", "state_unsubscribeRuntimeVersion")?;
    Ok(())
}

fn read<T>(result: Result<T, impl Into<ReadError>>) -> Result<T, ErrorObjectOwned> {
    result.map_err(|error| errors::read(&error.into()))
}

fn call(params: &Params<'_>, context: &Context) -> Result<Bytes, ErrorObjectOwned> {
    let mut params = params.sequence();
    let (method, arguments): (String, Bytes) = (params.next()?, params.next()?);
    let state = read(context.chain.state(params.optional_next()?))?;
    read(state.call(&method, &arguments)).map(Bytes)
}

fn value(params: &Params<'_>, context: &Context) -> Result<Option<Bytes>, ErrorObjectOwned> {
    let mut params = params.sequence();
    let key: Bytes = params.next()?;
    let state = read(context.chain.state(params.optional_next()?))?;
    Ok(read(state.value(&key))?.map(Bytes))
}

fn value_hash(params: &Params<'_>, context: &Context) -> Result<Option<Hash>, ErrorObjectOwned> {
    let mut params = params.sequence();
    let key: Bytes = params.next()?;
    let state = read(context.chain.state(params.optional_next()?))?;
    read(state.value_hash(&key))
}

fn value_size(params: &Params<'_>, context: &Context) -> Result<Option<usize>, ErrorObjectOwned> {
    Ok(value(params, context)?.map(|value| value.len()))
}

fn keys(params: &Params<'_>, context: &Context) -> Result<Vec<Bytes>, ErrorObjectOwned> {
    let mut params = params.sequence();
    let prefix: Option<Bytes> = params.next()?;
    let count: usize = params.next()?;
    let after: Option<Bytes> = params.optional_next()?;
    let at: Option<Hash> = params.optional_next()?;
    if count > PAGE_LIMIT {
        return Err(errors::too_much("keys", count, PAGE_LIMIT));
    }
    let state = read(context.chain.state(at))?;
    let prefix = prefix.unwrap_or_else(|| Bytes(Vec::new()));
    let keys = read(state.keys(&prefix, count, after.as_deref()))?;
    Ok(keys.into_iter().map(Bytes).collect())
}

/// Keys and their values in or up to one block.
#[derive(Clone, Serialize)]
struct ChangeSet {
    block: Hash,
    changes: Vec<(Bytes, Option<Bytes>)>,
}

fn values(params: &Params<'_>, context: &Context) -> Result<Vec<ChangeSet>, ErrorObjectOwned> {
    let mut params = params.sequence();
    let keys: Vec<Bytes> = params.next()?;
    let at: Option<Hash> = params.optional_next()?;
    check_keys(&keys)?;
    let block = at.unwrap_or_else(|| context.chain.head().hash);
    Ok(vec![read(values_at(&context.chain, &keys, block))?])
}

fn check_keys(keys: &[Bytes]) -> Result<(), ErrorObjectOwned> {
    if keys.len() > KEYS_LIMIT { Err(errors::too_much("keys", keys.len(), KEYS_LIMIT)) } else { Ok(()) }
}

fn values_at(chain: &Chain, keys: &[Bytes], block: Hash) -> Result<ChangeSet, ReadError> {
    let state = chain.state(Some(block))?;
    let value = |key: &Bytes| Ok((key.clone(), state.value(key)?.map(Bytes)));
    let changes = keys.iter().map(value).collect::<Result<_, ReadError>>()?;
    Ok(ChangeSet { block, changes })
}

/// Metadata version 14, for the oldest clients; newer ones ask `Metadata_metadata_at_version`.
fn metadata(params: &Params<'_>, context: &Context) -> Result<Bytes, ErrorObjectOwned> {
    const METHOD: &str = "Metadata_metadata";
    let state = read(context.chain.state(params.sequence().optional_next()?))?;
    let opaque = read(state.call(METHOD, &[]))?;
    read(Vec::<u8>::decode(&mut opaque.as_slice()).map_err(|_| ReadError::Nonsense(METHOD))).map(Bytes)
}

/// The same at every block: a folder written by another runtime is not opened.
fn version(params: &Params<'_>, context: &Context) -> Result<RuntimeVersion, ErrorObjectOwned> {
    let at: Option<Hash> = params.sequence().optional_next()?;
    if at.is_some() {
        read(context.chain.block(at))?;
    }
    Ok(VERSION)
}

/// The runtime never changes under a running node: one notification, then silence.
async fn watch_version(pending: PendingSubscriptionSink) {
    let Ok(sink) = pending.accept().await else { return };
    if send(&sink, &VERSION).await {
        sink.closed().await;
    }
}

/// The current values at once, then at each block those that differ from what was sent last.
async fn watch_storage(params: Params<'static>, pending: PendingSubscriptionSink, context: Arc<Context>) {
    let keys = match params.sequence().optional_next::<Vec<Bytes>>().and_then(|keys| {
        let keys = keys.unwrap_or_default();
        check_keys(&keys).map(|()| keys)
    }) {
        Ok(keys) => Arc::new(keys),
        Err(error) => return pending.reject(error).await,
    };
    let mut announced = context.chain.heads();
    let Ok(sink) = pending.accept().await else { return };
    let mut sent: HashMap<Vec<u8>, Option<Vec<u8>>> = HashMap::new();
    loop {
        let block = announced.borrow_and_update().hash;
        let (chain, wanted) = (context.chain.clone(), keys.clone());
        let read = tokio::task::spawn_blocking(move || values_at(&chain, &wanted, block)).await;
        let Ok(Ok(mut set)) = read else { return };
        set.changes.retain(|(key, value)| {
            let value = value.as_ref().map(|value| value.0.clone());
            sent.insert(key.0.clone(), value.clone()) != Some(value)
        });
        if !set.changes.is_empty() && !send(&sink, &set).await {
            return;
        }
        tokio::select! {
            changed = announced.changed() => if changed.is_err() { return },
            () = sink.closed() => return,
        }
    }
}
