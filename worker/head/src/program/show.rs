//! A program as text, one line a node.

use super::{Activation, Join, Node, Program, Real, TensorIndex, Unit};
use crate::layer::Axis;
use core::fmt;

impl fmt::Display for TensorIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Program::INPUT => f.write_str("input"),
            Self(place) => write!(f, "t{place}"),
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relu => f.write_str("relu"),
            Self::LeakyRelu { slope } => write!(f, "leaky-relu {slope:?}"),
            Self::Clip { least, most } => write!(f, "clip {least:?} to {most:?}"),
            Self::Gelu => f.write_str("gelu"),
            Self::GeluTanh => f.write_str("gelu-tanh"),
            Self::Silu => f.write_str("silu"),
            Self::Sigmoid => f.write_str("sigmoid"),
            Self::Tanh => f.write_str("tanh"),
            Self::Erf => f.write_str("erf"),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Round { of, unit, bias, .. } => {
                match unit {
                    Unit::Fixed(unit) if *unit == Real::ONE => write!(f, "round of {of}")?,
                    Unit::Fixed(unit) => write!(f, "round of {of} in units of {unit:?}")?,
                    Unit::Dynamic => write!(f, "round of {of} in units of its largest value")?,
                    Unit::DynamicPosition => write!(f, "round of {of} in units of each position's largest value")?,
                }
                f.write_str(if bias.is_empty() { "" } else { ", plus bias" })
            }
            Self::Activate { of, activation } => write!(f, "{activation} of {of}"),
            Self::Pool { of, join, rows, columns } => {
                let join = match join {
                    Join::Average => "average",
                    Join::Max => "largest",
                };
                write!(f, "{join} of {} x {} windows of {of}", Side(rows), Side(columns))
            }
            Self::Add { of: [one, other] } => write!(f, "{one} + {other}"),
            Self::Multiply { of: [one, other] } => write!(f, "{one} * {other}"),
            Self::Affine { of, .. } => write!(f, "{of} * gain + offset"),
            Self::Normalise { of, epsilon, .. } => write!(f, "layer-norm of {of}, epsilon {epsilon:?}"),
            Self::Softmax { of } => write!(f, "softmax of {of}"),
            Self::Attend { query, key, value, heads, mask } => {
                write!(f, "attention of {query} to {key}, {heads} heads over {value}")?;
                mask.map_or(Ok(()), |mask| write!(f, " where {mask}"))
            }
            Self::Channels { of, first, count } => write!(f, "{count} channels of {of} from {first}"),
            Self::Reshape { of, to: [channels, rows, columns] } => {
                write!(f, "{of} as {channels} x {rows} x {columns}")
            }
            Self::Transpose { of } => write!(f, "{of} with channels and rows changed"),
            Self::Concatenate { of: [one, other] } => write!(f, "{one} beside {other}"),
        }
    }
}

/// A window's side and step.
struct Side<'a>(&'a Axis);

impl fmt::Display for Side<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Axis { kernel, stride, .. } = self.0;
        if kernel == stride { write!(f, "{kernel}") } else { write!(f, "{kernel} (by {stride})") }
    }
}
