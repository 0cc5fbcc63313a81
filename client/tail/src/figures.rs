//! What the creator's service counts, for `GET /metrics`. No figure names a user, a job or a value.

use encompute_store::{Outcomes, StageSeconds};
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

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
    /// Attempts at jobs.
    pub(crate) jobs: Outcomes,
    /// Head keys asked for.
    pub(crate) head_keys: Outcomes,
    /// Parts of a job's way through the service.
    pub(crate) stages: StageSeconds,
}

impl Default for Figures {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("encompute_creator");
        let (block, at_work, versions) = <(Gauge, Gauge, Gauge)>::default();
        let (features_bytes, results_bytes) = <(Counter, Counter)>::default();
        registry.register("block", "Last block seen", block.clone());
        registry.register("jobs_at_work", "Jobs at work or waiting for their turn", at_work.clone());
        registry.register("versions", "Versions in the vault", versions.clone());
        let jobs = Outcomes::register(&mut registry, "jobs", "Jobs by what became of an attempt at them");
        let head_keys = Outcomes::register(&mut registry, "head_keys", "Head keys asked for, by the answer's code");
        let stages = StageSeconds::register(&mut registry);
        registry.register_with_unit("features", "Bytes of sealed features", Unit::Bytes, features_bytes.clone());
        registry.register_with_unit("results", "Bytes of sealed results", Unit::Bytes, results_bytes.clone());
        Self { registry, block, at_work, versions, features_bytes, results_bytes, jobs, head_keys, stages }
    }
}
