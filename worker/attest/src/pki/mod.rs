//! A development PKI: quotes and collateral in Intel's formats, under a root that is not Intel's.
//!
//! It exists so that the code that judges evidence in production also runs where there is no
//! hardware. There is no branch anywhere that skips judging: a development quote goes the whole way,
//! and counts only under a [`TrustRoot`] and a policy that both say "development".

mod certificates;
mod collateral;
mod draft;
mod keys;
mod listed;
mod platform;
mod terms;

pub use certificates::PckSerial;
pub use collateral::{CollateralDraft, DocumentSigner};
pub use draft::{QuoteDraft, TdxForm};
pub use keys::DevelopmentSeed;
#[cfg(feature = "development")]
pub(crate) use platform::MEASURED;
pub use platform::{PckAuthority, Platform, PlatformTraits, development_enclave, development_measurement};
pub use terms::{Authority, CollateralTerms, LevelStatus, ModuleTerms, SvnLevel, TcbLevelTerms};

pub(crate) use collateral::{SignedDocument, fmspc_word};

use crate::root::{RootError, TrustRoot};
use certificates::Certified;

/// All development services agree on their keys through this label, and so does everybody who reads it: what is signed
/// with them proves nothing.
pub const SEED_LABEL: &str = "encompute development attestation v1";

/// A development PKI that cannot be built from what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// No candidate derived from the seed is a scalar of the curve (probability 2⁻²⁵⁶).
    #[error("no key could be derived from the seed")]
    NoKey,
    /// A certificate or revocation list cannot be encoded, e.g. with an end before its start.
    #[error("certificate cannot be issued")]
    Certificate(#[from] rcgen::Error),
    /// The root certificate does not pass as a development root.
    #[error("root certificate is unusable")]
    Root(#[from] RootError),
}

/// Root, both PCK authorities and TCB signer, all from one seed: the same bytes in every process.
pub struct DevelopmentPki {
    seed: DevelopmentSeed,
    root: Certified,
    platform_ca: Certified,
    processor_ca: Certified,
    tcb_signer: Certified,
    trust_root: TrustRoot,
}

impl DevelopmentPki {
    /// The PKI of a seed.
    ///
    /// # Errors
    /// [`PkiError`]; nothing depends on time or on the machine.
    pub fn from_seed(seed: DevelopmentSeed) -> Result<Self, PkiError> {
        let root = certificates::root(&seed)?;
        let platform_ca = certificates::platform_ca(&seed, &root)?;
        let processor_ca = certificates::processor_ca(&seed, &root)?;
        let tcb_signer = certificates::tcb_signer(&seed, &root)?;
        let trust_root = TrustRoot::development(root.der.clone())?;
        Ok(Self { seed, root, platform_ca, processor_ca, tcb_signer, trust_root })
    }

    /// The root that this PKI's quotes verify under, and no others do.
    pub fn trust_root(&self) -> &TrustRoot {
        &self.trust_root
    }

    fn authority(&self, authority: PckAuthority) -> &Certified {
        match authority {
            PckAuthority::Platform => &self.platform_ca,
            PckAuthority::Processor => &self.processor_ca,
        }
    }

    /// A machine of this name: its keys and PPID follow from seed and name.
    ///
    /// # Errors
    /// [`PkiError`] when its certificate cannot be issued.
    pub fn platform(&self, name: &str, traits: PlatformTraits) -> Result<Platform, PkiError> {
        Platform::new(self, name, traits)
    }
}
