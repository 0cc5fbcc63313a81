//! Evidence judged against the chain: what holds, and what each lie is caught by.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use codec::{Decode, Encode};
use common::{NOW, collateral, measurement, pki, platform, policy};
use encompute_attest::{
    Appraisal, Evidence, HeadKeyEvidence, HpkeKey, Measurement, QuoteFacts, ReceiptEvidence, Register,
    RegistrationEvidence, RegistrationFacts, TrustRoot, appraise_head_key_request, appraise_receipt,
    appraise_registration, bound, compact, quote_identity,
};
use encompute_protocol::statement::TeeKind;
use encompute_protocol::wire::{DecodeError, Message};
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, Bytes, ContractAddress, GenesisHash, HeadKeyStatement, Nonce, Receipt,
    ReceiptDigest, RegistrationStatement, Signed, SigningAddress, SplitIndex, VersionHash, VersionId, WorkerRecord,
};

const GENESIS: GenesisHash = GenesisHash([1; 32]);
const CONTRACT: ContractAddress = ContractAddress([2; 20]);
const ACCOUNT: Address = Address([3; 20]);
const SIGNING: SigningAddress = SigningAddress([4; 20]);
const PAYOUT: Address = Address([5; 20]);
const NONCE: Nonce = Nonce([6; 32]);
const EXPIRY: BlockNumber = BlockNumber(14_400);
const KEY: HpkeKey = HpkeKey([8; 1216]);

fn statement() -> RegistrationStatement {
    RegistrationStatement {
        genesis: GENESIS,
        contract: CONTRACT,
        account: ACCOUNT,
        signing: SIGNING,
        hpke: KEY.digest(),
        payout: PAYOUT,
        tee: TeeKind::Tdx,
        expires_at: EXPIRY,
    }
}

fn evidence<S: Signed>(statement: S, nonce: Nonce) -> Evidence<S> {
    let pki = pki();
    let platform = platform(&pki);
    let quote = platform.quote(&measurement(), Register([9; 48]), bound(&statement, &nonce));
    Evidence {
        quote: Bytes::new(quote).unwrap(),
        collateral: Bytes::new(collateral(&pki, &platform).to_json()).unwrap(),
        statement,
        nonce,
        hpke_key: KEY,
    }
}

fn record(evidence: &RegistrationEvidence) -> WorkerRecord {
    WorkerRecord {
        signing: SIGNING,
        hpke: KEY.digest(),
        payout: PAYOUT,
        measurement: Measurement::Tdx(measurement()).id(),
        platform: compact(evidence.quote.as_slice()).unwrap().1.platform(),
        quote: quote_identity(evidence.quote.as_slice()).unwrap(),
        evidence: BlobDigest::of(&evidence.to_wire()),
        nonce: NONCE,
        registered_at: BlockNumber(1),
        expires_at: EXPIRY,
        ..zeroed()
    }
}

fn zeroed() -> WorkerRecord {
    WorkerRecord::decode(&mut codec::IoReader(std::io::repeat(0))).unwrap()
}

fn judged(evidence: &RegistrationEvidence, record: &WorkerRecord) -> Appraisal {
    let facts =
        RegistrationFacts { genesis: GENESIS, contract: CONTRACT, account: ACCOUNT, record, at: BlockNumber(100) };
    appraise_registration(&evidence.to_wire(), &facts, pki().trust_root(), &policy(), NOW)
}

fn failed(appraisal: &Appraisal) -> Vec<&'static str> {
    appraisal.checks.iter().filter(|check| !check.pass).map(|check| check.id).collect()
}

#[test]
fn an_honest_registration_passes_every_check() {
    let evidence = evidence(statement(), NONCE);
    let appraisal = judged(&evidence, &record(&evidence));
    assert_eq!(failed(&appraisal), [""; 0]);
    let ids: Vec<_> = appraisal.checks.iter().map(|check| check.id).collect();
    assert_eq!(
        ids,
        [
            "evidence-digest",
            "statement-genesis",
            "statement-contract",
            "statement-account",
            "statement-signing-key",
            "statement-hpke-key",
            "statement-payout",
            "statement-expiry",
            "nonce",
            "registration-holds",
            "hpke-key",
            "quote",
            "report-data",
            "tee",
            "quote-identity",
            "measurement",
            "platform",
        ]
    );
    let attested = appraisal.into_attested(&evidence).unwrap();
    assert_eq!(attested.hpke_key, KEY);
    assert!(attested.verdict.claims.root.kind.is_development());
}

#[test]
fn evidence_survives_the_wire_and_nothing_longer_does() {
    let evidence = evidence(statement(), NONCE);
    let wire = evidence.to_wire();
    assert_eq!(RegistrationEvidence::from_wire(&wire), Ok(evidence));
    let trailing = [wire.as_slice(), &[0]].concat();
    assert_eq!(RegistrationEvidence::from_wire(&trailing), Err(DecodeError::Trailing { bytes: 1 }));
    let mut version = wire.clone();
    version[0] = 2;
    assert_eq!(RegistrationEvidence::from_wire(&version), Err(DecodeError::Version { found: 2, known: 1 }));
    assert_eq!(RegistrationEvidence::from_wire(&wire[..wire.len() - 1]), Err(DecodeError::Malformed));
    let long = vec![1; RegistrationEvidence::LIMIT_BYTES + 1];
    assert!(matches!(RegistrationEvidence::from_wire(&long), Err(DecodeError::TooLong { .. })));
}

#[test]
fn a_statement_altered_after_the_quote_breaks_the_report_data() {
    let mut evidence = evidence(statement(), NONCE);
    evidence.statement.payout = Address([0xee; 20]);
    let mut record = record(&evidence);
    record.payout = evidence.statement.payout;
    assert_eq!(failed(&judged(&evidence, &record)), ["report-data"]);
}

#[test]
fn another_key_than_the_attested_one_is_caught() {
    let mut evidence = evidence(statement(), NONCE);
    evidence.hpke_key.0[0] ^= 1;
    assert_eq!(failed(&judged(&evidence, &record(&evidence))), ["hpke-key"]);
}

#[test]
fn a_quote_for_another_nonce_is_caught() {
    let evidence = evidence(statement(), Nonce([7; 32]));
    assert_eq!(failed(&judged(&evidence, &record(&evidence))), ["nonce"]);
    let mut relabelled = evidence;
    relabelled.nonce = NONCE;
    assert_eq!(failed(&judged(&relabelled, &record(&relabelled))), ["report-data"]);
}

#[test]
fn each_fact_that_differs_from_the_chain_is_named() {
    let evidence = evidence(statement(), NONCE);
    let honest = record(&evidence);
    let lies: [(&str, WorkerRecord); 8] = [
        ("evidence-digest", WorkerRecord { evidence: BlobDigest([0xee; 32]), ..honest }),
        ("statement-signing-key", WorkerRecord { signing: SigningAddress([0xee; 20]), ..honest }),
        ("statement-payout", WorkerRecord { payout: Address([0xee; 20]), ..honest }),
        ("statement-expiry", WorkerRecord { expires_at: BlockNumber(200), ..honest }),
        ("nonce", WorkerRecord { nonce: Nonce([0xee; 32]), ..honest }),
        ("quote-identity", WorkerRecord { quote: encompute_protocol::QuoteIdentity([0xee; 32]), ..honest }),
        ("measurement", WorkerRecord { measurement: encompute_protocol::MeasurementId([0xee; 32]), ..honest }),
        ("platform", WorkerRecord { platform: encompute_protocol::PlatformId([0xee; 32]), ..honest }),
    ];
    for (id, record) in lies {
        assert_eq!(failed(&judged(&evidence, &record)), [id]);
    }
    assert_eq!(
        failed(&judged(&evidence, &WorkerRecord { expires_at: BlockNumber(100), ..honest })),
        ["statement-expiry", "registration-holds"]
    );
}

#[test]
fn a_registration_on_another_chain_or_contract_or_for_another_account_is_caught() {
    let evidence = evidence(statement(), NONCE);
    let record = record(&evidence);
    let here = RegistrationFacts {
        genesis: GENESIS,
        contract: CONTRACT,
        account: ACCOUNT,
        record: &record,
        at: BlockNumber(100),
    };
    let elsewhere = [
        ("statement-genesis", RegistrationFacts { genesis: GenesisHash([0xee; 32]), ..here }),
        ("statement-contract", RegistrationFacts { contract: ContractAddress([0xee; 20]), ..here }),
        ("statement-account", RegistrationFacts { account: Address([0xee; 20]), ..here }),
    ];
    for (id, facts) in elsewhere {
        let appraisal = appraise_registration(&evidence.to_wire(), &facts, pki().trust_root(), &policy(), NOW);
        assert_eq!(failed(&appraisal), [id]);
    }
}

#[test]
fn a_quote_under_the_wrong_root_gives_no_verdict() {
    let evidence = evidence(statement(), NONCE);
    let record = record(&evidence);
    let facts = RegistrationFacts {
        genesis: GENESIS,
        contract: CONTRACT,
        account: ACCOUNT,
        record: &record,
        at: BlockNumber(100),
    };
    let appraisal = appraise_registration(&evidence.to_wire(), &facts, &TrustRoot::intel(), &policy(), NOW);
    assert_eq!(failed(&appraisal), ["quote"]);
    assert!(!appraisal.holds());
    let refused = appraisal.into_verdict().unwrap_err();
    assert!(refused.actual.contains("does not verify under the Intel root"), "{refused}");
}

#[test]
fn an_unreadable_blob_is_a_failed_check_and_not_a_panic() {
    let evidence = evidence(statement(), NONCE);
    let record = record(&evidence);
    let facts = RegistrationFacts {
        genesis: GENESIS,
        contract: CONTRACT,
        account: ACCOUNT,
        record: &record,
        at: BlockNumber(100),
    };
    let wire = evidence.to_wire();
    for blob in [&[][..], &[1; 100], &wire[..wire.len() / 2]] {
        let appraisal = appraise_registration(blob, &facts, pki().trust_root(), &policy(), NOW);
        assert_eq!(failed(&appraisal), ["evidence-digest", "evidence-bytes"]);
    }
}

#[test]
fn an_sgx_claim_over_a_tdx_quote_is_caught() {
    let evidence = evidence(RegistrationStatement { tee: TeeKind::Sgx, ..statement() }, NONCE);
    assert_eq!(failed(&judged(&evidence, &record(&evidence))), ["tee"]);
}

fn head_key_statement() -> HeadKeyStatement {
    HeadKeyStatement {
        genesis: GENESIS,
        contract: CONTRACT,
        account: ACCOUNT,
        signing: SIGNING,
        hpke: KEY.digest(),
        version: VersionId(1),
        manifest: VersionHash([10; 32]),
        split: SplitIndex(0),
    }
}

fn head_key_judged(evidence: &HeadKeyEvidence, expected: &HeadKeyStatement, nonce: &Nonce) -> Appraisal {
    appraise_head_key_request(evidence, expected, TeeKind::Tdx, nonce, pki().trust_root(), &policy(), NOW)
}

#[test]
fn an_honest_head_key_request_gives_the_key_to_seal_to() {
    let evidence = evidence(head_key_statement(), NONCE);
    let attested = head_key_judged(&evidence, &head_key_statement(), &NONCE).into_attested(&evidence).unwrap();
    assert_eq!(attested.hpke_key.digest(), KEY.digest());
}

#[test]
fn a_replayed_head_key_request_is_caught_by_its_nonce() {
    let evidence = evidence(head_key_statement(), NONCE);
    assert_eq!(failed(&head_key_judged(&evidence, &head_key_statement(), &Nonce([0xee; 32]))), ["nonce"]);
}

#[test]
fn a_head_key_request_for_another_head_is_caught() {
    let evidence = evidence(head_key_statement(), NONCE);
    let expected = HeadKeyStatement { version: VersionId(2), split: SplitIndex(1), ..head_key_statement() };
    assert_eq!(failed(&head_key_judged(&evidence, &expected, &NONCE)), ["statement-version", "statement-split"]);
}

#[test]
fn a_registration_quote_cannot_be_repurposed_as_a_head_key_request() {
    let registration = evidence(statement(), NONCE);
    let repurposed = HeadKeyEvidence { quote: registration.quote, ..evidence(head_key_statement(), NONCE) };
    assert_eq!(failed(&head_key_judged(&repurposed, &head_key_statement(), &NONCE)), ["report-data"]);
    assert_ne!(statement().encode().len(), 0);
}

fn receipt() -> Receipt {
    let digest = |byte| BlobDigest([byte; 32]);
    Receipt {
        genesis: GENESIS,
        contract: CONTRACT,
        job: encompute_protocol::JobId(7),
        version: VersionId(1),
        manifest: VersionHash([10; 32]),
        split: SplitIndex(0),
        head: encompute_protocol::HeadDigest([11; 32]),
        input: digest(12),
        evaluation_key: BlobDigest::default(),
        output: digest(13),
        tail: encompute_protocol::TailDigest([14; 32]),
        worker: ACCOUNT,
        measurement: Measurement::Tdx(measurement()).id(),
        registration_nonce: Nonce([15; 32]),
        claimed_at: BlockNumber(100),
        finished_at: BlockNumber(101),
        expires_at: EXPIRY,
        custody: false,
    }
}

fn quote_facts(evidence: &ReceiptEvidence) -> QuoteFacts {
    QuoteFacts {
        receipt: ReceiptDigest(receipt().digest()),
        measurement: receipt().measurement,
        nonce: NONCE,
        quote: quote_identity(evidence.quote.as_slice()).unwrap(),
        evidence: BlobDigest::of(&evidence.to_wire()),
    }
}

fn receipt_judged(evidence: &ReceiptEvidence, facts: &QuoteFacts) -> Appraisal {
    appraise_receipt(&evidence.to_wire(), facts, pki().trust_root(), &policy(), NOW)
}

#[test]
fn a_quote_over_a_receipt_and_the_nonce_of_its_demand_passes_every_check() {
    let evidence = evidence(receipt(), NONCE);
    let appraisal = receipt_judged(&evidence, &quote_facts(&evidence));
    assert_eq!(failed(&appraisal), [""; 0]);
    let ids: Vec<_> = appraisal.checks.iter().map(|check| check.id).collect();
    let wanted = ["evidence-digest", "receipt", "nonce", "quote", "report-data", "quote-identity", "measurement"];
    assert_eq!(ids, wanted);
    assert!(appraisal.holds());
}

#[test]
fn a_quote_that_is_not_the_one_that_was_demanded_is_named_for_what_is_wrong() {
    let honest = evidence(receipt(), NONCE);
    let facts = quote_facts(&honest);
    let lies: [(&str, QuoteFacts); 5] = [
        ("evidence-digest", QuoteFacts { evidence: BlobDigest([0xee; 32]), ..facts }),
        ("receipt", QuoteFacts { receipt: ReceiptDigest([0xee; 32]), ..facts }),
        ("nonce", QuoteFacts { nonce: Nonce([0xee; 32]), ..facts }),
        ("quote-identity", QuoteFacts { quote: encompute_protocol::QuoteIdentity([0xee; 32]), ..facts }),
        ("measurement", QuoteFacts { measurement: encompute_protocol::MeasurementId([0xee; 32]), ..facts }),
    ];
    for (id, facts) in lies {
        assert_eq!(failed(&receipt_judged(&honest, &facts)), [id]);
    }
    // A quote of another job's receipt, of an older demand, or of the registration, under this one's name.
    let of_another = ReceiptEvidence {
        statement: receipt(),
        ..evidence(Receipt { job: encompute_protocol::JobId(8), ..receipt() }, NONCE)
    };
    assert_eq!(failed(&receipt_judged(&of_another, &quote_facts(&of_another))), ["report-data"]);
    let older = ReceiptEvidence { nonce: NONCE, ..evidence(receipt(), Nonce([5; 32])) };
    assert_eq!(failed(&receipt_judged(&older, &quote_facts(&older))), ["report-data"]);
    let registration = ReceiptEvidence { quote: evidence(statement(), NONCE).quote, ..evidence(receipt(), NONCE) };
    assert_eq!(failed(&receipt_judged(&registration, &quote_facts(&registration))), ["report-data"]);
    let wire = honest.to_wire();
    for blob in [&[][..], &[1; 100], &wire[..wire.len() / 2], &[&wire[..], &[0]].concat()] {
        let appraisal = appraise_receipt(blob, &facts, pki().trust_root(), &policy(), NOW);
        assert_eq!(failed(&appraisal), ["evidence-digest", "evidence-bytes"]);
    }
    let appraisal = appraise_receipt(&wire, &facts, &TrustRoot::intel(), &policy(), NOW);
    assert_eq!(failed(&appraisal), ["quote"]);
}
