//! `send_features`, `commit_result`, `accept_result`: the job after its head.

use super::{Job, must_be};
use crate::{
    command::{Decide, Decision, Scene},
    context::Host,
    draft::Draft,
    outcome::Outcome,
    refusal::{Field, Refusal},
    state::{ReadState, Write},
};
use encompute_protocol::{
    Stage,
    call::{AcceptResult, CommitResult, SendFeatures},
    event::{FeaturesSent, Movement, ResultCommitted},
};

impl Decide for SendFeatures {
    /// The job's user, or its worker that has the key in custody, within the features window. The worker's stake is
    /// released: its part is done.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let mut job = Job::load(scene.state, self.job)?;
        job.must_be(Stage::HeadCommitted)?;
        job.must_be_custodians(scene.at.caller)?;
        job.must_be_on_time(scene.at.block)?;
        if job.split(scene.state)?.tail.is_zero() {
            return Err(Refusal::NoTail);
        }
        if self.policy != job.terms.policy {
            return Err(Refusal::PolicyMismatch { found: self.policy, wanted: job.terms.policy });
        }
        if self.features.is_zero() {
            return Err(Refusal::Missing { field: Field::Features });
        }
        let (account, mut worker) = job.worker(scene.state)?;
        let mut draft = Draft::new(scene.state);
        job.progress.features = Some(self.features);
        let window = Some(job.terms.windows.creator);
        job.enter(&mut draft, Stage::FeaturesSent, None, scene.at.caller, scene.at.block, window)?;
        draft.emit(FeaturesSent { job: job.id, features: self.features });
        let held = core::mem::take(&mut job.progress.stake_held);
        draft.move_stake(account, &mut worker, Some(job.id), Movement::Released, held)?;
        draft.write(Write::Worker(account, worker));
        job.write_progress(&mut draft);
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for CommitResult {
    /// The model's creator, within the creator window.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let mut job = Job::load(scene.state, self.job)?;
        job.must_be(Stage::FeaturesSent)?;
        must_be(scene.at.caller, job.model(scene.state)?.creator)?;
        job.must_be_on_time(scene.at.block)?;
        if self.result.is_zero() {
            return Err(Refusal::Missing { field: Field::Result });
        }
        let mut draft = Draft::new(scene.state);
        job.progress.result = Some(self.result);
        let window = Some(job.terms.windows.accept);
        job.enter(&mut draft, Stage::ResultCommitted, None, scene.at.caller, scene.at.block, window)?;
        draft.emit(ResultCommitted { job: job.id, result: self.result });
        job.write_progress(&mut draft);
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for AcceptResult {
    /// The job's user, at any time after the result; after the head where no tail follows. After the
    /// window a poke does the same, so late acceptance harms nobody.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let job = Job::load(scene.state, self.job)?;
        let ends_with_head = job.progress.stage == Stage::HeadCommitted && job.split(scene.state)?.tail.is_zero();
        if !ends_with_head {
            job.must_be(Stage::ResultCommitted)?;
        }
        job.must_be_users(scene.at.caller)?;
        job.conclude(scene, Stage::Settled, None, Outcome::Settled)
    }
}
