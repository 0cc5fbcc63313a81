//! What whoever runs the services relies on: limits hold, figures count, broken things are named.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::files;
use encompute_kit::{Market, encompute, program};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

const DIGIT: &str = "tests/fixtures/digits/grey-28x28-7.png";
/// Longer than a service waits for the head of a request.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_market_holds_its_limits_counts_its_work_and_forgets_what_nobody_named() {
    let market = Market::up();
    let stalled = ["worker", "creator", "gateway"].map(|service| stall(&market, service));
    long_heads_and_bodies_are_refused(&market);
    let ran = market.encompute(&["job", "submit", "--model", "digits", "--input", DIGIT, "--suri", "//Dave"]).done();
    assert!(ran.stdout.contains('7'), "{ran:?}");
    every_service_counts_the_job(&market);
    a_worker_adds_to_its_stake_and_asks_it_back(&market);
    a_creator_sees_the_jobs_on_its_models(&market);
    logs_name_the_job(&market);
    blobs_that_nobody_named_are_forgotten_and_the_audit_still_passes(&market);
    for (service, mut stream) in stalled {
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        assert!(
            ended.is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock) || rest.is_empty(),
            "{service}"
        );
    }
}

fn a_creator_sees_the_jobs_on_its_models(market: &Market) {
    let jobs = |suri: &str| market.encompute(&["creator", "jobs", "--suri", suri, "--json"]).done().json();
    let found = jobs("//Charlie");
    let [job] = found["jobs"].as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!([&job["id"], &job["model"], &job["stage"]], [&Value::from(1), &"digits".into(), &"settled".into()]);
    assert_eq!(found["credit"], job["tail_fee"], "what it brought: {found}");
    assert_eq!(jobs("//Dave")["jobs"], Value::Array(Vec::new()));
    let words = market.encompute(&["creator", "jobs", "--suri", "//Charlie"]).done().stdout;
    assert!(words.contains("may be withdrawn: 0.25 UNIT") && words.contains("settled"), "{words}");
}

fn a_worker_adds_to_its_stake_and_asks_it_back(market: &Market) {
    let stake = |arguments: &[&str]| {
        let said =
            market.encompute(&[&["worker", "stake"], arguments, &["--suri", "//Bob", "--json"]].concat()).done().json();
        ["all", "held", "leaving"].map(|key| said[key].as_str().unwrap().parse::<u128>().unwrap())
    };
    let [all, held, leaving] = stake(&["show"]);
    assert!(all > 0 && (held, leaving) == (0, 0));
    let unit = 1_000_000_000_000;
    assert_eq!(stake(&["add", "2"]), [all + 2 * unit, 0, 0]);
    assert_eq!(stake(&["ask", "1.5"]), [all + 2 * unit, 0, 3 * unit / 2]);
    assert_eq!(stake(&["ask", "0"]), [all + 2 * unit, 0, 0]);
}

fn address(market: &Market, service: &str) -> String {
    let services = market.ready["services"].as_array().unwrap();
    let found = services.iter().find(|found| found["name"] == service).unwrap();
    found["ready"]["listen"].as_str().unwrap().split_once("://").unwrap().1.to_owned()
}

/// A connection whose request stops in the middle of its head.
fn stall(market: &Market, service: &'static str) -> (&'static str, TcpStream) {
    let mut stream = TcpStream::connect(address(market, service)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /v1/health HTTP/1.1\r\nhost: ").unwrap();
    (service, stream)
}

fn answer(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    // A refusal may come before the request is whole.
    let _ = stream.write_all(request.as_bytes());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn long_heads_and_bodies_are_refused(market: &Market) {
    let long = format!("GET /v1/health HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(40_000));
    for (service, method, path) in [
        ("worker", "POST", "/v1/offers".to_owned()),
        ("worker", "POST", "/v1/jobs/1/rounds/1".to_owned()),
        ("creator", "POST", "/v1/head-key".to_owned()),
        ("gateway", "PUT", format!("/v1/blobs/0x{}", "07".repeat(32))),
    ] {
        let address = address(market, service);
        let refused = |head: &str, status: &str| {
            let words =
                answer(&address, &format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}\r\n"));
            assert!(words.starts_with(&format!("HTTP/1.1 {status}")), "{service} {path} {head}: {words}");
        };
        refused("content-length: 99999999999\r\n", "413");
        refused("transfer-encoding: chunked\r\n", "411");
        assert!(answer(&address, &long).starts_with("HTTP/1.1 431"), "{service}");
    }
}

fn figures(market: &Market, service: &str) -> String {
    let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    answer(&address(market, service), request)
}

/// The value of a figure, its labels included in the name.
fn figure(text: &str, name: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    found.unwrap_or_else(|| panic!("{name} is missing: {text}"))
}

fn every_service_counts_the_job(market: &Market) {
    let worker = figures(market, "worker");
    assert_eq!(figure(&worker, "encompute_worker_jobs_total{outcome=\"committed\"}"), 1.0);
    assert_eq!(figure(&worker, "encompute_worker_rounds_total{outcome=\"answered\"}"), 3.0);
    assert_eq!(figure(&worker, "encompute_worker_stage_seconds_count{stage=\"evaluate\"}"), 3.0);
    assert!(figure(&worker, "encompute_worker_received_bytes_total") > 10_000.0, "{worker}");
    assert_eq!(figure(&worker, "encompute_worker_ready"), 1.0);
    let creator = figures(market, "creator");
    assert_eq!(figure(&creator, "encompute_creator_jobs_total{outcome=\"committed\"}"), 1.0);
    assert_eq!(figure(&creator, "encompute_creator_stage_seconds_count{stage=\"tail\"}"), 1.0);
    assert!(figure(&creator, "encompute_creator_head_keys_total{outcome=\"released\"}") >= 1.0, "{creator}");
    let chain = figures(market, "chain");
    assert!(figure(&chain, "encompute_chain_block") >= 5.0, "{chain}");
    assert!(figure(&chain, "encompute_chain_transactions_total{fate=\"Included\"}") >= 5.0, "{chain}");
    assert_eq!(figure(&chain, "encompute_chain_pool_ready"), 0.0);
    let gateway = figures(market, "gateway");
    assert!(figure(&gateway, "encompute_gateway_uploads_total{status=\"201\"}") >= 5.0, "{gateway}");
    assert!(figure(&gateway, "encompute_gateway_used_bytes") > 10_000.0, "{gateway}");
}

fn logs_name_the_job(market: &Market) {
    for service in ["worker", "creator"] {
        let named = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            line["fields"]["job"] == 1 || line["job"] == 1
        };
        assert!(market.log(service).lines().any(named), "{service} names no job: {}", market.log(service));
    }
}

/// A second gateway over the market's own blobs, which forgets.
struct Forgetful {
    child: Child,
    address: String,
}

impl Forgetful {
    fn over(market: &Market) -> Self {
        let home = market.home();
        let blobs = home.join("blobs");
        let mut child = Command::new(program("encompute"))
            .args(["--network", "local", "gateway", "serve", "--forget-unnamed", "0.0001", "--store"])
            .arg(blobs)
            .env("ENCOMPUTE_HOME", home)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let address = ready["listen"].as_str().unwrap().trim_start_matches("http://").to_owned();
        Self { child, address }
    }
}

impl Drop for Forgetful {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn blobs_that_nobody_named_are_forgotten_and_the_audit_still_passes(market: &Market) {
    let blobs = market.home().join("blobs");
    let mut before = files(&blobs);
    let nameless = blobs.join("00").join("0".repeat(64));
    std::fs::create_dir_all(nameless.parent().unwrap()).unwrap();
    std::fs::write(&nameless, b"nobody asked for this").unwrap();
    let gateway = Forgetful::over(market);
    while nameless.exists() {
        let health = answer(&gateway.address, "GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert!(health.contains("\"service\":\"gateway\""), "{health}");
    }
    let mut after = files(&blobs);
    before.sort();
    after.sort();
    assert_eq!(before, after, "every blob of the job and of both models is named");
    let audit = market.encompute(&["audit", "job", "1", "--json"]).done().json();
    assert_eq!(audit["verdict"], "pass", "{audit}");
}

fn signal(market: &Market, service: &str, signal: &str) {
    assert!(Command::new("kill").args([signal, &market.pid(service).to_string()]).status().unwrap().success());
}

/// The finding of that name.
fn finding(market: &Market, id: &str) -> (bool, String) {
    let report = market.encompute(&["doctor", "--json"]).json();
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|found| found["id"] == id).unwrap_or_else(|| panic!("{id}: {report}"));
    (found["pass"] == true, format!("{} → {}", found["found"], found["advice"]))
}

#[test]
fn the_doctor_finds_each_broken_thing_and_says_what_to_do() {
    use std::os::unix::fs::PermissionsExt;
    let market = Market::up();
    let healthy = market.encompute(&["doctor", "--json"]).done().json();
    assert_eq!(healthy["healthy"], true, "{healthy}");

    std::fs::set_permissions(market.home().join("worker/keys"), PermissionsExt::from_mode(0o644)).unwrap();
    let (pass, words) = finding(&market, "secrets");
    assert!(!pass && words.contains("worker/keys") && words.contains("chmod"), "{words}");

    // Stopped, not ended: a market that loses a service stops the others, too.
    for (service, id, advice) in [
        ("creator", "models", "creator serve"),
        ("worker", "workers", "worker status"),
        ("gateway", "gateway", "gateway serve"),
        ("chain", "chain", "dev up"),
    ] {
        signal(&market, service, "-STOP");
        let (pass, words) = finding(&market, id);
        signal(&market, service, "-CONT");
        assert!(!pass && words.contains(advice), "{service}: {words}");
    }
    std::fs::write(market.home().join("networks/local.toml"), "name = 7").unwrap();
    let ran = market.encompute(&["doctor"]);
    assert!(ran.code == 1 && ran.stdout.contains("FAIL  config") && ran.stderr.contains("checks failed"), "{ran:?}");
    let nowhere = encompute(market.home(), &["--network", "no-such-network", "doctor", "--json"]).json();
    let named = nowhere["findings"].as_array().unwrap().iter().any(|found| found["id"] == "config");
    assert!(named && nowhere["healthy"] == false, "{nowhere}");
}
