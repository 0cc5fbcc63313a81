//! What the contract is told and says: calldata by selector, events by their first topic.
#![no_main]

use encompute_protocol::call::{Call, CommitHead, RegisterWorker, RequestJob, SendFeatures};
use encompute_protocol::event::{SIGNATURES, decode_emitted, signature_topic};
use encompute_protocol::wire::decode_exact;
use libfuzzer_sys::fuzz_target;

fn same<C: Call + encompute_fuzz::Decode>(bytes: &[u8]) {
    if let Ok(call) = decode_exact::<C>(bytes, 4_096) {
        assert_eq!(&call.calldata()[4..], bytes);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind {
        0 => same::<RequestJob>(bytes),
        1 => same::<CommitHead>(bytes),
        2 => same::<RegisterWorker>(bytes),
        3 => same::<SendFeatures>(bytes),
        other => {
            let (name, _) = SIGNATURES[usize::from(*other) % SIGNATURES.len()];
            let topic = signature_topic(name).expect("the name is in the list; qed");
            if let Some(event) = decode_emitted(&[topic], bytes) {
                assert_eq!(event.data(), bytes);
            }
        }
    }
});
