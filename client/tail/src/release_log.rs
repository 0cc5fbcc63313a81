//! Who was given which head's key: one JSON line each, written before the key leaves.
//!
//! If weights leak, this says to which attested machines they had gone.

use encompute_attest::Verdict;
use encompute_protocol::{Address, SplitIndex, VersionId};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The log of one service, only ever appended to.
pub(crate) struct ReleaseLog(Mutex<File>);

impl ReleaseLog {
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        Ok(Self(Mutex::new(file)))
    }

    /// Writes that the key of a head goes to `worker`, by the word of `verdict`, at `now` in Unix seconds.
    pub(crate) fn record(
        &self,
        worker: Address,
        version: VersionId,
        split: SplitIndex,
        verdict: &Verdict,
        now: u64,
    ) -> std::io::Result<()> {
        let line = json!({
            "at": now,
            "worker": worker.to_string(),
            "version": version.0,
            "split": split.0,
            "quote": verdict.claims.quote.to_string(),
            "measurement": verdict.measurement_id.to_string(),
            "root": verdict.claims.root.to_string(),
            "tcb_status": verdict.claims.tcb_status.to_string(),
        });
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(file, "{line}")?;
        file.sync_data()
    }
}
