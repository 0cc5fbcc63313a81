//! Disputes as a job's events tell them: for auditors, who must find the same money without the contract's word.

use super::{Review, Ruling, agreed, appeal, appeal_lines, committee::lost_by, deposit_lines};
use crate::outcome::{Outcome, Settlement};
use alloc::vec::Vec;
use encompute_protocol::{
    Address, BasisPoints, BlobDigest, DisputeKind, JobTerms, Nonce, Plancks, PlatformId, QuoteIdentity, Reason, Stage,
    Verdict,
    dispute::Opinion,
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

/// That a ruling was appealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appealed {
    /// By which worker.
    pub by: Address,
    /// What it staked.
    pub deposit: Plancks,
    /// How many jurors there were until then: the first committee, behind whom the second's are.
    pub first: usize,
}

/// One dispute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What it was about.
    pub kind: DisputeKind,
    /// The stage at which it was opened.
    pub from: Stage,
    /// Who opened it.
    pub by: Address,
    /// The nonce that a quote must answer; none where none was demanded.
    pub nonce: Option<Nonce>,
    /// The quote that was shown, and the blob with its evidence.
    pub quote: Option<(QuoteIdentity, BlobDigest)>,
    /// All who were drawn, in this order: its committee, then the one that heard its appeal.
    pub jurors: Vec<Address>,
    /// The machine of each of them then.
    pub platforms: Vec<PlatformId>,
    /// What they revealed.
    pub verdicts: Vec<(Address, Verdict)>,
    /// The appeal from what its committee found, if there was one.
    pub appealed: Option<Appealed>,
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
                    by: opened.by,
                    nonce: None,
                    quote: None,
                    jurors: Vec::new(),
                    platforms: Vec::new(),
                    verdicts: Vec::new(),
                    appealed: None,
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
                (Event::QuoteDemanded(demanded), Some(heard)) => heard.nonce = Some(demanded.nonce),
                (Event::QuoteShown(shown), Some(heard)) => heard.quote = Some((shown.quote, shown.evidence)),
                (Event::RulingAppealed(told), Some(heard)) => {
                    heard.appealed = Some(Appealed { by: told.by, deposit: told.deposit, first: heard.jurors.len() });
                }
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
            (_, Some(Reason::DisputeRejected | Reason::Witnessed | Reason::Audited | Reason::Quoted)) => {
                Ruling::Rejected { winners: count(&self.winners()) }
            }
            _ => Ruling::head_wrong(self.kind, count(&self.of_opinion(self.first(), self.found_first())), self.stake),
        };
        self.ended = Some((ruling, step.by));
    }

    /// The committee that heard it first, in the order in which it was drawn.
    pub fn first(&self) -> &[Address] {
        let first = self.appealed.map_or(self.jurors.len(), |appealed| appealed.first);
        self.jurors.get(..first).unwrap_or(&self.jurors)
    }

    /// The committee that heard the appeal; nobody where there was none, or none could be drawn.
    pub fn second(&self) -> &[Address] {
        self.jurors.get(self.first().len()..).unwrap_or_default()
    }

    /// Each committee with its machines, the first before the one that heard the appeal.
    pub fn committees(&self) -> impl Iterator<Item = (&[Address], &[PlatformId])> {
        let (own, others) = self.platforms.split_at(self.first().len().min(self.platforms.len()));
        [(self.first(), own), (self.second(), others)].into_iter().filter(|(jurors, _)| !jurors.is_empty())
    }

    /// What one of them revealed.
    fn verdict(&self, juror: &Address) -> Option<Verdict> {
        self.verdicts.iter().find(|(account, _)| account == juror).map(|(_, verdict)| *verdict)
    }

    /// What most of the first committee revealed.
    fn found_first(&self) -> Option<Verdict> {
        agreed(self.kind, false, || self.first().iter().filter_map(|juror| self.verdict(juror)))
    }

    /// What most of the second did.
    fn found_second(&self) -> Option<Verdict> {
        agreed(self.kind, true, || self.second().iter().filter_map(|juror| self.verdict(juror)))
    }

    /// Those of a committee that revealed what most did.
    fn of_opinion(&self, committee: &[Address], agreed: Option<Verdict>) -> Vec<Address> {
        let same = |juror: &&Address| agreed.is_some() && self.verdict(juror) == agreed;
        committee.iter().filter(same).copied().collect()
    }

    /// What was ruled: by most of the second committee, or of the first where that ruled nothing.
    pub fn agreed(&self) -> Option<Verdict> {
        self.found_second().or_else(|| self.found_first())
    }

    /// How its appeal ends by what was revealed; none without one.
    pub fn review(&self) -> Option<Review> {
        self.appealed?;
        let (first, second) = (self.found_first(), self.found_second());
        Some(match second {
            None => Review::Unheard,
            Some(Verdict { wrong: false, .. }) => Review::Overturned,
            Some(_) => Review::Confirmed {
                first: count(&self.of_opinion(self.first(), first)),
                second: count(&self.of_opinion(self.second(), second)),
            },
        })
    }

    /// The money of a job whose head was found wrong, by the committee that found so first.
    pub fn head_wrong(&self) -> Outcome {
        let winners = self.of_opinion(self.first(), self.found_first());
        Outcome::head_wrong(self.kind, count(&winners), self.stake)
    }

    /// Those whose opinion holds, each at its place as a [`crate::outcome::Party::Juror`]: of the committee that ruled those
    /// who revealed what most did, in the order in which they were drawn; behind them those of a second that confirmed it.
    pub fn winners(&self) -> Vec<Address> {
        let (first, second) = (self.found_first(), self.found_second());
        let mut winners = match self.review() {
            Some(Review::Overturned) => Vec::new(),
            _ => self.of_opinion(self.first(), first),
        };
        winners.extend(self.of_opinion(self.second(), second));
        winners
    }

    /// Those whom a line of its money names by their place: of a quote who demanded it, else [`Heard::winners`].
    pub fn named(&self) -> Vec<Address> {
        if self.kind == DisputeKind::Quote { alloc::vec![self.by] } else { self.winners() }
    }

    /// True while its committees' stake is locked.
    pub fn holds_stake(&self) -> bool {
        self.ended.is_none() && !self.jurors.is_empty()
    }

    /// The money of the dispute itself, once it has ended: deposits, and what committees lost. What the job's own
    /// ending moves is the job's [`Settlement`]. `None` on overflow.
    pub fn settlement(&self, terms: &JobTerms) -> Option<Settlement> {
        let mut all = Settlement::default();
        let Some((ruling, _)) = self.ended else { return Some(all) };
        all.lines = deposit_lines(terms, self.kind, self.from, ruling)?;
        if let Some(review) = self.review() {
            all.lines.extend(appeal_lines(terms, review)?);
        }
        for share in self.lost(terms) {
            let lost = Settlement::of_juror(terms, share)?;
            all.lines.extend(lost.lines);
            all.stake_slashed = all.stake_slashed.checked_add(lost.stake_slashed)?;
        }
        Some(all)
    }

    /// The share of its stake that each of those loses who lose any.
    fn lost(&self, terms: &JobTerms) -> Vec<BasisPoints> {
        let (first, second) = (self.found_first(), self.found_second());
        let overturned = self.review() == Some(Review::Overturned);
        let of_first = self.first().iter().filter_map(|juror| match (self.verdict(juror), first) {
            (found, Some(agreed)) if overturned => appeal::lost_by(terms, Opinion::of(found, agreed), true),
            (found, agreed) => lost_by(terms, found, agreed),
        });
        let of_second = self.second().iter().filter_map(|juror| lost_by(terms, self.verdict(juror), second));
        of_first.chain(of_second).collect()
    }
}

/// How many they are: two committees at most of any dispute that a chain has ruled.
fn count(jurors: &[Address]) -> u8 {
    u8::try_from(jurors.len()).unwrap_or(u8::MAX)
}
