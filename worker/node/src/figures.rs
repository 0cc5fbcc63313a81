//! What the worker counts, for `GET /metrics`. No figure names a user, a job or a value.

use crate::desk::Desk;
use axum::response::Response;
use encompute_store::{Outcomes, StageSeconds, exposition};
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

/// Figures of one worker.
pub struct Figures {
    registry: Registry,
    /// Jobs claimed, committed, overtaken or refused.
    pub(crate) jobs: Outcomes,
    /// Offers asked for.
    pub(crate) offers: Outcomes,
    /// Rounds asked for.
    pub(crate) rounds: Outcomes,
    /// Parts of a job's way through the worker.
    pub(crate) stages: StageSeconds,
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
        let (received_bytes, sent_bytes) = <(Counter, Counter)>::default();
        let jobs = Outcomes::register(&mut registry, "jobs", "Jobs by what became of them here");
        let offers = Outcomes::register(&mut registry, "offers", "Offers asked for, by the answer's code");
        let rounds = Outcomes::register(&mut registry, "rounds", "Rounds asked for, by the answer's code");
        let stages = StageSeconds::register(&mut registry);
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

impl Figures {
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
