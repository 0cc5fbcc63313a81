//! Changes in the making: sums and credits are kept in step with every movement.

use crate::{
    refusal::Refusal,
    state::{Changes, Payout, ReadState, Write},
};
use alloc::vec::Vec;
use encompute_protocol::{
    Address, JobId, ModelId, ModelRecord, Plancks, WorkerRecord,
    event::{BondMoved, Cause, Credited, Event, Movement, StakeMoved},
    market::Totals,
};

/// Changes that are not yet decided. Dropping one leaves no trace.
pub(crate) struct Draft<'a, S> {
    state: &'a S,
    before: Totals,
    totals: Totals,
    credits: Vec<(Address, Plancks)>,
    changes: Changes,
}

fn add(sum: &mut Plancks, amount: Plancks) -> Result<(), Refusal> {
    *sum = sum.checked_add(amount).ok_or(Refusal::AmountTooLarge)?;
    Ok(())
}

fn take(sum: &mut Plancks, amount: Plancks) -> Result<(), Refusal> {
    *sum = sum.checked_sub(amount).ok_or(Refusal::Inconsistent)?;
    Ok(())
}

impl<'a, S: ReadState> Draft<'a, S> {
    pub(crate) fn new(state: &'a S) -> Self {
        let before = state.totals();
        Self { state, before, totals: before, credits: Vec::new(), changes: Changes::default() }
    }

    pub(crate) fn emit(&mut self, event: impl Into<Event>) {
        self.changes.events.push(event.into());
    }

    pub(crate) fn write(&mut self, write: Write) {
        self.changes.writes.push(write);
    }

    pub(crate) fn lock_escrow(&mut self, amount: Plancks) -> Result<(), Refusal> {
        add(&mut self.totals.escrow, amount)
    }

    pub(crate) fn unlock_escrow(&mut self, amount: Plancks) -> Result<(), Refusal> {
        take(&mut self.totals.escrow, amount)
    }

    /// Owes `account` more. Nothing is written or said for nothing.
    pub(crate) fn credit(
        &mut self,
        account: Address,
        job: JobId,
        amount: Plancks,
        cause: Cause,
    ) -> Result<(), Refusal> {
        if amount.is_zero() {
            return Ok(());
        }
        match self.credits.iter_mut().find(|(known, _)| *known == account) {
            Some((_, sum)) => add(sum, amount)?,
            None => {
                let mut sum = self.state.credit(account);
                add(&mut sum, amount)?;
                self.credits.push((account, sum));
            }
        }
        add(&mut self.totals.credits, amount)?;
        self.emit(Credited { account, job, amount, cause });
        Ok(())
    }

    /// Empties `account`'s credit.
    pub(crate) fn empty_credit(&mut self, account: Address, amount: Plancks) -> Result<(), Refusal> {
        take(&mut self.totals.credits, amount)?;
        self.credits.push((account, Plancks::ZERO));
        Ok(())
    }

    /// Moves a worker's stake; the caller writes the record.
    pub(crate) fn move_stake(
        &mut self,
        account: Address,
        worker: &mut WorkerRecord,
        job: Option<JobId>,
        movement: Movement,
        amount: Plancks,
    ) -> Result<(), Refusal> {
        if amount.is_zero() && movement != Movement::Asked {
            return Ok(());
        }
        match movement {
            Movement::Added => {
                add(&mut worker.stake, amount)?;
                add(&mut self.totals.stakes, amount)?;
            }
            Movement::Locked => add(&mut worker.stake_locked, amount)?,
            Movement::Released => take(&mut worker.stake_locked, amount)?,
            Movement::Slashed => {
                take(&mut worker.stake_locked, amount)?;
                take(&mut worker.stake, amount)?;
                take(&mut self.totals.stakes, amount)?;
            }
            Movement::Asked => worker.stake_leaving = amount,
            Movement::Taken => {
                take(&mut worker.stake_leaving, amount)?;
                take(&mut worker.stake, amount)?;
                take(&mut self.totals.stakes, amount)?;
            }
        }
        self.emit(StakeMoved { worker: account, job, movement, amount });
        Ok(())
    }

    /// Moves a model's bond; the caller writes the record.
    pub(crate) fn move_bond(
        &mut self,
        id: ModelId,
        model: &mut ModelRecord,
        job: Option<JobId>,
        movement: Movement,
        amount: Plancks,
    ) -> Result<(), Refusal> {
        if amount.is_zero() && movement != Movement::Asked {
            return Ok(());
        }
        match movement {
            Movement::Added => {
                add(&mut model.bond, amount)?;
                add(&mut self.totals.bonds, amount)?;
            }
            Movement::Locked => add(&mut model.bond_locked, amount)?,
            Movement::Released => take(&mut model.bond_locked, amount)?,
            Movement::Slashed => {
                take(&mut model.bond_locked, amount)?;
                take(&mut model.bond, amount)?;
                take(&mut self.totals.bonds, amount)?;
            }
            Movement::Asked => model.bond_leaving = amount,
            Movement::Taken => {
                take(&mut model.bond_leaving, amount)?;
                take(&mut model.bond, amount)?;
                take(&mut self.totals.bonds, amount)?;
            }
        }
        self.emit(BondMoved { model: id, job, movement, amount });
        Ok(())
    }

    pub(crate) fn pay(&mut self, to: Address, amount: Plancks) {
        self.changes.pay = Some(Payout { to, amount });
    }

    /// The changes, each storage item once.
    pub(crate) fn finish(mut self) -> Changes {
        for (account, sum) in self.credits {
            self.changes.writes.push(Write::Credit(account, sum));
        }
        if self.totals != self.before {
            self.changes.writes.push(Write::Totals(self.totals));
        }
        self.changes
    }
}
