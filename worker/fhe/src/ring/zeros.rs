//! Products of a case's blinding key with the ternary polynomials of encryptions of zero.
//!
//! A key at its full width has two limbs, and its products join the sums of the others before the one transform
//! back. A key rounded to [`NARROW_BLINDING`] fits a double whole: where no other product needs a transform
//! back, four ciphertexts of it share one.

use std::sync::OnceLock;

use super::lanes::{LANES, Lanes};
use super::spectral::{Back, Residue, Terms, add_product, forward_pair, rounded, rows, shifted_integer};
use super::transform::{Batch, CHUNK_ROWS, Transform};
use crate::blinding::{Noise, POLYNOMIALS_TOGETHER, Source, Ternaries};
use crate::expand::Ciphertext;
use crate::layout::WantedBody;
use crate::params::{NARROW_BLINDING, ParameterSet, UploadBits};
use pulp::bytemuck::{cast_slice, cast_slice_mut};

/// A case's blinding key, expanded once, and transformed once for each way in which responses of the case use it.
pub struct PreparedBlindingKey {
    parameter_set: ParameterSet,
    clear: Ciphertext,
    /// Two limbs of mask and body in the lower half of each row, and again in the upper.
    full: OnceLock<Batch>,
    /// The same of the rounded key.
    narrow: OnceLock<Batch>,
    /// The rounded key whole: its mask in the lower half of each row, its body in the upper.
    whole: OnceLock<Batch>,
}

impl PreparedBlindingKey {
    pub(super) fn new(parameter_set: ParameterSet, clear: Ciphertext) -> Self {
        let [full, narrow, whole] = [const { OnceLock::new() }; 3];
        Self { parameter_set, clear, full, narrow, whole }
    }

    /// The set it belongs to.
    pub fn parameter_set(&self) -> ParameterSet {
        self.parameter_set
    }

    /// The key rounded to `width`, scaled to 2⁶⁴.
    pub(super) fn clear(&self, width: UploadBits) -> Ciphertext {
        let drop_bits = 64 - u32::from(width.0);
        let round = |value: &u64| value.wrapping_add(1 << (drop_bits - 1)) >> drop_bits << drop_bits;
        let [mask, body] = [&self.clear.mask, &self.clear.body].map(|part| part.iter().map(round).collect());
        Ciphertext { mask, body }
    }

    // All paths give the same bits, so that a key may be used on another than it was transformed on.
    fn limbs<L: Lanes>(&self, l: L, transform: &Transform, width: UploadBits) -> &Batch {
        let kept = if width == NARROW_BLINDING { &self.narrow } else { &self.full };
        kept.get_or_init(|| {
            let clear = self.clear(width);
            scaled(l, forward_pair(l, transform, Batch::zero(transform.rows()), &clear, Some(&clear)))
        })
    }

    fn whole<L: Lanes>(&self, l: L, transform: &Transform) -> &Batch {
        self.whole.get_or_init(|| {
            let clear = self.clear(NARROW_BLINDING);
            let value = |of: &[u64], at: usize| (of[at] as i64 >> SHIFT) as f64;
            let mut batch = Batch::zero(transform.rows());
            transform.forward(l, &mut batch, |row, re, im| {
                for (first, part) in [(row, re), (row + transform.rows(), im)] {
                    for (at, row) in part.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                        let (mask, body) = row.split_at_mut(LANES / 2);
                        mask.fill(value(&clear.mask, first + at));
                        body.fill(value(&clear.body, first + at));
                    }
                }
            });
            scaled(l, batch)
        })
    }
}

/// What takes a rounded key to 2⁶⁴, as a power of two.
const SHIFT: u32 = 64 - NARROW_BLINDING.0 as u32;

/// Scales a spectrum for the way back; by a power of two, so exactly.
fn scaled<L: Lanes>(l: L, mut batch: Batch) -> Batch {
    let scale = l.splat(1.0 / (batch.re.len() / LANES) as f64);
    for part in [&mut batch.re, &mut batch.im] {
        cast_slice_mut::<_, L::V>(part).iter_mut().for_each(|value| *value = l.mul(*value, scale));
    }
    batch
}

/// The encryptions of zero that go with the outputs of a product.
#[derive(Clone, Copy)]
pub(super) struct Zeros<'a> {
    pub key: &'a PreparedBlindingKey,
    pub width: UploadBits,
    pub source: &'a Source,
    /// Number of the first output in the response.
    pub first: usize,
    /// The bodies of each output that the response holds.
    pub wanted: &'a [Vec<WantedBody>],
}

impl<'a> Zeros<'a> {
    /// The polynomials of outputs `8·at` to `8·at + 7`.
    pub fn ternaries(self, at: usize) -> Ternaries {
        self.source.ternaries(self.first + at * LANES)
    }

    /// The noise of an output.
    pub fn noise(self, output: usize) -> Noise<'a> {
        self.source.noise(self.first + output, &self.wanted[output])
    }

    /// What is multiplied where the other products are transformed back too, or the key is too wide.
    pub fn in_limbs<L: Lanes>(self, l: L, transform: &Transform, ternaries: &'a [Batch]) -> Keys<'a> {
        Keys { key: self.key.limbs(l, transform, self.width), ternaries }
    }

    /// What is multiplied where nothing else is transformed back.
    pub fn alone<L: Lanes>(self, l: L, transform: &Transform, ternaries: &'a [Batch]) -> AloneKeys<'a> {
        if self.width == NARROW_BLINDING {
            AloneKeys::Whole(WholeKeys { key: self.key.whole(l, transform), ternaries })
        } else {
            AloneKeys::Limbs(self.in_limbs(l, transform, ternaries))
        }
    }
}

/// Products with a key alone.
#[derive(Clone, Copy)]
pub(super) enum AloneKeys<'a> {
    Limbs(Keys<'a>),
    Whole(WholeKeys<'a>),
}

impl AloneKeys<'_> {
    /// Outputs whose products share a transform back.
    pub fn together(self) -> usize {
        match self {
            Self::Limbs(_) => LANES / 4,
            Self::Whole(_) => WHOLE_TOGETHER,
        }
    }

    /// Adds the products of the `at`-th so many outputs, as many as there are. Nothing is promised about them
    /// unless the residue says that they are exact.
    pub fn add_products<L: Lanes>(self, l: L, at: usize, mut back: Back<'_>) -> Residue {
        match self {
            Self::Limbs(keys) => Terms::of_key(keys.of(at)).add_to(l, &mut back),
            Self::Whole(keys) => keys.add_products(l, at, back),
        }
    }
}

/// A product's encryptions of zero, transformed, the key in limbs.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    key: &'a Batch,
    ternaries: &'a [Batch],
}

impl<'a> Keys<'a> {
    /// Those of outputs `2·pair` and `2·pair + 1`.
    pub fn of(self, pair: usize) -> KeyTerm<'a> {
        let first = 2 * pair;
        KeyTerm { key: self.key, ternary: &self.ternaries[first / LANES], lane: first % LANES }
    }
}

/// One case's key, transformed into both halves of a row, times the ternary polynomials of two outputs:
/// lanes `lane` and `lane + 1` of their batch.
#[derive(Clone, Copy)]
pub(crate) struct KeyTerm<'a> {
    key: &'a Batch,
    ternary: &'a Batch,
    lane: usize,
}

impl KeyTerm<'_> {
    /// The product at one root, added to `sum`.
    #[inline(always)]
    pub fn add_at<L: Lanes>(self, l: L, sum: (L::V, L::V), row: usize, part: usize) -> (L::V, L::V) {
        let [key_re, key_im, re, im] =
            [&self.key.re, &self.key.im, &self.ternary.re, &self.ternary.im].map(|of| &rows(of)[row]);
        let key = (l.twice(key_re, 0, part), l.twice(key_im, 0, part));
        let lane = self.lane;
        add_product(l, sum, key, &[re[lane], re[lane + 1], im[lane], im[lane + 1]], part)
    }
}

/// The same with the key whole.
#[derive(Clone, Copy)]
pub(super) struct WholeKeys<'a> {
    key: &'a Batch,
    ternaries: &'a [Batch],
}

/// Outputs whose products with a whole key share a transform back.
const WHOLE_TOGETHER: usize = LANES / 2;

impl WholeKeys<'_> {
    /// Adds the products of outputs `4·quad` to `4·quad + 3`; otherwise as [`AloneKeys::add_products`].
    fn add_products<L: Lanes>(self, l: L, quad: usize, back: Back<'_>) -> Residue {
        let Back { transform, sums, outputs } = back;
        let (ternary, half) = (&self.ternaries[quad / 2], quad % 2);
        let [key_re, key_im] = [&self.key.re, &self.key.im].map(|of| cast_slice::<_, L::V>(of));
        let (re, im) = (rows(&ternary.re), rows(&ternary.im));
        let mut into: [&mut [u64]; LANES] = Default::default();
        let (masks, bodies) = into.split_at_mut(WHOLE_TOGETHER);
        for ((mask, body), output) in masks.iter_mut().zip(bodies).zip(outputs) {
            (*mask, *body) = (&mut output.mask, &mut output.body);
        }
        rounded(
            l,
            transform,
            sums,
            #[inline(always)]
            |first, into_re, into_im| {
                let into = cast_slice_mut::<_, L::V>(into_re).chunks_exact_mut(L::PARTS);
                let into = into.zip(cast_slice_mut::<_, L::V>(into_im).chunks_exact_mut(L::PARTS));
                for (at, (into_re, into_im)) in into.enumerate() {
                    let row = first + at;
                    for part in 0..L::PARTS {
                        let (a, b) = (key_re[row * L::PARTS + part], key_im[row * L::PARTS + part]);
                        let (c, d) = (l.twice(&re[row], half, part), l.twice(&im[row], half, part));
                        into_re[part] = l.mul_sub(a, c, l.mul(b, d));
                        into_im[part] = l.mul_add(a, d, l.mul(b, c));
                    }
                }
            },
            #[inline(always)]
            |lanes, first| {
                for (lane, into) in lanes.iter().zip(&mut into) {
                    let Some(into) = into.get_mut(first..first + CHUNK_ROWS) else { continue };
                    for (value, into) in lane.iter().zip(into) {
                        *into = into.wrapping_add(shifted_integer(*value) << SHIFT);
                    }
                }
            },
        )
    }
}

const _: () = assert!(POLYNOMIALS_TOGETHER == LANES, "a byte holds a coefficient of each lane");

/// Transforms eight ternary polynomials, one per lane, in a batch of any content.
pub(super) fn forward_ternaries<L: Lanes>(
    l: L,
    transform: &Transform,
    mut batch: Batch,
    ternaries: &Ternaries,
) -> Batch {
    let [plus, minus] = ternaries.columns();
    transform.forward(
        l,
        &mut batch,
        #[inline(always)]
        |row, re, im| {
            for (first, part) in [(row, re), (row + transform.rows(), im)] {
                let signs = plus[first..].iter().zip(&minus[first..]);
                let rows = cast_slice_mut::<_, L::V>(part).chunks_exact_mut(L::PARTS);
                for (row, (plus, minus)) in rows.zip(signs) {
                    let plus = cast_slice::<_, L::V>(&ONES.0[usize::from(*plus)]);
                    let minus = cast_slice::<_, L::V>(&ONES.0[usize::from(*minus)]);
                    for (into, (plus, minus)) in row.iter_mut().zip(plus.iter().zip(minus)) {
                        *into = l.sub(*plus, *minus);
                    }
                }
            }
        },
    );
    batch
}

/// The bits of each byte, lowest first.
static ONES: Rows256 = Rows256({
    let mut all = [[0.0; 8]; 256];
    let mut at = 0;
    while at < 8 * 256 {
        all[at / 8][at % 8] = ((at / 8) >> (at % 8) & 1) as f64;
        at += 1;
    }
    all
});

/// Aligned as registers are.
#[repr(align(64))]
struct Rows256([[f64; LANES]; 256]);
