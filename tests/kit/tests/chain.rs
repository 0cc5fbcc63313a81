//! The client against the embedded chain and the contract as it is checked in.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_chain::{
    AccountId, Class, Client, ConnectError, Deposit, Entry, Mapping, ReadError, Refusal, Signer, SubmitError,
};
use encompute_kit::Chain;
use encompute_protocol::{
    BlockNumber, Blocks, ContractAddress, CostUnits, GenesisHash, HeadDigest, Mode, ModelId, Plancks, TailDigest, Text,
    VersionHash, VersionId, VersionStatus,
    call::{
        ActivateVersion, AddBond, BeginRegistration, ListModel, PublishVersion, ReadCounts, ReadGovernance, ReadModel,
        ReadNonce, ReadParams, ReadVersion, SetPaused, SplitOffer,
    },
    event::{Event, ModelListed},
};
use std::time::{Duration, SystemTime};

const UNIT: u128 = 1_000_000_000_000;

fn units(units: u128) -> Plancks {
    Plancks(units * UNIT)
}

fn list(name: &str) -> ListModel {
    ListModel { name: Text::new(name).unwrap() }
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

#[tokio::test]
async fn a_deployed_contract_answers_with_what_it_was_deployed_with() {
    let chain = Chain::start().await.unwrap();
    let (client, governor) = (chain.client(), chain.account("//Alice"));
    assert_eq!(client.read(ReadCounts {}).await.unwrap(), Default::default());
    assert_eq!(client.read(ReadGovernance {}).await.unwrap(), (governor.address(), false));
    let params = client.read(ReadParams {}).await.unwrap();
    assert_eq!(params.windows, chain.network.deployment.params.windows);
    assert_eq!(params.treasury, governor.address());
}

#[tokio::test]
async fn listing_a_model_answers_from_events_and_costs_fee_bond_and_deposit() {
    let chain = Chain::start().await.unwrap();
    let creator = chain.account("//Charlie");
    let before = chain.client().balance(&creator.id()).await.unwrap();
    let estimate = creator.estimate(list("digits"), units(20)).await.unwrap();
    let listed = creator.submit(list("digits"), units(20)).await.unwrap();

    assert_eq!((listed.answer, estimate.answer), (ModelId(1), ModelId(1)));
    let said = Event::from(ModelListed { model: ModelId(1), creator: creator.address() });
    assert!(listed.events.contains(&said), "{:?}", listed.events);
    let (record, name) = chain.client().read(ReadModel { model: ModelId(1) }).await.unwrap().unwrap();
    assert_eq!((record.creator, record.bond, name.as_str()), (creator.address(), units(20), "digits"));

    let after = chain.client().balance(&creator.id()).await.unwrap();
    let Deposit::Charge(deposit) = estimate.deposit else { panic!("{:?}", estimate.deposit) };
    let spent = before.free.0 - after.free.0;
    assert_eq!(spent, listed.fee.0 + deposit.0 + units(20).0);
    assert!(listed.fee.0 > 0 && listed.fee <= estimate.fee, "{} of {}", listed.fee, estimate.fee);
}

#[tokio::test]
async fn a_call_that_the_contract_refuses_is_not_sent_and_costs_nothing() {
    let chain = Chain::start().await.unwrap();
    let creator = chain.account("//Charlie");
    let before = (chain.client().balance(&creator.id()).await.unwrap(), chain.client().head().await.unwrap());
    let refused = creator.submit(list("digits"), units(1)).await.unwrap_err();
    let floor = chain.network.deployment.params.model_bond_floor;
    assert_eq!(refused.refusal(), Some(&Refusal::BondBelowFloor { found: units(1), wanted: floor }));
    assert_eq!(refused.class(), Class::Refused);
    let after = (chain.client().balance(&creator.id()).await.unwrap(), chain.client().head().await.unwrap());
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_role_that_the_account_lacks_is_refused_by_name() {
    let chain = Chain::start().await.unwrap();
    let (alice, bob) = (chain.account("//Alice"), chain.account("//Bob"));
    let refused = bob.submit(SetPaused { paused: true }, Plancks::ZERO).await.unwrap_err();
    let expected = Refusal::NotGovernor { caller: bob.address(), wanted: alice.address() };
    assert_eq!(refused.refusal(), Some(&expected));
    alice.submit(SetPaused { paused: true }, Plancks::ZERO).await.unwrap();
    assert!(chain.client().read(ReadGovernance {}).await.unwrap().1);
}

#[tokio::test]
async fn an_account_without_enough_money_is_told_what_it_has() {
    let chain = Chain::start().await.unwrap();
    let poor = chain.client().signed_by(Signer::from_seed([7; 32]).unwrap());
    chain.account("//Alice").transfer(&poor.id(), units(5)).await.unwrap();
    let short = poor.submit(list("digits"), units(20)).await.unwrap_err();
    let expected = SubmitError::Funds { message: "list_model", needed: units(20), free: units(5) };
    assert_eq!(short, expected);
    let short = poor.transfer(&AccountId([1; 32]), units(6)).await.unwrap_err();
    assert!(matches!(short, SubmitError::Funds { free, .. } if free == units(5)), "{short}");
    let nobody = chain.client().signed_by(Signer::from_seed([8; 32]).unwrap());
    let short = nobody.submit(BeginRegistration {}, Plancks::ZERO).await.unwrap_err();
    assert!(matches!(short, SubmitError::Funds { free: Plancks::ZERO, .. }), "{short}");
}

#[tokio::test]
async fn an_account_that_contracts_do_not_know_is_mapped_before_its_first_call_and_once() {
    let chain = Chain::start_unmapped().await.unwrap();
    let creator = chain.account("//Charlie");
    let held = || async { chain.client().balance(&creator.id()).await.unwrap().held };
    assert!(!chain.client().is_mapped(&creator.id()).await.unwrap());
    let tried = creator.estimate(list("digits"), units(20)).await.unwrap();
    assert_eq!(
        (tried.answer, held().await),
        (ModelId(1), Plancks::ZERO),
        "the node maps whoever tries, in the trial alone"
    );

    let numbers = [1, 2, 3].map(|_| {
        let creator = creator.clone();
        tokio::spawn(async move { creator.submit(list("digits"), units(20)).await.unwrap().answer.0 })
    });
    let mut listed = Vec::new();
    for number in numbers {
        listed.push(number.await.unwrap());
    }
    listed.sort_unstable();
    assert_eq!(listed, [1, 2, 3]);
    assert!(chain.client().is_mapped(&creator.id()).await.unwrap());
    assert!(matches!(creator.map().await.unwrap(), Mapping::Known));
}

#[tokio::test]
async fn mapping_takes_its_deposit_and_tells_an_account_that_is_mapped() {
    let mut chain = Chain::start_unmapped().await.unwrap();
    let user = chain.account("//Dave");
    let before = chain.client().balance(&user.id()).await.unwrap();
    let Mapping::Made(mapped) = user.map().await.unwrap() else { panic!("mapped before") };
    let after = chain.client().balance(&user.id()).await.unwrap();
    assert!(mapped.fee.0 > 0 && after.held > before.held, "{mapped:?} {after:?}");
    assert_eq!(before.free.0 - after.free.0, mapped.fee.0 + after.held.0 - before.held.0);
    assert_eq!(user.map().await.unwrap(), Mapping::Known);
    // What the chain began with is in its state, not in how it is started again.
    chain.kill_and_restart().await.unwrap();
    assert!(!chain.client().is_mapped(&chain.account("//Eve").id()).await.unwrap());
    let nobody = chain.client().signed_by(Signer::from_seed([8; 32]).unwrap());
    let short = nobody.submit(BeginRegistration {}, Plancks::ZERO).await.unwrap_err();
    assert!(matches!(short, SubmitError::Funds { free: Plancks::ZERO, .. }), "{short}");
}

#[tokio::test]
async fn a_chain_that_maps_by_itself_knows_its_accounts_and_no_others() {
    let chain = Chain::start().await.unwrap();
    let user = chain.account("//Dave");
    assert!(chain.client().is_mapped(&user.id()).await.unwrap());
    assert_eq!(user.map().await.unwrap(), Mapping::Known);
    assert!(!chain.client().is_mapped(&AccountId([7; 32])).await.unwrap());
    let contract = AccountId::of_contract(chain.client().contract().unwrap());
    assert!(chain.client().is_mapped(&contract).await.unwrap());
    let facts = chain.client().constants().await.unwrap();
    assert_eq!((facts.token_decimals, facts.token_symbol.as_deref()), (Some(12), Some("UNIT")));
    assert_eq!(facts.parts_of_planck, 1_000_000);
}

#[tokio::test]
async fn a_batch_happens_whole_or_not_at_all() {
    let chain = Chain::start().await.unwrap();
    let creator = chain.account("//Charlie");
    let model = creator.submit(list("digits"), units(20)).await.unwrap().answer;
    let publishing = |status: VersionId| {
        let creator = creator.clone();
        async move {
            let first = Entry::call(&creator, &publish(model), Plancks::ZERO).await.unwrap();
            let second =
                Entry::following(&creator, &ActivateVersion { version: status }, Plancks::ZERO, units(1)).unwrap();
            creator.batch(vec![first, second]).await
        }
    };
    let failed = publishing(VersionId(9)).await.unwrap_err();
    assert!(matches!(&failed, SubmitError::Overtaken { error, .. } if error == "Revive.ContractReverted"), "{failed}");
    assert_eq!(chain.client().read(ReadCounts {}).await.unwrap().versions, 0);

    let done = publishing(VersionId(1)).await.unwrap();
    assert_eq!(done.events.len(), 2, "{:?}", done.events);
    let version = chain.client().read(ReadVersion { version: VersionId(1) }).await.unwrap().unwrap();
    assert_eq!(version.status, VersionStatus::Active);
}

#[tokio::test]
async fn twenty_transactions_of_one_account_on_their_way_at_once_all_arrive() {
    let chain = Chain::start().await.unwrap();
    let creator = chain.account("//Charlie");
    let model = creator.submit(list("digits"), units(20)).await.unwrap().answer;
    let adding = (0..20).map(|_| {
        let creator = creator.clone();
        tokio::spawn(async move { creator.submit(AddBond { model }, units(1)).await })
    });
    for added in adding.collect::<Vec<_>>() {
        added.await.unwrap().unwrap();
    }
    let (record, _) = chain.client().read(ReadModel { model }).await.unwrap().unwrap();
    assert_eq!(record.bond, units(40));
}

#[tokio::test]
async fn two_programs_of_one_account_do_not_stop_each_other() {
    let chain = Chain::start().await.unwrap();
    // Two accounts that do not share their numbering, as two processes would not.
    let (here, there) = (chain.account("//Charlie"), chain.account("//Charlie"));
    for round in 0..4 {
        let (here, there) = (here.clone(), there.clone());
        let listing = tokio::join!(here.submit(list("here"), units(20)), there.submit(list("there"), units(20)));
        assert!(listing.0.is_ok() && listing.1.is_ok(), "round {round}: {listing:?}");
    }
    assert_eq!(chain.client().read(ReadCounts {}).await.unwrap().models, 8);
}

#[tokio::test]
async fn following_gives_every_block_once_and_survives_the_nodes_death() {
    let mut chain = Chain::start().await.unwrap();
    let creator = chain.account("//Charlie");
    let from = BlockNumber(chain.client().head().await.unwrap().number.0 + 1);
    let mut follow = chain.client().follow(from);
    creator.submit(list("first"), units(20)).await.unwrap();
    chain.seal(Blocks(3)).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.push(follow.next().await.unwrap());
    }
    chain.kill().await;
    let lost = follow.next().await.unwrap_err();
    assert_eq!(lost.class(), Class::Unreachable, "{lost}");
    chain.restart().await.unwrap();
    creator.submit(list("second"), units(20)).await.unwrap();
    while seen.len() < 5 {
        match follow.next().await {
            Ok(block) => seen.push(block),
            Err(error) => assert_eq!(error.class(), Class::Unreachable, "{error}"),
        }
    }
    let numbers: Vec<_> = seen.iter().map(|block| block.block.number.0).collect();
    assert_eq!(numbers, (from.0..from.0 + 5).collect::<Vec<_>>());
    let spoke: Vec<_> =
        seen.iter().map(|block| block.events.iter().any(|said| said.event.name() == "ModelListed")).collect();
    assert_eq!(spoke, [true, false, false, false, true]);
    let again = chain.client().events_in(from..=BlockNumber(from.0 + 4)).await.unwrap();
    assert_eq!(again, seen);
}

#[tokio::test]
async fn a_block_above_the_head_is_not_there() {
    let chain = Chain::start().await.unwrap();
    let number = BlockNumber(1_000_000);
    assert_eq!(chain.client().block(number).await, Err(ReadError::NoBlock { number }));
    let read = chain.client().events_in(number..=number).await;
    assert_eq!(read, Err(ReadError::NoBlock { number }));
}

#[tokio::test]
async fn facts_can_be_read_as_they_were() {
    let chain = Chain::start().await.unwrap();
    let worker = chain.account("//Bob");
    let before = chain.client().head().await.unwrap();
    let nonce = worker.submit(BeginRegistration {}, Plancks::ZERO).await.unwrap().answer;
    let asked = ReadNonce { account: worker.address() };
    assert_eq!(chain.client().read_at(asked.clone(), before.hash).await, Ok(None));
    assert_eq!(chain.client().read(asked).await, Ok(Some(nonce)));
}

#[tokio::test]
async fn balances_and_times_can_be_read_as_they_were() {
    let (second, started) = (Duration::from_secs(1), SystemTime::now());
    let chain = Chain::start().await.unwrap();
    let (client, giver) = (chain.client(), chain.account("//Alice"));
    let account = AccountId([7; 32]);
    let before = client.head().await.unwrap();
    giver.transfer(&account, units(5)).await.unwrap();
    let after = client.head().await.unwrap();
    assert_eq!(client.balance_at(&account, before.hash).await.unwrap().free, Plancks::ZERO);
    assert_eq!(client.balance_at(&account, after.hash).await.unwrap().free, units(5));
    let (then, now) = (client.time_of(before.hash).await.unwrap(), client.time_of(after.hash).await.unwrap());
    assert!(started - second < then && then < now && now < SystemTime::now() + second, "{then:?} {now:?}");
}

#[tokio::test]
async fn an_address_without_a_contract_is_told_from_a_refusal() {
    let chain = Chain::start_bare().await.unwrap();
    let contract = ContractAddress([5; 20]);
    let client = chain.client().at_contract(contract);
    assert_eq!(client.read(ReadCounts {}).await, Err(ReadError::NotThere { contract }));
    assert_eq!(chain.client().read(ReadCounts {}).await, Err(ReadError::NoContract));
    let account = client.signed_by(Signer::from_suri("//Alice").unwrap());
    let sent = account.submit(BeginRegistration {}, Plancks::ZERO).await;
    assert_eq!(sent, Err(SubmitError::NotThere { contract }));
}

#[tokio::test]
async fn a_node_of_another_chain_is_refused_by_its_genesis() {
    let mut chain = Chain::start_bare().await.unwrap();
    let pinned = GenesisHash([9; 32]);
    chain.network.chain.genesis = Some(pinned);
    let refused = Client::connect(&chain.network).await.map(drop);
    assert!(
        matches!(&refused, Err(ConnectError::OtherGenesis { pinned: named, .. }) if *named == pinned),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_node_that_is_gone_is_unreachable_and_found_again_when_it_is_back() {
    let mut chain = Chain::start().await.unwrap();
    let creator = chain.account("//Charlie");
    chain.kill().await;
    let lost = chain.client().read(ReadCounts {}).await.unwrap_err();
    assert_eq!(lost.class(), Class::Unreachable, "{lost}");
    let lost = creator.submit(list("digits"), units(20)).await.unwrap_err();
    assert_eq!((lost.class(), lost.may_be_included()), (Class::Unreachable, None), "{lost}");
    let lost = Client::connect(&chain.network).await.map(drop).unwrap_err();
    assert_eq!(lost.class(), Class::Unreachable, "{lost}");
    chain.restart().await.unwrap();
    assert_eq!(chain.client().read(ReadCounts {}).await.unwrap().models, 0);
    assert_eq!(creator.submit(list("digits"), units(20)).await.unwrap().answer, ModelId(1));
}

#[tokio::test]
async fn the_constructor_refuses_parameters_outside_their_bounds() {
    let refused = Chain::start_with(|params| params.windows.claim = Blocks(1)).await.map(drop).unwrap_err();
    let encompute_kit::KitError::Deploy(error) = refused else { panic!("{refused}") };
    assert!(matches!(error.refusal(), Some(Refusal::ParamOutOfBounds { .. })), "{error}");
}
