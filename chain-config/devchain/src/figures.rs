//! What the chain counts, for `GET /metrics`.

use crate::{pool::Pool, rpc::MethodCounts, runtime::BlockNumber};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric, text::encode},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use std::{fmt, sync::Arc, time::Duration};

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Fate {
    /// Taken into the pool.
    Accepted,
    /// Not taken.
    Refused,
    /// In a block.
    Included,
    /// Thrown out of the pool as no longer valid.
    Discarded,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Transaction {
    fate: Fate,
}

/// A chain's figures; clones are the same.
#[derive(Clone)]
pub(crate) struct Figures {
    registry: Arc<Registry>,
    block: Gauge,
    blocks: Counter,
    seal_seconds: Histogram,
    transactions: Family<Transaction, Counter>,
    pool_ready: Gauge,
    pool_parked: Gauge,
}

impl Figures {
    /// All zero; `counts` is asked at every look.
    pub(crate) fn new(counts: MethodCounts) -> Self {
        let mut registry = Registry::with_prefix("encompute_chain");
        let (block, blocks) = <(Gauge, Counter)>::default();
        let transactions = Family::<Transaction, Counter>::default();
        let (pool_ready, pool_parked) = <(Gauge, Gauge)>::default();
        // From half a millisecond to two seconds.
        let seal_seconds = Histogram::new(exponential_buckets(0.0005, 2.0, 13));
        registry.register("block", "Number of the newest block", block.clone());
        registry.register("blocks", "Blocks sealed since the start", blocks.clone());
        registry.register_with_unit("seal", "Making and writing a block", Unit::Seconds, seal_seconds.clone());
        registry.register("transactions", "Transactions by what became of them", transactions.clone());
        registry.register("pool_ready", "Pooled transactions that wait for a block", pool_ready.clone());
        registry.register("pool_parked", "Pooled transactions that wait for an earlier one", pool_parked.clone());
        registry.register_collector(Box::new(counts));
        Self { registry: Arc::new(registry), block, blocks, seal_seconds, transactions, pool_ready, pool_parked }
    }

    /// The text format of Prometheus.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    pub(crate) fn sealed(&self, number: BlockNumber, took: Duration) {
        self.block.set(number.into());
        self.blocks.inc();
        self.seal_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn head(&self, number: BlockNumber) {
        self.block.set(number.into());
    }

    pub(crate) fn transactions(&self, fate: Fate, count: usize) {
        self.transactions.get_or_create(&Transaction { fate }).inc_by(count as u64);
    }

    pub(crate) fn pool(&self, pool: &Pool) {
        self.pool_ready.set(pool.ready_count() as i64);
        self.pool_parked.set(pool.parked_count() as i64);
    }
}

impl fmt::Debug for MethodCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.snapshot()).finish()
    }
}

impl Collector for MethodCounts {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut calls = encoder.encode_descriptor("calls", "Calls by method", None, MetricType::Counter)?;
        for (method, count) in self.snapshot() {
            // A name that nobody registered is its caller's invention.
            let known = method.len() <= 64 && method.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let method = if known { method.as_str() } else { "(unknown)" };
            ConstCounter::new(count).encode(calls.encode_family(&[("method", method)])?)?;
        }
        Ok(())
    }
}
