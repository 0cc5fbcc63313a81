//! What an assessment is made of: inputs with their features and classes.

use crate::matrix::Matrix;

/// What inputs are: it decides how alike two of them are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Pictures with samples within 0 ..= 1.
    Picture {
        /// Channels.
        channels: usize,
        /// Rows of pixels.
        height: usize,
        /// Pixels of a row.
        width: usize,
    },
    /// Rows of numbers, of any units.
    Attributes {
        /// What each number is called.
        names: Vec<String>,
    },
}

/// Samples of one population: `[samples, inputs]`, `[samples, features]`, classes.
#[derive(Clone, Debug)]
pub struct Samples {
    /// What an attacker wants.
    pub inputs: Matrix,
    /// What the head makes of it, in units of the clip norm, before it is clipped.
    pub features: Matrix,
    /// The right class of each.
    pub labels: Vec<usize>,
}

/// Everything that attacks are tried on.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What inputs are.
    pub kind: Kind,
    /// What attackers learn from.
    pub reference: Samples,
    /// What they are tried on: inputs that neither the model nor they have seen.
    pub targets: Samples,
}

/// Why samples cannot be assessed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubjectError {
    /// Too few to say anything.
    #[error("the {part} has {found} samples, an assessment needs at least {least}")]
    TooFew {
        /// Which part.
        part: &'static str,
        /// Samples found.
        found: usize,
        /// Samples needed.
        least: usize,
    },
    /// Inputs, features and labels are not of one size.
    #[error("inputs, features and labels of the {part} are not of one size")]
    Sizes {
        /// Which part.
        part: &'static str,
    },
    /// A number that is not finite.
    #[error("sample {sample} of the {part} holds a number that is not finite")]
    NotFinite {
        /// Which part.
        part: &'static str,
        /// Sample, from 1.
        sample: usize,
    },
}

/// Fewest samples of either part: below it a share of them says nothing.
pub const LEAST_SAMPLES: usize = 16;

impl Subject {
    /// Checks that there is something to assess.
    ///
    /// # Errors
    /// [`SubjectError`].
    pub fn check(&self) -> Result<(), SubjectError> {
        let width = match &self.kind {
            Kind::Picture { channels, height, width } => channels * height * width,
            Kind::Attributes { names } => names.len(),
        };
        for (part, samples) in [("reference", &self.reference), ("held-out part", &self.targets)] {
            let Samples { inputs, features, labels } = samples;
            let found = labels.len();
            if found < LEAST_SAMPLES {
                return Err(SubjectError::TooFew { part, found, least: LEAST_SAMPLES });
            }
            let sizes = (inputs.columns(), features.columns(), inputs.rows(), features.rows());
            if sizes != (width, self.targets.features.columns(), found, found) || features.columns() == 0 {
                return Err(SubjectError::Sizes { part });
            }
            let finite =
                |sample: &usize| inputs.row(*sample).iter().chain(features.row(*sample)).all(|value| value.is_finite());
            if let Some(sample) = (0..found).find(|sample| !finite(sample)) {
                return Err(SubjectError::NotFinite { part, sample: sample + 1 });
            }
        }
        Ok(())
    }
}
