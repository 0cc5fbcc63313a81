//! What the worker counts, for `GET /metrics`. No figure names a user, a job or a value.

use crate::desk::Desk;
use axum::response::Response;
use encompute_store::exposition;
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

/// How a call or a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

/// A part of a job's way through the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

/// Figures of one worker.
pub struct Figures {
    registry: Registry,
    jobs: Family<Ended, Counter>,
    offers: Family<Ended, Counter>,
    rounds: Family<Ended, Counter>,
    stages: Family<Stage, Histogram>,
    received_bytes: Counter,
    sent_bytes: Counter,
    levels: Levels,
}

/// What is read off the desk at every look.
#[derive(Default)]
struct Levels {
    ready: Gauge,
    capacity: Gauge,
    in_hand: Gauge,
    offers_out: Gauge,
    waiting: Gauge,
    at_once: Gauge,
    heads: Gauge,
    block: Gauge,
    registered_until: Gauge,
}

impl Default for Figures {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("encompute_worker");
        let (jobs, offers, rounds) =
            <(Family<Ended, Counter>, Family<Ended, Counter>, Family<Ended, Counter>)>::default();
        let (received_bytes, sent_bytes) = <(Counter, Counter)>::default();
        // From a quarter of a millisecond to a minute.
        let stages = Family::new_with_constructor(stage_seconds as fn() -> Histogram);
        registry.register("jobs", "Jobs by what became of them here", jobs.clone());
        registry.register("offers", "Offers asked for, by the answer's code", offers.clone());
        registry.register("rounds", "Rounds asked for, by the answer's code", rounds.clone());
        registry.register_with_unit("stage", "Time in each part of a job", Unit::Seconds, stages.clone());
        registry.register_with_unit("received", "Bytes of bodies read", Unit::Bytes, received_bytes.clone());
        registry.register_with_unit("sent", "Bytes of offers and rounds answered", Unit::Bytes, sent_bytes.clone());
        let levels = Levels::default();
        for (name, help, level) in [
            ("ready", "1 while new jobs are taken", &levels.ready),
            ("capacity", "Most jobs held at once", &levels.capacity),
            ("jobs_in_hand", "Jobs held and not committed", &levels.in_hand),
            ("offers_out", "Offers that still hold", &levels.offers_out),
            ("rounds_waiting", "Rounds that wait to be computed", &levels.waiting),
            ("rounds_at_once", "Rounds that are computed at once", &levels.at_once),
            ("heads", "Heads in memory", &levels.heads),
            ("block", "Last block seen", &levels.block),
            (
                "registered_until_block",
                "First block at which the registration no longer holds",
                &levels.registered_until,
            ),
        ] {
            registry.register(name, help, level.clone());
        }
        Self { registry, jobs, offers, rounds, stages, received_bytes, sent_bytes, levels }
    }
}

fn stage_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 18))
}

impl Figures {
    /// A job was claimed, committed, overtaken or refused.
    pub(crate) fn job(&self, outcome: &'static str) {
        self.jobs.get_or_create(&Ended { outcome }).inc();
    }

    /// An offer was asked for.
    pub(crate) fn offer(&self, outcome: &'static str) {
        self.offers.get_or_create(&Ended { outcome }).inc();
    }

    /// A round was asked for.
    pub(crate) fn round(&self, outcome: &'static str) {
        self.rounds.get_or_create(&Ended { outcome }).inc();
    }

    /// A stage that began then has ended.
    pub(crate) fn stage(&self, stage: &'static str, began: Instant) {
        self.stages.get_or_create(&Stage { stage }).observe(began.elapsed().as_secs_f64());
    }

    /// Bytes of a body that was read.
    pub(crate) fn received(&self, bytes: usize) {
        self.received_bytes.inc_by(bytes as u64);
    }

    /// Bytes of an answer.
    pub(crate) fn sent(&self, bytes: usize) {
        self.sent_bytes.inc_by(bytes as u64);
    }

    /// The answer to `GET /metrics`.
    pub(crate) fn exposition(&self, desk: &Desk) -> Response {
        let record = desk.record();
        let levels = &self.levels;
        {
            let places = desk.places();
            levels.ready.set(i64::from(places.check().is_ok()));
            levels.in_hand.set(places.jobs() as i64);
            levels.offers_out.set(places.offers() as i64);
            levels.block.set(places.now().0.into());
        }
        levels.capacity.set(record.capacity.into());
        levels.registered_until.set(record.expires_at.0.into());
        levels.waiting.set(desk.pool.waiting() as i64);
        levels.at_once.set(desk.pool.at_once() as i64);
        levels.heads.set(desk.heads.held().len() as i64);
        exposition(&self.registry)
    }
}
