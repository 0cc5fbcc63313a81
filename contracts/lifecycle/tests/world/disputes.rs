//! Disputes of the world's jobs, and how its workers judge them.

use super::*;
use encompute_lifecycle::{Ledger, dispute};
use encompute_protocol::{
    DisputeRecord, Signed, Verdict,
    call::{OpenDispute, PostBlob, RevealVerdict, SealVerdict},
    digest::keccak_256,
    dispute::{Proceeding, VerdictStatement},
};

pub const SALT: [u8; 32] = [0x5a; 32];

/// The verdict that the head is right.
pub const RIGHT: Verdict = Verdict { wrong: false, output: BlobDigest([0x21; 32]) };
/// The verdict that it is wrong.
pub const WRONG: Verdict = Verdict { wrong: true, output: BlobDigest([0x22; 32]) };
/// Another verdict that it is wrong, for another reason.
pub const WRONG_OTHERWISE: Verdict = Verdict { wrong: true, output: BlobDigest([0x23; 32]) };
pub const VERDICTS: [Verdict; 3] = [RIGHT, WRONG, WRONG_OTHERWISE];

/// What accounts are credited.
pub type Owed = Vec<(Address, u128)>;

/// In order of address.
pub fn sorted(mut credits: Owed) -> Owed {
    credits.sort();
    credits
}

/// Books, sums and locked stakes are whole after a dispute.
pub fn is_over(world: &World, job: JobId) {
    assert_eq!(world.market.dispute(job), None);
    assert_eq!(world.market.totals().deposits, Plancks::ZERO);
    let ledger = Ledger::replay(world.market.events()).unwrap();
    assert_eq!(ledger.imbalances().count(), 0);
    assert_eq!(ledger.totals().unwrap(), world.market.totals());
    assert_eq!(ledger.balance().unwrap(), world.market.balance());
}

impl World {
    pub fn deposit(&self, job: JobId, kind: DisputeKind) -> Plancks {
        dispute::deposit(&self.terms(job), kind).unwrap()
    }

    /// What who opens a dispute sends along.
    pub fn to_send(&self, job: JobId, kind: DisputeKind) -> Plancks {
        dispute::sent(&self.terms(job), kind).unwrap()
    }

    pub fn open_dispute(&mut self, user: Address, job: JobId, kind: DisputeKind) -> Result<(), Refusal> {
        let sent = self.to_send(job, kind);
        let evidence = (kind == DisputeKind::Quote).then_some(demands::UNGUESSED);
        self.pay(user, sent, OpenDispute { job, kind, evidence })
    }

    /// A job of the first user that it disputes.
    pub fn disputed(&mut self, kind: DisputeKind) -> JobId {
        let job = match kind {
            DisputeKind::Audit => return self.audited(Stage::HeadCommitted),
            DisputeKind::Quote => return self.demanded(Stage::HeadCommitted),
            DisputeKind::Result => self.answered(),
            _ => self.committed(),
        };
        self.open_dispute(USERS[0], job, kind).unwrap();
        job
    }

    /// A committee of an open dispute is drawn and says this, and nobody appeals.
    pub fn hear_all(&mut self, job: JobId, verdicts: [Verdict; 3]) -> Vec<usize> {
        self.draw(job);
        let jurors = self.say_all(job, verdicts);
        self.let_stand(job);
        jurors
    }

    pub fn dispute(&self, job: JobId) -> DisputeRecord {
        self.market.dispute(job).unwrap()
    }

    /// A job whose head is disputed, with its committee.
    pub fn drawn(&mut self) -> (JobId, Vec<usize>) {
        self.drawn_for(DisputeKind::Head)
    }

    /// The same for a kind of committee.
    pub fn drawn_for(&mut self, kind: DisputeKind) -> (JobId, Vec<usize>) {
        let job = self.disputed(kind);
        self.draw(job);
        (job, self.jurors(job))
    }

    /// Anybody has the committee drawn.
    pub fn draw(&mut self, job: JobId) {
        self.block += 2;
        self.call(STRANGER, PokeJob { job }).unwrap();
    }

    /// The committee, as places among the workers.
    pub fn jurors(&self, job: JobId) -> Vec<usize> {
        self.dispute(job).jurors().iter().map(|juror| self.place(juror.account)).collect()
    }

    pub fn seal_message(&self, worker: usize, job: JobId, verdict: Verdict) -> SealVerdict {
        let (contract, juror) = (self.contract, account(worker));
        let statement = VerdictStatement { genesis: GENESIS, contract, job, juror, verdict, salt: SALT };
        SealVerdict { job, seal: keccak_256(&[&statement.preimage()]) }
    }

    pub fn seal(&mut self, worker: usize, job: JobId, verdict: Verdict) -> Result<(), Refusal> {
        let message = self.seal_message(worker, job, verdict);
        self.call(account(worker), message)
    }

    pub fn reveal(&mut self, worker: usize, job: JobId, verdict: Verdict) -> Result<(), Refusal> {
        self.call(account(worker), RevealVerdict { job, verdict, salt: SALT })
    }

    /// A drawn committee says this, each member its own, nobody appeals, and the dispute is over.
    pub fn judged(&mut self, verdicts: [Verdict; 3]) -> (JobId, Vec<usize>) {
        self.judged_by(DisputeKind::Head, verdicts)
    }

    /// The same for a kind of committee.
    pub fn judged_by(&mut self, kind: DisputeKind, verdicts: [Verdict; 3]) -> (JobId, Vec<usize>) {
        let job = self.disputed(kind);
        let jurors = self.hear_all(job, verdicts);
        (job, jurors)
    }

    /// The verdict that a member of a committee has sealed.
    pub fn sealed(&self, worker: usize, job: JobId) -> Option<Verdict> {
        let record = self.market.dispute(job)?;
        let juror = record.jurors().iter().find(|juror| juror.account == account(worker))?;
        VERDICTS.into_iter().find(|verdict| juror.seal == Some(self.seal_message(worker, job, *verdict).seal))
    }

    /// The bytes that one of [`World::digest`]'s is of.
    pub fn bytes_of(&self, digest: BlobDigest) -> Vec<u8> {
        let all = (1..=self.serial).map(|serial| serial.to_le_bytes());
        all.into_iter().find(|bytes| BlobDigest::of(bytes) == digest).unwrap_or_default().to_vec()
    }

    /// The whole of what is said to be missing, in one part.
    pub fn posting(&self, job: JobId) -> PostBlob {
        let progress = self.progress(job);
        let from = self.market.dispute(job).map(|record| record.from);
        let blob = if from == Some(Stage::ResultCommitted) { progress.result } else { progress.output };
        PostBlob { job, at: 0, part: self.bytes_of(blob.unwrap_or_default()), last: true }
    }

    /// True while a dispute waits for a blob.
    pub fn waits_for_blob(&self, job: JobId) -> bool {
        matches!(self.market.dispute(job), Some(DisputeRecord { proceeding: Proceeding::Posting(_), .. }))
    }
}
