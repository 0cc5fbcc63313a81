//! Where a worker's program keeps keys for users who are away: the door to it. This crate opens none and links nothing
//! that could; a program that gives [`crate::run`] a [`Custodian`] is another program, with another measurement.

use crate::desk::{Desk, Prepared, ServeError};
use crate::keys::WorkerKeys;
use crate::service::RunError;
use crate::world::World;
use encompute_chain::Account;
use encompute_fhe::ParameterSet;
use encompute_networks::Network;
use encompute_protocol::receipt::{CustodyCall, OfferCall, SignedOffer};
use encompute_protocol::{BlobDigest, BlockNumber, JobId, VersionHash};
use encompute_store::GatewayClient;
use std::path::PathBuf;
use std::sync::Arc;

/// What an envelope comes with: the run that is asked for, and what its request and its version say.
#[derive(Clone, Copy, Debug)]
pub struct Entrusted {
    /// The run.
    pub call: OfferCall,
    /// Hash of the version's manifest.
    pub manifest: VersionHash,
    /// The set of the split's plan.
    pub parameter_set: ParameterSet,
    /// The session key that the request names.
    pub session_key: [u8; 33],
}

/// Why an envelope was not taken: one sentence of public facts.
#[derive(Debug, thiserror::Error)]
#[error("the key is not taken: {0}")]
pub struct CustodyRefused(pub String);

/// Keeps jobs' keys, and acts for their users. No call waits.
pub trait Custodian: Send + Sync + 'static {
    /// Opens an envelope, checks everything in it, and keeps it until `until` for the job that may come of it.
    ///
    /// # Errors
    /// [`CustodyRefused`]; nothing is kept then.
    fn take(&self, entrusted: &Entrusted, envelope: &[u8], until: BlockNumber) -> Result<(), CustodyRefused>;

    /// A job of an input that was taken is this worker's: acts for its user until the features are sent. Called again
    /// after a restart; once is enough.
    fn act(&self, job: JobId, input: BlobDigest);

    /// The job ended: wipes everything of it.
    fn put_away(&self, job: JobId);

    /// A block has come: wipes what nothing came of.
    fn advance(&self, now: BlockNumber);
}

/// What a custodian works with.
pub struct CustodianConfig {
    /// The account that sends features: the worker's own.
    pub account: Account,
    /// The store.
    pub gateway: GatewayClient,
    /// Speaks to this very worker, as its users do.
    pub http: reqwest::Client,
    /// Whose word counts.
    pub network: Network,
    /// Folder for what is kept, on the enclave's encrypted disk.
    pub folder: PathBuf,
    /// The enclave's keys.
    pub keys: Arc<WorkerKeys>,
}

/// Makes a worker's custodian at its start.
pub type MakeCustodian = fn(CustodianConfig) -> Result<Arc<dyn Custodian>, RunError>;

/// Gives a custodian the key that came with a call, until a block.
pub(crate) type Entrust<'a> = dyn Fn(&Prepared, BlockNumber) -> Result<(), CustodyRefused> + Send + Sync + 'a;

impl World {
    /// What a custodian of this worker works with.
    pub(crate) fn custodian_config(&self, account: &Account, folder: PathBuf) -> CustodianConfig {
        CustodianConfig {
            account: account.clone(),
            gateway: self.gateway.clone(),
            http: self.http.clone(),
            network: self.network.clone(),
            folder,
            keys: self.keys.clone(),
        }
    }
}

impl Desk {
    /// The same desk with keys in custody.
    pub fn with_custodian(mut self, custodian: Option<Arc<dyn Custodian>>) -> Self {
        self.custodian = custodian;
        self
    }

    /// Who keeps keys for users who are away, if anybody.
    pub(crate) fn custodian(&self) -> Option<&Arc<dyn Custodian>> {
        self.custodian.as_ref()
    }

    /// As [`Desk::offer`], with the job's key: the offer says that the worker has it.
    ///
    /// # Errors
    /// [`ServeError::NoCustody`] of a worker without a custodian, [`ServeError::Custody`] of one that does not take the
    /// envelope.
    pub async fn offer_custody(self: &Arc<Self>, asked: &CustodyCall) -> Result<SignedOffer, ServeError> {
        let Some(custodian) = self.custodian() else { return Err(ServeError::NoCustody) };
        let entrust = |prepared: &Prepared, until: BlockNumber| {
            let entrusted = Entrusted {
                call: asked.call,
                manifest: prepared.head.version.manifest,
                parameter_set: prepared.head.compiled.plan().parameter_set(),
                session_key: prepared.request.session_key,
            };
            custodian.take(&entrusted, asked.envelope.as_slice(), until)
        };
        self.offer_with(&asked.call, Some(&entrust)).await
    }
}
