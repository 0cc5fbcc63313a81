//! The negacyclic Fourier transform of eight real polynomials at once.
//!
//! A real polynomial modulo Xⁿ + 1 is fixed by its values at n/2 roots. They are the transform of
//! the n/2 complex numbers `a[j] + i·a[j + n/2]`, each turned by exp(iπj/n). The forward transform
//! leaves them in digit-reversed order and the inverse takes them so: products do not care.

use core::f64::consts::PI;
use core::ops::{Deref, DerefMut};
use pulp::bytemuck::cast_slice_mut;
use std::sync::{Mutex, PoisonError};

use super::lanes::{LANES, Lanes};

/// Rows of a block that stays in the first-level cache while its smaller stages run.
const CACHED_ROWS: usize = 256;

/// Doubles whose first lies at the start of a cache line, so that no register straddles two.
pub(crate) struct Aligned {
    values: Vec<f64>,
    start: usize,
}

impl Aligned {
    fn zero(len: usize) -> Self {
        let values = vec![0.0; len + LANES];
        // An allocator that cannot say is only slower.
        let start = values.as_ptr().align_offset(64).min(LANES);
        Self { values, start }
    }
}

impl Deref for Aligned {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.values[self.start..][..self.values.len() - LANES]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f64] {
        let len = self.values.len() - LANES;
        &mut self.values[self.start..][..len]
    }
}

/// One point of eight polynomials per row, real and imaginary parts apart.
pub(crate) struct Batch {
    pub re: Aligned,
    pub im: Aligned,
}

impl Batch {
    pub fn zero(rows: usize) -> Self {
        let zeros = || Aligned::zero(rows * LANES);
        Self { re: zeros(), im: zeros() }
    }
}

/// Batches that were used before: fresh memory costs a page fault for every four kilobytes, which is
/// as much as the transforms themselves. They hold parts of ciphertexts, never of keys.
#[derive(Default)]
pub(crate) struct Scratch(Mutex<Vec<Batch>>);

impl Scratch {
    /// Batches kept for later, at most.
    const LIMIT: usize = 64;

    /// A batch of any content.
    pub fn take(&self, rows: usize) -> Batch {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| Batch::zero(rows))
    }

    /// Keeps batches for later.
    pub fn give(&self, batches: impl IntoIterator<Item = Batch>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = Self::LIMIT.saturating_sub(kept.len());
        kept.extend(batches.into_iter().take(room));
    }
}

#[derive(Clone, Copy)]
struct Complex {
    re: f64,
    im: f64,
}

/// exp(iπ·numerator/denominator), for 0 ≤ numerator/denominator ≤ 2.
fn turn(numerator: usize, denominator: usize) -> Complex {
    // Reduce to the first eighth, where sine and cosine are accurate to the last bit or so.
    let eighths = 4 * numerator / denominator;
    let quarter = eighths.div_ceil(2);
    let rest = (2 * numerator) as f64 / denominator as f64 - quarter as f64;
    let (sin, cos) = (libm::sin(rest * PI / 2.0), libm::cos(rest * PI / 2.0));
    match quarter % 4 {
        0 => Complex { re: cos, im: sin },
        1 => Complex { re: -sin, im: cos },
        2 => Complex { re: -cos, im: -sin },
        _ => Complex { re: sin, im: -cos },
    }
}

/// Twiddles of a stage that combines four blocks: w, w², w³ for each row of a quarter.
struct Stage4(Vec<[Complex; 3]>);

pub(crate) struct Transform {
    rows: usize,
    twist: Vec<Complex>,
    /// Twiddles of the first stage, for sizes that are twice a power of four.
    stage2: Option<Vec<Complex>>,
    /// Largest block first; the stage of blocks of four rows has no twiddles and is not here.
    stages4: Vec<Stage4>,
}

impl Transform {
    /// The transform of polynomials with `size` coefficients, a power of two of at least 8.
    pub fn new(size: usize) -> Self {
        let rows = size / 2;
        let twist = (0..rows).map(|row| turn(row, size)).collect();
        let halved = rows.ilog2() % 2 == 1;
        let stage2 = halved.then(|| (0..rows / 2).map(|row| turn(2 * row, rows)).collect());
        let mut block = if halved { rows / 2 } else { rows };
        let mut stages4 = Vec::new();
        while block > 4 {
            let twiddles = (0..block / 4).map(|row| [1, 2, 3].map(|power| turn(2 * power * row % (2 * block), block)));
            stages4.push(Stage4(twiddles.collect()));
            block /= 4;
        }
        Self { rows, twist, stage2, stages4 }
    }

    /// Half the polynomial size.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Turns folded coefficients into values at the roots, in place.
    pub fn forward<L: Lanes>(&self, lanes: L, batch: &mut Batch) {
        let (re, im) = (&mut batch.re[..], &mut batch.im[..]);
        lanes.run(
            #[inline(always)]
            || twist::<L, true>(lanes, &self.twist, re, im),
        );
        if let Some(twiddles) = &self.stage2 {
            lanes.run(
                #[inline(always)]
                || forward2(lanes, twiddles, re, im),
            );
        }
        let whole = self.uncached_stages();
        for stage in &self.stages4[..whole] {
            lanes.run(
                #[inline(always)]
                || forward4(lanes, stage, re, im),
            );
        }
        let block = (4 * self.stages4.get(whole).map_or(1, |stage| stage.0.len())) * LANES;
        for (re, im) in re.chunks_exact_mut(block).zip(im.chunks_exact_mut(block)) {
            lanes.run(
                #[inline(always)]
                || {
                    for stage in &self.stages4[whole..] {
                        forward4(lanes, stage, re, im);
                    }
                    last4::<L, true>(lanes, re, im);
                },
            );
        }
    }

    /// Turns values at the roots into folded coefficients, times the number of rows, in place.
    pub fn inverse<L: Lanes>(&self, lanes: L, batch: &mut Batch) {
        let (re, im) = (&mut batch.re[..], &mut batch.im[..]);
        let whole = self.uncached_stages();
        let block = (4 * self.stages4.get(whole).map_or(1, |stage| stage.0.len())) * LANES;
        for (re, im) in re.chunks_exact_mut(block).zip(im.chunks_exact_mut(block)) {
            lanes.run(
                #[inline(always)]
                || {
                    last4::<L, false>(lanes, re, im);
                    for stage in self.stages4[whole..].iter().rev() {
                        inverse4(lanes, stage, re, im);
                    }
                },
            );
        }
        for stage in self.stages4[..whole].iter().rev() {
            lanes.run(
                #[inline(always)]
                || inverse4(lanes, stage, re, im),
            );
        }
        if let Some(twiddles) = &self.stage2 {
            lanes.run(
                #[inline(always)]
                || inverse2(lanes, twiddles, re, im),
            );
        }
        lanes.run(
            #[inline(always)]
            || twist::<L, false>(lanes, &self.twist, re, im),
        );
    }

    fn uncached_stages(&self) -> usize {
        self.stages4.iter().take_while(|stage| 4 * stage.0.len() > CACHED_ROWS).count()
    }
}

/// (a + ib)(c + id), the second factor conjugated unless `FORWARD`.
#[inline(always)]
fn turned<L: Lanes, const FORWARD: bool>(l: L, (a, b): (L::V, L::V), w: Complex) -> (L::V, L::V) {
    let (c, d) = (l.splat(w.re), l.splat(if FORWARD { w.im } else { -w.im }));
    (l.sub(l.mul(a, c), l.mul(b, d)), l.add(l.mul(a, d), l.mul(b, c)))
}

#[inline(always)]
fn twist<L: Lanes, const FORWARD: bool>(l: L, twist: &[Complex], re: &mut [f64], im: &mut [f64]) {
    let rows = cast_slice_mut::<_, L::V>(re).chunks_exact_mut(L::PARTS);
    for ((re, im), w) in rows.zip(cast_slice_mut::<_, L::V>(im).chunks_exact_mut(L::PARTS)).zip(twist) {
        for (re, im) in re.iter_mut().zip(im) {
            (*re, *im) = turned::<L, FORWARD>(l, (*re, *im), *w);
        }
    }
}

#[inline(always)]
fn forward2<L: Lanes>(l: L, twiddles: &[Complex], re: &mut [f64], im: &mut [f64]) {
    let (re, im) = (cast_slice_mut::<_, L::V>(re), cast_slice_mut::<_, L::V>(im));
    let half = re.len() / 2;
    let ((re0, re1), (im0, im1)) = (re.split_at_mut(half), im.split_at_mut(half));
    for at in 0..half {
        let (a, b) = ((re0[at], im0[at]), (re1[at], im1[at]));
        (re0[at], im0[at]) = (l.add(a.0, b.0), l.add(a.1, b.1));
        let difference = (l.sub(a.0, b.0), l.sub(a.1, b.1));
        (re1[at], im1[at]) = turned::<L, true>(l, difference, twiddles[at / L::PARTS]);
    }
}

#[inline(always)]
fn inverse2<L: Lanes>(l: L, twiddles: &[Complex], re: &mut [f64], im: &mut [f64]) {
    let (re, im) = (cast_slice_mut::<_, L::V>(re), cast_slice_mut::<_, L::V>(im));
    let half = re.len() / 2;
    let ((re0, re1), (im0, im1)) = (re.split_at_mut(half), im.split_at_mut(half));
    for at in 0..half {
        let (a, b) = ((re0[at], im0[at]), turned::<L, false>(l, (re1[at], im1[at]), twiddles[at / L::PARTS]));
        (re0[at], im0[at]) = (l.add(a.0, b.0), l.add(a.1, b.1));
        (re1[at], im1[at]) = (l.sub(a.0, b.0), l.sub(a.1, b.1));
    }
}

/// Four complex values of one butterfly.
type Four<V> = [(V, V); 4];

/// The transform of length four with root `i`, or `−i` unless `FORWARD`.
#[inline(always)]
fn butterfly<L: Lanes, const FORWARD: bool>(l: L, [a, b, c, d]: Four<L::V>) -> Four<L::V> {
    let add = |x: (L::V, L::V), y: (L::V, L::V)| (l.add(x.0, y.0), l.add(x.1, y.1));
    let sub = |x: (L::V, L::V), y: (L::V, L::V)| (l.sub(x.0, y.0), l.sub(x.1, y.1));
    let (sum_ac, difference_ac) = (add(a, c), sub(a, c));
    let (sum_bd, difference_bd) = (add(b, d), sub(b, d));
    // x + i·y and x − i·y.
    let plus = (l.sub(difference_ac.0, difference_bd.1), l.add(difference_ac.1, difference_bd.0));
    let minus = (l.add(difference_ac.0, difference_bd.1), l.sub(difference_ac.1, difference_bd.0));
    let (first, third) = if FORWARD { (plus, minus) } else { (minus, plus) };
    [add(sum_ac, sum_bd), first, sub(sum_ac, sum_bd), third]
}

/// The four quarters of a slice.
#[inline(always)]
fn quarters<V>(slice: &mut [V]) -> [&mut [V]; 4] {
    let quarter = slice.len() / 4;
    let (low, high) = slice.split_at_mut(2 * quarter);
    let ((a, b), (c, d)) = (low.split_at_mut(quarter), high.split_at_mut(quarter));
    [a, b, c, d]
}

#[inline(always)]
fn forward4<L: Lanes>(l: L, stage: &Stage4, re: &mut [f64], im: &mut [f64]) {
    let block = 4 * stage.0.len() * L::PARTS;
    let blocks = cast_slice_mut::<_, L::V>(re).chunks_exact_mut(block);
    for (re, im) in blocks.zip(cast_slice_mut::<_, L::V>(im).chunks_exact_mut(block)) {
        let ([re0, re1, re2, re3], [im0, im1, im2, im3]) = (quarters(re), quarters(im));
        for (row, [w1, w2, w3]) in stage.0.iter().enumerate() {
            for at in row * L::PARTS..(row + 1) * L::PARTS {
                let four = [(re0[at], im0[at]), (re1[at], im1[at]), (re2[at], im2[at]), (re3[at], im3[at])];
                let [a, b, c, d] = butterfly::<L, true>(l, four);
                (re0[at], im0[at]) = a;
                (re1[at], im1[at]) = turned::<L, true>(l, b, *w1);
                (re2[at], im2[at]) = turned::<L, true>(l, c, *w2);
                (re3[at], im3[at]) = turned::<L, true>(l, d, *w3);
            }
        }
    }
}

#[inline(always)]
fn inverse4<L: Lanes>(l: L, stage: &Stage4, re: &mut [f64], im: &mut [f64]) {
    let block = 4 * stage.0.len() * L::PARTS;
    let blocks = cast_slice_mut::<_, L::V>(re).chunks_exact_mut(block);
    for (re, im) in blocks.zip(cast_slice_mut::<_, L::V>(im).chunks_exact_mut(block)) {
        let ([re0, re1, re2, re3], [im0, im1, im2, im3]) = (quarters(re), quarters(im));
        for (row, [w1, w2, w3]) in stage.0.iter().enumerate() {
            for at in row * L::PARTS..(row + 1) * L::PARTS {
                let four = [
                    (re0[at], im0[at]),
                    turned::<L, false>(l, (re1[at], im1[at]), *w1),
                    turned::<L, false>(l, (re2[at], im2[at]), *w2),
                    turned::<L, false>(l, (re3[at], im3[at]), *w3),
                ];
                let [a, b, c, d] = butterfly::<L, false>(l, four);
                ((re0[at], im0[at]), (re1[at], im1[at])) = (a, b);
                ((re2[at], im2[at]), (re3[at], im3[at])) = (c, d);
            }
        }
    }
}

/// The stage of blocks of four rows, whose twiddles are all one.
#[inline(always)]
fn last4<L: Lanes, const FORWARD: bool>(l: L, re: &mut [f64], im: &mut [f64]) {
    let blocks = cast_slice_mut::<_, L::V>(re).chunks_exact_mut(4 * L::PARTS);
    for (re, im) in blocks.zip(cast_slice_mut::<_, L::V>(im).chunks_exact_mut(4 * L::PARTS)) {
        let ([re0, re1, re2, re3], [im0, im1, im2, im3]) = (quarters(re), quarters(im));
        for at in 0..L::PARTS {
            let four = [(re0[at], im0[at]), (re1[at], im1[at]), (re2[at], im2[at]), (re3[at], im3[at])];
            let [a, b, c, d] = butterfly::<L, FORWARD>(l, four);
            ((re0[at], im0[at]), (re1[at], im1[at])) = (a, b);
            ((re2[at], im2[at]), (re3[at], im3[at])) = (c, d);
        }
    }
}
