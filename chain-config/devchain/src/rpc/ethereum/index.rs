//! Where a transaction is that Ethereum knows by its own hash: found by reading every block once, kept in memory.

use super::hash_of;
use crate::{
    chain::{Chain, ReadError},
    runtime::{BlockNumber, RuntimeCall, UncheckedExtrinsic},
};
use codec::Decode;
use sp_core::H256;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// A transaction in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) block: BlockNumber,
    /// Which extrinsic of the block carries it.
    pub(super) extrinsic: u32,
}

/// Every Ethereum transaction up to some block.
#[derive(Default)]
pub(crate) struct Index(Mutex<Known>);

#[derive(Default)]
struct Known {
    places: HashMap<H256, Place>,
    /// The first block that was not read yet.
    next: BlockNumber,
}

impl Index {
    /// Where the transaction is, if it is in a block.
    pub(super) fn place(&self, chain: &Chain, hash: H256) -> Result<Option<Place>, ReadError> {
        let newest = chain.head().header.number;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while known.next <= newest {
            let block = known.next;
            let body = chain.block_numbered(block)?.map(|block| block.body).unwrap_or_default();
            for (extrinsic, bytes) in (0..).zip(&body) {
                if let Some(payload) = payload_of(bytes) {
                    known.places.insert(hash_of(&payload), Place { block, extrinsic });
                }
            }
            known.next = block.saturating_add(1);
        }
        Ok(known.places.get(&hash).copied())
    }
}

/// The signed Ethereum transaction that an extrinsic of a block carries, if it does.
pub(super) fn payload_of(extrinsic: &[u8]) -> Option<Vec<u8>> {
    let decoded = UncheckedExtrinsic::decode(&mut &*extrinsic).ok()?;
    match decoded.0.function {
        RuntimeCall::Revive(pallet_revive::Call::eth_transact { payload }) => Some(payload),
        _ => None,
    }
}
