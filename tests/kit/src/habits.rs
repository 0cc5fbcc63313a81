//! How the market of a test is started, and who may stand between its services.

/// How the market is started.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Workers, named `worker-1` on; their accounts are `//Bob`, `//Bob/2`, ….
    pub workers: u16,
    /// Creators, named `creator-1` on; their accounts are `//Charlie`, `//Charlie/2`, ….
    pub creators: u16,
    /// Jobs that each worker holds at once.
    pub capacity: u16,
    /// Pause before an empty block is made, in milliseconds; 0 for never.
    pub heartbeat_ms: u32,
    /// A [`Liar`](crate::Liar) before each service that another relies on: see [`Services::liar`](crate::Services::liar). For one creator; of several
    /// workers the first alone is behind one.
    pub liars: bool,
    /// Each worker on a machine of its own; else all on one.
    pub machines: bool,
    /// Workers that take keys in custody.
    pub custody: bool,
}

impl Habits {
    /// The workers' program.
    pub(crate) fn program(&self) -> &'static str {
        if self.custody { "encompute-custodian" } else { "encompute-worker" }
    }

    /// Names of the workers' machines, where each has its own.
    pub(crate) fn machines(&self) -> impl Iterator<Item = String> + use<> {
        let own = if self.machines { self.workers } else { 0 };
        (1..=own).map(|number| format!("worker-{number}"))
    }
}

impl Default for Habits {
    fn default() -> Self {
        Self { workers: 1, creators: 1, capacity: 8, heartbeat_ms: 500, liars: false, machines: false, custody: false }
    }
}

/// Who is asked by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Between {
    /// The gateway, by users' commands.
    GatewayAndClient,
    /// The gateway, by the worker.
    GatewayAndWorker,
    /// The gateway, by the creator's service.
    GatewayAndCreator,
    /// The worker, by users' commands.
    WorkerAndClient,
    /// The creator's service, by the worker.
    CreatorAndWorker,
}

impl Between {
    pub(crate) const ALL: [Self; 5] = [
        Self::GatewayAndClient,
        Self::GatewayAndWorker,
        Self::GatewayAndCreator,
        Self::WorkerAndClient,
        Self::CreatorAndWorker,
    ];
}
