//! Tries a call without sending it, and reads what the contract answers.
//!
//! The contract returns one byte of ink's (0: the message was understood) and then the SCALE of
//! `Result<Answer, Refusal>`, whether it reverts or not.

use crate::{
    account::{Deposit, Weight},
    account_id::AccountId,
    client::{AtBlock, Client},
    error::{Fault, ReadError},
};
use encompute_lifecycle::Refusal;
use encompute_protocol::{ContractAddress, Plancks, call::Call, wire};
use subxt::{
    dynamic::{self, Value},
    ext::{
        scale_decode::DecodeAsType,
        scale_encode::EncodeAsType,
        scale_value::{Composite, ValueDef},
    },
    metadata::Metadata,
};

/// Most bytes of an answer that is not understood which an error repeats.
const SHOWN_BYTES: usize = 32;

/// Weight as the chain encodes it.
#[derive(Clone, Copy, DecodeAsType, EncodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
#[encode_as_type(crate_path = "subxt::ext::scale_encode")]
pub(crate) struct ChainWeight {
    pub(crate) ref_time: u64,
    pub(crate) proof_size: u64,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub(crate) enum ChainDeposit {
    Refund(u128),
    Charge(u128),
}

/// What `ReviveApi` answers; fields that nobody reads are left out.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub(crate) struct DryRun<Outcome> {
    weight_required: ChainWeight,
    storage_deposit: ChainDeposit,
    max_storage_deposit: ChainDeposit,
    result: Result<Outcome, Value<()>>,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub(crate) struct Returned {
    pub(crate) flags: u32,
    pub(crate) data: Vec<u8>,
}

/// A call as somebody would make it.
pub(crate) struct Attempt {
    pub(crate) origin: AccountId,
    pub(crate) contract: ContractAddress,
    pub(crate) value: Plancks,
    pub(crate) calldata: Vec<u8>,
}

/// What a call came to when it was tried.
pub(crate) struct Tried<Outcome> {
    pub(crate) weight: Weight,
    pub(crate) deposit: Deposit,
    /// Most of the deposit that is held at any time of the call.
    pub(crate) peak_deposit: Plancks,
    pub(crate) outcome: Outcome,
}

impl Attempt {
    /// Tries the call in the state after `at`.
    ///
    /// # Errors
    /// [`ReadError::Fault`], [`ReadError::Dispatch`]. A contract that refuses is no error here.
    pub(crate) async fn run(
        &self,
        client: &Client,
        at: &AtBlock,
        message: &'static str,
    ) -> Result<Tried<Returned>, ReadError> {
        let no_limit = (None::<ChainWeight>, None::<u128>);
        let arguments = (self.origin.0, self.contract.0, self.value.0, no_limit.0, no_limit.1, self.calldata.clone());
        let call = dynamic::runtime_api_call::<_, DryRun<Returned>>("ReviveApi", "call", arguments);
        match at.runtime_apis().call(call).await {
            Ok(dry_run) => Tried::of(dry_run, at, message),
            Err(error) => Err(client.fault("try a call", error).await.into()),
        }
    }
}

impl<Outcome> Tried<Outcome> {
    pub(crate) fn of(dry_run: DryRun<Outcome>, at: &AtBlock, message: &'static str) -> Result<Self, ReadError> {
        let outcome = dry_run.result.map_err(|error| {
            let error = error_name(&error, at.metadata_ref());
            ReadError::Dispatch { message, error }
        })?;
        let ChainWeight { ref_time, proof_size } = dry_run.weight_required;
        let deposit = |deposit| match deposit {
            ChainDeposit::Refund(plancks) => Deposit::Refund(Plancks(plancks)),
            ChainDeposit::Charge(plancks) => Deposit::Charge(Plancks(plancks)),
        };
        let peak_deposit = match dry_run.max_storage_deposit {
            ChainDeposit::Charge(plancks) => Plancks(plancks),
            ChainDeposit::Refund(_) => Plancks::ZERO,
        };
        Ok(Self {
            weight: Weight { ref_time, proof_size },
            deposit: deposit(dry_run.storage_deposit),
            peak_deposit,
            outcome,
        })
    }
}

/// The chain's name for a dispatch error, e.g. `Revive.OutOfGas` or `Token.FundsUnavailable`.
pub(crate) fn error_name(error: &Value<()>, metadata: &Metadata) -> String {
    let ValueDef::Variant(variant) = &error.value else { return error.to_string() };
    if variant.name != "Module" {
        return match variant.values.values().next().map(|inner| &inner.value) {
            Some(ValueDef::Variant(inner)) => format!("{}.{}", variant.name, inner.name),
            _ => variant.name.clone(),
        };
    }
    module_error_name(&variant.values, metadata).unwrap_or_else(|| error.to_string())
}

fn module_error_name(values: &Composite<()>, metadata: &Metadata) -> Option<String> {
    // Module { index, error: [u8; 4] }, at times wrapped once more.
    let mut numbers = Vec::new();
    collect_numbers(values, &mut numbers);
    let pallet = metadata.pallet_by_error_index(*numbers.first()?)?;
    let variant = pallet.error_variant_by_index(*numbers.get(1)?)?;
    Some(format!("{}.{}", pallet.name(), variant.name))
}

fn collect_numbers(values: &Composite<()>, numbers: &mut Vec<u8>) {
    for value in values.values() {
        match &value.value {
            ValueDef::Composite(inner) => collect_numbers(inner, numbers),
            ValueDef::Primitive(primitive) => numbers.extend(primitive.as_u128().and_then(|n| u8::try_from(n).ok())),
            _ => {}
        }
    }
}

/// The answer in what the contract returned.
///
/// # Errors
/// [`ReadError::NotThere`], [`ReadError::Refused`], [`ReadError::OtherContract`].
pub(crate) fn decode_answer<C: Call>(
    contract: ContractAddress,
    tried: &Tried<Returned>,
) -> Result<C::Answer, ReadError> {
    let Returned { flags, data } = &tried.outcome;
    let reverts = flags & 1 == 1;
    // Calling an address without code succeeds and returns nothing.
    if data.is_empty() && !reverts {
        return Err(ReadError::NotThere { contract });
    }
    let other = || {
        let shown = data.get(..data.len().min(SHOWN_BYTES)).unwrap_or_default().to_vec();
        ReadError::OtherContract { contract, message: C::NAME, data: shown }
    };
    let Some((0, answer)) = data.split_first() else { return Err(other()) };
    match wire::decode_exact::<Result<C::Answer, Refusal>>(answer, answer.len()) {
        Ok(Ok(answer)) if !reverts => Ok(answer),
        Ok(Err(refusal)) => Err(ReadError::Refused { message: C::NAME, refusal }),
        _ => Err(other()),
    }
}

/// Why a constructor refuses, in what it returned; `None` if it does not.
///
/// # Errors
/// [`ReadError::OtherContract`] if it reverts without a refusal.
pub(crate) fn constructor_refusal(
    contract: ContractAddress,
    returned: &Returned,
) -> Result<Option<Refusal>, ReadError> {
    if returned.flags & 1 == 0 {
        return Ok(None);
    }
    let refusal = match returned.data.split_first() {
        Some((0, answer)) => wire::decode_exact::<Result<(), Refusal>>(answer, answer.len()).ok().and_then(Result::err),
        _ => None,
    };
    refusal.map(Some).ok_or_else(|| ReadError::OtherContract {
        contract,
        message: "constructor",
        data: returned.data.iter().copied().take(SHOWN_BYTES).collect(),
    })
}

/// What a fault is called when it ends a dry run for sending.
pub(crate) fn misunderstood(client: &Client, error: impl core::fmt::Display) -> Fault {
    client.misread("encode a transaction", error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use codec::Encode;
    use encompute_protocol::{JobId, Stage, call::ReadCounts, market::Counts};

    const CONTRACT: ContractAddress = ContractAddress([9; 20]);

    fn returned(flags: u32, data: Vec<u8>) -> Tried<Returned> {
        let weight = Weight { ref_time: 0, proof_size: 0 };
        let outcome = Returned { flags, data };
        Tried { weight, deposit: Deposit::Charge(Plancks::ZERO), peak_deposit: Plancks::ZERO, outcome }
    }

    fn decode(flags: u32, data: Vec<u8>) -> Result<Counts, ReadError> {
        decode_answer::<ReadCounts>(CONTRACT, &returned(flags, data))
    }

    #[test]
    fn an_answer_is_inks_byte_and_a_result_and_nothing_more() {
        let counts = Counts { jobs: 7, ..Counts::default() };
        let mut data = vec![0];
        Ok::<_, Refusal>(counts).encode_to(&mut data);
        assert_eq!(decode(0, data.clone()), Ok(counts));
        data.push(0);
        assert!(matches!(decode(0, data.clone()), Err(ReadError::OtherContract { .. })));
        data.truncate(5);
        assert!(matches!(decode(0, data), Err(ReadError::OtherContract { .. })));
    }

    #[test]
    fn a_refusal_is_read_from_a_revert() {
        let refusal = Refusal::WrongStage { found: Stage::Settled, wanted: Stage::Claimed };
        let mut data = vec![0];
        Err::<Counts, _>(refusal).encode_to(&mut data);
        assert_eq!(decode(1, data), Err(ReadError::Refused { message: "counts", refusal }));
    }

    #[test]
    fn a_message_that_the_contract_does_not_know_is_another_contract() {
        assert!(matches!(decode(1, vec![1, 1]), Err(ReadError::OtherContract { .. })));
    }

    #[test]
    fn an_address_without_code_is_no_contract() {
        assert_eq!(decode(0, Vec::new()), Err(ReadError::NotThere { contract: CONTRACT }));
    }

    #[test]
    fn an_answer_that_says_yes_and_reverts_is_not_believed() {
        let mut data = vec![0];
        Ok::<_, Refusal>(Counts::default()).encode_to(&mut data);
        assert!(matches!(decode(1, data), Err(ReadError::OtherContract { .. })));
    }

    #[test]
    fn a_constructors_refusal_is_told_from_a_trap() {
        let refusal = Refusal::UnknownJob { job: JobId(3) };
        let mut data = vec![0];
        Err::<(), _>(refusal).encode_to(&mut data);
        let refused = constructor_refusal(CONTRACT, &Returned { flags: 1, data });
        assert_eq!(refused, Ok(Some(refusal)));
        assert_eq!(constructor_refusal(CONTRACT, &Returned { flags: 0, data: vec![0] }), Ok(None));
        let trapped = constructor_refusal(CONTRACT, &Returned { flags: 1, data: Vec::new() });
        assert!(matches!(trapped, Err(ReadError::OtherContract { .. })));
    }
}
