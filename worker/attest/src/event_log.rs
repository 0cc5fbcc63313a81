//! The launch log of a dstack machine, replayed: what the registers of its quote are made of.
//!
//! A log proves nothing by itself. Replayed, it gives four registers; where they are those of a quote, its events happened
//! in this order, and the operating system named the software before anything else ran. RTMR3 holds the instance's id, so
//! no list can hold it: it is replayed instead.

use crate::claims::parse;
use crate::measurement::{ComposeHash, MrConfigId, Register};
use crate::refusal::Refusal;
use serde::Deserialize;
use sha2::{Digest, Sha384};

/// Most bytes of a log. Real ones have 8 to 12 KB.
pub const EVENT_LOG_LIMIT_BYTES: usize = 512 * 1024;
/// Most events of a log. Real ones have some thirty.
const EVENTS_LIMIT: usize = 4_096;
/// The type of events that dstack itself writes; others are the firmware's.
pub(crate) const RUNTIME_EVENT: u32 = 0x0800_0001;
/// The last event of the operating system's: what follows is the application's, which may call its events as it likes.
const SYSTEM_READY: &str = "system-ready";
const REGISTERS: usize = 4;

/// A log that is none, or not that of its quote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventLogError {
    /// Longer than is read.
    #[error("event log has {found} bytes, at most {EVENT_LOG_LIMIT_BYTES} are read")]
    TooLong {
        /// Its bytes.
        found: usize,
    },
    /// Not a list of events.
    #[error("event log is malformed: {0}")]
    Malformed(String),
    /// More events than are read.
    #[error("event log has {found} events, at most {EVENTS_LIMIT} are read")]
    TooMany {
        /// Its events.
        found: usize,
    },
    /// A field of an event that cannot be what it stands for.
    #[error("event {index} of the log: {field} is {found}, {wanted} is allowed")]
    Event {
        /// Which event, from 0.
        index: usize,
        /// Which field.
        field: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        wanted: &'static str,
    },
    /// Not a quote of a TDX domain.
    #[error("read the quote")]
    Quote(#[from] Refusal),
    /// A quote that has no such registers.
    #[error("the quote is no TDX domain's: it has no registers to replay a log to")]
    NotTdx,
    /// Another register than the quote's.
    #[error("the log replays RTMR{index} to {found}, the quote has {wanted}")]
    Register {
        /// Which register.
        index: usize,
        /// What the replay gives.
        found: Register,
        /// What the quote has.
        wanted: Register,
    },
    /// An event of the operating system that is there twice, or not of the bytes that it should have.
    #[error("the log's event {name} is there {found}, {wanted} is allowed")]
    Launch {
        /// Its name.
        name: &'static str,
        /// What was found.
        found: String,
        /// What is allowed.
        wanted: &'static str,
    },
    /// The launch configuration in the quote names other software than the log.
    #[error("the quote's MR_CONFIG_ID names the app {config}, the log {log}")]
    OtherApp {
        /// By the quote.
        config: ComposeHash,
        /// By the log.
        log: ComposeHash,
    },
}

/// What the operating system wrote down before the application ran, proved by a quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// How many events were replayed.
    pub events: usize,
    /// The software: SHA-256 of its `app-compose.json`.
    pub compose_hash: Option<ComposeHash>,
    /// Identity of the app, 20 bytes.
    pub app_id: Option<[u8; 20]>,
    /// Identity of this instance, 20 bytes; another for each disk.
    pub instance_id: Option<[u8; 20]>,
    /// The operating system's image.
    pub os_image_hash: Option<[u8; 32]>,
    /// Who keeps the app's keys, as dstack writes it: JSON with a name and an identity.
    pub key_provider: Option<Vec<u8>>,
    /// What the quote's `MR_CONFIG_ID` is.
    pub mr_config_id: MrConfigId,
}

/// A list of events, checked one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLog {
    events: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    register: usize,
    digest: [u8; 48],
    /// What dstack wrote; nothing for the firmware's events.
    written: Option<(String, Vec<u8>)>,
}

#[derive(Deserialize)]
struct Told {
    imr: u32,
    event_type: u32,
    #[serde(default)]
    digest: String,
    event: String,
    #[serde(default)]
    event_payload: String,
    /// How the digest of a runtime event is made: 1 where nothing is said.
    #[serde(default)]
    version: Option<u32>,
}

impl EventLog {
    /// The log in what a guest agent answers as `event_log`.
    ///
    /// Digests of runtime events are computed, for the log's own is nobody's word; one that is there must be it.
    ///
    /// # Errors
    /// [`EventLogError`], by the first thing that is wrong.
    pub fn from_json(json: &[u8]) -> Result<Self, EventLogError> {
        if json.len() > EVENT_LOG_LIMIT_BYTES {
            return Err(EventLogError::TooLong { found: json.len() });
        }
        let told: Vec<Told> =
            serde_json::from_slice(json).map_err(|error| EventLogError::Malformed(error.to_string()))?;
        if told.len() > EVENTS_LIMIT {
            return Err(EventLogError::TooMany { found: told.len() });
        }
        let events = told.into_iter().enumerate().map(|(index, told)| event(index, told));
        Ok(Self { events: events.collect::<Result<_, _>>()? })
    }

    /// RTMR0 to RTMR3 as the events make them: each extended from zero, SHA-384 of what it was and the event's digest.
    pub fn registers(&self) -> [Register; REGISTERS] {
        let mut registers = [Register([0; 48]); REGISTERS];
        for event in &self.events {
            registers[event.register] = registers[event.register].extended(&event.digest);
        }
        registers
    }

    /// What the log says of the launch that this quote is of. The quote's signatures are checked elsewhere.
    ///
    /// # Errors
    /// [`EventLogError`]: a register that the log does not replay to, events of the operating system that are there twice,
    /// software that `MR_CONFIG_ID` names otherwise.
    pub fn launch(&self, quote: &[u8]) -> Result<Launch, EventLogError> {
        let quote = parse(quote)?;
        let report = quote.report.as_td10().ok_or(EventLogError::NotTdx)?;
        let wanted = [report.rt_mr0, report.rt_mr1, report.rt_mr2, report.rt_mr3].map(Register);
        for (index, (found, wanted)) in self.registers().into_iter().zip(wanted).enumerate() {
            if found != wanted {
                return Err(EventLogError::Register { index, found, wanted });
            }
        }
        let mr_config_id = MrConfigId(report.mr_config_id);
        let compose_hash = self.bytes("compose-hash")?.map(ComposeHash);
        match (mr_config_id.compose_hash(), compose_hash) {
            (Some(config), Some(log)) if config != log => return Err(EventLogError::OtherApp { config, log }),
            _ => {}
        }
        Ok(Launch {
            events: self.events.len(),
            compose_hash,
            app_id: self.bytes("app-id")?,
            instance_id: self.bytes("instance-id")?,
            os_image_hash: self.bytes("os-image-hash")?,
            key_provider: self.written("key-provider")?.map(<[u8]>::to_vec),
            mr_config_id,
        })
    }

    /// What the operating system wrote under a name, which it writes once at most.
    fn written(&self, name: &'static str) -> Result<Option<&[u8]>, EventLogError> {
        let written = self.events.iter().filter(|event| event.register == 3).filter_map(|event| event.written.as_ref());
        let systems = written.take_while(|(name, _)| name != SYSTEM_READY);
        let found: Vec<_> = systems.filter(|(found, _)| found == name).map(|(_, payload)| payload.as_slice()).collect();
        match found[..] {
            [] => Ok(None),
            [payload] => Ok(Some(payload)),
            _ => Err(EventLogError::Launch { name, found: format!("{} times", found.len()), wanted: "once" }),
        }
    }

    fn bytes<const LENGTH: usize>(&self, name: &'static str) -> Result<Option<[u8; LENGTH]>, EventLogError> {
        let Some(payload) = self.written(name)? else { return Ok(None) };
        let bytes = payload.try_into().map_err(|_| EventLogError::Launch {
            name,
            found: format!("with {} bytes", payload.len()),
            wanted: "an identity or hash of its kind",
        })?;
        Ok(Some(bytes))
    }
}

fn event(index: usize, told: Told) -> Result<Event, EventLogError> {
    let refused = |field, found: String, wanted| EventLogError::Event { index, field, found, wanted };
    let register = usize::try_from(told.imr).ok().filter(|register| *register < REGISTERS);
    let register = register.ok_or_else(|| refused("imr", told.imr.to_string(), "0 to 3"))?;
    let hexadecimal = |field, digits: &str| {
        hex::decode(digits).map_err(|_| refused(field, format!("`{digits}`"), "an even number of hexadecimal digits"))
    };
    let (said, payload) = (hexadecimal("digest", &told.digest)?, hexadecimal("event_payload", &told.event_payload)?);
    if told.event_type != RUNTIME_EVENT {
        let digest = said.as_slice().try_into();
        let digest = digest.map_err(|_| refused("digest", format!("{} bytes long", said.len()), "48 bytes"))?;
        return Ok(Event { register, digest, written: None });
    }
    let digest = match told.version {
        None | Some(1) => digest_v1(&told.event, &payload),
        Some(2) => digest_v2(&told.event, &payload),
        Some(other) => return Err(refused("version", other.to_string(), "1 or 2")),
    };
    if !said.is_empty() && said != digest {
        return Err(refused("digest", format!("`{}`", told.digest), "that of the event's name and payload"));
    }
    Ok(Event { register, digest, written: Some((told.event, payload)) })
}

/// SHA-384 over type, name and payload, colons between.
fn digest_v1(name: &str, payload: &[u8]) -> [u8; 48] {
    let parts: [&[u8]; 5] = [&RUNTIME_EVENT.to_le_bytes(), b":", name.as_bytes(), b":", payload];
    parts.iter().fold(Sha384::new(), |hasher, part| hasher.chain_update(part)).finalize().into()
}

/// SHA-384 over the event as canonical JSON (RFC 8785): keys in order, no space.
fn digest_v2(name: &str, payload: &[u8]) -> [u8; 48] {
    let name = serde_json::Value::from(name);
    let canonical = format!(r#"{{"name":{name},"payload":"{}","type":{RUNTIME_EVENT}}}"#, hex::encode(payload));
    Sha384::digest(canonical).into()
}
