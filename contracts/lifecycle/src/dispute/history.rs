//! Disputes as a job's events tell them: for auditors, who must find the same money without the contract's word.

use super::{Ruling, agreed, deposit_lines};
use crate::outcome::{Outcome, Settlement};
use alloc::vec::Vec;
use encompute_protocol::{
    Address, DisputeKind, JobTerms, Plancks, PlatformId, Reason, Stage, Verdict,
    event::{Event, JobStageChanged, Movement},
};

/// What a job holds of its worker's stake after a movement of it.
fn held_after(held: Plancks, movement: Movement, amount: Plancks) -> Plancks {
    match movement {
        Movement::Locked => held.checked_add(amount),
        Movement::Released | Movement::Slashed => held.checked_sub(amount),
        Movement::Added | Movement::Asked | Movement::Taken => Some(held),
    }
    .unwrap_or_default()
}

/// One dispute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What it was about.
    pub kind: DisputeKind,
    /// The stage at which it was opened.
    pub from: Stage,
    /// Its committee, in the order in which it was drawn.
    pub jurors: Vec<Address>,
    /// The machine of each of them then.
    pub platforms: Vec<PlatformId>,
    /// What they revealed.
    pub verdicts: Vec<(Address, Verdict)>,
    /// What the job holds of its worker's stake, until it has ended.
    pub stake: Plancks,
    /// How it ended, and by whose call; none while it is open.
    pub ended: Option<(Ruling, Address)>,
}

impl Heard {
    /// All disputes of one job, from its events in order.
    pub fn all<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<Self> {
        let (mut all, mut at): (Vec<Self>, _) = (Vec::new(), Stage::Requested);
        let (mut worker, mut stake) = (None, Plancks::ZERO);
        for event in events {
            match (event, all.last_mut()) {
                (Event::DisputeOpened(opened), _) => all.push(Self {
                    kind: opened.kind,
                    from: at,
                    jurors: Vec::new(),
                    platforms: Vec::new(),
                    verdicts: Vec::new(),
                    stake,
                    ended: None,
                }),
                (Event::StakeMoved(moved), heard) if Some(moved.worker) == worker => {
                    stake = held_after(stake, moved.movement, moved.amount);
                    if let Some(heard) = heard.filter(|heard| heard.ended.is_none()) {
                        heard.stake = stake;
                    }
                }
                (Event::JurorDrawn(drawn), Some(heard)) => {
                    heard.jurors.push(drawn.juror);
                    heard.platforms.push(drawn.platform);
                }
                (Event::VerdictRevealed(found), Some(heard)) => heard.verdicts.push((found.juror, found.verdict)),
                (Event::JobStageChanged(step), heard) => {
                    if let (Some(heard), Some(Stage::Disputed(_))) = (heard, step.from) {
                        heard.end(step);
                    }
                    (at, worker) = (step.to, step.worker);
                }
                _ => {}
            }
        }
        all
    }

    fn end(&mut self, step: &JobStageChanged) {
        let ruling = match (step.to, step.reason) {
            (Stage::Disputed(_), _) => return,
            (_, Some(Reason::ArbiterTimeout)) => Ruling::Unresolved,
            // COMMITTEE at most.
            (_, Some(Reason::DisputeRejected | Reason::Witnessed | Reason::Audited)) => {
                Ruling::Rejected { winners: self.winners().len() as u8 }
            }
            _ => Ruling::head_wrong(self.kind, self.winners().len() as u8, self.stake),
        };
        self.ended = Some((ruling, step.by));
    }

    /// What most of the committee revealed.
    pub fn agreed(&self) -> Option<Verdict> {
        agreed(self.kind, || self.verdicts.iter().map(|(_, verdict)| *verdict))
    }

    /// The money of a job whose head its committee found wrong.
    pub fn head_wrong(&self) -> Outcome {
        // COMMITTEE at most of any dispute that a chain has ruled.
        let winners = u8::try_from(self.winners().len()).unwrap_or(u8::MAX);
        Outcome::head_wrong(self.kind, winners, self.stake)
    }

    /// Those of the committee that revealed what most did, in the order in which they were drawn.
    pub fn winners(&self) -> Vec<Address> {
        let Some(agreed) = self.agreed() else { return Vec::new() };
        self.jurors.iter().copied().filter(|juror| self.verdicts.contains(&(*juror, agreed))).collect()
    }

    /// True while its committee's stake is locked.
    pub fn holds_stake(&self) -> bool {
        self.ended.is_none() && !self.jurors.is_empty()
    }

    /// The money of the dispute itself, once it has ended: deposit, and what the committee lost. What the job's own
    /// ending moves is the job's [`Settlement`]. `None` on overflow.
    pub fn settlement(&self, terms: &JobTerms) -> Option<Settlement> {
        let mut all = Settlement::default();
        let Some((ruling, _)) = self.ended else { return Some(all) };
        all.lines = deposit_lines(terms, self.kind, self.from, ruling)?;
        let agreed = self.agreed();
        for juror in &self.jurors {
            let found = self.verdicts.iter().find(|(account, _)| account == juror).map(|(_, verdict)| *verdict);
            let share = match found {
                None => terms.retry_slash,
                Some(_) if agreed.is_some() && found != agreed => terms.fail_slash,
                Some(_) => continue,
            };
            let lost = Settlement::of_juror(terms, share)?;
            all.lines.extend(lost.lines);
            all.stake_slashed = all.stake_slashed.checked_add(lost.stake_slashed)?;
        }
        Some(all)
    }
}
