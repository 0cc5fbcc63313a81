//! Intel's word about a platform on one day: CRLs, TCB info, quoting-enclave identity, all signed.

use dcap_qvl::QuoteCollateralV3;

/// Most bytes of collateral JSON that are read. Intel's has 14 to 24 KB; the PCK revocation list
/// is the part that grows.
pub const COLLATERAL_LIMIT_BYTES: usize = 256 * 1024;

/// What a quote is judged against besides the root. Signed by keys under the root and good for
/// about 30 days, so it can be stored with the quote and carried by anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collateral(pub(crate) QuoteCollateralV3);

/// Bytes that are no collateral.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollateralError {
    /// Over [`COLLATERAL_LIMIT_BYTES`]; nothing was parsed.
    #[error("collateral has {found_bytes} bytes, at most {limit_bytes} are allowed")]
    TooLong {
        /// Bytes found.
        found_bytes: usize,
        /// Bytes allowed.
        limit_bytes: usize,
    },
    /// Not the JSON object that collateral is.
    #[error("collateral is not the expected JSON")]
    Malformed(#[source] serde_json::Error),
}

impl Collateral {
    /// Reads collateral JSON.
    ///
    /// # Errors
    /// [`CollateralError`]. Nothing is verified here: the signatures are checked with the quote.
    pub fn from_json(json: &[u8]) -> Result<Self, CollateralError> {
        if json.len() > COLLATERAL_LIMIT_BYTES {
            return Err(CollateralError::TooLong { found_bytes: json.len(), limit_bytes: COLLATERAL_LIMIT_BYTES });
        }
        serde_json::from_slice(json).map(Self).map_err(CollateralError::Malformed)
    }

    /// Writes the JSON that [`Self::from_json`] reads.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("strings and byte strings always serialize; qed")
    }
}
