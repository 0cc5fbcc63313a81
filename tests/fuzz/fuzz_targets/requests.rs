//! Messages that users and workers send: the first byte picks one, the rest is its bytes.
#![no_main]

use encompute_fuzz::canonical;
use encompute_protocol::manifest::{JobRequest, JobResult, ReleasedFeatures};
use encompute_protocol::receipt::{OfferCall, RoundCall};
use encompute_protocol::{HeadKeyAnswer, HeadKeyCall};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 7 {
        0 => canonical::<JobRequest>(bytes),
        1 => canonical::<OfferCall>(bytes),
        2 => canonical::<RoundCall>(bytes),
        3 => canonical::<ReleasedFeatures>(bytes),
        4 => canonical::<JobResult>(bytes),
        5 => canonical::<HeadKeyCall>(bytes),
        _ => canonical::<HeadKeyAnswer>(bytes),
    }
});
