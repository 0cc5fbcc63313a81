//! `encompute gateway`: the blob store over HTTP.

use crate::{
    args::{Common, Leash},
    context::{Context, stopped, under},
    failure::{Doing, Exit, Outcome},
    named, output,
};
use clap::{Args, Subcommand};
use encompute_protocol::BlockNumber;
use encompute_store::{BlobStore, ByteLimit, Forgetting, GatewayLimits, Names, PeerBudget};
use serde_json::json;
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// The blob gateway
#[derive(Subcommand)]
pub enum Gateway {
    /// Serve blobs from a folder until stopped
    #[command(
        after_help = "Examples:\n  encompute gateway serve\n  encompute gateway serve --listen 0.0.0.0:8400 --store /var/lib/encompute/blobs\n  encompute gateway serve --network mine --forget-unnamed 24 --from-block 1200000"
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
    /// What one address may bring in an hour, in MiB; 0 behind a proxy, where all addresses are one
    #[arg(long, default_value_t = 4_096, value_name = "MIB")]
    peer_quota: u64,
    /// Forget blobs that no event of the network's contract names within so many hours; without it all are kept
    #[arg(long, value_name = "HOURS")]
    forget_unnamed: Option<f32>,
    /// Block of the contract's deployment: events before it are not looked for
    #[arg(long, default_value_t = 1, value_name = "BLOCK", requires = "forget_unnamed")]
    from_block: u32,
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
            peer: serve.peer_budget(),
            ..GatewayLimits::default()
        };
        let forgetting = serve.forgetting(&store, common).await?;
        let listener = tokio::net::TcpListener::bind(serve.listen)
            .await
            .doing(Exit::Failed, &format!("listen on {}", serve.listen))?;
        let address = listener.local_addr().doing(Exit::Failed, "read the address listened on")?;
        output::json(&json!({ "ready": true, "service": "gateway", "listen": format!("http://{address}") }))?;
        let served = match forgetting {
            None => encompute_store::serve(listener, store, limits, stopped(serve.leash)).await,
            Some(forgetting) => {
                encompute_store::serve_forgetting(listener, store, limits, forgetting, stopped(serve.leash)).await
            }
        };
        served.doing(Exit::Failed, "serve blobs")
    }
}

impl Serve {
    fn peer_budget(&self) -> Option<PeerBudget> {
        let bytes = ByteLimit(self.peer_quota.saturating_mul(MIB));
        (self.peer_quota > 0).then_some(PeerBudget { bytes, refill: Duration::from_secs(3_600) })
    }

    /// What is forgotten, and somebody who reads the chain for what is not.
    async fn forgetting(&self, store: &BlobStore, common: &Common) -> Outcome<Option<Forgetting>> {
        let Some(hours) = self.forget_unnamed else { return Ok(None) };
        let after = Duration::try_from_secs_f32(hours * 3_600.0).doing(Exit::Usage, "read --forget-unnamed")?;
        let client = Context::load(common)?.chain().await?;
        let names = Arc::new(Names::default());
        tokio::spawn(named::follow(client, store.clone(), names.clone(), BlockNumber(self.from_block)));
        Ok(Some(Forgetting { names, after }))
    }
}
