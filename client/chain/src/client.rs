//! Reads the chain.

use crate::{
    account::Account,
    account_id::AccountId,
    act::Fact,
    contract::{self, Attempt},
    error::{ConnectError, Fault, ReadError},
    events::{self, BlockEvents},
    follow::Follow,
    signer::Signer,
    wire::Wire,
};
use core::{fmt, future::Future, ops::RangeInclusive, time::Duration};
use encompute_host::clock;
use encompute_networks::Network;
use encompute_protocol::{BlockNumber, ContractAddress, GenesisHash, Plancks, StoragePrice};
use futures::future::try_join_all;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use subxt::{
    OnlineClient, SubstrateConfig,
    client::{ClientAtBlock, OnlineClientAtBlockImpl},
    config::RpcConfigFor,
    dynamic,
    ext::scale_decode::DecodeAsType,
    rpcs::{LegacyRpcMethods, RpcClient},
    utils::H256,
};

/// How long one operation that reads may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long connecting may take: the metadata of a public chain is a megabyte.
const CONNECT_PATIENCE: Duration = Duration::from_secs(45);
/// How many blocks are asked for at once.
const BLOCKS_AT_ONCE: usize = 32;
/// How many blocks are remembered, as the library has them: what it wants to know of one before it asks anything about
/// it, height and version of the runtime, never changes.
const BLOCKS_KNOWN: usize = 16;
/// Who asks when nobody signs: an account that nobody has.
pub(crate) const NOBODY: AccountId = AccountId([0; 32]);

pub(crate) type AtBlock = ClientAtBlock<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>;

/// Talks to one node about one contract. Cheap to clone; after the node went away the next use
/// connects again.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    contract: Option<ContractAddress>,
}

pub(crate) struct Shared {
    pub(crate) wire: Arc<Wire>,
    pub(crate) online: OnlineClient<SubstrateConfig>,
    pub(crate) rpc: RpcClient,
    pub(crate) legacy: LegacyRpcMethods<RpcConfigFor<SubstrateConfig>>,
    genesis: GenesisHash,
    /// The blocks that were asked about last.
    known: Mutex<VecDeque<AtBlock>>,
}

/// Hash of a block's header.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockHash(pub [u8; 32]);

/// Hash of a signed transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtrinsicHash(pub [u8; 32]);

/// One finalized block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its height.
    pub number: BlockNumber,
    /// Its hash.
    pub hash: BlockHash,
}

/// What an account has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// May be spent, down to the existential deposit.
    pub free: Plancks,
    /// Is held for deposits.
    pub held: Plancks,
}

/// What the chain says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainFacts {
    /// Version of its runtime.
    pub spec_version: u32,
    /// Least that an account may hold.
    pub existential_deposit: Plancks,
    /// Parts of a planck that contracts count.
    pub parts_of_planck: u32,
    /// What it holds for what a contract stores.
    pub storage: StoragePrice,
    /// Decimals of its token, if its node says them.
    pub token_decimals: Option<u8>,
    /// Symbol of its token, if its node says it.
    pub token_symbol: Option<String>,
}

impl Client {
    /// Connects to the network's node and checks that it is of the network's chain.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(network: &Network) -> Result<Self, ConnectError> {
        let wire = Wire::new(network.chain.rpc.as_str());
        let client = within(&wire, "answer", CONNECT_PATIENCE, Self::open(wire.clone(), network)).await?;
        tracing::debug!(url = wire.url(), genesis = %client.genesis(), "connected");
        Ok(client)
    }

    async fn open(wire: Arc<Wire>, network: &Network) -> Result<Self, ConnectError> {
        wire.connect().await?;
        let rpc = RpcClient::new(wire.clone());
        let online = OnlineClient::<SubstrateConfig>::from_rpc_client(rpc.clone()).await;
        let online = match online {
            Ok(online) => online,
            Err(error) => return Err(fault(&wire, "say which chain it is of", error).await.into()),
        };
        let found = GenesisHash(online.genesis_hash().0);
        if let Some(pinned) = network.chain.genesis.filter(|pinned| *pinned != found) {
            return Err(ConnectError::OtherGenesis { url: wire.url().to_owned(), found, pinned });
        }
        let shared = Shared {
            wire,
            online,
            rpc: rpc.clone(),
            legacy: LegacyRpcMethods::new(rpc),
            genesis: found,
            known: Mutex::default(),
        };
        let client = Self { shared: Arc::new(shared), contract: network.chain.contract };
        let at = client.at_head().await?;
        if at.metadata_ref().pallet_by_name("Revive").is_none() {
            return Err(ConnectError::NoContracts { url: client.shared.wire.url().to_owned() });
        }
        Ok(client)
    }

    /// The same connection, about the contract at this address.
    pub fn at_contract(&self, contract: ContractAddress) -> Self {
        Self { shared: self.shared.clone(), contract: Some(contract) }
    }

    /// The chain's first block.
    pub fn genesis(&self) -> GenesisHash {
        self.shared.genesis
    }

    /// The contract it is about.
    pub fn contract(&self) -> Option<ContractAddress> {
        self.contract
    }

    /// The contract it is about, or the error that there is none.
    pub(crate) fn named_contract(&self) -> Result<ContractAddress, ReadError> {
        self.contract.ok_or(ReadError::NoContract)
    }

    /// An account that submits as `signer`.
    pub fn signed_by(&self, signer: Signer) -> Account {
        Account::new(self.clone(), signer)
    }

    /// The last finalized block.
    ///
    /// # Errors
    /// [`ReadError::Fault`].
    pub async fn head(&self) -> Result<Block, ReadError> {
        self.within("say its last block", async { Ok(block_of(&self.at_head().await?)) }).await
    }

    /// The finalized block of a height.
    ///
    /// # Errors
    /// [`ReadError::NoBlock`] above the head and below what the node keeps.
    pub async fn block(&self, number: BlockNumber) -> Result<Block, ReadError> {
        self.within("look a block up", async {
            let found = self.shared.legacy.chain_get_block_hash(Some(number.0.into())).await;
            match found {
                Ok(Some(hash)) => Ok(Block { number, hash: BlockHash(hash.0) }),
                Ok(None) => Err(ReadError::NoBlock { number }),
                Err(error) => Err(self.fault("look a block up", error).await.into()),
            }
        })
        .await
    }

    /// What the contract answers at the last finalized block.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read<C: Fact>(&self, call: C) -> Result<C::Answer, ReadError> {
        self.within("answer a read", async { self.answer(&self.at_head().await?, &call).await }).await
    }

    /// What the contract answered at a block.
    ///
    /// # Errors
    /// [`ReadError`]; a node that forgot the block's state answers with a fault.
    pub async fn read_at<C: Fact>(&self, call: C, block: BlockHash) -> Result<C::Answer, ReadError> {
        self.within("answer a read", async { self.answer(&self.at(block).await?, &call).await }).await
    }

    /// When a block was made, by the chain's own clock.
    ///
    /// # Errors
    /// [`ReadError`]; a node that forgot the block's state answers with a fault.
    pub async fn time_of(&self, block: BlockHash) -> Result<SystemTime, ReadError> {
        const WHAT: &str = "say when a block was made";
        self.within(WHAT, async {
            let at = self.at(block).await?;
            let address = dynamic::storage::<(), u64>("Timestamp", "Now");
            let found = at.storage().fetch(address, ()).await;
            let now = match found {
                Ok(now) => now.decode().map_err(|error| self.misread(WHAT, error))?,
                Err(error) => return Err(self.fault(WHAT, error).await.into()),
            };
            let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(now));
            Ok(time.ok_or_else(|| self.misread(WHAT, format!("{now} ms are no time")))?)
        })
        .await
    }

    /// The hash by which contracts know a block, as of block `at`: the one of its Ethereum form, or its own where the platform
    /// keeps none. `None` for one that `at` does not follow within 256 blocks.
    ///
    /// # Errors
    /// [`ReadError`]; a node that forgot the block's state answers with a fault.
    pub async fn contract_hash_of(&self, number: BlockNumber, at: BlockHash) -> Result<Option<[u8; 32]>, ReadError> {
        const WHAT: &str = "say by which hash contracts know a block";
        self.within(WHAT, async {
            let at = self.at(at).await?;
            for pallet in ["Revive", "System"] {
                let address = dynamic::storage::<(u32,), [u8; 32]>(pallet, "BlockHash");
                let found = match at.storage().try_fetch(address, (number.0,)).await {
                    Ok(found) => found,
                    Err(error) => return Err(self.fault(WHAT, error).await.into()),
                };
                let Some(found) = found else { continue };
                let hash = found.decode().map_err(|error| self.misread(WHAT, error))?;
                if hash != [0; 32] {
                    return Ok(Some(hash));
                }
            }
            Ok(None)
        })
        .await
    }

    pub(crate) async fn at(&self, block: BlockHash) -> Result<AtBlock, Fault> {
        if let Some(known) = self.known(block) {
            return Ok(known);
        }
        match self.shared.online.at_block(H256(block.0)).await {
            Ok(at) => Ok(self.remember(at)),
            Err(error) => Err(self.fault("look a block up", error).await),
        }
    }

    fn known(&self, block: BlockHash) -> Option<AtBlock> {
        let known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|at| at.block_hash().0 == block.0).cloned()
    }

    fn remember(&self, at: AtBlock) -> AtBlock {
        let mut known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == BLOCKS_KNOWN {
            known.pop_front();
        }
        known.push_back(at.clone());
        at
    }

    async fn answer<C: Fact>(&self, at: &AtBlock, call: &C) -> Result<C::Answer, ReadError> {
        let contract = self.named_contract()?;
        let attempt = Attempt { origin: NOBODY, contract, value: Plancks::ZERO, calldata: call.calldata() };
        let tried = attempt.run(self, at, C::NAME).await?;
        contract::decode_answer::<C>(contract, &tried)
    }

    /// What an account has at the last finalized block. One that does not exist has nothing.
    ///
    /// # Errors
    /// [`ReadError::Fault`].
    pub async fn balance(&self, account: &AccountId) -> Result<Balance, ReadError> {
        self.within("say a balance", async { self.balance_in(&self.at_head().await?, account).await }).await
    }

    /// What an account had at a block. One that did not exist had nothing.
    ///
    /// # Errors
    /// [`ReadError`]; a node that forgot the block's state answers with a fault.
    pub async fn balance_at(&self, account: &AccountId, block: BlockHash) -> Result<Balance, ReadError> {
        self.within("say a balance", async { self.balance_in(&self.at(block).await?, account).await }).await
    }

    /// What a contract could pay out at a block: its balance without what the chain keeps of any account.
    ///
    /// # Errors
    /// As [`Self::balance_at`].
    pub async fn payable_at(&self, contract: ContractAddress, block: BlockHash) -> Result<Plancks, ReadError> {
        let free = self.balance_at(&AccountId::of_contract(contract), block).await?.free;
        let deposit = self.constants().await?.existential_deposit;
        Ok(free.checked_sub(deposit).unwrap_or_default())
    }

    async fn balance_in(&self, at: &AtBlock, account: &AccountId) -> Result<Balance, ReadError> {
        #[derive(DecodeAsType)]
        #[decode_as_type(crate_path = "subxt::ext::scale_decode")]
        struct AccountInfo {
            data: AccountData,
        }
        #[derive(DecodeAsType)]
        #[decode_as_type(crate_path = "subxt::ext::scale_decode")]
        struct AccountData {
            free: u128,
            reserved: u128,
        }
        let address = dynamic::storage::<([u8; 32],), AccountInfo>("System", "Account");
        let found = at.storage().try_fetch(address, (account.0,)).await;
        let info = match found {
            Ok(None) => return Ok(Balance::default()),
            Ok(Some(value)) => value.decode().map_err(|error| self.misread("say a balance", error))?,
            Err(error) => return Err(self.fault("say a balance", error).await.into()),
        };
        Ok(Balance { free: Plancks(info.data.free), held: Plancks(info.data.reserved) })
    }

    /// What the chain says about itself.
    ///
    /// # Errors
    /// [`ReadError::Fault`].
    pub async fn constants(&self) -> Result<ChainFacts, ReadError> {
        self.within("describe its chain", async {
            let at = self.at_head().await?;
            let deposit = dynamic::constant::<u128>("Balances", "ExistentialDeposit");
            let deposit = at.constants().entry(deposit).map_err(|error| self.misread("describe its chain", error))?;
            let parts = dynamic::constant::<u32>("Revive", "NativeToEthRatio");
            let parts = at.constants().entry(parts).map_err(|error| self.misread("describe its chain", error))?;
            let held = |name| {
                let held = at.constants().entry(dynamic::constant::<u128>("Revive", name));
                held.map(Plancks).map_err(|error| self.misread("describe its chain", error))
            };
            let storage = StoragePrice { item: held("DepositPerChildTrieItem")?, byte: held("DepositPerByte")? };
            let said = match self.shared.legacy.system_properties().await {
                Ok(said) => said,
                Err(error) => return Err(self.fault("describe its chain", error).await.into()),
            };
            // Chains with several tokens give lists, their own token first.
            let first = |key: &str| said.get(key).map(|value| value.get(0).unwrap_or(value));
            let decimals = first("tokenDecimals").and_then(|value| u8::try_from(value.as_u64()?).ok());
            Ok(ChainFacts {
                spec_version: at.spec_version(),
                existential_deposit: Plancks(deposit),
                parts_of_planck: parts,
                storage,
                token_decimals: decimals,
                token_symbol: first("tokenSymbol").and_then(|value| value.as_str()).map(str::to_owned),
            })
        })
        .await
    }

    /// What the contract said in each of these blocks, in order; blocks in which it said nothing
    /// are there, too.
    ///
    /// # Errors
    /// [`ReadError::NoBlock`] if the range goes beyond the head.
    pub async fn events_in(&self, blocks: RangeInclusive<BlockNumber>) -> Result<Vec<BlockEvents>, ReadError> {
        let (mut found, mut wanted) = (Vec::new(), blocks.start().0..=blocks.end().0);
        loop {
            let some: Vec<u32> = wanted.by_ref().take(BLOCKS_AT_ONCE).collect();
            if some.is_empty() {
                return Ok(found);
            }
            found.extend(try_join_all(some.into_iter().map(|number| self.events_at(BlockNumber(number)))).await?);
        }
    }

    pub(crate) async fn events_at(&self, number: BlockNumber) -> Result<BlockEvents, ReadError> {
        let block = self.block(number).await?;
        self.within("give a block's events", events::fetch(self, block)).await
    }

    /// Every block from `from` on, without gaps, for ever.
    pub fn follow(&self, from: BlockNumber) -> Follow {
        Follow::new(self.clone(), from)
    }

    pub(crate) async fn at_head(&self) -> Result<AtBlock, Fault> {
        match self.shared.legacy.chain_get_finalized_head().await {
            Ok(head) => self.at(BlockHash(head.0)).await,
            Err(error) => Err(self.fault("say its last block", error).await),
        }
    }

    pub(crate) async fn within<T, E: From<Fault>>(
        &self,
        what: &'static str,
        operation: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        within(&self.shared.wire, what, PATIENCE, operation).await
    }

    pub(crate) async fn fault(&self, what: &'static str, error: impl fmt::Display) -> Fault {
        fault(&self.shared.wire, what, error).await
    }

    /// The node's bytes are not what its metadata or this program says they are.
    pub(crate) fn misread(&self, what: &'static str, error: impl fmt::Display) -> Fault {
        Fault::Node { url: self.shared.wire.url().to_owned(), what, reason: error.to_string() }
    }
}

async fn within<T, E: From<Fault>>(
    wire: &Wire,
    what: &'static str,
    patience: Duration,
    operation: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match clock::timeout(patience, operation).await {
        Ok(result) => result,
        Err(_) => Err(Fault::TimedOut { url: wire.url().to_owned(), what, after: patience }.into()),
    }
}

/// After an error of the library: a connection that is gone is the node's fault, one that stands
/// carried the node's own words.
async fn fault(wire: &Wire, what: &'static str, error: impl fmt::Display) -> Fault {
    let (url, reason) = (wire.url().to_owned(), error.to_string());
    match wire.stands().await {
        true => Fault::Node { url, what, reason },
        false => Fault::Unreachable { url, reason },
    }
}

pub(crate) fn block_of(at: &AtBlock) -> Block {
    // Heights are u32 on every chain whose runtime this program knows; the contract counts so, too.
    let number = u32::try_from(at.block_number()).unwrap_or(u32::MAX);
    Block { number: BlockNumber(number), hash: BlockHash(at.block_hash().0) }
}

macro_rules! hash_words {
    ($($name:ident),*) => { $(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    )* };
}

hash_words!(BlockHash, ExtrinsicHash);
