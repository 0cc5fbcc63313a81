//! What a sentence encoder's users look up in clear: word pieces and their vectors, as one blob of a version.
//!
//! Open like all of a preamble, but far too long for a manifest, which therefore names its digest and length. The
//! vectors of pieces have eight bits a number and a scale each; that of an encoder with 30,522 pieces of 384 numbers
//! has 12 MB.

use crate::pieces::{Cut, Piece, PiecesError, TextRules, WordPieces};
use codec::{Decode, Encode};
use encompute_head::{Node, Program, Real, Shape, compute};
use encompute_protocol::{
    Text,
    wire::{self, DecodeError, Message},
};

/// Most word pieces.
pub const PIECES_LIMIT: u32 = 131_072;
/// Most numbers of a vector.
pub const WIDTH_LIMIT: usize = 4_096;
/// Most places of a text.
pub const PLACES_LIMIT: usize = 4_096;

/// A lexicon as it is written down.
#[derive(Clone, PartialEq, Encode, Decode)]
pub(crate) struct LexiconFile {
    /// What is done to a text before it is cut.
    pub rules: TextRules,
    /// Pieces, by number.
    pub pieces: Vec<Piece>,
    /// What one of a piece's integers is worth, for each piece.
    pub scales: Vec<Real>,
    /// `[pieces, width]`.
    pub words: Vec<i8>,
    /// What every place adds, `[places, width]`: its own vector and that of a first sentence.
    pub places: Vec<Real>,
    /// Added to the variance by the layer-norm of the sum.
    pub epsilon: Real,
    /// The layer-norm's gain, `[width]`.
    pub gain: Vec<Real>,
    /// The layer-norm's offset, `[width]`.
    pub offset: Vec<Real>,
}

impl Message for LexiconFile {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = Lexicon::LIMIT_BYTES;

    fn check_counts(mut value: &[u8]) -> Result<(), DecodeError> {
        let rest = &mut value;
        wire::skip::<TextRules>(rest)?;
        for _ in 0..wire::count(rest, "word pieces", PIECES_LIMIT)? {
            wire::skip::<Text<{ crate::pieces::PIECE_LIMIT_BYTES }>>(rest)?;
        }
        Ok(())
    }
}

/// Why bytes are not a lexicon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LexiconError {
    /// Not the encoding of one.
    #[error("decode it")]
    Decode(#[from] DecodeError),
    /// Pieces that cannot cut texts.
    #[error("its word pieces are damaged")]
    Pieces(#[from] PiecesError),
    /// Another count than the others ask for.
    #[error("it has {found} numbers as {what}, {wanted} are needed")]
    Count {
        /// What they are.
        what: &'static str,
        /// Numbers found.
        found: usize,
        /// Numbers needed.
        wanted: usize,
    },
    /// More of something than is allowed.
    #[error("it has {what} of {found}, 1 to {limit} are allowed")]
    Size {
        /// What it is.
        what: &'static str,
        /// Found.
        found: usize,
        /// Allowed.
        limit: usize,
    },
    /// A layer-norm that may divide by nothing.
    #[error("its layer-norm adds nothing to the variance")]
    Epsilon,
}

/// A sentence as the head takes it, in floats: `[width + 1, places]`, the last channel 1 where there is a token. The
/// user's secret: it cannot be printed.
pub struct Sentence(pub(crate) Vec<f64>);

/// Word pieces and their vectors, ready to read texts.
pub struct Lexicon {
    file: LexiconFile,
    cutter: WordPieces,
    normalise: Node,
}

impl Lexicon {
    /// Most bytes of a lexicon.
    pub const LIMIT_BYTES: usize = 16 << 20;

    /// The lexicon in `bytes`.
    ///
    /// # Errors
    /// [`LexiconError`]: limit, version and counts are checked before anything that grows with them is allocated.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LexiconError> {
        Self::new(LexiconFile::from_wire(bytes)?)
    }

    /// Checks that the parts of a file fit each other.
    ///
    /// # Errors
    /// [`LexiconError`].
    pub(crate) fn new(file: LexiconFile) -> Result<Self, LexiconError> {
        let (width, pieces) = (file.gain.len(), file.pieces.len());
        let size = |what, found: usize, limit: usize| match (1..=limit).contains(&found) {
            true => Ok(()),
            false => Err(LexiconError::Size { what, found, limit }),
        };
        size("a width", width, WIDTH_LIMIT)?;
        size("a list of word pieces", pieces, PIECES_LIMIT as usize)?;
        size("a number of places", file.places.len() / width, PLACES_LIMIT)?;
        let counts = [
            ("offset", file.offset.len(), width),
            ("scales", file.scales.len(), pieces),
            ("vectors of pieces", file.words.len(), pieces * width),
            ("vectors of places", file.places.len(), file.places.len() / width * width),
        ];
        if let Some((what, found, wanted)) = counts.into_iter().find(|(_, found, wanted)| found != wanted) {
            return Err(LexiconError::Count { what, found, wanted });
        }
        if file.epsilon.get() <= 0.0 {
            return Err(LexiconError::Epsilon);
        }
        let cutter = WordPieces::new(&file.pieces, file.rules)?;
        let (epsilon, gain, offset) = (file.epsilon, file.gain.clone(), file.offset.clone());
        let normalise = Node::Normalise { of: Program::INPUT, epsilon, gain, offset };
        Ok(Self { file, cutter, normalise })
    }

    /// The bytes that [`Self::from_bytes`] reads: one encoding for each lexicon.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.file.to_wire()
    }

    /// Numbers of a vector.
    pub fn width(&self) -> usize {
        self.file.gain.len()
    }

    /// Most tokens of a text.
    pub fn places(&self) -> usize {
        self.file.places.len() / self.width()
    }

    /// A text of at most so many tokens; none for one in which there is nothing to read.
    pub(crate) fn cut(&self, text: &str, tokens: usize) -> Option<Cut> {
        self.cutter.cut(text, tokens)
    }

    /// Vectors of a cut text, with those of this lexicon.
    pub(crate) fn sentence(&self, cut: &Cut, tokens: usize) -> Sentence {
        let width = self.width();
        self.looked_up(cut, tokens, |piece, channel| {
            self.file.scales[piece].get() * f64::from(self.file.words[piece * width + channel])
        })
    }

    /// Vectors of a cut text, those of its pieces from elsewhere: the layer-norm of the sum with its places'. The rest
    /// of the `tokens` is 0.
    pub(crate) fn looked_up(&self, cut: &Cut, tokens: usize, word: impl Fn(usize, usize) -> f64) -> Sentence {
        let (width, count) = (self.width(), cut.ids.len());
        let sum = |at: usize, channel: usize| {
            word(cut.ids[at] as usize, channel) + self.file.places[at * width + channel].get()
        };
        let sums: Vec<f64> =
            (0..width).flat_map(|channel| (0..count).map(move |at| (at, channel))).map(|(a, c)| sum(a, c)).collect();
        let normal = compute(&self.normalise, &[(&sums, Shape { channels: width, rows: count, columns: 1 })]);
        let mut values = vec![0.0; (width + 1) * tokens];
        for (channel, row) in normal.chunks_exact(count).enumerate() {
            values[channel * tokens..channel * tokens + count].copy_from_slice(row);
        }
        values[width * tokens..width * tokens + count].fill(1.0);
        Sentence(values)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sentence::SentenceEncoder;
    use proptest::prelude::*;
    use std::{path::PathBuf, sync::LazyLock};
    use tokenizers::Tokenizer;

    fn folder() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/sentence-encoder")
    }

    static ENCODER: LazyLock<SentenceEncoder> = LazyLock::new(|| SentenceEncoder::read(&folder(), 12).unwrap());
    static PUBLISHED: LazyLock<Tokenizer> =
        LazyLock::new(|| Tokenizer::from_file(folder().join("tokenizer.json")).unwrap());

    fn ids(text: &str, tokens: usize) -> Vec<u32> {
        ENCODER.lexicon().cut(text, tokens).map(|cut| cut.ids).unwrap_or_default()
    }

    fn file() -> LexiconFile {
        LexiconFile::from_wire(&ENCODER.lexicon().to_bytes()).unwrap()
    }

    fn refused(change: impl FnOnce(&mut LexiconFile)) -> LexiconError {
        let mut file = file();
        change(&mut file);
        Lexicon::from_bytes(&file.to_wire()).err().unwrap()
    }

    #[test]
    fn texts_are_cut_as_the_published_tokenizer_cuts_them() {
        let long = "heart".repeat(21);
        let texts = [
            "The scan shows no signs of disease.",
            "  A\u{a0}PATIENT\t\r\nis   Clear?! ",
            "the-heart, (lung) \u{201c}image\u{201d}\u{2026}",
            "th\u{e9} h\u{e9}art is cl\u{e8}ar",
            "the he\u{301}art",
            "\u{5fc3}heart\u{81d3}scan",
            "hearts patientss lungs\u{0}\u{fffd}\u{200b}s",
            "\u{1f600} unknown words",
            "\u{130}mage \u{1e9e}",
            &long,
        ];
        for text in texts {
            assert_eq!(ids(text, 512), PUBLISHED.encode(text, true).unwrap().get_ids(), "{text:?}");
        }
    }

    #[test]
    fn a_special_token_in_a_text_is_text() {
        let lexicon = ENCODER.lexicon();
        let end = *ids("the heart", 12).last().unwrap();
        let cut = ids("the [SEP] heart", 12);
        assert_eq!(cut.iter().filter(|id| **id == end).count(), 1, "{cut:?}");
        assert_eq!(lexicon.cut("the [SEP] heart", 12).unwrap().left_out, 0);
    }

    #[test]
    fn a_long_text_keeps_its_ends_and_says_how_much_is_left_out() {
        let whole = ids("the heart the lung the scan", 12);
        let cut = ENCODER.lexicon().cut("the heart the lung the scan", 5).unwrap();
        assert_eq!((cut.left_out, cut.ids.len()), (3, 5));
        assert_eq!((&cut.ids[..4], cut.ids[4]), (&whole[..4], whole[7]));
    }

    #[test]
    fn one_text_in_other_code_points_is_the_same_text() {
        let mut file = file();
        file.rules.strip_accents = false;
        file.pieces[5] = Text::new("\u{e9}").unwrap();
        let lexicon = Lexicon::new(file).unwrap();
        for text in ["\u{e9}", "e\u{301}"] {
            assert_eq!(lexicon.cut(text, 12).unwrap().ids[1], 5, "{text:?}");
        }
    }

    #[test]
    fn a_lexicon_has_one_encoding() {
        let bytes = ENCODER.lexicon().to_bytes();
        assert!(Lexicon::from_bytes(&bytes).unwrap().to_bytes() == bytes);
        let longer = [&bytes[..], &[0]].concat();
        let trailing = Some(LexiconError::Decode(DecodeError::Trailing { bytes: 1 }));
        assert_eq!(Lexicon::from_bytes(&longer).err(), trailing);
        let cut = Lexicon::from_bytes(&bytes[..bytes.len() - 1]).err();
        assert_eq!(cut, Some(LexiconError::Decode(DecodeError::Malformed)));
        let other = [&[2], &bytes[1..]].concat();
        let version = Some(LexiconError::Decode(DecodeError::Version { found: 2, known: 1 }));
        assert_eq!(Lexicon::from_bytes(&other).err(), version);
    }

    #[test]
    fn damaged_lexicons_are_refused_by_their_defect() {
        let twice = refused(|file| file.pieces[7] = file.pieces[6].clone());
        assert_eq!(twice, LexiconError::Pieces(PiecesError::Piece { number: 6 }));
        let blank = refused(|file| file.pieces[7] = Text::new("heart ").unwrap());
        assert_eq!(blank, LexiconError::Pieces(PiecesError::Piece { number: 7 }));
        let endless = refused(|file| file.pieces[3] = Text::new("[END]").unwrap());
        assert_eq!(endless, LexiconError::Pieces(PiecesError::Missing { name: "[SEP]" }));
        let short = refused(|file| file.words.truncate(335));
        assert!(matches!(short, LexiconError::Count { what: "vectors of pieces", found: 335, wanted: 336 }), "{short}");
        let uneven = refused(|file| file.places.truncate(191));
        assert!(
            matches!(uneven, LexiconError::Count { what: "vectors of places", found: 191, wanted: 176 }),
            "{uneven}"
        );
        let empty = refused(|file| file.gain.clear());
        assert_eq!(empty, LexiconError::Size { what: "a width", found: 0, limit: WIDTH_LIMIT });
        assert_eq!(refused(|file| file.epsilon = Real::ZERO), LexiconError::Epsilon);
        let mut file = file();
        file.pieces = vec![Text::default(); PIECES_LIMIT as usize + 1];
        let many = Lexicon::from_bytes(&file.to_wire()).err();
        let limit = DecodeError::TooMany { items: "word pieces", found: PIECES_LIMIT + 1, limit: PIECES_LIMIT };
        assert_eq!(many, Some(LexiconError::Decode(limit)));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_cutting_panic(text in "\\PC{0,200}", tokens in 0usize..20) {
            if let Some(cut) = ENCODER.lexicon().cut(&text, tokens) {
                prop_assert!((3..=tokens).contains(&cut.ids.len()));
            }
        }
    }
}
