//! What the embedded chain announced is kept: through a power cut in the middle of many blocks, and a disk that is full.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_chain::{Block, Client};
use encompute_kit::{Chain, Process, Room, program};
use encompute_networks::{LocalServices, Network};
use encompute_protocol::{BlockNumber, Blocks};
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_was_announced_survives_a_power_cut_while_many_are_made() {
    let mut chain = Chain::start_bare().await.unwrap();
    let client = chain.client().clone();
    let asked = client.clone();
    let sealing =
        tokio::spawn(async move { encompute_chain::development::seal_blocks(&asked, Blocks(10_000)).await.is_ok() });
    let announced = loop {
        let head = client.head().await.unwrap();
        if head.number > BlockNumber(200) {
            break head;
        }
    };
    chain.kill().await;
    assert!(!sealing.await.unwrap(), "it was cut off");
    chain.restart().await.unwrap();
    assert_eq!(client.block(announced.number).await.unwrap(), announced);
}

async fn start(folder: &Path) -> Result<Process, encompute_kit::KitError> {
    let state = folder.join("chain").display().to_string();
    let arguments = ["--listen", "127.0.0.1:0", "--state", &state, "--block-time", "20ms", "--finality-gap", "0ms"];
    Process::start("chain", &program("encompute-devchain"), &arguments, folder).await
}

async fn client(chain: &Process) -> Client {
    let nowhere: encompute_networks::ServiceUrl = "http://127.0.0.1:1".parse().unwrap();
    let services = LocalServices {
        rpc: chain.said("listen").unwrap().replacen("http://", "ws://", 1).parse().unwrap(),
        genesis: chain.said("genesis").unwrap().parse().unwrap(),
        gateway: nowhere.clone(),
        collateral: nowhere,
        root_der: vec![0x30, 0x82, 0, 1, 0],
    };
    Client::connect(&Network::local(services).unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_whose_disk_is_full_ends_in_words_and_keeps_every_block_that_it_announced() {
    if !Room::can_be_made() {
        eprintln!("not tried: file systems can be mounted by root, or below `unshare -Urm`");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let room = Room::over(&folder.path().join("chain")).unwrap();
    let mut chain = start(folder.path()).await.unwrap();
    let reader = client(&chain).await;
    room.fill().unwrap();
    let mut announced: Option<Block> = None;
    while !chain.has_ended() {
        if let Ok(head) = reader.head().await {
            announced = Some(head);
        }
    }
    let (announced, log) = (announced.unwrap(), chain.log());
    assert_eq!(chain.drain().await.code, Some(1), "{log}");
    for words in ["cannot go on after block", "No space left on device", "every block up to that one is kept"] {
        assert!(log.contains(words), "{words}: {log}");
    }
    room.empty().unwrap();
    let chain = start(folder.path()).await.unwrap();
    assert_eq!(client(&chain).await.block(announced.number).await.unwrap(), announced);
    assert!(chain.stop().await);
}
