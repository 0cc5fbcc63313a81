//! Witnesses and audits: who ran the head again before the user decrypted, on which machines, and what they found; and whether an audit
//! was due.

use crate::{job::JobBundle, report::Checks};
use encompute_lifecycle::{
    Software,
    dispute::{Heard, Ruling, audit::is_drawn},
};
use encompute_protocol::{DisputeKind, VersionManifest, event::Event};
use std::collections::BTreeSet;

const RIGHT: &str = "what the worker committed";
const WRONG: &str = "something else than the worker committed";
const UNKNOWN: &str = "nothing that most agree on";

/// The machine that the job was committed from is the worker's at its claim; witnesses are on machines of their own, and
/// on none of those is the worker. What they found is the chain's word: whoever holds the head can run it again.
pub(crate) fn machines(bundle: &JobBundle, checks: &mut Checks) {
    let (Some(platform), Some((_, record))) = (bundle.progress.platform, &bundle.worker) else { return };
    checks.same("platform-at-commit", record.platform, platform, "chain: worker record at the claim");
    let heard = Heard::all(bundle.events.iter().map(|(_, event)| event));
    for witnesses in heard.iter().filter(|heard| heard.kind == DisputeKind::Witness && !heard.jurors.is_empty()) {
        for (index, (jurors, machines)) in witnesses.committees().enumerate() {
            let own: BTreeSet<_> = machines.iter().filter(|found| **found != platform).collect();
            let wanted = format!("{} machines, none of them the worker's", jurors.len());
            let id = if index == 0 { "witness-machines" } else { "witness-machines-appeal" };
            checks.holds(id, own.len() == jurors.len(), wanted, own.len(), "chain: events");
        }
        verdicts("witness", witnesses, checks);
    }
}

/// How many witnesses found what the worker committed, by the contract's events of a job in order: none where most found it
/// wrong, were shown too little, or were not there.
pub fn witnessed<'a>(events: impl IntoIterator<Item = &'a Event>) -> usize {
    let heard = Heard::all(events);
    let asked = heard.iter().rfind(|heard| heard.kind == DisputeKind::Witness && heard.ended.is_some());
    let right = asked.filter(|heard| heard.agreed().is_some_and(|verdict| !verdict.wrong));
    right.map_or(0, |heard| heard.winners().len())
}

/// Where the version asks for witnesses, so many found what the worker committed before anything was released.
pub(crate) fn asked(bundle: &JobBundle, manifest: Option<&VersionManifest>, checks: &mut Checks) {
    let Some(wanted) = manifest.and_then(|manifest| manifest.witnesses) else { return };
    let Some(released_at) = bundle.events.iter().position(|(_, event)| matches!(event, Event::FeaturesSent(_))) else {
        return;
    };
    let found = witnessed(bundle.events.iter().take(released_at).map(|(_, event)| event));
    let is_enough = found >= usize::from(wanted.count());
    let wanted = format!("{wanted} witnesses before the release, as the version asks");
    checks.holds("witnesses-asked", is_enough, wanted, found, "chain: events");
}

/// An audit is of a job that was drawn, and ends as its committee found.
pub(crate) fn audits(bundle: &JobBundle, checks: &mut Checks) {
    let share = bundle.terms.audit_share;
    if !bundle.params_unsure {
        checks.same("audit-share", bundle.params.audit_share.0, share.0, "chain: parameters of the request's block");
    }
    let heard = Heard::all(bundle.events.iter().map(|(_, event)| event));
    let Some(audit) = heard.iter().find(|heard| heard.kind == DisputeKind::Audit) else { return };
    if let Some(hash) = &bundle.drawing_hash {
        let drawn = is_drawn(&Software, hash, bundle.contract, bundle.job, share);
        let wanted = format!("a number below {} of 10000", share.0);
        let found = if drawn { "below" } else { "not below" };
        checks.holds("audit-drawn", drawn, wanted, found, "chain: hash of the block after the commitment");
    }
    if !audit.jurors.is_empty() {
        verdicts("audit", audit, checks);
    }
}

/// The ruling is what most of a committee revealed.
fn verdicts(name: &str, heard: &Heard, checks: &mut Checks) {
    let Some((ruling, _)) = heard.ended else { return };
    let ruled = match ruling {
        Ruling::Upheld | Ruling::Found { .. } => WRONG,
        Ruling::Rejected { .. } => RIGHT,
        Ruling::Unresolved => UNKNOWN,
    };
    let found = heard.agreed().map_or(UNKNOWN, |verdict| if verdict.wrong { WRONG } else { RIGHT });
    let count = format!("{found}: {} of {}", heard.winners().len(), heard.jurors.len());
    checks.holds(
        &format!("{name}-verdicts"),
        ruled == found,
        ruled,
        count,
        "chain: events; what most of them revealed",
    );
}
