//! A sentence encoder of the BERT family as a head: from its published files, without an ONNX file.
//!
//! The embedding of the tokens is looked up in clear by whoever has the sentence; every projection of the encoder
//! runs encrypted; attention, layer-norms and GELU are the client's between rounds. The last channel of the input
//! says which tokens there are.

use crate::{
    Tensor,
    lexicon::{Lexicon, LexiconError, LexiconFile, Sentence},
    lower::{apply, plus_bias},
    onnx::{Conv2d, HeadGraph, HeadNode, LinearMap, Operation, Requests},
    pieces::{self, TextRules},
    preamble::{Preamble, PreambleError, TextError, TextPreamble},
    quantise::{QuantiseError, QuantisedHead, Recipe, quantise},
};
use encompute_head::{
    Activation, Axis, CompiledHead, Join, Mode, Node, NodeError, Program, Real, Shape, TensorIndex, compute,
};
use encompute_protocol::{BlobDigest, Text};
use safetensors::{Dtype, SafeTensors};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Most bytes of a file of the model.
const FILE_LIMIT_BYTES: u64 = 1 << 30;
/// Norm that makes [`crate::CLIP_UNITS`]: far above that of any mean of tokens.
const CLIP: f64 = 16.0;

/// Why an encoder was not read, or a sentence not encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SentenceError {
    /// A file could not be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The weights are not a file of safetensors.
    #[error("not a safetensors file")]
    Weights(#[from] safetensors::SafeTensorError),
    /// Weights that an encoder of this family has are missing, or of other sides.
    #[error("weights `{name}` must be 32-bit floats with {wanted} numbers, found {found}")]
    Tensor {
        /// Their name.
        name: String,
        /// Numbers found, 0 if they are missing or of another type.
        found: usize,
        /// Numbers needed.
        wanted: usize,
    },
    /// The configuration is not one of this family's.
    #[error("the configuration is not a BERT encoder's: {0}")]
    Config(#[from] serde_json::Error),
    /// The tokenizer's file is none that is known here.
    #[error("tokenizer.json is not a word piece tokenizer's as this family has it")]
    Tokenizer(#[source] serde_json::Error),
    /// A step of the tokenizer that is not done here.
    #[error("tokenizer.json: {what} must be {wanted}")]
    Step {
        /// The step.
        what: &'static str,
        /// The one that is known.
        wanted: &'static str,
    },
    /// Word pieces that are not numbered from 0 on without a gap, or that are too long.
    #[error("tokenizer.json: its {pieces} word pieces are not short words numbered 0 to {}", pieces.saturating_sub(1))]
    Vocabulary {
        /// How many there are.
        pieces: usize,
    },
    /// Word pieces and vectors do not fit each other.
    #[error("make the lexicon")]
    Lexicon(#[from] LexiconError),
    /// Not a sentence.
    #[error("read the sentence")]
    Text(#[from] TextError),
    /// Not what the preamble reads.
    #[error("read the sentence")]
    Preamble(#[from] PreambleError),
    /// More tokens than the model has positions for.
    #[error("{found} tokens, the model has positions for {limit}")]
    Tokens {
        /// Tokens asked for.
        found: usize,
        /// Positions.
        limit: usize,
    },
    /// A number of the weights that is not finite.
    #[error("weights hold a number that is not finite")]
    NotFinite,
    /// The graph and the shapes do not fit each other.
    #[error("the encoder's sizes do not fit each other")]
    Node(#[from] NodeError),
    /// The head was not quantised.
    #[error("quantise the encoder")]
    Quantise(#[from] QuantiseError),
}

/// What is read of a model's `config.json`.
#[derive(serde::Deserialize)]
struct Config {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: u16,
    layer_norm_eps: f64,
    max_position_embeddings: usize,
    vocab_size: usize,
}

/// What is read of a model's `tokenizer.json`: everything that decides which pieces a text has.
#[derive(serde::Deserialize)]
struct TokenizerFile {
    normalizer: NormalizerFile,
    pre_tokenizer: Named,
    model: WordPieceFile,
}

#[derive(serde::Deserialize)]
struct Named {
    r#type: String,
}

#[derive(serde::Deserialize)]
struct NormalizerFile {
    r#type: String,
    clean_text: bool,
    handle_chinese_chars: bool,
    strip_accents: Option<bool>,
    lowercase: bool,
}

#[derive(serde::Deserialize)]
struct WordPieceFile {
    r#type: String,
    unk_token: String,
    continuing_subword_prefix: String,
    max_input_chars_per_word: usize,
    vocab: BTreeMap<String, usize>,
}

/// An encoder for sentences of up to so many tokens.
pub struct SentenceEncoder {
    tokens: usize,
    lexicon: Lexicon,
    /// Vectors of word pieces as they were published, `[pieces, width]`; the lexicon's are rounded.
    words: Vec<f32>,
    graph: HeadGraph,
}

impl SentenceEncoder {
    /// Reads `config.json`, `tokenizer.json` and `model.safetensors`.
    ///
    /// # Errors
    /// [`SentenceError`], by the first file that does not hold.
    pub fn read(folder: &Path, tokens: usize) -> Result<Self, SentenceError> {
        let config: Config = serde_json::from_slice(&file(&folder.join("config.json"))?)?;
        if !(3..=config.max_position_embeddings).contains(&tokens) {
            return Err(SentenceError::Tokens { found: tokens, limit: config.max_position_embeddings });
        }
        let (rules, pieces) = tokenizer(&file(&folder.join("tokenizer.json"))?)?;
        let bytes = file(&folder.join("model.safetensors"))?;
        let weights = Weights(SafeTensors::deserialize(&bytes)?);
        let width = config.hidden_size;
        let words = weights.floats("embeddings.word_embeddings.weight", config.vocab_size * width)?;
        let positions =
            weights.floats("embeddings.position_embeddings.weight", config.max_position_embeddings * width)?;
        let kinds = weights.floats("embeddings.token_type_embeddings.weight", 2 * width)?;
        let places = positions.iter().take(tokens * width).zip(kinds[..width].iter().cycle());
        let (scales, integers) = rounded_rows(&words, width);
        let lexicon = Lexicon::new(LexiconFile {
            rules,
            pieces,
            scales: reals(scales)?,
            words: integers,
            places: reals(places.map(|(place, kind)| f64::from(*place) + f64::from(*kind)))?,
            epsilon: Real::new(config.layer_norm_eps).ok_or(SentenceError::NotFinite)?,
            gain: weights.reals("embeddings.LayerNorm.weight", width)?,
            offset: weights.reals("embeddings.LayerNorm.bias", width)?,
        })?;
        let graph = graph(&config, tokens, &weights)?;
        Ok(Self { tokens, lexicon, words, graph })
    }

    /// What its users look up in clear.
    pub fn lexicon(&self) -> &Lexicon {
        &self.lexicon
    }

    /// A sentence with the published vectors; what is beyond the encoder's tokens is cut off.
    ///
    /// # Errors
    /// [`SentenceError::Text`] for one in which there is nothing to read.
    pub fn sentence(&self, text: &str) -> Result<Sentence, SentenceError> {
        let width = self.lexicon.width();
        let cut = self.lexicon.cut(text, self.tokens).ok_or(TextError::Empty)?;
        let word = |piece: usize, channel: usize| f64::from(self.words[piece * width + channel]);
        Ok(self.lexicon.looked_up(&cut, self.tokens, word))
    }

    /// How users read texts, and the lexicon that they read them with: on a grid that holds these sentences.
    pub fn preamble(&self, sentences: &[Sentence]) -> (Preamble, Vec<u8>) {
        let values = sentences.iter().flat_map(|sentence| &sentence.0);
        let largest = values.fold(1.0f64, |largest, value| largest.max(value.abs()));
        let lexicon = self.lexicon.to_bytes();
        let word = |size: usize| u16::try_from(size).unwrap_or(u16::MAX);
        let preamble = Preamble::Text(TextPreamble {
            tokens: word(self.tokens),
            width: word(self.lexicon.width()),
            step: largest / 127.0,
            lexicon: BlobDigest::of(&lexicon),
            lexicon_bytes: u32::try_from(lexicon.len()).unwrap_or(u32::MAX),
        });
        (preamble, lexicon)
    }

    /// From looked-up tokens to the mean over those that there are.
    pub(crate) fn graph(&self) -> &HeadGraph {
        &self.graph
    }

    /// The float model's embedding: the mean over the sentence's tokens, up to a factor.
    ///
    /// # Errors
    /// [`SentenceError::Node`].
    pub fn embed(&self, sentence: &Sentence) -> Result<Vec<f64>, SentenceError> {
        let shape = Shape { channels: self.lexicon.width() + 1, rows: self.tokens, columns: 1 };
        let mut tensors = vec![(sentence.0.clone(), shape)];
        for node in &self.graph.nodes {
            let reads: Vec<_> = node.operation.reads().iter().map(|of| usize::from(of.0)).collect();
            let given = match &node.operation {
                Operation::Linear { map, .. } => {
                    let weights: Vec<f64> = map.weights().iter().map(|weight| f64::from(*weight)).collect();
                    let sums = plus_bias(apply(&weights, &map.windows(&tensors[reads[0]].0)), map.bias());
                    (sums, map.head_layer().output_shape())
                }
                Operation::Client(node) => {
                    let read: Vec<_> = reads.iter().map(|of| (tensors[*of].0.as_slice(), tensors[*of].1)).collect();
                    let shapes: Vec<Shape> = read.iter().map(|(_, shape)| *shape).collect();
                    (compute(node, &read), node.shape_after(&shapes)?)
                }
            };
            tensors.push(given);
        }
        Ok(tensors.swap_remove(usize::from(self.graph.features.0)).0)
    }

    /// The encoder as a head, its weights rounded for what calibration sentences give.
    ///
    /// # Errors
    /// [`SentenceError::Quantise`].
    pub fn compile(&self, preamble: &Preamble, calibration: &[Tensor]) -> Result<CompiledHead, SentenceError> {
        let recipe = Recipe { mode: Mode::Rounds, inside: None, bootstraps_per_segment: 0, clip: CLIP };
        let QuantisedHead { compiled, .. } = quantise(&self.graph, &recipe, &preamble.grid(), calibration)?;
        Ok(compiled)
    }
}

/// Rules and word pieces of a published tokenizer, if it is one of those that this family has.
fn tokenizer(bytes: &[u8]) -> Result<(TextRules, Vec<pieces::Piece>), SentenceError> {
    let TokenizerFile { normalizer, pre_tokenizer, model } =
        serde_json::from_slice(bytes).map_err(SentenceError::Tokenizer)?;
    let known = [
        ("the normalizer", normalizer.r#type == "BertNormalizer", "BertNormalizer"),
        ("the pre-tokenizer", pre_tokenizer.r#type == "BertPreTokenizer", "BertPreTokenizer"),
        ("the model", model.r#type == "WordPiece", "WordPiece"),
        ("the unknown token", model.unk_token == pieces::UNKNOWN, pieces::UNKNOWN),
        ("the prefix", model.continuing_subword_prefix == pieces::CONTINUING, pieces::CONTINUING),
        ("the longest word", model.max_input_chars_per_word == 100, "100 characters"),
    ];
    if let Some((what, _, wanted)) = known.into_iter().find(|(_, holds, _)| !holds) {
        return Err(SentenceError::Step { what, wanted });
    }
    let strip_accents = normalizer.strip_accents.unwrap_or(normalizer.lowercase);
    let (clean, part_chinese, lowercase) =
        (normalizer.clean_text, normalizer.handle_chinese_chars, normalizer.lowercase);
    let count = model.vocab.len();
    let numbered: BTreeMap<usize, String> = model.vocab.into_iter().map(|(piece, number)| (number, piece)).collect();
    let broken = || SentenceError::Vocabulary { pieces: count };
    if numbered.len() != count || numbered.keys().next_back().is_some_and(|last| last + 1 != count) {
        return Err(broken());
    }
    let pieces =
        numbered.into_values().map(|piece| Text::new(piece).map_err(|_| broken())).collect::<Result<_, _>>()?;
    Ok((TextRules { clean, part_chinese, strip_accents, lowercase }, pieces))
}

/// Rows as integers of eight bits, and what one of them is worth in each row.
fn rounded_rows(rows: &[f32], width: usize) -> (Vec<f64>, Vec<i8>) {
    let scale = |row: &[f32]| row.iter().fold(0.0f64, |largest, value| largest.max(f64::from(value.abs()))) / 127.0;
    let scales: Vec<f64> = rows.chunks_exact(width).map(scale).collect();
    let integers = rows.chunks_exact(width).zip(&scales).flat_map(|(row, scale)| {
        // A row of zeros has no scale, and a number over it would be none.
        row.iter().map(move |value| if *scale > 0.0 { (f64::from(*value) / scale).round() as i8 } else { 0 })
    });
    (scales.clone(), integers.collect())
}

fn reals(numbers: impl IntoIterator<Item = f64>) -> Result<Vec<Real>, SentenceError> {
    numbers.into_iter().map(Real::new).collect::<Option<_>>().ok_or(SentenceError::NotFinite)
}

fn file(path: &Path) -> Result<Vec<u8>, SentenceError> {
    let read = |source| SentenceError::Read { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(read)?.len();
    if length > FILE_LIMIT_BYTES {
        return Err(read(std::io::Error::other(format!("{length} bytes, at most {FILE_LIMIT_BYTES} are read"))));
    }
    std::fs::read(path).map_err(read)
}

/// Named floats.
struct Weights<'a>(SafeTensors<'a>);

impl Weights<'_> {
    fn floats(&self, name: &str, wanted: usize) -> Result<Vec<f32>, SentenceError> {
        let tensor = self.0.tensor(name).ok().filter(|tensor| tensor.dtype() == Dtype::F32);
        let words = tensor.map(|tensor| tensor.data().as_chunks::<4>().0.to_vec()).unwrap_or_default();
        if words.len() != wanted {
            return Err(SentenceError::Tensor { name: name.to_owned(), found: words.len(), wanted });
        }
        let floats: Vec<f32> = words.into_iter().map(f32::from_le_bytes).collect();
        if floats.iter().all(|number| number.is_finite()) { Ok(floats) } else { Err(SentenceError::NotFinite) }
    }

    fn reals(&self, name: &str, wanted: usize) -> Result<Vec<Real>, SentenceError> {
        reals(self.floats(name, wanted)?.into_iter().map(f64::from))
    }

    /// `[outputs, inputs]` and a bias.
    fn linear(&self, name: &str, outputs: usize, inputs: usize) -> Result<(Vec<f32>, Vec<f32>), SentenceError> {
        let weights = self.floats(&format!("{name}.weight"), outputs * inputs)?;
        Ok((weights, self.floats(&format!("{name}.bias"), outputs)?))
    }
}

/// Nodes as they are added.
struct Nodes {
    nodes: Vec<HeadNode>,
    tokens: usize,
}

impl Nodes {
    fn push(&mut self, name: &str, operation: Operation) -> TensorIndex {
        self.nodes.push(HeadNode { name: name.to_owned(), operation });
        TensorIndex(self.nodes.len() as u16)
    }

    fn client(&mut self, node: Node) -> TensorIndex {
        self.push("encoder", Operation::Client(node))
    }

    /// The same dense layer for every token.
    fn linear(&mut self, name: &str, of: TensorIndex, (weights, bias): (Vec<f32>, Vec<f32>)) -> TensorIndex {
        let conv = Conv2d {
            input: [weights.len() / bias.len(), self.tokens, 1],
            channels: bias.len(),
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            padding: [0; 4],
            groups: 1,
            weights,
            bias,
        };
        self.push(name, Operation::Linear { of, map: LinearMap::Conv2d(conv) })
    }

    fn channels(&mut self, of: TensorIndex, first: usize, count: usize) -> TensorIndex {
        self.client(Node::Channels { of, first: first as u32, count: count as u32 })
    }

    /// Layer-norm of a sum.
    fn normalised(
        &mut self,
        of: [TensorIndex; 2],
        weights: &Weights<'_>,
        name: &str,
        config: &Config,
    ) -> Result<TensorIndex, SentenceError> {
        let gain = weights.reals(&format!("{name}.weight"), config.hidden_size)?;
        let offset = weights.reals(&format!("{name}.bias"), config.hidden_size)?;
        let epsilon = Real::new(config.layer_norm_eps).ok_or(SentenceError::NotFinite)?;
        let of = self.client(Node::Add { of });
        Ok(self.client(Node::Normalise { of, epsilon, gain, offset }))
    }
}

/// The encoder, and the mean over the tokens that there are.
fn graph(config: &Config, tokens: usize, weights: &Weights<'_>) -> Result<HeadGraph, SentenceError> {
    let width = config.hidden_size;
    let mut nodes = Nodes { nodes: Vec::new(), tokens };
    // Names of the input's parts, once the first projection, which takes all of it, is there.
    let mut parts = None;
    for layer in 0..config.num_hidden_layers {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let (mut projections, mut bias) = (Vec::new(), Vec::new());
        for part in ["query", "key", "value"] {
            let (rows, of) = weights.linear(&name(&format!("attention.self.{part}")), width, width)?;
            for row in rows.chunks_exact(width) {
                projections.extend_from_slice(row);
                // Which tokens there are is no feature of them.
                projections.extend(parts.is_none().then_some(0.0));
            }
            bias.extend(of);
        }
        let of = parts.map_or(Program::INPUT, |(state, _)| state);
        let projected = nodes.linear(&name("attention.self"), of, (projections, bias));
        let (state, mask) = match parts {
            Some(parts) => parts,
            None => (nodes.channels(Program::INPUT, 0, width), nodes.channels(Program::INPUT, width, 1)),
        };
        let [query, key, value] = [0, 1, 2].map(|part| nodes.channels(projected, part * width, width));
        let (heads, mask_of) = (config.num_attention_heads, Some(mask));
        let attended = nodes.client(Node::Attend { query, key, value, heads, mask: mask_of });
        let output = name("attention.output.dense");
        let output = nodes.linear(&output, attended, weights.linear(&output, width, width)?);
        let state = nodes.normalised([output, state], weights, &name("attention.output.LayerNorm"), config)?;
        let inner = name("intermediate.dense");
        let inner = nodes.linear(&inner, state, weights.linear(&inner, config.intermediate_size, width)?);
        let inner = nodes.client(Node::Activate { of: inner, activation: Activation::Gelu });
        let outer = name("output.dense");
        let outer = nodes.linear(&outer, inner, weights.linear(&outer, width, config.intermediate_size)?);
        let state = nodes.normalised([outer, state], weights, &name("output.LayerNorm"), config)?;
        parts = Some((state, mask));
    }
    let (state, mask) = parts.unwrap_or((Program::INPUT, Program::INPUT));
    let ones = Activation::Clip { least: Real::ZERO, most: Real::ONE };
    let mask = nodes.client(Node::Activate { of: mask, activation: ones });
    let kept = nodes.client(Node::Multiply { of: [state, mask] });
    let rows = Axis::new(tokens as u32, tokens as u32);
    let features = nodes.client(Node::Pool { of: kept, join: Join::Average, rows, columns: Axis::new(1, 1) });
    Ok(HeadGraph { nodes: nodes.nodes, features, requests: Requests::PerPlace })
}
