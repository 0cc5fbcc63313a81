//! Jobs in files, for auditors elsewhere.

use encompute_attest::{Permission, Policy, QuoteKind, TcbEvaluationNumber, TcbStatus, TrustRoot, UnixSeconds};
use encompute_audit::{Judge, Own, audit_exported, export, html, import};
use std::{collections::BTreeSet, sync::LazyLock};

static JUDGE: LazyLock<Judge> = LazyLock::new(|| Judge {
    root: TrustRoot::intel(),
    policy: Policy {
        kinds: QuoteKind::ALL.into(),
        measurements: BTreeSet::new(),
        tcb_statuses: [TcbStatus::UpToDate].into(),
        denied_advisories: BTreeSet::new(),
        min_tcb_evaluation: TcbEvaluationNumber(0),
        dynamic_platform: Permission::Refused,
        cached_keys: Permission::Refused,
        smt: Permission::Refused,
        development_root: Permission::Refused,
    },
    images: Vec::new(),
});

pub(crate) fn jobs(bytes: &[u8]) -> bool {
    let job = import(bytes);
    if let Ok(job) = &job {
        assert_eq!(export(job).as_deref(), Ok(bytes), "a second encoding of one job");
    }
    job.is_ok()
}

/// Whatever a file says, its audit ends in a verdict; against its own word in one that confirms every fact.
pub(crate) fn audited(bytes: &[u8]) {
    let Ok(job) = import(bytes) else { return };
    let alone = audit_exported(&job, &Own::Nothing, &JUDGE, UnixSeconds(1_795_348_800));
    let confirmed = audit_exported(&job, &Own::Facts(job.clone()), &JUDGE, UnixSeconds(1_795_348_800));
    assert_eq!(alone.holds(), confirmed.holds());
    assert_eq!(alone.holds(), alone.verdict == "pass");
    assert!(html::page(&alone).ends_with("</body></html>\n"));
}
