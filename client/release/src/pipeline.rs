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
    /// A custodian may release under the terms that its user granted, and no others.
    #[error("the user granted a release under {granted:?}, this one is under {asked:?}")]
    NotGranted {
        /// The terms granted.
        granted: ReleaseContext,
        /// The terms asked for.
        asked: ReleaseContext,
    },
}

/// The one consumer of decrypted features.
pub struct Releaser(Authority);

/// By whose leave.
enum Authority {
    /// The user's own.
    Own { secret: ReleaseSecret, ledger: Ledger, budget_millibits: u32 },
    /// A user's who is away.
    Granted(ReleaseGrant),
}

/// A user's leave to release one input once, under terms that are written into its ledger already.
///
/// It holds the noise of that release and of no other. It cannot be printed:
/// ```compile_fail
/// fn print(grant: &encompute_release::ReleaseGrant) { println!("{grant:?}"); }
/// ```
pub struct ReleaseGrant {
    context: ReleaseContext,
    seed: Zeroizing<[u8; 32]>,
}

impl ReleaseGrant {
    /// As a custodian opened it.
    pub fn in_custody(context: ReleaseContext, seed: Zeroizing<[u8; 32]>) -> Self {
        Self { context, seed }
    }

    /// The seed of its noise, for the envelope to the enclave that is to act in its user's place.
    pub fn expose_to_custodian(&self) -> &[u8; 32] {
        &self.seed
    }

    fn covers(&self, asked: &ReleaseContext) -> Result<(), ReleaseError> {
        let (granted, asked) = (self.context, *asked);
        if granted == asked { Ok(()) } else { Err(ReleaseError::NotGranted { granted, asked }) }
    }
}

impl Releaser {
    /// Releases under `secret`, written into `ledger`; no input gives away more than
    /// `budget_millibits` thousandths of a bit over all its releases.
    pub fn new(secret: ReleaseSecret, ledger: Ledger, budget_millibits: u32) -> Self {
        Self(Authority::Own { secret, ledger, budget_millibits })
    }

    /// Releases what a user who is away has granted, and nothing else.
    pub fn of_grant(grant: ReleaseGrant) -> Self {
        Self(Authority::Granted(grant))
    }

    /// Leave for one release of this input by somebody else, charged to its budget now: it counts as made whether or
    /// not it ever is, and the same release by this releaser gives the same codes.
    ///
    /// # Errors
    /// [`ReleaseError`]; nothing is charged then.
    pub fn grant(
        &self,
        input: &InputIdentity,
        context: &ReleaseContext,
        policy: &CheckedPolicy,
    ) -> Result<ReleaseGrant, ReleaseError> {
        Ok(ReleaseGrant { context: *context, seed: self.charged(input, context, policy)? })
    }

    /// The seed of a release's noise, once the release is written down.
    fn charged(
        &self,
        input: &InputIdentity,
        context: &ReleaseContext,
        policy: &CheckedPolicy,
    ) -> Result<Zeroizing<[u8; 32]>, ReleaseError> {
        match &self.0 {
            Authority::Own { secret, ledger, budget_millibits } => {
                let millibits = policy.as_manifest().information_millibits;
                let charged = ledger.charge(secret, input, context, millibits, *budget_millibits);
                charged.map_err(ReleaseError::Budget)?;
                Ok(Zeroizing::new(secret.noise_seed(input, context)))
            }
            Authority::Granted(grant) => {
                grant.covers(context)?;
                Ok(grant.seed.clone())
            }
        }
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
        match &self.0 {
            Authority::Own { secret, ledger, budget_millibits } => {
                let millibits = policy.as_manifest().information_millibits;
                let allowed = ledger.allows(secret, input, context, millibits, *budget_millibits);
                allowed.map_err(ReleaseError::Budget)
            }
            Authority::Granted(grant) => grant.covers(context),
        }
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
        let seed = self.charged(input, context, policy)?;
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
    fn a_granted_release_is_the_users_own_is_charged_once_and_covers_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let secret = ReleaseSecret::open_or_create(&folder.path().join("secret")).unwrap();
        let policy = CheckedPolicy::new(policy()).unwrap();
        let millibits = policy.as_manifest().information_millibits;
        let own = Releaser::new(secret, Ledger::open(&folder.path().join("ledger")).unwrap(), millibits);
        let context = |policy: u8| ReleaseContext {
            version: encompute_protocol::VersionHash([1; 32]),
            split: encompute_protocol::SplitIndex(0),
            policy: encompute_protocol::PolicyId(policy),
        };
        let input = InputIdentity::of_tensor(&[7]);
        let features = encompute_head::quantised(&[5.0, -9.0, 40.0], &[1.0], encompute_head::Domain::I8);
        let grant = own.grant(&input, &context(1), &policy).unwrap();
        assert!(matches!(own.grant(&input, &context(2), &policy), Err(ReleaseError::Budget(_))), "it was charged");
        let opened = ReleaseGrant::in_custody(context(1), Zeroizing::new(*grant.expose_to_custodian()));
        let custodian = Releaser::of_grant(opened);
        // The custodian does not know the input's name, and needs none.
        let unknown = InputIdentity::from_bytes([0; 32]);
        let theirs = custodian.release(&features, &unknown, &context(1), &policy).unwrap();
        let ours = own.release(&features, &input, &context(1), &policy).unwrap();
        assert!(theirs == ours);
        for refused in [
            custodian.release(&features, &unknown, &context(2), &policy).map(drop),
            custodian.allows(&unknown, &context(2), &policy),
        ] {
            assert!(matches!(refused, Err(ReleaseError::NotGranted { .. })));
        }
    }

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
