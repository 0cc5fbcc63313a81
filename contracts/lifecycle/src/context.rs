//! What a command is told about its call, and what it asks of the platform.

use encompute_protocol::{
    Address, BlockNumber, ContractAddress, GenesisHash, Plancks, Signature, Signed, SigningAddress,
    quote::{P256Key, P256Signature},
};

/// One call, as the platform reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Who calls.
    pub caller: Address,
    /// The block that executes the call.
    pub block: BlockNumber,
    /// Money sent along, in native plancks. A shell whose platform counts finer refuses a remainder
    /// before it comes here.
    pub value: Plancks,
    /// The chain's first block.
    pub genesis: GenesisHash,
    /// The contract's own address.
    pub contract: ContractAddress,
    /// Something of this block that nobody could know long before, for registration nonces: the hash
    /// of the block before, or its time. Zeros are safe but let a quote be prepared early.
    pub entropy: [u8; 32],
}

/// Cryptography of the platform.
pub trait Host {
    /// Keccak-256 of `bytes`.
    fn keccak_256(&self, bytes: &[u8]) -> [u8; 32];

    /// The signer of `digest`, if `signature` is one at all. Called only with signatures that
    /// [`is_canonical`] accepts; any well-formed signature recovers *some* address.
    fn recover(&self, digest: &[u8; 32], signature: &Signature) -> Option<SigningAddress>;

    /// Hash of a block before this one; `None` once the platform has forgotten it, after some 256 blocks.
    fn block_hash(&self, block: BlockNumber) -> Option<[u8; 32]>;

    /// SHA-256 of `bytes`; none where the platform gives no answer, which must not pass for one.
    fn sha_256(&self, bytes: &[u8]) -> Option<[u8; 32]>;

    /// True only if the platform says that `key` made `signature` over `digest`, on P-256.
    fn p256_verify(&self, digest: &[u8; 32], signature: &P256Signature, key: &P256Key) -> bool;
}

/// Half the order of secp256k1, big-endian.
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e,
    0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// True for the one form of a signature that is accepted: low `s`, `v` 27 or 28. Platforms differ on
/// the other forms; refusing them here makes every host agree.
pub fn is_canonical(signature: &Signature) -> bool {
    let (s, v) = (&signature.0[32..64], signature.0[64]);
    matches!(v, 27 | 28) && s <= HALF_ORDER.as_slice()
}

/// The signer of `statement`, if the signature is canonical and recovers.
pub fn signer_of<H: Host, S: Signed>(host: &H, statement: &S, signature: &Signature) -> Option<SigningAddress> {
    if !is_canonical(signature) {
        return None;
    }
    host.recover(&host.keccak_256(&statement.preimage()), signature)
}
