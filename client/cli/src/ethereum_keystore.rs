//! Keystores of Ethereum's wallets (version 3): AES-128 in counter mode under a key that scrypt makes of the password.
//!
//! The file comes from elsewhere: its size, and what its parameters would cost, are limited before anything is computed.

use aes::{
    Aes128,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use encompute_protocol::digest::keccak_256;
use scrypt::{Params, scrypt};
use serde::Deserialize;
use zeroize::Zeroizing;

/// Bytes of a file that is read at all; usual ones have 500.
const LIMIT_BYTES: usize = 16 * 1024;
/// Most memory that opening one takes: geth's own choice is 256 MiB.
const LIMIT_MEMORY_BYTES: u64 = 1024 * 1024 * 1024;
/// Most lanes, which are computed one after the other.
const LIMIT_LANES: u32 = 16;
/// A secp256k1 key.
const KEY_BYTES: usize = 32;
/// Of an AES block, and of a counter.
const BLOCK_BYTES: usize = 16;

/// A keystore that was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenKeystoreError {
    /// Too long to be one.
    #[error("file has {found_bytes} bytes, a keystore has at most {LIMIT_BYTES}")]
    TooLong {
        /// What it has.
        found_bytes: usize,
    },
    /// Not the JSON of one.
    #[error("file is no keystore of an Ethereum wallet: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// Of a version, cipher or key derivation that is not read.
    #[error("keystore has {what} {found:?}, {wanted} is read")]
    Unknown {
        /// Which of them.
        what: &'static str,
        /// What it has.
        found: String,
        /// What is read.
        wanted: &'static str,
    },
    /// Its parameters ask for more than opening one may take.
    #[error(
        "keystore asks for {found_bytes} bytes of memory in {lanes} lanes, {LIMIT_MEMORY_BYTES} in {LIMIT_LANES} are given"
    )]
    TooCostly {
        /// How much memory.
        found_bytes: u64,
        /// How many times over.
        lanes: u32,
    },
    /// Another password, or an altered file.
    #[error("password does not open the keystore")]
    Password,
}

#[derive(Deserialize)]
struct File {
    version: u8,
    #[serde(alias = "Crypto")]
    crypto: Crypto,
}

#[derive(Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    kdf: String,
    kdfparams: serde_json::Value,
    mac: String,
}

#[derive(Deserialize)]
struct CipherParams {
    iv: String,
}

#[derive(Deserialize)]
struct KdfParams {
    n: u64,
    r: u32,
    p: u32,
    dklen: usize,
    salt: String,
}

/// The secret key in a keystore.
///
/// # Errors
/// [`OpenKeystoreError`]; the password is tried only on a file that is one and costs no more than allowed.
pub fn open(file: &[u8], password: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, OpenKeystoreError> {
    if file.len() > LIMIT_BYTES {
        return Err(OpenKeystoreError::TooLong { found_bytes: file.len() });
    }
    let malformed = |error: serde_json::Error| OpenKeystoreError::Malformed { reason: error.to_string() };
    let File { version, crypto } = serde_json::from_slice(file).map_err(malformed)?;
    only("version", &version.to_string(), "3")?;
    only("cipher", &crypto.cipher, "aes-128-ctr")?;
    only("kdf", &crypto.kdf, "scrypt")?;
    let kdf: KdfParams = serde_json::from_value(crypto.kdfparams).map_err(malformed)?;
    let (salt, ciphertext) = (bytes("salt", &kdf.salt)?, bytes("ciphertext", &crypto.ciphertext)?);
    let iv: [u8; BLOCK_BYTES] = exactly("iv", &crypto.cipherparams.iv)?;
    let mac: [u8; 32] = exactly("mac", &crypto.mac)?;
    let mut key: Zeroizing<[u8; KEY_BYTES]> = Zeroizing::new(exactly("ciphertext", &crypto.ciphertext)?);

    let made = derived(&kdf, &salt, password)?;
    if keccak_256(&[&made[BLOCK_BYTES..], &ciphertext]) != mac {
        return Err(OpenKeystoreError::Password);
    }
    let mut half = [0; BLOCK_BYTES];
    half.copy_from_slice(&made[..BLOCK_BYTES]);
    let cipher = Aes128::new(&half.into());
    for (counter, block) in (0u128..).zip(key.chunks_mut(BLOCK_BYTES)) {
        let mut pad = u128::from_be_bytes(iv).wrapping_add(counter).to_be_bytes().into();
        cipher.encrypt_block(&mut pad);
        block.iter_mut().zip(pad.iter()).for_each(|(byte, pad)| *byte ^= pad);
    }
    Ok(key)
}

fn derived(kdf: &KdfParams, salt: &[u8], password: &str) -> Result<Zeroizing<[u8; 32]>, OpenKeystoreError> {
    only("dklen", &kdf.dklen.to_string(), "32")?;
    let memory = kdf.n.saturating_mul(u64::from(kdf.r)).saturating_mul(128);
    if memory > LIMIT_MEMORY_BYTES || kdf.p > LIMIT_LANES {
        return Err(OpenKeystoreError::TooCostly { found_bytes: memory, lanes: kdf.p });
    }
    let bad = |reason: String| OpenKeystoreError::Malformed { reason };
    if !kdf.n.is_power_of_two() {
        return Err(bad(format!("scrypt's n is {}, no power of two", kdf.n)));
    }
    let log_n = kdf.n.trailing_zeros() as u8;
    let params = Params::new(log_n, kdf.r, kdf.p, kdf.dklen).map_err(|error| bad(error.to_string()))?;
    let mut made = Zeroizing::new([0; 32]);
    scrypt(password.as_bytes(), salt, &params, &mut *made).map_err(|error| bad(error.to_string()))?;
    Ok(made)
}

fn only(what: &'static str, found: &str, wanted: &'static str) -> Result<(), OpenKeystoreError> {
    match found == wanted {
        true => Ok(()),
        false => Err(OpenKeystoreError::Unknown { what, found: found.chars().take(64).collect(), wanted }),
    }
}

fn bytes(what: &str, digits: &str) -> Result<Vec<u8>, OpenKeystoreError> {
    hex::decode(digits).map_err(|error| OpenKeystoreError::Malformed { reason: format!("{what}: {error}") })
}

fn exactly<const BYTES: usize>(what: &str, digits: &str) -> Result<[u8; BYTES], OpenKeystoreError> {
    bytes(what, digits)?.try_into().map_err(|found: Vec<u8>| OpenKeystoreError::Malformed {
        reason: format!("{what} has {} bytes instead of {BYTES}", found.len()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FILE: &str = include_str!("../../../tests/vectors/ethereum/keystore.json");

    fn altered(from: &str, to: &str) -> Result<Zeroizing<[u8; 32]>, OpenKeystoreError> {
        assert!(FILE.contains(from), "{from}");
        open(FILE.replace(from, to).as_bytes(), "correct horse")
    }

    #[test]
    fn a_keystore_that_ethers_wrote_gives_the_key_it_was_given() {
        let key = open(FILE.as_bytes(), "correct horse").unwrap();
        let recorded: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors/ethereum/transactions.json")).unwrap();
        assert_eq!(hex::encode(*key), recorded["key"].as_str().unwrap());
        assert_eq!(open(FILE.as_bytes(), "wrong horse").err(), Some(OpenKeystoreError::Password));
        assert!(altered("\"Crypto\"", "\"crypto\"").is_ok(), "geth writes it small");
    }

    #[test]
    fn a_keystore_that_was_altered_or_is_none_is_refused_by_name() {
        let name =
            |result: Result<_, OpenKeystoreError>| result.map(|_: Zeroizing<[u8; 32]>| ()).unwrap_err().to_string();
        for (from, to, words) in [
            ("\"version\": 3", "\"version\": 4", "version \"4\", 3 is read"),
            ("aes-128-ctr", "aes-256-ctr", "cipher \"aes-256-ctr\""),
            ("\"kdf\": \"scrypt\"", "\"kdf\": \"pbkdf2\"", "kdf \"pbkdf2\", scrypt is read"),
            ("\"n\": 1024", "\"n\": 1000", "no power of two"),
            ("\"n\": 1024", "\"n\": 1099511627776", "bytes of memory"),
            ("\"p\": 1", "\"p\": 17", "17 lanes"),
            ("\"r\": 8", "\"r\": 0", "invalid"),
            ("\"dklen\": 32", "\"dklen\": 64", "dklen \"64\""),
            ("\"ciphertext\": \"85", "\"ciphertext\": \"", "31 bytes instead of 32"),
            ("\"mac\": \"56", "\"mac\": \"zz", "mac: "),
            ("\"iv\": \"a6", "\"iv\": \"", "15 bytes instead of 16"),
        ] {
            let found = name(altered(from, to));
            assert!(found.contains(words), "{to}: {found}");
        }
        assert_eq!(altered("\"ciphertext\": \"85", "\"ciphertext\": \"86").err(), Some(OpenKeystoreError::Password));
        assert!(name(open(b"{}", "")).starts_with("file is no keystore"));
        assert!(name(open(&[b' '; LIMIT_BYTES + 1], "")).starts_with("file has 16385 bytes"));
    }
}
