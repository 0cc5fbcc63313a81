//! The parts of a head that are answered, signed and gone on from one by one.

use codec::{Decode, Encode};
use encompute_fhe::BootstrapSet;
use encompute_protocol::wire::DecodeError;

use crate::plan::RoundIndex;

/// What a worker answers, and signs a receipt for, at one time: a round, or where its chain is cut one segment of it.
/// Receipts count these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The round of the plan.
    pub round: RoundIndex,
    /// Which segment of the round, from 0.
    pub index: u8,
    /// How many the round has.
    pub count: u8,
}

impl Segment {
    /// True for a segment that begins with a request of the client's; others go on from what the one before gave.
    pub fn is_first(self) -> bool {
        self.index == 0
    }

    /// True for a segment that gives the round's response; others give what the next goes on from.
    pub fn is_last(self) -> bool {
        self.index + 1 == self.count
    }
}

/// Ciphertexts between two segments: whoever has the head and the user's evaluation key goes on from them, on whatever
/// machine, and gives the same bits.
///
/// Nobody is given them who has the user's key: she would read the sums of the head's layers, which bootstraps are
/// there to hide, and in their masks the weights. What is sent is sealed for those who have the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentState {
    set: BootstrapSet,
    put_aside: Vec<u8>,
}

impl SegmentState {
    /// Most bytes of a state.
    pub const LIMIT_BYTES: usize = crate::Chain::STATE_LIMIT_BYTES + Self::HEADER_BYTES;
    const VERSION: u8 = 1;
    /// Version and set.
    pub(crate) const HEADER_BYTES: usize = 2;

    pub(crate) fn new(set: BootstrapSet, put_aside: Vec<u8>) -> Self {
        Self { set, put_aside }
    }

    /// The state in `bytes`. Whether it is of the length that a segment goes on from is found out when it is taken up.
    ///
    /// # Errors
    /// [`DecodeError`]: too long, of another version, or of no set that is known.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let value = crate::weights::versioned(bytes, Self::VERSION, Self::LIMIT_BYTES)?;
        let mut rest = value;
        let set = BootstrapSet::decode(&mut rest).map_err(|_| DecodeError::Malformed)?;
        Ok(Self { set, put_aside: rest.to_vec() })
    }

    /// The state's bytes: version, set, and what was put aside, tensor after tensor: of one that the next lookup alone
    /// reads twelve bits for each coefficient of the small key and for the body, value after value; of another 24 bits
    /// for each coefficient of the large one and for the body. Each tensor is filled up to whole bytes with zeros.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::HEADER_BYTES + self.put_aside.len());
        bytes.push(Self::VERSION);
        self.set.encode_to(&mut bytes);
        bytes.extend_from_slice(&self.put_aside);
        bytes
    }

    /// The set that it is under.
    pub fn set(&self) -> BootstrapSet {
        self.set
    }

    pub(crate) fn put_aside(&self) -> &[u8] {
        &self.put_aside
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_its_bytes_and_others_are_refused() {
        let state = SegmentState::new(BootstrapSet::ToyV1, vec![1, 2, 3]);
        let bytes = state.to_bytes();
        assert_eq!(SegmentState::from_bytes(&bytes), Ok(state));
        assert_eq!(SegmentState::from_bytes(&[]), Err(DecodeError::Malformed));
        assert_eq!(SegmentState::from_bytes(&bytes[..1]), Err(DecodeError::Malformed));
        let other = [&[2], &bytes[1..]].concat();
        assert_eq!(SegmentState::from_bytes(&other), Err(DecodeError::Version { found: 2, known: 1 }));
        let unknown = [&bytes[..1], &[77], &bytes[2..]].concat();
        assert_eq!(SegmentState::from_bytes(&unknown), Err(DecodeError::Malformed));
        let (found, limit) = (SegmentState::LIMIT_BYTES + 1, SegmentState::LIMIT_BYTES);
        assert_eq!(SegmentState::from_bytes(&vec![1; found]), Err(DecodeError::TooLong { found, limit }));
    }
}
