//! Witnesses: who ran the head again before the user decrypted, on which machines, and what they found.

use crate::{job::JobBundle, report::Checks};
use encompute_lifecycle::dispute::{Heard, Ruling};
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
        let own: BTreeSet<_> = witnesses.platforms.iter().filter(|found| **found != platform).collect();
        let apart = own.len() == witnesses.jurors.len();
        let wanted = format!("{} machines, none of them the worker's", witnesses.jurors.len());
        checks.holds("witness-machines", apart, wanted, own.len(), "chain: events");
        let Some((ruling, _)) = witnesses.ended else { continue };
        let ruled = match ruling {
            Ruling::Upheld => WRONG,
            Ruling::Rejected { .. } => RIGHT,
            Ruling::Unresolved => UNKNOWN,
        };
        let found = witnesses.agreed().map_or(UNKNOWN, |verdict| if verdict.wrong { WRONG } else { RIGHT });
        let count = format!("{found}: {} of {}", witnesses.winners().len(), witnesses.jurors.len());
        checks.holds("witness-verdicts", ruled == found, ruled, count, "chain: events; what most of them revealed");
    }
}

/// Where the version asks for witnesses, so many found what the worker committed before anything was released.
pub(crate) fn asked(bundle: &JobBundle, manifest: Option<&VersionManifest>, checks: &mut Checks) {
    let Some(wanted) = manifest.and_then(|manifest| manifest.witnesses) else { return };
    let Some(released_at) = bundle.events.iter().position(|(_, event)| matches!(event, Event::FeaturesSent(_))) else {
        return;
    };
    let heard = Heard::all(bundle.events.iter().take(released_at).map(|(_, event)| event));
    let found = heard.iter().filter(|heard| heard.kind == DisputeKind::Witness && heard.ended.is_some());
    let found = found.filter(|heard| heard.agreed().is_some_and(|verdict| !verdict.wrong));
    let found = found.map(|heard| heard.winners().len()).max().unwrap_or(0);
    let is_enough = found >= usize::from(wanted.count());
    let wanted = format!("{wanted} witnesses before the release, as the version asks");
    checks.holds("witnesses-asked", is_enough, wanted, found, "chain: events");
}
