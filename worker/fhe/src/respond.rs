//! From products to a response: switch the modulus, keep the wanted bodies, pack.

use crate::expand::Ciphertext;
use crate::layout::OutputLayout;
use crate::message::{EncryptedFeatures, Piece};
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
    let drop_bits = 64 - u32::from(response_bits.0);
    let switch = |value: u64| value.wrapping_add(1 << (drop_bits - 1)) >> drop_bits;
    let pieces: Vec<Piece> = products
        .iter()
        .zip(layout.pieces())
        .map(|(product, wanted)| Piece {
            mask: product.mask.iter().map(|value| switch(*value)).collect(),
            bodies: wanted.iter().map(|body| switch(product.body[usize::from(body.coefficient)])).collect(),
        })
        .collect();
    Ok(EncryptedFeatures::from_pieces(layout.parameter_set(), response_bits, &pieces))
}
