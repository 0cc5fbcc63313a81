//! A worker that keeps keys for users who are away, and acts for them inside its enclave.
//!
//! A plain worker computes on ciphertexts and can open none. This one is another program with another measurement: a
//! user who chooses it seals a job's FHE key to its attested key, and goes. It runs the user's own code
//! ([`encompute_job::Runner::act`]) against itself: orders rounds, verifies their receipts, decrypts, releases under the
//! version's policy with the noise that the user granted, seals the features to the creator and sends them. The result
//! is sealed to the user, whose key for it never comes here.
//!
//! What is kept: the envelope as it came, and a journal sealed under the enclave's own secret, in its state folder; in
//! memory the keys, wiped when they are let go. All of it is gone once the features are sent, the job has ended, or
//! nothing has come of the offer. Bounds: one envelope for each offer, so no more than the worker has places.

mod keeper;
mod kept;

use encompute_node::RunError;
use encompute_node::custody::{Custodian, CustodianConfig};
use std::sync::Arc;

pub use keeper::Keeper;

/// The custodian of a worker, with what an earlier start kept.
///
/// # Errors
/// [`RunError::Custody`] when its folder cannot be used.
pub fn custodian(config: CustodianConfig) -> Result<Arc<dyn Custodian>, RunError> {
    Ok(Keeper::open(config)?)
}
