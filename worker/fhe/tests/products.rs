//! The fast products equal the obvious one, on every path and any number of threads.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_fhe::reference::negacyclic_product;
use encompute_fhe::{Ciphertext, CodePath, ParameterSet, Ring, WeightPolynomials};
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
    assert!(ring.multiply(&[good.clone()], &weights).is_err());
    assert!(ring.multiply(&[good.clone(), short], &weights).is_err());
    assert!(ring.multiply(&[good.clone(), good], &weights).is_ok());
}
