//! The dstack guest agent: what code inside a confidential machine asks for its quotes.

use super::http::{self, Answer, AskError};
use crate::claims::{ReportData, unverified_report_data};
use crate::measurement::ComposeHash;
use crate::refusal::Refusal;
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Names another endpoint than the sockets: a path, or an `http://` URL.
pub const ENDPOINT_VARIABLE: &str = "DSTACK_SIMULATOR_ENDPOINT";

/// Where a dstack machine mounts the agent's socket, in the order that its own clients try.
pub const SOCKETS: [&str; 4] =
    ["/var/run/dstack.sock", "/run/dstack.sock", "/var/run/dstack/dstack.sock", "/run/dstack/dstack.sock"];

/// Most bytes of an answer: a quote in hexadecimal and the log of every boot event.
const ANSWER_LIMIT_BYTES: usize = 1024 * 1024;

/// A guest agent.
pub struct GuestAgent {
    http: reqwest::Client,
    base: String,
    endpoint: String,
}

/// What the agent answers a quote request with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestQuote {
    /// The quote, as DCAP bytes. It carries the report data asked for; nothing else is checked.
    pub quote: Vec<u8>,
    /// Boot events behind the measurement registers, as the agent's JSON.
    pub event_log: String,
}

/// What the agent says about the app inside. Its word only: the quote is what proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestInfo {
    /// Name of the app.
    pub app_name: String,
    /// Identity of the app, hexadecimal.
    pub app_id: String,
    /// Identity of this instance, hexadecimal.
    pub instance_id: String,
    /// The software: what `MR_CONFIG_ID` pins.
    pub compose_hash: ComposeHash,
}

/// No quote could be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuestError {
    /// Not inside a dstack machine, as far as can be seen.
    #[error("no dstack guest agent: neither {ENDPOINT_VARIABLE} is set nor does one of {} exist", SOCKETS.join(", "))]
    NoAgent,
    /// The agent could not be asked.
    #[error("dstack guest agent at {endpoint} gave no answer")]
    Ask {
        /// The agent.
        endpoint: String,
        /// What went wrong.
        source: AskError,
    },
    /// The agent gave bytes that are no quote.
    #[error("dstack guest agent gave no quote")]
    Quote(#[source] Refusal),
    /// The agent gave a quote over something else, as a simulator with a canned quote does.
    #[error("dstack guest agent quoted report data {found} instead of {wanted}")]
    ReportData {
        /// Report data in the quote.
        found: Box<ReportData>,
        /// Report data asked for.
        wanted: Box<ReportData>,
    },
}

#[derive(Deserialize)]
struct QuoteAnswer {
    quote: String,
    #[serde(default)]
    event_log: String,
}

#[derive(Deserialize)]
struct InfoAnswer {
    #[serde(default)]
    app_name: String,
    app_id: String,
    instance_id: String,
    compose_hash: String,
}

impl GuestAgent {
    /// The agent of this machine: what [`ENDPOINT_VARIABLE`] names, else the first of [`SOCKETS`]
    /// that exists.
    ///
    /// # Errors
    /// [`GuestError::NoAgent`] when there is none.
    pub fn locate() -> Result<Self, GuestError> {
        match std::env::var(ENDPOINT_VARIABLE) {
            Ok(endpoint) if !endpoint.is_empty() => Self::at(&endpoint),
            _ => {
                let socket = SOCKETS.iter().find(|socket| Path::new(socket).exists()).ok_or(GuestError::NoAgent)?;
                Self::at(socket)
            }
        }
    }

    /// The agent at an `http://` URL, or behind a unix socket.
    ///
    /// # Errors
    /// [`GuestError::Ask`] when no client can be built. Nothing is asked yet.
    pub fn at(endpoint: &str) -> Result<Self, GuestError> {
        let remote = endpoint.starts_with("http://") || endpoint.starts_with("https://");
        let socket = (!remote).then(|| PathBuf::from(endpoint.trim_start_matches("unix:")));
        let http = http::client(socket.as_deref())
            .map_err(|source| GuestError::Ask { endpoint: endpoint.to_owned(), source })?;
        let base = if remote { endpoint.trim_end_matches('/') } else { "http://dstack" };
        Ok(Self { http, base: base.to_owned(), endpoint: endpoint.to_owned() })
    }

    /// A fresh quote over `report_data`.
    ///
    /// # Errors
    /// [`GuestError`]; the quote's report data has been compared with what was asked for.
    pub async fn quote(&self, report_data: ReportData) -> Result<GuestQuote, GuestError> {
        let answer = self.ask("GetQuote", json!({ "report_data": hex::encode(report_data.0) })).await?;
        let QuoteAnswer { quote, event_log } = self.read(&answer, "a quote")?;
        let quote = hex::decode(quote.trim_start_matches("0x"))
            .map_err(|_| self.failed(answer.wrong("a hexadecimal quote")))?;
        match unverified_report_data(&quote).map_err(GuestError::Quote)? {
            found if found == report_data => Ok(GuestQuote { quote, event_log }),
            found => Err(GuestError::ReportData { found: Box::new(found), wanted: Box::new(report_data) }),
        }
    }

    /// What the agent says about the app inside.
    ///
    /// # Errors
    /// [`GuestError::Ask`].
    pub async fn info(&self) -> Result<GuestInfo, GuestError> {
        let answer = self.ask("Info", json!({})).await?;
        let info: InfoAnswer = self.read(&answer, "app id, instance id and compose hash")?;
        let compose_hash = hex::decode(&info.compose_hash).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let compose_hash = compose_hash.ok_or_else(|| self.failed(answer.wrong("a compose hash of 32 bytes")))?;
        Ok(GuestInfo {
            app_name: info.app_name,
            app_id: info.app_id,
            instance_id: info.instance_id,
            compose_hash: ComposeHash(compose_hash),
        })
    }

    async fn ask(&self, call: &str, body: serde_json::Value) -> Result<Answer, GuestError> {
        let url = format!("{}/{call}", self.base);
        http::ask(self.http.post(&url).json(&body), &url, ANSWER_LIMIT_BYTES)
            .await
            .map_err(|source| self.failed(source))
    }

    fn read<T: for<'a> Deserialize<'a>>(&self, answer: &Answer, wanted: &'static str) -> Result<T, GuestError> {
        serde_json::from_slice(&answer.body).map_err(|_| self.failed(answer.wrong(wanted)))
    }

    fn failed(&self, source: AskError) -> GuestError {
        GuestError::Ask { endpoint: self.endpoint.clone(), source }
    }
}
