//! One value of everything that has bytes. Fields differ from their neighbours: two that are swapped show in the vectors.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test file uses its part")]

mod attested;
mod disputes;
mod held;
mod manifests;
mod offers;
mod sessions;
mod sponsors;

pub use attested::*;
pub use disputes::*;
use encompute_protocol::{
    call::*,
    event::*,
    manifest::{Accuracy, Cost, JobResult, ReleasedFeatures},
    market::*,
    receipt::*,
    reputation::{HeadWeight, Latency},
    statement::*,
    *,
};
#[allow(unused_imports, reason = "each test file uses its part")]
pub use held::*;
#[allow(unused_imports, reason = "each test file uses its part")]
pub use manifests::*;
pub use offers::*;
pub use sessions::*;
pub use sponsors::*;

pub fn b32(byte: u8) -> [u8; 32] {
    core::array::from_fn(|at| byte.wrapping_add(at as u8))
}

pub fn b20(byte: u8) -> [u8; 20] {
    core::array::from_fn(|at| byte.wrapping_add(at as u8))
}

pub fn signature() -> Signature {
    let mut bytes: [u8; 65] = core::array::from_fn(|at| at as u8);
    bytes[64] = 27;
    Signature(bytes)
}

fn text<const LIMIT: u32>(text: &str) -> Text<LIMIT> {
    Text::new(text).unwrap()
}

pub fn receipt() -> Receipt {
    Receipt {
        genesis: GenesisHash(b32(1)),
        contract: ContractAddress(b20(2)),
        job: JobId(7),
        version: VersionId(5),
        manifest: VersionHash(b32(8)),
        split: SplitIndex(1),
        head: HeadDigest(b32(9)),
        input: BlobDigest(b32(6)),
        evaluation_key: BlobDigest::default(),
        output: BlobDigest(b32(10)),
        tail: TailDigest(b32(11)),
        worker: Address(b20(3)),
        measurement: MeasurementId(b32(12)),
        registration_nonce: Nonce(b32(13)),
        claimed_at: BlockNumber(100),
        finished_at: BlockNumber(101),
        expires_at: BlockNumber(2_000),
        custody: true,
    }
}

pub fn round() -> RoundReceipt {
    RoundReceipt {
        genesis: GenesisHash(b32(1)),
        contract: ContractAddress(b20(2)),
        job: JobId(7),
        round: RoundIndex(2),
        head: HeadDigest(b32(9)),
        request: BlobDigest(b32(14)),
        response: BlobDigest(b32(15)),
        previous: RoundReceiptDigest(b32(16)),
        registration_nonce: Nonce(b32(13)),
    }
}

pub fn order() -> RoundOrder {
    RoundOrder {
        genesis: GenesisHash(b32(1)),
        contract: ContractAddress(b20(2)),
        job: JobId(7),
        round: RoundIndex(2),
        request: BlobDigest(b32(14)),
        previous: RoundReceiptDigest(b32(16)),
    }
}

pub fn registration() -> RegistrationStatement {
    RegistrationStatement {
        genesis: GenesisHash(b32(1)),
        contract: ContractAddress(b20(2)),
        account: Address(b20(3)),
        signing: SigningAddress(b20(17)),
        hpke: KeyDigest(b32(18)),
        payout: Address(b20(19)),
        tee: TeeKind::Tdx,
        expires_at: BlockNumber(2_000),
    }
}

pub fn head_key() -> HeadKeyStatement {
    HeadKeyStatement {
        genesis: GenesisHash(b32(1)),
        contract: ContractAddress(b20(2)),
        account: Address(b20(3)),
        signing: SigningAddress(b20(17)),
        hpke: KeyDigest(b32(18)),
        version: VersionId(5),
        manifest: VersionHash(b32(8)),
        split: SplitIndex(1),
    }
}

const HPKE: usize = encompute_protocol::manifest::HPKE_KEY_BYTES as usize;

pub fn request() -> JobRequest {
    JobRequest {
        genesis: GenesisHash(b32(1)),
        contract: ContractAddress(b20(2)),
        user: Address(b20(4)),
        manifest: VersionHash(b32(8)),
        split: SplitIndex(1),
        policy: PolicyId(2),
        session_key: core::array::from_fn(|at| at as u8 + 2),
        result_key: Bytes::new(vec![23; HPKE]).unwrap(),
        rerandomisation: Bytes::new(vec![6, 7]).unwrap(),
        salt: b32(24),
        evaluation_key: vec![BlobDigest(b32(28)), BlobDigest(b32(29))],
        tensor: Bytes::new(vec![8, 9, 10]).unwrap(),
    }
}

pub fn params() -> Params {
    Params {
        treasury: Address(b20(25)),
        protocol_fee: BasisPoints(250),
        stop_fee: BasisPoints(1_000),
        head_fee_base: Plancks(100_000),
        head_fee_per_unit: Plancks(1_000),
        job_stake_floor: Plancks(1_000_000),
        retry_slash: BasisPoints(500),
        fail_slash: BasisPoints(2_000),
        bond_margin: BasisPoints(5_000),
        worker_stake_floor: Plancks(10_000_000),
        model_bond_floor: Plancks(20_000_000),
        registration_limit: Blocks(14_400),
        unbonding: Blocks(28_800),
        notice: Blocks(600),
        windows: windows(),
        storage: StoragePrice { item: Plancks(100_000_000), byte: Plancks(1_000_000) },
        audit_share: BasisPoints(100),
    }
}

pub fn windows() -> Windows {
    Windows {
        claim: Blocks(5),
        head: Blocks(20),
        challenge: Blocks(50),
        features: Blocks(600),
        creator: Blocks(300),
        accept: Blocks(601),
        dispute: Blocks(602),
    }
}

pub fn fees() -> Fees {
    Fees { head: Plancks(142_000), tail: Plancks(1 << 70), protocol: Plancks(3_551), tip: Plancks(1) }
}

pub fn terms() -> JobTerms {
    JobTerms {
        user: Address(b20(4)),
        version: VersionId(5),
        model: ModelId(3),
        split: SplitIndex(1),
        policy: PolicyId(2),
        input: BlobDigest(b32(6)),
        fees: fees(),
        job_stake: Plancks(284_000),
        job_bond: Plancks(213_000),
        retry_slash: BasisPoints(500),
        fail_slash: BasisPoints(2_000),
        stop_fee: BasisPoints(1_000),
        protocol_fee: BasisPoints(250),
        windows: windows(),
        requested_at: BlockNumber(99),
        audit_share: BasisPoints(101),
        custody: true,
        sponsor: Some(sponsor()),
    }
}

pub fn progress() -> JobProgress {
    JobProgress {
        stage: Stage::Failed,
        reason: Some(Reason::CreatorTimeout),
        deadline: BlockNumber(700),
        timeouts: 1,
        worker: Some(Address(b20(3))),
        stake_held: Plancks(284_000),
        claimed_at: BlockNumber(100),
        output: Some(BlobDigest(b32(10))),
        finished_at: BlockNumber(101),
        features: Some(BlobDigest(b32(26))),
        result: None,
        changed_at: BlockNumber(701),
        measurement: Some(MeasurementId(b32(12))),
        platform: Some(PlatformId(b32(41))),
        disputed: 3,
        workers: 5,
        late: [Some(Address(b20(31))), None],
        committed_at: BlockNumber(102),
        receipt: Some(ReceiptDigest(b32(42))),
    }
}

pub fn worker() -> WorkerRecord {
    WorkerRecord {
        signing: SigningAddress(b20(17)),
        hpke: KeyDigest(b32(18)),
        payout: Address(b20(19)),
        measurement: MeasurementId(b32(12)),
        platform: PlatformId(b32(33)),
        quote: QuoteIdentity(b32(27)),
        evidence: BlobDigest(b32(28)),
        nonce: Nonce(b32(13)),
        registered_at: BlockNumber(50),
        expires_at: BlockNumber(2_000),
        stake: Plancks(11_000_000),
        stake_locked: Plancks(284_000),
        stake_leaving: Plancks(5),
        stake_leaves_at: BlockNumber(30_000),
        capacity: 4,
        in_flight: 1,
        heads_committed: 9,
        timeouts: 2,
        mismatches: 1,
        reputation: Reputation { good: HeadWeight(5 << 32), bad: HeadWeight(3 << 31) },
        latency: Latency([5, 3, 0, 1, 0, 0, 0, 0]),
        raised_at: BlockNumber(51),
    }
}

pub fn draw() -> draw::Draw {
    let turn = |worker: u8, from: u32| draw::Turn { worker: Address(b20(worker)), from: BlockNumber(from) };
    draw::Draw { decides: BlockNumber(91), turns: vec![turn(3, 92), turn(32, 94)], open_from: BlockNumber(96) }
}

pub fn model() -> ModelRecord {
    ModelRecord {
        creator: Address(b20(21)),
        bond: Plancks(20_000_000),
        bond_locked: Plancks(213_000),
        bond_leaving: Plancks(6),
        bond_leaves_at: BlockNumber(30_001),
        open_jobs: 1,
        current: Some(VersionId(5)),
        ratings: Ratings { count: 3, fees: Plancks(426_000), graded_fees: Plancks(1_704_000) },
    }
}

pub fn version() -> VersionRecord {
    VersionRecord {
        model: ModelId(3),
        manifest: VersionHash(b32(8)),
        splits: 2,
        status: VersionStatus::Deprecated,
        published_at: BlockNumber(10),
        changed_at: BlockNumber(20),
    }
}

pub fn split() -> SplitRecord {
    let SplitOffer { mode, head, tail, cost, tail_fee, policies } = split_offer();
    SplitRecord { mode, head, tail, cost, tail_fee, policies }
}

pub fn split_offer() -> SplitOffer {
    SplitOffer {
        mode: Mode::Rounds,
        head: HeadDigest(b32(9)),
        tail: TailDigest(b32(11)),
        cost: CostUnits(42),
        tail_fee: Plancks(2_000_000),
        policies: 3,
    }
}

/// Calldata of every message that changes something, and of one that only reads.
pub fn calls() -> Vec<(&'static str, Vec<u8>)> {
    let (job, model, version) = (JobId(7), ModelId(3), VersionId(5));
    let measurement = MeasurementId(b32(12));
    let signed = SignedOffer { offer: offer(), signature: signature() };
    let request = RequestJob {
        version,
        split: SplitIndex(1),
        policy: PolicyId(2),
        input: BlobDigest(b32(6)),
        tip: Plancks(1),
        offer: None,
        sponsor: None,
    };
    let registration = registration();
    let mut all = vec![
        one(request.clone()),
        one(RequestJob { offer: Some(signed), ..request.clone() }),
        one(ClaimJob { job }),
        one(CommitHead { job, output: BlobDigest(b32(10)), finished_at: BlockNumber(101), signature: signature() }),
        one(SendFeatures { job, policy: PolicyId(2), features: BlobDigest(b32(26)) }),
        one(CommitResult { job, result: BlobDigest(b32(29)) }),
        one(AcceptResult { job }),
        one(CancelJob { job }),
        one(RefuseFeatures { job }),
        one(PokeJob { job }),
        one(WithdrawCredit { to: None }),
        one(WithdrawCredit { to: Some(Address(b20(4))) }),
        one(ListModel { name: text("digits") }),
        one(PublishVersion { model, manifest: VersionHash(b32(8)), splits: vec![split_offer()] }),
        one(ActivateVersion { version }),
        one(DeprecateVersion { version }),
        one(RevokeVersion { version }),
        one(AddBond { model }),
        one(AskBond { model, amount: Plancks(6) }),
        one(TakeBond { model }),
        one(BeginRegistration {}),
        one(RegisterWorker {
            signing: registration.signing,
            hpke: registration.hpke,
            payout: registration.payout,
            tee: registration.tee,
            measurement,
            quote: quote_parts(),
            evidence: BlobDigest(b32(28)),
            expires_at: registration.expires_at,
            capacity: 4,
            url: text("http://127.0.0.1:5000"),
            signature: signature(),
        }),
        one(AddStake {}),
        one(AskStake { amount: Plancks(5) }),
        one(TakeStake {}),
        one(SetCapacity { capacity: 4 }),
        one(AllowMeasurement { measurement }),
        one(RevokeMeasurement { measurement }),
        one(AnnounceParams { params: params() }),
        one(WithdrawParams {}),
        one(EnactParams {}),
        one(ReadAnnouncedParams {}),
        one(SetPaused { paused: true }),
        one(SetGovernor { governor: Address(b20(30)) }),
        one(ReadParams {}),
        one(ReadTotals {}),
        one(ReadCounts {}),
        one(ReadGovernance {}),
        one(ReadModel { model }),
        one(ReadVersion { version }),
        one(ReadSplit { version, split: SplitIndex(1) }),
        one(ReadWorker { worker: Address(b20(3)) }),
        one(ReadWorkerAt { index: 2 }),
        one(ReadMeasurement { measurement }),
        one(ReadJob { job }),
        one(ReadDraw { job }),
        one(ReadCredit { account: Address(b20(4)) }),
        one(ReadNonce { account: Address(b20(3)) }),
        one(QuoteJob { version, split: SplitIndex(1) }),
    ];
    all.extend(dispute_calls());
    all.extend(attested_calls());
    all.extend(session_calls());
    all.extend(sponsor_calls(request));
    all
}

/// One of every event.
pub fn events() -> Vec<Event> {
    let (job, model, version) = (JobId(7), ModelId(3), VersionId(5));
    let (user, worker) = (Address(b20(4)), Address(b20(3)));
    let measurement = MeasurementId(b32(12));
    let mut all: Vec<Event> = vec![
        JobRequested {
            job,
            user,
            version,
            split: SplitIndex(1),
            policy: PolicyId(2),
            input: BlobDigest(b32(6)),
            fees: fees(),
            sponsor: Some(sponsor()),
        }
        .into(),
        JobStageChanged {
            job,
            from: Some(Stage::Claimed),
            to: Stage::Requested,
            reason: Some(Reason::WorkerTimeout),
            by: user,
            worker: Some(worker),
            deadline: BlockNumber(700),
        }
        .into(),
        event::HeadCommitted {
            job,
            worker,
            output: BlobDigest(b32(10)),
            receipt: ReceiptDigest(b32(31)),
            finished_at: BlockNumber(101),
            signature: signature(),
        }
        .into(),
        FeaturesSent { job, features: BlobDigest(b32(26)) }.into(),
        ResultCommitted { job, result: BlobDigest(b32(29)) }.into(),
        Credited { account: user, job, amount: Plancks(9), cause: Cause::Slash }.into(),
        Withdrawn { account: user, to: worker, amount: Plancks(9) }.into(),
        StakeMoved { worker, job: Some(job), movement: Movement::Slashed, amount: Plancks(8) }.into(),
        BondMoved { model, job: None, movement: Movement::Asked, amount: Plancks(7) }.into(),
        ModelListed { model, creator: Address(b20(21)) }.into(),
        VersionPublished { version, model, manifest: VersionHash(b32(8)) }.into(),
        VersionStatusChanged { version, status: VersionStatus::Active }.into(),
        NonceIssued { worker, nonce: Nonce(b32(13)) }.into(),
        WorkerRegistered {
            worker,
            measurement,
            platform: PlatformId(b32(33)),
            quote: QuoteIdentity(b32(27)),
            evidence: BlobDigest(b32(28)),
            expires_at: BlockNumber(2_000),
        }
        .into(),
        CapacityChanged { worker, capacity: 4 }.into(),
        MeasurementAllowed { measurement, valid_from: BlockNumber(800) }.into(),
        event::MeasurementRevoked { measurement }.into(),
        ParamsAnnounced { params: params(), valid_from: BlockNumber(900) }.into(),
        ParamsWithdrawn { valid_from: BlockNumber(900) }.into(),
        ParamsChanged { params: params() }.into(),
        PausedChanged { paused: true }.into(),
        GovernorChanged { governor: Address(b20(30)) }.into(),
    ];
    all.extend(dispute_events());
    all.extend(attested_events());
    all.extend(session_events());
    all.extend(sponsor_events());
    all
}

pub fn released() -> ReleasedFeatures {
    ReleasedFeatures { job: JobId(7), policy: PolicyId(2), codes: vec![-128, 0, 127] }
}

pub fn result() -> JobResult {
    JobResult { job: JobId(7), features: BlobDigest(b32(26)), scores: vec![900_000, 100_000] }
}

pub fn transcript() -> Transcript {
    Transcript { rounds: vec![(round(), signature())] }
}

pub fn round_call() -> RoundCall {
    RoundCall { order: order(), signature: signature(), request: vec![1, 2, 3] }
}

pub fn round_answer() -> RoundAnswer {
    RoundAnswer { receipt: round(), signature: signature(), response: vec![4, 5, 6] }
}
