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
    /// Any registered worker, within the claim window.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let mut job = Job::load(scene.state, self.job)?;
        job.must_be(Stage::Requested)?;
        job.must_be_on_time(scene.at.block)?;
        let account = scene.at.caller;
        let worker = scene.state.worker(account).ok_or(Refusal::UnknownWorker { worker: account })?;
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
        let block = scene.at.block;
        self.version_must_stand(scene)?;
        let until = block.checked_add(self.terms.windows.head).ok_or(Refusal::NumbersExhausted)?;
        if worker.expires_at <= until {
            return Err(Refusal::RegistrationEndsTooSoon { expires_at: worker.expires_at, wanted: until });
        }
        scene.measurement_must_be_usable(worker.measurement)?;
        scene.platform_must_be_usable(worker.platform)?;
        if worker.in_flight >= worker.capacity {
            return Err(Refusal::CapacityFull { in_flight: worker.in_flight, capacity: worker.capacity });
        }
        let (found, wanted) = (crate::worker::free_stake(&worker)?, self.terms.job_stake);
        if found < wanted {
            return Err(Refusal::FreeStakeTooSmall { found, wanted });
        }
        worker.in_flight += 1; // below capacity, see above
        self.progress.worker = Some(account);
        self.progress.claimed_at = block;
        self.progress.stake_held = wanted;
        self.enter(draft, Stage::Claimed, None, account, block, Some(self.terms.windows.head))?;
        draft.move_stake(account, &mut worker, Some(self.id), Movement::Locked, wanted)?;
        draft.write(Write::Worker(account, worker));
        Ok(())
    }
}
