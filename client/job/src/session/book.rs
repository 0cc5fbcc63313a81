//! The book of one session: what was agreed, what is counted, every voucher that was signed.

use crate::journal::{JournalError, lock, write};
use codec::{Decode, Encode};
use encompute_host::files::{self, Lock};
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, PolicyId, SessionId, SigningAddress, SplitIndex, VersionHash, VersionId,
    session::{
        SessionLeaf, SignedVoucher,
        calls::{SignedReceipt, VoucherCall},
        count::SessionCount,
    },
    signing::SigningKey,
    wire::Message,
};
use std::{
    io,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// What is written down about a session. No input, no decrypted value.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BookRecord {
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
    /// Who runs the heads.
    pub worker: Address,
    /// No transaction of this session is older.
    pub prepared_at: BlockNumber,
    /// The session once the chain has named it: until then its number is zero.
    pub count: SessionCount,
    /// Request blob of the job in hand.
    pub current: Option<BlobDigest>,
    /// Vouchers that worker and creator have taken.
    pub told: (u32, u32),
}

impl Message for BookRecord {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 64 * 1024;
}

/// An open book; it holds a lock, so that two processes never sign for one session.
pub struct Book {
    folder: PathBuf,
    record: BookRecord,
    _lock: Lock,
}

const RECORD: &str = "record";
const KEY: &str = "voucher.key";

impl Book {
    /// Starts a book under a new key, which is on disk before anything is paid for it.
    pub(super) fn create(home: &Path, record: BookRecord, key: &SigningKey) -> Result<Self, JournalError> {
        let folder = folder_of(home, &record.count.name().key);
        files::make_folder(&folder).map_err(|source| JournalError::File { path: folder.clone(), source })?;
        let lock = lock(&folder)?;
        write(&folder.join(KEY), key.secret().as_slice())?;
        let book = Self { folder, record, _lock: lock };
        book.save()?;
        Ok(book)
    }

    /// Every session that this home knows, in order.
    ///
    /// # Errors
    /// [`JournalError`], with the first record that cannot be read.
    pub fn list(home: &Path) -> Result<Vec<BookRecord>, JournalError> {
        let folder = home.join("sessions");
        let entries = match files::list(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(JournalError::File { path: folder, source }),
        };
        let mut records = Vec::new();
        for entry in entries {
            match read_record(&entry.join(RECORD)) {
                // One whose creation was interrupted: nothing was paid for it.
                Err(JournalError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                record => records.push(record?),
            }
        }
        records.sort_by_key(|record| (record.count.name().session, record.prepared_at));
        Ok(records)
    }

    /// Opens the book whose vouchers a key signs.
    ///
    /// # Errors
    /// [`JournalError`]; [`JournalError::Busy`] while another process has it.
    pub fn open(home: &Path, key: &SigningAddress) -> Result<Self, JournalError> {
        let folder = folder_of(home, key);
        let lock = lock(&folder)?;
        let record = read_record(&folder.join(RECORD))?;
        Ok(Self { folder, record, _lock: lock })
    }

    /// What is written down.
    pub fn record(&self) -> &BookRecord {
        &self.record
    }

    /// The session; zero before the chain has named it.
    pub fn session(&self) -> SessionId {
        self.record.count.name().session
    }

    pub(super) fn update(&mut self, change: impl FnOnce(&mut BookRecord)) -> Result<(), JournalError> {
        change(&mut self.record);
        self.save()
    }

    fn key(&self) -> Result<SigningKey, JournalError> {
        let path = self.folder.join(KEY);
        let bytes = files::read(&path).map_err(|source| JournalError::File { path: path.clone(), source })?;
        let bytes = Zeroizing::new(bytes);
        let secret = <&[u8; 32]>::try_from(bytes.as_slice()).ok();
        let key = secret.and_then(|secret| SigningKey::from_secret(secret).ok());
        key.ok_or_else(|| JournalError::Damaged { path, found: "it is no secp256k1 key".into() })
    }

    /// Signs for the next job, and keeps what was signed before anybody has it. A job is signed for once: whoever was
    /// cut off after it finds it here.
    pub(super) fn sign(&mut self, leaf: SessionLeaf) -> Result<(), JournalError> {
        let count = &self.record.count;
        let (voucher, index) = (count.voucher_with(&leaf), count.done());
        let call = VoucherCall { signed: SignedVoucher { voucher, signature: self.key()?.sign(&voucher) }, leaf };
        write(&self.voucher_file(index), &call.to_wire())?;
        let (mut next, path) = (count.clone(), self.voucher_file(index));
        next.take(&call).map_err(|error| JournalError::Damaged { path, found: error.to_string() })?;
        self.update(|record| (record.count, record.current) = (next, None))
    }

    /// The last voucher; before the first job one over nothing.
    pub(super) fn last(&self) -> Result<SignedVoucher, JournalError> {
        match self.record.count.voucher() {
            Some(signed) => Ok(*signed),
            None => {
                let voucher = self.record.count.present();
                Ok(SignedVoucher { voucher, signature: self.key()?.sign(&voucher) })
            }
        }
    }

    /// Signs something else with the session's key.
    pub(super) fn signature<S: encompute_protocol::Signed>(
        &self,
        value: &S,
    ) -> Result<encompute_protocol::Signature, JournalError> {
        Ok(self.key()?.sign(value))
    }

    /// The voucher that was signed for the job of index `index`.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn voucher(&self, index: u32) -> Result<VoucherCall, JournalError> {
        let path = self.voucher_file(index);
        let bytes = files::read(&path).map_err(|source| JournalError::File { path: path.clone(), source })?;
        VoucherCall::from_wire(&bytes).map_err(|error| JournalError::Damaged { path, found: error.to_string() })
    }

    /// Every job that is over, in order.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn leaves(&self) -> Result<Vec<SessionLeaf>, JournalError> {
        (0..self.record.count.done()).map(|index| self.voucher(index).map(|call| call.leaf)).collect()
    }

    /// Keeps what the worker signed for the job of index `index`: an auditor asks for it.
    pub(super) fn keep_receipt(&self, index: u32, signed: &SignedReceipt) -> Result<(), JournalError> {
        write(&self.receipt_file(index), &signed.to_wire())
    }

    /// What the worker signed for the job of index `index`; none if there is none.
    pub fn receipt(&self, index: u32) -> Option<SignedReceipt> {
        files::read(&self.receipt_file(index)).ok().and_then(|bytes| SignedReceipt::from_wire(&bytes).ok())
    }

    fn receipt_file(&self, index: u32) -> PathBuf {
        self.folder.join(format!("receipt-{index:06}"))
    }

    fn voucher_file(&self, index: u32) -> PathBuf {
        self.folder.join(format!("voucher-{index:06}"))
    }

    fn save(&self) -> Result<(), JournalError> {
        write(&self.folder.join(RECORD), &self.record.to_wire())
    }
}

fn folder_of(home: &Path, key: &SigningAddress) -> PathBuf {
    home.join("sessions").join(key.to_string())
}

fn read_record(path: &Path) -> Result<BookRecord, JournalError> {
    let bytes = files::read(path).map_err(|source| JournalError::File { path: path.to_owned(), source })?;
    BookRecord::from_wire(&bytes)
        .map_err(|error| JournalError::Damaged { path: path.to_owned(), found: error.to_string() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use encompute_protocol::{
        ContractAddress, GenesisHash, JobId, ReceiptDigest,
        session::{SessionOutcome, count::SessionName, tree::SessionTree},
    };

    fn key() -> SigningKey {
        SigningKey::from_secret(&[3; 32]).unwrap()
    }

    fn a_book(home: &Path) -> Book {
        let (genesis, contract, key) = (GenesisHash([1; 32]), ContractAddress([2; 20]), key());
        let name = SessionName { genesis, contract, session: SessionId(7), key: key.address(), jobs: 3 };
        let record = BookRecord {
            user: Address([3; 20]),
            model: "digits".into(),
            version: VersionId(1),
            manifest: VersionHash([4; 32]),
            split: SplitIndex(0),
            policy: PolicyId(1),
            worker: Address([5; 20]),
            prepared_at: BlockNumber(9),
            count: SessionCount::new(name),
            current: None,
            told: (0, 0),
        };
        Book::create(home, record, &key).unwrap()
    }

    fn leaf(job: u64, outcome: SessionOutcome) -> SessionLeaf {
        let (input, features, result) = (BlobDigest([1; 32]), BlobDigest([2; 32]), BlobDigest([3; 32]));
        SessionLeaf { job: JobId(job), input, receipt: ReceiptDigest([4; 32]), features, result, outcome }
    }

    #[test]
    fn what_was_signed_is_there_after_a_restart_and_payees_take_it() {
        let home = tempfile::tempdir().unwrap();
        let mut book = a_book(home.path());
        assert_eq!(book.last().unwrap().voucher.done, 0);
        book.sign(leaf(7, SessionOutcome::Settled)).unwrap();
        book.sign(leaf(8, SessionOutcome::HeadOnly)).unwrap();
        let (record, address) = (book.record().clone(), key().address());
        drop(book);
        assert_eq!(Book::list(home.path()).unwrap(), std::slice::from_ref(&record));
        let book = Book::open(home.path(), &address).unwrap();
        assert_eq!(book.record(), &record);
        let leaves = book.leaves().unwrap();
        assert_eq!(book.last().unwrap().voucher.root, SessionTree::of(&leaves).root());
        let mut payee = SessionCount::new(*record.count.name());
        (0..2).for_each(|index| payee.take(&book.voucher(index).unwrap()).unwrap());
        assert_eq!(payee, record.count);
    }

    #[test]
    fn two_processes_cannot_sign_for_one_session() {
        let home = tempfile::tempdir().unwrap();
        let _first = a_book(home.path());
        assert!(matches!(Book::open(home.path(), &key().address()), Err(JournalError::Busy { .. })));
    }
}
