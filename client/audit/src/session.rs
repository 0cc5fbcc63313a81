//! The audit of a session: its money against its vouchers' numbers, and one of its jobs against the root on chain.

use crate::report::{Checks, Report, simulated};
use encompute_attest::TrustRoot;
use encompute_lifecycle::SessionSettlement;
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, ContractAddress, GenesisHash, Plancks, PrunedRecord, ReceiptDigest, SessionId,
    SessionRecord, SessionRecords, SessionStage, Signed, SigningAddress, Transcript,
    event::{Cause, Event},
    session::{
        SessionLeaf,
        calls::SignedReceipt,
        tree::{TreeHash, root_by},
    },
    wire::Message,
};
use std::collections::BTreeSet;

/// Everything that the audit of a session reads.
#[derive(Clone, Debug)]
pub struct SessionBundle {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The session.
    pub session: SessionId,
    /// As the contract has it, or had it before it was removed.
    pub record: SessionRecord,
    /// What the chain keeps of it, if it was removed.
    pub pruned: Option<PrunedRecord>,
    /// What the contract said about it, its credits among it.
    pub events: Vec<(BlockNumber, Event)>,
    /// How many events there are that this program cannot read.
    pub unread_events: u32,
    /// The key of the worker's registration.
    pub signing: SigningAddress,
    /// Who is credited for the worker.
    pub payout: Address,
    /// Who is credited for tails.
    pub creator: Address,
    /// Every treasury from the opening on.
    pub treasuries: BTreeSet<Address>,
    /// One job, if one is asked for.
    pub job: Option<SessionProof>,
}

/// One job of a session, and what shows that it is one.
#[derive(Clone, Debug)]
pub struct SessionProof {
    /// Which, from 0.
    pub index: u32,
    /// What the user signed about it.
    pub leaf: SessionLeaf,
    /// Its way up the tree.
    pub path: Vec<TreeHash>,
    /// What the worker signed, if it is there.
    pub receipt: Option<SignedReceipt>,
    /// The transcript that it names, if the store has it.
    pub transcript: Option<Vec<u8>>,
}

const RECORD: &str = "contract's record of the session";
const EVENTS: &str = "contract's events";
const TREE: &str = "root on chain";
const RECEIPT: &str = "worker's receipt";

/// Judges a session.
pub fn audit_session(bundle: &SessionBundle, root: &TrustRoot) -> Report {
    let mut checks = Checks::default();
    checks.same("events.all-read", 0, bundle.unread_events, EVENTS);
    pruned(bundle, &mut checks);
    opened(bundle, &mut checks);
    money(bundle, &mut checks);
    if let Some(job) = &bundle.job {
        one_job(bundle, job, &mut checks);
    }
    let mut limits: Vec<String> = simulated(root).into_iter().collect();
    limits.push(
        "what became of each job is its user's word: worker and creator took it as payment, nobody else saw it".into(),
    );
    if bundle.job.is_none() {
        limits.push("no single job was looked at; name one: --job INDEX".into());
    }
    checks.into_report(format!("session {}", bundle.session), root, None, limits)
}

/// The record of a pruned session is the one whose digest the chain keeps.
fn pruned(bundle: &SessionBundle, checks: &mut Checks) {
    let Some(kept) = bundle.pruned else { return };
    let SessionBundle { genesis, contract, session, record, .. } = *bundle;
    let found = SessionRecords { genesis, contract, session, record }.records_digest();
    checks.same("pruned-digest", kept.digest, found, &format!("chain: pruned in block {}", kept.pruned_at));
}

/// The contract said once what it has written down.
fn opened(bundle: &SessionBundle, checks: &mut Checks) {
    let record = &bundle.record;
    let openings = bundle.events.iter().filter_map(|(block, event)| match event {
        Event::SessionOpened(opened) => Some((*block, opened)),
        _ => None,
    });
    let said: Vec<_> = openings.collect();
    checks.same("session.opened-once", 1, said.len(), EVENTS);
    let Some((block, opened)) = said.first() else { return };
    checks.same("session.opened-at", record.opened_at, *block, EVENTS);
    let words =
        |user: Address, worker: Address, key: SigningAddress, jobs: u32| format!("{user} {worker} {key} {jobs}");
    checks.same(
        "session.terms",
        words(record.user, record.worker, record.key, record.jobs),
        words(opened.user, opened.worker, opened.key, opened.jobs),
        RECORD,
    );
    let fees = |fees: &encompute_protocol::Fees| format!("{} {} {}", fees.head, fees.tail, fees.protocol);
    checks.same("session.fees", fees(&record.fees), fees(&opened.fees), RECORD);
    let order = record.tails <= record.heads && record.heads <= record.done && record.done <= record.jobs;
    let found = format!("{} tails, {} heads, {} jobs", record.tails, record.heads, record.done);
    checks.holds(
        "session.numbers",
        order,
        format!("each at most the next, {} jobs at most", record.jobs),
        found,
        RECORD,
    );
}

/// Credits are the table's, to the planck, and to nobody else.
fn money(bundle: &SessionBundle, checks: &mut Checks) {
    let record = &bundle.record;
    let credits = || {
        bundle.events.iter().filter_map(|(_, event)| match event {
            Event::Credited(credited) => Some(credited),
            _ => None,
        })
    };
    if record.stage != SessionStage::Closed {
        checks.same("money.nothing-before-the-end", 0, credits().count(), EVENTS);
        return;
    }
    let Some(settlement) = SessionSettlement::of(record) else {
        checks.missing("money.table", "numbers that a session can have", RECORD);
        return;
    };
    let paid = |cause: Cause| {
        let sum = credits().filter(|credit| credit.cause == cause).map(|credit| credit.amount);
        Plancks(sum.fold(0, |sum, amount| sum.saturating_add(amount.0)))
    };
    let table = "refund table over the session's numbers";
    checks.same("money.worker", settlement.worker, paid(Cause::HeadFee), table);
    checks.same("money.creator", settlement.creator, paid(Cause::TailFee), table);
    checks.same("money.protocol", settlement.treasury, paid(Cause::ProtocolFee), table);
    checks.same("money.user", settlement.user, paid(Cause::Refund), table);
    let due = |credit: &encompute_protocol::event::Credited| match credit.cause {
        Cause::HeadFee => credit.account == bundle.payout,
        Cause::TailFee => credit.account == bundle.creator,
        Cause::ProtocolFee => bundle.treasuries.contains(&credit.account),
        Cause::Refund => credit.account == record.user,
        _ => false,
    };
    let strangers = credits().filter(|credit| !due(credit)).count();
    checks.same("money.to-nobody-else", 0, strangers, EVENTS);
}

fn one_job(bundle: &SessionBundle, job: &SessionProof, checks: &mut Checks) {
    let (record, leaf) = (&bundle.record, &job.leaf);
    let named = bundle.session.job(job.index).filter(|_| job.index < record.done);
    checks.same("job.number", named.unwrap_or_default(), leaf.job, "session's number and the job's index");
    let found = root_by(leaf, job.index, record.done, &job.path);
    checks.same("job.in-the-tree", record.root, found.unwrap_or_default(), TREE);
    if leaf.outcome.pays().0 == 0 {
        return;
    }
    let Some(SignedReceipt { receipt, signature }) = &job.receipt else {
        checks.missing("receipt.there", "the worker's receipt", RECEIPT);
        return;
    };
    checks.same("receipt.is-the-leafs", leaf.receipt, ReceiptDigest(receipt.digest()), "leaf");
    checks.same("receipt.job", leaf.job, receipt.job, "leaf");
    checks.same("receipt.input", leaf.input, receipt.input, "leaf");
    checks.same("receipt.worker", record.worker, receipt.worker, RECORD);
    checks.same("receipt.version", record.version, receipt.version, RECORD);
    checks.same("receipt.opened-at", record.opened_at, receipt.claimed_at, RECORD);
    let signer = signature.signer_over(receipt).map_or_else(|| "nobody".to_owned(), |signer| signer.to_string());
    checks.same("receipt.signature", bundle.signing, signer, "worker's registration");
    let Some(bytes) = &job.transcript else {
        checks.missing("transcript.there", receipt.output, RECEIPT);
        return;
    };
    checks.same("transcript.digest", receipt.output, BlobDigest::of(bytes), RECEIPT);
    let rounds = Transcript::from_wire(bytes).map(|transcript| transcript.rounds).unwrap_or_default();
    let signed = rounds.iter().filter(|(round, signature)| {
        round.job == leaf.job && round.head == receipt.head && signature.is_by(&bundle.signing, round)
    });
    let found = format!("{} of {} rounds", signed.count(), rounds.len());
    checks.same(
        "transcript.signatures",
        format!("{0} of {0} rounds", rounds.len().max(1)),
        found,
        "worker's registration",
    );
}
