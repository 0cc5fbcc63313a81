//! Accounts as the chain names them: 32 bytes, written as SS58.

use blake2::{Blake2b512, Digest};
use core::{fmt, str::FromStr};
use encompute_protocol::{Address, ContractAddress};

/// SS58 prefix of chains that have none of their own.
const GENERIC_PREFIX: u16 = 42;
/// Digits of base 58, without those that look alike.
const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Longest text read as an account: the longest SS58 text of 32 bytes, and hexadecimal with `0x`.
const LONGEST_TEXT: usize = 66;

/// A 32-byte account id: the public key of its signer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub [u8; 32]);

/// Text that names no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseAccountError {
    /// Neither 0x and 64 or 40 hexadecimal digits nor base 58 of the right length.
    #[error(
        "{found:?} is no account; write its SS58 address, or 0x and 64 hexadecimal digits, or 40 of a key of Ethereum's kind"
    )]
    Form {
        /// What was written.
        found: String,
    },
    /// A typing error: the address' checksum is another.
    #[error("account {found:?} is mistyped: its checksum does not fit")]
    Checksum {
        /// What was written.
        found: String,
    },
}

impl AccountId {
    /// Under which account the chain keeps the money of an address that no 32 bytes stand behind, a contract's or
    /// that of a key of Ethereum's kind: its 20 bytes and twelve times 0xee, as pallet-revive maps them.
    pub fn of_address(address: Address) -> Self {
        let mut bytes = [0xee; 32];
        bytes[..20].copy_from_slice(&address.0);
        Self(bytes)
    }

    /// Under which account the chain keeps a contract's money.
    pub fn of_contract(contract: ContractAddress) -> Self {
        Self::of_address(Address(contract.0))
    }

    /// True for the account of 20 bytes: a contract's, or that of a key of Ethereum's kind.
    pub(crate) fn is_of_an_address(&self) -> bool {
        self.0[20..] == [0xee; 12]
    }

    /// The account as the contract sees it.
    pub fn address(&self) -> Address {
        match self.0.first_chunk() {
            Some(own) if self.is_of_an_address() => Address(*own),
            _ => Address::of_account(&self.0),
        }
    }

    /// The SS58 address on a chain with this prefix, 0 ..= 16,383.
    pub fn to_ss58(&self, prefix: u16) -> String {
        let prefix = prefix & 0x3fff;
        let mut bytes = match u8::try_from(prefix) {
            Ok(short) if short < 64 => vec![short],
            // Two bytes: the prefix's bits 2 to 7 under the mark 01, then bits 8 to 13 and 0 to 1.
            _ => vec![((prefix & 0xfc) >> 2) as u8 | 0x40, (prefix >> 8) as u8 | ((prefix & 3) << 6) as u8],
        };
        bytes.extend_from_slice(&self.0);
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        to_base58(&bytes)
    }
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    let hash = Blake2b512::new_with_prefix(b"SS58PRE").chain_update(bytes).finalize();
    [hash[0], hash[1]]
}

fn to_base58(bytes: &[u8]) -> String {
    let mut digits: Vec<u8> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = std::iter::repeat_n(0, zeros).chain(digits.into_iter().rev());
    digits.map(|digit| char::from(BASE58[usize::from(digit)])).collect()
}

fn from_base58(text: &str) -> Option<Vec<u8>> {
    let mut bytes: Vec<u8> = Vec::new();
    for character in text.bytes() {
        let mut carry = BASE58.iter().position(|known| *known == character)? as u32;
        for byte in &mut bytes {
            carry += u32::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        while carry > 0 {
            bytes.push(carry as u8);
            carry >>= 8;
        }
    }
    let zeros = text.bytes().take_while(|character| *character == BASE58[0]).count();
    bytes.extend(std::iter::repeat_n(0, zeros));
    bytes.reverse();
    Some(bytes)
}

impl FromStr for AccountId {
    type Err = ParseAccountError;

    /// Reads an SS58 address of any chain, `0x` and 64 hexadecimal digits, or the 40 of an address that no account id
    /// stands behind.
    fn from_str(text: &str) -> Result<Self, ParseAccountError> {
        let shown: String = text.chars().take(LONGEST_TEXT).collect();
        let form = || ParseAccountError::Form { found: shown.clone() };
        if text.len() > LONGEST_TEXT {
            return Err(form());
        }
        if let Some(digits) = text.strip_prefix("0x") {
            let (mut id, mut address) = ([0; 32], Address::default());
            if hex::decode_to_slice(digits, &mut address.0).is_ok() {
                return Ok(Self::of_address(address));
            }
            return hex::decode_to_slice(digits, &mut id).map(|()| Self(id)).map_err(|_| form());
        }
        let bytes = from_base58(text).ok_or_else(form)?;
        let prefix_bytes = match bytes.first() {
            Some(0..64) => 1,
            Some(64..128) => 2,
            _ => return Err(form()),
        };
        if bytes.len() != prefix_bytes + 32 + 2 {
            return Err(form());
        }
        let (named, sum) = bytes.split_at(prefix_bytes + 32);
        if checksum(named) != sum {
            return Err(ParseAccountError::Checksum { found: shown });
        }
        let mut id = [0; 32];
        id.copy_from_slice(&named[prefix_bytes..]);
        Ok(Self(id))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_ss58(GENERIC_PREFIX))
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountId({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

    #[test]
    fn alice_has_the_addresses_that_other_tools_print() {
        let alice: AccountId = ALICE.parse().unwrap();
        assert_eq!(hex::encode(alice.0), "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d");
        assert_eq!(alice.to_string(), ALICE);
        assert_eq!(alice.to_ss58(0), "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5");
        assert_eq!(alice.address().to_string(), "0x9621dde636de098b43efb0fa9b61facfe328f99d");
    }

    #[test]
    fn an_account_of_twenty_bytes_is_that_address_to_contracts() {
        let address = Address([7; 20]);
        let account = AccountId::of_address(address);
        assert_eq!((account.address(), &account.0[20..]), (address, &[0xee; 12][..]));
        assert_eq!(AccountId::of_contract(ContractAddress([7; 20])), account);
        assert_eq!(address.to_string().parse(), Ok(account));
    }

    #[test]
    fn a_mistyped_address_is_told_from_one_that_is_none() {
        let mistyped = ALICE.replace("QY", "QZ").parse::<AccountId>();
        assert!(matches!(mistyped, Err(ParseAccountError::Checksum { .. })));
        for none in ["", "alice", "0x12", &"1".repeat(1_000)] {
            assert!(matches!(none.parse::<AccountId>(), Err(ParseAccountError::Form { .. })), "{none}");
        }
    }

    proptest! {
        #[test]
        fn an_account_survives_being_written_with_any_prefix(id: [u8; 32], prefix in 0u16..16_384) {
            let account = AccountId(id);
            prop_assert_eq!(account.to_ss58(prefix).parse(), Ok(account));
            prop_assert_eq!(format!("0x{}", hex::encode(id)).parse(), Ok(account));
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in ".{0,80}") {
            let _ = text.parse::<AccountId>();
        }
    }
}
