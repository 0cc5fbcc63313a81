//! The sixteen behaviours that the tests of Phala's anchor hold it to, on the built anchor: keys and values 3, queue 2,
//! transactions 5, meta-transactions 6, each under upstream's name. What upstream calls inside the contract is called
//! here by messages. Gaps that are closed here on purpose are in `anchor.rs`; where one touches a behaviour, it is said.
#![allow(clippy::unwrap_used, clippy::panic)]

use codec::{Decode, Encode};
use encompute_contract_tests::{
    anchor::{Anchored, OWNER, answer, direct_account, tx, worker_key},
    chain::account,
    world::{STRANGER, USERS, key},
};
use encompute_protocol::{Plancks, call::Call as _, call::CancelJob, call::ReadWorker, call::SetCapacity};
use encompute_rollup::{
    Action, ForwardError, ForwardRequest, MAY_NOT, RollupError, RollupTx, account_of,
    call::{AnchorCall, DropKey, NameKey, Prepare, QueueJob, RollupCondEq},
    queue,
};
use sp_core::U256;

/// The queue's pointers, as anybody reads them: absent, or SCALE u32.
fn pointers(anchored: &mut Anchored) -> (u32, u32) {
    let mut read = |key: &[u8]| {
        let value = anchored.get(key);
        value.map_or(0, |bytes| <[u8; 4]>::try_from(bytes).map(u32::from_le_bytes).unwrap())
    };
    (read(b"q/_head"), read(b"q/_tail"))
}

fn push(anchored: &mut Anchored) -> (u32, Vec<u8>) {
    let job = anchored.requested();
    let id = anchored.call(STRANGER, Plancks::ZERO, &QueueJob { job }).unwrap();
    (id, job.encode())
}

fn set(anchored: &mut Anchored, key: &[u8], value: Option<&[u8]>) {
    anchored.direct(tx(vec![], vec![(key.to_vec(), value.map(<[u8]>::to_vec))], vec![])).unwrap();
}

fn pop_to(anchored: &mut Anchored, target: u32) -> Result<(), RollupError> {
    anchored.direct(tx(vec![], vec![], vec![Action::SetQueueHead(target)]))
}

#[test]
fn kv_get_no_value() {
    let mut anchored = Anchored::nameless();
    assert_eq!(anchored.get(b"0x123"), None);
}

#[test]
fn kv_set_encoded_values() {
    let mut anchored = Anchored::registered();
    let (one, two) = ("0x456".encode(), "0x457".encode());
    set(&mut anchored, b"0x123", Some(&one));
    set(&mut anchored, b"0x124", Some(&two));
    assert_eq!(anchored.get(b"0x123"), Some(one));
    assert_eq!(anchored.get(b"0x124"), Some(two));
    assert_eq!(anchored.get(b"0x125"), None);
}

#[test]
fn kv_update_same_key() {
    let mut anchored = Anchored::registered();
    for value in [Some(b"0x456"), Some(b"0x457"), None, Some(b"0x458")] {
        set(&mut anchored, b"0x123", value.map(|value| &value[..]));
        assert_eq!(anchored.get(b"0x123"), value.map(|value| value.to_vec()));
    }
}

#[test]
fn queue_push_and_pop_message() {
    let mut anchored = Anchored::registered();
    assert_eq!(pointers(&mut anchored), (0, 0));
    let (first, one) = push(&mut anchored);
    assert_eq!((first, pointers(&mut anchored)), (0, (0, 1)));
    let (second, two) = push(&mut anchored);
    assert_eq!((second, pointers(&mut anchored)), (1, (0, 2)));
    assert_eq!(anchored.get(b"q/\0\0\0\0"), Some(one));
    assert_eq!(anchored.get(b"q/\x01\0\0\0"), Some(two));
    assert_eq!(pop_to(&mut anchored, 2), Ok(()));
    assert_eq!(pointers(&mut anchored), (2, 2));
    assert_eq!((anchored.get(&queue::key(0)), anchored.get(&queue::key(1))), (None, None));
}

#[test]
fn queue_pop_messages() {
    let mut anchored = Anchored::registered();
    assert_eq!(pop_to(&mut anchored, 2), Err(RollupError::InvalidPopTarget));
    (0..5).for_each(|_| drop(push(&mut anchored)));
    assert_eq!(pointers(&mut anchored), (0, 5));
    assert_eq!((pop_to(&mut anchored, 2), pointers(&mut anchored)), (Ok(()), (2, 5)));
    assert_eq!((pop_to(&mut anchored, 2), pointers(&mut anchored)), (Ok(()), (2, 5)));
    assert_eq!((pop_to(&mut anchored, 1), pointers(&mut anchored)), (Err(RollupError::InvalidPopTarget), (2, 5)));
    assert_eq!((pop_to(&mut anchored, 5), pointers(&mut anchored)), (Ok(()), (5, 5)));
}

#[test]
fn rollup_conditions() {
    let mut anchored = Anchored::registered();
    let (key, value) = (123_u8.encode(), 456_u128.encode());
    let mut holds = |conditions| anchored.direct(tx(conditions, vec![], vec![]));
    assert_eq!(holds(vec![]), Ok(()));
    assert_eq!(holds(vec![(key.clone(), None)]), Ok(()));
    set(&mut anchored, &key, Some(&value));
    let mut holds = |conditions| anchored.direct(tx(conditions, vec![], vec![]));
    assert_eq!(holds(vec![(key.clone(), Some(value.clone()))]), Ok(()));
    assert_eq!(holds(vec![(key.clone(), Some(789_u128.encode()))]), Err(RollupError::ConditionNotMet));
    assert_eq!(holds(vec![(key.clone(), None)]), Err(RollupError::ConditionNotMet));
    let both = vec![(key, Some(value.clone())), (124_u8.encode(), Some(value))];
    assert_eq!(holds(both), Err(RollupError::ConditionNotMet));
}

#[test]
fn rollup_action_pop_to() {
    let mut anchored = Anchored::registered();
    let both = tx(vec![], vec![(b"k".to_vec(), Some(b"v".to_vec()))], vec![Action::SetQueueHead(2)]);
    assert_eq!(anchored.direct(both.clone()), Err(RollupError::InvalidPopTarget));
    assert_eq!(anchored.get(b"k"), None, "an update before the action that is refused is undone");
    push(&mut anchored);
    push(&mut anchored);
    assert_eq!(anchored.direct(both), Ok(()));
    assert_eq!((pointers(&mut anchored), anchored.get(b"k")), ((2, 2), Some(b"v".to_vec())));
}

/// A reply reaches the contract that listens: here the market, which hears it as the worker's word.
#[test]
fn rollup_action_reply() {
    let mut anchored = Anchored::registered();
    let replies = [7, 5].map(|capacity| Action::Reply(SetCapacity { capacity }.calldata()));
    assert_eq!(anchored.direct(tx(vec![], vec![], replies.to_vec())), Ok(()));
    let worker = anchored.address();
    assert_eq!(anchored.chain.read(&ReadWorker { worker }).unwrap().0.capacity, 5, "in order");
}

/// Upstream's owner grants a role; here he names a key.
#[test]
fn rollup_grant_role() {
    let mut anchored = Anchored::nameless();
    let named = NameKey { key: worker_key().public_key() };
    assert_eq!(anchored.call(STRANGER, Plancks::ZERO, &named), Err(MAY_NOT));
    assert_eq!(anchored.call(OWNER, Plancks::ZERO, &named), Ok(direct_account()));
}

/// Upstream's role is all it takes; here the market must have registered the key as well.
#[test]
fn rollup_cond_eq_role_attestor() {
    let mut anchored = Anchored::nameless();
    let refused = anchored.direct(RollupTx::default());
    assert_eq!(refused, Err(MAY_NOT));
    let by_anybody = anchored.chain.send_as(
        anchored.anchor,
        account(STRANGER),
        U256::zero(),
        RollupCondEq { transaction: RollupTx::default() }.calldata(),
    );
    assert_eq!(answer::<RollupCondEq>(&by_anybody.said), Err(MAY_NOT));
    assert_eq!(Anchored::named().direct(RollupTx::default()), Err(MAY_NOT));
    assert_eq!(Anchored::registered().direct(RollupTx::default()), Ok(()));
}

#[test]
fn meta_get_nonce() {
    let mut anchored = Anchored::nameless();
    let (request, _) = anchored.call(STRANGER, Plancks::ZERO, &Prepare { from: [0xb0; 32], data: vec![] }).unwrap();
    assert_eq!(request.nonce, 0);
}

/// The two digests of upstream's tests are in the rules' own tests: there `to` may be any account.
#[test]
fn meta_prepare() {
    let mut anchored = Anchored::nameless();
    let request = anchored.prepared(5_u8.encode());
    let to = account_of(&encompute_protocol::ContractAddress(anchored.anchor.0));
    assert_eq!(request, ForwardRequest { from: direct_account(), to, nonce: 0, data: vec![5] });
}

#[test]
fn meta_verify() {
    let mut anchored = Anchored::registered();
    let other = ForwardRequest::sender(&key(0).public_key());
    anchored.call(OWNER, Plancks::ZERO, &NameKey { key: key(0).public_key() }).unwrap();
    let good = anchored.prepared(anchored.bound(RollupTx::default()).encode());
    let signature = worker_key().sign_digest(&good.digest()).0;
    let judge = |anchored: &mut Anchored, request: &ForwardRequest| {
        let call = encompute_rollup::call::MetaTxRollupCondEq { request: request.clone(), signature };
        anchored.call(STRANGER, Plancks::ZERO, &call)
    };
    // Another key that the owner has named. One that he has not is refused for that, whoever signed.
    let from_another = ForwardRequest { from: other, nonce: 0, ..good.clone() };
    assert_eq!(judge(&mut anchored, &from_another), Err(ForwardError::PublicKeyNotMatch));
    let to_another = ForwardRequest { to: [0xff; 32], ..good.clone() };
    assert_eq!(judge(&mut anchored, &to_another), Err(ForwardError::InvalidDestination));
    let later = ForwardRequest { nonce: good.nonce + 1, ..good.clone() };
    assert_eq!(judge(&mut anchored, &later), Err(ForwardError::NonceTooLow));
    let saying_more = ForwardRequest { data: 55_u8.encode(), ..good.clone() };
    assert_eq!(judge(&mut anchored, &saying_more), Err(ForwardError::PublicKeyNotMatch));
    assert_eq!(judge(&mut anchored, &good), Ok(()));
}

#[test]
fn meta_ensure_meta_tx_valid() {
    let mut anchored = Anchored::registered();
    let request = anchored.prepared(anchored.bound(RollupTx::default()).encode());
    assert_eq!(anchored.relay(&request, &worker_key()), Ok(()));
    assert_eq!(anchored.prepared(vec![]).nonce, request.nonce + 1);
    assert_eq!(anchored.relay(&request, &worker_key()), Err(ForwardError::NonceTooLow));
}

/// Upstream forwards an empty transaction; here it names chain and end as well.
#[test]
fn meta_tx_rollup_cond_eq() {
    let mut anchored = Anchored::registered();
    let update = tx(vec![(b"k".to_vec(), None)], vec![(b"k".to_vec(), Some(b"v".to_vec()))], vec![]);
    assert_eq!(anchored.forward(update.clone()), Ok(()));
    assert_eq!(anchored.get(b"k"), Some(b"v".to_vec()));
    let stale = anchored.forward(update);
    assert_eq!(stale, Err(ForwardError::RollupAnchorError(RollupError::ConditionNotMet)));
    let unbound = anchored.prepared(RollupTx::default().encode());
    assert_eq!(anchored.relay(&unbound, &worker_key()), Err(ForwardError::Unbound));
}

#[test]
fn meta_tx_rollup_cond_eq_missing_role() {
    let missing = Err(ForwardError::RollupAnchorError(MAY_NOT));
    assert_eq!(
        missing.encode(),
        Result::<(), ForwardError>::Err(ForwardError::decode(&mut &[5, 4, 1][..]).unwrap()).encode()
    );
    for mut anchored in [Anchored::nameless(), Anchored::named()] {
        let request = anchored.prepared(anchored.bound(RollupTx::default()).encode());
        assert_eq!(anchored.relay(&request, &worker_key()), missing);
    }
    let mut anchored = Anchored::registered();
    anchored.call(OWNER, Plancks::ZERO, &DropKey { from: direct_account() }).unwrap();
    assert_eq!(anchored.forward(RollupTx::default()), missing);
    // A job that nobody waits for any more is on no queue, whoever asks.
    let job = anchored.requested();
    anchored.chain.call(USERS[0], Plancks::ZERO, &CancelJob { job }).unwrap();
    let refused = anchored.call(STRANGER, Plancks::ZERO, &QueueJob { job });
    assert_eq!(refused, Err(RollupError::NotQueueable));
}
