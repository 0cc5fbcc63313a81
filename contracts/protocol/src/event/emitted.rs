//! Events as a chain emits them, known by their first topic.

use super::{Event, SIGNATURES};
use crate::digest::blake2b_256;

/// The first topic of the event called `name`; `None` for a name that is not known.
pub fn signature_topic(name: &str) -> Option<[u8; 32]> {
    SIGNATURES.iter().find(|(known, _)| *known == name).map(|(_, text)| blake2b_256(text.as_bytes()))
}

/// The event whose first topic is `topics[0]`, from its data; `None` for a topic that is not known or
/// data that is not that event's encoding.
pub fn decode_emitted(topics: &[[u8; 32]], data: &[u8]) -> Option<Event> {
    let topic = topics.first()?;
    let (name, _) = SIGNATURES.iter().find(|(_, text)| blake2b_256(text.as_bytes()) == *topic)?;
    Event::decode(name, data)
}
