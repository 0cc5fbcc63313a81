//! A payee that is a contract and calls the market back while it is paid: nothing moves, and nobody else is touched.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_contract_tests::{Chain, Said, world::*};
use encompute_lifecycle::Refusal;
use encompute_protocol::{
    Address, Plancks,
    call::{BeginRegistration, Call, ReadCredit, ReadTotals, WithdrawCredit},
};
use polkavm_common::{
    program::{InstructionSetKind, Reg, asm},
    writer::ProgramBlobBuilder,
};
use sp_core::U256;

/// Where a program's constant data lie.
const DATA: u32 = 0x10000;
/// Asks for no answer.
const NOWHERE: u64 = u64::MAX;

/// Two numbers as the platform takes them in one register.
fn pair(high: u32, low: u32) -> u64 {
    (u64::from(high) << 32) | u64::from(low)
}

/// A program that, whenever it is called, sends `calldata` to `callee` with `flags`, and does not look at what came of it.
fn caller_of(callee: [u8; 20], calldata: &[u8], flags: u32) -> Vec<u8> {
    // No value, any deposit, whom, what.
    let data = [&[0; 32][..], &[0xff; 32], &callee, calldata].concat();
    let (value, deposit, whom, what) = (DATA, DATA + 32, DATA + 64, DATA + 84);
    let length = u32::try_from(calldata.len()).unwrap();
    let mut program = ProgramBlobBuilder::new(InstructionSetKind::ReviveV1);
    program.set_ro_data_size(u32::try_from(data.len()).unwrap());
    program.set_ro_data(data);
    program.add_import(b"call");
    program.add_export_by_basic_block(0, b"deploy");
    program.add_export_by_basic_block(1, b"call");
    program.set_code(
        &[
            asm::ret(),
            asm::load_imm64(Reg::A0, pair(flags, whom)),
            asm::load_imm64(Reg::A1, u64::MAX),
            asm::load_imm64(Reg::A2, u64::MAX),
            asm::load_imm64(Reg::A3, pair(deposit, value)),
            asm::load_imm64(Reg::A4, pair(length, what)),
            asm::load_imm64(Reg::A5, NOWHERE),
            asm::ecalli(0),
            asm::ret(),
        ],
        &[],
    );
    program.to_vec().unwrap()
}

/// A market that owes a head fee to a worker whose payout is a program that withdraws whenever it is called.
fn owed_to_a_program(flags: u32) -> (Chain, Address, Plancks) {
    let mut chain = Chain::new();
    let calldata = WithdrawCredit { to: None }.calldata();
    let program = chain.program(&caller_of(chain.contract().0, &calldata, flags));
    let mut world = World::at_contract(chain.contract());
    world.call(WORKERS[0], BeginRegistration {}).unwrap();
    let message = world.registration_paid_to(0, program);
    world.call(WORKERS[0], message).unwrap();
    world.settled();
    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    let owed = chain.read(&ReadCredit { account: program });
    assert_eq!(owed.0, HEAD + TIP.0);
    (chain, program, owed)
}

#[test]
fn a_payee_that_calls_back_in_while_it_is_paid_is_not_paid_and_its_credit_waits() {
    // As a contract calls by default, and as one that lets itself be called while it calls: the platform lets neither
    // back in, and whether it stops the whole call or the payment alone, nothing has moved.
    for flags in [0, ALLOW_REENTRY] {
        let (mut chain, program, owed) = owed_to_a_program(flags);
        let (balance, totals) = (chain.balance(), chain.read(&ReadTotals {}));
        let said = chain.send_to(program, STRANGER, U256::zero(), Vec::new()).said;
        assert_eq!((chain.balance(), chain.read(&ReadTotals {})), (balance, totals), "{flags}: {said:?}");
        assert_eq!(chain.read(&ReadCredit { account: program }), owed, "{flags}: {said:?}");
        assert!(chain.audit().balanced, "{flags}: {said:?}");
    }
}

#[test]
fn a_withdrawal_to_a_program_that_calls_back_in_is_undone() {
    let (mut chain, program, owed) = owed_to_a_program(ALLOW_REENTRY);
    let (creator, balance) = (chain.read(&ReadCredit { account: CREATORS[0] }), chain.balance());
    let withdrawn = chain.call(CREATORS[0], Plancks::ZERO, &WithdrawCredit { to: Some(program) });
    assert_eq!(withdrawn, Err(Refusal::PaymentFailed { to: program }));
    assert_eq!((chain.read(&ReadCredit { account: CREATORS[0] }), chain.balance()), (creator, balance));
    assert_eq!(chain.read(&ReadCredit { account: program }), owed, "its own credit waits");
    assert!(chain.audit().balanced);
}

/// `CallFlags::ALLOW_REENTRY` of the platform.
const ALLOW_REENTRY: u32 = 0b1000;

#[test]
fn the_program_does_call_when_nobody_forbids_it() {
    // Else the tests above would show nothing: what it sends reaches a contract that is not calling it.
    let mut chain = Chain::new();
    let other = chain.another();
    let calldata = BeginRegistration {}.calldata();
    let program = chain.program(&caller_of(other.0, &calldata, 0));
    chain.turn_to(other);
    let said = chain.send_to(program, STRANGER, U256::zero(), Vec::new()).said;
    assert!(matches!(said, Said::Returned(_)), "{said:?}");
    let nonce = chain.read(&encompute_protocol::call::ReadNonce { account: program });
    assert!(nonce.is_some());
}
