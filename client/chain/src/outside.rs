//! Wallets outside of this program: they keep the key, and show their owner what is to be signed.

use crate::account_id::AccountId;
use core::{future::Future, pin::Pin};
use encompute_protocol::{BlockNumber, GenesisHash};

/// A transaction that waits for a signature, in the pieces that wallets show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsigned {
    /// Who is to sign.
    pub account: AccountId,
    /// The call, encoded.
    pub call: Vec<u8>,
    /// In which blocks it may be, encoded.
    pub era: [u8; 2],
    /// The block that the era begins with.
    pub block: BlockNumber,
    /// That block's hash.
    pub block_hash: [u8; 32],
    /// The chain.
    pub genesis: GenesisHash,
    /// Which transaction of the account it is.
    pub number: u64,
    /// Version of the runtime.
    pub spec_version: u32,
    /// Version of its transactions.
    pub transaction_version: u32,
    /// What else is signed, by the chain's names, in order.
    pub extensions: Vec<String>,
}

/// A transaction that was not signed, in the wallet's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declined(pub String);

/// What a wallet answers: an sr25519 signature.
pub type Signing = Pin<Box<dyn Future<Output = Result<[u8; 64], Declined>> + Send>>;

/// A wallet.
pub trait Wallet: Send + Sync {
    /// Asks the owner, for as long as the owner takes.
    fn sign(&self, transaction: Unsigned) -> Signing;
}

/// A transaction's life of `blocks`, a power of two from 4 to 4,096, from `birth` on, as transactions encode it.
/// Longer lives are counted in steps of more than one block, for which `birth` would have to be rounded.
pub(crate) fn era(blocks: u64, birth: BlockNumber) -> [u8; 2] {
    let log2 = blocks.trailing_zeros().saturating_sub(1).clamp(1, 11) as u16;
    let phase = (u64::from(birth.0) % blocks.max(1)) as u16;
    (log2 | phase << 4).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use subxt::{ext::codec::Encode, utils::Era};

    #[test]
    fn eras_are_encoded_as_transactions_have_them() {
        for (blocks, birth) in [(4_096, 0), (4_096, 4_097), (4_096, 123_456), (64, 77), (4, 3)] {
            let wanted = Era::mortal(blocks, birth).encode();
            assert_eq!(era(blocks, BlockNumber(birth as u32)).as_slice(), wanted, "{blocks} blocks from {birth}");
        }
    }
}
