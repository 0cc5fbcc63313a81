//! Rounds: ask, verify the receipt, decrypt; encrypt what is asked for next. A round whose chain is cut is asked for
//! segment by segment, each with a receipt; only the last gives something to decrypt.

use crate::{
    error::JobError,
    journal::RoundDone,
    workers::{ReadError, read_limited},
};
use encompute_audit::{JobFacts, VerifiedRound, verify_round};
use encompute_fhe::{EncryptedFeatures, EncryptedTensor};
use encompute_head::{HeadPlan, RoundPlan, Segment};
use encompute_keys::{SecretFeatures, SecretKey, VerifiedResponse};
use encompute_protocol::{
    BlobDigest, RoundIndex, RoundReceipt, RoundReceiptDigest, Signature, Transcript,
    receipt::{RoundAnswer, RoundCall, RoundOrder},
    signing::SigningKey,
    wire::{DecodeError, Message},
};
use std::{sync::Arc, time::Duration};

/// How long a worker may take over one round before the client asks again.
const ROUND_WITHIN: Duration = Duration::from_secs(70);

/// The user's half of the exchange with the worker that holds a job.
pub struct Correspondence {
    /// What the chain says.
    pub facts: JobFacts,
    /// Decrypts and encrypts.
    pub key: SecretKey,
    /// Signs orders.
    pub session: SigningKey,
    /// Where the worker serves.
    pub url: String,
    /// Speaks to it.
    pub http: reqwest::Client,
}

impl Correspondence {
    /// Rounds of a head with this plan.
    pub fn trip<'a>(&'a self, plan: &'a Arc<HeadPlan>) -> RoundTrip<'a> {
        let Self { facts, key, session, url, http } = self;
        RoundTrip { facts, plan, key, session, url, http }
    }
}

/// What every round of a job shares.
pub struct RoundTrip<'a> {
    /// What the chain says.
    pub facts: &'a JobFacts,
    /// The head's public half.
    pub plan: &'a Arc<HeadPlan>,
    /// Decrypts and encrypts.
    pub key: &'a SecretKey,
    /// Signs orders.
    pub session: &'a SigningKey,
    /// Where the worker serves.
    pub url: &'a str,
    /// Speaks to it.
    pub http: &'a reqwest::Client,
}

/// What is asked for with an order, or without one.
pub enum Asked<'a> {
    /// The first round, whose tensor the worker has.
    First,
    /// A round of this tensor.
    Tensor(&'a [u8]),
    /// A segment that goes on from what the one before gave, which the worker has.
    GoOn,
}

/// What a worker gave, conforming.
pub enum Given {
    /// A response.
    Features(EncryptedFeatures),
    /// What the next segment goes on from: sealed for workers, and kept for them.
    State(Vec<u8>),
}

/// An answer whose receipt holds, not decrypted yet.
pub struct Verified {
    /// The round's link and response digest.
    pub round: VerifiedRound,
    /// The receipt that holds.
    pub signed: (RoundReceipt, Signature),
    /// What was given.
    pub given: Given,
    /// Bytes received.
    pub bytes: usize,
}

impl Verified {
    /// The bytes that the receipt names.
    pub fn response(&self) -> Vec<u8> {
        match &self.given {
            Given::Features(features) => features.to_bytes(),
            Given::State(sealed) => sealed.clone(),
        }
    }
}

/// Why a worker gave no answer: ask again, or never.
pub enum NoAnswer {
    /// It is away, busy, or has not begun.
    Later(String),
    /// What it said does not hold.
    Never(JobError),
}

impl RoundTrip<'_> {
    /// Asks for what one receipt is for and checks the answer.
    ///
    /// # Errors
    /// [`NoAnswer::Never`] for an answer whose receipt or bytes do not hold.
    pub async fn ask(
        &self,
        round: RoundIndex,
        asked: Asked<'_>,
        digest: BlobDigest,
        previous: RoundReceiptDigest,
    ) -> Result<Verified, NoAnswer> {
        let url = format!("{}/v1/jobs/{}/rounds/{round}", self.url.trim_end_matches('/'), self.facts.job);
        let order = |request: Vec<u8>| {
            let JobFacts { genesis, contract, job, .. } = *self.facts;
            let order = RoundOrder { genesis, contract, job, round, request: digest, previous };
            let signature = self.session.sign(&order);
            let body = RoundCall { order, signature, request }.to_wire();
            self.http.post(&url).header("content-type", "application/octet-stream").body(body)
        };
        let call = match asked {
            Asked::First => self.http.get(&url),
            Asked::Tensor(tensor) => order(tensor.to_vec()),
            Asked::GoOn => order(Vec::new()),
        };
        let answer = call.timeout(ROUND_WITHIN).send().await.map_err(|error| NoAnswer::Later(error.to_string()))?;
        let status = answer.status();
        let limit = self.answer_limit_bytes(round).map_err(NoAnswer::Never)?;
        let body = read_limited(answer, limit).await.map_err(|error| match error {
            // What a round answers has one length: nobody is asked again and again for more than that.
            ReadError::TooLong { found, limit } => NoAnswer::Never(JobError::Message {
                what: "the worker's answer",
                source: DecodeError::TooLong { found, limit },
            }),
            ReadError::BrokenOff(_) => NoAnswer::Later(error.to_string()),
        })?;
        if !status.is_success() {
            let words = String::from_utf8_lossy(&body[..body.len().min(300)]).trim().to_owned();
            let found = format!("{status}: {words}");
            // Not begun yet, busy, or failing: the window decides how long to go on asking.
            return match status.as_u16() {
                404 | 409 | 425 | 429 | 500..=599 => Err(NoAnswer::Later(found)),
                _ => Err(NoAnswer::Never(JobError::Worker { url: self.url.into(), found })),
            };
        }
        self.check(round, digest, previous, &body).map_err(NoAnswer::Never)
    }

    /// Most bytes of an answer: masks and bodies at eight bytes each, and a page; or a state and what sealing adds.
    fn answer_limit_bytes(&self, round: RoundIndex) -> Result<usize, JobError> {
        if let Some(state) = self.plan.state_bytes(round) {
            let state = usize::try_from(state).unwrap_or(usize::MAX);
            return Ok(state.saturating_add(state / 1024 + 4096).min(RoundAnswer::LIMIT_BYTES));
        }
        let set = self.plan.parameter_set();
        let layout =
            self.round(round)?.output_layout(set).map_err(|error| JobError::Plan { found: error.to_string() })?;
        let words: usize = layout.pieces().iter().map(|piece| set.polynomial_size().0 + piece.len()).sum();
        Ok((8 * words + 4096).min(RoundAnswer::LIMIT_BYTES))
    }

    fn check(
        &self,
        round: RoundIndex,
        request: BlobDigest,
        previous: RoundReceiptDigest,
        body: &[u8],
    ) -> Result<Verified, JobError> {
        let answer =
            RoundAnswer::from_wire(body).map_err(|source| JobError::Message { what: "the worker's answer", source })?;
        let verified = verify_round(self.facts, round, request, previous, &answer)?;
        let bytes = answer.response.len();
        let given = match self.segment(round)?.is_last() {
            true => Given::Features(
                EncryptedFeatures::from_bytes(&answer.response)
                    .map_err(|source| JobError::Response { round, source })?,
            ),
            false => Given::State(answer.response),
        };
        Ok(Verified { round: verified, signed: (answer.receipt, answer.signature), given, bytes })
    }

    /// Checks a kept response once more, against the signed receipt of the committed transcript.
    ///
    /// # Errors
    /// [`JobError`], as for an answer that has just come.
    pub fn recheck(
        &self,
        round: RoundIndex,
        done: &[RoundDone],
        first: BlobDigest,
        response: &[u8],
        transcript: &[u8],
    ) -> Result<Verified, JobError> {
        let (receipt, signature) = signed_round(round, transcript)?;
        let before = round.0.checked_sub(1).and_then(|index| done.get(usize::from(index)));
        let (previous, request) = before.map_or((RoundReceiptDigest::default(), first), |done| (done.link, done.next));
        let answer = RoundAnswer { receipt, signature, response: response.to_vec() };
        self.check(round, request, previous, &answer.to_wire())
    }

    /// Digest of the response that a transcript names for a round.
    ///
    /// # Errors
    /// [`JobError`] for bytes that are no transcript, or one without that round.
    pub fn response_in(&self, round: RoundIndex, transcript: &[u8]) -> Result<BlobDigest, JobError> {
        signed_round(round, transcript).map(|(receipt, _)| receipt.response)
    }

    /// Decrypts a verified response.
    ///
    /// # Errors
    /// [`JobError::Shape`] when the response does not fit the plan; never because of a value.
    pub fn decrypt(&self, round: RoundIndex, verified: &Verified) -> Result<SecretFeatures, JobError> {
        match &verified.given {
            Given::Features(features) => self.decrypt_verified(round, features, verified.round.response()),
            Given::State(_) => Err(JobError::Plan { found: format!("round {round} gives nothing to decrypt") }),
        }
    }

    /// Decrypts a response whose receipt was verified to name `digest`.
    pub(crate) fn decrypt_verified(
        &self,
        round: RoundIndex,
        features: &EncryptedFeatures,
        digest: BlobDigest,
    ) -> Result<SecretFeatures, JobError> {
        let plan = self.round(round)?;
        let failed = |found: String| JobError::Crypto { doing: "decrypt a response", found };
        let layout = plan.output_layout(self.plan.parameter_set()).map_err(|error| failed(error.to_string()))?;
        let permission = VerifiedResponse::after_receipt_verification(digest);
        let opened = self.key.decrypt(features, &layout, plan.response_accumulator_bits(), &permission);
        opened.map_err(|source| JobError::Shape { round, source })
    }

    /// What is written down when a round is behind us.
    pub fn done(&self, verified: &Verified, next: BlobDigest) -> RoundDone {
        let (link, response) = (verified.round.link(), verified.round.response());
        RoundDone { link, response, next, worker: self.facts.worker, signed: verified.signed }
    }

    /// What the receipt of this number is for.
    pub(crate) fn segment(&self, round: RoundIndex) -> Result<Segment, JobError> {
        segment_of(self.plan, round)
    }

    /// The round of the plan that the receipt of this number is for.
    pub(crate) fn round(&self, round: RoundIndex) -> Result<&RoundPlan, JobError> {
        round_of(self.plan, round)
    }

    /// How many rounds of the plan are answered by so many receipts.
    pub(crate) fn answered(&self, receipts: usize) -> usize {
        self.plan.segments().iter().take(receipts).filter(|segment| segment.is_last()).count()
    }
}

fn signed_round(round: RoundIndex, transcript: &[u8]) -> Result<(RoundReceipt, Signature), JobError> {
    let transcript =
        Transcript::from_wire(transcript).map_err(|source| JobError::Message { what: "the transcript", source })?;
    let found = transcript.rounds.get(usize::from(round.0)).copied();
    found.ok_or_else(|| JobError::Plan { found: format!("the transcript has no round {round}") })
}

fn segment_of(plan: &HeadPlan, round: RoundIndex) -> Result<Segment, JobError> {
    plan.segment(round).ok_or_else(|| JobError::Plan { found: format!("it has no round {round}") })
}

fn round_of(plan: &HeadPlan, round: RoundIndex) -> Result<&RoundPlan, JobError> {
    let found = plan.round(segment_of(plan, round)?.round);
    found.ok_or_else(|| JobError::Plan { found: format!("it has no round {round}") })
}

/// Encrypts values as the round that the receipt of this number is for takes them.
pub(crate) fn encrypt(
    key: &SecretKey,
    plan: &HeadPlan,
    round: RoundIndex,
    values: &[i64],
) -> Result<EncryptedTensor, JobError> {
    let failed = |found: String| JobError::Crypto { doing: "encrypt a round", found };
    let round = round_of(plan, round)?;
    let layout = round.input_layout(plan.parameter_set()).map_err(|error| failed(error.to_string()))?;
    key.encrypt(values, &layout, round.accumulator_bits).map_err(|error| failed(error.to_string()))
}
