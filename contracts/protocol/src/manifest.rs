//! What travels as blobs: a version's manifest, a job's request, features, a result.

use crate::{
    Address, BasisPoints, BlobDigest, Bytes, ContractAddress, CostUnits, Disclosure, GenesisHash, Graded, HeadDigest,
    JobId, Mode, NamedBlob, PolicyId, SplitIndex, TailDigest, Text, VersionHash,
    call::SPLITS_LIMIT,
    disclosure::{ATTACK_LIMIT_BYTES, REPORT_LIMIT_BYTES},
    dispute::Witnesses,
    wire::{self, DecodeError, Message},
};
use alloc::vec::Vec;
use codec::{Decode, Encode, Error, Input, Output};

/// Bytes of an X-Wing public key.
pub const HPKE_KEY_BYTES: u32 = 1_216;

/// Most classes of a model.
pub const LABELS_LIMIT: u32 = 10_000;
/// Most release policies of a split: their numbers are one byte.
pub const POLICIES_LIMIT: u32 = 255;

/// Everything a version pins. Its hash is what "version" means on chain and in receipts.
///
/// Its encoding begins with the version of the encoding: 3 where it asks for witnesses, else 2 with a disclosure, 1 without,
/// so that a manifest from before there were disclosures or witnesses has the bytes, and the hash, that it always had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionManifest {
    /// The model's name, as the gallery shows it and the command line takes it.
    pub name: Text<64>,
    /// What it answers, in a sentence.
    pub task: Text<280>,
    /// Who publishes it.
    pub creator: Address,
    /// To which features are sealed: X-Wing, 1216 bytes.
    pub creator_key: Bytes<HPKE_KEY_BYTES>,
    /// Where workers ask for head keys.
    pub creator_url: Text<200>,
    /// How a file becomes the tensor: `encompute_model::Preamble`, encoded.
    pub preamble: Bytes<65_536>,
    /// Names of the classes, in the order of the result's scores; at most [`LABELS_LIMIT`].
    pub labels: Vec<Text<64>>,
    /// What the result does not say, in plain words.
    pub limits: Text<1_000>,
    /// Splits that a user may choose from, [`SplitIndex`] 0 first; at most [`SPLITS_LIMIT`].
    pub splits: Vec<SplitManifest>,
    /// What its creator measured of what they give away; none of a version that says nothing about it.
    pub disclosure: Option<Disclosure>,
    /// How many witnesses must have found what the worker committed before anything of a job is released; none where that
    /// is left to the user.
    pub witnesses: Option<Witnesses>,
}

/// The encoding of a manifest without a disclosure.
const UNDISCLOSED: u8 = 1;
/// The encoding of a manifest with a disclosure, without witnesses.
const UNWITNESSED: u8 = 2;

impl Encode for VersionManifest {
    fn size_hint(&self) -> usize {
        1 + self.splits.size_hint() + self.disclosure.size_hint() + self.witnesses.size_hint()
    }

    fn encode_to<O: Output + ?Sized>(&self, to: &mut O) {
        let Self { name, task, creator, creator_key, creator_url, preamble, labels, limits, splits, .. } = self;
        let before = (name, task, creator, creator_key, creator_url, preamble, labels, limits, splits);
        match (&self.disclosure, self.witnesses) {
            (None, None) => (UNDISCLOSED, before).encode_to(to),
            (Some(disclosure), None) => (UNWITNESSED, before, disclosure).encode_to(to),
            (disclosure, Some(witnesses)) => (Self::VERSION, before, disclosure, witnesses).encode_to(to),
        }
    }
}

impl Decode for VersionManifest {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let encoding = input.read_byte()?;
        if !(UNDISCLOSED..=Self::VERSION).contains(&encoding) {
            return Err("a version of the encoding that is not known".into());
        }
        let (name, task, creator, creator_key, creator_url, preamble, labels, limits, splits) = Decode::decode(input)?;
        let (disclosure, witnesses) = match encoding {
            UNDISCLOSED => (None, None),
            UNWITNESSED => (Some(Decode::decode(input)?), None),
            _ => (Decode::decode(input)?, Some(Decode::decode(input)?)),
        };
        Ok(Self {
            name,
            task,
            creator,
            creator_key,
            creator_url,
            preamble,
            labels,
            limits,
            splits,
            disclosure,
            witnesses,
        })
    }
}

impl Message for VersionManifest {
    const VERSION: u8 = 3;
    const LIMIT_BYTES: usize = 8 * 1024 * 1024;

    fn check_counts(mut value: &[u8]) -> Result<(), DecodeError> {
        let policies = check_lists(&mut value)?;
        match value.split_first() {
            Some((0, _)) => Ok(()),
            Some((_, rest)) => check_disclosure(rest, policies),
            None => Err(DecodeError::Malformed),
        }
    }

    fn to_wire(&self) -> Vec<u8> {
        self.encode()
    }

    fn from_wire(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > Self::LIMIT_BYTES {
            return Err(DecodeError::TooLong { found: bytes.len(), limit: Self::LIMIT_BYTES });
        }
        match bytes.split_first() {
            None => return Err(DecodeError::Malformed),
            Some((&UNDISCLOSED, mut value)) => {
                check_lists(&mut value)?;
            }
            Some((&UNWITNESSED, mut value)) => {
                let policies = check_lists(&mut value)?;
                check_disclosure(value, policies)?;
            }
            Some((&Self::VERSION, value)) => Self::check_counts(value)?,
            Some((&found, _)) => return Err(DecodeError::Version { found, known: Self::VERSION }),
        }
        wire::decode_exact(bytes, Self::LIMIT_BYTES)
    }
}

/// Looks at the list of a disclosure, which has a grade for each policy of all splits.
fn check_disclosure(mut rest: &[u8], policies: u32) -> Result<(), DecodeError> {
    wire::skip::<(NamedBlob<REPORT_LIMIT_BYTES>, Option<NamedBlob<ATTACK_LIMIT_BYTES>>)>(&mut rest)?;
    match wire::count(&mut rest, "grades", policies)? {
        found if found < policies => Err(DecodeError::Malformed),
        _ => Ok(()),
    }
}

/// Looks at the lists of every encoding, and moves `rest` behind the last; how many policies all splits have.
fn check_lists(rest: &mut &[u8]) -> Result<u32, DecodeError> {
    wire::skip::<(Text<64>, Text<280>, Address, Bytes<HPKE_KEY_BYTES>, Text<200>, Bytes<65_536>)>(rest)?;
    for _ in 0..wire::count(rest, "labels", LABELS_LIMIT)? {
        wire::skip::<Text<64>>(rest)?;
    }
    wire::skip::<Text<1_000>>(rest)?;
    let mut policies = 0;
    for _ in 0..wire::count(rest, "splits", SPLITS_LIMIT as u32)? {
        wire::skip::<(Text<32>, Mode, Bytes<1_048_576>, HeadDigest, BlobDigest)>(rest)?;
        wire::skip::<(u64, TailDigest, u32, Cost, u16)>(rest)?;
        let of_split = wire::count(rest, "policies", POLICIES_LIMIT)?;
        for _ in 0..of_split {
            wire::skip::<ReleasePolicy>(rest)?;
        }
        wire::skip::<Accuracy>(rest)?;
        policies += of_split;
    }
    Ok(policies)
}

impl VersionManifest {
    /// Where a split's release under a policy stands among all of the version's, in the manifest's order: policies of
    /// earlier splits counted.
    pub fn release_index(&self, split: SplitIndex, policy: PolicyId) -> Option<usize> {
        let chosen = usize::from(split.0);
        let of_split = self.splits.get(chosen)?.policies.iter().position(|each| each.id == policy)?;
        let before: usize = self.splits.iter().take(chosen).map(|split| split.policies.len()).sum();
        Some(before + of_split)
    }

    /// How a split's release under a policy was judged; none where the manifest says nothing about it.
    pub fn graded(&self, split: SplitIndex, policy: PolicyId) -> Option<Graded> {
        self.disclosure.as_ref()?.grades.get(self.release_index(split, policy)?).copied()
    }
}

#[cfg(feature = "hash")]
impl VersionManifest {
    /// The version's hash: BLAKE2b-256 of [`Message::to_wire`], so that it is also its blob's name.
    pub fn hash(&self) -> VersionHash {
        VersionHash(crate::digest::blake2b_256(&self.to_wire()))
    }
}

/// One split.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SplitManifest {
    /// Its name: the layer after which the model is cut.
    pub name: Text<32>,
    /// How the head runs.
    pub mode: Mode,
    /// The public plan: shapes, layouts, client steps. `encompute_head::HeadPlan`, encoded.
    pub plan: Bytes<1_048_576>,
    /// What receipts name: plan and weights together.
    pub head: HeadDigest,
    /// The weights under a content key, as a blob.
    pub sealed_weights: BlobDigest,
    /// How long that blob is.
    pub sealed_weights_bytes: u64,
    /// The tail's commitment; zero where nothing follows.
    pub tail: TailDigest,
    /// How many numbers the user decrypts at the end.
    pub features: u32,
    /// What one run costs.
    pub cost: Cost,
    /// Failure bound of the whole head: −log₂ of the probability that any number is wrong.
    pub failure_bits: u16,
    /// How features may be released; ids 1, 2, …; the default is first; at most [`POLICIES_LIMIT`].
    pub policies: Vec<ReleasePolicy>,
    /// What was measured on held-out samples.
    pub accuracy: Accuracy,
}

/// What one run of a head costs, from its compiler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Cost {
    /// The unit that is priced.
    pub units: CostUnits,
    /// Estimated worker time on the reference machine named in the plan, in microseconds.
    pub micros: u64,
    /// Bytes from client to worker.
    pub bytes_up: u64,
    /// Bytes from worker to client.
    pub bytes_down: u64,
    /// Bytes of evaluation key.
    pub key_bytes: u64,
}

/// How decrypted features become what the creator sees. All lengths are in grid units, the integers
/// that decryption gives; nothing here is a float, so that two machines release the same way.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReleasePolicy {
    /// Its number in the split, from 1.
    pub id: PolicyId,
    /// `private`, `balanced`, `accurate`, or the creator's own name.
    pub name: Text<32>,
    /// L2 norm to which features are clipped, grid units; > 0.
    pub clip: u64,
    /// Standard deviation of the discrete Gaussian in thousandths of a grid unit; 0 for none.
    pub sigma_milli: u64,
    /// Grid units per released code; > 0.
    pub step: u64,
    /// Bits of a released code, two's complement, 2 ..= 16.
    pub bits: u8,
    /// Bound on what the release tells about the input, in thousandths of a bit.
    pub information_millibits: u32,
    /// Correct answers over held-out samples under this policy.
    pub accuracy: BasisPoints,
}

/// Correct answers over held-out samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Accuracy {
    /// How many samples.
    pub samples: u32,
    /// The creator's float model.
    pub float: BasisPoints,
    /// The integer head and the tail, without release.
    pub quantised: BasisPoints,
}

/// A job's input as the user uploads it; its blob digest is the job's `input`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct JobRequest {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// Who pays.
    pub user: Address,
    /// The version.
    pub manifest: VersionHash,
    /// The split.
    pub split: SplitIndex,
    /// The release policy.
    pub policy: PolicyId,
    /// Compressed secp256k1 key that signs later rounds.
    pub session_key: [u8; 33],
    /// X-Wing key to which the result is sealed.
    pub result_key: Bytes<HPKE_KEY_BYTES>,
    /// Encryption of zero with which the worker re-randomises: `encompute_fhe::RerandomisationKey`.
    pub rerandomisation: Bytes<65_536>,
    /// Makes two requests for the same input differ.
    pub salt: [u8; 32],
    /// Blobs that one after another are the evaluation key, `encompute_fhe::EvaluationKey`; none where the split needs
    /// none. At most [`EVALUATION_KEY_PARTS_LIMIT`], each of [`EVALUATION_KEY_PART_BYTES`] but the last.
    pub evaluation_key: Vec<BlobDigest>,
    /// The first round's encrypted tensor: `encompute_fhe::EncryptedTensor`.
    pub tensor: Bytes<33_554_432>,
}

/// Bytes of a part of an evaluation key: an upload that broke off goes on with the first part that is missing.
pub const EVALUATION_KEY_PART_BYTES: usize = 1024 * 1024;
/// Most parts of an evaluation key.
pub const EVALUATION_KEY_PARTS_LIMIT: u32 = 32;

impl Message for JobRequest {
    const VERSION: u8 = 2;
    const LIMIT_BYTES: usize = 34 * 1024 * 1024;

    fn check_counts(mut value: &[u8]) -> Result<(), DecodeError> {
        let rest = &mut value;
        wire::skip::<(GenesisHash, ContractAddress, Address, VersionHash, SplitIndex, PolicyId)>(rest)?;
        wire::skip::<([u8; 33], Bytes<HPKE_KEY_BYTES>, Bytes<65_536>, [u8; 32])>(rest)?;
        wire::count(rest, "parts of the evaluation key", EVALUATION_KEY_PARTS_LIMIT).map(drop)
    }
}

/// What the user seals to the creator: codes, never decrypted values.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct ReleasedFeatures {
    /// The job they belong to.
    pub job: JobId,
    /// The policy under which they were released.
    pub policy: PolicyId,
    /// One code per feature, within the policy's bits.
    pub codes: Vec<i16>,
}

impl Message for ReleasedFeatures {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 1024 * 1024;
}

/// What the creator seals to the user.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct JobResult {
    /// The job it belongs to.
    pub job: JobId,
    /// Digest of the sealed features it was computed from.
    pub features: BlobDigest,
    /// Probability of each class in millionths, in the order of the manifest's labels.
    pub scores: Vec<u32>,
}

impl Message for JobResult {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 1024 * 1024;
}
