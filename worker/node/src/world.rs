//! Everything outside that the worker talks to, and the keys it talks with.

use crate::keys::WorkerKeys;
use crate::rollup::Subject;
use crate::voice::{SayError, Voice};
use encompute_attest::client::{CollateralService, GuestAgent};
use encompute_attest::network::{TrustError, policy_of};
use encompute_attest::{Evidence, Refusal, TrustRoot, UnixSeconds, Verdict, bound, unverified_measurement, verify};
use encompute_chain::{Act, Client, ReadError};
use encompute_networks::Network;
use encompute_protocol::call::{ReadMeasurement, ReadPlatform};
use encompute_protocol::{
    Address, Bytes, ContractAddress, GenesisHash, KeyParts, MeasurementId, Nonce, Plancks, PlatformId, QuoteParts,
    Signed,
};
use encompute_store::GatewayClient;
use std::sync::Arc;

/// The worker's ties to the outside.
pub struct World {
    /// What governs here.
    pub network: Network,
    /// Whose signature ends every quote.
    pub root: TrustRoot,
    /// The chain, and how the worker is heard there.
    pub voice: Voice,
    /// The contract.
    pub contract: ContractAddress,
    /// Blobs.
    pub gateway: GatewayClient,
    /// Quotes.
    pub guest: GuestAgent,
    /// Their collateral.
    pub collateral: CollateralService,
    /// Creators' services.
    pub http: reqwest::Client,
    /// What the worker signs and opens with.
    pub keys: Arc<WorkerKeys>,
}

/// No evidence that the network would accept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttestError {
    /// The machine gave no quote.
    #[error("ask the guest agent for a quote")]
    Quote(#[from] encompute_attest::client::GuestError),
    /// There is no collateral for the machine.
    #[error("fetch collateral")]
    Collateral(#[from] encompute_attest::client::FetchError),
    /// The chain could not be asked.
    #[error("read the measurement's entry")]
    Read(#[from] ReadError),
    /// The code that runs here is not on the contract's list.
    #[error("measurement {found} {why}")]
    Measurement {
        /// Measurement in the quote.
        found: MeasurementId,
        /// What the list says of it.
        why: &'static str,
    },
    /// The machine is not on the contract's list.
    #[error("platform {found} {why}")]
    Platform {
        /// Platform of the quote.
        found: PlatformId,
        /// What the list says of it.
        why: &'static str,
    },
    /// The network's own words make no policy.
    #[error("read the network's policy")]
    Trust(#[from] TrustError),
    /// The quote does not count.
    #[error("the network refuses this machine's quote")]
    Refused(#[from] Refusal),
    /// Longer than evidence may be.
    #[error("{what} is longer than evidence may hold")]
    TooLong {
        /// Quote or collateral.
        what: &'static str,
    },
}

impl World {
    /// The chain's first block.
    pub fn genesis(&self) -> GenesisHash {
        self.client().genesis()
    }

    /// What reads the chain.
    pub fn client(&self) -> &Client {
        self.voice.client()
    }

    /// The worker's account.
    pub fn address(&self) -> Address {
        self.voice.address()
    }

    /// Says something to the market as the worker.
    ///
    /// # Errors
    /// [`SayError`].
    pub async fn say<C: Act>(&self, subject: Subject, call: C, value: Plancks) -> Result<(), SayError> {
        self.voice.say(&self.keys, subject, call, value).await
    }

    /// Fresh evidence that this machine stands behind `statement`, answering `nonce`. It has passed
    /// the network's own policy already: what nobody would accept is not sent to anybody.
    ///
    /// # Errors
    /// [`AttestError`].
    pub async fn evidence<S: Signed>(&self, statement: S, nonce: Nonce) -> Result<(Evidence<S>, Verdict), AttestError> {
        let quote = self.guest.quote(bound(&statement, &nonce)).await?.quote;
        let measurement = unverified_measurement(&quote)?.id();
        self.check_listed(measurement).await?;
        let collateral = self.collateral.fetch(&quote).await?;
        let policy = policy_of(&self.network.trust, [measurement])?;
        let verdict = verify(&quote, &collateral, &self.root, &policy, UnixSeconds::now())?;
        let too_long = |what| move |_| AttestError::TooLong { what };
        let evidence = Evidence {
            quote: Bytes::new(quote).map_err(too_long("quote"))?,
            collateral: Bytes::new(collateral.to_json()).map_err(too_long("collateral"))?,
            statement,
            nonce,
            hpke_key: self.keys.hpke_key(),
        };
        Ok((evidence, verdict))
    }

    /// The part of this machine's quote that a registration carries, and what vouches for its attestation key; the
    /// machine is one that the contract lists.
    ///
    /// # Errors
    /// [`AttestError`].
    pub async fn compact<S>(&self, evidence: &Evidence<S>) -> Result<(QuoteParts, KeyParts), AttestError> {
        let (quote, key) = encompute_attest::compact(evidence.quote.as_slice())?;
        let found = key.platform();
        let client = self.client();
        let now = client.head().await?.number;
        let refused = |why| Err(AttestError::Platform { found, why });
        match client.read(ReadPlatform { platform: found }).await? {
            None => refused("is not on the contract's list; its governor can announce it"),
            Some(entry) if entry.revoked_at.is_some() => refused("was revoked on the contract's list"),
            Some(entry) if entry.valid_from > now => refused("is on the contract's list but not yet valid"),
            Some(_) => Ok((quote, key)),
        }
    }

    async fn check_listed(&self, found: MeasurementId) -> Result<(), AttestError> {
        let client = self.client();
        let now = client.head().await?.number;
        let refused = |why| Err(AttestError::Measurement { found, why });
        match client.read(ReadMeasurement { measurement: found }).await? {
            None => refused("is not on the contract's list; its governor can announce it"),
            Some(entry) if entry.revoked_at.is_some() => refused("was revoked on the contract's list"),
            Some(entry) if entry.valid_from > now => refused("is on the contract's list but not yet valid"),
            Some(_) => Ok(()),
        }
    }
}
