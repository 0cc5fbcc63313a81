//! What a bootstrap costs here, beside `tfhe`'s own, in one run; or many bootstraps checked against the proof.
//!
//! `cargo run --release --example bootstrap` prints the least and the median of some rounds, wall clock and processor
//! time. Under another profile `tfhe`'s figures are those of a slow build. `-- check 10000` looks a random table up on so many random
//! inputs, counts wrong entries, and measures the noise, before packing and after.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../tests/support/client.rs"]
#[allow(dead_code)] // the tests use the rest
mod client;

use client::{Client, LibraryKeys};
use encompute_fhe::{BootstrapSet, Bootstrapper, CodePath, EvaluationKey, LweCiphertext, PreparedEvaluationKey, Table};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::time::Instant;
use tfhe::core_crypto::prelude as library;

const SET: BootstrapSet = BootstrapSet::FourBitsV1;
const ROUNDS: usize = 7;
/// Values together, threads.
const SHAPES: [(usize, usize); 6] = [(1, 1), (4, 1), (8, 1), (16, 1), (16, 2), (32, 2)];

/// Values in one ciphertext.
const PACKED: [usize; 2] = [16, 64];

fn main() {
    let mut client = Client::new(SET, 7);
    let start = Instant::now();
    let keys = client.library_keys();
    let key = keys.evaluation_key(SET);
    println!("key generation {:.0} ms, {} bytes", milliseconds(start), key.to_bytes().len());
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next().and_then(|count| count.parse().ok())) {
        (None, _) => measure(&mut client, &keys, &key),
        (Some("check"), Some(count)) => check(&mut client, &key, count),
        _ => eprintln!("usage: bootstrap [check COUNT]"),
    }
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// Milliseconds of processor that all threads of this process have had; zero where the system does not say.
fn processor_milliseconds() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let texts = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
    texts.filter_map(|text| text.split(' ').next()?.parse::<f64>().ok()).sum::<f64>() / 1e6
}

/// Wall clock and processor milliseconds for each of `count` values.
fn timed(count: usize, work: impl FnOnce()) -> [f64; 2] {
    let (start, processor) = (Instant::now(), processor_milliseconds());
    work();
    [milliseconds(start), processor_milliseconds() - processor].map(|total| total / count as f64)
}

fn measure(client: &mut Client, keys: &LibraryKeys, key: &EvaluationKey) {
    let inputs: Vec<_> = (0..64).map(|bin| client.encrypt(bin % 16 * Table::BIN_WIDTH)).collect();
    let table = Table::of_four_bits(|bin| bin * 3 % 16);
    let pools = [1, 2].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    let paths: Vec<(CodePath, Bootstrapper, PreparedEvaluationKey)> = CodePath::available()
        .into_iter()
        .filter(|path| !["ntt", "portable"].contains(&path.name()))
        .map(|path| {
            let (bootstrapper, start) = (Bootstrapper::new(path), Instant::now());
            let prepared = bootstrapper.prepare(key);
            println!("expansion on {} {:.0} ms", path.name(), milliseconds(start));
            (path, bootstrapper, prepared)
        })
        .collect();
    let mut theirs = Library::new(keys);
    let mut rows: Vec<(String, Vec<[f64; 2]>)> = Vec::new();
    for round in 0..ROUNDS {
        let mut found =
            vec![("tfhe, one after another".to_owned(), timed(4, || (0..4).for_each(|_| theirs.apply(&inputs[1]))))];
        for (path, bootstrapper, prepared) in &paths {
            for (count, threads) in SHAPES {
                let times = timed(count, || {
                    pools[threads - 1].install(|| bootstrapper.apply(prepared, &table, &inputs[..count]).unwrap());
                });
                found.push((format!("{}, {count} together, {threads} threads", path.name()), times));
            }
            for together in PACKED {
                let times = timed(inputs.len(), || {
                    pools[0].install(|| bootstrapper.pack(prepared, &inputs, together).unwrap());
                });
                found.push((format!("{}, packing {together} in one, 1 threads", path.name()), times));
            }
        }
        if round == 0 {
            rows = found.iter().map(|(name, _)| (name.clone(), Vec::new())).collect();
        }
        rows.iter_mut().zip(found).for_each(|(row, (_, times))| row.1.push(times));
    }
    println!("milliseconds a bootstrap or value, least and median: wall clock, processor");
    for (name, times) in rows {
        let sorted = [0, 1].map(|of| {
            let mut times: Vec<f64> = times.iter().map(|times| times[of]).collect();
            times.sort_by(f64::total_cmp);
            format!("{:8.3} {:8.3}", times[0], times[times.len() / 2])
        });
        println!("{name:36} {}", sorted.join("   "));
    }
}

/// `tfhe`'s key switch and bootstrap with the same keys.
struct Library {
    keyswitch: library::LweKeyswitchKeyOwned<u32>,
    bootstrap: library::FourierLweBootstrapKeyOwned,
    table: library::GlweCiphertextOwned<u64>,
}

impl Library {
    fn new(keys: &LibraryKeys) -> Self {
        let standard = keys.bootstrap.clone().decompress_into_lwe_bootstrap_key();
        let mut bootstrap = library::FourierLweBootstrapKey::new(
            standard.input_lwe_dimension(),
            standard.glwe_size(),
            standard.polynomial_size(),
            standard.decomposition_base_log(),
            standard.decomposition_level_count(),
        );
        library::convert_standard_lwe_bootstrap_key_to_fourier(&standard, &mut bootstrap);
        let size = SET.ring().polynomial_size().0;
        let coefficients = (0..2 * size as u64).map(|at| if at < size as u64 { 0 } else { at << 50 }).collect();
        Self {
            keyswitch: keys.keyswitch.clone().decompress_into_lwe_keyswitch_key(),
            bootstrap,
            table: library::GlweCiphertext::from_container(
                coefficients,
                library::PolynomialSize(size),
                library::CiphertextModulus::new_native(),
            ),
        }
    }

    fn apply(&mut self, input: &LweCiphertext) {
        let both = input.mask.iter().chain([&input.body]).copied().collect::<Vec<_>>();
        let input = library::LweCiphertext::from_container(both, library::CiphertextModulus::new_native());
        let small = self.keyswitch.output_lwe_size();
        let mut switched = library::LweCiphertext::new(0u32, small, library::CiphertextModulus::new_native());
        library::keyswitch_lwe_ciphertext_with_scalar_change(&self.keyswitch, &input, &mut switched);
        let mut output = library::LweCiphertext::new(0u64, input.lwe_size(), library::CiphertextModulus::new_native());
        library::programmable_bootstrap_lwe_ciphertext(&switched, &mut output, &self.table, &self.bootstrap);
        std::hint::black_box(output);
    }
}

/// Values in one ciphertext when their noise is measured.
const TOGETHER: usize = 16;

fn check(client: &mut Client, key: &EvaluationKey, count: usize) {
    let bootstrapper = Bootstrapper::new(CodePath::fastest());
    let prepared = bootstrapper.prepare(key);
    let mut rng = StdRng::seed_from_u64(0xb007);
    let (mut wrong, mut squares, mut packed_squares, mut done) = (0usize, 0f64, 0f64, 0usize);
    while done < count {
        let values: [u8; 16] = core::array::from_fn(|_| rng.random_range(0..16));
        let table = Table::of_four_bits(|bin| values[usize::from(bin)]);
        let bins: Vec<u8> = (0..(count - done).min(256)).map(|_| rng.random_range(0..16)).collect();
        let inputs: Vec<_> = bins.iter().map(|bin| client.encrypt(u64::from(*bin) * Table::BIN_WIDTH)).collect();
        let outputs = bootstrapper.apply(&prepared, &table, &inputs).unwrap();
        for (output, bin) in outputs.iter().zip(&bins) {
            let wanted = u64::from(values[usize::from(*bin)]) * Table::BIN_WIDTH;
            let error = client.phase(output).wrapping_sub(wanted) as i64;
            wrong += usize::from(error.unsigned_abs() >= Table::BIN_WIDTH / 2);
            squares += (error as f64).powi(2);
        }
        let packed = bootstrapper.pack(&prepared, &outputs, TOGETHER).unwrap();
        for (at, bin) in bins.iter().enumerate() {
            let value = LweCiphertext::extract(&packed[at / TOGETHER], at % TOGETHER * 2048 / TOGETHER).unwrap();
            let wanted =
                u64::from(values[usize::from(*bin)]).wrapping_mul(Table::BIN_WIDTH.wrapping_mul(TOGETHER as u64));
            packed_squares += (client.phase(&value).wrapping_sub(wanted) as i64 as f64).powi(2);
        }
        done += bins.len();
    }
    let ratio = squares / done as f64 / SET.output_variance();
    println!("{done} bootstraps, {wrong} wrong entries, variance {ratio:.4} of the proof's");
    let ratio = packed_squares / done as f64 / SET.packed_variance(SET.output_variance(), TOGETHER);
    println!("packed by {TOGETHER}: variance {ratio:.4} of the proof's");
}
