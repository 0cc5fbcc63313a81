//! Collateral, for a published quote under Intel's root.
#![no_main]

use encompute_attest::{Collateral, TrustRoot, UnixSeconds, authenticate};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const QUOTE: &[u8] = include_bytes!("../../../worker/attest/tests/vectors/intel/tdx_quote");
static INTEL: LazyLock<TrustRoot> = LazyLock::new(TrustRoot::intel);

fuzz_target!(|data: &[u8]| {
    if let Ok(collateral) = Collateral::from_json(data) {
        let _ = authenticate(QUOTE, &collateral, &INTEL, UnixSeconds(1_750_000_000));
        let _ = TrustRoot::development(data.to_vec());
    }
});
