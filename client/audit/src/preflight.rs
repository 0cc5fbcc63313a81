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
    /// It tells another story than the rounds that the client saw.
    #[error(
        "the transcript has {found} rounds ending in {found_link}, the client saw {expected} ending in {expected_link}"
    )]
    Rounds {
        /// Rounds in the transcript.
        found: usize,
        /// Link of its last.
        found_link: RoundReceiptDigest,
        /// Rounds the client saw.
        expected: usize,
        /// Link of the last it saw.
        expected_link: RoundReceiptDigest,
    },
}

/// Checks that the transcript on chain is that of the rounds the client saw: same count, same last
/// link, and every link and signature on the way.
///
/// # Errors
/// [`CommitmentRefused`].
pub fn verify_commitment(
    facts: &JobFacts,
    transcript: &[u8],
    rounds: usize,
    last: RoundReceiptDigest,
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
    let transcript = Transcript::from_wire(transcript).map_err(CommitmentRefused::Malformed)?;
    // Each receipt names the one before, so the last link stands for all of them.
    let found_link = transcript.rounds.last().map(|(receipt, _)| receipt.link()).unwrap_or_default();
    match transcript.rounds.len() == rounds && found_link == last {
        true => Ok(()),
        false => Err(CommitmentRefused::Rounds {
            found: transcript.rounds.len(),
            found_link,
            expected: rounds,
            expected_link: last,
        }),
    }
}

/// True when a registration that a job was claimed under is still the worker's registration.
pub fn is_same_registration(claimed: &WorkerRecord, now: &WorkerRecord) -> bool {
    let identity = |record: &WorkerRecord| -> (SigningAddress, Nonce, BlobDigest) {
        (record.signing, record.nonce, record.evidence)
    };
    identity(claimed) == identity(now)
}
