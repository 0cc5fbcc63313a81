//! What a client does for bootstraps, with `tfhe`'s primitives: keys, encryption, phases.

use encompute_fhe::{BootstrapSet, Ciphertext, EvaluationKey, LweCiphertext, MaskSeed};
use tfhe::core_crypto::commons::generators::DeterministicSeeder;
use tfhe::core_crypto::commons::math::random::Seed;
use tfhe::core_crypto::prelude::*;

/// The secrets of one user.
pub struct Client {
    set: BootstrapSet,
    seeder: DeterministicSeeder<DefaultRandomGenerator>,
    pub large: GlweSecretKeyOwned<u64>,
    pub small: LweSecretKeyOwned<u64>,
}

/// An evaluation key as `tfhe` makes it.
pub struct LibraryKeys {
    pub keyswitch: SeededLweKeyswitchKeyOwned<u32>,
    pub bootstrap: SeededLweBootstrapKeyOwned<u64>,
    packing: SeededGlweCiphertextListOwned<u64>,
    seeds: [Seed; 3],
}

impl Client {
    pub fn new(set: BootstrapSet, seed: u128) -> Self {
        let mut seeder = DeterministicSeeder::new(Seed(seed));
        let mut generator = SecretRandomGenerator::<DefaultRandomGenerator>::new(seeder.seed());
        let size = PolynomialSize(set.ring().polynomial_size().0);
        let large = allocate_and_generate_new_binary_glwe_secret_key(GlweDimension(1), size, &mut generator);
        let dimension = LweDimension(set.lwe_dimension().0);
        let small = allocate_and_generate_new_binary_lwe_secret_key(dimension, &mut generator);
        Self { set, seeder, large, small }
    }

    pub fn library_keys(&mut self) -> LibraryKeys {
        let small = LweSecretKey::from_container(self.small.as_ref().iter().map(|bit| *bit as u32).collect::<Vec<_>>());
        let seeds = [self.seeder.seed(), self.seeder.seed()];
        let of_keyswitch = self.set.keyswitch_decomposition();
        let mut keyswitch = SeededLweKeyswitchKey::new(
            0u32,
            DecompositionBaseLog(of_keyswitch.digit_bits as usize),
            DecompositionLevelCount(of_keyswitch.levels),
            LweDimension(self.set.ring().polynomial_size().0),
            small.lwe_dimension(),
            seeds[0].into(),
            CiphertextModulus::new_native(),
        );
        generate_seeded_lwe_keyswitch_key(
            &self.large.as_lwe_secret_key(),
            &small,
            &mut keyswitch,
            DynamicDistribution::new_t_uniform(self.set.lwe_noise_bound_log2()),
            &mut self.seeder,
        );
        let of_rotation = self.set.rotation_decomposition();
        let mut bootstrap = SeededLweBootstrapKey::new(
            0u64,
            GlweSize(2),
            self.large.polynomial_size(),
            DecompositionBaseLog(of_rotation.digit_bits as usize),
            DecompositionLevelCount(of_rotation.levels),
            self.small.lwe_dimension(),
            seeds[1].into(),
            CiphertextModulus::new_native(),
        );
        par_generate_seeded_lwe_bootstrap_key(
            &self.small,
            &self.large,
            &mut bootstrap,
            DynamicDistribution::new_t_uniform(self.set.ring().noise_bound_log2()),
            &mut self.seeder,
        );
        let packing_seed = self.seeder.seed();
        let packing = self.packing_key(packing_seed);
        LibraryKeys { keyswitch, bootstrap, packing, seeds: [seeds[0], seeds[1], packing_seed] }
    }

    /// Minus the large key after each automorphism, at the top digit.
    fn packing_key(&mut self, seed: Seed) -> SeededGlweCiphertextListOwned<u64> {
        let (size, key) = (self.large.polynomial_size(), self.large.as_ref());
        let unit = 1u64 << (64 - self.set.rotation_decomposition().digit_bits);
        let exponents = self.set.packing_exponents();
        let mut messages = vec![0; exponents.len() * size.0];
        for (message, exponent) in messages.chunks_exact_mut(size.0).zip(exponents) {
            for (at, bit) in key.iter().enumerate() {
                let (to, wraps) = (at * exponent % size.0, at * exponent / size.0);
                message[to] = if wraps % 2 == 0 { bit.wrapping_neg() } else { *bit }.wrapping_mul(unit);
            }
        }
        let count = GlweCiphertextCount(exponents.len());
        let modulus = CiphertextModulus::new_native();
        let mut packing = SeededGlweCiphertextList::new(0, GlweSize(2), size, count, seed.into(), modulus);
        encrypt_seeded_glwe_ciphertext_list(
            &self.large,
            &mut packing,
            &PlaintextList::from_container(messages),
            DynamicDistribution::new_t_uniform(self.set.ring().noise_bound_log2()),
            &mut self.seeder,
        );
        packing
    }

    pub fn evaluation_key(&mut self) -> EvaluationKey {
        self.library_keys().evaluation_key(self.set)
    }

    /// Encrypts a value scaled to 2⁶⁴ under the large key, with the ring's noise.
    pub fn encrypt(&mut self, value: u64) -> LweCiphertext {
        let seed = self.seeder.seed();
        let mut generator = EncryptionRandomGenerator::<DefaultRandomGenerator>::new(seed, &mut self.seeder);
        let both = allocate_and_encrypt_new_lwe_ciphertext(
            &self.large.as_lwe_secret_key(),
            Plaintext(value),
            DynamicDistribution::new_t_uniform(self.set.ring().noise_bound_log2()),
            CiphertextModulus::new_native(),
            &mut generator,
        )
        .into_container();
        let (body, mask) = both.split_last().expect("a body");
        LweCiphertext { mask: mask.to_vec(), body: *body }
    }

    /// Encrypts coefficients scaled to 2⁶⁴.
    pub fn encrypt_polynomial(&mut self, values: &[u64]) -> Ciphertext {
        let seed = self.seeder.seed();
        let mut generator = EncryptionRandomGenerator::<DefaultRandomGenerator>::new(seed, &mut self.seeder);
        let mut both =
            GlweCiphertext::new(0, GlweSize(2), PolynomialSize(values.len()), CiphertextModulus::new_native());
        encrypt_glwe_ciphertext(
            &self.large,
            &mut both,
            &PlaintextList::from_container(values),
            DynamicDistribution::new_t_uniform(self.set.ring().noise_bound_log2()),
            &mut generator,
        );
        let both = both.into_container();
        let (mask, body) = both.split_at(values.len());
        Ciphertext { mask: mask.to_vec(), body: body.to_vec() }
    }

    /// Encrypts a value with no noise at all, under a random mask: what is measured afterwards is added by whatever was
    /// done to it.
    pub fn encrypt_without_noise(&self, value: u64, rng: &mut impl rand::Rng) -> LweCiphertext {
        let mask: Vec<u64> = (0..self.large.as_ref().len()).map(|_| rng.random()).collect();
        let mut encrypted = LweCiphertext { mask, body: 0 };
        encrypted.body = value.wrapping_sub(self.phase(&encrypted));
        encrypted
    }

    /// Message plus noise, scaled to 2⁶⁴.
    pub fn phase(&self, value: &LweCiphertext) -> u64 {
        let key = self.large.as_ref();
        value.mask.iter().zip(key).fold(value.body, |sum, (mask, bit)| sum.wrapping_sub(mask.wrapping_mul(*bit)))
    }
}

impl LibraryKeys {
    pub fn evaluation_key(&self, set: BootstrapSet) -> EvaluationKey {
        let [keyswitch, bootstrap, packing] = self.seeds.map(|seed| MaskSeed(seed.0.to_le_bytes()));
        EvaluationKey::from_bodies(
            set,
            (keyswitch, self.keyswitch.as_ref()),
            (bootstrap, self.bootstrap.as_ref()),
            (packing, self.packing.as_ref()),
        )
        .expect("bodies of the set")
    }
}
