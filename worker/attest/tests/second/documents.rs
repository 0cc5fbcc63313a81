//! TCB info and the quoting enclave's identity, as Intel's service gives them.

use super::certificates::Machine;
use super::quote::Body;
use super::{Answer, refuse};
use serde_json::Value;

const PLATFORM: [&str; 7] = [
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "Revoked",
];
const MODULE: [&str; 3] = ["UpToDate", "OutOfDate", "Revoked"];
const ENCLAVE: [&str; 5] = ["UpToDate", "ConfigurationNeeded", "OutOfDate", "OutOfDateConfigurationNeeded", "Revoked"];
/// Two words more are a judge's alone, but a document that has one is still read.
const RELAUNCH: [&str; 2] = ["TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded"];

/// A verdict with its advisories.
#[derive(Clone, Debug, Default)]
pub struct Level {
    pub status: String,
    pub advisories: Vec<String>,
}

pub struct TcbInfo {
    document: Value,
    pub fmspc: [u8; 6],
    pub evaluation: u32,
}

pub struct Identity {
    document: Value,
    pub evaluation: u32,
}

fn text<'a>(document: &'a Value, name: &str) -> Answer<&'a str> {
    document[name].as_str().ok_or_else(|| format!("no {name}"))
}

fn number(document: &Value, name: &str) -> Answer<u64> {
    document[name].as_u64().ok_or_else(|| format!("no {name}"))
}

fn octets<const N: usize>(document: &Value, name: &str) -> Answer<[u8; N]> {
    let bytes = hex::decode(text(document, name)?).map_err(|_| format!("{name} is not hexadecimal"))?;
    bytes.try_into().map_err(|_| format!("{name} has another length"))
}

fn rows<'a>(document: &'a Value, name: &str) -> Answer<&'a [Value]> {
    Ok(document[name].as_array().ok_or_else(|| format!("no {name}"))?)
}

/// `2026-11-22T12:00:00Z` in seconds since 1970.
fn seconds(date: &str) -> Answer<u64> {
    let digits = |from: usize, to: usize| date.get(from..to).and_then(|text| text.parse::<u64>().ok()).ok_or("no date");
    if date.len() != 20 || !date.ends_with('Z') {
        return refuse("no date");
    }
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = lengths.get(..(month.max(1) - 1) as usize).ok_or("no month")?.iter().sum::<u64>();
    let days = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum::<u64>() + before + day.max(1) - 1;
    Ok(days * 86_400 + digits(11, 13)? * 3_600 + digits(14, 16)? * 60 + digits(17, 19)?)
}

fn current(document: &Value, now: u64) -> Answer<()> {
    let holds = seconds(text(document, "issueDate")?)? <= now && now <= seconds(text(document, "nextUpdate")?)?;
    if holds { Ok(()) } else { refuse("a document of another time") }
}

/// Every level's verdict must be a word.
fn words(levels: &[Value]) -> Answer<()> {
    for level in levels {
        let status = text(level, "tcbStatus")?;
        if !PLATFORM.contains(&status) && !RELAUNCH.contains(&status) {
            return refuse("a verdict that is no word");
        }
        seconds(text(level, "tcbDate")?)?;
    }
    Ok(())
}

fn level(row: &Value, allowed: &[&str]) -> Answer<Level> {
    let status = text(row, "tcbStatus")?;
    if !allowed.contains(&status) {
        return refuse("a verdict that does not belong here");
    }
    let advisories = row["advisoryIDs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok(Level { status: status.to_owned(), advisories: advisories.map(str::to_owned).collect() })
}

/// The first level that a security version reaches; levels stand highest first.
fn by_svn(levels: &[Value], svn: u64, allowed: &[&str]) -> Answer<Level> {
    for row in levels {
        if number(&row["tcb"], "isvsvn")? <= svn {
            return level(row, allowed);
        }
    }
    refuse("below every verdict")
}

impl Identity {
    pub fn read(json: &str, domain: bool, now: u64) -> Answer<Self> {
        let document: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let fits = match (text(&document, "id")?, number(&document, "version")?) {
            ("TD_QE", 2 | 3) => domain,
            ("QE", 2) => !domain,
            _ => false,
        };
        if !fits {
            return refuse("another quoting enclave's identity");
        }
        current(&document, now)?;
        words(rows(&document, "tcbLevels")?)?;
        let evaluation = number(&document, "tcbEvaluationDataNumber")? as u32;
        Ok(Self { document, evaluation })
    }

    /// What the identity says of an enclave with this report.
    pub fn level(&self, report: &[u8]) -> Answer<Level> {
        let masked = |value: &[u8], mask: &[u8]| value.iter().zip(mask).map(|(v, m)| v & m).collect::<Vec<_>>();
        let same =
            |found: &[u8], name: &str, mask: &[u8], wanted: &[u8]| match masked(found, mask) == masked(wanted, mask) {
                true => Ok(()),
                false => refuse(format!("another {name}")),
            };
        let document = &self.document;
        let (misc, mask) = (octets::<4>(document, "miscselect")?, octets::<4>(document, "miscselectMask")?);
        same(&report[16..20], "MISCSELECT", &mask, &misc)?;
        let attributes = octets::<16>(document, "attributes")?;
        same(&report[48..64], "ATTRIBUTES", &octets::<16>(document, "attributesMask")?, &attributes)?;
        same(&report[128..160], "MRSIGNER", &[0xff; 32], &octets::<32>(document, "mrsigner")?)?;
        if report[48] & 2 != 0 {
            return refuse("a quoting enclave in debug mode");
        }
        let u16_at = |at: usize| u64::from(u16::from_le_bytes([report[at], report[at + 1]]));
        if u16_at(256) != number(document, "isvprodid")? {
            return refuse("another enclave of the same signer");
        }
        by_svn(rows(document, "tcbLevels")?, u16_at(258), &ENCLAVE)
    }
}

/// What levels are compared by: component SVNs, PCE SVN, TDX component SVNs.
type Rank = (Vec<u64>, u64, Vec<u64>);

impl TcbInfo {
    pub fn read(json: &str, domain: bool, now: u64) -> Answer<Self> {
        let document: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let fits = match text(&document, "id")? {
            "TDX" => domain && number(&document, "version")? >= 3,
            "SGX" => !domain && number(&document, "version")? >= 2,
            _ => false,
        };
        if !fits {
            return refuse("a verdict over another kind of enclave");
        }
        current(&document, now)?;
        words(rows(&document, "tcbLevels")?)?;
        for module in document["tdxModuleIdentities"].as_array().into_iter().flatten() {
            words(rows(module, "tcbLevels")?)?;
        }
        let evaluation = number(&document, "tcbEvaluationDataNumber")? as u32;
        Ok(Self { fmspc: octets(&document, "fmspc")?, evaluation, document })
    }

    /// The highest of the levels that a machine reaches, by its components, then its provisioning enclave, then its module.
    fn platform(&self, machine: &Machine, tee: Option<&[u8]>) -> Answer<Level> {
        let mut best: Option<(Rank, &Value)> = None;
        for row in rows(&self.document, "tcbLevels")? {
            let svns = |name: &str| -> Answer<Vec<u64>> {
                let svns: Answer<Vec<_>> = rows(&row["tcb"], name)?.iter().map(|svn| number(svn, "svn")).collect();
                let svns = svns?;
                if svns.len() == 16 { Ok(svns) } else { refuse("not sixteen components") }
            };
            let (sgx, pce) = (svns("sgxtcbcomponents")?, number(&row["tcb"], "pcesvn")?);
            let mut reached = reaches(&machine.components, &sgx) && pce <= u64::from(machine.pce_svn);
            let mut tdx = Vec::new();
            if let Some(tee) = tee {
                tdx = svns("tdxtcbcomponents")?;
                // A module that has an identity of its own is judged by it.
                let from = if tee[1] > 0 { 2 } else { 0 };
                reached &= reaches(&tee[from..], &tdx[from..]);
            }
            let rank = (sgx, pce, tdx);
            if reached && best.as_ref().is_none_or(|(highest, _)| rank > *highest) {
                best = Some((rank, row));
            }
        }
        let (_, row) = best.ok_or("below every verdict")?;
        level(row, &PLATFORM)
    }

    fn module(&self, tee: &[u8]) -> Answer<Option<&Value>> {
        if tee[1] == 0 {
            return Ok(None);
        }
        let wanted = format!("TDX_{:02X}", tee[1]);
        let known = rows(&self.document, "tdxModuleIdentities")?;
        let found =
            known.iter().find(|module| module["id"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(&wanted)));
        found.map(Some).ok_or_else(|| "a module that nobody knows".to_owned())
    }

    /// Platform and module together, at these security versions.
    fn domain(&self, machine: &Machine, tee: &[u8]) -> Answer<Level> {
        let mut platform = self.platform(machine, Some(tee))?;
        if let Some(module) = self.module(tee)? {
            let module = by_svn(rows(module, "tcbLevels")?, u64::from(tee[0]), &MODULE)?;
            platform.status = worse(&platform.status, &module.status);
            platform.advisories.extend(module.advisories);
        }
        Ok(platform)
    }

    /// Signer and attributes of the module that started the domain.
    fn module_fits(&self, report: &[u8]) -> Answer<()> {
        let base = &self.document["tdxModule"];
        octets::<48>(base, "mrsigner")?;
        let module = self.module(&report[..16])?.unwrap_or(base);
        let (wanted, mask) = (octets::<8>(module, "attributes")?, octets::<8>(module, "attributesMask")?);
        let attributes =
            report[112..120].iter().zip(wanted).zip(mask).all(|((found, wanted), mask)| *found == wanted & mask);
        if report[64..112] != octets::<48>(module, "mrsigner")? || !attributes {
            return refuse("another module");
        }
        Ok(())
    }
}

fn reaches(found: &[u8], wanted: &[u64]) -> bool {
    found.iter().zip(wanted).all(|(found, wanted)| u64::from(*found) >= *wanted)
}

/// A platform's verdict in the light of a component's: what is missing there is missing here.
fn worse(platform: &str, component: &str) -> String {
    match (component, platform) {
        ("Revoked", _) => "Revoked",
        ("OutOfDate", "UpToDate" | "SWHardeningNeeded") => "OutOfDate",
        ("OutOfDate", "ConfigurationNeeded" | "ConfigurationAndSWHardeningNeeded") => "OutOfDateConfigurationNeeded",
        _ => platform,
    }
    .to_owned()
}

/// Verdict over machine, module and quoting enclave together.
pub fn converge(info: &TcbInfo, machine: &Machine, body: &Body<'_>, enclave: &Level) -> Answer<(String, Vec<String>)> {
    let Body::Domain { report, current, .. } = body else {
        let platform = info.platform(machine, None)?;
        let status = worse(&platform.status, &enclave.status);
        return if status == "Revoked" { refuse("revoked") } else { Ok((status, platform.advisories)) };
    };
    let launch = info.domain(machine, &report[..16])?;
    info.module_fits(report)?;
    let mut status = worse(&launch.status, &enclave.status);
    let mut advisories = launch.advisories;
    let mut revoked = status == "Revoked";
    if let Some(tee) = current {
        let now = info.domain(machine, tee)?;
        let current = worse(&now.status, &enclave.status);
        revoked |= current == "Revoked";
        advisories.extend(now.advisories);
        // Started on what is out of date, running on what is not.
        let configuration = |status: &str| status.contains("Configuration");
        if status.starts_with("OutOfDate") && !current.starts_with("OutOfDate") {
            let both = configuration(&status) || configuration(&current);
            status = if both { RELAUNCH[1] } else { RELAUNCH[0] }.to_owned();
        }
    }
    if revoked { refuse("revoked") } else { Ok((status, advisories)) }
}
