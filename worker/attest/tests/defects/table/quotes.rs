//! What can be wrong with a quote: bytes, header, body, keys and quoting enclave, certificates.

use super::super::Alter::{Collateral, Draft, Quote};
use super::super::Case;
use super::{ALL, CHAIN, SGX, TD15, TDX, case};
use crate::common::Form;
use dcap_qvl::quote::Report;
use encompute_attest::QUOTE_LIMIT_BYTES;
use encompute_attest::pki::TdxForm;

const V4: &[Form] = &[Form::Tdx(TdxForm::V4)];
const V5: &[Form] = &[Form::Tdx(TdxForm::V5), Form::Tdx(TdxForm::V5Td15), Form::Tdx(TdxForm::V5Td15Ex)];
const V3_V4: &[Form] = &[Form::Sgx, Form::Tdx(TdxForm::V4)];

const MALFORMED: &str = "bytes are not a DCAP quote";
const SIGNATURE: &str = "ISV enclave report signature is invalid";
const QE_SIGNATURE: &str = "Signature is invalid for qe_report";
const QE_HASH: &str = "QE report hash mismatch";

pub(super) const CASES: &[Case] = &[
    // Bytes.
    case("no bytes", ALL, MALFORMED, &[Quote(|quote, _| quote.clear())]),
    case("a header alone", ALL, MALFORMED, &[Quote(|quote, _| quote.truncate(48))]),
    case("header and body alone", ALL, MALFORMED, &[Quote(|quote, form| quote.truncate(form.signed_bytes()))]),
    case("the last byte cut off", ALL, MALFORMED, &[Quote(|quote, _| quote.truncate(quote.len() - 1))]),
    case("a byte behind the end", ALL, "1 bytes that are not zero padding", &[Quote(|quote, _| quote.push(1))]),
    case(
        "a byte behind padding",
        ALL,
        "8 bytes that are not zero",
        &[Quote(|quote, _| quote.extend([0, 0, 0, 0, 0, 0, 0, 9]))],
    ),
    case(
        "longer than any quote",
        ALL,
        "at most 16384 are allowed",
        &[Quote(|quote, _| quote.resize(QUOTE_LIMIT_BYTES + 1, 0))],
    ),
    case(
        "a length of signatures beyond the end",
        ALL,
        MALFORMED,
        &[Quote(|quote, form| quote[form.signed_bytes() + 1] ^= 0x80)],
    ),
    case(
        "a length of signatures of nothing",
        ALL,
        MALFORMED,
        &[Quote(|quote, form| quote[form.signed_bytes()..][..4].fill(0))],
    ),
    case("bytes between signatures and their length", ALL, MALFORMED, &[Quote(stuffed)]),
    // Header.
    case("version 2", ALL, MALFORMED, &[Draft(|draft, _| draft.header.version = 2)]),
    case("version 6", ALL, MALFORMED, &[Draft(|draft, _| draft.header.version = 6)]),
    case("an enclave in version 4", SGX, MALFORMED, &[Draft(|draft, _| draft.header.version = 4)]),
    case("an enclave in version 5", SGX, MALFORMED, &[Draft(|draft, _| draft.header.version = 5)]),
    case("a domain in version 3", V4, MALFORMED, &[Draft(|draft, _| draft.header.version = 3)]),
    case(
        "a domain that calls itself an enclave",
        V5,
        "SGX TEE quote must have version 3",
        &[Draft(|draft, _| draft.header.tee_type = 0)],
    ),
    case(
        "a kind of enclave that nobody knows, version 3 or 4",
        V3_V4,
        MALFORMED,
        &[Draft(|draft, _| draft.header.tee_type = 0x82)],
    ),
    case(
        "a kind of enclave that nobody knows, version 5",
        V5,
        "Unsupported TEE type: 130",
        &[Draft(|draft, _| draft.header.tee_type = 0x82)],
    ),
    case(
        "no kind of key",
        ALL,
        "Unsupported DCAP attestation key type",
        &[Draft(|draft, _| draft.header.attestation_key_type = 0)],
    ),
    case(
        "a key of P-384",
        ALL,
        "Unsupported DCAP attestation key type",
        &[Draft(|draft, _| draft.header.attestation_key_type = 3)],
    ),
    case(
        "another vendor's quoting enclave",
        ALL,
        "Unknown QE vendor ID",
        &[Draft(|draft, _| draft.header.qe_vendor_id[0] ^= 1)],
    ),
    case("a descriptor of another size", V5, MALFORMED, &[Quote(|quote, _| quote[50] ^= 1)]),
    case("a descriptor of another body", V5, MALFORMED, &[Quote(|quote, _| quote[48] = 7)]),
    // Body.
    case("an enclave in debug mode", SGX, "debug mode", &[Draft(|draft, _| sgx(&mut draft.report).attributes[0] |= 2)]),
    case("a domain in debug mode", TDX, "debug mode", &[Draft(|draft, _| td(&mut draft.report).td_attributes[0] |= 1)]),
    case(
        "a domain that is profiled",
        TDX,
        "debug mode",
        &[Draft(|draft, _| td(&mut draft.report).td_attributes[0] |= 0x10)],
    ),
    case(
        "a reserved attribute bit, 9",
        TDX,
        "Reserved bits in TD attributes",
        &[Draft(|draft, _| td(&mut draft.report).td_attributes[1] |= 2)],
    ),
    case(
        "a reserved attribute bit, 23",
        TDX,
        "Reserved bits in TD attributes",
        &[Draft(|draft, _| td(&mut draft.report).td_attributes[2] |= 0x80)],
    ),
    case(
        "a reserved attribute bit, 40",
        TDX,
        "Reserved bits in TD attributes",
        &[Draft(|draft, _| td(&mut draft.report).td_attributes[5] |= 1)],
    ),
    case(
        "a domain that can be moved",
        TDX,
        "TD migration is enabled",
        &[Draft(|draft, _| td(&mut draft.report).td_attributes[3] |= 0x20)],
    ),
    case(
        "a domain with service domains",
        TDX,
        "SERVTD_EXT is enabled",
        &[Draft(|draft, _| td(&mut draft.report).td_attributes[2] |= 2)],
    ),
    case(
        "a domain that the host can inject faults into",
        TDX,
        "SEPT_VE_DISABLE is not enabled",
        &[Draft(|draft, _| td(&mut draft.report).td_attributes[3] &= !0x10)],
    ),
    case(
        "a service domain's measurement",
        TD15,
        "Invalid MR service TD",
        &[Draft(|draft, _| td15(&mut draft.report).mr_service_td[47] = 1)],
    ),
    case(
        "a module of another signer",
        TDX,
        "TDX module MRSIGNER mismatch",
        &[Draft(|draft, _| td(&mut draft.report).mr_signer_seam[0] = 1)],
    ),
    case(
        "a module with attributes",
        TDX,
        "SEAMATTRIBUTES mismatch",
        &[Draft(|draft, _| td(&mut draft.report).seam_attributes[7] = 1)],
    ),
    case(
        "a domain that names no software",
        TDX,
        "MR_CONFIG_ID is zero",
        &[Draft(|draft, _| td(&mut draft.report).mr_config_id = [0; 48])],
    ),
    case(
        "other software",
        TDX,
        "is not on the list of 2",
        &[Draft(|draft, _| td(&mut draft.report).mr_config_id[1] ^= 1)],
    ),
    case("another firmware", TDX, "is not on the list of 2", &[Draft(|draft, _| td(&mut draft.report).mr_td[0] ^= 1)]),
    case(
        "another enclave",
        SGX,
        "is not on the list of 2",
        &[Draft(|draft, _| sgx(&mut draft.report).mr_enclave[0] ^= 1)],
    ),
    case(
        "an enclave's older security version",
        SGX,
        "is not on the list of 2",
        &[Draft(|draft, _| sgx(&mut draft.report).isv_svn = 1)],
    ),
    // Keys and quoting enclave.
    case(
        "a signature of nothing",
        ALL,
        SIGNATURE,
        &[Quote(|quote, form| quote[form.signed_bytes() + 4..][..64].fill(0))],
    ),
    case("a signature over something else", ALL, SIGNATURE, &[Quote(|quote, _| quote[47] ^= 1)]),
    case(
        "halves of the signature swapped",
        ALL,
        SIGNATURE,
        &[Quote(|quote, form| quote[form.signed_bytes() + 4..][..64].rotate_left(32))],
    ),
    case(
        "another key, vouched for by nobody",
        ALL,
        QE_HASH,
        &[Draft(|draft, others| draft.attestation_key = Form::Sgx.draft(&others.machine).attestation_key)],
    ),
    case(
        "another key, vouched for, that signed nothing",
        ALL,
        SIGNATURE,
        &[Draft(|draft, others| {
            draft.attestation_key = Form::Sgx.draft(&others.machine).attestation_key;
            draft.bind_key();
        })],
    ),
    case(
        "a key that is no point, vouched for",
        ALL,
        SIGNATURE,
        &[Draft(|draft, _| {
            draft.attestation_key = [0xff; 64];
            draft.bind_key();
        })],
    ),
    case("other data beside the key", ALL, QE_HASH, &[Draft(|draft, _| draft.qe_auth_data[0] ^= 1)]),
    case(
        "no data beside the key",
        ALL,
        "Invalid QE auth data length",
        &[Draft(|draft, _| {
            draft.qe_auth_data.clear();
            draft.bind_key();
        })],
    ),
    case(
        "too much data beside the key",
        ALL,
        "Invalid QE auth data length",
        &[Draft(|draft, _| {
            draft.qe_auth_data.push(0);
            draft.bind_key();
        })],
    ),
    case(
        "a quoting enclave's report signed by another machine",
        ALL,
        QE_SIGNATURE,
        &[Draft(|draft, others| draft.chain_pem.clone_from(&others.machine_chain))],
    ),
    case(
        "a quoting enclave of another signer",
        ALL,
        "QE MRSIGNER mismatch",
        &[Draft(|draft, _| draft.qe_report.mr_signer[0] ^= 1)],
    ),
    case(
        "another enclave of the quoting enclave's signer",
        ALL,
        "QE ISVPRODID mismatch",
        &[Draft(|draft, _| draft.qe_report.isv_prod_id += 1)],
    ),
    case(
        "a quoting enclave in debug mode",
        ALL,
        "Debug mode is enabled",
        &[Draft(|draft, _| draft.qe_report.attributes[0] |= 2)],
    ),
    case(
        "a quoting enclave with other attributes",
        ALL,
        "QE ATTRIBUTES mismatch",
        &[Draft(|draft, _| draft.qe_report.attributes[1] |= 1)],
    ),
    case(
        "a quoting enclave that keeps more state",
        ALL,
        "QE MISCSELECT mismatch",
        &[Draft(|draft, _| draft.qe_report.misc_select = 1)],
    ),
    case("a quoting enclave older than any verdict", ALL, "QE", &[Draft(|draft, _| draft.qe_report.isv_svn = 3)]),
    case(
        "certification of another kind around the report",
        TDX,
        MALFORMED,
        &[Draft(|draft, _| draft.outer_certification = 5)],
    ),
    // Certificates.
    case(
        "certificates of another kind",
        ALL,
        "Unsupported DCAP PCK cert format",
        &[Draft(|draft, _| draft.certification = 4)],
    ),
    case(
        "no certificates",
        ALL,
        "Certificate chain is too short in quote",
        &[Draft(|draft, _| draft.chain_pem.clear())],
    ),
    case(
        "words in place of certificates",
        ALL,
        "Certificate chain is too short in quote",
        &[Draft(|draft, _| draft.chain_pem = "trust me".to_owned())],
    ),
    case(
        "a machine's certificate alone",
        ALL,
        CHAIN,
        &[Draft(|draft, _| draft.chain_pem = certificates(&draft.chain_pem)[..1].concat())],
    ),
    case(
        "an authority in place of a machine",
        ALL,
        CHAIN,
        &[Draft(|draft, _| draft.chain_pem = certificates(&draft.chain_pem)[1..].concat())],
    ),
    case(
        "a chain from another root",
        ALL,
        CHAIN,
        &[Draft(|draft, others| draft.chain_pem.clone_from(&others.stranger_chain))],
    ),
    case(
        "a chain too long to follow",
        ALL,
        "Too many intermediate certificates",
        &[Draft(|draft, _| draft.chain_pem = draft.chain_pem.repeat(2))],
    ),
    case(
        "an altered certificate",
        ALL,
        "",
        &[Draft(|draft, _| draft.chain_pem = draft.chain_pem.replacen("MII", "MIJ", 1))],
    ),
    case(
        "another machine's certificate beside the quote",
        ALL,
        QE_SIGNATURE,
        &[Collateral(|collateral, others| {
            collateral["pck_certificate_chain"] = others.machine_chain.clone().into();
        })],
    ),
];

fn sgx(report: &mut Report) -> &mut dcap_qvl::quote::EnclaveReport {
    match report {
        Report::SgxEnclave(report) => report,
        _ => panic!("not an enclave"),
    }
}

fn td(report: &mut Report) -> &mut dcap_qvl::quote::TDReport10 {
    match report {
        Report::TD10(report) => report,
        Report::TD15(report) => &mut report.base,
        Report::TD15Ex(report) => &mut report.base.base,
        Report::SgxEnclave(_) => panic!("not a domain"),
    }
}

fn td15(report: &mut Report) -> &mut dcap_qvl::quote::TDReport15 {
    match report {
        Report::TD15(report) => report,
        Report::TD15Ex(report) => &mut report.base,
        _ => panic!("not a domain of TDX 1.5"),
    }
}

/// The certificates of a chain, each in its own PEM.
fn certificates(chain: &str) -> Vec<String> {
    chain.split_inclusive("-----END CERTIFICATE-----\n").map(str::to_owned).collect()
}

/// Five bytes behind everything that the signatures' length spans, and the length says so.
fn stuffed(quote: &mut Vec<u8>, form: Form) {
    let at = form.signed_bytes();
    let length = u32::from_le_bytes(quote[at..at + 4].try_into().unwrap()) + 5;
    quote[at..at + 4].copy_from_slice(&length.to_le_bytes());
    quote.extend([7; 5]);
}
