//! Custody: a user who wants to be away gives the enclave that runs a job what the job needs, and the enclave acts in
//! the user's place until the features are sent.
//!
//! The user seals the job's FHE key, its session key and the noise of its one release to the worker's attested key
//! ([`Sealing`]), together with the terms of that release. The enclave opens them ([`Custody`]) and runs the very code
//! that a user at home runs ([`Runner::act`]): it verifies receipts before it decrypts, and nothing decrypted leaves
//! but through the releaser. The result is sealed to the user, whose key for it stays at home. What this adds to whom
//! the user trusts: the enclave can read the input.

use crate::{
    driver::{InHand, Runner},
    error::JobError,
    journal::{JobSecrets, Journal, Record},
    report::{Bytes, Ending},
    request::random,
    turns::Finding,
};
use codec::{Decode, Encode};
use encompute_chain::{FollowBlocks, Submit, SubmitJob};
use encompute_envelope::{Context, OpenError, RecipientPublic, RecipientSecret, Subject};
use encompute_fhe::ParameterSet;
use encompute_host::clock;
use encompute_keys::{MachineSecret, SecretKey};
use encompute_protocol::{
    Address, BlobDigest, ContractAddress, GenesisHash, JobId, JobRequest, PolicyId, SplitIndex, Stage, VersionHash,
    Witnesses,
    call::SendFeatures,
    receipt::CUSTODY_LIMIT_BYTES,
    signing::SigningKey,
    wire::{DecodeError, Message},
};
use encompute_release::{ReleaseContext, ReleaseGrant};
use encompute_store::{Blobs, ByteLimit};
use std::time::Duration;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// How long the enclave waits for a block before it looks at the job again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// And after something failed that may not fail again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What the envelope holds.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Zeroize, ZeroizeOnDrop)]
struct Secrets {
    /// The request that the key belongs to.
    #[zeroize(skip)]
    input: BlobDigest,
    /// The release that is granted.
    #[zeroize(skip)]
    terms: (VersionHash, SplitIndex, PolicyId),
    /// The FHE key.
    key: Vec<u8>,
    /// Signs rounds.
    session: [u8; 32],
    /// Seed of the release's noise.
    noise: [u8; 32],
}

impl Message for Secrets {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = CUSTODY_LIMIT_BYTES as usize - 4 * 1024;
}

fn context(genesis: GenesisHash, contract: ContractAddress, input: BlobDigest) -> Context {
    Context { genesis, contract, subject: Subject::CustodyKey { input } }
}

/// What an enclave is to be given, ready to be sealed to whichever takes it.
pub(crate) struct Sealing {
    context: Context,
    secrets: Zeroizing<Vec<u8>>,
}

impl Sealing {
    /// A journal's keys, and leave for the release that its record names.
    pub(crate) fn of(journal: &Journal, machine: &MachineSecret, grant: &ReleaseGrant) -> Result<Self, JobError> {
        let Record { genesis, contract, input, manifest, split, policy, .. } = *journal.record();
        let secrets = Secrets {
            input,
            terms: (manifest, split, policy),
            key: journal.key(machine)?.expose_to_custodian().to_vec(),
            session: *journal.secrets()?.session,
            noise: *grant.expose_to_custodian(),
        };
        Ok(Self { context: context(genesis, contract, input), secrets: Zeroizing::new(secrets.to_wire()) })
    }

    /// The envelope for one recipient, which opens it for this job alone.
    pub(crate) fn to(&self, recipient: &RecipientPublic) -> Result<Vec<u8>, String> {
        let sealed = encompute_envelope::seal(recipient, &self.context, &self.secrets);
        sealed.map(|envelope| envelope.into_bytes()).map_err(|error| error.to_string())
    }
}

/// An envelope that gives no custody of the job it came with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CustodyError {
    /// Sealed to another key, for another job, or altered.
    #[error("the envelope does not open")]
    Open(#[from] OpenError),
    /// What it holds is not what an envelope of custody holds.
    #[error("what the envelope holds is malformed")]
    Malformed(#[source] DecodeError),
    /// It names something else than it came with.
    #[error("the envelope is about another {what}")]
    Other {
        /// What differs.
        what: &'static str,
    },
    /// The FHE key in it is none, or of another parameter set.
    #[error("the envelope holds no key of {wanted}")]
    Key {
        /// What the split takes.
        wanted: ParameterSet,
    },
    /// The session key in it is not the one that the request names.
    #[error("the envelope's session key is not the request's")]
    Session,
}

/// What an envelope is to be about.
#[derive(Clone, Copy, Debug)]
pub struct CustodyFacts {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The request blob.
    pub input: BlobDigest,
    /// Hash of the version's manifest.
    pub manifest: VersionHash,
    /// The split.
    pub split: SplitIndex,
    /// The release policy.
    pub policy: PolicyId,
    /// The set of the split's plan.
    pub parameter_set: ParameterSet,
    /// The session key that the request names.
    pub session_key: [u8; 33],
}

/// One job's secrets in an enclave. They cannot be printed, and are wiped when they are let go.
///
/// ```compile_fail
/// fn print(custody: &encompute_job::Custody) { println!("{custody:?}"); }
/// ```
pub struct Custody {
    secrets: Secrets,
    key: SecretKey,
}

impl Custody {
    /// Opens an envelope: limit, version, conformance; then what it is about.
    ///
    /// # Errors
    /// [`CustodyError`], by the first check that fails.
    pub fn open(recipient: &RecipientSecret, facts: &CustodyFacts, envelope: &[u8]) -> Result<Self, CustodyError> {
        let context = context(facts.genesis, facts.contract, facts.input);
        let opened = encompute_envelope::open(recipient, &context, envelope, Secrets::LIMIT_BYTES)?;
        let secrets = Secrets::from_wire(&opened).map_err(CustodyError::Malformed)?;
        let (manifest, split, policy) = secrets.terms;
        for (same, what) in [
            (secrets.input == facts.input, "request"),
            (manifest == facts.manifest, "version"),
            (split == facts.split, "split"),
            (policy == facts.policy, "release policy"),
        ] {
            if !same {
                return Err(CustodyError::Other { what });
            }
        }
        let wanted = facts.parameter_set;
        let key = SecretKey::in_custody(&secrets.key).filter(|key| key.parameter_set() == wanted);
        let key = key.ok_or(CustodyError::Key { wanted })?;
        let session = SigningKey::from_secret(&secrets.session).map_err(|_| CustodyError::Session)?;
        if session.public_key() != facts.session_key {
            return Err(CustodyError::Session);
        }
        Ok(Self { secrets, key })
    }

    /// Leave for the one release that the user granted.
    pub fn grant(&self) -> ReleaseGrant {
        let (version, split, policy) = self.secrets.terms;
        ReleaseGrant::in_custody(ReleaseContext { version, split, policy }, Zeroizing::new(self.secrets.noise))
    }
}

/// Refuses custody where somebody must be at home.
pub(crate) fn must_need_nobody(finding: Finding, witnesses: Option<Witnesses>, quote: bool) -> Result<(), JobError> {
    match (finding, witnesses) {
        (Finding::Custody, Some(wanted)) => Err(JobError::CustodyUnwitnessed { wanted }),
        (Finding::Custody, None) if quote => Err(JobError::CustodyUnquoted),
        _ => Ok(()),
    }
}

impl<M: SubmitJob> Runner<M> {
    /// How a job stands that was just left in custody; nothing more of it is the user's to do before its result.
    ///
    /// # Errors
    /// [`JobError::Read`].
    pub async fn left_in_custody(&self, job: JobId) -> Result<Ending, JobError> {
        let (terms, progress) = self.job(job).await?;
        let (stage, reason) = (progress.stage, progress.reason);
        Ok(Ending { job, stage, reason, answer: None, bytes: Bytes::default(), in_custody: terms.custody })
    }

    /// In an enclave: the journal of a job whose user is away, the one that an earlier start began or a new one.
    ///
    /// # Errors
    /// [`JobError`]; nothing has been decrypted then.
    pub async fn take_custody(&self, job: JobId, custody: &Custody) -> Result<Journal, JobError> {
        let market = &self.services.market;
        let (genesis, contract) = (market.genesis(), market.contract().unwrap_or_default());
        if let Some(journal) = Journal::find(&self.home, genesis, contract, job)? {
            return Ok(journal);
        }
        let (terms, progress) = self.job(job).await?;
        let limit = ByteLimit(JobRequest::LIMIT_BYTES as u64);
        let blob = self.services.blobs.get(terms.input, limit).await;
        let blob = blob.map_err(|source| JobError::Fetch { what: "the request", digest: terms.input, source })?;
        let request =
            JobRequest::from_wire(&blob).map_err(|source| JobError::Message { what: "the request", source })?;
        let record = Record {
            genesis,
            contract,
            user: terms.user,
            model: String::new(),
            version: terms.version,
            manifest: request.manifest,
            split: terms.split,
            policy: terms.policy,
            tip: terms.fees.tip,
            witnesses: None,
            quote: false,
            sponsor: terms.sponsor,
            finding: Finding::Custody,
            input: terms.input,
            tensor: BlobDigest::of(request.tensor.as_slice()),
            // The input's name is the user's own: what is granted is released without it.
            identity: [0; 32],
            prepared_at: progress.claimed_at,
            job: Some(job),
            rounds: Vec::new(),
            features: None,
            scores: None,
            bytes: (0, 0),
        };
        // The key that opens the result stays with the user; nothing is ever sealed to this one.
        let secrets = JobSecrets { session: custody.secrets.session.into(), result: random().into() };
        // A creation that a crash cut off has left a key that is never overwritten.
        Journal::clear_unfinished(&self.home, &terms.input)?;
        let journal = Journal::create(&self.home, record, &custody.key, &secrets, &self.machine)?;
        journal.keep(&blob)?;
        Ok(journal)
    }

    /// In an enclave: acts for the user from the claim until the features are sent, or until the job is not this
    /// worker's any more. Gives the stage that it was left at.
    ///
    /// What fails is tried again as long as the job's window is open, for nobody else can do it: the worker's stake
    /// answers for that.
    ///
    /// # Errors
    /// The last [`JobError`], once the window is over.
    pub async fn act(&self, journal: &mut Journal) -> Result<Stage, JobError> {
        let job = journal.record().job.ok_or_else(|| JobError::Plan { found: "the job has no number".into() })?;
        let worker = Submit::<SendFeatures>::address(&self.services.market);
        let head = self.services.market.head().await.map_err(JobError::Read)?.number;
        let mut follow = self.services.market.follow(head);
        let mut in_hand = InHand::default();
        loop {
            let failed = match self.act_once(journal, job, worker, &mut in_hand).await {
                Ok(Acted::Over(stage)) => return Ok(stage),
                Ok(Acted::Waits) => None,
                Err(error) => Some(error),
            };
            match failed {
                None => drop(clock::timeout(LOOK_AGAIN, follow.next()).await),
                Some(error) => {
                    let over = match self.job(job).await {
                        Ok((_, progress)) => self.is_past(progress.deadline).await.unwrap_or(false),
                        Err(_) => false,
                    };
                    if over {
                        return Err(error);
                    }
                    tracing::warn!(%job, error = &error as &dyn std::error::Error, "not done for the user yet");
                    clock::sleep(TRY_AGAIN).await;
                }
            }
        }
    }

    async fn act_once(
        &self,
        journal: &mut Journal,
        job: JobId,
        worker: Address,
        in_hand: &mut InHand,
    ) -> Result<Acted, JobError> {
        let (terms, progress) = self.job(job).await?;
        if progress.worker != Some(worker) || !terms.custody {
            return Ok(Acted::Over(progress.stage));
        }
        match progress.stage {
            Stage::Claimed => self.rounds(journal, job, terms, progress, in_hand, &mut ()).await?,
            Stage::HeadCommitted => {
                self.release(journal, job, terms, progress, in_hand.run.take(), &mut ()).await?;
            }
            Stage::Disputed(_) => {}
            stage => return Ok(Acted::Over(stage)),
        }
        Ok(Acted::Waits)
    }
}

/// What came of one look at a job.
enum Acted {
    /// There is nothing left to do for it.
    Over(Stage),
    /// Somebody else has to act first.
    Waits,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use encompute_protocol::{Plancks, VersionId};

    const MACHINE: MachineSecret = MachineSecret([1; 32]);
    const INPUT: BlobDigest = BlobDigest([5; 32]);

    fn facts() -> CustodyFacts {
        CustodyFacts {
            genesis: GenesisHash([1; 32]),
            contract: ContractAddress([2; 20]),
            input: INPUT,
            manifest: VersionHash([4; 32]),
            split: SplitIndex(0),
            policy: PolicyId(1),
            parameter_set: ParameterSet::Glwe2048V1,
            session_key: SigningKey::from_secret(&[8; 32]).unwrap().public_key(),
        }
    }

    /// What a user's journal gives away for one job, and the key in it.
    fn sealing(home: &std::path::Path) -> (Sealing, SecretKey) {
        let key = SecretKey::generate(ParameterSet::Glwe2048V1);
        let CustodyFacts { genesis, contract, input, manifest, split, policy, .. } = facts();
        let record = Record {
            genesis,
            contract,
            user: Address([3; 20]),
            model: "digits".into(),
            version: VersionId(1),
            manifest,
            split,
            policy,
            tip: Plancks::ZERO,
            witnesses: None,
            quote: false,
            sponsor: None,
            finding: Finding::Custody,
            input,
            tensor: BlobDigest([6; 32]),
            identity: [7; 32],
            prepared_at: encompute_protocol::BlockNumber(9),
            job: None,
            rounds: Vec::new(),
            features: None,
            scores: None,
            bytes: (0, 0),
        };
        let secrets = JobSecrets { session: [8; 32].into(), result: [9; 32].into() };
        let journal = Journal::create(home, record, &key, &secrets, &MACHINE).unwrap();
        let context = ReleaseContext { version: manifest, split, policy };
        let grant = ReleaseGrant::in_custody(context, Zeroizing::new([10; 32]));
        (Sealing::of(&journal, &MACHINE, &grant).unwrap(), key)
    }

    #[test]
    fn what_was_sealed_to_an_enclave_is_what_it_opens_and_the_results_key_is_not_in_it() {
        let home = tempfile::tempdir().unwrap();
        let (enclave, (sealing, key)) = (RecipientSecret::generate(), sealing(home.path()));
        assert!(!sealing.secrets.windows(32).any(|window| window == [9; 32]));
        let opened = Custody::open(&enclave, &facts(), &sealing.to(enclave.public()).unwrap()).unwrap();
        assert!(opened.key.expose_to_custodian() == key.expose_to_custodian());
        assert_eq!(opened.grant().expose_to_custodian(), &[10; 32]);
        assert_eq!(opened.secrets.session, [8; 32]);
    }

    #[test]
    fn an_envelope_opens_for_its_enclave_its_chain_and_its_request_alone() {
        let home = tempfile::tempdir().unwrap();
        let (enclave, (sealing, _)) = (RecipientSecret::generate(), sealing(home.path()));
        let envelope = sealing.to(enclave.public()).unwrap();
        let other = RecipientSecret::generate();
        assert!(matches!(Custody::open(&other, &facts(), &envelope), Err(CustodyError::Open(_))));
        for elsewhere in [
            CustodyFacts { genesis: GenesisHash([9; 32]), ..facts() },
            CustodyFacts { contract: ContractAddress([9; 20]), ..facts() },
            CustodyFacts { input: BlobDigest([9; 32]), ..facts() },
        ] {
            assert!(matches!(Custody::open(&enclave, &elsewhere, &envelope), Err(CustodyError::Open(_))));
        }
        for at in (0..envelope.len()).step_by(97).chain([envelope.len() - 1]) {
            let mut altered = envelope.clone();
            altered[at] ^= 1;
            assert!(Custody::open(&enclave, &facts(), &altered).is_err(), "byte {at}");
        }
        assert!(Custody::open(&enclave, &facts(), &envelope[..envelope.len() - 1]).is_err());
        assert!(Custody::open(&enclave, &facts(), &[&envelope[..], &[0]].concat()).is_err());
    }

    #[test]
    fn an_envelope_about_other_terms_or_with_another_key_than_was_asked_for_is_refused_by_name() {
        let home = tempfile::tempdir().unwrap();
        let (enclave, (sealing, _)) = (RecipientSecret::generate(), sealing(home.path()));
        let envelope = sealing.to(enclave.public()).unwrap();
        let refused = |facts: CustodyFacts| Custody::open(&enclave, &facts, &envelope).err().unwrap().to_string();
        for (facts, what) in [
            (CustodyFacts { manifest: VersionHash([9; 32]), ..facts() }, "another version"),
            (CustodyFacts { split: SplitIndex(1), ..facts() }, "another split"),
            (CustodyFacts { policy: PolicyId(2), ..facts() }, "another release policy"),
            (CustodyFacts { session_key: [9; 33], ..facts() }, "not the request's"),
        ] {
            assert!(refused(facts).contains(what), "{}", refused(facts));
        }
        let mut longer = sealing.secrets.to_vec();
        longer.push(0);
        let longer = Sealing { secrets: Zeroizing::new(longer), ..sealing };
        let envelope = longer.to(enclave.public()).unwrap();
        assert!(matches!(Custody::open(&enclave, &facts(), &envelope), Err(CustodyError::Malformed(_))));
    }
}
