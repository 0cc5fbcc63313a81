//! `encompute govern inspect` and `encompute worker measure`: what a quote attests, before its machine or its code is
//! announced.

use crate::{
    args::Common,
    context::Context,
    failure::{Doing, Exit, Failure, Outcome},
    output,
};
use clap::Args;
use encompute_attest::{
    Claims, ComposeHash, EventLog, Launch, Measurement, ReportData, UnixSeconds, authenticate,
    client::{CollateralService, GuestAgent},
    compact,
    network::root_of,
};
use encompute_protocol::PlatformId;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Most bytes of a file with a quote, in whatever form.
const FILE_LIMIT_BYTES: u64 = 1024 * 1024;

/// One quote.
#[derive(Args)]
pub struct Inspect {
    /// File with a quote: its bytes, their hexadecimal digits, or what the guest agent's GetQuote answers
    quote: PathBuf,
    /// The app-compose.json that the machine should run: its hash must be what the quote, or the launch log that replays to
    /// it, names
    #[arg(long, value_name = "FILE")]
    compose: Option<PathBuf>,
}

/// A quote as it lies in a file, and the launch log beside it, if there is one.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    quote: Vec<u8>,
    log: Option<Vec<u8>>,
}

impl Inspect {
    /// Follows the quote's signatures to the network's root and names what is to be announced.
    pub async fn run(self, common: &Common) -> Outcome {
        inspect(quote_in(read(&self.quote)?), self.compose.as_deref(), common).await
    }
}

/// The machine that this runs on, as its guest agent attests it.
#[derive(Args)]
pub struct Measure {
    /// The guest agent: a socket or an URL; found as dstack's own clients find it if none is given
    #[arg(long, value_name = "SOCKET|URL")]
    guest_agent: Option<String>,
    /// The app-compose.json that the machine should run
    #[arg(long, value_name = "FILE")]
    compose: Option<PathBuf>,
}

impl Measure {
    /// Has a quote over nothing, which can register nobody, and says what it attests.
    pub async fn run(self, common: &Common) -> Outcome {
        let agent = match &self.guest_agent {
            Some(endpoint) => GuestAgent::at(endpoint),
            None => GuestAgent::locate(),
        };
        let agent = agent.doing(Exit::NotFound, "find the guest agent")?;
        let answer =
            agent.quote(ReportData([0; 64])).await.doing(Exit::Unreachable, "ask the guest agent for a quote")?;
        let found = Found { quote: answer.quote, log: of_events(answer.event_log) };
        inspect(found, self.compose.as_deref(), common).await
    }
}

async fn inspect(found: Found, compose: Option<&Path>, common: &Common) -> Outcome {
    let context = Context::load(common)?;
    let Found { quote, log } = found;
    let trust = &context.network().trust;
    let root = root_of(trust).doing(Exit::Usage, "read the network's trust")?;
    let collateral = CollateralService::at(trust.collateral.as_str()).doing(Exit::Usage, "read the network's trust")?;
    let collateral = collateral.fetch(&quote).await.doing(Exit::Unreachable, "fetch collateral")?;
    let (_, key) = compact(&quote).doing(Exit::Verification, "read the quote")?;
    let claims = authenticate(&quote, &collateral, &root, UnixSeconds::now());
    let claims = claims.doing(Exit::Verification, "verify the quote")?;
    let launch = match log {
        None => None,
        Some(log) => {
            let launch = EventLog::from_json(&log).and_then(|log| log.launch(&quote));
            Some(launch.doing(Exit::Verification, "replay the launch log to the quote's registers")?)
        }
    };
    let app = app(&claims, launch.as_ref());
    if let Some(file) = compose {
        let wanted = ComposeHash::of_file(&read(file)?);
        if app != Some(wanted) {
            let found = app.map_or("no app by its hash".to_owned(), |found| format!("the app {found}"));
            let text = format!("the quote is of {found}, {} is {wanted}", file.display());
            return Err(Failure::new(Exit::Verification, text));
        }
    }
    show(key.platform(), &claims, app, launch.as_ref(), common)
}

fn read(file: &Path) -> Outcome<Vec<u8>> {
    let path = file.display();
    let found = std::fs::metadata(file).doing(Exit::NotFound, &format!("read {path}"))?.len();
    if found > FILE_LIMIT_BYTES {
        return Err(Failure::new(
            Exit::Usage,
            format!("{path} has {found} bytes, at most {FILE_LIMIT_BYTES} are read"),
        ));
    }
    std::fs::read(file).doing(Exit::NotFound, &format!("read {path}"))
}

/// A log, but of no events: that is of an agent which keeps none.
fn of_events(log: String) -> Option<Vec<u8>> {
    (!matches!(log.trim(), "" | "[]")).then(|| log.into_bytes())
}

/// The quote in a file: the answer of a guest agent, hexadecimal digits, or the bytes themselves.
fn quote_in(bytes: Vec<u8>) -> Found {
    let answer = serde_json::from_slice::<Value>(&bytes).ok();
    let log = answer.as_ref().and_then(|answer| match &answer["event_log"] {
        Value::String(log) => Some(log.clone()),
        log @ Value::Array(_) => Some(log.to_string()),
        _ => None,
    });
    let log = log.and_then(of_events);
    let digits = answer.as_ref().and_then(|answer| answer["quote"].as_str());
    let digits = digits.or_else(|| std::str::from_utf8(&bytes).ok()).map(str::trim);
    let quote = digits.and_then(|digits| hex::decode(digits.trim_start_matches("0x")).ok());
    Found { quote: quote.unwrap_or(bytes), log }
}

/// The app inside, by the launch log or the launch configuration.
fn app(claims: &Claims, launch: Option<&Launch>) -> Option<ComposeHash> {
    let configured = match &claims.measurement {
        Measurement::Tdx(measurement) => measurement.mr_config_id.compose_hash(),
        Measurement::Sgx(_) => None,
    };
    launch.and_then(|launch| launch.compose_hash).or(configured)
}

fn show(
    platform: PlatformId,
    claims: &Claims,
    app: Option<ComposeHash>,
    launch: Option<&Launch>,
    common: &Common,
) -> Outcome {
    let measurement = claims.measurement.id();
    let advisories: Vec<_> = claims.advisories.iter().map(ToString::to_string).collect();
    let settings: Vec<_> = claims.settings.iter().map(ToString::to_string).collect();
    if common.json {
        return output::json(&json!({
            "platform": platform.to_string(), "measurement": measurement.to_string(), "root": claims.root.to_string(),
            "ppid": claims.ppid.to_string(), "fmspc": claims.fmspc.to_string(),
            "tcb_status": claims.tcb_status.to_string(), "advisories": advisories, "settings": settings,
            "app": app.map(|app| app.to_string()), "launch": launch.map(told),
        }));
    }
    let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let log = launch.map_or("none beside the quote".to_owned(), |launch| {
        format!("{} events, replayed to all four registers", launch.events)
    });
    let app = app.map_or("not named".to_owned(), |app| app.to_string());
    output::text(&format!(
        "platform     {platform}\nmeasurement  {measurement}\nroot         {}\nmachine      PPID {}, FMSPC {}\n\
         patch level  {}\nadvisories   {}\nsettings     {}\nlaunch log   {log}\napp          {app}{}",
        claims.root,
        claims.ppid,
        claims.fmspc,
        claims.tcb_status,
        list(&advisories),
        list(&settings),
        launch.map(words).unwrap_or_default(),
    ))
}

/// What a launch log says beside the app's hash.
fn told(launch: &Launch) -> Value {
    json!({
        "events": launch.events,
        "app_id": launch.app_id.map(hex::encode),
        "instance_id": launch.instance_id.map(hex::encode),
        "os_image_hash": launch.os_image_hash.map(hex::encode),
        "key_provider": launch.key_provider.as_deref().map(String::from_utf8_lossy),
    })
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|character| !character.is_control()).collect()
}

fn words(launch: &Launch) -> String {
    let lines = [
        ("app id", launch.app_id.map(hex::encode)),
        ("instance", launch.instance_id.map(hex::encode)),
        ("OS image", launch.os_image_hash.map(hex::encode)),
        // A stranger's bytes: no escape reaches the terminal.
        ("keys by", launch.key_provider.as_deref().map(shown)),
    ];
    let lines = lines.into_iter().filter_map(|(name, value)| Some(format!("\n{name:<12} {}", value?)));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::{Found, quote_in};

    #[test]
    fn a_quote_is_found_in_whatever_form_it_comes() {
        let quote = vec![4, 0, 2, 0, 0x81, 0];
        for file in
            [&b"\x04\x00\x02\x00\x81\x00"[..], b"040002008100\n", b"0x040002008100", b"{\"quote\": \"040002008100\"}"]
        {
            assert_eq!(quote_in(file.to_vec()), Found { quote: quote.clone(), log: None });
        }
    }

    #[test]
    fn a_log_is_found_as_text_or_as_a_list_and_an_empty_one_is_none() {
        let log =
            |file: &str| quote_in(file.as_bytes().to_vec()).log.map(|log| String::from_utf8_lossy(&log).into_owned());
        let event = r#"[{"imr":3}]"#;
        assert_eq!(log(r#"{"quote": "04", "event_log": "[{\"imr\":3}]"}"#).as_deref(), Some(event));
        assert_eq!(log(&format!(r#"{{"quote": "04", "event_log": {event}}}"#)).as_deref(), Some(event));
        for none in [r#""""#, r#""[]""#, "[]", "null", "7"] {
            assert_eq!(log(&format!(r#"{{"quote": "04", "event_log": {none}}}"#)), None, "{none}");
        }
    }
}
