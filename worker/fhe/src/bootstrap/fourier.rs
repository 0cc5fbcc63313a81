//! The negacyclic Fourier transform of one real polynomial with 2048 coefficients, within one polynomial.
//!
//! A real polynomial modulo Xⁿ + 1 is the complex polynomial with coefficients `a[j] + i·a[j + n/2]` modulo
//! Yⁿᐟ² − i. Splitting Y⁴ᵐ − w⁴ into the four Yᵐ − w·iᵏ, or Y⁸ᵐ − w⁸ into eight, needs the powers of one root w
//! for a whole block: 1024 = 4 · 4 · 8 · 8. The first two stages combine whole rows; the third and fourth combine
//! the eight rows of one of sixteen groups, the fourth after a transposition. Values stay in that order.
//!
//! The order of operations is part of what a bootstrap is: see `SPEC.md`.

use super::eights::Eights;
use crate::ring::transform::{Complex, turn};

/// Coefficients of a polynomial.
pub(crate) const SIZE: usize = 2048;
/// Complex values of a polynomial.
pub(crate) const POINTS: usize = SIZE / 2;
/// Rows of eight real, or imaginary, parts.
pub(crate) const ROWS: usize = POINTS / 8;
/// Groups of eight rows.
pub(crate) const GROUPS: usize = ROWS / 8;

/// Rows of eight values.
pub(crate) type Rows = [[f64; 8]];
/// Eight rows of eight values.
pub(crate) type Group = [[f64; 8]; 8];

/// An angle of π·numerator/denominator.
#[derive(Clone, Copy)]
struct Angle {
    numerator: usize,
    denominator: usize,
}

impl Angle {
    /// The angle of the constant that child `of` of `parts` subtracts.
    fn child(self, child: usize, parts: usize) -> Self {
        let denominator = self.denominator * parts;
        Self { numerator: (self.numerator + 2 * child * self.denominator) % (2 * denominator), denominator }
    }

    /// Powers 1 to `POWERS` of the root that splits into `parts`.
    fn powers<const POWERS: usize>(self, parts: usize) -> [Complex; POWERS] {
        let denominator = self.denominator * parts;
        core::array::from_fn(|at| turn(self.numerator * (at + 1) % (2 * denominator), denominator))
    }
}

/// Twiddles of one group's last stage: real and imaginary parts of the powers, a column a block.
struct Columns {
    re: [[f64; 8]; 7],
    im: [[f64; 8]; 7],
}

/// The twiddles of all stages.
pub(crate) struct Fourier {
    first: [Complex; 3],
    second: [[Complex; 3]; 4],
    third: [[Complex; 7]; GROUPS],
    fourth: [Columns; GROUPS],
}

/// Real and imaginary parts of eight values.
type Pair<R> = (R, R);

impl Fourier {
    pub fn new() -> Self {
        let root = Angle { numerator: 1, denominator: 2 };
        let quarter = |at: usize| root.child(at, 4);
        let group = |at: usize| quarter(at / 4).child(at % 4, 4);
        let columns = |at: usize| {
            let powers: [[Complex; 7]; 8] = core::array::from_fn(|block| group(at).child(block, 8).powers(8));
            Columns {
                re: core::array::from_fn(|power| powers.map(|powers| powers[power].re)),
                im: core::array::from_fn(|power| powers.map(|powers| powers[power].im)),
            }
        };
        Self {
            first: root.powers(4),
            second: core::array::from_fn(|at| quarter(at).powers(4)),
            third: core::array::from_fn(|at| group(at).powers(8)),
            fourth: core::array::from_fn(columns),
        }
    }

    /// The two stages of whole rows: from coefficients.
    #[inline(always)]
    pub fn forward_rows<L: Eights>(&self, l: L, re: &mut Rows, im: &mut Rows) {
        split4(l, &self.first, re, im);
        let blocks = re.chunks_exact_mut(ROWS / 4).zip(im.chunks_exact_mut(ROWS / 4));
        for ((re, im), twiddles) in blocks.zip(&self.second) {
            split4(l, twiddles, re, im);
        }
    }

    /// The second stage back; the first is [`Self::joined`].
    #[inline(always)]
    pub fn backward_rows<L: Eights>(&self, l: L, re: &mut Rows, im: &mut Rows) {
        let blocks = re.chunks_exact_mut(ROWS / 4).zip(im.chunks_exact_mut(ROWS / 4));
        for ((re, im), twiddles) in blocks.zip(&self.second) {
            let twiddles = broadcast3(l, twiddles);
            for row in 0..ROWS / 16 {
                let four = joined4(l, &twiddles, at4(l, re, im, row, ROWS / 16));
                put4(l, re, im, row, ROWS / 16, four);
            }
        }
    }

    /// Rows `row`, `row + 32`, `row + 64` and `row + 96` after the last stage back: coefficients.
    #[inline(always)]
    pub fn joined<L: Eights>(&self, l: L, re: &Rows, im: &Rows, row: usize) -> [Pair<L::Row>; 4] {
        joined4(l, &broadcast3(l, &self.first), at4(l, re, im, row, ROWS / 4))
    }

    /// The two stages of one group: to values at the roots.
    #[inline(always)]
    pub fn forward_group<L: Eights>(&self, l: L, group: usize, re: &mut Group, im: &mut Group) {
        let mut values = at8(l, re, im);
        for (value, w) in values[1..].iter_mut().zip(&self.third[group]) {
            *value = turned::<L, true>(l, *value, broadcast(l, *w));
        }
        let values = transposed(l, butterfly8::<L, true>(l, values));
        let columns = &self.fourth[group];
        let mut values = values;
        for (at, value) in values[1..].iter_mut().enumerate() {
            *value = turned::<L, true>(l, *value, (l.load(&columns.re[at]), l.load(&columns.im[at])));
        }
        put(l, butterfly8::<L, true>(l, values), re, im);
    }

    /// The two stages of one group back.
    #[inline(always)]
    pub fn backward_group<L: Eights>(&self, l: L, group: usize, re: &mut Group, im: &mut Group) {
        let mut values = butterfly8::<L, false>(l, at8(l, re, im));
        let columns = &self.fourth[group];
        for (at, value) in values[1..].iter_mut().enumerate() {
            *value = turned::<L, false>(l, *value, (l.load(&columns.re[at]), l.load(&columns.im[at])));
        }
        let mut values = butterfly8::<L, false>(l, transposed(l, values));
        for (value, w) in values[1..].iter_mut().zip(&self.third[group]) {
            *value = turned::<L, false>(l, *value, broadcast(l, *w));
        }
        put(l, values, re, im);
    }

    /// Coefficients, folded, to values at the roots.
    pub fn forward<L: Eights>(&self, l: L, re: &mut Rows, im: &mut Rows) {
        l.run(
            #[inline(always)]
            || {
                self.forward_rows(l, re, im);
                let groups = re.as_chunks_mut::<8>().0.iter_mut().zip(im.as_chunks_mut::<8>().0);
                for (group, (re, im)) in groups.enumerate() {
                    self.forward_group(l, group, re, im);
                }
            },
        );
    }
}

#[inline(always)]
fn broadcast<L: Eights>(l: L, w: Complex) -> Pair<L::Row> {
    (l.splat8(w.re), l.splat8(w.im))
}

#[inline(always)]
fn broadcast3<L: Eights>(l: L, [a, b, c]: &[Complex; 3]) -> [Pair<L::Row>; 3] {
    [broadcast(l, *a), broadcast(l, *b), broadcast(l, *c)]
}

/// (a + ib)(c + id), the second factor conjugated unless `FORWARD`.
#[inline(always)]
fn turned<L: Eights, const FORWARD: bool>(l: L, (a, b): Pair<L::Row>, (c, d): Pair<L::Row>) -> Pair<L::Row> {
    if FORWARD {
        (l.mul_sub8(a, c, l.mul8(b, d)), l.mul_add8(a, d, l.mul8(b, c)))
    } else {
        (l.mul_add8(a, c, l.mul8(b, d)), l.mul_sub8(b, c, l.mul8(a, d)))
    }
}

#[inline(always)]
fn at4<L: Eights>(l: L, re: &Rows, im: &Rows, row: usize, stride: usize) -> [Pair<L::Row>; 4] {
    let (a, b, c, d) = (row, row + stride, row + 2 * stride, row + 3 * stride);
    [
        (l.load(&re[a]), l.load(&im[a])),
        (l.load(&re[b]), l.load(&im[b])),
        (l.load(&re[c]), l.load(&im[c])),
        (l.load(&re[d]), l.load(&im[d])),
    ]
}

#[inline(always)]
fn at8<L: Eights>(l: L, re: &Group, im: &Group) -> [Pair<L::Row>; 8] {
    [
        (l.load(&re[0]), l.load(&im[0])),
        (l.load(&re[1]), l.load(&im[1])),
        (l.load(&re[2]), l.load(&im[2])),
        (l.load(&re[3]), l.load(&im[3])),
        (l.load(&re[4]), l.load(&im[4])),
        (l.load(&re[5]), l.load(&im[5])),
        (l.load(&re[6]), l.load(&im[6])),
        (l.load(&re[7]), l.load(&im[7])),
    ]
}

#[inline(always)]
fn put4<L: Eights>(l: L, re: &mut Rows, im: &mut Rows, row: usize, stride: usize, four: [Pair<L::Row>; 4]) {
    for (part, value) in four.into_iter().enumerate() {
        l.store(value.0, &mut re[row + part * stride]);
        l.store(value.1, &mut im[row + part * stride]);
    }
}

#[inline(always)]
fn put<L: Eights>(l: L, values: [Pair<L::Row>; 8], re: &mut Group, im: &mut Group) {
    for ((value, re), im) in values.into_iter().zip(re).zip(im) {
        l.store(value.0, re);
        l.store(value.1, im);
    }
}

/// Splits a block into four.
#[inline(always)]
fn split4<L: Eights>(l: L, twiddles: &[Complex; 3], re: &mut Rows, im: &mut Rows) {
    let [w1, w2, w3] = broadcast3(l, twiddles);
    let stride = re.len() / 4;
    for row in 0..stride {
        let [a, b, c, d] = at4(l, re, im, row, stride);
        let four = [a, turned::<L, true>(l, b, w1), turned::<L, true>(l, c, w2), turned::<L, true>(l, d, w3)];
        put4(l, re, im, row, stride, butterfly4::<L, true>(l, four));
    }
}

/// One row of each of four blocks, joined.
#[inline(always)]
fn joined4<L: Eights>(l: L, [w1, w2, w3]: &[Pair<L::Row>; 3], four: [Pair<L::Row>; 4]) -> [Pair<L::Row>; 4] {
    let [a, b, c, d] = butterfly4::<L, false>(l, four);
    [a, turned::<L, false>(l, b, *w1), turned::<L, false>(l, c, *w2), turned::<L, false>(l, d, *w3)]
}

#[inline(always)]
fn add<L: Eights>(l: L, x: Pair<L::Row>, y: Pair<L::Row>) -> Pair<L::Row> {
    (l.add8(x.0, y.0), l.add8(x.1, y.1))
}

#[inline(always)]
fn sub<L: Eights>(l: L, x: Pair<L::Row>, y: Pair<L::Row>) -> Pair<L::Row> {
    (l.sub8(x.0, y.0), l.sub8(x.1, y.1))
}

/// x + i·y, and x − i·y; the other way round unless `FORWARD`.
#[inline(always)]
fn add_sub_turned<L: Eights, const FORWARD: bool>(
    l: L,
    x: Pair<L::Row>,
    y: Pair<L::Row>,
) -> (Pair<L::Row>, Pair<L::Row>) {
    let plus = (l.sub8(x.0, y.1), l.add8(x.1, y.0));
    let minus = (l.add8(x.0, y.1), l.sub8(x.1, y.0));
    if FORWARD { (plus, minus) } else { (minus, plus) }
}

/// The transform of length four with root `i`, or `−i` unless `FORWARD`.
#[inline(always)]
fn butterfly4<L: Eights, const FORWARD: bool>(l: L, [a, b, c, d]: [Pair<L::Row>; 4]) -> [Pair<L::Row>; 4] {
    let (sum_ac, difference_ac) = (add(l, a, c), sub(l, a, c));
    let (sum_bd, difference_bd) = (add(l, b, d), sub(l, b, d));
    let (first, third) = add_sub_turned::<L, FORWARD>(l, difference_ac, difference_bd);
    [add(l, sum_ac, sum_bd), first, sub(l, sum_ac, sum_bd), third]
}

/// The transform of length eight with root exp(iπ/4), or its conjugate unless `FORWARD`.
#[inline(always)]
fn butterfly8<L: Eights, const FORWARD: bool>(l: L, [a, b, c, d, e, f, g, h]: [Pair<L::Row>; 8]) -> [Pair<L::Row>; 8] {
    let [even0, even1, even2, even3] = butterfly4::<L, FORWARD>(l, [a, c, e, g]);
    let [odd0, odd1, odd2, odd3] = butterfly4::<L, FORWARD>(l, [b, d, f, h]);
    let (odd1, odd3) = (eighth::<L, FORWARD>(l, odd1), eighth::<L, FORWARD>(l, odd3));
    let (second, sixth) = add_sub_turned::<L, FORWARD>(l, even2, odd2);
    let (third, seventh) = add_sub_turned::<L, FORWARD>(l, even3, odd3);
    [add(l, even0, odd0), add(l, even1, odd1), second, third, sub(l, even0, odd0), sub(l, even1, odd1), sixth, seventh]
}

/// x turned by exp(iπ/4), or back. Turning it by exp(3iπ/4) is this and i.
#[inline(always)]
fn eighth<L: Eights, const FORWARD: bool>(l: L, (re, im): Pair<L::Row>) -> Pair<L::Row> {
    let half = l.splat8(core::f64::consts::FRAC_1_SQRT_2);
    let sum = l.add8(re, im);
    if FORWARD {
        (l.mul8(l.sub8(re, im), half), l.mul8(sum, half))
    } else {
        (l.mul8(sum, half), l.mul8(l.sub8(im, re), half))
    }
}

#[inline(always)]
fn transposed<L: Eights>(l: L, values: [Pair<L::Row>; 8]) -> [Pair<L::Row>; 8] {
    let [a, b, c, d, e, f, g, h] = values;
    let re = l.transpose([a.0, b.0, c.0, d.0, e.0, f.0, g.0, h.0]);
    let im = l.transpose([a.1, b.1, c.1, d.1, e.1, f.1, g.1, h.1]);
    let ([a, b, c, d, e, f, g, h], [i, j, k, m, n, o, p, q]) = (re, im);
    [(a, i), (b, j), (c, k), (d, m), (e, n), (f, o), (g, p), (h, q)]
}
