//! The pallet with the contract in it.

use crate::world::{self, CREATORS, GENESIS, GOVERNOR, PAYOUTS, STRANGER, TREASURY, USERS, WORKERS, sponsors::SPONSOR};
use codec::{Decode, Encode};
use encompute_audit::{LedgerReport, audit_ledger};
use encompute_devchain::runtime::{
    Balances, BalancesConfig, EXISTENTIAL_DEPOSIT, NATIVE_TO_ETH_RATIO, Revive, Runtime, RuntimeEvent,
    RuntimeGenesisConfig, RuntimeOrigin, System, UNIT,
};
use encompute_lifecycle::{Context, Host, Refusal, Software};
use encompute_protocol::{
    Address, BlockNumber, ContractAddress, Plancks,
    call::{CONSTRUCTOR, Call, ReadTotals},
    event::{self, Event},
};
use frame_support::{
    storage::{TransactionOutcome, with_transaction},
    weights::Weight,
};
use pallet_revive::{Code, ExecConfig, TransactionLimits};
use sp_core::{H160, U256};
use sp_io::{
    TestExternalities,
    hashing::{twox_64, twox_128},
};
use sp_runtime::{AccountId32, BuildStorage, DispatchError};
use std::collections::BTreeMap;

/// What every account has at first, far above what tests spend.
const ENDOWMENT: u128 = 1_000_000 * UNIT;
/// Half of what a block may use.
const WEIGHT_LIMIT: Weight = Weight::from_parts(1_000_000_000_000, 5 * 1024 * 1024);

/// Of how many blocks the platform knows the hash.
pub const BLOCKS_KNOWN: u32 = 250;

/// After so many calls what they changed goes from the platform's overlay, which it searches whole, to its database.
const CALLS_IN_OVERLAY: u64 = 1_024;

/// A chain with the contract on it.
pub struct Chain {
    externalities: TestExternalities,
    contract: H160,
    /// Everything that each contract has said, with its block.
    history: BTreeMap<H160, Vec<(BlockNumber, Event)>>,
    weighed: u64,
    calls: u64,
}

/// How the platform answered a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The contract returned; the bytes are its answer.
    Returned(Vec<u8>),
    /// The contract undid everything; the bytes are its reason.
    Reverted(Vec<u8>),
    /// The platform stopped it.
    Stopped(String),
}

/// What came of a call.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub said: Said,
    pub events: Vec<Event>,
    pub weight: Weight,
}

/// A checked-in artifact of the contract.
pub fn artifact(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/marketplace/artifacts/");
    let path = format!("{folder}{name}");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The built anchor.
pub fn anchor_code() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/anchor/artifacts/anchor.polkavm");
    std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The account that the contract sees as `address`: the platform's own form for addresses.
pub fn account(address: Address) -> AccountId32 {
    let mut id = [0xee; 32];
    id[..20].copy_from_slice(&address.0);
    AccountId32::new(id)
}

impl Chain {
    /// The contract with the world's parameters.
    pub fn new() -> Self {
        Self::deployed(&(world::params(), GOVERNOR, GENESIS).encode()).unwrap_or_else(|said| panic!("{said:?}"))
    }

    /// The contract created with `argument`, or how the platform refused it.
    pub fn deployed(argument: &[u8]) -> Result<Self, Said> {
        let everybody = [&USERS[..], &CREATORS, &WORKERS, &PAYOUTS, &[GOVERNOR, TREASURY, STRANGER, SPONSOR]].concat();
        let further = (1..=32).map(world::claims::further);
        let everybody = everybody
            .into_iter()
            .chain(further)
            .map(account)
            .chain([AccountId32::new(crate::anchor::direct_account())]);
        let balances = everybody.map(|account| (account, ENDOWMENT)).collect();
        let genesis =
            RuntimeGenesisConfig { balances: BalancesConfig { balances, ..Default::default() }, ..Default::default() };
        let externalities = TestExternalities::new(genesis.build_storage().unwrap());
        let mut chain = Self { externalities, contract: H160::zero(), history: BTreeMap::new(), weighed: 0, calls: 0 };
        chain.at_block(1);
        chain.contract = chain.create(GOVERNOR, argument)?;
        Ok(chain)
    }

    /// Creates a contract. Its address follows from its creator's, so everybody creates one.
    fn create(&mut self, creator: Address, argument: &[u8]) -> Result<H160, Said> {
        let data = [&CONSTRUCTOR.0[..], argument].concat();
        self.instantiate(creator, artifact("marketplace.polkavm"), Plancks::ZERO, data)
    }

    /// A contract of other code, made with money.
    pub fn create_of(
        &mut self,
        code: Vec<u8>,
        creator: Address,
        value: Plancks,
        argument: &[u8],
    ) -> Result<H160, Said> {
        self.instantiate(creator, code, value, [&CONSTRUCTOR.0[..], argument].concat())
    }

    fn instantiate(&mut self, creator: Address, code: Vec<u8>, value: Plancks, data: Vec<u8>) -> Result<H160, Said> {
        let code = Code::Upload(code);
        let result = self.externalities.execute_with(|| {
            let origin = RuntimeOrigin::signed(account(creator));
            let config = ExecConfig::new_substrate_tx();
            Revive::bare_instantiate(origin, parts(value), limits(), code, data, None, &config).result
        });
        match result {
            Ok(created) if created.result.did_revert() => Err(Said::Reverted(created.result.data)),
            Ok(created) => Ok(created.addr),
            Err(error) => Err(stopped(error)),
        }
    }

    /// The address of one more contract, which takes no money that comes without a message.
    pub fn somebody_who_takes_nothing(&mut self) -> Address {
        let argument = (world::params(), STRANGER, GENESIS).encode();
        Address(self.create(STRANGER, &argument).unwrap_or_else(|said| panic!("{said:?}")).0)
    }

    /// The address of somebody else's program.
    pub fn program(&mut self, code: &[u8]) -> Address {
        let made = self.instantiate(USERS[1], code.to_vec(), Plancks::ZERO, Vec::new());
        Address(made.unwrap_or_else(|said| panic!("{said:?}")).0)
    }

    /// One more market beside the one that is called; governed by the same account, and empty.
    pub fn another(&mut self) -> ContractAddress {
        let argument = (world::params(), GOVERNOR, GENESIS).encode();
        ContractAddress(self.create(TREASURY, &argument).unwrap_or_else(|said| panic!("{said:?}")).0)
    }

    /// Calls go to this contract from now on.
    pub fn turn_to(&mut self, contract: ContractAddress) {
        self.contract = H160(contract.0);
    }

    /// The contract's address.
    pub fn contract(&self) -> ContractAddress {
        ContractAddress(self.contract.0)
    }

    /// Moves to a block, six seconds each. Blocks behind it have the hashes that the rules' own host gives.
    pub fn at_block(&mut self, block: u32) {
        self.externalities.execute_with(|| {
            System::set_block_number(block);
            for before in block.saturating_sub(BLOCKS_KNOWN)..block {
                let hash = Software.block_hash(BlockNumber(before)).unwrap_or_default();
                let number = before.to_le_bytes();
                let key = [&twox_128(b"System")[..], &twox_128(b"BlockHash"), &twox_64(&number), &number].concat();
                sp_io::storage::set(&key, &hash);
            }
            pallet_timestamp::Pallet::<Runtime>::set_timestamp(6_000 * u64::from(block));
        });
    }

    /// Sends `calldata` with money as the platform counts it. A call that is stopped or reverted leaves nothing behind.
    pub fn send(&mut self, caller: Address, value: U256, calldata: Vec<u8>) -> Outcome {
        self.send_to(Address(self.contract.0), caller, value, calldata)
    }

    /// The same to any contract; the events are the market's.
    pub fn send_to(&mut self, to: Address, caller: Address, value: U256, calldata: Vec<u8>) -> Outcome {
        self.send_as(H160(to.0), account(caller), value, calldata)
    }

    /// The same by any account, which need be none that the platform made of an address.
    pub fn send_as(&mut self, to: H160, caller: AccountId32, value: U256, calldata: Vec<u8>) -> Outcome {
        let contract = self.contract;
        self.calls += 1;
        if self.calls.is_multiple_of(CALLS_IN_OVERLAY) {
            self.externalities.commit_all().unwrap();
        }
        let (block, outcome) = self.externalities.execute_with(|| {
            System::reset_events();
            let (said, weight) = with_transaction(|| {
                let origin = RuntimeOrigin::signed(caller);
                let config = ExecConfig::new_substrate_tx();
                let result = Revive::bare_call(origin, to, value, limits(), calldata, &config);
                let weight = result.weight_consumed;
                let said = match result.result {
                    Ok(returned) if returned.did_revert() => Said::Reverted(returned.data),
                    Ok(returned) => Said::Returned(returned.data),
                    Err(error) => stopped(error),
                };
                match said {
                    Said::Returned(_) => TransactionOutcome::Commit(Ok::<_, DispatchError>((said, weight))),
                    _ => TransactionOutcome::Rollback(Ok((said, weight))),
                }
            })
            .unwrap();
            (BlockNumber(System::block_number()), Outcome { said, events: emitted(contract), weight })
        });
        self.weighed = self.weighed.saturating_add(outcome.weight.ref_time());
        self.history.entry(contract).or_default().extend(outcome.events.iter().map(|event| (block, event.clone())));
        outcome
    }

    /// What the platform answers at an address that need not be a contract's.
    pub fn ask_platform(&mut self, address: H160, input: Vec<u8>) -> Said {
        self.externalities.execute_with(|| {
            let origin = RuntimeOrigin::signed(account(STRANGER));
            let config = ExecConfig::new_substrate_tx();
            match Revive::bare_call(origin, address, U256::zero(), limits(), input, &config).result {
                Ok(returned) if returned.did_revert() => Said::Reverted(returned.data),
                Ok(returned) => Said::Returned(returned.data),
                Err(error) => stopped(error),
            }
        })
    }

    /// What another contract said in the last call.
    pub fn said_by(&mut self, contract: H160) -> Vec<(Vec<[u8; 32]>, Vec<u8>)> {
        self.externalities.execute_with(|| emitted_by(contract))
    }

    /// What an auditor finds who has the contract's events, its own sums and its balance, nothing else.
    pub fn audit(&mut self) -> LedgerReport {
        let (stated, balance) = (self.read(&ReadTotals {}), self.balance());
        let history = self.history.get(&self.contract).map_or(&[][..], Vec::as_slice);
        let last = history.last().map_or(BlockNumber(1), |(block, _)| *block);
        audit_ledger(history, 0, last, &stated, balance)
    }

    /// Makes a call of the protocol, with money in plancks.
    pub fn call<C: Call>(&mut self, caller: Address, value: Plancks, call: &C) -> Result<C::Answer, Refusal> {
        answer(&self.send(caller, parts(value), call.calldata()).said)
    }

    /// Makes the call that `at` describes.
    pub fn send_at(&mut self, at: &Context, calldata: Vec<u8>) -> Outcome {
        self.at_block(at.block.0);
        self.send(at.caller, parts(at.value), calldata)
    }

    /// Asks the contract.
    pub fn read<C: Call>(&mut self, call: &C) -> C::Answer {
        self.call(STRANGER, Plancks::ZERO, call).unwrap()
    }

    /// What an account has, above what keeps it alive.
    pub fn free(&mut self, address: Address) -> Plancks {
        self.externalities.execute_with(|| Plancks(Balances::free_balance(account(address))))
    }

    /// What the contract has, above what keeps its account alive.
    pub fn balance(&mut self) -> Plancks {
        let contract = Address(self.contract.0);
        let found = self.externalities.execute_with(|| Balances::free_balance(account(contract)));
        Plancks(found - EXISTENTIAL_DEPOSIT)
    }

    /// What the platform holds for what the contract stores.
    pub fn held(&mut self) -> Plancks {
        let contract = Address(self.contract.0);
        Plancks(self.externalities.execute_with(|| System::account(account(contract)).data.reserved))
    }

    /// What all calls so far weighed, in picoseconds of reference time.
    pub fn weighed(&self) -> u64 {
        self.weighed
    }

    /// Lengths of the contract's storage items, in bytes.
    pub fn item_bytes(&mut self) -> Vec<usize> {
        // The pallet keeps the name of a contract's own trie to itself: its record is one byte of kind, then the name.
        let record = [&twox_128(b"Revive")[..], &twox_128(b"AccountInfoOf"), &self.contract.0].concat();
        self.externalities.execute_with(|| {
            let record = sp_io::storage::get(&record).unwrap();
            let trie = Vec::<u8>::decode(&mut &record[1..]).unwrap();
            let mut lengths = Vec::new();
            let mut key = Vec::new();
            while let Some(next) = sp_io::default_child_storage::next_key(&trie, &key) {
                lengths.push(sp_io::default_child_storage::get(&trie, &next).unwrap().len());
                key = next;
            }
            lengths
        })
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

/// Money as the platform counts it.
pub fn parts(value: Plancks) -> U256 {
    U256::from(value.0) * U256::from(NATIVE_TO_ETH_RATIO)
}

/// What the contract's bytes mean. Money sent to a message that takes none is stopped by ink! before
/// the rules can refuse it; the two are one to a caller.
pub fn answer<A: Decode>(said: &Said) -> Result<A, Refusal> {
    match said {
        Said::Returned(bytes) => match Result::<Result<A, Refusal>, ()>::decode(&mut &bytes[..]) {
            Ok(Ok(answer)) => answer,
            other => panic!("{bytes:?} is no answer ({})", other.is_ok()),
        },
        Said::Reverted(bytes) => match Result::<Result<(), Refusal>, ()>::decode(&mut &bytes[..]) {
            Ok(Ok(Err(refusal))) => Err(refusal),
            _ => panic!("{bytes:?} is no refusal"),
        },
        Said::Stopped(error) => panic!("the platform stopped the call: {error}"),
    }
}

fn limits() -> TransactionLimits<Runtime> {
    TransactionLimits::WeightAndDeposit { weight_limit: WEIGHT_LIMIT, deposit_limit: 1_000 * UNIT }
}

fn stopped(error: DispatchError) -> Said {
    let name: &'static str = error.into();
    Said::Stopped(name.to_owned())
}

/// Topics and data of what another contract said in the call that was just made.
fn emitted_by(contract: H160) -> Vec<(Vec<[u8; 32]>, Vec<u8>)> {
    System::events()
        .into_iter()
        .filter_map(|record| match record.event {
            RuntimeEvent::Revive(pallet_revive::Event::ContractEmitted { contract: found, data, topics })
                if found == contract =>
            {
                Some((topics.into_iter().map(|topic| topic.0).collect(), data))
            }
            _ => None,
        })
        .collect()
}

/// The contract's events of the call that was just made, decoded by their topics.
fn emitted(contract: H160) -> Vec<Event> {
    System::events()
        .into_iter()
        .filter_map(|record| match record.event {
            RuntimeEvent::Revive(pallet_revive::Event::ContractEmitted { contract: found, data, topics })
                if found == contract =>
            {
                let topics: Vec<[u8; 32]> = topics.into_iter().map(|topic| topic.0).collect();
                let decoded = event::decode_emitted(&topics, &data);
                Some(decoded.unwrap_or_else(|| panic!("no event of the protocol: {topics:?} {data:?}")))
            }
            _ => None,
        })
        .collect()
}
