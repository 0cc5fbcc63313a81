//! Held-out samples under real encryption: every number is the clear program's.
#![allow(clippy::unwrap_used)]

use encompute_fhe::{
    AccumulatorBits, BlindingKey, BlindingSeed, BootstrapSet, EncryptedFeatures, EncryptedTensor, EvaluationKey,
    InputLayout, OutputLayout,
};
use encompute_head::measure::{OwnerError, TensorOwner, encrypted};
use encompute_keys::{SecretKey, VerifiedResponse};
use encompute_model::{Bench, clear_features};
use std::path::PathBuf;

/// The user: holds the key.
struct Owner(SecretKey);

impl TensorOwner for Owner {
    fn encrypt(
        &self,
        values: &[i64],
        layout: &InputLayout,
        bits: AccumulatorBits,
    ) -> Result<EncryptedTensor, OwnerError> {
        Ok(self.0.encrypt(values, layout, bits)?)
    }

    fn decrypt(
        &self,
        features: &EncryptedFeatures,
        layout: &OutputLayout,
        bits: AccumulatorBits,
    ) -> Result<Vec<i64>, OwnerError> {
        let permission = VerifiedResponse::after_receipt_verification(features.digest());
        Ok(self.0.decrypt(features, layout, bits, &permission)?.expose_to_client_run().to_vec())
    }

    fn blinding_key(&self) -> &BlindingKey {
        self.0.blinding_key()
    }

    fn evaluation_key(&self, set: BootstrapSet) -> Result<EvaluationKey, OwnerError> {
        Ok(self.0.evaluation_key(set)?)
    }
}

/// Few, so that it takes seconds; `encompute model eval brain-regions --encrypted 900` takes all.
#[test]
fn every_number_of_an_encrypted_residual_network_is_the_clear_programs() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scripts/models/brain-regions");
    let bench = Bench::open(&folder).unwrap();
    let head = bench.split(0).unwrap().compiled;
    for (at, sample) in bench.held_out().unwrap().iter().take(5).enumerate() {
        let owner = Owner(SecretKey::generate(head.plan().parameter_set()));
        let input: Vec<i64> = sample.tensor.values().iter().map(|byte| i64::from(*byte)).collect();
        let mut seed = 0;
        let done = encrypted(&head, &owner, &input, || {
            seed += 1;
            BlindingSeed::new([seed; 32])
        });
        let done = done.unwrap();
        assert_eq!((done.rounds, done.exact_rounds), (10, 10), "sample {at}");
        assert_eq!(done.features, clear_features(&head, &sample.tensor).unwrap(), "sample {at}");
    }
}
