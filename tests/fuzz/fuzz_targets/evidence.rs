//! Evidence of workers: an even first byte is followed by a registration's, an odd one by a head key request's.
#![no_main]

use encompute_attest::{Collateral, HeadKeyEvidence, RegistrationEvidence, unverified_measurement};
use encompute_fuzz::canonical;
use encompute_protocol::wire::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    if kind % 2 == 1 {
        return canonical::<HeadKeyEvidence>(bytes);
    }
    canonical::<RegistrationEvidence>(bytes);
    if let Ok(evidence) = RegistrationEvidence::from_wire(bytes) {
        let _ = unverified_measurement(evidence.quote.as_slice());
        let _ = Collateral::from_json(evidence.collateral.as_slice());
        let _ = evidence.expected_report_data();
    }
});
