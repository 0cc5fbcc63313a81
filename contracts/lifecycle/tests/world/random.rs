//! Random commands by random callers. Steps name things by small numbers, so that most of them meet
//! something that exists, and shrink well.

use super::*;
use encompute_protocol::{PlatformId, Rating, RatingReason, call::*, dispute::Proceeding};
use proptest::prelude::*;
use std::sync::LazyLock;

/// One thing that somebody does. Numbers wrap around what exists.
#[derive(Clone, Debug)]
pub enum Step {
    Request { user: u8, version: u8, split: u8, offer: Option<u8>, custody: bool, tip: u8, short: bool, by: Option<u8> },
    Claim { worker: u8, job: u8 },
    Commit { worker: u8, job: u8, forged: bool },
    Send { user: u8, job: u8 },
    Answer { creator: u8, job: u8 },
    Accept { user: u8, job: u8 },
    Cancel { user: u8, job: u8 },
    Refuse { creator: u8, job: u8 },
    Poke { job: u8 },
    Dispute { user: u8, job: u8, kind: u8, short: bool },
    Seal { worker: u8, job: u8, verdict: u8 },
    Reveal { worker: u8, job: u8, forged: bool },
    Post { who: u8, job: u8, part: u8 },
    Hear { job: u8, verdict: u8 },
    Appeal { who: u8, job: u8, short: bool },
    Rate { user: u8, job: u8, grade: u8 },
    Prune { who: u8, job: u8, short: bool },
    Withdraw { who: u8 },
    Stake { worker: u8, what: u8, amount: u16 },
    Bond { creator: u8, what: u8, amount: u16 },
    Register { worker: u8, life: u16 },
    Capacity { worker: u8, capacity: u8 },
    Version { creator: u8, version: u8, what: u8 },
    Govern { what: u8, number: u8 },
    Session { what: u8, who: u8, number: u8 },
    Sponsor { what: u8, who: u8, amount: u16 },
    Jump { blocks: u16 },
}

/// A step; those that carry a job forward are drawn most often.
pub fn step() -> impl Strategy<Value = Step> {
    let (n, job) = (any::<u8>(), any::<u8>());
    prop_oneof![
        6 => (n, 0..4_u8, 0..2_u8, prop::option::of(0..4_u8), prop::bool::weighted(0.1), n, prop::bool::weighted(0.05))
            .prop_flat_map(|(user, version, split, offer, custody, tip, short)| {
                prop::option::weighted(0.5, any::<u8>())
                    .prop_map(move |by| Step::Request { user, version, split, offer, custody, tip, short, by })
            }),
        5 => (n, job).prop_map(|(worker, job)| Step::Claim { worker, job }),
        6 => (n, job, prop::bool::weighted(0.1)).prop_map(|(worker, job, forged)| Step::Commit { worker, job, forged }),
        6 => (n, job).prop_map(|(user, job)| Step::Send { user, job }),
        6 => (n, job).prop_map(|(creator, job)| Step::Answer { creator, job }),
        3 => (n, job).prop_map(|(user, job)| Step::Accept { user, job }),
        1 => (n, job).prop_map(|(user, job)| Step::Cancel { user, job }),
        1 => (n, job).prop_map(|(creator, job)| Step::Refuse { creator, job }),
        4 => job.prop_map(|job| Step::Poke { job }),
        6 => (n, job, 0..12_u8, prop::bool::weighted(0.05))
            .prop_map(|(user, job, kind, short)| Step::Dispute { user, job, kind, short }),
        7 => (n, job, 0..6_u8).prop_map(|(worker, job, verdict)| Step::Seal { worker, job, verdict }),
        7 => (n, job, prop::bool::weighted(0.1)).prop_map(|(worker, job, forged)| Step::Reveal { worker, job, forged }),
        2 => (n, job, 0..6_u8).prop_map(|(who, job, part)| Step::Post { who, job, part }),
        1 => (n, job, 0..7_u8).prop_map(|(user, job, grade)| Step::Rate { user, job, grade }),
        3 => (n, job, prop::bool::weighted(0.1)).prop_map(|(who, job, short)| Step::Prune { who, job, short }),
        9 => (job, 0..6_u8).prop_map(|(job, verdict)| Step::Hear { job, verdict }),
        3 => (n, job, prop::bool::weighted(0.05)).prop_map(|(who, job, short)| Step::Appeal { who, job, short }),
        2 => n.prop_map(|who| Step::Withdraw { who }),
        2 => (n, 0..3_u8, any::<u16>()).prop_map(|(worker, what, amount)| Step::Stake { worker, what, amount }),
        2 => (n, 0..3_u8, any::<u16>()).prop_map(|(creator, what, amount)| Step::Bond { creator, what, amount }),
        1 => (n, 1..20_000_u16).prop_map(|(worker, life)| Step::Register { worker, life }),
        1 => (n, 0..4_u8).prop_map(|(worker, capacity)| Step::Capacity { worker, capacity }),
        1 => (n, 0..4_u8, 0..4_u8).prop_map(|(creator, version, what)| Step::Version { creator, version, what }),
        2 => (0..9_u8, n).prop_map(|(what, number)| Step::Govern { what, number }),
        3 => (0..8_u8, n, n).prop_map(|(what, who, number)| Step::Session { what, who, number }),
        2 => (0..4_u8, n, any::<u16>()).prop_map(|(what, who, amount)| Step::Sponsor { what, who, amount }),
        4 => prop_oneof![4 => 1..8_u16, 2 => 8..40_u16, 1 => 40..3_000_u16].prop_map(|blocks| Step::Jump { blocks }),
    ]
}

fn pick<T: Copy>(from: &[T], number: u8) -> T {
    from[number as usize % from.len()]
}

/// Where every sequence begins: signed once, for signatures are most of what a sequence would cost. Half of all jobs are
/// drawn for an audit.
static BEGINNING: LazyLock<World> = LazyLock::new(|| World::auditing(BasisPoints(5_000)).with_more());

/// The same with a head of each kind of committee that was found wrong, and one whose appeal is being heard: from nothing
/// few sequences come as far.
static RULED: LazyLock<World> = LazyLock::new(|| BEGINNING.clone().with_rulings());

/// Where a sequence of a number begins.
pub fn beginning(number: u64) -> World {
    if number.is_multiple_of(3) { RULED.clone() } else { BEGINNING.clone() }
}

impl World {
    fn a_job(&self, number: u8) -> JobId {
        // Mostly one of the last, which are the ones that still move.
        let jobs = self.market.counts().jobs.max(1);
        let back = if number < 224 { u64::from(number) % 6 } else { u64::from(number) };
        JobId(jobs - back % jobs)
    }

    /// Who is right for `job` three times out of four, anybody of `from` else.
    fn role(&self, right: Option<Address>, from: &[Address], number: u8) -> Address {
        match right {
            Some(address) if !number.is_multiple_of(4) => address,
            _ => pick(from, number / 4),
        }
    }

    /// The call that a step makes, with who makes it and what is sent along. None for a jump.
    pub fn command(&mut self, step: &Step) -> Option<(Address, Plancks, Command)> {
        let free = |who, command: Command| Some((who, Plancks::ZERO, command));
        match *step {
            Step::Request { user, version, split, offer, custody, tip, short, by } => {
                let user = pick(&USERS, user);
                let mut message = self.request_message(VersionId(1 + u32::from(version)), SplitIndex(split));
                message.tip = Plancks(tip.into());
                message.offer = offer.map(|worker| match worker as usize % WORKERS.len() {
                    worker if custody => self.custody_offer(worker, user, &message),
                    worker => self.offer(worker, user, &message),
                });
                message.sponsor = by.and_then(|number| self.who_pays_for(user, number));
                let escrow = self.escrow(message.version, message.split, message.tip).unwrap_or_default();
                let sent = match message.sponsor {
                    Some(_) => u128::from(short),
                    None => escrow.0 - u128::from(short && escrow.0 > 0),
                };
                Some((user, Plancks(sent), message.into()))
            }
            Step::Claim { worker, job } => {
                let job = self.a_job(job);
                // Mostly once the draw is known, by one that was drawn: waiting is no step that is drawn often enough.
                let draw = self.turns(job).filter(|_| !worker.is_multiple_of(8));
                if let Some(draw) = &draw {
                    self.block = self.block.max(draw.decides.0 + 1);
                }
                let drawn: Vec<_> = self.turns(job).into_iter().flat_map(|draw| draw.turns).collect();
                let turn = drawn.first().filter(|_| draw.is_some());
                if let Some(turn) = turn.filter(|_| worker.is_multiple_of(2)) {
                    self.block = self.block.max(turn.from.0);
                }
                free(self.role(turn.map(|turn| turn.worker), &WORKERS, worker), ClaimJob { job }.into())
            }
            Step::Commit { worker, job, forged } => {
                let job = self.a_job(job);
                let holder = self.market.job_progress(job).and_then(|progress| progress.worker);
                let caller = self.role(holder, &WORKERS, worker);
                let at = self.place(caller);
                let mut message = self.commitment(at, job);
                if forged {
                    message.output = self.digest();
                }
                free(caller, message.into())
            }
            Step::Send { user, job } => {
                let job = self.a_job(job);
                let terms = self.market.job_terms(job);
                // Where the worker has the key it is mostly the worker that sends.
                let keeper = self.market.job_progress(job).and_then(|progress| progress.worker);
                let keeper = keeper.filter(|_| terms.is_some_and(|terms| terms.custody) && !user.is_multiple_of(3));
                let caller = self.role(keeper.or(terms.map(|terms| terms.user)), &USERS, user);
                let (policy, features) = (PolicyId(1), self.digest());
                free(caller, SendFeatures { job, policy, features }.into())
            }
            Step::Answer { creator, job } => {
                let job = self.a_job(job);
                let caller = self.role(self.creator_of(job), &CREATORS, creator);
                let result = self.digest();
                free(caller, CommitResult { job, result }.into())
            }
            Step::Accept { user, job } => {
                let job = self.a_job(job);
                let owner = self.market.job_terms(job).map(|terms| terms.user);
                free(self.role(owner, &USERS, user), AcceptResult { job }.into())
            }
            Step::Cancel { user, job } => {
                let job = self.a_job(job);
                let owner = self.market.job_terms(job).map(|terms| terms.user);
                free(self.role(owner, &USERS, user), CancelJob { job }.into())
            }
            Step::Refuse { creator, job } => {
                let job = self.a_job(job);
                free(self.role(self.creator_of(job), &CREATORS, creator), RefuseFeatures { job }.into())
            }
            Step::Poke { job } => {
                // Whom a committee waits for is often poked.
                let job = if job.is_multiple_of(2) { self.a_disputed_job(job) } else { self.a_job(job) };
                free(STRANGER, PokeJob { job }.into())
            }
            Step::Withdraw { who } => {
                let all = [&USERS[..], &CREATORS, &PAYOUTS, &[TREASURY, STRANGER, sponsors::SPONSOR]].concat();
                free(pick(&all, who), WithdrawCredit { to: None }.into())
            }
            Step::Jump { .. } => None,
            Step::Session { what, who, number } => self.about_sessions(what, who, number),
            Step::Sponsor { what, who, amount } => self.about_allowances(what, who, amount),
            Step::Dispute { .. } | Step::Seal { .. } | Step::Reveal { .. } | Step::Post { .. } => self.quarrel(step),
            Step::Hear { job, verdict } => self.hear(job, verdict),
            Step::Appeal { who, job, short } => self.appeals(who, job, short),
            Step::Rate { user, job, grade } => {
                let job = self.a_job(job);
                let owner = self.market.job_terms(job).map(|terms| terms.user);
                let rating = Rating { grade, why: RatingReason::General };
                free(self.role(owner, &USERS, user), RateJob { job, rating }.into())
            }
            Step::Prune { who, job, short } => {
                // Mostly one that has ended.
                let over = |id: &JobId| self.kept_until(*id).is_some();
                let sessions: Vec<_> = self.sessions().map(|session| session.first()).filter(over).collect();
                // A session that is over, if there is one, and late enough: few are.
                let late = who.is_multiple_of(4) || !sessions.is_empty();
                let ended = if sessions.is_empty() { self.jobs().filter(over).collect() } else { sessions };
                let job = if ended.is_empty() || job.is_multiple_of(8) { self.a_job(job) } else { pick(&ended, job) };
                let caller = pick(&[USERS[0], USERS[1], WORKERS[0], CREATORS[0], STRANGER], who);
                // Records are kept for far longer than steps wait: every fourth attempt at a job's comes late enough.
                if let Some(until) = self.kept_until(job).filter(|_| late) {
                    self.block = self.block.max(until.0 + 1);
                }
                let owed = self.owed_for_pruning(caller, job).unwrap_or_default();
                Some((caller, Plancks(owed.0 - u128::from(short && owed.0 > 0)), PruneJob { job }.into()))
            }
            _ => self.deposit_or_rule(step),
        }
    }

    /// A verdict on a job: mostly the same, or no committee would ever agree. Who hears an appeal mostly says otherwise of
    /// every second job.
    fn opinion(&self, job: JobId, number: u8) -> encompute_protocol::Verdict {
        let on_appeal = self.market.dispute(job).is_some_and(|record| record.appealed.is_some());
        let mostly = (job.0 % 2) * u64::from(!on_appeal || job.0 % 4 == 1);
        disputes::VERDICTS[if number < 4 { mostly as usize } else { usize::from(number) - 3 }]
    }

    /// The worker of a job that was ruled appeals, mostly.
    fn appeals(&self, who: u8, job: u8, short: bool) -> Option<(Address, Plancks, Command)> {
        let ruled: Vec<_> = self.jobs().filter(|job| self.is_ruled(*job)).collect();
        let job = if ruled.is_empty() { self.a_disputed_job(job) } else { pick(&ruled, job) };
        let worker = self.market.job_progress(job)?.worker;
        let value = Plancks(self.appeal_deposit(job).0 - u128::from(short));
        Some((self.role(worker, &WORKERS, who), value, AppealRuling { job }.into()))
    }

    /// A job that is disputed, if there is one; mostly any other is not worth a step.
    fn a_disputed_job(&self, number: u8) -> JobId {
        let mut disputed: Vec<_> = self.jobs().filter(|job| self.market.dispute(*job).is_some()).collect();
        // Mostly one whose committee, or whose worker, still has something to say.
        let quoting = |job: &JobId| self.progress(*job).stage == Stage::Disputed(DisputeKind::Quote);
        let waits = |job: &JobId| quoting(job) || !self.jurors(*job).is_empty();
        if disputed.iter().any(waits) && !number.is_multiple_of(4) {
            disputed.retain(waits);
        }
        if disputed.is_empty() { self.a_job(number) } else { pick(&disputed, number / 4) }
    }

    /// One of a committee, three times out of four.
    fn a_juror(&self, job: JobId, number: u8) -> usize {
        let jurors = if self.market.dispute(job).is_some() { self.jurors(job) } else { Vec::new() };
        if number.is_multiple_of(4) || jurors.is_empty() {
            usize::from(number / 4) % self.workers().len()
        } else {
            pick(&jurors, number / 4)
        }
    }

    /// The next thing that a dispute waits for, done by whom it waits for.
    fn hear(&mut self, job: u8, verdict: u8) -> Option<(Address, Plancks, Command)> {
        let free = |who, command: Command| Some((who, Plancks::ZERO, command));
        let job = self.a_disputed_job(job);
        match self.market.dispute(job)?.proceeding {
            Proceeding::Drawing => free(STRANGER, PokeJob { job }.into()),
            Proceeding::Sealing(jurors) => {
                let juror = jurors.iter().position(|juror| juror.seal.is_none())?;
                free(
                    jurors[juror].account,
                    self.seal_message(self.jurors(job)[juror], job, self.opinion(job, verdict)).into(),
                )
            }
            Proceeding::Revealing(jurors) => {
                let juror = jurors.iter().position(|juror| juror.seal.is_some() && juror.verdict.is_none())?;
                let verdict = self.sealed(self.jurors(job)[juror], job)?;
                free(jurors[juror].account, RevealVerdict { job, verdict, salt: disputes::SALT }.into())
            }
            Proceeding::Posting(_) | Proceeding::Ruled(_) => None,
            // Every sixth says nothing, or something that is no answer.
            Proceeding::Quoting { .. } if verdict == 0 => None,
            Proceeding::Quoting { .. } => {
                let worker = self.market.job_progress(job)?.worker?;
                let mut message = self.quote_for(job);
                if verdict == 1 {
                    message = self.quote_with((0, 1), job, &self.wanted_report_data(job));
                }
                free(worker, message.into())
            }
        }
    }

    fn quarrel(&mut self, step: &Step) -> Option<(Address, Plancks, Command)> {
        let free = |who, command: Command| Some((who, Plancks::ZERO, command));
        match *step {
            Step::Dispute { user, job, kind, short } => {
                let stands = |job: &JobId| {
                    let stage = self.progress(*job).stage;
                    // Of features there are audits and quotes.
                    matches!(stage, Stage::HeadCommitted | Stage::ResultCommitted)
                        || kind >= 7 && stage == Stage::FeaturesSent
                };
                let open: Vec<_> = self.jobs().filter(stands).collect();
                let job = if open.is_empty() || job.is_multiple_of(8) { self.a_job(job) } else { pick(&open, job) };
                let terms = self.market.job_terms(job)?;
                let stage = self.market.job_progress(job).map(|progress| progress.stage);
                let kind = match (stage, kind) {
                    (_, 8..) if user.is_multiple_of(3) => DisputeKind::Quote,
                    (_, 8..) => DisputeKind::Audit,
                    (_, 7) => DisputeKind::Quote,
                    // What may be disputed there, mostly.
                    (Some(Stage::ResultCommitted), 0..3) => DisputeKind::Missing,
                    (Some(Stage::ResultCommitted), 3..5) => DisputeKind::Result,
                    (_, 0) => DisputeKind::Missing,
                    (_, 1) => DisputeKind::Result,
                    (_, 2) => DisputeKind::Attestation,
                    (_, 5..7) => DisputeKind::Witness,
                    _ => DisputeKind::Head,
                };
                let sent = self.to_send(job, kind);
                let value = if short { Plancks(sent.0.abs_diff(1)) } else { sent };
                if matches!(kind, DisputeKind::Audit | DisputeKind::Quote) {
                    // Mostly once it is known whether the job was drawn.
                    self.block += 2 * u32::from(!user.is_multiple_of(4));
                }
                let unguessed = kind == DisputeKind::Quote && !user.is_multiple_of(5);
                let evidence =
                    (unguessed || user.is_multiple_of(5) && kind != DisputeKind::Quote).then(|| self.digest());
                Some((self.role(Some(terms.user), &USERS, user), value, OpenDispute { job, kind, evidence }.into()))
            }
            Step::Seal { worker, job, verdict } => {
                let job = self.a_disputed_job(job);
                let worker = self.a_juror(job, worker);
                let verdict = self.opinion(job, verdict);
                free(account(worker), self.seal_message(worker, job, verdict).into())
            }
            Step::Reveal { worker, job, forged } => {
                let job = self.a_disputed_job(job);
                let worker = self.a_juror(job, worker);
                let sealed = self.sealed(worker, job).filter(|_| !forged);
                let verdict = sealed.unwrap_or(disputes::WRONG_OTHERWISE);
                free(account(worker), RevealVerdict { job, verdict, salt: disputes::SALT }.into())
            }
            Step::Post { who, job, part } => {
                let job = self.a_disputed_job(job);
                let posted_by = match self.market.job_progress(job) {
                    Some(progress) if progress.result.is_some() => self.creator_of(job),
                    progress => progress.and_then(|progress| progress.worker),
                };
                let caller = self.role(posted_by, &WORKERS, who);
                let whole = self.market.job_progress(job).map(|_| self.posting(job));
                let message = match part {
                    0 => PostBlob { job, at: 0, part: vec![3; 256], last: false },
                    1 => PostBlob { job, at: 256, part: vec![4; 128], last: false },
                    2 => PostBlob { job, at: 384, part: vec![5; 7], last: true },
                    _ => whole.unwrap_or(PostBlob { job, at: 0, part: Vec::new(), last: true }),
                };
                free(caller, message.into())
            }
            _ => None,
        }
    }

    fn deposit_or_rule(&mut self, step: &Step) -> Option<(Address, Plancks, Command)> {
        let free = |who, command: Command| Some((who, Plancks::ZERO, command));
        match *step {
            Step::Stake { worker, what, amount } => {
                let (who, amount) = (pick(&WORKERS, worker), Plancks(amount.into()));
                match what {
                    0 => Some((who, amount, AddStake {}.into())),
                    1 => free(who, AskStake { amount }.into()),
                    _ => free(who, TakeStake {}.into()),
                }
            }
            Step::Bond { creator, what, amount } => {
                let who = pick(&CREATORS, creator);
                let (model, amount) = (ModelId(1 + u32::from(creator % 2)), Plancks(amount.into()));
                match what {
                    0 => Some((who, amount, AddBond { model }.into())),
                    1 => free(who, AskBond { model, amount }.into()),
                    _ => free(who, TakeBond { model }.into()),
                }
            }
            Step::Register { worker, life } => {
                let worker = worker as usize % WORKERS.len();
                let _ = self.call(WORKERS[worker], BeginRegistration {});
                // Every third time on the machine of the next.
                let machine = if life.is_multiple_of(3) { (worker + 1) % WORKERS.len() } else { worker };
                let message = self.registration_on(machine, worker, self.block + u32::from(life));
                Some((WORKERS[worker], Plancks(100), message.into()))
            }
            Step::Capacity { worker, capacity } => {
                free(pick(&WORKERS, worker), SetCapacity { capacity: capacity.into() }.into())
            }
            Step::Version { creator, version, what } => {
                let who = pick(&CREATORS, creator);
                let version = VersionId(1 + u32::from(version));
                match what {
                    0 => {
                        let model = ModelId(1 + u32::from(creator % 2));
                        let _ = self.publish(who, model);
                        free(who, ActivateVersion { version }.into())
                    }
                    1 => free(who, ActivateVersion { version }.into()),
                    2 => free(who, DeprecateVersion { version }.into()),
                    _ => free(who, RevokeVersion { version }.into()),
                }
            }
            Step::Govern { what, number } => {
                let mut params = params();
                params.head_fee_base = Plancks(1_000 + u128::from(number));
                params.windows.head = Blocks(2 + u32::from(number % 40));
                free(
                    GOVERNOR,
                    match what {
                        0 => SetPaused { paused: true }.into(),
                        1..=3 => SetPaused { paused: false }.into(),
                        4 => AnnounceParams { params }.into(),
                        5 if number.is_multiple_of(8) => WithdrawParams {}.into(),
                        5 => EnactParams {}.into(),
                        6 => AllowMeasurement { measurement: MeasurementId([number; 32]) }.into(),
                        7 if number < 32 => RevokePlatform { platform: pick(&*PLATFORMS, number) }.into(),
                        7 if number < 128 => AllowPlatform { platform: PlatformId([number; 32]) }.into(),
                        7 => CertifyKey { key: MACHINES[number as usize % MACHINES.len()].parts.clone() }.into(),
                        _ if number < 128 => RevokeMeasurement { measurement: pick(&*MEASUREMENTS, number) }.into(),
                        _ => AnnounceParams { params: super::params() }.into(),
                    },
                )
            }
            _ => None,
        }
    }

    pub fn creator_of(&self, job: JobId) -> Option<Address> {
        Some(self.market.model(self.market.job_terms(job)?.model)?.creator)
    }

    /// Does a step. True if something changed.
    pub fn take(&mut self, step: &Step) -> bool {
        if let Step::Jump { blocks } = step {
            self.block += u32::from(*blocks);
            return true;
        }
        match self.command(step) {
            Some((caller, value, command)) => {
                let at = self.at(caller, value);
                self.calls.push((at, command.clone()));
                self.market.execute_command(&at, &command).is_ok()
            }
            None => false,
        }
    }
}
