//! The smallest contract worth calling, assembled here: `call` emits an event and returns the same five bytes.

use polkavm_common::{
    program::{InstructionSetKind, Reg, asm},
    writer::ProgramBlobBuilder,
};

/// What it says.
pub const WORDS: &[u8] = b"hello";

/// A PolkaVM blob in the instruction set pallet-revive takes.
pub fn code() -> Vec<u8> {
    // Read-only data begins on the second 64 KiB page of a contract's memory.
    const DATA: i32 = 0x1_0000;
    let words = WORDS.len() as i32;
    let mut builder = ProgramBlobBuilder::new(InstructionSetKind::ReviveV1);
    builder.set_ro_data(WORDS.to_vec());
    builder.set_ro_data_size(WORDS.len() as u32);
    builder.add_import(b"deposit_event");
    builder.add_import(b"seal_return");
    builder.add_export_by_basic_block(0, b"deploy");
    builder.add_export_by_basic_block(1, b"call");
    builder.set_code(
        &[
            // deploy: nothing to set up.
            asm::ret(),
            // call: deposit_event(topics: none, data), then seal_return(flags: 0, data).
            asm::load_imm(Reg::A0, 0),
            asm::load_imm(Reg::A1, 0),
            asm::load_imm(Reg::A2, DATA),
            asm::load_imm(Reg::A3, words),
            asm::ecalli(0),
            asm::load_imm(Reg::A0, 0),
            asm::load_imm(Reg::A1, DATA),
            asm::load_imm(Reg::A2, words),
            asm::ecalli(1),
            asm::ret(),
        ],
        &[],
    );
    builder.into_vec().unwrap()
}
