//! The ways in which a process is hurt.

use crate::plan::Victim;
use serde::Serialize;

/// How it is hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL, and a restart.
    Kill,
    /// SIGKILL, a restart, and SIGKILL again while it recovers.
    KillTwice,
    /// SIGKILL, and a restart after the window in which somebody had to act.
    KillPastWindow,
    /// SIGTERM, its end waited for, and a restart.
    Drain,
    /// SIGSTOP, and SIGCONT later: a slow peer.
    Freeze,
    /// The request blob disappears from the store.
    BlobDeleted,
    /// The request blob is altered in the store.
    BlobAltered,
    /// The newest blob of the job is replaced in the store by one that is larger than any of its kind may be.
    BlobTooLarge,
    /// The victim's journal cannot be written for a while.
    Unwritable,
    /// The disk under everything that the victim keeps has no byte left for a while.
    DiskFull,
    /// A link is cut: connections are reset, new ones refused.
    Cut,
    /// A link swallows everything: connections stand and are made, nothing comes through for a while.
    BlackHole,
    /// A link is slow, until the job is over.
    SlowLink,
    /// Answers on all of the victim's links are delayed unevenly, so that later ones overtake earlier ones, until
    /// the job is over.
    Reorder,
    /// The victim's clock jumps.
    ClockJump,
    /// The user's command is killed, and when it comes back the transcript that the receipt names is gone from
    /// the store. Its user cannot have the answer, so no plan draws it: the suite's short drill asks for it.
    TranscriptDeleted,
}

/// Links over which jobs are run: who calls whom.
pub(crate) const LINKS: [(Victim, Victim); 8] = [
    (Victim::Client, Victim::Chain),
    (Victim::Worker, Victim::Gateway),
    (Victim::Creator, Victim::Chain),
    (Victim::Client, Victim::Worker),
    (Victim::Worker, Victim::Creator),
    (Victim::Client, Victim::Gateway),
    (Victim::Creator, Victim::Gateway),
    (Victim::Worker, Victim::Chain),
];

const TWO_HOURS: i64 = 2 * 3_600;
const FORTY_DAYS: i64 = 40 * 86_400;
/// Whose clock jumps by how many seconds, and whether it stays there.
///
/// The time of a chain never goes back, so a chain that was forty days ahead would be so for ever, and with it every
/// verdict on evidence: consensus keeps chains from that, and a drill could not go on. Its clock jumps by hours.
pub(crate) const CLOCKS: [(Victim, i64, bool); 14] = [
    (Victim::Worker, FORTY_DAYS, false),
    (Victim::Creator, -TWO_HOURS, true),
    (Victim::Client, TWO_HOURS, false),
    (Victim::Chain, -TWO_HOURS, false),
    (Victim::Gateway, FORTY_DAYS, true),
    (Victim::Creator, FORTY_DAYS, true),
    (Victim::Worker, -TWO_HOURS, true),
    (Victim::Client, FORTY_DAYS, false),
    (Victim::Chain, TWO_HOURS, true),
    (Victim::Client, -TWO_HOURS, true),
    (Victim::Worker, FORTY_DAYS, true),
    (Victim::Gateway, -TWO_HOURS, false),
    (Victim::Worker, TWO_HOURS, true),
    (Victim::Client, FORTY_DAYS, true),
];

impl Fault {
    /// How many processes it kills.
    pub fn kills(self) -> u32 {
        match self {
            Self::Kill | Self::KillPastWindow | Self::TranscriptDeleted => 1,
            Self::KillTwice => 2,
            _ => 0,
        }
    }

    /// True where a blob of the job is lost from the store.
    pub fn is_blob(self) -> bool {
        matches!(self, Self::BlobDeleted | Self::BlobAltered | Self::BlobTooLarge)
    }
}
