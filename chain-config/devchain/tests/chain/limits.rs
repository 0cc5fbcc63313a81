//! What happens at the edges of the pool and of the server.

use crate::support::{self, UNIT, run, transfer, with_nonce};
use encompute_devchain::{Config, DevChain, Running, Seal, ServerLimits, pool::PoolLimits};
use serde_json::{Value, json};
use std::time::Duration;
use subxt::{
    config::SubstrateExtrinsicParamsBuilder,
    rpcs::{Error as RpcError, RpcClient, rpc_params},
};
use subxt_signer::sr25519::dev;

fn still(pool: PoolLimits) -> Running {
    let config = Config { seal: Seal::Tick(Duration::from_secs(3600)), heartbeat: None, pool, ..Config::in_memory() };
    DevChain::start(config).unwrap()
}

async fn signed(chain: &Running, nonce: u64, tip: u128) -> Value {
    let client = support::client(chain).await;
    let params = SubstrateExtrinsicParamsBuilder::new().nonce(nonce).tip(tip).build();
    let mut tx = client.tx().await.unwrap();
    let bytes = tx.create_signed(&transfer(&dev::bob(), UNIT), &dev::alice(), params).await.unwrap().into_encoded();
    json!(format!("0x{}", hex::encode(bytes)))
}

async fn submit(rpc: &RpcClient, bytes: Value) -> Result<Value, i32> {
    match rpc.request::<Value>("author_submitExtrinsic", rpc_params![bytes]).await {
        Ok(hash) => Ok(hash),
        Err(RpcError::User(error)) => Err(error.code),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_full_pool_refuses_and_says_so() {
    run(async {
        let chain = still(PoolLimits { transactions: 2, parked: 1, ..PoolLimits::default() });
        let rpc = support::raw(&chain).await;
        submit(&rpc, signed(&chain, 0, 0).await).await.unwrap();
        submit(&rpc, signed(&chain, 5, 0).await).await.unwrap();
        assert_eq!(submit(&rpc, signed(&chain, 6, 0).await).await, Err(1016), "parked");
        assert_eq!(submit(&rpc, signed(&chain, 1, 0).await).await, Err(1016), "any");
        chain.stop();
    });
}

#[test]
fn a_higher_tip_replaces_and_a_lower_one_does_not() {
    run(async {
        let chain = still(PoolLimits::default());
        let rpc = support::raw(&chain).await;
        let first = signed(&chain, 0, UNIT).await;
        let mut statuses = rpc
            .subscribe::<Value>("author_submitAndWatchExtrinsic", rpc_params![first], "author_unwatchExtrinsic")
            .await
            .unwrap();
        assert_eq!(submit(&rpc, signed(&chain, 0, UNIT / 2).await).await, Err(1014));
        let second = submit(&rpc, signed(&chain, 0, 2 * UNIT).await).await.unwrap();
        assert_eq!(statuses.next().await.unwrap().unwrap(), json!("ready"));
        assert_eq!(statuses.next().await.unwrap().unwrap(), json!({ "usurped": second }));
        chain.stop();
    });
}

#[test]
fn a_parked_transaction_is_dropped_when_its_time_is_up() {
    run(async {
        let chain = still(PoolLimits { parked_for: Duration::from_millis(20), ..PoolLimits::default() });
        let rpc = support::raw(&chain).await;
        let parked = signed(&chain, 1, 0).await;
        let mut statuses = rpc
            .subscribe::<Value>("author_submitAndWatchExtrinsic", rpc_params![parked], "author_unwatchExtrinsic")
            .await
            .unwrap();
        assert_eq!(statuses.next().await.unwrap().unwrap(), json!("future"));
        assert_eq!(statuses.next().await.unwrap().unwrap(), json!("dropped"));
        chain.stop();
    });
}

#[test]
fn many_transactions_share_a_block() {
    run(async {
        let chain = DevChain::start(Config { heartbeat: None, ..Config::in_memory() }).unwrap();
        let client = support::client(&chain).await;
        let mut tx = client.tx().await.unwrap();
        let mut progress = Vec::new();
        for nonce in 0..60 {
            let signed =
                tx.create_signed(&transfer(&dev::bob(), UNIT), &dev::alice(), with_nonce(nonce)).await.unwrap();
            progress.push(signed.submit_and_watch().await.unwrap());
        }
        for progress in progress {
            progress.wait_for_finalized_success().await.unwrap();
        }
        let blocks = chain.chain().head().header.number;
        assert!(blocks < 60, "{blocks} blocks for 60 transactions");
        assert_eq!(chain.verify().unwrap().blocks, blocks);
        chain.stop();
    });
}

#[test]
fn an_oversized_request_and_one_connection_too_many_are_turned_away() {
    run(async {
        let server = ServerLimits { connections: 2, request_bytes: 64 * 1024, ..ServerLimits::default() };
        let chain = DevChain::start(Config { server, ..Config::in_memory() }).unwrap();
        let first = support::raw(&chain).await;
        let second = support::raw(&chain).await;
        assert!(RpcClient::from_insecure_url(chain.url()).await.is_err());
        let long = format!("0x{}", "00".repeat(64 * 1024));
        assert!(first.request::<Value>("author_submitExtrinsic", rpc_params![long]).await.is_err());
        let health = second.request::<Value>("system_health", rpc_params![]).await.unwrap();
        assert_eq!(health["peers"], json!(0));
        chain.stop();
    });
}

/// The figures as Prometheus reads them.
fn figures(chain: &Running) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(chain.listen()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn figures_count_blocks_pool_transactions_and_calls() {
    run(async {
        let chain = still(PoolLimits::default());
        let rpc = support::raw(&chain).await;
        submit(&rpc, signed(&chain, 0, 0).await).await.unwrap();
        submit(&rpc, signed(&chain, 5, 0).await).await.unwrap();
        assert_eq!(submit(&rpc, json!("0x00")).await, Err(1001));
        let before = figures(&chain);
        chain.seal_blocks(3).unwrap();
        let after = figures(&chain);
        for (text, line) in [
            (&before, "encompute_chain_pool_ready 1"),
            (&before, "encompute_chain_pool_parked 1"),
            (&before, "encompute_chain_transactions_total{fate=\"Accepted\"} 2"),
            (&before, "encompute_chain_transactions_total{fate=\"Refused\"} 1"),
            (&before, "encompute_chain_calls_total{method=\"author_submitExtrinsic\"} 3"),
            (&before, "encompute_chain_block 0"),
            (&after, "encompute_chain_block 3"),
            (&after, "encompute_chain_blocks_total 3"),
            (&after, "encompute_chain_seal_seconds_count 3"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing: {text}");
        }
        chain.stop();
    });
}
