//! A seed's bytes altered in the ways that decoders get wrong: the same ones each time, so that a failure repeats.

use crate::Seed;

/// Altered inputs without end.
pub struct Alterations<'a> {
    seeds: &'a [Seed],
    longest_bytes: usize,
    state: u64,
}

/// Bytes that lengths, counts and numbers go wrong at.
const EDGES: [u8; 8] = [0x00, 0x01, 0x03, 0x7F, 0x80, 0xFC, 0xFE, 0xFF];

impl<'a> Alterations<'a> {
    /// Of these seeds, at least one, and no input longer than `longest_bytes`.
    pub fn of(seeds: &'a [Seed], longest_bytes: usize) -> Self {
        Self { seeds, longest_bytes, state: 0x00E5_C0DE }
    }

    /// A number below `limit`; 0 if that is 0. SplitMix64: quality enough to pick places.
    fn below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    }

    fn seed(&mut self) -> &'a [u8] {
        let at = self.below(self.seeds.len());
        &self.seeds[at].bytes
    }

    fn alter(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        match (self.below(7), input.get_mut(at)) {
            (0, Some(byte)) => *byte ^= 1 << self.below(8),
            (1, Some(byte)) => *byte = EDGES[self.below(EDGES.len())],
            (2, Some(_)) => input.truncate(at),
            (3, Some(_)) => {
                let end = (at + 1 + self.below(16)).min(input.len());
                input.drain(at..end);
            }
            (4, Some(_)) => {
                let (other, end) = (self.seed(), (at + 1 + self.below(64)).min(input.len()));
                let from = self.below(other.len());
                input.splice(at..end, other[from..].iter().copied().take(end - at));
            }
            (5, _) => {
                let count = 1 + self.below(16);
                let byte = EDGES[self.below(EDGES.len())];
                input.splice(at..at, std::iter::repeat_n(byte, count));
            }
            // A number that says how much follows, as large as it can be said in four bytes.
            (_, Some(_)) => {
                let end = (at + 4).min(input.len());
                input[at..end].copy_from_slice(&[0xFE, 0xFF, 0xFF, 0xFF][..end - at]);
            }
            (_, None) => input.push(EDGES[at % EDGES.len()]),
        }
    }
}

impl Iterator for Alterations<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut input = self.seed().to_vec();
        for _ in 0..=self.below(3) {
            self.alter(&mut input);
        }
        input.truncate(self.longest_bytes);
        Some(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alterations_are_the_same_each_time_and_few_are_the_seed() {
        let seeds = [Seed { name: "text".to_owned(), bytes: b"a seed of some length, in words".to_vec() }];
        let first: Vec<_> = Alterations::of(&seeds, 64).take(1_000).collect();
        assert_eq!(first, Alterations::of(&seeds, 64).take(1_000).collect::<Vec<_>>());
        assert!(first.iter().filter(|input| **input == seeds[0].bytes).count() < 20);
        assert!(first.iter().all(|input| input.len() <= 64));
    }
}
