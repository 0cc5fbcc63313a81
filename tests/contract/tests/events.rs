//! The contract's events are the protocol's: topics, names, fields.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_contract_tests::artifact;
use encompute_protocol::{
    call::{CONSTRUCTOR, MESSAGES},
    event::{EVENTS, SIGNATURES, signature_topic},
};
use serde_json::Value;

fn metadata() -> Value {
    serde_json::from_slice(&artifact("marketplace.json")).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[test]
fn every_event_in_the_metadata_is_one_of_the_protocol_with_its_topics() {
    let metadata = metadata();
    let events = metadata["spec"]["events"].as_array().unwrap();
    assert_eq!(events.len(), EVENTS.len());
    for (name, topics) in EVENTS {
        let event = events.iter().find(|event| event["label"] == *name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(event["signature_topic"], hex(&signature_topic(name).unwrap()).as_str(), "{name}");
        let fields = event["args"].as_array().unwrap();
        let indexed: Vec<_> = fields
            .iter()
            .filter(|field| field["indexed"] == true)
            .map(|field| field["label"].as_str().unwrap())
            .collect();
        let mut wanted = topics.to_vec();
        wanted.sort_by_key(|topic| fields.iter().position(|field| field["label"] == *topic));
        assert_eq!(indexed, wanted, "{name}");
    }
    assert_eq!(SIGNATURES.len(), EVENTS.len());
}

#[test]
fn every_message_in_the_metadata_is_one_of_the_protocol() {
    let metadata = metadata();
    let messages = metadata["spec"]["messages"].as_array().unwrap();
    assert_eq!(messages.len(), MESSAGES.len());
    for (name, selector, payable) in MESSAGES {
        let message =
            messages.iter().find(|message| message["label"] == *name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(message["selector"], hex(&selector.0).as_str(), "{name}");
        assert_eq!(message["payable"], *payable, "{name}");
        assert_eq!(message["mutates"], selector.0[3] < 0x80, "{name}");
        assert_eq!(message["args"].as_array().unwrap().len(), 1, "{name}");
    }
    let constructors = metadata["spec"]["constructors"].as_array().unwrap();
    assert_eq!(constructors.len(), 1);
    assert_eq!(constructors[0]["selector"], hex(&CONSTRUCTOR.0).as_str());
}

#[test]
fn the_metadata_names_the_code_beside_it() {
    let code = encompute_protocol::digest::keccak_256(&[&artifact("marketplace.polkavm")]);
    assert_eq!(metadata()["source"]["hash"], hex(&code).as_str());
}
