//! The list of decoders, and how one is called.

use crate::{evidence, exported, messages, models, sealed};

/// One decoder.
#[derive(Clone, Copy)]
pub struct Target {
    /// What its fuzz target and its folder of seeds are called.
    pub name: &'static str,
    /// Most bytes of an input that fuzzing makes: whole seeds fit.
    pub longest_bytes: usize,
    /// Most memory that [`Self::accepts`] may take, in KiB.
    pub memory_kib: usize,
    /// Most memory that [`Self::judge`] may take, in KiB.
    pub judge_memory_kib: usize,
    decode: fn(&[u8]) -> bool,
    judge: Option<Judge>,
}

#[derive(Clone, Copy)]
struct Judge {
    judge: fn(&[u8]),
    one_in: u64,
}

impl Target {
    /// Decodes; true if the bytes were accepted.
    ///
    /// # Panics
    /// If the decoder does, or accepts one value in two encodings.
    pub fn accepts(&self, bytes: &[u8]) -> bool {
        (self.decode)(bytes)
    }

    /// Goes on with accepted bytes to what costs far more than decoding: signatures, inference, layouts.
    ///
    /// # Panics
    /// If that does, or if something is true that must not be.
    pub fn judge(&self, bytes: &[u8]) {
        if let Some(Judge { judge, .. }) = self.judge {
            judge(bytes);
        }
    }

    /// True for those accepted inputs that fuzzing judges: a hash of the bytes says which.
    pub fn judges(&self, bytes: &[u8]) -> bool {
        self.judge.is_some_and(|judge| is_one_in(judge.one_in, bytes))
    }

    const fn new(name: &'static str, longest_bytes: usize, memory_kib: usize, decode: fn(&[u8]) -> bool) -> Self {
        Self { name, longest_bytes, memory_kib, judge_memory_kib: 0, decode, judge: None }
    }

    /// One of `one_in` accepted inputs is judged.
    const fn judged(self, one_in: u64, judge_memory_kib: usize, judge: fn(&[u8])) -> Self {
        Self { judge_memory_kib, judge: Some(Judge { judge, one_in }), ..self }
    }
}

// A constant each, so that a fuzz target holds the code of its own decoder and no other: libFuzzer looks at every
// counter of a program for every input. Memory is what a decoder may take for the longest input here, not what it does.

/// What users and creators' services are asked: requests, offers, rounds, features, results, head keys.
pub const REQUESTS: Target = Target::new("requests", 8 << 10, 64, messages::requests);
/// What workers sign: transcripts, answers, offers, receipts. Judged: a signature is recovered.
pub const RECEIPTS: Target = Target::new("receipts", 4 << 10, 64, messages::receipts).judged(64, 64, messages::recover);
/// What the contract is told and says: calldata, events. Judged: quotes as the contract reads them, events by their
/// topic.
pub const CALLS: Target = Target::new("calls", 2 << 10, 64, messages::calls).judged(16, 64, messages::looked_into);
/// What workers behind anchors post, and what relayers answer. Judged: what an anchor makes of it.
pub const POSTS: Target = Target::new("posts", 2 << 10, 256, messages::posts).judged(16, 256, messages::decided);
/// What is said about sessions. Judged: a voucher by who is paid by it.
pub const SESSIONS: Target = Target::new("sessions", 2 << 10, 64, messages::sessions).judged(16, 64, messages::vouched);
/// Network files, and the amounts that people write.
pub const NETWORKS: Target = Target::new("networks", 8 << 10, 1 << 10, messages::networks);
/// Quotes. Judged: under Intel's root, with the published collateral of one.
pub const QUOTES: Target =
    Target::new("quotes", 16 << 10, 1_280, evidence::quotes).judged(256, 4 << 10, evidence::authenticated);
/// Launch logs of dstack machines. Judged: replayed to a real machine's quote.
pub const EVENT_LOGS: Target =
    Target::new("event_logs", 12 << 10, 512, evidence::event_logs).judged(16, 512, evidence::replayed);
/// Collateral and roots. Judged: a published quote with them.
pub const COLLATERAL: Target =
    Target::new("collateral", 32 << 10, 512, evidence::collateral).judged(256, 4 << 10, evidence::quote_under);
/// Registrations' and head key requests' evidence. Judged: looked into, as before any signature is checked.
pub const EVIDENCE: Target =
    Target::new("evidence", 24 << 10, 256, evidence::evidence).judged(16, 2 << 10, evidence::looked_at);
/// Jobs in files, for auditors elsewhere. Judged: audited.
pub const EXPORTED_JOBS: Target =
    Target::new("exported_jobs", 4 << 10, 256, exported::jobs).judged(64, 1 << 10, exported::audited);
/// Encrypted tensors, features and blinding keys.
pub const TENSORS: Target = Target::new("tensors", 16 << 10, 128, sealed::tensors);
/// Keys for bootstraps. Judged: expanded, and used.
pub const EVALUATION_KEYS: Target =
    Target::new("evaluation_keys", 512 << 10, 1_280, sealed::evaluation_keys).judged(16, 8 << 10, sealed::bootstrap);
/// Envelopes, locked bulk, recipients' keys.
pub const ENVELOPES: Target = Target::new("envelopes", 4 << 10, 128, sealed::envelopes);
/// Versions' manifests. Judged: the plans and the preamble inside.
pub const MANIFESTS: Target =
    Target::new("manifests", 8 << 10, 1 << 10, models::manifests).judged(4, 2 << 10, models::parts);
/// Versions' reports.
pub const REPORTS: Target = Target::new("reports", 16 << 10, 256, models::reports);
/// Heads' plans and weights. Judged: the layout of every round.
pub const PLANS: Target = Target::new("plans", 8 << 10, 1 << 10, models::plans).judged(4, 256 << 10, models::layouts);
/// Preambles. Judged: their grids, and a file read as they say.
pub const PREAMBLES: Target = Target::new("preambles", 4 << 10, 64, models::preambles).judged(16, 512, models::grids);
/// Lexicons of texts. Judged: a text read with them.
pub const LEXICONS: Target =
    Target::new("lexicons", 4 << 10, 512, models::lexicons).judged(4, 1 << 10, models::lookups);
/// Users' pictures, as the digits model reads them.
pub const PICTURES: Target = Target::new("pictures", 4 << 10, 512 << 10, models::pictures);
/// Users' scans: a byte that chooses the slice, and a file, which may unpack to 256 MiB, all of it one slice.
pub const SCANS: Target = Target::new("scans", 16 << 10, 640 << 10, models::scans);
/// Users' table rows, as the breast-cancer model reads them.
pub const TABLES: Target = Target::new("tables", 2 << 10, 256, models::tables);
/// Attacks that creators publish for buyers to try. Judged: tried.
pub const ATTACKS: Target = Target::new("attacks", 4 << 10, 64, models::attacks).judged(4, 256, models::rebuilds);
/// Creators' models. Judged: cut after every node that may be one.
pub const ONNX: Target = Target::new("onnx", 4 << 10, 4 << 10, models::onnx).judged(4, 4 << 10, models::cuts);
/// Tails up to the inference engine. Judged: loaded and run.
pub const TAILS: Target =
    Target::new("tails", 4 << 10, 64 << 10, models::tails).judged(256, 64 << 10, models::inference);

/// All of them.
pub const TARGETS: &[Target] = &[
    REQUESTS,
    RECEIPTS,
    CALLS,
    POSTS,
    SESSIONS,
    NETWORKS,
    QUOTES,
    COLLATERAL,
    EVENT_LOGS,
    EVIDENCE,
    EXPORTED_JOBS,
    TENSORS,
    EVALUATION_KEYS,
    ENVELOPES,
    MANIFESTS,
    REPORTS,
    PLANS,
    PREAMBLES,
    LEXICONS,
    PICTURES,
    SCANS,
    TABLES,
    ATTACKS,
    ONNX,
    TAILS,
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// True for about one in `count` inputs, always the same ones.
pub(crate) fn is_one_in(count: u64, bytes: &[u8]) -> bool {
    // Eight bytes at a time: a hash of each byte would cost more than many a decoder.
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().map(|word| u64::from_le_bytes(*word)).fold(bytes.len() as u64, mix);
    let hash = rest.iter().map(|byte| u64::from(*byte)).fold(hash, mix);
    (hash >> 32).is_multiple_of(count)
}
