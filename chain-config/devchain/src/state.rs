//! One root of the state trie, read or executed upon: storage look-ups and runtime calls.

use crate::{
    depth,
    runtime::{self, Hash},
    store::NodeReader,
};
use sp_externalities::Extensions;
use sp_runtime::traits::BlakeTwo256;
use sp_state_machine::{Backend, Ext, IterArgs, OverlayedChanges, TrieBackend, TrieBackendBuilder};
use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Changes a runtime call made, not yet part of any root.
pub(crate) type Overlay = OverlayedChanges<BlakeTwo256>;

/// The state under one root, through one snapshot of the store. Cheap to make, one per request.
pub struct State {
    backend: TrieBackend<NodeReader, BlakeTwo256>,
}

/// A runtime call that gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The runtime has no such function.
    #[error("the runtime has no function {method}")]
    UnknownMethod {
        /// What was asked for.
        method: String,
    },
    /// The arguments do not decode or nest too deeply, or the runtime panicked: its way of refusing wrong inherents.
    #[error("{method} was refused by the runtime: {reason}")]
    Refused {
        /// What was called.
        method: String,
        /// The runtime's own words.
        reason: String,
    },
}

/// The state trie could not be read: a damaged store.
#[derive(Debug, thiserror::Error)]
#[error("state cannot be read: {0}")]
pub struct ReadStateError(String);

impl State {
    pub(crate) fn new(nodes: NodeReader, root: Hash) -> Self {
        Self { backend: TrieBackendBuilder::new(nodes, root).build() }
    }

    pub(crate) fn backend(&self) -> &TrieBackend<NodeReader, BlakeTwo256> {
        &self.backend
    }

    /// The value under `key`, if any.
    ///
    /// # Errors
    /// [`ReadStateError`] if a trie node is missing or damaged.
    pub fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadStateError> {
        self.backend.storage(key).map_err(|error| ReadStateError(error.to_string()))
    }

    /// The hash of the value under `key`, if any.
    ///
    /// # Errors
    /// As [`State::value`].
    pub fn value_hash(&self, key: &[u8]) -> Result<Option<Hash>, ReadStateError> {
        self.backend.storage_hash(key).map_err(|error| ReadStateError(error.to_string()))
    }

    /// At most `limit` keys under `prefix`, in order, after `after`.
    ///
    /// # Errors
    /// As [`State::value`].
    pub fn keys(&self, prefix: &[u8], limit: usize, after: Option<&[u8]>) -> Result<Vec<Vec<u8>>, ReadStateError> {
        let mut args = IterArgs::default();
        args.prefix = Some(prefix);
        args.start_at = after;
        args.start_at_exclusive = true;
        let keys = self.backend.keys(args).map_err(|error| ReadStateError(error.to_string()))?;
        keys.take(limit).collect::<Result<_, _>>().map_err(|error| ReadStateError(error.to_string()))
    }

    /// Calls a runtime API function by its wire name, e.g. `Metadata_metadata_versions`, and forgets what it changed.
    ///
    /// # Errors
    /// [`CallError`]; nothing is changed then either.
    pub fn call(&self, method: &str, arguments: &[u8]) -> Result<Vec<u8>, CallError> {
        self.call_on(&mut Overlay::default(), method, arguments)
    }

    /// As [`State::call`], but the changes stay in `overlay`. After an error `overlay` is as it was before.
    pub(crate) fn call_on(&self, overlay: &mut Overlay, method: &str, arguments: &[u8]) -> Result<Vec<u8>, CallError> {
        depth::check(method, arguments)
            .map_err(|error| CallError::Refused { method: method.into(), reason: error.to_string() })?;
        let depth = overlay.transaction_depth();
        overlay.start_transaction();
        let outcome = {
            let mut extensions = Extensions::new();
            let mut ext = Ext::new(overlay, &self.backend, Some(&mut extensions));
            guarded(|| {
                sp_externalities::set_and_run_with_externalities(&mut ext, || runtime::api::dispatch(method, arguments))
            })
        };
        let outcome = match outcome {
            Ok(Some(result)) => Ok(result),
            Ok(None) => Err(CallError::UnknownMethod { method: method.into() }),
            Err(reason) => Err(CallError::Refused { method: method.into(), reason }),
        };
        if outcome.is_ok() {
            overlay.commit_transaction().expect("opened above and every dispatch closes what it opens; qed");
        }
        // A panic leaves the transactions open that the runtime had begun.
        while overlay.transaction_depth() > depth {
            overlay.rollback_transaction().expect("the depth says one is open; qed");
        }
        outcome
    }
}

thread_local! {
    static IN_RUNTIME: Cell<bool> = const { Cell::new(false) };
}

/// Whether the current thread is inside a guarded runtime call. A panic hook may then stay silent: the panic is
/// caught and reported to whoever asked.
#[must_use]
pub fn inside_runtime() -> bool {
    IN_RUNTIME.with(Cell::get)
}

fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    let before = IN_RUNTIME.with(|flag| flag.replace(true));
    // Unwind safety: the only state that outlives the call is the overlay, which the caller rolls back.
    let outcome = catch_unwind(AssertUnwindSafe(call));
    IN_RUNTIME.with(|flag| flag.set(before));
    outcome.map_err(panic_words)
}

fn panic_words(payload: Box<dyn Any + Send>) -> String {
    const LIMIT_BYTES: usize = 512;
    let words = match payload.downcast::<String>() {
        Ok(words) => *words,
        Err(payload) => {
            payload.downcast_ref::<&str>().map_or_else(|| "panic without words".to_owned(), |w| (*w).into())
        }
    };
    // Some panics print the whole input.
    words.char_indices().take_while(|(at, _)| *at < LIMIT_BYTES).map(|(_, c)| c).collect()
}
