//! Rows of numbers.

use super::{CALIBRATING, DraftError, Parts, SampleFiles, Wishes, classes, parted};
use crate::{
    preamble::{TableError, table},
    samples::spread,
};
use std::{collections::BTreeSet, path::Path};

/// Of a column's span, how far a value may lie beyond what the samples hold: further, and it is more likely a mistake.
const TOLERATED_SPANS: f64 = 2.0;
/// Of a column's span, what the grid has room for at either end.
const GRID_MARGIN: f64 = 0.05;

struct Row {
    numbers: Vec<f64>,
    class: String,
}

/// What the columns are to the model.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Columns {
    /// Each a quantity of its own.
    Apart,
    /// Readings of one signal: convolutions meet them with the same weights, so they lie on one grid.
    OneSignal,
}

pub(super) fn parts(files: &SampleFiles, wishes: &Wishes, width: usize, kind: Columns) -> Result<Parts, DraftError> {
    let label = wishes.label_column.as_deref().ok_or(DraftError::NoLabelColumn)?;
    let (names, rows) = read(&files.samples, label, width)?;
    let held_out = match &files.held_out {
        None => None,
        Some(path) => {
            let (found, rows) = read(path, label, width)?;
            if found != names {
                let wanted = "the same columns in the same order as the other samples".to_owned();
                return Err(DraftError::NoSamples { path: path.clone(), wanted });
            }
            Some(rows)
        }
    };
    let all = || rows.iter().chain(held_out.iter().flatten());
    let found: BTreeSet<String> = all().map(|row| row.class.clone()).collect();
    let labels = classes(wishes, &files.samples, &found.into_iter().collect::<Vec<_>>())?;
    let signal = Range::of(rows.iter().flat_map(|row| row.numbers.iter().copied())).beginning_at_zero();
    let range = |at: usize| match kind {
        Columns::Apart => Range::of(rows.iter().map(|row| row.numbers[at])),
        Columns::OneSignal => signal,
    };
    if let (Some(path), Some(held_out)) = (&files.held_out, &held_out) {
        check_ranges(path, &names, held_out, range)?;
    }
    let columns: String = names.iter().enumerate().map(|(at, name)| range(at).column(name)).collect();
    let (kept, held_out) = parted(rows, held_out);
    let calibration: Vec<&Row> = spread(&kept, CALIBRATING).collect();
    let data = format!(
        "calibration = \"calibration.csv\"\nheld_out = \"held-out.csv\"\nheld_out_label_column = {}\n\
         population = \"population.csv\"   # what attackers of the leakage report have\n",
        toml::Value::String(label.to_owned()),
    );
    Ok(Parts {
        labels,
        preamble: "[preamble.table]\ncolumns = \"columns.toml\"\n".to_owned(),
        data,
        files: vec![
            (
                "columns.toml",
                format!("# Written by `encompute model import`. Units as in the samples.\n{columns}").into_bytes(),
            ),
            ("calibration.csv", sheet(&names, None, &calibration)?),
            ("held-out.csv", sheet(&names, Some(label), &held_out.iter().collect::<Vec<_>>())?),
            ("population.csv", sheet(&names, Some(label), &kept.iter().collect::<Vec<_>>())?),
        ],
        samples: kept.len(),
        held_out: held_out.len(),
    })
}

/// Refuses rows that lie where no row of a user may, by their own file's name.
fn check_ranges(path: &Path, names: &[String], rows: &[Row], range: impl Fn(usize) -> Range) -> Result<(), DraftError> {
    for (at, name) in names.iter().enumerate() {
        let (lowest, highest) = range(at).allowed();
        if let Some(row) = rows.iter().find(|row| !(lowest..=highest).contains(&row.numbers[at])) {
            let (name, found) = (name.clone(), row.numbers[at]);
            let source = TableError::Range { name, found, lowest, highest };
            return Err(DraftError::Table { path: path.to_owned(), source });
        }
    }
    Ok(())
}

fn read(path: &Path, label: &str, width: usize) -> Result<(Vec<String>, Vec<Row>), DraftError> {
    let refused = |source| DraftError::Table { path: path.to_owned(), source };
    if path.is_dir() {
        let wanted = "the model reads rows of numbers: a CSV file with a column of classes is needed, this is a folder";
        return Err(DraftError::NoSamples { path: path.to_owned(), wanted: wanted.to_owned() });
    }
    let text = String::from_utf8(super::read(path)?).map_err(|_| refused(TableError::NotText))?;
    let mut lines = table::lines(&text);
    let header = lines.next().ok_or_else(|| refused(TableError::Empty))?.map_err(refused)?;
    let at = header.iter().position(|name| name == label);
    let at = at.ok_or_else(|| refused(TableError::Missing { name: label.to_owned() }))?;
    if header.len() - 1 != width {
        let found = header.len() - 1;
        return Err(DraftError::Columns { path: path.to_owned(), label: label.to_owned(), found, wanted: width });
    }
    let mut rows = Vec::new();
    for (index, line) in lines.enumerate() {
        let mut line = line.map_err(refused)?;
        if line.len() != header.len() {
            let (row, found, expected) = (index + 1, line.len(), header.len());
            return Err(refused(TableError::Width { row, found, expected }));
        }
        let class = line.remove(at);
        if class.trim().is_empty() {
            return Err(DraftError::Unlabelled { path: path.to_owned(), sample: index + 1, label: label.to_owned() });
        }
        let names = header.iter().enumerate().filter(|(column, _)| *column != at).map(|(_, name)| name);
        let number = |(cell, name): (&String, &String)| {
            let number = cell.parse::<f64>().ok().filter(|number| number.is_finite());
            number.ok_or_else(|| {
                refused(TableError::NotNumber { name: name.clone(), found: cell.chars().take(32).collect() })
            })
        };
        rows.push(Row { numbers: line.iter().zip(names).map(number).collect::<Result<_, _>>()?, class });
    }
    if rows.is_empty() {
        return Err(DraftError::NoSamples { path: path.to_owned(), wanted: "rows below a header".to_owned() });
    }
    let names = header.into_iter().enumerate().filter(|(column, _)| *column != at).map(|(_, name)| name).collect();
    Ok((names, rows))
}

/// What samples hold.
#[derive(Clone, Copy)]
struct Range {
    least: f64,
    span: f64,
    /// Where the grid begins.
    offset: f64,
}

impl Range {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let (least, most) = (values.clone().fold(f64::MAX, f64::min), values.fold(f64::MIN, f64::max));
        // A column that never changes has a grid all the same.
        let span = if most > least { most - least } else { 1.0 };
        Self { least, span, offset: least - GRID_MARGIN * span }
    }

    /// With 0 at the beginning of the grid where nothing lies below: a convolution pads with 0.
    fn beginning_at_zero(self) -> Self {
        let Self { least, span, .. } = self;
        if least < 0.0 { self } else { Self { least: 0.0, span: least + span, offset: 0.0 } }
    }

    /// The least and the largest value that is not taken for a mistake.
    fn allowed(self) -> (f64, f64) {
        let Self { least, span, .. } = self;
        let below = least - TOLERATED_SPANS * span;
        (if least >= 0.0 { below.max(0.0) } else { below }, least + span + TOLERATED_SPANS * span)
    }

    /// A column's part of `columns.toml`.
    fn column(self, name: &str) -> String {
        let (Self { least, span, offset }, (lowest, highest)) = (self, self.allowed());
        let step = (least + span + GRID_MARGIN * span - offset) / 255.0;
        let name = toml::Value::String(name.to_owned());
        format!(
            "\n[[columns]]\nname = {name}\nlowest = {lowest:?}\nhighest = {highest:?}\noffset = {offset:?}\nstep = {step:?}\n"
        )
    }
}

fn sheet(names: &[String], label: Option<&str>, rows: &[&Row]) -> Result<Vec<u8>, DraftError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |error: csv::Error| DraftError::File {
        doing: "lay out",
        path: "samples".into(),
        source: std::io::Error::other(error),
    };
    writer.write_record(names.iter().map(String::as_str).chain(label)).map_err(failed)?;
    for row in rows {
        let numbers = row.numbers.iter().map(f64::to_string);
        writer.write_record(numbers.chain(label.map(|_| row.class.clone()))).map_err(failed)?;
    }
    let laid = |error: csv::IntoInnerError<_>| failed(error.into_error().into());
    writer.into_inner().map_err(laid)
}
