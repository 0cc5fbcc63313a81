//! What a service may do, as traits: it is given only what it needs, and a test can stand in for
//! the chain.

use crate::{
    account::{Account, Estimate, Submitted},
    act::{Act, Fact},
    client::{Block, BlockHash, Client},
    error::{ReadError, SubmitError},
    events::BlockEvents,
    follow::Follow,
};
use core::{future::Future, ops::RangeInclusive};
use encompute_protocol::{
    Address, BlockNumber, ContractAddress, GenesisHash, Plancks,
    call::{
        AcceptResult, ActivateVersion, AddBond, AddStake, AllowMeasurement, AllowPlatform, AnnounceParams,
        AppealRuling, AskBond, AskStake, BeginRegistration, CancelJob, CertifyKey, ClaimJob, CloseSession, CommitHead,
        CommitResult, DeprecateVersion, EnactParams, ListModel, OpenDispute, OpenSession, PokeJob, PokeSession,
        PostBlob, PublishVersion, RefuseFeatures, RegisterWorker, RequestJob, RevealVerdict, RevokeMeasurement,
        RevokePlatform, RevokeVersion, SealVerdict, SendFeatures, SetCapacity, SetGovernor, SetPaused, ShowQuote,
        TakeBond, TakeSessions, TakeStake, WithdrawCredit, WithdrawParams,
    },
};

/// Reads the market.
pub trait ReadMarket: Clone + Send + Sync + 'static {
    /// Every block from one on.
    type Follow: FollowBlocks + 'static;

    /// The chain's first block.
    fn genesis(&self) -> GenesisHash;

    /// The contract it is about.
    fn contract(&self) -> Option<ContractAddress>;

    /// The last finalized block.
    ///
    /// # Errors
    /// [`ReadError::Fault`].
    fn head(&self) -> impl Future<Output = Result<Block, ReadError>> + Send;

    /// The finalized block of a height.
    ///
    /// # Errors
    /// [`ReadError::NoBlock`].
    fn block(&self, number: BlockNumber) -> impl Future<Output = Result<Block, ReadError>> + Send;

    /// What the contract answers at the last finalized block.
    ///
    /// # Errors
    /// [`ReadError`].
    fn read<C: Fact>(&self, call: C) -> impl Future<Output = Result<C::Answer, ReadError>> + Send;

    /// What the contract answered at a block.
    ///
    /// # Errors
    /// [`ReadError`].
    fn read_at<C: Fact>(&self, call: C, block: BlockHash) -> impl Future<Output = Result<C::Answer, ReadError>> + Send;

    /// What the contract said in each of these blocks.
    ///
    /// # Errors
    /// [`ReadError`].
    fn events_in(
        &self,
        blocks: RangeInclusive<BlockNumber>,
    ) -> impl Future<Output = Result<Vec<BlockEvents>, ReadError>> + Send;

    /// Every block from `from` on, without gaps, for ever.
    fn follow(&self, from: BlockNumber) -> Self::Follow;
}

/// Gives one block after the other.
pub trait FollowBlocks: Send {
    /// The next block, as soon as it is final.
    ///
    /// # Errors
    /// [`ReadError`]; calling again goes on with the same block.
    fn next(&mut self) -> impl Future<Output = Result<BlockEvents, ReadError>> + Send;
}

/// Submits one kind of message as some account.
pub trait Submit<C: Act>: ReadMarket {
    /// The account as the contract sees it.
    fn address(&self) -> Address;

    /// Tries, sends, waits until it is final.
    ///
    /// # Errors
    /// [`SubmitError`].
    fn submit(&self, call: C, value: Plancks)
    -> impl Future<Output = Result<Submitted<C::Answer>, SubmitError>> + Send;

    /// What it would cost and answer.
    ///
    /// # Errors
    /// [`SubmitError`].
    fn estimate(
        &self,
        call: C,
        value: Plancks,
    ) -> impl Future<Output = Result<Estimate<C::Answer>, SubmitError>> + Send;
}

macro_rules! capabilities {
    ($($(#[$doc:meta])* $name:ident: $($call:ident)*;)*) => { $(
        $(#[$doc])*
        pub trait $name: $(Submit<$call> +)* ReadMarket {}

        impl<T: $(Submit<$call> +)* ReadMarket> $name for T {}
    )* };
}

capabilities! {
    /// Buys runs, moves them on, takes what it is owed.
    SubmitJob: RequestJob SendFeatures AcceptResult CancelJob PokeJob OpenDispute OpenSession CloseSession PokeSession WithdrawCredit;
    /// Registers as a worker, claims jobs, commits heads, judges others', takes what it is owed.
    WorkJob: BeginRegistration CertifyKey RegisterWorker ClaimJob CommitHead SealVerdict RevealVerdict AppealRuling PostBlob ShowQuote SetCapacity AddStake AskStake TakeStake PokeJob CloseSession PokeSession WithdrawCredit;
    /// Lists models, answers for them, finishes jobs, takes what it is owed.
    ServeTail: ListModel PublishVersion ActivateVersion DeprecateVersion RevokeVersion AddBond AskBond TakeBond CommitResult RefuseFeatures PostBlob PokeJob TakeSessions CloseSession PokeSession WithdrawCredit;
    /// Allows code, sets parameters, stops new jobs.
    Govern: AllowMeasurement RevokeMeasurement AllowPlatform RevokePlatform AnnounceParams WithdrawParams EnactParams SetPaused SetGovernor RevokeVersion;
}

macro_rules! read_market {
    ($name:ty, $self:ident => $client:expr) => {
        impl ReadMarket for $name {
            type Follow = Follow;

            fn genesis(&$self) -> GenesisHash {
                $client.genesis()
            }

            fn contract(&$self) -> Option<ContractAddress> {
                $client.contract()
            }

            async fn head(&$self) -> Result<Block, ReadError> {
                $client.head().await
            }

            async fn block(&$self, number: BlockNumber) -> Result<Block, ReadError> {
                $client.block(number).await
            }

            async fn read<C: Fact>(&$self, call: C) -> Result<C::Answer, ReadError> {
                $client.read(call).await
            }

            async fn read_at<C: Fact>(&$self, call: C, block: BlockHash) -> Result<C::Answer, ReadError> {
                $client.read_at(call, block).await
            }

            async fn events_in(&$self, blocks: RangeInclusive<BlockNumber>) -> Result<Vec<BlockEvents>, ReadError> {
                $client.events_in(blocks).await
            }

            fn follow(&$self, from: BlockNumber) -> Follow {
                $client.follow(from)
            }
        }
    };
}

// Inherent methods come before the trait's of the same name, so none of these calls itself.
read_market!(Client, self => self);
read_market!(Account, self => self.client());

impl FollowBlocks for Follow {
    async fn next(&mut self) -> Result<BlockEvents, ReadError> {
        Follow::next(self).await
    }
}

impl<C: Act> Submit<C> for Account {
    fn address(&self) -> Address {
        Account::address(self)
    }

    async fn submit(&self, call: C, value: Plancks) -> Result<Submitted<C::Answer>, SubmitError> {
        Account::submit(self, call, value).await
    }

    async fn estimate(&self, call: C, value: Plancks) -> Result<Estimate<C::Answer>, SubmitError> {
        Account::estimate(self, call, value).await
    }
}
