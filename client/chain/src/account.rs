//! Submits what a signer may do: tries first, sends once, tells what came of it.

use crate::{
    account_id::AccountId,
    act::Act,
    carry::Direct,
    client::{AtBlock, Block, Client, ExtrinsicHash},
    contract::{self, Attempt, ChainWeight, Returned, Tried, misunderstood},
    error::{ReadError, SubmitError},
    extrinsic::Included,
    signer::{Key, Signer},
};
use encompute_protocol::{Address, ContractAddress, Plancks, event::Event};
use std::sync::Arc;
use subxt::{
    dynamic,
    transactions::DynamicPayload,
    utils::{AccountId32, MultiAddress},
};
use tokio::sync::{Mutex, OnceCell};

/// What is allowed beyond what the trial needed: an eighth more. Between trial and block other
/// people's transactions change the lengths of the items that the call reads; what is not used is
/// not paid.
const MARGIN_DIVISOR: u64 = 8;

/// A client that signs. Cheap to clone; clones share the numbering of transactions, so that
/// several may be on their way at once.
#[derive(Clone)]
pub struct Account {
    client: Client,
    pub(crate) signer: Signer,
    pub(crate) numbering: Arc<Mutex<()>>,
    pub(crate) mapped: Arc<OnceCell<()>>,
}

/// What came of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted<A> {
    /// The finalized block it is in.
    pub block: Block,
    /// The transaction.
    pub extrinsic: ExtrinsicHash,
    /// Which transaction of the block it is.
    pub index: u32,
    /// The fee paid; deposits are not in it.
    pub fee: Plancks,
    /// What the contract said in it.
    pub events: Vec<Event>,
    /// What the call answered, from those events.
    pub answer: A,
}

/// What a transaction would cost, and answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate<A> {
    /// The fee, an upper bound: what is not used is paid back.
    pub fee: Plancks,
    /// What is held for storage, or given back.
    pub deposit: Deposit,
    /// What executing it takes.
    pub weight: Weight,
    /// What it answered when it was tried.
    pub answer: A,
}

/// Money held for storage on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deposit {
    /// So much more is held.
    Charge(Plancks),
    /// So much is given back.
    Refund(Plancks),
}

/// What executing a call takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Picoseconds of the reference machine.
    pub ref_time: u64,
    /// Bytes of proof.
    pub proof_size: u64,
}

/// A call of a contract with the limits it is sent with.
pub(crate) struct ContractCall {
    pub(crate) contract: ContractAddress,
    pub(crate) value: Plancks,
    pub(crate) weight: ChainWeight,
    pub(crate) deposit: Plancks,
    pub(crate) calldata: Vec<u8>,
}

pub(crate) type CallPayload = DynamicPayload<([u8; 20], u128, ChainWeight, u128, Vec<u8>)>;
pub(crate) type TransferPayload = DynamicPayload<(MultiAddress<AccountId32, ()>, u128)>;

impl ContractCall {
    pub(crate) fn payload(&self) -> CallPayload {
        let arguments = (self.contract.0, self.value.0, self.weight, self.deposit.0, self.calldata.clone());
        dynamic::transaction("Revive", "call", arguments)
    }
}

impl Weight {
    pub(crate) fn limit(self) -> ChainWeight {
        let limit = |needed: u64| needed.saturating_add(needed / MARGIN_DIVISOR);
        ChainWeight { ref_time: limit(self.ref_time), proof_size: limit(self.proof_size) }
    }
}

pub(crate) fn deposit_limit(peak: Plancks) -> Plancks {
    Plancks(peak.0.saturating_add(peak.0 / u128::from(MARGIN_DIVISOR)))
}

pub(crate) fn transfer_payload(to: &AccountId, amount: Plancks) -> TransferPayload {
    dynamic::transaction("Balances", "transfer_keep_alive", (MultiAddress::Id(AccountId32(to.0)), amount.0))
}

impl Account {
    pub(crate) fn new(client: Client, signer: Signer) -> Self {
        Self { client, signer, numbering: Arc::default(), mapped: Arc::default() }
    }

    /// Its client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The same account, about the contract at this address.
    pub fn at_contract(&self, contract: ContractAddress) -> Self {
        Self { client: self.client.at_contract(contract), ..self.clone() }
    }

    /// Its account id.
    pub fn id(&self) -> AccountId {
        self.signer.account()
    }

    /// The account as the contract sees it.
    pub fn address(&self) -> Address {
        self.signer.address()
    }

    /// Tries a call, sends it, waits until it is final. `value` is the money that goes with it.
    /// An account that contracts do not know yet is mapped before.
    ///
    /// # Errors
    /// [`SubmitError`]; a call that the contract refuses is not sent.
    pub async fn submit<C: Act>(&self, call: C, value: Plancks) -> Result<Submitted<C::Answer>, SubmitError> {
        let (_, prepared, _) = self.client.within("try a call", self.prepare(&call, value)).await?;
        self.ensure_mapped().await?;
        let included = self.send(&Direct::from(prepared)).await?;
        let block = included.block;
        if let Some(error) = included.failure {
            let refusal = self.refusal_after(&call, value, block).await;
            return Err(SubmitError::Overtaken { message: C::NAME, block, error, refusal });
        }
        let answer = call.outcome(self.address(), &included.events);
        let answer = answer.ok_or(SubmitError::NoOutcome { message: C::NAME, block })?;
        tracing::debug!(message = C::NAME, block = block.number.0, fee = %included.fee, "final");
        Ok(included.with_answer(answer))
    }

    /// What a call would cost and answer; nothing is sent.
    ///
    /// # Errors
    /// [`SubmitError`], as if it were sent.
    pub async fn estimate<C: Act>(&self, call: C, value: Plancks) -> Result<Estimate<C::Answer>, SubmitError> {
        self.client
            .within("estimate a transaction", async {
                let (at, prepared, tried) = self.prepare(&call, value).await?;
                let answer = contract::decode_answer::<C>(prepared.contract, &tried)?;
                let fee = self.fee_of(&at, &Direct::from(prepared)).await?;
                Ok(Estimate { fee, deposit: tried.deposit, weight: tried.weight, answer })
            })
            .await
    }

    /// The most that sending it costs, without deposits.
    async fn fee_of(&self, at: &AtBlock, call: &Direct) -> Result<Plancks, SubmitError> {
        if let Key::Ethereum(key) = &self.signer.key {
            return Ok(self.carry(at, (key, self.next_number().await?), call).await?.fee);
        }
        match self.sign(at, call).await?.partial_fee_estimate().await {
            Ok(fee) => Ok(Plancks(fee)),
            Err(error) => Err(self.client.fault("estimate a fee", error).await.into()),
        }
    }

    /// Sends money; neither account may end below the existential deposit.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn transfer(&self, to: &AccountId, amount: Plancks) -> Result<Submitted<()>, SubmitError> {
        let balance = self.client.balance(&self.id()).await?;
        if balance.free < amount {
            return Err(SubmitError::Funds { message: "a transfer", needed: amount, free: balance.free });
        }
        let included = self.send(&transfer_payload(to, amount)).await?;
        included.succeeded("a transfer")
    }

    /// Tries a call at the head; what comes back can be sent.
    pub(crate) async fn prepare<C: Act>(
        &self,
        call: &C,
        value: Plancks,
    ) -> Result<(AtBlock, ContractCall, Tried<Returned>), SubmitError> {
        let contract = self.client.named_contract()?;
        let at = self.client.at_head().await?;
        let attempt = Attempt { origin: self.id(), contract, value, calldata: call.calldata() };
        let tried = match attempt.run(&self.client, &at, C::NAME).await {
            Ok(tried) => tried,
            Err(error) => return Err(self.funds_or(error, C::NAME, value).await),
        };
        contract::decode_answer::<C>(contract, &tried)?;
        let (weight, deposit) = (tried.weight.limit(), deposit_limit(tried.peak_deposit));
        let Attempt { calldata, .. } = attempt;
        Ok((at, ContractCall { contract, value, weight, deposit, calldata }, tried))
    }

    /// A call that failed before it reached the contract: for want of money, most often.
    pub(crate) async fn funds_or(&self, error: ReadError, message: &'static str, needed: Plancks) -> SubmitError {
        if matches!(error, ReadError::Dispatch { .. })
            && let Ok(balance) = self.client.balance(&self.id()).await
            && balance.free <= needed
        {
            return SubmitError::Funds { message, needed, free: balance.free };
        }
        error.into()
    }

    async fn refusal_after<C: Act>(&self, call: &C, value: Plancks, block: Block) -> Option<crate::Refusal> {
        let contract = self.client.contract()?;
        let at = self.client.shared.online.at_block(subxt::utils::H256(block.hash.0)).await.ok()?;
        let attempt = Attempt { origin: self.id(), contract, value, calldata: call.calldata() };
        let tried = attempt.run(&self.client, &at, C::NAME).await.ok()?;
        match contract::decode_answer::<C>(contract, &tried) {
            Err(ReadError::Refused { refusal, .. }) => Some(refusal),
            _ => None,
        }
    }

    pub(crate) fn misunderstood(&self, error: impl core::fmt::Display) -> SubmitError {
        misunderstood(&self.client, error).into()
    }
}

impl Included {
    pub(crate) fn with_answer<A>(self, answer: A) -> Submitted<A> {
        let Self { block, extrinsic, index, fee, events, .. } = self;
        Submitted { block, extrinsic, index, fee, events, answer }
    }

    /// Nothing to read from events: success is all.
    pub(crate) fn succeeded(self, message: &'static str) -> Result<Submitted<()>, SubmitError> {
        match self.failure {
            Some(error) => Err(SubmitError::Overtaken { message, block: self.block, error, refusal: None }),
            None => Ok(self.with_answer(())),
        }
    }
}
