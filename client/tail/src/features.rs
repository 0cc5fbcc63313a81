//! Released features: which are accepted, what numbers they stand for, what a score is.

use encompute_model::released_features;
use encompute_protocol::manifest::ReleasedFeatures;
use encompute_protocol::wire::{DecodeError, Message};
use encompute_protocol::{JobId, PolicyId, ReleasePolicy, SplitManifest};

/// Features that the creator refuses. Only public facts are named, never a code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeaturesRefused {
    /// The blob was not in the store when its time was nearly over.
    #[error("the blob is not in the store")]
    Missing,
    /// Longer than features of this job can be.
    #[error("the blob is longer than {limit_bytes} bytes")]
    TooLong {
        /// Bytes allowed.
        limit_bytes: u64,
    },
    /// Not sealed to this creator for this job.
    #[error("the envelope does not open: {0}")]
    Sealed(#[source] encompute_envelope::OpenError),
    /// Not features.
    #[error("the envelope holds no features: {0}")]
    Encoding(#[source] DecodeError),
    /// Sealed for this job, yet naming another.
    #[error("the features name job {found}")]
    Job {
        /// Job named.
        found: JobId,
    },
    /// Released under another policy than the job's.
    #[error("the features were released under policy {found}, the job names {wanted}")]
    Policy {
        /// Policy named.
        found: PolicyId,
        /// The job's.
        wanted: PolicyId,
    },
    /// Another number of features than the split has.
    #[error("{found} features, the split has {wanted}")]
    Count {
        /// Features found.
        found: usize,
        /// Features of the split.
        wanted: usize,
    },
    /// A code outside the policy's bits.
    #[error("feature {index} is outside the {bits} bits of the policy")]
    Range {
        /// Which feature.
        index: usize,
        /// Bits of a code.
        bits: u8,
    },
    /// The job's request blob names no key to seal a result to.
    #[error("the job's request names no key for the result")]
    ResultKey,
}

/// The policy that a job names, if its split has it.
pub(crate) fn policy_of(split: &SplitManifest, id: PolicyId) -> Option<&ReleasePolicy> {
    split.policies.iter().find(|policy| policy.id == id)
}

/// What the tail takes: code × step / clip, from an opened envelope.
///
/// # Errors
/// [`FeaturesRefused`] by the first check that fails.
pub(crate) fn read(
    opened: &[u8],
    job: JobId,
    policy: &ReleasePolicy,
    features: u32,
) -> Result<Vec<f32>, FeaturesRefused> {
    let released = ReleasedFeatures::from_wire(opened).map_err(FeaturesRefused::Encoding)?;
    if released.job != job {
        return Err(FeaturesRefused::Job { found: released.job });
    }
    if released.policy != policy.id {
        return Err(FeaturesRefused::Policy { found: released.policy, wanted: policy.id });
    }
    let (found, wanted) = (released.codes.len(), features as usize);
    if found != wanted {
        return Err(FeaturesRefused::Count { found, wanted });
    }
    let bound = 1i32 << (policy.bits.clamp(2, 16) - 1);
    let outside = released.codes.iter().position(|code| !(-bound..bound).contains(&i32::from(*code)));
    if let Some(index) = outside {
        return Err(FeaturesRefused::Range { index, bits: policy.bits });
    }
    Ok(released_features(&released.codes, policy))
}

/// Scores as a result carries them: probabilities in millionths. Numbers that are no distribution
/// (one is negative, or they do not add up to one within a thousandth) are taken as logits.
pub fn scores_in_millionths(scores: &[f32]) -> Vec<u32> {
    let sum: f64 = scores.iter().map(|score| f64::from(*score)).sum();
    let distribution = scores.iter().all(|score| *score >= 0.0) && (sum - 1.0).abs() < 1e-3;
    let weights: Vec<f64> = if distribution {
        scores.iter().map(|score| f64::from(*score)).collect()
    } else {
        let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        scores.iter().map(|score| f64::from(score - top).exp()).collect()
    };
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| (weight / total * 1e6).round() as u32).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::vault::tests::a_policy;

    const JOB: JobId = JobId(7);

    fn released(codes: Vec<i16>) -> ReleasedFeatures {
        ReleasedFeatures { job: JOB, policy: PolicyId(1), codes }
    }

    fn refused(features: &ReleasedFeatures) -> FeaturesRefused {
        read(&features.to_wire(), JOB, &a_policy(), 3).unwrap_err()
    }

    #[test]
    fn codes_become_features_by_step_and_clip() {
        let read = read(&released(vec![100, -100, 0]).to_wire(), JOB, &a_policy(), 3);
        assert_eq!(read.unwrap(), [1.0, -1.0, 0.0]);
    }

    #[test]
    fn codes_outside_the_policys_bits_are_refused() {
        assert!(read(&released(vec![127, -128, 0]).to_wire(), JOB, &a_policy(), 3).is_ok());
        assert_eq!(refused(&released(vec![0, 128, 0])), FeaturesRefused::Range { index: 1, bits: 8 });
        assert_eq!(refused(&released(vec![0, 0, -129])), FeaturesRefused::Range { index: 2, bits: 8 });
    }

    #[test]
    fn features_of_another_job_policy_or_shape_are_refused() {
        let other = ReleasedFeatures { job: JobId(8), ..released(vec![0; 3]) };
        assert_eq!(refused(&other), FeaturesRefused::Job { found: JobId(8) });
        let other = ReleasedFeatures { policy: PolicyId(2), ..released(vec![0; 3]) };
        assert_eq!(refused(&other), FeaturesRefused::Policy { found: PolicyId(2), wanted: PolicyId(1) });
        assert_eq!(refused(&released(vec![0; 4])), FeaturesRefused::Count { found: 4, wanted: 3 });
    }

    #[test]
    fn bytes_that_are_no_features_are_refused() {
        let bytes = [released(vec![0; 3]).to_wire(), vec![0]].concat();
        assert!(matches!(read(&bytes, JOB, &a_policy(), 3), Err(FeaturesRefused::Encoding(_))));
        assert!(matches!(read(&[], JOB, &a_policy(), 3), Err(FeaturesRefused::Encoding(_))));
    }

    #[test]
    fn probabilities_stay_and_logits_are_normalised() {
        assert_eq!(scores_in_millionths(&[0.25, 0.75]), [250_000, 750_000]);
        let scores = scores_in_millionths(&[1_000.0, 999.0, -5.0]);
        assert_eq!(scores[2], 0);
        assert!((730_000..732_000).contains(&scores[0]), "{scores:?}");
    }
}
