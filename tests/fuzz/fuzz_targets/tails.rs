//! Tails, as the creator's service loads and runs them.
#![no_main]

use encompute_model::{TailLimits, TailModel};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = TailLimits { width: 64, ..TailLimits::default() };
    if let Ok(tail) = TailModel::load(data, limits) {
        let _ = tail.run(&vec![0.5; tail.width()]);
    }
});
