//! The pipe by which a service notices that whoever started it is gone.

use tokio::sync::oneshot;
use tracing::warn;

/// Resolves when stdin ends: whoever holds its other end is gone, or wants this process to stop.
///
/// A supervisor that is killed outright can tell its services nothing, but the system closes its end of
/// the pipe. (A signal at the parent's death would need unsafe code, and exists on Linux alone.)
pub async fn stdin_ended() {
    let (ended, wait) = oneshot::channel::<()>();
    // A thread of its own and none of the runtime's: nobody waits for it when the process stops otherwise.
    let reader = std::thread::Builder::new().name("stdin".into()).spawn(move || {
        // What is said there is for nobody, and an error is an end, too.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        drop(ended);
    });
    match reader {
        // The sender is only ever dropped.
        Ok(_) => drop(wait.await),
        Err(error) => {
            warn!(%error, "the end of stdin will not be noticed");
            std::future::pending().await
        }
    }
}
