//! Tasks.

use core::future::Future;

/// The same task, for traits whose tasks may change threads. In a tab there is one thread: a task that was made of the
/// browser's own promises stays on it, and the wrapper holds it to that.
#[cfg(target_arch = "wasm32")]
pub fn sendable<T>(task: impl Future<Output = T>) -> impl Future<Output = T> + Send {
    send_wrapper::SendWrapper::new(task)
}

/// The same task, for traits whose tasks may change threads.
#[cfg(not(target_arch = "wasm32"))]
pub fn sendable<T>(task: impl Future<Output = T> + Send) -> impl Future<Output = T> + Send {
    task
}
