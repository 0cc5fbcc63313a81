//! Golden vectors of sessions: `tests/vectors/protocol/sessions.json`, and what their messages refuse.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod sample;

use encompute_protocol::{
    Signed,
    session::{
        SessionEnd, SessionOffer, Voucher,
        calls::{
            AgreedEnd, EndCall, SessionCall, SessionFeatures, SessionFeaturesCall, SessionOrder, SessionOrderCall,
            SessionResult, SignedReceipt, VoucherCall,
        },
        tree::{LEAF_TAG, NODE_TAG, SessionTree, leaf_hash, path, root_by},
    },
    wire::Message,
    *,
};
use sample::*;
use serde_json::json;

fn order_call() -> SessionOrderCall {
    SessionOrderCall { order: session_order(), signature: signature() }
}

fn features_call() -> SessionFeaturesCall {
    SessionFeaturesCall { features: session_features(), signature: signature() }
}

fn receipt_answer() -> SignedReceipt {
    SignedReceipt { receipt: receipt(), signature: signature() }
}

fn result_answer() -> SessionResult {
    SessionResult { job: JobId(25), result: BlobDigest(b32(29)) }
}

fn voucher_call() -> VoucherCall {
    VoucherCall { signed: signed_voucher(), leaf: session_leaf() }
}

fn agreed() -> AgreedEnd {
    AgreedEnd { signed: signed_voucher(), agreed: signature() }
}

#[test]
fn sessions_have_the_bytes_of_their_vectors() {
    let leaves: Vec<_> =
        (0..5).map(|index| session::SessionLeaf { job: JobId(17 + index), ..session_leaf() }).collect();
    let way = path(&leaves, 3).unwrap();
    let root = SessionTree::of(&leaves).root();
    assert_eq!(root_by(&leaves[3], 3, 5, &way), Some(root));
    hold(
        "sessions.json",
        &json!({
            "statements": [
                statement("SessionOffer", &session_offer()),
                statement("Voucher", &voucher()),
                statement("SessionEnd", &SessionEnd { voucher: voucher() }),
                statement("SessionOrder", &session_order()),
                statement("SessionFeatures", &session_features()),
            ],
            "record": record("SessionRecord", &session_record()),
            "tree": {
                "leaves": leaves.iter().map(|leaf| hex::encode(leaf_hash(leaf))).collect::<Vec<_>>(),
                "root": root.to_string(),
                "path of leaf 3": way.iter().map(hex::encode).collect::<Vec<_>>(),
            },
        }),
    );
}

#[test]
fn messages_about_sessions_have_the_bytes_of_their_vectors() {
    hold(
        "session_messages.json",
        &json!([
            message("SessionCall", &session_call()),
            message("SignedSessionOffer", &signed_session_offer()),
            message("SessionOrderCall", &order_call()),
            message("SignedReceipt", &receipt_answer()),
            message("SessionFeaturesCall", &features_call()),
            message("SessionResult", &result_answer()),
            message("VoucherCall", &voucher_call()),
            message("EndCall", &EndCall { signed: signed_voucher() }),
            message("AgreedEnd", &agreed()),
        ]),
    );
}

#[test]
fn messages_with_one_defect_are_refused_by_the_check_for_it() {
    let mut defects = Vec::new();
    common("SessionCall", &session_call(), &mut defects);
    common("SignedSessionOffer", &signed_session_offer(), &mut defects);
    common("SessionOrderCall", &order_call(), &mut defects);
    common("SignedReceipt", &receipt_answer(), &mut defects);
    common("SessionFeaturesCall", &features_call(), &mut defects);
    common("SessionResult", &result_answer(), &mut defects);
    common("VoucherCall", &voucher_call(), &mut defects);
    common("EndCall", &EndCall { signed: signed_voucher() }, &mut defects);
    common("AgreedEnd", &agreed(), &mut defects);
    let mut outcome = voucher_call().to_wire();
    *outcome.last_mut().unwrap() = 3;
    assert_eq!(VoucherCall::from_wire(&outcome).err(), Some(wire::DecodeError::Malformed), "an outcome too many");
    assert_eq!(defects.len(), 9 * 6);
}

/// Every tag that something signed or hashed begins with.
const TAGS: [&[u8]; 16] = [
    SessionOffer::TAG,
    Voucher::TAG,
    SessionEnd::TAG,
    SessionOrder::TAG,
    SessionFeatures::TAG,
    LEAF_TAG,
    NODE_TAG,
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

#[test]
fn no_tag_of_a_session_begins_another() {
    for (at, tag) in TAGS.iter().enumerate() {
        assert!(TAGS[at + 1..].iter().all(|other| !other.starts_with(tag) && !tag.starts_with(other)));
    }
}

#[test]
fn the_specification_names_every_tag_and_limit_of_sessions() {
    let page = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("SPEC.md")).unwrap();
    for tag in &TAGS[..7] {
        let tag = std::str::from_utf8(tag).unwrap();
        assert!(page.contains(&format!("`{tag}`")), "SPEC.md does not say {tag}");
    }
    for (name, limit) in [
        ("SessionCall", SessionCall::LIMIT_BYTES),
        ("SignedSessionOffer", session::SignedSessionOffer::LIMIT_BYTES),
        ("SessionOrderCall", SessionOrderCall::LIMIT_BYTES),
        ("SignedReceipt", SignedReceipt::LIMIT_BYTES),
        ("SessionFeaturesCall", SessionFeaturesCall::LIMIT_BYTES),
        ("SessionResult", SessionResult::LIMIT_BYTES),
        ("VoucherCall", VoucherCall::LIMIT_BYTES),
        ("EndCall", EndCall::LIMIT_BYTES),
        ("AgreedEnd", AgreedEnd::LIMIT_BYTES),
    ] {
        let line = format!("| `{name}` | 1 | {limit} |");
        assert!(page.contains(&line), "SPEC.md does not say {line}");
    }
}
