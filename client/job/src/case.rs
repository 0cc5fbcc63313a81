//! Cases: one FHE key for several jobs, so that its evaluation key is made and sent once.
//!
//! A key serves one case, of one patient say: what decryptions give away is then tied to that case alone, and
//! whoever runs its jobs can tell that they belong together. A job that names no case is one by itself.

use crate::journal::{JournalError, lock, write};
use codec::{Decode, Encode};
use core::{fmt, str::FromStr};
use encompute_fhe::{BootstrapSet, ParameterSet};
use encompute_host::files;
use encompute_keys::{KeyLock, MachineSecret, SecretKey};
use encompute_protocol::{
    BlobDigest,
    manifest::{EVALUATION_KEY_PART_BYTES, EVALUATION_KEY_PARTS_LIMIT},
    wire::{self, DecodeError, Message},
};
use std::path::{Path, PathBuf};

/// Most jobs of a case: what an answer gives away about a key is bounded by how often it is asked.
pub const JOBS_LIMIT: u32 = 1_024;

/// A case's name: 1 to 64 letters, digits, hyphens and underscores, so that it is a folder's, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseName(String);

impl FromStr for CaseName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        match (1..=64).contains(&text.len()) && text.chars().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err("a case's name is 1 to 64 letters, digits, hyphens and underscores".to_owned()),
        }
    }
}

impl fmt::Display for CaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a case cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// Its key was made for another parameter set.
    #[error("case {case} has a key of {found}, the split takes {wanted}: give the job another case")]
    Sets {
        /// Which case.
        case: CaseName,
        /// The key's sets.
        found: String,
        /// The split's.
        wanted: String,
    },
    /// A split that needs no evaluation key.
    #[error("the split needs no evaluation key, so each of its jobs gets a key of its own: leave the case out")]
    NotNeeded,
    /// As many jobs as one key may serve.
    #[error("case {case} has had {JOBS_LIMIT} jobs, as many as one key may serve: begin another case")]
    Full {
        /// Which case.
        case: CaseName,
    },
    /// An evaluation key that was not made.
    #[error("make the evaluation key")]
    Key(#[source] encompute_keys::EvaluationKeyRefused),
    /// Its files.
    #[error("the files of case {case}")]
    Files {
        /// Which case.
        case: CaseName,
        /// Why.
        #[source]
        source: JournalError,
    },
}

/// What a job is encrypted and computed under.
pub(crate) struct JobKeys {
    pub key: SecretKey,
    /// Of the evaluation key; none where there is none.
    pub parts: Vec<Part>,
}

/// A part of an evaluation key.
pub(crate) struct Part {
    pub digest: BlobDigest,
    pub bytes: PartBytes,
}

pub(crate) enum PartBytes {
    Fresh(Vec<u8>),
    OfCase(PathBuf),
}

/// What is written down about a case.
#[derive(Encode, Decode)]
struct Record {
    parameter_set: ParameterSet,
    set: BootstrapSet,
    parts: Vec<BlobDigest>,
    jobs: u32,
}

impl Message for Record {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 4 * 1024;

    fn check_counts(mut value: &[u8]) -> Result<(), DecodeError> {
        wire::skip::<(ParameterSet, BootstrapSet)>(&mut value)?;
        wire::count(&mut value, "parts of the evaluation key", EVALUATION_KEY_PARTS_LIMIT).map(drop)
    }
}

const RECORD: &str = "case";
const KEY: &str = "fhe.key";

impl JobKeys {
    /// Keys for one job alone.
    ///
    /// # Errors
    /// [`CaseError::Key`].
    pub fn fresh(parameter_set: ParameterSet, set: Option<BootstrapSet>) -> Result<Self, CaseError> {
        let key = SecretKey::generate(parameter_set);
        let Some(set) = set else { return Ok(Self { key, parts: Vec::new() }) };
        let evaluation = key.evaluation_key(set).map_err(CaseError::Key)?;
        let part = |bytes: &[u8]| Part { digest: BlobDigest::of(bytes), bytes: PartBytes::Fresh(bytes.to_vec()) };
        let parts = evaluation.to_bytes().chunks(EVALUATION_KEY_PART_BYTES).map(part).collect();
        Ok(Self { key, parts })
    }

    /// Keys of a case, made with its first job; counts one job more.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn of_case(
        home: &Path,
        case: &CaseName,
        parameter_set: ParameterSet,
        set: BootstrapSet,
        machine: &MachineSecret,
    ) -> Result<Self, CaseError> {
        let failed = |source| CaseError::Files { case: case.clone(), source };
        let folder = home.join("cases").join(&case.0);
        files::make_folder(&folder).map_err(|source| failed(JournalError::File { path: folder.clone(), source }))?;
        let _lock = lock(&folder).map_err(failed)?;
        let path = folder.join(RECORD);
        let mut record = match files::read(&path) {
            Ok(bytes) => Record::from_wire(&bytes)
                .map_err(|error| failed(JournalError::Damaged { path: path.clone(), found: error.to_string() }))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                begin(&folder, parameter_set, set, machine).map_err(|error| error.named(case))?
            }
            Err(source) => return Err(failed(JournalError::File { path, source })),
        };
        if (record.parameter_set, record.set) != (parameter_set, set) {
            let words = |ring: ParameterSet, set: BootstrapSet| format!("{ring} and {set}");
            let (found, wanted) = (words(record.parameter_set, record.set), words(parameter_set, set));
            return Err(CaseError::Sets { case: case.clone(), found, wanted });
        }
        if record.jobs >= JOBS_LIMIT {
            return Err(CaseError::Full { case: case.clone() });
        }
        record.jobs += 1;
        write(&path, &record.to_wire()).map_err(failed)?;
        let path = folder.join(KEY);
        let key = SecretKey::open_file(&path, &KeyLock::Machine(machine))
            .map_err(|source| failed(JournalError::Key { path, source }))?;
        let part = |digest: &BlobDigest| {
            let bytes = PartBytes::OfCase(folder.join(digest.to_string()));
            Part { digest: *digest, bytes }
        };
        Ok(Self { key, parts: record.parts.iter().map(part).collect() })
    }
}

/// A failure before it is known of which case.
enum Begin {
    Key(encompute_keys::EvaluationKeyRefused),
    Files(JournalError),
}

impl Begin {
    fn named(self, case: &CaseName) -> CaseError {
        match self {
            Self::Key(source) => CaseError::Key(source),
            Self::Files(source) => CaseError::Files { case: case.clone(), source },
        }
    }
}

/// Makes a case's keys. Its record is written last: without one nothing was ever sent, and all is made anew.
fn begin(
    folder: &Path,
    parameter_set: ParameterSet,
    set: BootstrapSet,
    machine: &MachineSecret,
) -> Result<Record, Begin> {
    let key = SecretKey::generate(parameter_set);
    let evaluation = key.evaluation_key(set).map_err(Begin::Key)?;
    let path = folder.join(KEY);
    match files::remove(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Begin::Files(JournalError::File { path, source: error }));
        }
        _ => {}
    }
    key.seal_to_file(&path, &KeyLock::Machine(machine))
        .map_err(|source| Begin::Files(JournalError::Key { path, source }))?;
    let mut parts = Vec::new();
    for part in evaluation.to_bytes().chunks(EVALUATION_KEY_PART_BYTES) {
        let digest = BlobDigest::of(part);
        write(&folder.join(digest.to_string()), part).map_err(Begin::Files)?;
        parts.push(digest);
    }
    Ok(Record { parameter_set, set, parts, jobs: 0 })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    const SETS: (ParameterSet, BootstrapSet) = (ParameterSet::Glwe2048V1, BootstrapSet::FourBitsV1);

    fn keys(home: &Path, case: &str) -> Result<JobKeys, CaseError> {
        JobKeys::of_case(home, &case.parse().unwrap(), SETS.0, SETS.1, &MachineSecret([1; 32]))
    }

    fn parts(keys: &JobKeys) -> Vec<BlobDigest> {
        keys.parts.iter().map(|part| part.digest).collect()
    }

    #[test]
    fn jobs_of_a_case_share_its_keys_and_those_of_another_do_not() {
        let home = tempfile::tempdir().unwrap();
        let [first, second, other] = ["anna", "anna", "bert"].map(|case| keys(home.path(), case).unwrap());
        assert_eq!(parts(&first), parts(&second));
        assert_ne!(parts(&first), parts(&other));
        let blinding = |keys: &JobKeys| keys.key.blinding_key().to_bytes();
        assert_eq!(blinding(&first), blinding(&second));
        assert_ne!(blinding(&first), blinding(&other));
        for part in &first.parts {
            let PartBytes::OfCase(path) = &part.bytes else { unreachable!("a case's parts are files") };
            assert_eq!(BlobDigest::of(&fs::read(path).unwrap()), part.digest);
        }
    }

    #[test]
    fn a_case_that_was_cut_off_while_its_keys_were_made_is_begun_anew() {
        let home = tempfile::tempdir().unwrap();
        let first = keys(home.path(), "anna").unwrap();
        fs::remove_file(home.path().join("cases/anna").join(RECORD)).unwrap();
        assert_ne!(parts(&first), parts(&keys(home.path(), "anna").unwrap()));
    }

    #[test]
    fn a_key_serves_as_many_jobs_as_it_may() {
        let home = tempfile::tempdir().unwrap();
        keys(home.path(), "anna").unwrap();
        let path = home.path().join("cases/anna").join(RECORD);
        let mut record = Record::from_wire(&fs::read(&path).unwrap()).unwrap();
        record.jobs = JOBS_LIMIT - 1;
        fs::write(&path, record.to_wire()).unwrap();
        assert!(keys(home.path(), "anna").is_ok());
        assert!(matches!(keys(home.path(), "anna"), Err(CaseError::Full { .. })));
    }

    #[test]
    fn a_name_that_is_no_folder_is_refused() {
        for wrong in ["", ".", "..", "a/b", "a b", "ä", &"a".repeat(65)] {
            assert!(wrong.parse::<CaseName>().is_err(), "{wrong:?}");
        }
        assert_eq!("patient_7-a".parse::<CaseName>().unwrap().to_string(), "patient_7-a");
    }
}
