//! What the user's client checks before it decrypts: nothing here has seen a key.
//!
//! Every check compares a signed statement with a fact of the chain or a digest of bytes in hand, so
//! that what the client does next depends on public facts alone.

use encompute_protocol::{
    Address, BlobDigest, ContractAddress, GenesisHash, HeadDigest, JobId, JobProgress, JobTerms, Nonce, RoundIndex,
    RoundReceipt, RoundReceiptDigest, Signature, SigningAddress, Stage, Transcript, WorkerRecord, receipt::RoundAnswer,
    wire::Message,
};

/// What the chain says about a running job and the worker that holds it.
#[derive(Clone, Copy, Debug)]
pub struct JobFacts {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The job.
    pub job: JobId,
    /// What was bought.
    pub terms: JobTerms,
    /// How far it has come.
    pub progress: JobProgress,
    /// Who holds it.
    pub worker: Address,
    /// That worker's registration.
    pub record: WorkerRecord,
    /// The head that was bought.
    pub head: HeadDigest,
}

/// A round whose receipt holds: the only thing that may be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedRound {
    response: BlobDigest,
    link: RoundReceiptDigest,
}

impl VerifiedRound {
    /// Digest of the response that the receipt names and the bytes have.
    pub fn response(&self) -> BlobDigest {
        self.response
    }

    /// What the next round's receipt must name as the one before.
    pub fn link(&self) -> RoundReceiptDigest {
        self.link
    }
}

/// A receipt that does not hold: which field, what it says, what it should say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoundRefused {
    /// A field is not what the chain or the bytes say.
    #[error("receipt of round {round}: {field} is {found}, it should be {expected}")]
    Field {
        /// Which round.
        round: RoundIndex,
        /// Which field.
        field: &'static str,
        /// What the receipt says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// The signature is not by the registered key.
    #[error("receipt of round {round} is not signed by the registered key {signing}")]
    Signature {
        /// Which round.
        round: RoundIndex,
        /// The registered key.
        signing: SigningAddress,
    },
}

impl JobFacts {
    /// The receipt that an honest worker gives for a round.
    fn expected(
        &self,
        round: RoundIndex,
        request: BlobDigest,
        response: BlobDigest,
        previous: RoundReceiptDigest,
    ) -> RoundReceipt {
        let Self { genesis, contract, job, head, record, .. } = *self;
        RoundReceipt {
            genesis,
            contract,
            job,
            round,
            head,
            request,
            response,
            previous,
            registration_nonce: record.nonce,
        }
    }
}

/// Checks one round's answer: every field of its receipt, the digest of its bytes, the signature.
///
/// `request` is the digest of the tensor that was sent, `previous` the link of the round before (zero
/// for the first).
///
/// # Errors
/// [`RoundRefused`], with the first field that is wrong.
pub fn verify_round(
    facts: &JobFacts,
    round: RoundIndex,
    request: BlobDigest,
    previous: RoundReceiptDigest,
    answer: &RoundAnswer,
) -> Result<VerifiedRound, RoundRefused> {
    let response = BlobDigest::of(&answer.response);
    check_receipt(
        &answer.receipt,
        &answer.signature,
        &facts.expected(round, request, response, previous),
        &facts.record.signing,
    )?;
    Ok(VerifiedRound { response, link: answer.receipt.link() })
}

fn check_receipt(
    found: &RoundReceipt,
    signature: &Signature,
    expected: &RoundReceipt,
    signing: &SigningAddress,
) -> Result<(), RoundRefused> {
    let round = expected.round;
    let same = |field: &'static str, found: String, expected: String| match found == expected {
        true => Ok(()),
        false => Err(RoundRefused::Field { round, field, found, expected }),
    };
    same("genesis", found.genesis.to_string(), expected.genesis.to_string())?;
    same("contract", found.contract.to_string(), expected.contract.to_string())?;
    same("job", found.job.to_string(), expected.job.to_string())?;
    same("round", found.round.to_string(), expected.round.to_string())?;
    same("head", found.head.to_string(), expected.head.to_string())?;
    same("request", found.request.to_string(), expected.request.to_string())?;
    same("response", found.response.to_string(), expected.response.to_string())?;
    same("previous", found.previous.to_string(), expected.previous.to_string())?;
    same("registration nonce", found.registration_nonce.to_string(), expected.registration_nonce.to_string())?;
    match signature.is_by(signing, found) {
        true => Ok(()),
        false => Err(RoundRefused::Signature { round, signing: *signing }),
    }
}

/// The final commitment does not hold; nothing of the last round may be decrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitmentRefused {
    /// The job is not where a receipt has been accepted.
    #[error("job {job} is {found:?}, its receipt is not on chain")]
    Stage {
        /// Which job.
        job: JobId,
        /// Where it stands.
        found: Stage,
    },
    /// The transcript is not the one that the receipt names.
    #[error("transcript {found} is not the {expected} that the receipt names")]
    Transcript {
        /// Digest of the bytes.
        found: BlobDigest,
        /// The commitment on chain.
        expected: BlobDigest,
    },
    /// The bytes are no transcript.
    #[error("the transcript cannot be read")]
    Malformed(#[source] encompute_protocol::wire::DecodeError),
    /// It has another number of rounds than the head.
    #[error("the transcript has {found} rounds, the head has {expected}")]
    Count {
        /// Rounds in the transcript.
        found: usize,
        /// Rounds of the head.
        expected: usize,
    },
    /// It tells another story of a round than the worker told the client.
    #[error("the transcript has receipt {found} for round {round}, the client was given {expected}")]
    Link {
        /// Which round.
        round: RoundIndex,
        /// Link in the transcript.
        found: RoundReceiptDigest,
        /// Link that the client saw.
        expected: RoundReceiptDigest,
    },
    /// A receipt in it does not carry the signature of the registered key.
    #[error("the transcript's receipt of round {round} is not signed by the registered key {signing}")]
    Signature {
        /// Which round.
        round: RoundIndex,
        /// The registered key.
        signing: SigningAddress,
    },
}

/// Checks that the transcript on chain is that of the head's `count` rounds as the client saw them: `links`,
/// one a round in order, and every signature on the way. A transcript that an auditor would refuse is worth no
/// payment.
///
/// # Errors
/// [`CommitmentRefused`].
pub fn verify_commitment(
    facts: &JobFacts,
    transcript: &[u8],
    count: usize,
    links: &[RoundReceiptDigest],
) -> Result<(), CommitmentRefused> {
    let reached = matches!(
        facts.progress.stage,
        Stage::HeadCommitted | Stage::FeaturesSent | Stage::ResultCommitted | Stage::Settled
    );
    let (true, Some(expected)) = (reached, facts.progress.output) else {
        return Err(CommitmentRefused::Stage { job: facts.job, found: facts.progress.stage });
    };
    let found = BlobDigest::of(transcript);
    if found != expected {
        return Err(CommitmentRefused::Transcript { found, expected });
    }
    let rounds = Transcript::from_wire(transcript).map_err(CommitmentRefused::Malformed)?.rounds;
    if rounds.len() != count {
        return Err(CommitmentRefused::Count { found: rounds.len(), expected: count });
    }
    let signing = facts.record.signing;
    for (index, (receipt, signature)) in rounds.iter().enumerate() {
        let round = RoundIndex(index as u16);
        let (found, expected) = (receipt.link(), links.get(index).copied().unwrap_or_default());
        if found != expected {
            return Err(CommitmentRefused::Link { round, found, expected });
        }
        if !signature.is_by(&signing, receipt) {
            return Err(CommitmentRefused::Signature { round, signing });
        }
    }
    Ok(())
}

/// True when a registration that a job was claimed under is still the worker's registration.
pub fn is_same_registration(claimed: &WorkerRecord, now: &WorkerRecord) -> bool {
    let identity = |record: &WorkerRecord| -> (SigningAddress, Nonce, BlobDigest) {
        (record.signing, record.nonce, record.evidence)
    };
    identity(claimed) == identity(now)
}
