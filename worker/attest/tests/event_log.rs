//! Launch logs: those of real machines replay to their quotes, and no other does.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{measurement, pki};
use encompute_attest::pki::{PlatformTraits, development_measurement};
use encompute_attest::{ComposeHash, EventLog, EventLogError, Launch, Register, ReportData};
use serde_json::{Value, json};
use sha2::{Digest, Sha384};

const RUNTIME_EVENT: u32 = 0x0800_0001;

/// A real machine's quote and the events of its log.
fn real(name: &str) -> (Vec<u8>, Vec<Value>) {
    let path = format!("{}/tests/vectors/dstack/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let answer: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let quote = hex::decode(answer["quote"].as_str().unwrap()).unwrap();
    (quote, serde_json::from_str(answer["event_log"].as_str().unwrap()).unwrap())
}

fn launch(events: &[Value], quote: &[u8]) -> Result<Launch, EventLogError> {
    EventLog::from_json(Value::from(events.to_vec()).to_string().as_bytes())?.launch(quote)
}

fn written(name: &str, payload: &str) -> Value {
    json!({ "imr": 3, "event_type": RUNTIME_EVENT, "event": name, "event_payload": payload })
}

/// A development machine's quote whose RTMR3 is what these events make it, with what the others measure.
fn quoted(app: ComposeHash, events: &[Value]) -> (Vec<u8>, Vec<Value>) {
    let labels = ["hardware", "kernel", "command line"].map(|what| format!("encompute development {what}"));
    let measured = labels.iter().enumerate().map(|(register, label)| {
        json!({ "imr": register, "event_type": 4, "event": "", "digest": hex::encode(Sha384::digest(label)) })
    });
    let events: Vec<_> = measured.chain(events.iter().cloned()).collect();
    let log = EventLog::from_json(Value::from(events.clone()).to_string().as_bytes()).unwrap();
    let machine = pki().platform("worker-1", PlatformTraits::default()).unwrap();
    let quote = machine.quote(&development_measurement(app), log.registers()[3], ReportData([7; 64]));
    (quote, events)
}

#[test]
fn logs_of_real_machines_replay_to_all_four_registers_of_their_quotes() {
    let (quote, events) = real("get-quote-0.5");
    let found = launch(&events, &quote).unwrap();
    assert_eq!(found.events, 28);
    let compose_hash = found.compose_hash.unwrap().to_string();
    assert_eq!(compose_hash, "3763bc34552cf3a27ff71ad5f7a90471562a1a2df552dfc1998cba2d60da27e7");
    assert_eq!(hex::encode(found.app_id.unwrap()), compose_hash[..40]);
    assert_eq!(hex::encode(found.instance_id.unwrap()), "c3714eb66990eace777b4e664c16e09375dec4c9");
    assert!(found.key_provider.unwrap().starts_with(br#"{"name":"local-sgx""#));
    assert!(found.mr_config_id.is_zero(), "no policy of ours would take it");

    let (quote, events) = real("get-quote-0.6-lite");
    let found = launch(&events, &quote).unwrap();
    assert_eq!(found.events, 29);
    assert_eq!(found.compose_hash, found.mr_config_id.compose_hash());
    let image = hex::encode(found.os_image_hash.unwrap());
    assert_eq!(image, "07a2388c7a6a1b6a646d443f1517990a4ec294471d63146cda9d56972765051d");
}

#[test]
fn no_event_may_be_left_out_moved_or_altered_and_no_log_is_anothers() {
    for name in ["get-quote-0.5", "get-quote-0.6-lite"] {
        let (quote, events) = real(name);
        for at in 0..events.len() {
            let mut without = events.clone();
            let taken = without.remove(at);
            let is_its_register = |refused: &EventLogError| matches!(refused, EventLogError::Register { index, .. } if *index as u64 == taken["imr"]);
            assert!(is_its_register(&launch(&without, &quote).unwrap_err()), "{name}, without {at}");
            let mut twice = events.clone();
            twice.insert(at, taken.clone());
            assert!(is_its_register(&launch(&twice, &quote).unwrap_err()), "{name}, {at} twice");
            let mut altered = events.clone();
            let is_written = taken["event_type"] == RUNTIME_EVENT;
            altered[at][if is_written { "event_payload" } else { "digest" }] = json!("ab".repeat(48));
            altered[at]["digest"] = if is_written { json!("") } else { altered[at]["digest"].clone() };
            assert!(is_its_register(&launch(&altered, &quote).unwrap_err()), "{name}, {at} altered");
        }
        let mut swapped = events.clone();
        let last = swapped.len() - 1;
        swapped.swap(last - 1, last);
        assert!(launch(&swapped, &quote).is_err(), "{name}");
    }
    let ((quote, _), (_, events)) = (real("get-quote-0.5"), real("get-quote-0.6-lite"));
    assert!(matches!(launch(&events, &quote), Err(EventLogError::Register { .. })));
}

#[test]
fn an_app_that_writes_events_of_the_systems_names_changes_nothing_of_what_the_system_wrote() {
    let app = ComposeHash([5; 32]);
    let system = [written("compose-hash", &app.to_string()), written("system-ready", "")];
    let apps = [written("compose-hash", &"66".repeat(32)), written("app-id", &"66".repeat(20))];
    let (quote, events) = quoted(app, &[system.to_vec(), apps.to_vec()].concat());
    let found = launch(&events, &quote).unwrap();
    assert_eq!((found.compose_hash, found.app_id), (Some(app), None));

    let (quote, events) = quoted(app, &[system[0].clone(), system[0].clone(), system[1].clone()]);
    let refused = launch(&events, &quote).unwrap_err().to_string();
    assert_eq!(refused, "the log's event compose-hash is there 2 times, once is allowed");

    let (quote, events) = quoted(app, &[written("compose-hash", "0102")]);
    let refused = launch(&events, &quote).unwrap_err().to_string();
    assert!(refused.contains("compose-hash is there with 2 bytes"), "{refused}");

    // The register's log and the launch configuration must name one app.
    let other = ComposeHash([6; 32]);
    let (quote, events) = quoted(app, &[written("compose-hash", &other.to_string())]);
    assert_eq!(launch(&events, &quote), Err(EventLogError::OtherApp { config: app, log: other }));
}

#[test]
fn events_of_the_second_version_are_hashed_as_canonical_json() {
    let event = json!({ "imr": 3, "event_type": RUNTIME_EVENT, "event": "compose-hash", "event_payload": "abcd", "version": 2 });
    let log = EventLog::from_json(json!([event]).to_string().as_bytes()).unwrap();
    let digest = Sha384::digest(r#"{"name":"compose-hash","payload":"abcd","type":134217729}"#);
    assert_eq!(log.registers()[3], Register([0; 48]).extended(&digest.into()));
}

#[test]
fn every_malformed_log_is_refused_by_name() {
    let refused = |log: Value| EventLog::from_json(log.to_string().as_bytes()).unwrap_err().to_string();
    let event = |change: Value| {
        let mut event = written("app-id", "00");
        event.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        refused(json!([event]))
    };
    assert!(refused(json!({})).starts_with("event log is malformed"));
    assert!(refused(json!([7])).starts_with("event log is malformed"));
    assert!(EventLog::from_json(b"[] ]").unwrap_err().to_string().contains("trailing"));
    assert_eq!(event(json!({ "imr": 4 })), "event 0 of the log: imr is 4, 0 to 3 is allowed");
    assert_eq!(event(json!({ "version": 3 })), "event 0 of the log: version is 3, 1 or 2 is allowed");
    assert!(event(json!({ "event_payload": "0" })).contains("event_payload is `0`"));
    assert!(event(json!({ "digest": "zz" })).contains("digest is `zz`"));
    assert!(event(json!({ "digest": "00" })).ends_with("that of the event's name and payload is allowed"));
    let firmwares = event(json!({ "event_type": 4, "digest": "00" }));
    assert_eq!(firmwares, "event 0 of the log: digest is 1 bytes long, 48 bytes is allowed");
    let many = vec![written("app-id", "00"); 4_097];
    assert_eq!(refused(Value::from(many)), "event log has 4097 events, at most 4096 are read");
    let long = EventLog::from_json(&vec![b' '; 524_289]).unwrap_err().to_string();
    assert_eq!(long, "event log has 524289 bytes, at most 524288 are read");
}

#[test]
fn a_quote_that_is_none_or_an_enclaves_has_no_log() {
    let log = EventLog::from_json(b"[]").unwrap();
    let machine = pki().platform("worker-1", PlatformTraits::default()).unwrap();
    let enclaves = machine.sgx_quote(&common::enclave(), ReportData([7; 64]));
    assert_eq!(log.launch(&enclaves), Err(EventLogError::NotTdx));
    assert!(matches!(log.launch(b"no quote"), Err(EventLogError::Quote(_))));
    let domains = machine.quote(&measurement(), Register([9; 48]), ReportData([7; 64]));
    assert!(
        matches!(log.launch(&domains), Err(EventLogError::Register { index: 0, .. })),
        "an empty log proves nothing"
    );
}
