//! Events are known by their name, topic and whole data.

#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn an_event_decodes_from_its_name_and_data_only_when_whole() {
    let event = Event::from(FeaturesSent { job: JobId(3), features: BlobDigest([7; 32]) });
    assert_eq!(Event::decode("FeaturesSent", &event.data()), Some(event.clone()));
    let mut longer = event.data();
    longer.push(0);
    assert_eq!(Event::decode("FeaturesSent", &longer), None);
    assert_eq!(Event::decode("Unheard", &event.data()), None);
}

#[test]
fn signatures_name_the_types_without_spaces() {
    let text = |name| SIGNATURES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
    assert_eq!(text("StakeMoved"), Some("StakeMoved(Address,Option<JobId>,Movement,Plancks)"));
    assert_eq!(text("PausedChanged"), Some("PausedChanged(bool)"));
    assert!(SIGNATURES.iter().all(|(_, text)| !text.contains(' ')));
}

#[test]
#[cfg(feature = "hash")]
fn an_emitted_event_is_known_by_its_first_topic() {
    let event = Event::from(FeaturesSent { job: JobId(3), features: BlobDigest([7; 32]) });
    let topic = signature_topic("FeaturesSent").unwrap();
    assert_eq!(decode_emitted(&[topic, [0; 32]], &event.data()), Some(event.clone()));
    assert_eq!(decode_emitted(&[[1; 32]], &event.data()), None);
    assert_eq!(decode_emitted(&[], &event.data()), None);
}

#[test]
fn every_event_has_at_most_three_topics_besides_its_name() {
    assert!(EVENTS.iter().all(|(_, topics)| topics.len() <= 3));
}
