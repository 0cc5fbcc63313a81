//! What this tab can do while its network is away: open the home, and read the answers in it.

use crate::{
    failure::{Doing, Outcome, refused},
    home::{self, ROOT},
};
use encompute_host::files;
use encompute_networks::Network;
use js_sys::Function;
use serde_json::Value;
use std::{io, path::Path};
use wasm_bindgen::prelude::wasm_bindgen;

/// Most bytes of one answer: as many scores as a result may have, each with its label.
const ANSWER_LIMIT_BYTES: u64 = 4 * 1024 * 1024;

/// The name of the network that a network file describes: homes are kept by it.
///
/// # Errors
/// For a file that is none.
#[wasm_bindgen]
pub fn network_name(file: &str) -> Outcome {
    Ok(Network::parse(file, Path::new("network.toml")).told()?.name.to_string())
}

/// Opens the home whose file has these bytes, or makes one where it has none; `append` adds bytes at its end and
/// returns once they are kept. Gives how many of the bytes count: the file is to be cut there first.
///
/// # Errors
/// For a wrong passphrase, one that is too short for a new home, or a home that was altered.
#[wasm_bindgen]
pub fn unlock(file: &[u8], passphrase: &str, append: Function) -> Outcome<usize> {
    home::unlock(file, passphrase, append)
}

/// Every answer that was given to jobs of this home, the newest first; no network is asked.
///
/// # Errors
/// When the home cannot be read.
#[wasm_bindgen]
pub fn kept_answers() -> Outcome {
    let entries = match files::list(&Path::new(ROOT).join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        entries => entries.told()?,
    };
    let mut answers = Vec::new();
    for entry in entries {
        let bytes = files::read_at_most(&entry, ANSWER_LIMIT_BYTES).told()?;
        answers.push(serde_json::from_slice::<Value>(&bytes).told()?);
    }
    answers.sort_by_key(|answer| std::cmp::Reverse(answer["id"].as_u64()));
    Ok(Value::from(answers).to_string())
}

const FOLDER: &str = "answers";

/// Keeps an answer with all that is shown of it, unless that is done.
pub fn keep(name: &str, answer: &Value) -> Outcome<()> {
    if !name.bytes().all(|letter| letter.is_ascii_alphanumeric()) {
        return refused("that is no job's name");
    }
    let path = Path::new(ROOT).join(FOLDER).join(name);
    match files::read_at_most(&path, ANSWER_LIMIT_BYTES) {
        Ok(_) => Ok(()),
        Err(_) => files::replace(&path, answer.to_string().as_bytes()).told(),
    }
}
