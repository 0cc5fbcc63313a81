//! Tables looked up on encrypted values: right, within the proof's noise, and the same everywhere.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/client.rs"]
mod client;

use client::Client;
use encompute_fhe::{
    BootstrapError, BootstrapSet, Bootstrapper, Ciphertext, CodePath, EvaluationKey, EvaluationKeyError, LweCiphertext,
    MOST_PACKED, MaskSeed, ParameterSet, PreparedEvaluationKey, Ring, Table, Turns, WeightPolynomials,
};
use encompute_protocol::BlobDigest;
use encompute_protocol::wire::DecodeError;
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::sync::OnceLock;

const PRODUCTION: BootstrapSet = BootstrapSet::FourBitsV1;
const TOY: BootstrapSet = BootstrapSet::ToyV1;
const BIN: u64 = Table::BIN_WIDTH;

/// One production key for all tests: its generation takes a second.
fn production_key() -> &'static EvaluationKey {
    static KEY: OnceLock<EvaluationKey> = OnceLock::new();
    KEY.get_or_init(|| Client::new(PRODUCTION, 1).evaluation_key())
}

fn production() -> (Client, Bootstrapper, &'static PreparedEvaluationKey) {
    static PREPARED: OnceLock<PreparedEvaluationKey> = OnceLock::new();
    let bootstrapper = Bootstrapper::new(CodePath::fastest());
    let prepared = PREPARED.get_or_init(|| bootstrapper.prepare(production_key()));
    (Client::new(PRODUCTION, 1), bootstrapper, prepared)
}

fn random_table(rng: &mut StdRng) -> [u8; 16] {
    core::array::from_fn(|_| rng.random_range(0..16))
}

/// The four-bit value that a phase is nearest to.
fn decoded(phase: u64) -> u8 {
    (phase.wrapping_add(BIN / 2) / BIN % 32) as u8
}

fn digest(values: &[LweCiphertext]) -> BlobDigest {
    let words = values.iter().flat_map(|value| value.mask.iter().chain([&value.body]));
    BlobDigest::of(&words.flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>())
}

fn digest_of_rings(ciphertexts: &[Ciphertext]) -> BlobDigest {
    let words = ciphertexts.iter().flat_map(|both| both.mask.iter().chain(&both.body));
    BlobDigest::of(&words.flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>())
}

/// Differences of what `ciphertexts` hold, `together` each, to `values` times that.
fn errors(client: &Client, ciphertexts: &[Ciphertext], together: usize, values: &[u64]) -> Vec<i64> {
    let places = ciphertexts.iter().flat_map(|each| (0..together).map(move |at| (each, at * 2048 / together)));
    let phases = places.map(|(each, at)| client.phase(&LweCiphertext::extract(each, at).unwrap()));
    let wanted = values.iter().map(|value| value.wrapping_mul(together as u64));
    phases.zip(wanted.chain(std::iter::repeat(0))).map(|(found, wanted)| found.wrapping_sub(wanted) as i64).collect()
}

fn mean_square(errors: &[i64]) -> f64 {
    errors.iter().map(|error| (*error as f64).powi(2)).sum::<f64>() / errors.len() as f64
}

fn all_entries_are_right(client: &mut Client, bootstrapper: &Bootstrapper, key: &PreparedEvaluationKey, seed: u64) {
    let values = random_table(&mut StdRng::seed_from_u64(seed));
    let inputs: Vec<_> = (0..16).map(|bin| client.encrypt(bin * BIN)).collect();
    let outputs = bootstrapper.apply(key, &Table::of_four_bits(|bin| values[usize::from(bin)]), &inputs).unwrap();
    for (bin, output) in outputs.iter().enumerate() {
        assert_eq!(decoded(client.phase(output)), values[bin], "bin {bin}, seed {seed}");
    }
}

#[test]
fn every_entry_of_a_table_is_found_under_many_keys() {
    let bootstrapper = Bootstrapper::new(CodePath::fastest());
    for seed in 0..24 {
        let mut client = Client::new(TOY, seed.into());
        let key = bootstrapper.prepare(&client.evaluation_key());
        all_entries_are_right(&mut client, &bootstrapper, &key, seed);
    }
}

#[test]
fn every_entry_of_a_table_is_found_under_a_production_key() {
    let (mut client, bootstrapper, key) = production();
    (100..108).for_each(|seed| all_entries_are_right(&mut client, &bootstrapper, key, seed));
}

#[test]
fn a_set_padding_bit_negates_the_value() {
    let (mut client, bootstrapper, key) = production();
    let inputs = [client.encrypt(17 * BIN), client.encrypt(31 * BIN)];
    let outputs = bootstrapper.apply(key, &Table::of_four_bits(|bin| bin), &inputs).unwrap();
    assert_eq!([31, 17], [&outputs[0], &outputs[1]].map(|output| decoded(client.phase(output))));
}

#[test]
fn results_are_the_same_on_every_path_alone_together_and_on_any_number_of_threads() {
    let mut client = Client::new(TOY, 5);
    let key = client.evaluation_key();
    let inputs: Vec<_> = (0..19).map(|bin| client.encrypt(bin * BIN / 2)).collect();
    let table = Table::of_four_bits(|bin| 15 - bin);
    let on = |path, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let bootstrapper = Bootstrapper::new(path);
        pool.install(|| {
            let prepared = bootstrapper.prepare(&key);
            let outputs = bootstrapper.apply(&prepared, &table, &inputs).unwrap();
            let packed = [1, 4, 64].map(|together| bootstrapper.pack(&prepared, &outputs, together).unwrap());
            (outputs, packed)
        })
    };
    let wanted = on(CodePath::PORTABLE, 1);
    for path in CodePath::available() {
        for threads in [1, 2, 3] {
            assert!(on(path, threads) == wanted, "{} on {threads} threads", path.name());
        }
    }
    let bootstrapper = Bootstrapper::new(CodePath::fastest());
    let prepared = bootstrapper.prepare(&key);
    let (outputs, [_, by_four, _]) = &wanted;
    for (input, wanted) in inputs.iter().zip(outputs) {
        let alone = bootstrapper.apply(&prepared, &table, core::slice::from_ref(input)).unwrap();
        assert!(alone[0] == *wanted);
    }
    for (four, wanted) in outputs.chunks(4).zip(by_four) {
        assert!(bootstrapper.pack(&prepared, four, 4).unwrap() == [wanted.clone()]);
    }
}

#[test]
fn production_results_are_those_of_the_known_answer_on_every_path() {
    let mut client = Client::new(PRODUCTION, 1);
    let inputs: Vec<_> = (0..3).map(|bin| client.encrypt(bin * 5 * BIN)).collect();
    let table = Table::of_four_bits(|bin| bin * 7 % 16);
    assert_eq!(hex(production_key().digest()), KEY_DIGEST);
    for path in CodePath::available().into_iter().filter(|path| path.name() != CodePath::NTT.name()) {
        let bootstrapper = Bootstrapper::new(path);
        let prepared = bootstrapper.prepare(production_key());
        let outputs = bootstrapper.apply(&prepared, &table, &inputs).unwrap();
        assert_eq!(hex(digest(&outputs)), OUTPUT_DIGEST, "{}", path.name());
        let packed = bootstrapper.pack(&prepared, &outputs, MOST_PACKED).unwrap();
        assert_eq!(hex(digest_of_rings(&packed)), PACKED_DIGEST, "{}", path.name());
    }
}

/// Made by `tfhe` 1.8.2 from the client's seed 1.
const KEY_DIGEST: &str = "a31b51747a3387de4db63110c96049ceef58809faebb68d88ea58bc3818aebd6";
/// The same on AVX-512, AVX2 and one value at a time.
const OUTPUT_DIGEST: &str = "2b616d836da76b4f62c7386e6ec86245a26cf3cce2b44c2fa29a3269ca830c25";
/// Those values in one ciphertext.
const PACKED_DIGEST: &str = "1bb05d3ba3fbf8a006b5b6d27f4b48eb9afa05c84d6f1c08b2d8c577b41b1750";

/// SplitMix64: a vector must not change when a crate of random numbers does.
fn words(state: &mut u64, count: usize) -> Vec<u64> {
    let mut word = || {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    (0..count).map(|_| word()).collect()
}

/// Key and values are random bits, so that this can be computed where there is no `tfhe`.
#[test]
fn results_under_random_bits_for_a_key_are_those_of_the_known_answer_on_every_path() {
    let mut state = 9;
    let keyswitch = words(&mut state, EvaluationKey::keyswitch_bodies(TOY));
    let keyswitch: Vec<u32> = keyswitch.into_iter().map(|word| word as u32).collect();
    let bootstrap = words(&mut state, EvaluationKey::bootstrap_bodies(TOY));
    let packing = words(&mut state, EvaluationKey::packing_bodies(TOY));
    let [first, second, third] = [7, 8, 9].map(|byte| MaskSeed([byte; 16]));
    let key = EvaluationKey::from_bodies(TOY, (first, &keyswitch), (second, &bootstrap), (third, &packing)).unwrap();
    let mut input = || LweCiphertext { mask: words(&mut state, 2048), body: words(&mut state, 1)[0] };
    let inputs = [input(), input(), input(), input(), input()];
    for path in CodePath::available() {
        let bootstrapper = Bootstrapper::new(path);
        let prepared = bootstrapper.prepare(&key);
        let outputs = bootstrapper.apply(&prepared, &Table::of_four_bits(|bin| 15 - bin), &inputs).unwrap();
        let packed = bootstrapper.pack(&prepared, &outputs, MOST_PACKED).unwrap();
        assert_eq!(hex(digest_of_rings(&packed)), RANDOM_DIGEST, "{}", path.name());
    }
}

/// The same on AVX-512, AVX2, one value at a time, and built for wasm32 in V8.
const RANDOM_DIGEST: &str = "2ae9563af58cfae2c666ad43d5fb97440c8a3e508c2d26a6e09fe3dd058e41c0";

fn hex(digest: BlobDigest) -> String {
    digest.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn noise_of_the_output_is_that_of_the_proof() {
    let (mut client, bootstrapper, key) = production();
    let inputs: Vec<_> = (0..256).map(|at| client.encrypt(at % 16 * BIN)).collect();
    let outputs = bootstrapper.apply(key, &Table::of_four_bits(|bin| bin), &inputs).unwrap();
    let values: Vec<u64> = (0..256).map(|at| at % 16 * BIN).collect();
    let found: Vec<i64> =
        outputs.iter().zip(&values).map(|(output, value)| client.phase(output).wrapping_sub(*value) as i64).collect();
    let ratio = mean_square(&found) / PRODUCTION.output_variance();
    // The variance of 256 samples is off by a deviation of nine percent.
    assert!((0.65..1.35).contains(&ratio), "{ratio}");
    let packed = bootstrapper.pack(key, &outputs, 16).unwrap();
    let found = mean_square(&errors(&client, &packed, 16, &values));
    let ratio = found / PRODUCTION.packed_variance(PRODUCTION.output_variance(), 16);
    assert!((0.65..1.35).contains(&ratio), "packed {ratio}");
}

#[test]
fn packed_values_lie_at_equal_distances_times_their_number() {
    let (mut client, bootstrapper) = (Client::new(TOY, 12), Bootstrapper::new(CodePath::fastest()));
    let key = bootstrapper.prepare(&client.evaluation_key());
    let mut rng = StdRng::seed_from_u64(12);
    for together in (0..=6).map(|log2| 1usize << log2) {
        for count in [1, together, together + 1] {
            let values: Vec<u64> = (0..count).map(|_| rng.random()).collect();
            let inputs: Vec<_> = values.iter().map(|value| client.encrypt(*value)).collect();
            let packed = bootstrapper.pack(&key, &inputs, together).unwrap();
            assert_eq!(packed.len(), count.div_ceil(together));
            let deviation = TOY.packed_variance(TOY.ring().noise_variance(), together).sqrt();
            let found = errors(&client, &packed, together, &values);
            assert_eq!(found.len(), packed.len() * together);
            let worst = found.iter().map(|error| error.unsigned_abs()).max().unwrap();
            assert!((worst as f64) < 6.0 * deviation, "{count} by {together}: 2^{}", (worst as f64).log2());
        }
    }
    assert!(bootstrapper.pack(&key, &[], 8).unwrap().is_empty());
}

#[test]
fn noise_that_packing_adds_is_that_of_the_proof() {
    let (mut client, bootstrapper) = (Client::new(TOY, 13), Bootstrapper::new(CodePath::fastest()));
    let key = bootstrapper.prepare(&client.evaluation_key());
    let mut rng = StdRng::seed_from_u64(13);
    for together in [2, 8, 64] {
        let mut found = Vec::new();
        for _ in 0..64 {
            let values: Vec<u64> = (0..16 * together).map(|_| rng.random()).collect();
            let inputs: Vec<_> = values.iter().map(|value| client.encrypt_without_noise(*value, &mut rng)).collect();
            found.extend(errors(&client, &bootstrapper.pack(&key, &inputs, together).unwrap(), together, &values));
        }
        let ratio = mean_square(&found) / TOY.packed_variance(0.0, together);
        // Off by a deviation of 2.2 percent, which is that of the number of ones in a key, and by some two percent for
        // the 1024 ciphertexts, for values in one of them share half of their noise.
        assert!((0.92..1.08).contains(&ratio), "{together}: {ratio}");
    }
}

#[test]
fn accumulators_near_an_edge_are_rounded_the_other_way_as_often_as_the_proof_says() {
    let (mut client, bootstrapper, key) = production();
    let deviation = (PRODUCTION.decision_variance() + PRODUCTION.ring().noise_variance()).sqrt();
    let table = Table::of_four_bits(|bin| bin);
    let mut misrounded = |deviations: f64, count: u64| {
        let inputs: Vec<_> =
            (0..count).map(|at| client.encrypt((at % 15) * BIN + BIN / 2 + (deviations * deviation) as u64)).collect();
        let outputs = bootstrapper.apply(key, &table, &inputs).unwrap();
        let found = outputs.iter().map(|output| u64::from(decoded(client.phase(output))));
        found.zip(0..count).map(|(found, at)| (at % 15 + 1).checked_sub(found).unwrap()).sum::<u64>()
    };
    // Of 192 values one deviation away 30 are expected, with a deviation of 5.
    let near = misrounded(1.0, 192);
    assert!((10..=50).contains(&near), "{near}");
    assert_eq!(misrounded(6.0, 64), 0);
    assert!(PRODUCTION.misrounding_log2(PRODUCTION.ring().noise_variance(), 6.0 * deviation) < -28.0);
    let share = PRODUCTION.misrounded_share(PRODUCTION.ring().noise_variance());
    assert!((0.02..0.04).contains(&share), "{share}");
}

/// Four hidden values from sixteen inputs, then two outputs from the hidden ones, then those bootstrapped again.
#[test]
fn layers_follow_each_other_without_leaving_encryption() {
    let (mut client, bootstrapper, key) = production();
    let mut rng = StdRng::seed_from_u64(3);
    let inputs: [u64; 16] = core::array::from_fn(|_| rng.random_range(0..16));
    let first: [[i8; 16]; 4] = core::array::from_fn(|_| core::array::from_fn(|_| rng.random_range(-8..8)));
    let second: [[i8; 4]; 2] = core::array::from_fn(|_| core::array::from_fn(|_| rng.random_range(-3..4)));

    // 16 · 15 · 8 < 2¹¹: accumulators of twelve bits below the padding bit, sixteen bins of 256.
    let unit = BIN / 256;
    let mut polynomial = vec![0; 2048];
    polynomial.iter_mut().zip(inputs).for_each(|(into, value)| *into = value * unit);
    let ring = Ring::new(PRODUCTION.ring(), CodePath::fastest());
    let rows = first.iter().map(|row| row.iter().rev().copied().collect()).collect();
    let weights = ring.prepare(WeightPolynomials::new(4, 1, rows).unwrap()).unwrap();
    let products = ring.multiply(&[client.encrypt_polynomial(&polynomial)], &weights).unwrap();
    let accumulators: Vec<_> = products
        .iter()
        .map(|product| {
            let mut value = LweCiphertext::extract(product, 15).unwrap();
            value.add_clear(8 * BIN);
            value
        })
        .collect();

    // ReLU and requantisation to three bits, at a sixteenth of the scale, since the next sums take eight bits.
    let next_unit = BIN / 16;
    let relu = Table::new(core::array::from_fn(|bin| (bin as u64).saturating_sub(8) * next_unit));
    let hidden = bootstrapper.apply(key, &relu, &accumulators).unwrap();
    let found: Vec<u64> =
        hidden.iter().map(|value| client.phase(value).wrapping_add(next_unit / 2) / next_unit % 256).collect();
    for (found, weights) in found.iter().zip(&first) {
        let sum: i64 = inputs.iter().zip(weights).map(|(value, weight)| *value as i64 * i64::from(*weight)).sum();
        let exact = sum as f64 / 256.0;
        assert!((*found as f64 - exact.max(0.0)).abs() < 0.5 + 13.5 * deviation_in_bins(), "{found} for {exact}");
    }

    let mut outputs = Vec::new();
    for weights in &second {
        let mut sum = LweCiphertext { mask: vec![0; 2048], body: 0 };
        hidden.iter().zip(weights).for_each(|(value, weight)| sum.add_product(value, i64::from(*weight)));
        let exact: i64 = found.iter().zip(weights).map(|(value, weight)| *value as i64 * i64::from(*weight)).sum();
        let phase = client.phase(&sum).wrapping_sub((exact as u64).wrapping_mul(next_unit)) as i64;
        assert!(phase.unsigned_abs() < next_unit / 2, "{exact}");
        sum.add_clear(8 * BIN);
        outputs.push((sum, exact));
    }
    let sums: Vec<_> = outputs.iter().map(|(sum, _)| sum.clone()).collect();
    let last = bootstrapper.apply(key, &Table::of_four_bits(|bin| bin), &sums).unwrap();
    for (last, (_, exact)) in last.iter().zip(&outputs) {
        let found = f64::from(decoded(client.phase(last)));
        assert!((found - 8.0 - *exact as f64 / 16.0).abs() < 0.5 + 13.5 * deviation_in_bins());
    }
}

fn deviation_in_bins() -> f64 {
    PRODUCTION.decision_variance().sqrt() / BIN as f64
}

#[test]
fn extraction_takes_any_coefficient() {
    let mut client = Client::new(TOY, 9);
    let values: Vec<u64> = (0..2048).map(|at| at << 50).collect();
    let ciphertext: Ciphertext = client.encrypt_polynomial(&values);
    for at in [0, 1, 1000, 2047] {
        let error = client.phase(&LweCiphertext::extract(&ciphertext, at).unwrap()).wrapping_sub(values[at]) as i64;
        assert!(error.unsigned_abs() <= 1 << 17, "coefficient {at}: {error}");
    }
    assert!(LweCiphertext::extract(&ciphertext, 2048).is_none());
}

#[test]
fn a_value_under_a_key_of_another_length_is_refused() {
    let (_, bootstrapper, key) = production();
    let inputs = [2048, 918].map(|len| LweCiphertext { mask: vec![0; len], body: 0 });
    let refused = BootstrapError::InputSize { index: 1, found: 918, wanted: 2048, set: PRODUCTION };
    assert_eq!(bootstrapper.apply(key, &Table::new([0; 16]), &inputs).err(), Some(refused.clone()));
    assert_eq!(bootstrapper.pack(key, &inputs, 2).err(), Some(refused));
}

#[test]
fn numbers_that_a_ciphertext_cannot_hold_are_refused() {
    let (_, bootstrapper, key) = production();
    for found in [0, 3, 2 * MOST_PACKED, usize::MAX] {
        assert_eq!(bootstrapper.pack(key, &[], found).err(), Some(BootstrapError::Together { found }));
    }
}

fn a_key() -> EvaluationKey {
    Client::new(TOY, 2).evaluation_key()
}

#[test]
fn a_key_survives_the_wire_at_the_length_of_its_set() {
    let key = a_key();
    assert!(EvaluationKey::from_bytes(&key.to_bytes()).unwrap() == key);
    assert_eq!(key.to_bytes().len(), EvaluationKey::byte_len(TOY));
    assert_eq!(EvaluationKey::byte_len(PRODUCTION), 50 + 4 * 8192 + 6 * 918 * 4096 + 6 * 6 * 2048);
    assert!(EvaluationKey::byte_len(PRODUCTION) < EvaluationKey::LIMIT_BYTES);
    assert_eq!(PRODUCTION.ring(), ParameterSet::Glwe2048V1);
    assert!(PreparedEvaluationKey::memory_bytes(PRODUCTION) < 91 << 20);
}

#[test]
fn key_with_trailing_byte_is_refused() {
    let bytes = [a_key().to_bytes(), vec![0]].concat();
    let refused = EvaluationKeyError::Encoding(DecodeError::Trailing { bytes: 1 });
    assert_eq!(EvaluationKey::from_bytes(&bytes).err(), Some(refused));
}

#[test]
fn key_with_a_missing_byte_is_refused() {
    let mut bytes = a_key().to_bytes();
    let wanted_bytes = bytes.len();
    bytes.pop();
    let refused = EvaluationKeyError::Length { set: TOY, found_bytes: wanted_bytes - 1, wanted_bytes };
    assert_eq!(EvaluationKey::from_bytes(&bytes).err(), Some(refused));
}

#[test]
fn key_without_its_packing_part_is_refused() {
    let bytes = a_key().to_bytes();
    let (wanted_bytes, found_bytes) = (bytes.len(), bytes.len() - 6 * EvaluationKey::packing_bodies(TOY));
    let refused = EvaluationKeyError::Length { set: TOY, found_bytes, wanted_bytes };
    assert_eq!(EvaluationKey::from_bytes(&bytes[..found_bytes]).err(), Some(refused));
}

#[test]
fn key_that_ends_within_its_seeds_is_refused() {
    let refused = EvaluationKeyError::Encoding(DecodeError::Malformed);
    assert_eq!(EvaluationKey::from_bytes(&a_key().to_bytes()[..49]).err(), Some(refused.clone()));
    assert_eq!(EvaluationKey::from_bytes(&[]).err(), Some(refused));
}

#[test]
fn key_of_another_version_is_refused() {
    let mut bytes = a_key().to_bytes();
    bytes[0] = 1;
    let refused = EvaluationKeyError::Encoding(DecodeError::Version { found: 1, known: 2 });
    assert_eq!(EvaluationKey::from_bytes(&bytes).err(), Some(refused));
}

#[test]
fn key_of_an_unknown_set_is_refused() {
    let mut bytes = a_key().to_bytes();
    bytes[1] = 77;
    let refused = EvaluationKeyError::Encoding(DecodeError::Malformed);
    assert_eq!(EvaluationKey::from_bytes(&bytes).err(), Some(refused));
}

#[test]
fn key_over_the_limit_is_refused_before_it_is_read() {
    let (found, limit) = (EvaluationKey::LIMIT_BYTES + 1, EvaluationKey::LIMIT_BYTES);
    let refused = EvaluationKeyError::Encoding(DecodeError::TooLong { found, limit });
    assert_eq!(EvaluationKey::from_bytes(&vec![9; found]).err(), Some(refused));
}

#[test]
fn bodies_of_another_number_are_refused() {
    let seed = MaskSeed([0; 16]);
    let (keyswitch, bootstrap) = (EvaluationKey::keyswitch_bodies(TOY), EvaluationKey::bootstrap_bodies(TOY));
    let packing = EvaluationKey::packing_bodies(TOY);
    let of = |keyswitch: usize, bootstrap: usize, packing: usize| {
        let (keyswitch, bootstrap, packing) = (vec![0; keyswitch], vec![0; bootstrap], vec![0; packing]);
        EvaluationKey::from_bodies(TOY, (seed, &keyswitch), (seed, &bootstrap), (seed, &packing)).err()
    };
    let refused = |part, found, wanted| Some(EvaluationKeyError::BodyCount { set: TOY, part, found, wanted });
    assert_eq!(of(keyswitch - 1, bootstrap, packing), refused("the keyswitch key", keyswitch - 1, keyswitch));
    assert_eq!(of(keyswitch, bootstrap + 1, packing), refused("the bootstrap key", bootstrap + 1, bootstrap));
    assert_eq!(of(keyswitch, bootstrap, packing - 1), refused("the packing key", packing - 1, packing));
    assert_eq!(of(keyswitch, bootstrap, packing), None);
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_are_a_whole_key(start in prop::collection::vec(any::<u8>(), 0..40), len in 0usize..500_000) {
        let mut bytes = start;
        bytes.resize(len, 1);
        if let Ok(key) = EvaluationKey::from_bytes(&bytes) {
            prop_assert_eq!(key.to_bytes(), bytes);
        }
    }
}

#[test]
fn a_bootstrap_that_is_put_aside_half_way_gives_the_same_bits_on_every_path() {
    let mut client = Client::new(TOY, 21);
    let key = client.evaluation_key();
    let inputs: Vec<_> = (0..11).map(|bin| client.encrypt(bin * BIN)).collect();
    let table = Table::of_four_bits(|bin| 3 * bin % 16);
    let mut put_aside = None;
    for path in CodePath::available() {
        let bootstrapper = Bootstrapper::new(path);
        let prepared = bootstrapper.prepare(&key);
        let whole = bootstrapper.apply(&prepared, &table, &inputs).unwrap();
        let mut bytes = Vec::new();
        Turns::pack(&bootstrapper.switch(&prepared, &inputs).unwrap(), &mut bytes);
        assert_eq!(*put_aside.get_or_insert_with(|| bytes.clone()), bytes, "{}", path.name());
        let turns = Turns::unpack(TOY, inputs.len(), &bytes).unwrap();
        let pairs: Vec<_> = turns.iter().map(|turns| (turns, &table)).collect();
        assert!(bootstrapper.turn(&prepared, &pairs).unwrap() == whole, "{}", path.name());
    }
}

#[test]
fn turns_under_a_key_of_another_length_are_refused() {
    let bootstrapper = Bootstrapper::new(CodePath::fastest());
    let prepared = bootstrapper.prepare(&Client::new(TOY, 22).evaluation_key());
    let turns = Turns::unpack(PRODUCTION, 1, &vec![0; Turns::packed_bytes(PRODUCTION, 1)]).unwrap();
    let refused = bootstrapper.turn(&prepared, &[(&turns[0], &Table::of_four_bits(|bin| bin))]).err();
    assert_eq!(refused, Some(BootstrapError::InputSize { index: 0, found: 918, wanted: 16, set: TOY }));
}

#[test]
fn a_value_that_is_put_aside_whole_gains_no_more_noise_than_the_proof_says() {
    let client = Client::new(TOY, 23);
    let mut rng = StdRng::seed_from_u64(23);
    let values: Vec<u64> = (0..2_000).map(|_| rng.random()).collect();
    let inputs: Vec<_> = values.iter().map(|value| client.encrypt_without_noise(*value, &mut rng)).collect();
    let mut bytes = Vec::new();
    LweCiphertext::pack_rounded(&inputs, &mut bytes);
    let back = LweCiphertext::unpack(inputs.len(), &bytes).unwrap();
    let error = |(back, value): (_, &u64)| client.phase(back).wrapping_sub(*value) as i64;
    // The proof takes a key of ones; this one has half as many, give or take three in a hundred.
    let ratio = mean_square(&back.iter().zip(&values).map(error).collect::<Vec<_>>()) / TOY.carried_variance();
    assert!((0.43..0.57).contains(&ratio), "{ratio}");
}
