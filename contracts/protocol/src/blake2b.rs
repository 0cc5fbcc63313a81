//! BLAKE2b-256 that can be put aside between two parts: the contract checks a blob that is longer than one call.
//!
//! The platform's own BLAKE2 takes a whole message at once. The state here is 72 bytes and one storage item.

use crate::BlobDigest;
use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Bytes that are hashed at once; every part but the last is a multiple of it.
pub const BLOCK_BYTES: usize = 128;

/// First words of the fractional parts of the square roots of the first eight primes (RFC 7693, 2.6).
const IV: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// The order of the message's words in each round (RFC 7693, 2.7); rounds 10 and 11 are 0 and 1 again.
const SIGMA: [[usize; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/// Where each of a round's eight mixings works: four columns, then four diagonals.
const LANES: [[usize; 4]; 8] = [
    [0, 4, 8, 12],
    [1, 5, 9, 13],
    [2, 6, 10, 14],
    [3, 7, 11, 15],
    [0, 5, 10, 15],
    [1, 6, 11, 12],
    [2, 7, 8, 13],
    [3, 4, 9, 14],
];

/// A digest of which some blocks have been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Blake2b {
    state: [u64; 8],
    read_bytes: u64,
}

impl Blake2b {
    /// Nothing read. No key, 32 bytes of digest.
    pub fn new() -> Self {
        let mut state = IV;
        state[0] ^= 0x0101_0020;
        Self { state, read_bytes: 0 }
    }

    /// Bytes read so far.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// Reads whole blocks that are not the last. `None`, and nothing read, for no bytes or a broken block.
    pub fn read(&mut self, blocks: &[u8]) -> Option<()> {
        if blocks.is_empty() || !blocks.len().is_multiple_of(BLOCK_BYTES) {
            return None;
        }
        blocks.chunks_exact(BLOCK_BYTES).for_each(|block| self.compress(block, false));
        Some(())
    }

    /// The digest, after the rest of the bytes. Only an empty blob ends with nothing: `None` where blocks were read and
    /// no rest is left, for the last block is mixed otherwise than those before.
    pub fn finish(mut self, rest: &[u8]) -> Option<BlobDigest> {
        if rest.is_empty() && self.read_bytes > 0 {
            return None;
        }
        let mut left = rest;
        while left.len() > BLOCK_BYTES {
            let (block, after) = left.split_at(BLOCK_BYTES);
            self.compress(block, false);
            left = after;
        }
        self.compress(left, true);
        let mut digest = [0; 32];
        for (bytes, word) in digest.chunks_exact_mut(8).zip(self.state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Some(BlobDigest(digest))
    }

    /// The compression function (RFC 7693, 3.2) on at most one block.
    fn compress(&mut self, block: &[u8], last: bool) {
        let mut padded = [0; BLOCK_BYTES];
        padded[..block.len()].copy_from_slice(block);
        let mut message = [0; 16];
        for (word, bytes) in message.iter_mut().zip(padded.chunks_exact(8)) {
            let mut eight = [0; 8];
            eight.copy_from_slice(bytes);
            *word = u64::from_le_bytes(eight);
        }
        self.read_bytes = self.read_bytes.wrapping_add(block.len() as u64);
        let mut lanes = [0; 16];
        lanes[..8].copy_from_slice(&self.state);
        lanes[8..].copy_from_slice(&IV);
        lanes[12] ^= self.read_bytes;
        if last {
            lanes[14] = !lanes[14];
        }
        for round in 0..12 {
            let order = SIGMA[round % 10];
            for (at, lane) in LANES.iter().enumerate() {
                mix(&mut lanes, *lane, message[order[2 * at]], message[order[2 * at + 1]]);
            }
        }
        for at in 0..8 {
            self.state[at] ^= lanes[at] ^ lanes[at + 8];
        }
    }
}

impl Default for Blake2b {
    fn default() -> Self {
        Self::new()
    }
}

fn mix(lanes: &mut [u64; 16], [a, b, c, d]: [usize; 4], x: u64, y: u64) {
    lanes[a] = lanes[a].wrapping_add(lanes[b]).wrapping_add(x);
    lanes[d] = (lanes[d] ^ lanes[a]).rotate_right(32);
    lanes[c] = lanes[c].wrapping_add(lanes[d]);
    lanes[b] = (lanes[b] ^ lanes[c]).rotate_right(24);
    lanes[a] = lanes[a].wrapping_add(lanes[b]).wrapping_add(y);
    lanes[d] = (lanes[d] ^ lanes[a]).rotate_right(16);
    lanes[c] = lanes[c].wrapping_add(lanes[d]);
    lanes[b] = (lanes[b] ^ lanes[c]).rotate_right(63);
}

#[cfg(all(test, feature = "hash"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn any_way_to_cut_a_blob_into_parts_gives_the_digest_of_the_whole() {
        for length in (0..600).chain([1_024, 12_288, 12_289, 100_000]) {
            let bytes: Vec<u8> = (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            let wanted = BlobDigest::of(&bytes);
            assert_eq!(Blake2b::new().finish(&bytes), Some(wanted), "{length} bytes at once");
            for blocks in [1, 2, 3, 96] {
                let (mut hash, mut left) = (Blake2b::new(), bytes.as_slice());
                while left.len() > blocks * BLOCK_BYTES {
                    let (part, after) = left.split_at(blocks * BLOCK_BYTES);
                    hash.read(part).unwrap();
                    left = after;
                }
                assert_eq!(hash.finish(left), Some(wanted), "{length} bytes, {blocks} blocks a part");
            }
        }
    }

    #[test]
    fn broken_blocks_and_an_empty_end_are_refused() {
        let mut hash = Blake2b::new();
        assert_eq!(hash.read(&[]), None);
        assert_eq!(hash.read(&[0; 127]), None);
        assert_eq!(hash, Blake2b::new());
        hash.read(&[0; 128]).unwrap();
        assert_eq!(hash.finish(&[]), None);
    }
}
