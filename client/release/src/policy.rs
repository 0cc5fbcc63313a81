//! A release policy that was checked: the only kind the pipeline takes.

use encompute_protocol::{PolicyId, ReleasePolicy, SplitManifest};

/// Most information that a policy may promise to give away, in thousandths of a bit: 24 bits.
/// Source: the listing rule of the leakage report; above it an input is as good as named.
pub const INFORMATION_LIMIT_MILLIBITS: u32 = 24_000;

/// A policy whose numbers are in range.
#[derive(Clone, Debug)]
pub struct CheckedPolicy(ReleasePolicy);

/// A policy that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError {
    /// The split has no such policy.
    #[error("split {split:?} has no release policy {found}, it has 1 to {known}")]
    Unknown {
        /// The split's name.
        split: String,
        /// Asked for.
        found: PolicyId,
        /// How many there are.
        known: usize,
    },
    /// A zero that would make the release undefined or undisguised.
    #[error("release policy {policy:?} has {field} 0")]
    Zero {
        /// The policy's name.
        policy: String,
        /// Which number.
        field: &'static str,
    },
    /// Codes of a width that is not supported.
    #[error("release policy {policy:?} has codes of {found} bits, 2 to 16 are allowed")]
    Bits {
        /// The policy's name.
        policy: String,
        /// Bits found.
        found: u8,
    },
    /// More information than any policy may promise.
    #[error(
        "release policy {policy:?} gives away {found_millibits} thousandths of a bit, at most {limit_millibits} are allowed"
    )]
    Information {
        /// The policy's name.
        policy: String,
        /// Promised.
        found_millibits: u32,
        /// Allowed.
        limit_millibits: u32,
    },
}

impl CheckedPolicy {
    /// The split's policy `id`, checked.
    ///
    /// # Errors
    /// [`PolicyError`], with the number that is out of range.
    pub fn of_split(split: &SplitManifest, id: PolicyId) -> Result<Self, PolicyError> {
        let policy = split.policies.iter().find(|policy| policy.id == id).ok_or_else(|| PolicyError::Unknown {
            split: split.name.as_str().into(),
            found: id,
            known: split.policies.len(),
        })?;
        Self::new(policy.clone())
    }

    /// The policy, checked. A policy without noise is refused: clipping and rounding alone carry no
    /// promise against an attacker who knows the head.
    ///
    /// # Errors
    /// [`PolicyError`], with the number that is out of range.
    pub fn new(policy: ReleasePolicy) -> Result<Self, PolicyError> {
        let name = || policy.name.as_str().to_owned();
        for (field, value) in [("clip", policy.clip), ("step", policy.step), ("sigma", policy.sigma_milli)] {
            if value == 0 {
                return Err(PolicyError::Zero { policy: name(), field });
            }
        }
        if !(2..=16).contains(&policy.bits) {
            return Err(PolicyError::Bits { policy: name(), found: policy.bits });
        }
        if policy.information_millibits > INFORMATION_LIMIT_MILLIBITS {
            return Err(PolicyError::Information {
                policy: name(),
                found_millibits: policy.information_millibits,
                limit_millibits: INFORMATION_LIMIT_MILLIBITS,
            });
        }
        Ok(Self(policy))
    }

    /// The policy as the manifest gives it.
    pub fn as_manifest(&self) -> &ReleasePolicy {
        &self.0
    }

    /// Smallest and largest code.
    pub fn code_range(&self) -> (i64, i64) {
        let half = 1i64 << (self.0.bits - 1);
        (-half, half - 1)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use encompute_protocol::{BasisPoints, Text};

    pub(crate) fn policy() -> ReleasePolicy {
        ReleasePolicy {
            id: PolicyId(1),
            name: Text::new("balanced").unwrap(),
            clip: 10_000,
            sigma_milli: 1_500_000,
            step: 400,
            bits: 6,
            information_millibits: 8_300,
            accuracy: BasisPoints(9_700),
        }
    }

    #[test]
    fn a_policy_without_noise_is_refused() {
        let silent = ReleasePolicy { sigma_milli: 0, ..policy() };
        assert_eq!(
            CheckedPolicy::new(silent).unwrap_err(),
            PolicyError::Zero { policy: "balanced".into(), field: "sigma" }
        );
    }

    #[test]
    fn a_policy_that_names_the_input_is_refused() {
        let loud = ReleasePolicy { information_millibits: 24_001, ..policy() };
        assert!(matches!(CheckedPolicy::new(loud), Err(PolicyError::Information { limit_millibits: 24_000, .. })));
    }

    #[test]
    fn six_bit_codes_run_from_minus_32_to_31() {
        assert_eq!(CheckedPolicy::new(policy()).unwrap().code_range(), (-32, 31));
    }
}
