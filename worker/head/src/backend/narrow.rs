//! Sums of small values: sixteen bits to multiply, thirty-two to add, several positions at a time. Creators run heads on
//! whole sets of samples, and most of that time is here.

use crate::layer::{Axis, Layer, Shape};

/// Positions that meet a row of weights while it is at hand.
const TOGETHER: usize = 4;

/// The layer's sums, if neither a value nor a sum can be too large.
pub(super) fn sums(layer: &Layer, weights: &[i8], values: &[i64]) -> Option<Vec<i64>> {
    let fan_in = layer.fan_in();
    let largest = values.iter().map(|value| value.unsigned_abs()).max().unwrap_or(0);
    let sum = u128::from(largest) * u128::from(i8::MIN.unsigned_abs()) * fan_in as u128;
    if largest > i16::MAX as u64 || sum > i32::MAX as u128 || fan_in == 0 {
        return None;
    }
    let weights: Vec<i16> = weights.iter().map(|weight| i16::from(*weight)).collect();
    let values: Vec<i16> = values.iter().map(|value| *value as i16).collect();
    let Layer::Conv2d { channels, groups, rows, columns, .. } = *layer else {
        return Some(weights.chunks_exact(fan_in).map(|row| i64::from(dot(row, &values))).collect());
    };
    let (image, shape) = (layer.input_shape(), layer.output_shape());
    let (positions, inputs) = (shape.rows * shape.columns, (channels / groups) as usize);
    let outputs = shape.channels / (groups as usize).max(1);
    let mut totals = vec![0; shape.len()];
    let mut patches = vec![0; TOGETHER * fan_in];
    for group in 0..groups as usize {
        let values = &values[group * inputs * image.rows * image.columns..];
        for first in (0..positions).step_by(TOGETHER) {
            let count = TOGETHER.min(positions - first);
            for (at, patch) in patches.chunks_exact_mut(fan_in).take(count).enumerate() {
                let (row, column) = ((first + at) / shape.columns, (first + at) % shape.columns);
                under([rows, columns], [row, column], image, values, patch);
            }
            for output in group * outputs..(group + 1) * outputs {
                let row = &weights[output * fan_in..][..fan_in];
                let totals = &mut totals[output * positions + first..][..count];
                for (total, patch) in totals.iter_mut().zip(patches.chunks_exact(fan_in)) {
                    *total = i64::from(dot(row, patch));
                }
            }
        }
    }
    Some(totals)
}

/// What the kernel meets at one position: zero where it hangs over the edge.
fn under(axes: [Axis; 2], at: [usize; 2], image: Shape, values: &[i16], patch: &mut [i16]) {
    let [rows, columns] = axes;
    let (height, width) = (rows.kernel as usize, columns.kernel as usize);
    for tap in 0..height * width {
        let row = rows.under(at[0], tap / width);
        let from = row.zip(columns.under(at[1], tap % width)).map(|(row, column)| row * image.columns + column);
        for (channel, value) in patch.iter_mut().skip(tap).step_by(height * width).enumerate() {
            *value = from.map_or(0, |from| values[channel * image.rows * image.columns + from]);
        }
    }
}

/// Nothing wraps here: [`sums`] has looked. Checked additions would not be vectorised.
fn dot(row: &[i16], patch: &[i16]) -> i32 {
    let product = |(weight, value): (&i16, &i16)| i32::from(*weight).wrapping_mul(i32::from(*value));
    row.iter().zip(patch).map(product).fold(0, i32::wrapping_add)
}
