//! The fast products equal the obvious one, on every path and any number of threads.
#![allow(clippy::unwrap_used, clippy::panic)]

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use encompute_fhe::reference::negacyclic_product;
use encompute_fhe::{
    Blinding, BlindingKey, BlindingSeed, Ciphertext, CodePath, MaskSeed, ParameterSet, ResponseBits, Ring, RingError,
    WantedBody, WeightPolynomials, expand_blinding_key,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

fn random_ciphertext(rng: &mut StdRng, size: usize) -> Ciphertext {
    let mut polynomial = || (0..size).map(|_| rng.random()).collect();
    Ciphertext { mask: polynomial(), body: polynomial() }
}

fn random_weights(rng: &mut StdRng, size: usize) -> Vec<i8> {
    (0..size).map(|_| rng.random()).collect()
}

fn schoolbook(inputs: &[Ciphertext], rows: &[Vec<i8>]) -> Vec<Ciphertext> {
    rows.chunks(inputs.len())
        .map(|row| {
            let mut sum = Ciphertext { mask: vec![0; inputs[0].mask.len()], body: vec![0; inputs[0].body.len()] };
            for (input, weights) in inputs.iter().zip(row) {
                sum.add(&Ciphertext {
                    mask: negacyclic_product(&input.mask, weights),
                    body: negacyclic_product(&input.body, weights),
                });
            }
            sum
        })
        .collect()
}

fn every_path_equals_schoolbook(set: ParameterSet, shapes: &[(usize, usize, usize)]) {
    let mut rng = StdRng::seed_from_u64(1);
    let size = set.polynomial_size().0;
    for (outputs, inputs, taps) in shapes {
        let ciphertexts: Vec<_> = (0..*inputs).map(|_| random_ciphertext(&mut rng, size)).collect();
        let rows: Vec<_> = (0..outputs * inputs).map(|_| random_weights(&mut rng, *taps)).collect();
        let wanted = schoolbook(&ciphertexts, &rows);
        for path in CodePath::available() {
            let ring = Ring::new(set, path);
            let weights = ring.prepare(WeightPolynomials::new(*outputs, *inputs, rows.clone()).unwrap()).unwrap();
            let found = ring.multiply(&ciphertexts, &weights).unwrap();
            assert!(found == wanted, "{set} {outputs}×{inputs}×{taps} on {}", path.name());
        }
    }
}

#[test]
fn products_equal_schoolbook_in_the_toy_ring() {
    let size = 256;
    every_path_equals_schoolbook(
        ParameterSet::Toy256V1,
        &[(1, 1, size), (2, 1, size), (1, 2, size), (3, 5, size), (4, 4, 100), (2, 3, 9), (1, 1, 1), (5, 1, 26)],
    );
    // Inputs enough to be laid side by side: even, odd; one pair of outputs, two, and half a pair.
    every_path_equals_schoolbook(ParameterSet::Toy256V1, &[(1, 24, 30), (4, 25, 30), (3, 31, 40), (6, 24, 30)]);
}

#[test]
fn products_equal_schoolbook_in_the_production_rings() {
    every_path_equals_schoolbook(ParameterSet::Glwe2048V1, &[(2, 3, 2048), (1, 1, 9)]);
    every_path_equals_schoolbook(ParameterSet::Glwe4096V1, &[(1, 2, 4096)]);
}

#[test]
fn many_accumulated_products_with_the_largest_weights_stay_exact() {
    // 40 inputs with weights of ±127 and ±128 only: more than one rounding group.
    let set = ParameterSet::Glwe2048V1;
    let mut rng = StdRng::seed_from_u64(2);
    let ciphertexts: Vec<_> = (0..80).map(|_| random_ciphertext(&mut rng, 2048)).collect();
    let rows: Vec<Vec<i8>> =
        (0..80).map(|_| (0..2048).map(|_| if rng.random() { 127 } else { -128 }).collect()).collect();
    let product = |path| {
        let ring = Ring::new(set, path);
        let weights = ring.prepare(WeightPolynomials::new(1, 80, rows.clone()).unwrap()).unwrap();
        ring.multiply(&ciphertexts, &weights).unwrap()
    };
    let wanted = product(CodePath::NTT);
    for path in CodePath::available() {
        assert!(product(path) == wanted, "{}", path.name());
    }
}

#[test]
fn coefficients_chosen_to_overflow_the_doubles_are_still_exact() {
    // Every limb at its largest magnitude and one sign: sums far beyond what random masks give.
    let set = ParameterSet::Glwe2048V1;
    let extreme = Ciphertext { mask: vec![0x7fff_ffff_7fff_ffff; 2048], body: vec![0x8000_0000_8000_0000; 2048] };
    let ciphertexts = vec![extreme; 12];
    let rows = vec![vec![-128i8; 2048]; 12];
    let ntt = Ring::new(set, CodePath::NTT);
    let wanted = ntt
        .multiply(&ciphertexts, &ntt.prepare(WeightPolynomials::new(1, 12, rows.clone()).unwrap()).unwrap())
        .unwrap();
    for path in CodePath::available() {
        let ring = Ring::new(set, path);
        let weights = ring.prepare(WeightPolynomials::new(1, 12, rows.clone()).unwrap()).unwrap();
        assert!(ring.multiply(&ciphertexts, &weights).unwrap() == wanted, "{}", path.name());
    }
}

#[test]
fn products_do_not_depend_on_the_number_of_threads() {
    let mut rng = StdRng::seed_from_u64(3);
    let ciphertexts: Vec<_> = (0..5).map(|_| random_ciphertext(&mut rng, 2048)).collect();
    let rows: Vec<_> = (0..35).map(|_| random_weights(&mut rng, 2048)).collect();
    let ring = Ring::new(ParameterSet::Glwe2048V1, CodePath::fastest());
    let weights = ring.prepare(WeightPolynomials::new(7, 5, rows).unwrap()).unwrap();
    let with_threads = |count| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
        pool.install(|| ring.multiply(&ciphertexts, &weights).unwrap())
    };
    let wanted = with_threads(1);
    assert!([2, 5].into_iter().all(|count| with_threads(count) == wanted));
}

#[test]
fn misshapen_inputs_and_weights_are_refused() {
    let ring = Ring::new(ParameterSet::Toy256V1, CodePath::fastest());
    assert!(WeightPolynomials::new(2, 2, vec![vec![1]; 3]).is_err());
    assert!(WeightPolynomials::new(0, 2, vec![]).is_err());
    assert!(WeightPolynomials::new(usize::MAX, 2, vec![]).is_err());
    assert!(ring.prepare(WeightPolynomials::new(1, 1, vec![vec![1; 257]]).unwrap()).is_err());
    let weights = ring.prepare(WeightPolynomials::new(1, 2, vec![vec![1]; 2]).unwrap()).unwrap();
    let good = Ciphertext { mask: vec![0; 256], body: vec![0; 256] };
    let short = Ciphertext { mask: vec![0; 256], body: vec![0; 255] };
    assert!(ring.multiply(std::slice::from_ref(&good), &weights).is_err());
    assert!(ring.multiply(&[good.clone(), short], &weights).is_err());
    assert!(ring.multiply(&[good.clone(), good], &weights).is_ok());
}

fn a_key(rng: &mut StdRng, set: ParameterSet) -> BlindingKey {
    let scale = 64 - set.blinding_bits().0;
    let body: Vec<u64> = (0..set.polynomial_size().0).map(|_| rng.random::<u64>() << scale).collect();
    BlindingKey::from_body(set, MaskSeed(rng.random()), &body).unwrap()
}

/// `count` bodies of each of `outputs` products, some way apart.
fn some_bodies(outputs: usize, count: u16) -> Vec<Vec<WantedBody>> {
    let piece =
        |of: usize| (0..count).map(move |at| WantedBody { coefficient: 5 * at + of as u16, value: 0 }).collect();
    (0..outputs).map(piece).collect()
}

/// Encryption of zero number `index` of a response of this width by `SPEC.md`.
fn encryption_of_zero(
    key: &BlindingKey,
    seed: [u8; 32],
    response_bits: ResponseBits,
    index: u64,
    wanted: &[WantedBody],
) -> Ciphertext {
    let full = key.parameter_set().blinding_bits().0;
    let scale = 64 - if response_bits.0 <= 30 { 42 } else { full };
    let round = |value: u64| ((u128::from(value) + (1 << scale >> 1)) >> scale << scale) as u64;
    let key = expand_blinding_key(key);
    let [mask, body]: [Vec<u64>; 2] = [key.mask, key.body].map(|part| part.into_iter().map(round).collect());
    let size = mask.len();
    let cipher = Aes256::new(&seed.into());
    let stream = |number: u64| -> Vec<u8> {
        let block = |at: u64| {
            let mut block = [at.to_le_bytes(), number.to_le_bytes()].concat();
            cipher.encrypt_block(block.as_mut_slice().try_into().unwrap());
            block
        };
        (0..size as u64 / 4).flat_map(block).collect()
    };
    let columns = stream((1 << 63) | (index / 8));
    let bit = |at: usize| (columns[at] >> (index % 8) & 1) as i8;
    let ternary: Vec<i8> = (0..size).map(|at| bit(at) - bit(size + at)).collect();
    let stream = stream(index);
    let noise = |at: usize| ((i64::from(stream[at] & 15) + i64::from(stream[at] >> 7) - 8) << scale) as u64;
    let mut zero = Ciphertext { mask: negacyclic_product(&mask, &ternary), body: negacyclic_product(&body, &ternary) };
    zero.mask.iter_mut().enumerate().for_each(|(at, value)| *value = value.wrapping_add(noise(at)));
    for (at, place) in wanted.iter().enumerate() {
        let value = &mut zero.body[usize::from(place.coefficient)];
        *value = value.wrapping_add(noise(size + at));
    }
    zero
}

#[test]
fn blinded_products_are_products_plus_the_encryptions_of_zero_of_the_specification() {
    let mut rng = StdRng::seed_from_u64(4);
    // Weights that are transformed and weights that are shifted, odd and even numbers of outputs, more
    // outputs than a batch of binary polynomials holds.
    let shapes = [(1, 1, 256), (2, 2, 256), (3, 1, 9), (9, 2, 4), (19, 3, 100)];
    for (set, shapes) in [(ParameterSet::Toy256V1, &shapes[..]), (ParameterSet::Glwe2048V1, &[(2, 3, 2048), (3, 1, 9)])]
    {
        let size = set.polynomial_size().0;
        let key = a_key(&mut rng, set);
        for (outputs, inputs, taps) in shapes.iter().copied() {
            let ciphertexts: Vec<_> = (0..inputs).map(|_| random_ciphertext(&mut rng, size)).collect();
            let rows: Vec<_> = (0..outputs * inputs).map(|_| random_weights(&mut rng, taps)).collect();
            let wanted = some_bodies(outputs, 11);
            let products = schoolbook(&ciphertexts, &rows);
            // The widest that is blinded modulo 2⁴², and the next.
            for response_bits in [ResponseBits(30), ResponseBits(31)] {
                let mut sums = products.clone();
                for (at, (sum, wanted)) in sums.iter_mut().zip(&wanted).enumerate() {
                    sum.add(&encryption_of_zero(&key, [7; 32], response_bits, 300 + at as u64, wanted));
                }
                for path in CodePath::available() {
                    let ring = Ring::new(set, path);
                    let weights = ring.prepare(WeightPolynomials::new(outputs, inputs, rows.clone()).unwrap()).unwrap();
                    let key = ring.prepare_key(&key).unwrap();
                    let seed = BlindingSeed::new([7; 32]);
                    let blinding = Blinding { key: &key, seed: &seed, response_bits, first: 300, wanted: &wanted };
                    let found = ring.multiply_blinded(&ciphertexts, &weights, &blinding).unwrap();
                    assert!(found == sums, "{set} {outputs}×{inputs}×{taps} on {}", path.name());
                }
            }
        }
    }
}

#[test]
fn blinding_with_a_key_chosen_to_overflow_the_doubles_is_still_exact() {
    let set = ParameterSet::Glwe2048V1;
    let extreme = Ciphertext { mask: vec![0x7fff_ffff_7fff_ffff; 2048], body: vec![0x8000_0000_8000_0000; 2048] };
    let wanted = some_bodies(1, 3);
    // Many weights go through spectra, one is shifted; keys in limbs, and whole.
    for (weight, body, response_bits) in [
        (vec![-128i8; 2048], 0x8000_0000_8000_0000, ResponseBits(34)),
        (vec![-128i8; 2048], 0x8000_0000_8000_0000, ResponseBits(30)),
        (vec![-128i8; 1], 1 << 63, ResponseBits(30)),
    ] {
        let key = BlindingKey::from_body(set, MaskSeed([1; 16]), &[body; 2048]).unwrap();
        let product = |path| {
            let ring = Ring::new(set, path);
            let weights = ring.prepare(WeightPolynomials::new(1, 12, vec![weight.clone(); 12]).unwrap()).unwrap();
            let seed = BlindingSeed::new([2; 32]);
            let key = ring.prepare_key(&key).unwrap();
            let blinding = Blinding { key: &key, seed: &seed, response_bits, first: 0, wanted: &wanted };
            ring.multiply_blinded(&vec![extreme.clone(); 12], &weights, &blinding).unwrap()
        };
        let exact = product(CodePath::NTT);
        assert!(CodePath::available().into_iter().all(|path| product(path) == exact));
    }
}

#[test]
fn blinding_that_does_not_fit_the_product_is_refused() {
    let mut rng = StdRng::seed_from_u64(5);
    let ring = Ring::new(ParameterSet::Toy256V1, CodePath::fastest());
    let weights = ring.prepare(WeightPolynomials::new(2, 1, vec![vec![1]; 2]).unwrap()).unwrap();
    let input = [Ciphertext { mask: vec![0; 256], body: vec![0; 256] }];
    let seed = BlindingSeed::new([0; 32]);
    let key = ring.prepare_key(&a_key(&mut rng, ParameterSet::Toy256V1)).unwrap();
    let one = some_bodies(1, 1);
    let blinding = |key, wanted| Blinding { key, seed: &seed, response_bits: ResponseBits(30), first: 0, wanted };
    let found = ring.multiply_blinded(&input, &weights, &blinding(&key, &one));
    assert_eq!(found.err(), Some(RingError::ProductCount { found: 2, wanted: 1 }));
    let large = Ring::new(ParameterSet::Glwe2048V1, CodePath::fastest());
    let other = large.prepare_key(&a_key(&mut rng, ParameterSet::Glwe2048V1)).unwrap();
    let two = some_bodies(2, 1);
    let found = ring.multiply_blinded(&input, &weights, &blinding(&other, &two));
    assert!(matches!(found, Err(RingError::InputSize { .. })));
    assert!(ring.prepare_key(&a_key(&mut rng, ParameterSet::Glwe2048V1)).is_err());
}
