//! How a target runs: the decoder of `encompute-decoders` under its limit on memory.

use cap::Cap;
use encompute_decoders::Target;
use std::{alloc::System, sync::Once};

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Gives `bytes` to the decoder, and some of what it accepts to its judge. An allocation beyond the target's memory
/// fails, which ends the process.
///
/// # Panics
/// If the decoder does.
pub fn run(target: &Target, bytes: &[u8]) {
    static ONCE: Once = Once::new();
    ONCE.call_once(spare_caught_panics);
    allow(target.memory_kib);
    if target.accepts(bytes) && target.judges(bytes) {
        allow(target.judge_memory_kib);
        target.judge(bytes);
    }
    let _ = MEMORY.set_limit(usize::MAX);
}

/// libFuzzer's hook ends the process at any panic. One inside a picture decoder is caught and refuses the file.
fn spare_caught_panics() {
    let fatal = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !encompute_decoders::inside_decoder() {
            fatal(info);
        }
    }));
}

/// So much more than there is. A limit below what there is already is refused, but there is none.
fn allow(kib: usize) {
    let _ = MEMORY.set_limit(MEMORY.allocated() + (kib << 10));
}
