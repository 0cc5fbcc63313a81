//! What the page is about: one network's market, as one user.

use crate::{
    failure::{Doing, Outcome, refused},
    home,
    input::Input,
};
use encompute_chain::{Account, Client, Signer};
use encompute_job::market::{self, Listing, ListingError};
use encompute_model::PublishedAttack;
use encompute_networks::Network;
use encompute_protocol::{BlobDigest, BlockNumber, JobId, VersionId, event::Event};
use encompute_store::GatewayClient;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use std::{cell::RefCell, collections::BTreeMap, future::Future, path::Path, rc::Rc};
use wasm_bindgen::prelude::wasm_bindgen;
use zeroize::Zeroizing;

/// How much is asked of the node at once.
const AT_ONCE: usize = 32;

/// Over so many of the newest blocks it is measured how fast they come.
const PACE_BLOCKS: u32 = 100;

/// One network's market, as one user.
#[wasm_bindgen]
pub struct Page {
    pub(crate) network: Network,
    pub(crate) client: Client,
    pub(crate) blobs: GatewayClient,
    pub(crate) signer: RefCell<Option<Signer>>,
    pub(crate) input: RefCell<Option<Input>>,
    /// What was said of jobs up to the last change that was seen. Blocks are final: it is never asked for again.
    pub(crate) histories: RefCell<BTreeMap<JobId, Vec<(BlockNumber, Event)>>>,
    /// What this tab encrypted, by the names of its jobs, until they have ended: to be held beside what could be rebuilt.
    pub(crate) encrypted: RefCell<BTreeMap<String, Zeroizing<Vec<u8>>>>,
    /// Attacks that creators publish.
    pub(crate) attacks: RefCell<BTreeMap<BlobDigest, Rc<PublishedAttack>>>,
    /// Versions never change, but for their status.
    pub(crate) listings: RefCell<BTreeMap<VersionId, Rc<Listing>>>,
}

#[wasm_bindgen]
impl Page {
    /// Connects to the network that a network file describes.
    ///
    /// # Errors
    /// For a file that is none, or a node that is away or of another chain.
    pub async fn connect(network: String) -> Outcome<Page> {
        let network = Network::parse(&network, Path::new("network.toml")).told()?;
        let Some(gateway) = &network.gateway else { return refused("the network file names no gateway") };
        let blobs = GatewayClient::new(gateway.as_str()).told()?;
        let client = Client::connect(&network).await.told()?;
        let (signer, input) = (RefCell::default(), RefCell::default());
        let (histories, listings) = (RefCell::default(), RefCell::default());
        let (encrypted, attacks) = (RefCell::default(), RefCell::default());
        Ok(Self { network, client, blobs, signer, input, histories, encrypted, attacks, listings })
    }

    /// Milliseconds between two blocks, by the chain's own clock over its last ones; `null` where it does not say.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub async fn pace(&self) -> Outcome {
        let head = self.client.head().await.told()?;
        let blocks = head.number.0.saturating_sub(1).min(PACE_BLOCKS);
        let before = self.client.block(BlockNumber(head.number.0.saturating_sub(blocks))).await.told()?;
        let (now, then) =
            futures::try_join!(self.client.time_of(head.hash), self.client.time_of(before.hash)).told()?;
        let took = now.duration_since(then).unwrap_or_default().as_millis() as f64;
        let each = (blocks > 0 && took > 0.0).then(|| took / f64::from(blocks));
        Ok(json!(each).to_string())
    }

    /// The network, its token and its last block.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub async fn about(&self) -> Outcome {
        let head = self.client.head().await.told()?;
        let network = &self.network;
        Ok(json!({
            "network": network.name.to_string(), "development": network.is_development(),
            "token": { "symbol": network.token.symbol, "decimals": network.token.decimals },
            "genesis": self.client.genesis().to_string(), "contract": self.client.contract().map(|contract| contract.to_string()),
            "block": head.number.0,
        })
        .to_string())
    }

    /// Forgets home, account and input.
    pub fn lock(&self) {
        home::lock();
        self.sign_out();
        self.input.replace(None);
        self.encrypted.borrow_mut().clear();
    }
}

/// What all of these give, in their order; they are under way side by side.
///
/// # Errors
/// The first that one of them gives.
pub(crate) async fn all<T>(tasks: impl Iterator<Item = impl Future<Output = Outcome<T>>>) -> Outcome<Vec<T>> {
    stream::iter(tasks).buffered(AT_ONCE).try_collect().await
}

impl Page {
    /// A version with its manifest.
    pub(crate) async fn listing(&self, version: u32) -> Outcome<Rc<Listing>> {
        self.read_listing(VersionId(version)).await.told()
    }

    /// A version with its manifest, or why it cannot be had.
    pub(crate) async fn read_listing(&self, version: VersionId) -> Result<Rc<Listing>, ListingError> {
        if let Some(known) = self.listings.borrow().get(&version) {
            return Ok(known.clone());
        }
        let listing = Rc::new(market::of_version(&self.client, &self.blobs, version).await?);
        self.listings.borrow_mut().insert(version, listing.clone());
        Ok(listing)
    }

    /// The chain as the user.
    pub(crate) fn signed(&self) -> Outcome<Account> {
        match self.signer.borrow().clone() {
            Some(signer) => Ok(self.client.signed_by(signer)),
            None => refused("nobody signs: choose an account first"),
        }
    }
}
