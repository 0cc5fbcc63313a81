//! Obfuscation of decrypted features, the only way out for a decrypted value.
