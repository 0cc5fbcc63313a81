//! Ethereum's wallets: transactions that viem signed, others signed here, and every refusal by its name.

use crate::{
    contract,
    raw::{ask, hex, nested_call, refused},
    support::{self, run},
};
use codec::Encode;
use encompute_devchain::{Config, DEV_ENDOWMENT, DevChain, Running, Seal};
use pallet_revive::{
    H160, RUNTIME_PALLETS_ADDR, U256,
    evm::{
        Account, Bytes, Transaction1559Unsigned, Transaction7702Unsigned, TransactionLegacyUnsigned,
        TransactionUnsigned,
    },
};
use serde_json::{Value, json};
use subxt::rpcs::RpcClient;

const CHAIN: u64 = 420_420_420;
/// Parts of a planck that Ethereum counts.
const RATIO: u64 = 1_000_000;
const PRICE: u64 = 10_000_000;
const MUCH_GAS: u64 = 10_000_000_000;
const BALTATHAR: H160 = H160(*b"\x3c\xd0\xa7\x05\xa2\xdc\x65\xe5\xb1\xe1\x20\x58\x96\xba\xa2\xbe\x8a\x07\xc6\xe0");

/// What viem signed as Alith.
fn recorded(name: &str) -> (String, String) {
    let all: Value =
        serde_json::from_str(include_str!("../../../../tests/vectors/ethereum/transactions.json")).unwrap();
    let all = all["transactions"].as_array().unwrap().clone();
    let found = all.into_iter().find(|transaction| transaction["name"] == name).unwrap();
    (found["raw"].as_str().unwrap().to_owned(), found["hash"].as_str().unwrap().to_owned())
}

fn starting() -> Running {
    DevChain::start(Config { seal: Seal::Instant, heartbeat: None, ..Config::in_memory() }).unwrap()
}

/// A transaction of a wallet's usual kind to an address, to be changed.
fn plain(nonce: u64, to: H160, value: u64) -> Transaction1559Unsigned {
    Transaction1559Unsigned {
        chain_id: CHAIN.into(),
        nonce: nonce.into(),
        gas: MUCH_GAS.into(),
        max_fee_per_gas: (2 * PRICE).into(),
        to: Some(to),
        value: value.into(),
        ..Default::default()
    }
}

fn signed(who: &Account, transaction: impl Into<TransactionUnsigned>) -> Value {
    hex(&who.sign_transaction(transaction.into()).signed_payload())
}

async fn send(rpc: &RpcClient, raw: &Value) -> Value {
    ask(rpc, "eth_sendRawTransaction", std::slice::from_ref(raw)).await
}

/// The receipt of what is sent, as soon as it is in a block.
async fn done(chain: &Running, rpc: &RpcClient, hash: &Value) -> Value {
    let mut heads = chain.chain().heads();
    loop {
        heads.borrow_and_update();
        let found = ask(rpc, "eth_getTransactionReceipt", std::slice::from_ref(hash)).await;
        if !found.is_null() {
            return found;
        }
        heads.changed().await.unwrap();
    }
}

fn number(value: &Value) -> U256 {
    serde_json::from_value(value.clone()).unwrap()
}

async fn balance(rpc: &RpcClient, address: H160) -> U256 {
    number(&ask(rpc, "eth_getBalance", &[json!(address), json!("latest")]).await)
}

#[test]
fn what_a_wallet_signs_is_taken_and_its_receipt_says_what_it_cost() {
    run(async {
        let chain = starting();
        let rpc = support::raw(&chain).await;
        let alith = Account::default().address();
        assert_eq!(ask(&rpc, "eth_chainId", &[]).await, json!(U256::from(CHAIN)));
        assert_eq!(ask(&rpc, "net_version", &[]).await, json!(CHAIN.to_string()));
        assert_eq!(ask(&rpc, "eth_gasPrice", &[]).await, json!(U256::from(PRICE)));
        let names = ["the first transfer", "a legacy transfer", "a transfer with an empty access list", "no money"];
        let values = [10u64.pow(18), 5, 5, 0];
        for (nonce, (name, value)) in names.into_iter().zip(values).enumerate() {
            let before = (balance(&rpc, alith).await, balance(&rpc, BALTATHAR).await);
            let (raw, hash) = recorded(name);
            assert_eq!(send(&rpc, &json!(raw)).await, json!(hash), "{name}");
            let receipt = done(&chain, &rpc, &json!(hash)).await;
            assert_eq!((&receipt["status"], &receipt["from"]), (&json!("0x1"), &json!(alith)), "{name}");
            assert_eq!((&receipt["to"], &receipt["logs"]), (&json!(BALTATHAR), &json!([])), "{name}");
            let cost = number(&receipt["gasUsed"]) * number(&receipt["effectiveGasPrice"]);
            let after = (balance(&rpc, alith).await, balance(&rpc, BALTATHAR).await);
            assert_eq!(before.0 - after.0, cost + U256::from(value), "{name}");
            assert_eq!(after.1 - before.1, U256::from(value), "{name}");
            let found = ask(&rpc, "eth_getTransactionByHash", &[json!(hash)]).await;
            assert_eq!((&found["nonce"], &found["blockHash"]), (&json!(U256::from(nonce)), &receipt["blockHash"]));
            let block = ask(&rpc, "eth_getBlockByNumber", &[receipt["blockNumber"].clone(), json!(true)]).await;
            assert_eq!((&block["hash"], &block["transactions"]), (&receipt["blockHash"], &json!([found])), "{name}");
        }
        for word in ["latest", "pending"] {
            let count = ask(&rpc, "eth_getTransactionCount", &[json!(alith), json!(word)]).await;
            assert_eq!(count, json!("0x4"), "{word}");
        }
        assert_eq!(ask(&rpc, "eth_getTransactionCount", &[json!(alith), json!("earliest")]).await, json!("0x0"));
        assert_eq!(ask(&rpc, "eth_getTransactionReceipt", &[hex(&[7; 32])]).await, Value::Null);
        assert_eq!(chain.verify().unwrap().blocks, 4, "every block executes again alike");
        chain.stop();
    });
}

#[test]
fn what_a_wallet_sends_wrongly_is_refused_by_name() {
    run(async {
        let chain = starting();
        let rpc = support::raw(&chain).await;
        let (alith, poor) = (Account::default(), Account::from_secret_key([7; 32]));
        let first = recorded("the first transfer").0;
        done(&chain, &rpc, &send(&rpc, &json!(first)).await).await;
        let cheap = Transaction1559Unsigned { max_fee_per_gas: (PRICE - 1).into(), ..plain(1, BALTATHAR, 1) };
        let scant = Transaction1559Unsigned { gas: 21_000.into(), ..plain(1, BALTATHAR, 1) };
        let delegating = Transaction7702Unsigned { chain_id: CHAIN.into(), ..Default::default() };
        let mut forged = plain(1, BALTATHAR, 1);
        forged.chain_id = 1.into();
        for (raw, code, words) in [
            (json!(recorded("another chain").0), -32_000, "invalid chain id for signer: have 1 want 420420420"),
            (signed(&alith, forged), -32_000, "invalid chain id"),
            (json!(first), -32_000, "nonce too low: the next of"),
            (signed(&poor, plain(0, BALTATHAR, 1)), -32_000, "insufficient funds for gas * price + value"),
            (signed(&alith, cheap), -32_000, "max fee per gas less than block base fee"),
            (signed(&alith, scant), -32_000, "intrinsic gas too low: 21000 gas"),
            (signed(&alith, delegating), -32_000, "transaction type not supported: 4"),
            (hex(&[]), -32_602, "rlp"),
            (hex(&[0x02, 0xc0]), -32_602, "rlp"),
            (hex(&[0xff; 100]), -32_602, "rlp"),
            (json!(format!("{first}00")), -32_602, "rlp: the bytes are no signed transaction: it has another encoding"),
            (hex(&vec![0x02; 256 * 1024 + 1]), -32_602, "transaction has 262145 bytes, the limit is 262144"),
        ] {
            let error = refused(&rpc, "eth_sendRawTransaction", &[raw]).await;
            assert!(error.code == code && error.message.starts_with(words), "{words}: {error:?}");
        }
        for (method, arguments) in [
            ("eth_sendRawTransaction", vec![json!("no hex")]),
            ("eth_getBalance", vec![json!("0x12")]),
            ("eth_getBalance", vec![json!(BALTATHAR), json!("tomorrow")]),
            ("eth_getBlockByNumber", vec![]),
            ("eth_feeHistory", vec![json!(2_000), json!("latest")]),
            ("eth_call", vec![json!({ "data": "0x01", "input": "0x02" }), json!("latest")]),
        ] {
            let error = refused(&rpc, method, &arguments).await;
            assert_eq!(error.code, -32_602, "{method}: {error:?}");
        }
        let early = refused(&rpc, "eth_call", &[json!({ "to": BALTATHAR }), json!("0xffffff")]).await;
        assert!(early.message.starts_with("header not found"), "{early:?}");
        assert_eq!(ask(&rpc, "eth_getBlockByNumber", &[json!("0xffffff"), json!(false)]).await, Value::Null);
        chain.stop();
    });
}

#[test]
fn a_contract_is_made_and_called_from_an_ethereum_key() {
    run(async {
        let chain = starting();
        let rpc = support::raw(&chain).await;
        let alith = Account::default();
        let make = Transaction1559Unsigned { to: None, input: Bytes(contract::code()), ..plain(0, BALTATHAR, 0) };
        let made = done(&chain, &rpc, &send(&rpc, &signed(&alith, make)).await).await;
        let place: H160 = serde_json::from_value(made["contractAddress"].clone()).unwrap();
        assert_eq!(made["status"], "0x1");
        assert_eq!(ask(&rpc, "eth_getCode", &[json!(place)]).await, hex(&contract::code()));
        assert_eq!(ask(&rpc, "eth_getCode", &[json!(BALTATHAR)]).await, json!("0x"));

        let question = json!({ "from": alith.address(), "to": place, "data": "0x01020304" });
        assert_eq!(ask(&rpc, "eth_call", &[question.clone(), json!("latest")]).await, hex(contract::WORDS));
        let gas = number(&ask(&rpc, "eth_estimateGas", &[question]).await);
        let mut call = plain(1, place, 0);
        (call.gas, call.input) = (gas, Bytes(vec![1, 2, 3, 4]));
        let called = done(&chain, &rpc, &send(&rpc, &signed(&alith, call)).await).await;
        assert_eq!(called["status"], "0x1", "what was estimated is enough: {called}");
        assert!(number(&called["gasUsed"]) <= gas);
        let log = &called["logs"][0];
        assert_eq!((&log["address"], &log["data"]), (&json!(place), &hex(contract::WORDS)));
        assert_eq!(log["transactionHash"], called["transactionHash"]);
        let block = ask(&rpc, "eth_getBlockByNumber", &[called["blockNumber"].clone()]).await;
        assert_eq!(called["logsBloom"], block["logsBloom"], "ours is the one that pallet-revive has in its header");
        assert_ne!(called["logsBloom"], made["logsBloom"]);
        chain.stop();
    });
}

#[test]
fn a_call_of_the_runtime_is_made_in_the_name_of_the_key_and_one_that_fails_says_so() {
    run(async {
        let chain = starting();
        let rpc = support::raw(&chain).await;
        let alith = Account::default();
        let transfer = |plancks: u128| {
            let receiver = [&BALTATHAR.0[..], &[0xee; 12]].concat();
            // Pallet 2, call 3: `Balances.transfer_keep_alive` to an account's id.
            [&[2, 3, 0][..], &receiver, &codec::Compact(plancks).encode()].concat()
        };
        let before = balance(&rpc, BALTATHAR).await;
        for (nonce, plancks, status) in [(0, 5, "0x1"), (1, 10 * DEV_ENDOWMENT, "0x0")] {
            let mut call = plain(nonce, RUNTIME_PALLETS_ADDR, 0);
            call.input = Bytes(transfer(plancks));
            let called = done(&chain, &rpc, &send(&rpc, &signed(&alith, call)).await).await;
            assert_eq!(called["status"], status, "{called}");
        }
        assert_eq!(balance(&rpc, BALTATHAR).await - before, U256::from(5 * RATIO));
        chain.stop();
    });
}

#[test]
fn numbers_wait_for_those_before_them_and_are_counted_while_they_wait() {
    run(async {
        let chain = starting();
        let rpc = support::raw(&chain).await;
        let alith = Account::default();
        let later = send(&rpc, &signed(&alith, plain(1, BALTATHAR, 1))).await;
        assert_eq!(ask(&rpc, "eth_getTransactionReceipt", std::slice::from_ref(&later)).await, Value::Null);
        let again = refused(&rpc, "eth_sendRawTransaction", &[signed(&alith, plain(1, BALTATHAR, 1))]).await;
        assert_eq!(again.message, "already known");
        let other = refused(&rpc, "eth_sendRawTransaction", &[signed(&alith, plain(1, BALTATHAR, 2))]).await;
        assert_eq!(other.message, "replacement transaction underpriced");
        let legacy = TransactionLegacyUnsigned {
            chain_id: None,
            gas: MUCH_GAS.into(),
            gas_price: PRICE.into(),
            to: Some(BALTATHAR),
            ..Default::default()
        };
        let first = send(&rpc, &signed(&alith, legacy)).await;
        let (first, later) = (done(&chain, &rpc, &first).await, done(&chain, &rpc, &later).await);
        assert_eq!((&first["status"], &later["status"]), (&json!("0x1"), &json!("0x1")));
        assert!(number(&first["blockNumber"]) <= number(&later["blockNumber"]));
        chain.stop();
    });
}

#[test]
fn deeply_nested_calls_in_an_ethereum_transaction_are_refused_and_the_chain_lives() {
    run(async {
        let chain = starting();
        let rpc = support::raw(&chain).await;
        for (depth, nested) in [(100_000, true), (20, false)] {
            let question = json!({ "to": RUNTIME_PALLETS_ADDR, "input": hex(&nested_call(depth)) });
            let tried = rpc.request::<Value>("eth_estimateGas", subxt::rpcs::rpc_params![question]).await;
            assert_eq!(tried.is_err(), nested, "{depth}: {tried:?}");
        }
        let mut raw = plain(0, RUNTIME_PALLETS_ADDR, 0);
        raw.input = Bytes(nested_call(80_000));
        let error = refused(&rpc, "eth_sendRawTransaction", &[signed(&Account::default(), raw)]).await;
        assert!(error.code == 1010 || error.code == -32_000, "{error:?}");
        chain.stop();
    });
}
