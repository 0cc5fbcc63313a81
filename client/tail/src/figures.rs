//! What the creator's service counts, for `GET /metrics`. No figure names a user, a job or a value.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use std::time::Instant;

/// How a job or a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

/// A part of a job's way through the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

/// Figures of one service.
pub(crate) struct Figures {
    pub(crate) registry: Registry,
    /// Last block seen.
    pub(crate) block: Gauge,
    /// Jobs at work, those that wait for their turn included.
    pub(crate) at_work: Gauge,
    /// Versions in the vault.
    pub(crate) versions: Gauge,
    /// Bytes of sealed features fetched.
    pub(crate) features_bytes: Counter,
    /// Bytes of sealed results uploaded.
    pub(crate) results_bytes: Counter,
    jobs: Family<Ended, Counter>,
    head_keys: Family<Ended, Counter>,
    stages: Family<Stage, Histogram>,
}

impl Default for Figures {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("encompute_creator");
        let (block, at_work, versions) = <(Gauge, Gauge, Gauge)>::default();
        let (features_bytes, results_bytes) = <(Counter, Counter)>::default();
        let (jobs, head_keys) = <(Family<Ended, Counter>, Family<Ended, Counter>)>::default();
        let stages = Family::new_with_constructor(stage_seconds as fn() -> Histogram);
        registry.register("block", "Last block seen", block.clone());
        registry.register("jobs_at_work", "Jobs at work or waiting for their turn", at_work.clone());
        registry.register("versions", "Versions in the vault", versions.clone());
        registry.register("jobs", "Jobs by what became of an attempt at them", jobs.clone());
        registry.register("head_keys", "Head keys asked for, by the answer's code", head_keys.clone());
        registry.register_with_unit("stage", "Time in each part of a job", Unit::Seconds, stages.clone());
        registry.register_with_unit("features", "Bytes of sealed features", Unit::Bytes, features_bytes.clone());
        registry.register_with_unit("results", "Bytes of sealed results", Unit::Bytes, results_bytes.clone());
        Self { registry, block, at_work, versions, features_bytes, results_bytes, jobs, head_keys, stages }
    }
}

/// From a quarter of a millisecond to half a minute.
fn stage_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 18))
}

impl Figures {
    /// An attempt at a job ended.
    pub(crate) fn job(&self, outcome: &'static str) {
        self.jobs.get_or_create(&Ended { outcome }).inc();
    }

    /// How many attempts ended so.
    pub(crate) fn jobs(&self, outcome: &'static str) -> u64 {
        self.jobs.get_or_create(&Ended { outcome }).get()
    }

    /// A head's key was asked for.
    pub(crate) fn head_key(&self, outcome: &'static str) {
        self.head_keys.get_or_create(&Ended { outcome }).inc();
    }

    /// A stage that began then has ended.
    pub(crate) fn stage(&self, stage: &'static str, began: Instant) {
        self.stages.get_or_create(&Stage { stage }).observe(began.elapsed().as_secs_f64());
    }
}
