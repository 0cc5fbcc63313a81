//! What happens to rulings.

use encompute_protocol::{Address, JobId, Plancks};

/// The worker appeals the ruling that its head is wrong, and stakes the deposit on it: another committee is drawn.
#[ink::event]
pub struct RulingAppealed {
    /// The disputed job.
    #[ink(topic)]
    pub job: JobId,
    /// The worker.
    #[ink(topic)]
    pub by: Address,
    /// What it stakes.
    pub deposit: Plancks,
}
