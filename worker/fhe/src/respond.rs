//! From products to a response: switch the modulus, keep the wanted bodies, pack.

use crate::expand::Ciphertext;
use crate::layout::OutputLayout;
use crate::message::EncryptedFeatures;
use crate::packing::{Packer, packed_len};
use crate::params::ResponseBits;
use crate::ring::RingError;

/// The response that holds `products`, one per piece of the layout, at `response_bits`.
///
/// # Errors
/// [`RingError::ProductCount`] if there is not exactly one product per piece.
pub fn respond(
    products: &[Ciphertext],
    layout: &OutputLayout,
    response_bits: ResponseBits,
) -> Result<EncryptedFeatures, RingError> {
    if products.len() != layout.pieces().len() {
        return Err(RingError::ProductCount { found: products.len(), wanted: layout.pieces().len() });
    }
    let (drop_bits, size) = (64 - u32::from(response_bits.0), layout.parameter_set().polynomial_size().0);
    let switch = |value: u64| value.wrapping_add(1 << (drop_bits - 1)) >> drop_bits;
    let counts = layout.pieces().iter().map(Vec::len);
    let mut packed = Vec::with_capacity(counts.clone().map(|count| packed_len(size + count, response_bits.0)).sum());
    for (product, wanted) in products.iter().zip(layout.pieces()) {
        let mut packer = Packer::new(&mut packed, response_bits.0);
        product.mask.iter().for_each(|value| packer.push(switch(*value)));
        wanted.iter().for_each(|body| packer.push(switch(product.body[usize::from(body.coefficient)])));
        packer.finish();
    }
    let counts = counts.map(|count| count as u16).collect();
    Ok(EncryptedFeatures::from_packed(layout.parameter_set(), response_bits, counts, packed))
}
