//! Envelopes, addressed to us so that more than the address is read; an odd first byte is followed by a bulk one.
#![no_main]

use encompute_envelope::{ContentKey, Context, RecipientPublic, RecipientSecret, Subject, open, unlock};
use encompute_protocol::{ContractAddress, GenesisHash, JobId};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const LIMIT: usize = 1 << 20;
static OURS: LazyLock<RecipientSecret> = LazyLock::new(|| RecipientSecret::from_seed(&[7; 32]));

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    let _ = RecipientPublic::from_bytes(bytes);
    if kind % 2 == 1 {
        // Nobody has the key's tag right: nothing may open.
        assert!(unlock(&ContentKey::from_bytes([9; 32]), bytes, LIMIT).is_err());
        return;
    }
    let mut envelope = bytes.to_vec();
    if let Some(recipient) = envelope.get_mut(1..33) {
        recipient.copy_from_slice(&OURS.public().digest().0);
    }
    let subject = Subject::Features { job: JobId(7) };
    let context = Context { genesis: GenesisHash([1; 32]), contract: ContractAddress([2; 20]), subject };
    assert!(open(&OURS, &context, &envelope, LIMIT).is_err());
});
