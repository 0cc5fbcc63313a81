//! The books, rebuilt from events alone.
//!
//! Nothing here reads the contract's state or knows its rules: only what each event says about money,
//! what a movement of a deposit means, and that nothing may go below zero. What the replay arrives at is then compared with what the
//! contract says and holds.

mod allowance;
mod session;

pub use session::SessionAccount;

use crate::deposit::Deposit;
use alloc::collections::BTreeMap;
use core::fmt;
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, DisputeKind, Fees, JobId, ModelId, Plancks, PolicyId, Reason, SessionId,
    SplitIndex, Stage, VersionId,
    event::{Cause, Credited, Event, JobRequested, JobStageChanged, Movement},
    market::Totals,
};

/// One job, as events tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobAccount {
    /// Who bought it.
    pub user: Address,
    /// Who pays for the user.
    pub sponsor: Option<Address>,
    /// What was bought.
    pub version: VersionId,
    /// Which split.
    pub split: SplitIndex,
    /// Which release policy.
    pub policy: PolicyId,
    /// The request blob.
    pub input: BlobDigest,
    /// The escrow by part.
    pub fees: Fees,
    /// What was sent for the escrow, or spent of an allowance.
    pub paid_in: Plancks,
    /// Where it stands; none before its first stage event.
    pub stage: Option<Stage>,
    /// Why.
    pub reason: Option<Reason>,
    /// Who holds or held it.
    pub worker: Option<Address>,
    /// Credited from its escrow so far.
    pub from_escrow: Plancks,
    /// Taken from stake and bond for it so far.
    pub slashed: Plancks,
    /// Credited from what was taken so far.
    pub from_slashes: Plancks,
    /// Stake and bond that it holds now; nothing once it has ended.
    pub held: Plancks,
    /// Staked on its disputes so far.
    pub staked: Plancks,
    /// Credited from what was staked so far.
    pub from_staked: Plancks,
    /// What was sent along when its records were removed, for those who paid for them; none while they are there.
    pub pruned: Option<Plancks>,
    /// Credited from that.
    pub from_pruned: Plancks,
}

/// The books after some events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Money that came in.
    pub deposited: Plancks,
    /// Money that left.
    pub paid: Plancks,
    /// Stakes by worker.
    pub stakes: BTreeMap<Address, Deposit>,
    /// Bonds by model.
    pub bonds: BTreeMap<ModelId, Deposit>,
    /// Credits by account; none is zero.
    pub credits: BTreeMap<Address, Plancks>,
    /// Allowances by sponsor and user; none is zero.
    pub allowances: BTreeMap<(Address, Address), Plancks>,
    /// Jobs.
    pub jobs: BTreeMap<JobId, JobAccount>,
    /// Sessions.
    pub sessions: BTreeMap<SessionId, SessionAccount>,
    /// Block of the last event.
    pub last_block: Option<BlockNumber>,
}

/// An event that contradicts those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LedgerError {
    /// Its block is before the last event's.
    BlockGoesBack {
        /// The event's block.
        found: BlockNumber,
        /// The block before it.
        last: BlockNumber,
    },
    /// It names a job that was never requested.
    UnknownJob(JobId),
    /// It requests a job that exists.
    JobTwice(JobId),
    /// It moves a job from a stage where the job is not.
    WrongStage {
        /// The job.
        job: JobId,
        /// Where the event says it was.
        found: Option<Stage>,
        /// Where it is.
        wanted: Option<Stage>,
    },
    /// It moves a job that has ended.
    MovesAfterEnd(JobId),
    /// It credits from the escrow of a job that has not ended.
    CreditBeforeEnd(JobId),
    /// More was credited than the job's escrow or slashes held.
    Overdrawn(JobId),
    /// It removes the records of a job that has not ended, or once more.
    Pruned(JobId),
    /// A worker's stake would hold less than nothing, or less than jobs hold.
    StakeOverdrawn(Address),
    /// A model's bond would hold less than nothing, or less than jobs hold.
    BondOverdrawn(ModelId),
    /// An account withdrew more or less than its credit.
    WrongWithdrawal {
        /// The account.
        account: Address,
        /// Withdrawn.
        found: Plancks,
        /// Its credit.
        wanted: Plancks,
    },
    /// It spends more of an allowance than there is, for a job that is not theirs or paid for, or other than the escrow; or
    /// it ends one with more or less than is left.
    Allowance {
        /// Who pays.
        sponsor: Address,
        /// Whose jobs.
        user: Address,
    },
    /// It opens a session that exists, ends one that does not run, removes the record of one that runs or twice, or
    /// credits one that has not ended, or more than its escrow.
    Session(SessionId),
    /// Sums exceed what can be counted.
    TooLarge,
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlockGoesBack { found, last } => write!(f, "an event of block {found} follows one of block {last}"),
            Self::UnknownJob(job) => write!(f, "job {job} was never requested"),
            Self::JobTwice(job) => write!(f, "job {job} is requested twice"),
            Self::WrongStage { job, found, wanted } => {
                write!(f, "job {job} moves from {found:?}, but it is at {wanted:?}")
            }
            Self::MovesAfterEnd(job) => write!(f, "job {job} moves after it has ended"),
            Self::CreditBeforeEnd(job) => write!(f, "the escrow of job {job} is credited before it has ended"),
            Self::Pruned(job) => write!(f, "the records of job {job} are removed before its end, or twice"),
            Self::Overdrawn(job) => write!(f, "job {job} credits more than it holds"),
            Self::StakeOverdrawn(worker) => write!(f, "the stake of {worker} is overdrawn"),
            Self::BondOverdrawn(model) => write!(f, "the bond of model {model} is overdrawn"),
            Self::WrongWithdrawal { account, found, wanted } => {
                write!(f, "{account} withdraws {found}, its credit is {wanted}")
            }
            Self::Allowance { sponsor, user } => {
                write!(f, "the books of what {sponsor} allows {user} contradict themselves")
            }
            Self::Session(session) => write!(f, "the books of session {session} contradict themselves"),
            Self::TooLarge => f.write_str("sums exceed what can be counted"),
        }
    }
}

impl core::error::Error for LedgerError {}

/// A sum in the books of one job that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imbalance {
    /// The job.
    pub job: JobId,
    /// Credited, paid in, or still held.
    pub found: Plancks,
    /// What escrow or slashes held or take, or zero for what is still held.
    pub wanted: Plancks,
}

fn add(sum: &mut Plancks, amount: Plancks) -> Result<(), LedgerError> {
    *sum = sum.checked_add(amount).ok_or(LedgerError::TooLarge)?;
    Ok(())
}

impl Ledger {
    /// The books after all of `events`.
    ///
    /// # Errors
    /// The first event that contradicts those before it, by its position, and how.
    pub fn replay<'a>(
        events: impl IntoIterator<Item = &'a (BlockNumber, Event)>,
    ) -> Result<Self, (usize, LedgerError)> {
        let mut ledger = Self::default();
        for (position, (block, event)) in events.into_iter().enumerate() {
            ledger.record(*block, event).map_err(|error| (position, error))?;
        }
        Ok(ledger)
    }

    /// Enters one event.
    ///
    /// # Errors
    /// [`LedgerError`]; the books are unusable then.
    pub fn record(&mut self, block: BlockNumber, event: &Event) -> Result<(), LedgerError> {
        if let Some(last) = self.last_block.filter(|last| *last > block) {
            return Err(LedgerError::BlockGoesBack { found: block, last });
        }
        self.last_block = Some(block);
        match event {
            Event::JobRequested(requested) => self.request(requested),
            Event::JobStageChanged(changed) => self.stage(changed),
            Event::Credited(credited) => match self.sessions.get_mut(&SessionId(credited.job.0)) {
                Some(session) => {
                    session.credit(credited)?;
                    add(self.credits.entry(credited.account).or_default(), credited.amount)
                }
                None => self.credit(credited),
            },
            Event::SessionOpened(opened) => {
                let account = SessionAccount::of(opened)?;
                add(&mut self.deposited, account.escrow)?;
                match self.sessions.insert(opened.session, account) {
                    None if !self.jobs.contains_key(&opened.session.first()) => Ok(()),
                    _ => Err(LedgerError::Session(opened.session)),
                }
            }
            Event::SessionClosed(closed) => {
                let session = self.sessions.get_mut(&closed.session).filter(|session| !session.ended);
                session.ok_or(LedgerError::Session(closed.session))?.ended = true;
                Ok(())
            }
            Event::Withdrawn(withdrawn) => {
                let wanted = self.credits.remove(&withdrawn.account).unwrap_or_default();
                if withdrawn.amount != wanted {
                    let (account, found) = (withdrawn.account, withdrawn.amount);
                    return Err(LedgerError::WrongWithdrawal { account, found, wanted });
                }
                add(&mut self.paid, wanted)
            }
            Event::StakeMoved(moved) => {
                let stake = self.stakes.entry(moved.worker).or_default();
                let next = stake.moved(moved.movement, moved.amount);
                *stake = next.ok_or(LedgerError::StakeOverdrawn(moved.worker))?;
                self.cash(moved.job, moved.movement, moved.amount)
            }
            Event::BondMoved(moved) => {
                let bond = self.bonds.entry(moved.model).or_default();
                let next = bond.moved(moved.movement, moved.amount);
                *bond = next.ok_or(LedgerError::BondOverdrawn(moved.model))?;
                self.cash(moved.job, moved.movement, moved.amount)
            }
            Event::AllowanceMoved(moved) => self.allow(moved),
            Event::CreditStaked(staked) => {
                let job = self.jobs.get_mut(&staked.job).ok_or(LedgerError::UnknownJob(staked.job))?;
                add(&mut job.staked, staked.amount)?;
                let credit = self.credits.remove(&staked.account).unwrap_or_default();
                let left = credit.checked_sub(staked.amount).ok_or(LedgerError::Overdrawn(staked.job))?;
                if !left.is_zero() {
                    self.credits.insert(staked.account, left);
                }
                Ok(())
            }
            // Its deposit was a credit, and said so.
            Event::DisputeOpened(opened) if opened.kind == DisputeKind::Audit => Ok(()),
            Event::DisputeOpened(opened) => {
                let job = self.jobs.get_mut(&opened.job).ok_or(LedgerError::UnknownJob(opened.job))?;
                add(&mut job.staked, opened.deposit)?;
                add(&mut self.deposited, opened.deposit)
            }
            Event::RulingAppealed(appealed) => {
                let job = self.jobs.get_mut(&appealed.job).ok_or(LedgerError::UnknownJob(appealed.job))?;
                add(&mut job.staked, appealed.deposit)?;
                add(&mut self.deposited, appealed.deposit)
            }
            Event::JobPruned(pruned) => {
                if let Some(session) = self.sessions.get_mut(&SessionId(pruned.job.0)) {
                    session.prune(pruned.returned)?;
                    return add(&mut self.deposited, pruned.returned);
                }
                let job = self.jobs.get_mut(&pruned.job).ok_or(LedgerError::UnknownJob(pruned.job))?;
                if !job.has_ended() || job.pruned.replace(pruned.returned).is_some() {
                    return Err(LedgerError::Pruned(pruned.job));
                }
                add(&mut self.deposited, pruned.returned)
            }
            // No money moves by any of these.
            Event::JurorDrawn(_)
            | Event::VerdictSealed(_)
            | Event::VerdictRevealed(_)
            | Event::BlobPosted(_)
            | Event::QuoteDemanded(_)
            | Event::QuoteShown(_)
            | Event::Rated(_)
            | Event::HeadCommitted(_)
            | Event::FeaturesSent(_)
            | Event::ResultCommitted(_)
            | Event::ModelListed(_)
            | Event::VersionPublished(_)
            | Event::VersionStatusChanged(_)
            | Event::NonceIssued(_)
            | Event::WorkerRegistered(_)
            | Event::CapacityChanged(_)
            | Event::MeasurementAllowed(_)
            | Event::MeasurementRevoked(_)
            | Event::PlatformAllowed(_)
            | Event::PlatformRevoked(_)
            | Event::KeyCertified(_)
            | Event::ParamsAnnounced(_)
            | Event::ParamsWithdrawn(_)
            | Event::ParamsChanged(_)
            | Event::PausedChanged(_)
            | Event::GovernorChanged(_)
            | Event::SessionClosing(_)
            | Event::SessionsTaken(_) => Ok(()),
        }
    }

    /// The sums that the contract should name and its balance should cover.
    ///
    /// # Errors
    /// [`LedgerError::TooLarge`].
    pub fn totals(&self) -> Result<Totals, LedgerError> {
        let mut totals = Totals::default();
        for job in self.jobs.values().filter(|job| !job.has_ended()) {
            add(&mut totals.escrow, job.fees.total().ok_or(LedgerError::TooLarge)?)?;
        }
        for session in self.sessions.values().filter(|session| !session.ended) {
            add(&mut totals.escrow, session.escrow)?;
        }
        for job in self.jobs.values() {
            let open = job.staked.checked_sub(job.from_staked).ok_or(LedgerError::TooLarge)?;
            add(&mut totals.deposits, open)?;
        }
        self.stakes.values().try_for_each(|stake| add(&mut totals.stakes, stake.amount))?;
        self.bonds.values().try_for_each(|bond| add(&mut totals.bonds, bond.amount))?;
        self.credits.values().try_for_each(|credit| add(&mut totals.credits, *credit))?;
        self.allowances.values().try_for_each(|allowance| add(&mut totals.allowances, *allowance))?;
        Ok(totals)
    }

    /// What the contract's account should hold: what came in less what left.
    ///
    /// # Errors
    /// [`LedgerError::TooLarge`] where more left than came in.
    pub fn balance(&self) -> Result<Plancks, LedgerError> {
        self.deposited.checked_sub(self.paid).ok_or(LedgerError::TooLarge)
    }

    /// Jobs whose books are open where they should be closed: jobs that nobody paid for, ended jobs whose credits are not
    /// their escrow or that still hold stake or bond, and any whose slashes, deposits of disputes that are over, or money for
    /// removed records were not all credited.
    pub fn imbalances(&self) -> impl Iterator<Item = Imbalance> {
        self.jobs.iter().filter_map(|(id, job)| {
            let escrow = job.fees.total().unwrap_or_default();
            if job.paid_in != escrow {
                return Some(Imbalance { job: *id, found: job.paid_in, wanted: escrow });
            }
            if job.has_ended() && job.from_escrow != escrow {
                return Some(Imbalance { job: *id, found: job.from_escrow, wanted: escrow });
            }
            if job.has_ended() && !job.held.is_zero() {
                return Some(Imbalance { job: *id, found: job.held, wanted: Plancks::ZERO });
            }
            let is_disputed = matches!(job.stage, Some(Stage::Disputed(_)));
            if !is_disputed && job.from_staked != job.staked {
                return Some(Imbalance { job: *id, found: job.from_staked, wanted: job.staked });
            }
            let pruned = job.pruned.unwrap_or_default();
            if job.from_pruned != pruned {
                return Some(Imbalance { job: *id, found: job.from_pruned, wanted: pruned });
            }
            let (found, wanted) = (job.from_slashes, job.slashed);
            (found != wanted).then_some(Imbalance { job: *id, found, wanted })
        })
    }

    /// Ended sessions whose credits are not their escrow, or for whose removed record not everything was credited.
    pub fn session_imbalances(&self) -> impl Iterator<Item = Imbalance> {
        self.sessions.iter().filter_map(|(id, session)| {
            let (found, wanted) = session.off_balance()?;
            Some(Imbalance { job: id.first(), found, wanted })
        })
    }

    fn request(&mut self, event: &JobRequested) -> Result<(), LedgerError> {
        let JobRequested { job, user, version, split, policy, input, fees, sponsor } = event.clone();
        let escrow = fees.total().ok_or(LedgerError::TooLarge)?;
        // What a sponsor pays came in with the allowance.
        let paid_in = if sponsor.is_none() { escrow } else { Plancks::ZERO };
        add(&mut self.deposited, paid_in)?;
        let account = JobAccount {
            user,
            sponsor,
            version,
            split,
            policy,
            input,
            fees,
            paid_in,
            stage: None,
            reason: None,
            worker: None,
            from_escrow: Plancks::ZERO,
            slashed: Plancks::ZERO,
            from_slashes: Plancks::ZERO,
            held: Plancks::ZERO,
            staked: Plancks::ZERO,
            from_staked: Plancks::ZERO,
            pruned: None,
            from_pruned: Plancks::ZERO,
        };
        match self.jobs.insert(job, account) {
            None => Ok(()),
            Some(_) => Err(LedgerError::JobTwice(job)),
        }
    }

    fn stage(&mut self, event: &JobStageChanged) -> Result<(), LedgerError> {
        let job = self.jobs.get_mut(&event.job).ok_or(LedgerError::UnknownJob(event.job))?;
        if job.has_ended() {
            return Err(LedgerError::MovesAfterEnd(event.job));
        }
        if job.stage != event.from {
            return Err(LedgerError::WrongStage { job: event.job, found: event.from, wanted: job.stage });
        }
        (job.stage, job.reason, job.worker) = (Some(event.to), event.reason, event.worker);
        Ok(())
    }

    fn credit(&mut self, event: &Credited) -> Result<(), LedgerError> {
        let job = self.jobs.get_mut(&event.job).ok_or(LedgerError::UnknownJob(event.job))?;
        let (sum, held) = if event.cause == Cause::Slash {
            (&mut job.from_slashes, job.slashed)
        } else if event.cause == Cause::Deposit {
            (&mut job.from_staked, job.staked)
        } else if event.cause == Cause::Storage {
            (&mut job.from_pruned, job.pruned.unwrap_or_default())
        } else if job.stage.is_some_and(Stage::is_terminal) {
            (&mut job.from_escrow, job.fees.total().ok_or(LedgerError::TooLarge)?)
        } else {
            return Err(LedgerError::CreditBeforeEnd(event.job));
        };
        add(sum, event.amount)?;
        if *sum > held {
            return Err(LedgerError::Overdrawn(event.job));
        }
        add(self.credits.entry(event.account).or_default(), event.amount)
    }

    /// What a movement of stake or bond means for money in, money out and the job it is for.
    fn cash(&mut self, job: Option<JobId>, movement: Movement, amount: Plancks) -> Result<(), LedgerError> {
        match movement {
            Movement::Added => add(&mut self.deposited, amount),
            Movement::Taken => add(&mut self.paid, amount),
            Movement::Asked => Ok(()),
            // Nothing is held or slashed but for a job.
            Movement::Locked | Movement::Released | Movement::Slashed => {
                let id = job.unwrap_or_default();
                let job = self.jobs.get_mut(&id).ok_or(LedgerError::UnknownJob(id))?;
                if movement == Movement::Locked {
                    return add(&mut job.held, amount);
                }
                job.held = job.held.checked_sub(amount).ok_or(LedgerError::Overdrawn(id))?;
                if movement == Movement::Slashed { add(&mut job.slashed, amount) } else { Ok(()) }
            }
        }
    }
}

impl JobAccount {
    /// True once nothing can happen any more.
    pub fn has_ended(&self) -> bool {
        self.stage.is_some_and(Stage::is_terminal)
    }
}
