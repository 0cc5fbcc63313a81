//! What collateral says, and for how long: the knobs of a drill.

use super::certificates::PckSerial;
use crate::platform::{AdvisoryId, TcbEvaluationNumber, TcbStatus, UnixSeconds};
use core::fmt;

/// What the development PKI says about a platform, for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollateralTerms {
    /// When it was issued.
    pub issued_at: UnixSeconds,
    /// When it runs out. Intel gives 30 days.
    pub next_update: UnixSeconds,
    /// Its verdict over a platform with the traits given.
    pub status: TcbStatus,
    /// Advisories that come with the verdict.
    pub advisories: Vec<AdvisoryId>,
    /// Verdicts over platforms that are patched less, in any order.
    pub lower_levels: Vec<TcbLevelTerms>,
    /// TDX modules known. Without a word: the platform's own, at its security version, up to date.
    pub modules: Option<Vec<ModuleTerms>>,
    /// Verdicts over the quoting enclave, the highest security version first.
    pub enclave_levels: Vec<SvnLevel>,
    /// Age of the judgement over platforms.
    pub evaluation: TcbEvaluationNumber,
    /// Age of the judgement over the quoting enclave.
    pub enclave_evaluation: TcbEvaluationNumber,
    /// Platforms whose certificates are revoked.
    pub revoked: Vec<PckSerial>,
    /// Authorities whose certificates are revoked.
    pub revoked_authorities: Vec<Authority>,
}

/// A certificate that the root has issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Certifies machines of several packages.
    Platform,
    /// Certifies machines of one package.
    Processor,
    /// Signs TCB info and enclave identities.
    TcbSigner,
}

/// A verdict as collateral writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelStatus {
    /// One that a policy may allow.
    Known(TcbStatus),
    /// Keys are compromised: no policy can allow it.
    Revoked,
}

/// One verdict over platforms that reach these security versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcbLevelTerms {
    /// Microcode and firmware.
    pub cpu_svn: [u8; 16],
    /// Provisioning enclave.
    pub pce_svn: u16,
    /// TDX module and what loads it.
    pub tee_tcb_svn: [u8; 16],
    /// The verdict.
    pub status: LevelStatus,
    /// Advisories that come with it.
    pub advisories: Vec<AdvisoryId>,
}

/// One verdict over software that reaches a security version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SvnLevel {
    /// The security version.
    pub isv_svn: u16,
    /// The verdict.
    pub status: LevelStatus,
    /// Advisories that come with it.
    pub advisories: Vec<AdvisoryId>,
}

/// The TDX modules of one major version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleTerms {
    /// Major version: the second byte of a report's `tee_tcb_svn`.
    pub version: u8,
    /// Verdicts, the highest security version first.
    pub levels: Vec<SvnLevel>,
}

impl CollateralTerms {
    /// The number that development collateral carries.
    pub const EVALUATION: TcbEvaluationNumber = TcbEvaluationNumber(19);

    /// Up to date, nothing revoked, good from a day before `now` to 29 days after it; any lower platform is out of date.
    pub fn current(now: UnixSeconds) -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            issued_at: UnixSeconds(now.0.saturating_sub(DAY)),
            next_update: UnixSeconds(now.0.saturating_add(29 * DAY)),
            status: TcbStatus::UpToDate,
            advisories: Vec::new(),
            lower_levels: vec![TcbLevelTerms::any(LevelStatus::Known(TcbStatus::OutOfDate))],
            modules: None,
            enclave_levels: vec![SvnLevel::up_to_date(super::collateral::QE_SVN)],
            evaluation: Self::EVALUATION,
            enclave_evaluation: Self::EVALUATION,
            revoked: Vec::new(),
            revoked_authorities: Vec::new(),
        }
    }
}

impl TcbLevelTerms {
    /// A verdict over every platform.
    pub fn any(status: LevelStatus) -> Self {
        Self { cpu_svn: [0; 16], pce_svn: 0, tee_tcb_svn: [0; 16], status, advisories: Vec::new() }
    }
}

impl SvnLevel {
    /// Up to date from this security version on.
    pub fn up_to_date(isv_svn: u16) -> Self {
        Self { isv_svn, status: LevelStatus::Known(TcbStatus::UpToDate), advisories: Vec::new() }
    }
}

impl fmt::Display for LevelStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(status) => status.fmt(f),
            Self::Revoked => f.write_str("Revoked"),
        }
    }
}
