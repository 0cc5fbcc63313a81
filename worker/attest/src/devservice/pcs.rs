//! The provisioning service's routes, as a PCCS serves them.

use super::Service;
use crate::pki::{PckAuthority, PkiError, SignedDocument, fmspc_word};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use encompute_protocol::statement::TeeKind;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
pub(super) struct CrlQuery {
    ca: String,
}

#[derive(Deserialize)]
pub(super) struct TcbQuery {
    fmspc: String,
}

pub(super) async fn pck_crl(State(service): State<Arc<Service>>, Query(query): Query<CrlQuery>) -> Response {
    let authority = match query.ca.as_str() {
        "platform" => PckAuthority::Platform,
        "processor" => PckAuthority::Processor,
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let chain = encoded(&service.pki.pck_crl_issuer_chain(authority));
    match service.pki.pck_crl(authority, &service.terms()) {
        Ok(der) => {
            ([("SGX-PCK-CRL-Issuer-Chain", chain.as_str()), (CONTENT_TYPE.as_str(), "application/pkix-crl")], der)
                .into_response()
        }
        Err(reason) => failed(&reason),
    }
}

/// In hexadecimal, as PCCS gives it.
pub(super) async fn root_crl(State(service): State<Arc<Service>>) -> Response {
    match service.pki.root_crl(&service.terms()) {
        Ok(der) => hex::encode(der).into_response(),
        Err(reason) => failed(&reason),
    }
}

pub(super) async fn tcb_of_domains(service: State<Arc<Service>>, query: Query<TcbQuery>) -> Response {
    tcb(TeeKind::Tdx, &service, &query)
}

pub(super) async fn tcb_of_enclaves(service: State<Arc<Service>>, query: Query<TcbQuery>) -> Response {
    tcb(TeeKind::Sgx, &service, &query)
}

pub(super) async fn qe_identity_for_domains(service: State<Arc<Service>>) -> Response {
    qe_identity(TeeKind::Tdx, &service)
}

pub(super) async fn qe_identity_for_enclaves(service: State<Arc<Service>>) -> Response {
    qe_identity(TeeKind::Sgx, &service)
}

fn tcb(tee: TeeKind, service: &Service, query: &TcbQuery) -> Response {
    let traits = &service.config.traits;
    if !query.fmspc.eq_ignore_ascii_case(&fmspc_word(traits.fmspc)) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let document = service.pki.tcb_info(tee, traits, &service.terms());
    signed("TCB-Info-Issuer-Chain", &service.pki.tcb_issuer_chain(), "tcbInfo", &document)
}

fn qe_identity(tee: TeeKind, service: &Service) -> Response {
    let document = service.pki.qe_identity(tee, &service.terms());
    signed("SGX-Enclave-Identity-Issuer-Chain", &service.pki.tcb_issuer_chain(), "enclaveIdentity", &document)
}

fn signed(header: &'static str, chain: &str, name: &str, document: &SignedDocument) -> Response {
    // The signature is over the document's exact bytes, so it is placed, not serialized again.
    let body = format!(r#"{{"{name}":{},"signature":"{}"}}"#, document.body, hex::encode(document.signature));
    ([(header, encoded(chain).as_str()), (CONTENT_TYPE.as_str(), "application/json")], body).into_response()
}

fn encoded(pem: &str) -> String {
    utf8_percent_encode(pem, NON_ALPHANUMERIC).to_string()
}

fn failed(reason: &PkiError) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, reason.to_string()).into_response()
}
