//! Several calls in one transaction: all of them happen, or none.

use crate::{
    account::{Account, ContractCall, Submitted, transfer_payload},
    account_id::AccountId,
    act::Act,
    client::AtBlock,
    contract::ChainWeight,
    error::SubmitError,
};
use encompute_protocol::Plancks;
use subxt::{
    dynamic,
    utils::{Encoded, Static},
};

/// What a call gets that cannot be tried alone: a twentieth of a block's time, a tenth of its proof.
/// What is not used is not paid.
const FOLLOWING_WEIGHT: ChainWeight = ChainWeight { ref_time: 100_000_000_000, proof_size: 1024 * 1024 };

/// One call of a batch.
pub struct Entry(Kind);

enum Kind {
    Call(ContractCall),
    Transfer { to: AccountId, amount: Plancks },
}

impl Entry {
    /// A call that can be tried now.
    ///
    /// # Errors
    /// [`SubmitError`], as if it were sent alone.
    pub async fn call<C: Act>(account: &Account, call: &C, value: Plancks) -> Result<Self, SubmitError> {
        let (_, prepared, _) = account.client().within("try a call", account.prepare(call, value)).await?;
        Ok(Self(Kind::Call(prepared)))
    }

    /// A call that only makes sense after an entry before it, so that it cannot be tried now. At
    /// most `deposit_limit` is held for its storage.
    ///
    /// # Errors
    /// [`SubmitError::NoContract`].
    pub fn following<C: Act>(
        account: &Account,
        call: &C,
        value: Plancks,
        deposit_limit: Plancks,
    ) -> Result<Self, SubmitError> {
        let contract = account.client().named_contract()?;
        let (weight, calldata) = (FOLLOWING_WEIGHT, call.calldata());
        Ok(Self(Kind::Call(ContractCall { contract, value, weight, deposit: deposit_limit, calldata })))
    }

    /// A transfer of money.
    pub fn transfer(to: &AccountId, amount: Plancks) -> Self {
        Self(Kind::Transfer { to: *to, amount })
    }

    fn is_call(&self) -> bool {
        matches!(self.0, Kind::Call(_))
    }

    fn encoded(&self, account: &Account, at: &AtBlock) -> Result<Static<Encoded>, SubmitError> {
        let transactions = at.transactions();
        let bytes = match &self.0 {
            Kind::Call(call) => transactions.call_data(&call.payload()),
            Kind::Transfer { to, amount } => transactions.call_data(&transfer_payload(to, *amount)),
        };
        bytes.map(|bytes| Static(Encoded(bytes))).map_err(|error| account.misunderstood(error))
    }
}

impl Account {
    /// Sends several calls as one transaction and waits until it is final. The answers of calls of
    /// the contract are in the events: [`Act::outcome`].
    ///
    /// # Errors
    /// [`SubmitError`]; if one entry fails, none has happened.
    pub async fn batch(&self, entries: Vec<Entry>) -> Result<Submitted<()>, SubmitError> {
        let at = self.client().within("say its last block", self.client().at_head()).await?;
        let calls = entries.iter().map(|entry| entry.encoded(self, &at)).collect::<Result<Vec<_>, _>>()?;
        if entries.iter().any(Entry::is_call) {
            self.ensure_mapped().await?;
        }
        let included = self.send(&dynamic::transaction("Utility", "batch_all", (calls,))).await?;
        included.succeeded("a batch")
    }
}
