//! Making a block out of transactions, and executing a finished one again.

use crate::{
    genesis::drain,
    runtime::{BlockNumber, Hash, Header, Runtime, UncheckedExtrinsic},
    state::{CallError, Overlay, ReadStateError, State},
    store::{Reader, Store, StoreError, StoredBlock},
};
use codec::{Compact, Decode, Encode};
use sp_inherents::InherentData;
use sp_runtime::{
    ApplyExtrinsicResult,
    traits::{BlakeTwo256, Header as _},
    transaction_validity::TransactionValidityError,
};
use sp_state_machine::BackendTransaction;

/// Key of the time in the inherent data, by convention of the timestamp pallet.
const TIMESTAMP_INHERENT: [u8; 8] = *b"timstap0";

/// A block could not be made. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The runtime refused to open or close the block.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The parent's state cannot be read.
    #[error(transparent)]
    State(#[from] ReadStateError),
    /// The runtime's answer does not decode, or its root is not the root of what it changed.
    #[error("the runtime answered {0} with nonsense")]
    Nonsense(&'static str),
}

/// A block in the making, on top of its parent's state.
pub(crate) struct Draft<'a> {
    state: &'a State,
    overlay: Overlay,
    body: Vec<Vec<u8>>,
}

/// What became of one transaction offered to a draft.
pub(crate) enum Applied {
    /// It is in the block, whether or not its call succeeded.
    Included,
    /// It may not be in this block; the draft is unchanged.
    Refused(TransactionValidityError),
    /// It made the runtime panic; the draft is unchanged.
    Broken,
}

/// A finished block and the trie nodes it made.
pub(crate) struct Sealed {
    pub(crate) block: StoredBlock,
    pub(crate) nodes: BackendTransaction<BlakeTwo256>,
}

impl<'a> Draft<'a> {
    /// Opens the block after `parent`, with the inherents for `now_ms` (Unix time) or the first moment the
    /// timestamp pallet allows, whichever is later.
    pub(crate) fn open(state: &'a State, parent: &Header, now_ms: u64) -> Result<Self, BuildError> {
        let last_ms = state.value(&pallet_timestamp::Now::<Runtime>::hashed_key())?;
        let last_ms = last_ms.and_then(|bytes| u64::decode(&mut bytes.as_slice()).ok()).unwrap_or_default();
        let header =
            Header::new(parent.number.saturating_add(1), Hash::zero(), Hash::zero(), parent.hash(), Default::default());
        let mut draft = Self { state, overlay: Overlay::default(), body: Vec::new() };
        draft.call("Core_initialize_block", &header.encode())?;

        let mut inherents = InherentData::new();
        inherents
            .put_data(TIMESTAMP_INHERENT, &now_ms.max(last_ms.saturating_add(1)))
            .expect("the identifier is put once; qed");
        let made = draft.call("BlockBuilder_inherent_extrinsics", &inherents.encode())?;
        let made = Vec::<UncheckedExtrinsic>::decode(&mut made.as_slice())
            .map_err(|_| BuildError::Nonsense("BlockBuilder_inherent_extrinsics"))?;
        for inherent in made {
            match draft.apply(&inherent.encode())? {
                Applied::Included => {}
                _ => return Err(BuildError::Nonsense("BlockBuilder_inherent_extrinsics")),
            }
        }
        Ok(draft)
    }

    /// Executes one transaction (bytes with their length prefix, as clients submit them) and keeps it if it may stay.
    pub(crate) fn apply(&mut self, extrinsic: &[u8]) -> Result<Applied, BuildError> {
        // The runtime undoes a failed call itself, but not the fees and nonce of a refused transaction.
        self.overlay.start_transaction();
        let outcome = self.state.call_on(&mut self.overlay, "BlockBuilder_apply_extrinsic", extrinsic);
        let applied = match outcome {
            Ok(bytes) => match ApplyExtrinsicResult::decode(&mut bytes.as_slice()) {
                Ok(Ok(_)) => Applied::Included,
                Ok(Err(reason)) => Applied::Refused(reason),
                Err(_) => Applied::Broken,
            },
            Err(_) => Applied::Broken,
        };
        const OPEN: &str = "opened above, and a call leaves the depth as it found it; qed";
        if matches!(applied, Applied::Included) {
            self.overlay.commit_transaction().expect(OPEN);
            self.body.push(extrinsic.to_vec());
        } else {
            self.overlay.rollback_transaction().expect(OPEN);
        }
        Ok(applied)
    }

    /// Finishes the block.
    pub(crate) fn close(mut self) -> Result<Sealed, BuildError> {
        let header = self.call("BlockBuilder_finalize_block", &[])?;
        let header =
            Header::decode(&mut header.as_slice()).map_err(|_| BuildError::Nonsense("BlockBuilder_finalize_block"))?;
        let (root, nodes) = drain(&mut self.overlay, self.state).map_err(|_| BuildError::Nonsense("state changes"))?;
        if root != header.state_root {
            return Err(BuildError::Nonsense("BlockBuilder_finalize_block"));
        }
        Ok(Sealed { block: StoredBlock { header, body: self.body }, nodes })
    }

    fn call(&mut self, method: &str, arguments: &[u8]) -> Result<Vec<u8>, CallError> {
        self.state.call_on(&mut self.overlay, method, arguments)
    }
}

/// A stored chain does not check out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A block is missing between genesis and the newest one.
    #[error("block {number} is missing")]
    Missing {
        /// Which block.
        number: BlockNumber,
    },
    /// A block does not name its predecessor, or is filed under another number or hash.
    #[error("block {number} does not follow block {}", number.saturating_sub(1))]
    Unlinked {
        /// Which block.
        number: BlockNumber,
    },
    /// Executing the block again gives another header, or fails.
    #[error("block {number} does not re-execute")]
    Mismatch {
        /// Which block.
        number: BlockNumber,
        /// The runtime's reason.
        #[source]
        source: CallError,
    },
}

/// A chain that re-executed from genesis to its newest block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Blocks executed again; genesis is not executed, its children prove its root.
    pub blocks: u32,
    /// Hash of the newest one.
    pub newest: Hash,
}

/// Re-executes every stored block on its parent's state, from block 1 on.
///
/// # Errors
/// The first [`VerifyError`] met; nothing is written in any case.
pub fn verify(store: &Store) -> Result<Verified, VerifyError> {
    let reader = store.reader()?;
    let genesis = reader.block(0)?.ok_or(VerifyError::Missing { number: 0 })?;
    let newest = reader.newest()?.map_or(0, |block| block.header.number);
    let mut parent = genesis.header;
    for number in 1..=newest {
        let block = reader.block(number)?.ok_or(VerifyError::Missing { number })?;
        check_links(&reader, &parent, &block, number)?;
        let state = State::new(store.reader()?.into_nodes(), parent.state_root);
        execute_again(&state, &block).map_err(|source| VerifyError::Mismatch { number, source })?;
        parent = block.header;
    }
    Ok(Verified { blocks: newest, newest: parent.hash() })
}

fn check_links(reader: &Reader, parent: &Header, block: &StoredBlock, number: BlockNumber) -> Result<(), VerifyError> {
    let filed = reader.number(block.hash())?;
    if block.header.number == number && block.header.parent_hash == parent.hash() && filed == Some(number) {
        Ok(())
    } else {
        Err(VerifyError::Unlinked { number })
    }
}

/// Executes a finished block on its parent's state; the runtime compares every root with the header's.
///
/// # Errors
/// [`CallError::Refused`] with the runtime's reason if the block is not what its header says.
pub fn execute_again(parent: &State, block: &StoredBlock) -> Result<(), CallError> {
    let mut encoded = block.header.encode();
    Compact(block.body.len() as u32).encode_to(&mut encoded);
    for extrinsic in &block.body {
        encoded.extend_from_slice(extrinsic);
    }
    parent.call("Core_execute_block", &encoded).map(drop)
}
