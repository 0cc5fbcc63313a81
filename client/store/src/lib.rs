//! Blobs: bytes named by their BLAKE2b-256 digest, in a folder, in S3, or behind a gateway.
//!
//! Nobody has to be trusted to keep them: whoever reads checks the digest, and whoever writes
//! something else than it announced leaves nothing behind. Refused are names that are no digests,
//! bytes over the limit, bytes that do not have the name they were sent under.
//!
//! The three types to know, and how they meet:
//!
//! * [`BlobStore`] keeps blobs in a folder or an object store.
//! * [`serve`] puts one behind HTTP, within [`GatewayLimits`].
//! * [`GatewayClient`] talks to that; both it and the store are [`Blobs`].
//!
//! ```
//! use encompute_store::{Blobs, BlobStore, ByteLimit};
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let folder = tempfile::tempdir().unwrap();
//! let store = BlobStore::in_folder(folder.path()).unwrap();
//! let digest = store.put("a sealed envelope".into()).await.unwrap();
//! assert_eq!(&store.get(digest, ByteLimit(1024)).await.unwrap()[..], b"a sealed envelope");
//! # });
//! ```

mod blobs;
mod client;
mod http;

#[cfg(not(target_arch = "wasm32"))]
mod gateway;
#[cfg(not(target_arch = "wasm32"))]
mod leash;
#[cfg(not(target_arch = "wasm32"))]
mod server;
#[cfg(not(target_arch = "wasm32"))]
mod state;
#[cfg(not(target_arch = "wasm32"))]
mod store;

pub use blobs::{Blobs, ByteLimit, Class, GetError, PutError};
pub use client::GatewayClient;
pub use http::{ClientError, http_client};

#[cfg(not(target_arch = "wasm32"))]
pub use gateway::{Forgetting, GatewayLimits, Names, PeerBudget, ServeError, serve, serve_forgetting};
#[cfg(not(target_arch = "wasm32"))]
pub use leash::stdin_ended;
#[cfg(not(target_arch = "wasm32"))]
pub use server::{HttpLimits, ListenError, Outcomes, StageSeconds, exposition, listen, open_to_pages, serve_http};
#[cfg(not(target_arch = "wasm32"))]
pub use state::{StateDir, StateError};
#[cfg(not(target_arch = "wasm32"))]
pub use store::{BlobStore, BlobStream, OpenStoreError, Upload};
