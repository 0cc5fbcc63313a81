//! What speaks for a machine: quotes, collateral, the evidence that carries both.

use crate::messages::canonical;
use encompute_attest::{
    Collateral, EventLog, HeadKeyEvidence, ReceiptEvidence, RegistrationEvidence, TrustRoot, UnixSeconds, authenticate,
    compact, quote_identity, unverified_measurement, unverified_report_data,
};
use encompute_protocol::wire::Message;
use std::sync::LazyLock;

const QUOTE: &[u8] = include_bytes!("../../../worker/attest/tests/vectors/intel/tdx_quote");
const COLLATERAL: &[u8] = include_bytes!("../../../worker/attest/tests/vectors/intel/tdx_quote_collateral.json");
/// What guest agents of real machines answered.
pub(crate) const ANSWERS: [(&str, &[u8]); 2] = [
    ("get-quote-0.5", include_bytes!("../../../worker/attest/tests/vectors/dstack/get-quote-0.5.json")),
    ("get-quote-0.6-lite", include_bytes!("../../../worker/attest/tests/vectors/dstack/get-quote-0.6-lite.json")),
];
/// In the month of both.
const THEN: UnixSeconds = UnixSeconds(1_750_000_000);

static PUBLISHED: LazyLock<Collateral> =
    LazyLock::new(|| Collateral::from_json(COLLATERAL).expect("a published vector; qed"));
static MACHINE: LazyLock<(Vec<u8>, String)> = LazyLock::new(|| machine(ANSWERS[0].1));
static INTEL: LazyLock<TrustRoot> = LazyLock::new(TrustRoot::intel);

pub(crate) fn quotes(bytes: &[u8]) -> bool {
    let read = quote_identity(bytes).is_ok();
    assert_eq!(unverified_report_data(bytes).is_ok(), read);
    // An enclave's quote is one that measures nothing we know.
    let _ = unverified_measurement(bytes);
    read
}

/// Judged under Intel's root with the published collateral of one; cut down to what a contract is shown, which is the
/// same quote.
pub(crate) fn authenticated(bytes: &[u8]) {
    if let Ok((parts, key)) = compact(bytes) {
        let signed = encompute_protocol::digest::keccak_256(&[parts.signed.as_slice()]);
        assert_eq!(quote_identity(bytes).ok().map(|identity| identity.0), Some(signed));
        let _ = (parts.read().is_ok(), key.platform());
    }
    let _ = authenticate(bytes, &PUBLISHED, &INTEL, THEN);
}

/// Collateral, or a development root.
pub(crate) fn collateral(bytes: &[u8]) -> bool {
    let root = TrustRoot::development(bytes.to_vec());
    if let Ok(root) = &root {
        assert_eq!(root.der(), bytes);
    }
    root.is_ok() || Collateral::from_json(bytes).is_ok()
}

/// A published quote, judged with this collateral, or under this root.
pub(crate) fn quote_under(bytes: &[u8]) {
    match Collateral::from_json(bytes) {
        Ok(collateral) => {
            let _ = authenticate(QUOTE, &collateral, &INTEL, THEN);
            let again = Collateral::from_json(&collateral.to_json());
            assert_eq!(again.ok(), Some(collateral));
        }
        Err(_) => {
            if let Ok(root) = TrustRoot::development(bytes.to_vec()) {
                assert!(authenticate(QUOTE, &PUBLISHED, &root, THEN).is_err());
            }
        }
    }
}

pub(crate) fn event_logs(bytes: &[u8]) -> bool {
    EventLog::from_json(bytes).is_ok()
}

/// Held against a real machine's quote, which takes its own events alone.
pub(crate) fn replayed(bytes: &[u8]) {
    if let Ok(log) = EventLog::from_json(bytes)
        && let Ok(launch) = log.launch(&MACHINE.0)
    {
        assert_eq!(EventLog::from_json(MACHINE.1.as_bytes()).and_then(|own| own.launch(&MACHINE.0)).ok(), Some(launch));
    }
}

/// The quote and the launch log in what a guest agent answered.
pub(crate) fn machine(answer: &[u8]) -> (Vec<u8>, String) {
    let answer: serde_json::Value = serde_json::from_slice(answer).expect("a published vector; qed");
    let text = |field: &str| answer[field].as_str().expect("a published vector; qed").to_owned();
    (hex::decode(text("quote")).expect("a published vector; qed"), text("event_log"))
}

/// A first byte that three divide is followed by a registration's evidence, one with the rest 1 by a head key request's, with
/// the rest 2 by a receipt's.
pub(crate) fn evidence(bytes: &[u8]) -> bool {
    match bytes.split_first() {
        Some((kind, bytes)) if kind % 3 == 1 => canonical::<HeadKeyEvidence>(bytes),
        Some((kind, bytes)) if kind % 3 == 2 => canonical::<ReceiptEvidence>(bytes),
        Some((_, bytes)) => canonical::<RegistrationEvidence>(bytes),
        None => false,
    }
}

/// What a reader looks at before anything is verified.
pub(crate) fn looked_at(bytes: &[u8]) {
    let bytes = bytes.get(1..).unwrap_or_default();
    if let Ok(evidence) = RegistrationEvidence::from_wire(bytes) {
        let _ = unverified_measurement(evidence.quote.as_slice());
        let _ = Collateral::from_json(evidence.collateral.as_slice());
        let _ = evidence.expected_report_data();
    }
}
