//! A model whose first activations are looked up under encryption.

use std::path::Path;

/// Its folder.
pub const INSIDE: &str = "tests/fixtures/inside-model";
/// A row for it.
pub const INSIDE_ROW: &str = "tests/fixtures/inside-model/sample.csv";

/// [`INSIDE`] in a folder of its own, its sixteen and eight bootstraps a segment each; a round follows them.
///
/// # Panics
/// If it cannot be copied.
pub fn segmented_model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(INSIDE);
    for entry in std::fs::read_dir(fixture).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let card = folder.path().join("model.toml");
    let text = std::fs::read_to_string(&card).unwrap();
    let inside = "inside = \"head.1.relu\"\n";
    assert!(text.contains(inside));
    std::fs::write(card, text.replace(inside, &format!("{inside}bootstraps_per_segment = 16\n"))).unwrap();
    folder
}
