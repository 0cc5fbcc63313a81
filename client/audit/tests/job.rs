//! The audit of a job: honest jobs pass whatever their end, and every lie fails by its own check.
#![allow(clippy::unwrap_used, clippy::panic, clippy::type_complexity)]

mod market;

use encompute_attest::{Permission, TrustRoot};
use encompute_audit::{JobBundle, audit_job};
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, Bytes, JobRequest, Plancks, RoundIndex, RoundReceipt, RoundReceiptDigest, Stage,
    Transcript, VersionManifest,
    call::{AcceptResult, CancelJob, RefuseFeatures, RevokeVersion},
    event::{Cause, Event, Movement},
    wire::Message,
};
use market::*;
use std::collections::BTreeSet;

#[test]
fn an_honest_job_passes_at_every_stage_and_after_every_end() {
    let mut claimed = Market::with_request();
    claimed.claim();
    let mut retried = Market::with_request();
    retried.claim();
    retried.poke_late();
    let mut retried_and_settled = Market::with_request();
    retried_and_settled.claim();
    retried_and_settled.poke_late();
    retried_and_settled.claim();
    let transcript = retried_and_settled.transcript();
    retried_and_settled.commit(&transcript);
    retried_and_settled.send();
    retried_and_settled.answer();
    retried_and_settled.poke_late();
    let mut timed_out = Market::with_request();
    for _ in 0..3 {
        timed_out.claim();
        timed_out.poke_late();
    }
    let mut no_worker = Market::with_request();
    no_worker.poke_late();
    let mut cancelled = Market::with_request();
    cancelled.call(USER, 0, CancelJob { job: cancelled.job }).unwrap();
    let mut stopped = Market::committed();
    stopped.call(USER, 0, CancelJob { job: stopped.job }).unwrap();
    let mut no_show = Market::committed();
    no_show.poke_late();
    let mut silent_creator = Market::sent();
    silent_creator.poke_late();
    let mut refused = Market::sent();
    refused.call(CREATOR, 0, RefuseFeatures { job: refused.job }).unwrap();
    let mut revoked = Market::with_request();
    revoked.claim();
    revoked.call(CREATOR, 0, RevokeVersion { version: encompute_protocol::VersionId(1) }).unwrap();
    revoked.call(STRANGER, 0, encompute_protocol::call::PokeJob { job: revoked.job }).unwrap();
    let markets = [
        ("requested", Market::with_request()),
        ("claimed", claimed),
        ("retried", retried),
        ("committed", Market::committed()),
        ("sent", Market::sent()),
        ("answered", Market::answered()),
        ("settled", Market::settled()),
        ("settled after a retry, by a poke", retried_and_settled),
        ("timed out", timed_out),
        ("no worker", no_worker),
        ("cancelled", cancelled),
        ("stopped", stopped),
        ("no show", no_show),
        ("silent creator", silent_creator),
        ("refused", refused),
        ("revoked", revoked),
    ];
    for (name, market) in &markets {
        let report = market.audit();
        assert_eq!(failed(&report), Vec::<&str>::new(), "{name}: {:#?}", report.checks);
        assert_eq!(report.verdict, "pass", "{name}");
    }
}

#[test]
fn the_ids_of_a_report_are_unique() {
    let report = Market::settled().audit();
    let ids: BTreeSet<_> = report.checks.iter().map(|check| &check.id).collect();
    assert_eq!(ids.len(), report.checks.len());
}

#[test]
fn a_report_under_a_development_root_says_so_and_serialises_with_stable_names() {
    let report = Market::settled().audit();
    assert!(report.limits[0].starts_with("SIMULATED"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["verdict"], "pass");
    assert_eq!(json["trust_root"]["development"], true);
    assert_eq!(json["checks"][0]["id"], "manifest-hash");
    assert!(["id", "pass", "expected", "actual", "source"].iter().all(|key| json["checks"][0].get(key).is_some()));
}

#[test]
fn a_development_quote_fails_where_development_roots_are_not_allowed_and_under_intels_root() {
    let market = Market::settled();
    let mut judge = market.judge();
    judge.policy.development_root = Permission::Refused;
    assert!(failed(&audit_job(&market.bundle(), &judge, NOW)).contains(&"worker-quote"));
    judge.root = TrustRoot::intel();
    let report = audit_job(&market.bundle(), &judge, NOW);
    assert!(failed(&report).contains(&"worker-quote"));
    assert!(!report.trust_root.development);
}

/// What one alteration of the bundle makes fail, among other things.
fn lie(name: &str, check: &str, alter: impl FnOnce(&mut JobBundle)) {
    let report = Market::settled().audit_with(alter);
    assert!(failed(&report).contains(&check), "{name}: expected {check} to fail, failed: {:?}", failed(&report));
    assert_eq!(report.verdict, "fail");
}

/// The audit of a job whose worker committed to a transcript with one thing altered, signed again
/// where the lie is not in the signature.
fn transcript_lie(check: &str, sign_again: bool, alter: impl FnOnce(&mut Transcript)) {
    let mut market = Market::with_request();
    market.claim();
    let mut transcript = market.transcript();
    alter(&mut transcript);
    if sign_again {
        for (receipt, signature) in &mut transcript.rounds {
            *signature = key().sign(receipt);
        }
    }
    market.commit(&transcript);
    let report = market.audit();
    assert!(failed(&report).contains(&check), "expected {check}, failed: {:?}", failed(&report));
}

#[test]
fn every_field_of_every_round_is_held_against_the_chain() {
    let fields: Vec<(&str, fn(&mut RoundReceipt))> = vec![
        ("genesis", |receipt| receipt.genesis.0[0] ^= 1),
        ("contract", |receipt| receipt.contract.0[0] ^= 1),
        ("job", |receipt| receipt.job.0 += 1),
        ("index", |receipt| receipt.round.0 += 1),
        ("head", |receipt| receipt.head.0[0] ^= 1),
        ("nonce", |receipt| receipt.registration_nonce.0[0] ^= 1),
        ("link", |receipt| receipt.previous.0[0] ^= 1),
    ];
    for round in [0, 1] {
        for (field, alter) in &fields {
            transcript_lie(&format!("round-{round}-{field}"), true, |transcript| {
                alter(&mut transcript.rounds[round].0)
            });
        }
        transcript_lie(&format!("round-{round}-signature"), false, |transcript| transcript.rounds[round].1.0[0] ^= 1);
        // A field altered without a new signature shows in both.
        transcript_lie(&format!("round-{round}-signature"), false, |transcript| {
            transcript.rounds[round].0.head.0[0] ^= 1
        });
    }
    transcript_lie("round-0-request", true, |transcript| transcript.rounds[0].0.request.0[0] ^= 1);
}

#[test]
fn a_transcript_that_lost_its_first_round_or_swapped_two_or_is_empty_fails() {
    transcript_lie("round-0-link", true, |transcript| transcript.rounds = transcript.rounds.split_off(1));
    transcript_lie("round-0-index", true, |transcript| transcript.rounds.swap(0, 1));
    transcript_lie("transcript-rounds", true, |transcript| transcript.rounds.clear());
    // The link binds what the round before said: altering it breaks the next link even when signed again.
    transcript_lie("round-1-link", true, |transcript| transcript.rounds[0].0.response.0[0] ^= 1);
}

/// The audit of a job in segments whose worker committed to a transcript with one thing altered; every receipt is
/// chained and signed again behind it, as its worker can.
fn segment_lie(check: &str, alter: impl FnOnce(&mut Vec<RoundReceipt>)) {
    let mut market = Market::with_request_for(two_segments());
    market.claim();
    let mut receipts = market.transcript().rounds.into_iter().map(|(receipt, _)| receipt).collect();
    alter(&mut receipts);
    let mut previous = RoundReceiptDigest::default();
    let rounds = (0..).zip(receipts).map(|(round, mut receipt): (u16, RoundReceipt)| {
        (receipt.round, receipt.previous) = (RoundIndex(round), previous);
        previous = receipt.link();
        (receipt, key().sign(&receipt))
    });
    market.commit(&Transcript { rounds: rounds.collect() });
    let report = market.audit();
    assert!(failed(&report).contains(&check), "expected {check}, failed: {:?}", failed(&report));
}

#[test]
fn a_job_in_segments_that_go_on_from_each_other_passes() {
    let mut market = Market::with_request_for(two_segments());
    market.claim();
    let transcript = market.transcript();
    assert_eq!(transcript.rounds[1].0.request, transcript.rounds[0].0.response);
    market.commit(&transcript);
    let report = market.audit();
    assert_eq!(failed(&report), [""; 0]);
    let checked = report.checks.iter().find(|check| check.id == "round-1-request").unwrap();
    assert_eq!(checked.source, "what the segment before gave");
}

#[test]
fn a_segment_that_goes_on_from_something_else_fails() {
    segment_lie("round-1-request", |receipts| receipts[1].request = BlobDigest::of(b"another state"));
}

#[test]
fn a_segment_of_which_another_state_is_claimed_fails() {
    segment_lie("round-1-request", |receipts| receipts[0].response = BlobDigest::of(b"another state"));
}

#[test]
fn segments_that_were_swapped_fail() {
    segment_lie("round-0-request", |receipts| receipts.swap(0, 1));
}

#[test]
fn a_first_segment_that_was_skipped_fails() {
    segment_lie("round-0-request", |receipts| *receipts = receipts.split_off(1));
}

#[test]
fn a_segment_that_the_plan_does_not_have_fails() {
    segment_lie("transcript-rounds", |receipts| receipts.push(receipts[1]));
}

#[test]
fn a_manifest_whose_plan_cannot_be_read_fails() {
    let mut market = Market::with_request();
    market.claim();
    let report = market.audit_with(|bundle| {
        let digest = BlobDigest(bundle.version.manifest.0);
        let mut manifest = manifest();
        manifest.splits[0].plan = Bytes::new(vec![1]).unwrap();
        bundle.blobs.insert(digest, manifest.to_wire());
    });
    assert!(failed(&report).contains(&"split-plan"), "{:?}", failed(&report));
}

/// Replaces the blob at a digest by other bytes under the same name.
fn swap_blob(bundle: &mut JobBundle, digest: BlobDigest, alter: impl FnOnce(&mut Vec<u8>)) {
    alter(bundle.blobs.get_mut(&digest).unwrap());
}

#[test]
fn every_blob_is_missed_when_missing_and_recognised_when_swapped() {
    type Named = fn(&JobBundle) -> BlobDigest;
    let blobs: Vec<(&str, &str, Named)> = vec![
        ("manifest-blob", "manifest-hash", |bundle| BlobDigest(bundle.version.manifest.0)),
        ("request-blob", "request-digest", |bundle| bundle.terms.input),
        ("worker-evidence", "worker-evidence-digest", |bundle| bundle.worker.unwrap().1.evidence),
        ("transcript-blob", "transcript-digest", |bundle| bundle.progress.output.unwrap()),
        ("features-blob", "features-digest", |bundle| bundle.progress.features.unwrap()),
        ("result-blob", "result-digest", |bundle| bundle.progress.result.unwrap()),
    ];
    for (missing, swapped, digest) in blobs {
        lie(missing, missing, |bundle| drop(bundle.blobs.remove(&digest(bundle))));
        lie(swapped, swapped, |bundle| {
            let digest = digest(bundle);
            swap_blob(bundle, digest, |bytes| *bytes.last_mut().unwrap() ^= 1);
        });
    }
    let report = Market::settled().audit_with(|bundle| drop(bundle.blobs.remove(&BlobDigest::of(b"first answer"))));
    assert_eq!(report.verdict, "pass", "a response's bytes prove nothing that its signed digest does not");
    assert!(report.limits.iter().any(|limit| limit.contains("responses of rounds 0, 1")), "{:?}", report.limits);
    lie("response", "round-0-response", |bundle| {
        swap_blob(bundle, BlobDigest::of(b"first answer"), |bytes| bytes[0] ^= 1);
    });
}

#[test]
fn a_manifest_that_says_another_thing_than_the_chain_fails() {
    let alterations: Vec<(&str, fn(&mut VersionManifest))> = vec![
        ("manifest-creator", |manifest| manifest.creator.0[0] ^= 1),
        ("split-head", |manifest| manifest.splits[0].head.0[0] ^= 1),
        ("split-tail", |manifest| manifest.splits[0].tail.0[0] ^= 1),
        ("split-mode", |manifest| manifest.splits[0].mode = encompute_protocol::Mode::Linear),
        ("split-cost", |manifest| manifest.splits[0].cost.units.0 += 1),
        ("split-policies", |manifest| manifest.splits[0].policies.clear()),
        ("split-policy", |manifest| manifest.splits[0].policies[0].id.0 = 2),
        ("failure-bound", |manifest| manifest.splits[0].failure_bits = 127),
        ("labels", |manifest| manifest.labels.truncate(1)),
        ("manifest-split", |manifest| manifest.splits.clear()),
    ];
    for (check, alter) in alterations {
        lie(check, check, |bundle| {
            let digest = BlobDigest(bundle.version.manifest.0);
            let mut manifest = VersionManifest::from_wire(&bundle.blobs[&digest]).unwrap();
            alter(&mut manifest);
            let bytes = manifest.to_wire();
            // The liar's own manifest under its own hash: the record names it, the rest does not fit.
            bundle.version.manifest = manifest.hash();
            bundle.blobs.insert(BlobDigest::of(&bytes), bytes);
        });
    }
    lie("bytes", "manifest-bytes", |bundle| {
        let digest = BlobDigest(bundle.version.manifest.0);
        swap_blob(bundle, digest, |bytes| bytes.push(0));
    });
}

#[test]
fn a_request_for_another_job_fails() {
    let alterations: Vec<(&str, fn(&mut JobRequest))> = vec![
        ("request-genesis", |request| request.genesis.0[0] ^= 1),
        ("request-contract", |request| request.contract.0[0] ^= 1),
        ("request-user", |request| request.user.0[0] ^= 1),
        ("request-manifest", |request| request.manifest.0[0] ^= 1),
        ("request-split", |request| request.split.0 += 1),
        ("request-policy", |request| request.policy.0 += 1),
    ];
    for (check, alter) in alterations {
        lie(check, check, |bundle| {
            let mut request = JobRequest::from_wire(&bundle.blobs[&bundle.terms.input]).unwrap();
            alter(&mut request);
            bundle.terms.input = BlobDigest::of(&request.to_wire());
            bundle.blobs.insert(bundle.terms.input, request.to_wire());
        });
    }
}

#[test]
fn a_price_that_is_not_the_parameters_fails_unless_they_changed_in_the_same_block() {
    lie("price", "price", |bundle| bundle.params.head_fee_base.0 += 1);
    lie("escrow", "escrow-event", |bundle| bundle.terms.fees.tip.0 += 1);
    let market = Market::settled();
    let report = market.audit_with(|bundle| {
        bundle.params.head_fee_base.0 += 1;
        bundle.params_unsure = true;
    });
    assert_eq!(failed(&report), Vec::<&str>::new());
    assert!(report.limits.iter().any(|limit| limit.contains("parameters changed")));
}

#[test]
fn a_worker_whose_measurement_or_registration_did_not_hold_fails() {
    lie("unlisted", "worker-measurement-allowed", |bundle| bundle.measurement = None);
    lie("unlisted machine", "worker-platform-allowed", |bundle| bundle.platform = None);
    lie("another machine", "worker-platform", |bundle| bundle.worker.as_mut().unwrap().1.platform.0[0] ^= 1);
    lie("revoked before", "worker-measurement-allowed", |bundle| {
        bundle.measurement.as_mut().unwrap().revoked_at = Some(BlockNumber(5));
    });
    lie("expired", "worker-registration-valid", |bundle| {
        bundle.worker.as_mut().unwrap().1.expires_at = bundle.progress.claimed_at;
    });
    lie("another key", "worker-statement-signing-key", |bundle| {
        bundle.worker.as_mut().unwrap().1.signing.0[0] ^= 1;
    });
    lie("no registration", "worker-registration", |bundle| bundle.worker = None);
}

#[test]
fn stages_out_of_order_out_of_time_or_by_the_wrong_account_fail() {
    fn step(bundle: &mut JobBundle, to: Stage) -> &mut (BlockNumber, Event) {
        let wanted = |event: &Event| matches!(event, Event::JobStageChanged(step) if step.to == to);
        bundle.events.iter_mut().find(|(_, event)| wanted(event)).unwrap()
    }
    fn changed(bundle: &mut JobBundle, to: Stage) -> &mut encompute_protocol::event::JobStageChanged {
        match &mut step(bundle, to).1 {
            Event::JobStageChanged(step) => step,
            other => panic!("{other:?}"),
        }
    }
    lie("order", "stage-2-order", |bundle| changed(bundle, Stage::HeadCommitted).from = Some(Stage::Requested));
    lie("job", "stage-2-job", |bundle| changed(bundle, Stage::HeadCommitted).job.0 += 1);
    lie("missing step", "stage-3-order", |bundle| {
        let at = bundle
            .events
            .iter()
            .position(|(_, event)| matches!(event, Event::JobStageChanged(step) if step.to == Stage::FeaturesSent));
        bundle.events.remove(at.unwrap());
    });
    lie("late claim", "stage-1-window", |bundle| step(bundle, Stage::Claimed).0.0 += 100);
    lie("late head", "stage-2-window", |bundle| step(bundle, Stage::HeadCommitted).0.0 += 100);
    lie("wrong worker", "stage-2-actor", |bundle| changed(bundle, Stage::HeadCommitted).by = STRANGER);
    lie("wrong user", "stage-3-actor", |bundle| changed(bundle, Stage::FeaturesSent).by = STRANGER);
    lie("wrong creator", "stage-4-actor", |bundle| changed(bundle, Stage::ResultCommitted).by = STRANGER);
    lie("early settlement", "stage-5-window", |bundle| changed(bundle, Stage::Settled).by = STRANGER);
    lie("other deadline", "stage-2-deadline", |bundle| changed(bundle, Stage::HeadCommitted).deadline.0 += 1);
    lie("other end", "stage-last", |bundle| bundle.progress.stage = Stage::Failed);
}

#[test]
fn a_job_whose_contract_said_something_unreadable_fails() {
    lie("another version of the contract", "events-read", |bundle| bundle.unread_events = 1);
}

#[test]
fn an_early_poke_fails() {
    let mut market = Market::sent();
    market.poke_late();
    let report = market.audit_with(|bundle| {
        let deadline = bundle.progress.deadline;
        for (block, event) in &mut bundle.events {
            if matches!(event, Event::JobStageChanged(step) if step.to == Stage::Failed) {
                *block = deadline;
            }
        }
    });
    assert_eq!(failed(&report), ["stage-4-window"]);
}

#[test]
fn money_that_went_another_way_than_the_table_fails() {
    fn credit(bundle: &mut JobBundle, cause: Cause) -> &mut encompute_protocol::event::Credited {
        bundle
            .events
            .iter_mut()
            .find_map(|(_, event)| match event {
                Event::Credited(credited) if credited.cause == cause => Some(credited),
                _ => None,
            })
            .unwrap()
    }
    for (cause, check) in [
        (Cause::HeadFee, "credit-head-fee"),
        (Cause::Tip, "credit-tip"),
        (Cause::TailFee, "credit-tail-fee"),
        (Cause::ProtocolFee, "credit-protocol-fee"),
    ] {
        lie(check, check, |bundle| credit(bundle, cause).amount.0 -= 1);
        lie(check, check, |bundle| credit(bundle, cause).amount = Plancks(u128::MAX));
        lie("stranger", "paid-nobody-else", |bundle| credit(bundle, cause).account = STRANGER);
    }
    lie("worker unpaid", "paid-worker", |bundle| credit(bundle, Cause::HeadFee).account = USER);
    lie("creator unpaid", "paid-creator", |bundle| credit(bundle, Cause::TailFee).account = USER);
    lie("treasury unpaid", "paid-treasury", |bundle| credit(bundle, Cause::ProtocolFee).account = USER);
    lie("credit of another kind", "credit-refund", |bundle| credit(bundle, Cause::Tip).cause = Cause::Refund);
    let running = Market::sent().audit_with(|bundle| {
        let job = bundle.job;
        let paid = encompute_protocol::event::Credited { account: USER, job, amount: Plancks(1), cause: Cause::Refund };
        bundle.events.push((BlockNumber(99), paid.into()));
    });
    assert!(failed(&running).contains(&"credits-none-yet"));
}

#[test]
fn a_worker_that_chose_another_payout_before_the_end_is_paid_on_it_and_a_stranger_is_not() {
    let elsewhere = Address([0x42; 20]);
    let mut market = Market::sent();
    market.block += 1;
    market.register(elsewhere, 0);
    market.answer();
    market.block += 1;
    market.call(USER, 0, AcceptResult { job: market.job }).unwrap();
    let report = market.audit();
    assert_eq!((failed(&report), report.verdict), (vec![], "pass"));
    for stranger in [PAYOUT, STRANGER] {
        let stolen = market.audit_with(|bundle| {
            for (_, event) in &mut bundle.events {
                if let Event::Credited(credited) = event
                    && credited.account == elsewhere
                {
                    credited.account = stranger;
                }
            }
        });
        assert_eq!(failed(&stolen), ["paid-worker", "paid-nobody-else"]);
    }
}

#[test]
fn stake_and_bond_that_the_job_kept_or_lost_fail() {
    fn drop_movement(bundle: &mut JobBundle, bond: bool, movement: Movement) {
        bundle.events.retain(|(_, event)| match event {
            Event::StakeMoved(moved) => bond || moved.movement != movement,
            Event::BondMoved(moved) => !bond || moved.movement != movement,
            _ => true,
        });
    }
    lie("stake kept", "stake-held", |bundle| drop_movement(bundle, false, Movement::Released));
    lie("bond kept", "bond-held", |bundle| drop_movement(bundle, true, Movement::Released));
    lie("no bond", "bond-locked", |bundle| drop_movement(bundle, true, Movement::Locked));
    lie("slashed for nothing", "stake-slashed", |bundle| {
        for (_, event) in &mut bundle.events {
            if let Event::StakeMoved(moved) = event
                && moved.movement == Movement::Released
            {
                moved.movement = Movement::Slashed;
            }
        }
    });
    let mut market = Market::sent();
    market.poke_late();
    let report = market.audit_with(|bundle| drop_movement(bundle, true, Movement::Slashed));
    assert!(failed(&report).contains(&"bond-slashed"));
}
