//! The rules by themselves: upstream's bytes, Phala's client against them, what is refused beyond upstream. Upstream's
//! sixteen behaviours are tested on the built anchor, in `tests/contract`.
#![allow(clippy::unwrap_used)]

use codec::{Decode, Encode};
use encompute_protocol::{
    BlockNumber, ContractAddress, GenesisHash, SigningAddress,
    call::{BeginRegistration, Call as _, ClaimJob, TakeStake},
    signing::SigningKey,
    wire::Message,
};
use encompute_rollup::{
    Action, ForwardError, ForwardRequest, Here, Key, MAY_NOT, ReadKv, Recover, RelayAnswer, RollupError, RollupTx,
    Standing, Value, bound,
    call::{AnchorCall, GetValue, MetaTxRollupCondEq, Prepare, RollupCondEq, answer},
    queue, version, version_key,
};
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use pink_kv_session::{
    RwTracker, Session,
    rollup::{VersionLayout, rollup},
    traits::{BumpVersion, KvSession, KvSnapshot, QueueIndexCodec, QueueSession},
};
use std::collections::BTreeMap;

type Anchor = BTreeMap<Key, Value>;

const HERE: GenesisHash = GenesisHash([0x6e; 32]);
const NOW: BlockNumber = BlockNumber(100);

fn tx(conditions: Vec<(Key, Option<Value>)>, updates: Vec<(Key, Option<Value>)>, actions: Vec<Action>) -> RollupTx {
    RollupTx { conditions, updates, actions }
}

fn run(anchor: &mut Anchor, tx: RollupTx) -> Result<Vec<Vec<u8>>, RollupError> {
    let changes = tx.decide(&Here { kv: anchor, genesis: HERE, block: NOW })?;
    Ok(changes.apply(anchor))
}

/// Alice of upstream's tests: the secret that `//Alice` gives on secp256k1.
fn alice() -> SigningKey {
    let secret = hex::decode("cb6df9de1efca7a3998a8ead4e02159d5fa99c3e0d4fd6432667390bb4726854").unwrap();
    SigningKey::from_secret(&secret.try_into().unwrap()).unwrap()
}

fn request(data: Vec<u8>) -> ForwardRequest {
    ForwardRequest { from: ForwardRequest::sender(&alice().public_key()), to: [0xff; 32], nonce: 0, data }
}

#[test]
fn selectors_keys_and_digests_are_upstreams_to_the_byte() {
    let selectors = [GetValue::SELECTOR, RollupCondEq::SELECTOR, Prepare::SELECTOR, MetaTxRollupCondEq::SELECTOR];
    let names = [GetValue::NAME, RollupCondEq::NAME, Prepare::NAME, MetaTxRollupCondEq::NAME];
    for (selector, name) in selectors.into_iter().zip(names) {
        let digest = encompute_protocol::digest::blake2b_256(name.as_bytes());
        assert_eq!(selector.0, digest[..4], "{name}");
    }
    assert_eq!(hex::encode(GetValue::SELECTOR.0), "dfec736d");
    assert_eq!(queue::key(5), b"q/\x05\0\0\0");
    assert_eq!(version_key(b"k"), b"k:ver");
    let request_of = |data| hex::encode(request(data).digest());
    assert_eq!(hex::encode(request(vec![]).from), "01e552298e47454041ea31273b4b630c64c104e4514aa3643490b8aaca9cf8ed");
    assert_eq!(request_of(5_u8.encode()), "9eb948928cf669f05801b791e5770419f1184637cf2ff3e8124c92e44d45e76f");
    let empty = RollupTx::default().encode();
    assert_eq!(empty, [0, 0, 0]);
    assert_eq!(request_of(empty), "8e00f5d6a0f721acb9f4244a1c28787f7d1cb628176b132b2010c880de153e2e");
    let actions = vec![Action::Reply(vec![7]), Action::SetQueueHead(2), Action::GrantAttestor([1; 32])];
    let bytes = tx(vec![(b"k".to_vec(), None)], vec![(b"k".to_vec(), Some(vec![9]))], actions).encode();
    let wanted = [&hex::decode("04046b0004046b0104090c000407010200000002").unwrap()[..], &[1; 32]].concat();
    assert_eq!(bytes, wanted);
}

#[test]
fn errors_have_upstreams_numbers() {
    for (error, bytes) in [
        (RollupError::InvalidPopTarget, vec![0]),
        (RollupError::ConditionNotMet, vec![1]),
        (RollupError::FailedToDecode, vec![2]),
        (RollupError::UnsupportedAction, vec![3]),
        (MAY_NOT, vec![4, 1]),
    ] {
        assert_eq!(error.encode(), bytes);
        assert_eq!(ForwardError::from(error).encode(), [&[5][..], &bytes].concat());
    }
    let six = [0, 1, 2, 3].map(|number| ForwardError::decode(&mut &[number][..]).unwrap());
    use ForwardError::*;
    assert_eq!(six, [InvalidDestination, NonceTooLow, IncorrectSignature, PublicKeyNotMatch]);
    assert_eq!(answer::<MetaTxRollupCondEq>(&[0, 1, 1]), Some(Err(NonceTooLow)));
    assert_eq!(answer::<MetaTxRollupCondEq>(&[0, 0, 0]), None, "nothing follows");
    assert_eq!(answer::<MetaTxRollupCondEq>(&[1, 1]), None);
}

/// What a phat contract is given: keys after a block.
struct Snapshot<'a>(&'a Anchor);

impl KvSnapshot for Snapshot<'_> {
    fn snapshot_id(&self) -> pink_kv_session::Result<Value> {
        Ok(vec![])
    }

    fn get(&self, key: &[u8]) -> pink_kv_session::Result<Option<Value>> {
        Ok(ReadKv::get(&Here { kv: self.0, genesis: HERE, block: NOW }, key))
    }
}

impl BumpVersion for Snapshot<'_> {
    fn bump_version(&self, version: Option<Value>) -> pink_kv_session::Result<Value> {
        let before = version.map_or(Ok(0), |bytes| u32::decode(&mut &bytes[..])).unwrap();
        Ok((before + 1).encode())
    }
}

struct Numbers;

impl QueueIndexCodec for Numbers {
    fn encode(number: u32) -> Vec<u8> {
        number.encode()
    }

    fn decode(raw: impl AsRef<[u8]>) -> pink_kv_session::Result<u32> {
        Ok(u32::decode(&mut raw.as_ref()).unwrap())
    }
}

/// One message taken off the queue and its answer written, as Phala's own client does it.
fn answered(anchor: &Anchor, word: &[u8]) -> RollupTx {
    let mut session = Session::<_, _, Numbers>::new(Snapshot(anchor), RwTracker::new(), queue::PREFIX).unwrap();
    session.get(&bound::chain_key(&HERE)).unwrap();
    session.get(&bound::before_key(BlockNumber(NOW.0 + 5))).unwrap();
    session.get(b"answer").unwrap();
    session.put(b"answer", word.to_vec());
    assert_eq!(session.pop().unwrap(), Some(b"job".to_vec()));
    let (tracked, snapshot) = session.commit();
    let layout = VersionLayout::Standalone { key_postfix: b":ver".to_vec() };
    let found = rollup(&snapshot, tracked, layout).unwrap();
    tx(found.conditions, found.updates, found.queue_head.map(Action::SetQueueHead).into_iter().collect())
}

#[test]
fn phalas_client_unaltered_binds_itself_by_reading_and_of_two_the_stale_one_loses() {
    let mut anchor = Anchor::new();
    for _ in 0..2 {
        queue::push(&anchor, b"job".to_vec()).unwrap().1.apply(&mut anchor);
    }
    let (first, second) = (answered(&anchor, b"one"), answered(&anchor, b"two"));
    for condition in bound::conditions(&HERE, BlockNumber(NOW.0 + 5)) {
        assert!(first.conditions.contains(&condition), "{condition:?}");
    }
    assert_eq!(run(&mut anchor, first), Ok(vec![]));
    let before = anchor.clone();
    assert_eq!(run(&mut anchor, second), Err(RollupError::ConditionNotMet));
    assert_eq!(anchor, before);
    // It reads again, and goes on with the next.
    let again = answered(&anchor, b"two");
    assert_eq!(run(&mut anchor, again), Ok(vec![]));
    assert_eq!((queue::head(&anchor), version(&anchor, b"answer")), (2, 2));
    assert_eq!(ReadKv::get(&anchor, b"answer"), Some(b"two".to_vec()));
}

#[test]
fn what_holds_here_and_now_holds_nowhere_else_and_not_for_ever() {
    let anchor = Anchor::new();
    let at = |genesis, block| Here { kv: &anchor, genesis, block: BlockNumber(block) };
    let (chain, before) = (bound::chain_key(&HERE), bound::before_key(BlockNumber(7)));
    for key in [chain.clone(), version_key(&chain)] {
        assert_eq!(at(HERE, 1).get(&key), Some(1_u32.encode()));
        assert_eq!(at(GenesisHash([0x6f; 32]), 1).get(&key), None);
    }
    for key in [before.clone(), version_key(&before)] {
        assert_eq!((at(HERE, 6).get(&key), at(HERE, 7).get(&key)), (Some(1_u32.encode()), None));
    }
    for odd in [&b"!/"[..], b"!/chain/", b"!/before/", b"!/before/\0\0\0", b"!/before/\0\0\0\0\xff", b"!/other"] {
        assert_eq!(at(HERE, 0).get(odd), None);
    }
}

#[test]
fn what_no_storage_item_or_block_would_hold_is_refused() {
    let mut anchor = Anchor::new();
    let update = |key: usize, value: usize| tx(vec![], vec![(vec![b'k'; key], Some(vec![0; value]))], vec![]);
    assert_eq!(run(&mut anchor, update(96, 400)), Ok(vec![]));
    assert_eq!(run(&mut anchor, update(0, 1)), Err(RollupError::KeyLength { found: 0, limit: 96 }));
    assert_eq!(run(&mut anchor, update(97, 1)), Err(RollupError::KeyLength { found: 97, limit: 96 }));
    assert_eq!(run(&mut anchor, update(1, 401)), Err(RollupError::ValueTooLong { found: 401, limit: 400 }));
    let many = RollupTx { actions: vec![Action::Reply(vec![]); 65], ..RollupTx::default() };
    assert_eq!(run(&mut anchor, many), Err(RollupError::TooMany { found: 65, limit: 64 }));
    assert_eq!(queue::push(&anchor, vec![0; 401]), Err(RollupError::ValueTooLong { found: 401, limit: 400 }));
    anchor.insert(queue::TAIL.to_vec(), u32::MAX.encode());
    assert_eq!(queue::push(&anchor, vec![]), Err(RollupError::QueueFull));
    let pop = |anchor: &mut Anchor, target| run(anchor, tx(vec![], vec![], vec![Action::SetQueueHead(target)]));
    assert_eq!(pop(&mut anchor, 65), Err(RollupError::TooMany { found: 65, limit: 64 }));
    assert_eq!(RollupTx::from_bytes(&[0, 0, 0, 0]), Err(RollupError::FailedToDecode));
}

/// The platform's precompile in software.
struct Software;

impl Recover for Software {
    fn recover(&self, digest: &[u8; 32], signature: &[u8; 65]) -> Option<SigningAddress> {
        let recovery = RecoveryId::from_byte(signature[64].checked_sub(27)?)?;
        let scalars = Signature::from_slice(&signature[..64]).ok()?;
        let key = VerifyingKey::recover_from_prehash(digest, &scalars, recovery).ok()?;
        let point = key.to_encoded_point(false);
        let hash = encompute_protocol::digest::keccak_256(&[&point.as_bytes()[1..]]);
        Some(SigningAddress(hash[12..].try_into().ok()?))
    }
}

#[test]
fn a_request_opens_for_its_contract_its_turn_and_its_key_with_either_count_of_v() {
    let contract = ContractAddress([7; 20]);
    let data = tx(bound::conditions(&HERE, BlockNumber(NOW.0 + 1)).to_vec(), vec![], vec![]).encode();
    let good = ForwardRequest { to: encompute_rollup::account_of(&contract), ..request(data.clone()) };
    let open = |request: &ForwardRequest, signer, nonce, signature: &[u8; 65]| {
        request.open(&Software, (&contract, NOW), (signer, nonce), signature).map(|(next, _)| next)
    };
    let (signer, signature) = (Some(alice().address()), alice().sign_digest(&good.digest()).0);
    let mut from_zero = signature;
    from_zero[64] -= 27;
    assert_eq!((open(&good, signer, 0, &signature), open(&good, signer, 0, &from_zero)), (Ok(1), Ok(1)));
    assert_eq!(open(&good, signer, 1, &signature), Err(ForwardError::NonceTooLow));
    assert_eq!(open(&good, None, 0, &signature), Err(MAY_NOT.into()));
    assert_eq!(open(&good, Some(SigningAddress([1; 20])), 0, &signature), Err(ForwardError::PublicKeyNotMatch));
    for v in [2, 26, 29, 255] {
        let mut odd = signature;
        odd[64] = v;
        assert_eq!(open(&good, signer, 0, &odd), Err(ForwardError::IncorrectSignature), "v = {v}");
    }
    let elsewhere = ForwardRequest { to: [0xff; 32], ..good.clone() };
    assert_eq!(open(&elsewhere, signer, 0, &signature), Err(ForwardError::InvalidDestination));
    let last = ForwardRequest { nonce: u128::MAX, ..good };
    assert_eq!(open(&last, signer, u128::MAX, &signature), Err(ForwardError::NoncesExhausted));
}

#[test]
fn a_named_key_registers_and_does_nothing_else_until_it_is_registered() {
    let attestor =
        encompute_rollup::Attestor { signing: alice().address(), payout: encompute_protocol::Address([4; 20]) };
    let reply = |message| Action::Reply(message);
    let claim = tx(vec![], vec![], vec![reply(ClaimJob { job: encompute_protocol::JobId(1) }.calldata())]);
    let begin = tx(vec![], vec![], vec![reply(BeginRegistration {}.calldata())]);
    let mut with_update = begin.clone();
    with_update.updates.push((b"k".to_vec(), None));
    let mut with_pop = begin.clone();
    with_pop.actions.push(Action::SetQueueHead(0));
    let take = tx(vec![], vec![], vec![reply(TakeStake {}.calldata())]);
    for (transaction, named, registered) in [
        (&claim, Err(MAY_NOT), Ok(())),
        (&begin, Ok(()), Ok(())),
        (&with_update, Err(MAY_NOT), Ok(())),
        (&with_pop, Err(MAY_NOT), Ok(())),
        (&RollupTx::default(), Err(MAY_NOT), Ok(())),
        (&take, Err(RollupError::UnsupportedAction), Err(RollupError::UnsupportedAction)),
    ] {
        assert_eq!(attestor.may_send(Standing::Named, transaction), named, "{transaction:?}");
        assert_eq!(attestor.may_send(Standing::Registered, transaction), registered, "{transaction:?}");
    }
}

#[test]
fn answers_are_read_back_and_nothing_else_is() {
    let stale = ForwardError::RollupAnchorError(RollupError::ConditionNotMet);
    for answer in [RelayAnswer::Sent { block: 7 }, RelayAnswer::Refused(stale), RelayAnswer::Failed("words".into())] {
        let bytes = answer.to_wire();
        assert_eq!(RelayAnswer::from_wire(&bytes), Ok(answer));
        assert!(RelayAnswer::from_wire(&[&bytes[..], &[0]].concat()).is_err());
    }
    assert!(RelayAnswer::from_wire(&[1, 2, 0xfe, 0xff, 0xff, 0xff]).is_err());
    assert!(RelayAnswer::from_wire(&[]).is_err());
}
