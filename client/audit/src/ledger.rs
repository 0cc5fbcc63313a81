//! The audit of all money: events alone rebuild every balance, which must be what the contract holds.

use encompute_lifecycle::Ledger;
use encompute_protocol::{BlockNumber, Plancks, event::Event, market::Totals};
use serde::Serialize;
use std::collections::BTreeMap;

/// What the replay found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerReport {
    /// True when events contradict neither each other nor the contract.
    pub balanced: bool,
    /// Blocks replayed.
    pub blocks: u32,
    /// Jobs seen.
    pub jobs: usize,
    /// Sums in plancks, as text.
    pub totals: BTreeMap<&'static str, String>,
    /// What does not agree; empty when balanced.
    pub differences: Vec<String>,
}

/// Replays all events and compares with the contract's own sums and with its balance (without the
/// existential deposit). `unread` is the number of events that this program could not read: books in
/// which something is missing are not balanced, whatever they say.
pub fn audit_ledger(
    events: &[(BlockNumber, Event)],
    unread: u32,
    last: BlockNumber,
    stated: &Totals,
    balance: Plancks,
) -> LedgerReport {
    let mut ledger = Ledger::default();
    let mut differences = Vec::new();
    for (block, event) in events {
        if let Err(error) = ledger.record(*block, event) {
            differences.push(format!("block {block}, {}: {error}", event.name()));
        }
    }
    if unread > 0 {
        differences.push(format!("{unread} events of the contract cannot be read: it is of another version"));
    }
    let found = ledger.totals().unwrap_or_else(|error| {
        differences.push(error.to_string());
        Totals::default()
    });
    differences.extend(
        ledger.session_imbalances().map(|of| format!("session {}: {} where {} is due", of.job, of.found, of.wanted)),
    );
    differences
        .extend(ledger.imbalances().map(|job| format!("job {}: {} where {} is due", job.job, job.found, job.wanted)));
    for (name, rebuilt, stated) in [
        ("escrow", found.escrow, stated.escrow),
        ("stakes", found.stakes, stated.stakes),
        ("bonds", found.bonds, stated.bonds),
        ("credits", found.credits, stated.credits),
        ("deposits", found.deposits, stated.deposits),
        ("allowances", found.allowances, stated.allowances),
    ] {
        if rebuilt != stated {
            differences.push(format!("{name}: events give {rebuilt}, the contract says {stated}"));
        }
    }
    let parts = [found.escrow, found.stakes, found.bonds, found.credits, found.deposits, found.allowances];
    let held = parts.into_iter().try_fold(Plancks::ZERO, Plancks::checked_add).unwrap_or_default();
    // Anybody may send a contract money unasked. Nobody is owed it, so it is named and harms nothing.
    let surplus = balance.checked_sub(held).unwrap_or_else(|| {
        differences.push(format!("events give {held} in all, the contract's balance is {balance}"));
        Plancks::ZERO
    });
    let flow = ledger.deposited.checked_sub(ledger.paid);
    if flow != Some(held) {
        differences.push(format!("deposited {} less paid {} is not the {held} held", ledger.deposited, ledger.paid));
    }
    let text = |amount: Plancks| amount.0.to_string();
    let totals = BTreeMap::from([
        ("deposited", text(ledger.deposited)),
        ("paid", text(ledger.paid)),
        ("escrow", text(found.escrow)),
        ("stakes", text(found.stakes)),
        ("bonds", text(found.bonds)),
        ("credits", text(found.credits)),
        ("deposits", text(found.deposits)),
        ("allowances", text(found.allowances)),
        ("balance", text(balance)),
        ("surplus", text(surplus)),
    ]);
    LedgerReport { balanced: differences.is_empty(), blocks: last.0, jobs: ledger.jobs.len(), totals, differences }
}
