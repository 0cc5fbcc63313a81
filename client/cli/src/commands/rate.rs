//! `encompute job rate`: what a settled payer thinks of a model.

use crate::{
    args::{Common, Identity},
    commands::market,
    context::Context,
    failure::{Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::{Args, ValueEnum};
use encompute_chain::Client;
use encompute_protocol::{
    JobId, Plancks, Rating, RatingReason, Ratings, VersionId,
    call::{RateJob, ReadModel, ReadVersion},
};
use serde_json::{Value, json};

/// Why it is rated so.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Why {
    /// Nothing in particular
    General,
    /// How right the answer was
    Answer,
    /// How long it took
    Time,
    /// How well the model is described
    Description,
    /// What it cost for what it gave
    Price,
}

impl From<Why> for RatingReason {
    fn from(why: Why) -> Self {
        match why {
            Why::General => Self::General,
            Why::Answer => Self::Answer,
            Why::Time => Self::Time,
            Why::Description => Self::Description,
            Why::Price => Self::Price,
        }
    }
}

/// A settled job, and what its user thinks of it.
#[derive(Args)]
pub struct Rate {
    /// The job
    id: u64,
    /// 1, the worst, to 5, the best
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=5))]
    grade: u8,
    /// What the grade is for
    #[arg(long, value_enum, default_value = "general")]
    why: Why,
    /// Who signs: the job's user
    #[command(flatten)]
    identity: Identity,
}

impl Rate {
    /// Runs it.
    ///
    /// # Errors
    /// When the contract refuses, such as for a job that has not settled or was rated before.
    pub async fn run(self, context: &Context, common: &Common) -> Outcome {
        let job = JobId(self.id);
        let account = context.account(&self.identity).await?;
        let rating = Rating { grade: self.grade, why: self.why.into() };
        let sent = account.submit(RateJob { job, rating }, Plancks::ZERO).await;
        let sent = sent.map_err(|error| Failure::of(exit_of_chain(error.class()), "rate the job", &error))?;
        match common.json {
            true => output::json(&json!({ "id": job.0, "grade": self.grade, "block": sent.block.number.0 })),
            false => output::text(&format!("job {job}: rated {} of 5", self.grade)),
        }
    }
}

/// What a version's users thought of its model.
///
/// # Errors
/// [`Exit::NotFound`] without such a version.
pub async fn ratings(client: &Client, version: VersionId) -> Outcome<Ratings> {
    let missing = || Failure::new(Exit::NotFound, format!("there is no version {version}"));
    let found = market::read(client, ReadVersion { version }).await?.ok_or_else(missing)?;
    let (model, _) = market::read(client, ReadModel { model: found.model }).await?.ok_or_else(missing)?;
    Ok(model.ratings)
}

/// As `--json` has it: the mean grade weighs what was paid for each run.
pub fn ratings_json(ratings: &Ratings) -> Value {
    let mean = ratings.mean_hundredths().map(|mean| f64::from(mean) / 100.0);
    json!({ "count": ratings.count, "mean": mean })
}

/// In words.
pub fn ratings_words(ratings: &Ratings) -> String {
    match ratings.mean_hundredths() {
        Some(mean) => format!("{}.{:02} of 5 ({})", mean / 100, mean % 100, ratings.count),
        None => String::new(),
    }
}
