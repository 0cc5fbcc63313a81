//! Users' pictures, read as the digits model reads them.
#![no_main]

use encompute_model::Preamble;
use encompute_model::preamble::{Fit, ImagePreamble};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let preamble = Preamble::Image(ImagePreamble {
        channels: 1,
        height: 28,
        width: 28,
        fit: Fit::InkCentred { box_pixels: 20 },
        scale_numerator: 1,
        scale_denominator: 255,
    });
    if let Ok(tensor) = preamble.read(data) {
        assert_eq!(tensor.values().len(), 28 * 28);
    }
});
