//! Code size and the weight of every message, compared with `artifacts/weights.json`.
//!
//! The figures belong to the checked-in code, so they are the same on every machine.
//! `cargo run -p encompute-xtask -- contract snapshot --write` records new ones.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_contract_tests::{
    Chain, Said, artifact, everything,
    world::{MACHINES, MEASUREMENTS, PLATFORMS, STRANGER, TREASURY, USERS, WORKERS, World, sponsors::SPONSOR},
};
use encompute_lifecycle::Refusal;
use encompute_protocol::{
    BlockNumber, JobId, KeyDigest, ModelId, Plancks, SessionId, SplitIndex, VersionId,
    call::{
        Call, CertifyKey, CommitHead, MESSAGES, QuoteJob, ReadAllowance, ReadAnnouncedParams, ReadAttestationKey,
        ReadCounts, ReadCredit, ReadDispute, ReadDraw, ReadGovernance, ReadJob, ReadMeasurement, ReadModel, ReadNonce,
        ReadParams, ReadPlatform, ReadPrunedJob, ReadRating, ReadSession, ReadSessionsTaken, ReadSplit, ReadTotals,
        ReadVersion, ReadWorker, ReadWorkerAt, RegisterWorker,
    },
};
use serde_json::{Map, Value, json};
use sp_core::U256;
use std::collections::BTreeMap;

/// A block's time is 2 · 10¹² picoseconds, of which transactions get three quarters; no message may
/// take more than a fortieth of that.
const MOST_PICOSECONDS: u64 = 37_500_000_000;
/// A block's proof is 10 MiB; no message may take more than a sixteenth. More than half of it is the code, which is in
/// every call's proof.
const MOST_PROOF_BYTES: u64 = 640 * 1024;
/// What a worker may weigh that comes or renews, and what shows its key: verifying one signature on P-256 is 1.8 ms.
const MOST_REGISTRATION_PICOSECONDS: u64 = 5_000_000_000;
const MOST_REGISTRATION_BYTES: usize = 2_048;
/// What it may weigh to read the split that a receipt is about, to rebuild its digest and to recover who signed it.
const MOST_RECEIPT_PICOSECONDS: u64 = 300_000_000;
/// The platform allows a mebibyte.
const MOST_CODE_BYTES: usize = 512 * 1024;

/// The most that any call of each message weighed: picoseconds, bytes of proof.
type Weights = BTreeMap<&'static str, (u64, u64)>;

fn weigh(weights: &mut Weights, name: &'static str, weight: (u64, u64)) {
    let heaviest = weights.entry(name).or_default();
    *heaviest = (heaviest.0.max(weight.0), heaviest.1.max(weight.1));
}

fn read<C: Call>(chain: &mut Chain, weights: &mut Weights, call: &C) {
    let outcome = chain.send(STRANGER, U256::zero(), call.calldata());
    assert!(matches!(outcome.said, Said::Returned(_)), "{}: {:?}", C::NAME, outcome.said);
    weigh(weights, C::NAME, (outcome.weight.ref_time(), outcome.weight.proof_size()));
}

fn measure() -> Weights {
    let mut chain = Chain::new();
    let world = everything(chain.contract());
    let mut weights = Weights::new();
    for (at, command) in &world.calls {
        let outcome = chain.send_at(at, command.calldata());
        if command.name() == RegisterWorker::NAME {
            assert!(command.calldata().len() <= MOST_REGISTRATION_BYTES, "{} bytes", command.calldata().len());
        }
        if let Said::Returned(_) = outcome.said {
            weigh(&mut weights, command.name(), (outcome.weight.ref_time(), outcome.weight.proof_size()));
        }
    }
    let (version, split) = (VersionId(1), SplitIndex(0));
    let account = WORKERS[0];
    read(&mut chain, &mut weights, &ReadParams {});
    read(&mut chain, &mut weights, &ReadAnnouncedParams {});
    read(&mut chain, &mut weights, &ReadTotals {});
    read(&mut chain, &mut weights, &ReadCounts {});
    read(&mut chain, &mut weights, &ReadGovernance {});
    read(&mut chain, &mut weights, &ReadModel { model: ModelId(1) });
    read(&mut chain, &mut weights, &ReadVersion { version });
    read(&mut chain, &mut weights, &ReadSplit { version, split });
    read(&mut chain, &mut weights, &ReadWorker { worker: account });
    read(&mut chain, &mut weights, &ReadWorkerAt { index: 0 });
    read(&mut chain, &mut weights, &ReadMeasurement { measurement: MEASUREMENTS[0] });
    read(&mut chain, &mut weights, &ReadJob { job: JobId(1) });
    read(&mut chain, &mut weights, &ReadDraw { job: JobId(1) });
    read(&mut chain, &mut weights, &ReadCredit { account: TREASURY });
    read(&mut chain, &mut weights, &ReadNonce { account });
    read(&mut chain, &mut weights, &ReadAllowance { sponsor: SPONSOR, user: USERS[1] });
    read(&mut chain, &mut weights, &ReadDispute { job: JobId(1) });
    read(&mut chain, &mut weights, &ReadRating { job: JobId(1) });
    read(&mut chain, &mut weights, &ReadPrunedJob { job: JobId(1) });
    let session = world.sessions().last().unwrap_or(SessionId(1));
    read(&mut chain, &mut weights, &ReadSession { session });
    read(&mut chain, &mut weights, &ReadSessionsTaken { version });
    read(&mut chain, &mut weights, &QuoteJob { version, split });
    read(&mut chain, &mut weights, &ReadPlatform { platform: PLATFORMS[0] });
    let key = KeyDigest::of(&MACHINES[0].parts.attestation_key.0);
    read(&mut chain, &mut weights, &ReadAttestationKey { key });
    weights
}

#[test]
fn size_and_weights_are_the_recorded_ones_and_far_below_what_a_block_takes() {
    let weights = measure();
    let code_bytes = artifact("marketplace.polkavm").len();
    assert!(code_bytes <= MOST_CODE_BYTES, "{code_bytes} bytes of code");
    let mut messages = Map::new();
    for (name, _, _) in MESSAGES {
        let (picoseconds, proof_bytes) = *weights.get(name).unwrap_or_else(|| panic!("{name} was not weighed"));
        assert!(picoseconds <= MOST_PICOSECONDS, "{name} takes {picoseconds} ps");
        if [RegisterWorker::NAME, CertifyKey::NAME].contains(name) {
            assert!(picoseconds <= MOST_REGISTRATION_PICOSECONDS, "{name} takes {picoseconds} ps");
        }
        assert!(proof_bytes <= MOST_PROOF_BYTES, "{name} takes {proof_bytes} bytes of proof");
        messages.insert((*name).to_owned(), json!({ "ref_time_ps": picoseconds, "proof_bytes": proof_bytes }));
    }
    let found = json!({ "code_bytes": code_bytes, "messages": messages });
    if std::env::var_os("ENCOMPUTE_WRITE_SNAPSHOT").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/marketplace/artifacts/weights.json");
        std::fs::write(path, format!("{found:#}\n")).unwrap();
        return;
    }
    let recorded: Value = serde_json::from_slice(&artifact("weights.json")).unwrap();
    for (name, _, _) in MESSAGES {
        assert_eq!(found["messages"][name], recorded["messages"][name], "{name}");
    }
    assert_eq!(found, recorded);
}

#[test]
fn checking_a_receipt_takes_less_than_three_tenths_of_a_millisecond() {
    let mut chain = Chain::new();
    let mut world = World::at_contract(chain.contract());
    let job = world.claimed();
    let honest = world.commitment(0, job);
    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    chain.at_block(world.block);
    // Of two that are refused, one before its receipt is looked at, one after: what lies between is the receipt's check.
    let early = CommitHead { finished_at: BlockNumber(world.block + 1), ..honest };
    let forged = CommitHead { signature: world.commitment(1, job).signature, ..honest };
    let mut weigh = |call: CommitHead| {
        let weight = chain.send(WORKERS[0], U256::zero(), call.calldata()).weight.ref_time();
        (chain.call(WORKERS[0], Plancks::ZERO, &call), weight)
    };
    let ((early, before), (forged, after)) = (weigh(early), weigh(forged));
    assert!(matches!(early, Err(Refusal::FinishedOutside { .. })), "{early:?}");
    assert!(matches!(forged, Err(Refusal::WrongSigner { found: Some(_), .. })), "{forged:?}");
    let receipt = after - before;
    println!("a receipt's check: {} microseconds of reference time", receipt / 1_000_000);
    assert!((50_000_000..=MOST_RECEIPT_PICOSECONDS).contains(&receipt), "{receipt} ps");
}
