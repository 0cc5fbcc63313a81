//! Users' table rows, read as the breast-cancer model reads them.
#![no_main]

use encompute_model::Preamble;
use encompute_protocol::VersionManifest;
use encompute_protocol::wire::Message;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static PREAMBLE: LazyLock<Preamble> = LazyLock::new(|| {
    let manifest =
        VersionManifest::from_wire(include_bytes!("../corpus/manifests/breast-cancer")).expect("a seed; qed");
    Preamble::from_wire(manifest.preamble.as_slice()).expect("a seed; qed")
});

fuzz_target!(|data: &[u8]| {
    if let Ok(tensor) = PREAMBLE.read(data) {
        assert_eq!(tensor.values().len(), 30);
    }
});
