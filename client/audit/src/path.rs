//! The way a job went: stage after stage, each by whom it is due to, in its window, with the deadline
//! that the job's own windows give.

use crate::{job::JobBundle, report::Checks};
use encompute_protocol::{
    Address, BlockNumber, Blocks, DisputeKind, Reason, Stage,
    event::{Event, JobStageChanged},
    market::SHORTEST_WINDOW,
};

/// Which stage may follow which.
fn follows(from: Option<Stage>, to: Stage) -> bool {
    use DisputeKind::{Audit, Head, Missing, Quote, Result, Witness};
    use Stage::{
        Cancelled, Claimed, Disputed, Failed, FeaturesSent, HeadCommitted, Requested, ResultCommitted, Settled,
    };
    matches!(
        (from, to),
        (None, Requested)
            | (Some(Requested), Claimed | Failed | Cancelled)
            | (Some(Claimed), Requested | HeadCommitted | Failed)
            | (Some(HeadCommitted), FeaturesSent | Settled | Failed | Cancelled)
            | (Some(HeadCommitted), Disputed(Head | Missing | Witness | Quote))
            | (Some(FeaturesSent), ResultCommitted | Failed)
            | (Some(ResultCommitted), Settled | Disputed(Missing | Result))
            | (Some(HeadCommitted | FeaturesSent | ResultCommitted), Disputed(Audit))
            | (Some(Disputed(Audit)), HeadCommitted | FeaturesSent | ResultCommitted | Disputed(Audit) | Failed)
            | (Some(Disputed(Quote)), HeadCommitted | Failed)
            | (Some(Disputed(Head)), HeadCommitted | Disputed(Head) | Failed)
            | (Some(Disputed(Witness)), HeadCommitted | Disputed(Witness) | Failed)
            | (Some(Disputed(Missing)), HeadCommitted | ResultCommitted | Failed)
            | (Some(Disputed(Result)), ResultCommitted | Failed)
    )
}

/// When a step may be made, measured by the deadline of the stage before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Up to the deadline.
    InTime,
    /// Only after it.
    Late,
    /// At any time.
    Ever,
}

impl Due {
    fn of(step: &JobStageChanged, bundle: &JobBundle) -> Self {
        if matches!(step.from, Some(Stage::Disputed(_))) {
            return match step.reason {
                Some(Reason::BlobMissing | Reason::QuoteMissing | Reason::ResultWithheld | Reason::ResultMismatch) => {
                    Self::Late
                }
                Some(Reason::Quoted) => Self::InTime,
                _ => Self::Ever,
            };
        }
        match (step.to, step.reason) {
            (Stage::Disputed(_), _) => Self::InTime,
            (Stage::Claimed | Stage::HeadCommitted | Stage::FeaturesSent | Stage::ResultCommitted, _)
            | (Stage::Failed, Some(Reason::CreatorRefused)) => Self::InTime,
            (Stage::Requested, Some(Reason::WorkerTimeout))
            | (
                Stage::Failed,
                Some(Reason::NoWorker | Reason::WorkerTimeout | Reason::UserNoShow | Reason::CreatorTimeout),
            ) => Self::Late,
            // The user accepts whenever it wants, anybody else only once the window is over.
            (Stage::Settled, _) if step.by != bundle.terms.user => Self::Late,
            _ => Self::Ever,
        }
    }

    fn holds(self, block: BlockNumber, deadline: Option<BlockNumber>) -> bool {
        match (self, deadline) {
            (Self::Ever, _) | (Self::InTime, None) => true,
            (Self::InTime, Some(deadline)) => block <= deadline,
            (Self::Late, deadline) => deadline.is_some_and(|deadline| block > deadline),
        }
    }

    fn words(self, deadline: Option<BlockNumber>) -> String {
        let deadline = deadline.map_or("the request".to_owned(), |block| format!("block {block}"));
        match self {
            Self::InTime => format!("not after {deadline}"),
            Self::Late => format!("after {deadline}"),
            Self::Ever => "at any time".to_owned(),
        }
    }
}

/// The one account that may make a step; none where anybody may.
fn actor(step: &JobStageChanged, bundle: &JobBundle) -> Option<Address> {
    if matches!(step.from, Some(Stage::Disputed(_))) {
        // Of a quote the worker's word alone moves the job on.
        return step.worker.filter(|_| step.reason == Some(Reason::Quoted));
    }
    match (step.to, step.reason) {
        (Stage::Disputed(kind), _) if kind.is_anybodys() => None,
        (Stage::Disputed(_), _) => Some(bundle.terms.user),
        // In custody the worker acts for the user, who may do so too.
        (Stage::FeaturesSent, _) if bundle.terms.custody && step.worker == Some(step.by) => step.worker,
        (Stage::Requested, None) | (Stage::FeaturesSent | Stage::Cancelled, _) => Some(bundle.terms.user),
        (Stage::Claimed | Stage::HeadCommitted, _) => step.worker,
        (Stage::ResultCommitted, _) | (Stage::Failed, Some(Reason::CreatorRefused)) => Some(bundle.creator),
        _ => None,
    }
}

/// How long the actor of a stage has.
fn window(stage: Stage, bundle: &JobBundle) -> Option<Blocks> {
    let windows = &bundle.terms.windows;
    match stage {
        Stage::Requested => Some(windows.claim),
        Stage::Claimed => Some(windows.head),
        Stage::HeadCommitted => Some(windows.features),
        Stage::FeaturesSent => Some(windows.creator),
        Stage::ResultCommitted => Some(windows.accept),
        Stage::Disputed(_) => Some(windows.dispute),
        Stage::Settled | Stage::Failed | Stage::Cancelled => None,
    }
}

/// Checks every step of the job.
pub(crate) fn stages(bundle: &JobBundle, checks: &mut Checks) {
    let steps = bundle.events.iter().filter_map(|(block, event)| match event {
        Event::JobStageChanged(step) => Some((*block, step)),
        _ => None,
    });
    let (mut at, mut deadline): (Option<Stage>, Option<BlockNumber>) = (None, None);
    // What was left of the window of a stage that a dispute interrupted.
    let mut left = Blocks(0);
    // A committee has found the head wrong, and nobody has appealed yet.
    let mut ruled = false;
    let mut was_ruled = false;
    for (index, (block, step)) in steps.enumerate() {
        let id = |what: &str| format!("stage-{index}-{what}");
        let name = format!("{:?} to {:?}", step.from, step.to);
        checks.same(&id("job"), bundle.job, step.job, "chain: job");
        let allowed = step.from == at && follows(step.from, step.to);
        checks.holds(&id("order"), allowed, format!("a step from {at:?}"), &name, "lifecycle");
        // Found wrong: in time its worker appeals, afterwards the job fails; and no job fails so that was not found so.
        let due = match (ruled, step.to) {
            (true, Stage::Failed) => Due::Late,
            (true, _) => Due::InTime,
            _ => Due::of(step, bundle),
        };
        if ruled && step.to != Stage::Failed {
            let worker = step.worker.unwrap_or_default();
            checks.same(&id("appeal"), worker, step.by, "lifecycle: the job's worker appeals");
        }
        let found_wrong = step.reason == Some(Reason::HeadMismatch);
        ruled = matches!(step.to, Stage::Disputed(_)) && found_wrong;
        was_ruled = matches!(step.from, Some(Stage::Disputed(_))) && (ruled || was_ruled);
        if step.to == Stage::Failed && found_wrong {
            let source = "lifecycle: what a committee finds may be appealed";
            checks.holds(&id("ruled"), was_ruled, "a ruling before it", was_ruled, source);
        }
        let words = format!("{name} {}", due.words(deadline));
        checks.holds(&id("window"), due.holds(block, deadline), words, format!("block {block}"), "chain: events");
        if let Some(actor) = actor(step, bundle) {
            checks.same(&id("actor"), actor, step.by, "lifecycle: whose turn it is");
        }
        let was_disputed = matches!(step.from, Some(Stage::Disputed(_)));
        if matches!(step.to, Stage::Disputed(_)) && !was_disputed {
            left = Blocks(deadline.map_or(0, |deadline| deadline.0.saturating_sub(block.0)));
        }
        let resumed =
            was_disputed && matches!(step.to, Stage::HeadCommitted | Stage::FeaturesSent | Stage::ResultCommitted);
        let window = if resumed { Some(left.max(SHORTEST_WINDOW)) } else { window(step.to, bundle) };
        if let Some(window) = window {
            let expected = block.checked_add(window).unwrap_or_default();
            checks.same(&id("deadline"), expected, step.deadline, "chain: job terms");
        }
        (at, deadline) = (Some(step.to), Some(step.deadline));
    }
    checks.same("stage-last", format!("{:?}", Some(bundle.progress.stage)), format!("{at:?}"), "chain: job progress");
    if let Some(deadline) = deadline {
        checks.same("deadline-last", bundle.progress.deadline, deadline, "chain: job progress");
    }
}
