//! FHE secret keys, encryption, decryption; the wallet's keystore.
