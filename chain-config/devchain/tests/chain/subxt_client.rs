//! subxt 0.51, unchanged and unconfigured, through its default and its legacy backend.

use crate::{
    contract,
    support::{self, AtBlock, Client, UNIT, balance, balance_at, run, shared, transfer, with_nonce},
};
use encompute_devchain::{Config, DevChain};
use std::{collections::BTreeSet, sync::Arc};
use subxt::{
    SubstrateConfig,
    backend::LegacyBackend,
    dynamic::{self, At, Value},
    ext::scale_value::Composite,
    tx::TransactionStatus,
};
use subxt_signer::sr25519::{Keypair, dev};

#[test]
fn a_watched_transfer_is_finalized_with_its_events_and_a_fee() {
    run(async {
        let client = support::client(shared()).await;
        let (from, to) =
            (dev::alice(), subxt_signer::sr25519::Keypair::from_uri(&"//Alice//a".parse().unwrap()).unwrap());
        let before = balance(&client, &from).await;
        let mut progress = client
            .tx()
            .await
            .unwrap()
            .sign_and_submit_then_watch_default(&transfer(&to, 5 * UNIT), &from)
            .await
            .unwrap();
        let mut seen = Vec::new();
        while let Some(status) = progress.next().await {
            match status.unwrap() {
                TransactionStatus::InBestBlock(_) => seen.push("in block"),
                TransactionStatus::InFinalizedBlock(block) => {
                    seen.push("finalized");
                    let events = block.wait_for_success().await.unwrap();
                    let names: Vec<_> = events.iter().map(|e| e.unwrap().event_name().to_owned()).collect();
                    for name in ["Transfer", "TransactionFeePaid", "ExtrinsicSuccess"] {
                        assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
                    }
                    break;
                }
                _ => {}
            }
        }
        assert_eq!(seen, ["in block", "finalized"]);
        assert_eq!(balance(&client, &to).await, 5 * UNIT);
        let fee = before - balance(&client, &from).await - 5 * UNIT;
        assert!((UNIT / 100_000..UNIT / 100).contains(&fee), "a transfer cost {fee} plancks");
    });
}

#[test]
fn the_past_stays_readable() {
    run(async {
        let client = support::client(shared()).await;
        let (from, to) = (dev::bob(), Keypair::from_uri(&"//Bob//b".parse().unwrap()).unwrap());
        submit(&client, &transfer(&to, UNIT), &from).await;
        let between = client.at_current_block().await.unwrap();
        submit(&client, &transfer(&to, UNIT), &from).await;
        assert_eq!(balance_at(&between, &to).await, UNIT);
        assert_eq!(balance(&client, &to).await, 2 * UNIT);
        let genesis = client.at_block(0u32).await.unwrap();
        assert_eq!(balance_at(&genesis, &from).await, 1_000_000 * UNIT);
    });
}

#[test]
fn a_batch_is_one_transaction() {
    run(async {
        let client = support::client(shared()).await;
        let to: Vec<_> = (0..3).map(|n| Keypair::from_uri(&format!("//Dave//{n}").parse().unwrap()).unwrap()).collect();
        let calls = to.iter().map(|to| transfer(to, UNIT).into_value());
        let batch = dynamic::tx("Utility", "batch_all", Composite::unnamed([Value::unnamed_composite(calls)]));
        submit(&client, &batch, &dev::dave()).await;
        for to in &to {
            assert_eq!(balance(&client, to).await, UNIT);
        }
    });
}

#[test]
fn twenty_in_flight_with_shuffled_nonces_all_arrive() {
    run(async {
        let client = support::client(shared()).await;
        let (from, to) = (dev::charlie(), Keypair::from_uri(&"//Charlie//c".parse().unwrap()).unwrap());
        let mut tx = client.tx().await.unwrap();
        let first = tx.account_nonce(&from.public_key().to_account_id()).await.unwrap();
        let mut signed = Vec::new();
        for offset in 0..20 {
            signed.push(tx.create_signed(&transfer(&to, UNIT), &from, with_nonce(first + offset)).await.unwrap());
        }
        // Every seventh: the first comes last but one, gaps open and close all the time.
        let mut progress = Vec::new();
        for step in 1..=20 {
            progress.push(signed[step * 7 % 20].submit_and_watch().await.unwrap());
        }
        for progress in progress {
            progress.wait_for_finalized_success().await.unwrap();
        }
        assert_eq!(balance(&client, &to).await, 20 * UNIT);
    });
}

#[test]
fn a_contract_is_dry_run_instantiated_and_called() {
    run(async {
        let client = support::client(shared()).await;
        let owner = dev::eve();
        let before = balance(&client, &owner).await;
        let at = client.at_current_block().await.unwrap();
        let dry = dry_instantiate(&at, &owner).await;
        let contract = dry.at("result").unwrap().at("addr").unwrap().clone();
        let events = submit(&client, &instantiate(&dry), &owner).await;
        assert!(events.contains(&"Revive.Instantiated".to_owned()), "{events:?}");

        let at = client.at_current_block().await.unwrap();
        let dry = dry_call(&at, &owner, &contract).await;
        let outcome = dry.at("result").unwrap();
        assert_eq!(bytes(outcome.at("data").unwrap()), contract::WORDS);
        assert_eq!(outcome.at("flags").unwrap().at("bits").and_then(Value::as_u128), Some(0));
        let events = submit(&client, &call(&contract, &dry), &owner).await;
        assert!(events.contains(&"Revive.ContractEmitted".to_owned()), "{events:?}");
        let spent = before - balance(&client, &owner).await;
        assert!((UNIT / 1_000..UNIT / 10).contains(&spent), "deploying and calling cost {spent} plancks");
    });
}

#[test]
fn evm_bytecode_is_refused() {
    run(async {
        let client = support::client(shared()).await;
        let at = client.at_current_block().await.unwrap();
        // PUSH1 0, PUSH1 0, RETURN: valid init code of an empty contract.
        let dry = dry_instantiate_code(&at, &dev::eve(), vec![0x60, 0, 0x60, 0, 0xf3]).await;
        let refused = format!("{dry}");
        assert!(refused.contains("Err"), "{refused}");
    });
}

#[test]
fn the_methods_subxt_calls_are_the_recorded_ones() {
    let expected = |extra: &[&str]| -> BTreeSet<String> {
        let common = [
            "author_submitAndWatchExtrinsic",
            "chain_getBlock",
            "chain_getBlockHash",
            "chain_getFinalizedHead",
            "chain_getHeader",
            "state_call",
            "state_getKeysPaged",
            "state_getStorage",
            "state_queryStorageAt",
        ];
        common.iter().chain(extra).map(|name| (*name).to_owned()).collect()
    };
    run(async {
        let chain = DevChain::start(Config::in_memory()).unwrap();
        let default = support::client(&chain).await;
        use_everything(&default).await;
        let called = support::called_methods(&chain);
        assert_eq!(called, expected(&["rpc_methods"]), "default backend");

        chain.method_counts().clear();
        let backend = LegacyBackend::<SubstrateConfig>::builder().build(support::raw(&chain).await);
        let legacy = Client::from_backend(Arc::new(backend)).await.unwrap();
        use_everything(&legacy).await;
        let called = support::called_methods(&chain);
        assert_eq!(called, expected(&[]), "legacy backend");
        chain.stop();
    });
}

/// Connect, metadata, value, iteration, runtime call, transaction with events.
async fn use_everything(client: &Client) {
    let at = client.at_current_block().await.unwrap();
    balance_at(&at, &dev::alice()).await;
    let accounts = dynamic::storage::<([u8; 32],), Value>("System", "Account");
    let mut entries = at.storage().iter(accounts, ()).await.unwrap();
    let mut count = 0;
    while let Some(entry) = entries.next().await {
        entry.unwrap();
        count += 1;
    }
    assert!(count >= 6, "{count} accounts");
    dry_instantiate(&at, &dev::alice()).await;
    let to = Keypair::from_uri(&"//Somebody".parse().unwrap()).unwrap();
    submit(client, &transfer(&to, UNIT), &dev::alice()).await;
}

/// Submits, waits until finalized and successful, and returns the events as `Pallet.Event`.
async fn submit(client: &Client, call: &impl subxt::tx::Payload, from: &Keypair) -> Vec<String> {
    let mut tx = client.tx().await.unwrap();
    let progress = tx.sign_and_submit_then_watch_default(call, from).await.unwrap();
    let events = progress.wait_for_finalized_success().await.unwrap();
    let name =
        |event: subxt::events::Event<'_, SubstrateConfig>| format!("{}.{}", event.pallet_name(), event.event_name());
    events.iter().map(|event| name(event.unwrap())).collect()
}

fn none() -> Value {
    Value::unnamed_variant("None", [])
}

async fn dry_instantiate(at: &AtBlock, owner: &Keypair) -> Value {
    let dry = dry_instantiate_code(at, owner, contract::code()).await;
    assert!(format!("{dry}").contains("Ok"), "{dry}");
    unwrap_result(dry)
}

async fn dry_instantiate_code(at: &AtBlock, owner: &Keypair, code: Vec<u8>) -> Value {
    let arguments = vec![
        Value::from_bytes(owner.public_key().0),
        Value::u128(0),
        none(),
        none(),
        Value::unnamed_variant("Upload", [Value::from_bytes(code)]),
        Value::from_bytes([]),
        none(),
    ];
    at.runtime_apis().call(dynamic::runtime_api_call::<_, Value>("ReviveApi", "instantiate", arguments)).await.unwrap()
}

async fn dry_call(at: &AtBlock, caller: &Keypair, contract: &Value) -> Value {
    let arguments = vec![
        Value::from_bytes(caller.public_key().0),
        contract.clone(),
        Value::u128(0),
        none(),
        none(),
        Value::from_bytes([]),
    ];
    let call = dynamic::runtime_api_call::<_, Value>("ReviveApi", "call", arguments);
    unwrap_result(at.runtime_apis().call(call).await.unwrap())
}

/// Replaces `result: Ok(x)` by `result: x`.
fn unwrap_result(dry: Value) -> Value {
    use subxt::ext::scale_value::ValueDef;
    let ValueDef::Composite(Composite::Named(fields)) = dry.value else { panic!("no struct") };
    let fields = fields.into_iter().map(|(name, value)| match value.value {
        ValueDef::Variant(variant) if name == "result" && variant.name == "Ok" => {
            (name, variant.values.into_values().next().unwrap())
        }
        other => (name, Value { value: other, context: () }),
    });
    Value::named_composite(fields.collect::<Vec<_>>())
}

fn deposit(dry: &Value) -> Value {
    use subxt::ext::scale_value::ValueDef;
    match &dry.at("storage_deposit").unwrap().value {
        ValueDef::Variant(charge) if charge.name == "Charge" => charge.values.values().next().unwrap().clone(),
        _ => Value::u128(0),
    }
}

fn instantiate(dry: &Value) -> impl subxt::tx::Payload {
    let arguments = [
        Value::u128(0),
        dry.at("weight_required").unwrap().clone(),
        deposit(dry),
        Value::from_bytes(contract::code()),
        Value::from_bytes([]),
        none(),
    ];
    dynamic::tx("Revive", "instantiate_with_code", Composite::unnamed(arguments))
}

fn call(contract: &Value, dry: &Value) -> impl subxt::tx::Payload {
    let weight = dry.at("weight_required").unwrap().clone();
    let arguments = [contract.clone(), Value::u128(0), weight, deposit(dry), Value::from_bytes([])];
    dynamic::tx("Revive", "call", Composite::unnamed(arguments))
}

fn bytes(value: &Value) -> Vec<u8> {
    use subxt::ext::scale_value::ValueDef;
    match &value.value {
        ValueDef::Composite(parts) if parts.len() == 1 && parts.values().next().unwrap().as_u128().is_none() => {
            bytes(parts.values().next().unwrap())
        }
        ValueDef::Composite(parts) => parts.values().map(|byte| byte.as_u128().unwrap() as u8).collect(),
        other => panic!("no bytes: {other:?}"),
    }
}
