//! Certificates, lists of revoked ones, and Intel's extension.

use super::{Answer, refuse, signed_by};
use x509_parser::prelude::{CertificateRevocationList, FromDer, Pem, X509Certificate};

const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
const SGX_EXTENSION: &str = "1.2.840.113741.1.13.1";
/// The same arc inside the extension: `2a 86 48 86 f8 4d 01 0d 01`.
const ARC: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01];

/// Certificates as they travel, leaf first.
pub struct Chain(Vec<Vec<u8>>);

/// The first of a chain that holds.
pub struct Leaf {
    der: Vec<u8>,
    /// `x ‖ y`.
    pub key: Vec<u8>,
    /// How many certificates there are up to the root's own.
    pub depth: usize,
}

/// Both lists, the root's checked.
pub struct Lists {
    lists: Vec<Vec<u8>>,
}

fn parse(der: &[u8]) -> Answer<X509Certificate<'_>> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => refuse("no certificate"),
    }
}

fn list(der: &[u8]) -> Answer<CertificateRevocationList<'_>> {
    match CertificateRevocationList::from_der(der) {
        Ok(([], list)) => Ok(list),
        _ => refuse("no list of revoked certificates"),
    }
}

fn key(certificate: &X509Certificate<'_>) -> Answer<Vec<u8>> {
    match certificate.public_key().subject_public_key.data.as_ref() {
        [4, point @ ..] if point.len() == 64 => Ok(point.to_vec()),
        _ => refuse("a key of another curve"),
    }
}

/// A signature as certificates carry it: SEQUENCE of two INTEGERs.
fn raw_signature(der: &[u8]) -> Answer<Vec<u8>> {
    let signature = p256::ecdsa::Signature::from_der(der).map_err(|_| "no ECDSA signature")?;
    Ok(signature.to_bytes().to_vec())
}

impl Lists {
    pub fn read(of_root: &[u8], of_machines: &[u8], root: &[u8], now: u64) -> Answer<Self> {
        let root = parse(root)?;
        let first = list(of_root)?;
        list(of_machines)?;
        let signature = raw_signature(first.signature_value.data.as_ref())?;
        signed_by(&key(&root)?, first.tbs_cert_list.as_ref(), &signature)?;
        let lists = Self { lists: vec![of_root.to_vec(), of_machines.to_vec()] };
        lists.covers(&root, &root, now)?;
        Ok(lists)
    }

    /// A list of the issuer's that is signed by it, has not run out and does not name the certificate.
    fn covers(&self, certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>, now: u64) -> Answer<()> {
        for der in &self.lists {
            let list = list(der)?;
            if list.issuer().as_raw() != certificate.issuer().as_raw() {
                continue;
            }
            if list.signature_algorithm.algorithm.to_id_string() != ECDSA_SHA256 {
                return refuse("a list signed in another way");
            }
            signed_by(&key(issuer)?, list.tbs_cert_list.as_ref(), &raw_signature(list.signature_value.data.as_ref())?)?;
            match list.next_update() {
                Some(next) if (now as i64) < next.timestamp() => {}
                _ => return refuse("a list that has run out"),
            }
            if list.iter_revoked_certificates().any(|revoked| revoked.raw_serial() == certificate.raw_serial()) {
                return refuse("a revoked certificate");
            }
            return Ok(());
        }
        refuse("a certificate that no list is about")
    }
}

impl Chain {
    pub fn read(pem: &[u8]) -> Answer<Self> {
        let certificates: Result<Vec<_>, _> =
            Pem::iter_from_buffer(pem).map(|pem| pem.map(|pem| pem.contents)).collect();
        let certificates = certificates.map_err(|error| error.to_string())?;
        match certificates.len() {
            1..=5 => Ok(Self(certificates)),
            count => refuse(format!("{count} certificates")),
        }
    }

    /// Follows the chain up to the root.
    pub fn verify(&self, root: &[u8], lists: &Lists, now: u64) -> Answer<Leaf> {
        let root = parse(root)?;
        let leaf = parse(&self.0[0])?;
        if leaf.is_ca() {
            return refuse("an authority where somebody else is wanted");
        }
        let (mut at, mut depth) = (leaf.clone(), 0);
        loop {
            depth += 1;
            let from_root = at.issuer().as_raw() == root.subject().as_raw();
            let issuer = match from_root {
                true => root.clone(),
                false => self.issuer_of(&at)?,
            };
            let holds =
                at.validity().not_before.timestamp() <= now as i64 && now as i64 <= at.validity().not_after.timestamp();
            if !holds || at.signature_algorithm.algorithm.to_id_string() != ECDSA_SHA256 {
                return refuse("a certificate that does not hold");
            }
            signed_by(&key(&issuer)?, at.tbs_certificate.as_ref(), &raw_signature(at.signature_value.data.as_ref())?)?;
            lists.covers(&at, &issuer, now)?;
            if from_root {
                return Ok(Leaf { der: self.0[0].clone(), key: key(&leaf)?, depth });
            }
            if depth > 4 {
                return refuse("a chain without end");
            }
            at = issuer;
        }
    }

    fn issuer_of(&self, certificate: &X509Certificate<'_>) -> Answer<X509Certificate<'_>> {
        for der in &self.0[1..] {
            let candidate = parse(der)?;
            if candidate.is_ca() && candidate.subject().as_raw() == certificate.issuer().as_raw() {
                return Ok(candidate);
            }
        }
        refuse("a chain that does not reach the root")
    }
}

/// What Intel's extension says of a machine.
#[derive(Default)]
pub struct Machine {
    pub ppid: Vec<u8>,
    pub fmspc: [u8; 6],
    pub components: [u8; 16],
    pub pce_svn: u16,
    pub settings: [bool; 3],
}

/// One value of the encoding: tag and content, and what follows.
fn value(der: &[u8]) -> Answer<(u8, &[u8], &[u8])> {
    let [tag, length, rest @ ..] = der else { return refuse("an extension that ends early") };
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81 => (usize::from(*rest.first().ok_or("short")?), &rest[1..]),
        0x82 if rest.len() > 1 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
        _ => return refuse("a length that no extension has"),
    };
    let (content, rest) = rest.split_at_checked(length).ok_or("an extension that ends early")?;
    Ok((*tag, content, rest))
}

impl Machine {
    pub fn read(leaf: &Leaf) -> Answer<Self> {
        let certificate = parse(&leaf.der)?;
        let extension = certificate.extensions().iter().find(|extension| extension.oid.to_id_string() == SGX_EXTENSION);
        let extension = extension.ok_or("a certificate of no machine")?;
        let mut machine = Self::default();
        let (tag, content, _) = value(extension.value)?;
        if tag != 0x30 {
            return refuse("an extension of another shape");
        }
        machine.fields(content)?;
        if machine.ppid.len() != 16 { refuse("a machine without a name") } else { Ok(machine) }
    }

    /// A list of pairs: name, then value or another list.
    fn fields(&mut self, mut pairs: &[u8]) -> Answer<()> {
        while !pairs.is_empty() {
            let (_, pair, rest) = value(pairs)?;
            pairs = rest;
            let (_, name, after) = value(pair)?;
            let (tag, content, _) = value(after)?;
            let Some(tail) = name.strip_prefix(&ARC) else { return refuse("a field of another arc") };
            let number = || content.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
            match (tail, tag) {
                ([1], 4) => self.ppid = content.to_vec(),
                ([4], 4) => self.fmspc = content.try_into().map_err(|_| "no kind of machine")?,
                ([2] | [7], 0x30) => self.fields(content)?,
                ([2, at @ 1..=16], 2) => self.components[usize::from(at - 1)] = number() as u8,
                ([2, 17], 2) => self.pce_svn = number() as u16,
                ([7, at @ 1..=3], 1) => self.settings[usize::from(at - 1)] = content != [0],
                _ => {}
            }
        }
        Ok(())
    }
}
