//! When a worker's evidence counted: the moment as of which it is judged.
//!
//! Collateral is good for 30 days, an audit may come years later. What matters is whether the evidence
//! held when somebody relied on it, so it is judged by the chain's own clock in the block in which the
//! receipt was accepted, or, as long as there is none, in which the job was claimed.

use encompute_attest::UnixSeconds;
use encompute_protocol::{BlockNumber, Stage, event::Event};

/// The block in which a worker's evidence counted, and why that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The block.
    pub block: BlockNumber,
    /// Why.
    pub why: Why,
}

/// What was done on the strength of the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The receipt was accepted.
    Committed,
    /// The job was claimed; no receipt followed.
    Claimed,
}

impl Counted {
    /// The block that counts for the job with these events: that of its commitment, else that of its last
    /// claim; none while nobody has claimed it.
    pub fn of(events: &[(BlockNumber, Event)]) -> Option<Self> {
        let last = |wanted: fn(&Event) -> bool| events.iter().rev().find(|(_, event)| wanted(event));
        let committed = last(|event| matches!(event, Event::HeadCommitted(_)));
        let claimed = || last(|event| matches!(event, Event::JobStageChanged(step) if step.to == Stage::Claimed));
        match committed {
            Some((block, _)) => Some(Self { block: *block, why: Why::Committed }),
            None => claimed().map(|(block, _)| Self { block: *block, why: Why::Claimed }),
        }
    }
}

impl Why {
    /// Why the block counts, as a sentence about it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Committed => "the receipt was accepted in this block",
            Self::Claimed => "the job was claimed in this block, and no receipt followed",
        }
    }
}

/// How the evidence was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    /// As of which block.
    pub counted: Counted,
    /// Its time.
    pub time: UnixSeconds,
    /// When the collateral runs out; none where the quote does not hold.
    pub collateral_expires_at: Option<UnixSeconds>,
}

impl Judged {
    /// What the evidence cannot tell, in one sentence that says how old it is.
    pub(crate) fn limit(&self, now: UnixSeconds) -> String {
        let Self { counted, time, collateral_expires_at } = self;
        let age = match collateral_expires_at {
            Some(expiry) if *expiry <= now => {
                format!("; the collateral ran out at {expiry} and would not be accepted for new work")
            }
            Some(expiry) => format!("; the collateral runs out at {expiry}"),
            None => String::new(),
        };
        format!(
            "cannot check: what became known about the worker's platform after {time}, the time of block {} by the \
             chain's clock, as of which its evidence was judged: {}{age}",
            counted.block,
            counted.why.words(),
        )
    }
}
