//! Manifests of versions, and the plans and preambles inside them.
#![no_main]

use encompute_fuzz::canonical;
use encompute_head::HeadPlan;
use encompute_model::Preamble;
use encompute_protocol::VersionManifest;
use encompute_protocol::wire::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    canonical::<VersionManifest>(data);
    if let Ok(manifest) = VersionManifest::from_wire(data) {
        let _ = Preamble::from_wire(manifest.preamble.as_slice());
        for split in &manifest.splits {
            let _ = HeadPlan::from_bytes(split.plan.as_slice());
        }
    }
});
