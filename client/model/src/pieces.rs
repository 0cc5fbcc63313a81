//! Texts cut into word pieces, as the encoders of the BERT family are trained with them.
//!
//! Built from a list of pieces and four flags alone. A published `tokenizer.json` may hold regular expressions, tables
//! and any chain of steps; nothing of a stranger's is run here, and nothing in a text makes a special token.

use encompute_protocol::Text;
use tokenizers::{
    Model, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    models::wordpiece::WordPiece,
    normalizers::{BertNormalizer, NFC},
    pre_tokenizers::bert::BertPreTokenizer,
};

/// Longest piece, in bytes.
pub const PIECE_LIMIT_BYTES: u32 = 128;
/// Words of more characters are unknown words: the time to cut one grows with the square of its length.
const WORD_LIMIT_CHARACTERS: usize = 100;
/// What a piece that does not begin a word begins with.
pub(crate) const CONTINUING: &str = "##";
/// Stands for words that no pieces make.
pub(crate) const UNKNOWN: &str = "[UNK]";
/// Stands before a text.
pub(crate) const BEGIN: &str = "[CLS]";
/// Stands behind a text.
pub(crate) const END: &str = "[SEP]";

/// A word piece.
pub type Piece = Text<PIECE_LIMIT_BYTES>;

/// What is done to a text before it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, codec::Encode, codec::Decode)]
pub struct TextRules {
    /// Control characters are dropped, every kind of blank is a blank.
    pub clean: bool,
    /// Every Chinese character is a word.
    pub part_chinese: bool,
    /// Accents are taken off.
    pub strip_accents: bool,
    /// Capitals become small letters.
    pub lowercase: bool,
}

/// A list of pieces that cannot cut texts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PiecesError {
    /// Empty, or twice in the list, or ending in a blank.
    #[error("word piece {number} is empty, ends in a blank or is there twice")]
    Piece {
        /// Its number.
        number: usize,
    },
    /// A special token that every text needs.
    #[error("the word pieces lack `{name}`")]
    Missing {
        /// The token.
        name: &'static str,
    },
}

/// A text in pieces, its ends included. The user's secret: it cannot be printed.
pub(crate) struct Cut {
    /// Numbers of the pieces that are kept.
    pub ids: Vec<u32>,
    /// Pieces of the text that had no place.
    pub left_out: usize,
}

/// Cuts texts.
pub(crate) struct WordPieces {
    model: WordPiece,
    rules: BertNormalizer,
    begin: u32,
    end: u32,
}

impl WordPieces {
    /// A cutter for these pieces.
    ///
    /// # Errors
    /// [`PiecesError`].
    pub fn new(pieces: &[Piece], rules: TextRules) -> Result<Self, PiecesError> {
        let lines = pieces.iter().map(Piece::as_str).collect::<Vec<_>>().join("\n");
        // A piece has no line breaks, so reading cannot fail; if it could, the first piece would be missing below.
        let vocabulary = WordPiece::read_bytes(lines.as_bytes()).unwrap_or_default();
        let model = WordPiece::builder()
            .vocab(vocabulary)
            .unk_token(UNKNOWN.to_owned())
            .continuing_subword_prefix(CONTINUING.to_owned())
            .max_input_chars_per_word(WORD_LIMIT_CHARACTERS)
            .build()
            .unwrap_or_default();
        let known = |(number, piece): (usize, &Piece)| {
            !piece.as_str().is_empty() && model.token_to_id(piece.as_str()) == u32::try_from(number).ok()
        };
        if let Some(number) = pieces.iter().enumerate().position(|piece| !known(piece)) {
            return Err(PiecesError::Piece { number });
        }
        let special = |name: &'static str| model.token_to_id(name).ok_or(PiecesError::Missing { name });
        let (begin, end) = (special(BEGIN)?, special(END)?);
        special(UNKNOWN)?;
        let TextRules { clean, part_chinese, strip_accents, lowercase } = rules;
        let rules = BertNormalizer::new(clean, part_chinese, Some(strip_accents), lowercase);
        Ok(Self { model, rules, begin, end })
    }

    /// A text of at most so many pieces, its two ends included; none for a text in which there is nothing to read.
    pub fn cut(&self, text: &str, limit: usize) -> Option<Cut> {
        let mut words = PreTokenizedString::from(text);
        // One text that is written with other code points is the same text. These steps never fail.
        words.normalize(|text| NFC.normalize(text).and_then(|()| self.rules.normalize(text))).ok()?;
        BertPreTokenizer.pre_tokenize(&mut words).ok()?;
        let splits = words.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
        let room = limit.saturating_sub(2);
        let mut cut = Cut { ids: vec![self.begin], left_out: 0 };
        for (word, ..) in splits {
            for token in self.model.tokenize(word).ok()? {
                match cut.ids.len() <= room {
                    true => cut.ids.push(token.id),
                    false => cut.left_out += 1,
                }
            }
        }
        if cut.ids.len() == 1 {
            return None;
        }
        cut.ids.push(self.end);
        Some(cut)
    }
}
