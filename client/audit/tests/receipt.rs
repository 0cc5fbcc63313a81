//! The job's receipt: rebuilt from facts of the chain, its key recovered again. Every field counts.
#![allow(clippy::unwrap_used, clippy::panic, clippy::type_complexity)]

#[path = "../../../tests/contract/src/alterations.rs"]
mod alterations;
mod market;

use alterations::ALTERATIONS;
use encompute_audit::{JobBundle, Report};
use encompute_lifecycle::ReceiptFacts;
use encompute_protocol::{
    BlobDigest, BlockNumber, ContractAddress, GenesisHash, JobId, Nonce, Receipt, ReceiptDigest, Signature, Signed,
    event::{Event, HeadCommitted},
    signing::SigningKey,
};
use market::*;

fn honest(market: &Market) -> Receipt {
    let progress = market.facts().progress;
    let facts = ReceiptFacts::read(&market.memory, GENESIS, CONTRACT, market.job).unwrap();
    facts.receipt(progress.output.unwrap(), progress.finished_at)
}

fn committed(bundle: &mut JobBundle) -> &mut HeadCommitted {
    let found = bundle.events.iter_mut().find_map(|(_, event)| match event {
        Event::HeadCommitted(committed) => Some(committed),
        _ => None,
    });
    found.unwrap()
}

/// The audit of a settled job whose event carries this digest and signature.
fn audit_of(receipt: ReceiptDigest, signature: Signature) -> Report {
    Market::settled().audit_with(|bundle| {
        let committed = committed(bundle);
        (committed.receipt, committed.signature) = (receipt, signature);
    })
}

#[test]
fn the_list_of_fields_is_complete() {
    let honest = honest(&Market::settled());
    // Taking it apart names every field: one that is added has to be added to the list.
    let Receipt {
        genesis: _,
        contract: _,
        job: _,
        version: _,
        manifest: _,
        split: _,
        head: _,
        input: _,
        evaluation_key: _,
        output: _,
        tail: _,
        worker: _,
        measurement: _,
        registration_nonce: _,
        claimed_at: _,
        finished_at: _,
        expires_at: _,
        custody: _,
    } = honest;
    let altered: std::collections::BTreeSet<_> = ALTERATIONS
        .iter()
        .map(|(_, alter)| {
            let mut receipt = honest;
            alter(&mut receipt);
            receipt.digest()
        })
        .collect();
    assert!(altered.len() == ALTERATIONS.len() && !altered.contains(&honest.digest()), "each alters another field");
}

#[test]
fn an_honest_receipt_passes_by_its_digest_and_by_the_key_recovered_over_it() {
    let report = Market::settled().audit();
    for id in ["receipt-digest", "receipt-signature"] {
        assert!(report.checks.iter().any(|check| check.id == id && check.pass), "{id}");
    }
    let signature = report.checks.iter().find(|check| check.id == "receipt-signature").unwrap();
    assert_eq!((signature.expected.as_str(), signature.pass), (key().address().to_string().as_str(), true));
    assert!(report.limits.iter().all(|limit| !limit.contains("signature")), "{:?}", report.limits);
}

#[test]
fn a_receipt_with_any_field_altered_fails_even_when_its_signature_is_the_workers() {
    let honest = honest(&Market::settled());
    for (field, alter) in ALTERATIONS {
        let mut altered = honest;
        alter(&mut altered);
        let report = audit_of(ReceiptDigest(altered.digest()), key().sign(&altered));
        assert_eq!(report.verdict, "fail", "{field}");
        assert_eq!(failed(&report), ["receipt-digest", "receipt-signature"], "{field}");
        // The worker's signature over something else under the right digest: the signature alone gives it away.
        let report = audit_of(ReceiptDigest(honest.digest()), key().sign(&altered));
        assert_eq!(failed(&report), ["receipt-signature"], "{field}");
    }
}

#[test]
fn an_altered_signature_or_one_of_another_key_fails_alone() {
    let honest = honest(&Market::settled());
    let (digest, good) = (ReceiptDigest(honest.digest()), key().sign(&honest));
    let fails = |what: &str, signature: Signature| {
        let report = audit_of(digest, signature);
        assert_eq!((report.verdict, failed(&report)), ("fail", vec!["receipt-signature"]), "{what}");
    };
    for (what, at) in [("r", 0), ("s", 40)] {
        let mut altered = good;
        altered.0[at] ^= 1;
        fails(what, altered);
    }
    let mut other = good;
    other.0[64] = 55 - other.0[64];
    fails("the other v", other);
    let mut unknown = good;
    unknown.0[64] = 29;
    fails("an unknown v", unknown);
    fails("zeros", Signature([0; 65]));
    fails("another key", SigningKey::from_secret(&[6; 32]).unwrap().sign(&honest));
}

#[test]
fn a_fact_of_the_chain_that_is_not_the_receipts_fails_by_the_rebuilt_receipt() {
    let alterations: Vec<(&str, fn(&mut JobBundle))> = vec![
        ("genesis", |bundle| bundle.genesis.0[0] ^= 1),
        ("contract", |bundle| bundle.contract.0[0] ^= 1),
        ("job", |bundle| bundle.job.0 += 1),
        ("version", |bundle| bundle.terms.version.0 += 1),
        ("manifest", |bundle| bundle.version.manifest.0[0] ^= 1),
        ("split", |bundle| bundle.terms.split.0 += 1),
        ("head", |bundle| bundle.split.head.0[0] ^= 1),
        ("input", |bundle| bundle.terms.input.0[0] ^= 1),
        ("output", |bundle| bundle.progress.output = Some(BlobDigest([1; 32]))),
        ("tail", |bundle| bundle.split.tail.0[0] ^= 1),
        ("worker", |bundle| bundle.worker.as_mut().unwrap().0.0[0] ^= 1),
        ("measurement", |bundle| bundle.worker.as_mut().unwrap().1.measurement.0[0] ^= 1),
        ("registration nonce", |bundle| bundle.worker.as_mut().unwrap().1.nonce.0[0] ^= 1),
        ("claimed at", |bundle| bundle.progress.claimed_at.0 -= 1),
        ("finished at", |bundle| bundle.progress.finished_at.0 -= 1),
        ("expires at", |bundle| bundle.worker.as_mut().unwrap().1.expires_at.0 += 1),
        ("custody", |bundle| bundle.terms.custody ^= true),
    ];
    for (field, alter) in alterations {
        let report = Market::settled().audit_with(alter);
        for check in ["receipt-digest", "receipt-signature"] {
            assert!(failed(&report).contains(&check), "{field}: {:?}", failed(&report));
        }
    }
}

#[test]
fn an_event_that_names_another_block_of_finishing_fails() {
    let report = Market::settled().audit_with(|bundle| committed(bundle).finished_at.0 += 1);
    assert!(failed(&report).contains(&"receipt-finished"), "{:?}", failed(&report));
}

#[test]
fn a_receipt_of_another_job_contract_or_chain_fails_by_its_digest_and_by_its_signer() {
    let honest = honest(&Market::settled());
    // The worker signed each of them, for something else that is as it says.
    let elsewhere = [
        ("another job", Receipt { job: JobId(honest.job.0 + 1), ..honest }),
        ("another contract", Receipt { contract: ContractAddress([0xee; 20]), ..honest }),
        ("another chain", Receipt { genesis: GenesisHash([0xee; 32]), ..honest }),
        ("a claim before", Receipt { claimed_at: BlockNumber(honest.claimed_at.0 - 1), ..honest }),
        ("a registration before", Receipt { registration_nonce: Nonce([0xee; 32]), ..honest }),
    ];
    for (what, other) in elsewhere {
        let report = audit_of(ReceiptDigest(other.digest()), key().sign(&other));
        assert_eq!(failed(&report), ["receipt-digest", "receipt-signature"], "{what}");
    }
}
