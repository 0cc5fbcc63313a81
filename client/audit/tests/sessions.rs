//! The audit of sessions: an honest one passes, and each lie fails by its own check.
#![allow(clippy::unwrap_used)]

mod market;

use encompute_attest::pki::{DevelopmentPki, DevelopmentSeed};
use encompute_audit::{Report, SessionBundle, SessionProof, Severity, audit_session, session_kept_until};
use encompute_lifecycle::{ReadState, View};
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, Blocks, JobId, PolicyId, Receipt, ReceiptDigest, SessionId, Signed, SplitIndex,
    VersionId,
    call::{CloseSession, OpenSession, PruneJob, QuoteJob, TakeSessions},
    event::Event,
    session::{
        SessionLeaf, SessionOffer, SessionOutcome, SignedSessionOffer, SignedVoucher,
        calls::SignedReceipt,
        count::{SessionCount, SessionName},
        tree::path,
    },
    signing::SigningKey,
    wire::Message,
};
use market::*;
use std::collections::BTreeSet;

fn vouchers() -> SigningKey {
    SigningKey::from_secret(&[0x77; 32]).unwrap()
}

/// A session of three jobs, of which two were run and one settled, closed by agreement of nobody: shown and poked.
fn closed() -> (Market, SessionBundle) {
    let mut market = Market::with_request();
    let (version, split) = (VersionId(1), SplitIndex(0));
    market.call(CREATOR, 0, TakeSessions { version, jobs: 3 }).unwrap();
    let offer = SessionOffer {
        genesis: GENESIS,
        contract: CONTRACT,
        worker: WORKER,
        user: USER,
        version,
        split,
        key: vouchers().address(),
        jobs: 3,
        length: Blocks(100),
        expires_at: BlockNumber(market.block + 5),
    };
    let offer = SignedSessionOffer { offer, signature: key().sign(&offer) };
    let (fees, _) = QuoteJob { version, split }.view(&market.memory).unwrap();
    let value = fees.total().unwrap().0 * 3;
    let session = market.call(USER, value, OpenSession { version, split, policy: PolicyId(1), offer }).unwrap();
    let name = SessionName { genesis: GENESIS, contract: CONTRACT, session, key: vouchers().address(), jobs: 3 };
    let mut count = SessionCount::new(name);
    let (mut leaves, mut proof) = (Vec::new(), None);
    for (index, outcome) in [(0, SessionOutcome::Settled), (1, SessionOutcome::HeadOnly)] {
        let job = session.job(index).unwrap();
        let (leaf, signed, transcript) = run(&mut market, session, job, outcome);
        let voucher = count.voucher_with(&leaf);
        let signed_voucher = SignedVoucher { voucher, signature: vouchers().sign(&voucher) };
        count.take(&encompute_protocol::session::calls::VoucherCall { signed: signed_voucher, leaf }).unwrap();
        leaves.push(leaf);
        if index == 0 {
            proof = Some((leaf, signed, transcript));
        }
    }
    market.call(WORKER, 0, CloseSession { signed: *count.voucher().unwrap(), agreed: None }).unwrap();
    market.block = market.memory.session(session).unwrap().deadline.0 + 1;
    market.call(USER, 0, encompute_protocol::call::PokeSession { session }).unwrap();
    let (leaf, receipt, transcript) = proof.unwrap();
    let path = path(&leaves, 0).unwrap();
    let job = SessionProof { index: 0, leaf, path, receipt: Some(receipt), transcript: Some(transcript) };
    let ours = |event: &Event| {
        event.session() == Some(session) || matches!(event, Event::Credited(credit) if credit.job == session.first())
    };
    let bundle = SessionBundle {
        genesis: GENESIS,
        contract: CONTRACT,
        session,
        record: market.memory.session(session).unwrap(),
        pruned: None,
        events: market.memory.events().iter().filter(|(_, event)| ours(event)).cloned().collect(),
        unread_events: 0,
        signing: key().address(),
        payout: PAYOUT,
        creator: CREATOR,
        treasuries: BTreeSet::from([TREASURY]),
        job: Some(job),
    };
    (market, bundle)
}

/// One job of a session, as an honest worker runs it.
fn run(
    market: &mut Market,
    session: SessionId,
    job: JobId,
    outcome: SessionOutcome,
) -> (SessionLeaf, SignedReceipt, Vec<u8>) {
    market.job = job;
    let transcript = market.transcript().to_wire();
    let (record, worker) = (market.memory.session(session).unwrap(), market.memory.worker(WORKER).unwrap());
    let sold = market.memory.split(record.version, record.split).unwrap();
    let input = BlobDigest::of(&job.0.to_le_bytes());
    let receipt = Receipt {
        genesis: GENESIS,
        contract: CONTRACT,
        job,
        version: record.version,
        manifest: market.memory.version(record.version).unwrap().manifest,
        split: record.split,
        head: sold.head,
        input,
        evaluation_key: BlobDigest::default(),
        output: BlobDigest::of(&transcript),
        tail: sold.tail,
        worker: WORKER,
        measurement: worker.measurement,
        registration_nonce: worker.nonce,
        claimed_at: record.opened_at,
        finished_at: record.opened_at,
        expires_at: worker.expires_at,
        custody: false,
    };
    let leaf = SessionLeaf {
        job,
        input,
        receipt: ReceiptDigest(receipt.digest()),
        features: BlobDigest::of(b"sealed features"),
        result: BlobDigest::of(b"sealed result"),
        outcome,
    };
    (leaf, SignedReceipt { receipt, signature: key().sign(&receipt) }, transcript)
}

fn judge(bundle: &SessionBundle) -> Report {
    let pki = DevelopmentPki::from_seed(DevelopmentSeed::from_label("audit")).unwrap();
    audit_session(bundle, pki.trust_root())
}

fn failed(alter: impl FnOnce(&mut SessionBundle)) -> Vec<(String, Severity)> {
    let (_, mut bundle) = closed();
    alter(&mut bundle);
    let failed = judge(&bundle).checks.into_iter().filter(|check| !check.pass);
    failed.map(|check| (check.id, check.severity)).collect()
}

fn is(name: &str) -> Vec<(String, Severity)> {
    vec![(name.to_owned(), Severity::Contradiction)]
}

#[test]
fn an_honest_session_passes_with_and_without_one_of_its_jobs() {
    let (_, mut bundle) = closed();
    let report = judge(&bundle);
    assert!(report.holds(), "{:#?}", report.checks);
    bundle.job = None;
    assert!(judge(&bundle).holds());
}

#[test]
fn credits_that_are_not_the_tables_or_go_to_somebody_else_fail_by_name() {
    let credit = |bundle: &mut SessionBundle, alter: fn(&mut encompute_protocol::event::Credited)| {
        let found = bundle.events.iter_mut().find_map(|(_, event)| match event {
            Event::Credited(credit) if credit.account == PAYOUT => Some(credit),
            _ => None,
        });
        alter(found.unwrap());
    };
    assert_eq!(failed(|bundle| credit(bundle, |credit| credit.amount.0 += 1)), is("money.worker"));
    assert_eq!(failed(|bundle| credit(bundle, |credit| credit.account = Address([9; 20]))), is("money.to-nobody-else"));
    assert_eq!(failed(|bundle| bundle.treasuries.clear()), is("money.to-nobody-else"));
    assert_eq!(failed(|bundle| bundle.unread_events = 1), is("events.all-read"));
}

#[test]
fn a_job_that_is_not_in_the_tree_or_whose_receipt_is_not_its_workers_fails_by_name() {
    let job = |alter: fn(&mut SessionProof)| failed(|bundle| alter(bundle.job.as_mut().unwrap()));
    assert_eq!(job(|job| job.leaf.result.0[0] ^= 1), is("job.in-the-tree"));
    assert_eq!(job(|job| job.path[0][0] ^= 1), is("job.in-the-tree"));
    let moved = job(|job| job.index = 1);
    assert_eq!(moved[0], is("job.number")[0]);
    let forged = job(|job| {
        job.receipt.as_mut().unwrap().signature =
            SigningKey::from_secret(&[1; 32]).unwrap().sign(&job.receipt.unwrap().receipt)
    });
    assert_eq!(forged, is("receipt.signature"));
    let other = job(|job| job.transcript = Some(vec![1]));
    assert!(other.contains(&is("transcript.digest")[0]), "{other:?}");
    let gone = job(|job| job.transcript = None);
    assert_eq!(gone, [("transcript.there".to_owned(), Severity::Missing)]);
}

#[test]
fn a_pruned_sessions_record_is_held_against_the_digest_that_the_chain_keeps() {
    let (mut market, mut bundle) = closed();
    let job = bundle.session.first();
    market.block = session_kept_until(&bundle.record).0 + 1;
    // All of its deposit is the user's, and the platform gives it to whoever prunes.
    market.call(USER, 0, PruneJob { job }).unwrap();
    bundle.pruned = market.memory.pruned(job);
    let report = judge(&bundle);
    assert!(report.holds() && report.checks.iter().any(|check| check.id == "pruned-digest"), "{:#?}", report.checks);
    bundle.record.jobs += 1;
    let failed = judge(&bundle).checks.into_iter().filter(|check| !check.pass).map(|check| check.id);
    assert!(failed.collect::<Vec<_>>().contains(&"pruned-digest".into()));
}
