//! What happens in which run: pure, so that a seed gives the same drill everywhere.

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use serde::Serialize;

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

/// How it is hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL, and a restart.
    Kill,
    /// SIGKILL, a restart, and SIGKILL again while it recovers.
    KillTwice,
    /// SIGKILL, and a restart after the window in which somebody had to act.
    KillPastWindow,
    /// SIGSTOP, and SIGCONT later: a slow peer.
    Freeze,
    /// The request blob disappears from the store.
    BlobDeleted,
    /// The request blob is altered in the store.
    BlobAltered,
    /// The victim's journal cannot be written for a while.
    Unwritable,
    /// The user's command is killed, and when it comes back the transcript that the receipt names is gone from
    /// the store. Its user cannot have the answer, so no plan draws it: the suite's short drill asks for it.
    TranscriptDeleted,
}

impl Fault {
    /// How many processes it kills.
    pub fn kills(self) -> u32 {
        match self {
            Self::Kill | Self::KillPastWindow | Self::TranscriptDeleted => 1,
            Self::KillTwice => 2,
            Self::Freeze | Self::BlobDeleted | Self::BlobAltered | Self::Unwritable => 0,
        }
    }
}

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
    /// So long after the step.
    pub delay_ms: u64,
    /// So long it is down, frozen, or without its files.
    pub down_ms: u64,
}

/// Longest delay after a step: long enough to fall into what comes next.
const LONGEST_DELAY_MS: u64 = 60;
/// Longest time that somebody is down within a window.
const LONGEST_DOWN_MS: u64 = 1_200;
/// One run in so many hurts without killing.
const GENTLE_EVERY: u32 = 8;

/// So many runs. Killed is each victim in turn, at each step once before any comes again, with delays drawn
/// from `seed`.
pub fn plan(runs: u32, seed: u64) -> Vec<Scene> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut decks: Vec<Vec<Step>> = vec![Vec::new(); VICTIMS.len()];
    let (mut kills, mut gentle) = (0, 0);
    let mut scenes = Vec::new();
    for run in 0..runs {
        let mut scene = if run % GENTLE_EVERY == GENTLE_EVERY - 1 {
            gentle += 1;
            gentle_scene(gentle - 1, &mut rng)
        } else {
            let at = kills as usize % VICTIMS.len();
            if decks[at].is_empty() {
                decks[at] = shuffled(&mut rng);
            }
            let (victim, step) = (VICTIMS[at], decks[at].pop().unwrap_or(Step::Started));
            let fault = kill_of(victim, step, kills / VICTIMS.len() as u32);
            kills += 1;
            Scene { run, victim, step, fault, delay_ms: 0, down_ms: 0 }
        };
        scene.run = run;
        scene.delay_ms = below(&mut rng, LONGEST_DELAY_MS);
        scene.down_ms = below(&mut rng, LONGEST_DOWN_MS);
        scenes.push(scene);
    }
    scenes
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

fn gentle_scene(turn: u32, rng: &mut ChaCha20Rng) -> Scene {
    let victim = VICTIMS[(turn / 4) as usize % VICTIMS.len()];
    let any = STEPS[below(rng, STEPS.len() as u64) as usize];
    let (victim, step, fault) = match turn % 4 {
        0 => (victim, any, Fault::Freeze),
        1 => (Victim::Gateway, any.max(Step::Uploaded), Fault::BlobDeleted),
        2 => (Victim::Gateway, any.max(Step::Uploaded), Fault::BlobAltered),
        _ => {
            let owner = [Victim::Worker, Victim::Client, Victim::Gateway][(turn / 4) as usize % 3];
            (owner, any, Fault::Unwritable)
        }
    };
    Scene { run: 0, victim, step, fault, delay_ms: 0, down_ms: 0 }
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
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_gives_the_same_drill_and_another_seed_another() {
        assert_eq!(plan(50, 7), plan(50, 7));
        assert_ne!(plan(50, 7), plan(50, 8));
        assert_eq!(plan(50, 7)[..20], plan(20, 7)[..]);
    }

    #[test]
    fn every_process_is_killed_at_every_step_before_any_comes_again() {
        let kills: Vec<_> = plan(69, 1).into_iter().filter(|scene| scene.fault.kills() > 0).take(60).collect();
        let pairs: BTreeSet<_> = kills.iter().map(|scene| (scene.victim, scene.step)).collect();
        assert_eq!(pairs.len(), VICTIMS.len() * STEPS.len());
    }

    #[test]
    fn the_default_drill_kills_two_hundred_times_and_hurts_in_every_way() {
        let scenes = plan(crate::run::DEFAULT_RUNS, 1);
        assert!(scenes.iter().map(|scene| scene.fault.kills()).sum::<u32>() >= 200);
        let faults: BTreeSet<_> = scenes.iter().map(|scene| scene.fault).collect();
        assert_eq!(faults.len(), 7);
    }

    #[test]
    fn five_kills_in_a_row_meet_everybody() {
        let victims: BTreeSet<_> = plan(5, 3).into_iter().map(|scene| scene.victim).collect();
        assert_eq!(victims.len(), VICTIMS.len());
    }
}
