//! The input's way through the head, as far as verified answers lead.
//!
//! Nothing of it is written down in clear: after a restart it is worked out again, from the request and the
//! responses that the journal keeps encrypted.

use crate::{error::JobError, journal::Journal, rounds::RoundTrip};
use encompute_fhe::{EncryptedFeatures, EncryptedTensor};
use encompute_head::{ClientRun, HeadPlan};
use encompute_protocol::{JobRequest, RoundIndex, wire::Message};
use std::sync::Arc;

/// The client's half of one job's head.
pub(crate) type JobHead = ClientRun<Arc<HeadPlan>>;

/// The client's half as far as `receipts` answers of the journal lead: `in_hand` where it is that far, or a new one.
///
/// # Errors
/// [`JobError`] when the journal, the plan and the responses do not fit each other; never because of a value.
pub(crate) fn run_up_to(
    receipts: usize,
    in_hand: Option<JobHead>,
    journal: &Journal,
    trip: &RoundTrip<'_>,
) -> Result<JobHead, JobError> {
    if let Some(run) = in_hand.filter(|run| run.answered() == trip.answered(receipts)) {
        return Ok(run);
    }
    let mut run = start(journal, trip)?;
    for (index, done) in (0..).zip(&journal.record().rounds).take(receipts) {
        let round = RoundIndex(index);
        if !trip.segment(round)?.is_last() {
            continue;
        }
        let features = EncryptedFeatures::from_bytes(&journal.kept(&done.response)?)
            .map_err(|source| JobError::Response { round, source })?;
        // The journal names only responses whose receipts were verified, and gives back no other bytes.
        go_on(&mut run, &trip.decrypt_verified(round, &features, done.response)?)?;
    }
    Ok(run)
}

/// Goes on with a round's decrypted sums.
pub(crate) fn go_on(run: &mut JobHead, sums: &encompute_keys::SecretFeatures) -> Result<(), JobError> {
    let answered = run.answer(sums.expose_to_client_run());
    answered.map_err(|error| JobError::Crypto { doing: "go on with a round", found: error.to_string() })
}

/// The run before its first answer: its input is in the request, which only the job's key reads.
fn start(journal: &Journal, trip: &RoundTrip<'_>) -> Result<JobHead, JobError> {
    let failed = |found: String| JobError::Crypto { doing: "read the job's request", found };
    let request = JobRequest::from_wire(&journal.kept(&journal.record().input)?);
    let request = request.map_err(|source| JobError::Message { what: "the job's request", source })?;
    let tensor = EncryptedTensor::from_bytes(request.tensor.as_slice()).map_err(|error| failed(error.to_string()))?;
    let round = trip.round(RoundIndex(0))?;
    let layout = round.input_layout(trip.plan.parameter_set()).map_err(|error| failed(error.to_string()))?;
    let input = trip.key.read_request(&tensor, &layout, round.accumulator_bits);
    let input = input.map_err(|error| failed(error.to_string()))?;
    JobHead::start(trip.plan.clone(), &input).map_err(|error| failed(error.to_string()))
}
