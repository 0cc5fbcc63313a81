//! What only a development chain can do.

use crate::{client::Client, error::ReadError};
use encompute_protocol::{BlockNumber, Blocks};
use subxt::rpcs::client::rpc_params;

/// Makes the embedded chain seal so many blocks at once, so that windows pass without waiting.
/// Says the height it has then.
///
/// # Errors
/// [`ReadError::Fault`]; every other chain answers that it does not know the method.
pub async fn seal_blocks(client: &Client, blocks: Blocks) -> Result<BlockNumber, ReadError> {
    const WHAT: &str = "seal blocks";
    client
        .within(WHAT, async {
            match client.shared.rpc.request::<u32>("encompute_sealBlocks", rpc_params![blocks.0]).await {
                Ok(height) => Ok(BlockNumber(height)),
                Err(error) => Err(client.fault(WHAT, error).await.into()),
            }
        })
        .await
}
