//! What the shell itself refuses, before any rule: calldata that is not exactly a message, money that
//! is no whole number of plancks.
#![allow(clippy::unwrap_used, clippy::panic)]

use codec::{Decode, Encode};
use encompute_contract_tests::{
    Chain, Said,
    world::{CREATORS, GENESIS, GOVERNOR, STRANGER, USERS, World, params},
};
use encompute_lifecycle::{
    Refusal,
    refusal::{Field, Param},
};
use encompute_protocol::{
    Address, BasisPoints, GenesisHash, JobId, ModelId, Plancks, Text,
    call::{AddStake, Call, ClaimJob, ListModel, MESSAGES, ReadJob, ReadParams},
};
use sp_core::U256;

/// ink!'s reason for calldata that it cannot decode.
const UNDECODABLE: [u8; 2] = [1, 1];

fn refusal(said: &Said) -> Refusal {
    let Said::Reverted(bytes) = said else { panic!("{said:?}") };
    Result::<Result<(), Refusal>, ()>::decode(&mut &bytes[..]).unwrap().unwrap().unwrap_err()
}

#[test]
fn calldata_that_ends_early_is_refused_though_the_platform_reads_zeros() {
    let mut chain = Chain::new();
    let calldata = ClaimJob { job: JobId(7) }.calldata();
    for length in 4..calldata.len() {
        let said = chain.send(STRANGER, U256::zero(), calldata[..length].to_vec()).said;
        assert_eq!(refusal(&said), Refusal::CalldataLength { found: length as u64, wanted: 12 });
    }
    let said = chain.send(STRANGER, U256::zero(), ReadJob { job: JobId(1) }.calldata()[..6].to_vec()).said;
    assert_eq!(refusal(&said), Refusal::CalldataLength { found: 6, wanted: 12 });
}

#[test]
fn calldata_that_goes_on_is_refused_though_the_platform_ignores_it() {
    let mut chain = Chain::new();
    for more in [1, 8, 3_000] {
        let calldata = [ReadParams {}.calldata(), vec![0; more]].concat();
        let said = chain.send(STRANGER, U256::zero(), calldata).said;
        assert_eq!(refusal(&said), Refusal::CalldataLength { found: 4 + more as u64, wanted: 4 });
    }
}

#[test]
fn no_message_takes_one_zero_for_its_argument() {
    let mut chain = Chain::new();
    for (name, selector, _) in MESSAGES {
        let said = chain.send(STRANGER, U256::zero(), [&selector.0[..], &[0]].concat()).said;
        match &said {
            Said::Reverted(bytes) if bytes[..] == UNDECODABLE => {}
            // An absent option, an empty text and "no" are one zero: whole messages, which the rules refuse.
            said if ["withdraw_credit", "list_model", "set_paused"].contains(name) => drop(refusal(said)),
            said => {
                let found = refusal(said);
                assert!(
                    matches!(found, Refusal::CalldataLength { found: 5, wanted } if wanted != 5),
                    "{name}: {found:?}"
                );
            }
        }
    }
}

#[test]
fn unknown_selectors_and_less_than_a_selector_are_refused() {
    let mut chain = Chain::new();
    for calldata in [vec![], vec![0, 0, 0], vec![0, 0, 0, 0], vec![0, 0, 0, 0x7f], vec![0xde, 0xad, 0xbe, 0xef]] {
        let said = chain.send(STRANGER, U256::zero(), calldata.clone()).said;
        assert_eq!(said, Said::Reverted(UNDECODABLE.to_vec()), "{calldata:?}");
    }
}

#[test]
fn a_text_longer_than_its_type_is_refused() {
    let mut chain = Chain::new();
    let calldata = [&ListModel::SELECTOR.0[..], &"x".repeat(65).encode()].concat();
    assert_eq!(chain.send(CREATORS[0], U256::zero(), calldata).said, Said::Reverted(UNDECODABLE.to_vec()));
}

#[test]
fn money_is_stopped_where_a_message_takes_none() {
    let mut chain = Chain::new();
    let world = World::at_contract(chain.contract());
    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    for (name, selector, payable) in MESSAGES {
        let before = chain.balance();
        let said = chain.send(USERS[0], U256::from(1_000_000_u64), selector.0.to_vec()).said;
        if !payable {
            assert!(matches!(said, Said::Stopped(_)), "{name}: {said:?}");
        }
        assert!(!matches!(said, Said::Returned(_)), "{name}");
        assert_eq!(chain.balance(), before, "{name}");
    }
}

#[test]
fn a_part_of_a_planck_is_refused() {
    let mut chain = Chain::new();
    let said = chain.send(STRANGER, U256::from(5_000_007_u64), AddStake {}.calldata()).said;
    assert_eq!(refusal(&said), Refusal::ValueRemainder { found: 7, unit: 1_000_000 });
    assert_eq!(chain.balance(), Plancks::ZERO);
}

#[test]
fn the_constructor_checks_its_argument() {
    let constructed = |argument: Vec<u8>| Chain::deployed(&argument).map(|_| ()).map_err(|said| refusal(&said));
    let good = (params(), GOVERNOR, GENESIS).encode();
    assert_eq!(constructed(good.clone()), Ok(()));
    let wanted = 4 + good.len() as u64;
    let longer = [&good[..], &[0]].concat();
    assert_eq!(constructed(longer), Err(Refusal::CalldataLength { found: wanted + 1, wanted }));
    // The genesis hash is last: left out, it would be zeros.
    let shorter = good[..good.len() - 32].to_vec();
    assert_eq!(constructed(shorter), Err(Refusal::CalldataLength { found: wanted - 32, wanted }));
    let nobody = (params(), Address::default(), GENESIS).encode();
    assert_eq!(constructed(nobody), Err(Refusal::Missing { field: Field::Governor }));
    let nowhere = (params(), GOVERNOR, GenesisHash::default()).encode();
    assert_eq!(constructed(nowhere), Err(Refusal::Missing { field: Field::Genesis }));
    let mut greedy = params();
    greedy.protocol_fee = BasisPoints(1_001);
    let refused = constructed((greedy, GOVERNOR, GENESIS).encode());
    assert!(matches!(refused, Err(Refusal::ParamOutOfBounds { param: Param::ProtocolFee, .. })), "{refused:?}");
}

#[test]
fn a_refusal_names_what_was_found_and_what_was_wanted() {
    let mut chain = Chain::new();
    let name = Text::new("digits").unwrap();
    let refused = chain.call(CREATORS[0], Plancks(5_002), &ListModel { name });
    assert_eq!(refused, Err(Refusal::BondBelowFloor { found: Plancks(5_002), wanted: Plancks(5_003) }));
    assert_eq!(chain.read(&encompute_protocol::call::ReadModel { model: ModelId(1) }), None);
}
