//! From what exporters write to a folder that the bench opens.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_model::{
    Bench, OnnxModel, TailLimits, TailModel,
    calibrate::rewritten,
    draft::{DraftError, Drafted, SampleFiles, Wishes, draft},
};
use std::{
    error::Error,
    path::{Path, PathBuf},
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

fn wishes() -> Wishes {
    Wishes {
        name: "wine".to_owned(),
        task: "Tells a wine's grower.".to_owned(),
        limits: "Knows \"three\" growers.".to_owned(),
        labels: Vec::new(),
        label_column: Some("cultivar".to_owned()),
        ink_box: None,
        scale: [1, 255],
        tail_fee: "0.25 UNIT".to_owned(),
    }
}

fn wine() -> SampleFiles {
    SampleFiles { samples: fixture("wine/train.csv"), held_out: Some(fixture("wine/held-out.csv")) }
}

fn imported(file: &str, files: &SampleFiles, wishes: &Wishes) -> Result<(tempfile::TempDir, Drafted), DraftError> {
    let home = tempfile::tempdir().unwrap();
    let drafted = draft(&fixture(file), files, wishes, &home.path().join("model"));
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), usize::from(drafted.is_ok()), "a folder whole or none: {left:?}");
    Ok((home, drafted?))
}

/// All that an error and its causes say.
fn words(error: &dyn Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", words(cause))).unwrap_or_default();
    format!("{error}{cause}")
}

fn refused(file: &str, files: &SampleFiles, wishes: &Wishes) -> String {
    words(&imported(file, files, wishes).err().unwrap())
}

#[test]
fn files_of_two_exporters_become_models_as_good_as_they_were() {
    for (file, after, right) in [("wine/scikit-learn.onnx", "Add2", 54), ("wine/pytorch.onnx", "/l/l.5/Tanh", 52)] {
        let (home, drafted) = imported(file, &wine(), &wishes()).unwrap();
        assert_eq!((drafted.samples, drafted.held_out, drafted.held_out_of_samples), (124, 54, false));
        assert_eq!(
            (drafted.labels, drafted.after.as_str()),
            (vec!["class_0".into(), "class_1".into(), "class_2".into()], after)
        );
        let folder = home.path().join("model");
        let bench = Bench::open(&folder).unwrap();
        let found = bench.calibrate().unwrap();
        let card = std::fs::read_to_string(folder.join("model.toml")).unwrap();
        std::fs::write(folder.join("model.toml"), rewritten(&card, &found).unwrap()).unwrap();
        let bench = Bench::open(&folder).unwrap();
        let split = bench.split(0).unwrap();
        let measured = bench.measure(&split, &bench.held_out().unwrap()).unwrap();
        assert_eq!(measured.float_correct, right, "{file}");
        assert!(measured.quantised_correct.abs_diff(right) <= 1, "{file}: {}", measured.quantised_correct);
        // What `publish` refuses otherwise.
        for policy in split.policies() {
            let bits = measured.information(&policy).bits();
            let most = if policy.name.as_str() == "private" { 3f64.log2() + 1.0 } else { 3f64.log2() + 7.0 };
            assert!(bits <= most, "{file}, {}: {bits}", policy.name);
        }
    }
}

#[test]
fn what_is_done_to_the_columns_before_the_first_layer_becomes_part_of_it() {
    let bytes = std::fs::read(fixture("wine/pytorch.onnx")).unwrap();
    let cleaned = OnnxModel::cleaned(&bytes).unwrap();
    let (before, after) = (OnnxModel::read(&bytes).unwrap(), cleaned.node_names().len());
    // Two nodes of scaling went, two sums came.
    assert_eq!(before.node_names().len(), after);
    assert!(cleaned.node_names().iter().all(|name| !["/Sub", "/Div"].contains(name)));
    let [before, after] =
        [before.to_bytes(), cleaned.to_bytes()].map(|bytes| TailModel::load(&bytes, TailLimits::default()).unwrap());
    for bottle in 0..20u16 {
        let row: Vec<f32> = (0..13u16).map(|column| f32::from(bottle * 7 + column * 3) / 9.0).collect();
        let scores = before.run(&row).unwrap().into_iter().zip(after.run(&row).unwrap());
        assert!(scores.into_iter().all(|(before, after)| (before - after).abs() < 1e-3), "bottle {bottle}");
    }
}

#[test]
fn of_a_classifier_the_scores_stay_and_its_names_go() {
    let bytes = std::fs::read(fixture("wine/scikit-learn.onnx")).unwrap();
    assert!(words(&OnnxModel::read(&bytes).err().unwrap()).contains("2 outputs"));
    let cleaned = OnnxModel::cleaned(&bytes).unwrap();
    assert!(cleaned.node_names().iter().all(|name| !["ArgMax", "Cast", "Identity", "Scaler"].contains(name)));
    // Nothing of the tools and notes of whoever made it.
    let text = String::from_utf8_lossy(&cleaned.to_bytes()).into_owned();
    assert!(!text.contains("skl2onnx") && !text.contains("ai.onnx.ml"));
}

#[test]
fn pictures_come_from_a_folder_for_each_class() {
    let home = tempfile::tempdir().unwrap();
    for at in 0..5 {
        let folder = home.path().join("7");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(fixture("digits/grey-28x28-7.png"), folder.join(format!("{at}.png"))).unwrap();
    }
    std::fs::write(home.path().join("7/.hidden"), "no picture").unwrap();
    let labels: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    let files = SampleFiles { samples: home.path().to_owned(), held_out: None };
    let wishes = Wishes { labels, ink_box: Some(20), ..wishes() };
    let digits = "../../scripts/models/digits/model.onnx";
    let (made, drafted) = imported(digits, &files, &wishes).unwrap();
    assert_eq!((drafted.samples, drafted.held_out, drafted.held_out_of_samples), (4, 1, true));
    let bench = Bench::open(&made.path().join("model")).unwrap();
    let held_out = bench.held_out().unwrap();
    let file = std::fs::read(fixture("digits/grey-28x28-7.png")).unwrap();
    assert!(held_out.len() == 1 && held_out[0].label == 7);
    assert!(held_out[0].tensor == bench.preamble().read(&file).unwrap());
    // A class without a score, a file that is none, and nothing at all.
    let none = SampleFiles { samples: home.path().join("7"), held_out: None };
    assert!(refused(digits, &none, &wishes).contains("holds no samples"));
    let few = Wishes { labels: vec!["1".into(), "2".into()], ..wishes.clone() };
    assert!(refused(digits, &files, &few).contains("the class `7`, the classes are 1, 2"));
    std::fs::write(home.path().join("7/notes.txt"), "no picture").unwrap();
    assert!(refused(digits, &files, &wishes).contains("notes.txt is no picture"));
}

#[test]
fn what_is_wrong_with_model_or_samples_is_said_and_nothing_is_left() {
    let home = tempfile::tempdir().unwrap();
    let table = |text: &str| {
        let path = home.path().join(format!("{}.csv", text.len()));
        std::fs::write(&path, text).unwrap();
        SampleFiles { samples: path, held_out: None }
    };
    let (sk, with) = ("wine/scikit-learn.onnx", wishes());
    assert!(refused("wine/train.csv", &wine(), &with).contains("not an ONNX file"));
    assert!(refused("nothing.onnx", &wine(), &with).contains("read"));
    assert!(
        refused(sk, &wine(), &Wishes { label_column: None, ..with.clone() }).contains("column that holds the class")
    );
    assert!(
        refused(sk, &wine(), &Wishes { label_column: Some("grower".into()), ..with.clone() })
            .contains("`grower` is missing")
    );
    assert!(
        refused(sk, &wine(), &Wishes { labels: vec!["a".into(), "b".into()], ..with.clone() })
            .contains("the classes are a, b")
    );
    assert!(refused(sk, &wine(), &Wishes { tail_fee: "much".into(), ..with.clone() }).contains("an amount like"));
    assert!(refused(sk, &table(""), &with).contains("empty"));
    assert!(
        refused(sk, &table("a,cultivar\n1,x\n"), &with).contains("1 columns beside `cultivar`, the model reads 13")
    );
    let train = std::fs::read_to_string(fixture("wine/train.csv")).unwrap();
    let (header, rows) = train.split_once('\n').unwrap();
    assert!(refused(sk, &table(&format!("{header}\n")), &with).contains("holds no samples"));
    let first = rows.lines().next().unwrap();
    assert!(
        refused(sk, &table(&format!("{header}\n{}", first.replacen(|c: char| c.is_ascii_digit(), "x", 1))), &with)
            .contains("not a number")
    );
    assert!(refused(sk, &table(&format!("{header}\n{first}\n")), &with).contains("at least five"));
    assert!(refused("digits/../../../scripts/models/digits/model.onnx", &wine(), &with).contains("train.csv"));
    // What is there stays.
    let there = home.path().join("there");
    std::fs::create_dir(&there).unwrap();
    assert!(matches!(draft(&fixture(sk), &wine(), &with, &there), Err(DraftError::Exists { .. })));
    assert_eq!(std::fs::read_dir(&there).unwrap().count(), 0);
}
