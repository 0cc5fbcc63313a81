//! Network files, and the amounts that people write.
#![no_main]

use encompute_networks::{Network, format_amount, parse_amount};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let _ = Network::parse(text, Path::new("no-such-folder/fuzz.toml"));
    for decimals in [0, 6, 18] {
        if let Ok(amount) = parse_amount(text, decimals) {
            let again = parse_amount(&format_amount(amount, decimals), decimals);
            assert_eq!(again.ok(), Some(amount));
        }
    }
});
