//! One core, product path: from the decoded request to the response, as a worker runs it.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, criterion_group, criterion_main};
use encompute_fhe::{BlindingSeed, expand_tensor};
use encompute_head::measure::{PARAMETER_SET, heads};
use encompute_head::{RoundIndex, evaluate_round, evaluate_unblinded};
use encompute_keys::SecretKey;

fn rounds(criterion: &mut Criterion) {
    let one_core = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let key = SecretKey::generate(PARAMETER_SET);
    for measured in heads() {
        let (name, head) = (measured.name, measured.compile().unwrap());
        // Bootstraps take seconds a run and are a row of `encompute bench head`.
        if head.plan().mode().bootstrap_set().is_some() {
            continue;
        }
        let round = RoundIndex(0);
        let plan = head.plan().round(round).unwrap();
        let values = vec![77; head.plan().input_count()];
        let request = key.encrypt(&values, head.input_layout(round).unwrap(), plan.accumulator_bits).unwrap();
        let seed = BlindingSeed::new([1; 32]);
        let blinding = head.prepare_key(key.blinding_key()).unwrap();
        let mut group = criterion.benchmark_group(name);
        group.bench_function("product", |bencher| {
            bencher.iter(|| one_core.install(|| evaluate_unblinded(&head, round, &request, None).unwrap()));
        });
        group.bench_function("product-and-blinding", |bencher| {
            bencher
                .iter(|| one_core.install(|| evaluate_round(&head, round, &request, &blinding, None, &seed).unwrap()));
        });
        group.bench_function("seed-expansion", |bencher| bencher.iter(|| expand_tensor(&request)));
        group.finish();
    }
}

/// What 784→64 would cost once its masks and encryptions of zero are there beforehand: the request is read, and
/// each sum of bodies taken from it alone. What came of it is in `worker/fhe/SPEC.md`.
fn online(criterion: &mut Criterion) {
    let key = SecretKey::generate(PARAMETER_SET);
    let measured = heads().remove(0);
    let head = measured.compile().unwrap();
    let plan = head.plan().round(RoundIndex(0)).unwrap();
    let values = vec![77; head.plan().input_count()];
    let request = key.encrypt(&values, head.input_layout(RoundIndex(0)).unwrap(), plan.accumulator_bits).unwrap();
    let weights: Vec<i64> = (0..64 * 784).map(|at| i64::from((at * 89) as i8)).collect();
    criterion.bench_function("dense-784x64/online-with-precomputed-masks", |bencher| {
        bencher.iter(|| {
            let bodies: Vec<u64> = expand_tensor(&request).into_iter().flat_map(|one| one.body).collect();
            let sum = |row: &[i64]| {
                row.iter().zip(&bodies).fold(0u64, |sum, (w, b)| sum.wrapping_add(b.wrapping_mul(*w as u64)))
            };
            weights.chunks_exact(784).map(sum).collect::<Vec<u64>>()
        });
    });
}

criterion_group!(benches, rounds, online);
criterion_main!(benches);
