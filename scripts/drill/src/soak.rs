//! Jobs at a steady pace for an hour: what a service holds after them it held before them.

use crate::{
    load::{Crowd, Load, LoadArguments, Pace},
    market::{DrillError, until_stopped},
};
use core::time::Duration;
use serde::Serialize;
use std::{collections::BTreeMap, path::PathBuf};

/// Between two looks at every process.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What is compared is the middle look of the first and of the last part in so many after warming up: one look
/// says where a garbage heap or a batch of jobs happened to be.
const PARTS: usize = 5;
/// Memory is flat if it grows by no more than this.
pub const FLAT_PERCENT: f64 = 5.0;
/// A heap of a few megabytes may grow by this all the same: one more thread at work leaves half of it behind, its
/// stack and its arena.
pub const FLAT_KIB: u64 = 1024;

/// `xtask soak`.
#[derive(clap::Args, Clone)]
pub struct SoakArguments {
    /// For how long jobs are begun
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_080))]
    pub minutes: u32,
    /// The first minutes, in which caches fill, are not looked at
    #[arg(long, default_value_t = 10)]
    pub warm_up_minutes: u32,
    /// Jobs begun in a minute
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub jobs_per_minute: u32,
    /// Workers
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub workers: u16,
    /// Creators, each with a model
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub creators: u16,
    /// Write every look into this file as CSV: seconds, service, resident KiB, own KiB, open files
    #[arg(long)]
    pub looks: Option<PathBuf>,
    /// Print one JSON value instead of text
    #[arg(long)]
    pub json: bool,
}

/// What a process holds at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    /// Resident memory, in KiB.
    resident_kib: u64,
    /// Of it what is its own: neither its program nor files that it maps.
    own_kib: u64,
    /// Open files and connections.
    files: u64,
}

/// What a service held, after warming up and at the end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Held {
    /// Resident memory after warming up, in KiB; the middle of the first fifth of all looks since.
    pub first_kib: u64,
    /// The middle of the last fifth.
    pub last_kib: u64,
    /// From the one to the other, in hundredths.
    pub growth_percent: f64,
    /// The same of memory of its own: neither its program nor files that it maps.
    pub first_own_kib: u64,
    /// At the end.
    pub last_own_kib: u64,
    /// Open files and connections after warming up.
    pub first_files: u64,
    /// At the end.
    pub last_files: u64,
}

/// What a soak came to.
#[derive(Clone, Debug, Serialize)]
pub struct Soak {
    /// Where jobs and money ended, and how fast.
    #[serde(flatten)]
    pub load: Load,
    /// Every service.
    pub services: BTreeMap<String, Held>,
    /// True when every service is [flat](Held::is_flat).
    pub flat: bool,
}

/// Runs the soak and prints what came of it.
///
/// # Errors
/// [`DrillError::Found`] unless every job ended, every planck is where it belongs, and nothing grew.
pub fn soak(arguments: &SoakArguments) -> Result<(), DrillError> {
    if arguments.warm_up_minutes >= arguments.minutes {
        let (warm_up, minutes) = (arguments.warm_up_minutes, arguments.minutes);
        return Err(DrillError::Found(format!("warming up takes {warm_up} minutes, the soak has {minutes}")));
    }
    let soak = until_stopped(stay(arguments))?;
    match arguments.json {
        true => println!("{}", serde_json::to_string(&soak).unwrap_or_default()),
        false => println!("{}", serde_json::to_string_pretty(&soak).unwrap_or_default()),
    }
    match soak.load.is_clean() && soak.flat {
        true => Ok(()),
        false => Err(DrillError::Found("the soak is not clean; see above".to_owned())),
    }
}

async fn stay(arguments: &SoakArguments) -> Result<Soak, DrillError> {
    let load = LoadArguments {
        jobs: u32::MAX,
        workers: arguments.workers,
        creators: arguments.creators,
        users: 8,
        faults: 0,
        json: false,
    };
    let minutes = |minutes: u32| Duration::from_secs(60 * u64::from(minutes));
    let pace = Pace { every: minutes(1) / arguments.jobs_per_minute, within: Some(minutes(arguments.minutes)) };
    let crowd = Crowd::gather(&load, pace).await?;
    let processes = crowd.processes().await;
    let mut log = Log::begin(arguments.looks.as_deref())?;
    let mut looks: BTreeMap<String, Vec<Look>> = BTreeMap::new();
    let warm = minutes(arguments.warm_up_minutes);
    let work = crowd.work();
    tokio::pin!(work);
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let began = std::time::Instant::now();
    loop {
        tokio::select! {
            done = &mut work => break done?,
            _ = ticks.tick() => {
                for (name, id) in &processes {
                    let Some(look) = look_at(*id) else { continue };
                    log.write(began.elapsed(), name, look)?;
                    if began.elapsed() >= warm {
                        looks.entry(name.clone()).or_default().push(look);
                    }
                }
            }
        }
    }
    let services: BTreeMap<_, _> = looks.into_iter().map(|(name, looks)| (name, held(&looks))).collect();
    let flat = services.len() == processes.len() && services.values().all(Held::is_flat);
    Ok(Soak { load: crowd.sum().await?, services, flat })
}

impl Held {
    /// True when resident memory grew by no more than [`FLAT_PERCENT`], its own by no more than that or
    /// [`FLAT_KIB`], and files not at all.
    pub fn is_flat(&self) -> bool {
        let own = growth_percent(self.first_own_kib, self.last_own_kib) <= FLAT_PERCENT
            || self.last_own_kib <= self.first_own_kib + FLAT_KIB;
        self.growth_percent <= FLAT_PERCENT && own && self.last_files <= self.first_files
    }
}

fn held(looks: &[Look]) -> Held {
    let part = (looks.len() / PARTS).max(1).min(looks.len());
    let (first, last) = (&looks[..part], &looks[looks.len() - part..]);
    let resident = |looks: &[Look]| middle(looks.iter().map(|look| look.resident_kib));
    let own = |looks: &[Look]| middle(looks.iter().map(|look| look.own_kib));
    let files = |looks: &[Look]| middle(looks.iter().map(|look| look.files));
    let (first_kib, last_kib) = (resident(first), resident(last));
    Held {
        first_kib,
        last_kib,
        growth_percent: growth_percent(first_kib, last_kib),
        first_own_kib: own(first),
        last_own_kib: own(last),
        first_files: files(first),
        last_files: files(last),
    }
}

fn growth_percent(first: u64, last: u64) -> f64 {
    (last as f64 - first as f64) * 100.0 / (first.max(1) as f64)
}

fn middle(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// None once the process is gone.
fn look_at(id: u32) -> Option<Look> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Look {
        resident_kib: kib("VmRSS:")?,
        own_kib: kib("RssAnon:")?,
        files: std::fs::read_dir(format!("/proc/{id}/fd")).ok()?.count() as u64,
    })
}

/// Every look, for whoever wants to draw it.
struct Log(Option<std::fs::File>);

impl Log {
    fn begin(file: Option<&std::path::Path>) -> Result<Self, DrillError> {
        let io = crate::market::io("write the looks");
        let Some(path) = file else { return Ok(Self(None)) };
        let mut file = std::fs::File::create_new(path).map_err(&io)?;
        std::io::Write::write_all(&mut file, b"seconds,service,resident_kib,own_kib,files\n").map_err(io)?;
        Ok(Self(Some(file)))
    }

    fn write(&mut self, at: Duration, name: &str, look: Look) -> Result<(), DrillError> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        let line = format!("{},{name},{},{},{}\n", at.as_secs(), look.resident_kib, look.own_kib, look.files);
        std::io::Write::write_all(file, line.as_bytes()).map_err(crate::market::io("write the looks"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(kib: impl Fn(u64) -> u64, files: impl Fn(u64) -> u64) -> Vec<Look> {
        (0..100).map(|at| Look { resident_kib: 40_000 + kib(at), own_kib: kib(at), files: files(at) }).collect()
    }

    #[test]
    fn one_high_look_is_no_growth_and_a_slow_climb_is() {
        let spiky = held(&looks(|at| if at == 99 { 90_000 } else { 10_000 + at % 7 }, |at| 20 + at % 3));
        assert!(spiky.is_flat(), "{spiky:?}");
        let climbing = held(&looks(|at| 10_000 + 20 * at, |_| 20));
        assert_eq!((climbing.first_own_kib, climbing.last_own_kib, climbing.is_flat()), (10_200, 11_800, false));
        // A leak is not hidden by a large program.
        assert!(climbing.growth_percent < FLAT_PERCENT);
    }

    #[test]
    fn one_file_more_at_the_end_is_growth() {
        let leaking = held(&looks(|_| 10_000, |at| 20 + at / 90));
        assert_eq!((leaking.first_files, leaking.last_files, leaking.is_flat()), (20, 21, false));
    }

    #[test]
    fn this_very_process_holds_memory_and_files() {
        assert!(
            look_at(std::process::id())
                .is_some_and(|look| look.resident_kib >= look.own_kib && look.own_kib > 100 && look.files >= 3)
        );
    }
}
