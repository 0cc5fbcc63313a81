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
/// Rows of each part that are loaded, or finished, together with the stage next to that.
pub(crate) const CHUNK_ROWS: usize = 8;

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
/// as much as the transforms themselves. They hold parts of ciphertexts, and of what blinds them, which is
/// no more secret than the weights beside it; never of keys.
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
pub(crate) struct Complex {
    pub re: f64,
    pub im: f64,
}

/// exp(iπ·numerator/denominator), for 0 ≤ numerator/denominator ≤ 2.
pub(crate) fn turn(numerator: usize, denominator: usize) -> Complex {
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
type Stage4 = Vec<[Complex; 3]>;

pub(crate) struct Transform {
    rows: usize,
    twist: Vec<Complex>,
    /// Twiddles of the first stage, for sizes that are twice a power of four.
    stage2: Option<Vec<Complex>>,
    /// Largest block first; the stage of blocks of four rows has no twiddles and is not here.
    stages4: Vec<Stage4>,
}

impl Transform {
    /// The transform of polynomials with `size` coefficients, a power of two of at least 64.
    pub fn new(size: usize) -> Self {
        let rows = size / 2;
        let twist = (0..rows).map(|row| turn(row, size)).collect();
        let halved = rows.ilog2() % 2 == 1;
        let stage2 = halved.then(|| (0..rows / 2).map(|row| turn(2 * row, rows)).collect());
        let mut block = if halved { rows / 2 } else { rows };
        let mut stages4 = Vec::new();
        while block > 4 {
            let twiddles = (0..block / 4).map(|row| [1, 2, 3].map(|power| turn(2 * power * row % (2 * block), block)));
            stages4.push(twiddles.collect());
            block /= 4;
        }
        Self { rows, twist, stage2, stages4 }
    }

    /// Half the polynomial size.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Turns folded coefficients into values at the roots. `load` writes them: it gets the number of a
    /// row, and [`CHUNK_ROWS`] rows of real and imaginary parts from that one on, of any content.
    pub fn forward<L: Lanes>(&self, l: L, batch: &mut Batch, load: impl Fn(usize, &mut [f64], &mut [f64])) {
        l.run(
            #[inline(always)]
            || match &self.stage2 {
                Some(twiddles) => in_chunks(
                    batch,
                    #[inline(always)]
                    |row, mut re: [_; 2], mut im: [_; 2]| {
                        for part in 0..2 {
                            let row = row + part * self.rows / 2;
                            load(row, re[part], im[part]);
                            self.twist::<L, true>(l, row, re[part], im[part]);
                        }
                        forward2(l, &twiddles[row..row + CHUNK_ROWS], &mut re, &mut im);
                    },
                ),
                None => in_chunks(
                    batch,
                    #[inline(always)]
                    |row, mut re: [_; 4], mut im: [_; 4]| {
                        for part in 0..4 {
                            let row = row + part * self.rows / 4;
                            load(row, re[part], im[part]);
                            self.twist::<L, true>(l, row, re[part], im[part]);
                        }
                        forward4(l, &self.stages4[0][row..row + CHUNK_ROWS], &mut re, &mut im);
                    },
                ),
            },
        );
        let (re, im) = (&mut batch.re[..], &mut batch.im[..]);
        let (uncached, cached) = self.later_stages();
        for stage in uncached {
            l.run(
                #[inline(always)]
                || {
                    in_blocks(
                        stage,
                        re,
                        im,
                        #[inline(always)]
                        |re, im| forward4(l, stage, re, im),
                    )
                },
            );
        }
        let block = LANES * cached.first().map_or(4, |stage| 4 * stage.len());
        for (re, im) in re.chunks_exact_mut(block).zip(im.chunks_exact_mut(block)) {
            l.run(
                #[inline(always)]
                || {
                    for stage in cached {
                        in_blocks(
                            stage,
                            re,
                            im,
                            #[inline(always)]
                            |re, im| forward4(l, stage, re, im),
                        );
                    }
                    last4::<L, true>(l, re, im);
                },
            );
        }
    }

    /// Turns values at the roots into folded coefficients, times the number of rows. `load` may write the values:
    /// it gets the number of a row, and some rows from that one on. `finish` gets the coefficients, and may change
    /// them: the number of a row, and [`CHUNK_ROWS`] rows from that one on.
    pub fn inverse<L: Lanes>(
        &self,
        l: L,
        batch: &mut Batch,
        load: impl Fn(usize, &mut [f64], &mut [f64]),
        mut finish: impl FnMut(usize, &mut [f64], &mut [f64]),
    ) {
        let (re, im) = (&mut batch.re[..], &mut batch.im[..]);
        let (uncached, cached) = self.later_stages();
        let block = LANES * cached.first().map_or(4, |stage| 4 * stage.len());
        for (at, (re, im)) in re.chunks_exact_mut(block).zip(im.chunks_exact_mut(block)).enumerate() {
            l.run(
                #[inline(always)]
                || {
                    load(at * block / LANES, re, im);
                    last4::<L, false>(l, re, im);
                    for stage in cached.iter().rev() {
                        in_blocks(
                            stage,
                            re,
                            im,
                            #[inline(always)]
                            |re, im| inverse4(l, stage, re, im),
                        );
                    }
                },
            );
        }
        for stage in uncached.iter().rev() {
            l.run(
                #[inline(always)]
                || {
                    in_blocks(
                        stage,
                        re,
                        im,
                        #[inline(always)]
                        |re, im| inverse4(l, stage, re, im),
                    )
                },
            );
        }
        l.run(
            #[inline(always)]
            || match &self.stage2 {
                Some(twiddles) => in_chunks(
                    batch,
                    #[inline(always)]
                    |row, mut re: [_; 2], mut im: [_; 2]| {
                        inverse2(l, &twiddles[row..row + CHUNK_ROWS], &mut re, &mut im);
                        for part in 0..2 {
                            let row = row + part * self.rows / 2;
                            self.twist::<L, false>(l, row, re[part], im[part]);
                            finish(row, re[part], im[part]);
                        }
                    },
                ),
                None => in_chunks(
                    batch,
                    #[inline(always)]
                    |row, mut re: [_; 4], mut im: [_; 4]| {
                        inverse4(l, &self.stages4[0][row..row + CHUNK_ROWS], &mut re, &mut im);
                        for part in 0..4 {
                            let row = row + part * self.rows / 4;
                            self.twist::<L, false>(l, row, re[part], im[part]);
                            finish(row, re[part], im[part]);
                        }
                    },
                ),
            },
        );
    }

    /// Turns [`CHUNK_ROWS`] rows from `row` on by their roots, or back.
    #[inline(always)]
    fn twist<L: Lanes, const FORWARD: bool>(&self, l: L, row: usize, re: &mut [f64], im: &mut [f64]) {
        let rows = cast_slice_mut::<_, L::V>(re).chunks_exact_mut(L::PARTS);
        let rows = rows.zip(cast_slice_mut::<_, L::V>(im).chunks_exact_mut(L::PARTS));
        for ((re, im), w) in rows.zip(&self.twist[row..row + CHUNK_ROWS]) {
            for (re, im) in re.iter_mut().zip(im) {
                (*re, *im) = turned::<L, FORWARD>(l, (*re, *im), *w);
            }
        }
    }

    /// The stages of four behind the first stage: those of blocks that do not stay in the first-level
    /// cache, and those that do.
    fn later_stages(&self) -> (&[Stage4], &[Stage4]) {
        let later = &self.stages4[usize::from(self.stage2.is_none())..];
        later.split_at(later.iter().take_while(|stage| 4 * stage.len() > CACHED_ROWS).count())
    }
}

/// Equal parts of a slice.
#[inline(always)]
fn parts<const PARTS: usize>(slice: &mut [f64]) -> [&mut [f64]; PARTS] {
    let mut parts = slice.chunks_exact_mut(slice.len() / PARTS);
    core::array::from_fn(|_| parts.next().unwrap_or_default())
}

/// Calls `work` for [`CHUNK_ROWS`] rows after another of all parts of a batch at once: with the number
/// of the first row in its part, and the rows of each part.
#[inline(always)]
fn in_chunks<const PARTS: usize>(
    batch: &mut Batch,
    mut work: impl FnMut(usize, [&mut [f64]; PARTS], [&mut [f64]; PARTS]),
) {
    let (mut re, mut im) = (parts::<PARTS>(&mut batch.re), parts::<PARTS>(&mut batch.im));
    for row in (0..re[0].len() / LANES).step_by(CHUNK_ROWS) {
        let span = row * LANES..(row + CHUNK_ROWS) * LANES;
        work(row, re.each_mut().map(|part| &mut part[span.clone()]), im.each_mut().map(|part| &mut part[span.clone()]));
    }
}

/// Calls `work` for the quarters of each block that a stage combines.
#[inline(always)]
fn in_blocks(
    stage: &Stage4,
    re: &mut [f64],
    im: &mut [f64],
    mut work: impl FnMut(&mut [&mut [f64]; 4], &mut [&mut [f64]; 4]),
) {
    let block = 4 * stage.len() * LANES;
    for (re, im) in re.chunks_exact_mut(block).zip(im.chunks_exact_mut(block)) {
        work(&mut parts(re), &mut parts(im));
    }
}

/// (a + ib)(c + id), the second factor conjugated unless `FORWARD`.
#[inline(always)]
fn turned<L: Lanes, const FORWARD: bool>(l: L, (a, b): (L::V, L::V), w: Complex) -> (L::V, L::V) {
    let (c, d) = (l.splat(w.re), l.splat(if FORWARD { w.im } else { -w.im }));
    (l.mul_sub(a, c, l.mul(b, d)), l.mul_add(a, d, l.mul(b, c)))
}

/// Combines the two parts of some rows.
#[inline(always)]
fn forward2<L: Lanes>(l: L, twiddles: &[Complex], re: &mut [&mut [f64]; 2], im: &mut [&mut [f64]; 2]) {
    let [re0, re1] = re.each_mut().map(|part| cast_slice_mut::<_, L::V>(part));
    let [im0, im1] = im.each_mut().map(|part| cast_slice_mut::<_, L::V>(part));
    for (row, w) in twiddles.iter().enumerate() {
        for at in row * L::PARTS..(row + 1) * L::PARTS {
            let (a, b) = ((re0[at], im0[at]), (re1[at], im1[at]));
            (re0[at], im0[at]) = (l.add(a.0, b.0), l.add(a.1, b.1));
            let difference = (l.sub(a.0, b.0), l.sub(a.1, b.1));
            (re1[at], im1[at]) = turned::<L, true>(l, difference, *w);
        }
    }
}

#[inline(always)]
fn inverse2<L: Lanes>(l: L, twiddles: &[Complex], re: &mut [&mut [f64]; 2], im: &mut [&mut [f64]; 2]) {
    let [re0, re1] = re.each_mut().map(|part| cast_slice_mut::<_, L::V>(part));
    let [im0, im1] = im.each_mut().map(|part| cast_slice_mut::<_, L::V>(part));
    for (row, w) in twiddles.iter().enumerate() {
        for at in row * L::PARTS..(row + 1) * L::PARTS {
            let (a, b) = ((re0[at], im0[at]), turned::<L, false>(l, (re1[at], im1[at]), *w));
            (re0[at], im0[at]) = (l.add(a.0, b.0), l.add(a.1, b.1));
            (re1[at], im1[at]) = (l.sub(a.0, b.0), l.sub(a.1, b.1));
        }
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

/// Combines the four parts of some rows.
#[inline(always)]
fn forward4<L: Lanes>(l: L, twiddles: &[[Complex; 3]], re: &mut [&mut [f64]; 4], im: &mut [&mut [f64]; 4]) {
    let [re0, re1, re2, re3] = re.each_mut().map(|part| cast_slice_mut::<_, L::V>(part));
    let [im0, im1, im2, im3] = im.each_mut().map(|part| cast_slice_mut::<_, L::V>(part));
    for (row, [w1, w2, w3]) in twiddles.iter().enumerate() {
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

#[inline(always)]
fn inverse4<L: Lanes>(l: L, twiddles: &[[Complex; 3]], re: &mut [&mut [f64]; 4], im: &mut [&mut [f64]; 4]) {
    let [re0, re1, re2, re3] = re.each_mut().map(|part| cast_slice_mut::<_, L::V>(part));
    let [im0, im1, im2, im3] = im.each_mut().map(|part| cast_slice_mut::<_, L::V>(part));
    for (row, [w1, w2, w3]) in twiddles.iter().enumerate() {
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

/// The stage of blocks of four rows, whose twiddles are all one.
#[inline(always)]
fn last4<L: Lanes, const FORWARD: bool>(l: L, re: &mut [f64], im: &mut [f64]) {
    for (re, im) in re.chunks_exact_mut(4 * LANES).zip(im.chunks_exact_mut(4 * LANES)) {
        let [re0, re1, re2, re3] = parts(re).map(cast_slice_mut::<_, L::V>);
        let [im0, im1, im2, im3] = parts(im).map(cast_slice_mut::<_, L::V>);
        for at in 0..L::PARTS {
            let four = [(re0[at], im0[at]), (re1[at], im1[at]), (re2[at], im2[at]), (re3[at], im3[at])];
            let [a, b, c, d] = butterfly::<L, FORWARD>(l, four);
            ((re0[at], im0[at]), (re1[at], im1[at])) = (a, b);
            ((re2[at], im2[at]), (re3[at], im3[at])) = (c, d);
        }
    }
}
