//! Preambles out of other people's manifests.
#![no_main]

use encompute_fuzz::canonical;
use encompute_model::Preamble;
use encompute_protocol::wire::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    canonical::<Preamble>(data);
    if let Ok(preamble) = Preamble::from_wire(data)
        && preamble.is_sound()
    {
        let values: usize = preamble.shape().iter().product();
        assert_eq!(preamble.grid().step.len(), values);
        let _ = preamble.read(b"1,2,3\n");
    }
});
