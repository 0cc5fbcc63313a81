//! `author_*`: transactions in, their statuses out.

use super::{Context, Module, errors, send};
use crate::{chain::is_last, pool::TxStatus, runtime::Hash};
use jsonrpsee::{
    PendingSubscriptionSink, SubscriptionSink,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use sp_core::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub(super) fn register(module: &mut Module) -> Result<(), RegisterMethodError> {
    module.register_async_method("author_submitExtrinsic", |params, context, _| async move {
        let extrinsic: Bytes = params.one()?;
        context.chain.submit(extrinsic.0, None).await.map_err(|error| errors::submit(&error))
    })?;
    module.register_async_method("author_pendingExtrinsics", |_, context, _| async move {
        let pending = context.chain.pending().await.map_err(errors::queue)?;
        Ok::<Vec<Bytes>, ErrorObjectOwned>(pending.into_iter().map(Bytes).collect())
    })?;
    module.register_subscription(
        "author_submitAndWatchExtrinsic",
        "author_extrinsicUpdate",
        "author_unwatchExtrinsic",
        |params, pending, context, _| submit_and_watch(params, pending, context),
    )?;
    Ok(())
}

/// Validates first and accepts the subscription only then: a refusal must be an error of the call, because clients
/// treat a later `invalid` as just another status.
async fn submit_and_watch(params: Params<'static>, pending: PendingSubscriptionSink, context: Arc<Context>) {
    let extrinsic: Bytes = match params.one() {
        Ok(extrinsic) => extrinsic,
        Err(error) => return pending.reject(error).await,
    };
    let (watcher, statuses) = unbounded_channel();
    if let Err(error) = context.chain.submit(extrinsic.0, Some(watcher)).await {
        return pending.reject(errors::submit(&error)).await;
    }
    let Ok(sink) = pending.accept().await else { return };
    forward(&sink, statuses, context.finality_gap).await;
}

async fn forward(sink: &SubscriptionSink, mut statuses: UnboundedReceiver<TxStatus>, gap: Duration) {
    loop {
        let status = tokio::select! {
            status = statuses.recv() => status,
            () = sink.closed() => return,
        };
        let Some(status) = status else { return };
        if !send(sink, &status).await || is_last(status) {
            return;
        }
        if let TxStatus::InBlock(block) = status {
            return finalize(sink, block, gap).await;
        }
    }
}

async fn finalize(sink: &SubscriptionSink, block: Hash, gap: Duration) {
    tokio::time::sleep(gap).await;
    send(sink, &TxStatus::Finalized(block)).await;
}
