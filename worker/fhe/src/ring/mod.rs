//! Exact products of ciphertexts with clear weight polynomials, modulo Xⁿ + 1 and 2⁶⁴.

mod lanes;
mod spectral;
mod taps;
mod transform;

use rayon::prelude::*;
use tfhe_ntt::native64::Plan32;

pub use self::lanes::CodePath;
use self::lanes::{Instructions, Lanes, Scalar};
use self::spectral::Spectra;
use self::taps::Taps;
use self::transform::{Batch, Scratch, Transform};
use crate::expand::Ciphertext;
use crate::params::ParameterSet;

/// Why a product was not computed. Nothing has been computed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// Not as many ciphertexts as the weights have inputs.
    #[error("{found} input ciphertexts, the weights take {wanted}")]
    InputCount {
        /// Ciphertexts found.
        found: usize,
        /// Inputs of the weights.
        wanted: usize,
    },
    /// A ciphertext of another ring.
    #[error("input ciphertext {index} is not one of {parameter_set}")]
    InputSize {
        /// Index of the ciphertext.
        index: usize,
        /// The ring's set.
        parameter_set: ParameterSet,
    },
    /// Not as many products as the layout has pieces.
    #[error("{found} products, the layout has {wanted} pieces")]
    ProductCount {
        /// Products found.
        found: usize,
        /// Pieces of the layout.
        wanted: usize,
    },
    /// Another number of weight polynomials than outputs times inputs, or none.
    #[error("{found} weight polynomials are no {outputs} × {inputs} matrix")]
    WeightCount {
        /// Polynomials found.
        found: usize,
        /// Outputs asked for.
        outputs: usize,
        /// Inputs asked for.
        inputs: usize,
    },
    /// A weight polynomial longer than the ring's.
    #[error("a weight polynomial has {found} coefficients, {parameter_set} allows {limit}")]
    WeightLength {
        /// Coefficients of the longest polynomial.
        found: usize,
        /// The ring's polynomial size.
        limit: usize,
        /// The ring's set.
        parameter_set: ParameterSet,
    },
}

/// Clear weights: one polynomial for each output and input, output by output. Trailing zero
/// coefficients may be left out.
pub struct WeightPolynomials {
    outputs: usize,
    inputs: usize,
    polynomials: Vec<Vec<i8>>,
}

impl WeightPolynomials {
    /// A matrix of `outputs × inputs` polynomials, in rows.
    ///
    /// # Errors
    /// [`RingError::WeightCount`] if there is another number of them, or none.
    pub fn new(outputs: usize, inputs: usize, polynomials: Vec<Vec<i8>>) -> Result<Self, RingError> {
        match outputs.checked_mul(inputs) {
            Some(wanted) if wanted > 0 && wanted == polynomials.len() => Ok(Self { outputs, inputs, polynomials }),
            _ => Err(RingError::WeightCount { found: polynomials.len(), outputs, inputs }),
        }
    }

    fn longest(&self) -> usize {
        self.polynomials.iter().map(Vec::len).max().unwrap_or(0)
    }

    fn of(&self, output: usize, input: usize) -> &[i8] {
        &self.polynomials[output * self.inputs + input]
    }

    /// Largest sum of squared weights over the polynomials of one output: what noise is multiplied by.
    pub fn largest_energy(&self) -> u64 {
        let energy = |row: &[Vec<i8>]| row.iter().flatten().map(|w| i64::from(*w).pow(2) as u64).sum();
        self.polynomials.chunks(self.inputs).map(energy).max().unwrap_or(0)
    }
}

enum Kernel {
    Taps(Vec<Taps>),
    Spectra(Spectra),
    Ntt,
}

/// Weights made ready for [`Ring::multiply`]; keeps the clear ones for the exact fallback.
pub struct PreparedWeights {
    clear: WeightPolynomials,
    kernel: Kernel,
}

impl PreparedWeights {
    /// Outputs: ciphertexts that a product gives.
    pub fn outputs(&self) -> usize {
        self.clear.outputs
    }

    /// Inputs: ciphertexts that a product takes.
    pub fn inputs(&self) -> usize {
        self.clear.inputs
    }
}

/// The ring of one parameter set, on one code path.
pub struct Ring {
    parameter_set: ParameterSet,
    path: CodePath,
    transform: Transform,
    scratch: Scratch,
    ntt: Option<Plan32>,
}

impl Ring {
    /// The ring of `parameter_set`, computing on `path`.
    pub fn new(parameter_set: ParameterSet, path: CodePath) -> Self {
        let size = parameter_set.polynomial_size().0;
        Self {
            parameter_set,
            path,
            transform: Transform::new(size),
            scratch: Scratch::default(),
            ntt: Plan32::try_new(size),
        }
    }

    /// The set whose ciphertexts it multiplies.
    pub fn parameter_set(&self) -> ParameterSet {
        self.parameter_set
    }

    /// The path it computes on.
    pub fn path(&self) -> CodePath {
        self.path
    }

    /// Makes weights ready: transforms them, or lists their taps when there are few.
    ///
    /// # Errors
    /// [`RingError::WeightLength`] if a polynomial is longer than the ring's.
    pub fn prepare(&self, weights: WeightPolynomials) -> Result<PreparedWeights, RingError> {
        let (found, limit) = (weights.longest(), self.parameter_set.polynomial_size().0);
        if found > limit {
            return Err(RingError::WeightLength { found, limit, parameter_set: self.parameter_set });
        }
        let taps: Option<Vec<Taps>> = weights.polynomials.iter().map(|polynomial| taps::taps(polynomial)).collect();
        let kernel = match (self.path.0, taps) {
            (Instructions::Ntt, _) => Kernel::Ntt,
            (_, Some(taps)) => Kernel::Taps(taps),
            #[cfg(target_arch = "x86_64")]
            (Instructions::Avx512(lanes), None) => Kernel::Spectra(self.spectra(lanes, &weights)),
            #[cfg(target_arch = "x86_64")]
            (Instructions::Avx2(lanes), None) => Kernel::Spectra(self.spectra(lanes, &weights)),
            (Instructions::Portable, None) => Kernel::Spectra(self.spectra(Scalar, &weights)),
        };
        Ok(PreparedWeights { clear: weights, kernel })
    }

    fn spectra<L: Lanes>(&self, lanes: L, weights: &WeightPolynomials) -> Spectra {
        Spectra::new(lanes, &self.transform, weights.outputs, weights.inputs, |output, input| weights.of(output, input))
    }

    /// For each output, the sum over the inputs of input times weight; bit for bit the same on every
    /// path and any number of threads.
    ///
    /// # Errors
    /// [`RingError::InputCount`], [`RingError::InputSize`].
    pub fn multiply(&self, inputs: &[Ciphertext], weights: &PreparedWeights) -> Result<Vec<Ciphertext>, RingError> {
        let size = self.parameter_set.polynomial_size().0;
        if inputs.len() != weights.inputs() {
            return Err(RingError::InputCount { found: inputs.len(), wanted: weights.inputs() });
        }
        if let Some(index) = inputs.iter().position(|input| input.mask.len() != size || input.body.len() != size) {
            return Err(RingError::InputSize { index, parameter_set: self.parameter_set });
        }
        Ok(match (&weights.kernel, self.path.0) {
            (Kernel::Taps(taps), path) => self.multiply_taps(inputs, weights, taps, path),
            #[cfg(target_arch = "x86_64")]
            (Kernel::Spectra(spectra), Instructions::Avx512(l)) => self.multiply_spectra(l, inputs, weights, spectra),
            #[cfg(target_arch = "x86_64")]
            (Kernel::Spectra(spectra), Instructions::Avx2(l)) => self.multiply_spectra(l, inputs, weights, spectra),
            (Kernel::Spectra(spectra), Instructions::Portable) => {
                self.multiply_spectra(Scalar, inputs, weights, spectra)
            }
            (Kernel::Ntt, _) | (_, Instructions::Ntt) => self.all_exact(inputs, weights),
        })
    }

    fn multiply_taps(
        &self,
        inputs: &[Ciphertext],
        weights: &PreparedWeights,
        taps: &[Taps],
        path: Instructions,
    ) -> Vec<Ciphertext> {
        let output = |row: &[Taps]| {
            let mut sum = Ciphertext::zero(self.parameter_set);
            for (input, taps) in inputs.iter().zip(row) {
                match path {
                    #[cfg(target_arch = "x86_64")]
                    Instructions::Avx512(l) => taps::add_product(l, &mut sum, input, taps),
                    #[cfg(target_arch = "x86_64")]
                    Instructions::Avx2(l) => taps::add_product(l, &mut sum, input, taps),
                    Instructions::Portable | Instructions::Ntt => taps::add_product(Scalar, &mut sum, input, taps),
                }
            }
            sum
        };
        taps.par_chunks(weights.inputs()).map(output).collect()
    }

    fn multiply_spectra<L: Lanes>(
        &self,
        lanes: L,
        inputs: &[Ciphertext],
        weights: &PreparedWeights,
        spectra: &Spectra,
    ) -> Vec<Ciphertext> {
        let rows = self.transform.rows();
        let batches: Vec<Batch> = inputs
            .par_chunks(2)
            .map(|pair| {
                let batch = self.scratch.take(rows);
                spectral::forward_pair(lanes, &self.transform, batch, pair.first(), pair.get(1))
            })
            .collect();
        let mut products = vec![Ciphertext::zero(self.parameter_set); weights.outputs()];
        products.par_chunks_mut(2).enumerate().for_each(|(pair, outputs)| {
            let mut sums = self.scratch.take(rows);
            let residue = spectra.add_products(lanes, &self.transform, &batches, pair, &mut sums, outputs);
            self.scratch.give([sums]);
            if !residue.is_exact() {
                for (at, output) in outputs.iter_mut().enumerate() {
                    *output = self.exact(inputs, weights, 2 * pair + at);
                }
            }
        });
        self.scratch.give(batches);
        products
    }

    fn all_exact(&self, inputs: &[Ciphertext], weights: &PreparedWeights) -> Vec<Ciphertext> {
        (0..weights.outputs()).into_par_iter().map(|output| self.exact(inputs, weights, output)).collect()
    }

    /// One output by number-theoretic transforms: no rounding anywhere.
    fn exact(&self, inputs: &[Ciphertext], weights: &PreparedWeights, output: usize) -> Ciphertext {
        let mut sum = Ciphertext::zero(self.parameter_set);
        for (input, ciphertext) in inputs.iter().enumerate() {
            let weight = weights.clear.of(output, input);
            sum.add(&Ciphertext {
                mask: self.exact_product(&ciphertext.mask, weight),
                body: self.exact_product(&ciphertext.body, weight),
            });
        }
        sum
    }

    fn exact_product(&self, left: &[u64], right: &[i8]) -> Vec<u64> {
        let Some(plan) = &self.ntt else { return crate::reference::negacyclic_product(left, right) };
        let mut wide = vec![0; left.len()];
        for (wide, weight) in wide.iter_mut().zip(right) {
            *wide = i64::from(*weight) as u64;
        }
        let mut product = vec![0; left.len()];
        plan.negacyclic_polymul(&mut product, left, &wide);
        product
    }
}
