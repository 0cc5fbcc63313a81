//! Quotes on demand: what the worker showed over its receipt, judged as of the block in which it showed it.

use crate::{job::JobBundle, report::Checks};
use encompute_attest::{QuoteFacts, appraise_receipt, network::Judge};
use encompute_lifecycle::dispute::Heard;
use encompute_protocol::{BlockNumber, event::Event};

/// The block in which a quote was shown; none for a job of which none was.
pub fn shown_in(events: &[(BlockNumber, Event)]) -> Option<BlockNumber> {
    events.iter().rev().find(|(_, event)| matches!(event, Event::QuoteShown(_))).map(|(block, _)| *block)
}

/// What was shown is a quote that holds, by the code that the head was committed by, over the receipt and
/// the nonce of the demand.
pub(crate) fn quotes(bundle: &JobBundle, judge: &Judge, checks: &mut Checks) {
    let heard = Heard::all(bundle.events.iter().map(|(_, event)| event));
    let Some((nonce, (quote, evidence))) = heard.iter().find_map(|heard| heard.nonce.zip(heard.quote)) else { return };
    let Some((receipt, measurement)) = bundle.progress.receipt.zip(bundle.progress.measurement) else {
        return checks.missing("quote-receipt", "a receipt that was accepted", "chain: job progress");
    };
    let Some(time) = bundle.quoted_at else {
        return checks.missing("quote-time", "the time of the block in which it was shown", "chain: timestamp");
    };
    let Some(blob) = bundle.blobs.get(&evidence) else {
        return checks.missing("quote-evidence", evidence, "chain: events");
    };
    let facts = QuoteFacts { receipt, measurement, nonce, quote, evidence };
    for check in appraise_receipt(blob, &facts, &judge.root, &judge.policy, time).checks {
        let id = format!("quote-{}", check.id.trim_start_matches("quote-"));
        checks.holds(&id, check.pass, check.expected, check.actual, check.source);
    }
}
