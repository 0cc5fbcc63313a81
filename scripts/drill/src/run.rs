//! One run after the other: hurt, let recover, judge.

use crate::{
    actor::Actor,
    fault::Fault,
    hurt::{calm, hurt},
    judge::Outcome,
    market::{DrillError, Market, io, until_stopped},
    means::{Means, enter_namespace},
    plan::{Choice, Scene, plan},
    report::{Report, Row},
};
use core::time::Duration;
use encompute_kit::Surroundings;
use encompute_protocol::{JobId, JobProgress, JobTerms, Stage};
use std::time::Instant;

/// Runs of the command where nobody says how many: enough for 200 kills, and for what does not kill.
pub const DEFAULT_RUNS: u32 = 320;
/// How long one command of the user's may take before the drill gives another.
const COMMAND_WITHIN: Duration = Duration::from_secs(25);
/// So many commands are given before somebody else moves the job on.
const COMMANDS: u32 = 4;
/// So many times before the job counts as stuck: three claims, each with its two windows, and two more stages.
const PUSHES: u32 = 10;

/// `xtask drill`.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many runs; seven in fifteen hurt without killing
    #[arg(long, default_value_t = DEFAULT_RUNS)]
    pub runs: u32,
    /// Draws delays and the order of steps
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only this way of hurting
    #[arg(long, value_name = "FAULT", value_enum)]
    pub only: Option<Fault>,
    /// Print one JSON value with every run instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Runs the drill and prints what came of it.
///
/// # Errors
/// [`DrillError::Found`] unless nothing was lost, paid twice, drawn again or left behind; others where the
/// drill itself could not go on.
pub fn drill(arguments: &Arguments) -> Result<(), DrillError> {
    enter_namespace();
    let means = Means::find();
    means.allow(arguments.only)?;
    let choice = Choice { rooms: means.rooms, clocks: means.clocks, only: arguments.only };
    let scenes = plan(arguments.runs, arguments.seed, choice);
    let mut report = until_stopped(play(&scenes, |row| {
        eprintln!(
            "run {:>3}: {} {} at {:?} ({}): {:?} after {} ms, {} commands{}",
            row.scene.run,
            row.failure(),
            row.process(),
            row.scene.step,
            row.stage.as_deref().unwrap_or("no job yet"),
            row.outcome,
            row.recovery_ms,
            row.commands,
            row.reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default(),
        );
    }))?;
    report.left_out = means.left_out(arguments.only);
    match arguments.json {
        true => println!("{}", serde_json::to_string(&report).unwrap_or_default()),
        false => print!("{}", report.table()),
    }
    if report.is_clean() { Ok(()) } else { Err(DrillError::Found("the drill is not clean; see above".to_owned())) }
}

/// Plays scenes on a market of its own, in surroundings that they need; `tell` hears of each.
///
/// # Errors
/// [`DrillError`] where the drill could not go on; [`DrillError::Kit`] also where this machine cannot do what a
/// scene needs.
pub async fn play(scenes: &[Scene], mut tell: impl FnMut(&Row)) -> Result<Report, DrillError> {
    let has = |fault| scenes.iter().any(|scene| scene.fault == fault);
    let links = [Fault::Cut, Fault::BlackHole, Fault::SlowLink, Fault::Reorder].into_iter().any(has);
    let surroundings = Surroundings { links, rooms: has(Fault::DiskFull), clocks: has(Fault::ClockJump) };
    let mut market = Market::start_in(surroundings).await?;
    let mut rows = Vec::new();
    for scene in scenes {
        market.make_home(scene.run)?;
        let row = one(&mut market, scene).await?;
        tell(&row);
        rows.push(row);
    }
    Ok(Report::of(rows))
}

async fn one(market: &mut Market, scene: &Scene) -> Result<Row, DrillError> {
    let before = market.jobs().await?;
    let mut actor = Actor::start(market.submit(scene.run)).map_err(io("start the user's command"))?;
    actor.reach(scene.step).await;
    tokio::time::sleep(Duration::from_millis(scene.delay_ms)).await;
    let stage = match newest(market, before).await? {
        Some(job) => Some(format!("{:?}", market.job(job).await?.1.stage)),
        None => None,
    };
    let harm = hurt(market, scene, &mut actor, before).await?;
    let began = Instant::now();
    let (job, commands) = recover(market, scene, actor, before).await?;
    let recovery_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    calm(market, scene)?;
    let mut fell = harm.fell;
    fell.extend(market.revive().await?);
    let (terms, progress) = market.job(job).await?;
    let row = Row {
        scene: *scene,
        stage,
        job: job.0,
        outcome: Outcome::Stuck,
        reason: progress.reason.map(|reason| format!("{reason:?}")),
        lost_units: 0,
        double_payments: 0,
        redrawn_noise: false,
        balanced: false,
        audited: None,
        answered: None,
        recovery_ms,
        commands,
        drain: harm.drain,
        blob: harm.blob,
        fell,
    };
    verdict(market, before, row, &terms, &progress).await
}

/// Judges what a run has left.
async fn verdict(
    market: &mut Market,
    before: u64,
    mut row: Row,
    terms: &JobTerms,
    progress: &JobProgress,
) -> Result<Row, DrillError> {
    let job = JobId(row.job);
    let ledger = market.ledger().await?;
    let judgement = market.judge(job, terms);
    let surplus_jobs = market.jobs().await?.saturating_sub(before + 1);
    row.outcome = judgement.outcome;
    row.lost_units = judgement.lost.0;
    row.double_payments = judgement.double_payments + u32::try_from(surplus_jobs).unwrap_or(u32::MAX);
    row.balanced = ledger.balanced;
    row.redrawn_noise = market.is_redrawn(row.scene.run, job, progress).await?;
    if row.outcome == Outcome::Settled && !row.scene.fault.is_blob() {
        row.audited = Some(market.audit(row.scene.run, job).await?);
    }
    // What only the store had is lost with it; its maker has forgotten it.
    if row.outcome == Outcome::Settled && row.blob != Some("result") {
        row.answered = Some(market.is_answered(row.scene.run, job));
    }
    Ok(row)
}

/// The job that this run has made, once it is there.
pub(crate) async fn newest(market: &Market, before: u64) -> Result<Option<JobId>, DrillError> {
    let jobs = market.jobs().await?;
    Ok((jobs > before).then_some(JobId(jobs)))
}

/// Gives the commands that a user would until the job has ended, then lets windows pass and strangers poke.
async fn recover(market: &mut Market, scene: &Scene, actor: Actor, before: u64) -> Result<(JobId, u32), DrillError> {
    let (mut running, mut commands, mut pushes) = (Some(actor), 1, 0);
    // A clock that stays wrong will not be right for the next command either.
    let given = if scene.fault == Fault::ClockJump && scene.outlasts { 1 } else { COMMANDS };
    loop {
        let mut done = false;
        if let Some(mut actor) = running.take() {
            let code = actor.ended_within(COMMAND_WITHIN).await;
            if code.is_none() {
                actor.kill().await;
            }
            done = code == Some(0);
            if !done && std::env::var_os("ENCOMPUTE_DRILL_WORDS").is_some() {
                eprintln!("    command {commands} ended with {code:?}: {}", actor.words().join("\n      "));
            }
        }
        let job = newest(market, before).await?;
        if let Some(job) = job {
            let (_, progress) = market.job(job).await?;
            let unread = progress.stage == Stage::Settled && !market.is_answered(scene.run, job);
            if (progress.stage.is_terminal() && !(unread && commands < COMMANDS)) || pushes >= PUSHES {
                return Ok((job, commands));
            }
            if commands >= given {
                market.push(job).await?;
                pushes += 1;
            }
            // The job has ended, and what is left is for its user to read: nothing need be wrong any more.
            if progress.stage.is_terminal() {
                calm(market, scene)?;
            }
        } else if commands == given {
            // Nothing was ordered, and nothing will be while this lasts.
            calm(market, scene)?;
        } else if commands > 2 * COMMANDS {
            return Err(DrillError::Found(format!("run {}: no job after {commands} commands", scene.run)));
        }
        // A command that ended well without a job had nothing to go on with: nothing was sent, the user asks again.
        let next = if job.is_none() && done { market.submit(scene.run) } else { market.resume(scene.run, job) };
        running = Some(Actor::start(next).map_err(io("start the user's command"))?);
        commands += 1;
    }
}
