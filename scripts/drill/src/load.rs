//! Many jobs at once: throughput, time per step, memory, and where every job and planck ended.

use crate::{
    actor::Actor,
    judge::{Outcome, Parties, judge},
    market::{Books, DrillError, WINDOWS, io, patiently, until_stopped},
    plan::Step,
};
use core::time::Duration;
use encompute_kit::{Habits, Services};
use encompute_protocol::{
    Blocks, JobId, Plancks,
    call::{PokeJob, ReadJob, ReadModel},
    event::Event,
};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};
use tokio::sync::RwLock;

const MODEL: &str = "scripts/models/digits";
const INPUT: &str = "tests/fixtures/digits/grey-28x28-7.png";
const STRANGER: &str = "//Eve";
/// How long one command may take: far above what a crowded machine needs.
const PATIENCE: &str = "300";
/// Windows that a queue of jobs on a busy machine does not outlast.
const BLOCKS: Blocks = Blocks(600);
/// Times that every open job is moved on before what is left counts as stuck.
const SWEEPS: u32 = 12;

/// `xtask load`.
#[derive(clap::Args, Clone)]
pub struct LoadArguments {
    /// Jobs in all
    #[arg(long, default_value_t = 500)]
    pub jobs: u32,
    /// Workers
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub workers: u16,
    /// Creators, each with a model
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub creators: u16,
    /// Users at work at once
    #[arg(long, default_value_t = 12)]
    pub users: u16,
    /// So many jobs in a hundred meet a failure
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub faults: u32,
    /// Print one JSON value instead of text
    #[arg(long)]
    pub json: bool,
}

/// How fast jobs are begun, and until when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// From the beginning of one job to that of the next; zero for as fast as users are free.
    pub(crate) every: Duration,
    /// No job is begun later than this after the first.
    pub(crate) within: Option<Duration>,
}

/// What happens to a job that meets a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    /// Its user's command is killed and never comes back.
    Abandoned,
    /// Its user's command is killed and goes on later.
    Interrupted,
    /// A worker is killed meanwhile, and started again.
    WorkerKilled,
    /// A creator's service is killed meanwhile, and started again.
    CreatorKilled,
}

const MISHAPS: [Mishap; 4] = [Mishap::Abandoned, Mishap::Interrupted, Mishap::WorkerKilled, Mishap::CreatorKilled];

/// The mishap of a job, spread evenly over all: `faults` in a hundred.
fn mishap(job: u32, faults: u32) -> Option<Mishap> {
    let before = |job: u32| u64::from(job) * u64::from(faults) / 100;
    let nth = before(job);
    (before(job + 1) > nth).then(|| MISHAPS[nth as usize % MISHAPS.len()])
}

/// Milliseconds of a step over all jobs that told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Half took at most this.
    pub p50: f64,
    /// Nineteen in twenty took at most this.
    pub p95: f64,
}

/// What a load came to.
#[derive(Clone, Debug, Serialize)]
pub struct Load {
    /// Jobs on chain.
    pub jobs: u64,
    /// That settled.
    pub settled: u32,
    /// That ended otherwise, by the table.
    pub refunded: u32,
    /// That did not end.
    pub stuck: u32,
    /// Plancks that somebody should have been credited and was not.
    pub lost_units: u128,
    /// Credits above the table.
    pub double_payments: u32,
    /// Jobs that were claimed more than once although nobody was late.
    pub double_claims: u32,
    /// True when the books balance.
    pub balanced: bool,
    /// Jobs that met a failure.
    pub mishaps: u32,
    /// From the first command to the last answer.
    pub seconds: f64,
    /// Settled jobs a second.
    pub per_second: f64,
    /// Milliseconds per step, as the users' commands measured them.
    pub steps_ms: BTreeMap<String, Spread>,
    /// Claims per worker.
    pub claims: BTreeMap<String, u32>,
    /// Most memory of each service, in KiB.
    pub peak_kib: BTreeMap<String, u64>,
    /// What commands said that did not end well and met no failure, a few of them.
    pub words: Vec<String>,
}

/// Users at work on a market.
pub(crate) struct Crowd {
    services: RwLock<Services>,
    arguments: LoadArguments,
    pace: Pace,
    began: Instant,
    next: AtomicU32,
    told: Mutex<Vec<Value>>,
    words: Mutex<Vec<String>>,
}

/// Runs the load and prints what came of it.
///
/// # Errors
/// [`DrillError::Found`] unless every job ended and every planck is where it belongs.
pub fn load(arguments: &LoadArguments) -> Result<(), DrillError> {
    let load = until_stopped(carry(arguments))?;
    match arguments.json {
        true => println!("{}", serde_json::to_string(&load).unwrap_or_default()),
        false => println!("{}", serde_json::to_string_pretty(&load).unwrap_or_default()),
    }
    if load.is_clean() { Ok(()) } else { Err(DrillError::Found("the load is not clean; see above".to_owned())) }
}

impl Load {
    /// True when every job ended and every planck is where it belongs.
    pub fn is_clean(&self) -> bool {
        self.stuck == 0 && self.lost_units == 0 && self.double_payments == 0 && self.double_claims == 0 && self.balanced
    }
}

/// Carries a load on a market of its own.
///
/// # Errors
/// [`DrillError`] where it could not go on.
pub async fn carry(arguments: &LoadArguments) -> Result<Load, DrillError> {
    let crowd = Crowd::gather(arguments, Pace::default()).await?;
    crowd.work().await?;
    crowd.sum().await
}

fn account_of(user: u16) -> String {
    format!("//Dave/{user}")
}

/// One user after the other job, until none is left.
async fn serve_user(crowd: Arc<Crowd>, user: u16) -> Result<(), DrillError> {
    let (home, suri) = (format!("user-{user}"), account_of(user));
    loop {
        let job = crowd.next.fetch_add(1, Ordering::Relaxed);
        let begin = crowd.pace.every * job;
        if job >= crowd.arguments.jobs || crowd.pace.within.is_some_and(|within| begin >= within) {
            return Ok(());
        }
        tokio::time::sleep_until((crowd.began + begin).into()).await;
        // Versions are numbered as creators published them.
        let version = (1 + job % u32::from(crowd.arguments.creators)).to_string();
        let submit = ["job", "submit", "--model", &version, "--input", INPUT, "--suri", &suri, "--patience", PATIENCE];
        let resume = ["job", "resume", "--suri", &suri, "--patience", PATIENCE];
        let command = |what: &[&str]| {
            let what = [what, &["--json"]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
            let (crowd, home) = (crowd.clone(), home.clone());
            async move {
                let what: Vec<&str> = what.iter().map(String::as_str).collect();
                crowd.services.read().await.encompute(&home, &what)
            }
        };
        match mishap(job, crowd.arguments.faults) {
            None => {
                if !crowd.run(command(&submit).await).await? {
                    crowd.run(command(&resume).await).await?;
                }
            }
            Some(mishap) => {
                let actor = Actor::start(command(&submit).await).map_err(io("start the user's command"))?;
                crowd.meet(mishap, job, actor).await?;
                if mishap != Mishap::Abandoned {
                    crowd.run(command(&resume).await).await?;
                }
            }
        }
    }
}

impl Crowd {
    /// Starts a market, and users with money.
    pub(crate) async fn gather(arguments: &LoadArguments, pace: Pace) -> Result<Arc<Self>, DrillError> {
        let LoadArguments { workers, creators, users, .. } = *arguments;
        let habits = Habits {
            workers,
            creators,
            capacity: 32,
            heartbeat_ms: 500,
            liars: false,
            machines: false,
            custody: false,
        };
        let services = Services::start(habits, &[MODEL], |params| {
            params.windows = encompute_protocol::Windows { claim: BLOCKS, head: BLOCKS, ..WINDOWS };
            params.windows.features = BLOCKS;
            params.windows.creator = BLOCKS;
            params.windows.accept = BLOCKS;
        })
        .await?;
        for user in 1..=users {
            services.fund(&account_of(user)).await?;
        }
        Ok(Arc::new(Self {
            services: RwLock::new(services),
            arguments: arguments.clone(),
            pace,
            began: Instant::now(),
            next: AtomicU32::new(0),
            told: Mutex::default(),
            words: Mutex::default(),
        }))
    }

    /// Lets all users work until no job is left to begin.
    pub(crate) async fn work(self: &Arc<Self>) -> Result<(), DrillError> {
        let users = 1..=self.arguments.users;
        let at_work: Vec<_> = users.map(|user| tokio::spawn(serve_user(self.clone(), user))).collect();
        for user in at_work {
            user.await.map_err(|error| DrillError::Found(error.to_string()))??;
        }
        Ok(())
    }

    /// Every service's name and process.
    pub(crate) async fn processes(&self) -> Vec<(String, u32)> {
        let services = self.services.read().await;
        services.names().filter_map(|name| Some((name.to_owned(), services.id(name)?))).collect()
    }

    /// Ends what is still open by the rules, and adds everything up.
    pub(crate) async fn sum(&self) -> Result<Load, DrillError> {
        let seconds = self.began.elapsed().as_secs_f64();
        let mut services = self.services.write().await;
        sweep(&services).await?;
        sum(self, &mut services, seconds).await
    }

    /// Runs a command to its end; true if it ended well, which it then tells about.
    async fn run(&self, command: std::process::Command) -> Result<bool, DrillError> {
        let mut command = tokio::process::Command::from(command);
        let command = command.stdin(std::process::Stdio::null()).kill_on_drop(true);
        let output = command.output().await.map_err(io("run the user's command"))?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Ok(value) = serde_json::from_str(line) {
                self.told.lock().unwrap_or_else(PoisonError::into_inner).push(value);
            }
        }
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let last = words.lines().rev().find(|line| line.contains("error")).unwrap_or_default().to_owned();
            self.words.lock().unwrap_or_else(PoisonError::into_inner).push(last);
        }
        Ok(output.status.success())
    }

    async fn meet(&self, mishap: Mishap, job: u32, mut actor: Actor) -> Result<(), DrillError> {
        let name = match mishap {
            Mishap::Abandoned | Mishap::Interrupted => {
                actor.reach(Step::FirstRound).await;
                actor.kill().await;
                return Ok(());
            }
            Mishap::WorkerKilled => format!("worker-{}", 1 + job % u32::from(self.arguments.workers)),
            Mishap::CreatorKilled => format!("creator-{}", 1 + job % u32::from(self.arguments.creators)),
        };
        actor.reach(if mishap == Mishap::WorkerKilled { Step::FirstRound } else { Step::Released }).await;
        let mut services = self.services.write().await;
        services.kill(&name).await;
        services.restart(&name).await?;
        drop(services);
        if actor.ended_within(Duration::from_secs(120)).await.is_none() {
            actor.kill().await;
        }
        Ok(())
    }
}

/// Lets windows pass and moves every open job on, as often as a job can need it.
async fn sweep(services: &Services) -> Result<(), DrillError> {
    for _ in 0..SWEEPS {
        let mut open = 0;
        let stranger = services.account(STRANGER);
        let counts = patiently(|| services.client().read(encompute_protocol::call::ReadCounts {})).await?;
        for job in (1..=counts.jobs).map(JobId) {
            let found = patiently(|| services.client().read(ReadJob { job })).await?;
            if found.is_some_and(|(_, progress)| !progress.stage.is_terminal()) {
                open += 1;
                // One that is not late yet is late at the next sweep.
                drop(stranger.submit(PokeJob { job }, Plancks::ZERO).await);
            }
        }
        if open == 0 {
            return Ok(());
        }
        services.seal(Blocks(BLOCKS.0 + 1)).await?;
    }
    Ok(())
}

async fn sum(crowd: &Crowd, services: &mut Services, seconds: f64) -> Result<Load, DrillError> {
    let mut books = Books::default();
    let ledger = books.ledger(services).await?;
    let counts = patiently(|| services.client().read(encompute_protocol::call::ReadCounts {})).await?;
    let treasury = services.account("//Alice").address();
    let (mut outcomes, mut lost, mut double) = (BTreeMap::<Outcome, u32>::new(), 0, 0);
    for job in (1..=counts.jobs).map(JobId) {
        let Some((terms, _)) = patiently(|| services.client().read(ReadJob { job })).await? else { continue };
        let model = patiently(|| services.client().read(ReadModel { model: terms.model })).await?;
        let parties = Parties { creator: model.map(|(model, _)| model.creator).unwrap_or_default(), treasury };
        let judgement = judge(job, &terms, &parties, books.events());
        *outcomes.entry(judgement.outcome).or_default() += 1;
        lost += judgement.lost.0;
        double += judgement.double_payments;
    }
    let (claims, double_claims) = claims(books.events());
    let told = crowd.told.lock().unwrap_or_else(PoisonError::into_inner);
    let of = |outcome| outcomes.get(&outcome).copied().unwrap_or(0);
    let begun = crowd.next.load(Ordering::Relaxed).min(crowd.arguments.jobs);
    let mishaps = (0..begun).filter(|job| mishap(*job, crowd.arguments.faults).is_some()).count();
    let mut words = crowd.words.lock().unwrap_or_else(PoisonError::into_inner).clone();
    words.truncate(10);
    Ok(Load {
        jobs: counts.jobs,
        settled: of(Outcome::Settled),
        refunded: of(Outcome::Refunded),
        stuck: of(Outcome::Stuck),
        lost_units: lost,
        double_payments: double,
        double_claims,
        balanced: ledger.balanced,
        mishaps: mishaps as u32,
        seconds,
        per_second: f64::from(of(Outcome::Settled)) / seconds.max(1e-9),
        steps_ms: spreads(&told),
        claims,
        peak_kib: services.names().filter_map(|name| Some((name.to_owned(), peak_kib(services.id(name)?)?))).collect(),
        words,
    })
}

/// Claims per worker, and jobs that were claimed again although nobody had been late.
fn claims<'a>(events: impl Iterator<Item = &'a Event>) -> (BTreeMap<String, u32>, u32) {
    let (mut workers, mut open, mut double) = (BTreeMap::new(), BTreeMap::<JobId, i32>::new(), 0);
    for event in events {
        let Event::JobStageChanged(change) = event else { continue };
        let claimed = open.entry(change.job).or_default();
        match change.to {
            encompute_protocol::Stage::Claimed => {
                *workers.entry(change.worker.unwrap_or_default().to_string()).or_default() += 1;
                *claimed += 1;
                double += u32::from(*claimed > 1);
            }
            encompute_protocol::Stage::Requested => *claimed = 0,
            _ => {}
        }
    }
    (workers, double)
}

/// Half and nineteen in twenty of every step that the commands told about.
fn spreads(told: &[Value]) -> BTreeMap<String, Spread> {
    let mut steps: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for job in told.iter().filter(|job| job["stage"] == "settled") {
        for (step, took) in job["steps_ms"].as_object().into_iter().flatten() {
            steps.entry(step.clone()).or_default().extend(took.as_f64());
        }
    }
    let spread = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        let at = |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1)));
        Spread { p50: at(50).copied().unwrap_or(0.0), p95: at(95).copied().unwrap_or(0.0) }
    };
    steps.into_iter().map(|(step, times)| (step, spread(times))).collect()
}

/// The most memory that a process has held.
fn peak_kib(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ten_in_a_hundred_meet_a_failure_and_each_kind_comes() {
        let met: Vec<_> = (0..500).filter_map(|job| mishap(job, 10)).collect();
        assert_eq!(met.len(), 50);
        assert!(MISHAPS.iter().all(|wanted| met.contains(wanted)));
        assert_eq!((0..500).filter_map(|job| mishap(job, 0)).count(), 0);
    }

    #[test]
    fn spreads_are_of_settled_jobs_alone() {
        let job = |stage: &str, took: u32| json!({ "stage": stage, "steps_ms": { "rounds": took } });
        let mut told: Vec<_> = (1..=100).map(|took| job("settled", took)).collect();
        told.push(job("failed", 100_000));
        assert_eq!(spreads(&told)["rounds"], Spread { p50: 51.0, p95: 96.0 });
    }

    #[test]
    fn the_peak_of_this_very_process_is_known() {
        assert!(peak_kib(std::process::id()).is_some_and(|kib| kib > 100));
    }
}
