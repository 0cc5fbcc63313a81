//! The marketplace contract: a thin shell over [`encompute_lifecycle`], which holds every rule.
//!
//! The shell decodes exactly one argument of the protocol, tells the rules about the call, applies what
//! they decide to storage, emits their events and pays. Its messages answer `Result<_, Refusal>`; a
//! refusal undoes the whole call.
//!
//! Compiled for PolkaVM this is the contract; on the host (feature `std`) it is a program that prints
//! the contract's metadata. It is tested on the embedded chain only: ink!'s off-chain engine behaves
//! differently where it matters.
#![cfg_attr(not(feature = "std"), no_std, no_main)]

mod events;
mod host;
#[cfg(feature = "std")]
mod metadata;
mod shell;
mod storage;

/// The contract.
#[ink::contract(env = crate::host::MarketEnvironment)]
mod marketplace {
    use crate::{host, shell, storage::Market};
    use encompute_lifecycle::{Decide, Refusal, View};
    // Not `Address`: ink! gives this module one of its own.
    use encompute_protocol::{
        AnnouncedParams, DisputeRecord, Draw, Fees, GenesisHash, JobId, JobProgress, JobTerms, ModelId, ModelRecord, Nonce, Params, Plancks,
        PlatformId, PrunedRecord, Rating, SessionId, SessionRecord, SplitRecord, Text, VersionId, VersionRecord, Windows, WorkerRecord,
        call::*,
        ids,
        market::{AttestationKeyRecord, Counts, MeasurementRecord, PlatformRecord, Totals},
    };

    /// Everything that the marketplace keeps.
    #[ink(storage)]
    pub struct Marketplace {
        market: Market,
    }

    impl Marketplace {
        /// A market without models, workers and jobs.
        ///
        /// # Errors
        /// [`Refusal`] for parameters outside their bounds, no governor, no genesis hash.
        #[ink(constructor, selector = 0x00000001)]
        pub fn new(params: Params, governor: ids::Address, genesis: GenesisHash) -> Result<Self, Refusal> {
            host::check_calldata(&(params, governor, genesis))?;
            Ok(Self { market: Market::new(params, governor, genesis)? })
        }

        /// Buys one run for exactly the escrow that [`QuoteJob`] answers plus the tip, or nothing if a sponsor pays.
        #[ink(message, payable, selector = 0x00000010)]
        pub fn request_job(&mut self, call: RequestJob) -> Result<JobId, Refusal> {
            self.execute(&call)
        }

        /// A registered worker takes a requested job, from its turn on.
        #[ink(message, selector = 0x00000011)]
        pub fn claim_job(&mut self, call: ClaimJob) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The worker that holds the job commits its receipt.
        #[ink(message, selector = 0x00000012)]
        pub fn commit_head(&mut self, call: CommitHead) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The user names the sealed features.
        #[ink(message, selector = 0x00000013)]
        pub fn send_features(&mut self, call: SendFeatures) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The creator names the sealed result.
        #[ink(message, selector = 0x00000014)]
        pub fn commit_result(&mut self, call: CommitResult) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The user accepts the result; everybody is credited.
        #[ink(message, selector = 0x00000015)]
        pub fn accept_result(&mut self, call: AcceptResult) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The user ends the job where that is allowed.
        #[ink(message, selector = 0x00000016)]
        pub fn cancel_job(&mut self, call: CancelJob) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The creator refuses the features; the user is made whole from the bond.
        #[ink(message, selector = 0x00000017)]
        pub fn refuse_features(&mut self, call: RefuseFeatures) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Anybody moves a job on whose actor is late, or whose version was revoked.
        #[ink(message, selector = 0x00000018)]
        pub fn poke_job(&mut self, call: PokeJob) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The caller takes its credit out.
        #[ink(message, selector = 0x00000019)]
        pub fn withdraw_credit(&mut self, call: WithdrawCredit) -> Result<Plancks, Refusal> {
            self.execute(&call)
        }

        /// The value sent adds to what the caller pays for jobs of a user.
        #[ink(message, payable, selector = 0x00000061)]
        pub fn sponsor_user(&mut self, call: SponsorUser) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// What is left of the caller's allowance for a user becomes the caller's credit.
        #[ink(message, selector = 0x00000062)]
        pub fn end_sponsoring(&mut self, call: EndSponsoring) -> Result<Plancks, Refusal> {
            self.execute(&call)
        }

        /// Something is wrong, or to be shown. The value sent must be exactly the deposit that the kind takes.
        #[ink(message, payable, selector = 0x0000001a)]
        pub fn open_dispute(&mut self, call: OpenDispute) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// A member of a committee seals its verdict.
        #[ink(message, selector = 0x0000001b)]
        pub fn seal_verdict(&mut self, call: SealVerdict) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// A member of a committee reveals what it sealed.
        #[ink(message, selector = 0x0000001c)]
        pub fn reveal_verdict(&mut self, call: RevealVerdict) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The worker whose head most of a committee found wrong has another hear it, for exactly the deposit.
        #[ink(message, payable, selector = 0x00000063)]
        pub fn appeal_ruling(&mut self, call: AppealRuling) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Who committed a blob that is said to be missing posts it, part by part.
        #[ink(message, selector = 0x0000001d)]
        pub fn post_blob(&mut self, call: PostBlob) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The job's worker shows a quote over its receipt, made since it was demanded.
        #[ink(message, selector = 0x00000060)]
        pub fn show_quote(&mut self, call: ShowQuote) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The user of a settled job says what it thinks of the model.
        #[ink(message, selector = 0x0000001e)]
        pub fn rate_job(&mut self, call: RateJob) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Anybody removes the records of a job or session that ended long ago, and sends exactly what others paid for them.
        #[ink(message, payable, selector = 0x0000001f)]
        pub fn prune_job(&mut self, call: PruneJob) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Lists a model; the value sent is its bond.
        #[ink(message, payable, selector = 0x00000020)]
        pub fn list_model(&mut self, call: ListModel) -> Result<ModelId, Refusal> {
            self.execute(&call)
        }

        /// Publishes a version as a draft.
        #[ink(message, selector = 0x00000021)]
        pub fn publish_version(&mut self, call: PublishVersion) -> Result<VersionId, Refusal> {
            self.execute(&call)
        }

        /// Puts a draft up for sale.
        #[ink(message, selector = 0x00000022)]
        pub fn activate_version(&mut self, call: ActivateVersion) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// No new jobs; running ones finish.
        #[ink(message, selector = 0x00000023)]
        pub fn deprecate_version(&mut self, call: DeprecateVersion) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Withdraws a version for safety.
        #[ink(message, selector = 0x00000024)]
        pub fn revoke_version(&mut self, call: RevokeVersion) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Adds the value sent to a model's bond.
        #[ink(message, payable, selector = 0x00000025)]
        pub fn add_bond(&mut self, call: AddBond) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Asks free bond back; it may be taken after the unbonding time.
        #[ink(message, selector = 0x00000026)]
        pub fn ask_bond(&mut self, call: AskBond) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Takes the bond that was asked back.
        #[ink(message, selector = 0x00000027)]
        pub fn take_bond(&mut self, call: TakeBond) -> Result<Plancks, Refusal> {
            self.execute(&call)
        }

        /// The creator says how many jobs a session of a version may have.
        #[ink(message, selector = 0x00000028)]
        pub fn take_sessions(&mut self, call: TakeSessions) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Opens a session. The value sent must be exactly the escrow of all its jobs.
        #[ink(message, payable, selector = 0x00000050)]
        pub fn open_session(&mut self, call: OpenSession) -> Result<SessionId, Refusal> {
            self.execute(&call)
        }

        /// Shows a voucher.
        #[ink(message, selector = 0x00000051)]
        pub fn close_session(&mut self, call: CloseSession) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Anybody ends a session whose deadline is over.
        #[ink(message, selector = 0x00000052)]
        pub fn poke_session(&mut self, call: PokeSession) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Issues the nonce that the caller's next registration must answer.
        #[ink(message, selector = 0x00000030)]
        pub fn begin_registration(&mut self, call: BeginRegistration) -> Result<Nonce, Refusal> {
            self.execute(&call)
        }

        /// Registers the caller as a worker or renews its registration; the value sent adds to its stake.
        #[ink(message, payable, selector = 0x00000031)]
        pub fn register_worker(&mut self, call: RegisterWorker) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Adds the value sent to the caller's stake.
        #[ink(message, payable, selector = 0x00000032)]
        pub fn add_stake(&mut self, call: AddStake) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Asks free stake back; it may be taken after the unbonding time.
        #[ink(message, selector = 0x00000033)]
        pub fn ask_stake(&mut self, call: AskStake) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Takes the stake that was asked back.
        #[ink(message, selector = 0x00000034)]
        pub fn take_stake(&mut self, call: TakeStake) -> Result<Plancks, Refusal> {
            self.execute(&call)
        }

        /// Sets how many jobs the caller holds at once; 0 takes no more.
        #[ink(message, selector = 0x00000035)]
        pub fn set_capacity(&mut self, call: SetCapacity) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Anybody shows that an attestation key was made on a platform of the allow-list.
        #[ink(message, selector = 0x00000036)]
        pub fn certify_key(&mut self, call: CertifyKey) -> Result<PlatformId, Refusal> {
            self.execute(&call)
        }

        /// The governor announces a measurement; it may be used after the delay.
        #[ink(message, selector = 0x00000040)]
        pub fn allow_measurement(&mut self, call: AllowMeasurement) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The governor revokes a measurement at once.
        #[ink(message, selector = 0x00000041)]
        pub fn revoke_measurement(&mut self, call: RevokeMeasurement) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The governor announces a platform; it may be used after the delay of measurements.
        #[ink(message, selector = 0x00000045)]
        pub fn allow_platform(&mut self, call: AllowPlatform) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The governor revokes a platform at once.
        #[ink(message, selector = 0x00000046)]
        pub fn revoke_platform(&mut self, call: RevokePlatform) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The governor announces parameters of new jobs, within their bounds.
        #[ink(message, selector = 0x00000042)]
        pub fn announce_params(&mut self, call: AnnounceParams) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The governor takes an announcement back.
        #[ink(message, selector = 0x00000047)]
        pub fn withdraw_params(&mut self, call: WithdrawParams) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Anybody puts announced parameters in force, once their notice is over.
        #[ink(message, selector = 0x00000048)]
        pub fn enact_params(&mut self, call: EnactParams) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The governor stops or resumes new jobs; exits always work.
        #[ink(message, selector = 0x00000043)]
        pub fn set_paused(&mut self, call: SetPaused) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// The governor hands its role on.
        #[ink(message, selector = 0x00000044)]
        pub fn set_governor(&mut self, call: SetGovernor) -> Result<(), Refusal> {
            self.execute(&call)
        }

        /// Parameters of new jobs.
        #[ink(message, selector = 0x00000080)]
        pub fn params(&self, call: ReadParams) -> Result<Params, Refusal> {
            self.answer(&call)
        }

        /// The sums that the balance covers.
        #[ink(message, selector = 0x00000081)]
        pub fn totals(&self, call: ReadTotals) -> Result<Totals, Refusal> {
            self.answer(&call)
        }

        /// How many of each there are.
        #[ink(message, selector = 0x00000082)]
        pub fn counts(&self, call: ReadCounts) -> Result<Counts, Refusal> {
            self.answer(&call)
        }

        /// Who governs, and whether new jobs are stopped.
        #[ink(message, selector = 0x00000083)]
        pub fn governance(&self, call: ReadGovernance) -> Result<(ids::Address, bool), Refusal> {
            self.answer(&call)
        }

        /// One model.
        #[ink(message, selector = 0x00000084)]
        pub fn model(&self, call: ReadModel) -> Result<Option<(ModelRecord, Text<64>)>, Refusal> {
            self.answer(&call)
        }

        /// One version.
        #[ink(message, selector = 0x00000085)]
        pub fn version(&self, call: ReadVersion) -> Result<Option<VersionRecord>, Refusal> {
            self.answer(&call)
        }

        /// One split of a version.
        #[ink(message, selector = 0x00000086)]
        pub fn split(&self, call: ReadSplit) -> Result<Option<SplitRecord>, Refusal> {
            self.answer(&call)
        }

        /// One worker and where it serves.
        #[ink(message, selector = 0x00000087)]
        pub fn worker(&self, call: ReadWorker) -> Result<Option<(WorkerRecord, Text<200>)>, Refusal> {
            self.answer(&call)
        }

        /// The account of the n-th worker, from 0, in order of first registration.
        #[ink(message, selector = 0x00000088)]
        pub fn worker_at(&self, call: ReadWorkerAt) -> Result<Option<ids::Address>, Refusal> {
            self.answer(&call)
        }

        /// One measurement.
        #[ink(message, selector = 0x00000089)]
        pub fn measurement(&self, call: ReadMeasurement) -> Result<Option<MeasurementRecord>, Refusal> {
            self.answer(&call)
        }

        /// One job.
        #[ink(message, selector = 0x0000008a)]
        pub fn job(&self, call: ReadJob) -> Result<Option<(JobTerms, JobProgress)>, Refusal> {
            self.answer(&call)
        }

        /// What an account may withdraw.
        #[ink(message, selector = 0x0000008b)]
        pub fn credit(&self, call: ReadCredit) -> Result<Plancks, Refusal> {
            self.answer(&call)
        }

        /// The nonce that an account's registration must answer.
        #[ink(message, selector = 0x0000008c)]
        pub fn registration_nonce(&self, call: ReadNonce) -> Result<Option<Nonce>, Refusal> {
            self.answer(&call)
        }

        /// What one run costs now: the escrow without tip, part by part, and the windows a job would get.
        #[ink(message, selector = 0x0000008d)]
        pub fn quote_job(&self, call: QuoteJob) -> Result<Option<(Fees, Windows)>, Refusal> {
            self.answer(&call)
        }

        /// The open dispute of a job.
        #[ink(message, selector = 0x0000008e)]
        pub fn dispute(&self, call: ReadDispute) -> Result<Option<DisputeRecord>, Refusal> {
            self.answer(&call)
        }

        /// What a job's user thought of it.
        #[ink(message, selector = 0x0000008f)]
        pub fn rating(&self, call: ReadRating) -> Result<Option<Rating>, Refusal> {
            self.answer(&call)
        }

        /// One platform.
        #[ink(message, selector = 0x00000090)]
        pub fn platform(&self, call: ReadPlatform) -> Result<Option<PlatformRecord>, Refusal> {
            self.answer(&call)
        }

        /// One certified attestation key.
        #[ink(message, selector = 0x00000091)]
        pub fn attestation_key(&self, call: ReadAttestationKey) -> Result<Option<AttestationKeyRecord>, Refusal> {
            self.answer(&call)
        }

        /// Parameters that are announced.
        #[ink(message, selector = 0x00000093)]
        pub fn announced_params(&self, call: ReadAnnouncedParams) -> Result<Option<AnnouncedParams>, Refusal> {
            self.answer(&call)
        }

        /// One session.
        #[ink(message, selector = 0x00000094)]
        pub fn session(&self, call: ReadSession) -> Result<Option<SessionRecord>, Refusal> {
            self.answer(&call)
        }

        /// How many jobs a session of a version may have.
        #[ink(message, selector = 0x00000095)]
        pub fn sessions_taken(&self, call: ReadSessionsTaken) -> Result<u32, Refusal> {
            self.answer(&call)
        }

        /// Whose turn it is to claim a requested job.
        #[ink(message, selector = 0x00000096)]
        pub fn draw(&self, call: ReadDraw) -> Result<Option<Draw>, Refusal> {
            shell::look(&self.market, &call)
        }

        /// What a sponsor would still pay for jobs of a user.
        #[ink(message, selector = 0x00000097)]
        pub fn allowance(&self, call: ReadAllowance) -> Result<Plancks, Refusal> {
            self.answer(&call)
        }

        /// What is left of a job, or of a session, that was pruned.
        #[ink(message, selector = 0x00000092)]
        pub fn pruned_job(&self, call: ReadPrunedJob) -> Result<Option<PrunedRecord>, Refusal> {
            self.answer(&call)
        }
    }

    impl Marketplace {
        /// Decides and does what `call` asks.
        fn execute<C: Decide>(&mut self, call: &C) -> Result<C::Answer, Refusal> {
            shell::execute(&mut self.market, call)
        }

        /// Answers `call` from storage.
        fn answer<C: View>(&self, call: &C) -> Result<C::Answer, Refusal> {
            shell::answer(&self.market, call)
        }
    }
}

/// Prints the contract's metadata as JSON.
#[cfg(feature = "std")]
fn main() -> Result<(), serde_json::Error> {
    metadata::print()
}
