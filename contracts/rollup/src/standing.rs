//! Who may say what: an anchor's owner names keys, the market's registration makes them attestors.

use crate::rollup::{MAY_NOT, RollupError, RollupTx};
use encompute_protocol::{
    Address, BlockNumber, SigningAddress, WorkerRecord,
    call::{
        AddStake, BeginRegistration, Call, CertifyKey, ClaimJob, CommitHead, PokeJob, PostBlob, RegisterWorker,
        RevealVerdict, SealVerdict, Selector, SetCapacity, ShowQuote,
    },
    market::{MeasurementRecord, PlatformRecord},
    wire,
};

/// What may be said without a registration: what leads to one.
const REGISTRATION: &[Selector] = &[BeginRegistration::SELECTOR, CertifyKey::SELECTOR, RegisterWorker::SELECTOR];
/// What else a registered worker may say. No message is here that moves stake or credit out.
const WORK: &[Selector] = &[
    ClaimJob::SELECTOR,
    CommitHead::SELECTOR,
    PokeJob::SELECTOR,
    SealVerdict::SELECTOR,
    RevealVerdict::SELECTOR,
    PostBlob::SELECTOR,
    ShowQuote::SELECTOR,
    SetCapacity::SELECTOR,
    AddStake::SELECTOR,
];

/// A key that the owner has named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attestor {
    /// Its address.
    pub signing: SigningAddress,
    /// Who is to be paid for its work, by the owner's word.
    pub payout: Address,
}

/// What the market says of the anchor, which is a worker's account there.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The registration, if there is one.
    pub worker: Option<&'a WorkerRecord>,
    /// The entry of its code.
    pub measurement: Option<MeasurementRecord>,
    /// The entry of its machine.
    pub platform: Option<PlatformRecord>,
    /// The block.
    pub block: BlockNumber,
}

/// What a key that the owner has named may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its registration holds: it attests.
    Registered,
    /// It may register, and nothing else.
    Named,
}

impl Attestor {
    /// Where the key stands: registered only as long as registration, code and machine hold.
    pub fn standing(&self, facts: &Facts<'_>) -> Standing {
        let block = facts.block;
        let stands = facts.worker.is_some_and(|worker| worker.signing == self.signing && block < worker.expires_at)
            && facts.measurement.is_some_and(|entry| entry.revoked_at.is_none() && entry.valid_from <= block)
            && facts.platform.is_some_and(|entry| entry.revoked_at.is_none() && entry.valid_from <= block);
        if stands { Standing::Registered } else { Standing::Named }
    }

    /// Checks that the key may send `transaction` where it stands so.
    ///
    /// # Errors
    /// [`RollupError::AccessControlError`] for what takes a registration; [`RollupError::UnsupportedAction`] for a message
    /// that is no worker's; [`RollupError::OthersRegistration`].
    pub fn may_send(&self, standing: Standing, transaction: &RollupTx) -> Result<(), RollupError> {
        let is_named = standing == Standing::Named;
        if is_named && (!transaction.updates.is_empty() || transaction.replies().count() != transaction.actions.len()) {
            return Err(MAY_NOT);
        }
        let mut registers = false;
        for reply in transaction.replies() {
            let (selector, argument) = reply.split_first_chunk::<4>().ok_or(RollupError::FailedToDecode)?;
            let selector = Selector(*selector);
            registers |= REGISTRATION.contains(&selector);
            if !REGISTRATION.contains(&selector) {
                if !WORK.contains(&selector) {
                    return Err(RollupError::UnsupportedAction);
                }
                if is_named {
                    return Err(MAY_NOT);
                }
            }
            if selector == RegisterWorker::SELECTOR {
                self.must_register_itself(argument)?;
            }
        }
        // An empty transaction is an attestor's as well.
        if is_named && !registers { Err(MAY_NOT) } else { Ok(()) }
    }

    fn must_register_itself(&self, argument: &[u8]) -> Result<(), RollupError> {
        let message = wire::decode_exact::<RegisterWorker>(argument, argument.len());
        let message = message.map_err(|_| RollupError::FailedToDecode)?;
        match message.signing == self.signing && message.payout == self.payout {
            true => Ok(()),
            false => Err(RollupError::OthersRegistration),
        }
    }
}

/// True for the messages with which the anchor sends all the money it holds: they turn it into stake.
pub fn takes_stake(reply: &[u8]) -> bool {
    [RegisterWorker::SELECTOR, AddStake::SELECTOR].iter().any(|selector| reply.starts_with(&selector.0))
}
