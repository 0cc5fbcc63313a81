//! Blind rotation: turns a table by an encrypted amount, one external product for each bit of the small key.

use super::eights::{Eights, Sign};
use super::fourier::{Fourier, GROUPS, Group, ROWS, SIZE};

/// Coefficients of a polynomial modulo 2⁶⁴.
#[repr(align(64))]
#[derive(Clone)]
pub(crate) struct Polynomial(pub [u64; SIZE]);

/// The ciphertext that turns.
#[derive(Clone)]
pub(crate) struct Accumulator {
    pub mask: Polynomial,
    pub body: Polynomial,
}

/// A folded polynomial, or its values at the roots.
#[repr(align(64))]
pub(crate) struct Spectrum {
    pub re: [[f64; 8]; ROWS],
    pub im: [[f64; 8]; ROWS],
}

impl Spectrum {
    pub const ZERO: Self = Self { re: [[0.0; 8]; ROWS], im: [[0.0; 8]; ROWS] };
}

/// Eight points of the four polynomials that digits are multiplied with: for the digits of a mask, mask and body of a
/// ciphertext, then those for the digits of a body; real parts, then imaginary.
#[repr(align(64))]
#[derive(Clone, Copy)]
pub(crate) struct KeyRow(pub [[f64; 8]; 8]);

impl KeyRow {
    pub const ZERO: Self = Self([[0.0; 8]; 8]);
}

/// Where an external product is computed.
pub(crate) struct Workspace {
    mask: Spectrum,
    body: Spectrum,
}

impl Workspace {
    pub fn new() -> Box<Self> {
        Box::new(Self { mask: Spectrum::ZERO, body: Spectrum::ZERO })
    }
}

/// `table` times X to the `by`, negacyclically.
pub(crate) fn turned(table: &Polynomial, by: u16) -> Polynomial {
    let by = usize::from(by);
    let at = |coefficient: usize| {
        let from = (coefficient + 2 * SIZE - by) % (2 * SIZE);
        if from < SIZE { table.0[from] } else { table.0[from - SIZE].wrapping_neg() }
    };
    Polynomial(core::array::from_fn(at))
}

/// Adds to `accumulator` the key's bit times (X to the `by`, minus one) times itself.
pub(crate) fn add_turned<L: Eights>(
    l: L,
    fourier: &Fourier,
    key: &[KeyRow],
    by: u16,
    accumulator: &mut Accumulator,
    workspace: &mut Workspace,
) {
    l.run(
        #[inline(always)]
        || {
            let Workspace { mask, body } = &mut *workspace;
            for (from, into) in [(&accumulator.mask, mask), (&accumulator.body, body)] {
                difference_digits(l, from, usize::from(by), into);
                fourier.forward_rows(l, &mut into.re, &mut into.im);
            }
            add_product(l, fourier, key, accumulator, workspace);
        },
    );
}

/// Adds to `accumulator` the key's ciphertext times the digits of `polynomial`: in the key, what goes with the digits of
/// a body is zero.
pub(crate) fn add_switched<L: Eights>(
    l: L,
    fourier: &Fourier,
    key: &[KeyRow],
    polynomial: &Polynomial,
    accumulator: &mut Accumulator,
    workspace: &mut Workspace,
) {
    l.run(
        #[inline(always)]
        || {
            let Workspace { mask, body } = &mut *workspace;
            let rows = polynomial.0.as_chunks::<8>().0.iter().zip(mask.re.iter_mut().chain(&mut mask.im));
            for (from, into) in rows {
                l.store(l.digits(Sign::new(false), from, &[0; 8]), into);
            }
            fourier.forward_rows(l, &mut mask.re, &mut mask.im);
            (body.re, body.im) = ([[0.0; 8]; ROWS], [[0.0; 8]; ROWS]);
            add_product(l, fourier, key, accumulator, workspace);
        },
    );
}

/// Adds to `accumulator` the digits in `workspace`, whose rows have been transformed, times the key's ciphertexts.
#[inline(always)]
fn add_product<L: Eights>(
    l: L,
    fourier: &Fourier,
    key: &[KeyRow],
    accumulator: &mut Accumulator,
    Workspace { mask, body }: &mut Workspace,
) {
    for group in 0..GROUPS {
        let (mask_re, mask_im) = group_of(mask, group);
        let (body_re, body_im) = group_of(body, group);
        fourier.forward_group(l, group, mask_re, mask_im);
        fourier.forward_group(l, group, body_re, body_im);
        multiply(l, &key[8 * group..8 * group + 8], (mask_re, mask_im), (body_re, body_im));
        fourier.backward_group(l, group, mask_re, mask_im);
        fourier.backward_group(l, group, body_re, body_im);
    }
    for (from, into) in [(mask, &mut accumulator.mask), (body, &mut accumulator.body)] {
        fourier.backward_rows(l, &mut from.re, &mut from.im);
        let (re, im) = into.0.as_chunks_mut::<8>().0.split_at_mut(ROWS);
        for row in 0..ROWS / 4 {
            for (part, value) in fourier.joined(l, &from.re, &from.im, row).into_iter().enumerate() {
                l.add_fractions(value.0, &mut re[row + part * ROWS / 4]);
                l.add_fractions(value.1, &mut im[row + part * ROWS / 4]);
            }
        }
    }
}

#[inline(always)]
fn group_of(spectrum: &mut Spectrum, group: usize) -> (&mut Group, &mut Group) {
    (&mut spectrum.re.as_chunks_mut::<8>().0[group], &mut spectrum.im.as_chunks_mut::<8>().0[group])
}

/// The digits of `polynomial` times (X to the `by`, minus one).
#[inline(always)]
fn difference_digits<L: Eights>(l: L, polynomial: &Polynomial, by: usize, into: &mut Spectrum) {
    let values = &polynomial.0;
    let own = values.as_chunks::<8>().0;
    let (shift, negated) = (by % SIZE, by >= SIZE);
    // Coefficients below `shift` come from the end of the polynomial, with their sign changed.
    let (wrapped, mixed) = (shift / 8, shift % 8);
    let (re, im) = (&mut into.re, &mut into.im);
    let rows = own.iter().zip(re.iter_mut().chain(im));
    for (row, (own, into)) in rows.enumerate() {
        let (first, sign) = match row < wrapped {
            true => (SIZE - shift + 8 * row, Sign::new(!negated)),
            false => ((8 * row).saturating_sub(shift), Sign::new(negated)),
        };
        let turned = values[first..].first_chunk().unwrap_or(&[0; 8]);
        l.store(l.digits(sign, turned, own), into);
    }
    if mixed != 0 {
        let mut eight = [0; 8];
        eight[..mixed].copy_from_slice(&values[SIZE - mixed..]);
        eight[..mixed].iter_mut().for_each(|value| *value = value.wrapping_neg());
        eight[mixed..].copy_from_slice(&values[..8 - mixed]);
        let part = if wrapped < ROWS { &mut into.re } else { &mut into.im };
        l.store(l.digits(Sign::new(negated), &eight, &own[wrapped]), &mut part[wrapped % ROWS]);
    }
}

/// Multiplies the digits of mask and body with the key, in place.
#[inline(always)]
fn multiply<L: Eights>(
    l: L,
    key: &[KeyRow],
    (mask_re, mask_im): (&mut Group, &mut Group),
    (body_re, body_im): (&mut Group, &mut Group),
) {
    for (at, KeyRow(key)) in key.iter().enumerate() {
        let [mask_mask_re, mask_mask_im, mask_body_re, mask_body_im] =
            [l.load(&key[0]), l.load(&key[1]), l.load(&key[2]), l.load(&key[3])];
        let [body_mask_re, body_mask_im, body_body_re, body_body_im] =
            [l.load(&key[4]), l.load(&key[5]), l.load(&key[6]), l.load(&key[7])];
        let (a, b) = (l.load(&mask_re[at]), l.load(&mask_im[at]));
        let (c, d) = (l.load(&body_re[at]), l.load(&body_im[at]));
        let digits = [(a, b), (c, d)];
        let (re, im) = sum_of_products(l, digits, [(mask_mask_re, mask_mask_im), (body_mask_re, body_mask_im)]);
        l.store(re, &mut mask_re[at]);
        l.store(im, &mut mask_im[at]);
        let (re, im) = sum_of_products(l, digits, [(mask_body_re, mask_body_im), (body_body_re, body_body_im)]);
        l.store(re, &mut body_re[at]);
        l.store(im, &mut body_im[at]);
    }
}

/// Of complex values.
#[inline(always)]
fn sum_of_products<L: Eights>(
    l: L,
    [(a, b), (c, d)]: [(L::Row, L::Row); 2],
    [(x_re, x_im), (y_re, y_im)]: [(L::Row, L::Row); 2],
) -> (L::Row, L::Row) {
    let re = l.sub_mul8(d, y_im, l.mul_add8(c, y_re, l.sub_mul8(b, x_im, l.mul8(a, x_re))));
    let im = l.mul_add8(d, y_re, l.mul_add8(c, y_im, l.mul_add8(b, x_re, l.mul8(a, x_im))));
    (re, im)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::eights::REST_BITS;
    use crate::bootstrap::fourier::POINTS;
    use crate::bootstrap::noise::STEP_ROUNDING_VARIANCE;
    use crate::ring::lanes::Scalar;
    use rand::{Rng, SeedableRng, rngs::StdRng};
    use tfhe_ntt::native64::Plan32;

    fn random(rng: &mut StdRng) -> Polynomial {
        Polynomial(core::array::from_fn(|_| rng.random()))
    }

    fn key_rows(fourier: &Fourier, key: &[Polynomial; 4]) -> Vec<KeyRow> {
        let mut rows = vec![KeyRow::ZERO; ROWS];
        let mut spectrum = Box::new(Spectrum::ZERO);
        for (at, polynomial) in key.iter().enumerate() {
            for (part, values) in [&mut spectrum.re, &mut spectrum.im].into_iter().zip(polynomial.0.chunks(POINTS)) {
                for (into, from) in part.as_flattened_mut().iter_mut().zip(values) {
                    *into = (*from as i64) as f64 * 64f64.exp2().recip() / POINTS as f64;
                }
            }
            fourier.forward(Scalar, &mut spectrum.re, &mut spectrum.im);
            for (row, (re, im)) in rows.iter_mut().zip(spectrum.re.iter().zip(&spectrum.im)) {
                (row.0[2 * at], row.0[2 * at + 1]) = (*re, *im);
            }
        }
        rows
    }

    /// The digits of `polynomial` times (X to the `by`, minus one), as residues.
    fn exact_digits(polynomial: &Polynomial, by: u16) -> Vec<u64> {
        let turned = turned(polynomial, by);
        let differences = turned.0.iter().zip(&polynomial.0).map(|(turned, own)| turned.wrapping_sub(*own));
        differences.map(|value| (value.wrapping_add(1 << (REST_BITS - 1)) as i64 >> REST_BITS) as u64).collect()
    }

    #[test]
    fn a_step_differs_from_the_exact_one_by_less_than_the_proof_allows() {
        let mut rng = StdRng::seed_from_u64(11);
        let (fourier, plan) = (Fourier::new(), Plan32::try_new(SIZE).expect("a power of two"));
        let mut workspace = Workspace::new();
        let (mut worst, mut worst_variance) = (0u64, 0f64);
        for by in [1, 7, 8, 1023, 2040, 2047, 2048, 2051, 3000, 4095] {
            let key = core::array::from_fn(|_| random(&mut rng));
            let start = Accumulator { mask: random(&mut rng), body: random(&mut rng) };
            let mut found = start.clone();
            add_turned(Scalar, &fourier, &key_rows(&fourier, &key), by, &mut found, &mut workspace);
            let digits = [exact_digits(&start.mask, by), exact_digits(&start.body, by)];
            let parts = [(&start.mask, &found.mask, [0, 2]), (&start.body, &found.body, [1, 3])];
            for (start, found, of) in parts {
                let mut wanted = start.0;
                for (digits, key) in digits.iter().zip(of.map(|at| &key[at])) {
                    let mut product = vec![0; SIZE];
                    plan.negacyclic_polymul(&mut product, digits, &key.0);
                    wanted.iter_mut().zip(product).for_each(|(into, term)| *into = into.wrapping_add(term));
                }
                let errors = found.0.iter().zip(wanted).map(|(found, wanted)| found.wrapping_sub(wanted) as i64);
                let squares: f64 = errors.clone().map(|error| (error as f64).powi(2)).sum();
                worst = worst.max(errors.map(i64::unsigned_abs).max().unwrap_or(0));
                worst_variance = worst_variance.max(squares / SIZE as f64);
            }
        }
        assert!(worst_variance < STEP_ROUNDING_VARIANCE, "variance 2^{}", worst_variance.log2());
        assert!((worst as f64) < 8.0 * STEP_ROUNDING_VARIANCE.sqrt(), "largest 2^{}", (worst as f64).log2());
        // The key multiplies what the mask has of it, so a bound much above it would cost bits.
        assert!(worst_variance > 0.9 * STEP_ROUNDING_VARIANCE, "variance 2^{}", worst_variance.log2());
    }
}
