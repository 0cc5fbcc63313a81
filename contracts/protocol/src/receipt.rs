//! What a worker signs: offers, round receipts, the receipt of a job.
//!
//! Each is signed over Keccak-256(tag ‖ SCALE(value)) with the worker's registered secp256k1 key.
//! Tags keep one statement from being read as another; genesis and contract keep it on one chain.

use crate::{
    Address, BlobDigest, BlockNumber, Bytes, ContractAddress, GenesisHash, HeadDigest, JobId, MeasurementId, Nonce,
    PolicyId, RoundIndex, RoundReceiptDigest, SplitIndex, TailDigest, VersionHash, VersionId,
    wire::{self, DecodeError, Message},
};
use alloc::vec::Vec;
use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// A recoverable secp256k1 signature over a Keccak-256 digest: `r ‖ s ‖ v`, `v` 27 or 28.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Signature(pub [u8; 65]);

/// What tag and value of most statements take at most. Bytes that are moved as their list grows are weighed by a chain: with
/// room for them from the start a contract checks a receipt in nine tenths of the time.
const STATEMENT_BYTES: usize = 512;

/// What is signed: a tag and a value.
pub trait Signed: Encode {
    /// Domain of the signature; no two kinds of value share one.
    const TAG: &'static [u8];

    /// The bytes whose Keccak-256 is signed.
    fn preimage(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(STATEMENT_BYTES);
        bytes.extend_from_slice(Self::TAG);
        self.encode_to(&mut bytes);
        bytes
    }

    /// Keccak-256 of [`Signed::preimage`].
    #[cfg(feature = "hash")]
    fn digest(&self) -> [u8; 32] {
        crate::digest::keccak_256(&[&self.preimage()])
    }
}

/// A worker's promise to run one input, good until a block. It lets a request be claimed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Offer {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// Who promises.
    pub worker: Address,
    /// To whom.
    pub user: Address,
    /// The version to run.
    pub version: VersionId,
    /// Its split.
    pub split: SplitIndex,
    /// The request blob.
    pub input: BlobDigest,
    /// First block at which the offer no longer holds.
    pub expires_at: BlockNumber,
    /// True where the worker has the job's FHE key in custody, and will act for its user.
    pub custody: bool,
}

impl Signed for Offer {
    const TAG: &'static [u8] = b"encompute/offer/v2";
}

/// The worker's statement of what it ran, on what, giving what: every field is a fact on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Receipt {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The job.
    pub job: JobId,
    /// The version that was bought.
    pub version: VersionId,
    /// Hash of its manifest.
    pub manifest: VersionHash,
    /// Which split.
    pub split: SplitIndex,
    /// The head that was run: plan, weights, parameter set.
    pub head: HeadDigest,
    /// The request blob.
    pub input: BlobDigest,
    /// Zero: an evaluation key is named by the request, and so by `input`.
    pub evaluation_key: BlobDigest,
    /// The transcript blob: every round's signed receipt.
    pub output: BlobDigest,
    /// The rest of the model, to which the features go.
    pub tail: TailDigest,
    /// The worker's account.
    pub worker: Address,
    /// Its attested code.
    pub measurement: MeasurementId,
    /// The nonce of its registration.
    pub registration_nonce: Nonce,
    /// Block of the claim.
    pub claimed_at: BlockNumber,
    /// Block in which the work was finished, between the claim and the commitment.
    pub finished_at: BlockNumber,
    /// First block at which the registration no longer holds.
    pub expires_at: BlockNumber,
    /// True where the worker had the job's FHE key in custody, and so could decrypt what it ran on.
    pub custody: bool,
}

impl Signed for Receipt {
    const TAG: &'static [u8] = b"encompute/job-receipt/v2";
}

/// The worker's statement for one round, chained to the one before. Where the plan cuts a round into segments, each
/// segment has a receipt of its own, and receipts count segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct RoundReceipt {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The job.
    pub job: JobId,
    /// Which round, or segment.
    pub round: RoundIndex,
    /// The head that is run.
    pub head: HeadDigest,
    /// Digest of the round's encrypted tensor; of a segment behind a round's first, the `response` of the one before.
    pub request: BlobDigest,
    /// Digest of the round's encrypted features; of a segment before a round's last, of the sealed ciphertexts that the
    /// next goes on from.
    pub response: BlobDigest,
    /// Digest of the receipt of the round before; zero for the first.
    pub previous: RoundReceiptDigest,
    /// The nonce of the worker's registration.
    pub registration_nonce: Nonce,
}

impl Signed for RoundReceipt {
    const TAG: &'static [u8] = b"encompute/round-receipt/v1";
}

#[cfg(feature = "hash")]
impl RoundReceipt {
    /// What the next round's receipt names as `previous`.
    pub fn link(&self) -> RoundReceiptDigest {
        RoundReceiptDigest(self.digest())
    }
}

/// Every round of a job with the worker's signatures. Its blob digest is the receipt's `output`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Transcript {
    /// Rounds in order, each signed; at most [`Transcript::ROUNDS_LIMIT`].
    pub rounds: Vec<(RoundReceipt, Signature)>,
}

impl Transcript {
    /// Most rounds of a job.
    pub const ROUNDS_LIMIT: u32 = 1_024;
}

impl Message for Transcript {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 512 * 1024;

    fn check_counts(mut value: &[u8]) -> Result<(), DecodeError> {
        wire::count(&mut value, "rounds", Self::ROUNDS_LIMIT).map(drop)
    }
}

/// What the client sends for a round after the first, signed with the job's session key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct RoundOrder {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The job.
    pub job: JobId,
    /// Which round.
    pub round: RoundIndex,
    /// Digest of the encrypted tensor sent with it; or without one, what the segment before gave.
    pub request: BlobDigest,
    /// Receipt of the round before, which the client has verified.
    pub previous: RoundReceiptDigest,
}

impl Signed for RoundOrder {
    const TAG: &'static [u8] = b"encompute/round-order/v1";
}

/// Body of `POST /v1/jobs/{job}/rounds/{round}`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RoundCall {
    /// What is asked.
    pub order: RoundOrder,
    /// By the session key that the job's request names.
    pub signature: Signature,
    /// The encrypted tensor; empty for a segment that goes on from what the one before gave.
    pub request: Vec<u8>,
}

impl Message for RoundCall {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 64 * 1024 * 1024;
}

/// Body of the answer to a round, and of `GET /v1/jobs/{job}/rounds/{round}`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RoundAnswer {
    /// What was run.
    pub receipt: RoundReceipt,
    /// By the worker's registered key.
    pub signature: Signature,
    /// The encrypted features, or sealed ciphertexts that the next segment goes on from.
    pub response: Vec<u8>,
}

impl Message for RoundAnswer {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 64 * 1024 * 1024;
}

/// Body of `POST /v1/offers`: who asks for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OfferCall {
    /// Who will pay.
    pub user: Address,
    /// The version to run.
    pub version: VersionId,
    /// Its split.
    pub split: SplitIndex,
    /// The release policy, for the worker's record only.
    pub policy: PolicyId,
    /// The request blob, already in the store.
    pub input: BlobDigest,
}

impl Message for OfferCall {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 256;
}

/// Most bytes of an envelope with a job's FHE key: four times what one of the largest parameter set takes.
pub const CUSTODY_LIMIT_BYTES: u32 = 128 * 1024;

/// Body of `POST /v1/custody`: an [`OfferCall`] of a user who wants to be away, with the key of the job.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CustodyCall {
    /// What is asked for.
    pub call: OfferCall,
    /// The job's secrets, sealed to the worker's attested key.
    pub envelope: Bytes<CUSTODY_LIMIT_BYTES>,
}

impl Message for CustodyCall {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = CUSTODY_LIMIT_BYTES as usize + 512;
}

/// Body of the answer to [`OfferCall`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct SignedOffer {
    /// The promise.
    pub offer: Offer,
    /// By the worker's registered key.
    pub signature: Signature,
}

impl Message for SignedOffer {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 512;
}
