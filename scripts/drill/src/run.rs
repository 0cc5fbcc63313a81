//! One run after the other: hurt, let recover, judge.

use crate::{
    actor::{Actor, signal},
    judge::Outcome,
    market::{DrillError, Market, io, until_stopped},
    plan::{Fault, Scene, Victim, plan},
    report::{Report, Row},
};
use core::time::Duration;
use encompute_protocol::{JobId, JobProgress, JobTerms, Stage};
use std::{path::Path, time::Instant};

/// Runs of the command where nobody says how many: enough for 200 kills.
pub const DEFAULT_RUNS: u32 = 200;
/// How long one command of the user's may take before the drill gives another.
const COMMAND_WITHIN: Duration = Duration::from_secs(25);
/// So many commands are given before somebody else moves the job on.
const COMMANDS: u32 = 4;
/// So many times before the job counts as stuck: three claims, each with its two windows, and two more stages.
const PUSHES: u32 = 10;

/// `xtask drill`.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many runs; one in eight hurts without killing
    #[arg(long, default_value_t = DEFAULT_RUNS)]
    pub runs: u32,
    /// Draws delays and the order of steps
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
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
    let scenes = plan(arguments.runs, arguments.seed);
    let report = until_stopped(play(&scenes, |row| {
        eprintln!(
            "run {:>3}: {:?} {:?} at {:?} ({}): {:?} after {} ms, {} commands{}",
            row.scene.run,
            row.scene.fault,
            row.scene.victim,
            row.scene.step,
            row.stage.as_deref().unwrap_or("no job yet"),
            row.outcome,
            row.recovery_ms,
            row.commands,
            row.reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default(),
        );
    }))?;
    match arguments.json {
        true => println!("{}", serde_json::to_string(&report).unwrap_or_default()),
        false => print!("{}", report.table()),
    }
    if report.is_clean() { Ok(()) } else { Err(DrillError::Found("the drill is not clean; see above".to_owned())) }
}

/// Plays scenes on a market of its own; `tell` hears of each.
///
/// # Errors
/// [`DrillError`] where the drill could not go on.
pub async fn play(scenes: &[Scene], mut tell: impl FnMut(&Row)) -> Result<Report, DrillError> {
    let mut market = Market::start().await?;
    let mut rows = Vec::new();
    for scene in scenes {
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
    hurt(market, scene, &mut actor, before).await?;
    let began = Instant::now();
    let (job, commands) = recover(market, scene, actor, before).await?;
    let recovery_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
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
    let spoilt = matches!(row.scene.fault, Fault::BlobDeleted | Fault::BlobAltered);
    if row.outcome == Outcome::Settled && !spoilt {
        row.audited = Some(market.audit(row.scene.run, job).await?);
    }
    if row.outcome == Outcome::Settled {
        row.answered = Some(market.is_answered(row.scene.run, job));
    }
    Ok(row)
}

/// The job that this run has made, once it is there.
async fn newest(market: &Market, before: u64) -> Result<Option<JobId>, DrillError> {
    let jobs = market.jobs().await?;
    Ok((jobs > before).then_some(JobId(jobs)))
}

/// Does what the scene says, and undoes it where the world would.
async fn hurt(market: &mut Market, scene: &Scene, actor: &mut Actor, before: u64) -> Result<(), DrillError> {
    let down = Duration::from_millis(scene.down_ms);
    match scene.fault {
        Fault::Kill => kill(market, scene.victim, actor, down).await,
        Fault::KillTwice => {
            kill(market, scene.victim, actor, Duration::ZERO).await?;
            if scene.victim == Victim::Client {
                *actor = Actor::start(market.resume(scene.run, None)).map_err(io("start the user's command"))?;
            }
            tokio::time::sleep(down).await;
            kill(market, scene.victim, actor, Duration::ZERO).await
        }
        Fault::KillPastWindow => {
            // What the window belongs to is on chain, or the kill is a plain one.
            let job = newest(market, before).await?;
            match Market::name(scene.victim) {
                Some(name) => market.services.kill(name).await,
                None => actor.kill().await,
            }
            if let Some(job) = job {
                market.pass_window_of(scene.victim, job).await?;
            }
            tokio::time::sleep(down).await;
            restart(market, scene.victim).await
        }
        Fault::Freeze => {
            let id = Market::name(scene.victim).map_or_else(|| actor.id(), |name| market.services.id(name));
            let Some(id) = id else { return Ok(()) };
            signal(id, "STOP").await;
            tokio::time::sleep(down).await;
            signal(id, "CONT").await;
            Ok(())
        }
        Fault::BlobDeleted | Fault::BlobAltered => {
            let job = newest(market, before).await?;
            let file = match job {
                Some(job) => Some(market.blob_file(&market.job(job).await?.0.input)),
                None => market.newest_blob(),
            };
            match file {
                Some(file) if file.is_file() => spoil(&file, scene.fault),
                _ => Ok(()),
            }
        }
        Fault::TranscriptDeleted => {
            actor.kill().await;
            let Some(job) = newest(market, before).await? else { return Ok(()) };
            match market.transcript(job).await? {
                Some(digest) => std::fs::remove_file(market.blob_file(&digest)).map_err(io("delete a blob")),
                None => Ok(()),
            }
        }
        Fault::Unwritable => {
            let folder = market.journal(scene.run, scene.victim);
            let away = folder.with_extension("away");
            // A folder before the first job is not there yet: then nothing can be made in its place.
            let moved = std::fs::rename(&folder, &away).is_ok();
            if let Some(parent) = folder.parent() {
                std::fs::create_dir_all(parent).map_err(io("make a home"))?;
            }
            std::fs::write(&folder, b"no folder").map_err(io("put a file where a folder was"))?;
            tokio::time::sleep(down).await;
            std::fs::remove_file(&folder).map_err(io("remove the file again"))?;
            if moved {
                std::fs::rename(&away, &folder).map_err(io("put the folder back"))?;
            }
            Ok(())
        }
    }
}

async fn kill(market: &mut Market, victim: Victim, actor: &mut Actor, down: Duration) -> Result<(), DrillError> {
    match Market::name(victim) {
        Some(name) => market.services.kill(name).await,
        None => actor.kill().await,
    }
    tokio::time::sleep(down).await;
    restart(market, victim).await
}

async fn restart(market: &mut Market, victim: Victim) -> Result<(), DrillError> {
    match Market::name(victim) {
        Some(name) => Ok(market.services.restart(name).await?),
        None => Ok(()),
    }
}

fn spoil(file: &Path, fault: Fault) -> Result<(), DrillError> {
    if fault == Fault::BlobDeleted {
        return std::fs::remove_file(file).map_err(io("delete a blob"));
    }
    let mut bytes = std::fs::read(file).map_err(io("read a blob"))?;
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    std::fs::write(file, bytes).map_err(io("alter a blob"))
}

/// Gives the commands that a user would until the job has ended, then lets windows pass and strangers poke.
async fn recover(market: &Market, scene: &Scene, actor: Actor, before: u64) -> Result<(JobId, u32), DrillError> {
    let (mut running, mut commands, mut pushes) = (Some(actor), 1, 0);
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
            if commands >= COMMANDS {
                market.push(job).await?;
                pushes += 1;
            }
        } else if commands > 2 * COMMANDS {
            return Err(DrillError::Found(format!("run {}: no job after {commands} commands", scene.run)));
        }
        // A command that ended well without a job had nothing to go on with: nothing was sent, the user asks again.
        let next = if job.is_none() && done { market.submit(scene.run) } else { market.resume(scene.run, job) };
        running = Some(Actor::start(next).map_err(io("start the user's command"))?);
        commands += 1;
    }
}
