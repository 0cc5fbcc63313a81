//! What the worker says of itself. Nothing in it is secret, and nothing in it is proof.

use crate::desk::Desk;
use encompute_protocol::Text;
use serde::{Deserialize, Serialize};

/// Facts that do not change while a worker runs.
#[derive(Clone, Debug)]
pub struct Health {
    /// Where clients reach it.
    pub url: Text<200>,
}

/// Body of `GET /v1/health`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HealthReport {
    /// True while new jobs are taken.
    pub ready: bool,
    /// Always `worker`.
    pub service: String,
    /// The program's version.
    pub version: String,
    /// The worker's account, 20 bytes in hexadecimal.
    pub account: String,
    /// Signs its receipts.
    pub signing_key: String,
    /// Where clients reach it.
    pub url: String,
    /// Identity of its attested code.
    pub measurement: String,
    /// Identity of the machine that attests it.
    pub platform: String,
    /// First block at which its registration no longer holds.
    pub registered_until: u32,
    /// Last block it has seen.
    pub block: u32,
    /// Most jobs it holds at once.
    pub capacity: u16,
    /// Jobs it holds and has not committed.
    pub jobs_in_hand: usize,
    /// Offers that are out.
    pub offers: usize,
    /// Rounds that wait to be computed.
    pub rounds_waiting: usize,
    /// Heads in memory.
    pub heads: Vec<HeldHead>,
}

/// A head in memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeldHead {
    /// The version.
    pub version: u32,
    /// Its split.
    pub split: u8,
}

impl Health {
    /// The report as of now.
    pub fn report(&self, desk: &Desk) -> HealthReport {
        let record = desk.record();
        let places = desk.places();
        HealthReport {
            ready: places.check().is_ok(),
            service: "worker".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            account: desk.world.address().to_string(),
            signing_key: record.signing.to_string(),
            url: self.url.to_string(),
            measurement: record.measurement.to_string(),
            platform: record.platform.to_string(),
            registered_until: record.expires_at.0,
            block: places.now().0,
            capacity: record.capacity,
            jobs_in_hand: places.jobs(),
            offers: places.offers(),
            rounds_waiting: desk.pool.waiting(),
            heads: desk
                .heads
                .held()
                .into_iter()
                .map(|(version, split)| HeldHead { version: version.0, split: split.0 })
                .collect(),
        }
    }
}
