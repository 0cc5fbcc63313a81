//! Texts: cut into word pieces, their vectors looked up and put on the grid.

use super::{InputGrid, Reading, Tensor};
use crate::lexicon::{Lexicon, LexiconError, Sentence};
use codec::{Decode, Encode};
use encompute_protocol::BlobDigest;

/// Most bytes of a text: a hundred times what the longest encoder of this family reads.
pub const TEXT_LIMIT_BYTES: usize = 64 * 1024;
/// Fewest and most tokens of a text, its two ends included.
pub const TOKENS: core::ops::RangeInclusive<usize> = 3..=512;
/// Most numbers of a token's vector.
const WIDTH_LIMIT: u16 = 1_024;

/// How a text becomes `[width + 1, tokens, 1]`: a vector for each token; the last channel says which tokens there are.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct TextPreamble {
    /// Tokens that are read, the two ends of a text included; what is beyond is cut off.
    pub tokens: u16,
    /// Numbers of a token's vector.
    pub width: u16,
    /// Distance between neighbouring bytes; byte 128 is 0. A number beyond the grid takes its end.
    pub step: f64,
    /// The blob with word pieces and vectors: [`Lexicon`].
    pub lexicon: BlobDigest,
    /// How long that blob is.
    pub lexicon_bytes: u32,
}

/// Why a file is not a text for this model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Not text.
    #[error("not a UTF-8 text file")]
    NotText,
    /// Nothing in it.
    #[error("the text is empty: there is no word in it")]
    Empty,
    /// Too long to be looked at.
    #[error("the text has {found_bytes} bytes, at most {limit_bytes} are read")]
    TooLong {
        /// Bytes found.
        found_bytes: usize,
        /// Bytes allowed.
        limit_bytes: usize,
    },
}

/// Why a blob is not the lexicon that a preamble names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LexiconBlobError {
    /// None was given.
    #[error("the model reads texts with the lexicon {wanted}, which is not there")]
    Missing {
        /// The one that is needed.
        wanted: BlobDigest,
    },
    /// Another one.
    #[error("blob {found} was given, the lexicon is {wanted}")]
    Other {
        /// The digest found.
        found: BlobDigest,
        /// The one that is needed.
        wanted: BlobDigest,
    },
    /// Another length: nothing was hashed.
    #[error("the lexicon has {found_bytes} bytes, the model says {wanted_bytes}")]
    Length {
        /// Bytes found.
        found_bytes: usize,
        /// Bytes needed.
        wanted_bytes: u32,
    },
    /// Its bytes are no lexicon.
    #[error("read the lexicon")]
    Lexicon(#[from] LexiconError),
    /// Of other sizes than the preamble says.
    #[error("the lexicon has {found} {what}, the model reads {wanted}")]
    Fit {
        /// What.
        what: &'static str,
        /// Found.
        found: usize,
        /// Needed.
        wanted: usize,
    },
}

impl TextPreamble {
    pub(super) fn is_sound(&self) -> bool {
        TOKENS.contains(&usize::from(self.tokens))
            && (1..=WIDTH_LIMIT).contains(&self.width)
            && self.step.is_finite()
            && self.step > 0.0
            && self.lexicon_bytes as usize <= Lexicon::LIMIT_BYTES
    }

    pub(super) fn shape(&self) -> [usize; 3] {
        [usize::from(self.width) + 1, self.tokens.into(), 1]
    }

    pub(super) fn grid(&self) -> InputGrid {
        let size = self.shape().iter().product();
        InputGrid { offset: vec![-128.0 * self.step; size], step: vec![self.step; size] }
    }

    /// The lexicon in `bytes`: length, digest, then everything inside.
    pub(super) fn open(&self, bytes: &[u8]) -> Result<Lexicon, LexiconBlobError> {
        if bytes.len() != self.lexicon_bytes as usize {
            return Err(LexiconBlobError::Length { found_bytes: bytes.len(), wanted_bytes: self.lexicon_bytes });
        }
        let found = BlobDigest::of(bytes);
        if found != self.lexicon {
            return Err(LexiconBlobError::Other { found, wanted: self.lexicon });
        }
        let lexicon = Lexicon::from_bytes(bytes)?;
        let (width, tokens) = (usize::from(self.width), usize::from(self.tokens));
        match (lexicon.width(), lexicon.places()) {
            (found, _) if found != width => {
                Err(LexiconBlobError::Fit { what: "numbers a vector", found, wanted: width })
            }
            (_, found) if found < tokens => Err(LexiconBlobError::Fit { what: "places", found, wanted: tokens }),
            _ => Ok(lexicon),
        }
    }

    pub(super) fn read(&self, file: &[u8], lexicon: &Lexicon) -> Result<Reading, TextError> {
        if file.len() > TEXT_LIMIT_BYTES {
            return Err(TextError::TooLong { found_bytes: file.len(), limit_bytes: TEXT_LIMIT_BYTES });
        }
        let text = std::str::from_utf8(file).map_err(|_| TextError::NotText)?;
        let tokens = usize::from(self.tokens);
        let cut = lexicon.cut(text, tokens).ok_or(TextError::Empty)?;
        let tensor = self.on_grid(&lexicon.sentence(&cut, tokens));
        Ok(Reading { tensor, left_out: cut.left_out, slice: None })
    }

    /// A sentence's bytes: `round(x / step) + 128`, held to 0 ..= 255.
    pub(crate) fn on_grid(&self, sentence: &Sentence) -> Tensor {
        let values = sentence.0.iter().map(|value| ((value / self.step).round() + 128.0) as u8).collect();
        Tensor::new(self.shape(), values).expect("a sentence has a value for each place of the shape; qed")
    }
}
