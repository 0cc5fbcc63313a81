//! Accounts of Ethereum's kind against the embedded chain and the contract: their transactions are carried in
//! extrinsics, by the same node and the same client as everybody's.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_chain::{Account, AccountId, Deposit, Entry, Mapping, Refusal, Signer, SubmitError};
use encompute_kit::Chain;
use encompute_protocol::{
    BlobDigest, CostUnits, HeadDigest, JobId, Mode, ModelId, Plancks, PolicyId, SplitIndex, Stage, TailDigest, Text,
    VersionHash, VersionId, VersionStatus,
    call::{
        ActivateVersion, CancelJob, ListModel, PublishVersion, QuoteJob, ReadCredit, ReadJob, ReadVersion, RequestJob,
        SplitOffer, WithdrawCredit,
    },
    event::Event,
};

const UNIT: u128 = 1_000_000_000_000;
/// Gas is counted in steps of ten plancks here, and the last step is paid whole.
const STEP: u128 = 10;

fn units(units: u128) -> Plancks {
    Plancks(units * UNIT)
}

fn publish(model: ModelId) -> PublishVersion {
    let split = SplitOffer {
        mode: Mode::Linear,
        head: HeadDigest([1; 32]),
        tail: TailDigest([2; 32]),
        cost: CostUnits(10),
        tail_fee: units(1),
        policies: 1,
    };
    PublishVersion { model, manifest: VersionHash([3; 32]), splits: vec![split] }
}

async fn list(creator: &Account) -> ModelId {
    let bond = creator.client().read(encompute_protocol::call::ReadParams {}).await.unwrap().model_bond_floor;
    creator.submit(ListModel { name: Text::new("digits").unwrap() }, bond).await.unwrap().answer
}

/// Lists, publishes and activates; the last two in one transaction.
async fn on_sale(creator: &Account) -> VersionId {
    let model = list(creator).await;
    let version = VersionId(1);
    let first = Entry::call(creator, &publish(model), Plancks::ZERO).await.unwrap();
    let second = Entry::following(creator, &ActivateVersion { version }, Plancks::ZERO, units(1)).unwrap();
    creator.batch(vec![first, second]).await.unwrap();
    let record = creator.client().read(ReadVersion { version }).await.unwrap().unwrap();
    assert_eq!(record.status, VersionStatus::Active);
    version
}

async fn order(user: &Account, version: VersionId) -> (RequestJob, Plancks) {
    let split = SplitIndex(0);
    let (fees, _) = user.client().read(QuoteJob { version, split }).await.unwrap().unwrap();
    let input = BlobDigest([5; 32]);
    let message =
        RequestJob { version, split, policy: PolicyId(1), input, tip: Plancks::ZERO, offer: None, sponsor: None };
    (message, fees.total().unwrap())
}

async fn free(account: &Account) -> u128 {
    account.client().balance(&account.id()).await.unwrap().free.0
}

#[tokio::test]
async fn a_job_requested_from_an_ethereum_key_is_its_own_and_so_is_what_comes_back() {
    let chain = Chain::start().await.unwrap();
    let version = on_sale(&chain.account("//Charlie")).await;
    let alith = chain.account("//Alith");
    assert_eq!(alith.address().to_string(), "0xf24ff3a9cf04c71dbc94d0b566f7a27b94566cac");
    let (message, escrow) = order(&alith, version).await;

    let before = free(&alith).await;
    let estimate = alith.estimate(message.clone(), escrow).await.unwrap();
    let requested = alith.submit(message, escrow).await.unwrap();
    let job = requested.answer;
    assert_eq!((job, estimate.answer), (JobId(1), JobId(1)));
    let Deposit::Charge(deposit) = estimate.deposit else { panic!("{:?}", estimate.deposit) };
    let spent = before - free(&alith).await;
    let paid = requested.fee.0 + deposit.0 + escrow.0;
    assert!((paid..paid + STEP).contains(&spent), "{spent} were spent, {paid} are accounted for");
    assert!(requested.fee.0 > 0 && requested.fee <= estimate.fee, "{} of {}", requested.fee, estimate.fee);
    let said = |event: &Event| matches!(event, Event::JobRequested(said) if said.user == alith.address());
    assert!(requested.events.iter().any(said), "{:?}", requested.events);
    let (terms, progress) = chain.client().read(ReadJob { job }).await.unwrap().unwrap();
    assert_eq!((terms.user, progress.stage), (alith.address(), Stage::Requested));

    let bob = chain.account("//Bob").submit(CancelJob { job }, Plancks::ZERO).await.unwrap_err();
    assert!(matches!(bob.refusal(), Some(Refusal::NotYourJob { wanted, .. }) if *wanted == alith.address()), "{bob}");
    alith.submit(CancelJob { job }, Plancks::ZERO).await.unwrap();
    let credit = chain.client().read(ReadCredit { account: alith.address() }).await.unwrap();
    assert!(credit > Plancks::ZERO);
    let before = free(&alith).await;
    let taken = alith.submit(WithdrawCredit { to: None }, Plancks::ZERO).await.unwrap();
    assert_eq!(taken.answer, credit);
    assert!(free(&alith).await + taken.fee.0 + STEP > before + credit.0, "the credit is with the key");
}

#[tokio::test]
async fn a_request_costs_as_much_in_an_ethereum_transaction_as_in_an_extrinsic() {
    let chain = Chain::start().await.unwrap();
    let version = on_sale(&chain.account("//Charlie")).await;
    let mut fees = Vec::new();
    for suri in ["//Dave", "//Alith"] {
        let user = chain.account(suri);
        let (message, escrow) = order(&user, version).await;
        fees.push(user.submit(message, escrow).await.unwrap().fee.0);
    }
    let apart = fees[0].abs_diff(fees[1]);
    assert!(apart < fees[0] / 50, "{fees:?}: measured 85,964,982,500 and 85,399,527,117 plancks");
}

#[tokio::test]
async fn several_calls_in_one_transaction_and_transfers_go_to_the_runtime_in_the_keys_name() {
    let chain = Chain::start().await.unwrap();
    let (creator, alith) = (chain.account("//Dorothy"), chain.account("//Alith"));
    on_sale(&creator).await;
    let to = AccountId([7; 32]);
    alith.transfer(&to, units(3)).await.unwrap();
    assert_eq!(chain.client().balance(&to).await.unwrap().free, units(3));
    let numbers = [1, 2, 3].map(|_| {
        let alith = alith.clone();
        tokio::spawn(async move { alith.transfer(&to, units(1)).await.unwrap().index })
    });
    for number in numbers {
        number.await.unwrap();
    }
    assert_eq!(chain.client().balance(&to).await.unwrap().free, units(6));
}

#[tokio::test]
async fn what_fails_in_its_block_is_told_as_for_any_account() {
    let chain = Chain::start().await.unwrap();
    let alith = chain.account("//Alith");
    // Trying it charges no fee, and the fee leaves too little: only the block shows that.
    let all = Plancks(free(&alith).await - 2 * UNIT / 1_000);
    let failed = alith.transfer(&AccountId([7; 32]), all).await.unwrap_err();
    let SubmitError::Overtaken { error, .. } = &failed else { panic!("{failed}") };
    assert!(error.starts_with("Token."), "{error}");
    let spent = all.0 + 2 * UNIT / 1_000 - free(&alith).await;
    assert!((1..UNIT / 10).contains(&spent), "the fee is paid all the same: {spent}");
}

#[tokio::test]
async fn what_the_contract_or_the_purse_refuses_is_not_sent() {
    let chain = Chain::start().await.unwrap();
    let version = on_sale(&chain.account("//Charlie")).await;
    let poor = chain.client().signed_by(Signer::from_ethereum_key(&[7; 32]).unwrap());
    let (message, escrow) = order(&poor, version).await;
    let short = poor.submit(message.clone(), escrow).await.unwrap_err();
    assert!(matches!(short, SubmitError::Funds { free: Plancks::ZERO, .. }), "{short}");
    chain.account("//Alice").transfer(&poor.id(), Plancks(UNIT / 100)).await.unwrap();
    let head = chain.client().head().await.unwrap();
    let short = poor.submit(message.clone(), escrow).await.unwrap_err();
    assert!(matches!(short, SubmitError::Funds { .. }), "{short}");
    let alith = chain.account("//Alith");
    let refused = alith.submit(message, Plancks(escrow.0 - 1)).await.unwrap_err();
    assert!(refused.refusal().is_some(), "{refused}");
    assert_eq!(chain.client().head().await.unwrap(), head, "nothing was sent");
}

#[tokio::test]
async fn an_ethereum_key_needs_no_mapping_where_others_do() {
    let chain = Chain::start_unmapped().await.unwrap();
    let alith = chain.account("//Alith");
    assert_eq!(alith.map().await.unwrap(), Mapping::Known);
    let before = chain.client().head().await.unwrap().number;
    list(&alith).await;
    assert_eq!(chain.client().head().await.unwrap().number.0, before.0 + 1, "one transaction, none before it");
}
