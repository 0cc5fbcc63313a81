//! Names of things on chain. Each is a newtype, so that a job is never passed for a version.

use codec::{Decode, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, MaxEncodedLen, TypeInfo)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// One paid run. Numbered from 1 in order of request; 0 is never a job, so that missing
    /// calldata (which the platform reads as zeros) names nothing.
    JobId(u64)
);
number!(
    /// Many runs under one escrow, named by the number of its first job.
    SessionId(u64)
);
number!(
    /// What a creator lists. Numbered from 1.
    ModelId(u32)
);
number!(
    /// One immutable version of a model. Numbered from 1 over all models.
    VersionId(u32)
);
number!(
    /// Which split of a version: the index into its manifest's list, from 0.
    SplitIndex(u8)
);
number!(
    /// Which release policy of a split: the `id` in its manifest, from 1.
    PolicyId(u8)
);
number!(
    /// Which round of a head in `rounds` mode, from 0.
    RoundIndex(u16)
);
number!(
    /// A block's height.
    BlockNumber(u32)
);
number!(
    /// A length of time in blocks.
    Blocks(u32)
);

impl BlockNumber {
    /// The block `window` later, or `None` past the end of numbers.
    pub fn checked_add(self, window: Blocks) -> Option<Self> {
        self.0.checked_add(window.0).map(Self)
    }
}

/// An account as the contract sees it: 20 bytes, Keccak-256 of the 32-byte account id, its last 20.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, MaxEncodedLen, TypeInfo,
)]
pub struct Address(pub [u8; 20]);

impl Address {
    /// The address of a 32-byte account id (sr25519 or ed25519 public key), as pallet-revive maps it.
    #[cfg(feature = "hash")]
    pub fn of_account(account_id: &[u8; 32]) -> Self {
        let hash = crate::digest::keccak_256(&[account_id]);
        let mut address = [0; 20];
        address.copy_from_slice(&hash[12..]);
        Self(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::digest::write_hex(f, &self.0)
    }
}
