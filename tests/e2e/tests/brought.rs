//! A creator who has an ONNX file and no cryptography: from the file to a paid job.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::submit;
use encompute_kit::{Habits, Running, Services, encompute, root};

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
