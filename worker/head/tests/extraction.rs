//! What a user learns about the weights: from the mask of an unblinded response, of a blinded one, and from sums.
//!
//! The attacks stand here so that what they need is known, and that blinding stops the first.
#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;

use encompute_fhe::{BlindingSeed, EncryptedFeatures, EncryptedTensor, ParameterSet, expand_tensor};
use encompute_head::*;
use kit::{Owner, Toy, a_head, random_inputs, random_layer_weights};
use rand::{Rng, SeedableRng, rngs::StdRng};

const SET: ParameterSet = ParameterSet::Glwe2048V1;
const SIDE: usize = 12;

/// Where the weights of a 2 × 2 kernel lie in their polynomial, for whoever knows the layer's shape.
const PLACES: [usize; 4] = [0, 1, SIDE, SIDE + 1];

/// Coefficient `at` of a polynomial times X to `place`, modulo Xⁿ + 1.
fn shifted(polynomial: &[u64], at: usize, place: usize) -> u64 {
    match at.checked_sub(place) {
        Some(at) => polynomial[at],
        None => polynomial[polynomial.len() + at - place].wrapping_neg(),
    }
}

/// All kernels of four weights whose product with the request's mask rounds to the response's: no sum is looked at,
/// and no key is needed.
///
/// One coefficient alone leaves few of the 2³² kernels: halves of the sum are sorted and looked up. The others
/// decide between those.
fn kernels_that_fit_the_mask(request: &EncryptedTensor, response: &EncryptedFeatures) -> Vec<[i8; 4]> {
    let mask = &expand_tensor(request)[0].mask;
    let drop_bits = 64 - u32::from(response.response_bits().0);
    let found: Vec<u64> = response.pieces().next().unwrap().mask.iter().map(|value| value << drop_bits).collect();
    let sum = |at: usize, weights: &[(usize, i8)]| {
        let term = |(place, weight): &(usize, i8)| shifted(mask, at, *place).wrapping_mul(i64::from(*weight) as u64);
        weights.iter().map(term).fold(0, u64::wrapping_add)
    };
    let fits = |at: usize, wanted: u64| (found[at].wrapping_sub(wanted) as i64).unsigned_abs() <= 1 << (drop_bits - 1);
    let all = || (i8::MIN..=i8::MAX).flat_map(|a| (i8::MIN..=i8::MAX).map(move |b| [a, b]));
    let at = 100;
    let mut halves: Vec<(u64, [i8; 2])> =
        all().map(|[a, b]| (sum(at, &[(PLACES[0], a), (PLACES[1], b)]), [a, b])).collect();
    halves.sort_unstable();
    let mut kernels = Vec::new();
    for [c, d] in all() {
        let rest = sum(at, &[(PLACES[2], c), (PLACES[3], d)]);
        let least = found[at].wrapping_sub(rest).wrapping_sub(1 << (drop_bits - 1));
        let first = halves.partition_point(|(half, _)| *half < least);
        // The interval may go around the end of the list.
        let candidates = halves[first..].iter().chain(&halves[..first]);
        for (_, [a, b]) in candidates.take_while(|(half, _)| fits(at, half.wrapping_add(rest))) {
            let kernel = [*a, *b, c, d];
            let weights: Vec<(usize, i8)> = PLACES.into_iter().zip(kernel).collect();
            if (0..mask.len()).all(|at| fits(at, sum(at, &weights))) {
                kernels.push(kernel);
            }
        }
    }
    kernels
}

/// A convolution with one 2 × 2 kernel, the kernel, and a request for it.
fn a_convolution(owner: &Owner) -> (CompiledHead, [i8; 4], EncryptedTensor) {
    let mut rng = StdRng::seed_from_u64(1);
    let axis = Axis::new(SIDE as u32, 2);
    let layer = Layer::conv(1, 1, axis, axis);
    let weights = random_layer_weights(&mut rng, &layer);
    let kernel = weights.as_slice().try_into().unwrap();
    let head = a_head(SET, vec![(layer, Domain::U8, weights)], Toy::Refused);
    let plan = &head.plan().rounds()[0];
    let inputs = random_inputs(&mut rng, plan.input, SIDE * SIDE);
    let request = owner.key.encrypt(&inputs, &plan.input_layout(SET).unwrap(), plan.accumulator_bits).unwrap();
    (head, kernel, request)
}

#[test]
fn one_unblinded_response_tells_a_kernel_by_its_mask_alone() {
    let (head, mut kernel, request) = a_convolution(&Owner::new(SET));
    let response = evaluate_unblinded(&head, RoundIndex(0), &request, None).unwrap();
    // A product sums an image against the weights turned around.
    kernel.reverse();
    assert_eq!(kernels_that_fit_the_mask(&request, &response), [kernel]);
}

#[test]
fn no_kernel_fits_the_mask_of_a_blinded_response() {
    let owner = Owner::new(SET);
    let (head, _, request) = a_convolution(&owner);
    let key = head.prepare_key(owner.key.blinding_key()).unwrap();
    for seed in 0..3 {
        let seed = BlindingSeed::new([seed; 32]);
        let response = evaluate_round(&head, RoundIndex(0), &request, &key, None, &seed).unwrap();
        assert!(kernels_that_fit_the_mask(&request, &response).is_empty());
    }
}

/// The solution of as many linear equations as unknowns, the right side last in each row.
fn solved(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let count = rows.len();
    for column in 0..count {
        let pivot = (column..count).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs())).unwrap();
        rows.swap(column, pivot);
        let chosen = rows[column].clone();
        for row in rows.iter_mut().skip(column + 1) {
            let factor = row[column] / chosen[column];
            row.iter_mut().zip(&chosen).for_each(|(value, chosen)| *value -= factor * chosen);
        }
    }
    let mut solution = vec![0.0; count];
    for at in (0..count).rev() {
        let known: f64 = (at + 1..count).map(|column| rows[at][column] * solution[column]).sum();
        solution[at] = (rows[at][count] - known) / rows[at][at];
    }
    solution
}

#[test]
fn as_many_honest_queries_as_inputs_tell_a_dense_layer_in_spite_of_blinding() {
    const INPUTS: usize = 24;
    let owner = Owner::new(SET);
    let mut rng = StdRng::seed_from_u64(2);
    let layer = Layer::Dense { inputs: INPUTS as u32, outputs: 3 };
    let weights = random_layer_weights(&mut rng, &layer);
    let head = a_head(SET, vec![(layer, Domain::U8, weights.clone())], Toy::Refused);
    let mut query = || {
        let inputs: Vec<i64> = (0..INPUTS).map(|_| rng.random_range(0..256)).collect();
        let sums = owner.run(&head, RoundIndex(0), &inputs);
        (inputs, sums)
    };
    let queries: Vec<(Vec<i64>, Vec<i64>)> = (0..INPUTS).map(|_| query()).collect();
    let row = |inputs: &[i64], sum: i64| inputs.iter().chain([&sum]).map(|value| *value as f64).collect();
    let guessed: Vec<i8> = (0..3)
        .flat_map(|output| solved(queries.iter().map(|(inputs, sums)| row(inputs, sums[output])).collect()))
        .map(|weight| weight.round() as i8)
        .collect();
    assert_eq!(guessed, weights);
    // One query more, and whoever did not know is sure.
    let (inputs, sums) = query();
    let foretold: Vec<i64> = guessed
        .chunks(INPUTS)
        .map(|row| row.iter().zip(&inputs).map(|(weight, value)| i64::from(*weight) * value).sum())
        .collect();
    assert_eq!(foretold, sums);
}
