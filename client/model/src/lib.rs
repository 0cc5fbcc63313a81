//! The creator's bench, and the open preamble that every user runs.
//!
//! A model's folder holds a float model (`model.onnx`), a card (`model.toml`) and samples. [`Bench`] imports it,
//! cuts it at the node that a split names, quantises the head to the integer program of `encompute_head` and
//! leaves the tail as an ONNX file; [`Package`] adds what was measured and becomes a version's manifest.
//! [`Preamble`] turns a user's file into the [`Tensor`] that is encrypted; [`TailModel`] answers on what a user
//! released.
//!
//! Refused with the reason: operators that the head cannot run (named by node), weights that are not finite,
//! pictures and tables that are not what the model reads, presets that tell more than their name promises.
//!
//! ```
//! use encompute_model::Preamble;
//! use encompute_model::preamble::{Fit, ImagePreamble};
//! let preamble = Preamble::Image(ImagePreamble {
//!     channels: 1,
//!     height: 28,
//!     width: 28,
//!     fit: Fit::InkCentred { box_pixels: 20 },
//!     scale_numerator: 1,
//!     scale_denominator: 255,
//! });
//! assert_eq!(preamble.shape(), [1, 28, 28]);
//! assert!(preamble.read(b"not a picture").is_err());
//! ```

pub mod bench;
pub mod calibrate;
pub mod card;
pub mod draft;
mod input;
mod inside;
pub mod lexicon;
mod lower;
pub mod onnx;
pub mod package;
pub mod pieces;
pub mod preamble;
pub mod quantise;
pub mod report;
mod rounding;
pub mod samples;
pub mod sentence;
pub mod tail;

pub use bench::{Bench, BenchError, BenchSplit, Evaluation, Measured, clear_features};
pub use card::{Fee, ModelCard};
pub use input::InputError;
pub use inside::InsideError;
pub use lexicon::{Lexicon, LexiconError, Sentence};
pub use lower::LowerError;
pub use onnx::{ImportError, OnnxModel};
pub use package::{Package, PackageError, PackagedSplit, Publication};
pub use preamble::{InputGrid, Preamble, PreambleError, Reader, Reading, Tensor};
pub use quantise::{CLIP_UNITS, QuantiseError};
pub use report::{Report, ReportError, SplitReport};
pub use sentence::{SentenceEncoder, SentenceError};
pub use tail::{TailError, TailLimits, TailModel, released_features};
