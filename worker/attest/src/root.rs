//! Whose signature ends every chain: Intel's root, or a development one that says so.

use core::fmt;
use sha2::{Digest, Sha256};

/// Intel's "SGX Root CA", valid 2018-05-21 to 2049-12-31; see `intel-root.ORIGIN.md`.
const INTEL_ROOT_DER: &[u8] = include_bytes!("intel-root.der");

/// Longest certificate taken as a root, in bytes. Intel's has 659.
pub const ROOT_LIMIT_BYTES: usize = 4096;

/// The certificate that a quote's chain and its collateral must end in.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustRoot {
    der: Vec<u8>,
    kind: RootKind,
}

/// Who stands behind a root. A verdict carries it, so nobody can mistake one for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RootKind {
    /// Intel's own root: a quote under it comes from real hardware.
    Intel,
    /// A development root: a quote under it proves nothing about any machine.
    Development,
}

/// SHA-256 of a root certificate's DER bytes, as certificate viewers print it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootFingerprint(pub [u8; 32]);

/// Which root judged a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootSummary {
    /// Who stands behind it.
    pub kind: RootKind,
    /// Its certificate.
    pub fingerprint: RootFingerprint,
}

/// A certificate that cannot be a root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// Longer than any root.
    #[error("root certificate has {found_bytes} bytes, at most {limit_bytes} are allowed")]
    TooLong {
        /// Bytes found.
        found_bytes: usize,
        /// Bytes allowed.
        limit_bytes: usize,
    },
    /// No DER sequence that spans the bytes exactly.
    #[error("root certificate is not one DER certificate")]
    NotDer,
    /// Intel's root offered as a development one: a verdict would then carry the wrong warning.
    #[error("Intel's root was offered as a development root")]
    IntelAsDevelopment,
}

impl TrustRoot {
    /// Intel's root.
    pub fn intel() -> Self {
        Self { der: INTEL_ROOT_DER.to_vec(), kind: RootKind::Intel }
    }

    /// A development root. Every verdict under it says so, and policies refuse it unless they
    /// allow it by name.
    ///
    /// # Errors
    /// [`RootError`] when the bytes are no single certificate or are Intel's own.
    pub fn development(der: Vec<u8>) -> Result<Self, RootError> {
        if der.len() > ROOT_LIMIT_BYTES {
            return Err(RootError::TooLong { found_bytes: der.len(), limit_bytes: ROOT_LIMIT_BYTES });
        }
        if der == INTEL_ROOT_DER {
            return Err(RootError::IntelAsDevelopment);
        }
        // SEQUENCE with a two-byte length: what every certificate between 256 and 65,535 bytes is.
        match der.as_slice() {
            [0x30, 0x82, high, low, rest @ ..] if rest.len() == usize::from(u16::from_be_bytes([*high, *low])) => {}
            _ => return Err(RootError::NotDer),
        }
        Ok(Self { der, kind: RootKind::Development })
    }

    /// The certificate, as DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Who stands behind it.
    pub fn kind(&self) -> RootKind {
        self.kind
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> RootFingerprint {
        RootFingerprint(Sha256::digest(&self.der).into())
    }

    /// Kind and fingerprint: what verdicts and audit reports carry.
    pub fn summary(&self) -> RootSummary {
        RootSummary { kind: self.kind, fingerprint: self.fingerprint() }
    }
}

impl RootKind {
    /// True for [`RootKind::Development`].
    pub fn is_development(self) -> bool {
        self == Self::Development
    }
}

impl fmt::Display for RootKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Intel => "Intel",
            Self::Development => "DEVELOPMENT (proves nothing about any machine)",
        })
    }
}

impl fmt::Display for RootFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Display for RootSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.fingerprint)
    }
}

impl fmt::Debug for TrustRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustRoot({})", self.summary())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn intels_root_has_the_fingerprint_that_intel_publishes() {
        let expected = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3";
        assert_eq!(TrustRoot::intel().fingerprint().to_string(), expected);
        assert_eq!(TrustRoot::intel().kind(), RootKind::Intel);
    }

    #[test]
    fn intels_root_cannot_be_passed_off_as_a_development_root() {
        assert_eq!(TrustRoot::development(INTEL_ROOT_DER.to_vec()), Err(RootError::IntelAsDevelopment));
    }

    #[test]
    fn bytes_that_are_no_single_certificate_are_no_root() {
        let mut trailing = INTEL_ROOT_DER.to_vec();
        trailing.push(0);
        assert_eq!(TrustRoot::development(trailing), Err(RootError::NotDer));
        assert_eq!(TrustRoot::development(Vec::new()), Err(RootError::NotDer));
        let found_bytes = ROOT_LIMIT_BYTES + 1;
        let long = TrustRoot::development(vec![0x30; found_bytes]);
        assert_eq!(long, Err(RootError::TooLong { found_bytes, limit_bytes: ROOT_LIMIT_BYTES }));
    }
}
