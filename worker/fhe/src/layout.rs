//! Where values lie in polynomials: which slot holds which input, which body is which output.

use crate::params::{ParameterSet, UploadBits};

/// One input value at one place. A value may have several slots, where tiles overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Index of the ciphertext.
    pub ciphertext: u32,
    /// Coefficient in its message polynomial.
    pub coefficient: u16,
    /// Index of the value in the tensor.
    pub value: u32,
}

/// One output value at one place of one response ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedBody {
    /// Coefficient of the product's body.
    pub coefficient: u16,
    /// Index of the value in the output.
    pub value: u32,
}

/// Why a layout is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// An index outside what the layout says it has.
    #[error("{what} {found} is outside the layout's {limit}")]
    OutOfRange {
        /// What kind of index.
        what: &'static str,
        /// Index found.
        found: usize,
        /// Number of such things.
        limit: usize,
    },
    /// Two values for one place, or an output that is nowhere or in two places.
    #[error("{what} {found} is used {times} times")]
    NotOnce {
        /// What kind of thing.
        what: &'static str,
        /// Its index.
        found: usize,
        /// How often it is used.
        times: usize,
    },
}

/// How a tensor of integers is spread over ciphertexts. Unnamed coefficients are zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputLayout {
    parameter_set: ParameterSet,
    upload_bits: UploadBits,
    ciphertexts: usize,
    values: usize,
    slots: Vec<Slot>,
}

/// Which bodies of which response ciphertext are which outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputLayout {
    parameter_set: ParameterSet,
    values: usize,
    pieces: Vec<Vec<WantedBody>>,
}

fn within(what: &'static str, found: usize, limit: usize) -> Result<usize, LayoutError> {
    if found < limit { Ok(found) } else { Err(LayoutError::OutOfRange { what, found, limit }) }
}

impl InputLayout {
    /// A layout of `values` inputs in `ciphertexts`, uploaded at [`UploadBits::STANDARD`].
    ///
    /// # Errors
    /// [`LayoutError`] if a slot names what is not there, or two slots name one place.
    pub fn new(
        parameter_set: ParameterSet,
        ciphertexts: usize,
        values: usize,
        slots: Vec<Slot>,
    ) -> Result<Self, LayoutError> {
        let size = parameter_set.polynomial_size().0;
        let mut taken = vec![false; ciphertexts * size];
        for slot in &slots {
            within("value", slot.value as usize, values)?;
            let ciphertext = within("ciphertext", slot.ciphertext as usize, ciphertexts)?;
            let place = ciphertext * size + within("coefficient", usize::from(slot.coefficient), size)?;
            if core::mem::replace(&mut taken[place], true) {
                return Err(LayoutError::NotOnce { what: "place", found: place, times: 2 });
            }
        }
        Ok(Self { parameter_set, upload_bits: UploadBits::STANDARD, ciphertexts, values, slots })
    }

    /// The set its ciphertexts are of.
    pub fn parameter_set(&self) -> ParameterSet {
        self.parameter_set
    }

    /// The same layout, uploaded at another width.
    pub fn at(self, upload_bits: UploadBits) -> Self {
        Self { upload_bits, ..self }
    }

    /// Each value's first slot, by value; none for what no product needs and therefore is not sent.
    pub fn first_slots(&self) -> Vec<Option<Slot>> {
        let mut first = vec![None; self.values];
        for slot in self.slots.iter().rev() {
            first[slot.value as usize] = Some(*slot);
        }
        first
    }

    /// Width of the uploaded bodies.
    pub fn upload_bits(&self) -> UploadBits {
        self.upload_bits
    }

    /// Number of ciphertexts.
    pub fn ciphertext_count(&self) -> usize {
        self.ciphertexts
    }

    /// Number of input values.
    pub fn value_count(&self) -> usize {
        self.values
    }

    /// The message polynomials for `values`, one after another; `None` if there are not exactly
    /// [`Self::value_count`] values.
    pub fn spread(&self, values: &[i64]) -> Option<Vec<i64>> {
        let size = self.parameter_set.polynomial_size().0;
        (values.len() == self.values).then(|| {
            let mut message = vec![0; self.ciphertexts * size];
            for slot in &self.slots {
                message[slot.ciphertext as usize * size + usize::from(slot.coefficient)] = values[slot.value as usize];
            }
            message
        })
    }
}

impl OutputLayout {
    /// A layout of `values` outputs in response ciphertexts.
    ///
    /// # Errors
    /// [`LayoutError`] if a body names what is not there, or an output is not there exactly once.
    pub fn new(parameter_set: ParameterSet, values: usize, pieces: Vec<Vec<WantedBody>>) -> Result<Self, LayoutError> {
        let size = parameter_set.polynomial_size().0;
        let mut times = vec![0; values];
        for body in pieces.iter().flatten() {
            within("coefficient", usize::from(body.coefficient), size)?;
            times[within("value", body.value as usize, values)?] += 1;
        }
        match times.iter().position(|times| *times != 1) {
            Some(found) => Err(LayoutError::NotOnce { what: "output", found, times: times[found] }),
            None => Ok(Self { parameter_set, values, pieces }),
        }
    }

    /// The set its ciphertexts are of.
    pub fn parameter_set(&self) -> ParameterSet {
        self.parameter_set
    }

    /// Number of output values.
    pub fn value_count(&self) -> usize {
        self.values
    }

    /// The wanted bodies of each response ciphertext, in the order they are sent.
    pub fn pieces(&self) -> &[Vec<WantedBody>] {
        &self.pieces
    }
}
