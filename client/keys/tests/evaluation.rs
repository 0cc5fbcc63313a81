//! A case's evaluation key: what a worker computes with it is what the case's secret key opens.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_fhe::{
    AccumulatorBits, BootstrapSet, Bootstrapper, CodePath, EvaluationKey, InputLayout, LweCiphertext, OutputLayout,
    ParameterSet, ResponseBits, Slot, Table, WantedBody, expand_tensor, respond,
};
use encompute_keys::{EvaluationKeyRefused, SecretKey, VerifiedResponse};

const SET: BootstrapSet = BootstrapSet::FourBitsV1;
/// Sixteen values under a bit of padding.
const BITS: AccumulatorBits = AccumulatorBits(5);
const TOGETHER: usize = 16;
const COUNT: usize = 2 * TOGETHER;

fn function(value: u8) -> u8 {
    (value * 7 + 3) % 16
}

/// Looks `function` up on encrypted values under `evaluation`, packs the results, and decrypts what is sent.
fn looked_up(key: &SecretKey, evaluation: &EvaluationKey, values: &[i64; COUNT]) -> Vec<i64> {
    let slot = |value: u32| Slot { ciphertext: 0, coefficient: (3 * value) as u16, value };
    let input = InputLayout::new(SET.ring(), 1, COUNT, (0..COUNT as u32).map(slot).collect()).unwrap();
    let request = expand_tensor(&key.encrypt(values, &input, BITS).unwrap()).remove(0);
    let inputs: Vec<_> = (0..COUNT).map(|at| LweCiphertext::extract(&request, 3 * at).unwrap()).collect();

    let unit = Table::BIN_WIDTH / TOGETHER as u64;
    let table = Table::new(core::array::from_fn(|bin| u64::from(function(bin as u8)) * unit));
    let bootstrapper = Bootstrapper::new(CodePath::fastest());
    let evaluation = bootstrapper.prepare(&EvaluationKey::from_bytes(&evaluation.to_bytes()).unwrap());
    let outputs = bootstrapper.apply(&evaluation, &table, &inputs).unwrap();
    let packed = bootstrapper.pack(&evaluation, &outputs, TOGETHER).unwrap();

    let place = |at: usize| WantedBody { coefficient: (at % TOGETHER * 2048 / TOGETHER) as u16, value: at as u32 };
    let piece = |of: usize| (of * TOGETHER..(of + 1) * TOGETHER).map(place).collect();
    let output = OutputLayout::new(SET.ring(), COUNT, vec![piece(0), piece(1)]).unwrap();
    let response = respond(&packed, &output, ResponseBits(20)).unwrap();
    let verified = VerifiedResponse::after_receipt_verification(response.digest());
    key.decrypt(&response, &output, BITS, &verified).unwrap().expose_to_client_run().to_vec()
}

#[test]
fn tables_looked_up_under_an_evaluation_key_are_right_whichever_of_the_case_it_is() {
    let key = SecretKey::generate(SET.ring());
    let values = core::array::from_fn(|at| at as i64 % 16);
    let wanted = values.map(|value| i64::from(function(value as u8)));
    let [first, second] = [(); 2].map(|()| key.evaluation_key(SET).unwrap());
    for evaluation in [&first, &second] {
        assert_eq!(looked_up(&key, evaluation, &values), wanted);
    }
    assert!(first.digest() != second.digest(), "two keys were drawn alike");
}

#[test]
fn under_the_evaluation_key_of_another_case_nothing_is_right() {
    let [key, other] = [(); 2].map(|()| SecretKey::generate(SET.ring()));
    let values = core::array::from_fn(|at| at as i64 % 16);
    let found = looked_up(&key, &other.evaluation_key(SET).unwrap(), &values);
    let right = found.iter().zip(values).filter(|(found, value)| **found == i64::from(function(*value as u8))).count();
    // One in 32 is right by chance: half of them with a probability far below 2⁻⁴⁰.
    assert!(right < COUNT / 2, "{right} of {COUNT}");
}

#[test]
fn a_set_that_protects_nothing_is_refused_for_it_would_give_the_key_away() {
    let set = BootstrapSet::ToyV1;
    let refused = SecretKey::generate(set.ring()).evaluation_key(set).err();
    assert_eq!(refused, Some(EvaluationKeyRefused::Unprotected { set }));
}

#[test]
fn a_key_of_another_ring_has_no_evaluation_key() {
    for found in [ParameterSet::Glwe4096V1, ParameterSet::Toy256V1] {
        let refused = SecretKey::generate(found).evaluation_key(SET).err();
        assert_eq!(refused, Some(EvaluationKeyRefused::ParameterSet { set: SET, found, wanted: SET.ring() }));
    }
}
