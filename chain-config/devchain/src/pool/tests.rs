#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const BLOCK: Hash = Hash::repeat_byte(0xbb);

/// One transaction of one sender: nonce `n` requires tag `n - 1` unless the state already has it.
fn transaction(sender: u8, nonce: u8, state_nonce: u8) -> Candidate {
    let tag = |nonce: u8| vec![sender, nonce];
    let requires = if nonce > state_nonce { vec![tag(nonce - 1)] } else { vec![] };
    Candidate {
        hash: Hash::from_low_u64_be(u64::from(sender) << 16 | u64::from(nonce) << 8),
        bytes: vec![sender, nonce],
        verdict: ValidTransaction {
            priority: 1,
            requires,
            provides: vec![tag(nonce)],
            longevity: u64::MAX,
            propagate: true,
        },
        judged_at: 0,
    }
}

fn paying(mut candidate: Candidate, priority: u64) -> Candidate {
    candidate.verdict.priority = priority;
    candidate.bytes.push(priority as u8);
    candidate.hash = Hash::from_low_u64_be(candidate.hash.to_low_u64_be() | priority);
    candidate
}

fn watched(pool: &mut Pool, candidate: Candidate, now: Instant) -> UnboundedReceiver<TxStatus> {
    let (watcher, statuses) = unbounded_channel();
    pool.admit(candidate, Some(watcher), now).unwrap();
    statuses
}

fn heard(statuses: &mut UnboundedReceiver<TxStatus>) -> Vec<TxStatus> {
    std::iter::from_fn(|| statuses.try_recv().ok()).collect()
}

fn pool(limits: PoolLimits) -> (Pool, Instant) {
    (Pool::new(limits), Instant::now())
}

#[test]
fn a_nonce_gap_parks_until_the_missing_one_arrives() {
    let (mut pool, now) = pool(PoolLimits::default());
    let mut second = watched(&mut pool, transaction(1, 1, 0), now);
    assert_eq!((heard(&mut second), pool.ready_count(), pool.parked_count()), (vec![TxStatus::Future], 0, 1));

    let mut first = watched(&mut pool, transaction(1, 0, 0), now);
    assert_eq!(heard(&mut first), vec![TxStatus::Ready]);
    assert_eq!((heard(&mut second), pool.ready_count()), (vec![TxStatus::Ready], 2));
}

#[test]
fn shuffled_nonces_execute_in_order() {
    let (mut pool, now) = pool(PoolLimits::default());
    for nonce in [3, 0, 2, 4, 1] {
        pool.admit(transaction(1, nonce, 0), None, now).unwrap();
    }
    let order: Vec<_> = pool.execution_order().iter().map(|hash| pool.bytes_of(hash).unwrap().to_vec()).collect();
    assert_eq!(order, (0..5).map(|nonce| vec![1, nonce]).collect::<Vec<_>>());
}

#[test]
fn the_better_paying_sender_goes_first_but_never_before_its_own_earlier_nonce() {
    let (mut pool, now) = pool(PoolLimits::default());
    pool.admit(transaction(1, 0, 0), None, now).unwrap();
    pool.admit(transaction(2, 0, 0), None, now).unwrap();
    pool.admit(paying(transaction(2, 1, 0), 9), None, now).unwrap();
    pool.admit(paying(transaction(3, 0, 0), 5), None, now).unwrap();
    let order: Vec<_> = pool.execution_order().iter().map(|h| pool.bytes_of(h).unwrap()[..2].to_vec()).collect();
    assert_eq!(order, [vec![3, 0], vec![1, 0], vec![2, 0], vec![2, 1]]);
}

#[test]
fn the_same_bytes_twice_are_a_duplicate() {
    let (mut pool, now) = pool(PoolLimits::default());
    let hash = transaction(1, 0, 0).hash;
    pool.admit(transaction(1, 0, 0), None, now).unwrap();
    assert_eq!(pool.admit(transaction(1, 0, 0), None, now), Err(AdmitError::Duplicate(hash)));
}

#[test]
fn a_replacement_must_pay_more() {
    let (mut pool, now) = pool(PoolLimits::default());
    pool.admit(paying(transaction(1, 0, 0), 5), None, now).unwrap();
    let refused = pool.admit(paying(transaction(1, 0, 0), 4), None, now);
    assert_eq!(refused, Err(AdmitError::Outbid { found: 4, present: 5 }));
}

#[test]
fn a_better_paying_replacement_usurps_and_keeps_what_depends_on_it() {
    let (mut pool, now) = pool(PoolLimits::default());
    let mut old = watched(&mut pool, paying(transaction(1, 0, 0), 5), now);
    pool.admit(transaction(1, 1, 0), None, now).unwrap();
    let new = paying(transaction(1, 0, 0), 6);
    let new_hash = new.hash;
    pool.admit(new, None, now).unwrap();
    assert_eq!(heard(&mut old), vec![TxStatus::Ready, TxStatus::Usurped(new_hash)]);
    assert_eq!((pool.ready_count(), pool.execution_order()[0]), (2, new_hash));
}

#[test]
fn the_count_limit_refuses_with_numbers() {
    let (mut pool, now) = pool(PoolLimits { transactions: 2, ..PoolLimits::default() });
    pool.admit(transaction(1, 0, 0), None, now).unwrap();
    pool.admit(transaction(2, 0, 0), None, now).unwrap();
    let refused = pool.admit(transaction(3, 0, 0), None, now);
    assert_eq!(refused, Err(AdmitError::Full { what: "transactions", found: 3, limit: 2 }));
}

#[test]
fn the_byte_limit_counts_what_a_replacement_frees() {
    let (mut pool, now) = pool(PoolLimits { bytes: 5, ..PoolLimits::default() });
    pool.admit(paying(transaction(1, 0, 0), 5), None, now).unwrap();
    pool.admit(paying(transaction(1, 0, 0), 6), None, now).unwrap();
    let refused = pool.admit(paying(transaction(2, 0, 0), 6), None, now);
    assert_eq!(refused, Err(AdmitError::Full { what: "bytes", found: 6, limit: 5 }));
}

#[test]
fn the_parked_limit_does_not_stop_ready_ones() {
    let (mut pool, now) = pool(PoolLimits { parked: 1, ..PoolLimits::default() });
    pool.admit(transaction(1, 2, 0), None, now).unwrap();
    let refused = pool.admit(transaction(1, 3, 0), None, now);
    assert_eq!(refused, Err(AdmitError::Full { what: "parked transactions", found: 2, limit: 1 }));
    assert_eq!(pool.admit(transaction(1, 0, 0), None, now), Ok(1));
    assert_eq!(pool.admit(transaction(1, 1, 0), None, now), Ok(3));
}

#[test]
fn what_a_block_contains_leaves_and_its_successor_needs_it_no_more() {
    let (mut pool, now) = pool(PoolLimits::default());
    let mut first = watched(&mut pool, transaction(1, 0, 0), now);
    let mut second = watched(&mut pool, transaction(1, 1, 0), now);
    pool.included(&[transaction(1, 0, 0).hash], BLOCK, now);
    assert_eq!(heard(&mut first), vec![TxStatus::Ready, TxStatus::InBlock(BLOCK)]);
    assert_eq!((heard(&mut second), pool.ready_count()), (vec![TxStatus::Ready], 1));
}

#[test]
fn what_required_a_discarded_one_is_parked_again() {
    let (mut pool, now) = pool(PoolLimits::default());
    pool.admit(transaction(1, 0, 0), None, now).unwrap();
    let mut second = watched(&mut pool, transaction(1, 1, 0), now);
    pool.discard(&[transaction(1, 0, 0).hash], TxStatus::Invalid, now);
    assert_eq!((heard(&mut second), pool.ready_count()), (vec![TxStatus::Ready, TxStatus::Future], 0));
}

#[test]
fn parked_too_long_is_dropped_at_its_expiry_and_not_before() {
    let (mut pool, now) = pool(PoolLimits::default());
    let mut statuses = watched(&mut pool, transaction(1, 1, 0), now);
    let expiry = pool.next_expiry().unwrap();
    pool.expire(0, expiry - Duration::from_millis(1));
    assert_eq!(pool.parked_count(), 1);
    pool.expire(0, expiry);
    assert_eq!((heard(&mut statuses), pool.parked_count()), (vec![TxStatus::Future, TxStatus::Dropped], 0));
}

#[test]
fn a_ready_one_never_expires_by_time() {
    let (mut pool, now) = pool(PoolLimits::default());
    pool.admit(transaction(1, 0, 0), None, now).unwrap();
    pool.expire(0, now + Duration::from_secs(1_000_000));
    assert_eq!((pool.ready_count(), pool.next_expiry()), (1, None));
}

#[test]
fn an_ended_validity_is_invalid() {
    let (mut pool, now) = pool(PoolLimits::default());
    let mut candidate = transaction(1, 0, 0);
    candidate.verdict.longevity = 32;
    let mut statuses = watched(&mut pool, candidate, now);
    pool.expire(31, now);
    assert_eq!(pool.ready_count(), 1);
    pool.expire(32, now);
    assert_eq!(heard(&mut statuses), vec![TxStatus::Ready, TxStatus::Invalid]);
}

#[test]
fn a_new_verdict_can_unlock_a_parked_one() {
    let (mut pool, now) = pool(PoolLimits::default());
    pool.admit(transaction(1, 1, 0), None, now).unwrap();
    let hash = pool.to_judge_again(7, 10)[0];
    pool.judged_again(&hash, transaction(1, 1, 1).verdict, 7, now);
    assert_eq!((pool.ready_count(), pool.to_judge_again(7, 10)), (1, vec![]));
}
