//! A market with liars between its services, and a judge of what became of each job.

use encompute_chain::{Account, Client, development};
use encompute_drill::{
    Outcome,
    judge::{Parties, judge},
};
use encompute_envelope::{Context, RecipientSecret, Subject};
use encompute_job::Journal;
use encompute_kit::{Between, Habits, Liar, Ran, Running, Services, signal};
use encompute_lifecycle::ReceiptFacts;
use encompute_protocol::{
    Address, BasisPoints, BlobDigest, Blocks, JobId, JobProgress, JobTerms, Params, Plancks, PolicyId, Reason, Receipt,
    SplitIndex, Stage, VersionId, Windows,
    call::{
        CancelJob, CommitHead, PokeJob, QuoteJob, ReadCounts, ReadCredit, ReadJob, ReadSplit, ReadVersion, ReadWorker,
        RequestJob,
    },
    manifest::ReleasedFeatures,
    signing::SigningKey,
    wire::Message,
};
use encompute_store::{Blobs, ByteLimit, GatewayClient};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Short enough to be let pass at once: blocks come with transactions, and when the test seals some.
const WINDOWS: Windows = Windows {
    claim: Blocks(60),
    head: Blocks(60),
    challenge: Blocks(10),
    features: Blocks(60),
    creator: Blocks(60),
    accept: Blocks(60),
    dispute: Blocks(60),
};

/// No job is audited.
const NONE: BasisPoints = BasisPoints(0);
/// Every job is, as no change of parameters could set it.
const EVERY: BasisPoints = BasisPoints(10_000);

/// The market. Nothing happens in it by the passing of time: blocks come with transactions.
pub struct Court {
    /// Its processes.
    pub services: Services,
    model: &'static str,
    input: &'static str,
}

impl Court {
    /// A market that sells one model, and an input for it.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn over(model: &'static str, input: &'static str) -> Self {
        Self::over_with(model, input, 1).await
    }

    /// The same with so many workers, the first of which alone has a liar before it.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn over_with(model: &'static str, input: &'static str, workers: u16) -> Self {
        Self::over_folder(Path::new(&format!("scripts/models/{model}")), model, input, workers).await
    }

    /// The same with each worker on a machine of its own.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn over_machines(model: &'static str, input: &'static str, workers: u16) -> Self {
        Self::begun(Path::new(&format!("scripts/models/{model}")), (model, input), (workers, true), NONE).await
    }

    /// A market whose worker takes keys in custody.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn in_custody(model: &'static str, input: &'static str) -> Self {
        let folder = format!("scripts/models/{model}");
        let habits = Habits { custody: true, ..Habits::default() };
        Self::begun_with(habits, Path::new(&folder), (model, input), |_| ()).await
    }

    /// A market whose workers have to register again every 122 blocks, the fewest that its windows allow, and whose
    /// users have longer than that to send features.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn renewing(model: &'static str, input: &'static str) -> Self {
        let adjust = |params: &mut Params| {
            params.registration_limit = Blocks(122);
            params.windows.features = Blocks(240);
        };
        let folder = format!("scripts/models/{model}");
        Self::begun_with(Habits::default(), Path::new(&folder), (model, input), adjust).await
    }

    /// The same in which every job is audited, by a treasury that can pay for it.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn auditing(model: &'static str, input: &'static str, workers: u16) -> Self {
        let folder = format!("scripts/models/{model}");
        let court = Self::begun(Path::new(&folder), (model, input), (workers, true), EVERY).await;
        court.fund_treasury().await;
        court
    }

    /// The treasury's account buys a run with a large tip and takes it back: that is a credit of its own.
    async fn fund_treasury(&self) {
        let treasury = self.services.account("//Alice");
        let (version, split) = (VersionId(1), SplitIndex(0));
        let (fees, _) = self.services.client().read(QuoteJob { version, split }).await.unwrap().unwrap();
        let tip = Plancks(100 * fees.head.0);
        let input = BlobDigest::of(b"nothing");
        let request = RequestJob { version, split, policy: PolicyId(1), input, tip, offer: None, sponsor: None };
        let escrow = fees.total().unwrap().checked_add(tip).unwrap();
        let job = treasury.submit(request, escrow).await.unwrap().answer;
        treasury.submit(CancelJob { job }, Plancks::ZERO).await.unwrap();
    }

    /// The same with the model in a folder.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn over_folder(folder: &Path, model: &'static str, input: &'static str, workers: u16) -> Self {
        Self::begun(folder, (model, input), (workers, false), NONE).await
    }

    async fn begun(
        folder: &Path,
        (model, input): (&'static str, &'static str),
        (workers, machines): (u16, bool),
        audit_share: BasisPoints,
    ) -> Self {
        let habits = Habits { workers, machines, ..Habits::default() };
        Self::begun_with(habits, folder, (model, input), |params| params.audit_share = audit_share).await
    }

    async fn begun_with(
        habits: Habits,
        folder: &Path,
        (model, input): (&'static str, &'static str),
        adjust: impl FnOnce(&mut Params),
    ) -> Self {
        let habits = Habits { heartbeat_ms: 0, liars: true, ..habits };
        let folder = folder.display().to_string();
        let adjusted = |params: &mut Params| {
            params.windows = WINDOWS;
            adjust(params);
        };
        let services = Services::start(habits, &[&folder], adjusted).await.unwrap();
        tokio::spawn(have_drawn(services.client().clone()));
        Self { services, model, input }
    }

    /// Who stands between two services.
    pub fn liar(&self, between: Between) -> &Liar {
        self.services.liar(between)
    }

    /// Everybody tells the truth.
    pub fn repent(&self) {
        use Between::{CreatorAndWorker, GatewayAndClient, GatewayAndCreator, GatewayAndWorker, WorkerAndClient};
        for between in [GatewayAndClient, GatewayAndWorker, GatewayAndCreator, WorkerAndClient, CreatorAndWorker] {
            self.liar(between).repent();
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.services.encompute("user", &[arguments, &["--suri", "//Dave"]].concat());
        command.env("ENCOMPUTE_LOG", "encompute_job=info").env("RUST_BACKTRACE", "full");
        command
    }

    /// The user's command that buys a run, started.
    pub fn submit(&self) -> Running {
        Running::of(self.command(&["job", "submit", "--model", self.model, "--input", self.input]))
    }

    /// The same with more options.
    pub fn submit_with(&self, more: &[&str]) -> Running {
        let submit = ["job", "submit", "--model", self.model, "--input", self.input];
        Running::of(self.command(&[&submit[..], more].concat()))
    }

    /// A new version of the model, published with more options, which buyers get from now on.
    ///
    /// # Panics
    /// If it is not published.
    pub fn publish_again(&self, more: &[&str]) {
        let (folder, vault) = (format!("scripts/models/{}", self.model), self.services.home().join("creator-1"));
        let url = self.liar(Between::CreatorAndWorker).url();
        let publish = ["model", "publish", &folder, "--creator-url", &url, "--suri", "//Charlie"];
        let vault = ["--vault", vault.to_str().unwrap()];
        Running::of(self.services.encompute("creator", &[&publish[..], &vault, more].concat())).finish().done();
    }

    /// The codes that were released, as only the creator may have them in clear.
    ///
    /// # Panics
    /// If the job has no features that open.
    pub async fn codes(&self, job: JobId) -> Vec<i16> {
        let digest = self.job(job).await.1.features.unwrap();
        let sealed = self.store().get(digest, ByteLimit(1 << 20)).await.unwrap();
        let client = self.services.client();
        let subject = Subject::Features { job };
        let context = Context { genesis: client.genesis(), contract: client.contract().unwrap(), subject };
        let opened =
            encompute_envelope::open(&self.creators_key(), &context, &sealed, ReleasedFeatures::LIMIT_BYTES).unwrap();
        ReleasedFeatures::from_wire(&opened).unwrap().codes
    }

    /// The user's command that goes on with a job, started.
    pub fn start_resume(&self, job: JobId) -> Running {
        Running::of(self.command(&["job", "resume", &job.to_string()]))
    }

    /// The same with more options, to its end or an error.
    pub fn resume_with(&self, job: JobId, more: &[&str]) -> Ran {
        Running::of(self.command(&[&["job", "resume", &job.to_string()][..], more].concat())).finish()
    }

    /// Goes on with a job, to its end or an error.
    pub fn resume(&self, job: JobId) -> Ran {
        self.start_resume(job).finish()
    }

    /// Ends a job as its user may.
    pub fn cancel(&self, job: JobId) -> Ran {
        Running::of(self.command(&["job", "cancel", &job.to_string()])).finish()
    }

    /// Disputes a job as its user.
    pub fn dispute(&self, job: JobId, kind: &str) -> Ran {
        Running::of(self.command(&["job", "dispute", &job.to_string(), "--kind", kind])).finish()
    }

    /// What an audit of a job says.
    pub fn audit(&self, job: JobId) -> Ran {
        let audit = ["audit", "job", &job.to_string(), "--json"];
        Running::of(self.services.encompute("user", &audit)).finish()
    }

    /// What an audit that holds says of one of its lines.
    ///
    /// # Panics
    /// If it does not hold, or has no such line.
    pub fn audited(&self, job: JobId, id: &str) -> String {
        let report = self.audit(job).done().json();
        assert_eq!(report["verdict"], "pass", "{report}");
        let lines = report["checks"].as_array().unwrap();
        let line = lines.iter().find(|line| line["id"] == id).unwrap_or_else(|| panic!("no {id}: {report}"));
        line["actual"].as_str().unwrap().to_owned()
    }

    /// Folder of the user's keys and journals.
    pub fn home(&self) -> PathBuf {
        self.services.home().join("user")
    }

    /// How many jobs there have been; the newest has that number.
    ///
    /// # Panics
    /// If the chain cannot be read.
    pub async fn jobs(&self) -> JobId {
        JobId(self.services.client().read(ReadCounts {}).await.unwrap().jobs)
    }

    /// A job as the chain has it.
    ///
    /// # Panics
    /// If there is none.
    pub async fn job(&self, job: JobId) -> (JobTerms, JobProgress) {
        self.services.client().read(ReadJob { job }).await.unwrap().unwrap()
    }

    /// Somebody's account, as the contract knows it.
    pub fn address(&self, suri: &str) -> Address {
        self.services.account(suri).address()
    }

    /// What somebody may withdraw.
    ///
    /// # Panics
    /// If the chain cannot be read.
    pub async fn credit(&self, account: Address) -> u128 {
        self.services.client().read(ReadCredit { account }).await.unwrap().0
    }

    /// What a worker has staked.
    ///
    /// # Panics
    /// If it is not registered.
    pub async fn stake(&self, worker: Address) -> u128 {
        self.services.client().read(ReadWorker { worker }).await.unwrap().unwrap().0.stake.0
    }

    /// Waits until something holds of a job that may not exist yet.
    ///
    /// # Panics
    /// If the chain cannot be read, or that takes more than a minute.
    pub async fn until(&self, job: JobId, what: &str, holds: impl Fn(&JobProgress) -> bool) -> JobProgress {
        let client = self.services.client();
        let mut follow = client.follow(client.head().await.unwrap().number);
        loop {
            if let Some((_, progress)) = client.read(ReadJob { job }).await.unwrap()
                && holds(&progress)
            {
                return progress;
            }
            let next = tokio::time::timeout(Duration::from_secs(60), follow.next()).await;
            next.unwrap_or_else(|_| panic!("{what}: not within a minute")).unwrap();
        }
    }

    /// Lets the window pass in which somebody has to act on a job.
    ///
    /// # Panics
    /// If the chain cannot be read.
    pub async fn pass_window(&self, job: JobId) {
        let deadline = self.job(job).await.1.deadline;
        let now = self.services.client().head().await.unwrap().number;
        self.services.seal(Blocks(deadline.0.saturating_sub(now.0) + 1)).await.unwrap();
    }

    /// Waits until a dispute is over. Where its committee found the head wrong and nobody appeals, the window for it passes.
    ///
    /// # Panics
    /// If the chain cannot be read, or that takes more than a minute.
    pub async fn ruled(&self, job: JobId) -> JobProgress {
        let is_over = |progress: &JobProgress| !matches!(progress.stage, Stage::Disputed(_));
        let waits = |progress: &JobProgress| progress.reason == Some(Reason::HeadMismatch);
        let found = self.until(job, "a ruling", |progress| is_over(progress) || waits(progress)).await;
        if is_over(&found) {
            return found;
        }
        self.pass_window(job).await;
        self.until(job, "the end of a dispute", is_over).await
    }

    /// Moves an overdue job on as somebody who has nothing to do with it.
    ///
    /// # Panics
    /// If the contract refuses.
    pub async fn poke(&self, job: JobId) {
        self.services.account("//Eve").submit(PokeJob { job }, Plancks::ZERO).await.unwrap();
    }

    /// Makes sure that a job ended like this, that everybody got what the refund table says, and that the
    /// auditor's books balance.
    ///
    /// # Panics
    /// Otherwise, naming `row`.
    pub async fn judge(&self, row: &str, job: JobId, wanted: Outcome) {
        let client = self.services.client();
        let (terms, _) = self.job(job).await;
        let head = client.head().await.unwrap().number;
        let blocks = client.events_in(terms.requested_at..=head).await.unwrap();
        let events = blocks.iter().flat_map(|block| block.events.iter().map(|emitted| &emitted.event));
        let (creator, treasury) =
            (self.services.account("//Charlie").address(), self.services.account("//Alice").address());
        let judgement = judge(job, &terms, &Parties { creator, treasury }, events);
        let found = (judgement.outcome, judgement.lost, judgement.double_payments);
        assert_eq!(found, (wanted, Plancks::ZERO, 0), "{row}: {judgement:?}");
        let books = Running::of(self.services.encompute("user", &["audit", "ledger", "--json"])).finish().done().json();
        assert_eq!(books["balanced"], true, "{row}: {books}");
    }

    /// What the user's home has written down of its newest job.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn record(&self, job: JobId) -> encompute_job::Record {
        let records = Journal::list(&self.home()).unwrap();
        records.into_iter().find(|record| record.job == Some(job)).unwrap_or_else(|| panic!("no job {job} at home"))
    }

    /// The worker's own key, as whoever broke its enclave has it.
    ///
    /// # Panics
    /// If there is none.
    pub fn workers_key(&self) -> SigningKey {
        // A version byte, then the signing key.
        let bytes = std::fs::read(self.services.home().join("worker-1/keys")).unwrap();
        SigningKey::from_secret(bytes[1..33].try_into().unwrap()).unwrap()
    }

    /// The key to which head keys are sealed for the worker.
    ///
    /// # Panics
    /// If there is none.
    pub fn workers_hpke_key(&self) -> Vec<u8> {
        let bytes = std::fs::read(self.services.home().join("worker-1/keys")).unwrap();
        RecipientSecret::from_seed(bytes[33..65].try_into().unwrap()).public().to_bytes().to_vec()
    }

    /// The key to which users seal features.
    ///
    /// # Panics
    /// If there is none.
    pub fn creators_key(&self) -> RecipientSecret {
        encompute_tail::Vault::open(&self.services.home().join("creator-1")).unwrap().creator_key().unwrap()
    }

    /// The worker's account.
    pub fn worker(&self) -> Account {
        self.services.account("//Bob")
    }

    /// The gateway itself, without anybody between.
    ///
    /// # Panics
    /// If the network names none.
    pub fn store(&self) -> GatewayClient {
        GatewayClient::new(self.services.network.gateway.as_ref().unwrap().as_str()).unwrap()
    }

    /// Commits a transcript's digest as the worker that holds the job, with a receipt that the contract takes.
    ///
    /// # Panics
    /// If the contract refuses.
    pub async fn commit(&self, job: JobId, output: BlobDigest) {
        self.commit_as((&self.worker(), &self.workers_key()), job, output).await;
    }

    /// The same as any worker with its key.
    ///
    /// # Panics
    /// If the contract refuses.
    pub async fn commit_as(&self, (account, key): (&Account, &SigningKey), job: JobId, output: BlobDigest) {
        let client = self.services.client();
        let (terms, progress) = self.job(job).await;
        let worker = progress.worker.unwrap();
        let facts = ReceiptFacts {
            genesis: client.genesis(),
            contract: client.contract().unwrap(),
            job,
            terms,
            claimed_at: progress.claimed_at,
            version: client.read(ReadVersion { version: terms.version }).await.unwrap().unwrap(),
            split: client.read(ReadSplit { version: terms.version, split: terms.split }).await.unwrap().unwrap(),
            worker,
            registration: client.read(ReadWorker { worker }).await.unwrap().unwrap().0,
        };
        let receipt: Receipt = facts.receipt(output, progress.claimed_at);
        let call = CommitHead { job, output, finished_at: receipt.finished_at, signature: key.sign(&receipt) };
        account.submit(call, Plancks::ZERO).await.unwrap();
    }

    /// A service that does nothing until it is thawed.
    ///
    /// # Panics
    /// If it does not run.
    pub fn freeze(&self, service: &str) {
        signal("STOP", self.services.id(service).unwrap());
    }

    /// Lets a frozen service go on.
    ///
    /// # Panics
    /// If it does not run.
    pub fn thaw(&self, service: &str) {
        signal("CONT", self.services.id(service).unwrap());
    }
}

/// Blocks come with transactions alone: of each job that no offer pins to a worker, the two that its draw waits for.
pub async fn have_drawn(client: Client) {
    let Ok(head) = client.head().await else { return };
    let (mut follow, mut drawn) = (client.follow(head.number), BTreeSet::new());
    while follow.next().await.is_ok() {
        let Ok(counts) = client.read(ReadCounts {}).await else { continue };
        let last = JobId(counts.jobs);
        let Ok(Some((_, progress))) = client.read(ReadJob { job: last }).await else { continue };
        if progress.stage == Stage::Requested && drawn.insert((last, progress.timeouts)) {
            // A chain that has ended draws nobody.
            let _ = development::seal_blocks(&client, Blocks(2)).await;
        }
    }
}
