//! What every keeper of blobs can do, and how it fails.

use bytes::Bytes;
use core::fmt;
use encompute_protocol::BlobDigest;
use std::future::Future;

/// Most bytes that a blob may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteLimit(pub u64);

impl fmt::Display for ByteLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What kind of failure an error is; programs choose their exit code by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// Nobody answered.
    Unreachable,
    /// An answer did not come in time.
    TimedOut,
    /// There is no such blob.
    NotFound,
    /// The bytes or the request are not acceptable.
    Refused,
    /// What came is not what was asked for: other bytes, or too many. The next answer may be the right one.
    Unverified,
    /// Anything else.
    Failed,
}

/// A boxed reason, from whichever keeper.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// A blob that was not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// More bytes than the keeper takes.
    #[error("blob {digest} has {found_bytes} bytes, the store takes {limit_bytes}")]
    TooLarge {
        /// Which blob.
        digest: BlobDigest,
        /// Bytes found.
        found_bytes: u64,
        /// Bytes allowed; 0 where the gateway did not say.
        limit_bytes: ByteLimit,
    },
    /// The bytes have another digest than they were announced with.
    #[error("bytes announced as blob {announced} have the digest {found}")]
    OtherDigest {
        /// The name they came under.
        announced: BlobDigest,
        /// Their digest.
        found: BlobDigest,
    },
    /// The store's quota is used up.
    #[error("store is full: {needed_bytes} bytes were to be kept, {left_bytes} are left")]
    Full {
        /// Bytes to keep.
        needed_bytes: u64,
        /// Bytes left; 0 where the gateway did not say.
        left_bytes: u64,
    },
    /// This peer has brought as much as it may for now.
    #[error("gateway {url} takes no more from here for {wait_secs} s")]
    TooMuch {
        /// The gateway.
        url: String,
        /// How long it wants us to wait; 0 where it did not say.
        wait_secs: u64,
    },
    /// The gateway refused for another reason.
    #[error("gateway {url} refuses blob {digest} with status {status}: {reason}")]
    Refused {
        /// The gateway.
        url: String,
        /// Which blob.
        digest: BlobDigest,
        /// HTTP status.
        status: u16,
        /// Its words.
        reason: String,
    },
    /// The gateway cannot be reached.
    #[error("gateway {url} cannot be reached")]
    Unreachable {
        /// The gateway.
        url: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// The gateway did not answer in time.
    #[error("gateway {url} did not take blob {digest} in time")]
    TimedOut {
        /// The gateway.
        url: String,
        /// Which blob.
        digest: BlobDigest,
    },
    /// The folder or object store failed.
    #[error("blob {digest} cannot be written")]
    Store {
        /// Which blob.
        digest: BlobDigest,
        /// Why.
        #[source]
        source: Source,
    },
}

/// A blob that was not had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// There is no such blob.
    #[error("blob {digest} is not there")]
    NotFound {
        /// Which blob.
        digest: BlobDigest,
    },
    /// More bytes than the caller allows; no more than that were read.
    #[error("blob {digest} has {found_bytes} bytes or more, {limit_bytes} are allowed")]
    TooLarge {
        /// Which blob.
        digest: BlobDigest,
        /// Bytes found, or read so far.
        found_bytes: u64,
        /// Bytes allowed.
        limit_bytes: ByteLimit,
    },
    /// The bytes do not have the digest they are kept under.
    #[error("blob {digest} is damaged: its bytes have the digest {found}")]
    Damaged {
        /// Which blob.
        digest: BlobDigest,
        /// Digest of the bytes.
        found: BlobDigest,
    },
    /// The bytes ended early.
    #[error("blob {digest} broke off after {found_bytes} bytes")]
    Truncated {
        /// Which blob.
        digest: BlobDigest,
        /// Bytes that came.
        found_bytes: u64,
        /// What ended them.
        #[source]
        source: Source,
    },
    /// The gateway refused for another reason.
    #[error("gateway {url} refuses to give blob {digest} with status {status}: {reason}")]
    Refused {
        /// The gateway.
        url: String,
        /// Which blob.
        digest: BlobDigest,
        /// HTTP status.
        status: u16,
        /// Its words.
        reason: String,
    },
    /// The gateway cannot be reached.
    #[error("gateway {url} cannot be reached")]
    Unreachable {
        /// The gateway.
        url: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// The gateway did not answer in time.
    #[error("gateway {url} did not give blob {digest} in time")]
    TimedOut {
        /// The gateway.
        url: String,
        /// Which blob.
        digest: BlobDigest,
    },
    /// The folder or object store failed.
    #[error("blob {digest} cannot be read")]
    Store {
        /// Which blob.
        digest: BlobDigest,
        /// Why.
        #[source]
        source: Source,
    },
}

impl PutError {
    /// What kind of failure this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Refused { status, .. } if is_failure(*status) => Class::Failed,
            // Full today, perhaps not tomorrow.
            Self::Full { .. } => Class::Failed,
            Self::TooLarge { .. } | Self::OtherDigest { .. } | Self::Refused { .. } => Class::Refused,
            // It would take the blob later.
            Self::Unreachable { .. } | Self::TooMuch { .. } => Class::Unreachable,
            Self::TimedOut { .. } => Class::TimedOut,
            Self::Store { .. } => Class::Failed,
        }
    }
}

impl GetError {
    /// What kind of failure this is.
    pub fn class(&self) -> Class {
        match self {
            Self::NotFound { .. } => Class::NotFound,
            Self::Refused { status, .. } if is_failure(*status) => Class::Failed,
            Self::Refused { .. } => Class::Refused,
            Self::TooLarge { .. } | Self::Damaged { .. } => Class::Unverified,
            Self::Truncated { .. } | Self::Unreachable { .. } => Class::Unreachable,
            Self::TimedOut { .. } => Class::TimedOut,
            Self::Store { .. } => Class::Failed,
        }
    }
}

/// True for a status by which a server says that it failed: it has not said no, and may do better next time.
fn is_failure(status: u16) -> bool {
    (500..600).contains(&status)
}

/// Keeps blobs and gives them back.
pub trait Blobs: Send + Sync {
    /// Keeps `bytes` and says their name. Keeping the same bytes again changes nothing.
    ///
    /// # Errors
    /// [`PutError`]; nothing is visible under the name then, unless it was before.
    fn put(&self, bytes: Bytes) -> impl Future<Output = Result<BlobDigest, PutError>> + Send;

    /// The bytes called `digest`, checked against it, if there are at most `limit` of them.
    ///
    /// # Errors
    /// [`GetError`].
    fn get(&self, digest: BlobDigest, limit: ByteLimit) -> impl Future<Output = Result<Bytes, GetError>> + Send;

    /// True if a blob of that name is kept.
    ///
    /// # Errors
    /// [`GetError`].
    fn has(&self, digest: BlobDigest) -> impl Future<Output = Result<bool, GetError>> + Send;
}

impl<T: Blobs> Blobs for std::sync::Arc<T> {
    fn put(&self, bytes: Bytes) -> impl Future<Output = Result<BlobDigest, PutError>> + Send {
        (**self).put(bytes)
    }

    fn get(&self, digest: BlobDigest, limit: ByteLimit) -> impl Future<Output = Result<Bytes, GetError>> + Send {
        (**self).get(digest, limit)
    }

    fn has(&self, digest: BlobDigest) -> impl Future<Output = Result<bool, GetError>> + Send {
        (**self).has(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_failed_or_is_full_has_not_refused_for_good() {
        let digest = BlobDigest([1; 32]);
        let put = |status| PutError::Refused { url: String::new(), digest, status, reason: String::new() }.class();
        let get = |status| GetError::Refused { url: String::new(), digest, status, reason: String::new() }.class();
        assert_eq!((put(500), put(503), put(400)), (Class::Failed, Class::Failed, Class::Refused));
        assert_eq!((get(500), get(503), get(403)), (Class::Failed, Class::Failed, Class::Refused));
    }
}
