//! Jobs of the world that are drawn for an audit, and a treasury that pays for it.

use super::*;
use encompute_lifecycle::{Host, dispute::audit};
use encompute_protocol::{Verdict, call::CancelJob};

impl World {
    /// A market that audits this share of its jobs, as no change could set it, and whose treasury can pay for it.
    pub fn auditing(share: BasisPoints) -> Self {
        Self::auditing_with(Params { audit_share: share, ..params() })
    }

    pub fn auditing_with(params: Params) -> Self {
        let mut world = Self::empty_with(CONTRACT, params).peopled();
        world.fund_treasury();
        world
    }

    /// The treasury's account buys a run with a large tip and takes it back: that is a credit of its own.
    pub fn fund_treasury(&mut self) {
        let message = RequestJob { tip: Plancks(1_000_000), ..self.request_message(VersionId(1), SplitIndex(0)) };
        let job = self.send_request(TREASURY, message).unwrap();
        self.call(TREASURY, CancelJob { job }).unwrap();
    }

    /// True for a job that is drawn for an audit if its head is committed in `block`.
    pub fn is_drawn(&self, job: JobId, block: u32, share: BasisPoints) -> bool {
        let hash = Software.block_hash(BlockNumber(block + 1)).unwrap();
        audit::is_drawn(&Software, &hash, self.contract, job, share)
    }

    /// Goes to a block from which the next job's head comes to be committed where it is drawn, or where it is not.
    pub fn until_drawn(&mut self, wanted: bool) {
        loop {
            let mut ahead = self.clone();
            let job = ahead.committed();
            let (share, block) = (ahead.terms(job).audit_share, ahead.progress(job).committed_at.0);
            if ahead.is_drawn(job, block, share) == wanted {
                return;
            }
            self.block += 1;
        }
    }

    /// A job of the first user that was drawn, at a stage after its head, once that is known.
    pub fn drawn_at(&mut self, from: Stage) -> JobId {
        if self.market.credit(TREASURY).0 < 10_000 {
            self.fund_treasury();
        }
        self.until_drawn(true);
        let job = self.at_stage(from);
        self.block += 2;
        job
    }

    /// The same, after a stranger has said so.
    pub fn audited(&mut self, from: Stage) -> JobId {
        let job = self.drawn_at(from);
        self.open_dispute(STRANGER, job, DisputeKind::Audit).unwrap();
        job
    }

    /// The same, after its committee has said this.
    pub fn audited_and_heard(&mut self, from: Stage, verdicts: [Verdict; 3]) -> JobId {
        let job = self.audited(from);
        self.hear_all(job, verdicts);
        job
    }
}
