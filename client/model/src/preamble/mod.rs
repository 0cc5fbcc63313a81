//! How a user's file becomes the tensor that is encrypted. Open, deterministic, part of the version.
//!
//! Metadata (EXIF, a scan's fields and the like) goes no further than what samples cannot be read without, the orientation
//! flag or a window: only samples enter the tensor.

mod ink;
mod picture;
mod plane;
mod scan;
#[cfg(feature = "bench")]
mod shown;
pub(crate) mod table;
mod text;

pub use ink::InkError;
pub use picture::{Fit, ImageError, ImagePreamble, inside_decoder};
#[cfg(feature = "bench")]
pub(crate) use picture::{SIDE_LIMIT_PIXELS, sheet_file, sheet_tiles};
pub use scan::{ChosenSlice, ScanError, SliceNumber};
#[cfg(feature = "bench")]
pub use shown::side_by_side;
pub use table::{Column, TableError, TablePreamble};
pub use text::{LexiconBlobError, TEXT_LIMIT_BYTES, TOKENS, TextError, TextPreamble};

use crate::lexicon::Lexicon;
use codec::{Decode, Encode};
use encompute_protocol::{BlobDigest, wire::Message};

/// Most bytes of a file that a preamble reads; longer files are refused before they are decoded.
pub const FILE_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// A user's input on the model's grid: bytes of shape `[channels, height, width]`. What it holds is
/// the user's secret, so it has no `Debug`, `Display` or serialised form.
#[derive(Clone, PartialEq, Eq)]
pub struct Tensor {
    shape: [usize; 3],
    values: Vec<u8>,
}

impl Tensor {
    /// A tensor, if the values fill its shape.
    pub fn new(shape: [usize; 3], values: Vec<u8>) -> Option<Self> {
        let size = shape.iter().try_fold(1usize, |size, side| size.checked_mul(*side))?;
        (size == values.len()).then_some(Self { shape, values })
    }

    /// Channels, height, width; a table row is `[1, 1, columns]`.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Row by row, channel by channel.
    pub fn values(&self) -> &[u8] {
        &self.values
    }
}

/// What a version's manifest says about reading an input.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Preamble {
    /// A picture (PNG, JPEG) or a slice of a scan (DICOM, NIfTI).
    #[codec(index = 0)]
    Image(ImagePreamble),
    /// One row of a CSV file with named columns.
    #[codec(index = 1)]
    Table(TablePreamble),
    /// A text.
    #[codec(index = 2)]
    Text(TextPreamble),
}

impl Message for Preamble {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = 65_536;
}

/// Why a file is not an input of this model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreambleError {
    /// Too long to be read at all.
    #[error("the file has {found_bytes} bytes, at most {limit_bytes} are read")]
    TooLong {
        /// Bytes found.
        found_bytes: usize,
        /// Bytes allowed.
        limit_bytes: usize,
    },
    /// Not a picture that this model reads.
    #[error("read the picture")]
    Image(#[from] ImageError),
    /// A slice was chosen where there are none.
    #[error("a slice can be chosen of a scan alone, and this model reads none")]
    NoScans,
    /// Not a table row that this model reads.
    #[error("read the table")]
    Table(#[from] TableError),
    /// Not a text that this model reads.
    #[error("read the text")]
    Text(#[from] TextError),
    /// A manifest comes from somebody else.
    #[error("the model's preamble does not make sense: sizes, ranges and steps must be positive, names unique")]
    Unsound,
    /// Texts are read with a lexicon, and this one is not the model's.
    #[error("read the model's lexicon")]
    Lexicon(#[from] LexiconBlobError),
}

/// A blob that a preamble reads files with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedBlob {
    /// Its digest.
    pub digest: BlobDigest,
    /// How long it is.
    pub bytes: u32,
}

/// A preamble with everything that it reads files with.
pub struct Reader {
    preamble: Preamble,
    lexicon: Option<Lexicon>,
}

/// A file, read.
pub struct Reading {
    /// What is encrypted.
    pub tensor: Tensor,
    /// Of a text: word pieces beyond those that the model takes, which are left out.
    pub left_out: usize,
    /// Of a scan of several slices: the one that was read.
    pub slice: Option<ChosenSlice>,
}

/// Where the bytes of a tensor lie on the float model's axis: `x = offset + step · byte`, per value.
#[derive(Clone, Debug, PartialEq)]
pub struct InputGrid {
    /// Float value of byte 0, one per input value.
    pub offset: Vec<f64>,
    /// Float distance between neighbouring bytes, one per input value; > 0.
    pub step: Vec<f64>,
}

impl Preamble {
    /// Reads a user's file: `[channels, height, width]` bytes.
    ///
    /// # Errors
    /// [`PreambleError`]: the length is checked before anything is decoded; the reason names what was
    /// found and what is allowed. [`PreambleError::Lexicon`] for a preamble that needs a [`Reader`].
    pub fn read(&self, file: &[u8]) -> Result<Tensor, PreambleError> {
        Ok(self.read_with(file, None, None)?.tensor)
    }

    fn read_with(
        &self,
        file: &[u8],
        lexicon: Option<&Lexicon>,
        slice: Option<SliceNumber>,
    ) -> Result<Reading, PreambleError> {
        if file.len() > FILE_LIMIT_BYTES {
            return Err(PreambleError::TooLong { found_bytes: file.len(), limit_bytes: FILE_LIMIT_BYTES });
        }
        if slice.is_some() && !matches!(self, Self::Image(_)) {
            return Err(PreambleError::NoScans);
        }
        Ok(match (self, lexicon) {
            (Self::Image(image), _) => {
                let (tensor, slice) = image.read_slice(file, slice)?;
                Reading { tensor, left_out: 0, slice }
            }
            (Self::Table(table), _) => Reading { tensor: table.read(file)?, left_out: 0, slice: None },
            (Self::Text(text), Some(lexicon)) => text.read(file, lexicon)?,
            (Self::Text(text), None) => return Err(LexiconBlobError::Missing { wanted: text.lexicon }.into()),
        })
    }

    /// The blob without which files cannot be read: a text's lexicon.
    pub fn wanted_blob(&self) -> Option<WantedBlob> {
        match self {
            Self::Image(_) | Self::Table(_) => None,
            Self::Text(text) => Some(WantedBlob { digest: text.lexicon, bytes: text.lexicon_bytes }),
        }
    }

    /// Ready to read files; `blob` is the one that is wanted, if one is.
    ///
    /// # Errors
    /// [`PreambleError::Unsound`]; [`PreambleError::Lexicon`]: length, then digest, then what is inside, for nothing is
    /// taken on anybody's word.
    pub fn reader(self, blob: Option<&[u8]>) -> Result<Reader, PreambleError> {
        if !self.is_sound() {
            return Err(PreambleError::Unsound);
        }
        let lexicon = match (&self, blob) {
            (Self::Image(_) | Self::Table(_), _) => None,
            (Self::Text(text), Some(bytes)) => Some(text.open(bytes)?),
            (Self::Text(text), None) => return Err(LexiconBlobError::Missing { wanted: text.lexicon }.into()),
        };
        Ok(Reader { preamble: self, lexicon })
    }

    /// Shape of the tensors that [`Self::read`] gives.
    pub fn shape(&self) -> [usize; 3] {
        match self {
            Self::Image(image) => [image.channels.into(), image.height.into(), image.width.into()],
            Self::Table(table) => [1, 1, table.columns.len()],
            Self::Text(text) => text.shape(),
        }
    }

    /// Where the bytes lie on the float model's input axis.
    pub fn grid(&self) -> InputGrid {
        match self {
            Self::Image(image) => {
                let size = self.shape().iter().product();
                InputGrid { offset: vec![0.0; size], step: vec![image.step(); size] }
            }
            Self::Table(table) => InputGrid {
                offset: table.columns.iter().map(|column| column.offset).collect(),
                step: table.columns.iter().map(|column| column.step).collect(),
            },
            Self::Text(text) => text.grid(),
        }
    }

    /// Whether the specification itself makes sense: a manifest comes from somebody else.
    pub fn is_sound(&self) -> bool {
        match self {
            Self::Image(image) => image.is_sound(),
            Self::Table(table) => table.is_sound(),
            Self::Text(text) => text.is_sound(),
        }
    }
}

impl Reader {
    /// Reads a user's file; of a scan the middle slice.
    ///
    /// # Errors
    /// As [`Preamble::read`].
    pub fn read(&self, file: &[u8]) -> Result<Reading, PreambleError> {
        self.preamble.read_with(file, self.lexicon.as_ref(), None)
    }

    /// Reads that slice of a scan.
    ///
    /// # Errors
    /// As [`Preamble::read`]; [`ScanError::NoSlice`], [`ImageError::NotAScan`] and [`PreambleError::NoScans`] where there
    /// is no such slice.
    pub fn read_slice(&self, file: &[u8], slice: SliceNumber) -> Result<Reading, PreambleError> {
        self.preamble.read_with(file, self.lexicon.as_ref(), Some(slice))
    }

    /// What the manifest says.
    pub fn preamble(&self) -> &Preamble {
        &self.preamble
    }
}
