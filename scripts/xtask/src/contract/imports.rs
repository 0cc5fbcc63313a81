//! What the built code asks of the platform.

use super::build::Contract;
use polkavm_common::program::ProgramBlob;

/// Functions that the market may import: stable ones, each for a reason.
const MARKETPLACE: &[(&str, &str)] = &[
    ("address", "signatures name the contract"),
    ("block_hash", "draws of committees"),
    ("block_number", "windows"),
    ("call", "payments, signature recovery"),
    ("call_data_copy", "arguments"),
    ("call_data_size", "short and long arguments are refused"),
    ("caller", "who acts"),
    ("delegate_call", "ink! removes storage items through a precompile"),
    ("deposit_event", "events"),
    ("get_storage", "records"),
    ("hash_keccak_256", "receipts, offers, statements"),
    ("now", "registration nonces"),
    ("seal_return", "answers and refusals"),
    ("set_storage", "records"),
    ("value_transferred", "escrow, stakes, bonds"),
];

/// Functions that an anchor may import.
const ANCHOR: &[(&str, &str)] = &[
    ("address", "requests name the contract, the market's records the worker"),
    ("balance", "all that it holds becomes stake, or goes to its owner"),
    ("block_number", "requests end"),
    ("call", "the market, payments, signature recovery"),
    ("call_data_copy", "arguments"),
    ("call_data_size", "short and long arguments are refused"),
    ("caller", "who acts"),
    ("delegate_call", "ink! removes storage items through a precompile"),
    ("deposit_event", "events"),
    ("ecdsa_to_eth_address", "a key's owner names it whole, signatures recover its address"),
    ("get_storage", "keys and values"),
    ("hash_keccak_256", "the account that a key is"),
    ("seal_return", "answers and refusals"),
    ("set_storage", "keys and values"),
    ("value_transferred", "stake on its way to the market"),
];

fn allowed(contract: Contract) -> &'static [(&'static str, &'static str)] {
    match contract {
        Contract::Marketplace => MARKETPLACE,
        Contract::Anchor => ANCHOR,
    }
}

/// Why the imports are not in order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportsError {
    #[error("the code is no PolkaVM program: {0}")]
    Program(String),
    #[error("import {0} is a number, not a name")]
    Nameless(usize),
    #[error("the code imports {found}; allowed are {allowed}")]
    Forbidden { found: String, allowed: String },
}

/// The names that `code` imports, sorted.
///
/// # Errors
/// [`ImportsError::Program`], [`ImportsError::Nameless`]
pub fn names(code: &[u8]) -> Result<Vec<String>, ImportsError> {
    let program = ProgramBlob::parse(code.into()).map_err(|error| ImportsError::Program(error.to_string()))?;
    let mut names = program
        .imports()
        .into_iter()
        .enumerate()
        .map(|(at, symbol)| {
            let symbol = symbol.ok_or(ImportsError::Nameless(at))?;
            Ok(String::from_utf8_lossy(symbol.as_bytes()).into_owned())
        })
        .collect::<Result<Vec<_>, _>>()?;
    names.sort();
    Ok(names)
}

/// Checks that `code` imports nothing but what is allowed, and prints what it imports.
///
/// # Errors
/// [`ImportsError`], with the first import that is not allowed.
pub fn check(contract: Contract, code: &[u8]) -> Result<(), ImportsError> {
    let (names, allowed) = (names(code)?, allowed(contract));
    for name in &names {
        let Some((_, reason)) = allowed.iter().find(|(allowed, _)| allowed == name) else {
            let allowed = allowed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            return Err(ImportsError::Forbidden { found: name.clone(), allowed });
        };
        eprintln!("xtask: {} imports {name}: {reason}", contract.name());
    }
    Ok(())
}
