//! The noise that responses have is what the proof says.
#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;

use encompute_fhe::{AccumulatorBits, BlindingSeed, ParameterSet};
use encompute_head::*;
use encompute_keys::VerifiedResponse;
use kit::{Owner, Toy, a_head, random_inputs, random_layer_weights};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Noise of every output of `runs` runs, in units of 2⁻⁶⁴ of the torus.
fn measured(owner: &Owner, head: &CompiledHead, runs: usize) -> Vec<f64> {
    let mut rng = StdRng::seed_from_u64(1);
    let plan = &head.plan().rounds()[0];
    let set = head.plan().parameter_set();
    let width = AccumulatorBits(plan.response_bits.0);
    let scale = f64::from(64 - plan.response_bits.0).exp2();
    let key = head.prepare_key(owner.key.blinding_key()).unwrap();
    let mut noise = Vec::new();
    for _ in 0..runs {
        let inputs = random_inputs(&mut rng, plan.input, plan.layer.input_shape().len());
        let request = owner.key.encrypt(&inputs, &plan.input_layout(set).unwrap(), plan.accumulator_bits).unwrap();
        let seed = BlindingSeed::new(rng.random());
        let features = evaluate_round(head, RoundIndex(0), &request, &key, None, &seed).unwrap();
        let verified = VerifiedResponse::after_receipt_verification(features.digest());
        // Read at the response's full width, the sums keep their noise.
        let secret = owner.key.decrypt(&features, &plan.output_layout(set).unwrap(), width, &verified).unwrap();
        let exact = kit::clear(head, RoundIndex(0), &inputs);
        let shift = plan.response_bits.0 - plan.accumulator_bits.0;
        noise.extend(
            secret.expose_to_client_run().iter().zip(exact).map(|(read, sum)| (read - (sum << shift)) as f64 * scale),
        );
    }
    noise
}

fn variance(noise: &[f64]) -> f64 {
    noise.iter().map(|value| value * value).sum::<f64>() / noise.len() as f64
}

#[test]
fn measured_noise_is_just_below_the_proved_variance() {
    let owner = Owner::new(ParameterSet::Glwe2048V1);
    let mut rng = StdRng::seed_from_u64(2);
    for layer in [Layer::Dense { inputs: 784, outputs: 64 }, Layer::Dense { inputs: 40, outputs: 300 }] {
        let weights = random_layer_weights(&mut rng, &layer);
        let head = a_head(ParameterSet::Glwe2048V1, vec![(layer, Domain::U8, weights)], Toy::Refused);
        let noise = measured(&owner, &head, 40);
        let proof = &head.proofs()[0];
        let ratio = variance(&noise) / proof.variance();
        // The proof takes the heaviest output and a key with more ones than half.
        assert!((0.6..1.05).contains(&ratio), "{layer:?}: measured over proved is {ratio}");
        let margin = f64::from(proof.margin_log2).exp2();
        assert!(noise.iter().all(|value| value.abs() < margin / 2.0));
        let mean = noise.iter().sum::<f64>() / noise.len() as f64;
        assert!(mean.abs() < 6.0 * (variance(&noise) / noise.len() as f64).sqrt() + 0.5, "{mean}");
    }
}

#[test]
fn every_compiled_head_fails_with_at_most_two_to_minus_128() {
    let mut rng = StdRng::seed_from_u64(3);
    let layer = Layer::Dense { inputs: 784, outputs: 64 };
    let weights = random_layer_weights(&mut rng, &layer);
    let head = a_head(ParameterSet::Glwe2048V1, vec![(layer, Domain::U8, weights)], Toy::Refused);
    let proof = &head.proofs()[0];
    assert!(proof.failure_log2 <= FAILURE_LOG2_LIMIT, "{proof:?}");
    assert!(proof.worst_sum_bits <= proof.accumulator_bits);
    assert_eq!(proof.outputs, 64);
    let cost = head.cost();
    assert!(cost.request_bytes + cost.response_bytes <= 100_000, "{cost:?}");
    assert_eq!((cost.evaluation_key_bytes, cost.ring_products), (0, 50));
}

#[test]
fn the_noise_of_an_average_key_is_what_the_formula_says() {
    let found = exactness::noise(600, 6, || Owner::new(ParameterSet::Glwe2048V1)).unwrap();
    assert_eq!(found.outputs, 600 * 65);
    // 39,000 outputs of some forty keys, those of one run correlated: the mean of their squares is within a tenth.
    let ratio = found.measured_variance / found.expected_variance;
    assert!((0.9..1.1).contains(&ratio), "{found:?}");
    assert!(found.measured_variance < found.proved_variance, "{found:?}");
    assert!(found.largest_of_margin < 0.5, "{found:?}");
}
