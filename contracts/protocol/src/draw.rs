//! Whose turn it is to claim a job that was requested without an offer.

use crate::{Address, BlockNumber};
use alloc::vec::Vec;
use codec::{Decode, Encode};
use scale_info::TypeInfo;

/// Workers that are drawn for a job, one after the other; after them anybody may claim it.
pub const TURNS: u32 = 3;

/// Who may claim a requested job, and from when on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct Draw {
    /// The block whose hash decides. Up to it nobody is drawn, and nobody may claim.
    pub decides: BlockNumber,
    /// Those who were drawn, at most [`TURNS`], the first first; empty while nobody can know them.
    pub turns: Vec<Turn>,
    /// From this block on anybody may claim who can.
    pub open_from: BlockNumber,
}

/// A worker's turn. It goes on when the next one's begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct Turn {
    /// Who was drawn.
    pub worker: Address,
    /// The first block in which it may claim.
    pub from: BlockNumber,
}

impl Draw {
    /// The first block in which `worker` may claim.
    pub fn first_of(&self, worker: Address) -> BlockNumber {
        self.turns.iter().find(|turn| turn.worker == worker).map_or(self.open_from, |turn| turn.from)
    }

    /// Whose turn began last at `block`; none before the first, and once anybody may claim.
    pub fn whose(&self, block: BlockNumber) -> Option<Address> {
        let begun = self.turns.iter().rev().find(|turn| turn.from <= block);
        begun.filter(|_| block < self.open_from).map(|turn| turn.worker)
    }
}
