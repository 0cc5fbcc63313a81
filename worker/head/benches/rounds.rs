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
        let round = RoundIndex(0);
        let plan = head.plan().round(round).unwrap();
        let values = vec![77; head.plan().input_count()];
        let request = key.encrypt(&values, head.input_layout(round).unwrap(), plan.accumulator_bits).unwrap();
        let seed = BlindingSeed::new([1; 32]);
        let blinding = head.prepare_key(key.blinding_key()).unwrap();
        let mut group = criterion.benchmark_group(name);
        group.bench_function("product", |bencher| {
            bencher.iter(|| one_core.install(|| evaluate_unblinded(&head, round, &request).unwrap()));
        });
        group.bench_function("product-and-blinding", |bencher| {
            bencher.iter(|| one_core.install(|| evaluate_round(&head, round, &request, &blinding, &seed).unwrap()));
        });
        group.bench_function("seed-expansion", |bencher| bencher.iter(|| expand_tensor(&request)));
        group.finish();
    }
}

criterion_group!(benches, rounds);
criterion_main!(benches);
