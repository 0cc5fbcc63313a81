//! Programmable bootstraps: a table looked up on encrypted values, whose noise is fresh afterwards.
//!
//! What happens to one value: key switching from the 2048 bits of the ring's key to the 918 of a small one, the
//! switch from 2³² to 4096 turns, the blind rotation of a table by an encrypted number of turns, and the extraction
//! of the coefficient that has come to the front. The products of the rotation are computed in doubles and not
//! exactly: their rounding is noise, far below that of the key. But each step is one that IEEE 754 fixes to the bit,
//! and in one order, so that a result is the same on every instruction set and for any number of threads.
//!
//! A result is a ciphertext of 2048 coefficients for one value; packing brings up to 64 of them into one.

mod carried;
mod eights;
mod fourier;
mod key;
mod keyswitch;
mod noise;
mod pack;
mod params;
mod rotate;
mod sample;
mod table;

use rayon::prelude::*;

pub use self::carried::Turns;
use self::eights::Eights;
use self::fourier::Fourier;
pub use self::key::{EvaluationKey, EvaluationKeyError, PreparedEvaluationKey};
pub use self::pack::MOST_PACKED;
pub use self::params::{BootstrapSet, Decomposition, LweDimension};
use self::rotate::{Accumulator, KeyRow, Polynomial, Workspace, add_turned, turned};
pub use self::sample::LweCiphertext;
pub use self::table::{TABLE_BINS, Table};
use crate::expand::Ciphertext;
use crate::ring::CodePath;
use crate::ring::lanes::{Instructions, Scalar};

/// Values that are bootstrapped together by one thread: each part of the key is read once for all of them.
const BATCH: usize = 8;

/// Why values were not bootstrapped or packed. Nothing has been computed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// A value under a key of another length.
    #[error("value {index} has a mask of {found} coefficients, {set} takes {wanted}")]
    InputSize {
        /// Index of the value.
        index: usize,
        /// Coefficients found.
        found: usize,
        /// Coefficients wanted.
        wanted: usize,
        /// The key's set.
        set: BootstrapSet,
    },
    /// A number of values that ciphertexts cannot hold.
    #[error("{found} values in a ciphertext, it must be a power of two up to {MOST_PACKED}")]
    Together {
        /// Values wanted in each.
        found: usize,
    },
}

/// Looks tables up on encrypted values, on one code path.
pub struct Bootstrapper {
    path: CodePath,
    fourier: Box<Fourier>,
}

/// Calls a generic function with the lanes of a path.
macro_rules! on_path {
    ($path:expr, $lanes:ident => $call:expr) => {
        match $path.0 {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512($lanes) => $call,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2($lanes) => $call,
            // A bootstrap is defined by its operations on doubles: without them there is none.
            Instructions::Portable | Instructions::Ntt => {
                let $lanes = Scalar;
                $call
            }
        }
    };
}

impl Bootstrapper {
    /// Bootstraps on `path`; [`CodePath::NTT`] stands for [`CodePath::PORTABLE`] here.
    pub fn new(path: CodePath) -> Self {
        Self { path, fourier: Box::new(Fourier::new()) }
    }

    /// Expands and transforms an evaluation key: [`PreparedEvaluationKey::memory_bytes`], the same on every path.
    pub fn prepare(&self, key: &EvaluationKey) -> PreparedEvaluationKey {
        on_path!(self.path, l => PreparedEvaluationKey::new(l, &self.fourier, key))
    }

    /// Looks `table` up on each value: as many values, under the same key, with fresh noise.
    ///
    /// # Errors
    /// [`BootstrapError::InputSize`].
    pub fn apply(
        &self,
        key: &PreparedEvaluationKey,
        table: &Table,
        inputs: &[LweCiphertext],
    ) -> Result<Vec<LweCiphertext>, BootstrapError> {
        self.apply_each(key, &inputs.iter().map(|input| (input, table)).collect::<Vec<_>>())
    }

    /// The same with a table for each value.
    ///
    /// # Errors
    /// [`BootstrapError::InputSize`].
    pub fn apply_each(
        &self,
        key: &PreparedEvaluationKey,
        inputs: &[(&LweCiphertext, &Table)],
    ) -> Result<Vec<LweCiphertext>, BootstrapError> {
        of_one_size(key.set(), inputs.iter().map(|(input, _)| *input))?;
        let batches = inputs.par_chunks(batch_size(inputs.len()));
        Ok(batches.flat_map_iter(|inputs| on_path!(self.path, l => self.batch(l, key, inputs))).collect())
    }

    /// The first half of a bootstrap: what tables will be turned by, which may be put aside.
    ///
    /// # Errors
    /// [`BootstrapError::InputSize`].
    pub fn switch(&self, key: &PreparedEvaluationKey, inputs: &[LweCiphertext]) -> Result<Vec<Turns>, BootstrapError> {
        of_one_size(key.set(), inputs.iter())?;
        let batches = inputs.par_chunks(batch_size(inputs.len()));
        let switched = batches.flat_map_iter(|inputs| {
            let inputs: Vec<&LweCiphertext> = inputs.iter().collect();
            on_path!(self.path, l => key.keyswitch.turns(l, &inputs)).into_iter().map(Turns)
        });
        Ok(switched.collect())
    }

    /// The second half: a table looked up on each value. Both halves give what [`Bootstrapper::apply_each`] gives.
    ///
    /// # Errors
    /// [`BootstrapError::InputSize`].
    pub fn turn(
        &self,
        key: &PreparedEvaluationKey,
        inputs: &[(&Turns, &Table)],
    ) -> Result<Vec<LweCiphertext>, BootstrapError> {
        let (set, wanted) = (key.set(), key.set().lwe_dimension().0);
        let masks = inputs.iter().map(|(turns, _)| turns.0.len().saturating_sub(1));
        if let Some((index, found)) = masks.enumerate().find(|(_, found)| *found != wanted) {
            return Err(BootstrapError::InputSize { index, found, wanted, set });
        }
        let batches = inputs.par_chunks(batch_size(inputs.len()));
        let turned = batches.flat_map_iter(|inputs| {
            let pairs: Vec<(&[u16], &Table)> =
                inputs.iter().map(|(turns, table)| (turns.0.as_slice(), *table)).collect();
            on_path!(self.path, l => self.rotate(l, key, &pairs))
        });
        Ok(turned.collect())
    }

    /// Packs each `together` values into one ciphertext: `[values] → [values / together, rounded up]`.
    ///
    /// Value `i` of a ciphertext comes out **times `together`**, at coefficient `i · 2048 / together`; the last one is
    /// filled up with zeros. All other coefficients are sums that mean nothing and that nobody should be sent. Noise is
    /// [`BootstrapSet::packed_variance`].
    ///
    /// # Errors
    /// [`BootstrapError::Together`] unless it is a power of two up to [`MOST_PACKED`], [`BootstrapError::InputSize`].
    pub fn pack(
        &self,
        key: &PreparedEvaluationKey,
        inputs: &[LweCiphertext],
        together: usize,
    ) -> Result<Vec<Ciphertext>, BootstrapError> {
        if !together.is_power_of_two() || together > MOST_PACKED {
            return Err(BootstrapError::Together { found: together });
        }
        of_one_size(key.set(), inputs.iter())?;
        let groups = inputs.par_chunks(together);
        Ok(groups.map(|group| on_path!(self.path, l => key.pack(l, &self.fourier, group, together))).collect())
    }

    /// One thread's batch.
    fn batch<L: Eights>(
        &self,
        l: L,
        key: &PreparedEvaluationKey,
        inputs: &[(&LweCiphertext, &Table)],
    ) -> Vec<LweCiphertext> {
        let turns = key.keyswitch.turns(l, &inputs.iter().map(|(input, _)| *input).collect::<Vec<_>>());
        let pairs: Vec<(&[u16], &Table)> =
            turns.iter().zip(inputs).map(|(turns, (_, table))| (turns.as_slice(), *table)).collect();
        self.rotate(l, key, &pairs)
    }

    /// One thread's rotations.
    fn rotate<L: Eights>(&self, l: L, key: &PreparedEvaluationKey, inputs: &[(&[u16], &Table)]) -> Vec<LweCiphertext> {
        let mut workspace = Workspace::new();
        let start = |(turns, table): &(&[u16], &Table)| {
            Accumulator::start(table.polynomial(), turns.last().copied().unwrap_or(0))
        };
        let mut accumulators: Vec<Accumulator> = inputs.iter().map(start).collect();
        for (step, rows) in key.bootstrap.chunks_exact(fourier::ROWS).enumerate() {
            touch(rows);
            for (accumulator, (turns, _)) in accumulators.iter_mut().zip(inputs) {
                if turns[step] != 0 {
                    add_turned(l, &self.fourier, rows, turns[step], accumulator, &mut workspace);
                }
            }
        }
        accumulators.iter().map(Accumulator::first_value).collect()
    }
}

/// Values of one batch, so that every thread has one.
fn batch_size(inputs: usize) -> usize {
    inputs.div_ceil(rayon::current_num_threads()).clamp(1, BATCH)
}

/// Checks that all values are under a key of the set's length.
fn of_one_size<'a>(set: BootstrapSet, inputs: impl Iterator<Item = &'a LweCiphertext>) -> Result<(), BootstrapError> {
    let wanted = set.ring().polynomial_size().0;
    match inputs.map(|input| input.mask.len()).enumerate().find(|(_, found)| *found != wanted) {
        Some((index, found)) => Err(BootstrapError::InputSize { index, found, wanted, set }),
        None => Ok(()),
    }
}

/// Reads a line of each row.
///
/// A rotation takes longer over a page of the key than a processor looks ahead, so every page would be waited for.
fn touch(rows: &[KeyRow]) {
    let lines = rows.iter().flat_map(|row| &row.0);
    core::hint::black_box(lines.fold(0.0, |sum, line| sum + line[0]));
}

impl Accumulator {
    /// The table turned back by the body, without a mask.
    fn start(table: &Polynomial, body: u16) -> Self {
        let back = (2 * fourier::SIZE as u16 - body) % (2 * fourier::SIZE as u16);
        Self { mask: Polynomial([0; fourier::SIZE]), body: turned(table, back) }
    }

    /// The value in front.
    fn first_value(&self) -> LweCiphertext {
        let [first, rest @ ..] = &self.mask.0;
        let wrapped = rest.iter().rev().map(|value| value.wrapping_neg());
        LweCiphertext { mask: core::iter::once(*first).chain(wrapped).collect(), body: self.body.0[0] }
    }
}
