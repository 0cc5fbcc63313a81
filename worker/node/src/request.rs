//! A job's request blob, opened: limit, version, conformance, digest, then what it says.

use encompute_envelope::{PublicKeyError, RecipientPublic};
use encompute_fhe::{BlindingKey, EncryptedTensor, MessageError, ParameterSet, UploadBits};
use encompute_protocol::wire::{DecodeError, Message};
use encompute_protocol::{Address, BlobDigest, ContractAddress, GenesisHash, JobRequest, SplitIndex, VersionHash};

/// What a request has to say, from the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// Who pays.
    pub user: Address,
    /// Hash of the version's manifest.
    pub manifest: VersionHash,
    /// The split.
    pub split: SplitIndex,
    /// The request blob.
    pub input: BlobDigest,
    /// The set that the head takes.
    pub parameter_set: ParameterSet,
    /// How many ciphertexts its first round takes.
    pub ciphertexts: usize,
    /// How wide their bodies are.
    pub upload_bits: UploadBits,
    /// Whether the head needs an evaluation key.
    pub bootstraps: bool,
}

/// A request that passed every check.
pub struct OpenedRequest {
    /// Its blob.
    pub input: BlobDigest,
    /// Signs the job's later rounds.
    pub session_key: [u8; 33],
    /// Blinds responses.
    pub blinding: BlindingKey,
    /// The first round's tensor.
    pub tensor: EncryptedTensor,
    /// What the first round's receipt names as its request.
    pub tensor_digest: BlobDigest,
    /// Blobs that are the evaluation key; none if the head needs none.
    pub evaluation_key: Vec<BlobDigest>,
}

/// A request blob that this worker does not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestRefused {
    /// Not a request: over-long, of another version, or malformed.
    #[error("request blob is no job request")]
    Encoding(#[source] DecodeError),
    /// Its ciphertexts are none.
    #[error("{what} of the request is malformed")]
    Ciphertext {
        /// Which part.
        what: &'static str,
        /// Why.
        source: MessageError,
    },
    /// No result could be sealed to its user.
    #[error("result key of the request is malformed")]
    ResultKey(#[from] PublicKeyError),
    /// Other bytes than were asked for.
    #[error("request blob is {found}, the job names {wanted}")]
    Digest {
        /// Digest found.
        found: BlobDigest,
        /// Digest wanted.
        wanted: BlobDigest,
    },
    /// A field that says something else than the chain.
    #[error("request is for {field} {found}, the job for {wanted}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it says.
        found: String,
        /// What the chain says.
        wanted: String,
    },
}

impl OpenedRequest {
    /// The request in `bytes`, if it is what `facts` say.
    ///
    /// # Errors
    /// [`RequestRefused`] by the first check that fails; nothing has been expanded then.
    pub fn open(bytes: &[u8], facts: &RequestFacts) -> Result<Self, RequestRefused> {
        let request = JobRequest::from_wire(bytes).map_err(RequestRefused::Encoding)?;
        let tensor = EncryptedTensor::from_bytes(request.tensor.as_slice()).map_err(malformed("tensor"))?;
        let blinding =
            BlindingKey::from_bytes(request.rerandomisation.as_slice()).map_err(malformed("blinding key"))?;
        // A result that cannot be sealed would cost the creator its bond, after the worker was paid.
        RecipientPublic::from_bytes(request.result_key.as_slice())?;
        let found = BlobDigest::of(bytes);
        if found != facts.input {
            return Err(RequestRefused::Digest { found, wanted: facts.input });
        }
        same("chain", request.genesis, facts.genesis)?;
        same("contract", request.contract, facts.contract)?;
        same("user", request.user, facts.user)?;
        same("version", request.manifest, facts.manifest)?;
        same("split", request.split, facts.split)?;
        for set in [tensor.parameter_set(), blinding.parameter_set()] {
            same("parameter set", set, facts.parameter_set)?;
        }
        // A tensor that the head cannot take would cost the worker its stake once the job is claimed.
        same("number of ciphertexts", tensor.ciphertext_count(), facts.ciphertexts)?;
        same("width of bodies", tensor.upload_bits().0, facts.upload_bits.0)?;
        let word = |key: bool| if key { "a head with an evaluation key" } else { "a head without evaluation key" };
        same("mode", word(!request.evaluation_key.is_empty()), word(facts.bootstraps))?;
        let tensor_digest = BlobDigest::of(request.tensor.as_slice());
        let JobRequest { session_key, evaluation_key, .. } = request;
        Ok(Self { input: found, session_key, blinding, tensor, tensor_digest, evaluation_key })
    }
}

fn malformed(what: &'static str) -> impl Fn(MessageError) -> RequestRefused {
    move |source| RequestRefused::Ciphertext { what, source }
}

fn same<T: PartialEq + core::fmt::Display>(field: &'static str, found: T, wanted: T) -> Result<(), RequestRefused> {
    if found == wanted {
        return Ok(());
    }
    Err(RequestRefused::Field { field, found: found.to_string(), wanted: wanted.to_string() })
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use encompute_envelope::RecipientSecret;
    use encompute_fhe::MaskSeed;
    use encompute_protocol::{Bytes, PolicyId};

    const SET: ParameterSet = ParameterSet::Toy256V1;

    /// A request whose ciphertexts conform; they decrypt to nothing in particular.
    pub(crate) fn a_request(session_key: [u8; 33]) -> JobRequest {
        let bodies = vec![1 << 40; SET.polynomial_size().0];
        let tensor = EncryptedTensor::from_bodies(SET, MaskSeed([1; 16]), &bodies).unwrap();
        let blinding = BlindingKey::from_body(SET, MaskSeed([2; 16]), &bodies).unwrap();
        JobRequest {
            genesis: GenesisHash([1; 32]),
            contract: ContractAddress([2; 20]),
            user: Address([3; 20]),
            manifest: VersionHash([4; 32]),
            split: SplitIndex(0),
            policy: PolicyId(1),
            session_key,
            result_key: Bytes::new(RecipientSecret::from_seed(&[5; 32]).public().to_bytes()).unwrap(),
            rerandomisation: Bytes::new(blinding.to_bytes()).unwrap(),
            salt: [6; 32],
            evaluation_key: Vec::new(),
            tensor: Bytes::new(tensor.to_bytes()).unwrap(),
        }
    }

    pub(crate) fn facts_of(request: &JobRequest) -> RequestFacts {
        RequestFacts {
            genesis: request.genesis,
            contract: request.contract,
            user: request.user,
            manifest: request.manifest,
            split: request.split,
            input: BlobDigest::of(&request.to_wire()),
            parameter_set: SET,
            ciphertexts: 1,
            upload_bits: EncryptedTensor::from_bytes(request.tensor.as_slice()).unwrap().upload_bits(),
            bootstraps: !request.evaluation_key.is_empty(),
        }
    }

    #[test]
    fn an_honest_request_opens() {
        let request = a_request([9; 33]);
        let opened = OpenedRequest::open(&request.to_wire(), &facts_of(&request)).unwrap();
        assert_eq!(opened.session_key, [9; 33]);
        assert_eq!(opened.tensor_digest, opened.tensor.digest());
    }

    #[test]
    fn an_altered_request_is_refused_whatever_byte_was_altered() {
        let request = a_request([9; 33]);
        let (bytes, facts) = (request.to_wire(), facts_of(&request));
        for at in (0..bytes.len()).step_by(37).chain([bytes.len() - 1]) {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(OpenedRequest::open(&altered, &facts).is_err(), "byte {at}");
        }
        assert!(OpenedRequest::open(&[bytes.as_slice(), &[0]].concat(), &facts).is_err());
    }

    #[test]
    fn a_request_for_something_else_is_refused_by_the_field_that_differs() {
        let request = a_request([9; 33]);
        let facts = facts_of(&request);
        let others = [
            ("chain", RequestFacts { genesis: GenesisHash([0; 32]), ..facts }),
            ("contract", RequestFacts { contract: ContractAddress([0; 20]), ..facts }),
            ("user", RequestFacts { user: Address([0; 20]), ..facts }),
            ("version", RequestFacts { manifest: VersionHash([0; 32]), ..facts }),
            ("split", RequestFacts { split: SplitIndex(1), ..facts }),
            ("parameter set", RequestFacts { parameter_set: ParameterSet::Glwe2048V1, ..facts }),
            ("number of ciphertexts", RequestFacts { ciphertexts: 2, ..facts }),
            ("width of bodies", RequestFacts { upload_bits: UploadBits(facts.upload_bits.0 - 1), ..facts }),
            ("mode", RequestFacts { bootstraps: true, ..facts }),
        ];
        for (wanted, facts) in others {
            match OpenedRequest::open(&request.to_wire(), &facts) {
                Err(RequestRefused::Field { field, .. }) => assert_eq!(field, wanted),
                _ => unreachable!("a request for another {wanted} was opened"),
            }
        }
    }
}
