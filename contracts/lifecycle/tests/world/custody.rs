//! Jobs whose key the worker has.

use super::*;

impl World {
    /// A job of the first user that the first worker claimed with its key in custody.
    pub fn entrusted(&mut self) -> JobId {
        self.entrusted_of(SplitIndex(0))
    }

    pub fn entrusted_of(&mut self, split: SplitIndex) -> JobId {
        let mut message = self.request_message(VersionId(1), split);
        message.offer = Some(self.custody_offer(0, USERS[0], &message));
        self.send_request(USERS[0], message).unwrap()
    }

    /// The same, with its head committed.
    pub fn entrusted_and_committed(&mut self) -> JobId {
        let job = self.entrusted();
        self.act(job, Stage::Claimed, 0).unwrap();
        job
    }

    /// The worker sends the features for the user.
    pub fn sent_for_the_user(&mut self, worker: usize, job: JobId) -> Result<(), Refusal> {
        let features = self.digest();
        self.call(WORKERS[worker], SendFeatures { job, policy: PolicyId(1), features })
    }
}
