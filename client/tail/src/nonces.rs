//! Nonces for head-key requests: fresh, used once, and free to hand out.
//!
//! A nonce carries its own time and a tag over it, so that handing one out keeps nothing: whoever
//! asks for a million leaves no trace. Only nonces of requests that were granted are remembered.

use encompute_envelope::SecretSeed;
use encompute_protocol::{Nonce, digest::keccak_256};
use std::collections::BTreeMap;
use std::time::Duration;

const TAG: &[u8] = b"encompute/head-key-nonce/v1";
/// How long a nonce may be answered: a quote and its collateral take seconds at worst.
pub(crate) const NONCE_LIFE: Duration = Duration::from_secs(120);
/// Granted requests remembered at once; each of them had a valid quote.
const GRANTED_LIMIT: usize = 65_536;

/// Time since the service started, by a clock that never goes back.
pub(crate) type Moment = Duration;

/// The nonces of one running service; those of another, or of an earlier start, are not known.
pub(crate) struct Nonces {
    secret: SecretSeed,
    issued: u64,
    granted: BTreeMap<Nonce, Moment>,
}

/// A nonce that does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NonceRefused {
    /// Not this service's.
    #[error("the nonce was not issued by this service")]
    Unknown,
    /// Too old.
    #[error("the nonce is older than {NONCE_LIFE:?}")]
    Stale,
    /// A key was released for it already.
    #[error("the nonce was used")]
    Used,
    /// Too many keys were released lately.
    #[error("too many keys were released within {NONCE_LIFE:?}")]
    Full,
}

impl Nonces {
    pub(crate) fn new() -> Self {
        Self { secret: SecretSeed::generate(), issued: 0, granted: BTreeMap::new() }
    }

    /// A nonce that was never given out.
    pub(crate) fn issue(&mut self, now: Moment) -> Nonce {
        self.issued += 1;
        let mut nonce = [0; 32];
        nonce[..8].copy_from_slice(&(now.as_millis() as u64).to_le_bytes());
        nonce[8..16].copy_from_slice(&self.issued.to_le_bytes());
        let tag = self.tag(&nonce[..16]);
        nonce[16..].copy_from_slice(&tag);
        Nonce(nonce)
    }

    /// Whether the nonce may still be used.
    pub(crate) fn check(&self, nonce: &Nonce, now: Moment) -> Result<(), NonceRefused> {
        let (told, tag) = nonce.0.split_at(16);
        // All 16 bytes are compared, whichever differ.
        let differing = self.tag(told).iter().zip(tag).fold(0, |differing, (a, b)| differing | (a ^ b));
        if differing != 0 {
            return Err(NonceRefused::Unknown);
        }
        let mut millis = [0; 8];
        millis.copy_from_slice(&told[..8]);
        if now.saturating_sub(Duration::from_millis(u64::from_le_bytes(millis))) > NONCE_LIFE {
            return Err(NonceRefused::Stale);
        }
        if self.granted.contains_key(nonce) {
            return Err(NonceRefused::Used);
        }
        Ok(())
    }

    /// Uses the nonce up: of two requests with one nonce, one is granted.
    pub(crate) fn consume(&mut self, nonce: &Nonce, now: Moment) -> Result<(), NonceRefused> {
        self.check(nonce, now)?;
        self.granted.retain(|_, at| now.saturating_sub(*at) <= NONCE_LIFE);
        if self.granted.len() >= GRANTED_LIMIT {
            return Err(NonceRefused::Full);
        }
        self.granted.insert(*nonce, now);
        Ok(())
    }

    fn tag(&self, told: &[u8]) -> [u8; 16] {
        let hash = keccak_256(&[TAG, self.secret.expose(), told]);
        let mut tag = [0; 16];
        tag.copy_from_slice(&hash[..16]);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Duration::from_secs(1_000);

    #[test]
    fn a_nonce_is_used_once() {
        let mut nonces = Nonces::new();
        let nonce = nonces.issue(NOW);
        assert_eq!(nonces.check(&nonce, NOW), Ok(()));
        assert_eq!(nonces.consume(&nonce, NOW), Ok(()));
        assert_eq!(nonces.consume(&nonce, NOW), Err(NonceRefused::Used));
        assert_ne!(nonces.issue(NOW), nonce);
    }

    #[test]
    fn a_nonce_goes_stale_and_its_memory_goes_with_it() {
        let mut nonces = Nonces::new();
        let nonce = nonces.issue(NOW);
        nonces.consume(&nonce, NOW).unwrap_or_default();
        let later = NOW + NONCE_LIFE + Duration::from_secs(1);
        assert_eq!(nonces.check(&nonce, later), Err(NonceRefused::Stale));
        let next = nonces.issue(later);
        nonces.consume(&next, later).unwrap_or_default();
        assert_eq!(nonces.granted.len(), 1);
    }

    #[test]
    fn an_invented_altered_or_foreign_nonce_is_not_known() {
        let mut nonces = Nonces::new();
        let nonce = nonces.issue(NOW);
        for at in 0..32 {
            let mut altered = nonce;
            altered.0[at] ^= 1;
            assert_eq!(nonces.check(&altered, NOW), Err(NonceRefused::Unknown), "byte {at}");
        }
        assert_eq!(Nonces::new().check(&nonce, NOW), Err(NonceRefused::Unknown));
        assert_eq!(nonces.check(&Nonce::default(), NOW), Err(NonceRefused::Unknown));
    }
}
