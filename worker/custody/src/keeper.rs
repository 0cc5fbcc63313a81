//! The custodian: which keys are here, and the jobs that it acts in.

use crate::kept::{Envelope, Envelopes};
use encompute_chain::Account;
use encompute_job::{Custody, CustodyFacts, Journal, Runner, Services};
use encompute_keys::MachineSecret;
use encompute_node::RunError;
use encompute_node::custody::{Custodian, CustodianConfig, CustodyRefused, Entrusted};
use encompute_protocol::{BlobDigest, BlockNumber, Blocks, JobId};
use encompute_release::Releaser;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

/// So long after its offer ran out a key is kept: the job may have been claimed in the last block of the offer, while
/// this worker was starting again.
const KEPT_ON: Blocks = Blocks(120);
/// How long to wait before a job that cannot be begun is tried again: twice as long each time, up to the second.
const BEGIN_AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// A key in custody.
struct Kept {
    custody: Arc<Custody>,
    until: BlockNumber,
}

/// A job that is acted in.
struct Acting {
    input: BlobDigest,
    task: JoinHandle<()>,
}

/// Keeps keys and acts for their users.
pub struct Keeper {
    config: CustodianConfig,
    envelopes: Envelopes,
    kept: Mutex<BTreeMap<BlobDigest, Kept>>,
    acting: Mutex<BTreeMap<JobId, Acting>>,
    this: std::sync::Weak<Self>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    /// The keeper of a folder, with what is in it already.
    ///
    /// # Errors
    /// [`RunError::Custody`]. A file that cannot be used is left where it is, and said.
    pub fn open(config: CustodianConfig) -> Result<Arc<Self>, RunError> {
        let failed = |error: &dyn std::error::Error| {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            RunError::Custody(format!("{error}{cause}"))
        };
        let envelopes = Envelopes::open(config.folder.join("envelopes")).map_err(|error| failed(&error))?;
        let earlier = envelopes.all().map_err(|error| failed(&error))?;
        let keeper = Arc::new_cyclic(|this| Self {
            config,
            envelopes,
            kept: Mutex::default(),
            acting: Mutex::default(),
            this: this.clone(),
        });
        for envelope in earlier {
            match envelope {
                Ok(Envelope { entrusted, until, bytes }) => match keeper.opened(&entrusted, &bytes) {
                    Ok(custody) => {
                        let kept = Kept { custody: Arc::new(custody), until };
                        lock(&keeper.kept).insert(entrusted.call.input, kept);
                    }
                    Err(error) => warn!(input = %entrusted.call.input, %error, "a key that was kept is of no use"),
                },
                Err(error) => warn!(error = &error as &dyn std::error::Error, "a key that was kept cannot be read"),
            }
        }
        Ok(keeper)
    }

    fn opened(&self, entrusted: &Entrusted, envelope: &[u8]) -> Result<Custody, CustodyRefused> {
        let Entrusted { call, manifest, parameter_set, session_key } = *entrusted;
        let market = self.config.account.client();
        let facts = CustodyFacts {
            genesis: market.genesis(),
            contract: market.contract().unwrap_or_default(),
            input: call.input,
            manifest,
            split: call.split,
            policy: call.policy,
            parameter_set,
            session_key,
        };
        let opened = Custody::open(self.config.keys.recipient(), &facts, envelope);
        opened.map_err(|error| CustodyRefused(error.to_string()))
    }

    fn machine(&self) -> MachineSecret {
        MachineSecret(*self.config.keys.custody_secret())
    }

    /// Acts in a job until there is nothing left to do, then wipes everything of it.
    async fn act_in(self: Arc<Self>, job: JobId, input: BlobDigest, custody: Arc<Custody>) {
        let CustodianConfig { account, gateway, http, network, folder, .. } = &self.config;
        let runner = Runner {
            services: Services {
                market: account.clone(),
                blobs: gateway.clone(),
                http: http.clone(),
                network: network.clone(),
            },
            releaser: Releaser::of_grant(custody.grant()),
            machine: self.machine(),
            home: folder.clone(),
            accept: false,
        };
        let mut journal = begun(&runner, job, &custody).await;
        drop(custody);
        match runner.act(&mut journal).await {
            Ok(stage) => info!(job = job.0, ?stage, "acted for the user; the key is wiped"),
            Err(error) => {
                error!(job = job.0, error = &error as &dyn std::error::Error, "the job's window is over")
            }
        }
        self.wipe(&input, Some(journal));
    }

    /// Everything of an input goes: from memory, and from disk.
    fn wipe(&self, input: &BlobDigest, journal: Option<Journal>) {
        lock(&self.kept).remove(input);
        if let Err(error) = self.envelopes.remove(input) {
            error!(%input, error = &error as &dyn std::error::Error, "an envelope stays on disk");
        }
        let journal = journal.or_else(|| Journal::open_input(&self.config.folder, input).ok());
        let wiped = match journal {
            Some(journal) => journal.wipe(),
            None => Journal::clear_unfinished(&self.config.folder, input),
        };
        if let Err(error) = wiped {
            error!(%input, error = &error as &dyn std::error::Error, "a job's journal stays on disk");
        }
    }
}

/// The journal of a job, once the store and the chain give what it takes. Nobody else has the key, so this is tried until
/// the job has ended and is put away.
async fn begun(runner: &Runner<Account>, job: JobId, custody: &Custody) -> Journal {
    let [mut wait, longest] = BEGIN_AGAIN;
    loop {
        match runner.take_custody(job, custody).await {
            Ok(journal) => return journal,
            Err(error) => warn!(job = job.0, error = &error as &dyn std::error::Error, "not begun for the user yet"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(longest);
    }
}

impl Custodian for Keeper {
    fn take(&self, entrusted: &Entrusted, envelope: &[u8], until: BlockNumber) -> Result<(), CustodyRefused> {
        let custody = self.opened(entrusted, envelope)?;
        let input = entrusted.call.input;
        let kept = Envelope { entrusted: *entrusted, until, bytes: envelope.to_vec() };
        self.envelopes.write(&kept).map_err(|error| {
            error!(error = &error as &dyn std::error::Error, "an envelope is not kept");
            CustodyRefused("it cannot be kept here".into())
        })?;
        lock(&self.kept).insert(input, Kept { custody: Arc::new(custody), until });
        info!(%input, until = until.0, "a key is in custody");
        Ok(())
    }

    fn act(&self, job: JobId, input: BlobDigest) {
        let mut acting = lock(&self.acting);
        if acting.contains_key(&job) {
            return;
        }
        let custody = lock(&self.kept).get(&input).map(|kept| kept.custody.clone());
        let (Some(custody), Some(this)) = (custody, self.this.upgrade()) else {
            return error!(job = job.0, %input, "the job's key is not here: the job runs out");
        };
        let task = tokio::spawn(this.act_in(job, input, custody));
        acting.insert(job, Acting { input, task });
    }

    fn put_away(&self, job: JobId) {
        let (Some(Acting { input, task }), Some(this)) = (lock(&self.acting).remove(&job), self.this.upgrade()) else {
            return;
        };
        task.abort();
        tokio::spawn(async move {
            // It holds the journal until it has ended; whether it ended by itself does not matter.
            let _ = task.await;
            this.wipe(&input, None);
        });
    }

    fn advance(&self, now: BlockNumber) {
        let acted_on: Vec<BlobDigest> = lock(&self.acting).values().map(|acting| acting.input).collect();
        let over = |kept: &Kept| kept.until.checked_add(KEPT_ON).is_some_and(|until| until < now);
        let nothing_came: Vec<BlobDigest> = {
            let kept = lock(&self.kept);
            let stale = kept.iter().filter(|(input, kept)| over(kept) && !acted_on.contains(input));
            stale.map(|(input, _)| *input).collect()
        };
        for input in nothing_came {
            info!(%input, "nothing came of an offer; its key is wiped");
            self.wipe(&input, None);
        }
    }
}
