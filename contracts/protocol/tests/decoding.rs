//! Any bytes at all: a decoder answers or refuses, never panics, and what it accepts has exactly one
//! encoding.
#![allow(clippy::unwrap_used, reason = "tests")]

mod sample;

use encompute_protocol::{
    HeadKeyAnswer, HeadKeyCall, JobRequest, Transcript, VersionManifest,
    event::{EVENTS, Event},
    manifest::{JobResult, ReleasedFeatures},
    receipt::{CustodyCall, OfferCall, RoundAnswer, RoundCall, SignedOffer},
    wire::Message,
};
use proptest::prelude::*;
use sample::*;

fn reads_one_way<M: Message>(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(value) = M::from_wire(bytes) {
        prop_assert_eq!(value.to_wire(), bytes);
    }
    Ok(())
}

fn every_decoder(bytes: &[u8]) -> Result<(), TestCaseError> {
    reads_one_way::<VersionManifest>(bytes)?;
    reads_one_way::<JobRequest>(bytes)?;
    reads_one_way::<Transcript>(bytes)?;
    reads_one_way::<RoundCall>(bytes)?;
    reads_one_way::<RoundAnswer>(bytes)?;
    reads_one_way::<OfferCall>(bytes)?;
    reads_one_way::<CustodyCall>(bytes)?;
    reads_one_way::<SignedOffer>(bytes)?;
    reads_one_way::<HeadKeyCall>(bytes)?;
    reads_one_way::<HeadKeyAnswer>(bytes)?;
    reads_one_way::<ReleasedFeatures>(bytes)?;
    reads_one_way::<JobResult>(bytes)?;
    for (name, _) in EVENTS {
        if let Some(event) = Event::decode(name, bytes) {
            prop_assert_eq!(event.data(), bytes);
        }
    }
    Ok(())
}

fn honest() -> Vec<Vec<u8>> {
    let mut all = vec![
        manifest().to_wire(),
        undisclosed().to_wire(),
        request().to_wire(),
        transcript().to_wire(),
        round_call().to_wire(),
        round_answer().to_wire(),
        offer_call().to_wire(),
        custody_call().to_wire(),
        signed_offer().to_wire(),
        head_key_call().to_wire(),
        head_key_answer().to_wire(),
        released().to_wire(),
        result().to_wire(),
    ];
    all.extend(events().iter().map(Event::data));
    all
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_read_one_way_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        every_decoder(&[&[1][..], &bytes].concat())?;
        every_decoder(&bytes)?;
    }

    #[test]
    fn honest_bytes_with_a_few_changed_are_read_one_way_or_refused(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let all = honest();
        let mut bytes = which.get(&all).clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        every_decoder(&bytes)?;
    }
}
