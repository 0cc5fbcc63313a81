//! What a quote's report data commits to.
//!
//! Report data is 64 bytes: Keccak-256(tag ‖ SCALE(statement)) in the first half, the verifier's nonce in
//! the second.

#[cfg(feature = "hash")]
use crate::Nonce;
use crate::{
    Address, BlockNumber, ContractAddress, GenesisHash, KeyDigest, Signed, SigningAddress, SplitIndex, VersionHash,
    VersionId,
};
use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Which kind of enclave answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum TeeKind {
    /// Intel TDX.
    #[codec(index = 0)]
    Tdx,
    /// Intel SGX.
    #[codec(index = 1)]
    Sgx,
}

/// What a worker registers: the quote binds it, and the worker's own key signs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct RegistrationStatement {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The account that registers.
    pub account: Address,
    /// Signs offers and receipts.
    pub signing: SigningAddress,
    /// Receives sealed head keys.
    pub hpke: KeyDigest,
    /// Is credited.
    pub payout: Address,
    /// Which kind of enclave.
    pub tee: TeeKind,
    /// First block at which the registration no longer holds.
    pub expires_at: BlockNumber,
}

impl Signed for RegistrationStatement {
    const TAG: &'static [u8] = b"encompute/worker-registration/v1";
}

/// What a worker says when it asks a creator for a head's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct HeadKeyStatement {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The worker's account.
    pub account: Address,
    /// Its signing key.
    pub signing: SigningAddress,
    /// To which the key is to be sealed.
    pub hpke: KeyDigest,
    /// The version.
    pub version: VersionId,
    /// Hash of its manifest.
    pub manifest: VersionHash,
    /// Which split's head.
    pub split: SplitIndex,
}

impl Signed for HeadKeyStatement {
    const TAG: &'static [u8] = b"encompute/head-key-request/v1";
}

/// The 64 bytes that a quote must carry for a statement and a nonce.
#[cfg(feature = "hash")]
pub fn report_data<S: Signed>(statement: &S, nonce: &Nonce) -> [u8; 64] {
    let mut data = [0; 64];
    data[..32].copy_from_slice(&statement.digest());
    data[32..].copy_from_slice(&nonce.0);
    data
}
