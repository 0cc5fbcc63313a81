//! Our errors as JSON-RPC errors, with the codes clients know from Substrate nodes.

use crate::{
    chain::{QueueError, ReadError, SealError, SubmitError},
    pool::AdmitError,
};
use jsonrpsee::types::{ErrorObjectOwned, error::INVALID_PARAMS_CODE};
use sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError, UnknownTransaction};
use std::error::Error;

const BAD_FORMAT: i32 = 1001;
const INVALID_TRANSACTION: i32 = 1010;
const UNKNOWN_VALIDITY: i32 = 1011;
const ALREADY_IMPORTED: i32 = 1013;
const TOO_LOW_PRIORITY: i32 = 1014;
const IMMEDIATELY_DROPPED: i32 = 1016;
const CLIENT: i32 = 4003;
const BUSY: i32 = -32_005;
const SEALING: i32 = -32_000;

pub(super) fn read(error: &ReadError) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(CLIENT, with_sources(error), None::<()>)
}

pub(super) fn queue(error: QueueError) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(BUSY, error.to_string(), None::<()>)
}

pub(super) fn seal(error: &SealError) -> ErrorObjectOwned {
    let code = if matches!(error, SealError::TooMany { .. }) { INVALID_PARAMS_CODE } else { SEALING };
    ErrorObjectOwned::owned(code, with_sources(error), None::<()>)
}

pub(super) fn too_much(what: &str, found: usize, limit: usize) -> ErrorObjectOwned {
    let words = format!("{found} {what} asked for, the limit is {limit}");
    ErrorObjectOwned::owned(INVALID_PARAMS_CODE, words, None::<()>)
}

/// polkadot.js prints code, message and data; the data says which rule was broken.
pub(super) fn submit(error: &SubmitError) -> ErrorObjectOwned {
    match error {
        SubmitError::Malformed(reason) => {
            ErrorObjectOwned::owned(BAD_FORMAT, "Extrinsic has invalid format", Some(reason))
        }
        SubmitError::Invalid(TransactionValidityError::Invalid(reason)) => {
            ErrorObjectOwned::owned(INVALID_TRANSACTION, "Invalid Transaction", Some(invalid_words(*reason)))
        }
        SubmitError::Invalid(TransactionValidityError::Unknown(reason)) => {
            let words = match reason {
                UnknownTransaction::Custom(code) => format!("Custom error: {code}"),
                other => <&str>::from(*other).to_owned(),
            };
            ErrorObjectOwned::owned(UNKNOWN_VALIDITY, "Unknown Transaction Validity", Some(words))
        }
        SubmitError::Pool(AdmitError::Duplicate(hash)) => {
            ErrorObjectOwned::owned(ALREADY_IMPORTED, "Transaction Already Imported", Some(hash))
        }
        SubmitError::Pool(AdmitError::Outbid { found, present }) => ErrorObjectOwned::owned(
            TOO_LOW_PRIORITY,
            format!("Priority is too low: ({present} vs {found})"),
            Some("The transaction has too low priority to replace another transaction already in the pool."),
        ),
        SubmitError::Pool(full) => {
            ErrorObjectOwned::owned(IMMEDIATELY_DROPPED, "Immediately Dropped", Some(full.to_string()))
        }
        SubmitError::Read(error) => read(error),
        SubmitError::Queue(error) => queue(*error),
    }
}

/// The variant's name and the runtime's sentence: scripts match the first, people read the second.
fn invalid_words(reason: InvalidTransaction) -> String {
    match reason {
        InvalidTransaction::Custom(code) => format!("Custom error: {code}"),
        other => format!("{other:?}: {}", <&str>::from(other)),
    }
}

fn with_sources(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        words.push_str(": ");
        words.push_str(&source.to_string());
        next = source.source();
    }
    words
}
