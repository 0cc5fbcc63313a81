//! Whose turn it is to claim a job that no offer has pinned to a worker.
//!
//! A weighted race: for each worker that could claim, the hash of the block after the one that offered the job gives
//! `u` in (0, 1], and the worker arrives at `-ln u / weight`; first come, first drawn. So each is first with its share of
//! all weights, as in a cumulative draw; but whether one takes part changes nobody else's arrival. A worker that steps
//! back, or several of one owner of which one does, move nobody forward but those behind it: there is nothing to gain by
//! choosing who takes part once the hash is known. What would move a worker itself is ruled out: stake that came after
//! the offer, and workers that did, do not count.

use super::{Job, race::Arrival};
use crate::{command::Scene, context::Host, lottery::Numbers, refusal::Refusal, state::ReadState};
use alloc::vec::Vec;
use encompute_protocol::{
    Address, BlockNumber, Blocks, Draw, MeasurementId, Params, Plancks, PlatformId, Windows, WorkerRecord,
    draw::{TURNS, Turn},
};

/// Domain of the hash that draws.
const DRAW_TAG: &[u8] = b"encompute/claim-draw/v1";
/// Turns that a claim window has room for: those of the drawn, and one for everybody, beside the two blocks that the
/// draw takes.
const TURNS_IN_WINDOW: u32 = TURNS + 2;
/// Stake counts up to so many times the least that a worker must have.
const STAKE_COUNTS_TIMES: u128 = 10;

/// How long a worker that was drawn has before the next one may claim, too: a fifth of the claim window.
pub fn turn(windows: &Windows) -> Blocks {
    Blocks(windows.claim.0.checked_div(TURNS_IN_WINDOW).unwrap_or(0).max(1))
}

/// What a worker weighs in a draw, in parts of 2³²: its stake that stays, as a share of the most that counts, times its
/// score. Never nothing.
fn weight(params: &Params, worker: &WorkerRecord) -> u64 {
    let cap = params.worker_stake_floor.checked_mul(STAKE_COUNTS_TIMES).unwrap_or(Plancks(u128::MAX));
    let counted = worker.stake.checked_sub(worker.stake_leaving).unwrap_or_default().min(cap);
    // A share of 2¹⁶ needs sixteen bits above both.
    let shift = 16_u32.saturating_sub(cap.0.leading_zeros());
    let share = ((counted.0 >> shift) << 16).checked_div(cap.0 >> shift).unwrap_or(1 << 16);
    // At most 2¹⁶ each.
    (share as u64).max(1).saturating_mul(worker.reputation.score().0.into())
}

/// The block that is so many after another, but none after `last`.
fn after(block: BlockNumber, blocks: u32, last: BlockNumber) -> BlockNumber {
    BlockNumber(block.0.saturating_add(blocks).min(last.0))
}

/// Which code and which machines may be used in this block, each read once however many workers have it.
struct Usable<'a, S, H> {
    scene: &'a Scene<'a, S, H>,
    codes: Vec<(MeasurementId, bool)>,
    machines: Vec<(PlatformId, bool)>,
}

impl<S: ReadState, H> Usable<'_, S, H> {
    /// True for a worker of whose code and machine both may be used.
    fn runs(&mut self, worker: &WorkerRecord) -> bool {
        let scene = self.scene;
        once(&mut self.codes, worker.measurement, |id| scene.measurement_must_be_usable(id).is_ok())
            && once(&mut self.machines, worker.platform, |id| scene.platform_must_be_usable(id).is_ok())
    }
}

fn once<K: Copy + PartialEq>(known: &mut Vec<(K, bool)>, key: K, read: impl FnOnce(K) -> bool) -> bool {
    if let Some((_, found)) = known.iter().find(|(other, _)| *other == key) {
        return *found;
    }
    let found = read(key);
    known.push((key, found));
    found
}

impl Job {
    /// The first block in which somebody may claim: the hash of the one before decides.
    fn first_turn(&self) -> BlockNumber {
        after(self.progress.changed_at, 2, self.progress.deadline)
    }

    /// The first block of a turn, counted from 0; in the window's last block anybody may.
    fn turn_from(&self, rank: u32) -> BlockNumber {
        let blocks = turn(&self.terms.windows).0.saturating_mul(rank);
        after(self.first_turn(), blocks, self.progress.deadline)
    }

    /// Refuses a worker whose turn it is not yet.
    pub(super) fn must_be_turn_of<S: ReadState, H: Host>(
        &self,
        scene: &Scene<'_, S, H>,
        caller: Address,
    ) -> Result<(), Refusal> {
        let block = scene.at.block;
        if block >= self.turn_from(TURNS) {
            // Then nobody has to be drawn, and nothing to be read.
            return Ok(());
        }
        let draw = self.draw(scene)?;
        let from = draw.first_of(caller).max(self.first_turn());
        if block >= from { Ok(()) } else { Err(Refusal::NotYourTurn { turn: draw.whose(block), from, block }) }
    }

    /// Whose turn it is, as far as the hashes of this block's ancestors say.
    pub(crate) fn draw<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Draw, Refusal> {
        let decides = BlockNumber(self.progress.changed_at.0.checked_add(1).ok_or(Refusal::NumbersExhausted)?);
        if scene.at.block <= decides {
            return Ok(Draw { decides, turns: Vec::new(), open_from: self.turn_from(TURNS) });
        }
        let Some(hash) = scene.host.block_hash(decides) else {
            // Forgotten: nobody can say any more who was drawn.
            return Ok(Draw { decides, turns: Vec::new(), open_from: self.first_turn() });
        };
        let drawn = self.drawn(scene, &hash)?;
        let turns = drawn.iter().zip(0..).map(|(worker, rank)| Turn { worker: *worker, from: self.turn_from(rank) });
        let turns: Vec<Turn> = turns.collect();
        // As many as are drawn at most.
        let open_from = self.turn_from(turns.len() as u32);
        Ok(Draw { decides, turns, open_from })
    }

    /// Those who are drawn, the first first.
    fn drawn<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>, hash: &[u8; 32]) -> Result<Vec<Address>, Refusal> {
        let mut numbers = Numbers::new(scene.host, DRAW_TAG, hash, self.id);
        let sample = numbers.sample(scene.state, self.progress.workers)?;
        let params = scene.state.params();
        let mut usable = Usable { scene, codes: Vec::new(), machines: Vec::new() };
        let mut first: Vec<(Arrival, Address)> = Vec::with_capacity(TURNS as usize + 1);
        for account in sample {
            let worker = scene.state.worker(account).ok_or(Refusal::Inconsistent)?;
            let was_late = self.progress.late.contains(&Some(account));
            let came_after = worker.raised_at > self.progress.changed_at;
            let is_able = self.must_last(scene, &worker).is_ok() && self.must_have_room(&worker).is_ok();
            if was_late || came_after || !is_able || !usable.runs(&worker) {
                continue;
            }
            let mut what = [0; 21];
            what[0] = self.progress.timeouts;
            what[1..].copy_from_slice(&account.0);
            let arrival = Arrival::of(numbers.of(&what), weight(&params, &worker));
            let place = first.partition_point(|(other, known)| (*other, *known) < (arrival, account));
            first.insert(place, (arrival, account));
            first.truncate(TURNS as usize);
        }
        Ok(first.into_iter().map(|(_, account)| account).collect())
    }
}
