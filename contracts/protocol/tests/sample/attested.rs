//! One value of everything about machines and their quotes.

use super::*;
use encompute_protocol::headkey::{HeadKeyAnswer, HeadKeyCall};
use encompute_protocol::quote::{EnclaveReport, P256Key, P256Signature};

fn b64(byte: u8) -> [u8; 64] {
    core::array::from_fn(|at| byte.wrapping_add(at as u8))
}

/// A quote that the contract reads, of a TDX domain, though nobody signed it.
pub fn quote_parts() -> QuoteParts {
    let mut signed: Vec<u8> = (0..632).map(|at| at as u8).collect();
    signed[..8].copy_from_slice(&[4, 0, 2, 0, 0x81, 0, 0, 0]);
    let vendor = [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
    signed[12..28].copy_from_slice(&vendor);
    let parts = QuoteParts {
        signed: Bytes::new(signed).unwrap(),
        signature: P256Signature(b64(34)),
        attestation_key: P256Key(b64(35)),
    };
    parts.read().unwrap();
    parts
}

pub fn platform() -> PlatformRecord {
    PlatformRecord { valid_from: BlockNumber(900), revoked_at: Some(BlockNumber(901)) }
}

pub fn attestation_key() -> AttestationKeyRecord {
    AttestationKeyRecord { platform: PlatformId(b32(33)), certified_at: BlockNumber(902) }
}

/// A call's name and calldata.
pub fn one<C: Call>(call: C) -> (&'static str, Vec<u8>) {
    (C::NAME, call.calldata())
}

/// One of every call about machines.
pub fn attested_calls() -> Vec<(&'static str, Vec<u8>)> {
    let platform = PlatformId(b32(33));
    vec![
        one(CertifyKey {
            key: KeyParts {
                attestation_key: P256Key(b64(35)),
                qe_report: EnclaveReport(core::array::from_fn(|at| (at * 3) as u8)),
                qe_report_signature: P256Signature(b64(36)),
                qe_auth_data: b32(37),
                pck_key: P256Key(b64(38)),
            },
        }),
        one(AllowPlatform { platform }),
        one(RevokePlatform { platform }),
        one(ReadPlatform { platform }),
        one(ReadAttestationKey { key: KeyDigest(b32(39)) }),
    ]
}

/// One of every event about machines.
pub fn attested_events() -> Vec<Event> {
    vec![
        event::PlatformAllowed { platform: PlatformId(b32(33)), valid_from: BlockNumber(900) }.into(),
        event::PlatformRevoked { platform: PlatformId(b32(33)) }.into(),
        KeyCertified { key: KeyDigest(b32(39)), platform: PlatformId(b32(33)) }.into(),
    ]
}

pub fn head_key_call() -> HeadKeyCall {
    HeadKeyCall { evidence: Bytes::new(vec![1, 2, 3, 4]).unwrap(), signature: signature() }
}

pub fn head_key_answer() -> HeadKeyAnswer {
    HeadKeyAnswer { envelope: Bytes::new(vec![5, 6, 7]).unwrap() }
}
