//! Quotes of five machines and of three kinds of code, with keys that a test holds.
#![allow(clippy::unwrap_used, reason = "a test's kit fails loudly")]

use encompute_lifecycle::{Host, Software, attested};
use encompute_protocol::{
    Bytes, KeyParts, MeasurementId, Nonce, PlatformId, QuoteParts, RegistrationStatement,
    quote::{EnclaveReport, P256Key, P256Signature},
    statement::report_data,
};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use std::sync::LazyLock;

/// A machine with its keys.
pub struct Machine {
    attestation: SigningKey,
    pck: SigningKey,
    /// What vouches for its attestation key.
    pub parts: KeyParts,
}

/// What three kinds of code measure: the byte that fills their registers.
const CODES: [u8; 3] = [0xa1, 0xa2, 0xa3];
/// The kind of code that the world's governor has not announced.
pub const OTHER_CODE: usize = 2;

/// A machine for each worker.
pub static MACHINES: LazyLock<[Machine; 5]> = LazyLock::new(|| [0, 1, 2, 3, 4].map(Machine::new));
/// Their identities.
pub static PLATFORMS: LazyLock<[PlatformId; 5]> =
    LazyLock::new(|| core::array::from_fn(|at| attested::platform_id(&Software, &MACHINES[at].parts)));
/// The identities of the two kinds of code that are announced.
pub static MEASUREMENTS: LazyLock<[MeasurementId; 2]> = LazyLock::new(|| [0, 1].map(measurement_of));

/// The identity of a kind of code.
pub fn measurement_of(code: usize) -> MeasurementId {
    let quote = QuoteParts {
        signed: Bytes::new(signed(code, &[0; 64])).unwrap(),
        signature: P256Signature([0; 64]),
        attestation_key: P256Key([0; 64]),
    };
    MeasurementId(Software.keccak_256(&quote.read().unwrap().measurement_preimage()))
}

/// Header and body of a TDX quote of version 4.
pub fn signed(code: usize, report_data: &[u8; 64]) -> Vec<u8> {
    let mut signed = vec![0; 632];
    signed[..8].copy_from_slice(&[4, 0, 2, 0, 0x81, 0, 0, 0]);
    signed[12..28].copy_from_slice(&[
        0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
    ]);
    signed[48 + 136..48 + 520].fill(CODES[code]);
    signed[48 + 123] = 0x10;
    signed[48 + 520..].copy_from_slice(report_data);
    signed
}

/// `x ‖ y` of a key.
fn coordinates(key: &SigningKey) -> P256Key {
    P256Key(key.verifying_key().to_sec1_point(false).as_bytes()[1..].try_into().unwrap())
}

fn sign(key: &SigningKey, message: &[u8]) -> P256Signature {
    let signature: Signature = key.sign(message);
    P256Signature(signature.to_bytes().into())
}

impl Machine {
    /// The same keys for the same number.
    pub fn new(number: u8) -> Self {
        Self::with_keys(number, 0x22)
    }

    /// The same machine at another patch level: it has another PCK key.
    pub fn patched(number: u8) -> Self {
        Self::with_keys(number, 0x33)
    }

    fn with_keys(number: u8, pck: u8) -> Self {
        let key = |purpose: u8| SigningKey::from_slice(&[&[purpose; 31][..], &[number + 1]].concat()).unwrap();
        let (attestation, pck) = (key(0x11), key(pck));
        let mut qe_report = [0; 384];
        qe_report[128..160].fill(0x8c);
        qe_report[256] = 2;
        let qe_auth_data = [number; 32];
        let bound = [&coordinates(&attestation).0[..], &qe_auth_data].concat();
        qe_report[320..352].copy_from_slice(&Software.sha_256(&bound).unwrap());
        let parts = KeyParts {
            attestation_key: coordinates(&attestation),
            qe_report: EnclaveReport(qe_report),
            qe_report_signature: sign(&pck, &qe_report),
            qe_auth_data,
            pck_key: coordinates(&pck),
        };
        Self { attestation, pck, parts }
    }

    /// The quoting enclave's report, altered and signed again: what a machine could say that is not as it should be.
    pub fn parts_with(&self, alter: impl FnOnce(&mut [u8; 384])) -> KeyParts {
        let mut parts = self.parts.clone();
        alter(&mut parts.qe_report.0);
        parts.qe_report_signature = sign(&self.pck, &parts.qe_report.0);
        parts
    }

    /// A quote with any header and body.
    pub fn sign(&self, signed: Vec<u8>) -> QuoteParts {
        let signature = sign(&self.attestation, &signed);
        QuoteParts { signed: Bytes::new(signed).unwrap(), signature, attestation_key: self.parts.attestation_key }
    }

    /// A quote of a kind of code.
    pub fn quote(&self, code: usize, statement: &RegistrationStatement, nonce: &Nonce) -> QuoteParts {
        self.sign(signed(code, &report_data(statement, nonce)))
    }
}
