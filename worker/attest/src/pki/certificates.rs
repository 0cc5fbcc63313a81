//! Certificates and revocation lists of the development PKI. Every common name says what it is.

use super::PkiError;
use super::keys::{DevelopmentSeed, Key};
use super::platform::{PckAuthority, PlatformTraits};
use crate::platform::{PlatformSetting, UnixSeconds};
use core::time::Duration;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DistinguishedName, DnType,
    IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
};
use yasna::models::ObjectIdentifier;

const ORGANIZATION: &str = "NOT INTEL - development quotes prove nothing";
const ROOT_NAME: &str = "Encompute DEVELOPMENT Root CA (worthless)";
// "Platform" or "Processor" in the issuer's name selects `ca=` in collateral requests.
const PLATFORM_CA_NAME: &str = "Encompute DEVELOPMENT PCK Platform CA (worthless)";
const PROCESSOR_CA_NAME: &str = "Encompute DEVELOPMENT PCK Processor CA (worthless)";
const TCB_SIGNER_NAME: &str = "Encompute DEVELOPMENT TCB Signing (worthless)";
const PCK_NAME: &str = "Encompute DEVELOPMENT PCK Certificate (worthless)";

/// Intel's private arc for the extension of PCK certificates.
const SGX_EXTENSION: [u64; 7] = [1, 2, 840, 113_741, 1, 13, 1];

/// A key with its certificate.
pub(super) struct Certified {
    pub(super) key: Key,
    pub(super) der: Vec<u8>,
    pub(super) pem: String,
    params: CertificateParams,
}

impl Certified {
    pub(super) fn serial(&self) -> PckSerial {
        let mut serial = [0; 16];
        let bytes = self.params.serial_number.as_ref().map(SerialNumber::to_bytes).unwrap_or_default();
        serial.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        PckSerial(serial)
    }
}

/// Serial number of a certificate: what a revocation list names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PckSerial(pub(super) [u8; 16]);

pub(super) fn root(seed: &DevelopmentSeed) -> Result<Certified, PkiError> {
    let key = Key::derive(seed, "key", "root")?;
    let params = params(seed, ROOT_NAME, Role::Authority)?;
    let certificate = params.self_signed(&key)?;
    Ok(Certified { der: certificate.der().to_vec(), pem: certificate.pem(), key, params })
}

pub(super) fn platform_ca(seed: &DevelopmentSeed, root: &Certified) -> Result<Certified, PkiError> {
    issue(Key::derive(seed, "key", "pck-ca")?, params(seed, PLATFORM_CA_NAME, Role::Authority)?, root)
}

pub(super) fn processor_ca(seed: &DevelopmentSeed, root: &Certified) -> Result<Certified, PkiError> {
    issue(Key::derive(seed, "key", "pck-processor-ca")?, params(seed, PROCESSOR_CA_NAME, Role::Authority)?, root)
}

pub(super) fn tcb_signer(seed: &DevelopmentSeed, root: &Certified) -> Result<Certified, PkiError> {
    issue(Key::derive(seed, "key", "tcb-signer")?, params(seed, TCB_SIGNER_NAME, Role::Signer)?, root)
}

pub(super) fn pck(
    seed: &DevelopmentSeed,
    platform: &str,
    traits: &PlatformTraits,
    pck_ca: &Certified,
) -> Result<(Certified, PckSerial), PkiError> {
    let mut params = params(seed, PCK_NAME, Role::Signer)?;
    let serial = serial(seed, platform);
    params.serial_number = Some(SerialNumber::from_slice(&serial.0));
    let extension = sgx_extension(seed, platform, traits);
    params.custom_extensions.push(CustomExtension::from_oid_content(&SGX_EXTENSION, extension));
    let certified = issue(Key::derive(seed, "pck-key", platform)?, params, pck_ca)?;
    Ok((certified, serial))
}

enum Role {
    Authority,
    Signer,
}

fn params(seed: &DevelopmentSeed, name: &str, role: Role) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(Vec::new())?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject.push(DnType::OrganizationName, ORGANIZATION);
    params.distinguished_name = subject;
    // Fixed dates: certificates must be the same bytes in every process and on every day.
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params.serial_number = Some(SerialNumber::from_slice(&serial(seed, name).0));
    params.key_identifier_method = KeyIdMethod::Sha256;
    (params.is_ca, params.key_usages) = match role {
        Role::Authority => {
            (IsCa::Ca(BasicConstraints::Unconstrained), vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign])
        }
        Role::Signer => (IsCa::ExplicitNoCa, vec![KeyUsagePurpose::DigitalSignature]),
    };
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn serial(seed: &DevelopmentSeed, name: &str) -> PckSerial {
    let mut serial = [0; 16];
    serial.copy_from_slice(&seed.bytes("serial", name)[..16]);
    // Positive and without a leading zero octet, so that its DER form is these 16 bytes.
    serial[0] = serial[0] & 0x7f | 0x40;
    PckSerial(serial)
}

fn issue(key: Key, params: CertificateParams, by: &Certified) -> Result<Certified, PkiError> {
    let issuer = Issuer::from_params(&by.params, &by.key);
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Certified { der: certificate.der().to_vec(), pem: certificate.pem(), key, params })
}

/// A revocation list good from `from` to `until`, as DER.
pub(super) fn revocation_list(
    by: &Certified,
    revoked: &[PckSerial],
    from: UnixSeconds,
    until: UnixSeconds,
) -> Result<Vec<u8>, PkiError> {
    let at = |seconds: UnixSeconds| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds.0);
    let entry = |serial: &PckSerial| RevokedCertParams {
        serial_number: SerialNumber::from_slice(&serial.0),
        revocation_time: at(from),
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: at(from),
        next_update: at(until),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let issuer = Issuer::from_params(&by.params, &by.key);
    Ok(params.signed_by(&issuer)?.der().to_vec())
}

/// The extension by which a PCK certificate says which platform it speaks for.
fn sgx_extension(seed: &DevelopmentSeed, platform: &str, traits: &PlatformTraits) -> Vec<u8> {
    let oid = |tail: &[u64]| ObjectIdentifier::new([&SGX_EXTENSION[..], tail].concat());
    let instance = seed.bytes("platform-instance", platform);
    yasna::construct_der(|writer| {
        writer.write_sequence(|fields| {
            let mut octets = |tail: &[u64], value: &[u8]| {
                fields.next().write_sequence(|pair| {
                    pair.next().write_oid(&oid(tail));
                    pair.next().write_bytes(value);
                });
            };
            octets(&[1], &traits.ppid(seed, platform));
            octets(&[3], &[0, 0]);
            octets(&[4], &traits.fmspc.0);
            if traits.authority == PckAuthority::Platform {
                octets(&[6], &instance[..16]);
            }
            fields.next().write_sequence(|pair| {
                pair.next().write_oid(&oid(&[5]));
                pair.next().write_enum(1);
            });
            fields.next().write_sequence(|pair| {
                pair.next().write_oid(&oid(&[2]));
                pair.next().write_sequence(|components| {
                    for (index, svn) in (1..).zip(traits.cpu_svn) {
                        components.next().write_sequence(|pair| {
                            pair.next().write_oid(&oid(&[2, index]));
                            pair.next().write_u8(svn);
                        });
                    }
                    components.next().write_sequence(|pair| {
                        pair.next().write_oid(&oid(&[2, 17]));
                        pair.next().write_u16(traits.pce_svn);
                    });
                    components.next().write_sequence(|pair| {
                        pair.next().write_oid(&oid(&[2, 18]));
                        pair.next().write_bytes(&traits.cpu_svn);
                    });
                });
            });
            if traits.authority == PckAuthority::Processor {
                return;
            }
            fields.next().write_sequence(|pair| {
                pair.next().write_oid(&oid(&[7]));
                pair.next().write_sequence(|flags| {
                    let settings =
                        [PlatformSetting::DynamicPlatform, PlatformSetting::CachedKeys, PlatformSetting::Smt];
                    for (index, setting) in (1..).zip(settings) {
                        flags.next().write_sequence(|pair| {
                            pair.next().write_oid(&oid(&[7, index]));
                            pair.next().write_bool(traits.settings.contains(&setting));
                        });
                    }
                });
            });
        });
    })
}
