//! From what exporters write to a folder that the bench opens.
#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;

use encompute_model::{
    Bench, OnnxModel, TailLimits, TailModel,
    calibrate::rewritten,
    draft::{DraftError, Drafted, SampleFiles, Wishes, draft},
    onnx::Operation,
};
use kit::{filled, int, ints, model, node, value, weights};
use prost::Message;
use std::{
    error::Error,
    path::{Path, PathBuf},
};
use tract_onnx::pb::{ModelProto, NodeProto, TensorProto};

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
        layers: None,
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

/// Tells which colour a picture mostly has, with its channels last as TensorFlow has them.
fn colour_model() -> ModelProto {
    let nodes = vec![
        node("before", "Transpose", &["picture"], vec![ints("perm", &[0, 3, 1, 2])]),
        node("first", "Conv", &["before.out", "k"], vec![ints("strides", &[2, 2])]),
        node("relu", "Relu", &["first.out"], vec![]),
        node("pooled", "GlobalAveragePool", &["relu.out"], vec![]),
        node("flat", "Flatten", &["pooled.out"], vec![]),
        node("features", "Gemm", &["flat.out", "w0"], vec![]),
        node("scores", "Gemm", &["features.out", "w"], vec![]),
    ];
    let one_hot = |name: &str, dims: &[i64]| {
        let each = usize::try_from(dims[1..].iter().product::<i64>()).unwrap() / 3;
        let values = (0..9 * each).map(|at| if at / each % 3 == at / each / 3 { 1.0 } else { -0.25 });
        TensorProto { float_data: values.collect(), ..weights(name, dims, 1.0) }
    };
    let tensors = vec![one_hot("k", &[3, 3, 2, 2]), one_hot("w0", &[3, 3]), one_hot("w", &[3, 3])];
    let mut model = model(&[16, 16, 3], nodes, tensors, 3);
    model.graph.as_mut().unwrap().input = vec![value("picture", &[16, 16, 3])];
    model
}

#[test]
fn pictures_in_colour_are_read_in_colour_with_channels_first_or_last() {
    let home = tempfile::tempdir().unwrap();
    let samples = home.path().join("samples");
    for (class, name) in ["0 red", "1 green", "2 blue"].iter().enumerate() {
        std::fs::create_dir_all(samples.join(name)).unwrap();
        for at in 0..10u8 {
            let pixel = |x: u32, y: u32| {
                let noise =
                    |channel: usize| (x as usize * 7 + y as usize * 13 + usize::from(at) * 29 + channel * 31) % 90;
                image::Rgb(std::array::from_fn(|channel| {
                    (noise(channel) + if channel == class { 100 } else { 40 }) as u8
                }))
            };
            image::RgbImage::from_fn(16, 16, pixel).save(samples.join(name).join(format!("{at}.png"))).unwrap();
        }
    }
    let file = home.path().join("colour.onnx");
    std::fs::write(&file, colour_model().encode_to_vec()).unwrap();
    let files = SampleFiles { samples, held_out: None };
    let of_pictures = Wishes { label_column: None, ..wishes() };
    let ink = Wishes { ink_box: Some(12), ..of_pictures.clone() };
    assert!(matches!(draft(&file, &files, &ink, &home.path().join("model")), Err(DraftError::Ink)));
    let drafted = draft(&file, &files, &of_pictures, &home.path().join("model")).unwrap();
    assert_eq!((drafted.input, drafted.held_out), (vec![3, 16, 16], 6));
    let bench = Bench::open(&home.path().join("model")).unwrap();
    let measured = bench.measure(&bench.split(0).unwrap(), &bench.held_out().unwrap()).unwrap();
    assert_eq!((measured.float_correct, measured.quantised_correct), (6, 6));
}

/// The wine model of scikit-learn as its converter writes it for a data frame: an input a column, put together first.
fn a_column_an_input(order: impl Fn(usize) -> usize) -> ModelProto {
    let mut proto = ModelProto::decode(std::fs::read(fixture("wine/scikit-learn.onnx")).unwrap().as_slice()).unwrap();
    let graph = proto.graph.as_mut().unwrap();
    let whole = graph.input[0].name.clone();
    graph.input = (0..13).map(|column| value(&format!("column {column}"), &[1])).collect();
    let columns: Vec<String> = (0..13).map(|column| format!("column {}", order(column))).collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let concat = NodeProto { output: vec![whole], ..node("together", "Concat", &columns, vec![int("axis", 1)]) };
    graph.node.insert(0, concat);
    proto
}

#[test]
fn several_inputs_that_are_put_together_are_one() {
    let one = OnnxModel::cleaned(&std::fs::read(fixture("wine/scikit-learn.onnx")).unwrap()).unwrap();
    let several = OnnxModel::cleaned(&a_column_an_input(|column| column).encode_to_vec()).unwrap();
    assert_eq!((several.input_shape(), several.node_names()), (one.input_shape(), one.node_names()));
    let loaded = |model: &OnnxModel| TailModel::load(&model.to_bytes(), TailLimits::default()).unwrap();
    let row: Vec<f32> = (0..13u16).map(|column| f32::from(column * 5 + 3)).collect();
    let scores = loaded(&one).run(&row).unwrap();
    assert_eq!(loaded(&several).run(&row).unwrap(), scores);
    // Where they are put together in another order than they are named in, that order counts.
    let turned = OnnxModel::cleaned(&a_column_an_input(|column| 12 - column).encode_to_vec()).unwrap();
    assert_eq!(loaded(&turned).run(&row).unwrap(), scores);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("several.onnx");
    std::fs::write(&file, a_column_an_input(|column| column).encode_to_vec()).unwrap();
    let drafted = draft(&file, &wine(), &wishes(), &folder.path().join("model")).unwrap();
    assert_eq!((drafted.input, drafted.after.as_str()), (vec![13], "Add2"));
}

#[test]
fn samples_beyond_what_is_read_are_refused_by_their_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let samples = folder.path().join("samples.csv");
    std::fs::File::create(&samples).unwrap().set_len(1 << 30).unwrap();
    let files = SampleFiles { samples: samples.clone(), held_out: None };
    let refused = draft(&fixture("wine/pytorch.onnx"), &files, &wishes(), &folder.path().join("model")).unwrap_err();
    let Some(source) = refused.source() else { panic!("{refused:?}") };
    let words = format!("{refused}: {source}");
    assert!(words.contains("samples.csv") && words.contains("1073741824 bytes"), "{words}");
    assert!(!folder.path().join("model").exists());
}

#[test]
fn readings_of_a_signal_are_the_columns_of_a_table() {
    let nodes = vec![
        node("first", "Conv", &["signal", "k"], vec![ints("pads", &[1, 1])]),
        node("relu", "Relu", &["first.out"], vec![]),
        node("pooled", "GlobalAveragePool", &["relu.out"], vec![]),
        node("flat", "Flatten", &["pooled.out"], vec![]),
        node("features", "Gemm", &["flat.out", "w0"], vec![]),
        node("scores", "Gemm", &["features.out", "w"], vec![]),
    ];
    let tensors = vec![weights("k", &[4, 1, 3], 0.1), weights("w0", &[4, 5], 0.1), weights("w", &[5, 3], 1.0)];
    let mut model = model(&[1, 13], nodes, tensors, 3);
    model.graph.as_mut().unwrap().input = vec![value("signal", &[1, 13])];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signal.onnx");
    std::fs::write(&file, model.encode_to_vec()).unwrap();
    let drafted = draft(&file, &wine(), &wishes(), &folder.path().join("model")).unwrap();
    assert_eq!((drafted.input, drafted.after.as_str()), (vec![1, 13], "features"));
    let bench = Bench::open(&folder.path().join("model")).unwrap();
    let measured = bench.measure(&bench.split(0).unwrap(), &bench.held_out().unwrap()).unwrap();
    assert!(measured.quantised_correct.abs_diff(measured.float_correct) <= 2, "{}", measured.quantised_correct);
}

/// Two inputs, each standardised and put through a layer of its own; `sides` are those of the second.
fn two_branches(sides: &[i64], second: &str) -> ModelProto {
    let nodes = vec![
        node("centred", "Sub", &["laboratory", "mean"], vec![]),
        node("left", "Gemm", &["centred.out", "wl", "b"], vec![int("transB", 1)]),
        node("halved", "Mul", &["history", "half"], vec![]),
        node("right", second, &["halved.out", "wr"], vec![]),
        node("sum", "Add", &["left.out", "right.out"], vec![]),
        node("relu", "Relu", &["sum.out"], vec![]),
        node("scores", "Gemm", &["relu.out", "w"], vec![]),
    ];
    let tensors = vec![
        weights("mean", &[4], 1.0),
        weights("wl", &[6, 4], 1.0),
        weights("b", &[6], 1.0),
        filled("half", &[1], 0.5),
        weights("wr", &[3, 6], 1.0),
        weights("w", &[6, 2], 1.0),
    ];
    let mut model = model(&[4], nodes, tensors, 2);
    let graph = model.graph.as_mut().unwrap();
    // The third is read by nothing.
    graph.input = vec![value("laboratory", &[4]), value("history", sides), value("unread", &[9])];
    model
}

#[test]
fn each_of_several_inputs_may_have_a_layer_of_its_own() {
    let model = two_branches(&[3], "MatMul");
    let joined = OnnxModel::cleaned(&model.encode_to_vec()).unwrap();
    assert_eq!(joined.input_shape(), [7]);
    let head = joined.head_until("relu").unwrap();
    let rounds = head.nodes.iter().filter(|node| matches!(node.operation, Operation::Linear { .. })).count();
    assert_eq!(rounds, 1, "both layers read the one input, so they are one");
    let number = |tensor: &str, at: usize| {
        let graph = model.graph.as_ref().unwrap();
        graph.initializer.iter().find(|found| found.name == tensor).unwrap().float_data[at]
    };
    let run = TailModel::load(&joined.to_bytes(), TailLimits::default()).unwrap();
    for seed in 0..10u16 {
        let row: Vec<f32> = (0..7u16).map(|column| f32::from((seed * 31 + column * 17) % 23) / 7.0).collect();
        let hidden = |unit: usize| {
            let left: f32 = (0..4).map(|at| (row[at] - number("mean", at)) * number("wl", unit * 4 + at)).sum();
            let right: f32 = (0..3).map(|at| row[4 + at] * 0.5 * number("wr", at * 6 + unit)).sum();
            (left + number("b", unit) + right).max(0.0)
        };
        let scores = run.run(&row).unwrap();
        for (class, score) in scores.iter().enumerate() {
            let wanted: f32 = (0..6).map(|unit| hidden(unit) * number("w", unit * 2 + class)).sum();
            assert!((score - wanted).abs() < 1e-4, "{score} for {wanted}");
        }
    }
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_their_own_name_wherever_they_stand() {
    for at in [2, 10] {
        let mut model = ModelProto::decode(&*std::fs::read(fixture("wine/pytorch.onnx")).unwrap()).unwrap();
        let tensor = &mut model.graph.as_mut().unwrap().initializer[at];
        tensor.raw_data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
        let name = tensor.name.clone();
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("model.onnx");
        std::fs::write(&file, model.encode_to_vec()).unwrap();
        let refused = draft(&file, &wine(), &wishes(), &home.path().join("drafted")).unwrap_err();
        assert!(
            words(&refused).ends_with(&format!("weights `{name}` hold a number that is not finite")),
            "{refused:?}"
        );
    }
}

#[test]
fn what_keeps_a_model_from_being_cut_deeper_is_told() {
    let mut model = ModelProto::decode(&*std::fs::read(fixture("wine/pytorch.onnx")).unwrap()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    graph.node.iter_mut().find(|node| node.op_type == "Relu").unwrap().op_type = "Sin".into();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("model.onnx");
    std::fs::write(&file, model.encode_to_vec()).unwrap();
    let drafted = draft(&file, &wine(), &wishes(), &home.path().join("drafted")).unwrap();
    assert_eq!(drafted.after, "/l/l.1/BatchNormalization");
    assert!(drafted.not_deeper.unwrap().starts_with("node `/l/l.2/Relu` (Sin) cannot run in the head"));
    let (_home, whole) = imported("wine/pytorch.onnx", &wine(), &wishes()).unwrap();
    assert_eq!((whole.after.as_str(), whole.not_deeper), ("/l/l.5/Tanh", None));
}

#[test]
fn several_inputs_that_cannot_be_one_are_refused() {
    let refused = |model: &ModelProto| OnnxModel::cleaned(&model.encode_to_vec()).err().unwrap().to_string();
    let unlike = refused(&two_branches(&[1, 3], "MatMul"));
    assert!(unlike.contains("`laboratory` has sides [4], `history` has sides [1, 3]"), "{unlike}");
    let early = refused(&two_branches(&[3], "Tanh"));
    assert!(early.starts_with("node `halved` (Mul)") && early.contains("one Concat of them all"), "{early}");
    let narrow = refused(&two_branches(&[2], "MatMul"));
    assert!(narrow.starts_with("node `right` (MatMul)"), "{narrow}");
    let some = refused(&a_column_an_input(|column| column.min(11)));
    assert!(some.starts_with("node `together` (Concat)"), "{some}");
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
    assert!(refused("sentence-encoder/model.safetensors", &wine(), &with).contains("list the layers (--layers)"));
    let layers = Some(fixture("wine/train.csv"));
    assert!(refused(sk, &wine(), &Wishes { layers, ..with.clone() }).contains("for a safetensors file, this is none"));
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
    let (one, class) = first.rsplit_once(',').unwrap();
    let alone = refused(sk, &table(&format!("{header}\n{first}\n")), &with);
    assert!(alone.contains(&format!("has samples of `{class}` alone")), "{alone}");
    let others = format!("{header}\n{first}\n{one},other\n");
    assert!(refused(sk, &table(&others), &with).contains("at least five"));
    assert!(
        refused(sk, &table(&format!("{others}{one}, \n")), &with)
            .contains("sample 3 has no class in column `cultivar`")
    );
    let far = table(&format!("{header}\n1e9{}\n", &first[first.find(',').unwrap()..]));
    let far = SampleFiles { held_out: Some(far.samples), ..wine() };
    let words = refused(sk, &far, &with);
    assert!(words.contains(".csv is not a table") && words.contains("holds 1000000000, allowed are"), "{words}");
    assert!(!words.contains("importing"), "a place that is gone: {words}");
    let folder = SampleFiles { samples: home.path().to_owned(), held_out: None };
    assert!(refused(sk, &folder, &with).contains("a CSV file with a column of classes is needed"));
    assert!(refused("digits/../../../scripts/models/digits/model.onnx", &wine(), &with).contains("train.csv"));
    // What is there stays.
    let there = home.path().join("there");
    std::fs::create_dir(&there).unwrap();
    assert!(matches!(draft(&fixture(sk), &wine(), &with, &there), Err(DraftError::Exists { .. })));
    assert_eq!(std::fs::read_dir(&there).unwrap().count(), 0);
}
