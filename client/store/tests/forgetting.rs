//! Blobs that no chain fact names are forgotten; the others, and those that somebody relies on, are not.
#![allow(clippy::unwrap_used)]

use encompute_protocol::BlobDigest;
use encompute_store::{BlobStore, Blobs, ByteLimit, Forgetting, GatewayClient, GatewayLimits, Names};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::oneshot};

struct Gateway {
    client: GatewayClient,
    names: Arc<Names>,
    store: BlobStore,
    _folder: tempfile::TempDir,
    _stop: oneshot::Sender<()>,
}

async fn gateway(quota: u64, after: Duration) -> Gateway {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = GatewayClient::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let store = BlobStore::in_folder(folder.path()).unwrap();
    let names = Arc::new(Names::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let limits = GatewayLimits { quota: ByteLimit(quota), ..GatewayLimits::default() };
    let forgetting = Forgetting { names: names.clone(), after };
    let shutdown = async move { drop(stopped.await) };
    tokio::spawn(encompute_store::serve_forgetting(listener, store.clone(), limits, forgetting, shutdown));
    Gateway { client, names, store, _folder: folder, _stop: stop }
}

/// Waits until the store has lost a blob; a test that waits for ever is stopped by its runner.
async fn gone(store: &BlobStore, digest: BlobDigest) {
    while store.has(digest).await.unwrap() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_blob_that_no_fact_names_is_forgotten_and_its_room_is_free_again() {
    let gateway = gateway(1_000, Duration::ZERO).await;
    let named = gateway.client.put(vec![1; 400].into()).await.unwrap();
    let nameless = gateway.client.put(vec![2; 600].into()).await.unwrap();
    gateway.names.name(named);
    gateway.names.whole();
    gone(&gateway.store, nameless).await;
    assert!(gateway.store.has(named).await.unwrap());
    let another = gateway.client.put(vec![3; 600].into()).await.unwrap();
    assert_eq!(another, BlobDigest::of(&[3; 600]));
}

#[tokio::test]
async fn nothing_is_forgotten_before_every_fact_was_read() {
    let gateway = gateway(1 << 20, Duration::ZERO).await;
    let early = gateway.client.put(vec![1; 400].into()).await.unwrap();
    // Whoever follows the chain has named other blobs, but has not said that those are all.
    gateway.names.name(BlobDigest([9; 32]));
    let marker = gateway.client.put(vec![2; 400].into()).await.unwrap();
    gateway.names.name(early);
    gateway.names.whole();
    gone(&gateway.store, marker).await;
    assert!(gateway.store.has(early).await.unwrap());
}
