//! Every block, once, in order, whatever happens to the connection.

use crate::{
    client::Client,
    error::{Fault, ReadError},
    events::BlockEvents,
};
use core::time::Duration;
use encompute_host::clock;
use encompute_protocol::BlockNumber;
use subxt::{SubstrateConfig, client::Blocks};

/// How long no new block is believed before the node is asked again. Longer than any block time.
const SILENCE: Duration = Duration::from_secs(30);
/// How long to wait after a failure before the node is bothered again.
const PAUSE: Duration = Duration::from_secs(1);

/// Every finalized block from one on. Dropping the future of [`Follow::next`] loses nothing.
pub struct Follow {
    client: Client,
    next: BlockNumber,
    head: Option<BlockNumber>,
    heads: Option<Blocks<SubstrateConfig>>,
    pause: bool,
}

impl Follow {
    pub(crate) fn new(client: Client, from: BlockNumber) -> Self {
        Self { client, next: from, head: None, heads: None, pause: false }
    }

    /// The block that comes next.
    pub fn position(&self) -> BlockNumber {
        self.next
    }

    /// The next block and what the contract said in it, as soon as it is final.
    ///
    /// # Errors
    /// [`ReadError`]. The position is kept: calling again goes on with the same block, after a
    /// second, over a new connection if the old one broke.
    pub async fn next(&mut self) -> Result<BlockEvents, ReadError> {
        if self.pause {
            clock::sleep(PAUSE).await;
            self.pause = false;
        }
        loop {
            if self.head.is_some_and(|head| self.next <= head) {
                return match self.client.events_at(self.next).await {
                    Ok(block) => {
                        self.next = BlockNumber(self.next.0.saturating_add(1));
                        Ok(block)
                    }
                    Err(error) => Err(self.failed(error)),
                };
            }
            if let Err(error) = self.wait().await {
                return Err(self.failed(error));
            }
        }
    }

    fn failed(&mut self, error: ReadError) -> ReadError {
        (self.heads, self.head, self.pause) = (None, None, true);
        error
    }

    /// Waits until the head may have moved.
    async fn wait(&mut self) -> Result<(), ReadError> {
        let Some(heads) = &mut self.heads else {
            // Subscribe first and look second, or a block in between would wait for the one after it.
            let heads = self.client.within("announce blocks", open(&self.client)).await?;
            self.head = Some(self.client.head().await?.number);
            self.heads = Some(heads);
            return Ok(());
        };
        match clock::timeout(SILENCE, heads.next()).await {
            Ok(Some(Ok(block))) => {
                let number = BlockNumber(u32::try_from(block.number()).unwrap_or(u32::MAX));
                self.head = self.head.max(Some(number));
                Ok(())
            }
            Ok(Some(Err(error))) => Err(self.client.fault("announce blocks", error).await.into()),
            Ok(None) => Err(self.client.fault("announce blocks", "the subscription ended").await.into()),
            Err(_) => {
                // Nothing new, or a subscription that died quietly: begin again.
                self.heads = None;
                Ok(())
            }
        }
    }
}

async fn open(client: &Client) -> Result<Blocks<SubstrateConfig>, Fault> {
    match client.shared.online.stream_blocks().await {
        Ok(heads) => Ok(heads),
        Err(error) => Err(client.fault("announce blocks", error).await),
    }
}
