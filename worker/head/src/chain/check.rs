//! What a chain must hold to before it is run: shapes, units, counts, and bounds on work and memory.

use encompute_fhe::{AccumulatorBits, BootstrapSet, EncryptedFeatures, ParameterSet, ResponseBits};

use super::{Chain, ChainIndex, Step, cut};
use crate::geometry::GeometryError;
use crate::layer::{Layer, Shape};

/// Most bytes of the tensors of a chain that are there at one time, of which a value takes some 16 KB.
pub(crate) const MEMORY_LIMIT_BYTES: u64 = 1 << 30;
/// Most products of single values by weights: some twelve seconds of one core.
const PRODUCT_LIMIT: u64 = 1 << 24;

/// Why a step of a chain was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// It reads a tensor that no step before it gives.
    #[error("reads tensor {found}, {known} are known there")]
    NotYet {
        /// Tensor read.
        found: u16,
        /// Tensors known.
        known: usize,
    },
    /// A chain of no step, or of more than any may have.
    #[error("a chain of {found} steps, 1 to {limit} are allowed")]
    Steps {
        /// Steps found.
        found: usize,
        /// Steps allowed.
        limit: usize,
    },
    /// A last step that is no lookup: what is sent must be a table's, with fresh noise.
    #[error("the last step must look a table up")]
    Last,
    /// A tensor that nothing reads and that is not sent.
    #[error("nothing reads what it gives")]
    Unread,
    /// A tensor of a shape that the step does not take.
    #[error("takes {wanted} as {what}, found {found}")]
    Shape {
        /// Which operand.
        what: &'static str,
        /// Its shape.
        found: Shape,
        /// What is taken.
        wanted: Shape,
    },
    /// A sum of tensors whose integers are worth different amounts.
    #[error("adds integers of 2^-{found} to integers of 2^-{wanted}")]
    Units {
        /// Bits of the second tensor.
        found: u8,
        /// Bits of the first.
        wanted: u8,
    },
    /// Another number of numbers than channels.
    #[error("{found} {what}, one or {wanted} are needed")]
    Count {
        /// What was counted.
        what: &'static str,
        /// Number found.
        found: usize,
        /// Channels.
        wanted: usize,
    },
    /// A number outside its range.
    #[error("{what} is {found}, allowed are {min} to {max}")]
    OutOfRange {
        /// What the number is.
        what: &'static str,
        /// Number found.
        found: i64,
        /// Smallest allowed.
        min: i64,
        /// Largest allowed.
        max: i64,
    },
    /// A number of values for a ciphertext that cannot be packed.
    #[error("{found} values of a ciphertext, allowed are powers of two up to {}", Chain::MOST_TOGETHER)]
    Together {
        /// Number found.
        found: u8,
    },
    /// More segments than a chain may have.
    #[error("cut into {found} segments, at most {limit} are allowed")]
    Segments {
        /// Segments found.
        found: usize,
        /// Segments allowed.
        limit: usize,
    },
    /// A cut in front of the first step, or of one that another cut lies behind.
    #[error("the steps in front of which a chain is cut must rise, and the first is none of them")]
    CutOrder,
    /// A cut where nothing is looked up.
    #[error("a chain is cut in front of a lookup alone")]
    CutStep,
    /// A cut in front of a step that needs the layer's sums.
    #[error("the sums of the round's layer are read behind the cut")]
    CutSums,
    /// A layer that no head has.
    #[error("its layer cannot be")]
    Layer(#[from] GeometryError),
    /// More than a worker is asked to hold or to compute.
    #[error("{what} would be {found}, at most {limit} are allowed; a stride, pooling or fewer channels need less")]
    TooMuch {
        /// What is counted.
        what: &'static str,
        /// Count found.
        found: u64,
        /// Count allowed.
        limit: u64,
    },
}

/// What is known of a chain's tensors, the layer's sums first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub shapes: Vec<Shape>,
    pub bits: Vec<AccumulatorBits>,
    /// The last step that reads a tensor.
    pub last_read: Vec<usize>,
}

/// Bytes of one value: a mask of the ring's size, and a body.
fn value_bytes(parameter_set: ParameterSet) -> u64 {
    8 * (parameter_set.polynomial_size().0 as u64 + 1)
}

/// The facts of `chain` behind sums of this shape and width, which lie in `products` ciphertexts; or the step that
/// does not hold.
pub(crate) fn facts(
    chain: &Chain,
    set: BootstrapSet,
    (sums, bits, products): (Shape, AccumulatorBits, usize),
) -> Result<Facts, (usize, ChainError)> {
    let parameter_set = set.ring();
    let (found, limit) = (chain.steps.len(), Chain::STEP_LIMIT);
    if !(1..=limit).contains(&found) {
        return Err((0, ChainError::Steps { found, limit }));
    }
    let last = found - 1;
    let mut known = Facts { shapes: vec![sums], bits: vec![bits], last_read: vec![0] };
    let mut read = vec![false];
    let mut work = 0;
    for (index, step) in chain.steps.iter().enumerate() {
        let at = |error| (index, error);
        for of in step.reads() {
            let (found, known_tensors) = (of.0, known.shapes.len());
            *read.get_mut(of.place()).ok_or(at(ChainError::NotYet { found, known: known_tensors }))? = true;
            known.last_read[of.place()] = index;
        }
        let (shape, bits) = known.given(step, &mut work).map_err(at)?;
        limited("products of values by weights", work, PRODUCT_LIMIT).map_err(at)?;
        known.shapes.push(shape);
        known.bits.push(bits);
        known.last_read.push(last);
        read.push(false);
    }
    if !matches!(chain.steps[last], Step::Lookup { .. }) {
        return Err((last, ChainError::Last));
    }
    if let Some(unread) = read[..=last].iter().position(|read| !read) {
        return Err((unread.saturating_sub(1), ChainError::Unread));
    }
    check_response(chain, parameter_set, known.shapes[found]).map_err(|error| (last, error))?;
    known.check_memory(chain, parameter_set, products)?;
    cut::check(chain, &known, set)?;
    Ok(known)
}

impl Facts {
    /// Shape and width of what a step gives.
    fn given(&self, step: &Step, work: &mut u64) -> Result<(Shape, AccumulatorBits), ChainError> {
        let of = |of: ChainIndex| (self.shapes[of.place()], self.bits[of.place()]);
        match step {
            Step::Lookup { of: read, offset_half_units, tables, bits } => {
                let (shape, read_bits) = of(*read);
                check_lookup((shape, read_bits), offset_half_units, tables, *bits)?;
                Ok((shape, *bits))
            }
            Step::Linear { of: read, layer } => {
                let (shape, bits) = of(*read);
                layer.check()?;
                let wanted = layer.input_shape();
                let flat = matches!(layer, Layer::Dense { .. }) && wanted.len() == shape.len();
                if shape != wanted && !flat {
                    return Err(ChainError::Shape { what: "its input", found: shape, wanted });
                }
                let products = (layer.output_shape().len() as u64).saturating_mul(layer.fan_in() as u64);
                *work = work.saturating_add(products);
                Ok((layer.output_shape(), bits))
            }
            Step::Add { of: [one, other], .. } => {
                let ((shape, bits), (found, found_bits)) = (of(*one), of(*other));
                if found != shape {
                    return Err(ChainError::Shape { what: "the second summand", found, wanted: shape });
                }
                if found_bits != bits {
                    return Err(ChainError::Units { found: found_bits.0, wanted: bits.0 });
                }
                *work = work.saturating_add(2 * shape.len() as u64);
                Ok((shape, bits))
            }
        }
    }

    /// Refuses a chain whose tensors would not fit: a tensor is there from its step to the last that reads it.
    fn check_memory(
        &self,
        chain: &Chain,
        parameter_set: ParameterSet,
        products: usize,
    ) -> Result<(), (usize, ChainError)> {
        let values = |tensor: usize| (self.shapes[tensor].len() as u64).saturating_mul(value_bytes(parameter_set));
        let sums = 2 * 8 * (products * parameter_set.polynomial_size().0) as u64;
        for (index, step) in chain.steps.iter().enumerate() {
            let held = (1..=index).filter(|tensor| self.last_read[*tensor] >= index).map(values);
            let mut found = held.fold(values(index + 1), u64::saturating_add);
            if self.last_read[0] >= index {
                found = found.saturating_add(sums);
            }
            // A layer reads each value many times, so that sums are taken out of their ciphertexts first.
            if matches!(step, Step::Linear { of: ChainIndex::SUMS, .. }) {
                found = found.saturating_add(values(0));
            }
            limited("bytes of values at one time", found, MEMORY_LIMIT_BYTES).map_err(|error| (index, error))?;
        }
        Ok(())
    }
}

fn check_lookup(
    (shape, read): (Shape, AccumulatorBits),
    offset_half_units: &[i64],
    tables: &[[i16; 16]],
    bits: AccumulatorBits,
) -> Result<(), ChainError> {
    let least = Step::LEAST_LOOKUP_BITS.0;
    within("bits of what is looked up", read.0.into(), least.into(), AccumulatorBits::MAX.0.into())?;
    within("bits of what tables give", bits.0.into(), AccumulatorBits::MIN.0.into(), AccumulatorBits::MAX.0.into())?;
    for (what, found) in [("offsets", offset_half_units.len()), ("tables", tables.len())] {
        if found != 1 && found != shape.channels {
            return Err(ChainError::Count { what, found, wanted: shape.channels });
        }
    }
    let (turn, most) = (1i64 << read.0, bits.bound());
    offset_half_units.iter().try_for_each(|offset| within("twice an offset", *offset, -turn, turn))?;
    let values = tables.iter().flatten();
    values.map(|value| i64::from(*value)).try_for_each(|value| within("a table's value", value, -most, most))
}

/// What is sent: packed groups of the last tensor, a table's values at the unit of the wire.
fn check_response(chain: &Chain, parameter_set: ParameterSet, sent: Shape) -> Result<(), ChainError> {
    let found = chain.together;
    if !found.is_power_of_two() || found > Chain::MOST_TOGETHER {
        return Err(ChainError::Together { found });
    }
    let Some(Step::Lookup { tables, bits, .. }) = chain.steps.last() else { return Err(ChainError::Last) };
    let (least, most) = (AccumulatorBits::MIN.0 + chain.together_log2(), AccumulatorBits::MAX.0);
    within("bits of what the last tables give", bits.0.into(), least.into(), most.into())?;
    let bound = chain.response_accumulator_bits().bound();
    let values = tables.iter().flatten().map(|value| i64::from(*value));
    values.into_iter().try_for_each(|value| within("a sent value", value, -bound, bound))?;
    let groups = sent.len().div_ceil(usize::from(found)) as u64;
    let coefficients = groups * parameter_set.polynomial_size().0 as u64 + sent.len() as u64;
    let bytes = coefficients.saturating_mul(ResponseBits::MAX.0.into()) / 8;
    // A tenth is left for counts and padding to whole bytes.
    limited("bytes of a response", bytes, (EncryptedFeatures::LIMIT_BYTES / 10 * 9) as u64)
}

fn within(what: &'static str, found: i64, min: i64, max: i64) -> Result<(), ChainError> {
    if (min..=max).contains(&found) { Ok(()) } else { Err(ChainError::OutOfRange { what, found, min, max }) }
}

fn limited(what: &'static str, found: u64, limit: u64) -> Result<(), ChainError> {
    if found <= limit { Ok(()) } else { Err(ChainError::TooMuch { what, found, limit }) }
}
