//! The worker's arithmetic under WebAssembly: the responses that every machine must give, down to the bit.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../../../worker/head/tests/responses/mod.rs"]
mod responses;

use encompute_fhe::CodePath;
use responses::{cases, digests, vector};
use wasm_bindgen::prelude::wasm_bindgen;

/// Digests of every case, as `responses.json` has them.
#[wasm_bindgen]
pub fn response_digests() -> String {
    let found: Vec<_> = cases().iter().map(|(name, case)| vector(name, digests(case, CodePath::fastest()))).collect();
    serde_json::Value::from(found).to_string()
}
