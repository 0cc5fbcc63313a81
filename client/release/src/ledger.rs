//! The ledger: how many bits each input has given away, over all versions, splits and policies.
//!
//! One small file per input, named by a keyed hash, so that the folder tells a thief how many inputs
//! there were and nothing about them. A release is written here before it leaves.

use crate::seed::{InputIdentity, ReleaseContext, ReleaseSecret};
use codec::{Decode, Encode};
use encompute_host::files;
use encompute_protocol::{PolicyId, SplitIndex, VersionHash, wire::Message};
use std::{
    io,
    path::{Path, PathBuf},
};

/// One release of one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LedgerEntry {
    /// The version.
    pub version: VersionHash,
    /// The split.
    pub split: SplitIndex,
    /// The policy.
    pub policy: PolicyId,
    /// What it gave away at most, in thousandths of a bit.
    pub millibits: u32,
}

#[derive(Default, Encode, Decode)]
struct Page {
    entries: Vec<LedgerEntry>,
}

impl Message for Page {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 1024 * 1024;
}

/// The folder of pages.
pub struct Ledger {
    folder: PathBuf,
}

/// The ledger could not be read or written, or the input has nothing left to give.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Reading or writing failed; nothing was released.
    #[error("release ledger {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A page is not one; nothing was released.
    #[error("release ledger {path} is damaged")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: encompute_protocol::wire::DecodeError,
    },
    /// The release would go beyond the budget of its input.
    #[error(
        "this input has given away {spent_millibits} thousandths of a bit, {asked_millibits} more would pass its budget of {budget_millibits}"
    )]
    Budget {
        /// Given away before.
        spent_millibits: u32,
        /// Asked for now.
        asked_millibits: u32,
        /// Allowed in all.
        budget_millibits: u32,
    },
}

impl Ledger {
    /// The ledger in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// [`LedgerError::File`].
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        files::make_folder(folder).map_err(|source| LedgerError::File { path: folder.to_owned(), source })?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// What an input has given away so far.
    ///
    /// # Errors
    /// [`LedgerError::File`], [`LedgerError::Damaged`].
    pub fn entries(&self, secret: &ReleaseSecret, input: &InputIdentity) -> Result<Vec<LedgerEntry>, LedgerError> {
        Ok(self.read(&self.page(secret, input))?.entries)
    }

    /// Writes a release down, or finds it there already (the same release again gives nothing new).
    /// After an error nothing has changed.
    pub(crate) fn charge(
        &self,
        secret: &ReleaseSecret,
        input: &InputIdentity,
        context: &ReleaseContext,
        millibits: u32,
        budget_millibits: u32,
    ) -> Result<(), LedgerError> {
        let path = self.page(secret, input);
        let failed = |source| LedgerError::File { path: path.clone(), source };
        // Two processes may release the same input at once: the lock makes their sums one.
        let _guard = files::lock(&path.with_extension("lock")).map_err(failed)?;
        let mut page = self.read(&path)?;
        if !page.asks(context, millibits, budget_millibits)? {
            return Ok(());
        }
        let ReleaseContext { version, split, policy } = *context;
        page.entries.push(LedgerEntry { version, split, policy, millibits });
        files::replace(&path, &page.to_wire()).map_err(failed)
    }

    /// Whether the budget has room for a release, as of now; nothing is written.
    pub(crate) fn allows(
        &self,
        secret: &ReleaseSecret,
        input: &InputIdentity,
        context: &ReleaseContext,
        millibits: u32,
        budget_millibits: u32,
    ) -> Result<(), LedgerError> {
        self.read(&self.page(secret, input))?.asks(context, millibits, budget_millibits).map(drop)
    }

    fn page(&self, secret: &ReleaseSecret, input: &InputIdentity) -> PathBuf {
        let name: String = secret.ledger_name(input).iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(name)
    }

    fn read(&self, path: &Path) -> Result<Page, LedgerError> {
        match files::read(path) {
            Ok(bytes) => {
                Page::from_wire(&bytes).map_err(|source| LedgerError::Damaged { path: path.to_owned(), source })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Page::default()),
            Err(source) => Err(LedgerError::File { path: path.to_owned(), source }),
        }
    }
}

impl Page {
    /// Whether a release has to be written down: one that is there gives nothing new.
    ///
    /// # Errors
    /// [`LedgerError::Budget`].
    fn asks(&self, context: &ReleaseContext, millibits: u32, budget_millibits: u32) -> Result<bool, LedgerError> {
        let ReleaseContext { version, split, policy } = *context;
        if self.entries.iter().any(|entry| (entry.version, entry.split, entry.policy) == (version, split, policy)) {
            return Ok(false);
        }
        let spent_millibits = self.entries.iter().fold(0u32, |sum, entry| sum.saturating_add(entry.millibits));
        match spent_millibits.saturating_add(millibits) > budget_millibits {
            true => Err(LedgerError::Budget { spent_millibits, asked_millibits: millibits, budget_millibits }),
            false => Ok(true),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    fn context(version: u8) -> ReleaseContext {
        ReleaseContext { version: VersionHash([version; 32]), split: SplitIndex(0), policy: PolicyId(1) }
    }

    #[test]
    fn bits_add_up_over_versions_and_stop_at_the_budget() {
        let folder = tempfile::tempdir().unwrap();
        let secret = ReleaseSecret::open_or_create(&folder.path().join("secret")).unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger")).unwrap();
        let input = InputIdentity::of_tensor(b"an image");
        ledger.charge(&secret, &input, &context(1), 8_000, 20_000).unwrap();
        ledger.charge(&secret, &input, &context(1), 8_000, 20_000).unwrap();
        ledger.charge(&secret, &input, &context(2), 8_000, 20_000).unwrap();
        let refused = ledger.charge(&secret, &input, &context(3), 8_000, 20_000);
        assert!(matches!(refused, Err(LedgerError::Budget { spent_millibits: 16_000, .. })));
        let asked = ledger.allows(&secret, &input, &context(3), 8_000, 20_000);
        assert!(matches!(asked, Err(LedgerError::Budget { spent_millibits: 16_000, .. })));
        ledger.allows(&secret, &input, &context(2), 8_000, 20_000).unwrap();
        ledger.allows(&secret, &input, &context(3), 4_000, 20_000).unwrap();
        assert_eq!(ledger.entries(&secret, &input).unwrap().len(), 2);
        let other = InputIdentity::of_tensor(b"another image");
        ledger.charge(&secret, &other, &context(3), 8_000, 20_000).unwrap();
    }

    #[test]
    fn a_damaged_page_stops_the_release() {
        let folder = tempfile::tempdir().unwrap();
        let secret = ReleaseSecret::open_or_create(&folder.path().join("secret")).unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let input = InputIdentity::of_tensor(b"an image");
        fs::write(ledger.page(&secret, &input), [1, 255, 255]).unwrap();
        assert!(matches!(ledger.charge(&secret, &input, &context(1), 1, 9), Err(LedgerError::Damaged { .. })));
    }
}
