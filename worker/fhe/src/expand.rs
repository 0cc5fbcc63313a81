//! From seeds to masks, with the stream that encryption used.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Block};

use crate::message::{BlindingKey, EncryptedTensor, MaskSeed};
use crate::params::ParameterSet;

/// One GLWE ciphertext with one mask polynomial, coefficients modulo 2⁶⁴.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ciphertext {
    /// The mask, uniform and public.
    pub mask: Vec<u64>,
    /// Mask times key, plus noise, plus message.
    pub body: Vec<u64>,
}

impl Ciphertext {
    /// The ciphertext of zeros with a zero mask: the neutral element of addition.
    pub fn zero(parameter_set: ParameterSet) -> Self {
        let size = parameter_set.polynomial_size().0;
        Self { mask: vec![0; size], body: vec![0; size] }
    }

    /// Adds `other`, coefficient by coefficient.
    pub fn add(&mut self, other: &Self) {
        for (into, from) in [(&mut self.mask, &other.mask), (&mut self.body, &other.body)] {
            for (into, from) in into.iter_mut().zip(from) {
                *into = into.wrapping_add(*from);
            }
        }
    }
}

/// The ciphertexts of a request, masks expanded.
pub fn expand_tensor(tensor: &EncryptedTensor) -> Vec<Ciphertext> {
    expand(tensor.parameter_set(), tensor.seed(), tensor.bodies())
}

/// The encryption of zero that a blinding key is, mask expanded, scaled to 2⁶⁴.
///
/// The mask is what `tfhe` draws for the key's modulus: its bytes of the same stream for a coefficient.
pub fn expand_blinding_key(key: &BlindingKey) -> Ciphertext {
    let (size, width) =
        (key.parameter_set().polynomial_size().0, usize::from(key.parameter_set().blinding_bits().0) / 8);
    let mut blocks = vec![Block::default(); width * size / BLOCK_BYTES];
    fill(&Aes128::new(&key.seed().0.into()), &mut 0, &mut blocks);
    let bytes: Vec<u8> = blocks.iter().flatten().copied().collect();
    let coefficient = |bytes: &[u8]| {
        let mut scaled = [0; 8];
        scaled[8 - width..].copy_from_slice(bytes);
        u64::from_le_bytes(scaled)
    };
    Ciphertext { mask: bytes.chunks_exact(width).map(coefficient).collect(), body: key.body() }
}

/// Bytes of one AES block.
pub(crate) const BLOCK_BYTES: usize = 16;

/// The next blocks of the stream: AES-128 in counter mode, the counter little-endian.
pub(crate) fn fill(cipher: &Aes128, counter: &mut u128, blocks: &mut [Block]) {
    for block in &mut *blocks {
        *block = counter.to_le_bytes().into();
        *counter += 1;
    }
    cipher.encrypt_blocks(blocks);
}

/// The masks that `tfhe` draws from the seed: AES-128 in counter mode from zero, the seed as key, both
/// little-endian, eight bytes a coefficient, one ciphertext after another.
///
/// The library's own expansion gives a byte at a time; a test holds this one to it.
fn expand(parameter_set: ParameterSet, seed: MaskSeed, bodies: impl Iterator<Item = Vec<u64>>) -> Vec<Ciphertext> {
    let size = parameter_set.polynomial_size().0;
    let cipher = Aes128::new(&seed.0.into());
    let mut counter = 0u128;
    let mut blocks = vec![Block::default(); 8 * size / BLOCK_BYTES];
    bodies
        .map(|body| {
            fill(&cipher, &mut counter, &mut blocks);
            let mut mask = vec![0; size];
            for (pair, block) in mask.chunks_exact_mut(2).zip(&blocks) {
                let both = u128::from_le_bytes((*block).into());
                (pair[0], pair[1]) = (both as u64, (both >> 64) as u64);
            }
            Ciphertext { mask, body }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfhe::core_crypto::commons::math::random::Seed;
    use tfhe::core_crypto::prelude::{
        CiphertextModulus, GlweSize, PolynomialSize as TfhePolynomialSize, SeededGlweCiphertextList,
    };

    /// Masks and bodies that `tfhe` decompresses for this modulus.
    fn library(
        set: ParameterSet,
        seed: MaskSeed,
        bodies: Vec<u64>,
        modulus: CiphertextModulus<u64>,
    ) -> Vec<Ciphertext> {
        let size = set.polynomial_size().0;
        let seeded = SeededGlweCiphertextList::from_container(
            bodies,
            GlweSize(2),
            TfhePolynomialSize(size),
            Seed(u128::from_le_bytes(seed.0)).into(),
            modulus,
        );
        let full = seeded.decompress_into_glwe_ciphertext_list().into_container();
        let both = full.chunks_exact(2 * size);
        both.map(|both| Ciphertext { mask: both[..size].to_vec(), body: both[size..].to_vec() }).collect()
    }

    #[test]
    fn masks_are_those_that_the_library_expands() {
        for set in [ParameterSet::Toy256V1, ParameterSet::Glwe2048V1, ParameterSet::Glwe4096V1] {
            for byte in [0, 1, 0xa7, 0xff] {
                let size = set.polynomial_size().0;
                let seed = MaskSeed(core::array::from_fn(|at| byte ^ (7 * at) as u8));
                let bodies: Vec<u64> = (0..3 * size as u64).collect();
                let wanted = library(set, seed, bodies.clone(), CiphertextModulus::new_native());
                assert!(expand(set, seed, bodies.chunks(size).map(<[u64]>::to_vec)) == wanted, "{set}");
                let body: Vec<u64> = (0..size as u64).map(|value| value << 17).collect();
                let modulus = CiphertextModulus::new(1 << set.blinding_bits().0);
                let wanted = library(set, seed, body.clone(), modulus);
                let key = BlindingKey::from_body(set, seed, &body).expect("one polynomial");
                assert!(expand_blinding_key(&key) == wanted[0], "key of {set}");
            }
        }
    }
}
