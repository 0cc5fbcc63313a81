//! Models of creators, as the bench imports them: read, then cut after every node that may be one.
#![no_main]

use encompute_model::OnnxModel;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(model) = OnnxModel::read(data) else { return };
    let _ = model.to_bytes();
    let names: Vec<String> = model.node_names().into_iter().take(4).map(str::to_owned).collect();
    for name in names {
        let _ = model.head_until(&name);
        let _ = model.tail_after(&name, 4, 1.0);
    }
});
