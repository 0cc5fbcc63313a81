//! Prices of the development chain, in plancks (10⁻¹² UNIT).
//!
//! Real enough to be seen in every balance, small enough that a 30 kB contract costs cents of a UNIT:
//! code upload ≈ 0.03 UNIT of deposit, a 300-byte job ≈ 0.0004 UNIT, a transfer ≈ 0.0003 UNIT of fee.

use super::Balance;

/// One token: 12 decimals.
pub const UNIT: Balance = 1_000_000_000_000;

/// The smallest balance an account may hold: 0.001 UNIT.
pub const EXISTENTIAL_DEPOSIT: Balance = UNIT / 1_000;

/// Held per storage item of the contracts pallet itself (code, contract record): 0.001 UNIT.
pub const DEPOSIT_PER_ITEM: Balance = UNIT / 1_000;

/// Held per storage item a contract writes: 0.0001 UNIT.
pub const DEPOSIT_PER_CONTRACT_ITEM: Balance = UNIT / 10_000;

/// Held per stored byte: 0.000001 UNIT.
pub const DEPOSIT_PER_BYTE: Balance = UNIT / 1_000_000;

/// Fee per byte of a transaction: 0.000001 UNIT.
pub const FEE_PER_BYTE: Balance = UNIT / 1_000_000;

/// One planck is this many units of the 18-decimal amounts contracts see.
pub const NATIVE_TO_ETH_RATIO: u32 = 1_000_000;
