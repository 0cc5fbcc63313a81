//! `encompute gateway`: the blob store over HTTP.

use crate::{
    args::{Common, Leash},
    context::{Context, stopped, under},
    failure::{Doing, Exit, Outcome},
    output,
};
use clap::{Args, Subcommand};
use encompute_store::{BlobStore, ByteLimit, GatewayLimits};
use serde_json::json;
use std::net::SocketAddr;

/// The blob gateway
#[derive(Subcommand)]
pub enum Gateway {
    /// Serve blobs from a folder until stopped
    #[command(
        after_help = "Examples:\n  encompute gateway serve\n  encompute gateway serve --listen 0.0.0.0:8400 --store /var/lib/encompute/blobs"
    )]
    Serve(Serve),
}

/// How to serve.
#[derive(Args)]
pub struct Serve {
    /// Address to listen on; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Folder, file:// or s3:// URL of the blobs [default: HOME/blobs]
    #[arg(long, value_name = "DIR|URL")]
    store: Option<String>,
    /// Largest blob, in MiB
    #[arg(long, default_value_t = 34, value_name = "MIB")]
    blob_limit: u64,
    /// All blobs together, in MiB
    #[arg(long, default_value_t = 10_240, value_name = "MIB")]
    quota: u64,
    /// When to stop
    #[command(flatten)]
    leash: Leash,
}

const MIB: u64 = 1024 * 1024;

impl Gateway {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        let Self::Serve(serve) = self;
        let store = match &serve.store {
            Some(place) if place.contains("://") => BlobStore::at(place),
            Some(folder) => BlobStore::in_folder(folder.as_ref()),
            None => BlobStore::in_folder(&under(Context::load(common)?.home(), &["blobs"])),
        };
        let store = store.doing(Exit::Failed, "open the blob store")?;
        let limits = GatewayLimits {
            blob: ByteLimit(serve.blob_limit.saturating_mul(MIB)),
            quota: ByteLimit(serve.quota.saturating_mul(MIB)),
            ..GatewayLimits::default()
        };
        let listener = tokio::net::TcpListener::bind(serve.listen)
            .await
            .doing(Exit::Failed, &format!("listen on {}", serve.listen))?;
        let address = listener.local_addr().doing(Exit::Failed, "read the address listened on")?;
        output::json(&json!({ "ready": true, "service": "gateway", "listen": format!("http://{address}") }))?;
        encompute_store::serve(listener, store, limits, stopped(serve.leash)).await.doing(Exit::Failed, "serve blobs")
    }
}
