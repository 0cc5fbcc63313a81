//! How a worker is found: by the offer that the client asks for, or by the chain's draw; and whose turn it is.

use crate::{driver::Runner, error::JobError, report::Watch};
use codec::{Decode, Encode};
use encompute_chain::SubmitJob;
use encompute_protocol::{Address, JobId, call::ReadDraw};

/// How a worker is found for a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Finding {
    /// The client asks workers for an offer, and the request pins who gives one; openly where none does.
    #[default]
    Offer,
    /// Nobody is asked: the chain draws who may claim, by stake and score and the hash of a later block.
    Draw,
    /// By the offer of a worker that takes the job's key in custody and acts for its user; of no other.
    Custody,
}

/// What was told of a draw last: nothing yet, or whose turn it was, and whether anybody may claim.
#[derive(Default)]
pub(crate) struct Turns(Option<(Option<Address>, bool)>);

impl<M: SubmitJob> Runner<M> {
    /// Tells whose turn it is to claim a requested job, whenever that has changed.
    pub(crate) async fn tell_turn(
        &self,
        job: JobId,
        turns: &mut Turns,
        watch: &mut (impl Watch + Send),
    ) -> Result<(), JobError> {
        let market = &self.services.market;
        let now = market.head().await.map_err(JobError::Read)?.number;
        let Some(draw) = market.read(ReadDraw { job }).await.map_err(JobError::Read)? else { return Ok(()) };
        if now <= draw.decides {
            return Ok(());
        }
        let found = (draw.whose(now), now >= draw.open_from);
        if turns.0.replace(found) != Some(found) {
            watch.turn(job, found.0, draw.open_from);
        }
        Ok(())
    }
}
