//! Quotes, judged under Intel's root with the published collateral of one.
#![no_main]

use encompute_attest::{
    Collateral, TrustRoot, UnixSeconds, authenticate, quote_identity, unverified_measurement, unverified_report_data,
};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static COLLATERAL: LazyLock<Collateral> = LazyLock::new(|| {
    Collateral::from_json(include_bytes!("../../../worker/attest/tests/vectors/intel/tdx_quote_collateral.json"))
        .expect("a published vector; qed")
});
static INTEL: LazyLock<TrustRoot> = LazyLock::new(TrustRoot::intel);

fuzz_target!(|data: &[u8]| {
    let _ = unverified_measurement(data);
    let _ = unverified_report_data(data);
    let _ = quote_identity(data);
    let _ = authenticate(data, &COLLATERAL, &INTEL, UnixSeconds(1_750_000_000));
});
