//! A chain as text, one line a step.

use core::fmt;

use super::Step;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup { of, tables, bits, .. } => {
                let tables = tables.len();
                let tables = if tables == 1 { "a table".to_owned() } else { format!("{tables} tables") };
                write!(f, "{tables} looked up on {of}, in units of 2^-{}", bits.0)
            }
            Self::Linear { of, layer } => write!(f, "{layer} of {of}"),
            Self::Add { of: [one, other], factors: [a, b] } => write!(f, "{a} * {one} + {b} * {other}"),
        }
    }
}
