//! Who may claim, and when.

use super::*;
use encompute_lifecycle::{Look, Scene};
use encompute_protocol::{Draw, call::ReadDraw, reputation::HeadWeight};
use proptest::{prelude::*, test_runner::TestCaseResult};

/// The account of one more worker, 1 to 127.
pub fn further(number: u8) -> Address {
    let mut account = [0x36; 20];
    account[19] = number;
    Address(account)
}

/// The number of a worker as one that joined behind the five.
pub fn number(worker: usize) -> u8 {
    (worker + 1 - WORKERS.len()) as u8
}

/// The account of a worker, by its place: one of the five, or one that joined behind them, in order.
pub fn account(worker: usize) -> Address {
    WORKERS.get(worker).copied().unwrap_or_else(|| further(number(worker)))
}

impl World {
    /// The places of all workers.
    pub fn workers(&self) -> std::ops::Range<usize> {
        0..self.market.counts().workers as usize
    }

    /// The place of a worker.
    pub fn place(&self, of: Address) -> usize {
        self.workers().find(|worker| account(*worker) == of).unwrap()
    }

    pub fn claimed(&mut self) -> JobId {
        let job = self.requested();
        self.claim(0, job).unwrap();
        job
    }

    /// Whose turn it is to claim a job, as the rules say in this block; none for one that is not open.
    pub fn turns(&self, job: JobId) -> Option<Draw> {
        let at = self.at(STRANGER, Plancks::ZERO);
        ReadDraw { job }.look(&Scene { state: &self.market, host: &Software, at: &at })
    }

    /// The worker's turn comes, and it claims the job. One that is not open is claimed at once, in vain.
    pub fn claim(&mut self, worker: usize, job: JobId) -> Result<(), Refusal> {
        if let Some(draw) = self.turns(job) {
            self.block = self.block.max(draw.decides.0 + 1);
        }
        if let Some(draw) = self.turns(job) {
            self.block = self.block.max(draw.first_of(WORKERS[worker]).0);
        }
        self.call(WORKERS[worker], ClaimJob { job })
    }

    /// One more worker registers, on a machine of the others.
    pub fn joins(&mut self, number: u8, stake: Plancks) -> Result<(), Refusal> {
        let (account, key) = (further(number), key(WORKERS.len() + usize::from(number) - 1));
        self.call(account, BeginRegistration {})?;
        let nonce = self.market.registration_nonce(account).unwrap_or_default();
        let statement = RegistrationStatement {
            account,
            signing: key.address(),
            hpke: KeyDigest([0x80 | number; 32]),
            payout: account,
            ..self.statement(0, self.block + 10_000)
        };
        let message = RegisterWorker {
            signing: statement.signing,
            hpke: statement.hpke,
            payout: statement.payout,
            tee: statement.tee,
            measurement: quotes::measurement_of(0),
            quote: MACHINES[usize::from(number) % MACHINES.len()].quote(0, &statement, &nonce),
            evidence: self.digest(),
            expires_at: statement.expires_at,
            capacity: 2,
            url: Text::new("http://127.0.0.1:4000").unwrap(),
            signature: key.sign(&statement),
        };
        self.pay(account, stake, message)
    }
}

pub fn invariant_25_a_job_is_claimed_by_whose_turn_it_is(before: &World, world: &World) -> TestCaseResult {
    for (job, (_, was)) in always::progress(before) {
        let Some((_, is)) = always::progress(world).remove(&job) else { continue };
        if (was.stage, is.stage) != (Stage::Requested, Stage::Claimed) {
            continue;
        }
        // As it was just before the claim, in the block of the claim.
        let mut then = before.clone();
        then.block = world.block;
        let (draw, worker) = (then.turns(JobId(job)).unwrap(), is.worker.unwrap());
        prop_assert!(world.block > draw.decides.0 && draw.first_of(worker).0 <= world.block, "{draw:?} {worker}");
        prop_assert!(draw.turns.iter().all(|turn| !was.late.contains(&Some(turn.worker))), "{draw:?} {was:?}");
    }
    Ok(())
}

pub fn invariant_26_a_score_moves_only_with_what_was_done_and_in_its_direction(
    before: &World,
    world: &World,
) -> TestCaseResult {
    for worker in world.workers() {
        let (was, is) = (before.worker(worker), world.worker(worker));
        let (good, bad) =
            (was.heads_committed < is.heads_committed, was.timeouts + was.mismatches < is.timeouts + is.mismatches);
        prop_assert!(!(good && bad), "one step, one of them");
        let (then, now) = (was.reputation.score(), is.reputation.score());
        match (good, bad) {
            (true, _) => prop_assert!(now >= then),
            (_, true) => prop_assert!(now <= then && was.reputation != is.reputation),
            // A session that ends without a head changes nothing.
            _ => prop_assert_eq!(was.reputation, is.reputation),
        }
        prop_assert!(is.reputation.good <= HeadWeight::ALL && is.reputation.bad <= HeadWeight::ALL && now.0 > 0);
        prop_assert!(is.latency.0.iter().sum::<u32>() <= is.heads_committed);
    }
    Ok(())
}
