//! A creator's reports and exports: bad input is told in a sentence, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::refusal;
use encompute_kit::{Ran, encompute};
use std::{fs, path::Path};

const MODELS: &str = "scripts/models";

/// The breast-cancer model in a folder of its own, its samples beside it.
fn a_model(home: &Path) -> std::path::PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = home.join("model");
    fs::create_dir(&folder).unwrap();
    for name in ["model.onnx", "columns.toml", "calibration.csv"] {
        fs::copy(root.join(MODELS).join("breast-cancer").join(name), folder.join(name)).unwrap();
    }
    for name in ["held-out.csv", "population.csv"] {
        fs::copy(root.join("tests/fixtures/breast-cancer").join(name), folder.join(name)).unwrap();
    }
    let card = fs::read_to_string(root.join(MODELS).join("breast-cancer/model.toml")).unwrap();
    fs::write(folder.join("model.toml"), card.replace("../../../tests/fixtures/breast-cancer/", "")).unwrap();
    folder
}

/// Runs a report on an altered model, with a page asked for: it must fail, and write none.
fn refused(alter: impl FnOnce(&Path)) -> (i32, String) {
    let home = tempfile::tempdir().unwrap();
    let folder = a_model(home.path());
    alter(&folder);
    let (page, model) = (home.path().join("page.html"), folder.display().to_string());
    let before = fs::read_dir(&folder).unwrap().count();
    let arguments = ["model", "split-report", &model, "--card-only", "--write", "--html", page.to_str().unwrap()];
    let ran = encompute(home.path(), &arguments);
    assert!(!page.exists() && fs::read_dir(&folder).unwrap().count() == before, "{ran:?}");
    told(&ran)
}

/// Exit code and the one sentence on stderr.
fn told(ran: &Ran) -> (i32, String) {
    let (code, one_sentence) = refusal(ran);
    assert!(one_sentence && ran.stdout.is_empty(), "{ran:?}");
    (code, ran.stderr.lines().find(|line| line.starts_with("encompute: error: ")).unwrap().to_owned())
}

#[test]
fn a_damaged_model_is_refused_in_a_sentence_and_leaves_no_file() {
    let (code, words) = refused(|folder| fs::write(folder.join("model.onnx"), b"\x08\x09not a model").unwrap());
    assert!(code == 1 && words.contains("ONNX"), "{words}");
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_their_name() {
    let (code, words) = refused(|folder| {
        let path = folder.join("model.onnx");
        let mut bytes = fs::read(&path).unwrap();
        // The field of raw data, its tag and its length of one byte, follows the name.
        let name = b"head.0.weightJ";
        let at = bytes.windows(name.len()).rposition(|window| window == name).unwrap() + name.len() + 1;
        bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        fs::write(&path, bytes).unwrap();
    });
    assert!(code == 1 && words.contains("head.0.weight") && words.contains("not finite"), "{words}");
}

#[test]
fn samples_without_labels_are_refused_by_the_field_that_is_missing() {
    let (code, words) = refused(|folder| {
        let card = fs::read_to_string(folder.join("model.toml")).unwrap();
        fs::write(folder.join("model.toml"), card.replace("held_out_label_column", "#")).unwrap();
    });
    assert!(code == 1 && words.contains("held_out_label_column"), "{words}");
}

#[test]
fn too_few_samples_are_counted() {
    let (code, words) = refused(|folder| {
        let path = folder.join("held-out.csv");
        let rows = fs::read_to_string(&path).unwrap();
        fs::write(&path, rows.lines().take(6).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    });
    assert!(code == 1 && words.contains("has 5 samples") && words.contains("at least 16"), "{words}");
}

#[test]
fn a_page_that_exists_is_not_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let (folder, page) = (a_model(home.path()), home.path().join("page.html"));
    fs::write(&page, "mine").unwrap();
    let arguments = ["model", "split-report", folder.to_str().unwrap(), "--html", page.to_str().unwrap()];
    assert_eq!(told(&encompute(home.path(), &arguments)).0, 2);
    assert_eq!(fs::read_to_string(&page).unwrap(), "mine");
}

#[test]
fn a_report_is_the_same_on_every_run_and_its_page_needs_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let (folder, page) = (a_model(home.path()), home.path().join("page.html"));
    let model = folder.to_str().unwrap();
    let first = encompute(home.path(), &["model", "split-report", model, "--json", "--html", page.to_str().unwrap()]);
    let second = encompute(home.path(), &["model", "split-report", model, "--json"]);
    assert!(first.code == 0 && first.stdout == second.stdout, "{first:?}");
    let report = first.json();
    let fields = "name mode ms bytes_up bytes_down pbs accuracy released_accuracy bits reid_10k grade listable reason";
    for split in report["splits"].as_array().unwrap() {
        assert!(fields.split(' ').all(|field| !split[field].is_null()), "{split}");
        // Rows of a table are no pictures.
        assert!(split["ssim_above_floor"].is_null() && split["r2_above_floor"].is_f64());
    }
    let page = fs::read_to_string(&page).unwrap();
    assert!(page.contains("<svg") && page.contains("direction-1"));
    assert!(["<script", "http://", "https://", "src=\"/", "url("].iter().all(|other| !page.contains(other)));
}

#[test]
fn a_report_beside_a_model_is_held_against_what_is_measured_to_the_last_digit() {
    let home = tempfile::tempdir().unwrap();
    let folder = a_model(home.path());
    let report = |more: &[&str]| {
        let model = ["model", "split-report", folder.to_str().unwrap(), "--card-only"];
        encompute(home.path(), &[&model[..], more].concat())
    };
    let (code, words) = told(&report(&["--check"]));
    assert!(code == 3 && words.contains("report.json"), "{words}");
    report(&["--write"]).done();
    let checked = report(&["--check"]);
    let said = ["to the last digit", "direction-1, private took "];
    assert!(checked.code == 0 && said.iter().all(|words| checked.stderr.contains(words)), "{checked:?}");
    let path = folder.join("report.json");
    let kept = fs::read_to_string(&path).unwrap();
    // Of the second policy alone: one digit.
    let at = kept.match_indices("\"reid_10k\":0.").nth(1).unwrap().0 + 14;
    let digit = if kept.as_bytes()[at] == b'9' { "8" } else { "9" };
    fs::write(&path, [&kept[..at], digit, &kept[at + 1..]].concat()).unwrap();
    let (code, words) = told(&report(&["--check"]));
    assert!(code == 5 && words.contains("split direction-1 under policy private is another"), "{words}");
}

#[test]
fn features_of_an_empty_folder_are_none_and_those_of_a_file_are_kept_once() {
    let home = tempfile::tempdir().unwrap();
    let (empty, out) = (home.path().join("empty"), home.path().join("features.npz"));
    fs::create_dir(&empty).unwrap();
    let export = |inputs: &str| {
        let out = out.to_str().unwrap();
        encompute(home.path(), &["model", "features", "breast-cancer", "--inputs", inputs, "--out", out])
    };
    assert_eq!(told(&export(empty.to_str().unwrap())).0, 3);
    assert!(!out.exists());
    assert_eq!(told(&export("scripts/models/breast-cancer/model.toml")).0, 2);
    assert!(!out.exists());
    let patient = "tests/fixtures/breast-cancer/patient-benign.csv";
    let ran = export(patient);
    assert!(ran.code == 0 && ran.stdout.contains("1 samples, 1 features"), "{ran:?}");
    let kept = fs::read(&out).unwrap();
    assert!(kept.starts_with(b"PK\x03\x04"));
    assert_eq!(told(&export(patient)).0, 2);
    assert_eq!(fs::read(&out).unwrap(), kept);
}
