//! Sessions of this market, and what honest and other people say about them.

use super::*;
use encompute_protocol::{
    JobId, ReceiptDigest, SessionId, SessionRecord, SessionStage,
    call::{CloseSession, OpenSession, PokeSession, TakeSessions},
    session::{
        SessionEnd, SessionLeaf, SessionOffer, SessionOutcome, SignedSessionOffer, SignedVoucher, Voucher,
        tree::SessionTree,
    },
};

/// What signs a user's vouchers.
pub fn voucher_key() -> SigningKey {
    SigningKey::from_secret(&[0x55; 32]).unwrap()
}

/// How long a session of this world is.
pub const LENGTH: Blocks = Blocks(60);

/// The leaf of one job.
pub fn leaf(session: SessionId, index: u32, outcome: SessionOutcome) -> SessionLeaf {
    SessionLeaf {
        job: session.job(index).unwrap(),
        input: BlobDigest::of(&index.to_le_bytes()),
        receipt: ReceiptDigest([2; 32]),
        features: BlobDigest([3; 32]),
        result: BlobDigest([4; 32]),
        outcome,
    }
}

/// The leaves of jobs that ended so: settled, then paid for their head alone, then refunded.
pub fn leaves(session: SessionId, settled: u32, head_only: u32, refunded: u32) -> Vec<SessionLeaf> {
    let outcome = |index: u32| match index {
        _ if index < settled => SessionOutcome::Settled,
        _ if index < settled + head_only => SessionOutcome::HeadOnly,
        _ => SessionOutcome::Refunded,
    };
    (0..settled + head_only + refunded).map(|index| leaf(session, index, outcome(index))).collect()
}

impl World {
    /// A worker's promise of a session of the first version's first split.
    pub fn session_offer(&self, worker: usize, user: Address, jobs: u32) -> SignedSessionOffer {
        let offer = SessionOffer {
            genesis: GENESIS,
            contract: self.contract,
            worker: WORKERS[worker],
            user,
            version: VersionId(1),
            split: SplitIndex(0),
            key: voucher_key().address(),
            jobs,
            length: LENGTH,
            expires_at: BlockNumber(self.block + 5),
        };
        SignedSessionOffer { offer, signature: key(worker).sign(&offer) }
    }

    pub fn session_message(&self, worker: usize, user: Address, jobs: u32) -> OpenSession {
        let offer = self.session_offer(worker, user, jobs);
        OpenSession { version: VersionId(1), split: SplitIndex(0), policy: PolicyId(1), offer }
    }

    pub fn session_escrow(&self, jobs: u32) -> Plancks {
        let one = self.escrow(VersionId(1), SplitIndex(0), Plancks::ZERO).unwrap_or(Plancks(1));
        one.checked_mul(jobs.into()).unwrap()
    }

    /// A session of the first user with the first worker; the first creator takes some of up to a thousand jobs.
    pub fn opened(&mut self, jobs: u32) -> SessionId {
        self.call(CREATORS[0], TakeSessions { version: VersionId(1), jobs: 1_000 }).unwrap();
        let message = self.session_message(0, USERS[0], jobs);
        self.pay(USERS[0], self.session_escrow(jobs), message).unwrap()
    }

    pub fn session(&self, id: SessionId) -> SessionRecord {
        self.market.session(id).unwrap()
    }

    /// Moves to the first block in which a session's deadline is over.
    pub fn past_session(&mut self, id: SessionId) {
        self.block = self.session(id).deadline.0 + 1;
    }

    /// Every session there was.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> + use<> {
        let ids = (1..=self.market.counts().jobs).map(SessionId);
        ids.filter(|id| self.market.session(*id).is_some()).collect::<Vec<_>>().into_iter()
    }

    /// What the user of a session signs over these jobs.
    pub fn voucher(&self, session: SessionId, leaves: &[SessionLeaf]) -> SignedVoucher {
        let paid =
            leaves.iter().map(|leaf| leaf.outcome.pays()).fold((0, 0), |sum, pays| (sum.0 + pays.0, sum.1 + pays.1));
        let voucher = Voucher {
            genesis: GENESIS,
            contract: self.contract,
            session,
            done: leaves.len() as u32,
            heads: paid.0,
            tails: paid.1,
            root: SessionTree::of(leaves).root(),
        };
        SignedVoucher { voucher, signature: voucher_key().sign(&voucher) }
    }

    /// Somebody shows a voucher over jobs that ended so.
    pub fn show(&mut self, who: Address, session: SessionId, ends: (u32, u32, u32)) -> Result<(), Refusal> {
        let signed = self.voucher(session, &leaves(session, ends.0, ends.1, ends.2));
        self.call(who, CloseSession { signed, agreed: None })
    }

    /// The creator shows a voucher with the worker's agreement.
    pub fn agree(&mut self, session: SessionId, ends: (u32, u32, u32)) -> Result<(), Refusal> {
        let signed = self.voucher(session, &leaves(session, ends.0, ends.1, ends.2));
        let agreed = Some(key(0).sign(&SessionEnd { voucher: signed.voucher }));
        self.call(CREATORS[0], CloseSession { signed, agreed })
    }

    /// One of the sessions that are not over, or the first job, which is none.
    fn a_session(&self, number: u8) -> SessionId {
        let open: Vec<_> = self.sessions().filter(|id| self.session(*id).stage != SessionStage::Closed).collect();
        if open.is_empty() || number.is_multiple_of(16) {
            return self.sessions().last().unwrap_or(SessionId(JobId(1).0));
        }
        open[usize::from(number) % open.len()]
    }

    /// What a random step says about a session: opens one, shows a voucher, agrees on one, pokes.
    pub fn about_sessions(&mut self, what: u8, who: u8, number: u8) -> Option<(Address, Plancks, Command)> {
        let free = |who: Address, command: Command| Some((who, Plancks::ZERO, command));
        let who = [USERS[0], USERS[1], WORKERS[0], CREATORS[0], STRANGER][usize::from(who) % 5];
        // Without its creator's word nothing is opened, and steps that open nothing show nothing.
        let none_taken = self.market.sessions_taken(VersionId(1)) == 0;
        match what {
            0 if number.is_multiple_of(4) => {
                free(CREATORS[0], TakeSessions { version: VersionId(1), jobs: u32::from(number) % 6 }.into())
            }
            0..=2 if none_taken => free(CREATORS[0], TakeSessions { version: VersionId(1), jobs: 5 }.into()),
            0..=2 => {
                let (user, jobs) = (USERS[usize::from(number) % 2], 1 + u32::from(number) % 5);
                let message = self.session_message(usize::from(number) % WORKERS.len(), user, jobs);
                let short = u128::from(number.is_multiple_of(32));
                Some((user, Plancks(self.session_escrow(jobs).0 - short), message.into()))
            }
            3 => free(STRANGER, PokeSession { session: self.a_session(number) }.into()),
            _ => {
                let session = self.a_session(number);
                // As many jobs as it has at most, but for one in sixteen.
                let jobs = self.market.session(session).map_or(1, |record| record.jobs);
                let settled = u32::from(number / 2) % (jobs + 1);
                let head_only = u32::from(number / 16) % (jobs + 1 - settled);
                let refunded = if number.is_multiple_of(16) {
                    5
                } else {
                    u32::from(number / 64) % (jobs + 1 - settled - head_only)
                };
                let signed = self.voucher(session, &leaves(session, settled, head_only, refunded));
                let worker = self.market.session(session).map_or(WORKERS[0], |record| record.worker);
                let worker = WORKERS.iter().position(|known| *known == worker).unwrap();
                let agreed = (what == 5).then(|| key(worker).sign(&SessionEnd { voucher: signed.voucher }));
                let caller = if what == 5 && !number.is_multiple_of(8) { CREATORS[0] } else { who };
                free(caller, CloseSession { signed, agreed }.into())
            }
        }
    }
}
