//! The guest agent's calls.

use super::{DEFAULT_MACHINE, Service};
use crate::claims::ReportData;
use crate::event_log::{EventLog, EventLogError, RUNTIME_EVENT};
use crate::measurement::Register;
use crate::pki::{MEASURED, PkiError, Platform};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha384};
use std::sync::Arc;

const MACHINE_NAME_LIMIT_BYTES: usize = 64;
/// Type of an event of the firmware's: separates two measurements (`EV_SEPARATOR`).
const FIRMWARE_EVENT: u32 = 4;

#[derive(Deserialize)]
pub(super) struct QuoteRequest {
    report_data: String,
}

/// A request that cannot be answered.
pub(super) enum CallError {
    ReportData,
    MachineName,
    Pki(PkiError),
    Log(EventLogError),
}

impl IntoResponse for CallError {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::ReportData => {
                (StatusCode::BAD_REQUEST, "report_data must be hexadecimal and 1 to 64 bytes long".to_owned())
            }
            Self::MachineName => (StatusCode::BAD_REQUEST, "machine name is too long".to_owned()),
            Self::Pki(reason) => (StatusCode::INTERNAL_SERVER_ERROR, reason.to_string()),
            Self::Log(reason) => (StatusCode::INTERNAL_SERVER_ERROR, reason.to_string()),
        };
        (status, Json(json!({ "error": text }))).into_response()
    }
}

type Answer = Result<Json<Value>, CallError>;

pub(super) async fn quote_default(State(service): State<Arc<Service>>, Json(request): Json<QuoteRequest>) -> Answer {
    service.quote(DEFAULT_MACHINE, &request)
}

pub(super) async fn quote(
    State(service): State<Arc<Service>>,
    Path(name): Path<String>,
    Json(request): Json<QuoteRequest>,
) -> Answer {
    service.quote(&name, &request)
}

pub(super) async fn info_default(State(service): State<Arc<Service>>) -> Answer {
    service.info(DEFAULT_MACHINE)
}

pub(super) async fn info(State(service): State<Arc<Service>>, Path(name): Path<String>) -> Answer {
    service.info(&name)
}

pub(super) async fn version() -> Json<Value> {
    Json(json!({ "version": concat!("encompute-development-", env!("CARGO_PKG_VERSION")), "rev": "" }))
}

impl Service {
    fn machine(&self, name: &str) -> Result<Platform, CallError> {
        if name.len() > MACHINE_NAME_LIMIT_BYTES {
            return Err(CallError::MachineName);
        }
        self.pki.platform(name, self.config.traits.clone()).map_err(CallError::Pki)
    }

    fn quote(&self, name: &str, request: &QuoteRequest) -> Answer {
        let report_data = report_data(&request.report_data).ok_or(CallError::ReportData)?;
        let log = Value::from(self.launch(name)).to_string();
        let quote = self.machine(name)?.quote(&self.config.measurement, rtmr3(&log)?, report_data);
        Ok(Json(json!({
            "quote": hex::encode(quote),
            "event_log": log,
            "report_data": hex::encode(report_data.0),
            "vm_config": "{}",
        })))
    }

    fn compose_hash(&self) -> String {
        self.config.measurement.mr_config_id.compose_hash().map(|hash| hash.to_string()).unwrap_or_default()
    }

    /// The events of a machine's launch, in the order and under the names of real ones.
    fn launch(&self, name: &str) -> Vec<Value> {
        let measured = MEASURED.iter().enumerate().map(|(register, label)| {
            json!({
                "imr": register, "event_type": FIRMWARE_EVENT, "event": "", "event_payload": "",
                "digest": hex::encode(Sha384::digest(label)),
            })
        });
        let compose_hash = self.compose_hash();
        // By default the app id is the start of the compose hash.
        let app_id = compose_hash.get(..40).unwrap_or_default().to_owned();
        let written = [
            ("system-preparing", String::new()),
            ("app-id", app_id),
            ("compose-hash", compose_hash),
            ("instance-id", instance_id(name)),
            ("boot-mr-done", String::new()),
            ("key-provider", hex::encode(r#"{"name":"none","id":""}"#)),
            ("system-ready", String::new()),
        ];
        let written = written.map(|(event, payload)| {
            json!({ "imr": 3, "event_type": RUNTIME_EVENT, "event": event, "event_payload": payload, "digest": "" })
        });
        measured.chain(written).collect()
    }

    fn info(&self, name: &str) -> Answer {
        let machine = self.machine(name)?;
        let measurement = &self.config.measurement;
        let compose_hash = self.compose_hash();
        let launch = self.launch(name);
        let tcb_info = json!({
            "mrtd": measurement.mr_td.to_string(),
            "rtmr0": measurement.rtmr0.to_string(),
            "rtmr1": measurement.rtmr1.to_string(),
            "rtmr2": measurement.rtmr2.to_string(),
            "rtmr3": rtmr3(&Value::from(launch.clone()).to_string())?.to_string(),
            "compose_hash": compose_hash,
            "device_id": machine.ppid().to_string(),
            "app_compose": "",
            "event_log": launch,
        });
        Ok(Json(json!({
            // By default the app id is the start of the compose hash.
            "app_id": compose_hash.get(..40).unwrap_or_default(),
            "instance_id": instance_id(name),
            "app_cert": "",
            "tcb_info": tcb_info.to_string(),
            "app_name": self.config.app_name,
            "device_id": machine.ppid().to_string(),
            "os_image_hash": "",
            "key_provider_info": "",
            "compose_hash": compose_hash,
            "vm_config": "{}",
        })))
    }
}

/// RTMR3 behind a log: differs from one machine to the next, for the instance id does.
fn rtmr3(log: &str) -> Result<Register, CallError> {
    let log = EventLog::from_json(log.as_bytes()).map_err(CallError::Log)?;
    let [.., rtmr3] = log.registers();
    Ok(rtmr3)
}

fn instance_id(name: &str) -> String {
    hex::encode(&Sha384::digest(name)[..20])
}

/// Hexadecimal report data, padded with zeros to 64 bytes, as the agent does it.
fn report_data(text: &str) -> Option<ReportData> {
    let bytes = hex::decode(text).ok()?;
    let mut padded = [0; 64];
    padded.get_mut(..bytes.len()).filter(|prefix| !prefix.is_empty())?.copy_from_slice(&bytes);
    Some(ReportData(padded))
}
