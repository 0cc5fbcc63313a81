//! Puts a contract on the chain.

use crate::{
    account::{Account, Submitted, deposit_limit},
    contract::{ChainWeight, DryRun, Returned, Tried, constructor_refusal},
    error::SubmitError,
};
use encompute_protocol::{ContractAddress, Plancks};
use subxt::{
    dynamic,
    ext::{scale_decode::DecodeAsType, scale_encode::EncodeAsType},
};

const MESSAGE: &str = "the constructor";

#[derive(EncodeAsType)]
#[encode_as_type(crate_path = "subxt::ext::scale_encode")]
enum Code {
    Upload(Vec<u8>),
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct Instantiation {
    result: Returned,
    addr: [u8; 20],
}

impl Account {
    /// Uploads `code` and instantiates it with `constructor` (selector and arguments). With a salt
    /// the address depends on account, code and salt alone.
    ///
    /// # Errors
    /// [`SubmitError`]; a constructor that refuses is not sent.
    pub async fn deploy(
        &self,
        code: Vec<u8>,
        constructor: Vec<u8>,
        value: Plancks,
        salt: Option<[u8; 32]>,
    ) -> Result<Submitted<ContractAddress>, SubmitError> {
        let tried =
            self.client().within("try a constructor", self.try_deploy(&code, &constructor, value, salt)).await?;
        self.ensure_mapped().await?;
        let (weight, deposit) = (tried.weight.limit(), deposit_limit(tried.peak_deposit));
        let arguments = (value.0, weight, deposit.0, code, constructor, salt);
        let included = self.send(&dynamic::transaction("Revive", "instantiate_with_code", arguments)).await?;
        let block = included.block;
        if let Some(error) = included.failure {
            return Err(SubmitError::Overtaken { message: MESSAGE, block, error, refusal: None });
        }
        match included.instantiated.last().copied() {
            Some(contract) => Ok(included.with_answer(contract)),
            None => Err(SubmitError::NoOutcome { message: MESSAGE, block }),
        }
    }

    async fn try_deploy(
        &self,
        code: &[u8],
        constructor: &[u8],
        value: Plancks,
        salt: Option<[u8; 32]>,
    ) -> Result<Tried<Instantiation>, SubmitError> {
        let client = self.client();
        let at = client.at_head().await?;
        let no_limit = (None::<ChainWeight>, None::<u128>);
        let code = Code::Upload(code.to_vec());
        let arguments = (self.id().0, value.0, no_limit.0, no_limit.1, code, constructor.to_vec(), salt);
        let call = dynamic::runtime_api_call::<_, DryRun<Instantiation>>("ReviveApi", "instantiate", arguments);
        let dry_run = match at.runtime_apis().call(call).await {
            Ok(dry_run) => dry_run,
            Err(error) => return Err(client.fault("try a constructor", error).await.into()),
        };
        let tried = match Tried::of(dry_run, &at, MESSAGE) {
            Ok(tried) => tried,
            Err(error) => return Err(self.funds_or(error, MESSAGE, value).await),
        };
        let contract = ContractAddress(tried.outcome.addr);
        match constructor_refusal(contract, &tried.outcome.result)? {
            Some(refusal) => Err(SubmitError::Refused { message: MESSAGE, refusal }),
            None => Ok(tried),
        }
    }
}
