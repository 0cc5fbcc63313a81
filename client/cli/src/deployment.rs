//! Putting the contract on a chain.

use crate::failure::{Doing, Exit, Failure, Outcome, exit_of_chain};
use codec::Encode;
use encompute_chain::{Account, AccountId, Submitted};
use encompute_protocol::{
    Address, ContractAddress, GenesisHash, MeasurementId, Params, Plancks, PlatformId,
    call::{AllowMeasurement, AllowPlatform, ReadMeasurement, ReadPlatform},
};

/// The code that the test suite rebuilds and compares.
pub const CODE: &[u8] = include_bytes!("../../../contracts/marketplace/artifacts/marketplace.polkavm");

/// Parts of a planck as [`CODE`] counts them: `NATIVE_TO_ETH_RATIO` of the contract.
pub const PARTS_OF_PLANCK: u32 = 1_000_000;

/// The constructor's calldata: selector, parameters, governor, genesis.
pub fn constructor(params: &Params, governor: Address, genesis: GenesisHash) -> Vec<u8> {
    (encompute_protocol::call::CONSTRUCTOR.0, params, governor, genesis).encode()
}

/// Instantiates the contract with `account` as governor, and with the chain's own price of storage.
///
/// # Errors
/// As the chain refuses.
pub async fn deploy(account: &Account, params: Params) -> Outcome<ContractAddress> {
    let facts = account.client().constants().await;
    let facts = facts.map_err(|error| Failure::of(exit_of_chain(error.class()), "read the chain", &error))?;
    if facts.parts_of_planck != PARTS_OF_PLANCK {
        let found = facts.parts_of_planck;
        let text = format!(
            "the contract is built for chains that count {PARTS_OF_PLANCK} parts a planck, this one counts {found}: every amount would be wrong"
        );
        return Err(
            Failure::new(Exit::Failed, text).hint("build it for this chain: worker/node/OPERATIONS.md, \"Contract\"")
        );
    }
    let params = Params {
        treasury: if params.treasury == Address::default() { account.address() } else { params.treasury },
        storage: facts.storage,
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

/// Announces a platform, unless it is known.
///
/// # Errors
/// As the chain refuses.
pub async fn allow_platform(account: &Account, platform: PlatformId) -> Outcome {
    let known = account.client().read(ReadPlatform { platform }).await;
    let known =
        known.map_err(|error| Failure::of(exit_of_chain(error.class()), "read the list of platforms", &error))?;
    if known.is_some() {
        return Ok(());
    }
    let allowed = account.submit(AllowPlatform { platform }, Plancks::ZERO).await;
    allowed.map(drop).map_err(|error| Failure::of(exit_of_chain(error.class()), "allow the platform", &error))
}

/// Somebody to be paid.
pub enum Payee {
    /// 20 bytes, as contracts see them.
    Address(Address),
    /// 32 bytes, whose 20 the chain has to know.
    Account(AccountId),
}

impl Payee {
    /// As contracts see it.
    pub fn address(&self) -> Address {
        match self {
            Self::Address(address) => *address,
            Self::Account(id) => id.address(),
        }
    }
}

/// Somebody from text: an address, an account id, or a development name.
///
/// # Errors
/// Usage, with what was found.
pub fn parse_payee(text: &str) -> Outcome<Payee> {
    if text.starts_with("//") {
        let signer = encompute_chain::Signer::from_suri(text).doing(Exit::Usage, "read the account")?;
        return Ok(Payee::Account(signer.account()));
    }
    if let Ok(bytes) = text.parse::<ContractAddress>() {
        return Ok(Payee::Address(Address(bytes.0)));
    }
    text.parse().map(Payee::Account).doing(Exit::Usage, &format!("read account {text:?}"))
}

/// An account as 20 bytes from text, as [`parse_payee`] reads it.
///
/// # Errors
/// Usage, with what was found.
pub fn parse_address(text: &str) -> Outcome<Address> {
    parse_payee(text).map(|payee| payee.address())
}

#[cfg(test)]
mod tests {
    use super::PARTS_OF_PLANCK;

    #[test]
    fn the_contract_counts_parts_as_it_is_said_here() {
        let source = include_str!("../../../contracts/marketplace/src/host.rs").replace('_', "");
        assert!(source.contains(&format!("const NATIVETOETHRATIO: u32 = {PARTS_OF_PLANCK};")));
    }
}
