//! STREAM over ChaCha20-Poly1305: chunks that cannot be cut, extended or reordered.

use crate::seal::{OpenError, SealError};
use chacha20poly1305::aead::stream::{DecryptorBE32, EncryptorBE32};
use chacha20poly1305::{ChaCha20Poly1305, Key};
use zeroize::Zeroizing;

/// Plaintext bytes per chunk, the last one excepted.
pub const CHUNK_BYTES: usize = 64 * 1024;

pub(crate) const TAG_BYTES: usize = 16;

/// Every key encrypts one message, so its nonces may start anywhere.
const NONCE: [u8; 7] = [0; 7];

/// Bytes that the chunks of a plaintext have together.
pub(crate) fn sealed_bytes(plaintext_bytes: usize) -> usize {
    plaintext_bytes + count(plaintext_bytes) * TAG_BYTES
}

/// Appends the chunks of `plaintext` to `bytes`. `key` must never encrypt anything else.
pub(crate) fn encrypt(key: &[u8; 32], plaintext: &[u8], bytes: &mut Vec<u8>) -> Result<(), SealError> {
    let mut stream = EncryptorBE32::<ChaCha20Poly1305>::new(Key::from_slice(key), &NONCE.into());
    let (chunks, last) = plaintext.split_at((count(plaintext.len()) - 1) * CHUNK_BYTES);
    for chunk in chunks.chunks(CHUNK_BYTES) {
        bytes.extend(stream.encrypt_next(chunk).map_err(|_| SealError::Chunk)?);
    }
    bytes.extend(stream.encrypt_last(last).map_err(|_| SealError::Chunk)?);
    Ok(())
}

/// The plaintext of chunks whose length is [`sealed_bytes`] of `plaintext_bytes`.
pub(crate) fn decrypt(key: &[u8; 32], chunks: &[u8], plaintext_bytes: usize) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let mut stream = DecryptorBE32::<ChaCha20Poly1305>::new(Key::from_slice(key), &NONCE.into());
    let mut plaintext = Zeroizing::new(Vec::with_capacity(plaintext_bytes));
    let last_at = count(plaintext_bytes) - 1;
    let (chunks, last) = chunks.split_at(last_at * (CHUNK_BYTES + TAG_BYTES));
    for (index, chunk) in chunks.chunks(CHUNK_BYTES + TAG_BYTES).enumerate() {
        let opened = stream.decrypt_next(chunk).map(Zeroizing::new).map_err(|_| OpenError::Chunk { index })?;
        plaintext.extend_from_slice(&opened);
    }
    let opened = stream.decrypt_last(last).map(Zeroizing::new).map_err(|_| OpenError::Chunk { index: last_at })?;
    plaintext.extend_from_slice(&opened);
    Ok(plaintext)
}

/// An empty plaintext has one empty chunk, so that its end is authenticated too.
fn count(plaintext_bytes: usize) -> usize {
    plaintext_bytes.div_ceil(CHUNK_BYTES).max(1)
}
