//! Stdout is data, stderr is words.

use crate::failure::{Doing, Exit, Failure, Outcome};
use serde::Serialize;
use std::{
    fs::Permissions,
    io::{ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// Version of every `--json` shape; it changes when a field changes its meaning or goes away.
pub const SCHEMA: u32 = 1;

/// One JSON value on one line, with its schema version beside its own fields.
///
/// # Errors
/// As [`text`].
pub fn json(value: &impl Serialize) -> Outcome {
    let mut value = serde_json::to_value(value).doing(Exit::Failed, "encode JSON")?;
    if let Some(object) = value.as_object_mut() {
        object.insert("schema".into(), SCHEMA.into());
    }
    text(&value.to_string())
}

/// One line of data. A reader that has seen enough (`| head`) is no failure of ours.
///
/// # Errors
/// When stdout cannot be written for another reason.
pub fn text(line: &str) -> Outcome {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.doing(Exit::Failed, "write to stdout"),
    }
}

/// A file, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn file(path: &Path, bytes: &[u8]) -> Outcome {
    let write = || {
        // Others may read it as they may any file that is made here.
        let anybody = Permissions::from_mode(0o666);
        let mut file = tempfile::Builder::new().permissions(anybody).tempfile_in(folder_of(path))?;
        file.write_all(bytes)?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    write().doing(Exit::Failed, &format!("write {}", path.display()))
}

/// Refuses to write a file where one is.
///
/// # Errors
/// If one is there.
pub fn is_free(path: &Path) -> Outcome {
    match path.exists() {
        false => Ok(()),
        true => Err(Failure::new(Exit::Usage, format!("{} exists already", path.display()))
            .hint("name another file, or remove it first")),
    }
}

/// Whether there is a folder for the file that is to be written there: before hours of work, not after.
///
/// # Errors
/// If there is none.
pub fn has_folder(path: &Path) -> Outcome {
    let folder = folder_of(path);
    match folder.is_dir() {
        true => Ok(()),
        false => Err(Failure::new(Exit::Usage, format!("there is no folder {}", folder.display()))),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A line for people.
pub fn say(line: &str) {
    eprintln!("{line}");
}

/// A table with aligned columns; the first row is its head.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["id", "stage"], ["10", "settled"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(table(&rows), "id  stage\n10  settled");
    }
}
