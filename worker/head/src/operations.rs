//! What each node computes, on `[channels, rows, columns]` in 64-bit floats.

use zeroize::Zeroizing;

use crate::layer::{Axis, Shape};
use crate::program::{Activation, Join, Node, Real};
use crate::run::of_channel;

/// A tensor and its shape.
pub type Read<'a> = (&'a [f64], Shape);

/// What a node gives for what it reads, each with its shape. A round gives nothing: its sums come from elsewhere.
///
/// # Panics
/// If it reads another number of tensors, or of other shapes, than [`Node::shape_after`] passes.
pub fn compute(node: &Node, reads: &[Read<'_>]) -> Vec<f64> {
    let (values, shape) = reads[0];
    match node {
        Node::Round { .. } => Vec::new(),
        Node::Activate { activation, .. } => values.iter().map(|value| activate(*activation, *value)).collect(),
        Node::Pool { join, rows, columns, .. } => pool(*join, values, shape, *rows, *columns),
        Node::Add { .. } => values.iter().zip(reads[1].0).map(|(one, other)| one + other).collect(),
        Node::Multiply { .. } => multiply(values, shape, reads[1]),
        Node::Affine { gain, offset, .. } => affine(values, shape, gain, offset),
        Node::Normalise { epsilon, gain, offset, .. } => {
            let mut normalised = values.to_vec();
            normalise(&mut normalised, shape, epsilon.get(), gain, offset);
            normalised
        }
        Node::Softmax { .. } => {
            let mut weights = values.to_vec();
            let positions = positions(shape);
            (0..positions).for_each(|at| softmax(&mut weights, at, positions, shape.channels));
            weights
        }
        Node::Attend { heads, .. } => {
            let mask = reads.get(3).map(|(mask, _)| *mask);
            attend([values, reads[1].0, reads[2].0], mask, shape, usize::from(*heads))
        }
        Node::Channels { first, count, .. } => {
            let positions = positions(shape);
            values[*first as usize * positions..][..*count as usize * positions].to_vec()
        }
        Node::Reshape { .. } => values.to_vec(),
        Node::Transpose { .. } => transpose(values, shape),
        Node::Concatenate { .. } => [values, reads[1].0].concat(),
    }
}

fn positions(shape: Shape) -> usize {
    (shape.rows * shape.columns).max(1)
}

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::LeakyRelu { slope } => {
            if x > 0.0 {
                x
            } else {
                x * slope.get()
            }
        }
        Activation::Clip { least, most } => x.max(least.get()).min(most.get()),
        Activation::Gelu => 0.5 * x * (1.0 + libm::erf(x * core::f64::consts::FRAC_1_SQRT_2)),
        Activation::GeluTanh => {
            // √(2/π) and 0.044715: D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units", 2016.
            let inner = 0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + libm::tanh(inner))
        }
        Activation::Silu => x * sigmoid(x),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => libm::tanh(x),
        Activation::Erf => libm::erf(x),
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

fn pool(join: Join, values: &[f64], shape: Shape, rows: Axis, columns: Axis) -> Vec<f64> {
    let mut pooled = Vec::with_capacity(shape.channels * rows.outputs() * columns.outputs());
    for channel in values.chunks_exact(positions(shape)).take(shape.channels) {
        for (y, x) in (0..rows.outputs()).flat_map(|y| (0..columns.outputs()).map(move |x| (y, x))) {
            let window = taps(rows, y).flat_map(|row| taps(columns, x).map(move |column| (row, column)));
            let window = window.map(|(row, column)| channel[row * shape.columns + column]);
            pooled.push(match join {
                Join::Average => {
                    let (sum, count) = window.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
                    sum / f64::max(count, 1.0)
                }
                Join::Max => window.fold(f64::NEG_INFINITY, f64::max),
            });
        }
    }
    pooled
}

/// The values of an image that a window's taps fall on.
fn taps(axis: Axis, output: usize) -> impl Iterator<Item = usize> {
    let first = output * axis.stride as usize;
    let places = (0..axis.kernel as usize).map(move |tap| first + tap * axis.dilation as usize);
    places.filter_map(move |place| place.checked_sub(axis.before as usize)).filter(move |at| *at < axis.image as usize)
}

fn multiply(values: &[f64], shape: Shape, (factors, of): Read<'_>) -> Vec<f64> {
    let positions = positions(shape);
    let place = |at: usize| match (of == shape, of.channels == shape.channels) {
        (true, _) => at,
        (_, true) => at / positions,
        _ => at % positions,
    };
    values.iter().enumerate().map(|(at, value)| value * factors[place(at)]).collect()
}

fn affine(values: &[f64], shape: Shape, gain: &[Real], offset: &[Real]) -> Vec<f64> {
    let positions = positions(shape);
    let of = |(at, value): (usize, &f64)| {
        value * of_channel(gain, at / positions, 1.0) + of_channel(offset, at / positions, 0.0)
    };
    values.iter().enumerate().map(of).collect()
}

fn normalise(values: &mut [f64], shape: Shape, epsilon: f64, gain: &[Real], offset: &[Real]) {
    let (positions, count) = (positions(shape), shape.channels as f64);
    for at in 0..positions {
        let column = || values.iter().skip(at).step_by(positions);
        let mean = column().sum::<f64>() / count;
        let variance = column().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
        let scale = 1.0 / libm::sqrt(variance + epsilon);
        for (channel, value) in values.iter_mut().skip(at).step_by(positions).enumerate() {
            *value = (*value - mean) * scale * of_channel(gain, channel, 1.0) + of_channel(offset, channel, 0.0);
        }
    }
}

/// Softmax of `count` values from `first` on, `step` apart. The largest is taken off first, so that none overflows.
fn softmax(values: &mut [f64], first: usize, step: usize, count: usize) {
    let places = || (0..count).map(|at| first + at * step);
    let largest = places().fold(f64::NEG_INFINITY, |largest, at| largest.max(values[at]));
    let mut sum = 0.0;
    for at in places() {
        values[at] = libm::exp(values[at] - largest);
        sum += values[at];
    }
    for at in places() {
        values[at] /= sum;
    }
}

fn attend([query, key, value]: [&[f64]; 3], mask: Option<&[f64]>, shape: Shape, heads: usize) -> Vec<f64> {
    let (tokens, width) = (shape.rows, shape.channels / heads);
    let kept = |other: &usize| mask.is_none_or(|mask| mask[*other] > 0.0);
    let mut others: Vec<usize> = (0..tokens).filter(kept).collect();
    if others.is_empty() {
        others = (0..tokens).collect();
    }
    let mut attended = vec![0.0; query.len()];
    let scale = 1.0 / libm::sqrt(width as f64);
    let mut scores = Zeroizing::new(vec![0.0; others.len()]);
    for head in 0..heads {
        let channels = || head * width..(head + 1) * width;
        for token in 0..tokens {
            for (other, score) in others.iter().zip(scores.iter_mut()) {
                let dot = channels().map(|channel| query[channel * tokens + token] * key[channel * tokens + other]);
                *score = dot.sum::<f64>() * scale;
            }
            softmax(&mut scores, 0, 1, others.len());
            for channel in channels() {
                let values = &value[channel * tokens..(channel + 1) * tokens];
                let weighed = scores.iter().zip(&others).map(|(weight, other)| weight * values[*other]);
                attended[channel * tokens + token] = weighed.sum();
            }
        }
    }
    attended
}

fn transpose(values: &[f64], shape: Shape) -> Vec<f64> {
    let Shape { channels, rows, columns } = shape;
    let places = (0..rows).flat_map(|row| (0..channels).map(move |channel| (row, channel)));
    places.flat_map(|(row, channel)| values[(channel * rows + row) * columns..][..columns].iter().copied()).collect()
}
