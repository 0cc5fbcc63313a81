//! A model whose first layers and their activations stay encrypted, bought end to end under one case's keys.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::{INSIDE, INSIDE_ROW, refusal, submit};
use encompute_kit::{Habits, Running, Services};
use std::{collections::BTreeSet, path::Path, process::Command};

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_case_share_an_evaluation_key_that_is_sent_once() {
    let services = Services::start(Habits::default(), &[INSIDE], |_| {}).await.unwrap();
    let run = |command: Command| Running::of(command).finish();
    let buy = |case: &[&str]| {
        let words = [&submit("inside", INSIDE_ROW, "//Dave")[..], case].concat();
        run(services.encompute("user", &words))
    };
    let (case, blobs) = (services.home().join("user/cases/anna"), services.home().join("blobs"));
    let first = buy(&["--case", "anna"]).done();
    assert!(first.stdout.contains("inside: "), "{first:?}");
    let (parts, kept) = (files(&case), files(&blobs).len());
    assert!(parts.iter().filter(|name| name.starts_with("0x")).count() == 22, "22 parts of a megabyte: {parts:?}");

    // The second job of the case makes no key and brings none; one without a case brings another.
    buy(&["--case", "anna"]).done();
    assert_eq!(files(&case), parts);
    let more = files(&blobs).len() - kept;
    assert!(more < 22, "{more} blobs more than before the second job");
    buy(&[]).done();
    assert!(files(&blobs).len() - kept - more >= 22);

    // A name that is no folder's is refused before anything is made.
    let refused = buy(&["--case", "../anna"]);
    assert!(refusal(&refused).0 == 2 && refused.stderr.contains("letters, digits"), "{refused:?}");

    let jobs = run(services.encompute("user", &["job", "list", "--json"])).done().json();
    let stages: Vec<_> = jobs["jobs"].as_array().unwrap().iter().map(|job| job["stage"].clone()).collect();
    assert_eq!(stages, ["settled"; 3]);
    for job in ["1", "2", "3"] {
        let audit = run(services.encompute("user", &["audit", "job", job, "--json"])).done().json();
        assert_eq!(audit["verdict"], "pass", "{audit}");
    }
}

/// Names of the files below a folder.
fn files(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => BTreeSet::from([path.file_name().unwrap().to_string_lossy().into_owned()]),
        })
        .collect()
}
