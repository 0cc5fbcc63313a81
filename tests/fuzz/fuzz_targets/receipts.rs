//! What workers sign: the first byte picks a message, the rest is its bytes.
#![no_main]

use encompute_fuzz::canonical;
use encompute_protocol::receipt::{RoundAnswer, SignedOffer, Transcript};
use encompute_protocol::wire::{Message, decode_exact, encode};
use encompute_protocol::{Receipt, SigningAddress};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 4 {
        0 => {
            canonical::<Transcript>(bytes);
            // A signature is recovered from whatever it is: refused, never a panic.
            if let Ok(transcript) = Transcript::from_wire(bytes) {
                for (receipt, signature) in transcript.rounds.iter().take(1) {
                    assert!(!signature.is_by(&SigningAddress([0; 20]), receipt));
                }
            }
        }
        1 => canonical::<RoundAnswer>(bytes),
        2 => canonical::<SignedOffer>(bytes),
        _ => {
            if let Ok(receipt) = decode_exact::<Receipt>(bytes, 4_096) {
                assert_eq!(encode(&receipt), bytes);
            }
        }
    }
});
