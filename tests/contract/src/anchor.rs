//! A market with a worker in it whose account is an anchor: it holds the stake, and its key holds nothing.

use crate::{
    Chain, Said,
    chain::{account, anchor_code, parts},
    world::{GENESIS, MACHINES, MEASUREMENTS, STRANGER, World, key, params},
};
use codec::Decode;
use encompute_lifecycle::turn;
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, JobId, KeyDigest, Plancks, RegistrationStatement, Text,
    call::{BeginRegistration, Call, ReadNonce, RegisterWorker},
    draw::TURNS,
    signing::SigningKey,
    statement::TeeKind,
};
use encompute_rollup::{
    Action, ForwardError, ForwardRequest, Key, RollupError, RollupTx, Value, bound,
    call::{AnchorCall, AnchorRecord, GetValue, MetaTxRollupCondEq, NameKey, Prepare, RollupCondEq},
};
use sp_core::{H160, U256};
use sp_runtime::AccountId32;

/// Owns the anchor and staked for it.
pub const OWNER: Address = crate::world::CREATORS[1];
/// Is credited for its jobs.
pub const PAYOUT: Address = crate::world::PAYOUTS[4];
/// What it holds for stake at first.
pub const STAKE: Plancks = Plancks(40_000);
/// Which of the world's keys and machines it has: none of its workers' before the last.
pub const WORKER: usize = 5;
/// For how many blocks requests of these tests hold.
const LIFE_BLOCKS: u32 = 20;

/// The worker's key.
pub fn worker_key() -> SigningKey {
    key(WORKER)
}

/// The account that the worker's key is where it sends by itself.
pub fn direct_account() -> [u8; 32] {
    ForwardRequest::sender(&worker_key().public_key())
}

/// The market, an anchor, and what has been said.
pub struct Anchored {
    pub chain: Chain,
    pub world: World,
    pub anchor: H160,
    pub block: u32,
}

/// An anchor's answer: what is in ink!'s own result.
pub fn answer<C: AnchorCall>(said: &Said) -> C::Answer {
    let (Said::Returned(bytes) | Said::Reverted(bytes)) = said else { panic!("{}: {said:?}", C::NAME) };
    let mut rest = &bytes[..];
    let answer = Result::<C::Answer, ()>::decode(&mut rest).unwrap().unwrap();
    assert!(rest.is_empty(), "{}: {bytes:?}", C::NAME);
    answer
}

impl Anchored {
    /// An anchor with money for its stake whose owner has named no key.
    pub fn nameless() -> Self {
        let mut chain = Chain::new();
        let world = World::at_contract(chain.contract());
        chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
        let record = AnchorRecord { owner: OWNER, payout: PAYOUT, market: chain.contract(), genesis: GENESIS };
        let anchor = chain.create_of(anchor_code(), OWNER, STAKE, &codec::Encode::encode(&record));
        let (anchor, block) = (anchor.unwrap_or_else(|said| panic!("{said:?}")), world.block);
        Self { chain, world, anchor, block }
    }

    /// One whose owner has named the worker's key, which is not registered.
    pub fn named() -> Self {
        let mut anchored = Self::nameless();
        let named = anchored.call(OWNER, Plancks::ZERO, &NameKey { key: worker_key().public_key() });
        assert_eq!(named, Ok(direct_account()));
        anchored
    }

    /// One that has registered as a worker, by requests that a stranger paid for.
    pub fn registered() -> Self {
        let mut anchored = Self::named();
        anchored.reply(BeginRegistration {}.calldata()).unwrap();
        let message = anchored.registration();
        anchored.reply(message.calldata()).unwrap();
        anchored
    }

    /// The anchor as the market's worker.
    pub fn address(&self) -> Address {
        Address(self.anchor.0)
    }

    /// What the worker registers with now.
    pub fn registration(&mut self) -> RegisterWorker {
        let machine = WORKER % MACHINES.len();
        let nonce = self.chain.read(&ReadNonce { account: self.address() }).unwrap_or_default();
        let statement = RegistrationStatement {
            genesis: GENESIS,
            contract: self.chain.contract(),
            account: self.address(),
            signing: worker_key().address(),
            hpke: KeyDigest([9; 32]),
            payout: PAYOUT,
            tee: TeeKind::Tdx,
            expires_at: BlockNumber(self.block + 10_000),
        };
        RegisterWorker {
            signing: statement.signing,
            hpke: statement.hpke,
            payout: statement.payout,
            tee: statement.tee,
            measurement: MEASUREMENTS[0],
            quote: MACHINES[machine].quote(0, &statement, &nonce),
            evidence: BlobDigest([8; 32]),
            expires_at: statement.expires_at,
            capacity: 2,
            url: Text::new("http://127.0.0.1:4000").unwrap(),
            signature: worker_key().sign(&statement),
        }
    }

    /// Moves on to where anybody may claim what was requested in this block.
    pub fn opens(&mut self) {
        self.block += 2 + TURNS * turn(&params().windows).0;
        self.chain.at_block(self.block);
    }

    /// Moves on by a block.
    pub fn next_block(&mut self) {
        self.block += 1;
        self.chain.at_block(self.block);
    }

    /// Makes a call of the anchor.
    pub fn call<C: AnchorCall>(&mut self, caller: Address, value: Plancks, call: &C) -> C::Answer {
        answer::<C>(&self.send(caller, value, call.calldata()))
    }

    /// Sends the anchor bytes.
    pub fn send(&mut self, caller: Address, value: Plancks, calldata: Vec<u8>) -> Said {
        self.chain.send_as(self.anchor, account(caller), parts(value), calldata).said
    }

    /// The value under a key.
    pub fn get(&mut self, key: &[u8]) -> Option<Value> {
        self.call(STRANGER, Plancks::ZERO, &GetValue { key: key.to_vec() })
    }

    /// A transaction that the worker's own account sends.
    pub fn direct(&mut self, transaction: RollupTx) -> Result<(), RollupError> {
        let caller = AccountId32::new(direct_account());
        let calldata = RollupCondEq { transaction }.calldata();
        answer::<RollupCondEq>(&self.chain.send_as(self.anchor, caller, U256::zero(), calldata).said)
    }

    /// The request that the anchor prepares for some bytes of the worker's.
    pub fn prepared(&mut self, data: Vec<u8>) -> ForwardRequest {
        let (request, digest) = self.call(STRANGER, Plancks::ZERO, &Prepare { from: direct_account(), data }).unwrap();
        assert_eq!(request.digest(), digest, "the contract hashes as we do");
        request
    }

    /// A transaction bound to this chain and the next blocks.
    pub fn bound(&self, mut transaction: RollupTx) -> RollupTx {
        transaction.conditions.extend(bound::conditions(&GENESIS, BlockNumber(self.block + LIFE_BLOCKS)));
        transaction
    }

    /// A transaction that the worker signs and a stranger sends.
    pub fn forward(&mut self, transaction: RollupTx) -> Result<(), ForwardError> {
        let bound = self.bound(transaction);
        let request = self.prepared(codec::Encode::encode(&bound));
        self.relay(&request, &worker_key())
    }

    /// Sends a request that `key` signs.
    pub fn relay(&mut self, request: &ForwardRequest, key: &SigningKey) -> Result<(), ForwardError> {
        let call = MetaTxRollupCondEq { request: request.clone(), signature: key.sign_digest(&request.digest()).0 };
        self.call(STRANGER, Plancks::ZERO, &call)
    }

    /// Says one thing to the market.
    pub fn reply(&mut self, message: Vec<u8>) -> Result<(), ForwardError> {
        self.forward(tx(vec![], vec![], vec![Action::Reply(message)]))
    }

    /// A job that the world's first user has asked for.
    pub fn requested(&mut self) -> JobId {
        use encompute_protocol::{SplitIndex, VersionId};
        let message = self.world.request_message(VersionId(1), SplitIndex(0));
        let escrow = self.world.escrow(message.version, message.split, message.tip).unwrap();
        self.chain.call(crate::world::USERS[0], escrow, &message).unwrap()
    }
}

/// A transaction of these parts.
pub fn tx(conditions: Vec<(Key, Option<Value>)>, updates: Vec<(Key, Option<Value>)>, actions: Vec<Action>) -> RollupTx {
    RollupTx { conditions, updates, actions }
}
