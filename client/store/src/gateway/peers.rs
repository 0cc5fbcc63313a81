//! How many bytes one peer may bring in a while.

use crate::blobs::ByteLimit;
use core::time::Duration;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Peers remembered one by one; all others share one budget, so that memory is bounded.
const PEERS: usize = 16_384;

/// What one peer may bring: `bytes` at once, and as many again in every `refill`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerBudget {
    /// Bytes at once.
    pub bytes: ByteLimit,
    /// How long a used-up budget takes to be whole again.
    pub refill: Duration,
}

/// A peer: an IPv4 address, or the 64 bits of an IPv6 address that its network has from outside.
/// Behind a proxy every peer is the proxy.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Peer {
    V4([u8; 4]),
    V6([u16; 4]),
    Others,
}

/// What every peer has used of its budget.
pub(super) struct Peers {
    budget: PeerBudget,
    used: Mutex<HashMap<Peer, (f64, Instant)>>,
}

impl Peers {
    pub(super) fn new(budget: PeerBudget) -> Self {
        Self { budget, used: Mutex::default() }
    }

    /// Takes `bytes` from a peer's budget, or says how long it has to wait before there are so many.
    pub(super) fn take(&self, address: IpAddr, bytes: u64, now: Instant) -> Result<(), Duration> {
        let PeerBudget { bytes: ByteLimit(whole), refill } = self.budget;
        // A budget is a bound against floods: the 53 exact bits of a float are plenty.
        let (whole, bytes) = (whole as f64, bytes as f64);
        let per_second = whole / refill.as_secs_f64().max(1e-3);
        let left_of = |(used, at): (f64, Instant)| used - now.saturating_duration_since(at).as_secs_f64() * per_second;
        let mut peers = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let mut peer = Peer::of(address);
        if peers.len() >= PEERS && !peers.contains_key(&peer) {
            peers.retain(|_, entry| left_of(*entry) > 0.0);
            if peers.len() >= PEERS {
                peer = Peer::Others;
            }
        }
        let used = peers.get(&peer).map_or(0.0, |entry| left_of(*entry).max(0.0));
        let over = used + bytes - whole;
        if over > 0.0 {
            return Err(Duration::from_secs_f64((over / per_second).clamp(1.0, 86_400.0)));
        }
        peers.insert(peer, (used + bytes, now));
        Ok(())
    }
}

impl Peer {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => Self::V6(network_of(address)),
        }
    }
}

fn network_of(address: Ipv6Addr) -> [u16; 4] {
    let [a, b, c, d, ..] = address.segments();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn peers() -> Peers {
        Peers::new(PeerBudget { bytes: ByteLimit(100), refill: Duration::from_secs(100) })
    }

    #[test]
    fn a_peer_over_its_budget_waits_and_no_other_peer_does() {
        let (peers, now) = (peers(), Instant::now());
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        peers.take(one, 100, now).unwrap();
        assert_eq!(peers.take(one, 40, now), Err(Duration::from_secs(40)));
        peers.take(other, 100, now).unwrap();
        peers.take(one, 40, now + Duration::from_secs(40)).unwrap();
        assert!(peers.take(one, 1, now + Duration::from_secs(40)).is_err());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_peer() {
        let (peers, now) = (peers(), Instant::now());
        let address = |last| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        peers.take(address(1), 100, now).unwrap();
        assert!(peers.take(address(2), 1, now).is_err());
        peers.take(IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]), 1, now).unwrap();
    }

    #[test]
    fn more_peers_than_are_remembered_share_one_budget() {
        let (peers, now) = (peers(), Instant::now());
        for index in 0..PEERS as u32 {
            peers.take(IpAddr::from(index.to_be_bytes()), 1, now).unwrap();
        }
        peers.take(IpAddr::from([200, 0, 0, 1]), 100, now).unwrap();
        assert!(peers.take(IpAddr::from([200, 0, 0, 2]), 1, now).is_err());
        assert!(peers.used.lock().unwrap().len() <= PEERS + 1);
        // Once the early ones have their budget back they are forgotten, and there is room again.
        peers.take(IpAddr::from([200, 0, 0, 2]), 1, now + Duration::from_secs(2)).unwrap();
    }
}
