//! What users, workers and the chain say. The first byte picks a kind, the rest is its bytes.

use codec::Decode;
use encompute_networks::{Network, format_amount, parse_amount};
use encompute_protocol::call::{
    Call, CertifyKey, CommitHead, PublishVersion, RegisterWorker, RequestJob, SendFeatures,
};
use encompute_protocol::event::{Event, SIGNATURES, decode_emitted, signature_topic};
use encompute_protocol::manifest::{JobRequest, JobResult, ReleasedFeatures};
use encompute_protocol::receipt::{CustodyCall, OfferCall, RoundAnswer, RoundCall, SignedOffer, Transcript};
use encompute_protocol::session::calls::{
    AgreedEnd, EndCall, SessionCall, SessionFeaturesCall, SessionOrderCall, SessionResult, SignedReceipt, VoucherCall,
};
use encompute_protocol::session::count::{SessionCount, SessionName};
use encompute_protocol::session::{SignedSessionOffer, Voucher};
use encompute_protocol::wire::{Message, decode_exact, encode};
use encompute_protocol::{HeadKeyAnswer, HeadKeyCall, Receipt, SigningAddress};
use encompute_rollup::{Action, RelayAnswer, RelayCall, RollupTx, queue};
use std::collections::BTreeMap;
use std::path::Path;

/// Calls that [`calls`] knows, by the byte before them.
pub(crate) const CALLS: [&str; 6] =
    ["request_job", "commit_head", "register_worker", "send_features", "publish_version", "certify_key"];

/// Decodes a message; if it is accepted, its bytes are its only encoding: nobody can say one thing in two ways that
/// have two digests.
pub(crate) fn canonical<M: Message>(bytes: &[u8]) -> bool {
    let message = M::from_wire(bytes);
    if let Ok(message) = &message {
        assert_eq!(message.to_wire(), bytes, "a second encoding of one message");
    }
    message.is_ok()
}

pub(crate) fn requests(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else { return false };
    match kind % 8 {
        0 => canonical::<JobRequest>(bytes),
        1 => canonical::<OfferCall>(bytes),
        2 => canonical::<RoundCall>(bytes),
        3 => canonical::<ReleasedFeatures>(bytes),
        4 => canonical::<JobResult>(bytes),
        5 => canonical::<HeadKeyCall>(bytes),
        6 => canonical::<HeadKeyAnswer>(bytes),
        _ => canonical::<CustodyCall>(bytes),
    }
}

pub(crate) fn receipts(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else { return false };
    match kind % 4 {
        0 => canonical::<Transcript>(bytes),
        1 => canonical::<RoundAnswer>(bytes),
        2 => canonical::<SignedOffer>(bytes),
        _ => {
            let receipt = decode_exact::<Receipt>(bytes, 4_096);
            if let Ok(receipt) = &receipt {
                assert_eq!(encode(receipt), bytes);
            }
            receipt.is_ok()
        }
    }
}

/// What user, worker and creator say about sessions.
pub(crate) fn sessions(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else { return false };
    match kind % 9 {
        0 => canonical::<SessionCall>(bytes),
        1 => canonical::<SignedSessionOffer>(bytes),
        2 => canonical::<SessionOrderCall>(bytes),
        3 => canonical::<SignedReceipt>(bytes),
        4 => canonical::<SessionFeaturesCall>(bytes),
        5 => canonical::<SessionResult>(bytes),
        6 => canonical::<VoucherCall>(bytes),
        7 => canonical::<EndCall>(bytes),
        _ => canonical::<AgreedEnd>(bytes),
    }
}

/// A voucher is taken by nobody whose session it is not: refused, never a panic.
pub(crate) fn vouched(bytes: &[u8]) {
    let Some((6, bytes)) = bytes.split_first().map(|(kind, bytes)| (kind % 9, bytes)) else { return };
    let Ok(call) = VoucherCall::from_wire(bytes) else { return };
    let Voucher { genesis, contract, session, .. } = call.signed.voucher;
    let name = SessionName { genesis, contract, session, key: SigningAddress([0; 20]), jobs: u32::MAX };
    assert!(SessionCount::new(name).take(&call).is_err());
}

/// What workers behind anchors post, and what relayers say of it.
pub(crate) fn posts(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else { return false };
    match kind % 3 {
        0 => canonical::<RelayCall>(bytes),
        1 => canonical::<RelayAnswer>(bytes),
        _ => {
            let transaction = RollupTx::from_bytes(bytes);
            if let Ok(transaction) = &transaction {
                assert_eq!(encode(transaction), bytes);
            }
            transaction.is_ok()
        }
    }
}

/// What an anchor decides on a transaction from anybody, with one message on its queue: refused, never a panic.
pub(crate) fn decided(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let transaction = match kind % 3 {
        0 => RelayCall::from_wire(bytes).ok().and_then(|call| RollupTx::from_bytes(&call.request.data).ok()),
        1 => None,
        _ => RollupTx::from_bytes(bytes).ok(),
    };
    let Some(transaction) = transaction else { return };
    let mut anchor = BTreeMap::new();
    if let Ok((_, changes)) = queue::push(&anchor, vec![7]) {
        changes.apply(&mut anchor);
    }
    let pops = transaction.actions.contains(&Action::SetQueueHead(1));
    if let Ok(changes) = transaction.decide(&anchor) {
        changes.apply(&mut anchor);
        assert_eq!((queue::tail(&anchor), queue::head(&anchor)), (1, u32::from(pops)), "the queue is the anchor's own");
    }
}

/// A signature is recovered from whatever it is: refused, never a panic.
pub(crate) fn recover(bytes: &[u8]) {
    let nobody = SigningAddress([0; 20]);
    match bytes.split_first() {
        Some((kind, bytes)) if kind % 4 == 0 => {
            if let Ok(transcript) = Transcript::from_wire(bytes)
                && let Some((receipt, signature)) = transcript.rounds.first()
            {
                assert!(!signature.is_by(&nobody, receipt));
            }
        }
        Some((kind, bytes)) if kind % 4 == 2 => {
            if let Ok(SignedOffer { offer, signature }) = SignedOffer::from_wire(bytes) {
                assert!(!signature.is_by(&nobody, &offer));
            }
        }
        _ => {}
    }
}

fn call<C: Call + Decode>(bytes: &[u8]) -> bool {
    let call = decode_exact::<C>(bytes, 4_096);
    if let Ok(call) = &call {
        assert_eq!(&call.calldata()[4..], bytes);
    }
    call.is_ok()
}

/// Calldata past its selector; then events, by their place among the signatures.
pub(crate) fn calls(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else { return false };
    match kind {
        0 => call::<RequestJob>(bytes),
        1 => call::<CommitHead>(bytes),
        2 => call::<RegisterWorker>(bytes),
        3 => call::<SendFeatures>(bytes),
        4 => call::<PublishVersion>(bytes),
        5 => call::<CertifyKey>(bytes),
        kind => {
            let event = Event::decode(event_name(*kind), bytes);
            if let Some(event) = &event {
                assert_eq!(event.data(), bytes);
            }
            event.is_some()
        }
    }
}

/// A registration's quote as the contract reads it; an event as the chain emits it, found by its topic.
pub(crate) fn looked_into(bytes: &[u8]) {
    match bytes.split_first() {
        Some((2, bytes)) => {
            if let Ok(call) = decode_exact::<RegisterWorker>(bytes, 4_096)
                && let Ok(body) = call.quote.read()
            {
                assert_eq!(body.report_data().len(), 64);
                let _ = (body.is_debug(), body.names_no_software(), body.measurement_preimage());
            }
        }
        Some((5, bytes)) => {
            if let Ok(CertifyKey { key }) = decode_exact(bytes, 4_096) {
                assert_eq!(key.qe_binding().1.len(), 64);
                let _ = (key.platform(), key.qe_is_debug());
            }
        }
        Some((kind, bytes)) if usize::from(*kind) >= CALLS.len() => {
            let topic = signature_topic(event_name(*kind)).expect("the name is in the list; qed");
            assert!(decode_emitted(&[topic], bytes).is_some());
        }
        _ => {}
    }
}

fn event_name(kind: u8) -> &'static str {
    SIGNATURES[usize::from(kind) % SIGNATURES.len()].0
}

/// Network files, and the amounts that people write.
pub(crate) fn networks(bytes: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(bytes) else { return false };
    let amounts = [0, 6, 18].map(|decimals| {
        let amount = parse_amount(text, decimals).ok();
        if let Some(amount) = amount {
            assert_eq!(parse_amount(&format_amount(amount, decimals), decimals).ok(), Some(amount));
        }
        amount.is_some()
    });
    amounts.contains(&true) || Network::parse(text, Path::new("no-such-folder/fuzz.toml")).is_ok()
}
