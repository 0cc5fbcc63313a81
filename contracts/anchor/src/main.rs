//! The anchor contract: a worker's account on chain, which speaks the off-chain rollup protocol. A thin shell over
//! [`encompute_rollup`], which holds every rule.
//!
//! In the market an anchor is a worker like any other: it is the caller. What it says there its owner says (with the
//! stake), or a key that the owner has named and the market has registered, in transactions that anybody may pay for.
//! A refusal undoes the whole call.
//!
//! Compiled for PolkaVM this is the contract; on the host (feature `std`) it is a program that prints
//! the contract's metadata. It is tested on the embedded chain only: ink!'s off-chain engine behaves
//! differently where it matters.
#![cfg_attr(not(feature = "std"), no_std, no_main)]

mod events;
mod host;
mod storage;

/// The contract.
#[ink::contract(env = crate::host::AnchorEnvironment)]
mod anchor {
    use crate::{
        events::{MessageProcessedTo, MessageQueued, MetaTxDecoded},
        host,
        storage::Store,
    };
    use encompute_protocol::{
        JobId, SigningAddress, Stage,
        call::{ReadJob, ReadMeasurement, ReadPlatform, ReadWorker},
    };
    use encompute_rollup::{
        Action, Attestor, Facts, ForwardError, ForwardRequest, Here, Key, MAY_NOT, ReadKv, RollupError, RollupTx,
        Standing, Value, call::AnchorRecord, call::job_message, queue, takes_stake,
    };
    use ink::prelude::vec::Vec;

    /// Everything that an anchor keeps.
    #[ink(storage)]
    pub struct Anchor {
        store: Store,
    }

    impl Anchor {
        /// An anchor without keys. The money sent along is for its stake.
        ///
        /// # Errors
        /// [`RollupError::NotAKey`] for an owner, payee, market or genesis hash of zeros.
        #[ink(constructor, payable, selector = 0x00000001)]
        pub fn new(record: AnchorRecord) -> Result<Self, RollupError> {
            host::check_calldata(&record)?;
            Ok(Self { store: Store::new(record)? })
        }

        /// Takes money. The platform pays by calls without data, which it fills up with zeros.
        #[ink(message, payable, selector = 0x00000000)]
        pub fn take_payment(&mut self) -> Result<(), RollupError> {
            Ok(())
        }

        /// The value under a key.
        #[ink(message, selector = 0xdfec736d)]
        pub fn get_value(&self, key: Key) -> Option<Value> {
            self.here().get(&key)
        }

        /// A worker's transaction, by the account that its key is.
        #[ink(message, selector = 0x95233d74)]
        pub fn rollup_cond_eq(
            &mut self,
            conditions: Vec<(Key, Option<Value>)>,
            updates: Vec<(Key, Option<Value>)>,
            actions: Vec<Action>,
        ) -> Result<(), RollupError> {
            let transaction = RollupTx { conditions, updates, actions };
            host::check_calldata(&transaction)?;
            let signing = self.store.signing_of_caller(host::caller()).ok_or(MAY_NOT)?;
            self.execute(signing, transaction)
        }

        /// The request to sign for a transaction, and its digest.
        #[ink(message, selector = 0x3ecc267e)]
        pub fn prepare(&self, from: [u8; 32], data: Vec<u8>) -> Result<(ForwardRequest, [u8; 32]), ForwardError> {
            let to = encompute_rollup::account_of(&host::contract());
            let request = ForwardRequest { from, to, nonce: self.store.nonce(from), data };
            let digest = request.digest();
            Ok((request, digest))
        }

        /// A worker's transaction, by anybody who pays for it.
        #[ink(message, selector = 0x8eb77024)]
        pub fn meta_tx_rollup_cond_eq(
            &mut self,
            request: ForwardRequest,
            signature: [u8; 65],
        ) -> Result<(), ForwardError> {
            host::check_calldata(&(&request, &signature))?;
            let (signer, nonce) = (self.store.signing(request.from), self.store.nonce(request.from));
            let place = (&host::contract(), host::block());
            let (next, transaction) = request.open(&host::Platform, place, (signer, nonce), &signature)?;
            self.store.count(request.from, next);
            ink::env::emit_event(MetaTxDecoded {});
            Ok(self.execute(signer.ok_or(MAY_NOT)?, transaction)?)
        }

        /// The owner names a key of its worker; answers its name among senders.
        #[ink(message, selector = 0x00000010)]
        pub fn name_key(&mut self, key: [u8; 33]) -> Result<[u8; 32], RollupError> {
            host::check_calldata(&key)?;
            self.must_be_owners()?;
            let signing = host::address_of(&key).ok_or(RollupError::NotAKey)?;
            let from = ForwardRequest::sender(&key);
            self.store.name(from, host::account_of(&from), signing);
            Ok(from)
        }

        /// The owner takes a key's name away.
        #[ink(message, selector = 0x00000011)]
        pub fn drop_key(&mut self, from: [u8; 32]) -> Result<(), RollupError> {
            host::check_calldata(&from)?;
            self.must_be_owners()?;
            self.store.drop_name(from, host::account_of(&from));
            Ok(())
        }

        /// The owner says something to the market as the worker, with the money sent along. What the market pays comes
        /// here, and `withdraw` takes it out.
        #[ink(message, payable, selector = 0x00000012)]
        pub fn act(&mut self, message: Vec<u8>) -> Result<Vec<u8>, RollupError> {
            host::check_calldata(&message)?;
            self.must_be_owners()?;
            let value = host::transferred();
            host::tell(&self.store.record().market, &message, value, host::Paying::Allowed)
                .map_err(|said| RollupError::MarketRefused { reply: 0, said })
        }

        /// The owner takes the money out that the anchor holds.
        #[ink(message, selector = 0x00000013)]
        pub fn withdraw(&mut self) -> Result<(), RollupError> {
            host::check_calldata(&())?;
            self.must_be_owners()?;
            host::pay(self.store.record().owner, host::balance())
        }

        /// Anybody puts a job on the worker's queue that is open, or the worker's.
        #[ink(message, selector = 0x00000014)]
        pub fn queue_job(&mut self, job: JobId) -> Result<u32, RollupError> {
            host::check_calldata(&job)?;
            let (_, progress) =
                host::ask(&self.store.record().market, &ReadJob { job }).flatten().ok_or(RollupError::NotQueueable)?;
            let is_mine = progress.worker.is_some_and(|worker| worker.0 == host::contract().0);
            let may_be_queued = match progress.stage {
                Stage::Requested => true,
                Stage::Claimed => is_mine,
                _ => false,
            };
            if !may_be_queued || self.store.was_queued(job) {
                return Err(RollupError::NotQueueable);
            }
            let (id, changes) = queue::push(&self.store, job_message(job))?;
            changes.apply(&mut self.store);
            self.store.queued(job, id);
            ink::env::emit_event(MessageQueued { id, data: job_message(job) });
            Ok(id)
        }

        /// What the anchor was made with.
        #[ink(message, selector = 0x00000080)]
        pub fn anchor(&self) -> AnchorRecord {
            self.store.record()
        }

        /// A key that the owner has named, and whether its registration holds.
        #[ink(message, selector = 0x00000081)]
        pub fn attestor(&self, from: [u8; 32]) -> Option<(SigningAddress, bool)> {
            let signing = self.store.signing(from)?;
            Some((signing, self.standing(signing).1 == Standing::Registered))
        }
    }

    impl Anchor {
        fn here(&self) -> Here<'_, Store> {
            Here { kv: &self.store, genesis: self.store.record().genesis, block: host::block() }
        }

        fn must_be_owners(&self) -> Result<(), RollupError> {
            if host::caller() == self.store.record().owner { Ok(()) } else { Err(MAY_NOT) }
        }

        /// What a named key may do now, by the market's records.
        fn standing(&self, signing: SigningAddress) -> (Attestor, Standing) {
            let AnchorRecord { payout, market, .. } = self.store.record();
            let attestor = Attestor { signing, payout };
            let worker = encompute_protocol::Address(host::contract().0);
            let worker = host::ask(&market, &ReadWorker { worker }).flatten().map(|(record, _)| record);
            let measurement = worker.and_then(|worker| {
                host::ask(&market, &ReadMeasurement { measurement: worker.measurement }).flatten()
            });
            let platform =
                worker.and_then(|worker| host::ask(&market, &ReadPlatform { platform: worker.platform }).flatten());
            let facts = Facts { worker: worker.as_ref(), measurement, platform, block: host::block() };
            (attestor, attestor.standing(&facts))
        }

        /// Does what a named key asks, or nothing.
        fn execute(&mut self, signing: SigningAddress, transaction: RollupTx) -> Result<(), RollupError> {
            let (attestor, standing) = self.standing(signing);
            attestor.may_send(standing, &transaction)?;
            let changes = transaction.decide(&self.here())?;
            if let Some(id) = changes.processed_to {
                ink::env::emit_event(MessageProcessedTo { id });
            }
            let market = self.store.record().market;
            for (reply, message) in (0..).zip(changes.apply(&mut self.store)) {
                let value = if takes_stake(&message) { host::balance() } else { host::NOTHING };
                host::tell(&market, &message, value, host::Paying::Denied)
                    .map_err(|said| RollupError::MarketRefused { reply, said })?;
            }
            Ok(())
        }
    }
}

/// Prints the contract's metadata as JSON.
#[cfg(feature = "std")]
fn main() -> Result<(), serde_json::Error> {
    unsafe extern "Rust" {
        fn __ink_generate_metadata() -> ink::metadata::InkProject;
    }
    // SAFETY: ink! defines this function in every contract built with `std`, with this very signature.
    let metadata = unsafe { __ink_generate_metadata() };
    println!("{}", serde_json::to_string_pretty(&metadata)?);
    Ok(())
}
