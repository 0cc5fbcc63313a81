//! What happens to the money that sponsors allow users.

use encompute_protocol::{Address, JobId, Plancks, event::AllowanceMovement};

/// What a sponsor allows a user changed.
#[ink::event]
pub struct AllowanceMoved {
    /// Who pays.
    #[ink(topic)]
    pub sponsor: Address,
    /// Whose jobs.
    #[ink(topic)]
    pub user: Address,
    /// By which job.
    #[ink(topic)]
    pub job: Option<JobId>,
    /// How.
    pub movement: AllowanceMovement,
    /// How much.
    pub amount: Plancks,
}
