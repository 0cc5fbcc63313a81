//! `rate_job`: what a settled payer thinks of a model.

use crate::{
    command::{Decide, Decision, Scene},
    context::Host,
    draft::Draft,
    job::Job,
    refusal::Refusal,
    state::{ReadState, Write},
};
use encompute_protocol::{Rating, Stage, call::RateJob, event::Rated};

impl Decide for RateJob {
    /// The user of a settled job, once. It weighs what the run cost, so that a creator who rates itself pays the
    /// protocol's fee for every part of the mean.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let job = Job::load(scene.state, self.job)?;
        let found = job.progress.stage;
        if found != Stage::Settled {
            return Err(Refusal::WrongStage { found, wanted: Stage::Settled });
        }
        job.must_be_users(scene.at.caller)?;
        let grade = self.rating.grade;
        if grade == 0 || grade > Rating::BEST {
            return Err(Refusal::GradeOutOfBounds { found: grade });
        }
        if scene.state.rating(self.job).is_some() {
            return Err(Refusal::RatedBefore { job: self.job });
        }
        let (id, mut model) = (job.terms.model, job.model(scene.state)?);
        let weight = job.terms.fees.head.checked_add(job.terms.fees.tail).ok_or(Refusal::AmountTooLarge)?;
        let graded = weight.checked_mul(grade.into()).ok_or(Refusal::AmountTooLarge)?;
        let ratings = &mut model.ratings;
        ratings.count = ratings.count.checked_add(1).ok_or(Refusal::NumbersExhausted)?;
        ratings.fees = ratings.fees.checked_add(weight).ok_or(Refusal::AmountTooLarge)?;
        ratings.graded_fees = ratings.graded_fees.checked_add(graded).ok_or(Refusal::AmountTooLarge)?;
        let mut draft = Draft::new(scene.state);
        draft.emit(Rated { job: job.id, model: id, rating: self.rating, weight });
        draft.write(Write::Model(id, model));
        draft.write(Write::Rating(job.id, Some(self.rating)));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}
