//! The signature chain: from quote and collateral up to a root, through `dcap-qvl`.

use crate::collateral::Collateral;
use crate::kind::QuoteKind;
use crate::measurement::Measurement;
use crate::platform::{
    AdvisoryId, Fmspc, PlatformSetting, Ppid, TcbEvaluationNumber, TcbStatus, UnixSeconds, settings_on,
};
use crate::refusal::Refusal;
use crate::root::{RootSummary, TrustRoot};
use codec::{Decode, Encode};
use core::fmt;
use dcap_qvl::configs::RustCryptoConfig;
use dcap_qvl::quote::{AuthData, Quote, Report};
use dcap_qvl::verify::QuoteVerifier;
use dcap_qvl::{QuoteClaims, QuotePolicy};
use encompute_protocol::{QuoteIdentity, digest::keccak_256};

/// Most bytes that a quote may have. Real ones have 4.6 to 5.2 KB, nearly half of it certificates.
pub const QUOTE_LIMIT_BYTES: usize = 16 * 1024;

/// The 64 bytes that the attested software chose: here a statement's hash, then a nonce.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReportData(pub [u8; 64]);

/// What a quote says, once every signature up to `root` has been checked. No policy has been asked
/// yet: claims say what is, not whether it is good enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Which kind of enclave, and which version of quote.
    pub kind: QuoteKind,
    /// The code and the settings it runs under.
    pub measurement: Measurement,
    /// What the code bound into the quote.
    pub report_data: ReportData,
    /// Patch level of platform, TDX module and quoting enclave together.
    pub tcb_status: TcbStatus,
    /// Advisories that apply at that level, for the launch and the current module alike.
    pub advisories: Vec<AdvisoryId>,
    /// How recent Intel's judgement is: the lower of TCB info's and enclave identity's numbers.
    pub tcb_evaluation: TcbEvaluationNumber,
    /// Which machine.
    pub ppid: Ppid,
    /// Which kind of machine.
    pub fmspc: Fmspc,
    /// Weakening settings that are on.
    pub settings: Vec<PlatformSetting>,
    /// Which root the signatures end in.
    pub root: RootSummary,
    /// Which quote: hash over its signed part only.
    pub quote: QuoteIdentity,
    /// When the first piece of collateral runs out; the same quote is refused after that.
    pub collateral_expires_at: UnixSeconds,
}

/// Checks every signature from the quote up to `root`, as of `now`.
///
/// # Errors
/// A [`Refusal`], which is an answer about the quote and not a failure of this function: malformed
/// or over-long bytes, debug mode, a chain that does not hold, expired or revoked material.
pub fn authenticate(
    quote: &[u8],
    collateral: &Collateral,
    root: &TrustRoot,
    now: UnixSeconds,
) -> Result<Claims, Refusal> {
    let parsed = parse(quote)?;
    let measurement = Measurement::of_report(&parsed.report).ok_or(Refusal::UnknownReport)?;
    let kind = QuoteKind::of(&parsed).ok_or(Refusal::QuoteMalformed)?;
    if measurement.is_debug() {
        return Err(Refusal::Debug);
    }
    let verified = QuoteVerifier::<RustCryptoConfig>::new_with_config(root.der().to_vec())
        .verify_with_policy(quote, &collateral.0, now.0, &QuotePolicy::claims_only(now.0))
        .map_err(|reason| Refusal::of_chain(&format!("{reason:#}"), root.kind()))?;
    let identity = identity_of(quote, &parsed);
    claims(verified, kind, measurement, root.summary(), identity)
}

/// Identity of a quote: Keccak-256 over header and body, the part under its signature. The rest
/// (padding, certificate text) can be altered by anyone without breaking a signature.
///
/// # Errors
/// [`Refusal`] when the bytes are no quote.
pub fn quote_identity(quote: &[u8]) -> Result<QuoteIdentity, Refusal> {
    parse(quote).map(|parsed| identity_of(quote, &parsed))
}

/// What a quote binds, before anything about it is checked: for a worker that looks at its own.
///
/// # Errors
/// [`Refusal`] when the bytes are no quote.
pub fn unverified_report_data(quote: &[u8]) -> Result<ReportData, Refusal> {
    parse(quote).map(|parsed| ReportData(report_data(&parsed.report)))
}

/// What a quote measures, before anything about it is checked.
///
/// # Errors
/// [`Refusal`] when the bytes are no quote.
pub fn unverified_measurement(quote: &[u8]) -> Result<Measurement, Refusal> {
    Measurement::of_report(&parse(quote)?.report).ok_or(Refusal::UnknownReport)
}

pub(crate) fn parse(quote: &[u8]) -> Result<Quote, Refusal> {
    if quote.len() > QUOTE_LIMIT_BYTES {
        return Err(Refusal::QuoteTooLong { found_bytes: quote.len(), limit_bytes: QUOTE_LIMIT_BYTES });
    }
    let mut rest = quote;
    let parsed = Quote::decode(&mut rest).map_err(|_| Refusal::QuoteMalformed)?;
    // Versions 4 and 5 wrap the quoting enclave's report in certification data of this kind. The verifier reads past
    // the kind and past bytes that fill up an inner length; whatever no signature covers and nobody needs is refused.
    const CERTIFICATION_QE_REPORT: u16 = 6;
    let wrapped = match &parsed.auth_data {
        AuthData::V3(_) => true,
        AuthData::V4(auth) => auth.certification_data.cert_type == CERTIFICATION_QE_REPORT,
    };
    let whole = quote.len().saturating_sub(rest.len());
    if !wrapped || quote.get(..whole) != Some(parsed.encode().as_slice()) {
        return Err(Refusal::QuoteMalformed);
    }
    // Linux hands out quotes in a buffer padded with zeros (70 of them on today's TDX machines);
    // anything else after the end is somebody's addition.
    if rest.iter().any(|byte| *byte != 0) {
        return Err(Refusal::QuoteTrailing { bytes: rest.len() });
    }
    Ok(parsed)
}

fn identity_of(quote: &[u8], parsed: &Quote) -> QuoteIdentity {
    QuoteIdentity(keccak_256(&[signed_part(quote, parsed)]))
}

/// Header and body: what the quote's signature is over.
pub(crate) fn signed_part<'a>(quote: &'a [u8], parsed: &Quote) -> &'a [u8] {
    quote.get(..parsed.signed_length()).expect("a quote that parsed holds its own header and body; qed")
}

fn report_data(report: &Report) -> [u8; 64] {
    match report {
        Report::SgxEnclave(sgx) => sgx.report_data,
        Report::TD10(tdx) => tdx.report_data,
        Report::TD15(tdx) => tdx.base.report_data,
        Report::TD15Ex(tdx) => tdx.base.base.report_data,
    }
}

fn claims(
    verified: QuoteClaims,
    kind: QuoteKind,
    measurement: Measurement,
    root: RootSummary,
    quote: QuoteIdentity,
) -> Result<Claims, Refusal> {
    let tcb_status = TcbStatus::of_collateral(verified.tcb.status).ok_or(Refusal::Revoked)?;
    // The verdict's own list leaves out what applies to the current module of a TDX 1.5 domain only.
    let current = verified.platform.current_tcb_level.iter().flat_map(|level| &level.advisory_ids);
    let mut advisories: Vec<_> =
        verified.tcb.advisory_ids.iter().chain(current).map(|id| AdvisoryId::new(id)).collect();
    advisories.sort();
    advisories.dedup();
    Ok(Claims {
        kind,
        measurement,
        report_data: ReportData(report_data(&verified.report)),
        tcb_status,
        advisories,
        tcb_evaluation: TcbEvaluationNumber(verified.tcb.eval_data_number),
        fmspc: Fmspc(verified.platform.pck.fmspc),
        settings: settings_on(&verified.platform.pck),
        ppid: Ppid(verified.platform.pck.ppid),
        root,
        quote,
        collateral_expires_at: UnixSeconds(verified.earliest_expiration_date),
    })
}

impl fmt::Display for ReportData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ReportData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReportData({self})")
    }
}
