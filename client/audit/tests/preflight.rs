//! What the client checks before it decrypts: every field of a round's receipt, its bytes, its
//! signature, the chain of rounds, the commitment.
#![allow(clippy::unwrap_used, clippy::panic, clippy::type_complexity)]

mod market;

use encompute_audit::{CommitmentRefused, RoundRefused, verify_commitment, verify_round};
use encompute_protocol::{
    BlobDigest, RoundIndex, RoundReceipt, RoundReceiptDigest, Transcript, receipt::RoundAnswer, signing::SigningKey,
    wire::Message,
};
use market::*;

fn claimed() -> Market {
    let mut market = Market::with_request();
    market.claim();
    market
}

fn answer(market: &Market) -> RoundAnswer {
    let (receipt, signature) = market.transcript().rounds[0];
    RoundAnswer { receipt, signature, response: b"first answer".to_vec() }
}

fn verify(market: &Market, answer: &RoundAnswer) -> Result<encompute_audit::VerifiedRound, RoundRefused> {
    let request = BlobDigest::of(b"an encrypted tensor");
    verify_round(&market.facts(), RoundIndex(0), request, RoundReceiptDigest::default(), answer)
}

#[test]
fn an_honest_round_gives_the_digest_that_may_be_decrypted_and_the_link() {
    let market = claimed();
    let answer = answer(&market);
    let verified = verify(&market, &answer).unwrap();
    assert_eq!(verified.response(), BlobDigest::of(b"first answer"));
    assert_eq!(verified.link(), answer.receipt.link());
}

#[test]
fn a_receipt_with_any_field_altered_is_refused_by_that_field_even_when_signed() {
    let market = claimed();
    let fields: Vec<(&str, fn(&mut RoundReceipt))> = vec![
        ("genesis", |receipt| receipt.genesis.0[0] ^= 1),
        ("contract", |receipt| receipt.contract.0[0] ^= 1),
        ("job", |receipt| receipt.job.0 += 1),
        ("round", |receipt| receipt.round.0 += 1),
        ("head", |receipt| receipt.head.0[0] ^= 1),
        ("request", |receipt| receipt.request.0[0] ^= 1),
        ("response", |receipt| receipt.response.0[0] ^= 1),
        ("previous", |receipt| receipt.previous.0[0] ^= 1),
        ("registration nonce", |receipt| receipt.registration_nonce.0[0] ^= 1),
    ];
    for (name, alter) in fields {
        let mut answer = answer(&market);
        alter(&mut answer.receipt);
        answer.signature = key().sign(&answer.receipt);
        match verify(&market, &answer) {
            Err(RoundRefused::Field { field, .. }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn other_bytes_than_the_receipt_names_are_refused() {
    let market = claimed();
    let mut answer = answer(&market);
    answer.response[0] ^= 1;
    assert!(matches!(verify(&market, &answer), Err(RoundRefused::Field { field: "response", .. })));
}

#[test]
fn a_receipt_by_another_key_is_refused() {
    let market = claimed();
    let mut answer = answer(&market);
    answer.signature = SigningKey::from_secret(&[6; 32]).unwrap().sign(&answer.receipt);
    let signing = key().address();
    assert_eq!(verify(&market, &answer), Err(RoundRefused::Signature { round: RoundIndex(0), signing }));
    answer.signature.0[10] ^= 1;
    assert!(verify(&market, &answer).is_err());
}

#[test]
fn the_commitment_must_be_the_transcript_of_the_rounds_that_the_client_saw() {
    let market = Market::committed();
    let transcript = market.transcript();
    let links: Vec<_> = transcript.rounds.iter().map(|(receipt, _)| receipt.link()).collect();
    let bytes = transcript.to_wire();
    let facts = market.facts();
    verify_commitment(&facts, &bytes, 2, &links).unwrap();

    let early = claimed().facts();
    assert!(matches!(verify_commitment(&early, &bytes, 2, &links), Err(CommitmentRefused::Stage { .. })));
    let mut altered = bytes.clone();
    altered[40] ^= 1;
    assert!(matches!(verify_commitment(&facts, &altered, 2, &links), Err(CommitmentRefused::Transcript { .. })));
    for count in [1, 3] {
        let refused = verify_commitment(&facts, &bytes, count, &links);
        assert!(matches!(refused, Err(CommitmentRefused::Count { found: 2, .. })), "{refused:?}");
    }
    for (at, saw) in [(0, vec![links[1], links[1]]), (1, vec![links[0], links[0]]), (1, vec![links[0]])] {
        let refused = verify_commitment(&facts, &bytes, 2, &saw);
        assert!(matches!(refused, Err(CommitmentRefused::Link { round, .. }) if round.0 == at), "{refused:?}");
    }
}

/// A worker that names the right last receipt over a transcript that no auditor would pass is not paid for it.
#[test]
fn a_transcript_with_an_earlier_round_swapped_or_unsigned_is_refused_though_its_last_receipt_is_right() {
    let market = Market::committed();
    let honest = market.transcript();
    let links: Vec<_> = honest.rounds.iter().map(|(receipt, _)| receipt.link()).collect();
    let committed = |transcript: &Transcript| {
        let bytes = transcript.to_wire();
        let mut facts = market.facts();
        facts.progress.output = Some(BlobDigest::of(&bytes));
        verify_commitment(&facts, &bytes, 2, &links)
    };
    assert_eq!(committed(&honest), Ok(()));
    let mut swapped = honest.clone();
    swapped.rounds[0] = swapped.rounds[1];
    assert!(matches!(committed(&swapped), Err(CommitmentRefused::Link { round: RoundIndex(0), .. })));
    let mut unsigned = honest.clone();
    unsigned.rounds[0].1 = unsigned.rounds[1].1;
    assert!(matches!(committed(&unsigned), Err(CommitmentRefused::Signature { round: RoundIndex(0), .. })));
}

#[test]
fn a_committed_blob_that_is_no_transcript_is_refused() {
    let mut market = claimed();
    market.commit(&Transcript { rounds: Vec::new() });
    let garbage = b"no transcript".to_vec();
    let mut facts = market.facts();
    facts.progress.output = Some(BlobDigest::of(&garbage));
    let refused = verify_commitment(&facts, &garbage, 0, &[]);
    assert!(matches!(refused, Err(CommitmentRefused::Malformed(_))), "{refused:?}");
}
