//! Which methods were called, and how often: what a client really uses.

use jsonrpsee::{
    server::middleware::rpc::{Batch, BatchEntry, Notification, RpcServiceT},
    types::Request,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Calls per method since the start. Names nobody registered are counted as one, `(unknown)`.
#[derive(Clone, Default)]
pub struct MethodCounts(Arc<Mutex<BTreeMap<String, u64>>>);

/// Most different names kept; the method table is far smaller, so only invented names are cut off.
const NAMES_LIMIT: usize = 256;

impl MethodCounts {
    /// The counts so far.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what was counted.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn note(&self, method: &str) {
        tracing::trace!(method, "called");
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let method = if counts.len() < NAMES_LIMIT || counts.contains_key(method) { method } else { "(unknown)" };
        let count = counts.entry(method.to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn wrap<S>(&self, service: S) -> Counting<S> {
        Counting { service, counts: self.clone() }
    }
}

/// The middleware that counts.
#[derive(Clone)]
pub(super) struct Counting<S> {
    service: S,
    counts: MethodCounts,
}

impl<S: RpcServiceT> RpcServiceT for Counting<S> {
    type MethodResponse = S::MethodResponse;
    type NotificationResponse = S::NotificationResponse;
    type BatchResponse = S::BatchResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = Self::MethodResponse> + Send + 'a {
        self.counts.note(&request.method);
        self.service.call(request)
    }

    fn batch<'a>(&self, requests: Batch<'a>) -> impl Future<Output = Self::BatchResponse> + Send + 'a {
        for entry in requests.iter() {
            if let Ok(BatchEntry::Call(request)) = entry {
                self.counts.note(&request.method);
            }
        }
        self.service.batch(requests)
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = Self::NotificationResponse> + Send + 'a {
        self.service.notification(notification)
    }
}
