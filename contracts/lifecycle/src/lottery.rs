//! What follows from the hash of a block that nobody could know before: numbers, and the workers that are looked at.

use crate::{context::Host, refusal::Refusal, state::ReadState};
use alloc::vec::Vec;
use encompute_protocol::{Address, JobId};

/// Workers that are looked at, drawn among all, so that no call grows with their number.
pub(crate) const LOOKED_AT: u32 = 32;

/// Numbers that follow from a hash.
pub(crate) struct Numbers<'a, H> {
    host: &'a H,
    tag: &'static [u8],
    hash: &'a [u8; 32],
    job: JobId,
    drawn: u32,
}

impl<'a, H: Host> Numbers<'a, H> {
    /// Those of a job for what the tag names.
    pub(crate) fn new(host: &'a H, tag: &'static [u8], hash: &'a [u8; 32], job: JobId) -> Self {
        Self { host, tag, hash, job, drawn: 0 }
    }

    /// One from 0 to `limit` - 1. Of 2⁶⁴ that a 32-bit limit does not divide the last part is a 2⁻³² of all: nobody gains.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        let drawn = self.drawn.to_le_bytes();
        self.drawn = self.drawn.wrapping_add(1);
        // Less than a limit of 32 bits.
        self.of(&drawn).checked_rem(limit.into()).unwrap_or(0) as u32
    }

    /// The one that belongs to `what`, of 64 bits.
    pub(crate) fn of(&self, what: &[u8]) -> u64 {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(self.tag);
        bytes.extend_from_slice(self.hash);
        bytes.extend_from_slice(&self.job.0.to_le_bytes());
        bytes.extend_from_slice(what);
        let hash = self.host.keccak_256(&bytes);
        let mut eight = [0; 8];
        eight.copy_from_slice(&hash[..8]);
        u64::from_le_bytes(eight)
    }

    /// Of the first `workers` all while they are few, else as many at random as are looked at; each once.
    pub(crate) fn sample<S: ReadState>(&mut self, state: &S, workers: u32) -> Result<Vec<Address>, Refusal> {
        let mut sample = Vec::with_capacity(workers.min(LOOKED_AT) as usize);
        for at in 0..workers.min(LOOKED_AT) {
            let index = if workers <= LOOKED_AT { at } else { self.below(workers) };
            let account = state.worker_at(index).ok_or(Refusal::Inconsistent)?;
            if !sample.contains(&account) {
                sample.push(account);
            }
        }
        Ok(sample)
    }
}
