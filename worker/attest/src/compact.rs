//! A quote cut down to what a contract checks: the parts under a signature, and the machine's own key.

use crate::claims::{parse, signed_part};
use crate::refusal::Refusal;
use dcap_qvl::intel::extract_cert_chain;
use dcap_qvl::quote::{AuthData, Data, Quote};
use encompute_protocol::quote::{EnclaveReport, P256Key, P256Signature};
use encompute_protocol::{Bytes, KeyParts, QuoteParts};
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// What a contract is shown of a quote, before anything about it is checked: the part that differs from quote to
/// quote, and what vouches for its attestation key.
///
/// # Errors
/// [`Refusal`] when the bytes are no quote, or one without the machine's certificate.
pub fn compact(quote: &[u8]) -> Result<(QuoteParts, KeyParts), Refusal> {
    let parsed = parse(quote)?;
    let (signature, attestation_key, qe_report, qe_report_signature, qe_auth_data) = match &parsed.auth_data {
        AuthData::V3(auth) => (
            auth.ecdsa_signature,
            auth.ecdsa_attestation_key,
            auth.qe_report,
            auth.qe_report_signature,
            &auth.qe_auth_data,
        ),
        AuthData::V4(auth) => (
            auth.ecdsa_signature,
            auth.ecdsa_attestation_key,
            auth.qe_report_data.qe_report,
            auth.qe_report_data.qe_report_signature,
            &auth.qe_report_data.qe_auth_data,
        ),
    };
    let attestation_key = P256Key(attestation_key);
    let signed = signed_part(quote, &parsed);
    let quote = QuoteParts {
        signed: Bytes::new(signed).map_err(|_| Refusal::UnknownReport)?,
        signature: P256Signature(signature),
        attestation_key,
    };
    let key = KeyParts {
        attestation_key,
        qe_report: EnclaveReport(qe_report),
        qe_report_signature: P256Signature(qe_report_signature),
        qe_auth_data: auth_data(qe_auth_data)?,
        pck_key: pck_key(&parsed)?,
    };
    Ok((quote, key))
}

fn auth_data(data: &Data<u16>) -> Result<[u8; 32], Refusal> {
    data.data.as_slice().try_into().map_err(|_| Refusal::QuoteMalformed)
}

/// The key in the quote's first certificate, which is the machine's.
fn pck_key(quote: &Quote) -> Result<P256Key, Refusal> {
    let chain = extract_cert_chain(quote).map_err(|_| Refusal::PckCertificate)?;
    let leaf = chain.first().and_then(|der| Certificate::from_der(der).ok()).ok_or(Refusal::PckCertificate)?;
    let point = leaf.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes();
    match point.split_first() {
        // An uncompressed point; the curve shows when a signature is verified.
        Some((4, coordinates)) => coordinates.try_into().map(P256Key).map_err(|_| Refusal::PckCertificate),
        _ => Err(Refusal::PckCertificate),
    }
}
