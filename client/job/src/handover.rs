//! A worker was late and another holds the job: it is shown what the first one answered in segments.

use crate::{driver::Runner, journal::Journal, rounds::RoundTrip, workers::read_limited};
use encompute_chain::SubmitJob;
use encompute_protocol::{Address, RoundIndex, Transcript, wire::Message};
use std::time::Duration;

/// How long a worker may take to fetch and check the states.
const WITHIN: Duration = Duration::from_secs(70);

impl<M: SubmitJob> Runner<M> {
    /// Shows the worker that holds the job the receipts of the first round's segments, and sees to it that the states
    /// which they name are in the store. A worker that does not go on from them begins anew, so that nothing is lost
    /// but time: whatever it says, the job goes on.
    pub(crate) async fn hand_over(&self, journal: &Journal, trip: &RoundTrip<'_>) {
        let goes_on = |index: usize| trip.plan.state_bytes(RoundIndex(index as u16)).is_some();
        let done = journal.record().rounds.iter().enumerate();
        let handed: Vec<_> = done.take_while(|(index, _)| goes_on(*index)).map(|(_, done)| *done).collect();
        let Some(first) = handed.first() else { return };
        for done in &handed {
            let Ok(state) = journal.kept(&done.response) else { return };
            if self.services.blobs.length(done.response).await.ok().flatten() != Some(state.len() as u64)
                && let Err(error) = self.put("a state of the job", state).await
            {
                tracing::info!(%error, "a state is not in the store");
            }
        }
        let transcript = Transcript { rounds: handed.iter().map(|done| done.signed).collect() };
        match self.show(trip, first.worker, transcript.to_wire()).await {
            Ok(()) => {}
            Err(found) => tracing::info!(job = %trip.facts.job, found, "the worker begins anew"),
        }
    }

    async fn show(&self, trip: &RoundTrip<'_>, worker: Address, transcript: Vec<u8>) -> Result<(), String> {
        let url = format!("{}/v1/jobs/{}/segments/{worker}", trip.url.trim_end_matches('/'), trip.facts.job);
        let call = trip.http.post(url).header("content-type", "application/octet-stream").body(transcript);
        let answer = call.timeout(WITHIN).send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let words = read_limited(answer, 4096).await.map_err(|error| error.to_string())?;
        Err(format!("{status}: {}", String::from_utf8_lossy(&words).trim()))
    }
}
