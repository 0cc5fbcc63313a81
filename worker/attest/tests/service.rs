//! The production clients against the development service over real sockets, end to end.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{NOW, measurement, pki, policy};
use encompute_attest::client::{AskError, CollateralService, FetchError, GuestAgent, GuestError, GuestQuote};
use encompute_attest::devservice::{DevServiceConfig, serve};
use encompute_attest::pki::{CollateralTerms, DevelopmentSeed, PckAuthority, PlatformTraits};
use encompute_attest::{ComposeHash, EventLog, Refusal, ReportData, TcbStatus, UnixSeconds, quote_identity, verify};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Running {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

fn config() -> DevServiceConfig {
    DevServiceConfig {
        seed: DevelopmentSeed::from_label("tests"),
        app_name: "encompute-worker".to_owned(),
        measurement: measurement(),
        traits: PlatformTraits::default(),
        terms: CollateralTerms::current,
        clock: || NOW,
    }
}

async fn running(config: DevServiceConfig) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        serve(listener, config, async {
            let _ = stopped.await;
        })
        .await
        .unwrap();
    });
    Running { url, stop: Some(stop), task }
}

impl Running {
    async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn a_quote_and_its_collateral_travel_from_the_service_to_a_verdict() {
    let service = running(config()).await;
    let report_data = ReportData(core::array::from_fn(|at| at as u8));
    let GuestQuote { quote, event_log } = GuestAgent::at(&service.url).unwrap().quote(report_data).await.unwrap();
    let launch = EventLog::from_json(event_log.as_bytes()).unwrap().launch(&quote).unwrap();
    assert_eq!(launch.compose_hash, Some(ComposeHash([5; 32])));
    let collateral = CollateralService::at(&service.url).unwrap().fetch(&quote).await.unwrap();
    let verdict = verify(&quote, &collateral, pki().trust_root(), &policy(), NOW).unwrap();
    assert_eq!(verdict.claims.report_data, report_data);
    assert_eq!(verdict.claims.quote, quote_identity(&quote).unwrap());
    service.stop().await;
}

#[tokio::test]
async fn collateral_for_every_form_of_quote_and_both_authorities_is_fetched_by_the_production_client() {
    let service = running(config()).await;
    let collateral = CollateralService::at(&service.url).unwrap();
    let pki = pki();
    for authority in [PckAuthority::Platform, PckAuthority::Processor] {
        let machine = pki.platform("worker-1", PlatformTraits { authority, ..PlatformTraits::default() }).unwrap();
        for form in common::Form::ALL {
            let quote = form.quote(&machine);
            let fetched = collateral.fetch(&quote).await.unwrap();
            let verdict = verify(&quote, &fetched, pki.trust_root(), &policy(), NOW).unwrap();
            assert_eq!(verdict.claims.kind, form.kind());
            // What is fetched is what the PKI gives directly: one code, whether over a wire or not.
            let given = pki.collateral_for(form.tee(), machine.traits(), &CollateralTerms::current(NOW)).unwrap();
            assert_eq!(fetched, given);
        }
    }
    service.stop().await;
}

#[tokio::test]
async fn the_service_says_which_app_it_pretends_to_run() {
    let service = running(config()).await;
    let info = GuestAgent::at(&service.url).unwrap().info().await.unwrap();
    assert_eq!(info.app_name, "encompute-worker");
    assert_eq!(info.compose_hash, ComposeHash([5; 32]));
    assert_eq!(info.app_id, hex::encode([5; 20]));
    service.stop().await;
}

#[tokio::test]
async fn one_service_plays_several_machines() {
    let service = running(config()).await;
    let ppid = async |machine: &str| {
        let agent = GuestAgent::at(&format!("{}/machines/{machine}", service.url)).unwrap();
        let quote = agent.quote(ReportData([1; 64])).await.unwrap().quote;
        let collateral = CollateralService::at(&service.url).unwrap().fetch(&quote).await.unwrap();
        verify(&quote, &collateral, pki().trust_root(), &policy(), NOW).unwrap().claims.ppid
    };
    assert_ne!(ppid("worker-1").await, ppid("worker-2").await);
    assert_eq!(ppid("worker-1").await, ppid("worker-1").await);
    service.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn the_guest_agent_answers_on_a_unix_socket_too() {
    let path = std::env::temp_dir().join(format!("encompute-attest-{}.sock", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let shutdown = async {
            let _ = stopped.await;
        };
        serve(listener, config(), shutdown).await.unwrap();
    });
    let agent = GuestAgent::at(path.to_str().unwrap()).unwrap();
    let quote = agent.quote(ReportData([2; 64])).await.unwrap().quote;
    assert!(quote_identity(&quote).is_ok());
    drop(agent);
    stop.send(()).unwrap();
    task.await.unwrap();
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_drill_shows_in_the_verdict() {
    let terms = |now: UnixSeconds| CollateralTerms { status: TcbStatus::OutOfDate, ..CollateralTerms::current(now) };
    let service = running(DevServiceConfig { terms, ..config() }).await;
    let quote = GuestAgent::at(&service.url).unwrap().quote(ReportData([1; 64])).await.unwrap().quote;
    let collateral = CollateralService::at(&service.url).unwrap().fetch(&quote).await.unwrap();
    let refusal = verify(&quote, &collateral, pki().trust_root(), &policy(), NOW).unwrap_err();
    assert!(matches!(refusal, Refusal::TcbStatus { found: TcbStatus::OutOfDate, .. }), "{refusal}");
    service.stop().await;
}

#[tokio::test]
async fn the_service_knows_no_collateral_of_other_machines() {
    let service = running(config()).await;
    let (quote, _) = common::intel_sample("tdx_quote");
    let refused = CollateralService::at(&service.url).unwrap().fetch(&quote).await.unwrap_err();
    assert!(matches!(refused, FetchError::Ask(AskError::Status { status: 404, .. })), "{refused:?}");
    service.stop().await;
}

#[tokio::test]
async fn a_service_that_is_not_there_is_an_error_and_no_refusal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let asked = GuestAgent::at(&url).unwrap().quote(ReportData([1; 64])).await.unwrap_err();
    assert!(matches!(asked, GuestError::Ask { source: AskError::Unreachable { .. }, .. }), "{asked:?}");
    let pki = pki();
    let quote = common::quote(&common::platform(&pki), &measurement());
    let asked = CollateralService::at(&url).unwrap().fetch(&quote).await.unwrap_err();
    assert!(matches!(asked, FetchError::Ask(AskError::Unreachable { .. })), "{asked:?}");
}

#[tokio::test]
async fn an_agent_that_quotes_something_else_is_caught() {
    // An agent with one canned quote, as a simulator with fixtures is.
    let pki = pki();
    let canned = hex::encode(common::quote(&common::platform(&pki), &measurement()));
    let answer = serde_json::json!({ "quote": canned, "event_log": "[]" }).to_string();
    let canned = axum::Router::new().route("/GetQuote", axum::routing::post(move || async move { answer }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move { axum::serve(listener, canned).await });
    let asked = GuestAgent::at(&url).unwrap().quote(ReportData([1; 64])).await.unwrap_err();
    let GuestError::ReportData { found, wanted } = asked else { panic!("{asked:?}") };
    assert_eq!((*found, *wanted), (ReportData([7; 64]), ReportData([1; 64])));
    task.abort();
}

#[tokio::test]
async fn requests_that_make_no_sense_are_answered_with_a_reason() {
    let service = running(config()).await;
    // Building an agent settles which TLS provider plain clients of this process have.
    GuestAgent::at(&service.url).unwrap();
    let http = reqwest::Client::new();
    for report_data in ["", "zz", &"00".repeat(65)] {
        let body = serde_json::json!({ "report_data": report_data });
        let answer = http.post(format!("{}/GetQuote", service.url)).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{report_data}");
        assert!(answer.text().await.unwrap().contains("report_data"));
    }
    drop(http);
    service.stop().await;
}
