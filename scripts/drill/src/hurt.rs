//! What happens to a victim, and what ends it.

use crate::{
    actor::{Actor, signal},
    fault::Fault,
    market::{DrillError, Market, io},
    plan::{Scene, Victim},
    report::Drain,
    run::newest,
};
use core::time::Duration;
use encompute_kit::{CLIENT, Called, Caller, LINKS, Links, Room, Weather};
use encompute_protocol::{
    BlobDigest, JobId, JobRequest, Transcript,
    manifest::{JobResult, ReleasedFeatures},
    wire::Message,
};
use std::{io::ErrorKind, path::Path};

/// A slow link: a slow DSL line's upstream, and a continent between.
const SLOW: Weather = Weather::Slow { bytes_per_second: 128 * 1024, late: Duration::from_millis(20) };
/// Answers on every second connection are so much late: longer than any of them takes otherwise.
const SHUFFLED: Weather = Weather::Shuffled { late: Duration::from_millis(150) };
/// An envelope and its header add less than this to what they hold.
const ENVELOPE_BYTES: u64 = 64 * 1024;

/// What is known of a fault once it is done.
#[derive(Default)]
pub(crate) struct Harm {
    /// How a drained service ended.
    pub(crate) drain: Option<Drain>,
    /// Which blob was spoilt.
    pub(crate) blob: Option<&'static str>,
    /// Services that ended although nobody asked them to.
    pub(crate) fell: Vec<String>,
}

/// Does what the scene says, and undoes it where the world would.
pub(crate) async fn hurt(
    market: &mut Market,
    scene: &Scene,
    actor: &mut Actor,
    before: u64,
) -> Result<Harm, DrillError> {
    let down = Duration::from_millis(scene.down_ms);
    let mut harm = Harm::default();
    match scene.fault {
        Fault::Kill => kill(market, scene.victim, actor, down).await?,
        Fault::KillTwice => {
            kill(market, scene.victim, actor, Duration::ZERO).await?;
            if scene.victim == Victim::Client {
                *actor = Actor::start(market.resume(scene.run, None)).map_err(io("start the user's command"))?;
            }
            tokio::time::sleep(down).await;
            kill(market, scene.victim, actor, Duration::ZERO).await?;
        }
        Fault::KillPastWindow => {
            end(market, scene.victim, actor).await;
            pass_window(market, scene, before).await?;
            tokio::time::sleep(down).await;
            restart(market, scene.victim).await?;
        }
        Fault::Drain => harm.drain = drain(market, scene.victim, down).await?,
        Fault::Freeze => {
            let id = Market::name(scene.victim).map_or_else(|| actor.id(), |name| market.services.id(name));
            let Some(id) = id else { return Ok(harm) };
            signal(id, "STOP").await;
            tokio::time::sleep(down).await;
            signal(id, "CONT").await;
        }
        Fault::BlobDeleted | Fault::BlobAltered | Fault::BlobTooLarge => {
            harm.blob = spoil(market, scene, before).await?
        }
        Fault::TranscriptDeleted => {
            actor.kill().await;
            let Some(job) = newest(market, before).await? else { return Ok(harm) };
            if let Some(digest) = market.transcript(job).await? {
                std::fs::remove_file(market.blob_file(&digest)).map_err(io("delete a blob"))?;
            }
        }
        Fault::Unwritable => away(&market.journal(scene.run, scene.victim), down).await?,
        Fault::DiskFull => {
            fill(market, scene, true)?;
            tokio::time::sleep(down).await;
            pass_window(market, scene, before).await?;
            fill(market, scene, false)?;
            harm.fell = market.revive().await?;
        }
        Fault::Cut | Fault::BlackHole => {
            let weather = if scene.fault == Fault::Cut { Weather::Cut } else { Weather::Silent };
            let links = Ends::of(scene)?;
            links.set(market, weather)?;
            tokio::time::sleep(down).await;
            pass_window(market, scene, before).await?;
            links.set(market, Weather::Clear)?;
        }
        Fault::SlowLink => Ends::of(scene)?.set(market, SLOW)?,
        Fault::Reorder => Ends::of(scene)?.set(market, SHUFFLED)?,
        Fault::ClockJump => {
            set_clock(market, scene.victim, scene.jump_s.unwrap_or_default())?;
            if scene.outlasts {
                // Most of what a clock decides is decided at a start.
                end(market, scene.victim, actor).await;
                restart(market, scene.victim).await?;
            }
            tokio::time::sleep(down).await;
            if !scene.outlasts {
                set_clock(market, scene.victim, 0)?;
            }
        }
    }
    Ok(harm)
}

/// Ends what lasts until the job is over.
pub(crate) fn calm(market: &Market, scene: &Scene) -> Result<(), DrillError> {
    match scene.fault {
        Fault::SlowLink | Fault::Reorder => Ends::of(scene)?.set(market, Weather::Clear),
        Fault::ClockJump => set_clock(market, scene.victim, 0),
        _ => Ok(()),
    }
}

async fn kill(market: &mut Market, victim: Victim, actor: &mut Actor, down: Duration) -> Result<(), DrillError> {
    end(market, victim, actor).await;
    tokio::time::sleep(down).await;
    restart(market, victim).await
}

async fn end(market: &mut Market, victim: Victim, actor: &mut Actor) {
    match Market::name(victim) {
        Some(name) => market.services.kill(name).await,
        None => actor.kill().await,
    }
}

async fn restart(market: &mut Market, victim: Victim) -> Result<(), DrillError> {
    match Market::name(victim) {
        Some(name) => Ok(market.services.restart(name).await?),
        None => Ok(()),
    }
}

async fn drain(market: &mut Market, victim: Victim, down: Duration) -> Result<Option<Drain>, DrillError> {
    let Some(name) = Market::name(victim) else { return Ok(None) };
    let drained = market.services.drain(name).await;
    tokio::time::sleep(down).await;
    market.services.restart(name).await?;
    Ok(drained.map(|drained| Drain { code: drained.code, ms: drained.took.as_millis() as u64 }))
}

/// Lets the window pass in which somebody had to act whom the fault keeps from it, where it is to outlast that.
async fn pass_window(market: &Market, scene: &Scene, before: u64) -> Result<(), DrillError> {
    if scene.fault != Fault::KillPastWindow && !scene.outlasts {
        return Ok(());
    }
    // What the window belongs to is on chain, or the fault is a plain one.
    let Some(job) = newest(market, before).await? else { return Ok(()) };
    for hindered in [Some(scene.victim), scene.called].into_iter().flatten() {
        market.pass_window_of(hindered, job).await?;
    }
    Ok(())
}

/// Puts a file where a folder was, or something empty and read-only over a folder that is a file system, for a while.
async fn away(folder: &Path, down: Duration) -> Result<(), DrillError> {
    let away = folder.with_extension("away");
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent).map_err(io("make a home"))?;
    }
    let moved = loop {
        // A folder before the first job is not there yet: then nothing can be made in its place.
        let moved = match std::fs::rename(folder, &away) {
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                let shut = Room::shut(folder)?;
                tokio::time::sleep(down).await;
                drop(shut);
                return Ok(());
            }
            moved => moved.is_ok(),
        };
        match std::fs::write(folder, b"no folder") {
            // Its owner has just made it.
            Err(error) if error.kind() == ErrorKind::IsADirectory && !moved => {}
            written => break written.map(|()| moved).map_err(io("put a file where a folder was"))?,
        }
    };
    tokio::time::sleep(down).await;
    std::fs::remove_file(folder).map_err(io("remove the file again"))?;
    if moved {
        std::fs::rename(&away, folder).map_err(io("put the folder back"))?;
    }
    Ok(())
}

/// Takes all room under what the victim keeps, or gives it back.
fn fill(market: &mut Market, scene: &Scene, full: bool) -> Result<(), DrillError> {
    let folder = market.kept_in(scene.run, scene.victim);
    match market.services.room(&folder)? {
        Some(room) if full => Ok(room.fill()?),
        Some(room) => Ok(room.empty()?),
        None => Err(DrillError::Found("a full disk needs a market whose folders have rooms".to_owned())),
    }
}

/// Does to a blob of the job what the scene says; which, if it was there.
async fn spoil(market: &Market, scene: &Scene, before: u64) -> Result<Option<&'static str>, DrillError> {
    let job = newest(market, before).await?;
    let (what, limit_bytes, file) = match job {
        Some(job) if scene.fault == Fault::BlobTooLarge => {
            let (what, limit_bytes, digest) = last_named(market, job).await?;
            (what, limit_bytes, Some(market.blob_file(&digest)))
        }
        Some(job) => ("request", 0, Some(market.blob_file(&market.job(job).await?.0.input))),
        None => ("request", JobRequest::LIMIT_BYTES as u64, market.newest_blob()),
    };
    let Some(file) = file.filter(|file| file.is_file()) else { return Ok(None) };
    match scene.fault {
        Fault::BlobDeleted => std::fs::remove_file(file).map_err(io("delete a blob"))?,
        Fault::BlobTooLarge => {
            let file = std::fs::File::options().write(true).open(file).map_err(io("open a blob"))?;
            file.set_len(limit_bytes + 1).map_err(io("lengthen a blob"))?;
        }
        _ => {
            let mut bytes = std::fs::read(&file).map_err(io("read a blob"))?;
            if let Some(byte) = bytes.last_mut() {
                *byte ^= 1;
            }
            std::fs::write(file, bytes).map_err(io("alter a blob"))?;
        }
    }
    Ok(Some(what))
}

/// The blob that a job named last, what it is, and the most bytes that it may have.
async fn last_named(market: &Market, job: JobId) -> Result<(&'static str, u64, BlobDigest), DrillError> {
    let (terms, progress) = market.job(job).await?;
    let sealed = |limit: usize| limit as u64 + ENVELOPE_BYTES;
    let named = [
        ("result", sealed(JobResult::LIMIT_BYTES), progress.result),
        ("features", sealed(ReleasedFeatures::LIMIT_BYTES), progress.features),
        ("transcript", Transcript::LIMIT_BYTES as u64, progress.output),
    ];
    let found = named.into_iter().find_map(|(what, limit, digest)| Some((what, limit, digest?)));
    Ok(found.unwrap_or(("request", JobRequest::LIMIT_BYTES as u64, terms.input)))
}

fn set_clock(market: &Market, victim: Victim, seconds: i64) -> Result<(), DrillError> {
    let clocks = market.services.clocks();
    let clocks = clocks.ok_or_else(|| DrillError::Found("a clock jumps only in a market with clocks".to_owned()))?;
    Ok(clocks.set(Market::name(victim).unwrap_or(CLIENT), seconds)?)
}

/// The links that a scene is about.
struct Ends {
    caller: Caller,
    called: Option<Called>,
}

impl Ends {
    fn of(scene: &Scene) -> Result<Self, DrillError> {
        let nobody = || DrillError::Found(format!("{:?} calls nobody", scene.victim));
        let caller = match scene.victim {
            Victim::Client => Caller::Client,
            Victim::Worker => Caller::Worker,
            Victim::Creator => Caller::Creator,
            Victim::Gateway | Victim::Chain => return Err(nobody()),
        };
        let called = match scene.called {
            None => None,
            Some(Victim::Chain) => Some(Called::Chain),
            Some(Victim::Gateway) => Some(Called::Gateway),
            Some(Victim::Worker) => Some(Called::Worker),
            Some(Victim::Creator) => Some(Called::Creator),
            Some(Victim::Client) => return Err(nobody()),
        };
        Ok(Self { caller, called })
    }

    /// Changes the weather on the link, or on all of the caller's.
    fn set(&self, market: &Market, weather: Weather) -> Result<(), DrillError> {
        let links: &Links = market
            .services
            .links()
            .ok_or_else(|| DrillError::Found("a link is hurt only in a market with links".to_owned()))?;
        for (caller, called) in LINKS {
            if caller == self.caller && self.called.is_none_or(|wanted| wanted == called) {
                links.set(caller, called, weather);
            }
        }
        Ok(())
    }
}
