//! What the targets share: a message that is accepted is exactly its own encoding, so that nobody can say one thing in
//! two ways that have two digests.

pub use codec::Decode;
use encompute_protocol::wire::Message;

/// Decodes `bytes`; if they are a message, they are its only encoding.
///
/// # Panics
/// If two byte strings stand for one message.
pub fn canonical<M: Message>(bytes: &[u8]) {
    if let Ok(message) = M::from_wire(bytes) {
        assert_eq!(message.to_wire(), bytes, "a second encoding of one message");
    }
}
