//! Keys that sign transactions: sr25519 or of Ethereum's kind, from whichever form a wallet keeps them in, or sr25519 in
//! a wallet outside.

use crate::{account_id::AccountId, ethereum::EthereumKey, outside::Wallet};
use core::str::FromStr;
use encompute_protocol::Address;
use rand::TryRngCore;
use std::sync::Arc;
use subxt_signer::{SecretUri, bip39::Mnemonic, polkadot_js_compat, sr25519::Keypair};
use zeroize::{Zeroize, Zeroizing};

/// Signs for one account. It shows nothing of its secret: no `Debug`, no `Display`, no serialisation.
#[derive(Clone)]
pub struct Signer {
    pub(crate) key: Key,
    account: AccountId,
    is_development: bool,
}

/// Where the key is.
#[derive(Clone)]
pub(crate) enum Key {
    Here(Box<Keypair>),
    Ethereum(Arc<EthereumKey>),
    Outside(Arc<dyn Wallet>),
}

/// The development keys of Ethereum's kind, by the names that development chains know them by: keys 0 to 5 of the
/// phrase that every one of them publishes.
const ETHEREUM_DEVELOPMENT: [(&str, [u8; 20]); 6] = [
    ("//Alith", *b"\xf2\x4f\xf3\xa9\xcf\x04\xc7\x1d\xbc\x94\xd0\xb5\x66\xf7\xa2\x7b\x94\x56\x6c\xac"),
    ("//Baltathar", *b"\x3c\xd0\xa7\x05\xa2\xdc\x65\xe5\xb1\xe1\x20\x58\x96\xba\xa2\xbe\x8a\x07\xc6\xe0"),
    ("//Charleth", *b"\x79\x8d\x4b\xa9\xba\xf0\x06\x4e\xc1\x9e\xb4\xf0\xa1\xa4\x57\x85\xae\x9d\x6d\xfc"),
    ("//Dorothy", *b"\x77\x35\x39\xd4\xac\x0e\x78\x62\x33\xd9\x0a\x23\x36\x54\xcc\xee\x26\xa6\x13\xd9"),
    ("//Ethan", *b"\xff\x64\xd3\xf6\xef\xe2\x31\x7e\xe2\x80\x7d\x22\x3a\x0b\xdc\x4c\x0c\x49\xdf\xdb"),
    ("//Faith", *b"\xc0\xf0\xf4\xab\x32\x4c\x46\xe5\x5d\x02\xd0\x03\x33\x43\xb4\xbe\x8a\x55\x53\x2d"),
];

/// A secret that is none. The secret itself is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// Neither `//Name` nor a phrase nor `0x` and a seed, with or without a path.
    #[error("secret is no phrase, no 0x and 64 hexadecimal digits, no development name such as //Alice")]
    Uri,
    /// Not 12 to 24 English words with their checksum.
    #[error("phrase is not 12, 15, 18, 21 or 24 words with a checksum that fits")]
    Phrase,
    /// No secret key of the curve.
    #[error("seed is no secret key")]
    Seed,
    /// No polkadot.js export of an sr25519 key.
    #[error("file is no polkadot.js export of an sr25519 account (version 3, scrypt, xsalsa20-poly1305)")]
    Json,
    /// The export was encrypted with another password.
    #[error("password does not open the polkadot.js export")]
    Password,
    /// The system gave no randomness.
    #[error("system gives no randomness")]
    Randomness,
}

/// A fresh phrase of 12 words.
///
/// # Errors
/// [`SignerError::Randomness`].
pub fn new_phrase() -> Result<Zeroizing<String>, SignerError> {
    let mut entropy = Zeroizing::new([0u8; 16]);
    rand::rngs::OsRng.try_fill_bytes(&mut *entropy).map_err(|_| SignerError::Randomness)?;
    let phrase = Mnemonic::from_entropy(&*entropy).map_err(|_| SignerError::Randomness)?;
    Ok(Zeroizing::new(phrase.to_string()))
}

impl Signer {
    /// From a secret URI: a phrase or `0x` and a seed, with derivation path and password (`///…`) if
    /// any. Without a phrase (`//Alice`) it is a development key, known to everybody; `//Alith` to `//Faith` are those
    /// of Ethereum's kind.
    ///
    /// # Errors
    /// [`SignerError::Uri`].
    pub fn from_suri(suri: &str) -> Result<Self, SignerError> {
        if let Some((index, _)) = (0..).zip(ETHEREUM_DEVELOPMENT).find(|(_, (name, _))| *name == suri.trim()) {
            let phrase = Mnemonic::parse(subxt_signer::DEV_PHRASE).map_err(|_| SignerError::Uri)?;
            let key = EthereumKey::from_phrase(&phrase, "", index).ok_or(SignerError::Uri)?;
            return Ok(Self::of_ethereum(key));
        }
        let uri = SecretUri::from_str(suri.trim()).map_err(|_| SignerError::Uri)?;
        let keypair = Keypair::from_uri(&uri).map_err(|_| SignerError::Uri)?;
        Ok(Self::here(keypair, is_development(suri.trim())))
    }

    /// From a phrase of English words and its password, if it has one.
    ///
    /// # Errors
    /// [`SignerError::Phrase`].
    pub fn from_phrase(phrase: &str, password: Option<&str>) -> Result<Self, SignerError> {
        let mnemonic = Mnemonic::parse(phrase.trim()).map_err(|_| SignerError::Phrase)?;
        let keypair = Keypair::from_phrase(&mnemonic, password).map_err(|_| SignerError::Phrase)?;
        Ok(Self::here(keypair, is_development(phrase.trim())))
    }

    /// From a 32-byte seed. The seed is wiped here; the caller's copy is the caller's.
    ///
    /// # Errors
    /// [`SignerError::Seed`].
    pub fn from_seed(mut seed: [u8; 32]) -> Result<Self, SignerError> {
        let keypair = Keypair::from_secret_key(seed).map_err(|_| SignerError::Seed);
        seed.zeroize();
        Ok(Self::here(keypair?, false))
    }

    /// From an account exported by polkadot.js or its browser extension.
    ///
    /// # Errors
    /// [`SignerError::Json`] for another file, [`SignerError::Password`] for another password.
    pub fn from_json(json: &str, password: &str) -> Result<Self, SignerError> {
        let keypair = polkadot_js_compat::decrypt_json(json, password).map_err(|error| match error {
            polkadot_js_compat::Error::Secretbox(_) => SignerError::Password,
            _ => SignerError::Json,
        })?;
        Ok(Self::here(keypair, false))
    }

    /// The first key of Ethereum's kind that wallets derive from a phrase of English words (m/44'/60'/0'/0/0).
    ///
    /// # Errors
    /// [`SignerError::Phrase`].
    pub fn from_ethereum_phrase(phrase: &str) -> Result<Self, SignerError> {
        let mnemonic = Mnemonic::parse(phrase.trim()).map_err(|_| SignerError::Phrase)?;
        let key = EthereumKey::from_phrase(&mnemonic, "", 0).ok_or(SignerError::Phrase)?;
        Ok(Self::of_ethereum(key))
    }

    /// From the 32 bytes of a secp256k1 key, as Ethereum's wallets export it. The caller's copy is the caller's.
    ///
    /// # Errors
    /// [`SignerError::Seed`].
    pub fn from_ethereum_key(secret: &[u8; 32]) -> Result<Self, SignerError> {
        Ok(Self::of_ethereum(EthereumKey::from_secret(secret).ok_or(SignerError::Seed)?))
    }

    fn of_ethereum(key: EthereumKey) -> Self {
        let is_development = ETHEREUM_DEVELOPMENT.iter().any(|(_, known)| *known == key.address().0);
        let account = AccountId::of_address(key.address());
        Self { key: Key::Ethereum(Arc::new(key)), account, is_development }
    }

    /// An account whose key is in a wallet outside of this program.
    pub fn outside(account: AccountId, wallet: Arc<dyn Wallet>) -> Self {
        Self { key: Key::Outside(wallet), account, is_development: false }
    }

    fn here(keypair: Keypair, is_development: bool) -> Self {
        let account = AccountId(keypair.public_key().0);
        Self { key: Key::Here(Box::new(keypair)), account, is_development }
    }

    /// The account it signs for.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// True for a key of Ethereum's kind: people know its account by its 20 bytes.
    pub fn is_ethereum(&self) -> bool {
        matches!(self.key, Key::Ethereum(_))
    }

    /// The account as the contract sees it.
    pub fn address(&self) -> Address {
        self.account().address()
    }

    /// True for keys derived from the phrase that every development chain publishes. Whoever loads
    /// a key for a network with real money asks.
    pub fn is_development(&self) -> bool {
        self.is_development
    }
}

fn is_development(secret: &str) -> bool {
    secret.is_empty() || secret.starts_with('/') || secret.starts_with(subxt_signer::DEV_PHRASE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn alice_is_the_account_that_every_development_chain_knows() {
        let alice = Signer::from_suri("//Alice").unwrap();
        assert_eq!(alice.account().to_string(), "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
        assert!(alice.is_development());
        let phrase = format!("{}//Alice", subxt_signer::DEV_PHRASE);
        let same = Signer::from_suri(&phrase).unwrap();
        assert!(same.account() == alice.account() && same.is_development());
    }

    #[test]
    fn alith_is_the_account_that_every_development_chain_knows_and_a_wallet_derives() {
        let alith = Signer::from_suri("//Alith").unwrap();
        assert_eq!(alith.address().to_string(), "0xf24ff3a9cf04c71dbc94d0b566f7a27b94566cac");
        assert!(alith.is_development() && alith.is_ethereum() && !Signer::from_suri("//Alice").unwrap().is_ethereum());
        let same = Signer::from_ethereum_phrase(subxt_signer::DEV_PHRASE).unwrap();
        assert!(same.account() == alith.account() && same.is_development());
        for (name, address) in ETHEREUM_DEVELOPMENT {
            let signer = Signer::from_suri(name).unwrap();
            assert!(signer.address().0 == address && signer.is_development(), "{name}");
        }
        let own = Signer::from_ethereum_key(&[7; 32]).unwrap();
        assert!(own.is_ethereum() && !own.is_development());
        assert_eq!(Signer::from_ethereum_key(&[0; 32]).err(), Some(SignerError::Seed));
    }

    #[test]
    fn a_new_phrase_opens_one_account_and_no_other() {
        let (phrase, other) = (new_phrase().unwrap(), new_phrase().unwrap());
        assert_eq!(phrase.split(' ').count(), 12);
        assert!(*phrase != *other);
        let signer = Signer::from_phrase(&phrase, None).unwrap();
        assert!(signer.account() == Signer::from_suri(&phrase).unwrap().account());
        assert!(signer.account() != Signer::from_phrase(&phrase, Some("password")).unwrap().account());
        assert!(!signer.is_development());
    }

    #[test]
    fn a_seed_is_the_account_that_its_hexadecimal_uri_is() {
        let seed = [7; 32];
        let uri = format!("0x{}", hex::encode(seed));
        assert!(Signer::from_seed(seed).unwrap().account() == Signer::from_suri(&uri).unwrap().account());
    }

    #[test]
    fn what_is_no_secret_is_refused_without_repeating_it() {
        assert_eq!(Signer::from_suri("correct horse battery staple").err(), Some(SignerError::Uri));
        assert_eq!(Signer::from_phrase("one two three", None).err(), Some(SignerError::Phrase));
        assert_eq!(Signer::from_json("{}", "secret").err(), Some(SignerError::Json));
        assert!(!SignerError::Password.to_string().contains("secret"));
    }
}
