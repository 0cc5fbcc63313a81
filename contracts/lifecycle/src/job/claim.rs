//! `claim_job`: a worker takes a requested job, with its stake and one of its places.

use super::Job;
use crate::{
    command::{Decide, Decision, Scene},
    context::Host,
    draft::Draft,
    refusal::Refusal,
    state::{ReadState, Write},
};
use encompute_protocol::{Address, Stage, WorkerRecord, call::ClaimJob, event::Movement};

impl Decide for ClaimJob {
    /// A registered worker within the claim window, from its turn on.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let mut job = Job::load(scene.state, self.job)?;
        job.must_be(Stage::Requested)?;
        job.must_be_on_time(scene.at.block)?;
        let account = scene.at.caller;
        let worker = scene.state.worker(account).ok_or(Refusal::UnknownWorker { worker: account })?;
        job.must_be_turn_of(scene, account)?;
        let mut draft = Draft::new(scene.state);
        job.claim(scene, &mut draft, account, worker)?;
        job.write_progress(&mut draft);
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Job {
    /// Gives the job to a worker. Its registration must outlive the head window, so that no
    /// registration runs out under a job: a claim that can be honoured in time can be honoured.
    pub(super) fn claim<S: ReadState, H: Host>(
        &mut self,
        scene: &Scene<'_, S, H>,
        draft: &mut Draft<'_, S>,
        account: Address,
        mut worker: WorkerRecord,
    ) -> Result<(), Refusal> {
        self.version_must_stand(scene)?;
        self.must_be_able(scene, &worker)?;
        let (block, wanted) = (scene.at.block, self.terms.job_stake);
        worker.in_flight = worker.in_flight.saturating_add(1); // below capacity, see above
        self.progress.worker = Some(account);
        self.progress.claimed_at = block;
        self.progress.stake_held = wanted;
        self.enter(draft, Stage::Claimed, None, account, block, Some(self.terms.windows.head))?;
        draft.move_stake(account, &mut worker, Some(self.id), Movement::Locked, wanted)?;
        draft.write(Write::Worker(account, worker));
        Ok(())
    }

    /// Refuses a worker that cannot hold the job from this block on.
    pub(super) fn must_be_able<S: ReadState, H>(
        &self,
        scene: &Scene<'_, S, H>,
        worker: &WorkerRecord,
    ) -> Result<(), Refusal> {
        self.must_last(scene, worker)?;
        scene.measurement_must_be_usable(worker.measurement)?;
        scene.platform_must_be_usable(worker.platform)?;
        self.must_have_room(worker)
    }

    /// Refuses a worker whose registration ends before the head window would.
    pub(super) fn must_last<S, H>(&self, scene: &Scene<'_, S, H>, worker: &WorkerRecord) -> Result<(), Refusal> {
        let until = scene.at.block.checked_add(self.terms.windows.head).ok_or(Refusal::NumbersExhausted)?;
        if worker.expires_at <= until {
            return Err(Refusal::RegistrationEndsTooSoon { expires_at: worker.expires_at, wanted: until });
        }
        Ok(())
    }

    /// Refuses a worker without a free place, or without the stake that the job locks.
    pub(super) fn must_have_room(&self, worker: &WorkerRecord) -> Result<(), Refusal> {
        if worker.in_flight >= worker.capacity {
            return Err(Refusal::CapacityFull { in_flight: worker.in_flight, capacity: worker.capacity });
        }
        let (found, wanted) = (crate::worker::free_stake(worker)?, self.terms.job_stake);
        if found < wanted {
            return Err(Refusal::FreeStakeTooSmall { found, wanted });
        }
        Ok(())
    }
}
