//! Bytes that no client sends: the server refuses them, and the chain goes on.

use crate::support::{self, run};
use encompute_devchain::{Config, DevChain, Running};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
};
use subxt::rpcs::rpc_params;

/// Requests thrown; each a real one with a few bytes changed.
const THROWN: u64 = 3_000;

/// The same numbers in every run, so that a failure comes back.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }
}

fn seeds() -> Vec<String> {
    let call = |method: &str, params: Value| {
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
    };
    let account = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
    vec![
        call("chain_getBlockHash", json!([0])),
        call("chain_getBlock", json!([format!("0x{}", "00".repeat(32))])),
        call("chain_getHeader", json!([])),
        call("state_getStorage", json!(["0x26aa394eea5630e07c48ae0c9558cef7"])),
        call("state_getKeysPaged", json!(["0x", 100, "0x"])),
        call("state_call", json!(["Metadata_metadata_at_version", "0x0f000000"])),
        call("state_call", json!(["ReviveApi_call", format!("0x{}", "01".repeat(80))])),
        call("state_call", json!(["TaggedTransactionQueue_validate_transaction", format!("0x02{}", "84".repeat(70))])),
        call("author_submitExtrinsic", json!([format!("0x{}", "84".repeat(60))])),
        call("author_submitAndWatchExtrinsic", json!([format!("0x3902{}", "84".repeat(140))])),
        call("system_accountNextIndex", json!([account])),
        call("eth_sendRawTransaction", json!([format!("0x02f874841{}", "90f1b44".repeat(30))])),
        call(
            "eth_call",
            json!([{ "to": format!("0x{}", "11".repeat(20)), "data": "0x01020304", "value": "0x1" }, "latest"]),
        ),
        call("eth_feeHistory", json!(["0x4", "latest", [25, 75]])),
        call("eth_getBlockByNumber", json!(["0x0", true])),
        format!("[{},{}]", call("system_health", json!([])), call("rpc_methods", json!({}))),
    ]
}

/// A few bytes of a seed exchanged, removed, doubled or cut off; digits of hexadecimal often enough to stay JSON.
fn altered(seed: &str, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed.as_bytes().to_vec();
    for _ in 0..=dice.roll(4) {
        if bytes.is_empty() {
            break;
        }
        let at = dice.roll(bytes.len());
        match dice.roll(8) {
            0 => bytes[at] = dice.roll(256) as u8,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, bytes[at]),
            3 => bytes.truncate(at.max(1)),
            4 => bytes.splice(at..at, b"[[[[[[[[[[[[[[[[".iter().copied()).for_each(drop),
            _ if bytes[at].is_ascii_hexdigit() => bytes[at] = b"0123456789abcdef"[dice.roll(16)],
            _ => {}
        }
    }
    bytes
}

/// The status of the answer, read as far as its length says; the connection is used again.
fn post(stream: &mut TcpStream, body: &[u8]) -> Option<u16> {
    let head = format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    let mut answer = Vec::new();
    let end = loop {
        let mut piece = [0; 65_536];
        let read = stream.read(&mut piece).ok().filter(|read| *read > 0)?;
        answer.extend_from_slice(&piece[..read]);
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())?;
    let mut rest = vec![0; length.saturating_sub(answer.len() - end)];
    stream.read_exact(&mut rest).ok()?;
    head.split(' ').nth(1)?.parse().ok()
}

fn throw(chain: &Running) -> u64 {
    let (seeds, mut dice, mut refused) = (seeds(), Dice(0x9e37_79b9_7f4a_7c15), 0);
    let mut stream = TcpStream::connect(chain.listen()).unwrap();
    for index in 0..THROWN {
        let body = altered(&seeds[(index % seeds.len() as u64) as usize], &mut dice);
        match post(&mut stream, &body) {
            Some(200) => {}
            // Refused by status, or the connection was closed over it.
            Some(_) => refused += 1,
            None => {
                refused += 1;
                stream = TcpStream::connect(chain.listen()).unwrap();
            }
        }
    }
    refused
}

#[test]
fn requests_with_bytes_exchanged_are_answered_or_refused_and_the_chain_goes_on() {
    run(async {
        let chain = DevChain::start(Config { heartbeat: None, ..Config::in_memory() }).unwrap();
        let refused = throw(&chain);
        assert!(refused < THROWN / 2, "{refused} of {THROWN} never reached a method");
        let rpc = support::raw(&chain).await;
        let health = rpc.request::<Value>("system_health", rpc_params![]).await.unwrap();
        assert_eq!(health["peers"], json!(0));
        assert_eq!(chain.seal_blocks(2).unwrap(), chain.chain().head().header.number);
        assert!(chain.verify().unwrap().blocks >= 2);
        chain.stop();
    });
}
