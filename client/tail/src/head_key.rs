//! Releasing a head's key: only to code that the contract lists, on a machine that proves it now,
//! for a worker that is registered, for a version that is ours.

use crate::nonces::{Moment, NonceRefused, Nonces};
use crate::release_log::ReleaseLog;
use crate::vault::{Vault, VaultError};
use encompute_attest::network::{TrustError, policy_of};
use encompute_attest::{EvidenceRefused, HeadKeyEvidence, TrustRoot, UnixSeconds, appraise_head_key_request};
use encompute_chain::{Account, ReadError};
use encompute_envelope::{Context, PublicKeyError, RecipientPublic, SealError, Subject};
use encompute_networks::Network;
use encompute_protocol::call::{ReadMeasurement, ReadModel, ReadPlatform, ReadVersion, ReadWorker};
use encompute_protocol::statement::TeeKind;
use encompute_protocol::wire::{DecodeError, Message};
use encompute_protocol::{
    Address, BlockNumber, Bytes, ContractAddress, HeadKeyAnswer, HeadKeyCall, HeadKeyStatement, MeasurementId, Nonce,
    PlatformId, SplitIndex, VersionId, VersionStatus, WorkerRecord,
};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tracing::info;

/// Everything that decides about a release.
pub(crate) struct HeadKeys {
    pub(crate) network: Network,
    pub(crate) root: TrustRoot,
    pub(crate) account: Account,
    pub(crate) contract: ContractAddress,
    pub(crate) vault: Vault,
    pub(crate) log: ReleaseLog,
    pub(crate) nonces: Mutex<Nonces>,
    pub(crate) started: Instant,
}

/// A key that is not released.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReleaseRefused {
    #[error("the call is malformed: {0}")]
    Encoding(#[source] DecodeError),
    #[error(transparent)]
    Nonce(#[from] NonceRefused),
    #[error("worker {account} is not registered")]
    NotRegistered { account: Address },
    #[error("the registration of worker {account} ran out at block {expires_at}, now is {now}")]
    Expired { account: Address, expires_at: BlockNumber, now: BlockNumber },
    #[error("measurement {measurement} {why}")]
    Measurement { measurement: MeasurementId, why: &'static str },
    #[error("platform {platform} is not on the contract's list, or not any more")]
    Platform { platform: PlatformId },
    #[error("version {version} split {split} is not sold here")]
    NotOurs { version: VersionId, split: SplitIndex },
    #[error("version {version} is {status:?}")]
    Status { version: VersionId, status: VersionStatus },
    #[error(transparent)]
    Evidence(#[from] EvidenceRefused),
    #[error("the statement is not signed with the worker's registered key")]
    Signature,
    #[error("the evidence names no key that can be sealed to")]
    Key(#[from] PublicKeyError),
    #[error("the chain cannot be read")]
    Read(#[from] ReadError),
    #[error("the vault cannot be read")]
    Vault(#[from] VaultError),
    #[error("the network's policy cannot be read")]
    Trust(#[from] TrustError),
    #[error("the key cannot be sealed")]
    Seal(#[from] SealError),
    #[error("the release cannot be written down, so it does not happen")]
    Log(#[from] std::io::Error),
}

impl ReleaseRefused {
    /// True where the worker did nothing wrong.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::Read(_) | Self::Vault(_) | Self::Trust(_) | Self::Seal(_) | Self::Log(_))
    }
}

impl HeadKeys {
    fn now(&self) -> Moment {
        self.started.elapsed()
    }

    fn nonces(&self) -> std::sync::MutexGuard<'_, Nonces> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A nonce for one request.
    pub(crate) fn nonce(&self) -> Nonce {
        let now = self.now();
        self.nonces().issue(now)
    }

    /// The key that a call asks for, sealed to the attested key; cheap checks first, the quote last.
    ///
    /// # Errors
    /// [`ReleaseRefused`]; nothing has left then, and the nonce may be used again unless it was.
    pub(crate) async fn release(&self, body: &[u8]) -> Result<HeadKeyAnswer, ReleaseRefused> {
        let call = HeadKeyCall::from_wire(body).map_err(ReleaseRefused::Encoding)?;
        let evidence = HeadKeyEvidence::from_wire(call.evidence.as_slice()).map_err(ReleaseRefused::Encoding)?;
        self.nonces().check(&evidence.nonce, self.now())?;
        let HeadKeyStatement { account, version, split, .. } = evidence.statement;
        let record = self.registered(account).await?;
        if !call.signature.is_by(&record.signing, &evidence.statement) {
            return Err(ReleaseRefused::Signature);
        }
        let (manifest, key) = self.sold_here(version, split).await?;
        let expected = HeadKeyStatement {
            genesis: self.account.client().genesis(),
            contract: self.contract,
            account,
            signing: record.signing,
            hpke: record.hpke,
            version,
            manifest,
            split,
        };
        let policy = policy_of(&self.network.trust, [record.measurement])?;
        let (now, nonce) = (UnixSeconds::now(), evidence.nonce);
        let appraisal = appraise_head_key_request(&evidence, &expected, TeeKind::Tdx, &nonce, &self.root, &policy, now);
        let attested = appraisal.into_attested(&evidence)?;
        let recipient = RecipientPublic::from_bytes(&attested.hpke_key.0)?;
        let (genesis, contract) = (expected.genesis, self.contract);
        let envelope =
            key.seal_to(&recipient, &Context { genesis, contract, subject: Subject::Head { version, split } })?;
        self.nonces().consume(&nonce, self.now())?;
        self.log.record(account, version, split, &attested.verdict, now.0)?;
        info!(worker = %account, version = version.0, split = split.0, quote = %attested.verdict.claims.quote, "head key released");
        let envelope = Bytes::new(envelope.into_bytes()).map_err(|_| SealError::TooLong { found_bytes: 32 })?;
        Ok(HeadKeyAnswer { envelope })
    }

    /// The worker's record, if its registration holds and its code is still allowed.
    async fn registered(&self, account: Address) -> Result<WorkerRecord, ReleaseRefused> {
        let client = self.account.client();
        let found = client.read(ReadWorker { worker: account }).await?;
        let (record, _) = found.ok_or(ReleaseRefused::NotRegistered { account })?;
        let now = client.head().await?.number;
        if now >= record.expires_at {
            return Err(ReleaseRefused::Expired { account, expires_at: record.expires_at, now });
        }
        let measurement = record.measurement;
        let refused = |why| Err(ReleaseRefused::Measurement { measurement, why });
        match client.read(ReadMeasurement { measurement }).await? {
            None => return refused("is not on the contract's list"),
            Some(entry) if entry.revoked_at.is_some() => return refused("was revoked"),
            Some(entry) if entry.valid_from > now => return refused("is not valid yet"),
            Some(_) => {}
        }
        let platform = record.platform;
        match client.read(ReadPlatform { platform }).await? {
            Some(entry) if entry.is_usable_at(now) => Ok(record),
            _ => Err(ReleaseRefused::Platform { platform }),
        }
    }

    /// The manifest's hash and the content key of a head, if the version is this creator's and runs.
    async fn sold_here(
        &self,
        version: VersionId,
        split: SplitIndex,
    ) -> Result<(encompute_protocol::VersionHash, encompute_envelope::ContentKey), ReleaseRefused> {
        let not_ours = || ReleaseRefused::NotOurs { version, split };
        let client = self.account.client();
        let record = client.read(ReadVersion { version }).await?.ok_or_else(not_ours)?;
        let (model, _) = client.read(ReadModel { model: record.model }).await?.ok_or_else(not_ours)?;
        if model.creator != self.account.address() {
            return Err(not_ours());
        }
        match record.status {
            VersionStatus::Active | VersionStatus::Deprecated => {}
            status => return Err(ReleaseRefused::Status { version, status }),
        }
        let material = self.vault.find(record.manifest)?.ok_or_else(not_ours)?;
        let secrets = material.splits.into_iter().nth(usize::from(split.0)).ok_or_else(not_ours)?;
        Ok((record.manifest, secrets.content_key))
    }
}
