//! A small market with everybody in it: one governor, one treasury, two users, two creators with a
//! model each, five workers: one to run a head, three to judge it, one to spare.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test file uses its part")]
#![allow(clippy::needless_range_loop, reason = "workers are numbered")]

pub mod always;
pub mod appeals;
pub mod audits;
pub mod claims;
pub mod custody;
pub mod demands;
pub mod disputes;
pub mod leaving;
pub mod pruning;
pub mod quotes;
pub mod random;
pub mod sessions;
pub mod sponsors;

use encompute_lifecycle::{
    Command, Context, Decide, Memory, ReadState, ReceiptFacts, Refusal, Software, price,
    prune::{Paid, Parties, kept_until},
};
use encompute_protocol::{
    Address, BasisPoints, BlobDigest, BlockNumber, Blocks, ContractAddress, CostUnits, DisputeKind, GenesisHash,
    HeadDigest, JobId, JobProgress, JobTerms, KeyDigest, MeasurementId, Mode, ModelId, Offer, Params, Plancks,
    PolicyId, Reason, RegistrationStatement, Signature, SplitIndex, Stage, StoragePrice, TailDigest, Text, VersionHash,
    VersionId, WorkerRecord,
    call::{
        AcceptResult, ActivateVersion, AllowMeasurement, AllowPlatform, AnnounceParams, AskBond, AskStake,
        BeginRegistration, CertifyKey, ClaimJob, CommitHead, CommitResult, EnactParams, ListModel, PokeJob, PruneJob,
        PublishVersion, QuoteJob, RegisterWorker, RequestJob, SendFeatures, SplitOffer, TakeBond, TakeStake,
        WithdrawCredit,
    },
    receipt::SignedOffer,
    signing::SigningKey,
    statement::TeeKind,
};

pub use claims::account;
pub use quotes::{MACHINES, MEASUREMENTS, PLATFORMS};

pub const GENESIS: GenesisHash = GenesisHash([0x6e; 32]);
pub const CONTRACT: ContractAddress = ContractAddress([0xcc; 20]);
pub const GOVERNOR: Address = Address([1; 20]);
pub const TREASURY: Address = Address([2; 20]);
pub const USERS: [Address; 2] = [Address([0x11; 20]), Address([0x12; 20])];
pub const CREATORS: [Address; 2] = [Address([0x21; 20]), Address([0x22; 20])];
pub const WORKERS: [Address; 5] =
    [Address([0x31; 20]), Address([0x32; 20]), Address([0x33; 20]), Address([0x34; 20]), Address([0x35; 20])];
pub const PAYOUTS: [Address; 5] =
    [Address([0x41; 20]), Address([0x42; 20]), Address([0x43; 20]), Address([0x44; 20]), Address([0x45; 20])];
pub const STRANGER: Address = Address([0x99; 20]);
pub const TIP: Plancks = Plancks(13);

/// Odd prices, so that every share leaves something to round.
pub fn params() -> Params {
    Params {
        protocol_fee: BasisPoints(333),
        stop_fee: BasisPoints(1_111),
        head_fee_base: Plancks(1_003),
        head_fee_per_unit: Plancks(7),
        job_stake_floor: Plancks(997),
        retry_slash: BasisPoints(707),
        fail_slash: BasisPoints(3_331),
        bond_margin: BasisPoints(4_999),
        worker_stake_floor: Plancks(10_007),
        model_bond_floor: Plancks(5_003),
        notice: Blocks(3),
        storage: StoragePrice { item: Plancks(101), byte: Plancks(3) },
        audit_share: BasisPoints(1_000),
        ..price::default_params(TREASURY)
    }
}

pub fn key(worker: usize) -> SigningKey {
    let secret = if worker < WORKERS.len() { worker as u8 + 1 } else { 0x80 | claims::number(worker) };
    SigningKey::from_secret(&[secret; 32]).unwrap()
}

/// What the contract takes for it: the block's time in seconds, here six a block.
pub fn entropy(block: u32) -> [u8; 32] {
    let mut entropy = [0; 32];
    entropy[..8].copy_from_slice(&(6 * u64::from(block)).to_le_bytes());
    entropy
}

#[derive(Clone)]
pub struct World {
    pub market: Memory<Software>,
    /// The contract that everybody's statements name.
    pub contract: ContractAddress,
    pub block: u32,
    /// Every call made, refused ones too: a contract that repeats them must say the same.
    pub calls: Vec<(Context, Command)>,
    /// Makes digests that differ.
    pub serial: u64,
    /// Who pays for the first user's jobs.
    pub sponsor: Option<Address>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// The market without anybody in it.
    pub fn empty() -> Self {
        Self::empty_at(CONTRACT)
    }

    pub fn empty_at(contract: ContractAddress) -> Self {
        Self::empty_with(contract, params())
    }

    fn empty_with(contract: ContractAddress, params: Params) -> Self {
        let market = Memory::new(GOVERNOR, params, Software).unwrap();
        Self { market, contract, block: 1, calls: Vec::new(), serial: 0, sponsor: None }
    }

    /// Two models with an active version each (the second has a split without a tail), five workers.
    pub fn new() -> Self {
        Self::at_contract(CONTRACT)
    }

    pub fn at_contract(contract: ContractAddress) -> Self {
        Self::since(contract, 1)
    }

    /// The same, begun in a later block.
    pub fn since(contract: ContractAddress, block: u32) -> Self {
        Self { block, ..Self::empty_at(contract) }.peopled()
    }

    fn peopled(self) -> Self {
        let mut world = self;
        for measurement in *MEASUREMENTS {
            world.call(GOVERNOR, AllowMeasurement { measurement }).unwrap();
        }
        for platform in *PLATFORMS {
            world.call(GOVERNOR, AllowPlatform { platform }).unwrap();
        }
        world.block += 3;
        for machine in MACHINES.iter() {
            world.call(STRANGER, CertifyKey { key: machine.parts.clone() }).unwrap();
        }
        for (at, creator) in CREATORS.into_iter().enumerate() {
            let name = Text::new(format!("model {at}")).unwrap();
            let model = world.pay(creator, Plancks(60_000), ListModel { name }).unwrap();
            let version = world.publish(creator, model).unwrap();
            world.call(creator, ActivateVersion { version }).unwrap();
        }
        for worker in 0..WORKERS.len() {
            world.register(worker, Plancks(40_000)).unwrap();
        }
        world
    }

    pub fn publish(&mut self, creator: Address, model: ModelId) -> Result<VersionId, Refusal> {
        let split = |at: u8, tail: TailDigest| SplitOffer {
            mode: Mode::Rounds,
            head: HeadDigest([at + 1; 32]),
            tail,
            cost: CostUnits(100 + u32::from(at)),
            tail_fee: Plancks(2_001),
            policies: 3,
        };
        let splits = vec![split(0, TailDigest([7; 32])), split(1, TailDigest::default())];
        let manifest = VersionHash(self.digest().0);
        self.call(creator, PublishVersion { model, manifest, splits })
    }

    pub fn at(&self, caller: Address, value: Plancks) -> Context {
        Context {
            caller,
            block: BlockNumber(self.block),
            value,
            genesis: GENESIS,
            contract: self.contract,
            entropy: entropy(self.block),
        }
    }

    pub fn call<C>(&mut self, caller: Address, message: C) -> Result<C::Answer, Refusal>
    where
        C: Decide + Clone + Into<Command>,
    {
        self.pay(caller, Plancks::ZERO, message)
    }

    pub fn pay<C>(&mut self, caller: Address, value: Plancks, message: C) -> Result<C::Answer, Refusal>
    where
        C: Decide + Clone + Into<Command>,
    {
        let at = self.at(caller, value);
        self.calls.push((at, message.clone().into()));
        self.market.execute(&at, &message)
    }

    /// A digest that was never used.
    pub fn digest(&mut self) -> BlobDigest {
        self.serial += 1;
        BlobDigest::of(&self.serial.to_le_bytes())
    }

    pub fn statement(&self, worker: usize, expires_at: u32) -> RegistrationStatement {
        RegistrationStatement {
            genesis: GENESIS,
            contract: self.contract,
            account: WORKERS[worker],
            signing: key(worker).address(),
            hpke: KeyDigest([worker as u8 + 1; 32]),
            payout: PAYOUTS[worker],
            tee: TeeKind::Tdx,
            expires_at: BlockNumber(expires_at),
        }
    }

    /// What an honest worker sends now, on its own machine: over the nonce that it has, if it has one.
    pub fn registration(&mut self, worker: usize, expires_at: u32) -> RegisterWorker {
        self.registration_of(worker % 2, worker, expires_at)
    }

    /// The same with a kind of code.
    pub fn registration_of(&mut self, code: usize, worker: usize, expires_at: u32) -> RegisterWorker {
        let statement = self.statement(worker, expires_at);
        self.registration_over(code, (worker, worker), &statement)
    }

    /// The same for a worker that is paid elsewhere.
    pub fn registration_paid_to(&mut self, worker: usize, payout: Address) -> RegisterWorker {
        let statement = RegistrationStatement { payout, ..self.statement(worker, self.block + 10_000) };
        self.registration_over(worker % 2, (worker, worker), &statement)
    }

    /// The same on another's machine.
    pub fn registration_on(&mut self, machine: usize, worker: usize, expires_at: u32) -> RegisterWorker {
        let statement = self.statement(worker, expires_at);
        self.registration_over(worker % 2, (worker, machine), &statement)
    }

    /// A worker moves to a machine.
    pub fn moves_to(&mut self, machine: usize, worker: usize) {
        self.call(WORKERS[worker], BeginRegistration {}).unwrap();
        let message = self.registration_on(machine, worker, self.block + 10_000);
        self.call(WORKERS[worker], message).unwrap();
    }

    fn registration_over(
        &mut self,
        code: usize,
        (worker, machine): (usize, usize),
        statement: &RegistrationStatement,
    ) -> RegisterWorker {
        let nonce = self.market.registration_nonce(WORKERS[worker]).unwrap_or_default();
        RegisterWorker {
            signing: statement.signing,
            hpke: statement.hpke,
            payout: statement.payout,
            tee: statement.tee,
            measurement: quotes::measurement_of(code),
            quote: MACHINES[machine].quote(code, statement, &nonce),
            evidence: self.digest(),
            expires_at: statement.expires_at,
            capacity: 2,
            url: Text::new("http://127.0.0.1:4000").unwrap(),
            signature: key(worker).sign(statement),
        }
    }

    pub fn register(&mut self, worker: usize, stake: Plancks) -> Result<(), Refusal> {
        self.call(WORKERS[worker], BeginRegistration {})?;
        let message = self.registration(worker, self.block + 10_000);
        self.pay(WORKERS[worker], stake, message)
    }

    pub fn escrow(&self, version: VersionId, split: SplitIndex, tip: Plancks) -> Option<Plancks> {
        use encompute_lifecycle::View;
        let (fees, _) = QuoteJob { version, split }.view(&self.market)?;
        fees.total()?.checked_add(tip)
    }

    pub fn request_message(&mut self, version: VersionId, split: SplitIndex) -> RequestJob {
        RequestJob { version, split, policy: PolicyId(1), input: self.digest(), tip: TIP, offer: None, sponsor: None }
    }

    pub fn offer(&self, worker: usize, user: Address, message: &RequestJob) -> SignedOffer {
        let offer = Offer {
            genesis: GENESIS,
            contract: self.contract,
            worker: WORKERS[worker],
            user,
            version: message.version,
            split: message.split,
            input: message.input,
            expires_at: BlockNumber(self.block + 5),
            custody: false,
        };
        SignedOffer { offer, signature: key(worker).sign(&offer) }
    }

    /// The same, of a worker that takes the job's key in custody.
    pub fn custody_offer(&self, worker: usize, user: Address, message: &RequestJob) -> SignedOffer {
        let offer = Offer { custody: true, ..self.offer(worker, user, message).offer };
        SignedOffer { offer, signature: key(worker).sign(&offer) }
    }

    pub fn send_request(&mut self, user: Address, message: RequestJob) -> Result<JobId, Refusal> {
        let escrow = self.escrow(message.version, message.split, message.tip).unwrap_or(Plancks(1));
        self.pay(user, if message.sponsor.is_some() { Plancks::ZERO } else { escrow }, message)
    }

    /// A requested job of the first user for the first version's first split.
    pub fn requested(&mut self) -> JobId {
        let message = RequestJob { sponsor: self.sponsor, ..self.request_message(VersionId(1), SplitIndex(0)) };
        self.send_request(USERS[0], message).unwrap()
    }

    /// The commitment that an honest worker sends now.
    pub fn commitment(&mut self, worker: usize, job: JobId) -> CommitHead {
        let output = self.digest();
        let finished_at = BlockNumber(self.block);
        let facts = ReceiptFacts::read(&self.market, GENESIS, self.contract, job);
        let signature = match facts {
            Some(facts) => key(worker).sign(&facts.receipt(output, finished_at)),
            None => Signature([1; 65]),
        };
        CommitHead { job, output, finished_at, signature }
    }

    pub fn committed(&mut self) -> JobId {
        let job = self.claimed();
        let message = self.commitment(0, job);
        self.call(WORKERS[0], message).unwrap();
        job
    }

    pub fn sent(&mut self) -> JobId {
        let job = self.committed();
        let features = self.digest();
        self.call(USERS[0], SendFeatures { job, policy: PolicyId(1), features }).unwrap();
        job
    }

    pub fn answered(&mut self) -> JobId {
        let job = self.sent();
        let result = self.digest();
        self.call(CREATORS[0], CommitResult { job, result }).unwrap();
        job
    }

    pub fn settled(&mut self) -> JobId {
        let job = self.answered();
        self.call(USERS[0], AcceptResult { job }).unwrap();
        job
    }

    /// A job of the first user at `stage`.
    pub fn at_stage(&mut self, stage: Stage) -> JobId {
        match stage {
            Stage::Requested => self.requested(),
            Stage::Claimed => self.claimed(),
            Stage::HeadCommitted => self.committed(),
            Stage::FeaturesSent => self.sent(),
            Stage::ResultCommitted => self.answered(),
            Stage::Settled => self.settled(),
            Stage::Failed => {
                let job = self.requested();
                self.past_deadline(job);
                self.call(STRANGER, PokeJob { job }).unwrap();
                job
            }
            Stage::Disputed(kind) => self.disputed(kind),
            Stage::Cancelled => {
                let job = self.requested();
                self.call(USERS[0], encompute_protocol::call::CancelJob { job }).unwrap();
                job
            }
        }
    }

    /// Moves to the first block in which the job's actor is late.
    pub fn past_deadline(&mut self, job: JobId) {
        self.block = self.progress(job).deadline.0 + 1;
    }

    pub fn terms(&self, job: JobId) -> JobTerms {
        self.market.job_terms(job).unwrap()
    }

    pub fn progress(&self, job: JobId) -> JobProgress {
        self.market.job_progress(job).unwrap()
    }

    pub fn worker(&self, worker: usize) -> WorkerRecord {
        self.market.worker(account(worker)).unwrap()
    }

    /// The governor's parameters, in force as soon as their notice is over.
    pub fn govern(&mut self, params: Params) {
        self.call(GOVERNOR, AnnounceParams { params }).unwrap();
        self.block += self.market.params().notice.0;
        self.call(STRANGER, EnactParams {}).unwrap();
    }

    /// Every job whose records are there.
    pub fn jobs(&self) -> impl Iterator<Item = JobId> + use<> {
        let jobs = (1..=self.market.counts().jobs).map(JobId);
        jobs.filter(|job| self.market.job_terms(*job).is_some()).collect::<Vec<_>>().into_iter()
    }

    /// What the actor of a stage does, with `worker` as the job's.
    pub fn act(&mut self, job: JobId, at: Stage, worker: usize) -> Result<(), Refusal> {
        match at {
            Stage::Requested => self.claim(worker, job),
            Stage::Claimed => {
                let message = self.commitment(worker, job);
                self.call(WORKERS[worker], message)
            }
            Stage::HeadCommitted => {
                let features = self.digest();
                self.call(USERS[0], SendFeatures { job, policy: PolicyId(1), features })
            }
            Stage::FeaturesSent => {
                let result = self.digest();
                self.call(CREATORS[0], CommitResult { job, result })
            }
            Stage::ResultCommitted => self.call(USERS[0], AcceptResult { job }),
            Stage::Settled | Stage::Failed | Stage::Cancelled | Stage::Disputed(_) => panic!("nobody acts at {at:?}"),
        }
    }

    /// Credits that `act` gives, by account, in order of address.
    pub fn credits_of(&mut self, act: impl FnOnce(&mut Self)) -> Vec<(Address, u128)> {
        let before: Vec<_> = self.market.credits().collect();
        act(self);
        let was = |account| before.iter().find(|(known, _)| *known == account).map_or(0, |(_, amount)| amount.0);
        self.market
            .credits()
            .map(|(account, amount)| (account, amount.0 - was(account)))
            .filter(|(_, gained)| *gained > 0)
            .collect()
    }
}

/// What the world's first split costs, at its governor's prices.
pub const HEAD: u128 = 1_703;
pub const TAIL: u128 = 2_001;
pub const PROTOCOL: u128 = 124;

/// Where a job stands, and why.
pub fn stage(world: &World, job: JobId) -> (Stage, Option<Reason>) {
    let progress = world.progress(job);
    (progress.stage, progress.reason)
}

/// Every stage in order.
pub const STAGES: [Stage; 14] = [
    Stage::Requested,
    Stage::Claimed,
    Stage::HeadCommitted,
    Stage::FeaturesSent,
    Stage::ResultCommitted,
    Stage::Settled,
    Stage::Failed,
    Stage::Cancelled,
    Stage::Disputed(DisputeKind::Head),
    Stage::Disputed(DisputeKind::Missing),
    Stage::Disputed(DisputeKind::Result),
    Stage::Disputed(DisputeKind::Witness),
    Stage::Disputed(DisputeKind::Audit),
    Stage::Disputed(DisputeKind::Quote),
];
