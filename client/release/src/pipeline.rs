//! The pipeline: clip, noise, codes; and the one door through which it is used.

use crate::{
    clip::clip,
    gaussian::DiscreteGaussian,
    ledger::{Ledger, LedgerError},
    policy::CheckedPolicy,
    seed::{InputIdentity, ReleaseContext, ReleaseSecret},
};
use encompute_head::QuantisedValues;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use zeroize::Zeroizing;

/// What may leave: one code per feature.
#[derive(Clone, PartialEq, Eq)]
pub struct Released {
    /// Within the policy's bits.
    pub codes: Vec<i16>,
}

/// Why nothing was released.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The input's budget, or its ledger, does not allow it.
    #[error("the release ledger does not allow it")]
    Budget(#[source] LedgerError),
}

/// The one consumer of decrypted features.
pub struct Releaser {
    secret: ReleaseSecret,
    ledger: Ledger,
    budget_millibits: u32,
}

impl Releaser {
    /// Releases under `secret`, written into `ledger`; no input gives away more than
    /// `budget_millibits` thousandths of a bit over all its releases.
    pub fn new(secret: ReleaseSecret, ledger: Ledger, budget_millibits: u32) -> Self {
        Self { secret, ledger, budget_millibits }
    }

    /// Whether such a release of this input would be allowed now: to be asked before anything is paid for it. Nothing is
    /// written down, so a release in between may take what was left.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub fn allows(
        &self,
        input: &InputIdentity,
        context: &ReleaseContext,
        policy: &CheckedPolicy,
    ) -> Result<(), ReleaseError> {
        let millibits = policy.as_manifest().information_millibits;
        let allowed = self.ledger.allows(&self.secret, input, context, millibits, self.budget_millibits);
        allowed.map_err(ReleaseError::Budget)
    }

    /// Takes the features of a head through the pipeline, and writes the release down; the same features under the same context give the same codes, and cost their bits once.
    ///
    /// # Errors
    /// [`ReleaseError`]; nothing has left then. Never because of a value.
    pub fn release(
        &self,
        features: &QuantisedValues,
        input: &InputIdentity,
        context: &ReleaseContext,
        policy: &CheckedPolicy,
    ) -> Result<Released, ReleaseError> {
        self.ledger
            .charge(&self.secret, input, context, policy.as_manifest().information_millibits, self.budget_millibits)
            .map_err(ReleaseError::Budget)?;
        let seed = Zeroizing::new(self.secret.noise_seed(input, context));
        Ok(Released { codes: obfuscate(features.expose(), policy, &mut ChaCha20Rng::from_seed(*seed)) })
    }
}

/// Clip, add noise, round to codes. Public so that a creator's bench can measure accuracy and an
/// auditor can repeat it over open samples; a user's features pass through [`Releaser`] only.
///
/// `code = clamp(round((z′ + n) / step))`, ties away from zero.
pub fn obfuscate(features: &[i64], policy: &CheckedPolicy, rng: &mut impl RngCore) -> Vec<i16> {
    let mut values = Zeroizing::new(features.to_vec());
    let numbers = policy.as_manifest();
    clip(&mut values, numbers.clip);
    let gaussian = DiscreteGaussian::new(numbers.sigma_milli);
    let (least, most) = policy.code_range();
    values
        .iter()
        .map(|value| {
            let noise = gaussian.as_ref().map_or(0, |gaussian| gaussian.sample(rng));
            let code = divide_rounded(value.saturating_add(noise), numbers.step).clamp(least, most);
            i16::try_from(code).unwrap_or(if code < 0 { i16::MIN } else { i16::MAX })
        })
        .collect()
}

/// `round(value / step)`, ties away from zero.
fn divide_rounded(value: i64, step: u64) -> i64 {
    let (magnitude, step) = (u128::from(value.unsigned_abs()), u128::from(step));
    let rounded = i64::try_from((2 * magnitude + step) / (2 * step)).unwrap_or(i64::MAX);
    if value < 0 { -rounded } else { rounded }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::tests::policy;
    use encompute_protocol::ReleasePolicy;
    use proptest::prelude::*;

    #[test]
    fn division_rounds_ties_away_from_zero() {
        assert_eq!([5, -5, 4, -4, 15].map(|value| divide_rounded(value, 10)), [1, -1, 0, 0, 2]);
        assert_eq!(divide_rounded(i64::MIN, 1), -i64::MAX);
    }

    #[test]
    fn noise_has_the_size_that_the_policy_states() {
        let policy = CheckedPolicy::new(ReleasePolicy { step: 1, bits: 16, ..policy() }).unwrap();
        let codes = obfuscate(&[0; 4_000], &policy, &mut ChaCha20Rng::from_seed([9; 32]));
        let variance = codes.iter().map(|code| f64::from(*code).powi(2)).sum::<f64>() / 4_000.0;
        assert!((variance.sqrt() / 1_500.0 - 1.0).abs() < 0.06, "σ {}", variance.sqrt());
    }

    proptest! {
        #[test]
        fn any_features_give_codes_in_range(features in prop::collection::vec(any::<i64>(), 0..32), seed in any::<[u8; 32]>()) {
            let policy = CheckedPolicy::new(policy()).unwrap();
            let codes = obfuscate(&features, &policy, &mut ChaCha20Rng::from_seed(seed));
            prop_assert_eq!(codes.len(), features.len());
            prop_assert!(codes.iter().all(|code| (-32..=31).contains(code)));
        }
    }
}
