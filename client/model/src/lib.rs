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

pub mod attack;
#[cfg(feature = "bench")]
pub mod bench;
#[cfg(feature = "bench")]
pub mod calibrate;
#[cfg(feature = "bench")]
pub mod card;
#[cfg(feature = "bench")]
pub mod draft;
#[cfg(feature = "bench")]
mod input;
#[cfg(feature = "bench")]
mod inside;
pub mod lexicon;
#[cfg(feature = "bench")]
mod lower;
#[cfg(feature = "bench")]
pub mod onnx;
#[cfg(feature = "bench")]
pub mod package;
pub mod pieces;
pub mod preamble;
#[cfg(feature = "bench")]
pub mod quantise;
#[cfg(feature = "bench")]
pub mod report;
#[cfg(feature = "bench")]
mod rounding;
#[cfg(feature = "bench")]
pub mod samples;
#[cfg(feature = "bench")]
pub mod sentence;
#[cfg(feature = "bench")]
pub mod tail;

pub use attack::{LinearMap, PublishedAttack};
pub use lexicon::{Lexicon, LexiconError, Sentence};
pub use preamble::{InputGrid, Preamble, PreambleError, Reader, Reading, Tensor};
#[cfg(feature = "bench")]
pub use {
    bench::{Bench, BenchError, BenchSplit, Evaluation, Measured, clear_features, clear_features_of},
    card::{Fee, ModelCard},
    input::InputError,
    inside::InsideError,
    lower::LowerError,
    onnx::{ImportError, OnnxModel},
    package::{Package, PackageError, PackagedSplit, Publication},
    quantise::{CLIP_UNITS, QuantiseError},
    report::{Report, ReportError, SplitReport},
    sentence::{SentenceEncoder, SentenceError},
    tail::{TailError, TailLimits, TailModel, released_features},
};
