//! Going on where another worker stopped: its receipts for the segments of a job's first round, and the sealed states
//! that they name.
//!
//! A worker that is late loses its claim, and what it answered would be lost with it. The user hands its receipts to the
//! worker that holds the job next. That one believes them as a user does, registered key and evidence under the
//! network's root, fetches the states, which open only if somebody who has the head sealed them, and gives receipts of
//! its own for what it took over. Only segments that go on under encryption are: they follow from the request alone, so
//! that there is one right answer, which anybody who has the head can compute again.

use crate::desk::{Desk, Prepared, ServeError};
use crate::rounds::JobFacts;
use crate::state::opened;
use encompute_attest::{RegistrationFacts, UnixSeconds, appraise_registration, network::Judge};
use encompute_chain::ReadError;
use encompute_head::RoundRun;
use encompute_protocol::call::{ReadMeasurement, ReadPlatform, ReadWorker};
use encompute_protocol::{
    Address, BlobDigest, JobId, Nonce, RoundIndex, RoundReceipt, RoundReceiptDigest, SigningAddress, Transcript,
    WorkerRecord,
};
use encompute_store::{Blobs, ByteLimit, GetError};
use std::sync::Arc;
use tracing::info;

/// Most bytes of a registration's evidence.
const EVIDENCE_LIMIT: ByteLimit = ByteLimit(512 * 1024);
/// Bytes that sealing adds to a state: a name, a header, and sixteen for each chunk of 64 KiB.
const SEALING_BYTES: u64 = 32 + 9 + 16;

/// Another worker's answers that are not gone on from. Only public facts are named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverRefused {
    /// The job has no worker before, or that account is none.
    #[error("{worker} is no registered worker")]
    Unknown {
        /// The account.
        worker: Address,
    },
    /// Its word does not count.
    #[error("{worker} is not attested: {check}")]
    Unattested {
        /// The account.
        worker: Address,
        /// The first check that failed.
        check: String,
    },
    /// The network's own words make no policy.
    #[error("the network's policy")]
    Trust(#[from] encompute_attest::network::TrustError),
    /// A receipt that an honest worker would not have given.
    #[error("receipt {round} is of another {field}")]
    Field {
        /// Which receipt.
        round: RoundIndex,
        /// What is wrong.
        field: &'static str,
    },
    /// A receipt for what no worker goes on from: a response, or nothing that the head has.
    #[error("receipt {round} is for nothing that is gone on from")]
    NoState {
        /// Which receipt.
        round: RoundIndex,
    },
    /// A state or the evidence that cannot be had.
    #[error("{what} cannot be fetched")]
    Fetch {
        /// Which.
        what: &'static str,
        /// Why.
        source: GetError,
    },
    /// The chain cannot be read.
    #[error("chain cannot be read")]
    Read(#[from] ReadError),
}

/// What the receipts of another worker must say.
struct Expected<'a> {
    facts: &'a JobFacts,
    signing: SigningAddress,
    /// Of that worker's registration.
    nonce: Nonce,
    /// Digest of the first round's tensor.
    tensor: BlobDigest,
}

impl Expected<'_> {
    /// Checks a chain of receipts from the first on.
    fn check(&self, handed: &Transcript) -> Result<(), HandoverRefused> {
        let (mut previous, mut request) = (RoundReceiptDigest::default(), self.tensor);
        for (index, (receipt, signature)) in (0..).zip(&handed.rounds) {
            let round = RoundIndex(index);
            let facts = self.facts;
            let fields = [
                ("chain", receipt.genesis == facts.genesis),
                ("contract", receipt.contract == facts.contract),
                ("job", receipt.job == facts.job),
                ("place", receipt.round == round),
                ("head", receipt.head == facts.head),
                ("request", receipt.request == request),
                ("receipt before", receipt.previous == previous),
                ("registration", receipt.registration_nonce == self.nonce),
                ("signer", signature.is_by(&self.signing, receipt)),
            ];
            if let Some((field, _)) = fields.into_iter().find(|(_, same)| !same) {
                return Err(HandoverRefused::Field { round, field });
            }
            (previous, request) = (receipt.link(), receipt.response);
        }
        Ok(())
    }
}

impl Desk {
    /// Takes over what another worker answered of a job that this one holds now; how many segments it has then. Segments
    /// that this worker has answered itself stay as they are.
    ///
    /// # Errors
    /// [`ServeError`]; nothing counts as answered then that did not before.
    pub async fn take_over(
        self: &Arc<Self>,
        job: JobId,
        worker: Address,
        handed: &Transcript,
    ) -> Result<u16, ServeError> {
        let slot = self.hold(job).await?;
        let mut held = slot.held(job)?.lock().await;
        let prepared = self.prepared_of(&mut held).await?;
        let WorkerRecord { signing, nonce, .. } = self.believed(worker).await?;
        let (facts, tensor) = (held.run.facts(), prepared.request.tensor_digest);
        let expected = Expected { facts, signing, nonce, tensor };
        expected.check(handed)?;
        for (receipt, _) in handed.rounds.iter().skip(held.run.answered().into()) {
            let sealed = self.state_of(&prepared, receipt).await?;
            self.record_answer(&mut held, receipt.request, sealed, None)?;
        }
        info!(job = job.0, %worker, segments = held.run.answered(), "going on where another worker stopped");
        Ok(held.run.answered())
    }

    /// The sealed state that a receipt names, once it is one that the next segment goes on from: a job that went on from
    /// another would be lost, and this worker's stake with it.
    async fn state_of(&self, prepared: &Arc<Prepared>, receipt: &RoundReceipt) -> Result<Vec<u8>, ServeError> {
        let (round, plan) = (receipt.round, prepared.head.compiled.plan());
        let no_state = || HandoverRefused::NoState { round };
        let bytes = plan.state_bytes(round).ok_or_else(no_state)?;
        let next = plan.segment(RoundIndex(round.0 + 1)).ok_or_else(no_state)?;
        let limit = ByteLimit(bytes + SEALING_BYTES + bytes / 4096);
        let sealed = self.world.gateway.get(receipt.response, limit).await;
        let sealed = sealed.map_err(|source| HandoverRefused::Fetch { what: "a state", source })?;
        let state = opened(&prepared.head, &sealed)?;
        let key = self.evaluation_key(&prepared.head, &prepared.request).await?;
        let prepared = prepared.clone();
        let goes_on = move || RoundRun::go_on(&prepared.head.compiled, next, &state, key.as_deref()).map(drop);
        self.pool.run(goes_on).await??;
        Ok(sealed.to_vec())
    }

    /// The registration of a worker whose receipts count: its code listed, its evidence good under the network's root.
    async fn believed(&self, worker: Address) -> Result<WorkerRecord, HandoverRefused> {
        let client = self.world.client();
        let at = client.head().await?.number;
        let (record, _) = client.read(ReadWorker { worker }).await?.ok_or(HandoverRefused::Unknown { worker })?;
        let unattested = |check: &str| HandoverRefused::Unattested { worker, check: check.to_owned() };
        let listed = client.read(ReadMeasurement { measurement: record.measurement }).await?;
        if !listed.is_some_and(|entry| entry.is_usable_at(at)) {
            return Err(unattested("its measurement is not on the contract's list"));
        }
        let listed = client.read(ReadPlatform { platform: record.platform }).await?;
        if !listed.is_some_and(|entry| entry.is_usable_at(at)) {
            return Err(unattested("its platform is not on the contract's list"));
        }
        let evidence = self.world.gateway.get(record.evidence, EVIDENCE_LIMIT).await;
        let evidence = evidence.map_err(|source| HandoverRefused::Fetch { what: "the evidence", source })?;
        let judge = Judge::of(&self.world.network.trust, [record.measurement])?;
        let (genesis, contract) = (self.world.genesis(), self.world.contract);
        let facts = RegistrationFacts { genesis, contract, account: worker, record: &record, at };
        let appraisal = appraise_registration(&evidence, &facts, &judge.root, &judge.policy, UnixSeconds::now());
        match appraisal.checks.iter().find(|check| !check.pass) {
            Some(check) => Err(unattested(check.id)),
            None => Ok(record),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rounds::JobRun;
    use encompute_protocol::signing::SigningKey;
    use encompute_protocol::{
        BlockNumber, ContractAddress, GenesisHash, HeadDigest, MeasurementId, SplitIndex, TailDigest, VersionHash,
        VersionId,
    };

    const TENSOR: BlobDigest = BlobDigest([20; 32]);

    fn facts(nonce: u8) -> JobFacts {
        JobFacts {
            genesis: GenesisHash([1; 32]),
            contract: ContractAddress([2; 20]),
            job: JobId(7),
            version: VersionId(3),
            manifest: VersionHash([4; 32]),
            split: SplitIndex(0),
            head: HeadDigest([5; 32]),
            tail: TailDigest([6; 32]),
            input: BlobDigest([7; 32]),
            worker: Address([nonce; 20]),
            measurement: MeasurementId([9; 32]),
            registration_nonce: Nonce([nonce; 32]),
            expires_at: BlockNumber(1_000),
            claimed_at: BlockNumber(10),
            deadline: BlockNumber(30),
            rounds: 4,
            session_key: [2; 33],
            custody: false,
        }
    }

    fn lost() -> SigningKey {
        SigningKey::from_secret(&[8; 32]).unwrap()
    }

    /// What a lost worker answered: three segments, each going on from the one before.
    fn handed() -> Transcript {
        let mut run = JobRun::new(facts(10));
        let mut request = TENSOR;
        for state in 30..33 {
            let receipt = run.next_receipt(request, BlobDigest([state; 32]));
            run.record(receipt, lost().sign(&receipt)).unwrap();
            request = receipt.response;
        }
        run.transcript()
    }

    fn check(handed: &Transcript) -> Result<(), (u16, &'static str)> {
        let (facts, signing, nonce) = (facts(11), lost().address(), Nonce([10; 32]));
        let checked = Expected { facts: &facts, signing, nonce, tensor: TENSOR }.check(handed);
        checked.map_err(|refused| match refused {
            HandoverRefused::Field { round, field } => (round.0, field),
            _ => (u16::MAX, "nothing that is checked here"),
        })
    }

    /// The receipts with one thing altered in one of them, which its worker has signed.
    fn altered(at: usize, alter: impl FnOnce(&mut RoundReceipt)) -> Transcript {
        let mut handed = handed();
        let (receipt, signature) = &mut handed.rounds[at];
        alter(receipt);
        *signature = lost().sign(receipt);
        handed
    }

    #[test]
    fn receipts_of_a_lost_worker_that_go_on_from_each_other_count() {
        assert_eq!(check(&handed()), Ok(()));
        assert_eq!(check(&Transcript { rounds: handed().rounds[..1].to_vec() }), Ok(()));
    }

    #[test]
    fn receipts_with_any_field_altered_are_refused_by_that_field() {
        assert_eq!(check(&altered(0, |receipt| receipt.genesis.0[0] ^= 1)), Err((0, "chain")));
        assert_eq!(check(&altered(0, |receipt| receipt.contract.0[0] ^= 1)), Err((0, "contract")));
        assert_eq!(check(&altered(1, |receipt| receipt.job.0 += 1)), Err((1, "job")));
        assert_eq!(check(&altered(1, |receipt| receipt.round.0 += 1)), Err((1, "place")));
        assert_eq!(check(&altered(2, |receipt| receipt.head.0[0] ^= 1)), Err((2, "head")));
        assert_eq!(check(&altered(0, |receipt| receipt.request.0[0] ^= 1)), Err((0, "request")));
        assert_eq!(check(&altered(2, |receipt| receipt.request.0[0] ^= 1)), Err((2, "request")));
        assert_eq!(check(&altered(1, |receipt| receipt.previous.0[0] ^= 1)), Err((1, "receipt before")));
        assert_eq!(check(&altered(0, |receipt| receipt.registration_nonce.0[0] ^= 1)), Err((0, "registration")));
    }

    #[test]
    fn a_receipt_that_names_another_state_breaks_the_next_ones_request() {
        assert_eq!(check(&altered(1, |receipt| receipt.response.0[0] ^= 1)), Err((2, "request")));
    }

    #[test]
    fn receipts_that_were_skipped_or_swapped_are_refused() {
        let of = |order: &[usize]| Transcript { rounds: order.iter().map(|at| handed().rounds[*at]).collect() };
        assert_eq!(check(&of(&[1, 2])), Err((0, "place")));
        assert_eq!(check(&of(&[0, 2])), Err((1, "place")));
        assert_eq!(check(&of(&[0, 2, 1])), Err((1, "place")));
    }

    #[test]
    fn a_receipt_by_another_key_than_the_registered_one_is_refused() {
        let mut handed = handed();
        let (receipt, signature) = &mut handed.rounds[2];
        *signature = SigningKey::from_secret(&[9; 32]).unwrap().sign(receipt);
        assert_eq!(check(&handed), Err((2, "signer")));
    }
}
