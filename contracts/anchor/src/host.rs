//! The platform as an anchor sees it: who calls, with how much money, in which block; keys; the market.

use encompute_protocol::{Address, BlockNumber, ContractAddress, SigningAddress, call::Call};
use encompute_rollup::{Recover, RollupError};
use ink::{
    U256,
    env::{DefaultEnvironment, Environment, hash::Keccak256},
    prelude::vec::Vec,
    scale::{Decode, Encode},
};

/// The environment of the chain: ink!'s own but for the ratio.
#[derive(Clone)]
pub enum AnchorEnvironment {}

impl Environment for AnchorEnvironment {
    /// How finely the platform counts money: 10⁶ parts of a planck, as the runtime is configured.
    const NATIVE_TO_ETH_RATIO: u32 = 1_000_000;
    const TRUST_BACKED_ASSETS_PRECOMPILE_INDEX: u16 = DefaultEnvironment::TRUST_BACKED_ASSETS_PRECOMPILE_INDEX;
    const POOL_ASSETS_PRECOMPILE_INDEX: u16 = DefaultEnvironment::POOL_ASSETS_PRECOMPILE_INDEX;
    type AccountId = <DefaultEnvironment as Environment>::AccountId;
    type Balance = <DefaultEnvironment as Environment>::Balance;
    type Hash = <DefaultEnvironment as Environment>::Hash;
    type Timestamp = <DefaultEnvironment as Environment>::Timestamp;
    type BlockNumber = <DefaultEnvironment as Environment>::BlockNumber;
    type EventRecord = <DefaultEnvironment as Environment>::EventRecord;
}

/// Bytes of a selector.
const SELECTOR_BYTES: u64 = 4;
/// No money.
pub const NOTHING: U256 = U256([0; 4]);
/// Most bytes of the market's answers and refusals: a worker's record with its address takes 700.
#[cfg(target_arch = "riscv64")]
const ANSWER_LIMIT_BYTES: usize = 1_024;

/// Whether the market may pay this contract within the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paying {
    /// It may call back, to pay.
    Allowed,
    /// It may not.
    Denied,
}

/// Checks that the call data were the selector and `arguments`, nothing less and nothing more: the
/// platform reads what is missing as zeros and ignores what follows.
///
/// # Errors
/// [`RollupError::CalldataLength`].
pub fn check_calldata(arguments: &impl Encode) -> Result<(), RollupError> {
    let wanted = SELECTOR_BYTES.saturating_add(arguments.encoded_size() as u64);
    match ink::env::call_data_size() {
        found if found == wanted => Ok(()),
        found => Err(RollupError::CalldataLength { found, wanted }),
    }
}

/// Who calls.
pub fn caller() -> Address {
    Address(ink::env::caller().0)
}

/// The block that executes the call.
pub fn block() -> BlockNumber {
    BlockNumber(ink::env::block_number::<AnchorEnvironment>())
}

/// This contract.
pub fn contract() -> ContractAddress {
    ContractAddress(ink::env::address().0)
}

/// Money sent along, in the platform's parts.
pub fn transferred() -> U256 {
    ink::env::transferred_value()
}

/// What this contract holds, in whole plancks, as the platform counts money.
pub fn balance() -> U256 {
    let held = ink::env::balance();
    let part = U256::from(AnchorEnvironment::NATIVE_TO_ETH_RATIO);
    held.saturating_sub(held % part)
}

/// Pays.
///
/// # Errors
/// [`RollupError::PaymentFailed`] if the payee did not take it.
pub fn pay(to: Address, value: U256) -> Result<(), RollupError> {
    ink::env::transfer::<AnchorEnvironment>(to.0.into(), value).map_err(|_| RollupError::PaymentFailed)
}

fn keccak_256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    ink::env::hash_bytes::<Keccak256>(bytes, &mut hash);
    hash
}

/// The account that the platform sees where a 32-byte account calls.
pub fn account_of(account: &[u8; 32]) -> Address {
    let hash = keccak_256(account);
    let mut address = [0; 20];
    address.copy_from_slice(&hash[12..]);
    Address(address)
}

/// What the market answers; none where it refuses.
pub fn ask<C: Call>(market: &ContractAddress, call: &C) -> Option<C::Answer> {
    let said = tell(market, &call.calldata(), NOTHING, Paying::Denied).ok()?;
    // ink!'s byte, then the market's.
    let mut rest = said.strip_prefix(&[0, 0])?;
    C::Answer::decode(&mut rest).ok()
}

/// The platform's cryptography.
#[derive(Clone, Copy, Debug)]
pub struct Platform;

impl Recover for Platform {
    fn recover(&self, digest: &[u8; 32], signature: &[u8; 65]) -> Option<SigningAddress> {
        // What the precompile reads: the digest, v as a word, r, s.
        let mut input = [0; 128];
        input[..32].copy_from_slice(digest);
        input[63] = signature[64];
        input[64..].copy_from_slice(&signature[..64]);
        let mut one = [0; 20];
        one[19] = 1;
        let word = tell(&ContractAddress(one), &input, NOTHING, Paying::Denied).ok()?;
        // Precompiles fail with an empty success.
        let (padding, address) = word.split_first_chunk::<12>()?;
        (*padding == [0; 12]).then_some(SigningAddress(address.try_into().ok()?))
    }
}

/// The address of a compressed key; none for bytes that are none.
#[cfg(target_arch = "riscv64")]
pub fn address_of(key: &[u8; 33]) -> Option<SigningAddress> {
    use pallet_revive_uapi::{HostFn, HostFnImpl};
    let mut address = [0; 20];
    HostFnImpl::ecdsa_to_eth_address(key, &mut address).ok()?;
    Some(SigningAddress(address))
}

/// Calls a contract with the rest of the weight: what it returned, or what it returned when it reverted.
#[cfg(target_arch = "riscv64")]
pub fn tell(contract: &ContractAddress, input: &[u8], value: U256, paying: Paying) -> Result<Vec<u8>, Vec<u8>> {
    use pallet_revive_uapi::{CallFlags, HostFn, HostFnImpl};
    let flags = match paying {
        Paying::Allowed => CallFlags::ALLOW_REENTRY,
        Paying::Denied => CallFlags::empty(),
    };
    let mut answer = [0; ANSWER_LIMIT_BYTES];
    let mut output = answer.as_mut_slice();
    let ended = HostFnImpl::call(
        flags,
        &contract.0,
        u64::MAX,
        u64::MAX,
        &[u8::MAX; 32],
        &value.to_little_endian(),
        input,
        Some(&mut output),
    );
    let said = output.to_vec();
    if ended.is_ok() { Ok(said) } else { Err(said) }
}

/// The host has no keys' addresses; there only metadata is printed.
#[cfg(not(target_arch = "riscv64"))]
pub fn address_of(_: &[u8; 33]) -> Option<SigningAddress> {
    None
}

/// The host has no contracts to call; there only metadata is printed.
#[cfg(not(target_arch = "riscv64"))]
pub fn tell(_: &ContractAddress, _: &[u8], _: U256, _: Paying) -> Result<Vec<u8>, Vec<u8>> {
    Err(Vec::new())
}
