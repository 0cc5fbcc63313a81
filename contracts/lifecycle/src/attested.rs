//! What a quote proves to the contract: which code runs, on which listed machine, and what it commits to.
//!
//! The chain checks every signature up to the machine's PCK key, and that the key is listed. It does not see what
//! Intel says of the machine since: patch level, advisories, revocation lists. Those are for whoever relies on the
//! registration (`encompute-attest`), and for the governor, who revokes a platform.

use crate::{
    command::{Decide, Decision, Scene},
    context::Host,
    draft::Draft,
    refusal::{QuoteCheck, Refusal},
    state::{ReadState, Write},
};
use encompute_protocol::{
    KeyDigest, KeyParts, MeasurementId, Nonce, PlatformId, QuoteIdentity, QuoteParts,
    call::CertifyKey,
    event::KeyCertified,
    market::AttestationKeyRecord,
    quote::{P256Key, P256Signature, SignedBody},
    statement::TeeKind,
};

/// Code and quote, once every check on the quote itself holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attested {
    /// The code that made the quote.
    pub measurement: MeasurementId,
    /// Header and body of the quote.
    pub quote: QuoteIdentity,
}

/// What a quote must bind: what a registration says, or a job's receipt.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Digest of the statement.
    pub statement: [u8; 32],
    /// The nonce that the contract issued.
    pub nonce: Nonce,
    /// The kind of enclave that the statement names, where it names one.
    pub tee: Option<TeeKind>,
}

/// The identity of an attestation key.
pub fn key_digest<H: Host>(host: &H, key: &P256Key) -> KeyDigest {
    KeyDigest(host.keccak_256(&key.0))
}

/// Identity of a quote: of its header and body, which cannot be altered without breaking its signature.
pub fn quote_identity<H: Host>(host: &H, quote: &QuoteParts) -> QuoteIdentity {
    QuoteIdentity(host.keccak_256(quote.signed.as_slice()))
}

/// The machine that these parts say vouches for a key.
pub fn platform_id<H: Host>(host: &H, key: &KeyParts) -> PlatformId {
    PlatformId(host.keccak_256(&key.platform_preimage()))
}

/// Whether that machine vouches for the attestation key.
///
/// # Errors
/// [`Refusal::QuoteRefused`] with the check that fails. Whether the machine is listed is not among them.
pub fn vouches_for<H: Host>(host: &H, key: &KeyParts) -> Result<(), Refusal> {
    let refused = |check| Err(Refusal::QuoteRefused { check });
    if key.qe_is_debug() {
        return refused(QuoteCheck::QuotingEnclaveDebug);
    }
    let (bound, report_data) = key.qe_binding();
    let digest = sha_256(host, &bound)?;
    let (binding, rest) = report_data.split_at(digest.len());
    if binding != digest || rest.iter().any(|byte| *byte != 0) {
        return refused(QuoteCheck::KeyBinding);
    }
    if !is_signed(host, &key.qe_report.0, &key.qe_report_signature, &key.pck_key)? {
        return refused(QuoteCheck::PckSignature);
    }
    Ok(())
}

/// What a quote proves under its attestation key, if it binds what is expected. Cheap checks first: a signature costs
/// the chain more than everything else together.
///
/// # Errors
/// [`Refusal::QuoteUnread`], [`Refusal::QuoteRefused`] with the check that fails. Whether key and code are listed is
/// not among them.
pub fn attested<H: Host>(host: &H, quote: &QuoteParts, expected: &Expected) -> Result<Attested, Refusal> {
    let body = quote.read().map_err(|fault| Refusal::QuoteUnread { fault })?;
    let refused = |check| Err(Refusal::QuoteRefused { check });
    if expected.tee.is_some_and(|tee| tee != body.tee()) {
        return refused(QuoteCheck::TeeKind);
    }
    if body.is_debug() {
        return refused(QuoteCheck::Debug);
    }
    if body.names_no_software() {
        return refused(QuoteCheck::NoSoftware);
    }
    if !binds(&body, expected) {
        return refused(QuoteCheck::ReportData);
    }
    if !is_signed(host, quote.signed.as_slice(), &quote.signature, &quote.attestation_key)? {
        return refused(QuoteCheck::QuoteSignature);
    }
    let measurement = MeasurementId(host.keccak_256(&body.measurement_preimage()));
    Ok(Attested { measurement, quote: quote_identity(host, quote) })
}

fn binds(body: &SignedBody<'_>, expected: &Expected) -> bool {
    let (statement, nonce) = body.report_data().split_at(expected.statement.len());
    statement == expected.statement && nonce == expected.nonce.0
}

fn is_signed<H: Host>(host: &H, message: &[u8], signature: &P256Signature, key: &P256Key) -> Result<bool, Refusal> {
    Ok(host.p256_verify(&sha_256(host, message)?, signature, key))
}

/// A digest of zeros would be one that anybody can sign for any key: there must be an answer.
fn sha_256<H: Host>(host: &H, bytes: &[u8]) -> Result<[u8; 32], Refusal> {
    host.sha_256(bytes).ok_or(Refusal::QuoteRefused { check: QuoteCheck::NoSha256 })
}

impl<S: ReadState, H: Host> Scene<'_, S, H> {
    /// The machine that made an attestation key, if it may be used in this block.
    pub(crate) fn platform_of(&self, key: &P256Key) -> Result<PlatformId, Refusal> {
        let key = key_digest(self.host, key);
        let record = self.state.attestation_key(key).ok_or(Refusal::UnknownKey { key })?;
        self.platform_must_be_usable(record.platform)?;
        Ok(record.platform)
    }
}

impl<S: ReadState, H> Scene<'_, S, H> {
    /// Refuses a machine that may not be used in this block.
    pub(crate) fn platform_must_be_usable(&self, platform: PlatformId) -> Result<(), Refusal> {
        let record = self.state.platform(platform).ok_or(Refusal::UnknownPlatform { platform })?;
        if let Some(revoked_at) = record.revoked_at {
            return Err(Refusal::PlatformRevoked { revoked_at });
        }
        let (valid_from, block) = (record.valid_from, self.at.block);
        if valid_from > block { Err(Refusal::PlatformNotYet { valid_from, block }) } else { Ok(()) }
    }
}

impl Decide for CertifyKey {
    /// Anybody, for a platform that may be used now. A key may be certified again, also by another platform: a machine
    /// that was patched keeps its attestation key and has a new PCK key.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<PlatformId>, Refusal> {
        let platform = platform_id(scene.host, &self.key);
        scene.platform_must_be_usable(platform)?;
        vouches_for(scene.host, &self.key)?;
        let key = key_digest(scene.host, &self.key.attestation_key);
        let mut draft = Draft::new(scene.state);
        draft.emit(KeyCertified { key, platform });
        draft.write(Write::AttestationKey(key, AttestationKeyRecord { platform, certified_at: scene.at.block }));
        Ok(Decision { changes: draft.finish(), answer: platform })
    }
}
