//! What the client does between rounds: pure integers, clamped, never refusing a value.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::layer::Shape;
use crate::plan::{Activation, Pooling, RoundPlan};

/// Values that come from decrypted sums: next round's input, or the features. Cannot be printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct QuantisedValues(Vec<i64>);

impl QuantisedValues {
    /// The values, for encryption or release.
    pub fn expose(&self) -> &[i64] {
        &self.0
    }
}

/// Another number of sums than the round gives: a fault of the program, not of a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} sums, the round gives {wanted}")]
pub struct StepError {
    /// Sums found.
    pub found: usize,
    /// Sums of the round.
    pub wanted: usize,
}

/// Bias, activation, pooling, rescale and clamp of one round's sums.
///
/// Whatever the sums are, the result is a value of the step's output domain: what the client does
/// next must not depend on whether a decrypted value looks right.
///
/// # Errors
/// [`StepError`] if the number of sums is not the round's.
pub fn client_step(round: &RoundPlan, sums: &[i64]) -> Result<QuantisedValues, StepError> {
    let shape = round.sums();
    if sums.len() != shape.len() {
        return Err(StepError { found: sums.len(), wanted: shape.len() });
    }
    let step = &round.step;
    let pixels = shape.rows * shape.columns;
    let mut values: Vec<i64> = sums
        .iter()
        .enumerate()
        .map(|(at, sum)| {
            let biased = sum.saturating_add(step.bias.get(at / pixels).copied().unwrap_or(0));
            if step.activation == Activation::Relu { biased.max(0) } else { biased }
        })
        .collect();
    let pooled = match step.pooling {
        Pooling::None => core::mem::take(&mut values),
        Pooling::Average { size } => {
            pool(&values, shape, size.into(), |window| window.fold(0, |sum: i64, value| sum.saturating_add(value)))
        }
        Pooling::Max { size } => pool(&values, shape, size.into(), |window| window.fold(i64::MIN, i64::max)),
    };
    values.zeroize();
    let pixels = pooled.len() / shape.channels;
    let multiplier = |channel: usize| match step.rescale.multipliers.as_slice() {
        [one] => *one,
        each => each.get(channel).copied().unwrap_or(0),
    };
    let half = (1i128 << step.rescale.shift) >> 1;
    let (low, high) = (i128::from(step.output.min()), i128::from(step.output.max()));
    let rescaled = pooled.iter().enumerate().map(|(at, value)| {
        let scaled = i128::from(*value) * i128::from(multiplier(at / pixels.max(1))) + half;
        (scaled >> step.rescale.shift).clamp(low, high) as i64
    });
    Ok(QuantisedValues(rescaled.collect()))
}

fn pool(values: &[i64], shape: Shape, size: usize, join: impl Fn(&mut dyn Iterator<Item = i64>) -> i64) -> Vec<i64> {
    let (rows, columns) = (shape.rows / size, shape.columns / size);
    let mut pooled = Vec::with_capacity(shape.channels * rows * columns);
    for channel in 0..shape.channels {
        for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
            let mut window = (0..size * size).map(|place| {
                let (row, column) = (y * size + place / size, x * size + place % size);
                values[(channel * shape.rows + row) * shape.columns + column]
            });
            pooled.push(join(&mut window));
        }
    }
    pooled
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::geometry::Tiling;
    use crate::layer::{Axis, Layer};
    use crate::plan::{ClientStep, Domain, Rescale};
    use encompute_fhe::{AccumulatorBits, ResponseBits, UploadBits};
    use proptest::prelude::*;

    fn image_round(step: ClientStep) -> RoundPlan {
        RoundPlan {
            layer: Layer::conv(1, 2, Axis::new(5, 1), Axis::new(4, 1)),
            input: Domain::U8,
            tiling: Tiling { channels_per_ciphertext: 1, tile_rows: 5, tile_columns: 4 },
            accumulator_bits: AccumulatorBits(20),
            upload_bits: UploadBits::STANDARD,
            response_bits: ResponseBits(32),
            step,
        }
    }

    #[test]
    fn bias_activation_pooling_and_rescale_follow_each_other() {
        let step = ClientStep {
            bias: vec![-10, 100],
            activation: Activation::Relu,
            pooling: Pooling::Average { size: 2 },
            rescale: Rescale { multipliers: vec![1, 3], shift: 2 },
            output: Domain::U8,
        };
        let sums: Vec<i64> = (0..40).collect();
        // First window of channel 0: 0, 1, 4, 5 less ten are all cut to zero. Last one: 10, 11, 14,
        // 15 give 0 + 1 + 4 + 5 = 10, and (10 + 2) >> 2 = 3. Channel 1 starts with 120, 121, 124, 125.
        let round = image_round(step);
        let found = client_step(&round, &sums).unwrap();
        assert_eq!(found.expose(), [0, 0, 1, 3, 255, 255, 255, 255]);
        assert_eq!(round.outputs().len(), 8);
    }

    #[test]
    fn the_largest_value_of_a_window_is_kept() {
        let step = ClientStep { pooling: Pooling::Max { size: 4 }, ..ClientStep::identity(Domain::I8) };
        let sums: Vec<i64> = (0..40).map(|at| if at % 2 == 0 { -at } else { at }).collect();
        assert_eq!(client_step(&image_round(step), &sums).unwrap().expose(), [15, 35]);
    }

    #[test]
    fn halves_are_rounded_up() {
        let step = ClientStep {
            rescale: Rescale { multipliers: vec![1], shift: 1 },
            ..ClientStep::identity(Domain { bits: 16, signed: true })
        };
        let mut sums = vec![0; 40];
        sums[..4].copy_from_slice(&[3, -3, 5, -5]);
        assert_eq!(client_step(&image_round(step), &sums).unwrap().expose()[..4], [2, -1, 3, -2]);
    }

    proptest! {
        #[test]
        fn every_value_ends_in_the_domain(
            sums in prop::collection::vec(any::<i64>(), 40),
            bias in any::<i32>(),
            multiplier in any::<u32>(),
            shift in 0u8..=62,
            size in 1u8..=4,
        ) {
            let step = ClientStep {
                bias: vec![bias.into(); 2],
                activation: Activation::Identity,
                pooling: Pooling::Average { size },
                rescale: Rescale { multipliers: vec![multiplier], shift },
                output: Domain::I8,
            };
            let found = client_step(&image_round(step), &sums).unwrap();
            prop_assert!(found.expose().iter().all(|value| (-128..=127).contains(value)));
        }
    }
}
