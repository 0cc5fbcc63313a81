//! Exact products of ciphertexts with clear weight polynomials, modulo Xⁿ + 1 and 2⁶⁴.

pub(crate) mod lanes;
mod spectral;
mod taps;
pub(crate) mod transform;
mod wide;
mod zeros;

use rayon::prelude::*;
use tfhe_ntt::native64::Plan32;

pub use self::lanes::CodePath;
use self::lanes::{Instructions, LANES, Lanes, Scalar};
use self::spectral::{Back, Residue, Spectra};
use self::taps::{Extended, Taps};
use self::transform::{Batch, Scratch, Transform};
pub use self::zeros::PreparedBlindingKey;
use self::zeros::Zeros;
use crate::blinding::{Blinding, Source};
use crate::expand::{Ciphertext, expand_blinding_key};
use crate::message::BlindingKey;
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

/// What one multiplication takes.
#[derive(Clone, Copy)]
struct Operands<'a> {
    inputs: &'a [Ciphertext],
    weights: &'a PreparedWeights,
    /// What the outputs are blinded with, if they are.
    zeros: Option<Zeros<'a>>,
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

    /// Makes weights ready: transforms them, or lists their taps when that makes faster products.
    ///
    /// # Errors
    /// [`RingError::WeightLength`] if a polynomial is longer than the ring's.
    pub fn prepare(&self, weights: WeightPolynomials) -> Result<PreparedWeights, RingError> {
        let (found, limit) = (weights.longest(), self.parameter_set.polynomial_size().0);
        if found > limit {
            return Err(RingError::WeightLength { found, limit, parameter_set: self.parameter_set });
        }
        let taps = taps::cheaper(weights.inputs, weights.outputs, &weights.polynomials);
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

    /// Expands a case's blinding key, for all the products that it will blind. The first of them transforms it.
    ///
    /// # Errors
    /// [`RingError::InputSize`] if the key is of another parameter set.
    pub fn prepare_key(&self, key: &BlindingKey) -> Result<PreparedBlindingKey, RingError> {
        let parameter_set = self.parameter_set;
        if key.parameter_set() != parameter_set {
            return Err(RingError::InputSize { index: 0, parameter_set });
        }
        Ok(PreparedBlindingKey::new(parameter_set, expand_blinding_key(key)))
    }

    /// For each output, the sum over the inputs of input times weight; bit for bit the same on every
    /// path and any number of threads.
    ///
    /// # Errors
    /// [`RingError::InputCount`], [`RingError::InputSize`].
    pub fn multiply(&self, inputs: &[Ciphertext], weights: &PreparedWeights) -> Result<Vec<Ciphertext>, RingError> {
        self.check(inputs, weights)?;
        Ok(self.products(Operands { inputs, weights, zeros: None }))
    }

    /// The same, with an encryption of zero added to each output: ternary `u` times the key, and
    /// noise in the mask and the wanted bodies. Bodies that are not wanted have no noise.
    ///
    /// # Errors
    /// [`RingError::InputCount`], [`RingError::InputSize`], [`RingError::ProductCount`] if the wanted
    /// bodies are not given for every output.
    pub fn multiply_blinded(
        &self,
        inputs: &[Ciphertext],
        weights: &PreparedWeights,
        blinding: &Blinding<'_>,
    ) -> Result<Vec<Ciphertext>, RingError> {
        self.check(inputs, weights)?;
        let Blinding { key, seed, response_bits, first, wanted } = *blinding;
        if key.parameter_set() != self.parameter_set {
            return Err(RingError::InputSize { index: 0, parameter_set: self.parameter_set });
        }
        if wanted.len() != weights.outputs() {
            return Err(RingError::ProductCount { found: weights.outputs(), wanted: wanted.len() });
        }
        let width = self.parameter_set.blinding_modulus(response_bits);
        let source = Source::new(self.parameter_set, width, seed);
        let zeros = Some(Zeros { key, width, source: &source, first, wanted });
        Ok(self.products(Operands { inputs, weights, zeros }))
    }

    fn check(&self, inputs: &[Ciphertext], weights: &PreparedWeights) -> Result<(), RingError> {
        let size = self.parameter_set.polynomial_size().0;
        if inputs.len() != weights.inputs() {
            return Err(RingError::InputCount { found: inputs.len(), wanted: weights.inputs() });
        }
        match inputs.iter().position(|input| input.mask.len() != size || input.body.len() != size) {
            Some(index) => Err(RingError::InputSize { index, parameter_set: self.parameter_set }),
            None => Ok(()),
        }
    }

    fn products(&self, operands: Operands<'_>) -> Vec<Ciphertext> {
        match self.path.0 {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512(lanes) => self.products_on(lanes, operands),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2(lanes) => self.products_on(lanes, operands),
            Instructions::Portable => self.products_on(Scalar, operands),
            Instructions::Ntt => self.exact_products(operands),
        }
    }

    fn products_on<L: Lanes>(&self, lanes: L, operands: Operands<'_>) -> Vec<Ciphertext> {
        let rows = self.transform.rows();
        let ternaries: Vec<Batch> = operands.zeros.map_or(Vec::new(), |zeros| {
            let eight = |at| {
                let drawn = zeros.ternaries(at);
                zeros::forward_ternaries(lanes, &self.transform, self.scratch.take(rows), &drawn)
            };
            (0..zeros.wanted.len().div_ceil(LANES)).into_par_iter().map(eight).collect()
        });
        let products = match &operands.weights.kernel {
            Kernel::Spectra(spectra) => self.products_of_spectra(lanes, operands, spectra, &ternaries),
            Kernel::Taps(taps) => self.products_of_taps(lanes, operands, taps, &ternaries),
            Kernel::Ntt => self.exact_products(operands),
        };
        self.scratch.give(ternaries);
        products
    }

    fn products_of_spectra<L: Lanes>(
        &self,
        lanes: L,
        operands: Operands<'_>,
        spectra: &Spectra,
        ternaries: &[Batch],
    ) -> Vec<Ciphertext> {
        let (transform, rows) = (&self.transform, self.transform.rows());
        let Operands { inputs, weights, zeros } = operands;
        let batches: Vec<Batch> = inputs
            .par_chunks(2)
            .map(|pair| spectral::forward_pair(lanes, transform, self.scratch.take(rows), &pair[0], pair.get(1)))
            .collect();
        let keys = zeros.map(|zeros| zeros.in_limbs(lanes, transform, ternaries));
        let mut products = vec![Ciphertext::zero(self.parameter_set); weights.outputs()];
        if inputs.len() >= wide::LEAST_INPUTS {
            let memory = (transform, &self.scratch);
            let residues = wide::add_products(lanes, memory, spectra, &batches, keys, &mut products);
            products.par_chunks_mut(2).zip(residues).enumerate().for_each(|(pair, (outputs, residue))| {
                self.finish(lanes, operands, 2 * pair, residue, outputs);
            });
        } else {
            products.par_chunks_mut(2).enumerate().for_each(|(pair, outputs)| {
                let mut sums = self.scratch.take(rows);
                let back = Back { transform, sums: &mut sums, outputs: &mut *outputs };
                let residue = spectra.add_products(lanes, &batches, pair, keys.map(|keys| keys.of(pair)), back);
                self.scratch.give([sums]);
                self.finish(lanes, operands, 2 * pair, residue, outputs);
            });
        }
        self.scratch.give(batches);
        products
    }

    fn products_of_taps<L: Lanes>(
        &self,
        lanes: L,
        operands: Operands<'_>,
        taps: &[Taps],
        ternaries: &[Batch],
    ) -> Vec<Ciphertext> {
        let transform = &self.transform;
        let Operands { inputs, weights, zeros } = operands;
        let extended: Vec<Extended> = inputs.par_iter().map(Extended::new).collect();
        let keys = zeros.map(|zeros| zeros.alone(lanes, transform, ternaries));
        let together = keys.map_or(1, |keys| keys.together());
        let mut products = vec![Ciphertext::zero(self.parameter_set); weights.outputs()];
        products.par_chunks_mut(together).enumerate().for_each(|(at, outputs)| {
            taps::add_products(lanes, &extended, &taps[at * together * inputs.len()..], outputs);
            let Some(keys) = keys else { return };
            let mut sums = self.scratch.take(transform.rows());
            let residue = keys.add_products(lanes, at, Back { transform, sums: &mut sums, outputs: &mut *outputs });
            self.scratch.give([sums]);
            self.finish(lanes, operands, at * together, residue, outputs);
        });
        products
    }

    /// Does outputs from `first` on again if they are not exact, and adds the noise of their encryptions of zero.
    fn finish<L: Lanes>(
        &self,
        lanes: L,
        operands: Operands<'_>,
        first: usize,
        residue: Residue,
        outputs: &mut [Ciphertext],
    ) {
        for (at, output) in outputs.iter_mut().enumerate() {
            if !residue.is_exact() {
                *output = self.exact_product(operands, first + at);
            }
            if let Some(noise) = operands.zeros.map(|zeros| zeros.noise(first + at)) {
                lanes.run(
                    #[inline(always)]
                    || noise.add_to(output),
                );
            }
        }
    }

    /// All outputs by number-theoretic transforms: no rounding anywhere.
    fn exact_products(&self, operands: Operands<'_>) -> Vec<Ciphertext> {
        let outputs = (0..operands.weights.outputs()).into_par_iter();
        let product = |output| {
            let mut product = self.exact_product(operands, output);
            if let Some(zeros) = operands.zeros {
                zeros.noise(output).add_to(&mut product);
            }
            product
        };
        outputs.map(product).collect()
    }

    /// One of them without the noise of an encryption of zero.
    fn exact_product(&self, Operands { inputs, weights, zeros }: Operands<'_>, output: usize) -> Ciphertext {
        let mut sum = Ciphertext::zero(self.parameter_set);
        let mut add = |ciphertext: &Ciphertext, weight: &[i8]| {
            sum.add(&Ciphertext {
                mask: self.exact_polynomial(&ciphertext.mask, weight),
                body: self.exact_polynomial(&ciphertext.body, weight),
            });
        };
        for (input, ciphertext) in inputs.iter().enumerate() {
            add(ciphertext, weights.clear.of(output, input));
        }
        if let Some(zeros) = zeros {
            let ternary = zeros.ternaries(output / LANES).polynomial(output % LANES);
            add(&zeros.key.clear(zeros.width), &ternary);
        }
        sum
    }

    fn exact_polynomial(&self, left: &[u64], right: &[i8]) -> Vec<u64> {
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
