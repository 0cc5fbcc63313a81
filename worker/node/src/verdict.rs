//! What a worker that is drawn to judge another's head finds: pure rules over receipts, and the digest that says so.
//!
//! What cannot be shown, because a blob is in no store, stands in a dispute: the user who disputes has what he disputes
//! with. It is not witnessed, and no audit finds it right.

use encompute_protocol::{
    BlobDigest, BlockNumber, ContractAddress, DisputeKind, GenesisHash, HeadDigest, JobId, Nonce, RoundIndex,
    RoundReceiptDigest, SigningAddress, Transcript, Verdict,
};

/// Domain of the digest of a verdict.
const OUTPUT_TAG: &[u8] = b"encompute/verdict-output/v2";

/// What is wrong with a transcript. Numbers are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The blob is no transcript, or one of no rounds or of more than the head has.
    Transcript = 1,
    /// A receipt does not follow from the one before, or names something else than the job's.
    Receipt = 2,
    /// A receipt is not signed by the registered key.
    Signature = 3,
    /// The worker signed another receipt for the same round, or one for a round that it left out.
    Contradicted = 4,
    /// The response is not what the head gives.
    Response = 5,
}

/// A verdict, and whether everything could be seen that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    verdict: Verdict,
    complete: bool,
}

impl Finding {
    /// Everything was there.
    pub fn seen(verdict: Verdict) -> Self {
        Self { verdict, complete: true }
    }

    /// Some of it is in no store.
    pub fn unseen(verdict: Verdict) -> Self {
        Self { verdict, complete: false }
    }

    /// What is said of it in a committee of a kind, or in one that hears an appeal.
    pub fn said(self, kind: DisputeKind, on_appeal: bool) -> Verdict {
        match kind {
            _ if self.complete => self.verdict,
            DisputeKind::Witness | DisputeKind::Audit => Verdict::NOTHING_SHOWN,
            _ if on_appeal => Verdict::NOTHING_SHOWN,
            _ => self.verdict,
        }
    }

    /// True where all was there.
    pub fn is_complete(self) -> bool {
        self.complete
    }

    /// True where all was there and is what the head gives.
    pub fn is_right(self) -> bool {
        self.complete && !self.verdict.wrong
    }
}

/// Everything about a disputed job that its receipts must name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisputedHead {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The job.
    pub job: JobId,
    /// The head that was bought.
    pub head: HeadDigest,
    /// Signs receipts, by the worker's registration at the claim.
    pub signing: SigningAddress,
    /// The nonce of that registration.
    pub nonce: Nonce,
    /// How many receipts the head has at most.
    pub receipts: usize,
    /// The block in which this hearing was opened: what another has revealed is no verdict in it.
    pub opened_at: BlockNumber,
}

impl DisputedHead {
    /// What the receipts alone show to be wrong, and in which round; none where they hold. `tensor` is the digest of the
    /// first round's request, where the request could be had.
    pub fn fault(
        &self,
        transcript: Option<&Transcript>,
        tensor: Option<BlobDigest>,
        evidence: Option<&Transcript>,
    ) -> Option<(Fault, RoundIndex)> {
        let Some(rounds) = transcript.map(|transcript| &transcript.rounds) else {
            return Some((Fault::Transcript, RoundIndex(0)));
        };
        if rounds.is_empty() || rounds.len() > self.receipts {
            return Some((Fault::Transcript, RoundIndex(0)));
        }
        let mut previous = RoundReceiptDigest::default();
        for (round, (receipt, signature)) in (0..).map(RoundIndex).zip(rounds) {
            let first = round.0 > 0 || tensor.is_none_or(|tensor| receipt.request == tensor);
            let is_the_jobs = receipt.genesis == self.genesis
                && receipt.contract == self.contract
                && receipt.job == self.job
                && receipt.round == round
                && receipt.head == self.head
                && receipt.previous == previous
                && receipt.registration_nonce == self.nonce;
            if !is_the_jobs || !first {
                return Some((Fault::Receipt, round));
            }
            if !signature.is_by(&self.signing, receipt) {
                return Some((Fault::Signature, round));
            }
            previous = receipt.link();
        }
        self.contradicted(rounds, evidence)
    }

    /// A receipt of the evidence that the worker signed for this job, and committed otherwise or not at all.
    fn contradicted(
        &self,
        rounds: &[(encompute_protocol::RoundReceipt, encompute_protocol::Signature)],
        evidence: Option<&Transcript>,
    ) -> Option<(Fault, RoundIndex)> {
        let shown = evidence.iter().flat_map(|evidence| &evidence.rounds).find(|(receipt, signature)| {
            let is_the_jobs = receipt.genesis == self.genesis
                && receipt.contract == self.contract
                && receipt.job == self.job
                && receipt.registration_nonce == self.nonce;
            let committed = rounds.get(usize::from(receipt.round.0)).map(|(committed, _)| committed);
            is_the_jobs && committed != Some(receipt) && signature.is_by(&self.signing, receipt)
        });
        shown.map(|(receipt, _)| (Fault::Contradicted, receipt.round))
    }

    /// The verdict: what was found, and the digests of the responses that were computed, which show that they were.
    pub fn verdict(&self, fault: Option<(Fault, RoundIndex)>, computed: &[BlobDigest]) -> Verdict {
        let (number, round) = fault.map_or((0, RoundIndex(0)), |(fault, round)| (fault as u8, round));
        let mut bytes = OUTPUT_TAG.to_vec();
        bytes.extend_from_slice(&self.job.0.to_le_bytes());
        bytes.extend_from_slice(&self.opened_at.0.to_le_bytes());
        bytes.push(number);
        bytes.extend_from_slice(&round.0.to_le_bytes());
        computed.iter().for_each(|digest| bytes.extend_from_slice(&digest.0));
        Verdict { wrong: fault.is_some(), output: BlobDigest::of(&bytes) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use encompute_protocol::{RoundReceipt, signing::SigningKey};

    const TENSOR: BlobDigest = BlobDigest([20; 32]);

    fn key() -> SigningKey {
        SigningKey::from_secret(&[8; 32]).unwrap()
    }

    fn disputed() -> DisputedHead {
        DisputedHead {
            genesis: GenesisHash([1; 32]),
            contract: ContractAddress([2; 20]),
            job: JobId(7),
            head: HeadDigest([5; 32]),
            signing: key().address(),
            nonce: Nonce([10; 32]),
            receipts: 3,
            opened_at: BlockNumber(40),
        }
    }

    fn receipt(round: u16, previous: RoundReceiptDigest) -> RoundReceipt {
        let DisputedHead { genesis, contract, job, head, nonce, .. } = disputed();
        RoundReceipt {
            genesis,
            contract,
            job,
            round: RoundIndex(round),
            head,
            request: BlobDigest([20 + round as u8; 32]),
            response: BlobDigest([30 + round as u8; 32]),
            previous,
            registration_nonce: nonce,
        }
    }

    fn honest() -> Transcript {
        let mut previous = RoundReceiptDigest::default();
        let rounds = (0..3).map(|round| {
            let receipt = receipt(round, previous);
            previous = receipt.link();
            (receipt, key().sign(&receipt))
        });
        Transcript { rounds: rounds.collect() }
    }

    fn fault(transcript: &Transcript, evidence: Option<&Transcript>) -> Option<(Fault, RoundIndex)> {
        disputed().fault(Some(transcript), Some(TENSOR), evidence)
    }

    fn altered(at: usize, alter: impl FnOnce(&mut RoundReceipt)) -> Transcript {
        let mut transcript = honest();
        let (receipt, signature) = &mut transcript.rounds[at];
        alter(receipt);
        *signature = key().sign(receipt);
        transcript
    }

    #[test]
    fn an_honest_transcript_has_no_fault_and_neither_has_one_that_its_user_left_unfinished() {
        assert_eq!(fault(&honest(), Some(&honest())), None);
        let unfinished = Transcript { rounds: honest().rounds[..2].to_vec() };
        assert_eq!(fault(&unfinished, Some(&unfinished)), None);
        assert_eq!(disputed().fault(Some(&honest()), None, None), None, "a request in no store shows nothing");
    }

    #[test]
    fn every_other_transcript_is_at_fault_by_name() {
        assert_eq!(disputed().fault(None, Some(TENSOR), None), Some((Fault::Transcript, RoundIndex(0))));
        assert_eq!(fault(&Transcript { rounds: vec![] }, None), Some((Fault::Transcript, RoundIndex(0))));
        let longer = Transcript { rounds: [honest().rounds, honest().rounds].concat() };
        assert_eq!(fault(&longer, None), Some((Fault::Transcript, RoundIndex(0))));
        let alterations: [fn(&mut RoundReceipt); 7] = [
            |receipt| receipt.genesis.0[0] ^= 1,
            |receipt| receipt.contract.0[0] ^= 1,
            |receipt| receipt.job.0 += 1,
            |receipt| receipt.round.0 += 1,
            |receipt| receipt.head.0[0] ^= 1,
            |receipt| receipt.previous.0[0] ^= 1,
            |receipt| receipt.registration_nonce.0[0] ^= 1,
        ];
        for alter in alterations {
            assert_eq!(fault(&altered(2, alter), None), Some((Fault::Receipt, RoundIndex(2))));
        }
        let other = altered(0, |receipt| receipt.request.0[0] ^= 1);
        assert_eq!(fault(&other, None), Some((Fault::Receipt, RoundIndex(0))));
        let mut forged = honest();
        forged.rounds[1].1 = SigningKey::from_secret(&[9; 32]).unwrap().sign(&forged.rounds[1].0);
        assert_eq!(fault(&forged, None), Some((Fault::Signature, RoundIndex(1))));
    }

    #[test]
    fn a_receipt_that_was_signed_and_committed_otherwise_contradicts_what_was_committed() {
        let committed = altered(2, |receipt| receipt.response.0[0] ^= 1);
        assert_eq!(fault(&committed, Some(&honest())), Some((Fault::Contradicted, RoundIndex(2))));
        let left_out = Transcript { rounds: honest().rounds[..2].to_vec() };
        assert_eq!(fault(&left_out, Some(&honest())), Some((Fault::Contradicted, RoundIndex(2))));
        // What anybody else signed, or what is of another job, contradicts nothing.
        let mut forged = honest();
        forged.rounds[2].1 = SigningKey::from_secret(&[9; 32]).unwrap().sign(&forged.rounds[2].0);
        assert_eq!(fault(&committed, Some(&forged)), None);
        let another = altered(2, |receipt| receipt.job.0 += 1);
        assert_eq!(fault(&committed, Some(&another)), None);
    }

    #[test]
    fn what_was_not_seen_stands_in_a_dispute_and_is_not_witnessed() {
        let verdict = disputed().verdict(None, &[]);
        let (nothing, first, appeal) = (Verdict::NOTHING_SHOWN, false, true);
        let unseen = Finding::unseen(verdict);
        assert_eq!(unseen.said(DisputeKind::Head, first), verdict);
        assert_eq!(unseen.said(DisputeKind::Head, appeal), nothing, "who appeals shows what it committed");
        for (kind, on_appeal) in [
            (DisputeKind::Witness, first),
            (DisputeKind::Witness, appeal),
            (DisputeKind::Audit, first),
            (DisputeKind::Audit, appeal),
        ] {
            assert_eq!(unseen.said(kind, on_appeal), nothing);
        }
        let wrong = disputed().verdict(Some((Fault::Signature, RoundIndex(1))), &[]);
        for (kind, on_appeal) in [(DisputeKind::Witness, first), (DisputeKind::Head, appeal)] {
            assert_eq!(Finding::seen(verdict).said(kind, on_appeal), verdict);
            assert_eq!(Finding::seen(wrong).said(kind, on_appeal), wrong);
        }
        assert!(Finding::seen(verdict).is_right());
        assert!(!unseen.is_right() && !Finding::seen(wrong).is_right(), "nobody appeals on a guess");
    }

    #[test]
    fn two_verdicts_are_the_same_only_for_the_same_fault_round_and_responses() {
        let (head, one, other) = (disputed(), BlobDigest([1; 32]), BlobDigest([2; 32]));
        let verdicts = [
            head.verdict(None, &[one]),
            head.verdict(None, &[other]),
            head.verdict(None, &[one, other]),
            head.verdict(Some((Fault::Response, RoundIndex(0))), &[one]),
            head.verdict(Some((Fault::Response, RoundIndex(1))), &[one]),
            head.verdict(Some((Fault::Receipt, RoundIndex(0))), &[one]),
            DisputedHead { job: JobId(8), ..head }.verdict(None, &[one]),
            DisputedHead { opened_at: BlockNumber(41), ..head }.verdict(None, &[one]),
        ];
        for (at, verdict) in verdicts.iter().enumerate() {
            assert!(!verdicts[at + 1..].contains(verdict), "{at}");
        }
        assert_eq!(verdicts[0], head.verdict(None, &[one]));
    }
}
