//! A transaction that somebody else pays for: signed by the worker, sent by a relayer.

use crate::{
    bound,
    rollup::{RollupError, RollupTx},
};
use alloc::vec::Vec;
use codec::{Decode, Encode};
use core::fmt;
use encompute_protocol::{BlockNumber, ContractAddress, SigningAddress, blake2b::Blake2b};
use scale_info::TypeInfo;

/// What a worker signs so that anybody may send it. The bytes are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ForwardRequest {
    /// BLAKE2b-256 of the worker's compressed secp256k1 key.
    pub from: [u8; 32],
    /// The anchor, as a 32-byte account: see [`account_of`].
    pub to: [u8; 32],
    /// How many requests of `from` were accepted before.
    pub nonce: u128,
    /// A [`RollupTx`].
    pub data: Vec<u8>,
}

/// Why a request was refused. Nothing has changed then. The first six are upstream's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum ForwardError {
    /// For another contract.
    #[codec(index = 0)]
    InvalidDestination,
    /// Used before, or before its turn.
    #[codec(index = 1)]
    NonceTooLow,
    /// No key made the signature.
    #[codec(index = 2)]
    IncorrectSignature,
    /// Signed by another key than `from` names.
    #[codec(index = 3)]
    PublicKeyNotMatch,
    /// Upstream's, never given here.
    #[codec(index = 4)]
    PublicKeyIncorrect,
    /// What the transaction inside was refused for.
    #[codec(index = 5)]
    RollupAnchorError(RollupError),
    /// Its conditions name no chain, or no end within [`bound::LIFE_LIMIT`].
    #[codec(index = 10)]
    Unbound,
    /// No more requests can be counted.
    #[codec(index = 11)]
    NoncesExhausted,
}

impl From<RollupError> for ForwardError {
    fn from(error: RollupError) -> Self {
        Self::RollupAnchorError(error)
    }
}

impl fmt::Display for ForwardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidDestination => f.write_str("the request is for another contract"),
            Self::NonceTooLow => f.write_str("the request was used before, or is before its turn"),
            Self::IncorrectSignature => f.write_str("no key made the signature"),
            Self::PublicKeyNotMatch | Self::PublicKeyIncorrect => {
                f.write_str("signed by another key than the sender's")
            }
            Self::RollupAnchorError(error) => write!(f, "the transaction inside is refused: {error}"),
            Self::Unbound => f.write_str("the request names no chain, or no end near enough"),
            Self::NoncesExhausted => f.write_str("no more requests of this sender can be counted"),
        }
    }
}

impl core::error::Error for ForwardError {}

/// The platform's recovery of signers.
pub trait Recover {
    /// The address of the key that made `signature` over `digest`; `v` is 27 or 28. Any well-formed signature recovers
    /// some address.
    fn recover(&self, digest: &[u8; 32], signature: &[u8; 65]) -> Option<SigningAddress>;
}

/// A contract as a 32-byte account: the platform's own form for addresses that no key gives.
pub fn account_of(contract: &ContractAddress) -> [u8; 32] {
    let mut account = [0xee; 32];
    account[..20].copy_from_slice(&contract.0);
    account
}

impl ForwardRequest {
    /// What is signed: BLAKE2b-256 of the request's SCALE bytes, upstream's digest.
    pub fn digest(&self) -> [u8; 32] {
        blake2b_256(&self.encode())
    }

    /// Who `key`, compressed, is among senders.
    pub fn sender(key: &[u8; 33]) -> [u8; 32] {
        blake2b_256(key)
    }

    /// Checks destination, nonce and signature: the nonce after, and the transaction inside, bound to a chain and a time.
    /// `signer` is the key whose requests `from` are, `nonce` how many of them were accepted.
    ///
    /// # Errors
    /// [`ForwardError`], by the first check that fails.
    pub fn open<H: Recover>(
        &self,
        host: &H,
        (to, block): (&ContractAddress, BlockNumber),
        (signer, nonce): (Option<SigningAddress>, u128),
        signature: &[u8; 65],
    ) -> Result<(u128, RollupTx), ForwardError> {
        if self.to != account_of(to) {
            return Err(ForwardError::InvalidDestination);
        }
        if self.nonce != nonce {
            return Err(ForwardError::NonceTooLow);
        }
        let next = nonce.checked_add(1).ok_or(ForwardError::NoncesExhausted)?;
        let mut canonical = *signature;
        // Upstream's clients count from 0, Ethereum's from 27.
        canonical[64] = if signature[64] < 27 { signature[64] + 27 } else { signature[64] };
        if !matches!(canonical[64], 27 | 28) {
            return Err(ForwardError::IncorrectSignature);
        }
        let found = host.recover(&self.digest(), &canonical).ok_or(ForwardError::IncorrectSignature)?;
        match signer {
            // Nobody's name: what upstream answers where the role is missing.
            None => return Err(crate::rollup::MAY_NOT.into()),
            Some(signer) if signer != found => return Err(ForwardError::PublicKeyNotMatch),
            Some(_) => {}
        }
        let transaction = RollupTx::from_bytes(&self.data)?;
        if bound::is_bound(&transaction.conditions, block) {
            Ok((next, transaction))
        } else {
            Err(ForwardError::Unbound)
        }
    }
}

/// In software on every host: the platform's own traps when ink! calls it.
fn blake2b_256(bytes: &[u8]) -> [u8; 32] {
    Blake2b::new().finish(bytes).map(|digest| digest.0).expect("a fresh hash ends with any rest; qed")
}
