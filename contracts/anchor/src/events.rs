//! What an anchor tells: upstream's three events.

use ink::prelude::vec::Vec;

/// A message is at the end of the queue.
#[ink::event]
pub struct MessageQueued {
    /// Its number.
    pub id: u32,
    /// The message.
    pub data: Vec<u8>,
}

/// The queue begins at another message now.
#[ink::event]
pub struct MessageProcessedTo {
    /// Its number.
    pub id: u32,
}

/// A request that was forwarded is about to be executed.
#[ink::event]
pub struct MetaTxDecoded {}
