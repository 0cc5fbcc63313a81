//! JSON-RPC without a client library in between: refusals, aliases, subscriptions, limits of arguments.

use crate::support::{self, Client, UNIT, balance, run, shared, transfer, with_nonce};
use codec::{Compact, Encode};
use encompute_devchain::{Config, DevChain, Running, Seal};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};
use subxt::rpcs::{Error as RpcError, RpcClient, UserError, client::RpcParams};
use subxt_signer::sr25519::{Keypair, dev};

pub fn params(values: &[Value]) -> RpcParams {
    let mut params = RpcParams::new();
    for value in values {
        params.push(value).unwrap();
    }
    params
}

pub async fn ask(rpc: &RpcClient, method: &str, values: &[Value]) -> Value {
    rpc.request(method, params(values)).await.unwrap()
}

pub async fn refused(rpc: &RpcClient, method: &str, values: &[Value]) -> UserError {
    match rpc.request::<Value>(method, params(values)).await {
        Err(RpcError::User(error)) => error,
        other => panic!("{method} gave {other:?}"),
    }
}

pub fn hex(bytes: &[u8]) -> Value {
    json!(format!("0x{}", hex::encode(bytes)))
}

async fn signed(client: &Client, from: &Keypair, nonce: u64) -> Vec<u8> {
    let to = Keypair::from_uri(&"//Raw".parse().unwrap()).unwrap();
    let mut tx = client.tx().await.unwrap();
    tx.create_signed(&transfer(&to, UNIT), from, with_nonce(nonce)).await.unwrap().into_encoded()
}

/// A chain that makes no block unless asked through `encompute_sealBlocks`, which leaves the pool alone.
pub fn still() -> Running {
    let config = Config { seal: Seal::Tick(Duration::from_secs(3600)), heartbeat: None, ..Config::in_memory() };
    DevChain::start(config).unwrap()
}

#[test]
fn malformed_input_is_an_error_and_the_chain_lives() {
    run(async {
        let rpc = support::raw(shared()).await;
        for (method, arguments) in [
            ("Core_execute_block", &[0xff; 40][..]),
            ("BlockBuilder_apply_extrinsic", &[0x04, 0x84]),
            ("TaggedTransactionQueue_validate_transaction", &[9, 9, 9]),
            ("ReviveApi_call", &[1, 2, 3]),
            ("Core_version", &[7]),
            ("No_such_function", &[]),
        ] {
            let error = refused(&rpc, "state_call", &[json!(method), hex(arguments)]).await;
            assert_eq!(error.code, 4003, "{method}: {error:?}");
            assert!(error.message.contains(method), "{error:?}");
        }
        for bytes in [&[][..], &[0], &[0xff; 64], &[0x10, 0x84, 0, 0, 0]] {
            let error = refused(&rpc, "author_submitExtrinsic", &[hex(bytes)]).await;
            assert_eq!(error.code, 1001, "{bytes:?}: {error:?}");
        }
        assert_eq!(refused(&rpc, "author_submitExtrinsic", &[json!("no hex")]).await.code, -32602);
        assert_eq!(ask(&rpc, "system_health", &[]).await["isSyncing"], json!(false));
    });
}

/// `Utility.batch` of one batch of one batch …
pub fn nested_call(depth: usize) -> Vec<u8> {
    // Pallet 4, call 0, one call inside; in the middle an empty `System.remark`.
    let mut bytes = [4, 0, 4].repeat(depth);
    bytes.extend_from_slice(&[0, 0, 0]);
    bytes
}

/// The same as a bare extrinsic with its length prefix.
fn nested(depth: usize) -> Vec<u8> {
    // Version 5, bare.
    let mut bytes = [&[5][..], &nested_call(depth)].concat();
    let mut extrinsic = Compact(bytes.len() as u32).encode();
    extrinsic.append(&mut bytes);
    extrinsic
}

#[test]
fn deeply_nested_calls_are_refused_before_they_overflow_the_stack() {
    run(async {
        let chain = still();
        let rpc = support::raw(&chain).await;
        let deep = nested(100_000);
        let block = [&[0; 32][..], &[0], &[0; 64], &[0], &[4], &deep].concat();
        assert_eq!(refused(&rpc, "author_submitExtrinsic", &[hex(&deep)]).await.code, 1001);
        for (method, arguments) in [
            ("BlockBuilder_apply_extrinsic", deep.clone()),
            ("TaggedTransactionQueue_validate_transaction", [&[2], &deep[..], &[0; 32]].concat()),
            ("TransactionPaymentApi_query_info", [&deep[..], &[0; 4]].concat()),
            ("TransactionPaymentApi_query_fee_details", [&deep[..], &[0; 4]].concat()),
            ("Core_execute_block", block.clone()),
            ("BlockBuilder_check_inherents", [&block[..], &[0]].concat()),
            ("ReviveApi_trace_block", [&block[..], &[0, 0]].concat()),
            ("ReviveApi_trace_tx", [&block[..], &[0; 6]].concat()),
            ("ReviveApi_trace_block_versioned", [&[0], &block[..], &[0, 0]].concat()),
            ("ReviveApi_trace_tx_versioned", [&[0], &block[..], &[0; 6]].concat()),
        ] {
            let error = refused(&rpc, "state_call", &[json!(method), hex(&arguments)]).await;
            assert_eq!(error.code, 4003, "{method}");
        }
        // Within the limit the runtime decodes it, and refuses it as unsigned.
        assert_ne!(refused(&rpc, "author_submitExtrinsic", &[hex(&nested(200))]).await.code, 1001);
        chain.stop();
    });
}

#[test]
fn refusals_carry_the_code_and_the_rule() {
    run(async {
        let chain = still();
        let (client, rpc) = (support::client(&chain).await, support::raw(&chain).await);
        let good = signed(&client, &dev::alice(), 0).await;
        ask(&rpc, "author_submitExtrinsic", &[hex(&good)]).await;
        assert_eq!(refused(&rpc, "author_submitExtrinsic", &[hex(&good)]).await.code, 1013);

        let mut forged = good.clone();
        // The signature begins after the length, the version byte, the address and the signature's kind.
        forged[40] ^= 1;
        let poor = signed(&client, &Keypair::from_uri(&"//Poor".parse().unwrap()).unwrap(), 0).await;
        for (bytes, rule) in [(forged, "BadProof"), (poor, "Payment")] {
            let error = refused(&rpc, "author_submitExtrinsic", &[hex(&bytes)]).await;
            assert_eq!((error.code, error.message.as_str()), (1010, "Invalid Transaction"));
            assert!(error.data.clone().unwrap().get().contains(rule), "{error:?}");
        }
        chain.stop();
    });
}

#[test]
fn a_used_nonce_is_stale() {
    run(async {
        let chain = DevChain::start(Config { seal: Seal::Instant, ..Config::in_memory() }).unwrap();
        let (client, rpc) = (support::client(&chain).await, support::raw(&chain).await);
        let first = signed(&client, &dev::alice(), 0).await;
        let mut statuses = rpc
            .subscribe::<Value>("author_submitAndWatchExtrinsic", params(&[hex(&first)]), "author_unwatchExtrinsic")
            .await
            .unwrap();
        while !statuses.next().await.unwrap().unwrap()["finalized"].is_string() {}
        let error = refused(&rpc, "author_submitExtrinsic", &[hex(&first)]).await;
        assert!(error.data.clone().unwrap().get().contains("Stale"), "{error:?}");
        chain.stop();
    });
}

#[test]
fn the_next_nonce_counts_what_is_pooled() {
    run(async {
        let chain = still();
        let (client, rpc) = (support::client(&chain).await, support::raw(&chain).await);
        let bob = json!(dev::bob().public_key().to_account_id().to_string());
        assert_eq!(ask(&rpc, "system_accountNextIndex", std::slice::from_ref(&bob)).await, json!(0));
        for nonce in [0, 1, 3] {
            ask(&rpc, "author_submitExtrinsic", &[hex(&signed(&client, &dev::bob(), nonce).await)]).await;
        }
        assert_eq!(ask(&rpc, "system_accountNextIndex", std::slice::from_ref(&bob)).await, json!(2));
        assert_eq!(ask(&rpc, "author_pendingExtrinsics", &[]).await.as_array().unwrap().len(), 3);
        assert_eq!(refused(&rpc, "system_accountNextIndex", &[json!("nobody")]).await.code, -32602);
        chain.stop();
    });
}

#[test]
fn statuses_come_in_order_with_a_gap_before_finality() {
    run(async {
        let chain = still();
        let (client, rpc) = (support::client(&chain).await, support::raw(&chain).await);
        let later = signed(&client, &dev::eve(), 1).await;
        let mut statuses = rpc
            .subscribe::<Value>("author_submitAndWatchExtrinsic", params(&[hex(&later)]), "author_unwatchExtrinsic")
            .await
            .unwrap();
        assert_eq!(statuses.next().await.unwrap().unwrap(), json!("future"));
        ask(&rpc, "author_submitExtrinsic", &[hex(&signed(&client, &dev::eve(), 0).await)]).await;
        assert_eq!(statuses.next().await.unwrap().unwrap(), json!("ready"));
        // Stopping seals what is ready, and tells.
        chain.stop();
        assert!(statuses.next().await.unwrap().unwrap()["inBlock"].is_string());
    });
}

#[test]
fn empty_blocks_are_sealed_on_request_up_to_a_limit() {
    run(async {
        let chain = still();
        let rpc = support::raw(&chain).await;
        assert_eq!(ask(&rpc, "encompute_sealBlocks", &[json!(0)]).await, json!(0));
        assert_eq!(ask(&rpc, "encompute_sealBlocks", &[json!(100)]).await, json!(100));
        assert_eq!(refused(&rpc, "encompute_sealBlocks", &[json!(10_001)]).await.code, -32602);
        assert_eq!(chain.verify().unwrap().blocks, 100);
        chain.stop();
    });
}

#[test]
fn no_head_is_left_out() {
    run(async {
        let chain = still();
        let rpc = support::raw(&chain).await;
        for (subscribe, unsubscribe) in [
            ("chain_subscribeNewHead", "chain_unsubscribeNewHead"),
            ("chain_subscribeNewHeads", "chain_unsubscribeNewHeads"),
            ("chain_subscribeFinalizedHeads", "chain_unsubscribeFinalizedHeads"),
            ("chain_subscribeAllHeads", "chain_unsubscribeAllHeads"),
        ] {
            let before = u64::from(chain.chain().head().header.number);
            let mut heads = rpc.subscribe::<Value>(subscribe, RpcParams::new(), unsubscribe).await.unwrap();
            chain.seal_blocks(40).unwrap();
            for number in before..=before + 40 {
                let head = heads.next().await.unwrap().unwrap();
                assert_eq!(head["number"], json!(format!("{number:#x}")), "{subscribe}");
            }
        }
        chain.stop();
    });
}

#[test]
fn a_storage_subscription_sends_the_value_and_then_only_changes() {
    run(async {
        let chain = DevChain::start(Config { seal: Seal::Instant, heartbeat: None, ..Config::in_memory() }).unwrap();
        let (client, rpc) = (support::client(&chain).await, support::raw(&chain).await);
        let at = client.at_current_block().await.unwrap();
        let accounts = subxt::dynamic::storage::<([u8; 32],), subxt::dynamic::Value>("System", "Account");
        let key = at.storage().entry(accounts).unwrap().fetch_key((dev::bob().public_key().0,)).unwrap();
        let mut changes = rpc
            .subscribe::<Value>("state_subscribeStorage", params(&[json!([hex(&key)])]), "state_unsubscribeStorage")
            .await
            .unwrap();
        let first = changes.next().await.unwrap().unwrap();
        assert_eq!(first["changes"][0][0], hex(&key));
        // Blocks that leave the account alone are not announced.
        chain.seal_blocks(5).unwrap();
        let mut tx = client.tx().await.unwrap();
        let sent = tx.sign_and_submit_then_watch_default(&transfer(&dev::bob(), UNIT), &dev::alice()).await.unwrap();
        let block = sent.wait_for_finalized().await.unwrap().block_hash();
        let second = changes.next().await.unwrap().unwrap();
        assert_eq!(second["block"], json!(format!("{block:?}")));
        assert_ne!(second["changes"][0][1], first["changes"][0][1]);
        assert_eq!(balance(&client, &dev::bob()).await, 1_000_001 * UNIT);
        chain.stop();
    });
}

#[test]
fn unknown_blocks_are_null_for_blocks_and_errors_for_states() {
    run(async {
        let rpc = support::raw(shared()).await;
        let nowhere = hex(&[7; 32]);
        assert_eq!(ask(&rpc, "chain_getHeader", std::slice::from_ref(&nowhere)).await, Value::Null);
        assert_eq!(ask(&rpc, "chain_getBlock", std::slice::from_ref(&nowhere)).await, Value::Null);
        assert_eq!(ask(&rpc, "chain_getBlockHash", &[json!(4_000_000_000u32)]).await, Value::Null);
        assert_eq!(refused(&rpc, "state_getStorage", &[hex(&[1]), nowhere]).await.code, 4003);
    });
}

#[test]
fn only_what_is_complete_is_advertised() {
    run(async {
        let rpc = support::raw(shared()).await;
        let methods = ask(&rpc, "rpc_methods", &[]).await;
        let methods: Vec<_> =
            methods["methods"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert!(methods.contains(&"encompute_sealBlocks"));
        for group in ["chainHead_", "archive_", "transaction_", "transactionWatch_", "payment_", "offchain_"] {
            assert!(methods.iter().all(|name| !name.starts_with(group)), "{group} in {methods:?}");
        }
    });
}

#[test]
fn http_answers_on_the_same_port() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"system_chain","params":[]}"#;
    let mut stream = TcpStream::connect(shared().listen()).unwrap();
    let length = body.len();
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n";
    write!(stream, "{head}content-length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with(r#""result":"Encompute Development"}"#), "{answer}");
}
