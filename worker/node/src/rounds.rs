//! One job's rounds: which may be asked, which was answered, what the worker signs in the end.
//!
//! Nothing here computes, stores or sends. A round is answered once: whoever could ask one round
//! twice with different tensors could extract the head at the price of one run.

use codec::{Decode, Encode};
use encompute_protocol::receipt::RoundOrder;
use encompute_protocol::wire::Message;
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, ContractAddress, GenesisHash, HeadDigest, JobId, MeasurementId, Nonce, Receipt,
    RoundIndex, RoundReceipt, RoundReceiptDigest, Signature, SplitIndex, TailDigest, Transcript, VersionHash,
    VersionId,
};

/// Everything about a claimed job that its receipts name.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct JobFacts {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The job.
    pub job: JobId,
    /// The version that was bought.
    pub version: VersionId,
    /// Hash of its manifest.
    pub manifest: VersionHash,
    /// Which split.
    pub split: SplitIndex,
    /// The head that is run.
    pub head: HeadDigest,
    /// The rest of the model.
    pub tail: TailDigest,
    /// The request blob.
    pub input: BlobDigest,
    /// The worker's account.
    pub worker: Address,
    /// Its attested code.
    pub measurement: MeasurementId,
    /// The nonce of its registration.
    pub registration_nonce: Nonce,
    /// First block at which the registration no longer holds.
    pub expires_at: BlockNumber,
    /// Block of the claim.
    pub claimed_at: BlockNumber,
    /// Last block in which the head may be committed.
    pub deadline: BlockNumber,
    /// How many rounds the head has, at least one.
    pub rounds: u16,
    /// Signs rounds after the first.
    pub session_key: [u8; 33],
    /// True where the job's key is in this worker's custody.
    pub custody: bool,
}

/// Blocks that a commitment may take.
const COMMIT_BLOCKS: u32 = 2;

/// A job in hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRun {
    facts: JobFacts,
    answered: Vec<(RoundReceipt, Signature)>,
    closed: bool,
}

/// What to do about an order that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderVerdict {
    /// Compute the round.
    Compute,
    /// It was answered: send the same bytes again.
    Repeat,
}

/// An order that does not count. Only public facts are named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderRefused {
    /// For another job, round, chain or contract than it was sent to.
    #[error("order names another {field}")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// Not signed with the session key that the job's request names.
    #[error("order is not signed with the job's session key")]
    Signature,
    /// Comes with other bytes than it names; or without any, and names something else than the round before gave.
    #[error("request is {found}, the order names {wanted}")]
    Digest {
        /// Digest of the bytes that came.
        found: BlobDigest,
        /// Digest in the order.
        wanted: BlobDigest,
    },
    /// A round that the head does not have, or the first, whose tensor is in the request blob.
    #[error("round {found} cannot be ordered, rounds 1 to {last} can")]
    NoRound {
        /// Round asked for.
        found: RoundIndex,
        /// Last round of the head.
        last: u16,
    },
    /// A round before it has not been answered.
    #[error("round {found} is ordered before round {next}")]
    TooEarly {
        /// Round asked for.
        found: RoundIndex,
        /// The next one.
        next: RoundIndex,
    },
    /// Does not follow from the receipt of the round before.
    #[error("order follows receipt {found}, the round before has {wanted}")]
    Previous {
        /// Receipt named in the order.
        found: RoundReceiptDigest,
        /// Receipt of the round before.
        wanted: RoundReceiptDigest,
    },
    /// The round was answered, for another tensor.
    #[error("round {round} was answered for another request")]
    Answered {
        /// Which.
        round: RoundIndex,
    },
    /// A tensor for a segment that goes on from the one before, or none for a round that begins with one.
    #[error("round {round} {}", match takes_tensor {
        true => "begins with a tensor, none came",
        false => "goes on from what the round before gave, a tensor came",
    })]
    Input {
        /// Which.
        round: RoundIndex,
        /// Whether it begins with a tensor.
        takes_tensor: bool,
    },
    /// The transcript is closed: its receipt is on its way to the chain.
    #[error("the job's transcript is closed")]
    Closed,
}

impl JobRun {
    /// A job of which nothing has been answered.
    pub fn new(facts: JobFacts) -> Self {
        Self { facts, answered: Vec::new(), closed: false }
    }

    /// What the receipts name.
    pub fn facts(&self) -> &JobFacts {
        &self.facts
    }

    /// How many rounds have been answered.
    pub fn answered(&self) -> u16 {
        self.answered.len() as u16
    }

    /// True once every round has been answered.
    pub fn is_complete(&self) -> bool {
        self.answered() == self.facts.rounds
    }

    /// True once no further round will be answered.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Answers no further round.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// First block in which the transcript is closed although rounds are left: in the last quarter of the window,
    /// which a client that is there has not needed. A worker that holds the job only `since` late, because it was
    /// away itself, gives the client an eighth of the window more, but itself two blocks to commit.
    pub fn closes_at(&self, since: BlockNumber) -> BlockNumber {
        let (claimed_at, deadline) = (self.facts.claimed_at.0, self.facts.deadline.0);
        let part = |of: u32| (deadline.saturating_sub(claimed_at) / of).max(COMMIT_BLOCKS);
        let asked_long_enough = since.0.saturating_add(part(8)).min(deadline.saturating_sub(COMMIT_BLOCKS));
        BlockNumber(deadline.saturating_sub(part(4)).max(asked_long_enough))
    }

    /// Judges an order for `round` that came with a tensor of digest `request`; or with none, to go on from what the
    /// round before gave.
    ///
    /// # Errors
    /// [`OrderRefused`] by the first check that fails.
    pub fn judge(
        &self,
        round: RoundIndex,
        order: &RoundOrder,
        signature: &Signature,
        request: Option<BlobDigest>,
    ) -> Result<OrderVerdict, OrderRefused> {
        let facts = &self.facts;
        let fields = [
            ("chain", order.genesis == facts.genesis),
            ("contract", order.contract == facts.contract),
            ("job", order.job == facts.job),
            ("round", order.round == round),
        ];
        if let Some((field, _)) = fields.into_iter().find(|(_, same)| !same) {
            return Err(OrderRefused::Field { field });
        }
        if signature.key_over(order) != Some(facts.session_key) {
            return Err(OrderRefused::Signature);
        }
        if let Some(found) = request.filter(|found| *found != order.request) {
            return Err(OrderRefused::Digest { found, wanted: order.request });
        }
        self.judge_place(round, order, request.is_none())
    }

    /// Judges where an authentic order stands in the chain of rounds.
    fn judge_place(&self, round: RoundIndex, order: &RoundOrder, goes_on: bool) -> Result<OrderVerdict, OrderRefused> {
        let last = self.facts.rounds - 1;
        if round.0 == 0 || round.0 > last {
            return Err(OrderRefused::NoRound { found: round, last });
        }
        let Some((before, _)) = self.answered.get(usize::from(round.0) - 1) else {
            return Err(OrderRefused::TooEarly { found: round, next: RoundIndex(self.answered()) });
        };
        if order.previous != before.link() {
            return Err(OrderRefused::Previous { found: order.previous, wanted: before.link() });
        }
        if goes_on && order.request != before.response {
            return Err(OrderRefused::Digest { found: before.response, wanted: order.request });
        }
        match self.answered.get(usize::from(round.0)) {
            Some((receipt, _)) if receipt.request == order.request => Ok(OrderVerdict::Repeat),
            Some(_) => Err(OrderRefused::Answered { round }),
            None if self.closed => Err(OrderRefused::Closed),
            None => Ok(OrderVerdict::Compute),
        }
    }

    /// The receipt of the next round, for `request` giving `response`; to be signed and recorded.
    pub fn next_receipt(&self, request: BlobDigest, response: BlobDigest) -> RoundReceipt {
        RoundReceipt {
            genesis: self.facts.genesis,
            contract: self.facts.contract,
            job: self.facts.job,
            round: RoundIndex(self.answered()),
            head: self.facts.head,
            request,
            response,
            previous: self.answered.last().map(|(receipt, _)| receipt.link()).unwrap_or_default(),
            registration_nonce: self.facts.registration_nonce,
        }
    }

    /// Records the next round as answered; `None`, and nothing recorded, if it does not continue
    /// the chain (a journal that was altered).
    pub fn record(&mut self, receipt: RoundReceipt, signature: Signature) -> Option<()> {
        if self.is_complete() || receipt != self.next_receipt(receipt.request, receipt.response) {
            return None;
        }
        self.answered.push((receipt, signature));
        Some(())
    }

    /// Every round answered so far.
    pub fn transcript(&self) -> Transcript {
        Transcript { rounds: self.answered.clone() }
    }

    /// The receipt over the transcript, finished in block `finished_at`; to be signed.
    pub fn receipt(&self, finished_at: BlockNumber) -> Receipt {
        let facts = &self.facts;
        Receipt {
            genesis: facts.genesis,
            contract: facts.contract,
            job: facts.job,
            version: facts.version,
            manifest: facts.manifest,
            split: facts.split,
            head: facts.head,
            input: facts.input,
            evaluation_key: BlobDigest::default(),
            output: BlobDigest::of(&self.transcript().to_wire()),
            tail: facts.tail,
            worker: facts.worker,
            measurement: facts.measurement,
            registration_nonce: facts.registration_nonce,
            claimed_at: facts.claimed_at,
            finished_at,
            expires_at: facts.expires_at,
            custody: facts.custody,
        }
    }
}

#[cfg(test)]
#[path = "rounds_tests.rs"]
mod tests;
