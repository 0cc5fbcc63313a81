//! Signatures on chain: the platform's precompile decides, and every field counts.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_contract_tests::{ALTERATIONS, Chain, world::*};
use encompute_lifecycle::{Context, ReceiptFacts, Refusal};
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, JobId, Plancks, Receipt, Signed, SplitIndex, Stage, VersionId,
    call::{Call, CommitHead, RequestJob},
    event::Event,
};

/// A chain and a world with a claimed job on both.
fn claimed() -> (Chain, World, JobId) {
    let mut chain = Chain::new();
    let mut world = World::at_contract(chain.contract());
    let job = world.claimed();
    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    (chain, world, job)
}

fn receipt(world: &World, job: JobId, output: BlobDigest) -> Receipt {
    let facts = ReceiptFacts::read(&world.market, GENESIS, world.contract, job).unwrap();
    facts.receipt(output, BlockNumber(world.block))
}

/// Sends a commitment signed over `receipt` and gives the refusal.
fn commit(chain: &mut Chain, job: JobId, signed: &Receipt, said: &Receipt) -> Result<(), Refusal> {
    let signature = key(0).sign(signed);
    let message = CommitHead { job, output: said.output, finished_at: said.finished_at, signature };
    chain.call(WORKERS[0], Plancks::ZERO, &message)
}

#[test]
fn an_honest_receipt_is_accepted_and_its_digest_and_signature_are_in_the_event() {
    let (mut chain, world, job) = claimed();
    let receipt = receipt(&world, job, BlobDigest([9; 32]));
    let message =
        CommitHead { job, output: receipt.output, finished_at: receipt.finished_at, signature: key(0).sign(&receipt) };
    let at = Context { caller: WORKERS[0], block: BlockNumber(world.block), ..Context::default() };
    let outcome = chain.send_at(&at, message.calldata());
    let committed = outcome.events.iter().find_map(|event| match event {
        Event::HeadCommitted(committed) => Some(committed.clone()),
        _ => None,
    });
    let committed = committed.unwrap();
    assert_eq!(committed.receipt.0, receipt.digest());
    assert!(committed.signature.is_by(&key(0).address(), &receipt));
}

#[test]
fn a_receipt_with_any_field_altered_is_refused() {
    let (mut chain, world, job) = claimed();
    let honest = receipt(&world, job, BlobDigest([9; 32]));
    for (field, alter) in ALTERATIONS {
        let mut signed = honest;
        alter(&mut signed);
        let refused = commit(&mut chain, job, &signed, &honest);
        assert!(matches!(refused, Err(Refusal::WrongSigner { found: Some(_), .. })), "{field}: {refused:?}");
    }
    assert_eq!(commit(&mut chain, job, &honest, &honest), Ok(()));
}

#[test]
fn a_receipt_of_another_job_contract_or_chain_and_one_that_is_sent_again_are_refused() {
    let mut chain = Chain::new();
    let mut world = World::at_contract(chain.contract());
    let jobs = [world.claimed(), world.claimed()];
    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    // The same job of the same terms on another contract, and on a contract of this address on another chain.
    let mut elsewhere = World::at_contract(encompute_protocol::ContractAddress([0xee; 20]));
    let twin = elsewhere.claimed();
    let there = receipt(&elsewhere, twin, BlobDigest([9; 32]));
    let honest = jobs.map(|job| receipt(&world, job, BlobDigest([9; 32])));
    let beyond = Receipt { genesis: encompute_protocol::GenesisHash([0xee; 32]), ..honest[0] };
    for (what, signed) in [("another job's", honest[1]), ("another contract's", there), ("another chain's", beyond)] {
        let refused = commit(&mut chain, jobs[0], &signed, &honest[0]);
        assert!(matches!(refused, Err(Refusal::WrongSigner { found: Some(_), .. })), "{what}: {refused:?}");
    }
    let refused = commit(&mut chain, jobs[1], &honest[0], &honest[1]);
    assert!(matches!(refused, Err(Refusal::WrongSigner { found: Some(_), .. })), "{refused:?}");
    assert_eq!(commit(&mut chain, jobs[0], &honest[0], &honest[0]), Ok(()));
    let again = commit(&mut chain, jobs[0], &honest[0], &honest[0]);
    let (found, wanted) = (Stage::HeadCommitted, Stage::Claimed);
    assert_eq!(again, Err(Refusal::WrongStage { found, wanted }), "sent again");
    assert_eq!(commit(&mut chain, jobs[1], &honest[1], &honest[1]), Ok(()));
}

#[test]
fn a_signature_with_another_v_or_no_point_is_refused_not_taken_for_zeros() {
    let (mut chain, world, job) = claimed();
    let honest = receipt(&world, job, BlobDigest([9; 32]));
    let good = key(0).sign(&honest);
    let mut send = |change: &dyn Fn(&mut [u8; 65])| {
        let mut signature = good;
        change(&mut signature.0);
        let message = CommitHead { job, output: honest.output, finished_at: honest.finished_at, signature };
        chain.call(WORKERS[0], Plancks::ZERO, &message)
    };
    for v in [0, 1, 26, 29, 255] {
        assert!(matches!(send(&|bytes| bytes[64] = v), Err(Refusal::WrongSigner { found: None, .. })), "v {v}");
    }
    // r and s of zero recover nobody: the precompile answers success without a word.
    let refused = send(&|bytes| bytes[..64].fill(0));
    assert!(matches!(refused, Err(Refusal::WrongSigner { found: None, .. })), "{refused:?}");
    let refused = send(&|bytes| bytes[64] = 55 - bytes[64]);
    assert!(matches!(refused, Err(Refusal::WrongSigner { .. })), "{refused:?}");
}

#[test]
fn an_offer_is_good_for_one_user_one_input_and_one_contract() {
    let mut chain = Chain::new();
    let mut world = World::at_contract(chain.contract());
    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    let message = world.request_message(VersionId(1), SplitIndex(0));
    let escrow = world.escrow(message.version, message.split, message.tip).unwrap();
    let signed = world.offer(0, USERS[0], &message);
    let mut request = |user: Address, change: &dyn Fn(&mut RequestJob)| {
        let mut message = RequestJob { offer: Some(signed), ..message.clone() };
        change(&mut message);
        chain.call(user, escrow, &message)
    };
    let input = BlobDigest([0x55; 32]);
    assert!(matches!(request(USERS[1], &|_| ()), Err(Refusal::OfferMismatch { .. })));
    assert!(matches!(request(USERS[0], &|message| message.input = input), Err(Refusal::OfferMismatch { .. })));
    let refused = request(USERS[0], &|message| {
        message.input = input;
        if let Some(signed) = &mut message.offer {
            signed.offer.input = input;
        }
    });
    assert!(matches!(refused, Err(Refusal::WrongSigner { .. })), "{refused:?}");
    assert_eq!(request(USERS[0], &|_| ()), Ok(JobId(1)));
}
