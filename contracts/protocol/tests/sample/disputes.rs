//! Values of disputes, ratings and what is left of jobs.

use super::{b20, b32, progress, quote_parts, terms};
use encompute_protocol::{
    call::{
        AppealRuling, Call, OpenDispute, PostBlob, PruneJob, RateJob, ReadDispute, ReadPrunedJob, ReadRating,
        RevealVerdict, SealVerdict, ShowQuote,
    },
    dispute::{FormerJuror, Juror, Opinion, Proceeding, VerdictStatement},
    event::*,
    *,
};

pub fn rating() -> Rating {
    Rating { grade: 4, why: RatingReason::Time }
}

pub fn verdict() -> Verdict {
    Verdict { wrong: true, output: BlobDigest(b32(32)) }
}

pub fn verdict_statement() -> VerdictStatement {
    VerdictStatement {
        genesis: GenesisHash(b32(1)),
        contract: ContractAddress(b20(2)),
        job: JobId(7),
        juror: Address(b20(33)),
        verdict: verdict(),
        salt: b32(34),
    }
}

pub fn dispute() -> DisputeRecord {
    let juror = |byte, verdict| Juror { account: Address(b20(byte)), seal: Some(b32(byte + 1)), verdict };
    DisputeRecord {
        kind: DisputeKind::Head,
        from: Stage::HeadCommitted,
        left: Blocks(40),
        deposit: Plancks(284_001),
        opened_at: BlockNumber(702),
        evidence: Some(BlobDigest(b32(35))),
        proceeding: Proceeding::Revealing([juror(33, Some(verdict())), juror(36, None), juror(38, None)]),
        appealed: None,
    }
}

fn former_jurors() -> [FormerJuror; 3] {
    let juror = |byte, opinion| FormerJuror { account: Address(b20(byte)), opinion };
    [juror(42, Opinion::Wrong), juror(43, Opinion::WrongOtherwise), juror(44, Opinion::Right)]
}

pub fn ruled() -> DisputeRecord {
    DisputeRecord { proceeding: Proceeding::Ruled(former_jurors()), ..dispute() }
}

pub fn appealed() -> DisputeRecord {
    let [first, second, _] = former_jurors();
    let silent = FormerJuror { account: Address(b20(45)), opinion: Opinion::Silent };
    DisputeRecord { appealed: Some([first, second, silent]), ..dispute() }
}

pub fn posting() -> DisputeRecord {
    let mut posted = blake2b::Blake2b::new();
    posted.read(&[7; 256]).unwrap();
    DisputeRecord { kind: DisputeKind::Missing, proceeding: Proceeding::Posting(posted), ..dispute() }
}

pub fn records() -> JobRecords {
    JobRecords {
        genesis: GenesisHash(b32(1)),
        contract: ContractAddress(b20(2)),
        job: JobId(7),
        terms: terms(),
        progress: progress(),
    }
}

pub fn pruned() -> PrunedRecord {
    PrunedRecord { digest: records().records_digest(), pruned_at: BlockNumber(9_001) }
}

pub fn dispute_calls() -> Vec<(&'static str, Vec<u8>)> {
    fn one<C: Call>(call: C) -> (&'static str, Vec<u8>) {
        (C::NAME, call.calldata())
    }
    let job = JobId(7);
    vec![
        one(OpenDispute { job, kind: DisputeKind::Head, evidence: Some(BlobDigest(b32(35))) }),
        one(OpenDispute { job, kind: DisputeKind::Attestation, evidence: None }),
        one(OpenDispute { job, kind: DisputeKind::Witness, evidence: Some(BlobDigest(b32(35))) }),
        one(OpenDispute { job, kind: DisputeKind::Audit, evidence: None }),
        one(OpenDispute { job, kind: DisputeKind::Quote, evidence: Some(BlobDigest(b32(35))) }),
        one(ShowQuote { job, quote: quote_parts(), evidence: BlobDigest(b32(24)) }),
        one(SealVerdict { job, seal: b32(39) }),
        one(RevealVerdict { job, verdict: verdict(), salt: b32(34) }),
        one(AppealRuling { job }),
        one(PostBlob { job, at: 128, part: vec![1, 2, 3], last: true }),
        one(ReadDispute { job }),
        one(RateJob { job, rating: rating() }),
        one(ReadRating { job }),
        one(PruneJob { job }),
        one(ReadPrunedJob { job }),
    ]
}

pub fn dispute_events() -> Vec<Event> {
    let (job, user, worker) = (JobId(7), Address(b20(4)), Address(b20(3)));
    vec![
        DisputeOpened {
            job,
            kind: DisputeKind::Head,
            by: user,
            deposit: Plancks(284_001),
            evidence: Some(BlobDigest(b32(35))),
        }
        .into(),
        Rated { job, model: ModelId(3), rating: rating(), weight: Plancks(142_000) }.into(),
        CreditStaked { account: user, job, amount: Plancks(426_000) }.into(),
        JurorDrawn { job, juror: worker, platform: PlatformId(b32(41)) }.into(),
        VerdictSealed { job, juror: worker }.into(),
        VerdictRevealed { job, juror: worker, verdict: verdict() }.into(),
        RulingAppealed { job, by: worker, deposit: Plancks(426_000) }.into(),
        JobPruned { job, by: worker, digest: RecordsDigest(b32(40)), returned: Plancks(615_000_000) }.into(),
        BlobPosted { job, at: 128, bytes: 3, blob: Some(BlobDigest(b32(10))) }.into(),
        QuoteDemanded { job, nonce: Nonce(b32(43)) }.into(),
        QuoteShown { job, quote: QuoteIdentity(b32(44)), evidence: BlobDigest(b32(24)) }.into(),
    ]
}
