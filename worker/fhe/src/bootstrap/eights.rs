//! Eight neighbouring coefficients of one polynomial, on every instruction set.
//!
//! Where [`Lanes`] lays eight polynomials side by side, a blind rotation turns each polynomial by an amount of
//! its own; so here a row is eight coefficients of one polynomial, however many registers that takes.

#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::__m512d;
use pulp::bytemuck::cast;
#[cfg(target_arch = "x86_64")]
use pulp::{
    f64x4, f64x8, u32x8, u32x16, u64x4,
    x86::{V3, V4},
};

use crate::ring::lanes::{Lanes, Scalar};

/// Width of a digit of the decomposition, in bits: one level.
pub(crate) const DIGIT_BITS: u32 = 23;
/// Bits of a coefficient below its digit.
pub(crate) const REST_BITS: u32 = 64 - DIGIT_BITS;
/// Added before the shift that cuts a digit out: rounds to nearest, and makes the signed digit a natural number.
const DIGIT_BIAS: u64 = (1 << 63) + (1 << (REST_BITS - 1));
/// The bits of the double 2⁵², whose low bits are a natural number's.
const NATURAL: u64 = 0x433 << 52;
/// What such a double holds above the signed digit: 2⁵² and the bias.
const NATURAL_DIGIT: f64 = ((1u64 << 52) + (1 << (DIGIT_BITS - 1))) as f64;
/// 1.5 · 2⁵²: a double this large has no fractional bits.
const WHOLE: f64 = (3u64 << 51) as f64;
/// A double in 2.5 to 3.5 holds its fraction in the lowest 51 bits.
const FRACTION: f64 = 3.0;
/// Moves those bits to where 1 is 2⁶⁴: the bit of the 3 falls off.
const FRACTION_SHIFT: u32 = 13;

/// All bits of a negative factor, none of a positive one.
#[derive(Clone, Copy)]
pub(crate) struct Sign(u64);

impl Sign {
    #[inline(always)]
    pub fn new(negative: bool) -> Self {
        Self(u64::from(negative).wrapping_neg())
    }

    /// The bias, and the one by which a complement differs from a negative.
    #[inline(always)]
    fn bias(self) -> u64 {
        DIGIT_BIAS.wrapping_sub(self.0)
    }
}

/// Rows of eight values.
pub(crate) trait Eights: Lanes {
    /// Eight values in as many registers as they take.
    type Row: Copy;

    fn load(self, from: &[f64; 8]) -> Self::Row;
    fn store(self, row: Self::Row, into: &mut [f64; 8]);
    fn splat8(self, value: f64) -> Self::Row;
    fn add8(self, a: Self::Row, b: Self::Row) -> Self::Row;
    fn sub8(self, a: Self::Row, b: Self::Row) -> Self::Row;
    fn mul8(self, a: Self::Row, b: Self::Row) -> Self::Row;
    /// a·b + c, rounded once.
    fn mul_add8(self, a: Self::Row, b: Self::Row, c: Self::Row) -> Self::Row;
    /// a·b − c, rounded once.
    fn mul_sub8(self, a: Self::Row, b: Self::Row, c: Self::Row) -> Self::Row;
    /// c − a·b, rounded once.
    fn sub_mul8(self, a: Self::Row, b: Self::Row, c: Self::Row) -> Self::Row;
    /// Rows become columns.
    fn transpose(self, rows: [Self::Row; 8]) -> [Self::Row; 8];
    /// The digits of `turned` − `own`, or of −`turned` − `own`: the nearest multiples of 2⁴¹, divided by it, in ±2²².
    fn digits(self, sign: Sign, turned: &[u64; 8], own: &[u64; 8]) -> Self::Row;
    /// Adds fractional parts, one standing for 2⁶⁴, to a resolution of 2¹³.
    fn add_fractions(self, row: Self::Row, into: &mut [u64; 8]);
    /// Subtracts the sum of four rows times their digits, modulo 2³².
    fn subtract_products(self, digits: &[u32; 4], rows: [&[u32; 16]; 4], into: &mut [u32; 16]);
}

/// What all instruction sets do alike, register by register.
macro_rules! register_by_register {
    ([$($part:tt),*]) => {
        #[inline(always)]
        fn load(self, from: &[f64; 8]) -> Self::Row {
            cast(*from)
        }
        #[inline(always)]
        fn store(self, row: Self::Row, into: &mut [f64; 8]) {
            *into = cast(row);
        }
        #[inline(always)]
        fn splat8(self, value: f64) -> Self::Row {
            let value = self.splat(value);
            [$({ let _ = $part; value }),*]
        }
        #[inline(always)]
        fn add8(self, a: Self::Row, b: Self::Row) -> Self::Row {
            [$(self.add(a[$part], b[$part])),*]
        }
        #[inline(always)]
        fn sub8(self, a: Self::Row, b: Self::Row) -> Self::Row {
            [$(self.sub(a[$part], b[$part])),*]
        }
        #[inline(always)]
        fn mul8(self, a: Self::Row, b: Self::Row) -> Self::Row {
            [$(self.mul(a[$part], b[$part])),*]
        }
        #[inline(always)]
        fn mul_add8(self, a: Self::Row, b: Self::Row, c: Self::Row) -> Self::Row {
            [$(self.mul_add(a[$part], b[$part], c[$part])),*]
        }
        #[inline(always)]
        fn mul_sub8(self, a: Self::Row, b: Self::Row, c: Self::Row) -> Self::Row {
            [$(self.mul_sub(a[$part], b[$part], c[$part])),*]
        }
        #[inline(always)]
        fn sub_mul8(self, a: Self::Row, b: Self::Row, c: Self::Row) -> Self::Row {
            [$(self.sub_mul(a[$part], b[$part], c[$part])),*]
        }
    };
}

#[cfg(target_arch = "x86_64")]
impl Eights for V4 {
    type Row = [f64x8; 1];

    register_by_register!([0]);

    #[inline(always)]
    fn transpose(self, rows: [Self::Row; 8]) -> [Self::Row; 8] {
        let [a, b, c, d, e, f, g, h] = rows;
        let (a, b, c, d) = (cast(a), cast(b), cast(c), cast(d));
        let (e, f, g, h) = (cast(e), cast(f), cast(g), cast(h));
        let unpack = self.avx512f;
        // Two columns of two rows in each quarter of a register; then the quarters are transposed.
        let even = [
            unpack._mm512_unpacklo_pd(a, b),
            unpack._mm512_unpacklo_pd(c, d),
            unpack._mm512_unpacklo_pd(e, f),
            unpack._mm512_unpacklo_pd(g, h),
        ];
        let odd = [
            unpack._mm512_unpackhi_pd(a, b),
            unpack._mm512_unpackhi_pd(c, d),
            unpack._mm512_unpackhi_pd(e, f),
            unpack._mm512_unpackhi_pd(g, h),
        ];
        let ([a, c, e, g], [b, d, f, h]) = (quarters(self, even), quarters(self, odd));
        [cast(a), cast(b), cast(c), cast(d), cast(e), cast(f), cast(g), cast(h)]
    }

    #[inline(always)]
    fn digits(self, sign: Sign, turned: &[u64; 8], own: &[u64; 8]) -> Self::Row {
        let turned = self.xor_u64x8(cast(*turned), self.splat_u64x8(sign.0));
        let difference = self.wrapping_sub_u64x8(turned, cast(*own));
        let biased = self.wrapping_add_u64x8(difference, self.splat_u64x8(sign.bias()));
        let natural = self.or_u64x8(self.shr_const_u64x8::<REST_BITS>(biased), self.splat_u64x8(NATURAL));
        [self.sub_f64x8(cast(natural), self.splat_f64x8(NATURAL_DIGIT))]
    }

    #[inline(always)]
    fn add_fractions(self, row: Self::Row, into: &mut [u64; 8]) {
        let [value] = row;
        let whole = self.splat_f64x8(WHOLE);
        let nearest = self.sub_f64x8(self.add_f64x8(value, whole), whole);
        let fraction = self.add_f64x8(self.sub_f64x8(value, nearest), self.splat_f64x8(FRACTION));
        let fraction = self.shl_const_u64x8::<FRACTION_SHIFT>(cast(fraction));
        *into = cast(self.wrapping_add_u64x8(cast(*into), fraction));
    }

    #[inline(always)]
    fn subtract_products(self, digits: &[u32; 4], [a, b, c, d]: [&[u32; 16]; 4], into: &mut [u32; 16]) {
        let held: u32x16 = cast(*into);
        let a = self.wrapping_mul_u32x16(cast(*a), self.splat_u32x16(digits[0]));
        let b = self.wrapping_mul_u32x16(cast(*b), self.splat_u32x16(digits[1]));
        let c = self.wrapping_mul_u32x16(cast(*c), self.splat_u32x16(digits[2]));
        let d = self.wrapping_mul_u32x16(cast(*d), self.splat_u32x16(digits[3]));
        let sum = self.wrapping_add_u32x16(self.wrapping_add_u32x16(a, b), self.wrapping_add_u32x16(c, d));
        *into = cast(self.wrapping_sub_u32x16(held, sum));
    }
}

#[cfg(target_arch = "x86_64")]
impl Eights for V3 {
    type Row = [f64x4; 2];

    register_by_register!([0, 1]);

    #[inline(always)]
    fn transpose(self, rows: [Self::Row; 8]) -> [Self::Row; 8] {
        let [a, b, c, d, e, f, g, h] = rows;
        let upper_left = transpose4(self, [a[0], b[0], c[0], d[0]]);
        let upper_right = transpose4(self, [e[0], f[0], g[0], h[0]]);
        let lower_left = transpose4(self, [a[1], b[1], c[1], d[1]]);
        let lower_right = transpose4(self, [e[1], f[1], g[1], h[1]]);
        [
            [upper_left[0], upper_right[0]],
            [upper_left[1], upper_right[1]],
            [upper_left[2], upper_right[2]],
            [upper_left[3], upper_right[3]],
            [lower_left[0], lower_right[0]],
            [lower_left[1], lower_right[1]],
            [lower_left[2], lower_right[2]],
            [lower_left[3], lower_right[3]],
        ]
    }

    #[inline(always)]
    fn digits(self, sign: Sign, turned: &[u64; 8], own: &[u64; 8]) -> Self::Row {
        let (turned, own): ([u64x4; 2], [u64x4; 2]) = (cast(*turned), cast(*own));
        [digits4(self, sign, turned[0], own[0]), digits4(self, sign, turned[1], own[1])]
    }

    #[inline(always)]
    fn add_fractions(self, row: Self::Row, into: &mut [u64; 8]) {
        let held: [u64x4; 2] = cast(*into);
        *into = cast([add_fractions4(self, row[0], held[0]), add_fractions4(self, row[1], held[1])]);
    }

    #[inline(always)]
    fn subtract_products(self, digits: &[u32; 4], [a, b, c, d]: [&[u32; 16]; 4], into: &mut [u32; 16]) {
        let held: [u32x8; 2] = cast(*into);
        let rows: [[u32x8; 2]; 4] = [cast(*a), cast(*b), cast(*c), cast(*d)];
        let mut differences = held;
        for (half, difference) in differences.iter_mut().enumerate() {
            for (row, digit) in rows.iter().zip(digits) {
                let product = self.wrapping_mul_u32x8(row[half], self.splat_u32x8(*digit));
                *difference = self.wrapping_sub_u32x8(*difference, product);
            }
        }
        *into = cast(differences);
    }
}

/// Transposes the quarters of four registers.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn quarters(l: V4, [a, b, c, d]: [__m512d; 4]) -> [__m512d; 4] {
    let shuffle = l.avx512f;
    let (ab_low, ab_high) = (shuffle._mm512_shuffle_f64x2::<0x88>(a, b), shuffle._mm512_shuffle_f64x2::<0xdd>(a, b));
    let (cd_low, cd_high) = (shuffle._mm512_shuffle_f64x2::<0x88>(c, d), shuffle._mm512_shuffle_f64x2::<0xdd>(c, d));
    [
        shuffle._mm512_shuffle_f64x2::<0x88>(ab_low, cd_low),
        shuffle._mm512_shuffle_f64x2::<0x88>(ab_high, cd_high),
        shuffle._mm512_shuffle_f64x2::<0xdd>(ab_low, cd_low),
        shuffle._mm512_shuffle_f64x2::<0xdd>(ab_high, cd_high),
    ]
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn transpose4(l: V3, [a, b, c, d]: [f64x4; 4]) -> [f64x4; 4] {
    let (a, b, c, d) = (cast(a), cast(b), cast(c), cast(d));
    let (ab, cd) = (l.avx._mm256_unpacklo_pd(a, b), l.avx._mm256_unpacklo_pd(c, d));
    let (ab_odd, cd_odd) = (l.avx._mm256_unpackhi_pd(a, b), l.avx._mm256_unpackhi_pd(c, d));
    [
        cast(l.avx._mm256_permute2f128_pd::<0x20>(ab, cd)),
        cast(l.avx._mm256_permute2f128_pd::<0x20>(ab_odd, cd_odd)),
        cast(l.avx._mm256_permute2f128_pd::<0x31>(ab, cd)),
        cast(l.avx._mm256_permute2f128_pd::<0x31>(ab_odd, cd_odd)),
    ]
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn digits4(l: V3, sign: Sign, turned: u64x4, own: u64x4) -> f64x4 {
    let difference = l.wrapping_sub_u64x4(l.xor_u64x4(turned, l.splat_u64x4(sign.0)), own);
    let biased = l.wrapping_add_u64x4(difference, l.splat_u64x4(sign.bias()));
    let natural = l.or_u64x4(l.shr_const_u64x4::<{ REST_BITS as i32 }>(biased), l.splat_u64x4(NATURAL));
    l.sub_f64x4(cast(natural), l.splat_f64x4(NATURAL_DIGIT))
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn add_fractions4(l: V3, value: f64x4, held: u64x4) -> u64x4 {
    let whole = l.splat_f64x4(WHOLE);
    let nearest = l.sub_f64x4(l.add_f64x4(value, whole), whole);
    let fraction = l.add_f64x4(l.sub_f64x4(value, nearest), l.splat_f64x4(FRACTION));
    l.wrapping_add_u64x4(held, l.shl_const_u64x4::<{ FRACTION_SHIFT as i32 }>(cast(fraction)))
}

impl Eights for Scalar {
    type Row = [f64; 8];

    register_by_register!([0, 1, 2, 3, 4, 5, 6, 7]);

    #[inline(always)]
    fn transpose(self, rows: [Self::Row; 8]) -> [Self::Row; 8] {
        core::array::from_fn(|column| core::array::from_fn(|row| rows[row][column]))
    }

    #[inline(always)]
    fn digits(self, sign: Sign, turned: &[u64; 8], own: &[u64; 8]) -> Self::Row {
        core::array::from_fn(|at| {
            let biased = (turned[at] ^ sign.0).wrapping_sub(own[at]).wrapping_add(sign.bias());
            f64::from_bits(biased >> REST_BITS | NATURAL) - NATURAL_DIGIT
        })
    }

    #[inline(always)]
    fn add_fractions(self, row: Self::Row, into: &mut [u64; 8]) {
        for (value, into) in row.into_iter().zip(into) {
            let nearest = (value + WHOLE) - WHOLE;
            let fraction = (value - nearest) + FRACTION;
            *into = into.wrapping_add(fraction.to_bits() << FRACTION_SHIFT);
        }
    }

    #[inline(always)]
    fn subtract_products(self, digits: &[u32; 4], rows: [&[u32; 16]; 4], into: &mut [u32; 16]) {
        for (row, digit) in rows.into_iter().zip(digits) {
            for (into, from) in into.iter_mut().zip(row) {
                *into = into.wrapping_sub(from.wrapping_mul(*digit));
            }
        }
    }
}
