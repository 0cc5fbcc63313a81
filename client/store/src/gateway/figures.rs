//! What a gateway counts.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

/// How an upload ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Upload {
    pub(super) status: u16,
}

/// Counters of one gateway.
pub(super) struct Figures {
    pub(super) registry: Registry,
    pub(super) uploads: Family<Upload, Counter>,
    pub(super) received_bytes: Counter,
    pub(super) sent_bytes: Counter,
    pub(super) forgotten: Counter,
    pub(super) used_bytes: Gauge,
}

impl Default for Figures {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("encompute_gateway");
        let (uploads, received_bytes, sent_bytes) = <(Family<Upload, Counter>, Counter, Counter)>::default();
        let (forgotten, used_bytes) = <(Counter, Gauge)>::default();
        registry.register("uploads", "Uploads by HTTP status", uploads.clone());
        registry.register_with_unit("received", "Bytes of new blobs", Unit::Bytes, received_bytes.clone());
        registry.register_with_unit("sent", "Bytes of blobs asked for", Unit::Bytes, sent_bytes.clone());
        registry.register("forgotten_blobs", "Blobs removed because no chain fact named them", forgotten.clone());
        registry.register_with_unit("used", "Bytes of all blobs", Unit::Bytes, used_bytes.clone());
        Self { registry, uploads, received_bytes, sent_bytes, forgotten, used_bytes }
    }
}
