//! The encrypted head equals the clear one, bit for bit: the same suite on both backends.
#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;

use encompute_fhe::ParameterSet;
use encompute_head::{Axis, Domain, Layer, RoundIndex, exactness};
use kit::{Owner, Toy, a_head, random_inputs, random_layer_weights};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Encrypts, evaluates with blinding, decrypts; and evaluates in clear.
fn both(owner: &Owner, layer: Layer, input: Domain, seed: u64, toy: Toy) -> (Vec<i64>, Vec<i64>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let head = a_head(owner.parameter_set(), vec![(layer, input, random_layer_weights(&mut rng, &layer))], toy);
    let inputs = random_inputs(&mut rng, input, layer.input_shape().len());
    (owner.run(&head, RoundIndex(0), &inputs), kit::clear(&head, RoundIndex(0), &inputs))
}

/// The set that protects nothing has many tiles where the production set has one.
const SETS: [(ParameterSet, Toy); 2] =
    [(ParameterSet::Toy256V1, Toy::Allowed), (ParameterSet::Glwe2048V1, Toy::Refused)];

fn dense(seed: u64) -> (Layer, Domain) {
    let layer = Layer::Dense { inputs: 1 + (seed * 7 % 300) as u32, outputs: 1 + (seed % 11) as u32 };
    (layer, Domain { bits: 2 + (seed % 5) as u8, signed: seed.is_multiple_of(2) })
}

fn convolution(seed: u64) -> (Layer, Domain) {
    let kernel = 1 + (seed % 4) as u32;
    let (stride, padding) = (1 + (seed / 2 % 3) as u32, (seed / 11 % 3) as u32);
    let axis = |image, kernel| Axis::new(image, kernel).strided(stride).padded(padding, padding);
    let rows = axis(kernel + (seed / 3 % 6) as u32, kernel);
    let columns = axis(kernel + (seed / 5 % 7) as u32, 1 + (seed / 7 % 4) as u32 % kernel);
    let layer = Layer::conv(1 + (seed % 3) as u32, 1 + (seed / 13 % 4) as u32, rows, columns);
    (layer, Domain { bits: 3 + (seed % 6) as u8, signed: seed.is_multiple_of(3) })
}

/// Each side with a stride, a dilation and paddings of its own; in groups, every third depthwise; every fifth in
/// one dimension.
fn grouped_convolution(seed: u64) -> (Layer, Domain) {
    let mut rng = StdRng::seed_from_u64(!seed);
    let mut axis = || {
        let (kernel, dilation) = (rng.random_range(1..=4u32), rng.random_range(1..=3u32));
        let reach = (kernel - 1) * dilation + 1;
        let (before, after) = (rng.random_range(0..=2u32), rng.random_range(0..=2u32));
        let least = reach.saturating_sub(before + after).max(1);
        let image = rng.random_range(least..=least + 5);
        Axis::new(image, kernel).strided(rng.random_range(1..=4)).dilated(dilation).padded(before, after)
    };
    let (rows, columns) = (axis(), axis());
    let rows = if seed.is_multiple_of(5) { Axis::new(1, 1) } else { rows };
    let (groups, inputs, outputs) = (rng.random_range(1..=4), rng.random_range(1..=2), rng.random_range(1..=2));
    let layer = match seed % 3 {
        0 => Layer::depthwise(groups, rows, columns),
        _ => Layer::Conv2d { channels: groups * inputs, out_channels: groups * outputs, groups, rows, columns },
    };
    (layer, Domain { bits: 3 + (seed % 6) as u8, signed: seed.is_multiple_of(2) })
}

/// The same dense layer for each row of a matrix.
fn matmul(seed: u64) -> (Layer, Domain) {
    let layer = Layer::matmul(1 + (seed % 9) as u32, 1 + (seed * 7 % 60) as u32, 1 + (seed % 11) as u32);
    (layer, Domain { bits: 2 + (seed % 5) as u8, signed: seed.is_multiple_of(2) })
}

/// Random weights and inputs of a thousand layers, under both sets.
fn a_thousand_are_exact(layer: impl Fn(u64) -> (Layer, Domain)) {
    for (set, toy) in SETS {
        let owner = Owner::new(set);
        for seed in 0..1000 {
            let (layer, input) = layer(seed);
            let (encrypted, clear) = both(&owner, layer, input, seed, toy);
            assert!(encrypted == clear, "{set} {layer:?} {input:?} seed {seed}");
        }
    }
}

#[test]
fn a_thousand_random_dense_layers_are_exact() {
    a_thousand_are_exact(dense);
}

#[test]
fn a_thousand_random_convolutions_are_exact() {
    a_thousand_are_exact(convolution);
}

#[test]
fn a_thousand_random_grouped_dilated_unevenly_padded_convolutions_are_exact() {
    a_thousand_are_exact(grouped_convolution);
}

#[test]
fn a_thousand_random_products_of_matrices_are_exact() {
    a_thousand_are_exact(matmul);
}

#[test]
fn a_thousand_random_heads_of_two_rounds_are_exact() {
    for (set, toy) in SETS {
        let owner = Owner::new(set);
        for seed in 0..1000 {
            let mut rng = StdRng::seed_from_u64(seed);
            let (layer, input) = if seed % 2 == 0 { dense(seed) } else { convolution(seed) };
            let head = kit::two_rounds(&mut rng, set, layer, input, toy);
            let values = random_inputs(&mut rng, input, layer.input_shape().len());
            let encrypted = kit::all_rounds(&head, &values, |round, values| owner.run(&head, round, values));
            let clear = kit::all_rounds(&head, &values, |round, values| kit::clear(&head, round, values));
            assert!(encrypted == clear, "{set} {layer:?} {input:?} seed {seed}");
        }
    }
}

#[test]
fn full_size_dense_layers_are_exact_under_production_parameters() {
    for set in [ParameterSet::Glwe2048V1, ParameterSet::Glwe4096V1] {
        let owner = Owner::new(set);
        let layer = Layer::Dense { inputs: 784, outputs: 64 };
        for seed in 0..8 {
            let (encrypted, clear) = both(&owner, layer, Domain::U8, seed, Toy::Refused);
            assert!(encrypted == clear, "{set} seed {seed}");
        }
    }
}

#[test]
fn full_size_convolutions_are_exact_under_production_parameters() {
    let owner = Owner::new(ParameterSet::Glwe2048V1);
    let image = |kernel, stride, padding, channels, out_channels| {
        let axis = Axis::new(28, kernel).strided(stride).padded(padding, padding);
        Layer::conv(channels, out_channels, axis, axis)
    };
    let layers =
        [image(3, 1, 0, 1, 8), image(3, 1, 1, 3, 5), image(5, 2, 2, 2, 4), image(7, 3, 0, 1, 6), image(2, 4, 0, 1, 3)];
    for (seed, layer) in layers.into_iter().enumerate() {
        let (encrypted, clear) = both(&owner, layer, Domain::U8, seed as u64, Toy::Refused);
        assert!(encrypted == clear, "{layer:?}");
    }
}

#[test]
fn an_image_wider_than_the_ring_is_cut_into_columns() {
    let owner = Owner::new(ParameterSet::Toy256V1);
    let layer = Layer::conv(1, 2, Axis::new(4, 3).padded(1, 1), Axis::new(300, 3).padded(1, 1));
    let (encrypted, clear) = both(&owner, layer, Domain::U8, 5, Toy::Allowed);
    assert!(encrypted == clear);
}

#[test]
fn the_largest_sums_that_weights_can_give_do_not_overflow() {
    let owner = Owner::new(ParameterSet::Glwe2048V1);
    let layer = Layer::Dense { inputs: 784, outputs: 2 };
    let weights: Vec<i8> = [vec![127; 784], vec![-128; 784]].concat();
    let head =
        a_head(ParameterSet::Glwe2048V1, vec![(layer, Domain { bits: 4, signed: false }, weights)], Toy::Refused);
    let found = owner.run(&head, RoundIndex(0), &[15; 784]);
    assert_eq!(found, [127 * 784 * 15, -128 * 784 * 15]);
}

#[test]
fn three_rounds_with_activations_equal_the_clear_program() {
    let owner = Owner::new(ParameterSet::Glwe2048V1);
    let mut rng = StdRng::seed_from_u64(9);
    let head = kit::digits_head(&mut rng);
    let image = random_inputs(&mut rng, Domain::U8, 784);
    let features = kit::all_rounds(&head, &image, |round, values| owner.run(&head, round, values));
    let clear = kit::all_rounds(&head, &image, |round, values| kit::clear(&head, round, values));
    assert_eq!(features.len(), 16);
    assert_eq!(features, clear);
    assert!(features.iter().any(|feature| *feature != features[0]), "the head is not constant");
}

#[test]
fn what_the_client_does_between_rounds_may_pool() {
    let owner = Owner::new(ParameterSet::Toy256V1);
    let mut rng = StdRng::seed_from_u64(10);
    let head = kit::pooling_head(&mut rng);
    let image = random_inputs(&mut rng, Domain { bits: 4, signed: false }, 64);
    let features = kit::all_rounds(&head, &image, |round, values| owner.run(&head, round, values));
    assert_eq!(features, kit::all_rounds(&head, &image, |round, values| kit::clear(&head, round, values)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn any_small_convolution_is_exact(
        channels in 1u32..6, height in 1u32..20, width in 1u32..20, kernel_height in 1u32..6, kernel_width in 1u32..6,
        stride in 1u32..5, padding in 0u32..4, out_channels in 1u32..6, seed in any::<u64>(),
    ) {
        prop_assume!(kernel_height <= height + 2 * padding && kernel_width <= width + 2 * padding);
        let axis = |image, kernel| Axis::new(image, kernel).strided(stride).padded(padding, padding);
        let layer = Layer::conv(channels, out_channels, axis(height, kernel_height), axis(width, kernel_width));
        let owner = Owner::new(ParameterSet::Toy256V1);
        let (encrypted, clear) = both(&owner, layer, Domain::I8, seed, Toy::Allowed);
        prop_assert_eq!(encrypted, clear);
    }
}

#[test]
fn a_sample_of_what_the_bench_compares_is_exact() {
    for kind in exactness::Kind::ALL {
        let outputs = if kind == exactness::Kind::Lookup { 100 } else { 2_000 };
        let compared = exactness::compare(kind, outputs, 5, || Owner::new(ParameterSet::Glwe2048V1)).unwrap();
        assert!(compared.outputs >= outputs && compared.mismatches == 0, "{}: {compared:?}", kind.name());
    }
}
