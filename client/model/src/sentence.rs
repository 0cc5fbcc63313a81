//! A sentence encoder of the BERT family as a head: from its published files, without an ONNX file.
//!
//! The embedding of the tokens is looked up in clear by whoever has the sentence; every projection of the encoder
//! runs encrypted; attention, layer-norms and GELU are the client's between rounds. The last channel of the input
//! says which tokens there are.

use crate::{
    InputGrid, Tensor,
    lower::{apply, plus_bias},
    onnx::{Conv2d, HeadGraph, HeadNode, LinearMap, Operation, Requests},
    quantise::{QuantiseError, QuantisedHead, quantise},
};
use encompute_head::{
    Activation, Axis, CompiledHead, Join, Mode, Node, NodeError, Program, Real, Shape, TensorIndex, compute,
};
use safetensors::{Dtype, SafeTensors};
use std::path::{Path, PathBuf};
use tokenizers::{PaddingParams, PaddingStrategy, Tokenizer, TruncationParams};

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
    /// The tokenizer's file, or a sentence.
    #[error("tokenize: {0}")]
    Tokenize(#[source] tokenizers::Error),
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

/// An encoder for sentences of up to so many tokens.
pub struct SentenceEncoder {
    tokenizer: Tokenizer,
    config: Config,
    tokens: usize,
    /// Of words, positions and the first sentence's kind, `[rows, width]`, then gain and offset of their layer-norm.
    embeddings: [Vec<f32>; 5],
    graph: HeadGraph,
}

/// A sentence as the head takes it, in floats: `[width + 1, tokens]`, the last channel 1 where there is a token. The
/// user's secret: it cannot be printed.
pub struct Sentence(Vec<f64>);

impl SentenceEncoder {
    /// Reads `config.json`, `tokenizer.json` and `model.safetensors`.
    ///
    /// # Errors
    /// [`SentenceError`], by the first file that does not hold.
    pub fn read(folder: &Path, tokens: usize) -> Result<Self, SentenceError> {
        let config: Config = serde_json::from_slice(&file(&folder.join("config.json"))?)?;
        if !(2..=config.max_position_embeddings).contains(&tokens) {
            return Err(SentenceError::Tokens { found: tokens, limit: config.max_position_embeddings });
        }
        let mut tokenizer =
            Tokenizer::from_bytes(file(&folder.join("tokenizer.json"))?).map_err(SentenceError::Tokenize)?;
        let truncated = TruncationParams { max_length: tokens, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncated)).map_err(SentenceError::Tokenize)?;
        let padded = PaddingParams { strategy: PaddingStrategy::Fixed(tokens), ..PaddingParams::default() };
        tokenizer.with_padding(Some(padded));
        let bytes = file(&folder.join("model.safetensors"))?;
        let weights = Weights(SafeTensors::deserialize(&bytes)?);
        let width = config.hidden_size;
        let embeddings = [
            weights.floats("embeddings.word_embeddings.weight", config.vocab_size * width)?,
            weights.floats("embeddings.position_embeddings.weight", config.max_position_embeddings * width)?,
            weights.floats("embeddings.token_type_embeddings.weight", 2 * width)?,
            weights.floats("embeddings.LayerNorm.weight", width)?,
            weights.floats("embeddings.LayerNorm.bias", width)?,
        ];
        let graph = graph(&config, tokens, &weights)?;
        Ok(Self { tokenizer, config, tokens, embeddings, graph })
    }

    /// Values of a sentence.
    pub fn input_count(&self) -> usize {
        (self.config.hidden_size + 1) * self.tokens
    }

    /// Looks a sentence's tokens up; what is beyond the encoder's tokens is cut off.
    ///
    /// # Errors
    /// [`SentenceError::Tokenize`].
    pub fn sentence(&self, text: &str) -> Result<Sentence, SentenceError> {
        let encoded = self.tokenizer.encode(text, true).map_err(SentenceError::Tokenize)?;
        let width = self.config.hidden_size;
        let [words, positions, kinds, gain, offset] = &self.embeddings;
        let mut input = vec![0.0; self.input_count()];
        let tokens = encoded.get_ids().iter().zip(encoded.get_attention_mask()).take(self.tokens);
        for (at, (id, _)) in tokens.enumerate().filter(|(_, (_, mask))| **mask > 0) {
            let row = |table: &[f32], row: usize| table.get(row * width..(row + 1) * width).map(<[f32]>::to_vec);
            let (Some(word), Some(position)) = (row(words, *id as usize), row(positions, at)) else { continue };
            let sum =
                |channel: usize| f64::from(word[channel]) + f64::from(position[channel]) + f64::from(kinds[channel]);
            let mean = (0..width).map(sum).sum::<f64>() / width as f64;
            let variance = (0..width).map(|channel| (sum(channel) - mean).powi(2)).sum::<f64>() / width as f64;
            let scale = 1.0 / (variance + self.config.layer_norm_eps).sqrt();
            for channel in 0..width {
                input[channel * self.tokens + at] =
                    (sum(channel) - mean) * scale * f64::from(gain[channel]) + f64::from(offset[channel]);
            }
            input[width * self.tokens + at] = 1.0;
        }
        Ok(Sentence(input))
    }

    /// The grid of bytes that holds these sentences, zero on it.
    pub fn grid(&self, sentences: &[Sentence]) -> InputGrid {
        let values = sentences.iter().flat_map(|sentence| &sentence.0);
        let largest = values.fold(1.0f64, |largest, value| largest.max(value.abs()));
        let (step, count) = (largest / 127.0, self.input_count());
        InputGrid { offset: vec![-128.0 * step; count], step: vec![step; count] }
    }

    /// A sentence on a grid.
    pub fn tensor(&self, sentence: &Sentence, grid: &InputGrid) -> Tensor {
        let axis = grid.offset.iter().zip(&grid.step);
        let byte = |(value, (offset, step)): (&f64, (&f64, &f64))| ((value - offset) / step).round() as u8;
        let values = sentence.0.iter().zip(axis).map(byte).collect();
        let shape = [self.config.hidden_size + 1, self.tokens, 1];
        Tensor::new(shape, values).expect("a sentence has a value for each place of the shape; qed")
    }

    /// The float model's embedding: the mean over the sentence's tokens, up to a factor.
    ///
    /// # Errors
    /// [`SentenceError::Node`].
    pub fn embed(&self, sentence: &Sentence) -> Result<Vec<f64>, SentenceError> {
        let shape = Shape { channels: self.config.hidden_size + 1, rows: self.tokens, columns: 1 };
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
    pub fn compile(&self, grid: &InputGrid, calibration: &[Tensor]) -> Result<CompiledHead, SentenceError> {
        let QuantisedHead { compiled, .. } = quantise(&self.graph, Mode::Rounds, grid, calibration, CLIP)?;
        Ok(compiled)
    }
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
        let reals = |numbers: Vec<f32>| {
            let reals = numbers.into_iter().map(|number| Real::new(number.into()));
            reals.collect::<Option<Vec<Real>>>().ok_or(SentenceError::NotFinite)
        };
        let gain = reals(weights.floats(&format!("{name}.weight"), config.hidden_size)?)?;
        let offset = reals(weights.floats(&format!("{name}.bias"), config.hidden_size)?)?;
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
