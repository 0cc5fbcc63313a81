//! The anchor beyond upstream's: gaps that are closed, and a worker that lives behind one.
#![allow(clippy::unwrap_used, clippy::panic)]

use codec::{Decode, Encode};
use encompute_contract_tests::{
    Said,
    anchor::{Anchored, OWNER, PAYOUT, STAKE, WORKER, answer, direct_account, tx, worker_key},
    chain::{account, parts},
    world::{GOVERNOR, MACHINES, MEASUREMENTS, PLATFORMS, STRANGER, key, quotes::signed},
};
use encompute_lifecycle::{ReceiptFacts, Refusal};
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, ContractAddress, DisputeKind, GenesisHash, JobId, Plancks, Stage,
    call::{
        AppealRuling, AskStake, BeginRegistration, Call as _, ClaimJob, CommitHead, OpenDispute, ReadDispute, ReadJob,
        ReadNonce, ReadParams, ReadWorker, RegisterWorker, RevokeMeasurement, RevokePlatform, ShowQuote, TakeStake,
        WithdrawCredit,
    },
    dispute::Proceeding,
};
use encompute_rollup::{
    Action, ForwardError, MAY_NOT, RollupError, RollupTx, bound,
    call::{
        ActAsWorker, AnchorCall as _, AnchorRecord, MetaTxRollupCondEq, QueueJob, ReadAnchor, ReadAttestor,
        RollupCondEq, Withdraw,
    },
    queue, version_key,
};
use sp_core::U256;

const REFUSED: fn(RollupError) -> Result<(), ForwardError> = |error| Err(ForwardError::RollupAnchorError(error));

fn record(anchored: &mut Anchored) -> encompute_protocol::WorkerRecord {
    let worker = anchored.address();
    anchored.chain.read(&ReadWorker { worker }).unwrap().0
}

fn stage(anchored: &mut Anchored, job: JobId) -> (Stage, Option<Address>) {
    let (_, progress) = anchored.chain.read(&ReadJob { job }).unwrap();
    (progress.stage, progress.worker)
}

/// A worker's claim as its node sends it: the job's key must not have been written, and is.
fn claim(job: JobId, by: &[u8]) -> RollupTx {
    let key = [b"job/", &job.0.to_le_bytes()[..]].concat();
    let version = version_key(&key);
    let updates = vec![(key, Some(by.to_vec())), (version.clone(), Some(1_u32.encode()))];
    tx(vec![(version, None)], updates, vec![Action::Reply(ClaimJob { job }.calldata())])
}

#[test]
fn a_worker_without_any_money_registers_claims_and_commits_behind_an_anchor() {
    let mut anchored = Anchored::registered();
    let worker = anchored.address();
    let registered = record(&mut anchored);
    assert_eq!((registered.signing, registered.payout, registered.stake), (worker_key().address(), PAYOUT, STAKE));
    let job = anchored.requested();
    anchored.opens();
    assert_eq!(anchored.forward(claim(job, b"one")), Ok(()));
    assert_eq!(stage(&mut anchored, job), (Stage::Claimed, Some(worker)));

    let (terms, progress) = anchored.chain.read(&ReadJob { job }).unwrap();
    let version = anchored.chain.read(&encompute_protocol::call::ReadVersion { version: terms.version }).unwrap();
    let split = encompute_protocol::call::ReadSplit { version: terms.version, split: terms.split };
    let split = anchored.chain.read(&split).unwrap();
    let (contract, claimed_at) = (anchored.chain.contract(), progress.claimed_at);
    let genesis = encompute_contract_tests::world::GENESIS;
    let facts =
        ReceiptFacts { genesis, contract, job, terms, claimed_at, version, split, worker, registration: registered };
    let (output, finished_at) = (BlobDigest([5; 32]), BlockNumber(anchored.block));
    let signature = worker_key().sign(&facts.receipt(output, finished_at));
    let commit = CommitHead { job, output, finished_at, signature };
    assert_eq!(anchored.reply(commit.calldata()), Ok(()));
    assert_eq!(stage(&mut anchored, job), (Stage::HeadCommitted, Some(worker)));

    // Who doubts that its enclave is there is shown a quote, over the anchor as well.
    anchored.next_block();
    anchored.next_block();
    let demand = OpenDispute { job, kind: DisputeKind::Quote, evidence: Some(BlobDigest([9; 32])) };
    anchored.chain.call(STRANGER, terms.fees.head, &demand).unwrap();
    let Some(Proceeding::Quoting { nonce, .. }) =
        anchored.chain.read(&ReadDispute { job }).map(|found| found.proceeding)
    else {
        panic!("nothing is demanded")
    };
    let receipt = anchored.chain.read(&ReadJob { job }).unwrap().1.receipt.unwrap();
    let data: [u8; 64] = [receipt.0, nonce.0].concat().try_into().unwrap();
    let quote = MACHINES[WORKER % MACHINES.len()].sign(signed(0, &data));
    let shown = ShowQuote { job, quote, evidence: BlobDigest([8; 32]) };
    assert_eq!(anchored.reply(shown.calldata()), Ok(()));
    assert_eq!(stage(&mut anchored, job), (Stage::HeadCommitted, Some(worker)));
    // An appeal takes money along, and an anchor sends none.
    let refused = anchored.reply(AppealRuling { job }.calldata());
    assert_eq!(refused, REFUSED(RollupError::UnsupportedAction));
}

#[test]
fn of_two_replicas_with_one_snapshot_one_wins_and_the_other_changes_nothing() {
    let mut anchored = Anchored::registered();
    let job = anchored.requested();
    anchored.opens();
    let (first, second) = (anchored.bound(claim(job, b"first")), anchored.bound(claim(job, b"second")));
    assert_eq!(anchored.forward(first), Ok(()));
    let key = [b"job/", &job.0.to_le_bytes()[..]].concat();
    assert_eq!(anchored.forward(second), REFUSED(RollupError::ConditionNotMet));
    assert_eq!(anchored.get(&key), Some(b"first".to_vec()));
    assert_eq!(record(&mut anchored).in_flight, 1);
}

#[test]
fn what_the_market_refuses_undoes_all_and_its_reason_comes_back() {
    let mut anchored = Anchored::registered();
    let job = JobId(999);
    let nonce = anchored.prepared(vec![]).nonce;
    let refused = anchored.forward(claim(job, b"one")).unwrap_err();
    let ForwardError::RollupAnchorError(RollupError::MarketRefused { reply: 0, said }) = refused else {
        panic!("{refused:?}")
    };
    let reason = Result::<Result<(), Refusal>, ()>::decode(&mut &said[..]).unwrap().unwrap();
    assert_eq!(reason, Err(Refusal::UnknownJob { job }));
    assert_eq!(anchored.get(&[b"job/", &job.0.to_le_bytes()[..]].concat()), None);
    assert_eq!(anchored.prepared(vec![]).nonce, nonce, "a refused request may be sent again");
}

#[test]
fn updates_touch_neither_the_queue_nor_what_the_anchor_answers_itself_nor_skip_a_version() {
    let mut anchored = Anchored::registered();
    let job = anchored.requested();
    anchored.call(STRANGER, Plancks::ZERO, &QueueJob { job }).unwrap();
    let chain = bound::chain_key(&GenesisHash([1; 32]));
    for key in [queue::key(0), queue::HEAD.to_vec(), version_key(queue::TAIL), version_key(&chain), chain] {
        let update = tx(vec![], vec![(key, Some(1_u32.encode()))], vec![]);
        assert_eq!(anchored.direct(update), Err(RollupError::ReservedKey { at: 0 }));
    }
    let mut bump =
        |to: Option<u32>| anchored.direct(tx(vec![], vec![(version_key(b"k"), to.map(|to| to.encode()))], vec![]));
    for to in [Some(0), Some(2), None] {
        assert_eq!(bump(to), Err(RollupError::VersionSkipped { at: 0 }));
    }
    assert_eq!(
        (bump(Some(1)), bump(Some(1)), bump(Some(2))),
        (Ok(()), Err(RollupError::VersionSkipped { at: 0 }), Ok(()))
    );
}

#[test]
fn a_request_of_another_chain_or_after_its_end_or_without_one_is_refused() {
    let mut anchored = Anchored::registered();
    let (here, elsewhere) = (encompute_contract_tests::world::GENESIS, GenesisHash([0x6f; 32]));
    let mut judge = |conditions: Vec<_>| {
        let request = anchored.prepared(tx(conditions, vec![], vec![]).encode());
        anchored.relay(&request, &worker_key())
    };
    let now = anchored_block();
    let at = |genesis: &GenesisHash, end: u32| bound::conditions(genesis, BlockNumber(end)).to_vec();
    let not_met = REFUSED(RollupError::ConditionNotMet);
    assert_eq!(judge(at(&elsewhere, now + 5)), not_met);
    assert_eq!(judge(at(&here, now)), not_met, "the end itself is too late");
    assert_eq!(judge(at(&here, now + 601)), Err(ForwardError::Unbound), "too far away");
    assert_eq!(judge(at(&here, now + 5)[..1].to_vec()), Err(ForwardError::Unbound));
    assert_eq!(judge(at(&here, now + 5)[1..].to_vec()), Err(ForwardError::Unbound));
    assert_eq!(judge(at(&here, now + 1)), Ok(()));
    assert_eq!(judge(at(&here, now + 600)), Ok(()));
}

/// In which block every such world begins.
fn anchored_block() -> u32 {
    encompute_contract_tests::world::World::new().block
}

#[test]
fn nobody_is_an_attestor_whose_code_or_machine_was_revoked_or_whose_registration_is_over() {
    type Change = fn(&mut Anchored);
    let changes: [Change; 3] = [
        |anchored| {
            let measurement = MEASUREMENTS[0];
            anchored.chain.call(GOVERNOR, Plancks::ZERO, &RevokeMeasurement { measurement }).unwrap();
        },
        |anchored| {
            anchored.chain.call(GOVERNOR, Plancks::ZERO, &RevokePlatform { platform: PLATFORMS[0] }).unwrap();
        },
        |anchored| {
            anchored.block = record(anchored).expires_at.0 - 1;
            anchored.next_block();
        },
    ];
    for change in changes {
        let mut anchored = Anchored::registered();
        let standing = |anchored: &mut Anchored| {
            let found = anchored.call(STRANGER, Plancks::ZERO, &ReadAttestor { from: direct_account() });
            found.map(|(signing, stands)| (signing == worker_key().address(), stands))
        };
        assert_eq!((standing(&mut anchored), anchored.direct(RollupTx::default())), (Some((true, true)), Ok(())));
        change(&mut anchored);
        assert_eq!(standing(&mut anchored), Some((true, false)));
        assert_eq!(anchored.direct(RollupTx::default()), Err(MAY_NOT));
        assert_eq!(anchored.forward(claim(JobId(1), b"one")), REFUSED(MAY_NOT));
        // It may still answer for itself anew.
        assert_eq!(anchored.reply(BeginRegistration {}.calldata()), Ok(()));
    }
}

#[test]
fn a_worker_moves_no_money_and_registers_nobody_but_itself() {
    let mut anchored = Anchored::registered();
    let unsupported = REFUSED(RollupError::UnsupportedAction);
    for message in [
        AskStake { amount: Plancks(1) }.calldata(),
        TakeStake {}.calldata(),
        WithdrawCredit { to: Some(STRANGER) }.calldata(),
        ReadParams {}.calldata(),
    ] {
        assert_eq!(anchored.reply(message), unsupported);
    }
    assert_eq!(anchored.reply(vec![0, 0, 0]), REFUSED(RollupError::FailedToDecode));
    for action in [Action::GrantAttestor([1; 32]), Action::RevokeAttestor(direct_account())] {
        assert_eq!(anchored.forward(tx(vec![], vec![], vec![action])), unsupported);
    }
    let mut anchored = Anchored::named();
    anchored.reply(BeginRegistration {}.calldata()).unwrap();
    let mine = anchored.registration();
    let theirs = [
        RegisterWorker { payout: STRANGER, ..mine.clone() },
        RegisterWorker { signing: key(1).address(), ..mine.clone() },
    ];
    for message in theirs {
        assert_eq!(anchored.reply(message.calldata()), REFUSED(RollupError::OthersRegistration));
    }
    let beside = tx(vec![], vec![(b"k".to_vec(), Some(vec![1]))], vec![Action::Reply(mine.calldata())]);
    assert_eq!(anchored.forward(beside), REFUSED(MAY_NOT), "before it is registered it registers, and no more");
    assert_eq!(anchored.reply(mine.calldata()), Ok(()));
}

#[test]
fn the_owner_stakes_more_takes_the_stake_back_and_takes_it_out() {
    let mut anchored = Anchored::registered();
    let act = |anchored: &mut Anchored, caller, value, message: Vec<u8>| {
        anchored.call(caller, value, &ActAsWorker { message })
    };
    assert_eq!(act(&mut anchored, STRANGER, Plancks::ZERO, TakeStake {}.calldata()), Err(MAY_NOT));
    act(&mut anchored, OWNER, Plancks(77), encompute_protocol::call::AddStake {}.calldata()).unwrap();
    assert_eq!(record(&mut anchored).stake, Plancks(STAKE.0 + 77));
    let amount = record(&mut anchored).stake;
    act(&mut anchored, OWNER, Plancks::ZERO, AskStake { amount }.calldata()).unwrap();
    anchored.block = record(&mut anchored).stake_leaves_at.0;
    anchored.next_block();
    // The market pays a call without data within the call: the one time that it may come back.
    act(&mut anchored, OWNER, Plancks::ZERO, TakeStake {}.calldata()).unwrap();
    assert_eq!(record(&mut anchored).stake, Plancks::ZERO);
    assert_eq!(anchored.call(STRANGER, Plancks::ZERO, &Withdraw {}), Err(MAY_NOT));
    let before = anchored.chain.free(OWNER);
    assert_eq!(anchored.call(OWNER, Plancks::ZERO, &Withdraw {}), Ok(()));
    assert_eq!(anchored.chain.free(OWNER), Plancks(before.0 + amount.0));
    let refused = anchored.call(OWNER, Plancks::ZERO, &ActAsWorker { message: TakeStake {}.calldata() });
    assert!(matches!(refused, Err(RollupError::MarketRefused { reply: 0, .. })), "{refused:?}");
}

#[test]
fn money_sent_without_a_word_is_taken_and_becomes_stake_with_the_next_registration() {
    let mut anchored = Anchored::registered();
    let paid = anchored.send(STRANGER, Plancks(1_000), vec![]);
    assert!(matches!(paid, Said::Returned(_)), "{paid:?}");
    anchored.next_block();
    anchored.reply(BeginRegistration {}.calldata()).unwrap();
    let message = anchored.registration();
    assert_eq!(anchored.reply(message.calldata()), Ok(()));
    assert_eq!(record(&mut anchored).stake, Plancks(STAKE.0 + 1_000));
}

#[test]
fn a_job_is_queued_once_and_only_where_the_worker_can_do_something_about_it() {
    let mut anchored = Anchored::registered();
    let job = anchored.requested();
    let mut queue = |job| anchored.call(STRANGER, Plancks::ZERO, &QueueJob { job });
    assert_eq!((queue(job), queue(job)), (Ok(0), Err(RollupError::NotQueueable)));
    assert_eq!(queue(JobId(999)), Err(RollupError::NotQueueable));
    let said = anchored.chain.said_by(anchored.anchor);
    assert_eq!(said, vec![], "the last call was refused");
    let (mine, theirs) = (anchored.requested(), anchored.requested());
    anchored.opens();
    let other = encompute_contract_tests::world::WORKERS[1];
    anchored.chain.call(other, Plancks::ZERO, &ClaimJob { job: theirs }).unwrap();
    anchored.forward(claim(mine, b"one")).unwrap();
    let mut queue = |job| anchored.call(STRANGER, Plancks::ZERO, &QueueJob { job });
    assert_eq!((queue(theirs), queue(mine)), (Err(RollupError::NotQueueable), Ok(1)));
    let said = anchored.chain.said_by(anchored.anchor);
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].1, (1_u32, mine.encode()).encode(), "MessageQueued, upstream's bytes");
}

#[test]
fn calldata_that_is_short_or_long_is_refused() {
    let mut anchored = Anchored::registered();
    let good = anchored.prepared(anchored.bound(RollupTx::default()).encode());
    let signature = worker_key().sign_digest(&good.digest()).0;
    let calldata = MetaTxRollupCondEq { request: good, signature }.calldata();
    for changed in [calldata[..calldata.len() - 1].to_vec(), [&calldata[..], &[0]].concat()] {
        let (found, wanted) = (changed.len() as u64, calldata.len() as u64);
        let said = anchored.send(STRANGER, Plancks::ZERO, changed);
        let refused = answer::<MetaTxRollupCondEq>(&said);
        assert_eq!(refused, REFUSED(RollupError::CalldataLength { found, wanted }));
    }
    let caller = sp_runtime::AccountId32::new(direct_account());
    let calldata = [RollupCondEq { transaction: RollupTx::default() }.calldata(), vec![0]].concat();
    let said = anchored.chain.send_as(anchored.anchor, caller, U256::zero(), calldata).said;
    assert_eq!(answer::<RollupCondEq>(&said), Err(RollupError::CalldataLength { found: 8, wanted: 7 }));
    let stopped = anchored.chain.send_as(anchored.anchor, account(OWNER), parts(Plancks(1)), Withdraw {}.calldata());
    assert!(matches!(stopped.said, Said::Stopped(_)), "money to a message that takes none: {:?}", stopped.said);
}

/// A block has 1.5 s and 10 MiB of proof for transactions. By an account of its own a claim weighs 2.6 ms and 350 KB: the
/// anchor asks the market three times before it speaks, and the market's code is in the proof each time.
#[test]
fn what_a_relayed_post_weighs() {
    let mut anchored = Anchored::registered();
    let job = anchored.requested();
    anchored.opens();
    let request = anchored.prepared(anchored.bound(claim(job, b"one")).encode());
    let signature = worker_key().sign_digest(&request.digest()).0;
    let calldata = MetaTxRollupCondEq { request, signature }.calldata();
    let bytes = calldata.len();
    let outcome = anchored.chain.send_as(anchored.anchor, account(STRANGER), U256::zero(), calldata);
    assert!(matches!(outcome.said, Said::Returned(_)), "{:?}", outcome.said);
    let picoseconds = outcome.weight.ref_time();
    let proof = outcome.weight.proof_size();
    eprintln!("a relayed claim: {bytes} bytes, {picoseconds} ps, {proof} bytes of proof");
    assert!(
        bytes <= 512 && picoseconds <= 12_000_000_000 && proof <= 1_600_000,
        "{bytes} bytes, {picoseconds} ps, {proof}"
    );
}

#[test]
fn an_anchor_is_made_with_what_it_needs() {
    let mut anchored = Anchored::nameless();
    let made = anchored.call(STRANGER, Plancks::ZERO, &ReadAnchor {});
    assert_eq!((made.owner, made.payout, made.market), (OWNER, PAYOUT, anchored.chain.contract()));
    let nonce = anchored.chain.read(&ReadNonce { account: anchored.address() });
    assert_eq!(nonce, None);
    let code = encompute_contract_tests::chain::anchor_code();
    for broken in [
        AnchorRecord { owner: Address::default(), ..made },
        AnchorRecord { payout: Address::default(), ..made },
        AnchorRecord { market: ContractAddress([0; 20]), ..made },
        AnchorRecord { genesis: GenesisHash::default(), ..made },
    ] {
        let refused = anchored.chain.create_of(code.clone(), STRANGER, Plancks::ZERO, &broken.encode());
        assert!(matches!(refused, Err(Said::Reverted(_))), "{refused:?}");
    }
}
