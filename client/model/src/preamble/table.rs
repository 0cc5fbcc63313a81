//! One row of numbers under named columns.

use super::Tensor;
use codec::{Decode, Encode};
use encompute_protocol::Text;

/// The columns that a table must have, in the model's order.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct TablePreamble {
    /// One input value each.
    pub columns: Vec<Column>,
}

/// One column: what it may hold, and its grid.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Column {
    /// Its name in the header line.
    pub name: Text<64>,
    /// Smallest value that is accepted, in the data set's unit.
    pub lowest: f64,
    /// Largest value that is accepted.
    pub highest: f64,
    /// Value of byte 0. An accepted value below it takes byte 0.
    pub offset: f64,
    /// Distance between neighbouring bytes. An accepted value above byte 255 takes byte 255.
    pub step: f64,
}

/// Why a file is not a row for this model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Not text.
    #[error("not a UTF-8 text file")]
    NotText,
    /// No header line.
    #[error("the file is empty, its first line must name the columns")]
    Empty,
    /// A header and something else than one row.
    #[error("{found} rows below the header, exactly one is read")]
    Rows {
        /// Rows found.
        found: usize,
    },
    /// Columns that the model needs are not there.
    #[error("column `{name}` is missing")]
    Missing {
        /// The first of them, in the model's order.
        name: String,
    },
    /// A column that the model does not know.
    #[error("column `{name}` is not one of the {expected} that this model reads")]
    Unknown {
        /// The first of them.
        name: String,
        /// How many there should be.
        expected: usize,
    },
    /// A column named twice.
    #[error("column `{name}` appears twice")]
    Twice {
        /// Its name.
        name: String,
    },
    /// A row that is longer or shorter than the header.
    #[error("row {row} has {found} cells, the header has {expected}")]
    Width {
        /// Row below the header, from 1.
        row: usize,
        /// Cells found.
        found: usize,
        /// Cells in the header.
        expected: usize,
    },
    /// A cell that is not a finite number.
    #[error("column `{name}` holds `{found}`, which is not a number")]
    NotNumber {
        /// The column.
        name: String,
        /// The cell's text, at most its first 32 characters.
        found: String,
    },
    /// A number outside what the column may hold.
    #[error("column `{name}` holds {found}, allowed are {lowest} to {highest}")]
    Range {
        /// The column.
        name: String,
        /// The cell's value.
        found: f64,
        /// Smallest allowed.
        lowest: f64,
        /// Largest allowed.
        highest: f64,
    },
}

impl TablePreamble {
    pub(super) fn is_sound(&self) -> bool {
        let ordered = |c: &Column| c.lowest.is_finite() && c.highest.is_finite() && c.lowest < c.highest;
        let on_grid = |c: &Column| c.offset.is_finite() && c.step.is_finite() && c.step > 0.0;
        let mut names: Vec<_> = self.columns.iter().map(|column| &column.name).collect();
        names.sort();
        names.dedup();
        !self.columns.is_empty()
            && names.len() == self.columns.len()
            && self.columns.iter().all(|column| ordered(column) && on_grid(column))
    }

    pub(super) fn read(&self, file: &[u8]) -> Result<Tensor, TableError> {
        let text = std::str::from_utf8(file).map_err(|_| TableError::NotText)?;
        let mut rows = self.rows(text, &[])?.values;
        match (rows.len(), rows.pop()) {
            (1, Some(row)) => Ok(self.quantise(&row)),
            (found, _) => Err(TableError::Rows { found }),
        }
    }

    /// The bytes of a row of checked numbers: `round((x − offset) / step)`, held to 0 ..= 255.
    pub(crate) fn quantise(&self, row: &[f64]) -> Tensor {
        let on_grid = |(value, column): (&f64, &Column)| ((value - column.offset) / column.step).round() as u8;
        let values: Vec<u8> = row.iter().zip(&self.columns).map(on_grid).collect();
        Tensor::new([1, 1, values.len()], values).expect("one value per column; qed")
    }

    /// Every row of a CSV file, columns brought into the model's order and checked; columns in `aside` are
    /// returned as text beside it.
    pub(crate) fn rows(&self, text: &str, aside: &[&str]) -> Result<Rows, TableError> {
        let mut lines = lines(text);
        let header = lines.next().ok_or(TableError::Empty)??;
        let order = self.order(&header, aside)?;
        let beside: Vec<Option<usize>> = aside.iter().map(|name| position(&header, name)).collect();
        let mut rows = Rows { values: Vec::new(), aside: Vec::new() };
        for (index, line) in lines.enumerate() {
            let line = line?;
            if line.len() != header.len() {
                return Err(TableError::Width { row: index + 1, found: line.len(), expected: header.len() });
            }
            let numbers = order.iter().zip(&self.columns).map(|(cell, column)| column.number(&line[*cell]));
            rows.values.push(numbers.collect::<Result<_, _>>()?);
            rows.aside.push(beside.iter().flatten().map(|cell| line[*cell].clone()).collect());
        }
        Ok(rows)
    }

    /// Where each of the model's columns stands in the header.
    fn order(&self, header: &[String], aside: &[&str]) -> Result<Vec<usize>, TableError> {
        for (index, name) in header.iter().enumerate() {
            let known =
                self.columns.iter().any(|column| column.name.as_str() == name) || aside.contains(&name.as_str());
            if !known {
                return Err(TableError::Unknown { name: brief(name), expected: self.columns.len() });
            }
            if header[..index].contains(name) {
                return Err(TableError::Twice { name: brief(name) });
            }
        }
        if let Some(name) = aside.iter().find(|name| position(header, name).is_none()) {
            return Err(TableError::Missing { name: (*name).to_owned() });
        }
        let places = self.columns.iter().map(|column| {
            let name = column.name.as_str();
            position(header, name).ok_or_else(|| TableError::Missing { name: name.to_owned() })
        });
        places.collect()
    }
}

/// Checked rows of a file.
pub(crate) struct Rows {
    /// Numbers in the model's order, one list a row.
    pub values: Vec<Vec<f64>>,
    /// Cells of the columns that were asked for beside them.
    pub aside: Vec<Vec<String>>,
}

impl Column {
    fn number(&self, cell: &str) -> Result<f64, TableError> {
        let value = cell.parse::<f64>().ok().filter(|value| value.is_finite());
        let value =
            value.ok_or_else(|| TableError::NotNumber { name: self.name.as_str().to_owned(), found: brief(cell) })?;
        if !(self.lowest..=self.highest).contains(&value) {
            return Err(TableError::Range {
                name: self.name.as_str().to_owned(),
                found: value,
                lowest: self.lowest,
                highest: self.highest,
            });
        }
        Ok(value)
    }
}

fn position(header: &[String], name: &str) -> Option<usize> {
    header.iter().position(|cell| cell == name)
}

fn brief(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(32).collect()
}

/// The cells of every line that is not blank (RFC 4180), blanks around each dropped.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Result<Vec<String>, TableError>> + '_ {
    let reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true) // rows of another width are refused by ours, with their number
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    reader.into_records().filter_map(|record| match record {
        Ok(record) if record.iter().all(str::is_empty) && record.len() <= 1 => None,
        Ok(record) => Some(Ok(record.iter().map(str::to_owned).collect())),
        Err(_) => Some(Err(TableError::NotText)),
    })
}
