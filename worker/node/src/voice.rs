//! How a worker speaks to the market: by an account of its own, or over an anchor that somebody else pays for.

use crate::keys::WorkerKeys;
use crate::rollup::{PostError, Rollup, Subject};
use encompute_chain::{Account, Act, Class, Client, SubmitError};
use encompute_protocol::{Address, Plancks};

/// The worker in the market.
pub enum Voice {
    /// An account that signs and pays transactions.
    Account(Account),
    /// An anchor: the worker's key signs, a relayer pays.
    Anchor(Box<Rollup>),
}

/// Something that was not said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SayError {
    /// By an account.
    #[error(transparent)]
    Account(#[from] SubmitError),
    /// Over an anchor.
    #[error(transparent)]
    Anchor(#[from] PostError),
}

impl SayError {
    /// What kind of failure this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Account(error) => error.class(),
            Self::Anchor(error) => error.class(),
        }
    }
}

impl Voice {
    /// What reads the chain.
    pub fn client(&self) -> &Client {
        match self {
            Self::Account(account) => account.client(),
            Self::Anchor(rollup) => rollup.client(),
        }
    }

    /// The worker's account as the market sees it.
    pub fn address(&self) -> Address {
        match self {
            Self::Account(account) => account.address(),
            Self::Anchor(rollup) => Address(rollup.anchor().0),
        }
    }

    /// Says something to the market and waits until it is final. Money goes with it from an account alone: an anchor
    /// holds its own.
    ///
    /// # Errors
    /// [`SayError`].
    pub async fn say<C: Act>(
        &self,
        keys: &WorkerKeys,
        subject: Subject,
        call: C,
        value: Plancks,
    ) -> Result<(), SayError> {
        match self {
            Self::Account(account) => drop(account.submit(call, value).await?),
            Self::Anchor(rollup) => rollup.post(keys, &subject, &call).await?,
        }
        Ok(())
    }
}
