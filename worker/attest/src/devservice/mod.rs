//! The development attestation service: plays the dstack guest agent of pretended machines, and
//! the provisioning service that signs their collateral.
//!
//! Workers and judges talk to it with the same clients as in production. What differs is the root
//! that its quotes end in, and every verdict under that root says so.

mod guest;
mod pcs;

use crate::measurement::TdxMeasurement;
use crate::pki::{CollateralTerms, DevelopmentPki, DevelopmentSeed, PkiError, PlatformTraits};
use crate::platform::UnixSeconds;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use core::fmt::Debug;
use core::future::Future;
use std::sync::Arc;

/// The machine whose calls have no name in their path.
pub const DEFAULT_MACHINE: &str = "default";

/// What the service says on stderr when it starts.
pub const WARNING: &str = "\
************************************************************************
*  DEVELOPMENT ATTESTATION: these quotes come from no secure hardware. *
*  They prove NOTHING about the machine. Networks with real money or   *
*  real patients refuse them. Never list this root anywhere else.      *
************************************************************************";

/// Longest request body: report data of 64 bytes, in hexadecimal, in JSON, with room to spare.
const REQUEST_LIMIT_BYTES: usize = 4096;

/// Which machines the service pretends to be.
#[derive(Clone)]
pub struct DevServiceConfig {
    /// Where its keys come from.
    pub seed: DevelopmentSeed,
    /// Name of the app inside.
    pub app_name: String,
    /// What the machines measure; its `MR_CONFIG_ID` names the software.
    pub measurement: TdxMeasurement,
    /// How the machines are built.
    pub traits: PlatformTraits,
    /// What the collateral says at a time: [`CollateralTerms::current`], or a drill.
    pub terms: fn(UnixSeconds) -> CollateralTerms,
    /// What time it is: [`UnixSeconds::now`], or a test's own.
    pub clock: fn() -> UnixSeconds,
}

/// The service could not be started or went down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevServiceError {
    /// No PKI can be made from the configuration.
    #[error("development PKI cannot be built")]
    Pki(#[from] PkiError),
    /// The listener failed.
    #[error("development attestation service failed")]
    Listen(#[from] std::io::Error),
}

struct Service {
    config: DevServiceConfig,
    pki: DevelopmentPki,
}

impl Service {
    fn terms(&self) -> CollateralTerms {
        (self.config.terms)((self.config.clock)())
    }
}

/// The service's routes: `POST /GetQuote`, `/Info` and `/Version` of the machine called `default`,
/// the same under `/machines/{name}/` for any other, and the routes of a PCCS.
///
/// # Errors
/// [`PkiError`] when no PKI can be made from the seed.
pub fn router(config: DevServiceConfig) -> Result<Router, PkiError> {
    let pki = DevelopmentPki::from_seed(config.seed)?;
    let service = Arc::new(Service { config, pki });
    Ok(Router::new()
        .route("/GetQuote", post(guest::quote_default))
        .route("/Info", post(guest::info_default))
        .route("/Version", post(guest::version))
        .route("/machines/{name}/GetQuote", post(guest::quote))
        .route("/machines/{name}/Info", post(guest::info))
        .route("/machines/{name}/Version", post(guest::version))
        .route("/sgx/certification/v4/pckcrl", get(pcs::pck_crl))
        .route("/sgx/certification/v4/rootcacrl", get(pcs::root_crl))
        .route("/sgx/certification/v4/tcb", get(pcs::tcb_of_enclaves))
        .route("/sgx/certification/v4/qe/identity", get(pcs::qe_identity_for_enclaves))
        .route("/tdx/certification/v4/tcb", get(pcs::tcb_of_domains))
        .route("/tdx/certification/v4/qe/identity", get(pcs::qe_identity_for_domains))
        .layer(DefaultBodyLimit::max(REQUEST_LIMIT_BYTES))
        .with_state(service))
}

/// Serves on `listener` (TCP or a unix socket) until `shutdown` resolves, after saying
/// [`WARNING`] on stderr.
///
/// # Errors
/// [`DevServiceError`].
pub async fn serve<L>(
    listener: L,
    config: DevServiceConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), DevServiceError>
where
    L: axum::serve::Listener,
    L::Addr: Debug,
{
    let router = router(config)?;
    eprintln!("{WARNING}");
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await?;
    Ok(())
}
