//! `model.toml`: what a creator says about a float model.

use crate::preamble::{Column, Fit, ImagePreamble, Preamble, TOKENS, TablePreamble};
use core::fmt;
use encompute_head::CompileOptions;
use encompute_protocol::Text;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Version of the card's format.
const FORMAT: u32 = 1;
/// Most bytes of a card or a column file.
const CARD_LIMIT_BYTES: u64 = 1024 * 1024;

/// What a creator says about a model, checked for form. Paths are relative to the card's folder.
#[derive(Clone, Debug)]
pub struct ModelCard {
    /// Its name in the gallery and on the command line.
    pub name: Text<64>,
    /// What it answers.
    pub task: Text<280>,
    /// What its answer does not say.
    pub limits: Text<1_000>,
    /// Classes, in the order of the scores.
    pub labels: Vec<Text<64>>,
    /// How a file becomes an input.
    pub preamble: PreambleCard,
    /// Where calibration and held-out samples lie.
    pub data: DataFiles,
    /// What the creator asks for one run of the tail.
    pub tail_fee: Fee,
    /// Where the model may be cut.
    pub splits: Vec<SplitCard>,
}

/// How a file becomes an input.
#[derive(Clone, Debug)]
pub enum PreambleCard {
    /// As the card says.
    Whole(Preamble),
    /// A text, read and encoded by a published encoder; `model.onnx` takes its mean over the tokens.
    Text(TextCard),
}

/// A text's encoder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextCard {
    /// Folder with config.json, tokenizer.json and model.safetensors, beside the card.
    pub encoder: PathBuf,
    /// Tokens that are read, the two ends of a text included.
    pub tokens: usize,
    /// What brings the folder where it is not in the repository: said to whoever lacks it.
    pub fetch: Option<String>,
}

/// What a creator asks for, e.g. `0.25 UNIT`. How much that is, the network says on which it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fee(String);

impl Fee {
    /// Whole tokens with a point, and letters and digits behind it that name the token.
    fn of(text: &str) -> Option<Self> {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let symbol = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let amount = text.strip_suffix(symbol)?;
        let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
        let symbol = symbol.trim_start_matches(' ');
        let named = !symbol.is_empty() && symbol.chars().all(|c| c.is_ascii_alphanumeric());
        // `1e3 UNIT` would read as one of the token `e3 UNIT`: a token's name has no blank.
        (digits(whole) && digits(fraction) && named).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Fee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where calibration and held-out samples lie.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFiles {
    /// Inputs that scale the activations: a sheet of pictures, a table, or texts, one a line.
    pub calibration: PathBuf,
    /// Inputs that training never saw, of the same kind.
    pub held_out: PathBuf,
    /// For pictures and texts: one class number a line, in their order.
    pub held_out_labels: Option<PathBuf>,
    /// For tables: the column that names the class.
    pub held_out_label_column: Option<String>,
    /// Inputs of the same kind that attackers have, for the leakage report; part of the held-out ones if none are
    /// named. Training's own will do. For tables with the class in the same column as the held-out ones.
    pub population: Option<PathBuf>,
    /// For pictures and texts: their classes, one a line.
    pub population_labels: Option<PathBuf>,
}

/// One place to cut.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitCard {
    /// Its name in the gallery.
    pub name: String,
    /// The ONNX node whose output is decrypted.
    pub after: String,
    /// How the head runs.
    pub mode: ModeName,
    /// For `bootstrapped`: the ONNX node, an activation, up to which nothing leaves encryption.
    pub inside: Option<String>,
    /// For `bootstrapped`: most bootstraps between two receipts. Fewer than a call takes cut what stays encrypted into
    /// shorter segments, so that less is lost with a worker.
    pub bootstraps_per_segment: Option<u32>,
    /// L2 norm that features are clipped to, in the float model's units.
    pub clip: f64,
    /// How features may be released; the default first.
    pub policies: Vec<PolicyCard>,
}

/// How a head runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModeName {
    /// One linear map.
    Linear,
    /// Linear maps on the worker, activations on the client.
    Rounds,
    /// As rounds, and the first layers stay encrypted, activations included.
    Bootstrapped,
}

/// One release policy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyCard {
    /// Its name.
    pub name: String,
    /// Standard deviation of the noise, in the float model's units.
    pub sigma: f64,
    /// Bits of a released code.
    pub bits: u8,
}

/// Why a card was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// The file could not be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what a card is.
    #[error("{path} is not a model card")]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value outside what it may be.
    #[error("{path}: {field} {reason}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Which value.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardFile {
    format: u32,
    name: String,
    task: String,
    limits: String,
    labels: Vec<String>,
    preamble: PreambleFile,
    data: DataFiles,
    fees: FeesFile,
    splits: Vec<SplitCard>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FeesFile {
    tail: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum PreambleFile {
    Image(ImageFile),
    Table(TableFile),
    Text(TextCard),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageFile {
    channels: u8,
    height: u16,
    width: u16,
    fit: FitName,
    #[serde(default)]
    r#box: u16,
    scale: [u32; 2],
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FitName {
    Whole,
    InkCentred,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFile {
    columns: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnsFile {
    columns: Vec<ColumnFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnFile {
    name: String,
    lowest: f64,
    highest: f64,
    offset: f64,
    step: f64,
}

impl ModelCard {
    /// Reads `model.toml` in `folder`.
    ///
    /// # Errors
    /// [`CardError`], naming the file and the value.
    pub fn read(folder: &Path) -> Result<Self, CardError> {
        let path = folder.join("model.toml");
        let file: CardFile = read_toml(&path)?;
        let wrong = |field: &str, reason: String| CardError::Value { path: path.clone(), field: field.into(), reason };
        if file.format != FORMAT {
            return Err(wrong("format", format!("is {}, only {FORMAT} is known", file.format)));
        }
        if !(2..=10_000).contains(&file.labels.len()) {
            return Err(wrong("labels", format!("names {} classes, 2 to 10000 are allowed", file.labels.len())));
        }
        if !(1..=8).contains(&file.splits.len()) {
            return Err(wrong("splits", format!("has {} entries, 1 to 8 are allowed", file.splits.len())));
        }
        for split in &file.splits {
            check_split(split).map_err(|reason| wrong(&format!("split `{}`", split.name), reason))?;
        }
        let labels = file.labels.into_iter().map(|label| bounded("labels", label, &path)).collect::<Result<_, _>>()?;
        Ok(Self {
            name: bounded("name", file.name, &path)?,
            task: bounded("task", file.task, &path)?,
            limits: bounded("limits", file.limits, &path)?,
            labels,
            preamble: preamble(file.preamble, folder, &path)?,
            data: file.data,
            tail_fee: Fee::of(&file.fees.tail).ok_or_else(|| {
                wrong("fees.tail", format!("is `{}`, an amount like `0.25 UNIT` is needed", file.fees.tail))
            })?,
            splits: file.splits,
        })
    }
}

fn check_split(split: &SplitCard) -> Result<(), String> {
    if split.name.is_empty() || split.name.len() > 32 {
        return Err("must have a name of 1 to 32 bytes".into());
    }
    match (split.mode, &split.inside) {
        (ModeName::Bootstrapped, None) => {
            return Err("is bootstrapped: `inside` must name the activation up to which it stays encrypted".into());
        }
        (ModeName::Linear | ModeName::Rounds, Some(_)) => {
            return Err("has `inside`, which only a bootstrapped split has".into());
        }
        _ => {}
    }
    let most = CompileOptions::BOOTSTRAPS_PER_CALL;
    match (split.mode, split.bootstraps_per_segment) {
        (_, None) => {}
        (ModeName::Bootstrapped, Some(found)) if (1..=most).contains(&found) => {}
        (ModeName::Bootstrapped, Some(found)) => {
            return Err(format!("has {found} as `bootstraps_per_segment`, 1 to {most} are allowed"));
        }
        _ => return Err("has `bootstraps_per_segment`, which only a bootstrapped split has".into()),
    }
    if !(split.clip.is_finite() && split.clip > 0.0) {
        return Err(format!("clips to {}, a positive number is needed", split.clip));
    }
    if !(1..=16).contains(&split.policies.len()) {
        return Err(format!("has {} policies, 1 to 16 are allowed", split.policies.len()));
    }
    for policy in &split.policies {
        if policy.name.is_empty() || policy.name.len() > 32 {
            return Err("has a policy whose name is not 1 to 32 bytes".into());
        }
        if !(policy.sigma.is_finite() && policy.sigma >= split.clip * 1e-3 && policy.sigma <= split.clip * 100.0) {
            let (least, most) = (split.clip * 1e-3, split.clip * 100.0);
            return Err(format!("policy `{}` has sigma {}, {least} to {most} are allowed", policy.name, policy.sigma));
        }
        if !(2..=16).contains(&policy.bits) {
            return Err(format!("policy `{}` has {} bits, 2 to 16 are allowed", policy.name, policy.bits));
        }
    }
    Ok(())
}

fn preamble(file: PreambleFile, folder: &Path, path: &Path) -> Result<PreambleCard, CardError> {
    let wrong = |reason: String| CardError::Value { path: path.to_owned(), field: "preamble".into(), reason };
    let preamble = match file {
        PreambleFile::Text(text) if TOKENS.contains(&text.tokens) => return Ok(PreambleCard::Text(text)),
        PreambleFile::Text(TextCard { tokens, .. }) => {
            return Err(wrong(format!("reads {tokens} tokens, {} to {} are allowed", TOKENS.start(), TOKENS.end())));
        }
        PreambleFile::Image(image) => Preamble::Image(ImagePreamble {
            channels: image.channels,
            height: image.height,
            width: image.width,
            fit: match image.fit {
                FitName::Whole => Fit::Whole,
                FitName::InkCentred => Fit::InkCentred { box_pixels: image.r#box },
            },
            scale_numerator: image.scale[0],
            scale_denominator: image.scale[1],
        }),
        PreambleFile::Table(table) => {
            let columns_path = folder.join(&table.columns);
            let file: ColumnsFile = read_toml(&columns_path)?;
            let columns = file.columns.into_iter().map(|column| {
                let ColumnFile { name, lowest, highest, offset, step } = column;
                Ok(Column { name: bounded("column name", name, &columns_path)?, lowest, highest, offset, step })
            });
            Preamble::Table(TablePreamble { columns: columns.collect::<Result<_, CardError>>()? })
        }
    };
    if !preamble.is_sound() {
        return Err(wrong("does not make sense: sizes, ranges and steps must be positive, names unique".into()));
    }
    Ok(PreambleCard::Whole(preamble))
}

fn bounded<const LIMIT: u32>(field: &str, text: String, path: &Path) -> Result<Text<LIMIT>, CardError> {
    Text::new(text).map_err(|error| CardError::Value {
        path: path.to_owned(),
        field: field.into(),
        reason: format!("has {error}"),
    })
}

fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, CardError> {
    let read = |source| CardError::Read { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(read)?.len();
    if length > CARD_LIMIT_BYTES {
        return Err(read(std::io::Error::other(format!("{length} bytes, at most {CARD_LIMIT_BYTES} are read"))));
    }
    let text = std::fs::read_to_string(path).map_err(read)?;
    toml::from_str(&text).map_err(|source| CardError::Form { path: path.to_owned(), source: Box::new(source) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_is_an_amount_and_the_token_that_it_is_of() {
        for right in ["0.25 UNIT", "3 PAS", "0.000000000001UNIT"] {
            assert_eq!(Fee::of(right).map(|fee| fee.to_string()).as_deref(), Some(right));
        }
        for wrong in ["0.25", "-1 UNIT", ".5 UNIT", "1e3 UNIT", "1 UNIT EACH", "UNIT", "1 ", ""] {
            assert_eq!(Fee::of(wrong), None, "{wrong}");
        }
    }
}
