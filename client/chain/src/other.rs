//! Contracts other than the market: bytes in, bytes out. Whoever calls one knows what they mean.

use crate::{
    account::{Account, ContractCall, Submitted, deposit_limit},
    carry::Direct,
    client::{AtBlock, Block, BlockHash, Client, block_of},
    contract::{Attempt, Returned, Tried},
    error::{ReadError, SubmitError},
};
use encompute_protocol::{ContractAddress, Plancks};

/// A call of a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherCall {
    /// The contract.
    pub contract: ContractAddress,
    /// The message's name, for errors.
    pub message: &'static str,
    /// Selector and arguments.
    pub calldata: Vec<u8>,
}

/// What a contract returned when a call was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The bytes.
    pub data: Vec<u8>,
    /// True if it undid everything: the bytes are its reason.
    pub reverted: bool,
    /// The block after which it was tried.
    pub block: Block,
}

/// A call that was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OtherError {
    /// As for any transaction.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The contract refuses; nothing was sent and nothing was paid.
    #[error("contract at {contract} refuses {message}: 0x{}", hex::encode(data))]
    Refused {
        /// The contract.
        contract: ContractAddress,
        /// What was asked.
        message: &'static str,
        /// Its reason.
        data: Vec<u8>,
    },
}

impl Client {
    /// What a contract answers, at a block or the last finalized one; nothing is sent.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn ask(&self, call: &OtherCall, block: Option<BlockHash>) -> Result<Answered, ReadError> {
        self.within("answer a read", async {
            let at = match block {
                Some(block) => self.at(block).await?,
                None => self.at_head().await?,
            };
            let tried = self.try_other(call, (&at, Plancks::ZERO), None).await?;
            Ok(answered(&at, tried))
        })
        .await
    }

    async fn try_other(
        &self,
        call: &OtherCall,
        (at, value): (&AtBlock, Plancks),
        origin: Option<crate::AccountId>,
    ) -> Result<Tried<Returned>, ReadError> {
        let OtherCall { contract, message, calldata } = call;
        let origin = origin.unwrap_or(crate::client::NOBODY);
        let attempt = Attempt { origin, contract: *contract, value, calldata: calldata.clone() };
        let tried = attempt.run(self, at, message).await?;
        // Calling an address without code succeeds and returns nothing.
        let Returned { flags, data } = &tried.outcome;
        if data.is_empty() && flags & 1 == 0 {
            return Err(ReadError::NotThere { contract: *contract });
        }
        Ok(tried)
    }
}

fn answered(at: &AtBlock, tried: Tried<Returned>) -> Answered {
    let Returned { flags, data } = tried.outcome;
    Answered { data, reverted: flags & 1 == 1, block: block_of(at) }
}

impl Account {
    /// Tries a call of another contract, sends it, waits until it is final. The events are the market's.
    ///
    /// # Errors
    /// [`OtherError`]; a call that the contract refuses is not sent.
    pub async fn call(&self, call: &OtherCall, value: Plancks) -> Result<Submitted<()>, OtherError> {
        let client = self.client();
        let tried = client.within("try a call", async {
            let at = client.at_head().await?;
            client.try_other(call, (&at, value), Some(self.id())).await
        });
        let tried = match tried.await {
            Ok(tried) => tried,
            Err(error) => return Err(self.funds_or(error, call.message, value).await.into()),
        };
        let OtherCall { contract, message, calldata } = call.clone();
        if tried.outcome.flags & 1 == 1 {
            return Err(OtherError::Refused { contract, message, data: tried.outcome.data });
        }
        self.ensure_mapped().await.map_err(OtherError::from)?;
        let (weight, deposit) = (tried.weight.limit(), deposit_limit(tried.peak_deposit));
        let call = ContractCall { contract, value, weight, deposit, calldata };
        let included = self.send(&Direct::from(call)).await?;
        Ok(included.succeeded(message)?)
    }
}
