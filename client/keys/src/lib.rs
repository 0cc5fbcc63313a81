//! FHE secret keys, encryption, decryption; the wallet's keystore.
//!
//! This crate holds the only code that can open a ciphertext. It refuses to do so without a
//! [`VerifiedResponse`], which names the digest of the one response whose receipt was checked, and
//! what comes out, [`SecretFeatures`], cannot be printed, serialised or copied.
//!
//! * [`SecretKey`]: made fresh for every case, encrypts requests, decrypts responses, makes a case's evaluation key.
//! * [`SecretFeatures`]: decrypted sums; their only ways out are named after who may take them.
//! * [`Keystore`]: a wallet secret in a file, under a password.
//!
//! ```
//! use encompute_fhe::{AccumulatorBits, InputLayout, ParameterSet, Slot};
//! use encompute_keys::SecretKey;
//!
//! let key = SecretKey::generate(ParameterSet::Glwe2048V1);
//! let slots = vec![Slot { ciphertext: 0, coefficient: 5, value: 0 }];
//! let layout = InputLayout::new(ParameterSet::Glwe2048V1, 1, 1, slots)?;
//! let request = key.encrypt(&[-7], &layout, AccumulatorBits(20))?;
//! assert_eq!(request.ciphertext_count(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod evaluation;
mod features;
mod fhe;
mod home;
mod keystore;
mod lock;
pub mod secret_file;

pub use evaluation::EvaluationKeyRefused;
pub use features::{SecretFeatures, VerifiedResponse};
pub use fhe::{DecryptError, EncryptError, SecretKey};
pub use home::{HomeSeal, OpenHomeError, OpenedHome};
pub use keystore::{AccountLabel, Keystore, KeystoreError, WalletSecret};
pub use lock::{KdfCost, KeyLock, LockError, MachineSecret};
pub use secret_file::SecretFileError;
