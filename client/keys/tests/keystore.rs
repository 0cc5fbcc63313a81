//! Wallet secrets in files.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_keys::{AccountLabel, KdfCost, KeyLock, Keystore, KeystoreError, LockError, WalletSecret};

/// Cheap, for tests alone.
const COST: KdfCost = KdfCost { memory_kib: 64, passes: 1, lanes: 1 };

fn account() -> AccountLabel {
    AccountLabel("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY".into())
}

#[test]
fn a_keystore_gives_its_secret_back_under_its_password() {
    let folder = tempfile::tempdir().unwrap();
    for (name, kind, secret) in [
        ("phrase", "mnemonic", WalletSecret::new_mnemonic()),
        ("seed", "seed", WalletSecret::Seed([7; 32])),
        ("ethereum", "ethereum-mnemonic", WalletSecret::new_ethereum_mnemonic()),
        ("key", "ethereum-key", WalletSecret::EthereumKey([7; 32])),
    ] {
        let path = folder.path().join(name);
        let lock = KeyLock::Password("correct horse", COST);
        Keystore::seal(&secret, account(), &lock).unwrap().write_new(&path).unwrap();
        let keystore = Keystore::read(&path).unwrap();
        assert_eq!(keystore.account(), &account());
        assert!(std::fs::read_to_string(&path).unwrap().contains(&format!("\"kind\": \"{kind}\"")), "{name}");
        match (&keystore.open(&lock).unwrap(), &secret) {
            (WalletSecret::MnemonicEntropy(found), WalletSecret::MnemonicEntropy(wanted)) => assert!(found == wanted),
            (WalletSecret::Seed(found), WalletSecret::Seed(wanted)) => assert!(found == wanted),
            (WalletSecret::EthereumEntropy(found), WalletSecret::EthereumEntropy(wanted)) => assert!(found == wanted),
            (WalletSecret::EthereumKey(found), WalletSecret::EthereumKey(wanted)) => assert!(found == wanted),
            _ => panic!("another kind of secret"),
        }
    }
}

#[test]
fn a_wrong_password_is_its_own_error() {
    let keystore = Keystore::seal(&WalletSecret::Seed([7; 32]), account(), &KeyLock::Password("right", COST)).unwrap();
    let found = keystore.open(&KeyLock::Password("wrong", COST)).err().unwrap();
    assert!(matches!(found, KeystoreError::WrongPassword { account: of } if of == account()));
}

#[test]
fn a_keystore_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wallet.json");
    let keystore = Keystore::seal(&WalletSecret::Seed([7; 32]), account(), &KeyLock::Password("a", COST)).unwrap();
    keystore.write_new(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(keystore.write_new(&path), Err(KeystoreError::File(LockError::Exists(_)))));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_keystore_relabelled_with_another_account_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wallet.json");
    let lock = KeyLock::Password("a", COST);
    Keystore::seal(&WalletSecret::Seed([7; 32]), account(), &lock).unwrap().write_new(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap().replace("5Grwva", "5GrwvB");
    std::fs::write(&path, text).unwrap();
    assert!(matches!(Keystore::read(&path).unwrap().open(&lock), Err(KeystoreError::WrongPassword { .. })));
}

#[test]
fn files_that_are_no_keystore_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wallet.json");
    assert!(matches!(Keystore::read(&path), Err(KeystoreError::File(LockError::NotFound(_)))));
    std::fs::write(&path, "{}").unwrap();
    assert!(matches!(Keystore::read(&path), Err(KeystoreError::Malformed)));
    let text = r#"{ "encompute_keystore": 9, "kind": "seed", "account": "a", "sealed": "00" }"#;
    std::fs::write(&path, text).unwrap();
    assert!(matches!(Keystore::read(&path), Err(KeystoreError::Version { found: 9 })));
}

#[test]
fn a_new_phrase_has_fresh_entropy() {
    let entropy = || match &WalletSecret::new_mnemonic() {
        WalletSecret::MnemonicEntropy(entropy) => entropy.clone(),
        _ => panic!("another kind of secret"),
    };
    assert_eq!(entropy().len(), 16);
    assert_ne!(entropy(), entropy());
}
