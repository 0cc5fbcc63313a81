//! From seeds to masks, with the generator that encryption used.

use tfhe::core_crypto::commons::math::random::Seed;
use tfhe::core_crypto::prelude::{
    CiphertextModulus, GlweSize, PolynomialSize as TfhePolynomialSize, SeededGlweCiphertextList,
};

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

/// The encryption of zero that a blinding key is, mask expanded.
pub fn expand_blinding_key(key: &BlindingKey) -> Ciphertext {
    let size = key.parameter_set().polynomial_size().0;
    let mut all = expand(key.parameter_set(), key.seed(), key.body());
    all.pop().unwrap_or(Ciphertext { mask: vec![0; size], body: vec![0; size] })
}

fn expand(parameter_set: ParameterSet, seed: MaskSeed, bodies: Vec<u64>) -> Vec<Ciphertext> {
    let size = parameter_set.polynomial_size().0;
    let seeded = SeededGlweCiphertextList::from_container(
        bodies,
        GlweSize(2),
        TfhePolynomialSize(size),
        Seed(u128::from_le_bytes(seed.0)).into(),
        CiphertextModulus::new_native(),
    );
    let full = seeded.decompress_into_glwe_ciphertext_list().into_container();
    full.chunks_exact(2 * size)
        .map(|both| Ciphertext { mask: both[..size].to_vec(), body: both[size..].to_vec() })
        .collect()
}
