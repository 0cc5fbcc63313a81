//! The figures that every service keeps in the same way: what ended how, and how long each part took.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

/// How many ended how: a counter for each outcome.
#[derive(Clone, Debug, Default)]
pub struct Outcomes(Family<Ended, Counter>);

impl Outcomes {
    /// None so far, in `registry` under `name`.
    pub fn register(registry: &mut Registry, name: &str, help: &str) -> Self {
        let outcomes = Self::default();
        registry.register(name, help, outcomes.0.clone());
        outcomes
    }

    /// One more ended so. Outcomes are words of the program's, never of a stranger's.
    pub fn count(&self, outcome: &'static str) {
        self.0.get_or_create(&Ended { outcome }).inc();
    }

    /// How many ended so.
    pub fn counted(&self, outcome: &'static str) -> u64 {
        self.0.get_or_create(&Ended { outcome }).get()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

/// How long each part of a job took, from a quarter of a millisecond to half a minute.
#[derive(Clone, Debug)]
pub struct StageSeconds(Family<Stage, Histogram>);

impl StageSeconds {
    /// Nothing so far, in `registry` as `stage`.
    pub fn register(registry: &mut Registry) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_25, 2.0, 18));
        let stages = Family::new_with_constructor(histogram);
        registry.register_with_unit("stage", "Time in each part of a job", Unit::Seconds, stages.clone());
        Self(stages)
    }

    /// A stage that began then has ended.
    pub fn ended(&self, stage: &'static str, began: Instant) {
        self.0.get_or_create(&Stage { stage }).observe(began.elapsed().as_secs_f64());
    }
}
