//! Blocks, transactions and receipts as Ethereum writes them, put together from the block, what pallet-revive built in
//! it, and its events.

use super::{Context, answer, built, hash_of, index::Place, index::payload_of, refused, state_at};
use crate::{
    rpc::errors,
    runtime::{BlockNumber, Hash, Runtime, RuntimeEvent},
    state::State,
};
use codec::Decode;
use frame_support::storage::storage_prefix;
use frame_system::{EventRecord, Phase};
use jsonrpsee::types::ErrorObjectOwned;
use pallet_revive::{
    Event,
    evm::{TransactionInfo, TransactionSigned},
    pallet_revive_types::runtime_api::{BlockV1, HashesOrTransactionInfosV1, ReceiptGasInfoV1, TransactionInfoV1},
};
use serde_json::{Value, json};
use sp_core::{Bytes, H160, H256, U256};

/// Bits of a bloom filter of logs.
const BLOOM_BYTES: usize = 256;

/// A transaction that is in a block, and the block.
struct Included {
    hash: H256,
    place: Place,
    /// Which Ethereum transaction of the block it is.
    position: usize,
    signed: TransactionSigned,
    sender: H160,
    state: State,
    block: BlockV1,
}

/// What one transaction's events say of it.
#[derive(Default)]
struct Said {
    logs: Vec<Log>,
    reverted: bool,
    created: Option<H160>,
}

struct Log {
    contract: H160,
    topics: Vec<H256>,
    words: Vec<u8>,
    /// Which log of the block's Ethereum transactions it is.
    index: u32,
}

pub(super) fn transaction(context: &Context, hash: H256) -> Result<Value, ErrorObjectOwned> {
    let Some(included) = included(context, hash)? else { return Ok(Value::Null) };
    serde_json::to_value(included.info()).map_err(|error| refused(error.to_string()))
}

pub(super) fn receipt(context: &Context, hash: H256) -> Result<Value, ErrorObjectOwned> {
    let Some(included) = included(context, hash)? else { return Ok(Value::Null) };
    let Included { place, position, signed, sender, state, block, .. } = included;
    let gas: Vec<ReceiptGasInfoV1> = answer(&state, "ReviveApi_eth_receipt_data", &[])?;
    let Some(own) = gas.get(position) else { return Ok(Value::Null) };
    let used = gas.iter().take(position + 1).fold(U256::zero(), |sum, one| sum.saturating_add(one.gas_used));
    let carriers = carriers(context, place.block)?;
    let said = said(&state, &carriers, place.extrinsic)?;
    let index = U256::from(position);
    let logs = said.logs.iter().map(|log| {
        json!({
            "address": log.contract, "topics": log.topics, "data": Bytes(log.words.clone()),
            "blockNumber": block.number, "blockHash": block.hash, "transactionHash": hash, "transactionIndex": index,
            "logIndex": U256::from(log.index), "removed": false,
        })
    });
    let (kind, to) = outline(&signed);
    Ok(json!({
        "transactionHash": hash, "transactionIndex": index, "blockHash": block.hash, "blockNumber": block.number,
        "from": sender, "to": to, "contractAddress": said.created, "type": U256::from(kind),
        "status": U256::from(u8::from(!said.reverted)), "gasUsed": own.gas_used, "cumulativeGasUsed": used,
        "effectiveGasPrice": own.effective_gas_price, "logs": logs.collect::<Vec<_>>(),
        "logsBloom": Bytes(bloom(&said.logs).to_vec()),
    }))
}

pub(super) fn block(
    context: &Context,
    number: BlockNumber,
    state: &State,
    with_transactions: bool,
) -> Result<Value, ErrorObjectOwned> {
    let mut block = built(state)?;
    if with_transactions {
        let mut whole = Vec::new();
        for (_, payload) in carriers(context, number)? {
            if let Some(included) = included(context, hash_of(&payload))? {
                whole.push(included.info());
            }
        }
        block.transactions = HashesOrTransactionInfosV1::TransactionInfos(whole);
    }
    serde_json::to_value(block).map_err(|error| refused(error.to_string()))
}

impl Included {
    fn info(&self) -> TransactionInfoV1 {
        TransactionInfo {
            block_hash: self.block.hash,
            block_number: self.block.number,
            from: self.sender,
            hash: self.hash,
            transaction_index: self.position.into(),
            transaction_signed: self.signed.clone(),
        }
        .into()
    }
}

fn included(context: &Context, hash: H256) -> Result<Option<Included>, ErrorObjectOwned> {
    let place = context.ethereum.place(&context.chain, hash).map_err(|error| errors::read(&error))?;
    let Some(place) = place else { return Ok(None) };
    let Some(state) = state_at(context, place.block)? else { return Ok(None) };
    let block = built(&state)?;
    let HashesOrTransactionInfosV1::Hashes(hashes) = &block.transactions else { return Ok(None) };
    let Some(position) = hashes.iter().position(|found| *found == hash) else { return Ok(None) };
    let found = context.chain.block_numbered(place.block).map_err(|error| errors::read(&error))?;
    let bytes = found.and_then(|block| block.body.into_iter().nth(place.extrinsic as usize));
    let signed = bytes.and_then(|bytes| TransactionSigned::decode(&payload_of(&bytes)?).ok());
    let Some(signed) = signed else { return Ok(None) };
    let Ok(sender) = signed.recover_eth_address() else { return Ok(None) };
    Ok(Some(Included { hash, place, position, signed, sender, state, block }))
}

/// The block's extrinsics that carry Ethereum transactions, with those.
fn carriers(context: &Context, number: BlockNumber) -> Result<Vec<(u32, Vec<u8>)>, ErrorObjectOwned> {
    let block = context.chain.block_numbered(number).map_err(|error| errors::read(&error))?;
    let body = block.map(|block| block.body).unwrap_or_default();
    Ok((0..).zip(&body).filter_map(|(index, bytes)| Some((index, payload_of(bytes)?))).collect())
}

fn outline(signed: &TransactionSigned) -> (u8, Option<H160>) {
    match signed {
        TransactionSigned::TransactionLegacySigned(signed) => (0, signed.transaction_legacy_unsigned.to),
        TransactionSigned::Transaction2930Signed(signed) => (1, signed.transaction_2930_unsigned.to),
        TransactionSigned::Transaction1559Signed(signed) => (2, signed.transaction_1559_unsigned.to),
        TransactionSigned::Transaction4844Signed(signed) => (3, Some(signed.transaction_4844_unsigned.to)),
        TransactionSigned::Transaction7702Signed(signed) => (4, Some(signed.transaction_7702_unsigned.to)),
    }
}

fn said(state: &State, carriers: &[(u32, Vec<u8>)], extrinsic: u32) -> Result<Said, ErrorObjectOwned> {
    let key = storage_prefix(b"System", b"Events");
    let bytes = state.value(&key).map_err(|error| errors::read(&error.into()))?.unwrap_or_default();
    let events = Vec::<EventRecord<RuntimeEvent, Hash>>::decode(&mut bytes.as_slice())
        .map_err(|_| refused("the block's events do not decode"))?;
    let (mut said, mut logs) = (Said::default(), 0u32);
    for record in events {
        let Phase::ApplyExtrinsic(at) = record.phase else { continue };
        let RuntimeEvent::Revive(event) = record.event else { continue };
        if !carriers.iter().any(|(carrier, _)| *carrier == at) {
            continue;
        }
        let own = at == extrinsic;
        match event {
            Event::<Runtime>::ContractEmitted { contract, data, topics } => {
                if own {
                    said.logs.push(Log { contract, topics, words: data, index: logs });
                }
                logs = logs.saturating_add(1);
            }
            Event::EthExtrinsicRevert { .. } if own => said.reverted = true,
            Event::Instantiated { contract, .. } if own => said.created = Some(contract),
            _ => {}
        }
    }
    Ok(said)
}

/// The filter that tells in which blocks an address or a topic cannot be: three bits of 2,048 for each.
fn bloom(logs: &[Log]) -> [u8; BLOOM_BYTES] {
    let mut bloom = [0; BLOOM_BYTES];
    for log in logs {
        let topics = log.topics.iter().map(|topic| topic.as_bytes());
        for item in core::iter::once(log.contract.as_bytes()).chain(topics) {
            let hash = pallet_revive::keccak_256(item);
            for pair in hash.chunks_exact(2).take(3) {
                let bit = usize::from(u16::from_be_bytes([pair[0], pair[1]])) % (BLOOM_BYTES * 8);
                bloom[BLOOM_BYTES - 1 - bit / 8] |= 1 << (bit % 8);
            }
        }
    }
    bloom
}
