//! The models of the repository, from their folders to their figures.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_head::{Mode, Node};
use encompute_model::{
    Bench, BenchSplit, CLIP_UNITS, Measured, Package, Publication, TailLimits, TailModel, clear_features,
    report::Verdicts,
};
use encompute_protocol::{Address, BlobDigest, Grade, PolicyId, ReleasePolicy, VersionManifest, wire::Message};
use encompute_release::{CheckedPolicy, obfuscate};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{path::PathBuf, sync::LazyLock};

const DRAWS: usize = 3;

struct Model {
    bench: Bench,
    split: BenchSplit,
    measured: Measured,
    tail: TailModel,
}

static DIGITS: LazyLock<Model> = LazyLock::new(|| model("digits"));
static BREAST_CANCER: LazyLock<Model> = LazyLock::new(|| model("breast-cancer"));
static BRAIN_REGIONS: LazyLock<Model> = LazyLock::new(|| model("brain-regions"));

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folder(name: &str) -> PathBuf {
    repository().join("scripts/models").join(name)
}

fn model(name: &str) -> Model {
    let bench = Bench::open(&folder(name)).unwrap();
    let split = bench.split(0).unwrap();
    let measured = bench.measure(&split, &bench.held_out().unwrap()).unwrap();
    let tail = TailModel::load(split.tail.as_deref().unwrap(), TailLimits::default()).unwrap();
    Model { bench, split, measured, tail }
}

/// The release that users run, with the seed's noise.
fn release(seed: u8) -> impl FnMut(&ReleasePolicy, &[i64]) -> Vec<i16> {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    move |policy, features| {
        let unmeasured = ReleasePolicy { information_millibits: 0, ..policy.clone() };
        obfuscate(features, &CheckedPolicy::new(unmeasured).unwrap(), &mut rng)
    }
}

fn points(correct: usize, samples: usize) -> f64 {
    100.0 * correct as f64 / samples as f64
}

fn assert_quantised_loses_at_most_a_tenth_of_a_point(model: &Model) {
    let samples = model.measured.samples();
    let (float, quantised) = (model.measured.float_correct, model.measured.quantised_correct);
    println!("{samples} samples: float {:.2}, quantised {:.2}", points(float, samples), points(quantised, samples));
    assert!(points(quantised, samples) >= points(float, samples) - 0.1);
}

fn assert_released_loses_at_most_a_point(model: &Model) {
    let figures = model.measured.evaluation(&model.split.policies()[0], DRAWS, &mut release(7)).unwrap();
    println!("{figures:?}");
    assert!(figures.released >= figures.float - 0.01, "{figures:?}");
}

#[test]
fn digits_has_three_encrypted_layers_and_sixteen_features() {
    let plan = &DIGITS.split.plan;
    let sizes: Vec<usize> = plan.rounds().iter().map(|round| round.sums().len()).collect();
    assert_eq!((plan.mode(), plan.input_count(), sizes), (Mode::Rounds, 784, vec![128, 64, 16]));
}

#[test]
fn breast_cancer_has_one_linear_layer_and_one_feature() {
    let plan = &BREAST_CANCER.split.plan;
    assert_eq!((plan.mode(), plan.input_count(), plan.feature_count()), (Mode::Linear, 30, 1));
}

#[test]
fn brain_regions_has_three_residual_blocks_and_sixteen_features() {
    let plan = &BRAIN_REGIONS.split.plan;
    let sums = plan.program().nodes().iter().filter(|node| matches!(node, Node::Add { .. })).count();
    // The first layer, two of each block, two shortcuts that change the shape, the features.
    assert_eq!((plan.rounds().len(), sums), (1 + 3 * 2 + 2 + 1, 3));
    assert_eq!((plan.mode(), plan.input_count(), plan.feature_count()), (Mode::Rounds, 32 * 32, 16));
}

#[test]
fn every_number_of_all_heads_is_exact_but_for_two_to_minus_128() {
    for model in [&*DIGITS, &*BREAST_CANCER, &*BRAIN_REGIONS] {
        assert!(model.split.compiled.proofs().iter().all(|proof| proof.failure_log2 <= -128));
    }
}

#[test]
fn the_integer_digits_head_loses_at_most_a_tenth_of_a_point() {
    assert_eq!(DIGITS.measured.samples(), 2_000);
    assert_quantised_loses_at_most_a_tenth_of_a_point(&DIGITS);
}

#[test]
fn the_integer_breast_cancer_head_loses_at_most_a_tenth_of_a_point() {
    assert_eq!(BREAST_CANCER.measured.samples(), 189);
    assert_quantised_loses_at_most_a_tenth_of_a_point(&BREAST_CANCER);
}

#[test]
fn the_integer_brain_regions_head_loses_at_most_a_tenth_of_a_point() {
    assert_eq!(BRAIN_REGIONS.measured.samples(), 900);
    assert_quantised_loses_at_most_a_tenth_of_a_point(&BRAIN_REGIONS);
}

#[test]
fn released_digits_lose_at_most_a_point_at_the_default_preset() {
    assert_released_loses_at_most_a_point(&DIGITS);
}

#[test]
fn released_diagnoses_lose_at_most_a_point_at_the_default_preset() {
    assert_released_loses_at_most_a_point(&BREAST_CANCER);
}

#[test]
fn released_brain_regions_lose_at_most_a_point_at_the_default_preset() {
    assert_released_loses_at_most_a_point(&BRAIN_REGIONS);
}

#[test]
fn the_default_preset_is_balanced_and_tells_at_most_the_label_and_five_bits() {
    for (model, classes) in [(&*DIGITS, 10.0f64), (&*BREAST_CANCER, 2.0), (&*BRAIN_REGIONS, 6.0)] {
        let policy = &model.split.policies()[0];
        assert_eq!((policy.name.as_str(), policy.id, policy.clip), ("balanced", PolicyId(1), CLIP_UNITS));
        assert!(model.measured.information(policy).bits() <= classes.log2() + 5.0);
    }
}

#[test]
fn quantising_twice_gives_the_same_head() {
    let again = BREAST_CANCER.bench.split(0).unwrap();
    assert_eq!(again.compiled.digest(), BREAST_CANCER.split.compiled.digest());
}

fn fixture(file: &str) -> Vec<u8> {
    std::fs::read(repository().join("tests/fixtures").join(file)).unwrap()
}

/// What the model answers on a file, without release.
fn answer(model: &Model, bytes: &[u8]) -> String {
    let tensor = model.bench.preamble().read(bytes).unwrap();
    let features = clear_features(&model.split.compiled, &tensor).unwrap();
    let row: Vec<f32> = features.iter().map(|value| *value as f32 / CLIP_UNITS as f32).collect();
    let scores = model.tail.run(&row).unwrap();
    assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-3, "scores are probabilities");
    let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap();
    model.bench.card().labels[best].as_str().to_owned()
}

#[test]
fn demonstration_pictures_of_every_kind_are_read_as_their_digit() {
    for (file, digit) in [
        ("digits/grey-28x28-3.png", "3"),
        ("digits/grey-28x28-7.png", "7"),
        ("digits/photo-320x240-5.png", "5"),
        ("digits/photo-800x600-2.jpg", "2"),
    ] {
        assert_eq!(answer(&DIGITS, &fixture(file)), digit, "{file}");
    }
}

#[test]
fn digits_written_large_on_paper_are_read() {
    let sheet = image::load_from_memory(&fixture("digits/held-out.png")).unwrap().to_luma8();
    let labels = String::from_utf8(fixture("digits/held-out.labels")).unwrap();
    let mut right = 0;
    for (index, label) in labels.lines().enumerate().step_by(40) {
        let (x, y) = (index as u32 % 50 * 28, index as u32 / 50 * 28);
        let digit = image::imageops::crop_imm(&sheet, x, y, 28, 28).to_image();
        let large = image::imageops::resize(&digit, 224, 224, image::imageops::FilterType::Triangle);
        let paper = image::RgbImage::from_fn(400, 300, |x, y| {
            let ink = x.checked_sub(90).zip(y.checked_sub(40)).and_then(|(x, y)| large.get_pixel_checked(x, y));
            let ink = ink.map_or(0, |pixel| u32::from(pixel[0]));
            image::Rgb([230u32, 225, 205].map(|paper| ((paper * (255 - ink) + 40 * ink) / 255) as u8))
        });
        let mut file = std::io::Cursor::new(Vec::new());
        paper.write_to(&mut file, image::ImageFormat::Png).unwrap();
        right += usize::from(answer(&DIGITS, file.get_ref()) == label);
    }
    println!("{right} of 50");
    assert!(right >= 47, "{right} of 50");
}

#[test]
fn demonstration_patients_get_their_diagnosis() {
    for diagnosis in ["malignant", "benign"] {
        let file = fixture(&format!("breast-cancer/patient-{diagnosis}.csv"));
        assert_eq!(answer(&BREAST_CANCER, &file), diagnosis);
    }
}

#[test]
fn a_demonstration_patch_in_either_size_is_told() {
    assert_eq!(answer(&BRAIN_REGIONS, &fixture("brain-regions/patch-32x32-cerebellum.png")), "cerebellum");
    assert_eq!(answer(&BRAIN_REGIONS, &fixture("brain-regions/patch-64x64-occipital-lobe.png")), "occipital lobe");
}

#[test]
fn a_packaged_model_becomes_a_manifest_that_is_read_back() {
    let package = Package::build(&folder("breast-cancer"), &mut release(3)).unwrap();
    let split = &package.splits[0];
    assert!(split.failure_bits >= 128 && split.accuracy.samples == 189 && split.cost.units.0 > 0);
    assert!(split.policies.iter().all(|policy| policy.information_millibits > 0 && policy.accuracy.0 > 9_000));
    let publication = Publication {
        creator: Address([7; 20]),
        creator_key: vec![1; 1216],
        creator_url: "http://127.0.0.1:1".into(),
        sealed_weights: vec![(BlobDigest::of(b"sealed"), 6)],
        disclosure: None,
        witnesses: None,
    };
    let manifest = package.manifest(&publication).unwrap();
    assert_eq!(VersionManifest::from_wire(&manifest.to_wire()).unwrap(), manifest);
    assert!(package.manifest(&Publication { sealed_weights: Vec::new(), ..publication.clone() }).is_err());

    let bench = Bench::open(&folder("breast-cancer")).unwrap();
    let mut verdicts = Verdicts::of(&bench, &mut release(3), &mut |_| panic!("there is a report beside it")).unwrap();
    let told = package.disclosure(&verdicts, Some(b"an attack")).unwrap();
    assert_eq!(
        told.report.digest(),
        BlobDigest::of(&std::fs::read(folder("breast-cancer").join("report.json")).unwrap())
    );
    assert_eq!(told.grades.iter().map(|graded| graded.grade).collect::<Vec<_>>(), [Grade::A; 3]);
    let manifest = package.manifest(&Publication { disclosure: Some(told), ..publication }).unwrap();
    assert_eq!(VersionManifest::from_wire(&manifest.to_wire()).unwrap(), manifest);
    verdicts.splits.pop();
    let ungraded = package.disclosure(&verdicts, None).unwrap_err().to_string();
    assert_eq!(ungraded, "the report says nothing of split `direction-1` under policy `accurate`");
}

#[test]
fn a_folder_without_a_model_is_refused() {
    let error = Bench::open(&repository().join("tests/fixtures")).err().unwrap();
    assert!(error.to_string().contains("no model in"));
}
