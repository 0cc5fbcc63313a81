//! Random heads against their own definition, and their noise against its proof: `encompute bench exact` and `noise`.

use encompute_fhe::{AccumulatorBits, BlindingSeed};

use crate::backend::{Backend, ClearBackend, EvaluateError, evaluate_round};
use crate::compile::{CompileError, CompileOptions, CompiledHead, compile};
use crate::geometry::Geometry;
use crate::layer::{Axis, Layer};
use crate::measure::{Keys, MeasureError, Numbers, PARAMETER_SET, TensorOwner, bootstrapped};
use crate::noise::variances;
use crate::plan::{Domain, HeadPlan, Mode, RoundIndex, RoundPlan};
use crate::program::Program;
use crate::weights::HeadWeights;

/// Heads that share a key: making one costs as much as a small head.
const HEADS_PER_KEY: u64 = 16;

/// A kind of layer, of which any number of random ones can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Every input meets every output.
    Dense,
    /// Two-dimensional, all channels with all.
    Convolution,
    /// One row.
    Convolution1d,
    /// Each channel by itself.
    Depthwise,
    /// In groups, with uneven strides, dilations and paddings.
    Grouped,
    /// A dense layer for each of many rows.
    Matmul,
    /// Values of four bits in random order, each looked up in a random table by a bootstrap. They lie in the middle of
    /// their bins, so that no noise within the proof's bound can take them to another.
    Lookup,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Dense,
        Self::Convolution,
        Self::Convolution1d,
        Self::Depthwise,
        Self::Grouped,
        Self::Matmul,
        Self::Lookup,
    ];

    /// As rows are named.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Convolution => "conv-2d",
            Self::Convolution1d => "conv-1d",
            Self::Depthwise => "depthwise",
            Self::Grouped => "grouped",
            Self::Matmul => "matmul",
            Self::Lookup => "lookup",
        }
    }

    fn random(self, numbers: &mut Numbers) -> Layer {
        let mut upto = |least: u32, most: u32| least + (numbers.next() % u64::from(most - least + 1)) as u32;
        match self {
            Self::Dense => Layer::Dense { inputs: upto(1, 1_200), outputs: upto(1, 600) },
            Self::Matmul => Layer::matmul(upto(1, 48), upto(1, 96), upto(1, 96)),
            Self::Lookup => Layer::Dense { inputs: upto(16, 1_024), outputs: upto(128, 1_024) },
            Self::Convolution | Self::Convolution1d | Self::Depthwise | Self::Grouped => {
                let even = !matches!(self, Self::Grouped);
                let mut axis = |most: u32| {
                    let (kernel, stride) = (upto(1, 5), upto(1, if even { 2 } else { 4 }));
                    let dilation = if even { 1 } else { upto(1, 3) };
                    let (before, after) = if even { (kernel / 2, kernel / 2) } else { (upto(0, 3), upto(0, 3)) };
                    let image = upto((kernel - 1) * dilation + 1, most);
                    Axis::new(image, kernel).strided(stride).dilated(dilation).padded(before, after)
                };
                let rows = if self == Self::Convolution1d { Axis::new(1, 1) } else { axis(40) };
                let columns = axis(if self == Self::Convolution1d { 900 } else { 40 });
                match self {
                    Self::Depthwise => Layer::depthwise(upto(1, 16), rows, columns),
                    Self::Grouped => {
                        let (groups, inputs, outputs) = (upto(1, 4), upto(1, 4), upto(1, 4));
                        let (channels, out_channels) = (groups * inputs, groups * outputs);
                        Layer::Conv2d { channels, out_channels, groups, rows, columns }
                    }
                    _ => Layer::conv(upto(1, 8), upto(1, 8), rows, columns),
                }
            }
        }
    }
}

/// What was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Random heads, each with random weights and inputs.
    pub heads: u64,
    /// Decrypted outputs that were compared with the clear program's.
    pub outputs: u64,
    /// Of these, how many were not equal.
    pub mismatches: u64,
}

/// Compares at least `outputs` outputs of random heads of one kind: encrypted, evaluated with blinding as a worker
/// does, decrypted, against the layer's definition. `fresh` makes a key's owner; `seed` chooses heads and inputs.
/// Every fourth head has weights and inputs at the ends of their ranges, so that sums come close to their bounds.
///
/// # Errors
/// [`MeasureError`], where a head that should run does not.
pub fn compare<O: TensorOwner>(
    kind: Kind,
    outputs: u64,
    seed: u64,
    fresh: impl Fn() -> O,
) -> Result<Compared, MeasureError> {
    let mut numbers = Numbers::new(seed);
    let mut compared = Compared::default();
    let mut owner = fresh();
    while compared.outputs < outputs {
        if compared.heads % HEADS_PER_KEY == HEADS_PER_KEY - 1 {
            owner = fresh();
        }
        let layer = kind.random(&mut numbers);
        let extreme = compared.heads % 4 == 3;
        let (head, inputs) = match kind {
            Kind::Lookup => lookups(layer, &mut numbers)?,
            _ => sums(layer, extreme, &mut numbers)?,
        };
        let (found, mismatches) = one(&head, &inputs, &mut numbers, &owner)?;
        compared.heads += 1;
        compared.outputs += found;
        compared.mismatches += mismatches;
    }
    Ok(compared)
}

/// A head of one layer, and an input.
type Chosen = (CompiledHead, Vec<i64>);

fn sums(layer: Layer, extreme: bool, numbers: &mut Numbers) -> Result<Chosen, MeasureError> {
    let input = Domain { bits: 2 + (numbers.next() % 8) as u8, signed: numbers.next().is_multiple_of(2) };
    let mut draw = |least: i64, most: i64| {
        let number = numbers.next();
        match (extreme, number.is_multiple_of(2)) {
            (true, true) => least,
            (true, false) => most,
            (false, _) => least + (number % (most - least + 1) as u64) as i64,
        }
    };
    let weights: Vec<i8> = (0..layer.weight_count()).map(|_| draw(-128, 127) as i8).collect();
    let inputs: Vec<i64> = (0..layer.input_shape().len()).map(|_| draw(input.min(), input.max())).collect();
    let round = RoundPlan::fitted(PARAMETER_SET, layer, input, &weights)?;
    let program = Program::single_round(Domain { bits: Domain::MAX_BITS, signed: true });
    let plan = HeadPlan::new(PARAMETER_SET, Mode::Linear, vec![round], program)?;
    Ok((compile(plan, HeadWeights::new(vec![weights]), &CompileOptions::default())?, inputs))
}

fn lookups(layer: Layer, numbers: &mut Numbers) -> Result<Chosen, MeasureError> {
    let input = Domain { bits: 4, signed: false };
    let inputs: Vec<i64> = (0..layer.input_shape().len()).map(|_| (numbers.next() % 16) as i64).collect();
    let table: [i16; 16] = core::array::from_fn(|_| (numbers.next() % 16) as i16);
    let mut weights = vec![0i8; layer.weight_count()];
    for row in weights.chunks_exact_mut(inputs.len()) {
        row[numbers.next() as usize % inputs.len()] = 1;
    }
    let head = bootstrapped((layer, input, weights), [0, 15], &|_, value| table[value as usize])?;
    Ok((head, inputs))
}

fn one(
    head: &CompiledHead,
    inputs: &[i64],
    numbers: &mut Numbers,
    owner: &impl TensorOwner,
) -> Result<(u64, u64), MeasureError> {
    let (first, round) = (RoundIndex(0), &head.plan().rounds()[0]);
    let request = owner.encrypt(inputs, head.input_layout(first)?, round.accumulator_bits);
    let request = request.map_err(MeasureError::Owner)?;
    let keys = Keys::new(head, owner)?;
    let seed = BlindingSeed::new(core::array::from_fn(|_| numbers.next() as u8));
    let response = evaluate_round(head, first, &request, &keys.blinding, keys.evaluation.as_ref(), &seed)?;
    let bits = round.response_accumulator_bits();
    let found = owner.decrypt(&response, head.output_layout(first)?, bits).map_err(MeasureError::Owner)?;
    let clear: Vec<i64> = ClearBackend.evaluate(head, first, &inputs.to_vec())?;
    if found.len() != clear.len() {
        let (found, wanted) = (found.len(), clear.len());
        return Err(EvaluateError::InputCount { what: "sums", found, wanted }.into());
    }
    let mismatches = found.iter().zip(&clear).filter(|(found, clear)| found != clear).count();
    Ok((clear.len() as u64, mismatches as u64))
}

/// Noise of decrypted outputs, in units of 2⁻⁶⁴ of the torus.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Requests that were encrypted and run.
    pub encryptions: u64,
    /// Outputs whose noise was read.
    pub outputs: u64,
    /// Mean of the squares of their noise.
    pub measured_variance: f64,
    /// What the proof's formula gives for a key of as many ones as keys have on average, half of its coefficients.
    pub expected_variance: f64,
    /// What the proof assumes: a key of more ones than almost any has.
    pub proved_variance: f64,
    /// Largest noise read, of the margin within which it is rounded away.
    pub largest_of_margin: f64,
}

/// The layer whose noise is measured: its weights all have one magnitude and fill every product, so that every
/// output has the same variance.
const NOISE_LAYER: Layer = Layer::Dense { inputs: 784, outputs: 65 };
const NOISE_WEIGHT: i8 = 74;

/// Reads the noise of `encryptions` requests through encryption, upload, product, blinding and response. `fresh` makes
/// a key's owner, of which every sixteenth encryption has a new one.
///
/// # Errors
/// [`MeasureError`], where the head does not run.
pub fn noise<O: TensorOwner>(encryptions: u64, seed: u64, fresh: impl Fn() -> O) -> Result<Noise, MeasureError> {
    let mut numbers = Numbers::new(seed);
    let mut sign = || if numbers.next().is_multiple_of(2) { NOISE_WEIGHT } else { -NOISE_WEIGHT };
    let weights: Vec<i8> = (0..NOISE_LAYER.weight_count()).map(|_| sign()).collect();
    let round = RoundPlan::fitted(PARAMETER_SET, NOISE_LAYER, Domain::U8, &weights)?;
    let energy = Geometry::new(PARAMETER_SET, round.layer, round.tiling)
        .and_then(|geometry| geometry.weight_polynomials(&weights))
        .map_err(|source| CompileError::Geometry { round: 0, source })?
        .largest_energy();
    let half = PARAMETER_SET.polynomial_size().0 as f64 / 2.0;
    let expected_variance = variances(PARAMETER_SET, &round, energy, half, None).iter().sum();
    let program = Program::single_round(Domain { bits: Domain::MAX_BITS, signed: true });
    let plan = HeadPlan::new(PARAMETER_SET, Mode::Linear, vec![round.clone()], program)?;
    let head = compile(plan, HeadWeights::new(vec![weights]), &CompileOptions::default())?;
    let (bits, wide) = (round.accumulator_bits, AccumulatorBits(round.response_bits.0));
    let (shift, unit) = (wide.0 - bits.0, f64::from(64 - wide.0).exp2());
    let (mut squares, mut largest, mut outputs) = (0.0, 0.0f64, 0);
    let first = RoundIndex(0);
    let mut owner = fresh();
    for run in 0..encryptions {
        if run % HEADS_PER_KEY == HEADS_PER_KEY - 1 {
            owner = fresh();
        }
        let inputs: Vec<i64> = (0..NOISE_LAYER.input_shape().len()).map(|_| (numbers.next() % 256) as i64).collect();
        let request = owner.encrypt(&inputs, head.input_layout(first)?, bits).map_err(MeasureError::Owner)?;
        let key = head.prepare_key(owner.blinding_key())?;
        let seed = BlindingSeed::new(core::array::from_fn(|_| numbers.next() as u8));
        let response = evaluate_round(&head, first, &request, &key, None, &seed)?;
        // Read at the response's full width, the sums keep their noise.
        let read = owner.decrypt(&response, head.output_layout(first)?, wide).map_err(MeasureError::Owner)?;
        let clear: Vec<i64> = ClearBackend.evaluate(&head, first, &inputs)?;
        for (read, sum) in read.iter().zip(clear) {
            let noise = (read - (sum << shift)) as f64 * unit;
            squares += noise * noise;
            largest = largest.max(noise.abs());
            outputs += 1;
        }
    }
    let proof = &head.proofs()[0];
    Ok(Noise {
        encryptions,
        outputs,
        measured_variance: squares / (outputs as f64).max(1.0),
        expected_variance,
        proved_variance: proof.variance(),
        largest_of_margin: largest / f64::from(proof.margin_log2).exp2(),
    })
}
