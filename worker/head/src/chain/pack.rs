//! Values of a chain as ciphertexts of a response.

use encompute_fhe::{BootstrapSet, Ciphertext, LweCiphertext};

/// Whether so many values can share a ciphertext.
pub(crate) const MOST_TOGETHER: u8 = 1;

/// One value to a ciphertext: coefficient 0 is what is extracted from there.
pub(crate) fn pack(values: &[LweCiphertext]) -> Vec<Ciphertext> {
    let pack = |value: &LweCiphertext| {
        let mut mask = value.mask.clone();
        if let [_, rest @ ..] = mask.as_mut_slice() {
            rest.reverse();
            rest.iter_mut().for_each(|word| *word = word.wrapping_neg());
        }
        let mut body = vec![0; mask.len()];
        body[0] = value.body;
        Ciphertext { mask, body }
    };
    values.iter().map(pack).collect()
}

/// Variance of the noise of a packed value.
pub(crate) fn packed_variance(_set: BootstrapSet, input_variance: f64, _together: u8) -> f64 {
    input_variance
}
