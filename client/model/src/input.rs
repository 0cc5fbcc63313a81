//! How a model's inputs are read: by its card alone, or by a published encoder that the card names.

use crate::{
    card::{ModelCard, PreambleCard, TextCard},
    lexicon::Sentence,
    onnx::HeadGraph,
    preamble::{Preamble, PreambleError, Reader, Tensor},
    samples::{self, SamplesError},
    sentence::{SentenceEncoder, SentenceError},
};
use std::path::{Path, PathBuf};

/// How the inputs of a model on the bench are read.
pub(crate) enum Input {
    /// As the card says.
    Whole(Preamble),
    /// Texts, by an encoder.
    Text(Box<EncodedText>),
}

/// Texts as users read them, and as the float model does.
pub(crate) struct EncodedText {
    encoder: SentenceEncoder,
    reader: Reader,
    lexicon: Vec<u8>,
}

/// Why inputs cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The encoder's folder is not there.
    #[error("its text encoder is not in {folder}{}", fetch.as_ref().map(|by| format!("; {by} brings it")).unwrap_or_default())]
    NoEncoder {
        /// The folder.
        folder: PathBuf,
        /// What brings it, as the card says.
        fetch: Option<String>,
    },
    /// The encoder.
    #[error("read the encoder of texts")]
    Encoder(#[from] SentenceError),
    /// Texts that scale the grid.
    #[error("read calibration texts")]
    Samples(#[from] SamplesError),
    /// Its lexicon is none that users can take.
    #[error("make the texts' preamble")]
    Preamble(#[from] PreambleError),
}

impl ModelCard {
    /// Whether the encoder that a card of texts in `folder` names is there. Most models need none.
    ///
    /// # Errors
    /// [`InputError::NoEncoder`].
    pub fn check_encoder(&self, folder: &Path) -> Result<(), InputError> {
        match &self.preamble {
            PreambleCard::Text(text) if !folder.join(&text.encoder).is_dir() => {
                Err(InputError::NoEncoder { folder: folder.join(&text.encoder), fetch: text.fetch.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl Input {
    /// Whatever the card in `folder` says.
    ///
    /// # Errors
    /// [`InputError`].
    pub fn open(folder: &Path, card: &ModelCard) -> Result<Self, InputError> {
        card.check_encoder(folder)?;
        match &card.preamble {
            PreambleCard::Whole(preamble) => Ok(Self::Whole(preamble.clone())),
            PreambleCard::Text(text) => {
                let calibration = samples::texts(&folder.join(&card.data.calibration))?;
                Ok(Self::Text(Box::new(EncodedText::open(folder, text, &calibration)?)))
            }
        }
    }

    pub fn preamble(&self) -> &Preamble {
        match self {
            Self::Whole(preamble) => preamble,
            Self::Text(encoded) => encoded.reader.preamble(),
        }
    }

    /// The blob that users read files with.
    pub fn blob(&self) -> Option<&[u8]> {
        match self {
            Self::Whole(_) => None,
            Self::Text(encoded) => Some(&encoded.lexicon),
        }
    }

    /// The whole head, of which `rest` is what the card's own model says.
    pub fn head(&self, rest: HeadGraph) -> HeadGraph {
        match self {
            Self::Whole(_) => rest,
            Self::Text(encoded) => encoded.encoder.graph().clone().then(rest),
        }
    }
}

impl EncodedText {
    fn open(folder: &Path, card: &TextCard, calibration: &[String]) -> Result<Self, InputError> {
        let encoder = SentenceEncoder::read(&folder.join(&card.encoder), card.tokens)?;
        let sentences = calibration.iter().map(|text| encoder.sentence(text)).collect::<Result<Vec<Sentence>, _>>()?;
        let (preamble, lexicon) = encoder.preamble(&sentences);
        let reader = preamble.reader(Some(&lexicon))?;
        Ok(Self { encoder, reader, lexicon })
    }

    /// A text as users read it.
    pub fn tensor(&self, text: &str) -> Result<Tensor, SentenceError> {
        Ok(self.reader.read(text.as_bytes())?.tensor)
    }

    /// What the float encoder makes of a text: the input of the card's own model.
    pub fn float(&self, text: &str) -> Result<Vec<f32>, SentenceError> {
        let mean = self.encoder.embed(&self.encoder.sentence(text)?)?;
        Ok(mean.into_iter().map(|value| value as f32).collect())
    }
}
