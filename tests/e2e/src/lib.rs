//! End-to-end tests over real processes: see `tests/`. Here is what they share.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod court;
mod forger;
mod ground;
mod inside;
mod scans;
mod secrets;

pub use court::{Court, have_drawn};
use encompute_kit::{Market, Ran, Running};
pub use forger::Forger;
pub use ground::{Ground, quotes};
pub use inside::{INSIDE, INSIDE_ROW, segmented_model};
pub use scans::ScanFile;
pub use secrets::{Secrets, files};

/// A handwritten seven.
pub const DIGIT: &str = "tests/fixtures/digits/grey-28x28-7.png";
/// A patient's row.
pub const PATIENT: &str = "tests/fixtures/breast-cancer/patient-benign.csv";

/// The words that buy a run.
pub fn submit<'a>(model: &'a str, input: &'a str, suri: &'a str) -> Vec<&'a str> {
    vec!["job", "submit", "--model", model, "--input", input, "--suri", suri]
}

/// Exit code, and whether stderr says what happened in one sentence.
pub fn refusal(ran: &Ran) -> (i32, bool) {
    let errors = ran.stderr.lines().filter(|line| line.starts_with("encompute: error: ")).count();
    (ran.code, errors == 1)
}

/// Where a job stands, as `job list` has it.
///
/// # Panics
/// If there is no such job.
pub fn stage(market: &Market, job: u64) -> String {
    let listed = market.encompute(&["job", "list", "--json"]).done().json();
    let found = listed["jobs"].as_array().unwrap().iter().find(|found| found["id"] == job);
    found.unwrap_or_else(|| panic!("no job {job}: {listed}"))["stage"].as_str().unwrap().to_owned()
}

/// Plancks that an account may withdraw.
///
/// # Panics
/// If the command fails.
pub fn credit(market: &Market, suri: &str) -> u128 {
    let earned = market.encompute(&["creator", "earnings", "--suri", suri, "--json"]).done().json();
    earned["credit"].as_str().unwrap().parse().unwrap()
}

/// One part of a model's price, in plancks: `head`, `tail`, `protocol`, `total`.
///
/// # Panics
/// If the model is not on sale.
pub fn price(market: &Market, model: &str, part: &str) -> u128 {
    let quote = market.encompute(&["job", "quote", "--model", model, "--json"]).done().json();
    quote["fee"][part].as_str().unwrap().parse().unwrap()
}

/// Runs a verb until it says one of `texts`, and kills it there.
///
/// # Panics
/// If it ends before.
pub fn cut_off(market: &Market, arguments: &[&str], texts: &[&str]) {
    let mut running: Running = market.start(arguments);
    running.until(texts);
    running.kill();
}
