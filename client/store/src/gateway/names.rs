//! Which blobs a chain fact names, and which have had their time to be named.

use encompute_protocol::BlobDigest;
use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A list of names counts as whole for this long after it was: longer than any block time.
const WHOLE_FOR: Duration = Duration::from_secs(60);

/// Blobs that a chain fact names, directly or through a manifest or transcript. Whoever follows the
/// chain writes it; the gateway reads it. 32 bytes a blob are held in memory.
#[derive(Default)]
pub struct Names(Mutex<Named>);

#[derive(Default)]
struct Named {
    blobs: HashSet<BlobDigest>,
    whole_at: Option<Instant>,
}

impl Names {
    /// A fact names this blob: it is kept for good.
    pub fn name(&self, digest: BlobDigest) {
        self.named().blobs.insert(digest);
    }

    /// Every fact up to this moment has been read. Until somebody says so, and a minute after
    /// somebody did, nothing is forgotten: a list that may lack something proves nothing.
    pub fn whole(&self) {
        self.named().whole_at = Some(Instant::now());
    }

    /// True if a fact names this blob.
    pub fn contains(&self, digest: BlobDigest) -> bool {
        self.named().blobs.contains(&digest)
    }

    fn is_whole(&self) -> bool {
        self.named().whole_at.is_some_and(|at| at.elapsed() <= WHOLE_FOR)
    }

    fn named(&self) -> MutexGuard<'_, Named> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Blobs that were seen without a name, and since when. Nothing of it depends on the machine's
/// clock or outlives the process: after a restart every blob has its whole time again.
#[derive(Default)]
pub(super) struct Nameless(Mutex<HashMap<BlobDigest, Instant>>);

impl Nameless {
    /// Somebody relies on the blob: its time begins again.
    pub(super) fn relied_on(&self, digest: BlobDigest) {
        self.since().remove(&digest);
    }

    /// Those of `kept` that have been without a name for `patience` or longer; none while the list of names
    /// may lack something.
    pub(super) fn overdue(&self, kept: &[BlobDigest], names: &Names, patience: Duration) -> Vec<BlobDigest> {
        if !names.is_whole() {
            return Vec::new();
        }
        let now = Instant::now();
        let mut since = self.since();
        let old = core::mem::take(&mut *since);
        let nameless = kept.iter().filter(|digest| !names.contains(**digest));
        *since = nameless.map(|digest| (*digest, old.get(digest).copied().unwrap_or(now))).collect();
        since.iter().filter(|(_, at)| now.duration_since(**at) >= patience).map(|(digest, _)| *digest).collect()
    }

    /// True while nobody has relied on the blob since it was found overdue.
    pub(super) fn is_still_overdue(&self, digest: BlobDigest) -> bool {
        self.since().contains_key(&digest)
    }

    fn since(&self) -> MutexGuard<'_, HashMap<BlobDigest, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: BlobDigest = BlobDigest([1; 32]);
    const TWO: BlobDigest = BlobDigest([2; 32]);

    #[test]
    fn a_blob_that_a_fact_names_is_never_overdue() {
        let (names, nameless) = (Names::default(), Nameless::default());
        names.name(ONE);
        names.whole();
        assert_eq!(nameless.overdue(&[ONE, TWO], &names, Duration::ZERO), [TWO]);
    }

    #[test]
    fn nothing_is_overdue_while_facts_may_be_missing() {
        let (names, nameless) = (Names::default(), Nameless::default());
        assert_eq!(nameless.overdue(&[ONE], &names, Duration::ZERO), []);
    }

    #[test]
    fn a_blob_has_its_whole_time_again_once_somebody_relies_on_it() {
        let (names, nameless, patience) = (Names::default(), Nameless::default(), Duration::from_secs(3_600));
        names.whole();
        assert_eq!(nameless.overdue(&[ONE], &names, patience), []);
        assert!(nameless.is_still_overdue(ONE));
        nameless.relied_on(ONE);
        assert!(!nameless.is_still_overdue(ONE));
    }
}
