//! Putting the contract on a chain.

use crate::failure::{Doing, Exit, Failure, Outcome, exit_of_chain};
use codec::Encode;
use encompute_chain::{Account, Submitted};
use encompute_protocol::{
    Address, ContractAddress, GenesisHash, MeasurementId, Params, Plancks,
    call::{AllowMeasurement, ReadMeasurement},
};

/// The code that the test suite rebuilds and compares.
pub const CODE: &[u8] = include_bytes!("../../../contracts/marketplace/artifacts/marketplace.polkavm");

/// The constructor's calldata: selector, parameters, governor, genesis.
pub fn constructor(params: &Params, governor: Address, genesis: GenesisHash) -> Vec<u8> {
    (encompute_protocol::call::CONSTRUCTOR.0, params, governor, genesis).encode()
}

/// Instantiates the contract with `account` as governor.
///
/// # Errors
/// As the chain refuses.
pub async fn deploy(account: &Account, params: Params) -> Outcome<ContractAddress> {
    let params = Params {
        treasury: if params.treasury == Address::default() { account.address() } else { params.treasury },
        ..params
    };
    let data = constructor(&params, account.address(), account.client().genesis());
    let deployed: Submitted<ContractAddress> = account
        .deploy(CODE.to_vec(), data, Plancks::ZERO, None)
        .await
        .map_err(|error| Failure::of(exit_of_chain(error.class()), "deploy the contract", &error))?;
    Ok(deployed.answer)
}

/// Announces a measurement, unless it is known.
///
/// # Errors
/// As the chain refuses.
pub async fn allow(account: &Account, measurement: MeasurementId) -> Outcome {
    let known = account.client().read(ReadMeasurement { measurement }).await;
    let known = known.map_err(|error| Failure::of(exit_of_chain(error.class()), "read the allow-list", &error))?;
    if known.is_some() {
        return Ok(());
    }
    let allowed = account.submit(AllowMeasurement { measurement }, Plancks::ZERO).await;
    allowed.map(drop).map_err(|error| Failure::of(exit_of_chain(error.class()), "allow the measurement", &error))
}

/// An account as 20 bytes from text: an address, an account id, or a development name.
///
/// # Errors
/// Usage, with what was found.
pub fn parse_address(text: &str) -> Outcome<Address> {
    if text.starts_with("//") {
        return encompute_chain::Signer::from_suri(text)
            .map(|signer| signer.address())
            .doing(Exit::Usage, "read the account");
    }
    if let Ok(bytes) = text.parse::<ContractAddress>() {
        return Ok(Address(bytes.0));
    }
    text.parse::<encompute_chain::AccountId>()
        .map(|id| id.address())
        .doing(Exit::Usage, &format!("read account {text:?}"))
}
