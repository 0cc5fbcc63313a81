//! `post_blob`: what is said to be missing is posted where everybody can read it.

use super::{Ending, Ruling, close, load};
use crate::{
    command::{Decide, Decision, Scene},
    context::Host,
    draft::Draft,
    job::{Job, must_be},
    refusal::{Field, Refusal},
    state::{ReadState, Write},
};
use encompute_protocol::{
    BlobDigest, DisputeRecord, Reason, Stage,
    blake2b::Blake2b,
    call::PostBlob,
    dispute::{PART_LIMIT_BYTES, Proceeding},
    event::BlobPosted,
};

impl Decide for PostBlob {
    /// Who committed the blob, within the window. With the last part of the right blob the job goes on where it stood.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let job = Job::load(scene.state, self.job)?;
        let record = match job.progress.stage {
            Stage::Disputed(_) => load(scene.state, &job)?,
            found if found.is_terminal() => return Err(Refusal::JobEnded { found }),
            _ => return Err(Refusal::WrongStep),
        };
        let Proceeding::Posting(posted) = record.proceeding else { return Err(Refusal::WrongStep) };
        let (wanted, by) = match record.from {
            Stage::ResultCommitted => (job.progress.result, job.model(scene.state)?.creator),
            _ => (job.progress.output, job.progress.worker.ok_or(Refusal::Inconsistent)?),
        };
        must_be(scene.at.caller, by)?;
        job.must_be_on_time(scene.at.block)?;
        let (posted, blob) = self.take(posted, wanted.ok_or(Refusal::Inconsistent)?)?;

        let mut draft = Draft::new(scene.state);
        // At most PART_LIMIT_BYTES, see `take`.
        draft.emit(BlobPosted { job: job.id, at: self.at, bytes: self.part.len() as u32, blob });
        if blob.is_some() {
            let ruling = Ruling::Rejected { winners: 0 };
            let ending = Ending { reason: Reason::DisputeRejected, outcome: None, ruling };
            close(scene, &mut draft, job, &record, ending, &[])?;
        } else {
            let record = DisputeRecord { proceeding: Proceeding::Posting(posted), ..record };
            draft.write(Write::Dispute(job.id, Some(record)));
        }
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

trait PartRules {
    fn take(&self, posted: Blake2b, wanted: BlobDigest) -> Result<(Blake2b, Option<BlobDigest>), Refusal>;
}

impl PartRules for PostBlob {
    /// What has been posted with this part; with the last, the blob, which must be the one that is wanted.
    fn take(&self, posted: Blake2b, wanted: BlobDigest) -> Result<(Blake2b, Option<BlobDigest>), Refusal> {
        let mut posted = if self.at == 0 { Blake2b::new() } else { posted };
        let next = posted.read_bytes();
        if self.at != next {
            return Err(Refusal::PartOutOfPlace { found: self.at, wanted: next });
        }
        let length = Refusal::PartLength { found: u32::try_from(self.part.len()).unwrap_or(u32::MAX) };
        if self.part.len() > PART_LIMIT_BYTES {
            return Err(length);
        }
        if self.part.is_empty() {
            return Err(Refusal::Missing { field: Field::Part });
        }
        if !self.last {
            posted.read(&self.part).ok_or(length)?;
            return Ok((posted, None));
        }
        let found = posted.finish(&self.part).ok_or(length)?;
        if found == wanted { Ok((posted, Some(found))) } else { Err(Refusal::WrongBlob { found, wanted }) }
    }
}
