//! `commit_head`: the worker's receipt goes on chain.

use super::{Job, must_be, receipt::ReceiptFacts};
use crate::{
    command::{Decide, Decision, Scene},
    context::{Host, is_canonical},
    draft::Draft,
    refusal::{Field, Refusal},
    state::{ReadState, Write},
};
use encompute_protocol::{Blocks, ReceiptDigest, Signed, Stage, call::CommitHead, event::HeadCommitted};

impl Decide for CommitHead {
    /// The worker that holds the job, within the head window. Every field of the receipt is rebuilt from
    /// the chain's own facts, so a signature over anything else recovers another key.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let (state, block) = (scene.state, scene.at.block);
        let mut job = Job::load(state, self.job)?;
        job.must_be(Stage::Claimed)?;
        let (account, mut worker) = job.worker(state)?;
        must_be(scene.at.caller, account)?;
        job.must_be_on_time(block)?;
        let version = job.version_must_stand(scene)?;
        scene.measurement_must_be_usable(worker.measurement)?;
        scene.platform_must_be_usable(worker.platform)?;
        if block >= worker.expires_at {
            return Err(Refusal::RegistrationExpired { expires_at: worker.expires_at, block });
        }
        if self.output.is_zero() {
            return Err(Refusal::Missing { field: Field::Output });
        }
        let (found, from) = (self.finished_at, job.progress.claimed_at);
        if found < from || found > block {
            return Err(Refusal::FinishedOutside { found, from, to: block });
        }
        let facts = ReceiptFacts {
            genesis: scene.at.genesis,
            contract: scene.at.contract,
            job: job.id,
            terms: job.terms,
            claimed_at: job.progress.claimed_at,
            version,
            split: job.split(state)?,
            worker: account,
            registration: worker,
        };
        let receipt = facts.receipt(self.output, self.finished_at);
        let digest = scene.host.keccak_256(&receipt.preimage());
        let found = if is_canonical(&self.signature) { scene.host.recover(&digest, &self.signature) } else { None };
        if found != Some(worker.signing) {
            return Err(Refusal::WrongSigner { found, wanted: worker.signing });
        }

        let mut draft = Draft::new(state);
        worker.in_flight = worker.in_flight.checked_sub(1).ok_or(Refusal::Inconsistent)?;
        // A statistic: it may stop growing, a job may not.
        worker.heads_committed = worker.heads_committed.saturating_add(1);
        worker.reputation = worker.reputation.with_success(job.head_weight(&state.params()));
        let took = block.0.saturating_sub(job.progress.claimed_at.0);
        worker.latency = worker.latency.with(Blocks(took));
        job.progress.output = Some(self.output);
        job.progress.finished_at = self.finished_at;
        job.progress.committed_at = block;
        job.progress.measurement = Some(worker.measurement);
        job.progress.platform = Some(worker.platform);
        job.progress.receipt = Some(ReceiptDigest(digest));
        job.enter(&mut draft, Stage::HeadCommitted, None, account, block, Some(job.terms.windows.features))?;
        draft.emit(HeadCommitted {
            job: job.id,
            worker: account,
            output: self.output,
            receipt: ReceiptDigest(digest),
            finished_at: self.finished_at,
            signature: self.signature,
        });
        draft.write(Write::Worker(account, worker));
        job.write_progress(&mut draft);
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}
