//! Random commands by random callers. Steps name things by small numbers, so that most of them meet
//! something that exists, and shrink well.

use super::*;
use encompute_protocol::call::*;
use proptest::prelude::*;

/// One thing that somebody does. Numbers wrap around what exists.
#[derive(Clone, Debug)]
pub enum Step {
    Request { user: u8, version: u8, split: u8, offer: Option<u8>, tip: u8, short: bool },
    Claim { worker: u8, job: u8 },
    Commit { worker: u8, job: u8, forged: bool },
    Send { user: u8, job: u8 },
    Answer { creator: u8, job: u8 },
    Accept { user: u8, job: u8 },
    Cancel { user: u8, job: u8 },
    Refuse { creator: u8, job: u8 },
    Poke { job: u8 },
    Withdraw { who: u8 },
    Stake { worker: u8, what: u8, amount: u16 },
    Bond { creator: u8, what: u8, amount: u16 },
    Register { worker: u8, life: u16 },
    Capacity { worker: u8, capacity: u8 },
    Version { creator: u8, version: u8, what: u8 },
    Govern { what: u8, number: u8 },
    Jump { blocks: u16 },
}

/// A step; those that carry a job forward are drawn most often.
pub fn step() -> impl Strategy<Value = Step> {
    let (n, job) = (any::<u8>(), any::<u8>());
    prop_oneof![
        6 => (n, 0..4_u8, 0..2_u8, prop::option::of(0..4_u8), n, prop::bool::weighted(0.05)).prop_map(
            |(user, version, split, offer, tip, short)| Step::Request { user, version, split, offer, tip, short }
        ),
        5 => (n, job).prop_map(|(worker, job)| Step::Claim { worker, job }),
        6 => (n, job, prop::bool::weighted(0.1)).prop_map(|(worker, job, forged)| Step::Commit { worker, job, forged }),
        4 => (n, job).prop_map(|(user, job)| Step::Send { user, job }),
        4 => (n, job).prop_map(|(creator, job)| Step::Answer { creator, job }),
        3 => (n, job).prop_map(|(user, job)| Step::Accept { user, job }),
        2 => (n, job).prop_map(|(user, job)| Step::Cancel { user, job }),
        1 => (n, job).prop_map(|(creator, job)| Step::Refuse { creator, job }),
        4 => job.prop_map(|job| Step::Poke { job }),
        2 => n.prop_map(|who| Step::Withdraw { who }),
        2 => (n, 0..3_u8, any::<u16>()).prop_map(|(worker, what, amount)| Step::Stake { worker, what, amount }),
        2 => (n, 0..3_u8, any::<u16>()).prop_map(|(creator, what, amount)| Step::Bond { creator, what, amount }),
        1 => (n, 1..20_000_u16).prop_map(|(worker, life)| Step::Register { worker, life }),
        1 => (n, 0..4_u8).prop_map(|(worker, capacity)| Step::Capacity { worker, capacity }),
        1 => (n, 0..4_u8, 0..4_u8).prop_map(|(creator, version, what)| Step::Version { creator, version, what }),
        2 => (0..8_u8, n).prop_map(|(what, number)| Step::Govern { what, number }),
        4 => prop_oneof![4 => 1..8_u16, 2 => 8..40_u16, 1 => 40..3_000_u16].prop_map(|blocks| Step::Jump { blocks }),
    ]
}

fn pick<T: Copy>(from: &[T], number: u8) -> T {
    from[number as usize % from.len()]
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
            Step::Request { user, version, split, offer, tip, short } => {
                let user = pick(&USERS, user);
                let mut message = self.request_message(VersionId(1 + u32::from(version)), SplitIndex(split));
                message.tip = Plancks(tip.into());
                message.offer = offer.map(|worker| self.offer(worker as usize % 3, user, &message));
                let escrow = self.escrow(message.version, message.split, message.tip).unwrap_or_default();
                Some((user, Plancks(escrow.0 - u128::from(short && escrow.0 > 0)), message.into()))
            }
            Step::Claim { worker, job } => free(pick(&WORKERS, worker), ClaimJob { job: self.a_job(job) }.into()),
            Step::Commit { worker, job, forged } => {
                let job = self.a_job(job);
                let holder = self.market.job_progress(job).and_then(|progress| progress.worker);
                let caller = self.role(holder, &WORKERS, worker);
                let at = WORKERS.iter().position(|known| *known == caller).unwrap();
                let mut message = self.commitment(at, job);
                if forged {
                    message.output = self.digest();
                }
                free(caller, message.into())
            }
            Step::Send { user, job } => {
                let job = self.a_job(job);
                let terms = self.market.job_terms(job);
                let caller = self.role(terms.map(|terms| terms.user), &USERS, user);
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
            Step::Poke { job } => free(STRANGER, PokeJob { job: self.a_job(job) }.into()),
            Step::Withdraw { who } => {
                let all = [&USERS[..], &CREATORS, &PAYOUTS, &[TREASURY, STRANGER]].concat();
                free(pick(&all, who), WithdrawCredit { to: None }.into())
            }
            Step::Jump { .. } => None,
            _ => self.deposit_or_rule(step),
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
                let message = self.registration(worker, self.block + u32::from(life));
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
                        4 | 5 => SetParams { params }.into(),
                        6 => AllowMeasurement { measurement: MeasurementId([number; 32]) }.into(),
                        _ if number < 128 => RevokeMeasurement { measurement: pick(&MEASUREMENTS, number) }.into(),
                        _ => SetParams { params: super::params() }.into(),
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
