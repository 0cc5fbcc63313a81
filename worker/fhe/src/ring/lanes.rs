//! Eight polynomials side by side, and the instruction sets that work on them.
//!
//! Every row of a transform holds one point of eight polynomials, so that each instruction set runs
//! the same additions, multiplications and fused multiply-adds in the same order. By IEEE 754 all
//! paths then give the same bits, not only the same rounded integers.

use pulp::bytemuck::Pod;
#[cfg(target_arch = "x86_64")]
use pulp::{
    bytemuck::cast_slice,
    f64x4, f64x8,
    x86::{V3, V4},
};

/// Polynomials transformed together: mask and body of two ciphertexts, each in two limbs.
pub(crate) const LANES: usize = 8;

/// Which instructions the ring arithmetic runs on. All of them give the same result.
///
/// A value of this type exists only for instructions that this processor has.
#[derive(Clone, Copy, Debug)]
pub struct CodePath(pub(crate) Instructions);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Instructions {
    /// 512-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx512(V4),
    /// 256-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx2(V3),
    /// One value at a time, on any processor.
    Portable,
    /// No floating point at all.
    Ntt,
}

impl CodePath {
    /// One value at a time: runs on any processor.
    pub const PORTABLE: Self = Self(Instructions::Portable);
    /// Every product by number-theoretic transforms, without floating point: the slow cross-check.
    pub const NTT: Self = Self(Instructions::Ntt);

    /// The fastest path of this processor.
    pub fn fastest() -> Self {
        Self::available()[0]
    }

    /// All paths of this processor, fastest first.
    pub fn available() -> Vec<Self> {
        let mut paths = Vec::with_capacity(4);
        #[cfg(target_arch = "x86_64")]
        {
            paths.extend(V4::try_new().map(Instructions::Avx512).map(Self));
            paths.extend(V3::try_new().map(Instructions::Avx2).map(Self));
        }
        paths.extend([Self::PORTABLE, Self::NTT]);
        paths
    }

    /// The path's name in reports.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2(_) => "avx2",
            Instructions::Portable => "portable",
            Instructions::Ntt => "ntt",
        }
    }
}

/// One register's worth of a row.
pub(crate) trait Lanes: Copy + Send + Sync {
    type V: Copy + Pod;
    /// Registers that make up a row of [`LANES`] values.
    const PARTS: usize;

    /// Runs `op` with the path's instructions switched on.
    fn run<R>(self, op: impl FnOnce() -> R) -> R;
    fn splat(self, value: f64) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// a·b + c, rounded once.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// a·b − c, rounded once.
    fn mul_sub(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// c − a·b, rounded once.
    fn sub_mul(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// |a|, if greater than `largest`.
    fn max_abs(self, largest: Self::V, a: Self::V) -> Self::V;
    /// The `part`-th register of a row whose lower half is `low` and upper half `high`.
    fn halves(self, low: f64, high: f64, part: usize) -> Self::V;
    /// The `part`-th register of a row both of whose halves are the `half`-th of `row`.
    fn twice(self, row: &[f64; LANES], half: usize, part: usize) -> Self::V;
    /// Rows become columns.
    fn transposed(self, rows: &[[f64; LANES]; LANES]) -> [[f64; LANES]; LANES];
}

#[cfg(target_arch = "x86_64")]
impl Lanes for V4 {
    type V = f64x8;
    const PARTS: usize = 1;

    #[inline(always)]
    fn run<R>(self, op: impl FnOnce() -> R) -> R {
        self.vectorize(op)
    }
    #[inline(always)]
    fn splat(self, value: f64) -> f64x8 {
        self.splat_f64x8(value)
    }
    #[inline(always)]
    fn add(self, a: f64x8, b: f64x8) -> f64x8 {
        self.add_f64x8(a, b)
    }
    #[inline(always)]
    fn sub(self, a: f64x8, b: f64x8) -> f64x8 {
        self.sub_f64x8(a, b)
    }
    #[inline(always)]
    fn mul(self, a: f64x8, b: f64x8) -> f64x8 {
        self.mul_f64x8(a, b)
    }
    #[inline(always)]
    fn mul_add(self, a: f64x8, b: f64x8, c: f64x8) -> f64x8 {
        self.mul_add_f64x8(a, b, c)
    }
    #[inline(always)]
    fn mul_sub(self, a: f64x8, b: f64x8, c: f64x8) -> f64x8 {
        self.mul_sub_f64x8(a, b, c)
    }
    #[inline(always)]
    fn sub_mul(self, a: f64x8, b: f64x8, c: f64x8) -> f64x8 {
        self.negate_mul_add_f64x8(a, b, c)
    }
    #[inline(always)]
    fn max_abs(self, largest: f64x8, a: f64x8) -> f64x8 {
        self.max_f64x8(largest, self.abs_f64x8(a))
    }
    #[inline(always)]
    fn halves(self, low: f64, high: f64, _part: usize) -> f64x8 {
        f64x8(low, low, low, low, high, high, high, high)
    }
    #[inline(always)]
    fn twice(self, row: &[f64; LANES], half: usize, _part: usize) -> f64x8 {
        let four: f64x4 = pulp::bytemuck::pod_read_unaligned(cast_slice(&row[4 * half..4 * half + 4]));
        pulp::cast(self.avx512f._mm512_broadcast_f64x4(pulp::cast(four)))
    }
    #[inline(always)]
    fn transposed(self, rows: &[[f64; LANES]; LANES]) -> [[f64; LANES]; LANES] {
        // No closures: one that is not inlined loses the vectors.
        let avx = self.avx512f;
        let rows: &[f64x8] = cast_slice(rows);
        let mut columns = [f64x8(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0); LANES];
        for odd in 0..2 {
            let mut pairs = [avx._mm512_setzero_pd(); LANES / 2];
            for at in 0..LANES / 2 {
                let (low, high) = (pulp::cast(rows[2 * at]), pulp::cast(rows[2 * at + 1]));
                pairs[at] =
                    if odd == 0 { avx._mm512_unpacklo_pd(low, high) } else { avx._mm512_unpackhi_pd(low, high) };
            }
            let [a, b, c, d] = pairs;
            let (ab, cd) = (avx._mm512_shuffle_f64x2::<0x88>(a, b), avx._mm512_shuffle_f64x2::<0x88>(c, d));
            columns[odd] = pulp::cast(avx._mm512_shuffle_f64x2::<0x88>(ab, cd));
            columns[odd + 4] = pulp::cast(avx._mm512_shuffle_f64x2::<0xdd>(ab, cd));
            let (ab, cd) = (avx._mm512_shuffle_f64x2::<0xdd>(a, b), avx._mm512_shuffle_f64x2::<0xdd>(c, d));
            columns[odd + 2] = pulp::cast(avx._mm512_shuffle_f64x2::<0x88>(ab, cd));
            columns[odd + 6] = pulp::cast(avx._mm512_shuffle_f64x2::<0xdd>(ab, cd));
        }
        pulp::bytemuck::cast(columns)
    }
}

#[cfg(target_arch = "x86_64")]
impl Lanes for V3 {
    type V = f64x4;
    const PARTS: usize = 2;

    #[inline(always)]
    fn run<R>(self, op: impl FnOnce() -> R) -> R {
        self.vectorize(op)
    }
    #[inline(always)]
    fn splat(self, value: f64) -> f64x4 {
        self.splat_f64x4(value)
    }
    #[inline(always)]
    fn add(self, a: f64x4, b: f64x4) -> f64x4 {
        self.add_f64x4(a, b)
    }
    #[inline(always)]
    fn sub(self, a: f64x4, b: f64x4) -> f64x4 {
        self.sub_f64x4(a, b)
    }
    #[inline(always)]
    fn mul(self, a: f64x4, b: f64x4) -> f64x4 {
        self.mul_f64x4(a, b)
    }
    #[inline(always)]
    fn mul_add(self, a: f64x4, b: f64x4, c: f64x4) -> f64x4 {
        self.mul_add_f64x4(a, b, c)
    }
    #[inline(always)]
    fn mul_sub(self, a: f64x4, b: f64x4, c: f64x4) -> f64x4 {
        self.mul_sub_f64x4(a, b, c)
    }
    #[inline(always)]
    fn sub_mul(self, a: f64x4, b: f64x4, c: f64x4) -> f64x4 {
        self.negate_mul_add_f64x4(a, b, c)
    }
    #[inline(always)]
    fn max_abs(self, largest: f64x4, a: f64x4) -> f64x4 {
        self.max_f64x4(largest, self.abs_f64x4(a))
    }
    #[inline(always)]
    fn halves(self, low: f64, high: f64, part: usize) -> f64x4 {
        self.splat_f64x4(if part == 0 { low } else { high })
    }
    #[inline(always)]
    fn twice(self, row: &[f64; LANES], half: usize, _part: usize) -> f64x4 {
        pulp::bytemuck::pod_read_unaligned(cast_slice(&row[4 * half..4 * half + 4]))
    }
    #[inline(always)]
    fn transposed(self, rows: &[[f64; LANES]; LANES]) -> [[f64; LANES]; LANES] {
        let avx = self.avx;
        let mut columns = [[0.0; LANES]; LANES];
        for (down, across) in [(0, 0), (0, 4), (4, 0), (4, 4)] {
            let (mut block, half) = ([avx._mm256_setzero_pd(); 4], across / 4);
            for at in 0..4 {
                block[at] = pulp::cast(self.twice(&rows[down + at], half, 0));
            }
            let [a, b, c, d] = block;
            let (even, odd) = (avx._mm256_unpacklo_pd(a, b), avx._mm256_unpackhi_pd(a, b));
            let (even_below, odd_below) = (avx._mm256_unpacklo_pd(c, d), avx._mm256_unpackhi_pd(c, d));
            let block: [f64x4; 4] = [
                pulp::cast(avx._mm256_permute2f128_pd::<0x20>(even, even_below)),
                pulp::cast(avx._mm256_permute2f128_pd::<0x20>(odd, odd_below)),
                pulp::cast(avx._mm256_permute2f128_pd::<0x31>(even, even_below)),
                pulp::cast(avx._mm256_permute2f128_pd::<0x31>(odd, odd_below)),
            ];
            let block: [[f64; 4]; 4] = pulp::bytemuck::cast(block);
            for (column, values) in columns[across..].iter_mut().zip(block) {
                column[down..down + 4].copy_from_slice(&values);
            }
        }
        columns
    }
}

/// The path of processors without the vectors above. Where they have no fused multiply-add either, the
/// system's library does it, slowly.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

impl Lanes for Scalar {
    type V = f64;
    const PARTS: usize = LANES;

    #[inline(always)]
    fn run<R>(self, op: impl FnOnce() -> R) -> R {
        op()
    }
    #[inline(always)]
    fn splat(self, value: f64) -> f64 {
        value
    }
    #[inline(always)]
    fn add(self, a: f64, b: f64) -> f64 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f64, b: f64) -> f64 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f64, b: f64) -> f64 {
        a * b
    }
    #[inline(always)]
    fn mul_add(self, a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn mul_sub(self, a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, -c)
    }
    #[inline(always)]
    fn sub_mul(self, a: f64, b: f64, c: f64) -> f64 {
        (-a).mul_add(b, c)
    }
    #[inline(always)]
    fn max_abs(self, largest: f64, a: f64) -> f64 {
        if a.abs() > largest { a.abs() } else { largest }
    }
    #[inline(always)]
    fn halves(self, low: f64, high: f64, part: usize) -> f64 {
        if part < LANES / 2 { low } else { high }
    }
    #[inline(always)]
    fn twice(self, row: &[f64; LANES], half: usize, part: usize) -> f64 {
        row[4 * half + part % 4]
    }
    #[inline(always)]
    fn transposed(self, rows: &[[f64; LANES]; LANES]) -> [[f64; LANES]; LANES] {
        core::array::from_fn(|column| rows.map(|row| row[column]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposed_rows_are_columns_on_every_path() {
        let rows: [[f64; LANES]; LANES] = core::array::from_fn(|row| core::array::from_fn(|at| (8 * row + at) as f64));
        let wanted: [[f64; LANES]; LANES] =
            core::array::from_fn(|at| core::array::from_fn(|row| (8 * row + at) as f64));
        for path in CodePath::available() {
            let found = match path.0 {
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512(l) => l.run(|| l.transposed(&rows)),
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx2(l) => l.run(|| l.transposed(&rows)),
                Instructions::Portable | Instructions::Ntt => Scalar.transposed(&rows),
            };
            assert_eq!(found, wanted, "{}", path.name());
        }
    }
}
