//! From an ONNX file and samples to a model's folder: what a creator would otherwise write by hand.
//!
//! A folder is written beside its place and moved there whole. Its card cuts the model at the deepest place that leaves
//! a tail; [`Bench::calibrate`] then fits clip norm and noise to the samples.

mod pictures;
mod table;

use crate::{
    bench::{Bench, BenchError},
    onnx::{ImportError, OnnxModel, StackError, is_safetensors},
    preamble::{ImageError, TableError},
    report::{Cut, CutState},
    samples::SamplesError,
};
use std::{
    error::Error,
    path::{Path, PathBuf},
};
use table::Columns;

/// What the files do not say.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// Its name in the gallery and on the command line.
    pub name: String,
    /// What it answers.
    pub task: String,
    /// What its answer does not say.
    pub limits: String,
    /// Classes in the order of the scores; empty: those of the samples, sorted.
    pub labels: Vec<String>,
    /// For tables: the column that names the class.
    pub label_column: Option<String>,
    /// For pictures: one mark on an even ground is scaled into so many pixels and centred.
    pub ink_box: Option<u16>,
    /// For pictures: what a byte is multiplied by to be the float model's input.
    pub scale: [u32; 2],
    /// What the creator asks for one run, e.g. `0.25 UNIT`.
    pub tail_fee: String,
    /// For a model in safetensors: the file that lists its layers.
    pub layers: Option<PathBuf>,
}

/// Where samples lie.
#[derive(Clone, Debug)]
pub struct SampleFiles {
    /// A folder with a folder of pictures for each class, or a table with a column of classes.
    pub samples: PathBuf,
    /// The same, of samples that training never saw; every fifth of the others if there is none.
    pub held_out: Option<PathBuf>,
}

/// What was written.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Drafted {
    /// Classes in the order of the scores.
    pub labels: Vec<String>,
    /// Sides of an input.
    pub input: Vec<usize>,
    /// Samples that calibrate, and that attackers of the leakage report have.
    pub samples: usize,
    /// Samples that accuracy is measured on.
    pub held_out: usize,
    /// Whether they were taken from the others: then only whoever trained knows if training saw them.
    pub held_out_of_samples: bool,
    /// The node after which the card cuts.
    pub after: String,
    /// Nodes after which it could be cut with fewer linear layers before, and how many.
    pub others: Vec<(String, usize)>,
    /// Why it cannot be cut deeper, where a node behind the cut is the reason.
    pub not_deeper: Option<String>,
}

/// Why there is no folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// Something is there already.
    #[error("{folder} exists; name a folder that does not, or remove it")]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{doing} {path}")]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The float model.
    #[error("import the float model")]
    Import(#[from] ImportError),
    /// Weights whose layers are not, or wrongly, listed.
    #[error("put the weights into layers")]
    Stack(#[from] StackError),
    /// An input that no preamble gives.
    #[error(
        "the model reads {found}; what is read is one row of numbers ([columns], [channels, readings]) or a picture, grey or \
         in three colours ([1 or 3, height, width])"
    )]
    Input {
        /// Sides of the input.
        found: String,
    },
    /// A box for ink, and colours.
    #[error("a mark is found in grey pictures alone, the model reads three colours: leave out --ink-centred")]
    Ink,
    /// No samples.
    #[error("{path} holds no samples: {wanted}")]
    NoSamples {
        /// The folder or table.
        path: PathBuf,
        /// What should be there.
        wanted: String,
    },
    /// A file among the samples that is no picture for this model.
    #[error("{path} is no picture for this model")]
    Picture {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ImageError,
    },
    /// A table that is none for this model.
    #[error("{path} is not a table for this model")]
    Table {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TableError,
    },
    /// A table of another width.
    #[error("{path} has {found} columns beside `{label}`, the model reads {wanted}")]
    Columns {
        /// The file.
        path: PathBuf,
        /// The column of classes.
        label: String,
        /// Columns found.
        found: usize,
        /// Columns wanted.
        wanted: usize,
    },
    /// A table without a column of classes.
    #[error("a table needs the name of the column that holds the class (--label-column)")]
    NoLabelColumn,
    /// A row without a class.
    #[error("{path}: sample {sample} has no class in column `{label}`")]
    Unlabelled {
        /// The table.
        path: PathBuf,
        /// Sample, from 1.
        sample: usize,
        /// The column of classes.
        label: String,
    },
    /// Samples of one class alone.
    #[error(
        "{path} has samples of `{class}` alone; a model tells two classes or more apart (--labels names those without samples)"
    )]
    OneClass {
        /// The folder or table.
        path: PathBuf,
        /// The class.
        class: String,
    },
    /// A class that the model's scores do not have.
    #[error("{path} has the class `{found}`, the classes are {known}")]
    Class {
        /// The folder or table.
        path: PathBuf,
        /// Class found.
        found: String,
        /// Classes.
        known: String,
    },
    /// Too many pictures for one sheet.
    #[error("{found} pictures of {height} by {width} do not fit on a sheet, {most} do")]
    TooMany {
        /// Pictures found.
        found: usize,
        /// Height of each.
        height: usize,
        /// Width of each.
        width: usize,
        /// Most that fit.
        most: usize,
    },
    /// Nowhere to cut.
    #[error("the model can be cut nowhere so that a tail is left: {reasons}")]
    NoCut {
        /// Why not, node by node.
        reasons: String,
    },
    /// What was written is no model.
    #[error("check what was written")]
    Bench(#[from] BenchError),
    /// Samples that were written cannot be read.
    #[error("check the samples")]
    Samples(#[from] SamplesError),
}

/// Samples that calibrate at most: more do not change a percentile.
const CALIBRATING: usize = 512;
/// Of samples without held-out ones, one in so many is held out.
const HELD_OUT_OF: usize = 5;

/// What a kind of input needs beside the model: its part of the card, and files.
struct Parts {
    labels: Vec<String>,
    preamble: String,
    data: String,
    files: Vec<(&'static str, Vec<u8>)>,
    samples: usize,
    held_out: usize,
}

/// Writes a model's folder at `into`.
///
/// # Errors
/// [`DraftError`]; then nothing is there.
pub fn draft(model: &Path, files: &SampleFiles, wishes: &Wishes, into: &Path) -> Result<Drafted, DraftError> {
    if into.exists() {
        return Err(DraftError::Exists { folder: into.to_owned() });
    }
    let model = float_model(model, wishes.layers.as_deref())?;
    let input = model.input_shape().to_vec();
    let parts = match input.as_slice() {
        [columns] => table::parts(files, wishes, *columns, Columns::Apart)?,
        // Readings of a signal, one channel after the other.
        [channels, readings] => table::parts(files, wishes, channels * readings, Columns::OneSignal)?,
        [channels @ (1 | 3), height, width] => pictures::parts(files, wishes, [*channels, *height, *width])?,
        _ => return Err(DraftError::Input { found: format!("{input:?}") }),
    };
    if parts.held_out == 0 {
        let path = files.held_out.clone().unwrap_or_else(|| files.samples.clone());
        return Err(DraftError::NoSamples {
            path,
            wanted: "one in five is held out, so at least five are needed".to_owned(),
        });
    }
    let parent = into.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().prefix(".importing-").tempdir_in(parent);
    let folder =
        made.map_err(|source| DraftError::File { doing: "make a folder in", path: parent.to_owned(), source })?;
    write(&folder.path().join("model.onnx"), &model.to_bytes())?;
    for (name, bytes) in &parts.files {
        write(&folder.path().join(name), bytes)?;
    }
    // A card must name a place: any, to ask for all of them.
    let any = model.node_names().last().copied().unwrap_or_default().to_owned();
    let card = |after: &str, linear: bool, others: &[(String, usize)]| card(wishes, &parts, after, linear, others);
    write(&folder.path().join("model.toml"), card(&any, false, &[]).as_bytes())?;
    let Place { after, linear, others, not_deeper } = deepest(Bench::open(folder.path())?.cuts())?;
    write(&folder.path().join("model.toml"), card(&after, linear, &others).as_bytes())?;
    Bench::open(folder.path())?.held_out()?;
    std::fs::rename(folder.path(), into).map_err(|source| DraftError::File {
        doing: "move the folder to",
        path: into.to_owned(),
        source,
    })?;
    let Parts { labels, samples, held_out, .. } = parts;
    let held_out_of_samples = files.held_out.is_none();
    Ok(Drafted { labels, input, samples, held_out, held_out_of_samples, after, others, not_deeper })
}

/// As an exporter wrote it, or of listed layers over weights.
fn float_model(path: &Path, layers: Option<&Path>) -> Result<OnnxModel, DraftError> {
    let bytes = read(path)?;
    match layers {
        Some(layers) => {
            let list = String::from_utf8(read(layers)?).map_err(|_| DraftError::File {
                doing: "read",
                path: layers.to_owned(),
                source: std::io::Error::other("not a text in UTF-8"),
            })?;
            Ok(OnnxModel::stacked(&bytes, &list)?)
        }
        None if is_safetensors(&bytes) => Err(StackError::NoLayers.into()),
        None => Ok(OnnxModel::cleaned(&bytes)?),
    }
}

/// Where a model is cut.
struct Place {
    /// The node.
    after: String,
    /// Whether what is before it is one linear layer.
    linear: bool,
    /// Other nodes with the linear layers before them.
    others: Vec<(String, usize)>,
    /// What the first node behind it that cannot run in the head is refused for.
    not_deeper: Option<String>,
}

/// The place with most layers before it of those that leave a tail, and the others with their depths.
fn deepest(cuts: Vec<Cut>) -> Result<Place, DraftError> {
    let mut possible = Vec::new();
    let mut reasons: Vec<String> = Vec::new();
    let mut not_deeper = None;
    for Cut { after, state } in cuts {
        let reason = match state {
            CutState::Possible { depth, linear, has_tail: true } => {
                possible.push((after, depth, linear));
                not_deeper = None;
                continue;
            }
            CutState::Possible { .. } => format!("nothing follows {after}"),
            CutState::Refused(error @ BenchError::Import(ImportError::Unsupported { .. })) => {
                not_deeper = not_deeper.or_else(|| error.source().map(|source| source.to_string()));
                crate::report::words(&error)
            }
            CutState::Refused(error) => crate::report::words(&error),
        };
        // A node that cannot run is the reason at every node behind it.
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let Some((after, deepest, linear)) = possible.pop() else {
        reasons.truncate(4);
        return Err(DraftError::NoCut { reasons: reasons.join("; ") });
    };
    // Of each depth the last: what the client computes before it is given away to nobody.
    let mut others: Vec<(String, usize)> = Vec::new();
    for (after, depth, _) in possible.into_iter().filter(|(_, depth, _)| *depth < deepest) {
        others.retain(|(_, other)| *other != depth);
        others.push((after, depth));
    }
    Ok(Place { after, linear, others, not_deeper })
}

fn card(wishes: &Wishes, parts: &Parts, after: &str, linear: bool, others: &[(String, usize)]) -> String {
    let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let labels: Vec<String> = parts.labels.iter().map(|label| text(label)).collect();
    let others: String = others
        .iter()
        .map(|(after, depth)| format!("# It could also be cut after {}, behind {depth} linear layers.\n", text(after)))
        .collect();
    let policies: String = ["balanced", "private", "accurate"]
        .map(|name| format!("\n[[splits.policies]]\nname = \"{name}\"\nsigma = 0.15\nbits = 5\n"))
        .concat();
    format!(
        "# Written by `encompute model import`. Clip norm and noise are placeholders until `encompute model calibrate`.\n\
         format = 1\nname = {}\ntask = {}\nlimits = {}\nlabels = [{}]\n\n{}\n[data]\n{}\n[fees]\ntail = {}\n\n\
         {others}[[splits]]\nname = \"deepest\"\nafter = {}      # the ONNX node whose output is decrypted\n\
         mode = \"{}\"\nclip = 1.0\n{policies}",
        text(&wishes.name),
        text(&wishes.task),
        text(&wishes.limits),
        labels.join(", "),
        parts.preamble,
        parts.data,
        text(&wishes.tail_fee),
        text(after),
        if linear { "linear" } else { "rounds" },
    )
}

/// Classes in the order of the scores, and which of them each sample is of.
fn classes(wishes: &Wishes, path: &Path, found: &[String]) -> Result<Vec<String>, DraftError> {
    let mut sorted = found.to_vec();
    sorted.sort_by(|one, other| match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(one), Ok(other)) => one.total_cmp(&other),
        _ => one.cmp(other),
    });
    sorted.dedup();
    match (wishes.labels.is_empty(), sorted.as_slice()) {
        (true, [class]) => {
            let class = class.chars().take(64).collect();
            return Err(DraftError::OneClass { path: path.to_owned(), class });
        }
        (true, _) => return Ok(sorted),
        (false, _) => {}
    }
    match sorted.iter().find(|class| !wishes.labels.contains(class)) {
        Some(class) => Err(DraftError::Class {
            path: path.to_owned(),
            found: class.chars().take(64).collect(),
            known: wishes.labels.join(", "),
        }),
        None => Ok(wishes.labels.clone()),
    }
}

/// Samples that training saw or may have seen, and those that are held out.
fn parted<T>(samples: Vec<T>, held_out: Option<Vec<T>>) -> (Vec<T>, Vec<T>) {
    let Some(held_out) = held_out else {
        let (mut kept, mut out) = (Vec::new(), Vec::new());
        for (at, sample) in samples.into_iter().enumerate() {
            if at % HELD_OUT_OF == HELD_OUT_OF - 1 { out.push(sample) } else { kept.push(sample) }
        }
        return (kept, out);
    };
    (samples, held_out)
}

fn read(path: &Path) -> Result<Vec<u8>, DraftError> {
    let failed = |source| DraftError::File { doing: "read", path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    let limit = crate::onnx::ONNX_LIMIT_BYTES;
    if length > limit as u64 {
        return Err(failed(std::io::Error::other(format!("{length} bytes, at most {limit} are read"))));
    }
    std::fs::read(path).map_err(failed)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), DraftError> {
    std::fs::write(path, bytes).map_err(|source| DraftError::File { doing: "write", path: path.to_owned(), source })
}
