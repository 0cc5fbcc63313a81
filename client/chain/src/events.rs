//! What the contract said, found by pallet and name, never by index.

use crate::client::{Block, Client};
use crate::error::{Fault, ReadError};
use encompute_protocol::{
    ContractAddress,
    event::{Event, decode_emitted},
};
use subxt::{
    SubstrateConfig,
    events::{Event as ChainEvent, Phase},
    ext::scale_decode::DecodeAsType,
    utils::H256,
};

/// What the contract said in one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockEvents {
    /// The block.
    pub block: Block,
    /// Its events of the contract, in order.
    pub events: Vec<Emitted>,
    /// Events of the contract that this program cannot read: not zero means another version of it.
    pub unread: u32,
}

/// One event and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// Which transaction of the block; none for the block itself.
    pub extrinsic: Option<u32>,
    /// Which event of the block.
    pub index: u32,
    /// What was said.
    pub event: Event,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct ContractEmitted {
    contract: [u8; 20],
    data: Vec<u8>,
    topics: Vec<[u8; 32]>,
}

/// What one event of the chain is to the contract.
#[allow(clippy::large_enum_variant, reason = "one at a time, and never kept")]
pub(crate) enum Said {
    /// Nothing: somebody else's.
    Nothing,
    /// An event.
    Event(Event),
    /// An event that this program cannot read.
    Unread,
}

pub(crate) fn said(contract: ContractAddress, event: &ChainEvent<'_, SubstrateConfig>) -> Result<Said, String> {
    if (event.pallet_name(), event.event_name()) != ("Revive", "ContractEmitted") {
        return Ok(Said::Nothing);
    }
    let emitted: ContractEmitted = event.decode_fields_unchecked_as().map_err(|error| error.to_string())?;
    if emitted.contract != contract.0 {
        return Ok(Said::Nothing);
    }
    Ok(decode_emitted(&emitted.topics, &emitted.data).map_or(Said::Unread, Said::Event))
}

pub(crate) async fn fetch(client: &Client, block: Block) -> Result<BlockEvents, ReadError> {
    const WHAT: &str = "give a block's events";
    let contract = client.named_contract()?;
    let at = client.shared.online.at_block_hash_and_number(H256(block.hash.0), block.number.0.into()).await;
    let at = match at {
        Ok(at) => at,
        Err(error) => return Err(client.fault(WHAT, error).await.into()),
    };
    let events = match at.events().fetch().await {
        Ok(events) => events,
        Err(error) => return Err(client.fault(WHAT, error).await.into()),
    };
    let mut found = BlockEvents { block, events: Vec::new(), unread: 0 };
    for event in events.iter() {
        let event = event.map_err(|error| client.misread(WHAT, error))?;
        let misread = |error| -> Fault { client.misread(WHAT, error) };
        match said(contract, &event).map_err(misread)? {
            Said::Nothing => {}
            Said::Unread => {
                tracing::warn!(block = block.number.0, index = event.index(), "event of the contract cannot be read");
                found.unread += 1;
            }
            Said::Event(said) => {
                let extrinsic = match event.phase() {
                    Phase::ApplyExtrinsic(index) => Some(index),
                    Phase::Finalization | Phase::Initialization => None,
                };
                found.events.push(Emitted { extrinsic, index: event.index(), event: said });
            }
        }
    }
    Ok(found)
}
