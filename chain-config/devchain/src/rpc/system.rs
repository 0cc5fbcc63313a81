//! `system_*`: who the node is, next nonces; and `encompute_sealBlocks`, this chain's own tool.

use super::{Context, Module, errors};
use crate::{
    chain::ReadError,
    runtime::{AccountId, BlockNumber, Nonce},
};
use jsonrpsee::{
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params, error::INVALID_PARAMS_CODE},
};
use serde_json::json;
use sp_core::crypto::Ss58Codec;
use std::sync::Arc;

pub(super) fn register(module: &mut Module) -> Result<(), RegisterMethodError> {
    module.register_method("system_name", |_, _, _| "encompute-devchain")?;
    module.register_method("system_version", |_, _, _| env!("CARGO_PKG_VERSION"))?;
    module.register_method("system_chain", |_, _, _| "Encompute Development")?;
    module.register_method("system_chainType", |_, _, _| "Development")?;
    module.register_method("system_nodeRoles", |_, _, _| json!(["Authority"]))?;
    module.register_method(
        "system_properties",
        |_, _, _| json!({ "ss58Format": 42, "tokenDecimals": 12, "tokenSymbol": "UNIT" }),
    )?;
    module.register_method(
        "system_health",
        |_, _, _| json!({ "peers": 0, "isSyncing": false, "shouldHavePeers": false }),
    )?;
    module.register_async_method("system_accountNextIndex", |params, context, _| next_index(params, context))?;
    module.register_alias("account_nextIndex", "system_accountNextIndex")?;
    module.register_async_method("encompute_sealBlocks", |params, context, _| seal_blocks(params, context))?;
    Ok(())
}

async fn next_index(params: Params<'static>, context: Arc<Context>) -> Result<Nonce, ErrorObjectOwned> {
    let address: String = params.one()?;
    let account = AccountId::from_string(&address).map_err(|_| {
        ErrorObjectOwned::owned(
            INVALID_PARAMS_CODE,
            "the parameter is no account address",
            Some(address.chars().take(64).collect::<String>()),
        )
    })?;
    let nonce: Result<Nonce, ReadError> = context.chain.next_nonce(account).await.map_err(errors::queue)?;
    nonce.map_err(|error| errors::read(&error))
}

async fn seal_blocks(params: Params<'static>, context: Arc<Context>) -> Result<BlockNumber, ErrorObjectOwned> {
    let blocks: u32 = params.one()?;
    context.chain.seal_empty(blocks).await.map_err(|error| errors::seal(&error))
}
