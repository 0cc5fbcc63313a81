//! The relayer: sends what workers behind anchors have signed, and pays for it. It can neither alter nor make up a post, nor
//! use one twice; it can only leave it, and then the worker asks another.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/relay` | 200 a [`RelayAnswer`]; 400 bytes that are no [`RelayCall`], 403 an anchor that is not served here |
//! | `GET /v1/health` | 200 |
//!
//! Bodies are SCALE octets. A request that the anchor would refuse costs nothing: it is tried first.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use encompute_chain::{Account, Class, OtherCall, OtherError, SubmitError};
use encompute_protocol::wire::Message;
use encompute_protocol::{ContractAddress, Plancks};
use encompute_rollup::call::{AnchorCall, MetaTxRollupCondEq, answer};
use encompute_rollup::{ForwardError, RelayAnswer, RelayCall, RollupError, account_of};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// How long a connection may be silent: longer than a transaction takes to become final.
pub const IDLE: Duration = Duration::from_secs(150);

/// Who pays, and for whom.
pub struct Relay {
    account: Account,
    anchors: BTreeSet<ContractAddress>,
}

impl Relay {
    /// Pays from `account` for the workers behind these anchors, and for nobody else.
    pub fn new(account: Account, anchors: impl IntoIterator<Item = ContractAddress>) -> Self {
        Self { account, anchors: anchors.into_iter().collect() }
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/v1/relay", post(relay))
            .route("/v1/health", get(|| async { "relayer\n" }))
            .layer(DefaultBodyLimit::max(RelayCall::LIMIT_BYTES))
            .with_state(Arc::new(self))
    }

    async fn send(&self, anchor: ContractAddress, call: RelayCall) -> RelayAnswer {
        let RelayCall { request, signature } = call;
        let nonce = request.nonce;
        let call = MetaTxRollupCondEq { request, signature };
        let message = MetaTxRollupCondEq::NAME;
        let call = OtherCall { contract: anchor, message, calldata: call.calldata() };
        match self.account.call(&call, Plancks::ZERO).await {
            Ok(sent) => {
                info!(%anchor, nonce = %nonce, block = sent.block.number.0, fee = %sent.fee, "relayed");
                RelayAnswer::Sent { block: sent.block.number.0 }
            }
            Err(OtherError::Refused { data, .. }) => refusal(&data),
            // It was tried with success, so that somebody else's came between.
            Err(OtherError::Submit(SubmitError::Overtaken { .. })) => {
                RelayAnswer::Refused(ForwardError::RollupAnchorError(RollupError::ConditionNotMet))
            }
            Err(error) => {
                warn!(%anchor, error = &error as &dyn std::error::Error, "not relayed");
                RelayAnswer::Failed(words(&error))
            }
        }
    }
}

fn refusal(data: &[u8]) -> RelayAnswer {
    match answer::<MetaTxRollupCondEq>(data) {
        Some(Err(error)) => RelayAnswer::Refused(error),
        _ => RelayAnswer::Failed("the address is no anchor's".to_owned()),
    }
}

/// What the worker is told: nothing about the relayer's account but that it is poor.
fn words(error: &OtherError) -> String {
    match error {
        OtherError::Submit(SubmitError::Funds { .. }) => "the relayer has no money left".to_owned(),
        OtherError::Submit(error) if error.class() == Class::Unreachable => {
            "the relayer cannot reach the chain".to_owned()
        }
        _ => "the transaction did not become final".to_owned(),
    }
}

async fn relay(State(relay): State<Arc<Relay>>, body: Bytes) -> Response {
    let call = match RelayCall::from_wire(&body) {
        Ok(call) => call,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let Some(anchor) = relay.anchors.iter().find(|anchor| account_of(anchor) == call.request.to).copied() else {
        return (StatusCode::FORBIDDEN, "that anchor is not served here").into_response();
    };
    relay.send(anchor, call).await.to_wire().into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::Encode;

    #[test]
    fn an_anchors_refusal_is_passed_on_and_other_bytes_are_no_refusal() {
        let refused = Err::<(), _>(ForwardError::NonceTooLow);
        assert_eq!(refusal(&[&[0][..], &refused.encode()].concat()), RelayAnswer::Refused(ForwardError::NonceTooLow));
        assert!(matches!(refusal(&[1, 1]), RelayAnswer::Failed(_)));
        assert!(matches!(refusal(&[]), RelayAnswer::Failed(_)));
    }
}
