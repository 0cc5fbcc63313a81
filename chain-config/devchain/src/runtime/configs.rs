//! Each pallet's configuration. Anything not named here is the pallet's own default.

use super::{
    AccountId, Address, Balance, Balances, Block, EthExtraImpl, OriginCaller, PalletInfo, Runtime, RuntimeCall,
    RuntimeEvent, RuntimeFreezeReason, RuntimeHoldReason, RuntimeOrigin, RuntimeTask, Signature, System, Timestamp,
    VERSION,
    amounts::{
        DEPOSIT_PER_BYTE, DEPOSIT_PER_CONTRACT_ITEM, DEPOSIT_PER_ITEM, EXISTENTIAL_DEPOSIT, FEE_PER_BYTE,
        NATIVE_TO_ETH_RATIO,
    },
};
use frame_support::{
    derive_impl,
    dispatch::DispatchClass,
    parameter_types,
    traits::{ConstBool, ConstU8, ConstU16, ConstU32, ConstU64, ConstU128, Get, VariantCountOf},
    weights::{
        ConstantMultiplier, Weight,
        constants::{BlockExecutionWeight, ExtrinsicBaseWeight, RocksDbWeight, WEIGHT_REF_TIME_PER_SECOND},
    },
};
use frame_system::{EnsureSigned, limits::BlockWeights};
use pallet_revive::{
    AccountId32Mapper, AutoMapper,
    evm::fees::{BlockRatioFee, Info as FeeInfo},
};
use pallet_transaction_payment::{ConstFeeMultiplier, FungibleAdapter, Multiplier};
use sp_runtime::{Perbill, traits::One};
use sp_version::RuntimeVersion;

/// Two seconds of compute and 10 MiB of proof per block, as on Polkadot's system chains.
const MAXIMUM_BLOCK_WEIGHT: Weight = Weight::from_parts(WEIGHT_REF_TIME_PER_SECOND.saturating_mul(2), 10 * 1024 * 1024);

/// Signed transactions may fill this part of a block.
const NORMAL_RATIO: Perbill = Perbill::from_percent(75);

/// In the state of a chain on which accounts are mapped by a call alone.
pub const EXPLICIT_MAPPING_KEY: &[u8] = b":encompute:explicit-mapping";

parameter_types! {
    pub const Version: RuntimeVersion = VERSION;
    pub const CodeHashLockupDepositPercent: Perbill = Perbill::from_percent(30);
    pub FeeMultiplier: Multiplier = Multiplier::one();
    pub RuntimeBlockWeights: BlockWeights = BlockWeights::builder()
        .base_block(BlockExecutionWeight::get())
        .for_class(DispatchClass::all(), |weights| weights.base_extrinsic = ExtrinsicBaseWeight::get())
        .for_class(DispatchClass::Normal, |weights| {
            weights.max_total = Some(NORMAL_RATIO * MAXIMUM_BLOCK_WEIGHT);
        })
        .for_class(DispatchClass::Operational, |weights| {
            weights.max_total = Some(MAXIMUM_BLOCK_WEIGHT);
            weights.reserved = Some(MAXIMUM_BLOCK_WEIGHT - NORMAL_RATIO * MAXIMUM_BLOCK_WEIGHT);
        })
        .avg_block_initialization(Perbill::from_percent(10))
        .build_or_panic();
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
    type Block = Block;
    type Version = Version;
    type AccountId = AccountId;
    type AccountData = pallet_balances::AccountData<Balance>;
    type BlockWeights = RuntimeBlockWeights;
    // A client's transaction names a recent block; at ten blocks a second 4096 blocks are seven minutes.
    type BlockHashCount = ConstU32<4096>;
    type DbWeight = RocksDbWeight;
    type SS58Prefix = ConstU16<42>;
    type OnNewAccount = AutoMapper<Runtime>;
    type OnKilledAccount = AutoMapper<Runtime>;
}

impl pallet_timestamp::Config for Runtime {
    type Moment = u64;
    type OnTimestampSet = ();
    type MinimumPeriod = ConstU64<1>;
    type WeightInfo = pallet_timestamp::weights::SubstrateWeight<Runtime>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Runtime {
    type AccountStore = System;
    type Balance = Balance;
    type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
    type MaxFreezes = VariantCountOf<RuntimeFreezeReason>;
    type WeightInfo = pallet_balances::weights::SubstrateWeight<Runtime>;
}

impl pallet_transaction_payment::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    // Fees are burnt: the chain has no author to pay.
    type OnChargeTransaction = FungibleAdapter<Balances, ()>;
    // One planck per picosecond of compute, and as much for a full block's proof as for its compute.
    type WeightToFee = BlockRatioFee<1, 1, Self, Balance>;
    type LengthToFee = ConstantMultiplier<Balance, ConstU128<FEE_PER_BYTE>>;
    type FeeMultiplierUpdate = ConstFeeMultiplier<FeeMultiplier>;
    type OperationalFeeMultiplier = ConstU8<5>;
    type WeightInfo = pallet_transaction_payment::weights::SubstrateWeight<Runtime>;
}

impl pallet_utility::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type PalletsOrigin = OriginCaller;
    type WeightInfo = pallet_utility::weights::SubstrateWeight<Runtime>;
}

/// Whether accounts are mapped as they come into being: unless genesis says otherwise. It is part of the state, so that
/// a block executes alike wherever it is executed.
pub struct MapsByItself;

impl Get<bool> for MapsByItself {
    fn get() -> bool {
        !frame_support::storage::unhashed::exists(EXPLICIT_MAPPING_KEY)
    }
}

#[derive_impl(pallet_revive::config_preludes::TestDefaultConfig)]
impl pallet_revive::Config for Runtime {
    type Time = Timestamp;
    type Balance = Balance;
    type Currency = Balances;
    type WeightInfo = pallet_revive::weights::SubstrateWeight<Runtime>;
    type DepositPerByte = ConstU128<DEPOSIT_PER_BYTE>;
    type DepositPerItem = ConstU128<DEPOSIT_PER_ITEM>;
    type DepositPerChildTrieItem = ConstU128<DEPOSIT_PER_CONTRACT_ITEM>;
    type CodeHashLockupDepositPercent = CodeHashLockupDepositPercent;
    type AddressMapper = AccountId32Mapper<Self>;
    type AutoMap = MapsByItself;
    type AllowEVMBytecode = ConstBool<false>;
    type UploadOrigin = EnsureSigned<AccountId>;
    type InstantiateOrigin = EnsureSigned<AccountId>;
    type ChainId = ConstU64<420_420_420>;
    type NativeToEthRatio = ConstU32<NATIVE_TO_ETH_RATIO>;
    type FeeInfo = FeeInfo<Address, Signature, EthExtraImpl>;
}
