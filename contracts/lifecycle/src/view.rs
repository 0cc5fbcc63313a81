//! Messages that only read.

use crate::{command::Scene, context::Host, job::Job, price::Price, state::ReadState};
use encompute_protocol::{
    Draw, Plancks, Stage, VersionStatus,
    call::{
        Call, QuoteJob, ReadAllowance, ReadAnnouncedParams, ReadAttestationKey, ReadCounts, ReadCredit, ReadDispute,
        ReadDraw, ReadGovernance, ReadJob, ReadMeasurement, ReadModel, ReadNonce, ReadParams, ReadPlatform,
        ReadPrunedJob, ReadRating, ReadSession, ReadSessionsTaken, ReadSplit, ReadTotals, ReadVersion, ReadWorker,
        ReadWorkerAt,
    },
};

/// A message that only reads.
pub trait View: Call {
    /// What the message answers.
    fn view<S: ReadState>(&self, state: &S) -> Self::Answer;
}

/// A message that only reads, and looks at the block and its ancestors, too.
pub trait Look: Call {
    /// What the message answers in `scene`.
    fn look<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Self::Answer;
}

impl Look for ReadDraw {
    /// As for a claim in the scene's block.
    fn look<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Option<Draw> {
        let job = Job::load(scene.state, self.job).ok()?;
        job.must_be(Stage::Requested).ok()?;
        job.draw(scene).ok()
    }
}

macro_rules! views {
    ($($name:ident: |$message:ident, $state:ident| $answer:expr;)*) => {
        $(impl View for $name {
            fn view<S: ReadState>(&self, $state: &S) -> Self::Answer {
                let $message = self;
                let _ = $message;
                $answer
            }
        })*
    };
}

views! {
    ReadParams: |message, state| state.params();
    ReadAnnouncedParams: |message, state| state.announced_params();
    ReadTotals: |message, state| state.totals();
    ReadCounts: |message, state| state.counts();
    ReadGovernance: |message, state| (state.governor(), state.paused());
    ReadModel: |message, state| state.model(message.model).zip(state.model_name(message.model));
    ReadVersion: |message, state| state.version(message.version);
    ReadSplit: |message, state| state.split(message.version, message.split);
    ReadWorker: |message, state| state.worker(message.worker).zip(state.worker_url(message.worker));
    ReadWorkerAt: |message, state| state.worker_at(message.index);
    ReadMeasurement: |message, state| state.measurement(message.measurement);
    ReadPlatform: |message, state| state.platform(message.platform);
    ReadAttestationKey: |message, state| state.attestation_key(message.key);
    ReadJob: |message, state| state.job_terms(message.job).zip(state.job_progress(message.job));
    ReadCredit: |message, state| state.credit(message.account);
    ReadDispute: |message, state| state.dispute(message.job);
    ReadPrunedJob: |message, state| state.pruned(message.job);
    ReadSession: |message, state| state.session(message.session);
    ReadSessionsTaken: |message, state| state.sessions_taken(message.version);
    ReadAllowance: |message, state| state.allowance(message.sponsor, message.user);
    ReadRating: |message, state| state.rating(message.job);
    ReadNonce: |message, state| state.registration_nonce(message.account);
    // Only what is for sale has a price.
    QuoteJob: |message, state| {
        let version = state.version(message.version)?;
        if version.status != VersionStatus::Active {
            return None;
        }
        let params = state.params();
        let split = state.split(message.version, message.split)?;
        Price::of(&params, &split, Plancks::ZERO).ok().map(|price| (price.fees, params.windows))
    };
}
