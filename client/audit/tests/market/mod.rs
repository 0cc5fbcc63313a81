//! A market in memory with one job in it, its blobs and a quote under a development root: what an
//! auditor would fetch from chain and store.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test file uses its part")]

use encompute_attest::{
    Collateral, ComposeHash, HpkeKey, Permission, Policy, QuoteKind, Register, RegistrationEvidence,
    TcbEvaluationNumber, TcbStatus, UnixSeconds, bound, compact,
    pki::{CollateralTerms, DevelopmentPki, DevelopmentSeed, Platform, PlatformTraits, development_measurement},
};
use encompute_audit::{Counted, JobBundle, JobFacts, Judge, ReadAt, Report, audit_job, drawing_block, shown_in};
use encompute_fhe::BootstrapSet;
use encompute_head::{ChainIndex, Domain, Draft, HeadPlan, Layer, Link, Program, RoundPlan};
use encompute_lifecycle::{
    Context, Decide, Host, Memory, ReadState, ReceiptFacts, Refusal, Software, View, price,
    prune::{Paid, Parties, kept_until},
};
use encompute_protocol::{
    Address, BasisPoints, BlobDigest, BlockNumber, Bytes, ContractAddress, CostUnits, GenesisHash, HeadDigest, JobId,
    JobRequest, MeasurementId, Mode, Params, Plancks, PolicyId, PrunedRecord, RegistrationStatement, ReleasePolicy,
    RoundIndex, RoundReceipt, RoundReceiptDigest, SplitIndex, SplitManifest, TailDigest, Text, Transcript,
    VersionManifest, WorkerRecord,
    call::*,
    event::Event,
    manifest::{Accuracy, Cost},
    signing::SigningKey,
    statement::TeeKind,
    wire::Message,
};
use std::collections::{BTreeMap, BTreeSet};

pub const GENESIS: GenesisHash = GenesisHash([0x6e; 32]);
pub const CONTRACT: ContractAddress = ContractAddress([0xcc; 20]);
pub const GOVERNOR: Address = Address([1; 20]);
pub const TREASURY: Address = Address([2; 20]);
pub const USER: Address = Address([0x11; 20]);
pub const CREATOR: Address = Address([0x21; 20]);
pub const WORKER: Address = Address([0x31; 20]);
pub const PAYOUT: Address = Address([0x41; 20]);
pub const STRANGER: Address = Address([0x99; 20]);
/// When the worker registered; its collateral is good for 29 days more.
pub const NOW: UnixSeconds = UnixSeconds(1_795_348_800);
pub const DAY: u64 = 24 * 60 * 60;
pub const HEAD: HeadDigest = HeadDigest([7; 32]);

pub struct Market {
    pub memory: Memory<Software>,
    pub block: u32,
    pub blobs: BTreeMap<BlobDigest, Vec<u8>>,
    pub pki: DevelopmentPki,
    pub job: JobId,
    pub plan: HeadPlan,
    pub ask: Ask,
    /// The worker's registration as of its last claim.
    pub claimed: Option<WorkerRecord>,
    /// The worker with each payout that it had when the job credited somebody.
    pub payouts: BTreeSet<(Address, Address)>,
}

/// Which head is asked what.
pub struct Ask {
    pub head: HeadDigest,
    pub tensor: Vec<u8>,
    pub blinding: Vec<u8>,
}

impl Default for Ask {
    fn default() -> Self {
        Self { head: HEAD, tensor: b"an encrypted tensor".to_vec(), blinding: vec![4] }
    }
}

/// A small layer, for the rounds of plans.
fn a_round() -> RoundPlan {
    let layer = Layer::Dense { inputs: 2, outputs: 2 };
    RoundPlan::fitted(BootstrapSet::ToyV1.ring(), layer, Domain::U8, &[1; 4]).unwrap()
}

/// Two rounds, each with a request of its own.
pub fn two_rounds() -> HeadPlan {
    let mut draft = Draft::default();
    let sums = draft.round(Program::INPUT);
    let sums = draft.round(sums);
    let program = draft.give_integers(sums, Domain { bits: 24, signed: true });
    HeadPlan::new(BootstrapSet::ToyV1.ring(), encompute_head::Mode::Rounds, vec![a_round(); 2], program).unwrap()
}

/// One round in two segments, the second of which goes on from what the first gave.
pub fn two_segments() -> HeadPlan {
    let set = BootstrapSet::ToyV1;
    let function = |_: usize, value: f64| value as i16 / 40;
    let lookup =
        |of| Link::Lookup { of: ChainIndex(of), ranges: vec![[0, 510]], function: &function, by_channel: false };
    let layer = Layer::Dense { inputs: 2, outputs: 2 };
    let round = RoundPlan::fitted_segments(set, (layer, Domain::U8, &[1; 4]), &[lookup(0), lookup(1)], 2).unwrap();
    let program = Program::single_round(Domain { bits: 24, signed: true });
    let plan = HeadPlan::new(set.ring(), encompute_head::Mode::Bootstrapped(set), vec![round], program).unwrap();
    assert_eq!(plan.segments().len(), 2);
    plan
}

pub fn key() -> SigningKey {
    SigningKey::from_secret(&[5; 32]).unwrap()
}

pub fn measurement() -> encompute_attest::TdxMeasurement {
    development_measurement(ComposeHash([5; 32]))
}

pub fn measurement_id() -> MeasurementId {
    encompute_attest::Measurement::Tdx(measurement()).id()
}

fn params() -> Params {
    let storage = encompute_protocol::StoragePrice { item: Plancks(100), byte: Plancks(1) };
    Params {
        notice: encompute_protocol::Blocks(0),
        storage,
        audit_share: BasisPoints(10_000),
        ..price::default_params(TREASURY)
    }
}

pub fn manifest() -> VersionManifest {
    manifest_of(&two_rounds(), HEAD)
}

fn manifest_of(plan: &HeadPlan, head: HeadDigest) -> VersionManifest {
    fn text<const LIMIT: u32>(words: &str) -> Text<LIMIT> {
        Text::new(words).unwrap()
    }
    let policy = ReleasePolicy {
        id: PolicyId(1),
        name: text("balanced"),
        clip: 100,
        sigma_milli: 10,
        step: 1,
        bits: 8,
        information_millibits: 1,
        accuracy: BasisPoints(9_000),
    };
    VersionManifest {
        name: text("digits"),
        task: text("Which digit is written."),
        creator: CREATOR,
        creator_key: Bytes::new(vec![1; 1_216]).unwrap(),
        creator_url: text("http://127.0.0.1:1"),
        preamble: Bytes::new(vec![]).unwrap(),
        labels: vec![Text::new("zero").unwrap(), Text::new("one").unwrap()],
        limits: text("None."),
        splits: vec![SplitManifest {
            name: Text::new("last").unwrap(),
            mode: Mode::Rounds,
            plan: Bytes::new(plan.to_bytes()).unwrap(),
            head,
            sealed_weights: BlobDigest([1; 32]),
            sealed_weights_bytes: 1,
            tail: TailDigest([8; 32]),
            features: 16,
            cost: Cost { units: CostUnits(10), ..Cost::default() },
            failure_bits: 140,
            policies: vec![policy],
            accuracy: Accuracy::default(),
        }],
        disclosure: None,
        witnesses: None,
    }
}

impl Market {
    /// Everybody registered, a version on sale, a job requested in block 10.
    pub fn with_request() -> Self {
        Self::with_request_for(two_rounds())
    }

    /// The same for a head with this plan.
    pub fn with_request_for(plan: HeadPlan) -> Self {
        Self::with_request_of(plan, Ask::default())
    }

    /// The same for a head and ciphertexts that are some.
    pub fn with_request_of(plan: HeadPlan, ask: Ask) -> Self {
        let pki = DevelopmentPki::from_seed(DevelopmentSeed::from_label("audit")).unwrap();
        let memory = Memory::new(GOVERNOR, params(), Software).unwrap();
        let (blobs, payouts) = (BTreeMap::new(), BTreeSet::new());
        let mut market = Self { memory, block: 1, blobs, pki, job: JobId(1), plan, ask, claimed: None, payouts };
        market.call(GOVERNOR, 0, AllowMeasurement { measurement: measurement_id() }).unwrap();
        let platform = market.machine().platform_id().unwrap();
        market.call(GOVERNOR, 0, AllowPlatform { platform }).unwrap();
        market.register(PAYOUT, 20_000_000_000_000);
        let floor = params().model_bond_floor.0;
        let model = market.call(CREATOR, floor, ListModel { name: Text::new("digits").unwrap() }).unwrap();
        let manifest = manifest_of(&market.plan, market.ask.head);
        let split = &manifest.splits[0];
        let offer = SplitOffer {
            mode: split.mode,
            head: split.head,
            tail: split.tail,
            cost: split.cost.units,
            tail_fee: Plancks(2_000_000_001),
            policies: 1,
        };
        let publish = PublishVersion { model, manifest: manifest.hash(), splits: vec![offer] };
        let version = market.call(CREATOR, 0, publish).unwrap();
        market.call(CREATOR, 0, ActivateVersion { version }).unwrap();
        market.keep(manifest.to_wire());
        market.block = 10;
        market.request();
        market
    }

    pub fn machine(&self) -> Platform {
        self.pki.platform("worker-1", PlatformTraits::default()).unwrap()
    }

    /// Registers the worker, anew if it was before.
    pub fn register(&mut self, payout: Address, stake: u128) {
        let nonce = self.call(WORKER, 0, BeginRegistration {}).unwrap();
        let hpke_key = HpkeKey([9; 1_216]);
        let statement = RegistrationStatement {
            genesis: GENESIS,
            contract: CONTRACT,
            account: WORKER,
            signing: key().address(),
            hpke: hpke_key.digest(),
            payout,
            tee: TeeKind::Tdx,
            expires_at: BlockNumber(10_000),
        };
        let platform = self.machine();
        let quote = platform.quote(&measurement(), Register([9; 48]), bound(&statement, &nonce));
        let collateral: Collateral = self.pki.collateral(platform.traits(), &CollateralTerms::current(NOW)).unwrap();
        let (quote_parts, vouching) = compact(&quote).unwrap();
        self.call(WORKER, 0, CertifyKey { key: vouching }).unwrap();
        let evidence = RegistrationEvidence {
            quote: Bytes::new(quote).unwrap(),
            collateral: Bytes::new(collateral.to_json()).unwrap(),
            statement,
            nonce,
            hpke_key,
        };
        let evidence = self.keep(evidence.to_wire());
        let register = RegisterWorker {
            signing: statement.signing,
            hpke: statement.hpke,
            payout,
            tee: TeeKind::Tdx,
            measurement: measurement_id(),
            quote: quote_parts,
            evidence,
            expires_at: statement.expires_at,
            capacity: 2,
            url: Text::new("http://127.0.0.1:2").unwrap(),
            signature: key().sign(&statement),
        };
        self.call(WORKER, stake, register).unwrap();
    }

    fn request(&mut self) {
        let request = JobRequest {
            genesis: GENESIS,
            contract: CONTRACT,
            user: USER,
            manifest: manifest_of(&self.plan, self.ask.head).hash(),
            split: SplitIndex(0),
            policy: PolicyId(1),
            session_key: [2; 33],
            result_key: Bytes::new(vec![3; 1_216]).unwrap(),
            rerandomisation: Bytes::new(self.ask.blinding.clone()).unwrap(),
            salt: [5; 32],
            evaluation_key: Vec::new(),
            tensor: Bytes::new(self.ask.tensor.clone()).unwrap(),
        };
        let input = self.keep(request.to_wire());
        let (version, split) = (encompute_protocol::VersionId(1), SplitIndex(0));
        let (fees, _) = QuoteJob { version, split }.view(&self.memory).unwrap();
        let tip = Plancks(77);
        let message = RequestJob { version, split, policy: PolicyId(1), input, tip, offer: None, sponsor: None };
        self.job = self.call(USER, fees.total().unwrap().0 + tip.0, message).unwrap();
    }

    pub fn claim(&mut self) {
        // The hash of the block after it was offered draws the one worker that there is.
        let offered = self.memory.job_progress(self.job).unwrap().changed_at;
        self.block = (self.block + 1).max(offered.0 + 2);
        self.call(WORKER, 0, ClaimJob { job: self.job }).unwrap();
        self.claimed = self.memory.worker(WORKER);
    }

    /// Two rounds, chained and signed; the second's request is the client's own business, that of a second segment what
    /// the first gave.
    pub fn transcript(&self) -> Transcript {
        let goes_on = self.plan.segments().get(1).is_some_and(|segment| !segment.is_first());
        let second = if goes_on { &b"first answer"[..] } else { b"second" };
        self.transcript_of([(&self.ask.tensor[..], &b"first answer"[..]), (second, &b"second answer"[..])])
    }

    /// The same of these requests and responses.
    pub fn transcript_of<'a>(&self, rounds: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Transcript {
        let record = self.memory.worker(WORKER).unwrap();
        let mut previous = RoundReceiptDigest::default();
        let rounds = (0..).zip(rounds).map(|(round, (request, response))| {
            let receipt = RoundReceipt {
                genesis: GENESIS,
                contract: CONTRACT,
                job: self.job,
                round: RoundIndex(round),
                head: self.ask.head,
                request: BlobDigest::of(request),
                response: BlobDigest::of(response),
                previous,
                registration_nonce: record.nonce,
            };
            previous = receipt.link();
            (receipt, key().sign(&receipt))
        });
        Transcript { rounds: rounds.collect() }
    }

    pub fn commit(&mut self, transcript: &Transcript) {
        self.block += 1;
        self.keep(b"first answer".to_vec());
        let output = self.keep(transcript.to_wire());
        let finished_at = BlockNumber(self.block);
        let facts = ReceiptFacts::read(&self.memory, GENESIS, CONTRACT, self.job).unwrap();
        let signature = key().sign(&facts.receipt(output, finished_at));
        self.call(WORKER, 0, CommitHead { job: self.job, output, finished_at, signature }).unwrap();
    }

    pub fn send(&mut self) {
        self.block += 1;
        let features = self.keep(b"sealed features".to_vec());
        self.call(USER, 0, SendFeatures { job: self.job, policy: PolicyId(1), features }).unwrap();
    }

    pub fn answer(&mut self) {
        self.block += 1;
        let result = self.keep(b"sealed result".to_vec());
        self.call(CREATOR, 0, CommitResult { job: self.job, result }).unwrap();
    }

    pub fn settled() -> Self {
        let mut market = Self::answered();
        market.block += 1;
        market.call(USER, 0, AcceptResult { job: market.job }).unwrap();
        market
    }

    pub fn answered() -> Self {
        let mut market = Self::sent();
        market.answer();
        market
    }

    pub fn sent() -> Self {
        let mut market = Self::committed();
        market.send();
        market
    }

    pub fn committed() -> Self {
        let mut market = Self::with_request();
        market.claim();
        let transcript = market.transcript();
        market.commit(&transcript);
        market
    }

    /// Moves past the deadline and pokes.
    pub fn poke_late(&mut self) {
        self.block = self.memory.job_progress(self.job).unwrap().deadline.0 + 1;
        self.call(STRANGER, 0, PokeJob { job: self.job }).unwrap();
    }

    pub fn call<C: Decide>(&mut self, caller: Address, value: u128, message: C) -> Result<C::Answer, Refusal> {
        let at = Context {
            caller,
            block: BlockNumber(self.block),
            value: Plancks(value),
            genesis: GENESIS,
            contract: CONTRACT,
            entropy: [0; 32],
        };
        let said = self.memory.events().len();
        let answer = self.memory.execute(&at, &message)?;
        let paid = |event: &Event| matches!(event, Event::Credited(credited) if credited.job == self.job);
        if self.memory.events()[said..].iter().any(|(_, event)| paid(event)) {
            self.payouts.extend(self.memory.worker(WORKER).map(|record| (WORKER, record.payout)));
        }
        Ok(answer)
    }

    pub fn keep(&mut self, bytes: Vec<u8>) -> BlobDigest {
        let digest = BlobDigest::of(&bytes);
        self.blobs.insert(digest, bytes);
        digest
    }

    pub fn bundle(&self) -> JobBundle {
        let (job, memory) = (self.job, &self.memory);
        let terms = memory.job_terms(job).unwrap();
        let progress = memory.job_progress(job).unwrap();
        let events: Vec<_> = memory.events().iter().filter(|(_, event)| event.job() == Some(job)).cloned().collect();
        let counted_at = Counted::of(&events).map(|counted| time_of(counted.block));
        let quoted_at = shown_in(&events).map(time_of);
        let worker = progress.worker.map(|account| (account, self.claimed.unwrap()));
        JobBundle {
            read_at: ReadAt { block: BlockNumber(self.block), hash: [0xb1; 32] },
            genesis: GENESIS,
            contract: CONTRACT,
            job,
            terms,
            progress,
            events,
            version: memory.version(terms.version).unwrap(),
            split: memory.split(terms.version, terms.split).unwrap(),
            creator: memory.model(terms.model).unwrap().creator,
            params: memory.params(),
            params_unsure: false,
            treasuries: BTreeSet::from([TREASURY]),
            worker,
            payouts: self.payouts.clone(),
            measurement: memory.measurement(measurement_id()),
            platform: memory.platform(self.machine().platform_id().unwrap()),
            counted_at,
            quoted_at,
            drawing_hash: drawing_block(&progress).and_then(|block| Software.block_hash(block)),
            unread_events: 0,
            pruned: None,
            blobs: self.blobs.clone(),
        }
    }

    /// Removes the job's records, as a stranger once it may. Gives what is left of them.
    pub fn prune(&mut self) -> PrunedRecord {
        let (terms, progress) = (self.memory.job_terms(self.job).unwrap(), self.memory.job_progress(self.job).unwrap());
        let paid = Paid::of(&self.memory.params().storage, &terms, &progress, None).unwrap();
        let parties = Parties::of(&terms, &progress, CREATOR);
        let owed = paid.owed(STRANGER, parties, |account| self.memory.credit(account)).unwrap();
        self.block = kept_until(&terms, &progress).0 + 1;
        self.call(STRANGER, owed.sum.0, PruneJob { job: self.job }).unwrap();
        self.memory.pruned(self.job).unwrap()
    }

    pub fn facts(&self) -> JobFacts {
        JobFacts {
            genesis: GENESIS,
            contract: CONTRACT,
            job: self.job,
            terms: self.memory.job_terms(self.job).unwrap(),
            progress: self.memory.job_progress(self.job).unwrap(),
            worker: WORKER,
            record: self.memory.worker(WORKER).unwrap(),
            head: HEAD,
        }
    }

    pub fn judge(&self) -> Judge {
        let policy = Policy {
            kinds: QuoteKind::ALL.into(),
            measurements: BTreeSet::from([measurement_id()]),
            tcb_statuses: BTreeSet::from([TcbStatus::UpToDate]),
            denied_advisories: BTreeSet::new(),
            min_tcb_evaluation: TcbEvaluationNumber(0),
            dynamic_platform: Permission::Refused,
            cached_keys: Permission::Refused,
            smt: Permission::Refused,
            development_root: Permission::Allowed,
        };
        Judge { root: self.pki.trust_root().clone(), policy, images: Vec::new() }
    }

    pub fn audit(&self) -> Report {
        audit_job(&self.bundle(), &self.judge(), NOW)
    }

    /// The audit so many days after everything happened.
    pub fn audit_after(&self, days: u64) -> Report {
        audit_job(&self.bundle(), &self.judge(), UnixSeconds(NOW.0 + days * DAY))
    }

    /// The audit after somebody has altered what the auditor reads.
    pub fn audit_with(&self, alter: impl FnOnce(&mut JobBundle)) -> Report {
        let mut bundle = self.bundle();
        alter(&mut bundle);
        audit_job(&bundle, &self.judge(), NOW)
    }
}

/// A block every six seconds.
pub fn time_of(block: BlockNumber) -> UnixSeconds {
    UnixSeconds(NOW.0 + 6 * u64::from(block.0))
}

pub fn failed(report: &Report) -> Vec<&str> {
    report.checks.iter().filter(|check| !check.pass).map(|check| check.id.as_str()).collect()
}
