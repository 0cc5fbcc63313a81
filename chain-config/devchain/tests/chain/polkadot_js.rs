//! @polkadot/api 16.5.6, unchanged: `tests/polkadot-js/check.mjs` against a chain of its own.

use crate::{contract, support};
use encompute_devchain::{Config, DevChain};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/polkadot-js")
}

/// Installs the locked packages once.
fn install() {
    if folder().join("node_modules/@polkadot/api/package.json").exists() {
        return;
    }
    let status = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        .current_dir(folder())
        .status()
        .expect("npm is needed for this test");
    assert!(status.success(), "npm ci failed");
}

#[test]
fn polkadot_js_works_and_calls_the_recorded_methods() {
    install();
    let chain = DevChain::start(Config::in_memory()).unwrap();
    let code = format!("0x{}", hex::encode(contract::code()));
    let output = Command::new("node").args(["check.mjs", chain.url(), &code]).current_dir(folder()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        seen,
        json!({
            "chain": "Encompute Development",
            "symbol": "UNIT",
            "metadata": 16,
            "atGenesis": "1000000",
            "accounts": true,
            "head": true,
            "feeKnown": true,
            "statuses": ["Ready", "InBlock", "Finalized"],
            "transferEvents": true,
            "received": "1000000000000",
            "watched": 2,
            "landed": 20,
            "refusal": "1010: Invalid Transaction: Stale: Transaction is outdated",
            "instantiated": true,
            "returned": "hello",
            "emitted": true,
        })
    );
    let called = support::called_methods(&chain);
    let expected = [
        "author_submitAndWatchExtrinsic",
        "author_submitExtrinsic",
        "chain_getBlock",
        "chain_getBlockHash",
        "chain_getFinalizedHead",
        "chain_getHeader",
        "chain_subscribeNewHead",
        "rpc_methods",
        "state_call",
        "state_getKeysPaged",
        "state_getRuntimeVersion",
        "state_getStorage",
        "state_queryStorageAt",
        "state_subscribeRuntimeVersion",
        "state_subscribeStorage",
        "system_accountNextIndex",
        "system_chain",
        "system_properties",
    ];
    assert_eq!(called, expected.into_iter().map(String::from).collect());
    assert!(chain.verify().unwrap().blocks >= 4);
    chain.stop();
}
