//! The audit of a worker: its registration as of now, before anybody gives it a job.

use crate::{
    proof::{Entry, image, listed},
    report::{Checks, JudgedLine, Report, simulated},
};
use encompute_attest::{RegistrationFacts, UnixSeconds, appraise_registration, network::Judge};
use encompute_protocol::{
    Address, BasisPoints, BlockNumber, ContractAddress, GenesisHash, WorkerRecord,
    market::{MeasurementRecord, PlatformRecord},
    reputation::{HeadWeight, Took},
};

/// Everything that an audit of a worker reads, as of one block.
#[derive(Clone, Debug)]
pub struct WorkerBundle {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The worker's account.
    pub account: Address,
    /// Its record.
    pub record: WorkerRecord,
    /// Its measurement's entry on the allow-list.
    pub measurement: Option<MeasurementRecord>,
    /// Its machine's entry on the list of platforms.
    pub platform: Option<PlatformRecord>,
    /// The block.
    pub at: BlockNumber,
    /// Its time by the chain's clock.
    pub time: UnixSeconds,
    /// The registration's evidence, where the store has it.
    pub evidence: Option<Vec<u8>>,
}

/// Audits a worker under a root and policy, as of the block in which the chain was read.
pub fn audit_worker(bundle: &WorkerBundle, judge: &Judge) -> Report {
    let mut checks = Checks::default();
    let (record, at) = (&bundle.record, bundle.at);
    let (code, machine) = (bundle.measurement.map(Entry::from), bundle.platform.map(Entry::from));
    listed(record, code, machine, at, at, &mut checks);
    let staked = record.stake.0.saturating_sub(record.stake_leaving.0);
    checks.holds(
        "worker-stake-covers",
        staked >= record.stake_locked.0,
        format!("at least {} plancks, which its jobs hold", record.stake_locked.0),
        staked,
        "chain: worker record",
    );
    counted(record, &mut checks);
    let judged = match &bundle.evidence {
        None => {
            checks.missing("worker-evidence", record.evidence, "chain: worker record");
            None
        }
        Some(evidence) => {
            let facts = RegistrationFacts {
                genesis: bundle.genesis,
                contract: bundle.contract,
                account: bundle.account,
                record,
                at,
            };
            let appraisal = appraise_registration(evidence, &facts, &judge.root, &judge.policy, bundle.time);
            let expires = appraisal.verdict.as_ref().map(|verdict| verdict.claims.collateral_expires_at.to_string());
            let verdict = appraisal.verdict;
            for check in appraisal.checks {
                checks.holds(&format!("worker-{}", check.id), check.pass, check.expected, check.actual, check.source);
            }
            image(verdict.as_ref(), judge, &mut checks);
            Some(JudgedLine {
                block: at.0,
                time: bundle.time.to_string(),
                why: "the chain was read as of this block",
                collateral_expires_at: expires,
            })
        }
    };
    let mut limits: Vec<_> = simulated(&judge.root).into_iter().collect();
    limits.extend([
        format!("cannot check: what became known about the worker's platform after {}", bundle.time),
        "cannot check: who can open the machine; attestation says which code runs, not who stands beside it".to_owned(),
    ]);
    checks.into_report(format!("worker {}", bundle.account), &judge.root, judged, limits)
}

/// What the contract has counted of it: shown, and refused where its numbers contradict each other.
fn counted(record: &WorkerRecord, checks: &mut Checks) {
    let WorkerRecord { heads_committed, timeouts, mismatches, reputation, latency, .. } = record;
    let timed: u64 = latency.0.iter().map(|count| u64::from(*count)).sum();
    let bounded = reputation.good <= HeadWeight::ALL && reputation.bad <= HeadWeight::ALL;
    let explained = (reputation.bad.0 == 0 || timeouts.saturating_add(*mismatches) > 0)
        && (reputation.good.0 == 0 || *heads_committed > 0);
    let within = |share: u16| match latency.of_share(BasisPoints(share)) {
        None => "none yet".to_owned(),
        Some(Took::Within(blocks)) => format!("{blocks} blocks"),
        Some(Took::Beyond(blocks)) => format!("more than {blocks} blocks"),
    };
    let found = format!(
        "score {} of 10000; {heads_committed} heads, {timeouts} claims that ran out, {mismatches} heads found wrong; half of its heads took {}, 95 % {}",
        reputation.score().share().0,
        within(5_000),
        within(9_500),
    );
    checks.holds(
        "worker-score",
        bounded && explained && timed <= u64::from(*heads_committed),
        "a score and latencies that its heads, timeouts and mismatches explain",
        found,
        "chain: worker record",
    );
}
