//! Keys of Ethereum's kind, and the transactions they sign (EIP-1559).
//!
//! Contracts see such a key as its own 20 bytes. Nothing here knows a chain: which number, which price, how much gas
//! is for whoever asks for the signature.

use bip32::{DerivationPath, XPrv};
use encompute_protocol::{Address, digest::keccak_256};
use k256::ecdsa::SigningKey;
use subxt_signer::bip39::Mnemonic;

/// The kind of transaction, as its first byte: EIP-1559.
const KIND: u8 = 2;

/// A secp256k1 key, wiped when it is dropped. It shows nothing of its secret.
pub(crate) struct EthereumKey {
    key: SigningKey,
    address: Address,
}

/// What is signed.
pub(crate) struct EthereumTransaction<'a> {
    pub(crate) chain: u64,
    pub(crate) number: u64,
    /// Most that is paid for a unit of gas.
    pub(crate) price_limit: u128,
    pub(crate) gas: u128,
    pub(crate) to: [u8; 20],
    /// In the parts of a planck that contracts count.
    pub(crate) value: u128,
    pub(crate) calldata: &'a [u8],
}

impl EthereumKey {
    /// None where the 32 bytes are no secret key of the curve.
    pub(crate) fn from_secret(secret: &[u8; 32]) -> Option<Self> {
        let key = SigningKey::from_slice(secret).ok()?;
        let point = key.verifying_key().to_encoded_point(false);
        // The first byte says that both coordinates follow.
        let hash = keccak_256(&[point.as_bytes().get(1..)?]);
        let mut address = Address::default();
        address.0.copy_from_slice(&hash[12..]);
        Some(Self { key, address })
    }

    /// The key of a phrase with this index, where every Ethereum wallet looks for it (m/44'/60'/0'/0/index).
    pub(crate) fn from_phrase(phrase: &Mnemonic, password: &str, index: u32) -> Option<Self> {
        let seed = zeroize::Zeroizing::new(phrase.to_seed(password));
        let path: DerivationPath = format!("m/44'/60'/0'/0/{index}").parse().ok()?;
        let key = XPrv::derive_from_path(*seed, &path).ok()?;
        Self::from_secret(&zeroize::Zeroizing::new(key.to_bytes()))
    }

    /// The key as contracts see it.
    pub(crate) fn address(&self) -> Address {
        self.address
    }

    /// The signed bytes, as Ethereum's wallets hand them in.
    pub(crate) fn sign(&self, transaction: &EthereumTransaction<'_>) -> Option<Vec<u8>> {
        let fields = transaction.fields();
        let hash = keccak_256(&[&[KIND], &list(&fields)]);
        let (signature, recovery) = self.key.sign_prehash_recoverable(&hash).ok()?;
        let (r, s) = signature.split_bytes();
        let proof = [number(u128::from(recovery.to_byte())), bytes(without_zeros(&r)), bytes(without_zeros(&s))];
        Some([&[KIND][..], &list(&[fields, proof.concat()].concat())].concat())
    }
}

impl EthereumTransaction<'_> {
    /// Its fields, one after the other: nothing is offered on top of the price of gas, and no access list.
    fn fields(&self) -> Vec<u8> {
        [
            number(u128::from(self.chain)),
            number(u128::from(self.number)),
            number(0),
            number(self.price_limit),
            number(self.gas),
            bytes(&self.to),
            number(self.value),
            bytes(self.calldata),
            list(&[]),
        ]
        .concat()
    }
}

/// RLP of a string of bytes.
fn bytes(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [byte @ 0..0x80] => vec![*byte],
        _ => [&head(0x80, bytes.len())[..], bytes].concat(),
    }
}

/// RLP of a number: its bytes, the highest first, without zeros before them.
fn number(number: u128) -> Vec<u8> {
    bytes(without_zeros(&number.to_be_bytes()))
}

/// RLP of a list of what is encoded already.
fn list(items: &[u8]) -> Vec<u8> {
    [&head(0xc0, items.len())[..], items].concat()
}

/// Up to 55 bytes are counted in the first byte, more of them by the bytes of their count.
fn head(kind: u8, length: usize) -> Vec<u8> {
    let length = length.to_be_bytes();
    let length = without_zeros(&length);
    match length {
        [] => vec![kind],
        [short @ 0..=55] => vec![kind + short],
        _ => [&[kind + 55 + length.len() as u8][..], length].concat(),
    }
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::Value;

    fn recorded() -> Value {
        serde_json::from_str(include_str!("../../../tests/vectors/ethereum/transactions.json")).unwrap()
    }

    fn bytes_of(value: &Value) -> Vec<u8> {
        let text = value.as_str().unwrap_or("0x");
        hex::decode(text.strip_prefix("0x").unwrap_or(text)).unwrap()
    }

    fn number_of(value: &Value) -> u128 {
        value.as_str().map_or_else(|| u128::from(value.as_u64().unwrap()), |text| text.parse().unwrap())
    }

    #[test]
    fn what_is_signed_is_what_viem_signs_to_the_byte() {
        let recorded = recorded();
        let key = EthereumKey::from_secret(&bytes_of(&recorded["key"]).try_into().unwrap()).unwrap();
        assert_eq!(key.address().to_string(), recorded["address"]);
        let mut compared = 0;
        for transaction in recorded["transactions"].as_array().unwrap() {
            let fields = &transaction["fields"];
            if fields["type"] != "eip1559" {
                continue;
            }
            let signed = key.sign(&EthereumTransaction {
                chain: fields["chainId"].as_u64().unwrap(),
                number: fields["nonce"].as_u64().unwrap(),
                price_limit: number_of(&fields["maxFeePerGas"]),
                gas: number_of(&fields["gas"]),
                to: bytes_of(&fields["to"]).try_into().unwrap(),
                value: number_of(&fields["value"]),
                calldata: &bytes_of(&fields["data"]),
            });
            assert_eq!(
                hex::encode(signed.unwrap()),
                hex::encode(bytes_of(&transaction["raw"])),
                "{}",
                transaction["name"]
            );
            compared += 1;
        }
        assert_eq!(compared, 11);
    }

    #[test]
    fn a_phrase_gives_the_key_that_a_wallet_derives_from_it() {
        let phrase: Mnemonic = subxt_signer::DEV_PHRASE.parse().unwrap();
        let alith = EthereumKey::from_phrase(&phrase, "", 0).unwrap();
        assert_eq!(alith.address().to_string(), recorded()["address"]);
        assert_ne!(EthereumKey::from_phrase(&phrase, "more", 0).unwrap().address(), alith.address());
        assert_ne!(EthereumKey::from_phrase(&phrase, "", 1).unwrap().address(), alith.address());
    }

    #[test]
    fn long_calldata_is_counted_by_as_many_bytes_as_it_takes() {
        assert_eq!(head(0x80, 55), [0xb7]);
        assert_eq!(head(0x80, 56), [0xb8, 56]);
        assert_eq!(head(0xc0, 256), [0xf9, 1, 0]);
        assert_eq!(head(0x80, 65_536), [0xba, 1, 0, 0]);
        assert_eq!((number(0), number(127), number(128)), (vec![0x80], vec![0x7f], vec![0x81, 0x80]));
    }

    #[test]
    fn what_is_no_secret_of_the_curve_is_refused() {
        assert!(EthereumKey::from_secret(&[0; 32]).is_none());
        assert!(EthereumKey::from_secret(&[0xff; 32]).is_none());
    }
}
