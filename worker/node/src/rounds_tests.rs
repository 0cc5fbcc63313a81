#![allow(clippy::unwrap_used)]
use super::*;
use encompute_protocol::Signed;
use encompute_protocol::signing::SigningKey;

fn session() -> SigningKey {
    SigningKey::from_secret(&[7; 32]).unwrap()
}

fn worker() -> SigningKey {
    SigningKey::from_secret(&[8; 32]).unwrap()
}

fn a_job() -> JobRun {
    JobRun::new(JobFacts {
        genesis: GenesisHash([1; 32]),
        contract: ContractAddress([2; 20]),
        job: JobId(7),
        version: VersionId(3),
        manifest: VersionHash([4; 32]),
        split: SplitIndex(0),
        head: HeadDigest([5; 32]),
        tail: TailDigest([6; 32]),
        input: BlobDigest([7; 32]),
        worker: Address([8; 20]),
        measurement: MeasurementId([9; 32]),
        registration_nonce: Nonce([10; 32]),
        expires_at: BlockNumber(1_000),
        claimed_at: BlockNumber(10),
        deadline: BlockNumber(30),
        rounds: 3,
        session_key: session().public_key(),
        custody: false,
    })
}

/// Answers the next round for `request`.
fn answer(run: &mut JobRun, request: BlobDigest) {
    let receipt = run.next_receipt(request, BlobDigest([99; 32]));
    run.record(receipt, worker().sign(&receipt)).unwrap();
}

fn order(run: &JobRun, round: u16, request: BlobDigest) -> RoundOrder {
    let before = run.transcript().rounds.get(usize::from(round).wrapping_sub(1)).map(|(receipt, _)| receipt.link());
    RoundOrder {
        genesis: run.facts().genesis,
        contract: run.facts().contract,
        job: run.facts().job,
        round: RoundIndex(round),
        request,
        previous: before.unwrap_or_default(),
    }
}

fn judge(run: &JobRun, order: &RoundOrder) -> Result<OrderVerdict, OrderRefused> {
    run.judge(order.round, order, &session().sign(order), Some(order.request))
}

const FIRST: BlobDigest = BlobDigest([20; 32]);
const SECOND: BlobDigest = BlobDigest([21; 32]);

#[test]
fn rounds_are_answered_in_order_and_repeats_give_what_was_given() {
    let mut run = a_job();
    answer(&mut run, FIRST);
    let second = order(&run, 1, SECOND);
    assert_eq!(judge(&run, &second), Ok(OrderVerdict::Compute));
    answer(&mut run, SECOND);
    assert_eq!(judge(&run, &second), Ok(OrderVerdict::Repeat));
    assert_eq!(judge(&run, &order(&run, 2, FIRST)), Ok(OrderVerdict::Compute));
    assert!(!run.is_complete());
    answer(&mut run, FIRST);
    assert!(run.is_complete());
}

#[test]
fn an_answered_round_is_not_answered_for_another_tensor() {
    let mut run = a_job();
    answer(&mut run, FIRST);
    answer(&mut run, SECOND);
    let again = order(&run, 1, FIRST);
    assert_eq!(judge(&run, &again), Err(OrderRefused::Answered { round: RoundIndex(1) }));
}

#[test]
fn an_order_signed_with_another_key_is_refused() {
    let mut run = a_job();
    answer(&mut run, FIRST);
    let order = order(&run, 1, SECOND);
    let verdict = run.judge(order.round, &order, &worker().sign(&order), Some(SECOND));
    assert_eq!(verdict, Err(OrderRefused::Signature));
}

#[test]
fn an_order_that_follows_another_receipt_is_refused() {
    let mut run = a_job();
    answer(&mut run, FIRST);
    let mut order = order(&run, 1, SECOND);
    order.previous = RoundReceiptDigest([0; 32]);
    assert!(matches!(judge(&run, &order), Err(OrderRefused::Previous { .. })));
}

#[test]
fn orders_for_another_job_round_chain_or_contract_are_refused() {
    let mut run = a_job();
    answer(&mut run, FIRST);
    let honest = order(&run, 1, SECOND);
    let others = [
        ("chain", RoundOrder { genesis: GenesisHash([0; 32]), ..honest }),
        ("contract", RoundOrder { contract: ContractAddress([0; 20]), ..honest }),
        ("job", RoundOrder { job: JobId(8), ..honest }),
        ("round", RoundOrder { round: RoundIndex(2), ..honest }),
    ];
    for (field, order) in others {
        let verdict = run.judge(RoundIndex(1), &order, &session().sign(&order), Some(SECOND));
        assert_eq!(verdict, Err(OrderRefused::Field { field }));
    }
}

#[test]
fn a_tensor_that_the_order_does_not_name_is_refused() {
    let mut run = a_job();
    answer(&mut run, FIRST);
    let order = order(&run, 1, SECOND);
    let verdict = run.judge(order.round, &order, &session().sign(&order), Some(FIRST));
    assert_eq!(verdict, Err(OrderRefused::Digest { found: FIRST, wanted: SECOND }));
}

#[test]
fn an_order_without_a_tensor_goes_on_from_what_the_round_before_gave_and_from_nothing_else() {
    let mut run = a_job();
    answer(&mut run, FIRST);
    let judged = |run: &JobRun, order: &RoundOrder| run.judge(order.round, order, &session().sign(order), None);
    let gave = run.transcript().rounds[0].0.response;
    let go_on = order(&run, 1, gave);
    assert_eq!(judged(&run, &go_on), Ok(OrderVerdict::Compute));
    let other = order(&run, 1, SECOND);
    assert_eq!(judged(&run, &other), Err(OrderRefused::Digest { found: gave, wanted: SECOND }));
    answer(&mut run, gave);
    assert_eq!(judged(&run, &go_on), Ok(OrderVerdict::Repeat));
    let skipped = RoundOrder { round: RoundIndex(2), ..go_on };
    assert!(matches!(judged(&run, &skipped), Err(OrderRefused::Previous { .. })));
}

#[test]
fn the_first_round_and_rounds_past_the_last_cannot_be_ordered() {
    let mut run = a_job();
    answer(&mut run, FIRST);
    for round in [0, 3, u16::MAX] {
        let refused = Err(OrderRefused::NoRound { found: RoundIndex(round), last: 2 });
        assert_eq!(judge(&run, &order(&run, round, SECOND)), refused);
    }
}

#[test]
fn a_round_is_not_answered_before_the_one_before_it() {
    let mut run = a_job();
    answer(&mut run, FIRST);
    let refused = Err(OrderRefused::TooEarly { found: RoundIndex(2), next: RoundIndex(1) });
    assert_eq!(judge(&run, &order(&run, 2, SECOND)), refused);
}

#[test]
fn a_closed_job_answers_nothing_new_but_repeats() {
    let mut run = a_job();
    answer(&mut run, FIRST);
    answer(&mut run, SECOND);
    let (repeat, new) = (order(&run, 1, SECOND), order(&run, 2, FIRST));
    run.close();
    assert_eq!(judge(&run, &repeat), Ok(OrderVerdict::Repeat));
    assert_eq!(judge(&run, &new), Err(OrderRefused::Closed));
}

#[test]
fn receipts_are_chained_and_a_broken_chain_is_not_recorded() {
    let mut run = a_job();
    answer(&mut run, FIRST);
    let mut receipt = run.next_receipt(SECOND, FIRST);
    assert_eq!(receipt.previous, run.transcript().rounds[0].0.link());
    receipt.previous = RoundReceiptDigest([3; 32]);
    assert_eq!(run.record(receipt, worker().sign(&receipt)), None);
    assert_eq!(run.answered(), 1);
}

#[test]
fn the_receipt_names_the_digest_of_the_transcript_blob() {
    let mut run = a_job();
    answer(&mut run, FIRST);
    let receipt = run.receipt(BlockNumber(12));
    assert_eq!(receipt.output, BlobDigest::of(&run.transcript().to_wire()));
    assert_ne!(receipt.digest(), run.receipt(BlockNumber(13)).digest());
}

#[test]
fn a_client_that_is_away_is_waited_for_until_the_last_quarter_and_longer_where_the_worker_was_away() {
    // Claimed at 10, to be committed by 30.
    let run = a_job();
    for (since, closes_at) in [(10, 25), (20, 25), (23, 25), (24, 26), (26, 28), (28, 28), (40, 28)] {
        assert_eq!(run.closes_at(BlockNumber(since)), BlockNumber(closes_at), "in hand since {since}");
    }
    let short = JobRun::new(JobFacts { deadline: BlockNumber(11), ..*run.facts() });
    assert_eq!(short.closes_at(BlockNumber(10)), BlockNumber(9), "a window of a block is over at once");
}
