//! Rulings of the world's committees that are appealed, and what others say then.

use super::{
    disputes::{RIGHT, WRONG},
    *,
};
use encompute_lifecycle::dispute::{self, Heard};
use encompute_protocol::{Verdict, call::AppealRuling, dispute::Proceeding, event::Event};
use proptest::{prelude::*, test_runner::TestCaseResult};

/// Workers that have to be there for two committees beside the job's own.
const MORE: u8 = 3;

/// Every kind of committee at every stage at which it is asked.
pub const COMMITTEES: [(DisputeKind, Stage); 5] = [
    (DisputeKind::Head, Stage::HeadCommitted),
    (DisputeKind::Witness, Stage::HeadCommitted),
    (DisputeKind::Audit, Stage::HeadCommitted),
    (DisputeKind::Audit, Stage::FeaturesSent),
    (DisputeKind::Audit, Stage::ResultCommitted),
];

/// Where a worker is paid.
pub fn payout(worker: usize) -> Address {
    PAYOUTS.get(worker).copied().unwrap_or_else(|| account(worker))
}

/// What each of some workers has, and what jobs hold of it.
pub fn stakes(world: &World, jurors: &[usize]) -> Vec<(u128, u128)> {
    jurors.iter().map(|juror| (world.worker(*juror).stake.0, world.worker(*juror).stake_locked.0)).collect()
}

/// The disputes of a job, from its events.
pub fn heard(world: &World, job: JobId) -> Vec<Heard> {
    Heard::all(world.market.events().iter().map(|(_, event)| event).filter(|event| event.job() == Some(job)))
}

impl World {
    /// A market with workers for two committees, where every job is drawn for an audit.
    pub fn with_two_committees() -> Self {
        Self::auditing(BasisPoints(10_000)).with_more()
    }

    /// Three more workers join, so that a second committee can be drawn.
    pub fn with_more(mut self) -> Self {
        for number in 1..=MORE {
            self.joins(number, Plancks(40_000)).unwrap();
        }
        self
    }

    /// What an appeal of a job's ruling takes.
    pub fn appeal_deposit(&self, job: JobId) -> Plancks {
        dispute::appeal_deposit(&self.terms(job)).unwrap()
    }

    pub fn appeal_from(&mut self, who: Address, job: JobId) -> Result<(), Refusal> {
        let deposit = self.appeal_deposit(job);
        self.pay(who, deposit, AppealRuling { job })
    }

    /// The job's worker appeals.
    pub fn appeal(&mut self, job: JobId) -> Result<(), Refusal> {
        self.appeal_from(self.progress(job).worker.unwrap(), job)
    }

    /// True while a ruling waits for an appeal.
    pub fn is_ruled(&self, job: JobId) -> bool {
        self.market.dispute(job).is_some_and(|record| matches!(record.proceeding, Proceeding::Ruled(_)))
    }

    /// Heads that committees of each kind have found wrong, and one more that is appealed and heard again.
    pub fn with_rulings(mut self) -> Self {
        let verdicts = [WRONG, RIGHT, WRONG];
        for kind in [DisputeKind::Audit, DisputeKind::Witness, DisputeKind::Head] {
            self.ruled(kind, Stage::FeaturesSent, verdicts);
        }
        let (job, _) = self.ruled(DisputeKind::Head, Stage::HeadCommitted, verdicts);
        self.appeal(job).unwrap();
        self.draw(job);
        self
    }

    /// If a job waits for an appeal, nobody appeals, and a stranger says that the time is over.
    pub fn let_stand(&mut self, job: JobId) {
        if self.is_ruled(job) {
            self.past_deadline(job);
            self.call(STRANGER, PokeJob { job }).unwrap();
        }
    }

    /// A committee that is drawn seals and reveals this.
    pub fn say_all(&mut self, job: JobId, verdicts: [Verdict; 3]) -> Vec<usize> {
        let jurors = self.jurors(job);
        for (juror, verdict) in jurors.iter().zip(verdicts) {
            self.seal(*juror, job, verdict).unwrap();
        }
        for (juror, verdict) in jurors.iter().zip(verdicts) {
            self.reveal(*juror, job, verdict).unwrap();
        }
        jurors
    }

    /// A job whose committee, of a kind, has said this, which most of them think is wrong; nobody has appealed yet.
    pub fn ruled(&mut self, kind: DisputeKind, from: Stage, verdicts: [Verdict; 3]) -> (JobId, Vec<usize>) {
        let job = match kind {
            DisputeKind::Audit => self.audited(from),
            _ => self.disputed(kind),
        };
        self.draw(job);
        let jurors = self.say_all(job, verdicts);
        assert!(self.is_ruled(job), "{verdicts:?}");
        (job, jurors)
    }
}

pub fn invariant_29_a_ruling_is_appealed_once_by_its_worker_in_time_and_heard_by_others(
    before: &World,
    world: &World,
) -> TestCaseResult {
    for (_, event) in &world.market.events()[before.market.events().len()..] {
        match event {
            Event::RulingAppealed(appealed) => {
                let (was, is) = (before.dispute(appealed.job), world.dispute(appealed.job));
                let Proceeding::Ruled(first) = was.proceeding else {
                    return Err(TestCaseError::fail(format!("appealed at {:?}", was.proceeding)));
                };
                prop_assert_eq!((was.appealed, is.appealed), (None, Some(first)));
                let progress = before.progress(appealed.job);
                prop_assert!(progress.worker == Some(appealed.by) && world.block <= progress.deadline.0);
                prop_assert_eq!(appealed.deposit, world.appeal_deposit(appealed.job));
                prop_assert_eq!(world.market.balance().0, before.market.balance().0 + appealed.deposit.0);
            }
            Event::JurorDrawn(drawn) => {
                let record = world.dispute(drawn.job);
                prop_assert!(record.former_jurors().iter().all(|former| former.account != drawn.juror), "{drawn:?}");
            }
            _ => {}
        }
    }
    for job in world.jobs() {
        let Some(record) = world.market.dispute(job) else { continue };
        let heads = matches!(record.kind, DisputeKind::Head | DisputeKind::Witness | DisputeKind::Audit);
        prop_assert!(heads || record.former_jurors().is_empty());
        prop_assert!(record.appealed.is_none() || !world.is_ruled(job), "nothing is ruled twice");
    }
    Ok(())
}
