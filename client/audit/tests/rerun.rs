//! A head that is run again by whoever holds it: what an honest worker signed comes out to the bit, and nothing else.
#![allow(clippy::unwrap_used, clippy::panic)]

mod market;

use encompute_audit::{Report, audit_job, rerun};
use encompute_fhe::{BlindingKey, EncryptedTensor, MaskSeed};
use encompute_head::{BlindedFor, CompileOptions, CompiledHead, HeadWeights, compile, evaluate_round};
use encompute_protocol::{BlobDigest, RoundIndex};
use market::*;

fn a_head(weights: [i8; 4]) -> CompiledHead {
    let weights = HeadWeights::new(vec![weights.to_vec(), vec![1, 0, -1, 1]]);
    let options = CompileOptions { allow_toy_parameters: true, ..CompileOptions::default() };
    compile(two_rounds(), weights, &options).unwrap()
}

/// Ciphertexts that conform; they decrypt to nothing in particular, which no worker could tell.
fn a_tensor(head: &CompiledHead, seed: u8) -> Vec<u8> {
    let set = head.plan().parameter_set();
    let bodies: Vec<_> = (1..=set.polynomial_size().0 as u64).map(|at| (at * u64::from(seed)) << 50).collect();
    let upload_bits = head.plan().rounds()[0].upload_bits;
    EncryptedTensor::from_bodies_at(set, upload_bits, MaskSeed([seed; 16]), &bodies).unwrap().to_bytes()
}

fn a_blinding_key(head: &CompiledHead) -> BlindingKey {
    let set = head.plan().parameter_set();
    BlindingKey::from_body(set, MaskSeed([9; 16]), &vec![1 << 40; set.polynomial_size().0]).unwrap()
}

/// A job of two rounds that its worker committed to, with `alter` in between.
struct Ran {
    market: Market,
    head: CompiledHead,
    requests: [Vec<u8>; 2],
}

fn ran(alter: impl FnOnce(&mut [Vec<u8>; 2])) -> Ran {
    let head = a_head([1, 1, -1, 1]);
    let requests = [a_tensor(&head, 3), a_tensor(&head, 5)];
    let blinding = a_blinding_key(&head);
    let ask = Ask { head: head.digest(), tensor: requests[0].clone(), blinding: blinding.to_bytes() };
    let mut market = Market::with_request_of(two_rounds(), ask);
    market.claim();
    let (input, key) = (market.bundle().terms.input, head.prepare_key(&blinding).unwrap());
    let mut responses: [Vec<u8>; 2] = [0, 1].map(|round: u16| {
        let (request, round) = (&requests[usize::from(round)], RoundIndex(round));
        let seed = BlindedFor::Job.seed(&head.state_secret(), &input, round, &BlobDigest::of(request));
        let tensor = EncryptedTensor::from_bytes(request).unwrap();
        evaluate_round(&head, round, &tensor, &key, None, &seed).unwrap().to_bytes()
    });
    alter(&mut responses);
    let rounds = requests.iter().zip(&responses);
    let transcript = market.transcript_of(rounds.map(|(request, response)| (&request[..], &response[..])));
    market.commit(&transcript);
    Ran { market, head, requests }
}

impl Ran {
    fn judged(&self, head: &CompiledHead) -> Report {
        let bundle = self.market.bundle();
        rerun(audit_job(&bundle, &self.market.judge(), NOW), &bundle, head, None)
    }

    fn found(&self) -> Vec<(String, bool)> {
        let checks = self.judged(&self.head).checks.into_iter();
        checks.filter(|check| check.id.starts_with("rerun-")).map(|check| (check.id, check.pass)).collect()
    }
}

fn lines<const COUNT: usize>(lines: [(&str, bool); COUNT]) -> Vec<(String, bool)> {
    lines.map(|(id, pass)| (id.to_owned(), pass)).to_vec()
}

#[test]
fn an_honest_worker_signed_what_the_head_gives_in_every_round_whose_request_is_there() {
    let mut honest = ran(|_| {});
    assert_eq!(honest.found(), lines([("rerun-head", true), ("rerun-0-response", true)]));
    let report = honest.judged(&honest.head);
    assert_eq!(report.verdict, "pass", "{:#?}", report.checks);
    let said = |words: &str| report.limits.iter().any(|limit| limit.contains(words));
    assert!(said("the arithmetic of rounds 1, whose requests") && !said("without its weights"), "{:?}", report.limits);

    honest.market.keep(honest.requests[1].clone());
    let all = [("rerun-head", true), ("rerun-0-response", true), ("rerun-1-response", true)];
    assert_eq!(honest.found(), lines(all));
    let report = honest.judged(&honest.head);
    assert!(!report.limits.iter().any(|limit| limit.contains("arithmetic")), "{:?}", report.limits);
}

#[test]
fn a_response_that_is_not_the_heads_is_named_though_its_receipt_holds() {
    for wrong in 0..2 {
        let mut lied = ran(|responses| *responses[wrong].last_mut().unwrap() ^= 1);
        lied.market.keep(lied.requests[1].clone());
        let expected = [("rerun-head", true), ("rerun-0-response", wrong != 0), ("rerun-1-response", wrong != 1)];
        assert_eq!(lied.found(), lines(expected));
        assert_eq!(lied.judged(&lied.head).verdict, "fail");
    }
}

#[test]
fn another_head_is_not_run_and_a_job_whose_request_is_gone_or_is_none_proves_nothing() {
    let mut honest = ran(|_| {});
    let other = honest.judged(&a_head([1, 1, 1, 1]));
    let failed: Vec<_> = failed(&other);
    assert_eq!(failed, ["rerun-head"]);

    let input = honest.market.bundle().terms.input;
    let request = honest.market.blobs.remove(&input).unwrap();
    assert_eq!(honest.found(), lines([("rerun-head", true), ("rerun-request", false)]));
    honest.market.blobs.insert(input, request);

    let mut nonsense = Market::with_request();
    nonsense.claim();
    nonsense.commit(&nonsense.transcript());
    let mut bundle = nonsense.bundle();
    bundle.split.head = honest.head.digest();
    let report = rerun(audit_job(&bundle, &nonsense.judge(), NOW), &bundle, &honest.head, None);
    assert!(market::failed(&report).contains(&"rerun-request"), "{:?}", market::failed(&report));
}

#[test]
fn a_job_that_no_worker_has_committed_to_has_nothing_to_run_again() {
    let head = a_head([1, 1, -1, 1]);
    let ask = Ask { head: head.digest(), ..Ask::default() };
    let market = Market::with_request_of(two_rounds(), ask);
    let report = rerun(audit_job(&market.bundle(), &market.judge(), NOW), &market.bundle(), &head, None);
    assert_eq!(report.verdict, "pass");
    assert!(report.limits.iter().any(|limit| limit.ends_with("no worker has committed to any")));
}
