//! What happens in which run: pure, so that a seed gives the same drill everywhere.

use crate::fault::{CLOCKS, Fault, LINKS};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use serde::Serialize;
use std::collections::BTreeMap;

/// Whose process is hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Victim {
    /// The worker's service.
    Worker,
    /// The creator's service.
    Creator,
    /// The user's command.
    Client,
    /// The blob gateway.
    Gateway,
    /// The chain's node.
    Chain,
}

/// Everybody, in order.
pub const VICTIMS: [Victim; 5] = [Victim::Worker, Victim::Creator, Victim::Client, Victim::Gateway, Victim::Chain];

/// How far the job is, by the user's command's own words, when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The command has just been started.
    Started,
    /// Keys are made, the input is encrypted, the journal is written.
    Encrypted,
    /// The request blob is uploaded.
    Uploaded,
    /// A worker has offered.
    Offered,
    /// The run is paid for.
    Requested,
    /// One round is answered.
    FirstRound,
    /// Two rounds are answered.
    SecondRound,
    /// All rounds are answered.
    Rounds,
    /// The receipt is on chain.
    Committed,
    /// Features are decrypted, released and sealed.
    Released,
    /// Sealed features are on chain.
    Sent,
    /// The result is on chain.
    Answered,
}

/// Every step, in order.
pub const STEPS: [Step; 12] = [
    Step::Started,
    Step::Encrypted,
    Step::Uploaded,
    Step::Offered,
    Step::Requested,
    Step::FirstRound,
    Step::SecondRound,
    Step::Rounds,
    Step::Committed,
    Step::Released,
    Step::Sent,
    Step::Answered,
];

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Scene {
    /// From 0.
    pub run: u32,
    /// Whose process.
    pub victim: Victim,
    /// When.
    pub step: Step,
    /// How.
    pub fault: Fault,
    /// Whom it calls over the link that is hurt, where one link is.
    pub called: Option<Victim>,
    /// By how many seconds its clock jumps, where it does.
    pub jump_s: Option<i64>,
    /// True where it lasts until the window is over in which somebody had to act; for a clock, until the job is over.
    pub outlasts: bool,
    /// So long after the step.
    pub delay_ms: u64,
    /// So long it is down, frozen, full, cut off, wrong, or without its files.
    pub down_ms: u64,
}

impl Scene {
    /// A scene in which nothing outlasts anything.
    pub fn new(victim: Victim, step: Step, fault: Fault) -> Self {
        let (called, jump_s) = (None, None);
        Self { run: 0, victim, step, fault, called, jump_s, outlasts: false, delay_ms: 5, down_ms: 200 }
    }
}

/// What this machine lets a drill do, and what whoever runs it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// File systems can be mounted, so that they can be full.
    pub rooms: bool,
    /// Clocks of single programs can be set.
    pub clocks: bool,
    /// Only this fault.
    pub only: Option<Fault>,
}

impl Choice {
    /// Everything.
    pub const ALL: Self = Self { rooms: true, clocks: true, only: None };

    fn allows(self, fault: Fault) -> bool {
        let possible = match fault {
            Fault::DiskFull => self.rooms,
            Fault::ClockJump => self.clocks,
            _ => true,
        };
        possible && self.only.is_none_or(|only| only == fault)
    }
}

/// Longest delay after a step: long enough to fall into what comes next.
const LONGEST_DELAY_MS: u64 = 60;
/// Longest time that somebody is down within a window.
const LONGEST_DOWN_MS: u64 = 1_200;
/// Of so many runs one after the other, …
const ROUND: u32 = 15;
/// … so many kill.
const KILLS_PER_ROUND: u32 = 8;
/// What the other runs do, in turn: drains, for each of two programs at each step, and what has most variants, more often.
const GENTLE: [Fault; 16] = [
    Fault::Drain,
    Fault::DiskFull,
    Fault::Cut,
    Fault::ClockJump,
    Fault::Drain,
    Fault::BlackHole,
    Fault::BlobTooLarge,
    Fault::Freeze,
    Fault::Drain,
    Fault::SlowLink,
    Fault::DiskFull,
    Fault::BlobDeleted,
    Fault::Cut,
    Fault::Reorder,
    Fault::BlobAltered,
    Fault::Unwritable,
];

/// Steps that are left before any comes again, by what happens in them.
type Decks = BTreeMap<(Fault, usize), Vec<Step>>;

/// So many runs. Killed is each victim in turn, at each step once before any comes again, with delays drawn
/// from `seed`; what does not kill comes in between, each of its variants in turn.
pub fn plan(runs: u32, seed: u64, choice: Choice) -> Vec<Scene> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let gentle: Vec<Fault> = match choice.only {
        Some(only) => vec![only],
        None => GENTLE.into_iter().filter(|fault| choice.allows(*fault)).collect(),
    };
    let only_kills = choice.only.is_some_and(|only| only.kills() > 0);
    let only_gentle = choice.only.is_some() && !only_kills;
    let (mut decks, mut scenes) = (Decks::new(), Vec::new());
    let (mut kills, mut others) = (0, 0);
    for run in 0..runs {
        let mut scene = if only_kills || (!only_gentle && run % ROUND < KILLS_PER_ROUND) {
            kills += 1;
            kill_scene(kills - 1, choice.only, &mut decks, &mut rng)
        } else {
            others += 1;
            gentle_scene(others - 1, &gentle, &mut decks, &mut rng)
        };
        scene.run = run;
        scene.delay_ms = below(&mut rng, LONGEST_DELAY_MS);
        scene.down_ms = below(&mut rng, LONGEST_DOWN_MS);
        scenes.push(scene);
    }
    scenes
}

fn kill_scene(turn: usize, only: Option<Fault>, decks: &mut Decks, rng: &mut ChaCha20Rng) -> Scene {
    let at = turn % VICTIMS.len();
    let (victim, step) = (VICTIMS[at], next_step(decks, (Fault::Kill, at), rng));
    let fault = only.unwrap_or_else(|| kill_of(victim, step, (turn / VICTIMS.len()) as u32));
    Scene::new(victim, step, fault)
}

/// Every third kill is a double one, every fourth of those that somebody must act on outlasts the window.
fn kill_of(victim: Victim, step: Step, turn: u32) -> Fault {
    let must_act = match victim {
        Victim::Worker => (Step::Offered..=Step::Rounds).contains(&step),
        Victim::Creator => (Step::Released..=Step::Sent).contains(&step),
        Victim::Client => step >= Step::Requested,
        Victim::Gateway | Victim::Chain => false,
    };
    match turn {
        turn if must_act && turn % 3 == 1 => Fault::KillPastWindow,
        turn if turn % 3 == 2 => Fault::KillTwice,
        _ => Fault::Kill,
    }
}

fn gentle_scene(turn: usize, faults: &[Fault], decks: &mut Decks, rng: &mut ChaCha20Rng) -> Scene {
    let fault = faults[turn % faults.len()];
    // How often it came before: earlier rounds, and earlier places in this one.
    let (round, place) = (turn / faults.len(), turn % faults.len());
    let places = faults.iter().filter(|other| **other == fault).count();
    let before = faults[..place].iter().filter(|other| **other == fault).count();
    let variants = variants(fault);
    let at = (round * places + before) % variants.len();
    let step = next_step(decks, (fault, at), rng);
    let step = if fault.is_blob() { step.max(Step::Uploaded) } else { step };
    Scene { step, ..variants[at] }
}

/// Every way in which a fault happens, each with a step to be replaced.
fn variants(fault: Fault) -> Vec<Scene> {
    let scene = |victim| Scene::new(victim, Step::Started, fault);
    let outlasting = |victim| Scene { outlasts: true, ..scene(victim) };
    match fault {
        Fault::Drain => [Victim::Worker, Victim::Creator].map(scene).to_vec(),
        Fault::BlobDeleted | Fault::BlobAltered | Fault::BlobTooLarge => vec![scene(Victim::Gateway)],
        Fault::Unwritable => [Victim::Worker, Victim::Client, Victim::Gateway].map(scene).to_vec(),
        Fault::DiskFull => {
            let mut all = VICTIMS.map(scene).to_vec();
            all.extend([Victim::Worker, Victim::Creator, Victim::Gateway].map(outlasting));
            all
        }
        Fault::Cut | Fault::BlackHole | Fault::SlowLink => {
            let link = |outlasts, (victim, called)| Scene { called: Some(called), outlasts, ..scene(victim) };
            let brief = LINKS.into_iter().map(|ends| link(false, ends));
            // Interleaved, so that a short drill has both.
            brief.zip(LINKS.into_iter().rev().map(|ends| link(true, ends))).flat_map(<[Scene; 2]>::from).collect()
        }
        Fault::Reorder => [Victim::Client, Victim::Worker, Victim::Creator].map(scene).to_vec(),
        Fault::ClockJump => CLOCKS
            .into_iter()
            .map(|(victim, jump, outlasts)| Scene { jump_s: Some(jump), outlasts, ..scene(victim) })
            .collect(),
        _ => VICTIMS.map(scene).to_vec(),
    }
}

fn next_step(decks: &mut Decks, of: (Fault, usize), rng: &mut ChaCha20Rng) -> Step {
    let deck = decks.entry(of).or_default();
    if deck.is_empty() {
        *deck = shuffled(rng);
    }
    deck.pop().unwrap_or(Step::Started)
}

fn shuffled(rng: &mut ChaCha20Rng) -> Vec<Step> {
    let mut steps = STEPS.to_vec();
    for last in (1..steps.len()).rev() {
        steps.swap(last, below(rng, last as u64 + 1) as usize);
    }
    steps
}

/// A number below `limit`; the tiny bias of the remainder does not matter to a drill.
fn below(rng: &mut ChaCha20Rng, limit: u64) -> u64 {
    rng.next_u64() % limit.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;
    use std::collections::BTreeSet;

    const ALL: Choice = Choice::ALL;

    #[test]
    fn a_seed_gives_the_same_drill_and_another_seed_another() {
        assert_eq!(plan(50, 7, ALL), plan(50, 7, ALL));
        assert_ne!(plan(50, 7, ALL), plan(50, 8, ALL));
        assert_eq!(plan(50, 7, ALL)[..20], plan(20, 7, ALL)[..]);
    }

    #[test]
    fn every_process_is_killed_at_every_step_before_any_comes_again() {
        let kills: Vec<_> = plan(150, 1, ALL).into_iter().filter(|scene| scene.fault.kills() > 0).take(60).collect();
        let pairs: BTreeSet<_> = kills.iter().map(|scene| (scene.victim, scene.step)).collect();
        assert_eq!(pairs.len(), VICTIMS.len() * STEPS.len());
    }

    #[test]
    fn the_default_drill_kills_two_hundred_times_and_hurts_in_every_way() {
        let scenes = plan(crate::run::DEFAULT_RUNS, 1, ALL);
        assert!(scenes.iter().map(|scene| scene.fault.kills()).sum::<u32>() >= 200);
        let faults: BTreeSet<_> = scenes.iter().map(|scene| scene.fault).collect();
        let all = Fault::value_variants().iter().copied();
        let wanted: BTreeSet<_> = all.filter(|fault| *fault != Fault::TranscriptDeleted).collect();
        assert_eq!(faults, wanted);
        let full: BTreeSet<_> =
            scenes.iter().filter(|scene| scene.fault == Fault::DiskFull).map(|scene| scene.victim).collect();
        assert_eq!(full.len(), VICTIMS.len(), "everybody's disk is full once");
        let links: BTreeSet<_> =
            scenes.iter().filter(|scene| scene.fault == Fault::Cut).map(|scene| (scene.victim, scene.called)).collect();
        assert_eq!(links.len(), LINKS.len(), "every link is cut once");
    }

    #[test]
    fn the_default_drill_drains_worker_and_creator_at_every_step() {
        let drains = plan(crate::run::DEFAULT_RUNS, 1, ALL).into_iter().filter(|scene| scene.fault == Fault::Drain);
        let pairs: BTreeSet<_> = drains.map(|scene| (scene.victim, scene.step)).collect();
        assert_eq!(pairs.len(), 2 * STEPS.len());
    }

    #[test]
    fn five_kills_in_a_row_meet_everybody() {
        let victims: BTreeSet<_> = plan(5, 3, ALL).into_iter().map(|scene| scene.victim).collect();
        assert_eq!(victims.len(), VICTIMS.len());
    }

    #[test]
    fn what_a_machine_cannot_do_is_left_out_and_leaves_no_gap() {
        let scenes = plan(200, 1, Choice { rooms: false, clocks: false, only: None });
        assert!(scenes.iter().all(|scene| !matches!(scene.fault, Fault::DiskFull | Fault::ClockJump)));
        assert_eq!(scenes.len(), 200);
    }

    #[test]
    fn one_fault_alone_is_drawn_for_all_its_variants() {
        let only = |fault| plan(40, 1, Choice { only: Some(fault), ..ALL });
        assert!(only(Fault::ClockJump).iter().all(|scene| scene.fault == Fault::ClockJump && scene.jump_s.is_some()));
        let links: BTreeSet<_> = only(Fault::Cut).iter().map(|scene| (scene.victim, scene.called)).collect();
        assert_eq!(links.len(), LINKS.len());
        assert!(only(Fault::KillTwice).iter().all(|scene| scene.fault == Fault::KillTwice));
    }
}
