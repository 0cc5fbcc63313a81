//! Golden vectors: the bytes of everything, compared with `tests/vectors/protocol/*.json`.
//!
//! `cargo xtask vectors --write` makes the files anew; read the difference before it is committed,
//! for every line of it is a break with what is deployed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod sample;

use codec::{Compact, Decode, Encode};
use encompute_protocol::{
    Signed,
    event::{EVENTS, Event, signature_topic},
    statement::report_data,
    wire::{DecodeError, Message, decode_exact},
    *,
};
use sample::*;
use serde_json::json;

#[test]
fn messages_have_the_bytes_of_their_vectors() {
    hold(
        "messages.json",
        &json!([
            message("VersionManifest", &undisclosed()),
            message("VersionManifest", &unwitnessed()),
            message("VersionManifest", &manifest()),
            message("JobRequest", &request()),
            message("Transcript", &transcript()),
            message("RoundCall", &round_call()),
            message("RoundAnswer", &round_answer()),
            message("OfferCall", &offer_call()),
            message("CustodyCall", &custody_call()),
            message("SignedOffer", &signed_offer()),
            message("HeadKeyCall", &head_key_call()),
            message("HeadKeyAnswer", &head_key_answer()),
            sealed("ReleasedFeatures", &released()),
            sealed("JobResult", &result()),
        ]),
    );
}

#[test]
fn signed_statements_have_the_digests_and_signatures_of_their_vectors() {
    let nonce = Nonce(b32(13));
    hold(
        "statements.json",
        &json!({
            "secret_key": hex::encode([7; 32]),
            "statements": [
                statement("Offer", &offer()),
                statement("Receipt", &receipt()),
                statement("RoundReceipt", &round()),
                statement("RoundOrder", &order()),
                statement("RegistrationStatement", &registration()),
                statement("HeadKeyStatement", &head_key()),
                statement("VerdictStatement", &verdict_statement()),
                statement("JobRecords", &records()),
                statement("SessionRecords", &session_records()),
            ],
            "report_data": {
                "nonce": hex::encode(nonce.0),
                "RegistrationStatement": hex::encode(report_data(&registration(), &nonce)),
                "HeadKeyStatement": hex::encode(report_data(&head_key(), &nonce)),
            },
        }),
    );
}

#[test]
fn no_two_kinds_of_statement_share_a_tag() {
    let tags = [
        receipt::Offer::TAG,
        Receipt::TAG,
        RoundReceipt::TAG,
        receipt::RoundOrder::TAG,
        RegistrationStatement::TAG,
        HeadKeyStatement::TAG,
        dispute::VerdictStatement::TAG,
        JobRecords::TAG,
        SessionRecords::TAG,
    ];
    for (at, tag) in tags.iter().enumerate() {
        assert!(tags[at + 1..].iter().all(|other| !other.starts_with(tag) && !tag.starts_with(other)));
    }
}

#[test]
fn calldata_has_the_bytes_of_its_vectors() {
    let all = calls();
    let named = |name| all.iter().any(|(known, _)| *known == name);
    assert!(call::MESSAGES.iter().all(|(name, _, _)| named(*name)), "every message has a vector");
    let lines: Vec<_> =
        all.iter().map(|(name, bytes)| json!({ "message": name, "calldata": hex::encode(bytes) })).collect();
    hold("calls.json", &json!(lines));
}

#[test]
fn events_have_the_bytes_of_their_vectors() {
    let all = events();
    assert!(EVENTS.iter().all(|(name, _)| all.iter().any(|event| event.name() == *name)), "every event has a vector");
    let line = |event: &Event| {
        assert_eq!(Event::decode(event.name(), &event.data()).as_ref(), Some(event));
        let topic = signature_topic(event.name()).unwrap();
        json!({ "event": event.name(), "topic": hex::encode(topic), "data": hex::encode(event.data()) })
    };
    hold("events.json", &json!(all.iter().map(line).collect::<Vec<_>>()));
}

#[test]
fn an_event_is_about_the_job_that_it_names_and_about_none_otherwise() {
    let job = JobId(7);
    for event in events() {
        let named = EVENTS.iter().any(|(name, topics)| *name == event.name() && topics.contains(&"job"));
        // A bond moves for a job or, as in its vector, for none.
        let expected = (named && event.name() != "BondMoved").then_some(job);
        assert_eq!(event.job(), expected, "{}", event.name());
    }
    let held =
        event::BondMoved { model: ModelId(2), job: Some(job), movement: event::Movement::Locked, amount: Plancks(1) };
    assert_eq!(Event::from(held).job(), Some(job));
}

#[test]
fn records_have_the_bytes_of_their_vectors() {
    hold(
        "records.json",
        &json!([
            record("Params", &params()),
            record("AnnouncedParams", &AnnouncedParams { params: params(), valid_from: BlockNumber(900) }),
            record("ModelRecord", &model()),
            record("VersionRecord", &version()),
            record("SplitRecord", &split()),
            record("WorkerRecord", &worker()),
            record("JobTerms", &terms()),
            record("JobProgress", &progress()),
            record("DisputeRecord", &dispute()),
            record("DisputeRecord", &posting()),
            record("DisputeRecord", &ruled()),
            record("DisputeRecord", &appealed()),
            record("PlatformRecord", &platform()),
            record("AttestationKeyRecord", &attestation_key()),
            record("PrunedRecord", &pruned()),
            record("Draw", &draw()),
        ]),
    );
}

#[test]
fn hashes_are_the_ones_that_other_tools_give() {
    use encompute_protocol::digest::{blake2b_256, keccak_256};
    // BLAKE2b-256 and Keccak-256 of nothing, as every other implementation prints them.
    assert_eq!(hex::encode(blake2b_256(b"")), "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    assert_eq!(hex::encode(keccak_256(&[])), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    hold(
        "digests.json",
        &json!({
            "VersionManifest.hash": manifest().hash().to_string(),
            "VersionManifest.hash of version 1": undisclosed().hash().to_string(),
            "VersionManifest.hash of version 2": unwitnessed().hash().to_string(),
            "RoundReceipt.link": round().link().to_string(),
            "BlobDigest of 'encompute'": BlobDigest::of(b"encompute").to_string(),
            "KeyDigest of 'encompute'": KeyDigest::of(b"encompute").to_string(),
            "Address of account 01..20": Address::of_account(&b32(1)).to_string(),
        }),
    );
}

/// Defects of single values inside messages.
fn values() -> Vec<Defect> {
    fn one<T: Decode>(of: &'static str, name: &'static str, bytes: Vec<u8>) -> Defect {
        let error = decode_exact::<T>(&bytes, 1_024).err().unwrap_or_else(|| panic!("{of} with {name} is accepted"));
        Defect { of, name, bytes, error }
    }
    vec![
        one::<Text<4>>("Text<4>", "five bytes", [&[5 << 2][..], b"abcde"].concat()),
        one::<Text<4>>("Text<4>", "a length it does not have", vec![4 << 2, b'a']),
        one::<Text<4>>("Text<4>", "a length of four gigabytes", vec![0x03, 0xff, 0xff, 0xff, 0xff]),
        one::<Text<4>>("Text<4>", "a byte that is not UTF-8", vec![1 << 2, 0xff]),
        one::<Text<4>>("Text<4>", "a line break", vec![1 << 2, b'\n']),
        one::<Text<4>>("Text<4>", "a length in more bytes than it needs", vec![0x01, 0x00]),
        one::<Bytes<4>>("Bytes<4>", "five bytes", vec![5 << 2, 1, 2, 3, 4, 5]),
        one::<Bytes<4>>("Bytes<4>", "a length of four gigabytes", vec![0x03, 0xff, 0xff, 0xff, 0xff]),
        one::<Stage>("Stage", "the number kept for disputes", vec![8]),
        one::<Mode>("Mode", "a mode too many", vec![3]),
        one::<Reason>("Reason", "a number without a meaning", vec![44]),
        one::<VersionStatus>("VersionStatus", "a status too many", vec![4]),
        one::<statement::TeeKind>("TeeKind", "an enclave nobody knows", vec![2]),
        one::<Option<JobId>>("Option<JobId>", "neither none nor some", vec![2, 0, 0, 0, 0, 0, 0, 0, 0]),
        one::<bool>("bool", "neither false nor true", vec![2]),
        one::<JobId>("JobId", "seven bytes", vec![1; 7]),
        one::<Signature>("Signature", "64 bytes", vec![1; 64]),
        one::<Plancks>("Plancks", "17 bytes", vec![1; 17]),
        one::<Vec<call::SplitOffer>>("Vec<SplitOffer>", "a million splits and no bytes", vec![0x02, 0x09, 0x3d, 0x00]),
    ]
}

/// Lists that announce one item more than is allowed, and end there: no item was looked for.
fn counts() -> Vec<Defect> {
    let VersionManifest { name, task, creator, creator_key, creator_url, preamble, limits, mut splits, .. } =
        manifest();
    let before_labels = (VersionManifest::VERSION, name, task, creator, creator_key, creator_url, preamble).encode();
    let before_splits = [&before_labels[..], &[0], &limits.encode()].concat();
    splits[0].policies.clear();
    // The count of policies is one byte here, and an Accuracy of eight follows it.
    let mut before_policies = [&before_splits[..], &splits.encode()].concat();
    before_policies.truncate(before_policies.len() - 9);
    // The count of parts is one byte here, and a tensor of three, with its count, follows it.
    let mut before_parts = JobRequest { evaluation_key: Vec::new(), ..request() }.to_wire();
    before_parts.truncate(before_parts.len() - 5);
    let mut defects = Vec::new();
    let mut one = |of, name, items, limit: usize, bytes: Vec<u8>, refuse: fn(&[u8]) -> Option<DecodeError>| {
        let found = limit as u32 + 1;
        let bytes = [bytes, Compact(found).encode()].concat();
        let error = DecodeError::TooMany { items, found, limit: limit as u32 };
        assert_eq!(refuse(&bytes), Some(error.clone()), "{of} with {name}");
        defects.push(Defect { of, name, bytes, error });
    };
    let (manifest, transcript) =
        (|bytes: &[u8]| VersionManifest::from_wire(bytes).err(), |bytes: &[u8]| Transcript::from_wire(bytes).err());
    let of = "VersionManifest";
    one(of, "a label too many", "labels", manifest::LABELS_LIMIT as usize, before_labels, manifest);
    one(of, "a split too many", "splits", call::SPLITS_LIMIT, before_splits, manifest);
    one(of, "a policy too many", "policies", manifest::POLICIES_LIMIT as usize, before_policies, manifest);
    one(of, "a grade more than policies", "grades", 1, before_grades(&disclosure()), manifest);
    let rounds = Transcript::ROUNDS_LIMIT as usize;
    one("Transcript", "a round too many", "rounds", rounds, vec![Transcript::VERSION], transcript);
    let (parts, limit) = ("parts of the evaluation key", manifest::EVALUATION_KEY_PARTS_LIMIT as usize);
    one("JobRequest", "a part too many", parts, limit, before_parts, |bytes| JobRequest::from_wire(bytes).err());
    defects
}

/// A manifest with a disclosure, up to the count of its grades.
fn before_grades(told: &Disclosure) -> Vec<u8> {
    let fields = &undisclosed().to_wire()[1..];
    [&[2], fields, &told.report.encode(), &told.attack.encode()].concat()
}

/// Disclosures with one defect, each in a manifest that has none.
fn disclosures() -> Vec<Defect> {
    let (told, fields) = (disclosure(), before_grades(&disclosure()));
    let tail = told.grades.encode();
    let report_at = undisclosed().to_wire().len();
    let named = |digest: BlobDigest, bytes: u32| {
        let mut wire = fields.clone();
        wire.splice(report_at..report_at + 36, (digest, bytes).encode());
        [wire, tail.clone()].concat()
    };
    let digest = told.report.digest();
    let old = undisclosed().to_wire();
    let cases = [
        ("grades for no policy", [&fields[..], &[0]].concat()),
        ("a grade after F", [&fields[..], &[4, 5, 0, 0, 0, 0]].concat()),
        ("a report of no bytes", named(digest, 0)),
        ("a report longer than reports are", named(digest, disclosure::REPORT_LIMIT_BYTES + 1)),
        ("a report without a name", named(BlobDigest::default(), 1)),
        ("version 2 without a disclosure", [&[2], &old[1..]].concat()),
        ("version 2 with witnesses", [&fields[..], &tail, &[2]].concat()),
        ("version 3 without witnesses", [&[3], &old[1..], &[0]].concat()),
        ("one witness", [&[3], &old[1..], &[0, 1]].concat()),
        ("four witnesses", [&[3], &old[1..], &[0, 4]].concat()),
        ("neither a disclosure nor none", [&[3], &old[1..], &[2, 2]].concat()),
        ("version 3 with a grade more than policies", [&[3], &old[1..], &[1], &fields[old.len()..], &[8]].concat()),
        ("version 1 with a disclosure", [&[1], &fields[1..], &tail].concat()),
    ];
    let defect = |(name, bytes): (&'static str, Vec<u8>)| {
        let error = VersionManifest::from_wire(&bytes).err().unwrap_or_else(|| panic!("{name} is accepted"));
        Defect { of: "VersionManifest", name, bytes, error }
    };
    assert!(VersionManifest::from_wire(&named(digest, disclosure::REPORT_LIMIT_BYTES)).is_ok());
    cases.into_iter().map(defect).collect()
}

#[test]
fn a_grade_is_found_by_its_split_and_policy_and_nowhere_else() {
    let mut told = manifest();
    let policy = |id: u8| ReleasePolicy { id: PolicyId(id), ..told.splits[0].policies[0].clone() };
    let (two, one) = (vec![policy(1), policy(2)], vec![policy(1)]);
    told.splits =
        [two, one].map(|policies| manifest::SplitManifest { policies, ..manifest().splits[0].clone() }).into();
    let graded = |grade, millibits| Graded { grade, millibits };
    let grades = vec![graded(Grade::A, 1), graded(Grade::D, 2), graded(Grade::C, 3)];
    told.disclosure = Some(Disclosure { grades: grades.clone(), ..disclosure() });
    assert_eq!(VersionManifest::from_wire(&told.to_wire()).as_ref(), Ok(&told));
    let asked = [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (0, 0)];
    let found = asked.map(|(split, policy)| told.graded(SplitIndex(split), PolicyId(policy)));
    assert_eq!(found, [Some(grades[0]), Some(grades[1]), Some(grades[2]), None, None, None]);
    let silent = VersionManifest { disclosure: None, ..told };
    assert_eq!(VersionManifest::from_wire(&silent.to_wire()).as_ref(), Ok(&silent));
    assert_eq!(silent.graded(SplitIndex(0), PolicyId(1)), None);
}

#[test]
fn a_manifest_has_as_many_labels_splits_and_policies_as_are_allowed() {
    let mut full = manifest();
    full.labels = vec![Text::new("class").unwrap(); manifest::LABELS_LIMIT as usize];
    full.splits[0].policies = vec![full.splits[0].policies[0].clone(); manifest::POLICIES_LIMIT as usize];
    full.splits = vec![full.splits[0].clone(); call::SPLITS_LIMIT];
    let policies = call::SPLITS_LIMIT * manifest::POLICIES_LIMIT as usize;
    full.disclosure = Some(Disclosure { grades: vec![disclosure().grades[0]; policies], ..disclosure() });
    assert_eq!(VersionManifest::from_wire(&full.to_wire()).as_ref(), Ok(&full));
    full.labels.push(Text::new("class").unwrap());
    let refused = VersionManifest::from_wire(&full.to_wire()).unwrap_err();
    assert_eq!(refused.to_string(), "10001 labels, at most 10000 are allowed");
}

#[test]
fn bytes_with_one_defect_are_refused_by_the_check_for_it() {
    let mut defects = values();
    defects.extend(counts());
    defects.extend(disclosures());
    common("VersionManifest", &manifest(), &mut defects);
    common("JobRequest", &request(), &mut defects);
    common("Transcript", &transcript(), &mut defects);
    common("RoundCall", &round_call(), &mut defects);
    common("RoundAnswer", &round_answer(), &mut defects);
    common("OfferCall", &offer_call(), &mut defects);
    common("CustodyCall", &custody_call(), &mut defects);
    common("SignedOffer", &signed_offer(), &mut defects);
    common("HeadKeyCall", &head_key_call(), &mut defects);
    common("HeadKeyAnswer", &head_key_answer(), &mut defects);
    common("ReleasedFeatures", &released(), &mut defects);
    common("JobResult", &result(), &mut defects);
    let lines: Vec<_> = defects
        .iter()
        .map(|Defect { of, name, bytes, error }| {
            json!({ "of": of, "defect": name, "bytes": hex::encode(bytes), "refused": words(error) })
        })
        .collect();
    hold("refused.json", &json!(lines));
}

#[test]
fn an_event_with_a_defect_decodes_to_nothing() {
    for event in events() {
        let (name, data) = (event.name(), event.data());
        assert_eq!(Event::decode(name, &data[..data.len() - 1]), None, "{name}: last byte missing");
        assert_eq!(Event::decode(name, &[&data[..], &[0]].concat()), None, "{name}: a byte too many");
    }
}

#[test]
fn the_specification_names_every_message_event_tag_and_limit() {
    let page = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("SPEC.md")).unwrap();
    let wants = |words: &str| assert!(page.contains(words), "SPEC.md does not say {words}");
    for (name, selector, payable) in call::MESSAGES {
        let pay = if *payable { "yes" } else { "" };
        wants(&format!("| `{}` | `{name}` | {pay} |", hex::encode(selector.0)));
    }
    for (name, text) in event::SIGNATURES {
        wants(&format!("| `{name}` |"));
        wants(&format!("`{}`", text));
    }
    for tag in [
        receipt::Offer::TAG,
        Receipt::TAG,
        RoundReceipt::TAG,
        receipt::RoundOrder::TAG,
        RegistrationStatement::TAG,
        HeadKeyStatement::TAG,
        dispute::VerdictStatement::TAG,
        JobRecords::TAG,
        SessionRecords::TAG,
    ] {
        wants(&format!("`{}`", std::str::from_utf8(tag).unwrap()));
    }
    for (name, limit) in [
        ("VersionManifest", VersionManifest::LIMIT_BYTES),
        ("JobRequest", JobRequest::LIMIT_BYTES),
        ("Transcript", Transcript::LIMIT_BYTES),
        ("RoundCall", receipt::RoundCall::LIMIT_BYTES),
        ("RoundAnswer", receipt::RoundAnswer::LIMIT_BYTES),
        ("OfferCall", receipt::OfferCall::LIMIT_BYTES),
        ("CustodyCall", receipt::CustodyCall::LIMIT_BYTES),
        ("SignedOffer", receipt::SignedOffer::LIMIT_BYTES),
        ("HeadKeyCall", HeadKeyCall::LIMIT_BYTES),
        ("HeadKeyAnswer", HeadKeyAnswer::LIMIT_BYTES),
        ("ReleasedFeatures", manifest::ReleasedFeatures::LIMIT_BYTES),
        ("JobResult", manifest::JobResult::LIMIT_BYTES),
    ] {
        let version = match name {
            "VersionManifest" => VersionManifest::VERSION,
            "JobRequest" => JobRequest::VERSION,
            _ => 1,
        };
        wants(&format!("| `{name}` | {version} | {limit} |"));
    }
    for (list, limit) in [
        ("VersionManifest.labels", manifest::LABELS_LIMIT),
        ("VersionManifest.splits", call::SPLITS_LIMIT as u32),
        ("SplitManifest.policies", manifest::POLICIES_LIMIT),
        ("Transcript.rounds", Transcript::ROUNDS_LIMIT),
        ("JobRequest.evaluation_key", manifest::EVALUATION_KEY_PARTS_LIMIT),
    ] {
        wants(&format!("| `{list}` | {limit} |"));
    }
    for (blob, limit) in [("report", disclosure::REPORT_LIMIT_BYTES), ("attack", disclosure::ATTACK_LIMIT_BYTES)] {
        wants(&format!("| `{blob}` | {limit} |"));
    }
}
