//! What user, worker and creator say to each other about the jobs of a session, over HTTP.

use super::{SessionLeaf, SignedSessionOffer, SignedVoucher};
use crate::{
    Address, BlobDigest, Blocks, ContractAddress, GenesisHash, JobId, PolicyId, Receipt, ReceiptDigest, SessionId,
    Signature, Signed, SigningAddress, SplitIndex, VersionId, wire::Message,
};
use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Body of `POST /v1/sessions` to a worker; the answer is a [`SignedSessionOffer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SessionCall {
    /// Who will pay.
    pub user: Address,
    /// The version to run.
    pub version: VersionId,
    /// Its split.
    pub split: SplitIndex,
    /// The release policy, for the worker's record only.
    pub policy: PolicyId,
    /// Will sign vouchers.
    pub key: SigningAddress,
    /// How many jobs at most.
    pub jobs: u32,
    /// How long at most.
    pub length: Blocks,
}

impl Message for SessionCall {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 256;
}

impl Message for SignedSessionOffer {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 512;
}

/// The user's order for the session's next job: what `request_job` says of a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct SessionOrder {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The session.
    pub session: SessionId,
    /// The job.
    pub job: JobId,
    /// The request blob, already in the store.
    pub input: BlobDigest,
}

impl Signed for SessionOrder {
    const TAG: &'static [u8] = b"encompute/session-order/v1";
}

/// Body of `POST /v1/sessions/{session}/jobs` to the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SessionOrderCall {
    /// The order.
    pub order: SessionOrder,
    /// By the session's key.
    pub signature: Signature,
}

impl Message for SessionOrderCall {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 512;
}

/// Body of the answer to `GET /v1/jobs/{job}/receipt`: what `commit_head` brings on chain of a single job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SignedReceipt {
    /// What the worker states.
    pub receipt: Receipt,
    /// By its registered key.
    pub signature: Signature,
}

impl Message for SignedReceipt {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 1024;
}

/// The user's word on what it released for a job: what `send_features` says of a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct SessionFeatures {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The session.
    pub session: SessionId,
    /// The job.
    pub job: JobId,
    /// Its request blob, which names the key to seal the result to.
    pub input: BlobDigest,
    /// What the worker signed.
    pub receipt: ReceiptDigest,
    /// The sealed features, already in the store.
    pub features: BlobDigest,
}

impl Signed for SessionFeatures {
    const TAG: &'static [u8] = b"encompute/session-features/v1";
}

/// Body of `POST /v1/sessions/{session}/features` to the creator; the answer is a [`SessionResult`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SessionFeaturesCall {
    /// What was released.
    pub features: SessionFeatures,
    /// By the session's key.
    pub signature: Signature,
}

impl Message for SessionFeaturesCall {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 512;
}

/// Where the creator's result is: what `commit_result` says of a single job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SessionResult {
    /// The job.
    pub job: JobId,
    /// The sealed result, in the store.
    pub result: BlobDigest,
}

impl Message for SessionResult {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 64;
}

/// Body of `POST /v1/sessions/{session}/vouchers` to worker and creator, after each job: with it the next one may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VoucherCall {
    /// For all jobs so far.
    pub signed: SignedVoucher,
    /// The last of them.
    pub leaf: SessionLeaf,
}

impl Message for VoucherCall {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 1024;
}

/// Body of `POST /v1/sessions/{session}/end` to the worker, whose answer is an [`AgreedEnd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EndCall {
    /// The last voucher.
    pub signed: SignedVoucher,
}

impl Message for EndCall {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 512;
}

/// The worker's agreement to end; with it the same call to the creator, who closes the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AgreedEnd {
    /// The last voucher.
    pub signed: SignedVoucher,
    /// By the worker's registered key, over the [`super::SessionEnd`].
    pub agreed: Signature,
}

impl Message for AgreedEnd {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 1024;
}
