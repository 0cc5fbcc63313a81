//! A creator who has an ONNX file and no cryptography: from the file to a paid job.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::{ScanFile, submit};
use encompute_kit::{Habits, Running, Services, encompute, root};
use std::{fs, path::Path};

#[tokio::test(flavor = "multi_thread")]
async fn what_scikit_learn_and_pytorch_export_is_sold() {
    let home = tempfile::tempdir().unwrap();
    let fixture = |name: &str| root().join("tests/fixtures/wine").join(name).display().to_string();
    let folders = ["scikit-learn", "pytorch"].map(|name| {
        let folder = home.path().join(name).display().to_string();
        let file = fixture(&format!("{name}.onnx"));
        let (samples, held_out) = (fixture("train.csv"), fixture("held-out.csv"));
        let import = ["model", "import", &file, "--into", &folder, "--samples", &samples, "--held-out", &held_out];
        let words = ["--label-column", "cultivar", "--task", "Tells the grower.", "--limits", "Knows three growers."];
        encompute(home.path(), &[&import[..], &words[..]].concat()).done();
        let calibrated = encompute(home.path(), &["model", "calibrate", &folder, "--json"]).done().json();
        assert!(calibrated["splits"][0]["clip"].as_f64().unwrap() > 1.0, "{calibrated}");
        folder
    });
    let services = Services::start(Habits::default(), &folders.each_ref().map(String::as_str), |_| {}).await.unwrap();
    for name in ["scikit-learn", "pytorch"] {
        let bought = services.encompute("user", &submit(name, &fixture("one-bottle.csv"), "//Dave"));
        let answer = Running::of(bought).finish().done();
        assert!(answer.stdout.contains("class_2"), "{answer:?}");
    }
    for job in ["1", "2"] {
        let audit = Running::of(services.encompute("user", &["audit", "job", job, "--json"])).finish().done().json();
        assert_eq!(audit["verdict"], "pass", "{audit}");
    }
}

/// Parts of the brain, in the order of the model's scores.
const PARTS: [&str; 6] =
    ["frontal lobe", "parietal lobe", "temporal lobe", "occipital lobe", "deep grey matter", "cerebellum"];
const SIDE: u16 = 32;
const KINDS: [ScanFile; 3] = [ScanFile::Bare, ScanFile::RunLengths, ScanFile::Nifti];

/// A folder of scans for each part: `count` patches of each out of a sheet of the fixtures, in all three kinds of files.
fn folder_of_scans(into: &Path, sheet: &str, count: usize) {
    let fixture = |ending: &str| root().join("tests/fixtures/brain-regions").join(format!("{sheet}.{ending}"));
    let pixels = image::open(fixture("png")).unwrap().to_luma8();
    let labels = fs::read_to_string(fixture("labels")).unwrap();
    let labels: Vec<usize> = labels.lines().map(|label| label.parse().unwrap()).collect();
    let columns = pixels.width() / u32::from(SIDE);
    for (part, name) in PARTS.iter().enumerate() {
        fs::create_dir_all(into.join(name)).unwrap();
        let of_part = (0..).zip(&labels).filter(|(_, label)| **label == part).take(count);
        for (number, (at, _)) in of_part.enumerate() {
            let (left, top) = (at % columns * u32::from(SIDE), at / columns * u32::from(SIDE));
            let patch = image::imageops::crop_imm(&pixels, left, top, SIDE.into(), SIDE.into()).to_image();
            let kind = KINDS[number % KINDS.len()];
            let file = into.join(name).join(format!("{number:03}.{}", kind.ending()));
            fs::write(file, kind.of(patch.as_raw(), SIDE)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_of_scans_goes_from_a_folder_of_them_to_a_settled_job() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).display().to_string();
    folder_of_scans(Path::new(&path("known")), "population", 18);
    folder_of_scans(Path::new(&path("held-out")), "held-out", 6);
    let (file, folder) = (root().join("scripts/models/brain-regions/model.onnx"), path("brain-parts"));
    let (file, labels) = (file.display().to_string(), PARTS.join(","));
    let import = ["model", "import", &file, "--into", &folder, "--samples", &path("known")];
    let words =
        ["--held-out", &path("held-out"), "--labels", &labels, "--task", "Names the part.", "--limits", "One head."];
    let imported = encompute(home.path(), &[&import[..], &words[..], &["--json"]].concat()).done().json();
    assert_eq!((&imported["imported"]["samples"], &imported["imported"]["held_out"]), (&108.into(), &36.into()));
    encompute(home.path(), &["model", "calibrate", &folder]).done();
    // Of three policies the one that tells least: among so few samples the others name too many for a grade of C.
    let (mark, written) = ("[[splits.policies]]", Path::new(&folder).join("model.toml"));
    let card = fs::read_to_string(&written).unwrap();
    let parts: Vec<&str> = card.split(mark).collect();
    assert!(parts[2].contains("private"), "{card}");
    fs::write(&written, [parts[0], mark, parts[2]].concat()).unwrap();

    let services = Services::start(Habits::default(), &[folder.as_str()], |_| {}).await.unwrap();
    let mut right = 0;
    for (job, kind) in ["000.dcm", "001.dcm", "002.nii"].into_iter().enumerate() {
        let scan = format!("{}/cerebellum/{kind}", path("held-out"));
        let bought = services.encompute("user", &submit("brain-parts", &scan, "//Dave"));
        let answer = Running::of(bought).finish().done();
        assert!(PARTS.iter().any(|part| answer.stdout.contains(part)), "{answer:?}");
        right += usize::from(answer.stdout.contains("cerebellum"));
        let job = (job + 1).to_string();
        let audit = Running::of(services.encompute("user", &["audit", "job", &job, "--json"])).finish().done().json();
        assert_eq!(audit["verdict"], "pass", "{audit}");
    }
    // The private policy's noise names another part now and then.
    assert!(right >= 1, "none of three scans of a cerebellum was named one");
}
