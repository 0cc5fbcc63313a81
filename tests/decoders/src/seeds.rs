//! Where a decoder's fuzzing begins: golden vectors, fixtures, models, network files, published quotes, and what
//! `tests/fuzz/corpus` holds.

use crate::evidence::{ANSWERS, machine};
use crate::messages::CALLS;
use crate::target::Target;
use codec::{Decode, Encode};
use encompute_attest::{HPKE_KEY_BYTES, HeadKeyEvidence, HpkeKey, ReceiptEvidence, RegistrationEvidence, TrustRoot};
use encompute_envelope::RecipientSecret;
use encompute_fhe::{
    BlindingKey, BootstrapSet, EncryptedTensor, EvaluationKey, MaskSeed, ParameterSet, Turns, UploadBits,
};
use encompute_head::{
    Activation, Axis, ChainIndex, Domain, Draft, HeadPlan, Join, Layer, Link, Mode, Node, Program, Real, RoundPlan,
    Unit,
};
use encompute_model::{Preamble, SentenceEncoder};
use encompute_protocol::call::{Call, ClaimJob};
use encompute_protocol::event::SIGNATURES;
use encompute_protocol::statement::TeeKind;
use encompute_protocol::wire::Message;
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, Bytes, ContractAddress, GenesisHash, HeadKeyStatement, JobId, Nonce, Receipt,
    RegistrationStatement, SigningAddress, SplitIndex, VersionHash, VersionId,
};
use encompute_rollup::{Action, ForwardError, ForwardRequest, RelayAnswer, RelayCall, RollupError, RollupTx, bound};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Bytes that a decoder accepts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seed {
    /// What it is.
    pub name: String,
    /// The input, the byte that picks its kind included.
    pub bytes: Vec<u8>,
}

/// A source of seeds is missing or damaged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// A file or a folder.
    #[error("read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Golden vectors that are not JSON.
    #[error("read the vectors in {path}")]
    Vectors {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Files that a target begins with as they are: `(target, folder, ending)`.
const FILES: &[(&str, &str, &str)] = &[
    ("quotes", "worker/attest/tests/vectors/intel", "quote"),
    ("quotes", "worker/attest/tests/vectors/intel", "td15ex"),
    ("collateral", "worker/attest/tests/vectors/intel", "json"),
    ("networks", "chain-config/networks/networks", "toml"),
    ("onnx", "scripts/models/breast-cancer", "onnx"),
    ("tails", "scripts/models/breast-cancer", "onnx"),
    ("pictures", "tests/fixtures/digits", "png"),
    ("tables", "tests/fixtures/breast-cancer", "csv"),
    ("reports", "scripts/models/diagnoses", "json"),
];

/// Golden messages: `(name of the message, target, the byte before it, if the target reads several kinds)`.
const MESSAGES: &[(&str, &str, Option<u8>)] = &[
    ("JobRequest", "requests", Some(0)),
    ("OfferCall", "requests", Some(1)),
    ("CustodyCall", "requests", Some(7)),
    ("RoundCall", "requests", Some(2)),
    ("ReleasedFeatures", "requests", Some(3)),
    ("JobResult", "requests", Some(4)),
    ("HeadKeyCall", "requests", Some(5)),
    ("HeadKeyAnswer", "requests", Some(6)),
    ("Transcript", "receipts", Some(0)),
    ("RoundAnswer", "receipts", Some(1)),
    ("SignedOffer", "receipts", Some(2)),
    ("VersionManifest", "manifests", None),
    ("SessionCall", "sessions", Some(0)),
    ("SignedSessionOffer", "sessions", Some(1)),
    ("SessionOrderCall", "sessions", Some(2)),
    ("SignedReceipt", "sessions", Some(3)),
    ("SessionFeaturesCall", "sessions", Some(4)),
    ("SessionResult", "sessions", Some(5)),
    ("VoucherCall", "sessions", Some(6)),
    ("EndCall", "sessions", Some(7)),
    ("AgreedEnd", "sessions", Some(8)),
];

/// Every seed of a target that is no longer than its inputs may be.
///
/// # Errors
/// [`SeedError`] if a source of them is missing or unreadable.
pub fn seeds(target: &Target) -> Result<Vec<Seed>, SeedError> {
    let mut seeds = corpus("corpus", target)?;
    for (_, folder, ending) in FILES.iter().filter(|(name, ..)| *name == target.name) {
        seeds.extend(files(&root().join(folder), ending)?);
    }
    for vector in message_vectors()? {
        let name = text(&vector, "name");
        if let Some((.., kind)) = MESSAGES.iter().find(|(message, to, _)| *to == target.name && *message == name) {
            seeds.push(Seed { name, bytes: kind.iter().copied().chain(bytes(&vector, "bytes")).collect() });
        }
    }
    match target.name {
        "calls" => seeds.extend(calls()?),
        "event_logs" => seeds.extend(
            ANSWERS.map(|(name, answer)| Seed { name: name.to_owned(), bytes: machine(answer).1.into_bytes() }),
        ),
        "posts" => seeds.extend(posts()),
        "evidence" => seeds.extend(evidence()?),
        "exported_jobs" => seeds.push(Seed { name: "every-record".to_owned(), bytes: exported_job()? }),
        "networks" => {
            seeds.push(Seed { name: "amount".to_owned(), bytes: b"12.345678".to_vec() });
            seeds.iter_mut().filter(|seed| seed.name == "local.toml").for_each(|seed| seed.bytes = filled(&seed.bytes));
        }
        "collateral" => seeds.push(Seed { name: "root".to_owned(), bytes: another_root() }),
        "tensors" => seeds.extend([
            Seed { name: "one-ciphertext".to_owned(), bytes: one_ciphertext() },
            Seed { name: "blinding".to_owned(), bytes: blinding() },
        ]),
        "plans" => seeds.extend([
            Seed { name: "every-node".to_owned(), bytes: every_node() },
            Seed { name: "every-step".to_owned(), bytes: every_step() },
            Seed { name: "state".to_owned(), bytes: state() },
        ]),
        "evaluation_keys" => seeds.push(Seed { name: "toy".to_owned(), bytes: evaluation_key() }),
        "lexicons" => seeds.push(Seed { name: "tiny".to_owned(), bytes: texts().1 }),
        "preambles" => seeds.push(Seed { name: "texts".to_owned(), bytes: texts().0.to_wire() }),
        "envelopes" => {
            let key = RecipientSecret::from_seed(&[9; 32]).public().to_bytes();
            seeds.push(Seed { name: "recipient".to_owned(), bytes: [vec![2], key.to_vec()].concat() });
        }
        _ => {}
    }
    seeds.retain(|seed| seed.bytes.len() <= target.longest_bytes);
    seeds.sort();
    Ok(seeds)
}

/// A target's inputs under `tests/fuzz`: its `corpus`, or the `regressions` that it must refuse and once did not.
///
/// # Errors
/// [`SeedError::Read`]
pub fn corpus(kind: &str, target: &Target) -> Result<Vec<Seed>, SeedError> {
    let folder = root().join("tests/fuzz").join(kind).join(target.name);
    if folder.is_dir() { files(&folder, "") } else { Ok(Vec::new()) }
}

/// A claim over an anchor as its worker's node makes it, alone and as it is handed to a relayer, and what that one says.
fn posts() -> Vec<Seed> {
    let (key, version) = (b"post/job/7".to_vec(), encompute_rollup::version_key(b"post/job/7"));
    let mut conditions = bound::conditions(&GenesisHash([0x6e; 32]), BlockNumber(164)).to_vec();
    conditions.push((version.clone(), Some(1_u32.encode())));
    let updates = vec![(key, Some(vec![5; 32])), (version, Some(2_u32.encode()))];
    let reply = Action::Reply(ClaimJob { job: JobId(7) }.calldata());
    let transaction = RollupTx { conditions, updates, actions: vec![reply, Action::SetQueueHead(1)] };
    let data = transaction.encode();
    let call = RelayCall {
        request: ForwardRequest { from: [1; 32], to: [0xee; 32], nonce: 3, data: data.clone() },
        signature: [27; 65],
    };
    let refused = RelayAnswer::Refused(ForwardError::RollupAnchorError(RollupError::ConditionNotMet));
    let seed =
        |name: &str, kind: u8, bytes: Vec<u8>| Seed { name: name.to_owned(), bytes: [vec![kind], bytes].concat() };
    vec![
        seed("call", 0, call.to_wire()),
        seed("sent", 1, RelayAnswer::Sent { block: 7 }.to_wire()),
        seed("refused", 1, refused.to_wire()),
        seed("failed", 1, RelayAnswer::Failed("the relayer has no money left".to_owned()).to_wire()),
        seed("transaction", 2, data),
    ]
}

/// Calldata past its selector, and the data of every kind of event.
fn calls() -> Result<Vec<Seed>, SeedError> {
    let mut seeds = Vec::new();
    for vector in vectors("calls")? {
        let name = text(&vector, "message");
        if let Some(kind) = CALLS.iter().position(|call| *call == name) {
            let argument = bytes(&vector, "calldata").into_iter().skip(4);
            seeds.push(Seed { name, bytes: std::iter::once(kind as u8).chain(argument).collect() });
        }
    }
    for vector in vectors("events")? {
        let name = text(&vector, "event");
        if let Some(at) = SIGNATURES.iter().position(|(event, _)| *event == name) {
            // Any byte above the calls' that is `at` modulo the number of events.
            let kind = (at + SIGNATURES.len()) as u8;
            seeds.push(Seed { name, bytes: std::iter::once(kind).chain(bytes(&vector, "data")).collect() });
        }
    }
    Ok(seeds)
}

/// Evidence that carries a published quote: a registration's, a head key request's, and a receipt's.
fn evidence() -> Result<Vec<Seed>, SeedError> {
    let intel = root().join("worker/attest/tests/vectors/intel");
    let quote = Bytes::new(read(&intel.join("tdx_quote"))?).expect("a published quote; qed");
    let collateral = Bytes::new(read(&intel.join("tdx_quote_collateral.json"))?).expect("a published vector; qed");
    let mut hpke_key = HpkeKey([0; HPKE_KEY_BYTES]);
    hpke_key.0.copy_from_slice(&RecipientSecret::from_seed(&[9; 32]).public().to_bytes());
    let (genesis, contract) = (GenesisHash([1; 32]), ContractAddress([2; 20]));
    let (account, signing, hpke) = (Address([3; 20]), SigningAddress([4; 20]), hpke_key.digest());
    let registration = RegistrationEvidence {
        quote: quote.clone(),
        collateral: collateral.clone(),
        statement: RegistrationStatement {
            genesis,
            contract,
            account,
            signing,
            hpke,
            payout: Address([5; 20]),
            tee: TeeKind::Tdx,
            expires_at: BlockNumber(6),
        },
        nonce: Nonce([7; 32]),
        hpke_key: hpke_key.clone(),
    };
    let (version, manifest, split) = (VersionId(5), VersionHash([6; 32]), SplitIndex(0));
    let statement = HeadKeyStatement { genesis, contract, account, signing, hpke, version, manifest, split };
    let zeros = Receipt::decode(&mut [0; 1024].as_slice()).expect("every field takes zeros; qed");
    let receipt = ReceiptEvidence {
        quote: quote.clone(),
        collateral: collateral.clone(),
        statement: Receipt { genesis, contract, worker: account, ..zeros },
        nonce: Nonce([7; 32]),
        hpke_key: hpke_key.clone(),
    };
    let head_key = HeadKeyEvidence { quote, collateral, statement, nonce: Nonce([7; 32]), hpke_key };
    Ok(vec![
        Seed { name: "registration".to_owned(), bytes: [vec![0], registration.to_wire()].concat() },
        Seed { name: "head-key".to_owned(), bytes: [vec![1], head_key.to_wire()].concat() },
        Seed { name: "receipt".to_owned(), bytes: [vec![2], receipt.to_wire()].concat() },
    ])
}

/// A job in a file, put together from golden records and events.
fn exported_job() -> Result<Vec<u8>, SeedError> {
    let records = vectors("records")?;
    let record = |name: &str| {
        let found = records.iter().find(|vector| text(vector, "record") == name);
        found.map(|vector| bytes(vector, "bytes")).unwrap_or_default()
    };
    let events = vectors("events")?.into_iter().filter(|vector| text(vector, "event").starts_with("Job"));
    let events: Vec<_> = events.map(|event| (BlockNumber(7), text(&event, "event"), bytes(&event, "data"))).collect();
    let mut blobs = [b"one blob".to_vec(), b"another".to_vec()];
    blobs.sort_by_key(|blob| BlobDigest::of(blob));
    let (account, block) = (Address([3; 20]), BlockNumber(6));
    Ok([
        // Version of the encoding; block and hash, genesis, contract, job.
        vec![6],
        (block, [8u8; 32], GenesisHash([1; 32]), ContractAddress([2; 20]), JobId(7)).encode(),
        record("JobTerms"),
        record("JobProgress"),
        events.encode(),
        record("VersionRecord"),
        record("SplitRecord"),
        account.encode(),
        record("Params"),
        // Parameters are sure; one treasury; a worker.
        (false, vec![account], 1u8, account).encode(),
        record("WorkerRecord"),
        // One payout; code and machine, never revoked; two times, a hash that drew no audit; no event that cannot be read.
        (vec![(account, account)], [Some((block, None::<BlockNumber>)); 2]).encode(),
        (Some(1_795_348_800u64), Some(1_795_348_900u64), Some([9u8; 32]), 0u32, blobs.to_vec()).encode(),
    ]
    .concat())
}

/// The template of a development network with something in each of its places.
fn filled(template: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(template).replace("@rpc@", "ws://127.0.0.1:9944");
    let text = text.replace("@genesis@", &format!("0x{}", "07".repeat(32))).replace("@root@", "0x3082");
    text.replace("@gateway@", "http://127.0.0.1:1").replace("@collateral@", "http://127.0.0.1:2").into_bytes()
}

/// A certificate by its outside, and not Intel's.
fn another_root() -> Vec<u8> {
    let mut der = TrustRoot::intel().der().to_vec();
    der[8] ^= 1;
    der
}

/// The shortest request there is.
fn one_ciphertext() -> Vec<u8> {
    let set = ParameterSet::Toy256V1;
    let bodies: Vec<u64> = (0..set.polynomial_size().0 as u64).map(|at| at << 40).collect();
    let request = EncryptedTensor::from_bodies_at(set, UploadBits::MIN, MaskSeed([7; 16]), &bodies);
    [vec![0], request.expect("one whole ciphertext; qed").to_bytes()].concat()
}

fn blinding() -> Vec<u8> {
    let set = ParameterSet::Toy256V1;
    let key = BlindingKey::from_body(set, MaskSeed([7; 16]), &vec![1 << 20; set.polynomial_size().0]);
    [vec![2], key.expect("one polynomial; qed").to_bytes()].concat()
}

/// A key of the smallest set there is: half a megabyte, and nothing in it encrypts anything.
fn evaluation_key() -> Vec<u8> {
    let set = BootstrapSet::ToyV1;
    let bodies = |count: usize| (0..count as u64).map(|at| at << 40).collect::<Vec<_>>();
    let keyswitch: Vec<u32> = (0..EvaluationKey::keyswitch_bodies(set) as u32).collect();
    let [first, second, third] = [7, 8, 9].map(|byte| MaskSeed([byte; 16]));
    let key = EvaluationKey::from_bodies(
        set,
        (first, &keyswitch),
        (second, &bodies(EvaluationKey::bootstrap_bodies(set))),
        (third, &bodies(EvaluationKey::packing_bodies(set))),
    );
    key.expect("as many bodies as the set says; qed").to_bytes()
}

/// A plan whose program has every kind of node.
fn every_node() -> Vec<u8> {
    let (set, layer) = (ParameterSet::Toy256V1, Layer::matmul(3, 4, 4));
    let round = RoundPlan::fitted(set, layer, Domain::I8, &[1; 16]).expect("a small layer fits the set; qed");
    let (gain, offset) = (vec![Real::ONE; 4], vec![Real::ZERO; 4]);
    let side = |image| Axis::new(image, 2).padded(1, 0);
    let mut draft = Draft::default();
    let x = draft.round(Program::INPUT);
    let x = draft.then(Node::Activate { of: x, activation: Activation::LeakyRelu { slope: Real::ONE } });
    let x = draft.then(Node::Affine { of: x, gain: gain.clone(), offset: offset.clone() });
    let x = draft.then(Node::Normalise { of: x, epsilon: Real::ONE, gain, offset });
    let unit = Unit::DynamicPosition;
    let y = draft.then(Node::Round { of: x, unit, scale: vec![Real::ONE], bias: Vec::new() });
    let mask = draft.then(Node::Channels { of: x, first: 0, count: 1 });
    let y = draft.then(Node::Attend { query: y, key: y, value: x, heads: 2, mask: Some(mask) });
    let y = draft.then(Node::Add { of: [x, y] });
    let y = draft.then(Node::Multiply { of: [y, mask] });
    let y = draft.then(Node::Softmax { of: y });
    let y = draft.then(Node::Transpose { of: y });
    let y = draft.then(Node::Concatenate { of: [y, y] });
    let y = draft.then(Node::Pool { of: y, join: Join::Max, rows: side(4), columns: Axis::new(1, 1) });
    let y = draft.then(Node::Reshape { of: y, to: [24, 1, 1] });
    let plan = HeadPlan::new(set, Mode::Rounds, vec![round.clone(), round], draft.give_integers(y, Domain::I8));
    [vec![0], plan.expect("every node fits the one before; qed").to_bytes()].concat()
}

/// A plan whose chain has every kind of step, and is cut.
fn every_step() -> Vec<u8> {
    let (set, layer) = (BootstrapSet::ToyV1, Layer::Dense { inputs: 2, outputs: 3 });
    let lookup = |of, ranges: &[[i64; 2]]| Link::Lookup {
        of: ChainIndex(of),
        ranges: ranges.to_vec(),
        function: &|channel, value| channel as i16 + value as i16 / 8,
        by_channel: false,
    };
    let links = [
        lookup(0, &[[-30, 30]]),
        Link::Linear { of: ChainIndex(1), layer: Layer::Dense { inputs: 3, outputs: 3 }, weights: &[1; 9] },
        Link::Add { of: [ChainIndex(1), ChainIndex(2)], factors: [2, -1] },
        lookup(3, &[[-9, 9]; 3]),
    ];
    let round = RoundPlan::fitted_segments(set, (layer, Domain { bits: 4, signed: true }, &[1; 6]), &links, 3);
    let round = round.expect("a small chain fits the set; qed");
    let program = Program::single_round(Domain::I8);
    let plan = HeadPlan::new(set.ring(), Mode::Bootstrapped(set), vec![round], program);
    [vec![0], plan.expect("the program has the one round; qed").to_bytes()].concat()
}

/// What lies between two segments, of a value under the smallest set there is.
fn state() -> Vec<u8> {
    let put_aside = vec![0; Turns::packed_bytes(BootstrapSet::ToyV1, 1)];
    [&[2, 1, 255], put_aside.as_slice()].concat()
}

/// The tiny encoder's preamble and lexicon.
fn texts() -> (Preamble, Vec<u8>) {
    let folder = root().join("tests/fixtures/sentence-encoder");
    SentenceEncoder::read(&folder, 12).expect("a fixture; qed").preamble(&[])
}

/// The folder's files with that ending.
fn files(folder: &Path, ending: &str) -> Result<Vec<Seed>, SeedError> {
    let failed = |source| SeedError::Read { path: folder.to_path_buf(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(ending) {
            found.push(Seed { name, bytes: read(&path)? });
        }
    }
    found.sort();
    Ok(found)
}

fn vectors(name: &str) -> Result<Vec<serde_json::Value>, SeedError> {
    let path = root().join(format!("tests/vectors/protocol/{name}.json"));
    serde_json::from_slice(&read(&path)?).map_err(|source| SeedError::Vectors { path, source })
}

/// Those of all messages; sessions' are in a file of their own.
fn message_vectors() -> Result<Vec<serde_json::Value>, SeedError> {
    Ok([vectors("messages")?, vectors("session_messages")?].concat())
}

fn text(vector: &serde_json::Value, field: &str) -> String {
    vector[field].as_str().unwrap_or_default().to_owned()
}

fn bytes(vector: &serde_json::Value, field: &str) -> Vec<u8> {
    hex::decode(vector[field].as_str().unwrap_or_default()).unwrap_or_default()
}

fn read(path: &Path) -> Result<Vec<u8>, SeedError> {
    std::fs::read(path).map_err(|source| SeedError::Read { path: path.to_path_buf(), source })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TARGETS;

    #[test]
    fn every_golden_message_named_here_is_there() {
        let names: Vec<String> = message_vectors().unwrap().iter().map(|vector| text(vector, "name")).collect();
        for (name, ..) in MESSAGES {
            assert!(names.iter().any(|found| found == name), "{name} has no vector");
        }
    }

    #[test]
    fn every_seed_is_accepted() {
        for target in TARGETS {
            let seeds = seeds(target).unwrap();
            assert!(!seeds.is_empty(), "{} begins with nothing", target.name);
            for seed in seeds {
                assert!(target.accepts(&seed.bytes), "{} refuses {}", target.name, seed.name);
            }
        }
    }
}
