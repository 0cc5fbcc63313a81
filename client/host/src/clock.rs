//! Time of day, and waiting.

use std::time::SystemTime;

#[cfg(not(target_arch = "wasm32"))]
pub use tokio::time::{Instant, error::Elapsed, sleep, timeout, timeout_at};
#[cfg(target_arch = "wasm32")]
pub use wasmtimer::{
    std::Instant,
    tokio::{error::Elapsed, sleep, timeout, timeout_at},
};

/// The time of day by the host's clock.
pub fn now() -> SystemTime {
    #[cfg(not(target_arch = "wasm32"))]
    return SystemTime::now();
    #[cfg(target_arch = "wasm32")]
    return SystemTime::UNIX_EPOCH + core::time::Duration::from_millis(js_sys::Date::now() as u64);
}
