//! What the contract said, in words.

use crate::market::{plancks, reason_words, stage_name};
use encompute_protocol::{Address, BlockNumber, Plancks, event::Event};
use serde_json::{Value, json};

/// What the contract said, as programs and the page read it: what happened in which block, to what, who is named, how
/// much moved.
pub fn event_json(block: BlockNumber, event: &Event) -> Value {
    let told = |subject: String, who: Option<Address>, amount: Option<Plancks>, words: String| {
        json!({ "block": block.0, "kind": event.name(), "job": event.job().map(|job| job.0), "subject": subject,
                "who": who.map(|who| who.to_string()), "amount": amount.map(plancks), "words": words })
    };
    let of_job = || event.job().map_or_else(String::new, |job| format!("job {job}"));
    let none = String::new;
    match event {
        Event::JobRequested(said) => {
            told(of_job(), Some(said.user), said.fees.total(), format!("version {}", said.version))
        }
        Event::JobStageChanged(said) => {
            let why = said.reason.map(|reason| format!(": {}", reason_words(reason))).unwrap_or_default();
            told(of_job(), Some(said.by), None, format!("{}{why}", stage_name(said.to)))
        }
        Event::HeadCommitted(said) => told(of_job(), Some(said.worker), None, format!("transcript {}", said.output)),
        Event::FeaturesSent(said) => told(of_job(), None, None, format!("features {}", said.features)),
        Event::ResultCommitted(said) => told(of_job(), None, None, format!("result {}", said.result)),
        Event::Credited(said) => told(of_job(), Some(said.account), Some(said.amount), format!("{:?}", said.cause)),
        Event::AllowanceMoved(said) => told(
            of_job(),
            Some(said.sponsor),
            Some(said.amount),
            format!("{:?}: what it pays for jobs of {}", said.movement, said.user),
        ),
        Event::QuoteShown(said) => told(of_job(), None, None, format!("quote {}", said.quote)),
        Event::CreditStaked(said) => {
            told(of_job(), Some(said.account), Some(said.amount), "staked on an audit".to_owned())
        }
        Event::JobPruned(said) => told(of_job(), Some(said.by), Some(said.returned), "records removed".to_owned()),
        Event::Withdrawn(said) => told(none(), Some(said.account), Some(said.amount), format!("to {}", said.to)),
        Event::StakeMoved(said) => told(of_job(), Some(said.worker), Some(said.amount), format!("{:?}", said.movement)),
        Event::BondMoved(said) => {
            told(format!("model {}", said.model), None, Some(said.amount), format!("{:?}", said.movement))
        }
        Event::ModelListed(said) => told(format!("model {}", said.model), Some(said.creator), None, none()),
        Event::VersionPublished(said) => {
            told(format!("version {}", said.version), None, None, format!("of model {}", said.model))
        }
        Event::VersionStatusChanged(said) => {
            told(format!("version {}", said.version), None, None, format!("{:?}", said.status))
        }
        Event::WorkerRegistered(said) => {
            told(none(), Some(said.worker), None, format!("until block {}", said.expires_at))
        }
        Event::CapacityChanged(said) => {
            told(none(), Some(said.worker), None, format!("{} jobs at once", said.capacity))
        }
        Event::SessionOpened(said) => told(
            format!("session {}", said.session),
            Some(said.user),
            said.fees.total().and_then(|one| one.checked_mul(said.jobs.into())),
            format!("{} jobs of version {}", said.jobs, said.version),
        ),
        Event::SessionClosing(said) => told(
            format!("session {}", said.session),
            Some(said.by),
            None,
            format!(
                "{} heads and {} tails by a voucher; a higher one until block {}",
                said.heads, said.tails, said.deadline
            ),
        ),
        Event::SessionClosed(said) => told(
            format!("session {}", said.session),
            Some(said.by),
            None,
            format!("closed: {} heads and {} tails of {} jobs", said.heads, said.tails, said.done),
        ),
        // The governor's and what is only a step of something else: their names say what there is to say.
        _ => told(of_job(), None, None, none()),
    }
}
