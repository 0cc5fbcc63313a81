//! The money of a session: that of its jobs, each by the table of single ones.

use encompute_protocol::{Address, Plancks, SessionRecord, event::Cause};

/// Who gets what when a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSettlement {
    /// The worker's head fees.
    pub worker: Plancks,
    /// The creator's tail fees.
    pub creator: Plancks,
    /// The protocol's.
    pub treasury: Plancks,
    /// What goes back.
    pub user: Plancks,
}

impl SessionSettlement {
    /// By the numbers that a record has now: for each tail what a settled job pays, for each head without one what a job
    /// pays whose tail fee went back, for every other job nothing. `None` only if an amount overflows, or numbers
    /// contradict each other, which no session that was opened does.
    pub fn of(record: &SessionRecord) -> Option<Self> {
        let fees = &record.fees;
        let alone = record.heads.checked_sub(record.tails)?;
        let escrow = fees.total()?.checked_mul(record.jobs.into())?;
        let worker = fees.head.checked_mul(record.heads.into())?;
        let creator = fees.tail.checked_mul(record.tails.into())?;
        let of_head = fees.head.share_ceil(record.protocol_fee)?;
        let of_heads = of_head.checked_mul(alone.into())?;
        let treasury = fees.protocol.checked_mul(record.tails.into())?.checked_add(of_heads)?;
        let paid = worker.checked_add(creator)?.checked_add(treasury)?;
        Some(Self { worker, creator, treasury, user: escrow.checked_sub(paid)? })
    }

    /// Their sum: the escrow.
    pub fn total(&self) -> Option<Plancks> {
        self.worker.checked_add(self.creator)?.checked_add(self.treasury)?.checked_add(self.user)
    }

    /// The credits, in the order of their events.
    pub(crate) fn lines(
        &self,
        worker: Address,
        creator: Address,
        treasury: Address,
        user: Address,
    ) -> [(Address, Plancks, Cause); 4] {
        [
            (worker, self.worker, Cause::HeadFee),
            (creator, self.creator, Cause::TailFee),
            (treasury, self.treasury, Cause::ProtocolFee),
            (user, self.user, Cause::Refund),
        ]
    }
}
