//! Blobs that nobody had named in their time are removed, so that uploads alone cannot fill a store.

use super::{Forgetting, routes::Gateway};
use crate::blobs::Source;
use core::time::Duration;
use std::time::Instant;

/// The longest between two looks, and the shortest.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(600), Duration::from_millis(50));

/// Looks again and again, several times within the time that a blob has.
pub(super) async fn sweep(gateway: Gateway, forgetting: Forgetting) {
    let every = (forgetting.after / 4).clamp(LOOK_EVERY.1, LOOK_EVERY.0);
    loop {
        if let Err(error) = look(&gateway, &forgetting).await {
            tracing::warn!(%error, "blobs without a name cannot be looked for at the moment");
        }
        tokio::time::sleep(every).await;
    }
}

/// Removes what is overdue now.
async fn look(gateway: &Gateway, forgetting: &Forgetting) -> Result<(), Source> {
    let started = Instant::now();
    let kept = gateway.store.list().await?;
    let overdue = gateway.nameless.overdue(&kept, &forgetting.names, forgetting.after);
    let (mut blobs, mut bytes) = (0_u64, 0_u64);
    for digest in overdue {
        // Nobody is told in between that the blob is there.
        let _nobody_relies = gateway.relying.write().await;
        if !gateway.nameless.is_still_overdue(digest) || forgetting.names.contains(digest) {
            continue;
        }
        let length = gateway.store.length(digest).await?;
        gateway.store.discard(digest).await?;
        gateway.nameless.relied_on(digest);
        gateway.quota.give_back(length);
        (blobs, bytes) = (blobs + 1, bytes + length);
    }
    if blobs > 0 {
        gateway.figures.forgotten.inc_by(blobs);
        tracing::info!(blobs, bytes, kept = kept.len(), took = ?started.elapsed(), "forgot blobs that no fact names");
    }
    Ok(())
}
