//! The market that is hurt: real processes, and what the drill knows of them from outside.

use crate::{
    judge::{Judgement, Parties, judge},
    plan::Victim,
};
use core::{future::Future, time::Duration};
use encompute_audit::{LedgerReport, audit_ledger};
use encompute_chain::ReadError;
use encompute_envelope::{Context, RecipientSecret, Subject};
use encompute_job::Journal;
use encompute_kit::{Habits, KitError, Services, Surroundings};
use encompute_protocol::{
    BlobDigest, BlockNumber, Blocks, JobId, JobProgress, JobTerms, Plancks, Stage, Windows,
    call::{PokeJob, ReadCounts, ReadJob, ReadTotals},
    event::Event,
    manifest::ReleasedFeatures,
    wire::Message,
};
use encompute_store::{Blobs, ByteLimit, GatewayClient};
use std::{collections::BTreeMap, path::PathBuf, time::Instant};

/// The user's account, the creator's, the governor's and treasury's, and somebody who has nothing to do with it.
const USER: &str = "//Dave";
const CREATOR: &str = "//Charlie";
const GOVERNOR: &str = "//Alice";
const STRANGER: &str = "//Eve";
/// So many runs share a home of the user's: some are first of all, some find many jobs of others there.
const RUNS_PER_HOME: u32 = 20;
const MODEL: &str = "scripts/models/digits";
/// What is asked, in turn.
const INPUTS: [&str; 2] = ["tests/fixtures/digits/grey-28x28-7.png", "tests/fixtures/digits/grey-28x28-3.png"];
/// Windows in which a restart fits, short enough to be let pass: a block comes every half second.
pub(crate) const WINDOWS: Windows = Windows {
    claim: Blocks(60),
    head: Blocks(60),
    challenge: Blocks(10),
    features: Blocks(60),
    creator: Blocks(60),
    accept: Blocks(60),
    dispute: Blocks(60),
};
/// How long the chain may be away before the drill gives up.
const PATIENCE: Duration = Duration::from_secs(40);
const PAUSE: Duration = Duration::from_millis(100);

/// A drill that could not go on; what it was to find out is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DrillError {
    /// A process of the market.
    #[error("the market")]
    Kit(#[from] KitError),
    /// The chain.
    #[error("read the chain")]
    Read(#[from] ReadError),
    /// A file or a command.
    #[error("{doing}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The creator's vault.
    #[error("open the creator's vault")]
    Vault(#[from] encompute_tail::VaultError),
    /// The drill has found something.
    #[error("{0}")]
    Found(String),
}

pub(crate) fn io(doing: &'static str) -> impl Fn(std::io::Error) -> DrillError {
    move |source| DrillError::Io { doing, source }
}

/// Everything that the contract has said, and what an auditor makes of it.
#[derive(Default)]
pub(crate) struct Books {
    events: Vec<(BlockNumber, Event)>,
    /// Events of another version of the contract.
    unread: u32,
    read_to: BlockNumber,
}

impl Books {
    /// Everything that was read.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().map(|(_, event)| event)
    }

    /// The auditor's books as of now: events, sums and balance of one block, for the chain goes on meanwhile.
    pub(crate) async fn ledger(&mut self, services: &Services) -> Result<LedgerReport, DrillError> {
        let client = services.client();
        let contract = client.contract().unwrap_or_default();
        let head = patiently(|| client.head()).await?;
        let range = BlockNumber(self.read_to.0 + 1)..=head.number;
        for block in patiently(|| client.events_in(range.clone())).await? {
            self.unread += block.unread;
            self.events.extend(block.events.into_iter().map(|emitted| (block.block.number, emitted.event)));
        }
        self.read_to = head.number;
        let stated = patiently(|| client.read_at(ReadTotals {}, head.hash)).await?;
        let balance = patiently(|| client.payable_at(contract, head.hash)).await?;
        Ok(audit_ledger(&self.events, self.unread, head.number, &stated, balance))
    }
}

/// The market and its books.
pub struct Market {
    pub(crate) services: Services,
    parties: Parties,
    books: Books,
    creator_key: RecipientSecret,
    released: BTreeMap<(u32, usize), Vec<i16>>,
}

impl Market {
    /// Starts one with one worker, one creator and one model, in surroundings that the drill has in its hands.
    pub async fn start_in(surroundings: Surroundings) -> Result<Self, DrillError> {
        let services =
            Services::start_in(surroundings, Habits::default(), &[MODEL], |params| params.windows = WINDOWS).await?;
        let parties =
            Parties { creator: services.account(CREATOR).address(), treasury: services.account(GOVERNOR).address() };
        let creator_key = encompute_tail::Vault::open(&services.home().join("creator-1"))?.creator_key()?;
        Ok(Self { services, parties, books: Books::default(), creator_key, released: BTreeMap::new() })
    }

    /// The name of a victim's process; the user's command has none.
    pub fn name(victim: Victim) -> Option<&'static str> {
        match victim {
            Victim::Worker => Some("worker-1"),
            Victim::Creator => Some("creator-1"),
            Victim::Gateway => Some("gateway"),
            Victim::Chain => Some("chain"),
            Victim::Client => None,
        }
    }

    /// The user's home in a run, below the market's.
    fn home(run: u32) -> String {
        format!("user-{}", run / RUNS_PER_HOME)
    }

    /// The user's command that buys a run on the input of its turn.
    pub fn submit(&self, run: u32) -> std::process::Command {
        let input = INPUTS[run as usize % INPUTS.len()];
        let what = ["job", "submit", "--model", "digits", "--input", input];
        self.services.encompute(&Self::home(run), &[&what[..], &["--suri", USER, "--patience", "15"]].concat())
    }

    /// The user's command after something went wrong.
    pub fn resume(&self, run: u32, job: Option<JobId>) -> std::process::Command {
        let id = job.map(|job| job.0.to_string());
        let what: Vec<&str> = ["job", "resume"].into_iter().chain(id.as_deref()).collect();
        self.services.encompute(&Self::home(run), &[&what[..], &["--suri", USER, "--patience", "15"]].concat())
    }

    /// True once the user's home has the answer of a job.
    pub fn is_answered(&self, run: u32, job: JobId) -> bool {
        let records = Journal::list(&self.services.home().join(Self::home(run))).unwrap_or_default();
        records.iter().any(|record| record.job == Some(job) && record.scores.is_some())
    }

    /// How many jobs there have been.
    pub async fn jobs(&self) -> Result<u64, DrillError> {
        patiently(|| self.services.client().read(ReadCounts {})).await.map(|counts| counts.jobs)
    }

    /// A job as the chain has it.
    pub async fn job(&self, job: JobId) -> Result<(JobTerms, JobProgress), DrillError> {
        let found = patiently(|| self.services.client().read(ReadJob { job })).await?;
        found.ok_or_else(|| DrillError::Found(format!("job {job} is gone")))
    }

    /// The transcript of a job, once its receipt is on chain; none if that does not come.
    pub async fn transcript(&self, job: JobId) -> Result<Option<BlobDigest>, DrillError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let (_, progress) = self.job(job).await?;
            if progress.output.is_some() || progress.stage.is_terminal() || Instant::now() > until {
                return Ok(progress.output);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Lets the window pass in which a victim has to act on a job; nothing if it is somebody else's turn.
    pub async fn pass_window_of(&self, victim: Victim, job: JobId) -> Result<(), DrillError> {
        let turn = match self.job(job).await?.1.stage {
            Stage::Requested | Stage::Claimed => Victim::Worker,
            Stage::FeaturesSent => Victim::Creator,
            _ => Victim::Client,
        };
        if turn == victim { self.pass_window(job).await } else { Ok(()) }
    }

    /// Lets a job's window pass, then moves it on as somebody who has nothing to do with it.
    pub async fn push(&self, job: JobId) -> Result<(), DrillError> {
        self.pass_window(job).await?;
        // Somebody else may have been faster: where the job stands is looked at, not whose poke it was.
        drop(self.services.account(STRANGER).submit(PokeJob { job }, Plancks::ZERO).await);
        Ok(())
    }

    async fn pass_window(&self, job: JobId) -> Result<(), DrillError> {
        let (_, progress) = self.job(job).await?;
        let head = patiently(|| self.services.client().head()).await?.number;
        let left = progress.deadline.0.saturating_sub(head.0) + 1;
        if !progress.stage.is_terminal() {
            self.services.seal(Blocks(left)).await?;
        }
        Ok(())
    }

    /// What became of a job, by what [`Market::ledger`] has read.
    pub fn judge(&self, job: JobId, terms: &JobTerms) -> Judgement {
        judge(job, terms, &self.parties, self.books.events())
    }

    /// The auditor's books now.
    pub async fn ledger(&mut self) -> Result<LedgerReport, DrillError> {
        self.books.ledger(&self.services).await
    }

    /// True if the job's features, opened as its creator opens them, are other numbers than an earlier release
    /// of the same input: its noise was drawn again.
    pub async fn is_redrawn(&mut self, run: u32, job: JobId, progress: &JobProgress) -> Result<bool, DrillError> {
        let Some(features) = progress.features else { return Ok(false) };
        let client = self.services.client();
        let (genesis, contract) = (client.genesis(), client.contract().unwrap_or_default());
        let context = Context { genesis, contract, subject: Subject::Features { job } };
        // A blob that the drill itself has spoilt says nothing about noise.
        let Some(sealed) = self.blob(features).await else { return Ok(false) };
        let opened = encompute_envelope::open(&self.creator_key, &context, &sealed, ReleasedFeatures::LIMIT_BYTES);
        let opened = opened.map_err(|error| DrillError::Found(format!("features of job {job}: {error}")))?;
        let released = ReleasedFeatures::from_wire(&opened)
            .map_err(|error| DrillError::Found(format!("features of job {job}: {error}")))?;
        // Noise is drawn once for an input and the secret of a home.
        let input = (run / RUNS_PER_HOME, run as usize % INPUTS.len());
        let first = self.released.entry(input).or_insert_with(|| released.codes.to_vec());
        Ok(*first != released.codes.to_vec())
    }

    async fn blob(&self, digest: BlobDigest) -> Option<Vec<u8>> {
        let gateway = GatewayClient::new(self.services.network.gateway.as_ref()?.as_str()).ok()?;
        gateway.get(digest, ByteLimit(1024 * 1024)).await.ok().map(Vec::from)
    }

    /// Where the store keeps a blob.
    pub fn blob_file(&self, digest: &BlobDigest) -> PathBuf {
        encompute_kit::blob_file(self.services.home(), digest)
    }

    /// The blob that came last, before the chain names any of the job's.
    pub fn newest_blob(&self) -> Option<PathBuf> {
        let shelves = std::fs::read_dir(self.services.home().join("blobs")).ok()?.flatten();
        let files = shelves.flat_map(|shelf| std::fs::read_dir(shelf.path()).into_iter().flatten().flatten());
        files.filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file.path()))).max().map(|(_, path)| path)
    }

    /// The folder in which a victim writes down what must survive it.
    pub fn journal(&self, run: u32, victim: Victim) -> PathBuf {
        let home = self.services.home();
        match victim {
            Victim::Worker => home.join("worker-1").join("jobs"),
            Victim::Creator => home.join("creator-1").join("service").join("jobs"),
            Victim::Client => home.join(Self::home(run)).join("jobs"),
            Victim::Gateway => home.join("blobs"),
            Victim::Chain => home.join("chain"),
        }
    }

    /// The folder below the market's home in which a victim keeps everything that it keeps.
    pub fn kept_in(&self, run: u32, victim: Victim) -> String {
        match victim {
            Victim::Gateway => "blobs".to_owned(),
            Victim::Client => Self::home(run),
            other => Self::name(other).unwrap_or_default().to_owned(),
        }
    }

    /// Makes the room of a user's home, where folders have rooms.
    pub fn make_home(&mut self, run: u32) -> Result<(), DrillError> {
        self.services.room(&Self::home(run))?;
        Ok(())
    }

    /// Starts services again that ended although nobody asked them to, as who watches over them would; their names.
    pub async fn revive(&mut self) -> Result<Vec<String>, DrillError> {
        let fallen = self.services.fallen();
        for name in &fallen {
            self.services.restart(name).await?;
        }
        Ok(fallen)
    }

    /// What the auditor's command says of a job: true if every check passed.
    pub async fn audit(&self, run: u32, job: JobId) -> Result<bool, DrillError> {
        let mut command = tokio::process::Command::from(
            self.services.encompute(&Self::home(run), &["audit", "job", &job.0.to_string(), "--json"]),
        );
        let output = command.stdin(std::process::Stdio::null()).output().await.map_err(io("run the auditor"))?;
        Ok(output.status.success())
    }
}

/// What `work` comes to, unless whoever started it ends it first: then its processes end with it.
pub(crate) fn until_stopped<T>(work: impl Future<Output = Result<T, DrillError>>) -> Result<T, DrillError> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(io("start threads"))?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(io("listen for signals"))?;
        tokio::select! {
            done = work => done,
            _ = terminate.recv() => Err(DrillError::Found("stopped".to_owned())),
            _ = tokio::signal::ctrl_c() => Err(DrillError::Found("stopped".to_owned())),
        }
    })
}

/// Asks until there is an answer, for as long as a chain may be away.
pub(crate) async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, DrillError>
where
    F: Future<Output = Result<T, ReadError>>,
{
    let until = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if Instant::now() > until => return Err(error.into()),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
