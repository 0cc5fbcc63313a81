//! A wallet secret in a file: JSON around what `lock` seals.
//!
//! ```json
//! { "encompute_keystore": 1, "kind": "mnemonic", "account": "5Grw…", "sealed": "45434c4b…" }
//! ```
//! `kind` and `account` are outside the seal, so that a wallet can be listed without its password,
//! and inside what is authenticated, so that they cannot be altered.

use serde::{Deserialize, Serialize};
use std::path::Path;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::lock::{KeyLock, LockError, read, write_new};

const KEYSTORE_VERSION: u8 = 1;

/// The secret that an account is derived from. Cannot be printed.
///
/// ```compile_fail
/// fn print(secret: &encompute_keys::WalletSecret) { println!("{secret:?}"); }
/// ```
#[derive(Zeroize, ZeroizeOnDrop)]
pub enum WalletSecret {
    /// Entropy of a BIP-39 phrase: 16, 20, 24, 28 or 32 bytes. The account's key is sr25519.
    MnemonicEntropy(Vec<u8>),
    /// The 32-byte seed of an sr25519 key without a phrase.
    Seed([u8; 32]),
    /// Entropy of a BIP-39 phrase. The account's key is of Ethereum's kind, the first that wallets derive.
    EthereumEntropy(Vec<u8>),
    /// A secp256k1 key of Ethereum's kind without a phrase.
    EthereumKey([u8; 32]),
}

/// Entropy lengths of BIP-39: 12 to 24 words.
const ENTROPY_BYTES: [usize; 5] = [16, 20, 24, 28, 32];

impl WalletSecret {
    /// Entropy of a new phrase of twelve words, from the operating system's randomness.
    pub fn new_mnemonic() -> Self {
        Self::MnemonicEntropy(rand::random::<[u8; 16]>().to_vec())
    }

    /// The same for a key of Ethereum's kind.
    pub fn new_ethereum_mnemonic() -> Self {
        Self::EthereumEntropy(rand::random::<[u8; 16]>().to_vec())
    }

    fn kind(&self) -> Kind {
        match self {
            Self::MnemonicEntropy(_) => Kind::Mnemonic,
            Self::Seed(_) => Kind::Seed,
            Self::EthereumEntropy(_) => Kind::EthereumMnemonic,
            Self::EthereumKey(_) => Kind::EthereumKey,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::MnemonicEntropy(entropy) | Self::EthereumEntropy(entropy) => entropy,
            Self::Seed(secret) | Self::EthereumKey(secret) => secret,
        }
    }

    fn from_bytes(kind: Kind, bytes: &[u8]) -> Option<Self> {
        match kind {
            Kind::Mnemonic => entropy(bytes).map(Self::MnemonicEntropy),
            Kind::Seed => bytes.try_into().ok().map(Self::Seed),
            Kind::EthereumMnemonic => entropy(bytes).map(Self::EthereumEntropy),
            Kind::EthereumKey => bytes.try_into().ok().map(Self::EthereumKey),
        }
    }
}

fn entropy(bytes: &[u8]) -> Option<Vec<u8>> {
    ENTROPY_BYTES.contains(&bytes.len()).then(|| bytes.to_vec())
}

/// The account that a secret gives, as text: kept beside the secret so that it can be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountLabel(pub String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Mnemonic,
    Seed,
    EthereumMnemonic,
    EthereumKey,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeystoreFile {
    encompute_keystore: u8,
    kind: Kind,
    account: AccountLabel,
    sealed: String,
}

/// Why a keystore was not made, read or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// The password is not the keystore's.
    #[error("wrong password for the keystore of {}", account.0)]
    WrongPassword {
        /// The account it keeps.
        account: AccountLabel,
    },
    /// The file is there already, is missing, or cannot be used.
    #[error("keystore file")]
    File(#[source] LockError),
    /// Not a keystore.
    #[error("not a keystore")]
    Malformed,
    /// A version that this program does not know.
    #[error("version {found} of the keystore format, only {KEYSTORE_VERSION} is known")]
    Version {
        /// Version found.
        found: u8,
    },
}

/// A wallet secret at rest.
pub struct Keystore {
    kind: Kind,
    account: AccountLabel,
    sealed: Vec<u8>,
}

impl Keystore {
    /// Seals `secret`, whose account is `account`, under `lock`.
    ///
    /// # Errors
    /// [`KeystoreError::File`] if the lock's cost is outside what is allowed.
    pub fn seal(secret: &WalletSecret, account: AccountLabel, lock: &KeyLock<'_>) -> Result<Self, KeystoreError> {
        let kind = secret.kind();
        let sealed = lock.seal(&content(kind, &account), secret.bytes()).map_err(KeystoreError::File)?;
        Ok(Self { kind, account, sealed })
    }

    /// The account, readable without the password.
    pub fn account(&self) -> &AccountLabel {
        &self.account
    }

    /// The secret.
    ///
    /// # Errors
    /// [`KeystoreError::WrongPassword`], also if the file was altered.
    pub fn open(&self, lock: &KeyLock<'_>) -> Result<WalletSecret, KeystoreError> {
        let plain: Zeroizing<Vec<u8>> =
            lock.open(&content(self.kind, &self.account), &self.sealed).map_err(|error| match error {
                LockError::WrongSecret => KeystoreError::WrongPassword { account: self.account.clone() },
                error => KeystoreError::File(error),
            })?;
        WalletSecret::from_bytes(self.kind, &plain).ok_or(KeystoreError::Malformed)
    }

    /// Writes the keystore to a new file that only its owner can read.
    ///
    /// # Errors
    /// [`KeystoreError::File`]; an existing file is never overwritten.
    pub fn write_new(&self, path: &Path) -> Result<(), KeystoreError> {
        let file = KeystoreFile {
            encompute_keystore: KEYSTORE_VERSION,
            kind: self.kind,
            account: self.account.clone(),
            sealed: hex::encode(&self.sealed),
        };
        let mut text = serde_json::to_vec_pretty(&file).map_err(|_| KeystoreError::Malformed)?;
        text.push(b'\n');
        write_new(path, &text).map_err(KeystoreError::File)
    }

    /// The keystore in a file.
    ///
    /// # Errors
    /// [`KeystoreError::File`], [`KeystoreError::Malformed`], [`KeystoreError::Version`].
    pub fn read(path: &Path) -> Result<Self, KeystoreError> {
        let text = read(path).map_err(KeystoreError::File)?;
        let file: KeystoreFile = serde_json::from_slice(&text).map_err(|_| KeystoreError::Malformed)?;
        if file.encompute_keystore != KEYSTORE_VERSION {
            return Err(KeystoreError::Version { found: file.encompute_keystore });
        }
        let sealed = hex::decode(&file.sealed).map_err(|_| KeystoreError::Malformed)?;
        Ok(Self { kind: file.kind, account: file.account, sealed })
    }
}

fn content(kind: Kind, account: &AccountLabel) -> Vec<u8> {
    let kind = match kind {
        Kind::Mnemonic => "mnemonic",
        Kind::Seed => "seed",
        Kind::EthereumMnemonic => "ethereum-mnemonic",
        Kind::EthereumKey => "ethereum-key",
    };
    format!("encompute/wallet/v1/{kind}/{}", account.0).into_bytes()
}
