//! What survives a restart: per job its facts, every answer given, the receipt about to be sent, and evidence that the
//! store has not taken yet; which disputes are attended.
//!
//! An answer is written before it is sent and a receipt before it is submitted, so that after a
//! crash the worker says the same again and never something else.

use crate::rounds::{JobFacts, JobRun};
use crate::sessions::Held;
use codec::{Decode, Encode};
use encompute_attest::ReceiptEvidence;
use encompute_protocol::receipt::RoundAnswer;
use encompute_protocol::wire::{self, Message};
use encompute_protocol::{BlobDigest, BlockNumber, JobId, RoundIndex, SessionId, Signature};
use encompute_store::{StateDir, StateError};
use std::sync::Arc;

const FACTS_LIMIT_BYTES: usize = 4 * 1024;
/// A session holds a count, not its jobs: twenty hashes and a few records.
const SESSION_LIMIT_BYTES: usize = 16 * 1024;
const VERSION: u8 = 1;
const CURSOR: &str = "last-block";

/// The journal of one worker.
#[derive(Clone)]
pub struct Journal(Arc<StateDir>);

/// A receipt that is about to be, or was, submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Commitment {
    /// The transcript blob.
    pub output: BlobDigest,
    /// Block in which the work was finished.
    pub finished_at: BlockNumber,
    /// Over the receipt.
    pub signature: Signature,
}

fn folder(job: JobId) -> String {
    format!("jobs/{job:020}")
}

/// A folder of its own: the chain names the evidence, so it outlives the job here.
fn evidence_folder(job: JobId) -> String {
    format!("evidence/{job:020}")
}

fn dispute_folder(job: JobId) -> String {
    format!("disputes/{job:020}")
}

fn facts_file(job: JobId) -> String {
    format!("{}/facts", folder(job))
}

fn session_folder(session: SessionId) -> String {
    format!("sessions/{session:020}")
}

fn session_file(session: SessionId) -> String {
    format!("{}/held", session_folder(session))
}

fn answer_file(job: JobId, round: RoundIndex) -> String {
    format!("{}/answer-{:05}", folder(job), round.0)
}

fn request_file(job: JobId, round: RoundIndex) -> String {
    format!("{}/request-{:05}", folder(job), round.0)
}

impl Journal {
    /// The journal in a held folder.
    pub fn new(state: Arc<StateDir>) -> Self {
        Self(state)
    }

    /// Writes that a job is in hand. What an earlier claim of the same job left is forgotten: its receipt names
    /// another claim, and would be refused for ever.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn begin(&self, facts: &JobFacts) -> Result<(), StateError> {
        self.forget(facts.job)?;
        self.0.write(&facts_file(facts.job), &(VERSION, facts).encode())
    }

    /// Writes a round's answer, and the request it answers where that came over HTTP.
    ///
    /// # Errors
    /// [`StateError`]; the answer must not be sent then.
    pub fn answer(&self, answer: &RoundAnswer, request: Option<&[u8]>) -> Result<(), StateError> {
        let (job, round) = (answer.receipt.job, answer.receipt.round);
        if let Some(request) = request {
            self.0.write(&request_file(job, round), request)?;
        }
        self.0.write(&answer_file(job, round), &answer.to_wire())
    }

    /// The bytes of a round's answer, if it was given.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn answered(&self, job: JobId, round: RoundIndex) -> Result<Option<Vec<u8>>, StateError> {
        self.0.read(&answer_file(job, round), RoundAnswer::LIMIT_BYTES)
    }

    /// The tensor that a round after the first was asked with, if it was answered.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn request(&self, job: JobId, round: RoundIndex) -> Result<Option<Vec<u8>>, StateError> {
        self.0.read(&request_file(job, round), RoundAnswer::LIMIT_BYTES)
    }

    /// Writes the receipt that is about to be submitted.
    ///
    /// # Errors
    /// [`StateError`]; it must not be submitted then.
    pub fn commit(&self, job: JobId, commitment: &Commitment) -> Result<(), StateError> {
        self.0.write(&format!("{}/commitment", folder(job)), &(VERSION, commitment).encode())
    }

    /// The receipt that was about to be submitted, if there was one.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn commitment(&self, job: JobId) -> Result<Option<Commitment>, StateError> {
        self.decode(&format!("{}/commitment", folder(job)), FACTS_LIMIT_BYTES)
    }

    /// Keeps the evidence of a quote that is about to be shown, until the store takes it.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn keep_evidence(&self, job: JobId, blob: &[u8]) -> Result<(), StateError> {
        self.0.write(&format!("{}/blob", evidence_folder(job)), blob)
    }

    /// Evidence that the store has not taken yet, if there is any.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn evidence(&self, job: JobId) -> Result<Option<Vec<u8>>, StateError> {
        self.0.read(&format!("{}/blob", evidence_folder(job)), ReceiptEvidence::LIMIT_BYTES)
    }

    /// Jobs of which evidence is kept, in order.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn evidences(&self) -> Result<Vec<JobId>, StateError> {
        self.listed("evidence")
    }

    /// Forgets evidence that the store has taken.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn forget_evidence(&self, job: JobId) -> Result<(), StateError> {
        self.0.forget(&evidence_folder(job))
    }

    /// Jobs in the journal, in order.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn jobs(&self) -> Result<Vec<JobId>, StateError> {
        self.listed("jobs")
    }

    /// Writes that a dispute is attended. One over a job in hand needs no word of its own.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn attend(&self, job: JobId) -> Result<(), StateError> {
        if self.0.read(&facts_file(job), FACTS_LIMIT_BYTES)?.is_some() {
            return Ok(());
        }
        self.0.write(&format!("{}/attended", dispute_folder(job)), &[VERSION])
    }

    /// Jobs of others whose disputes are attended, in order.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn disputes(&self) -> Result<Vec<JobId>, StateError> {
        self.listed("disputes")
    }

    /// Forgets a dispute that is over, or others' alone.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn forget_dispute(&self, job: JobId) -> Result<(), StateError> {
        self.0.forget(&dispute_folder(job))
    }

    /// A job as far as it was answered, or `None` if the journal has nothing of it.
    ///
    /// # Errors
    /// [`StateError::Damaged`] where answers do not follow from each other.
    pub fn resume(&self, job: JobId) -> Result<Option<JobRun>, StateError> {
        let file = facts_file(job);
        let Some(facts) = self.decode::<JobFacts>(&file, FACTS_LIMIT_BYTES)? else { return Ok(None) };
        if facts.job != job || facts.rounds == 0 {
            return Err(self.0.damaged(&file));
        }
        let mut run = JobRun::new(facts);
        while let Some(bytes) = self.answered(job, RoundIndex(run.answered()))? {
            let damaged = || self.0.damaged(&answer_file(job, RoundIndex(run.answered())));
            let answer = RoundAnswer::from_wire(&bytes).map_err(|_| damaged())?;
            let kept = BlobDigest::of(&answer.response) == answer.receipt.response;
            let round = run.answered();
            run.record(answer.receipt, answer.signature)
                .filter(|()| kept)
                .ok_or_else(|| self.0.damaged(&answer_file(job, RoundIndex(round))))?;
            if run.is_complete() {
                break;
            }
        }
        if self.commitment(job)?.is_some() {
            run.close();
        }
        Ok(Some(run))
    }

    /// Forgets a job that ended: its answers are in the store, its receipt on chain.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn forget(&self, job: JobId) -> Result<(), StateError> {
        self.0.forget(&folder(job))
    }

    /// Writes a session in hand.
    ///
    /// # Errors
    /// [`StateError`]; nothing must be said about it then.
    pub(crate) fn session(&self, session: SessionId, held: &Held) -> Result<(), StateError> {
        self.0.write(&session_file(session), &(VERSION, held).encode())
    }

    /// A session in hand, if it was.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn session_of(&self, session: SessionId) -> Result<Option<Held>, StateError> {
        self.decode(&session_file(session), SESSION_LIMIT_BYTES)
    }

    /// Sessions in the journal, in order.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn sessions(&self) -> Result<Vec<SessionId>, StateError> {
        let names = self.0.list("sessions")?;
        Ok(names.iter().filter_map(|name| name.parse().ok().map(SessionId)).collect())
    }

    /// Forgets a session that is over.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn forget_session(&self, session: SessionId) -> Result<(), StateError> {
        self.0.forget(&session_folder(session))
    }

    /// Writes up to which block events have been handled.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn seen(&self, block: BlockNumber) -> Result<(), StateError> {
        self.0.write(CURSOR, &(VERSION, block).encode())
    }

    /// Up to which block events have been handled.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn last_seen(&self) -> Result<Option<BlockNumber>, StateError> {
        self.decode(CURSOR, 16)
    }

    fn listed(&self, folder: &str) -> Result<Vec<JobId>, StateError> {
        let names = self.0.list(folder)?;
        Ok(names.iter().filter_map(|name| name.parse().ok().map(JobId)).collect())
    }

    fn decode<T: Decode>(&self, file: &str, limit: usize) -> Result<Option<T>, StateError> {
        let Some(bytes) = self.0.read(file, limit)? else { return Ok(None) };
        match wire::decode_exact::<(u8, T)>(&bytes, limit) {
            Ok((VERSION, value)) => Ok(Some(value)),
            _ => Err(self.0.damaged(file)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use encompute_protocol::signing::SigningKey;
    use encompute_protocol::{
        Address, ContractAddress, GenesisHash, HeadDigest, MeasurementId, Nonce, SplitIndex, TailDigest, VersionHash,
        VersionId,
    };

    fn facts() -> JobFacts {
        JobFacts {
            genesis: GenesisHash([1; 32]),
            contract: ContractAddress([2; 20]),
            job: JobId(7),
            version: VersionId(3),
            manifest: VersionHash([4; 32]),
            split: SplitIndex(0),
            head: HeadDigest([5; 32]),
            tail: TailDigest([6; 32]),
            input: BlobDigest([7; 32]),
            worker: Address([8; 20]),
            measurement: MeasurementId([9; 32]),
            registration_nonce: Nonce([10; 32]),
            expires_at: BlockNumber(1_000),
            claimed_at: BlockNumber(10),
            deadline: BlockNumber(30),
            rounds: 3,
            session_key: [2; 33],
            custody: false,
        }
    }

    fn answer(run: &JobRun, response: &[u8]) -> RoundAnswer {
        let receipt = run.next_receipt(BlobDigest([1; 32]), BlobDigest::of(response));
        let signature = SigningKey::from_secret(&[8; 32]).unwrap().sign(&receipt);
        RoundAnswer { receipt, signature, response: response.to_vec() }
    }

    fn journal(root: &std::path::Path) -> Journal {
        Journal::new(Arc::new(StateDir::hold(root).unwrap()))
    }

    #[test]
    fn a_restarted_worker_finds_its_job_and_gives_the_same_answers() {
        let root = tempfile::tempdir().unwrap();
        let mut run = JobRun::new(facts());
        let journal = journal(root.path());
        journal.begin(run.facts()).unwrap();
        for response in [b"one", b"two"] {
            let answer = answer(&run, response);
            journal.answer(&answer, None).unwrap();
            run.record(answer.receipt, answer.signature).unwrap();
        }
        assert_eq!(journal.jobs().unwrap(), [JobId(7)]);
        assert_eq!(journal.resume(JobId(7)).unwrap(), Some(run));
        let again = RoundAnswer::from_wire(&journal.answered(JobId(7), RoundIndex(1)).unwrap().unwrap()).unwrap();
        assert_eq!(again.response, b"two");
        journal.forget(JobId(7)).unwrap();
        assert_eq!(journal.resume(JobId(7)).unwrap(), None);
    }

    #[test]
    fn a_job_claimed_anew_begins_without_the_answers_and_the_receipt_of_the_claim_before() {
        let root = tempfile::tempdir().unwrap();
        let journal = journal(root.path());
        journal.begin(&facts()).unwrap();
        journal.answer(&answer(&JobRun::new(facts()), b"one"), None).unwrap();
        let commitment =
            Commitment { output: BlobDigest([1; 32]), finished_at: BlockNumber(12), signature: Signature([3; 65]) };
        journal.commit(JobId(7), &commitment).unwrap();
        let again = JobFacts { claimed_at: BlockNumber(50), deadline: BlockNumber(70), ..facts() };
        journal.begin(&again).unwrap();
        assert_eq!(journal.resume(JobId(7)).unwrap(), Some(JobRun::new(again)));
    }

    #[test]
    fn an_answer_that_was_altered_on_disk_is_not_served() {
        let root = tempfile::tempdir().unwrap();
        let run = JobRun::new(facts());
        let journal = journal(root.path());
        journal.begin(run.facts()).unwrap();
        let mut altered = answer(&run, b"one");
        altered.response = b"two".to_vec();
        journal.answer(&altered, None).unwrap();
        assert!(matches!(journal.resume(JobId(7)), Err(StateError::Damaged { .. })));
    }

    #[test]
    fn a_job_whose_receipt_is_on_its_way_answers_no_further_round() {
        let root = tempfile::tempdir().unwrap();
        let journal = journal(root.path());
        journal.begin(&facts()).unwrap();
        let commitment =
            Commitment { output: BlobDigest([1; 32]), finished_at: BlockNumber(12), signature: Signature([3; 65]) };
        journal.commit(JobId(7), &commitment).unwrap();
        assert!(journal.resume(JobId(7)).unwrap().unwrap().is_closed());
        assert_eq!(journal.commitment(JobId(7)).unwrap(), Some(commitment));
    }

    #[test]
    fn evidence_survives_a_restart_and_its_job_until_the_store_has_it() {
        let root = tempfile::tempdir().unwrap();
        let first = journal(root.path());
        first.begin(&facts()).unwrap();
        first.keep_evidence(JobId(7), b"evidence").unwrap();
        drop(first);
        let journal = journal(root.path());
        journal.forget(JobId(7)).unwrap();
        assert_eq!(journal.evidence(JobId(7)).unwrap().unwrap(), b"evidence");
        assert_eq!(journal.evidences().unwrap(), [JobId(7)]);
        journal.forget_evidence(JobId(7)).unwrap();
        assert_eq!(journal.evidence(JobId(7)).unwrap(), None);
        assert!(journal.evidences().unwrap().is_empty());
    }

    #[test]
    fn a_dispute_over_anothers_job_is_known_after_a_restart_until_it_is_over() {
        let root = tempfile::tempdir().unwrap();
        let first = journal(root.path());
        first.begin(&facts()).unwrap();
        first.attend(JobId(7)).unwrap();
        first.attend(JobId(3)).unwrap();
        drop(first);
        let journal = journal(root.path());
        assert_eq!(journal.disputes().unwrap(), [JobId(3)], "a job in hand is known as one");
        journal.forget_dispute(JobId(3)).unwrap();
        journal.forget_dispute(JobId(7)).unwrap();
        assert!(journal.disputes().unwrap().is_empty());
        assert_eq!(journal.jobs().unwrap(), [JobId(7)]);
    }
}
