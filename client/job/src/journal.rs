//! The journal: everything that a later run needs, written before it is relied upon.
//!
//! One folder a job under `HOME/jobs`, named by the request blob's digest, for its owner alone. The
//! FHE key in it is sealed under the machine's secret; ciphertexts are there because a repeated
//! round must send the same bytes again.

use crate::turns::Finding;
use codec::{Decode, Encode};
use encompute_host::files::{self, Lock};
use encompute_keys::{KeyLock, LockError, MachineSecret, SecretKey};
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, ContractAddress, GenesisHash, JobId, JobRequest, Plancks, PolicyId, RoundReceipt,
    RoundReceiptDigest, Signature, SplitIndex, VersionHash, VersionId, Witnesses, wire::Message,
};
use std::{
    io,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// What is written down about a job. No input, no decrypted value.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Record {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// Who pays.
    pub user: Address,
    /// The model's name, for lists.
    pub model: String,
    /// The version.
    pub version: VersionId,
    /// Hash of its manifest.
    pub manifest: VersionHash,
    /// The split.
    pub split: SplitIndex,
    /// The release policy.
    pub policy: PolicyId,
    /// To the worker on top.
    pub tip: Plancks,
    /// How many witnesses the release waits for.
    pub witnesses: Option<Witnesses>,
    /// Whether the release waits for a quote over the worker's receipt.
    pub quote: bool,
    /// Who pays, where that is not the user.
    pub sponsor: Option<Address>,
    /// How its worker is found.
    pub finding: Finding,
    /// The request blob.
    pub input: BlobDigest,
    /// Digest of the first round's tensor inside it.
    pub tensor: BlobDigest,
    /// A keyed name of the input for memoised noise; see `encompute_release::InputIdentity`.
    pub identity: [u8; 32],
    /// No transaction of this job is older.
    pub prepared_at: BlockNumber,
    /// The job, once the chain has named it.
    pub job: Option<JobId>,
    /// Rounds whose answers were verified and decrypted: link of the last receipt, digest of the next request.
    pub rounds: Vec<RoundDone>,
    /// Sealed features, once they exist.
    pub features: Option<BlobDigest>,
    /// The answer, once it was opened: scores in millionths.
    pub scores: Option<Vec<u32>>,
    /// Ciphertext bytes sent and received.
    pub bytes: (u64, u64),
}

/// A round that is behind us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RoundDone {
    /// Its receipt.
    pub link: RoundReceiptDigest,
    /// Its response.
    pub response: BlobDigest,
    /// The request of the round after it; the digest of no bytes after the last.
    pub next: BlobDigest,
    /// Who gave the receipt.
    pub worker: Address,
    /// The receipt, signed: what another worker is shown that is to go on behind it.
    pub signed: (RoundReceipt, Signature),
}

impl Message for Record {
    const VERSION: u8 = 5;
    const LIMIT_BYTES: usize = 1024 * 1024;
}

/// Secrets of one job besides its FHE key.
pub struct JobSecrets {
    /// Signs rounds.
    pub session: Zeroizing<[u8; 32]>,
    /// Opens the result.
    pub result: Zeroizing<[u8; 32]>,
}

/// The journal could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Reading or writing failed.
    #[error("{path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not one of ours.
    #[error("{path} is damaged: {found}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// The key file.
    #[error("the job's FHE key {path}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: LockError,
    },
    /// Another process drives this job.
    #[error("another process is driving this job ({path} is locked)")]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
}

/// An open journal; it holds a lock, so that two processes never drive one job.
pub struct Journal {
    folder: PathBuf,
    record: Record,
    _lock: Lock,
}

const RECORD: &str = "record";
const KEY: &str = "fhe.key";
const SECRETS: &str = "secrets";

impl Journal {
    /// Starts a journal. The secrets are on disk before anything that needs them is sent.
    ///
    /// # Errors
    /// [`JournalError`]; an earlier journal of the same input is left as it is.
    pub fn create(
        home: &Path,
        record: Record,
        key: &SecretKey,
        secrets: &JobSecrets,
        machine: &MachineSecret,
    ) -> Result<Self, JournalError> {
        let folder = folder_of(home, &record.input);
        files::make_folder(&folder).map_err(|source| JournalError::File { path: folder.clone(), source })?;
        let lock = lock(&folder)?;
        let path = folder.join(KEY);
        key.seal_to_file(&path, &KeyLock::Machine(machine)).map_err(|source| JournalError::Key { path, source })?;
        let both = Zeroizing::new([secrets.session.as_slice(), secrets.result.as_slice()].concat());
        write(&folder.join(SECRETS), &both)?;
        let journal = Self { folder, record, _lock: lock };
        journal.save()?;
        Ok(journal)
    }

    /// Opens the journal of a job on a chain; none if this home has none.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn find(
        home: &Path,
        genesis: GenesisHash,
        contract: ContractAddress,
        job: JobId,
    ) -> Result<Option<Self>, JournalError> {
        let found = Self::list(home)?
            .into_iter()
            .find(|record| record.genesis == genesis && record.contract == contract && record.job == Some(job));
        found.map(|record| Self::open(&folder_of(home, &record.input))).transpose()
    }

    /// Every job that this home knows, oldest first.
    ///
    /// # Errors
    /// [`JournalError`], with the first record that cannot be read.
    pub fn list(home: &Path) -> Result<Vec<Record>, JournalError> {
        let folder = home.join("jobs");
        let entries = match files::list(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(JournalError::File { path: folder, source }),
        };
        let mut records = Vec::new();
        for entry in entries {
            let path = entry.join(RECORD);
            // A folder without a record is one whose creation was interrupted: nothing was sent for it.
            match read_record(&path) {
                Err(JournalError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                record => records.push(record?),
            }
        }
        records.sort_by_key(|record| (record.job, record.prepared_at));
        Ok(records)
    }

    /// Opens the journal of an input.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open_input(home: &Path, input: &BlobDigest) -> Result<Self, JournalError> {
        Self::open(&folder_of(home, input))
    }

    fn open(folder: &Path) -> Result<Self, JournalError> {
        let lock = lock(folder)?;
        let record = read_record(&folder.join(RECORD))?;
        Ok(Self { folder: folder.to_owned(), record, _lock: lock })
    }

    /// What is written down.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Changes the record and writes it before it returns.
    ///
    /// # Errors
    /// [`JournalError::File`]; the file then holds the record from before.
    pub fn update(&mut self, change: impl FnOnce(&mut Record)) -> Result<(), JournalError> {
        change(&mut self.record);
        self.save()
    }

    /// The FHE key.
    ///
    /// # Errors
    /// [`JournalError::Key`].
    pub fn key(&self, machine: &MachineSecret) -> Result<SecretKey, JournalError> {
        let path = self.folder.join(KEY);
        SecretKey::open_file(&path, &KeyLock::Machine(machine)).map_err(|source| JournalError::Key { path, source })
    }

    /// The other secrets.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn secrets(&self) -> Result<JobSecrets, JournalError> {
        let path = self.folder.join(SECRETS);
        let bytes =
            Zeroizing::new(files::read(&path).map_err(|source| JournalError::File { path: path.clone(), source })?);
        let half = |at: usize| bytes.get(at..at + 32).and_then(|half| <[u8; 32]>::try_from(half).ok());
        match (half(0), half(32), bytes.len()) {
            (Some(session), Some(result), 64) => Ok(JobSecrets { session: session.into(), result: result.into() }),
            _ => Err(JournalError::Damaged { path, found: format!("{} bytes, it must have 64", bytes.len()) }),
        }
    }

    /// Keeps bytes that may have to be sent again: a request, sealed features.
    ///
    /// # Errors
    /// [`JournalError::File`].
    pub fn keep(&self, bytes: &[u8]) -> Result<BlobDigest, JournalError> {
        let digest = BlobDigest::of(bytes);
        write(&self.folder.join(digest.to_string()), bytes)?;
        Ok(digest)
    }

    /// Keeps the bytes of a file elsewhere in this home, without another copy where the disk allows it.
    ///
    /// # Errors
    /// [`JournalError`], also when the file is not what its digest says.
    pub(crate) fn adopt(&self, file: &Path, digest: &BlobDigest) -> Result<(), JournalError> {
        let path = self.folder.join(digest.to_string());
        files::share(file, &path).map_err(|source| JournalError::File { path: file.to_owned(), source })?;
        self.kept(digest).map(drop)
    }

    /// Bytes that were kept.
    ///
    /// # Errors
    /// [`JournalError`], also when they are not what was kept.
    pub fn kept(&self, digest: &BlobDigest) -> Result<Vec<u8>, JournalError> {
        let path = self.folder.join(digest.to_string());
        let bytes = files::read(&path).map_err(|source| JournalError::File { path: path.clone(), source })?;
        match BlobDigest::of(&bytes) == *digest {
            true => Ok(bytes),
            false => Err(JournalError::Damaged { path, found: "its digest is another".into() }),
        }
    }

    /// What the worker needs from the store: the request, then the parts of its evaluation key.
    ///
    /// # Errors
    /// [`JournalError`] if the request is not what was kept.
    pub(crate) fn request_blobs(&self) -> Result<Vec<BlobDigest>, JournalError> {
        let input = self.record.input;
        let request = JobRequest::from_wire(&self.kept(&input)?).map_err(|error| {
            let path = self.folder.join(input.to_string());
            JournalError::Damaged { path, found: error.to_string() }
        })?;
        Ok([input].into_iter().chain(request.evaluation_key).collect())
    }

    /// Removes what a creation that was cut off has left of an input: keys without a record, for which nothing was sent.
    /// A journal with a record stays as it is.
    ///
    /// # Errors
    /// [`JournalError::File`] for the first file that stays.
    pub fn clear_unfinished(home: &Path, input: &BlobDigest) -> Result<(), JournalError> {
        let folder = folder_of(home, input);
        match files::read(&folder.join(RECORD)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            _ => return Ok(()),
        }
        for path in [KEY, SECRETS].map(|name| folder.join(name)) {
            match files::remove(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(JournalError::File { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes everything that was written down, keys first.
    ///
    /// # Errors
    /// [`JournalError::File`] for the first file that stays.
    pub fn wipe(self) -> Result<(), JournalError> {
        let failed = |path: PathBuf| move |source| JournalError::File { path, source };
        let rest = files::list(&self.folder).map_err(failed(self.folder.clone()))?;
        for path in [KEY, SECRETS, RECORD].map(|name| self.folder.join(name)).into_iter().chain(rest) {
            match files::remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(path)(error)),
                _ => {}
            }
        }
        files::remove_folder(&self.folder).map_err(failed(self.folder.clone()))
    }

    fn save(&self) -> Result<(), JournalError> {
        write(&self.folder.join(RECORD), &self.record.to_wire())
    }
}

fn folder_of(home: &Path, input: &BlobDigest) -> PathBuf {
    home.join("jobs").join(input.to_string())
}

fn read_record(path: &Path) -> Result<Record, JournalError> {
    let bytes = files::read(path).map_err(|source| JournalError::File { path: path.to_owned(), source })?;
    Record::from_wire(&bytes).map_err(|error| JournalError::Damaged { path: path.to_owned(), found: error.to_string() })
}

pub(crate) fn lock(folder: &Path) -> Result<Lock, JournalError> {
    let path = folder.join("lock");
    match files::try_lock(&path) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(JournalError::Busy { path }),
        Err(source) => Err(JournalError::File { path, source }),
    }
}

pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), JournalError> {
    files::replace(path, bytes).map_err(|source| JournalError::File { path: path.to_owned(), source })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use encompute_fhe::ParameterSet;
    use std::fs;

    fn record() -> Record {
        Record {
            genesis: GenesisHash([1; 32]),
            contract: ContractAddress([2; 20]),
            user: Address([3; 20]),
            model: "digits".into(),
            version: VersionId(1),
            manifest: VersionHash([4; 32]),
            split: SplitIndex(0),
            policy: PolicyId(1),
            witnesses: None,
            quote: false,
            sponsor: None,
            finding: Finding::Offer,
            tip: Plancks::ZERO,
            input: BlobDigest([5; 32]),
            tensor: BlobDigest([6; 32]),
            identity: [7; 32],
            prepared_at: BlockNumber(9),
            job: None,
            rounds: Vec::new(),
            features: None,
            scores: None,
            bytes: (0, 0),
        }
    }

    fn journal(home: &Path) -> Journal {
        let secrets = JobSecrets { session: [8; 32].into(), result: [9; 32].into() };
        let key = SecretKey::generate(ParameterSet::Glwe2048V1);
        Journal::create(home, record(), &key, &secrets, &MachineSecret([1; 32])).unwrap()
    }

    #[test]
    fn a_reopened_journal_has_what_was_written() {
        let home = tempfile::tempdir().unwrap();
        let mut first = journal(home.path());
        first.update(|record| record.job = Some(JobId(7))).unwrap();
        let digest = first.keep(b"a request").unwrap();
        drop(first);
        let again =
            Journal::find(home.path(), GenesisHash([1; 32]), ContractAddress([2; 20]), JobId(7)).unwrap().unwrap();
        assert_eq!(again.record().job, Some(JobId(7)));
        assert_eq!(again.kept(&digest).unwrap(), b"a request");
        assert_eq!(*again.secrets().unwrap().result, [9; 32]);
        assert!(again.key(&MachineSecret([2; 32])).is_err());
        assert!(again.key(&MachineSecret([1; 32])).is_ok());
    }

    #[test]
    fn a_journal_whose_creation_was_cut_off_can_be_begun_again_and_a_whole_one_stays() {
        let home = tempfile::tempdir().unwrap();
        let first = journal(home.path());
        let input = first.record().input;
        Journal::clear_unfinished(home.path(), &input).unwrap();
        assert!(first.key(&MachineSecret([1; 32])).is_ok(), "a whole one stays");
        fs::remove_file(first.folder.join(RECORD)).unwrap();
        drop(first);
        Journal::clear_unfinished(home.path(), &input).unwrap();
        let again = journal(home.path());
        let folder = again.folder.clone();
        again.wipe().unwrap();
        assert!(!folder.exists());
        Journal::clear_unfinished(home.path(), &input).unwrap();
    }

    #[test]
    fn two_processes_cannot_drive_one_job() {
        let home = tempfile::tempdir().unwrap();
        let first = journal(home.path());
        let second = Journal::open_input(home.path(), &first.record().input);
        assert!(matches!(second, Err(JournalError::Busy { .. })));
    }

    #[test]
    fn altered_bytes_are_noticed() {
        let home = tempfile::tempdir().unwrap();
        let journal = journal(home.path());
        let digest = journal.keep(b"sealed").unwrap();
        fs::write(journal.folder.join(digest.to_string()), b"altered").unwrap();
        assert!(matches!(journal.kept(&digest), Err(JournalError::Damaged { .. })));
    }
}
