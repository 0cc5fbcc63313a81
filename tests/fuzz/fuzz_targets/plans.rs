//! Head programs: an even first byte is followed by a plan, an odd one by weights.
#![no_main]

use encompute_head::{HeadPlan, HeadWeights};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    if kind % 2 == 0 {
        if let Ok(plan) = HeadPlan::from_bytes(bytes) {
            assert_eq!(plan.to_bytes(), bytes);
            // A plan that was accepted has a layout and a size for every round, or a reason why not.
            for round in plan.rounds() {
                let _ = round.input_layout(plan.parameter_set());
            }
        }
    } else if let Ok(weights) = HeadWeights::from_bytes(bytes) {
        assert_eq!(weights.to_bytes(), bytes);
    }
});
