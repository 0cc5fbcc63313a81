//! Carries a call in a signed Ethereum transaction, in the extrinsic for which pallet-revive takes those
//! (`Revive.eth_transact`), through the same node as everything else: no server of Ethereum's is needed.
//!
//! A call of a contract is what any Ethereum wallet would send: to the contract, the money, selector and arguments.
//! Everything else (batches, transfers, new contracts) goes to the address that stands for the runtime, and is
//! dispatched in the name of the key's account.

use crate::{
    account::{Account, ContractCall},
    client::{AtBlock, Client},
    error::SubmitError,
    ethereum::{EthereumKey, EthereumTransaction},
    extrinsic::Signed,
};
use encompute_protocol::Plancks;
use subxt::{
    dynamic,
    ext::{scale_decode::DecodeAsType, scale_encode::EncodeAsType},
    transactions::{DynamicPayload, Payload},
};

/// The address that stands for the runtime: `modlpy/paddr` and zeros, a constant of pallet-revive.
const RUNTIME: [u8; 20] = *b"modlpy/paddr\0\0\0\0\0\0\0\0";
/// What is allowed beyond what the trial needed, as for any call: an eighth more. What is not used is paid back.
const MARGIN_DIVISOR: u128 = 8;
/// How often the price of gas may double between trial and block; what is paid is the block's.
const PRICE_MARGIN: u128 = 2;
const WHAT: &str = "try an Ethereum transaction";
const MESSAGE: &str = "an Ethereum transaction";

/// What an account sends.
pub(crate) trait Order: Payload + Sync {
    /// The call of a contract that it is, if it is one.
    fn direct(&self) -> Option<&ContractCall> {
        None
    }
}

impl<CallData> Order for DynamicPayload<CallData> where Self: Payload + Sync {}

/// A call of a contract, both as it is and as a payload.
pub(crate) struct Direct {
    call: ContractCall,
    payload: crate::account::CallPayload,
}

impl From<ContractCall> for Direct {
    fn from(call: ContractCall) -> Self {
        Self { payload: call.payload(), call }
    }
}

impl Payload for Direct {
    type CallData = <crate::account::CallPayload as Payload>::CallData;

    fn pallet_name(&self) -> &str {
        self.payload.pallet_name()
    }

    fn call_name(&self) -> &str {
        self.payload.call_name()
    }

    fn call_data(&self) -> &Self::CallData {
        Payload::call_data(&self.payload)
    }
}

impl Order for Direct {
    fn direct(&self) -> Option<&ContractCall> {
        Some(&self.call)
    }
}

/// A number of Ethereum's, lowest word first, as the chain encodes it.
#[derive(Clone, Copy, DecodeAsType, EncodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
#[encode_as_type(crate_path = "subxt::ext::scale_encode")]
struct Wide([u64; 4]);

#[derive(EncodeAsType)]
#[encode_as_type(crate_path = "subxt::ext::scale_encode")]
struct InputOrData {
    input: Option<Vec<u8>>,
    data: Option<Vec<u8>>,
}

/// A transaction to be tried, with every field that runtimes know; what is left out, they fill in.
#[derive(EncodeAsType)]
#[encode_as_type(crate_path = "subxt::ext::scale_encode")]
struct GenericTransaction {
    access_list: Option<Vec<()>>,
    authorization_list: Vec<()>,
    blob_versioned_hashes: Vec<()>,
    blobs: Vec<()>,
    chain_id: Option<Wide>,
    from: Option<[u8; 20]>,
    gas: Option<Wide>,
    gas_price: Option<Wide>,
    input: InputOrData,
    max_fee_per_blob_gas: Option<Wide>,
    max_fee_per_gas: Option<Wide>,
    max_priority_fee_per_gas: Option<Wide>,
    nonce: Option<Wide>,
    to: Option<[u8; 20]>,
    r#type: Option<u8>,
    value: Option<Wide>,
}

/// What trying it came to; fields that nobody reads are left out.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct EthTransactInfo {
    max_storage_deposit: u128,
    eth_gas: Wide,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
enum EthTransactError {
    Data(Vec<u8>),
    Message(String),
}

/// A signed transaction, and what it costs at most without deposits.
pub(crate) struct Carried {
    pub(crate) signed: Signed,
    pub(crate) fee: Plancks,
}

/// Where a transaction goes, and with what.
struct Envelope {
    to: [u8; 20],
    /// In the parts of a planck that contracts count.
    value: u128,
    calldata: Vec<u8>,
}

/// What the chain says about Ethereum's transactions.
struct Terms {
    chain: u64,
    parts_of_planck: u128,
    price: u128,
}

impl From<u128> for Wide {
    fn from(number: u128) -> Self {
        Self([number as u64, (number >> 64) as u64, 0, 0])
    }
}

impl Wide {
    fn checked(self) -> Option<u128> {
        match self.0 {
            [low, high, 0, 0] => Some(u128::from(high) << 64 | u128::from(low)),
            _ => None,
        }
    }
}

impl Account {
    /// Signs `order` as Ethereum's wallets do, as the account's transaction of this number.
    pub(crate) async fn carry<O: Order>(
        &self,
        at: &AtBlock,
        (key, number): (&EthereumKey, u64),
        order: &O,
    ) -> Result<Carried, SubmitError> {
        let terms = self.client().terms(at).await?;
        let Envelope { to, value, calldata } = self.envelope(at, order, &terms)?;
        let tried = self.try_carried(at, (key, number), &Envelope { to, value, calldata: calldata.clone() }).await?;
        let needed = tried.eth_gas.checked().ok_or_else(|| self.misunderstood("no transaction takes so much gas"))?;
        let gas = needed.saturating_add(needed / MARGIN_DIVISOR);
        let transaction = EthereumTransaction {
            chain: terms.chain,
            number,
            price_limit: terms.price.saturating_mul(PRICE_MARGIN),
            gas,
            to,
            value,
            calldata: &calldata,
        };
        let payload = key.sign(&transaction).ok_or_else(|| self.misunderstood("the key does not sign"))?;
        let carrier = dynamic::transaction("Revive", "eth_transact", (payload,));
        let signed = at.transactions().create_unsigned(&carrier).map_err(|error| self.misunderstood(error))?;
        let cost = needed.saturating_mul(terms.price).div_ceil(terms.parts_of_planck.max(1));
        Ok(Carried { signed, fee: Plancks(cost.saturating_sub(tried.max_storage_deposit)) })
    }

    fn envelope<O: Order>(&self, at: &AtBlock, order: &O, terms: &Terms) -> Result<Envelope, SubmitError> {
        let Some(ContractCall { contract, value, calldata, .. }) = order.direct() else {
            let calldata = at.transactions().call_data(order).map_err(|error| self.misunderstood(error))?;
            return Ok(Envelope { to: RUNTIME, value: 0, calldata });
        };
        let parts = value.0.checked_mul(terms.parts_of_planck);
        let value = parts.ok_or_else(|| self.misunderstood(format!("{value} are more than Ethereum can count")))?;
        Ok(Envelope { to: contract.0, value, calldata: calldata.clone() })
    }

    async fn try_carried(
        &self,
        at: &AtBlock,
        (key, number): (&EthereumKey, u64),
        envelope: &Envelope,
    ) -> Result<EthTransactInfo, SubmitError> {
        let transaction = GenericTransaction {
            access_list: None,
            authorization_list: Vec::new(),
            blob_versioned_hashes: Vec::new(),
            blobs: Vec::new(),
            chain_id: None,
            from: Some(key.address().0),
            gas: None,
            gas_price: None,
            input: InputOrData { input: Some(envelope.calldata.clone()), data: None },
            max_fee_per_blob_gas: None,
            max_fee_per_gas: None,
            max_priority_fee_per_gas: None,
            nonce: Some(u128::from(number).into()),
            to: Some(envelope.to),
            r#type: None,
            value: Some(envelope.value.into()),
        };
        let call = dynamic::runtime_api_call::<_, Result<EthTransactInfo, EthTransactError>>(
            "ReviveApi",
            "eth_transact",
            (transaction,),
        );
        match at.runtime_apis().call(call).await {
            Ok(Ok(tried)) => Ok(tried),
            Ok(Err(EthTransactError::Data(said))) => {
                let error = format!("the contract reverts with 0x{}", hex::encode(said.get(..32).unwrap_or(&said)));
                Err(SubmitError::Dispatch { message: MESSAGE, error })
            }
            Ok(Err(EthTransactError::Message(error))) => self.unaffordable(error).await,
            Err(error) => Err(self.client().fault(WHAT, error).await.into()),
        }
    }

    /// A trial that failed, for want of money most often.
    async fn unaffordable<T>(&self, error: String) -> Result<T, SubmitError> {
        if error.contains("insufficient funds")
            && let Ok(balance) = self.client().balance(&self.id()).await
        {
            return Err(SubmitError::Funds { message: MESSAGE, needed: Plancks::ZERO, free: balance.free });
        }
        Err(SubmitError::Dispatch { message: MESSAGE, error })
    }
}

impl Client {
    async fn terms(&self, at: &AtBlock) -> Result<Terms, SubmitError> {
        let misread = |error: &dyn core::fmt::Display| SubmitError::from(self.misread(WHAT, error));
        let constants = at.constants();
        let chain = constants.entry(dynamic::constant::<u64>("Revive", "ChainId")).map_err(|error| misread(&error))?;
        let parts = dynamic::constant::<u32>("Revive", "NativeToEthRatio");
        let parts = constants.entry(parts).map_err(|error| misread(&error))?;
        let price = dynamic::runtime_api_call::<_, Wide>("ReviveApi", "gas_price", ());
        let price = match at.runtime_apis().call(price).await {
            Ok(price) => price.checked().ok_or_else(|| misread(&"no gas costs so much"))?,
            Err(error) => return Err(self.fault(WHAT, error).await.into()),
        };
        Ok(Terms { chain, parts_of_planck: parts.into(), price })
    }
}
