//! Which quotes there are: what a policy names when it says which it takes.

use core::fmt;
use core::str::FromStr;
use dcap_qvl::quote::{Quote, Report};

/// Kind of enclave and version of quote, as the signed header says them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuoteKind {
    /// An SGX enclave, version 3.
    SgxV3,
    /// A TDX domain, version 4: body of TDX 1.0.
    TdxV4,
    /// A TDX domain, version 5: body of TDX 1.0 or 1.5.
    TdxV5,
}

impl QuoteKind {
    /// All that can be judged.
    pub const ALL: [Self; 3] = [Self::SgxV3, Self::TdxV4, Self::TdxV5];

    pub(crate) fn of(quote: &Quote) -> Option<Self> {
        match (&quote.report, quote.header.version) {
            (Report::SgxEnclave(_), 3) => Some(Self::SgxV3),
            (Report::TD10(_), 4) => Some(Self::TdxV4),
            (Report::TD10(_) | Report::TD15(_) | Report::TD15Ex(_), 5) => Some(Self::TdxV5),
            _ => None,
        }
    }
}

impl fmt::Display for QuoteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SgxV3 => "sgx-v3",
            Self::TdxV4 => "tdx-v4",
            Self::TdxV5 => "tdx-v5",
        })
    }
}

/// A word that names no kind of quote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no kind of quote (sgx-v3, tdx-v4, tdx-v5)")]
pub struct ParseQuoteKindError(String);

impl FromStr for QuoteKind {
    type Err = ParseQuoteKindError;

    fn from_str(word: &str) -> Result<Self, ParseQuoteKindError> {
        let found = Self::ALL.into_iter().find(|kind| kind.to_string() == word);
        found.ok_or_else(|| ParseQuoteKindError(word.to_owned()))
    }
}
