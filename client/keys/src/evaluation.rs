//! The public key for bootstraps, made from the secret key of a case.

use encompute_fhe::{BootstrapSet, EvaluationKey, MaskSeed, ParameterSet};
use tfhe::core_crypto::commons::generators::DeterministicSeeder;
use tfhe::core_crypto::prelude::{
    CiphertextModulus, DecompositionBaseLog, DecompositionLevelCount, DefaultRandomGenerator, DynamicDistribution,
    GlweSecretKey, GlweSize, LweDimension, LweSecretKey, LweSecretKeyOwned, PolynomialSize, SecretRandomGenerator,
    SeededLweBootstrapKey, SeededLweKeyswitchKey, allocate_and_generate_new_binary_lwe_secret_key,
    generate_seeded_lwe_keyswitch_key, par_generate_seeded_lwe_bootstrap_key,
};
use zeroize::Zeroizing;

use crate::fhe::{SecretKey, encrypt_polynomials, fresh_seed};

/// Why no evaluation key was made. Nothing has been encrypted then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationKeyRefused {
    /// A set whose small key can be guessed: whoever does reads the secret key out of the evaluation key.
    #[error("{set} protects nothing, an evaluation key of it would give the secret key away")]
    Unprotected {
        /// The set.
        set: BootstrapSet,
    },
    /// A set for ciphertexts of another ring.
    #[error("{set} works on ciphertexts of {wanted}, the key is of {found}")]
    ParameterSet {
        /// The set.
        set: BootstrapSet,
        /// The secret key's ring.
        found: ParameterSet,
        /// The set's ring.
        wanted: ParameterSet,
    },
}

impl SecretKey {
    /// The key with which a worker looks tables up on this key's ciphertexts and packs them: some 23 MB, public.
    ///
    /// One for all jobs of a case: a worker keeps it by its digest, and every call draws another one. The small key between
    /// a ciphertext and its bootstrap is drawn here too, and wiped; nobody has it afterwards.
    ///
    /// # Errors
    /// [`EvaluationKeyRefused`].
    pub fn evaluation_key(&self, set: BootstrapSet) -> Result<EvaluationKey, EvaluationKeyRefused> {
        if !set.is_production() {
            return Err(EvaluationKeyRefused::Unprotected { set });
        }
        let (found, wanted) = (self.parameter_set(), set.ring());
        if found != wanted {
            return Err(EvaluationKeyRefused::ParameterSet { set, found, wanted });
        }
        let small = small_key(set);
        let noise = DynamicDistribution::new_t_uniform(wanted.noise_bound_log2());
        let messages = packing_messages(set, self.coefficients());
        let (packing_seed, packing) =
            encrypt_polynomials(wanted, self.coefficients(), messages, CiphertextModulus::new_native(), noise);
        let (keyswitch_seed, keyswitch) = keyswitch_key(set, self.coefficients(), &small);
        let (bootstrap_seed, bootstrap) = bootstrap_key(set, self.coefficients(), &small);
        let key = EvaluationKey::from_bodies(
            set,
            (keyswitch_seed, &keyswitch),
            (bootstrap_seed, &bootstrap),
            (packing_seed, &packing),
        );
        Ok(key.expect("the library's keys have the set's sizes; qed"))
    }
}

/// Zeros and ones.
fn small_key(set: BootstrapSet) -> Zeroizing<Vec<u64>> {
    let mut generator = SecretRandomGenerator::<DefaultRandomGenerator>::new(fresh_seed());
    let dimension = LweDimension(set.lwe_dimension().0);
    let key: LweSecretKeyOwned<u64> = allocate_and_generate_new_binary_lwe_secret_key(dimension, &mut generator);
    Zeroizing::new(key.into_container())
}

/// Minus the ring's key after each automorphism of packing, at its top digit.
fn packing_messages(set: BootstrapSet, key: &[u64]) -> Vec<u64> {
    let (size, exponents) = (key.len(), set.packing_exponents());
    let unit = 1u64 << (u64::BITS - set.rotation_decomposition().digit_bits);
    let mut messages = vec![0; exponents.len() * size];
    for (message, exponent) in messages.chunks_exact_mut(size).zip(exponents) {
        for (at, bit) in key.iter().enumerate() {
            // Xⁿ is −1, so an odd number of times around changes the sign.
            let around = at * exponent / size;
            let minus = if around % 2 == 0 { unit.wrapping_neg() } else { unit };
            message[at * exponent % size] = bit.wrapping_mul(minus);
        }
    }
    messages
}

/// Seed and bodies, modulo 2³².
fn keyswitch_key(set: BootstrapSet, large: &[u64], small: &[u64]) -> (MaskSeed, Vec<u32>) {
    let seed = fresh_seed();
    let small = Zeroizing::new(small.iter().map(|bit| *bit as u32).collect::<Vec<_>>());
    let small = LweSecretKey::from_container(small.as_slice());
    let digits = set.keyswitch_decomposition();
    let mut key = SeededLweKeyswitchKey::new(
        0,
        DecompositionBaseLog(digits.digit_bits as usize),
        DecompositionLevelCount(digits.levels),
        LweDimension(large.len()),
        small.lwe_dimension(),
        seed.into(),
        CiphertextModulus::new_native(),
    );
    generate_seeded_lwe_keyswitch_key(
        &LweSecretKey::from_container(large),
        &small,
        &mut key,
        DynamicDistribution::new_t_uniform(set.lwe_noise_bound_log2()),
        &mut DeterministicSeeder::<DefaultRandomGenerator>::new(fresh_seed()),
    );
    (MaskSeed(seed.0.to_le_bytes()), key.into_container())
}

/// Seed and bodies, modulo 2⁶⁴.
fn bootstrap_key(set: BootstrapSet, large: &[u64], small: &[u64]) -> (MaskSeed, Vec<u64>) {
    let (seed, size) = (fresh_seed(), PolynomialSize(large.len()));
    let small = LweSecretKey::from_container(small);
    let digits = set.rotation_decomposition();
    let mut key = SeededLweBootstrapKey::new(
        0,
        GlweSize(2),
        size,
        DecompositionBaseLog(digits.digit_bits as usize),
        DecompositionLevelCount(digits.levels),
        small.lwe_dimension(),
        seed.into(),
        CiphertextModulus::new_native(),
    );
    par_generate_seeded_lwe_bootstrap_key(
        &small,
        &GlweSecretKey::from_container(large, size),
        &mut key,
        DynamicDistribution::new_t_uniform(set.ring().noise_bound_log2()),
        &mut DeterministicSeeder::<DefaultRandomGenerator>::new(fresh_seed()),
    );
    (MaskSeed(seed.0.to_le_bytes()), key.into_container())
}
