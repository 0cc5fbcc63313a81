//! The signed parts of a DCAP quote, as a registration carries them to the contract.
//!
//! A quote has 4.6 to 5.2 KB, nearly half of it certificates. What is under a signature that a contract can check is
//! a third of that, in two parts: [`QuoteParts`], header and body under the attestation key, which differ from quote
//! to quote; and [`KeyParts`], the quoting enclave's report under the machine's PCK key, which binds the attestation
//! key and stays the same for months. Whether the PCK key is that of a machine is what the contract's list of
//! platforms says; whoever lists it follows its certificates to a root.
//!
//! [`QuoteParts::read`] gives a [`SignedBody`] of exactly the bytes that are signed, or a [`QuoteFault`]; it judges
//! nothing. The rules that judge are in the lifecycle crate.

use crate::{Bytes, statement::TeeKind};
use alloc::vec::Vec;
use codec::{Decode, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;

/// Most bytes of header and body: a TDX quote of version 5 with the longest report known.
pub const SIGNED_LIMIT_BYTES: u32 = 939;

/// A P-256 public key without its tag: `x ‖ y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct P256Key(pub [u8; 64]);

/// A P-256 signature over a SHA-256 digest: `r ‖ s`, either `s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct P256Signature(pub [u8; 64]);

/// The report of an enclave, as SGX makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct EnclaveReport(pub [u8; 384]);

/// A quote's header and body, and what signed them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct QuoteParts {
    /// Header and body: 432 bytes (SGX, version 3), 632 (TDX, version 4), 638, 702 or 939 (TDX, version 5).
    pub signed: Bytes<SIGNED_LIMIT_BYTES>,
    /// Over `signed`, by the attestation key.
    pub signature: P256Signature,
    /// Made by the quoting enclave on its machine.
    pub attestation_key: P256Key,
}

/// What vouches for an attestation key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct KeyParts {
    /// Made by the quoting enclave on its machine.
    pub attestation_key: P256Key,
    /// The quoting enclave's report; it binds the attestation key.
    pub qe_report: EnclaveReport,
    /// Over `qe_report`, by the PCK key.
    pub qe_report_signature: P256Signature,
    /// Bound together with the attestation key.
    pub qe_auth_data: [u8; 32],
    /// The machine's provisioning certification key.
    pub pck_key: P256Key,
}

/// Header and body that are no quote of a kind that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum QuoteFault {
    /// Another length than this kind of quote has.
    #[codec(index = 0)]
    Length {
        /// Bytes found.
        found: u32,
        /// Bytes of this kind.
        wanted: u32,
    },
    /// Neither 3, 4 nor 5.
    #[codec(index = 1)]
    Version {
        /// Version found.
        found: u16,
    },
    /// Signed by something other than ECDSA on P-256.
    #[codec(index = 2)]
    KeyType {
        /// Type found; 2 is wanted.
        found: u16,
    },
    /// A quoting enclave of another maker than Intel.
    #[codec(index = 3)]
    Vendor,
    /// A kind of enclave that this version of quotes is not read for.
    #[codec(index = 4)]
    TeeType {
        /// Kind found: 0 is SGX, 0x81 TDX.
        found: u32,
    },
    /// A body that is no TDX domain's report.
    #[codec(index = 5)]
    BodyType {
        /// Type found; 2, 3 and 4 are wanted.
        found: u16,
    },
}

impl fmt::Display for QuoteFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found, wanted } => write!(f, "header and body have {found} bytes, {wanted} are wanted"),
            Self::Version { found } => write!(f, "version {found}, only 3 to 5 are known"),
            Self::KeyType { found } => write!(f, "attestation key of type {found}, only 2 is known"),
            Self::Vendor => f.write_str("the quoting enclave is not Intel's"),
            Self::TeeType { found } => write!(f, "an enclave of kind {found:#x} in a quote of this version"),
            Self::BodyType { found } => write!(f, "a body of type {found}, only 2 to 4 are known"),
        }
    }
}

impl core::error::Error for QuoteFault {}

/// Bytes before the body.
const HEADER_BYTES: usize = 48;
/// Type and length of the body, in version 5.
const DESCRIPTOR_BYTES: usize = 6;
const SGX_BODY_BYTES: usize = 384;
/// Bodies of TDX by their type in version 5: each begins with all of the one before.
const TDX_BODIES: [(u16, usize); 3] = [(2, 584), (3, 648), (4, 885)];
const KEY_TYPE_ECDSA_P256: u16 = 2;
const INTEL_QE_VENDOR: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
const TEE_SGX: u32 = 0;
const TEE_TDX: u32 = 0x81;

/// Separates measurement ids from every other Keccak-256 digest of the protocol.
pub const MEASUREMENT_TAG: &[u8] = b"encompute/measurement/v1";
/// Separates platform ids from every other Keccak-256 digest of the protocol.
pub const PLATFORM_TAG: &[u8] = b"encompute/platform/v1";

/// The body of a quote: one fixed layout for each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedBody<'a> {
    tee: TeeKind,
    /// 384 bytes for SGX, 584 at least for TDX.
    body: &'a [u8],
}

impl QuoteParts {
    /// The body under the quote's signature.
    ///
    /// # Errors
    /// [`QuoteFault`]: the kinds read are SGX in version 3 and TDX in versions 4 and 5, each at its one length.
    pub fn read(&self) -> Result<SignedBody<'_>, QuoteFault> {
        SignedBody::read(self.signed.as_slice())
    }
}

impl KeyParts {
    /// What the list of platforms hashes: tag, PCK key, and who signed which product as quoting enclave. The enclave
    /// is named because a machine's owner may have other enclaves' reports signed by the same key.
    pub fn platform_preimage(&self) -> Vec<u8> {
        let qe = &self.qe_report.0;
        let mut bytes = Vec::with_capacity(PLATFORM_TAG.len() + 64 + 32 + 2);
        bytes.extend_from_slice(PLATFORM_TAG);
        bytes.extend_from_slice(&self.pck_key.0);
        bytes.extend_from_slice(&qe[128..160]);
        bytes.extend_from_slice(&qe[256..258]);
        bytes
    }

    /// The identity under which the contract's list has the machine.
    #[cfg(feature = "hash")]
    pub fn platform(&self) -> crate::PlatformId {
        crate::PlatformId(crate::digest::keccak_256(&[&self.platform_preimage()]))
    }

    /// True when the quoting enclave can be read and changed from outside: it vouches for nothing then.
    pub fn qe_is_debug(&self) -> bool {
        self.qe_report.0[48] & 0b10 != 0
    }

    /// What the quoting enclave's report binds: SHA-256 of attestation key and authentication data belongs into the
    /// first half of its report data, zeros into the second.
    pub fn qe_binding(&self) -> ([u8; 96], &[u8]) {
        let mut bound = [0; 96];
        bound[..64].copy_from_slice(&self.attestation_key.0);
        bound[64..].copy_from_slice(&self.qe_auth_data);
        (bound, &self.qe_report.0[320..])
    }
}

impl<'a> SignedBody<'a> {
    fn read(signed: &'a [u8]) -> Result<Self, QuoteFault> {
        let length = |wanted: usize| QuoteFault::Length { found: signed.len() as u32, wanted: wanted as u32 };
        let (header, rest) = signed.split_first_chunk::<HEADER_BYTES>().ok_or(length(HEADER_BYTES + SGX_BODY_BYTES))?;
        let (version, key_type) = (word(header[0], header[1]), word(header[2], header[3]));
        let tee_type = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        if !(3..=5).contains(&version) {
            return Err(QuoteFault::Version { found: version });
        }
        if key_type != KEY_TYPE_ECDSA_P256 {
            return Err(QuoteFault::KeyType { found: key_type });
        }
        if header[12..28] != INTEL_QE_VENDOR {
            return Err(QuoteFault::Vendor);
        }
        let (tee, body, wanted) = match (version, tee_type) {
            (3, TEE_SGX) => (TeeKind::Sgx, rest, SGX_BODY_BYTES),
            (4, TEE_TDX) => (TeeKind::Tdx, rest, TDX_BODIES[0].1),
            (5, TEE_TDX) => {
                let shortest = HEADER_BYTES + DESCRIPTOR_BYTES + TDX_BODIES[0].1;
                let (descriptor, body) = rest.split_first_chunk::<DESCRIPTOR_BYTES>().ok_or(length(shortest))?;
                let (found, [_, _, said @ ..]) = (word(descriptor[0], descriptor[1]), *descriptor);
                let known = TDX_BODIES.iter().find(|(kind, _)| *kind == found);
                let (_, wanted) = *known.ok_or(QuoteFault::BodyType { found })?;
                if u32::from_le_bytes(said) as usize != wanted {
                    return Err(QuoteFault::Length { found: u32::from_le_bytes(said), wanted: wanted as u32 });
                }
                (TeeKind::Tdx, body, wanted)
            }
            (_, found) => return Err(QuoteFault::TeeType { found }),
        };
        if body.len() == wanted { Ok(Self { tee, body }) } else { Err(length(signed.len() - body.len() + wanted)) }
    }

    /// Which kind of enclave.
    pub fn tee(&self) -> TeeKind {
        self.tee
    }

    /// What the attested code put into the quote: a statement's digest, then a nonce.
    pub fn report_data(&self) -> &'a [u8] {
        match self.tee {
            TeeKind::Tdx => &self.body[520..584],
            TeeKind::Sgx => &self.body[320..384],
        }
    }

    /// True when an operator could read or change the running code: TDX attribute bits 0 to 7, SGX bit 1.
    pub fn is_debug(&self) -> bool {
        match self.tee {
            TeeKind::Tdx => self.body[120] != 0,
            TeeKind::Sgx => self.body[48] & 0b10 != 0,
        }
    }

    /// True when the quote names no software: a TDX domain started for no launch configuration.
    pub fn names_no_software(&self) -> bool {
        self.tee == TeeKind::Tdx && self.body[184..232].iter().all(|byte| *byte == 0)
    }

    /// What a measurement's id is the Keccak-256 of: tag, kind, and the registers that allow-lists pin.
    pub fn measurement_preimage(&self) -> Vec<u8> {
        // MRTD, RTMR 0 to 2, MR_CONFIG_ID, attributes, XFAM; or MRENCLAVE, MRSIGNER, product and version, attributes.
        let registers: &[core::ops::Range<usize>] = match self.tee {
            TeeKind::Tdx => &[136..184, 328..376, 376..424, 424..472, 184..232, 120..128, 128..136],
            TeeKind::Sgx => &[64..96, 128..160, 256..258, 258..260, 48..64],
        };
        let mut bytes = Vec::with_capacity(288);
        bytes.extend_from_slice(MEASUREMENT_TAG);
        bytes.push(match self.tee {
            TeeKind::Tdx => 0,
            TeeKind::Sgx => 1,
        });
        for register in registers {
            bytes.extend_from_slice(&self.body[register.clone()]);
        }
        bytes
    }
}

fn word(low: u8, high: u8) -> u16 {
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::{DecodeError, decode_exact, encode};

    fn header(version: u16, tee: u32) -> Vec<u8> {
        let mut header = vec![0; HEADER_BYTES];
        header[..2].copy_from_slice(&version.to_le_bytes());
        header[2] = 2;
        header[4..8].copy_from_slice(&tee.to_le_bytes());
        header[12..28].copy_from_slice(&INTEL_QE_VENDOR);
        header
    }

    fn tdx(kind: u16, bytes: usize) -> Vec<u8> {
        let length = (bytes as u32).to_le_bytes();
        [header(5, TEE_TDX), kind.to_le_bytes().to_vec(), length.to_vec(), vec![7; bytes]].concat()
    }

    fn parts(signed: Vec<u8>) -> QuoteParts {
        QuoteParts {
            signed: Bytes::new(signed).unwrap(),
            signature: P256Signature([1; 64]),
            attestation_key: P256Key([2; 64]),
        }
    }

    fn fault(signed: Vec<u8>) -> QuoteFault {
        parts(signed).read().unwrap_err()
    }

    #[test]
    fn every_kind_of_quote_is_read_at_its_one_length() {
        let v3 = [header(3, TEE_SGX), vec![7; 384]].concat();
        let v4 = [header(4, TEE_TDX), vec![7; 584]].concat();
        let kinds = [(v3, TeeKind::Sgx), (v4, TeeKind::Tdx)];
        let v5 = TDX_BODIES.map(|(kind, bytes)| (tdx(kind, bytes), TeeKind::Tdx));
        for (signed, tee) in kinds.into_iter().chain(v5) {
            assert_eq!(parts(signed.clone()).read().unwrap().tee(), tee);
            let found = signed.len() as u32;
            let mut shorter = signed.clone();
            shorter.pop();
            assert_eq!(fault(shorter), QuoteFault::Length { found: found - 1, wanted: found });
            if signed.len() < SIGNED_LIMIT_BYTES as usize {
                let longer = [signed, vec![0]].concat();
                assert_eq!(fault(longer), QuoteFault::Length { found: found + 1, wanted: found });
            }
        }
    }

    #[test]
    fn headers_of_other_kinds_are_refused_by_name() {
        let body = |mut header: Vec<u8>, at: usize, byte: u8| {
            header[at] = byte;
            [header, vec![7; 584]].concat()
        };
        assert_eq!(fault(vec![]), QuoteFault::Length { found: 0, wanted: 432 });
        assert_eq!(fault(body(header(4, TEE_TDX), 0, 2)), QuoteFault::Version { found: 2 });
        assert_eq!(fault(body(header(4, TEE_TDX), 1, 1)), QuoteFault::Version { found: 260 });
        assert_eq!(fault(body(header(4, TEE_TDX), 2, 3)), QuoteFault::KeyType { found: 3 });
        assert_eq!(fault(body(header(4, TEE_TDX), 12, 0)), QuoteFault::Vendor);
        assert_eq!(fault(body(header(4, TEE_TDX), 7, 1)), QuoteFault::TeeType { found: 0x0100_0081 });
        assert_eq!(fault(body(header(4, TEE_SGX), 4, 0)), QuoteFault::TeeType { found: 0 });
        assert_eq!(fault(body(header(3, TEE_TDX), 4, 0x81)), QuoteFault::TeeType { found: 0x81 });
        assert_eq!(fault(tdx(1, 384)), QuoteFault::BodyType { found: 1 });
        assert_eq!(fault(tdx(5, 885)), QuoteFault::BodyType { found: 5 });
        assert_eq!(fault(tdx(2, 648)), QuoteFault::Length { found: 648, wanted: 584 });
        assert_eq!(fault(header(5, TEE_TDX)), QuoteFault::Length { found: 48, wanted: 638 });
    }

    #[test]
    fn parts_read_back_from_their_bytes_only_when_whole() {
        let parts = parts([header(4, TEE_TDX), vec![7; 584]].concat());
        let bytes = encode(&parts);
        assert_eq!(bytes.len(), 762);
        assert_eq!(decode_exact::<QuoteParts>(&bytes, 2_048), Ok(parts));
        assert_eq!(decode_exact::<QuoteParts>(&bytes[..761], 2_048), Err(DecodeError::Malformed));
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(decode_exact::<QuoteParts>(&longer, 2_048), Err(DecodeError::Trailing { bytes: 1 }));
        // 940 bytes of header and body are announced.
        let mut announced = bytes.clone();
        announced[..2].copy_from_slice(&encode(&codec::Compact(940_u32)));
        assert_eq!(decode_exact::<QuoteParts>(&announced, 2_048), Err(DecodeError::Malformed));
    }

    #[test]
    fn the_longest_parts_leave_a_registration_below_a_kilobyte_and_a_half() {
        // Selector, keys, payout, kind, measurement, evidence, expiry, capacity, address, signature.
        let others = 4 + 20 + 32 + 20 + 1 + 32 + 32 + 4 + 2 + 202 + 65;
        let longest = QuoteParts::max_encoded_len() + others;
        assert!(longest < 1_536, "{longest}");
    }
}
