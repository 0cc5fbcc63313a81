//! The anchor's messages: selector, then the arguments in SCALE. The first four are upstream's.

use crate::{
    forward::{ForwardError, ForwardRequest},
    kv::{Key, Value},
    rollup::{RollupError, RollupTx},
};
use alloc::vec::Vec;
use codec::{Decode, Encode};
use encompute_protocol::{Address, ContractAddress, GenesisHash, JobId, SigningAddress, call::Selector, wire};
use scale_info::TypeInfo;

/// Selector of the constructor, which takes an [`AnchorRecord`].
pub const CONSTRUCTOR: Selector = Selector([0, 0, 0, 1]);
/// What the platform makes of no calldata at all, which is how it pays: such a call brings money and asks for nothing.
pub const PAYMENT: Selector = Selector([0, 0, 0, 0]);

/// One message of an anchor.
pub trait AnchorCall: Encode {
    /// The message's selector.
    const SELECTOR: Selector;
    /// The message's name.
    const NAME: &'static str;
    /// What comes back, inside of ink!'s own result.
    type Answer: Decode;

    /// Selector and arguments.
    fn calldata(&self) -> Vec<u8> {
        let mut bytes = Self::SELECTOR.0.to_vec();
        self.encode_to(&mut bytes);
        bytes
    }
}

macro_rules! calls {
    ($($(#[$doc:meta])* $selector:literal $message:literal => $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? } -> $answer:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type),* }

            impl AnchorCall for $name {
                const SELECTOR: Selector = Selector(u32::to_be_bytes($selector));
                const NAME: &'static str = $message;
                type Answer = $answer;
            }
        )*
    };
}

calls! {
    /// The value under a key.
    0xdfec_736d "RollupAnchor::get_value" => GetValue {
        /// The key.
        key: Key,
    } -> Option<Value>;
    /// A worker's transaction, by the account that its key is.
    0x9523_3d74 "RollupAnchor::rollup_cond_eq" => RollupCondEq {
        /// Conditions, updates and actions: the three arguments.
        transaction: RollupTx,
    } -> Result<(), RollupError>;
    /// The request to sign for a transaction, and its digest.
    0x3ecc_267e "MetaTransaction::prepare" => Prepare {
        /// Whose.
        from: [u8; 32],
        /// The transaction.
        data: Vec<u8>,
    } -> Result<(ForwardRequest, [u8; 32]), ForwardError>;
    /// A worker's transaction, by anybody who pays for it.
    0x8eb7_7024 "MetaTransaction::meta_tx_rollup_cond_eq" => MetaTxRollupCondEq {
        /// What was signed.
        request: ForwardRequest,
        /// By the worker's key: r, s, v.
        signature: [u8; 65],
    } -> Result<(), ForwardError>;

    /// The owner names a key of its worker; answers its name among senders.
    0x0000_0010 "name_key" => NameKey {
        /// The key, compressed.
        key: [u8; 33],
    } -> Result<[u8; 32], RollupError>;
    /// The owner takes a key's name away.
    0x0000_0011 "drop_key" => DropKey {
        /// The key's name among senders.
        from: [u8; 32],
    } -> Result<(), RollupError>;
    /// The owner says something to the market as the worker, with the money sent along.
    0x0000_0012 "act" => ActAsWorker {
        /// Selector and argument of the market's message.
        message: Vec<u8>,
    } -> Result<Vec<u8>, RollupError>;
    /// The owner takes the money out that the anchor holds.
    0x0000_0013 "withdraw" => Withdraw {} -> Result<(), RollupError>;
    /// Anybody puts a job on the worker's queue that is open, or the worker's.
    0x0000_0014 "queue_job" => QueueJob {
        /// The job.
        job: JobId,
    } -> Result<u32, RollupError>;

    /// What the anchor was made with.
    0x0000_0080 "anchor" => ReadAnchor {} -> AnchorRecord;
    /// A key that the owner has named, and whether its registration holds.
    0x0000_0081 "attestor" => ReadAttestor {
        /// The key's name among senders.
        from: [u8; 32],
    } -> Option<(SigningAddress, bool)>;
}

/// What an anchor answers, in what the platform returned: ink!'s byte, then the answer and nothing more. None for bytes of
/// another contract.
pub fn answer<C: AnchorCall>(returned: &[u8]) -> Option<C::Answer> {
    let (understood, answer) = returned.split_first()?;
    let answer = wire::decode_exact(answer, answer.len()).ok()?;
    (*understood == 0).then_some(answer)
}

/// What an anchor is made with, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct AnchorRecord {
    /// Names keys, stakes, takes the stake back.
    pub owner: Address,
    /// Who is credited for the worker's jobs.
    pub payout: Address,
    /// The market in which the anchor is a worker's account.
    pub market: ContractAddress,
    /// The chain's first block.
    pub genesis: GenesisHash,
}

/// What a job's message on the queue is.
pub fn job_message(job: JobId) -> Value {
    job.encode()
}
