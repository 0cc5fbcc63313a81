//! A text is bought like a picture: its words are cut and looked up at home, with a lexicon from the gateway.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::{refusal, submit};
use encompute_kit::{Habits, Ran, Running, Services};
use std::{fs::File, process::Command};

const MODEL: &str = "tests/fixtures/sentence-model";
const QUESTION: &str = "tests/fixtures/sentence-model/question.txt";

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_told_from_a_statement_with_a_lexicon_that_is_fetched_once_and_checked() {
    let services = Services::start(Habits::default(), &[MODEL], |_| {}).await.unwrap();
    let run = |command: Command| Running::of(command).finish();
    let buy = |input| run(services.encompute("user", &submit("questions", input, "//Dave")));

    let first = buy(QUESTION).done();
    assert!(first.stdout.contains("question") && first.stderr.contains("lexicon"), "{first:?}");
    let kept = services.home().join("user/lexicons");
    let path = std::fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&path).unwrap();

    // From standard input, too long, and with the lexicon that is kept here.
    let long = services.home().join("long.txt");
    std::fs::write(&long, "the heart is clear . the lung is clear . the scan is clear .").unwrap();
    let mut piped = services.encompute("user", &submit("questions", "-", "//Dave"));
    let piped = piped.stdin(File::open(&long).unwrap()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = piped.status.code().unwrap_or(-1);
    let second = Ran { code, stdout: text(piped.stdout), stderr: text(piped.stderr) }.done();
    assert!(second.stderr.contains("5 are left out") && !second.stderr.contains("lexicon"), "{second:?}");

    // One that was spoilt at home is fetched again, and is whole again.
    let mut spoilt = whole.clone();
    spoilt[100] ^= 1;
    std::fs::write(&path, spoilt).unwrap();
    assert!(buy(QUESTION).done().stderr.contains("lexicon"));
    assert!(std::fs::read(&path).unwrap() == whole);

    // What is no text is refused before anything is encrypted or paid.
    let empty = services.home().join("empty.txt");
    std::fs::write(&empty, " \n").unwrap();
    let refused = buy(&empty.display().to_string());
    assert!(refusal(&refused) == (2, true) && refused.stderr.contains("no word in it"), "{refused:?}");
    let jobs = run(services.encompute("user", &["job", "list", "--json"])).done().json();
    let stages: Vec<_> = jobs["jobs"].as_array().unwrap().iter().map(|job| job["stage"].clone()).collect();
    assert_eq!(stages, ["settled"; 3]);
    let audit = run(services.encompute("user", &["audit", "job", "1", "--json"])).done().json();
    assert_eq!(audit["verdict"], "pass", "{audit}");

    // Without the gateway's copy nobody reads a text: said as what it is.
    let digest = path.file_name().unwrap().to_string_lossy().into_owned();
    // Folders may hold a digest's beginning.
    let held = files_named(&services.home().join("blobs"), &digest[digest.len() - 32..]);
    assert_eq!(held.len(), 1, "the gateway keeps the lexicon");
    held.iter().for_each(|file| std::fs::remove_file(file).unwrap());
    let lacking = run(services.encompute("another", &submit("questions", QUESTION, "//Eve")));
    assert!(refusal(&lacking) == (3, true) && lacking.stderr.contains("lexicon"), "{lacking:?}");
}

/// Files below a folder whose names hold a text.
fn files_named(folder: &std::path::Path, name: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files_named(&path, name),
            false => Vec::from_iter(path.display().to_string().contains(name).then_some(path)),
        })
        .collect()
}
