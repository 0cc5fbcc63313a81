//! What happens when a quote for a job is demanded.

use encompute_protocol::{BlobDigest, JobId, Nonce, QuoteIdentity};

/// A quote for a job is demanded; it must answer the nonce.
#[ink::event]
pub struct QuoteDemanded {
    /// The job.
    #[ink(topic)]
    pub job: JobId,
    /// What the quote's report data must end with.
    pub nonce: Nonce,
}

/// The worker showed one.
#[ink::event]
pub struct QuoteShown {
    /// The job.
    #[ink(topic)]
    pub job: JobId,
    /// Its identity.
    pub quote: QuoteIdentity,
    /// Blob with the quote, its collateral and the receipt.
    pub evidence: BlobDigest,
}
