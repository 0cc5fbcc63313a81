//! Calibration and held-out samples from files.

use crate::{
    card::ModelCard,
    preamble::{FILE_LIMIT_BYTES, ImageError, Preamble, TableError, Tensor, sheet_tiles},
};
use encompute_protocol::Text;
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
    /// The card does not say where the labels are.
    #[error("the model card does not say where held-out labels are: `{field}` is missing")]
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
pub fn calibration(folder: &Path, card: &ModelCard) -> Result<Vec<Tensor>, SamplesError> {
    let path = folder.join(&card.data.calibration);
    match &card.preamble {
        Preamble::Image(_) => {
            let mut tiles = tiles(&path, &card.preamble)?;
            while tiles.last().is_some_and(|tile| tile.values().iter().all(|value| *value == 0)) {
                tiles.pop();
            }
            Ok(tiles)
        }
        Preamble::Table(table) => {
            let rows = table.rows(&text(&path)?, &[]).map_err(|source| SamplesError::Table { path, source })?;
            Ok(rows.values.iter().map(|row| table.quantise(row)).collect())
        }
    }
}

/// The held-out samples of a card in `folder`.
///
/// # Errors
/// [`SamplesError`].
pub fn held_out(folder: &Path, card: &ModelCard) -> Result<Vec<Sample>, SamplesError> {
    let path = folder.join(&card.data.held_out);
    match &card.preamble {
        Preamble::Image(image) => {
            let labels = card.data.held_out_labels.as_ref();
            let labels_path = folder.join(labels.ok_or(SamplesError::NoLabels { field: "held_out_labels" })?);
            let labels = class_numbers(&labels_path, card.labels.len())?;
            let tiles = tiles(&path, &card.preamble)?;
            if labels.len() > tiles.len() {
                return Err(SamplesError::Count { path: labels_path, labels: labels.len(), samples: tiles.len() });
            }
            let step = image.step();
            let sample = |(tensor, label): (Tensor, usize)| {
                let float = tensor.values().iter().map(|byte| (f64::from(*byte) * step) as f32).collect();
                Sample { tensor, float, label }
            };
            Ok(tiles.into_iter().zip(labels).map(sample).collect())
        }
        Preamble::Table(table) => {
            let column = card.data.held_out_label_column.as_deref();
            let column = column.ok_or(SamplesError::NoLabels { field: "held_out_label_column" })?;
            let rows = table.rows(&text(&path)?, &[column]);
            let rows = rows.map_err(|source| SamplesError::Table { path: path.clone(), source })?;
            let samples = rows.values.iter().zip(&rows.aside).enumerate().map(|(index, (row, aside))| {
                let label = aside.first().map_or("", String::as_str);
                Ok(Sample {
                    tensor: table.quantise(row),
                    float: row.iter().map(|value| *value as f32).collect(),
                    label: class_named(&card.labels, label).ok_or_else(|| SamplesError::Label {
                        path: path.clone(),
                        sample: index + 1,
                        found: label.chars().take(32).collect(),
                    })?,
                })
            });
            samples.collect()
        }
    }
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
    let [_, height, width] = preamble.shape();
    sheet_tiles(&bytes(path)?, width, height).map_err(|source| SamplesError::Sheet { path: path.to_owned(), source })
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
