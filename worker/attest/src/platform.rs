//! What the quote's collateral says about the machine: patch level, advisories, identity, settings.

use core::fmt;
use core::str::FromStr;
use dcap_qvl::PckCertFlag;

/// Seconds since 1970-01-01T00:00:00Z. Time is always an argument here, so an old quote can be
/// judged as of its day for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// The system clock's now; zero before 1970.
    pub fn now() -> Self {
        std::time::SystemTime::now().into()
    }
}

impl From<std::time::SystemTime> for UnixSeconds {
    /// Whole seconds; zero before 1970.
    fn from(time: std::time::SystemTime) -> Self {
        Self(time.duration_since(std::time::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs()))
    }
}

impl fmt::Display for UnixSeconds {
    /// As RFC 3339 writes it, in UTC: `2026-11-25T21:40:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_of(self.0 / 86_400);
        let (hour, minute, second) = (self.0 / 3_600 % 24, self.0 / 60 % 60, self.0 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Year, month and day of a day counted from 1970-01-01.
/// Source: `civil_from_days` of Howard Hinnant's "chrono-compatible low-level date algorithms".
fn date_of(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the leap day is a year's last; 400 of them have 146,097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + later, month, day)
}

/// How well the machine is patched, by Intel's word. `Revoked` is missing on purpose: it is
/// refused before any policy is asked, so no policy can allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TcbStatus {
    /// Nothing known is missing.
    UpToDate,
    /// The software inside must defend itself against a known weakness.
    SwHardeningNeeded,
    /// The platform may need another configuration.
    ConfigurationNeeded,
    /// Both of the above.
    ConfigurationAndSwHardeningNeeded,
    /// Security updates are missing.
    OutOfDate,
    /// Updates are missing and the configuration may need a change.
    OutOfDateConfigurationNeeded,
    /// Started on an out-of-date TDX module that has been updated since.
    TdRelaunchAdvised,
    /// As before, and the configuration may need a change.
    TdRelaunchAdvisedConfigurationNeeded,
}

const STATUSES: [(TcbStatus, dcap_qvl::TcbStatus, &str); 8] = {
    use dcap_qvl::TcbStatus as Theirs;
    [
        (TcbStatus::UpToDate, Theirs::UpToDate, "UpToDate"),
        (TcbStatus::SwHardeningNeeded, Theirs::SWHardeningNeeded, "SWHardeningNeeded"),
        (TcbStatus::ConfigurationNeeded, Theirs::ConfigurationNeeded, "ConfigurationNeeded"),
        (
            TcbStatus::ConfigurationAndSwHardeningNeeded,
            Theirs::ConfigurationAndSWHardeningNeeded,
            "ConfigurationAndSWHardeningNeeded",
        ),
        (TcbStatus::OutOfDate, Theirs::OutOfDate, "OutOfDate"),
        (TcbStatus::OutOfDateConfigurationNeeded, Theirs::OutOfDateConfigurationNeeded, "OutOfDateConfigurationNeeded"),
        (TcbStatus::TdRelaunchAdvised, Theirs::TDRelaunchAdvised, "TDRelaunchAdvised"),
        (
            TcbStatus::TdRelaunchAdvisedConfigurationNeeded,
            Theirs::TDRelaunchAdvisedConfigurationNeeded,
            "TDRelaunchAdvisedConfigurationNeeded",
        ),
    ]
};

impl TcbStatus {
    /// `None` for `Revoked`.
    pub(crate) fn of_collateral(status: dcap_qvl::TcbStatus) -> Option<Self> {
        STATUSES.iter().find(|(_, theirs, _)| *theirs == status).map(|(ours, ..)| *ours)
    }

    fn name(self) -> &'static str {
        STATUSES.iter().find(|(ours, ..)| *ours == self).map_or("", |(.., name)| name)
    }
}

impl fmt::Display for TcbStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no status, or names `Revoked`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no TCB status that a policy can allow (UpToDate, SWHardeningNeeded, …)")]
pub struct ParseTcbStatusError(String);

impl FromStr for TcbStatus {
    type Err = ParseTcbStatusError;

    fn from_str(word: &str) -> Result<Self, ParseTcbStatusError> {
        let found = STATUSES.iter().find(|(.., name)| *name == word);
        found.map(|(ours, ..)| *ours).ok_or_else(|| ParseTcbStatusError(word.to_owned()))
    }
}

/// A security advisory by its number, e.g. `INTEL-SA-00615`. Compared without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdvisoryId(String);

impl AdvisoryId {
    /// The advisory with this number.
    pub fn new(id: &str) -> Self {
        Self(id.trim().to_ascii_uppercase())
    }
}

impl fmt::Display for AdvisoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Intel's number for a state of knowledge about attacks; grows with every TCB recovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TcbEvaluationNumber(pub u32);

impl fmt::Display for TcbEvaluationNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The machine's provisioning id: the same for every quote of one platform, so workers that share
/// a machine can be told from workers that do not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ppid(pub(crate) Vec<u8>);

impl Ppid {
    /// The bytes, 16 of them on every platform known.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Family, model, stepping and custom SKU: selects the TCB info that applies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fmspc(pub [u8; 6]);

macro_rules! shown_as_hex {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    )*};
}

shown_as_hex!(Ppid, Fmspc);

/// A platform setting that weakens isolation and needs a policy's explicit word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlatformSetting {
    /// Packages can be added to the platform after its keys were provisioned.
    DynamicPlatform,
    /// Intel's registration service keeps a copy of the platform's root keys.
    CachedKeys,
    /// Two threads share one core, and with it caches and execution ports.
    Smt,
}

impl fmt::Display for PlatformSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DynamicPlatform => "dynamic platform",
            Self::CachedKeys => "cached keys",
            Self::Smt => "SMT",
        })
    }
}

/// The settings that the platform's certificate declares switched on.
pub(crate) fn settings_on(pck: &dcap_qvl::PckIdentity) -> Vec<PlatformSetting> {
    let flags = [
        (pck.dynamic_platform, PlatformSetting::DynamicPlatform),
        (pck.cached_keys, PlatformSetting::CachedKeys),
        (pck.smt_enabled, PlatformSetting::Smt),
    ];
    // Undefined is what certificates of single-package platforms say: they have no such settings.
    flags.into_iter().filter(|(flag, _)| *flag == PckCertFlag::True).map(|(_, setting)| setting).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_status_reads_back_from_its_own_word() {
        for (ours, theirs, name) in STATUSES {
            assert_eq!(name.parse::<TcbStatus>(), Ok(ours));
            assert_eq!(ours.to_string(), theirs.to_string());
            assert_eq!(TcbStatus::of_collateral(theirs), Some(ours));
        }
    }

    #[test]
    fn times_are_written_as_other_tools_write_them() {
        // `date -u -d @SECONDS +%FT%TZ` of GNU coreutils.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_348_800, "2026-11-22T12:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(UnixSeconds(seconds).to_string(), text);
        }
    }

    #[test]
    fn no_policy_can_name_revoked() {
        assert!("Revoked".parse::<TcbStatus>().is_err());
        assert_eq!(TcbStatus::of_collateral(dcap_qvl::TcbStatus::Revoked), None);
    }

    #[test]
    fn advisories_match_without_regard_to_case() {
        assert_eq!(AdvisoryId::new("intel-sa-00615 "), AdvisoryId::new("INTEL-SA-00615"));
    }
}
