//! `encompute-devchain` as a process: ready line, restart, taken ports and folders, damaged state.

use crate::support::{Client, UNIT, balance, run, transfer, with_nonce};
use codec::{Decode, Encode};
use encompute_devchain::{Config, DevChain, Store, VerifyError, store::StoredBlock, verify};
use redb::{Database, ReadableDatabase, TableDefinition};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};
use subxt::rpcs::{RpcClient, rpc_params};
use subxt_signer::sr25519::dev;
use tempfile::TempDir;

struct Node {
    process: Child,
    url: String,
    block: u64,
}

impl Drop for Node {
    /// A failed test leaves no process behind.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_encompute-devchain"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn start(arguments: &[&str]) -> Node {
    let mut process = command(arguments).args(["--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("ready line: {line:?}"));
    assert_eq!((&ready["ready"], &ready["service"]), (&Value::Bool(true), &Value::from("chain")));
    Node { process, url: ready["listen"].as_str().unwrap().to_owned(), block: ready["block"].as_u64().unwrap() }
}

fn fails(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command(arguments).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

fn signal(node: &mut Node, name: &str) -> Option<i32> {
    let sent = Command::new("kill").args(["-s", name, &node.process.id().to_string()]).status().unwrap();
    assert!(sent.success());
    node.process.wait().unwrap().code()
}

fn folder() -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("chain").to_str().unwrap().to_owned();
    (folder, path)
}

/// One finalized transfer; returns the receiver's balance.
async fn pay(url: &str, nonce: u64) -> u128 {
    let client = Client::from_insecure_url(url).await.unwrap();
    let mut tx = client.tx().await.unwrap();
    let signed = tx.create_signed(&transfer(&dev::bob(), UNIT), &dev::alice(), with_nonce(nonce)).await.unwrap();
    signed.submit_and_watch().await.unwrap().wait_for_finalized_success().await.unwrap();
    balance(&client, &dev::bob()).await
}

#[test]
fn a_killed_chain_goes_on_where_it_was() {
    let (_keep, state) = folder();
    let mut node = start(&["--state", &state]);
    assert_eq!(node.block, 0);
    assert_eq!(run(pay(&node.url, 0)), 1_000_001 * UNIT);
    signal(&mut node, "KILL");

    let mut node = start(&["--state", &state]);
    assert!(node.block >= 1, "block {}", node.block);
    assert_eq!(run(pay(&node.url, 1)), 1_000_002 * UNIT);
    assert_eq!(signal(&mut node, "TERM"), Some(0));

    let checked = command(&["--state", &state, "--verify"]).output().unwrap();
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!((checked.status.code(), &report["verified"]), (Some(0), &Value::Bool(true)));
    assert!(report["blocks"].as_u64().unwrap() >= 2, "{report}");
}

#[test]
fn an_interrupt_keeps_even_parked_transactions() {
    let (_keep, state) = folder();
    let mut node = start(&["--state", &state]);
    run(async {
        let rpc = RpcClient::from_insecure_url(&node.url).await.unwrap();
        let client = Client::from_rpc_client(rpc.clone()).await.unwrap();
        let mut tx = client.tx().await.unwrap();
        let signed = tx.create_signed(&transfer(&dev::bob(), UNIT), &dev::alice(), with_nonce(1)).await.unwrap();
        // Not through subxt's `submit`, which waits until a transaction is ready.
        let bytes = format!("0x{}", hex::encode(signed.encoded()));
        rpc.request::<Value>("author_submitExtrinsic", rpc_params![bytes]).await.unwrap();
    });
    assert_eq!(signal(&mut node, "INT"), Some(0));

    let mut node = start(&["--state", &state]);
    assert_eq!(run(pay(&node.url, 0)), 1_000_002 * UNIT);
    assert_eq!(signal(&mut node, "INT"), Some(0));
}

#[test]
fn a_taken_port_is_named() {
    let (_keep, state) = folder();
    let mut node = start(&["--in-memory"]);
    let listen = node.url.trim_start_matches("ws://").to_owned();
    let (code, words) = fails(&["--state", &state, "--listen", &listen]);
    assert_eq!(code, Some(1));
    assert!(words.contains(&format!("{listen} is taken by another process")), "{words}");
    assert!(words.contains("hint:"), "{words}");
    signal(&mut node, "TERM");
}

#[test]
fn a_taken_folder_is_named() {
    let (_keep, state) = folder();
    let mut node = start(&["--state", &state]);
    let (code, words) = fails(&["--state", &state, "--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(1));
    assert!(words.contains(&format!("{state} is in use by another process")), "{words}");
    signal(&mut node, "TERM");
}

#[test]
fn a_folder_with_other_endowments_is_refused() {
    let (_keep, state) = folder();
    let mut node = start(&["--state", &state]);
    signal(&mut node, "TERM");
    let alice = dev::alice().public_key().to_account_id();
    let (code, words) = fails(&["--state", &state, "--listen", "127.0.0.1:0", "--fund", &format!("{alice}=1")]);
    assert_eq!(code, Some(1));
    assert!(words.contains("other endowments"), "{words}");
}

#[test]
fn a_funded_account_owns_what_was_asked_for() {
    let account = subxt_signer::sr25519::Keypair::from_uri(&"//Funded".parse().unwrap()).unwrap();
    let fund = format!("{}=250.5", account.public_key().to_account_id());
    let mut node = start(&["--in-memory", "--fund", &fund]);
    let owned = run(async { balance(&Client::from_insecure_url(&node.url).await.unwrap(), &account).await });
    assert_eq!(owned, 250_500_000_000_000);
    signal(&mut node, "TERM");
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    assert_eq!(fails(&[]).0, Some(2));
    assert_eq!(fails(&["--in-memory", "--seal", "sometimes"]).0, Some(2));
    assert_eq!(fails(&["--in-memory", "--fund", "nobody=1"]).0, Some(2));
}

const BLOCKS: TableDefinition<u32, &[u8]> = TableDefinition::new("blocks");

fn tamper(state: &Path, number: u32, change: impl FnOnce(&mut StoredBlock)) {
    let db = Database::open(state.join("chain.redb")).unwrap();
    let record = db.begin_read().unwrap().open_table(BLOCKS).unwrap().get(number).unwrap().unwrap().value().to_vec();
    let mut block = StoredBlock::decode(&mut record.as_slice()).unwrap();
    change(&mut block);
    let write = db.begin_write().unwrap();
    write.open_table(BLOCKS).unwrap().insert(number, block.encode().as_slice()).unwrap();
    write.commit().unwrap();
}

#[test]
fn a_tampered_block_does_not_re_execute() {
    let (_keep, state) = folder();
    let chain = DevChain::start(Config::in_folder(&state)).unwrap();
    run(pay(chain.url(), 0));
    let place = encompute_devchain::Place::Folder((&state).into());
    let blocks = chain.chain().head().header.number;
    assert_eq!(chain.verify().unwrap().blocks, blocks);
    chain.stop();

    // One transaction less: the header's roots no longer fit.
    tamper(Path::new(&state), 1, |block| {
        block.body.pop().unwrap();
    });
    let error = verify(&Store::open(&place).unwrap()).unwrap_err();
    assert!(matches!(error, VerifyError::Mismatch { number: 1, .. }), "{error:?}");
    let (code, words) = fails(&["--state", &state, "--verify"]);
    assert_eq!(code, Some(5));
    assert!(words.contains("block 1 does not re-execute"), "{words}");
}

#[test]
fn a_forged_header_breaks_the_chain() {
    let (_keep, state) = folder();
    let chain = DevChain::start(Config::in_folder(&state)).unwrap();
    chain.seal_blocks(3).unwrap();
    chain.stop();
    tamper(Path::new(&state), 2, |block| block.header.state_root.0[0] ^= 1);
    let place = encompute_devchain::Place::Folder((&state).into());
    let error = verify(&Store::open(&place).unwrap()).unwrap_err();
    assert!(matches!(error, VerifyError::Unlinked { number: 2 }), "{error:?}");
}
