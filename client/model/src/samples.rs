//! Calibration and held-out samples from files.

use crate::{
    card::ModelCard,
    input::Input,
    preamble::{FILE_LIMIT_BYTES, ImageError, Preamble, TableError, TablePreamble, Tensor, sheet_tiles},
    sentence::SentenceError,
};
use encompute_protocol::Text;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// One labelled sample: what the encrypted head gets, and what the float model gets.
pub struct Sample {
    /// On the preamble's grid.
    pub tensor: Tensor,
    /// Not rounded to it.
    pub float: Vec<f32>,
    /// Index of its class.
    pub label: usize,
}

/// Why samples were not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SamplesError {
    /// A file could not be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A sheet of pictures is damaged or not made of whole tiles.
    #[error("{path} is not a sheet of pictures")]
    Sheet {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ImageError,
    },
    /// A table is not one for this model.
    #[error("{path} is not a table for this model")]
    Table {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TableError,
    },
    /// A text is none for this model.
    #[error("{path} has a line that is no text for this model")]
    Text {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<SentenceError>,
    },
    /// The card does not say where the labels are.
    #[error("the model card does not say where labels are: `{field}` is missing")]
    NoLabels {
        /// The field.
        field: &'static str,
    },
    /// A label that is not a class.
    #[error("{path}: sample {sample} has label `{found}`, which is not a class of this model")]
    Label {
        /// The file.
        path: PathBuf,
        /// Sample, from 1.
        sample: usize,
        /// What was found.
        found: String,
    },
    /// Fewer samples than labels.
    #[error("{path} has {labels} labels for {samples} samples")]
    Count {
        /// The file.
        path: PathBuf,
        /// Labels found.
        labels: usize,
        /// Samples found.
        samples: usize,
    },
}

/// The calibration inputs of a card in `folder`. A sheet's empty tiles at its end are not samples.
///
/// # Errors
/// [`SamplesError`].
pub(crate) fn calibration(folder: &Path, card: &ModelCard, input: &Input) -> Result<Vec<Tensor>, SamplesError> {
    let path = folder.join(&card.data.calibration);
    match (input, input.preamble()) {
        (Input::Text(encoded), _) => {
            texts(&path)?.iter().map(|text| encoded.tensor(text)).collect::<Result<_, _>>().map_err(not_texts(&path))
        }
        (_, Preamble::Table(table)) => {
            let rows = table.rows(&text(&path)?, &[]).map_err(|source| SamplesError::Table { path, source })?;
            Ok(rows.values.iter().map(|row| table.quantise(row)).collect())
        }
        (_, preamble) => {
            let mut tiles = tiles(&path, preamble)?;
            while tiles.last().is_some_and(|tile| tile.values().iter().all(|value| *value == 0)) {
                tiles.pop();
            }
            Ok(tiles)
        }
    }
}

/// Labelled samples of a card: where they lie, and which field names their classes.
struct Labelled<'a> {
    samples: &'a Path,
    labels: Option<&'a Path>,
    labels_field: &'static str,
}

/// The held-out samples of a card in `folder`.
///
/// # Errors
/// [`SamplesError`].
pub(crate) fn held_out(folder: &Path, card: &ModelCard, input: &Input) -> Result<Vec<Sample>, SamplesError> {
    let (samples, labels) = (&card.data.held_out, card.data.held_out_labels.as_deref());
    labelled(folder, card, input, &Labelled { samples, labels, labels_field: "held_out_labels" })
}

/// What attackers have, if the card in `folder` names it.
///
/// # Errors
/// [`SamplesError`].
pub(crate) fn population(folder: &Path, card: &ModelCard, input: &Input) -> Result<Option<Vec<Sample>>, SamplesError> {
    let Some(samples) = &card.data.population else { return Ok(None) };
    let labels = card.data.population_labels.as_deref();
    labelled(folder, card, input, &Labelled { samples, labels, labels_field: "population_labels" }).map(Some)
}

fn labelled(folder: &Path, card: &ModelCard, input: &Input, files: &Labelled<'_>) -> Result<Vec<Sample>, SamplesError> {
    let path = folder.join(files.samples);
    match (input, input.preamble()) {
        (Input::Text(encoded), _) => {
            let texts = texts(&path)?;
            let labels = labels_of(folder, card, files, texts.len())?;
            let sample = |(text, label): (&String, usize)| {
                Ok(Sample { tensor: encoded.tensor(text)?, float: encoded.float(text)?, label })
            };
            let samples = texts.par_iter().zip(labels).map(sample);
            samples.collect::<Result<_, SentenceError>>().map_err(not_texts(&path))
        }
        (_, Preamble::Table(table)) => table_rows(&path, card, table),
        (_, preamble) => {
            let tiles = tiles(&path, preamble)?;
            let labels = labels_of(folder, card, files, tiles.len())?;
            let step = preamble.grid().step;
            let sample = |(tensor, label): (Tensor, usize)| {
                let values = tensor.values().iter().zip(&step);
                let float = values.map(|(byte, step)| (f64::from(*byte) * step) as f32).collect();
                Sample { tensor, float, label }
            };
            Ok(tiles.into_iter().zip(labels).map(sample).collect())
        }
    }
}

/// Rows of a table, the class beside each.
fn table_rows(path: &Path, card: &ModelCard, table: &TablePreamble) -> Result<Vec<Sample>, SamplesError> {
    let column = card.data.held_out_label_column.as_deref();
    let column = column.ok_or(SamplesError::NoLabels { field: "held_out_label_column" })?;
    let rows = table.rows(&text(path)?, &[column]);
    let rows = rows.map_err(|source| SamplesError::Table { path: path.to_owned(), source })?;
    let samples = rows.values.iter().zip(&rows.aside).enumerate().map(|(index, (row, aside))| {
        let label = aside.first().map_or("", String::as_str);
        Ok(Sample {
            tensor: table.quantise(row),
            float: row.iter().map(|value| *value as f32).collect(),
            label: class_named(&card.labels, label).ok_or_else(|| SamplesError::Label {
                path: path.to_owned(),
                sample: index + 1,
                found: label.chars().take(32).collect(),
            })?,
        })
    });
    samples.collect()
}

/// One class for each of the first samples.
fn labels_of(
    folder: &Path,
    card: &ModelCard,
    files: &Labelled<'_>,
    samples: usize,
) -> Result<Vec<usize>, SamplesError> {
    let path = folder.join(files.labels.ok_or(SamplesError::NoLabels { field: files.labels_field })?);
    let labels = class_numbers(&path, card.labels.len())?;
    match labels.len() > samples {
        true => Err(SamplesError::Count { path, labels: labels.len(), samples }),
        false => Ok(labels),
    }
}

/// At most `count` of them, evenly spread.
pub(crate) fn spread<T>(samples: &[T], count: usize) -> impl Iterator<Item = &T> {
    let count = count.min(samples.len());
    (0..count).map(move |at| &samples[at * samples.len() / count])
}

fn not_texts(path: &Path) -> impl FnOnce(SentenceError) -> SamplesError {
    let path = path.to_owned();
    |source| SamplesError::Text { path, source: Box::new(source) }
}

/// Texts, one a line, without blank ones.
pub(crate) fn texts(path: &Path) -> Result<Vec<String>, SamplesError> {
    Ok(text(path)?.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
}

fn class_named(labels: &[Text<64>], name: &str) -> Option<usize> {
    labels.iter().position(|label| label.as_str() == name)
}

fn class_numbers(path: &Path, classes: usize) -> Result<Vec<usize>, SamplesError> {
    let text = text(path)?;
    let number = |(index, line): (usize, &str)| match line.trim().parse::<usize>() {
        Ok(class) if class < classes => Ok(class),
        _ => Err(SamplesError::Label {
            path: path.to_owned(),
            sample: index + 1,
            found: line.chars().take(32).collect(),
        }),
    };
    text.lines().enumerate().map(number).collect()
}

fn tiles(path: &Path, preamble: &Preamble) -> Result<Vec<Tensor>, SamplesError> {
    let tiles = sheet_tiles(&bytes(path)?, preamble.shape());
    tiles.map_err(|source| SamplesError::Sheet { path: path.to_owned(), source })
}

fn bytes(path: &Path) -> Result<Vec<u8>, SamplesError> {
    let read = |source| SamplesError::Read { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(read)?.len();
    if length > FILE_LIMIT_BYTES as u64 {
        return Err(read(std::io::Error::other(format!("{length} bytes, at most {FILE_LIMIT_BYTES} are read"))));
    }
    std::fs::read(path).map_err(read)
}

fn text(path: &Path) -> Result<String, SamplesError> {
    String::from_utf8(bytes(path)?)
        .map_err(|_| SamplesError::Table { path: path.to_owned(), source: TableError::NotText })
}
