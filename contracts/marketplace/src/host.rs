//! The platform as the rules see it: who calls, with how much money, in which block; hashes,
//! signatures and payments.

use encompute_lifecycle::{Context, Host, Payout, Refusal};
use encompute_protocol::{
    Address, BlockNumber, ContractAddress, GenesisHash, Plancks, Signature, SigningAddress,
    quote::{P256Key, P256Signature},
};
use ink::{
    U256,
    env::{DefaultEnvironment, Environment, hash::Keccak256},
    scale::Encode,
};

/// The environment of the chain: ink!'s own but for the ratio.
#[derive(Clone)]
pub enum MarketEnvironment {}

impl Environment for MarketEnvironment {
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

/// Parts of a planck, as the platform counts money.
const PARTS: u32 = MarketEnvironment::NATIVE_TO_ETH_RATIO;
/// Bytes of a selector.
const SELECTOR_BYTES: u64 = 4;

/// Checks that the call data were the selector and `argument`, nothing less and nothing more: the
/// platform reads what is missing as zeros and ignores what follows.
///
/// # Errors
/// [`Refusal::CalldataLength`].
pub fn check_calldata(argument: &impl Encode) -> Result<(), Refusal> {
    let wanted = SELECTOR_BYTES.saturating_add(argument.encoded_size() as u64);
    match ink::env::call_data_size() {
        found if found == wanted => Ok(()),
        found => Err(Refusal::CalldataLength { found, wanted }),
    }
}

/// The call that is being executed.
///
/// # Errors
/// [`Refusal::ValueRemainder`], [`Refusal::AmountTooLarge`] for the money sent.
pub fn context(genesis: GenesisHash) -> Result<Context, Refusal> {
    let mut entropy = [0; 32];
    // Without the platform's unstable functions there is no block hash; time is what is left.
    entropy[..8].copy_from_slice(&ink::env::block_timestamp::<MarketEnvironment>().to_le_bytes());
    Ok(Context {
        caller: Address(ink::env::caller().0),
        block: BlockNumber(ink::env::block_number::<MarketEnvironment>()),
        value: plancks(ink::env::transferred_value())?,
        genesis,
        contract: ContractAddress(ink::env::address().0),
        entropy,
    })
}

/// A value of the platform in plancks.
fn plancks(value: U256) -> Result<Plancks, Refusal> {
    let (whole, rest) = value.div_mod(U256::from(PARTS));
    if !rest.is_zero() {
        return Err(Refusal::ValueRemainder { found: rest.low_u32(), unit: PARTS });
    }
    u128::try_from(whole).map(Plancks).map_err(|_| Refusal::AmountTooLarge)
}

/// Pays.
///
/// # Errors
/// [`Refusal::PaymentFailed`] if the payee did not take it.
pub fn pay(payout: Payout) -> Result<(), Refusal> {
    // At most 2¹²⁸ · 2²⁰, so the product always fits.
    let value = U256::from(payout.amount.0).saturating_mul(U256::from(PARTS));
    ink::env::transfer::<MarketEnvironment>(payout.to.0.into(), value)
        .map_err(|_| Refusal::PaymentFailed { to: payout.to })
}

/// The platform's cryptography.
#[derive(Clone, Copy, Debug)]
pub struct Platform;

impl Host for Platform {
    fn keccak_256(&self, bytes: &[u8]) -> [u8; 32] {
        let mut hash = [0; 32];
        ink::env::hash_bytes::<Keccak256>(bytes, &mut hash);
        hash
    }

    fn recover(&self, digest: &[u8; 32], signature: &Signature) -> Option<SigningAddress> {
        // What the precompile reads: the digest, v as a word, r, s. ink!'s own function sends
        // another layout and answers zeros.
        let mut input = [0; 128];
        input[..32].copy_from_slice(digest);
        input[63] = signature.0[64];
        input[64..].copy_from_slice(&signature.0[..64]);
        let word = precompile(EC_RECOVER, &input)?;
        let (padding, address) = word.split_first_chunk::<12>()?;
        (*padding == [0; 12]).then_some(SigningAddress(address.try_into().ok()?))
    }

    fn block_hash(&self, block: BlockNumber) -> Option<[u8; 32]> {
        // Zeros stand for a block that the platform has forgotten.
        Some(hash_of(block)).filter(|hash| *hash != [0; 32])
    }

    fn sha_256(&self, bytes: &[u8]) -> Option<[u8; 32]> {
        precompile(SHA_256, bytes)
    }

    fn p256_verify(&self, digest: &[u8; 32], signature: &P256Signature, key: &P256Key) -> bool {
        let mut input = [0; 160];
        input[..32].copy_from_slice(digest);
        input[32..96].copy_from_slice(&signature.0);
        input[96..].copy_from_slice(&key.0);
        // Nothing but the whole word 1 is a yes: no answer is what a wrong signature and a missing precompile give.
        precompile(P256_VERIFY, &input) == Some(ONE)
    }
}

/// Where the platform recovers secp256k1 signers.
const EC_RECOVER: [u8; 20] = at(0, 1);
/// Where it hashes.
const SHA_256: [u8; 20] = at(0, 2);
/// Where it verifies signatures on P-256.
const P256_VERIFY: [u8; 20] = at(1, 0);
/// Its yes.
const ONE: [u8; 32] = {
    let mut word = [0; 32];
    word[31] = 1;
    word
};

/// The address that ends so.
const fn at(high: u8, low: u8) -> [u8; 20] {
    let mut address = [0; 20];
    address[18] = high;
    address[19] = low;
    address
}

/// The one word that the precompile at `address` answers; `None` for any other answer. Precompiles
/// fail with an empty success.
#[cfg(target_arch = "riscv64")]
fn precompile(address: [u8; 20], input: &[u8]) -> Option<[u8; 32]> {
    use pallet_revive_uapi::{CallFlags, HostFn, HostFnImpl};
    let mut word = [0; 32];
    let mut output = word.as_mut_slice();
    HostFnImpl::call(
        CallFlags::empty(),
        &address,
        u64::MAX,
        u64::MAX,
        &[u8::MAX; 32],
        &[0; 32],
        input,
        Some(&mut output),
    )
    .ok()?;
    (output.len() == 32).then_some(word)
}

/// The hash of one of the last 256 blocks; zeros for any other.
#[cfg(target_arch = "riscv64")]
fn hash_of(block: BlockNumber) -> [u8; 32] {
    use pallet_revive_uapi::{HostFn, HostFnImpl};
    let (mut number, mut hash) = ([0; 32], [0; 32]);
    number[..4].copy_from_slice(&block.0.to_le_bytes());
    HostFnImpl::block_hash(&number, &mut hash);
    hash
}

/// The host has no blocks; there only metadata is printed.
#[cfg(not(target_arch = "riscv64"))]
fn hash_of(_: BlockNumber) -> [u8; 32] {
    [0; 32]
}

/// The host has no precompiles; there only metadata is printed.
#[cfg(not(target_arch = "riscv64"))]
fn precompile(_: [u8; 20], _: &[u8]) -> Option<[u8; 32]> {
    None
}
