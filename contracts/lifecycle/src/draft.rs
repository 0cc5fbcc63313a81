//! Changes in the making: sums and credits are kept in step with every movement.

use crate::{
    deposit::Deposit,
    refusal::Refusal,
    state::{Changes, Payout, ReadState, Write},
};
use alloc::vec::Vec;
use encompute_protocol::{
    Address, JobId, ModelId, ModelRecord, Plancks, WorkerRecord,
    event::{AllowanceMoved, AllowanceMovement, BondMoved, Cause, Credited, Event, Movement, StakeMoved},
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

/// Nothing is written or said for a movement of nothing, unless it takes back what was asked before.
fn is_nothing(movement: Movement, amount: Plancks) -> bool {
    amount.is_zero() && movement != Movement::Asked
}

/// The deposit after a movement, and the sum of all deposits of its kind with it.
fn moved(deposit: Deposit, sum: &mut Plancks, movement: Movement, amount: Plancks) -> Result<Deposit, Refusal> {
    match movement {
        Movement::Added => add(sum, amount)?,
        Movement::Slashed | Movement::Taken => take(sum, amount)?,
        Movement::Locked | Movement::Released | Movement::Asked => {}
    }
    // A deposit that grows is no larger than the sum, which has just been counted.
    deposit.moved(movement, amount).ok_or(Refusal::Inconsistent)
}

impl<'a, S: ReadState> Draft<'a, S> {
    pub(crate) fn new(state: &'a S) -> Self {
        let before = state.totals();
        // Room for those of most messages: a list that grows is copied, and the chain weighs that.
        let changes = Changes { writes: Vec::with_capacity(8), ..Changes::default() };
        Self { state, before, totals: before, credits: Vec::new(), changes }
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

    pub(crate) fn take_deposit(&mut self, amount: Plancks) -> Result<(), Refusal> {
        add(&mut self.totals.deposits, amount)
    }

    pub(crate) fn give_deposit(&mut self, amount: Plancks) -> Result<(), Refusal> {
        take(&mut self.totals.deposits, amount)
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
        self.owe(account, amount)?;
        self.emit(Credited { account, job, amount, cause });
        Ok(())
    }

    /// Owes `account` more; the caller says so in an event of its own.
    pub(crate) fn owe(&mut self, account: Address, amount: Plancks) -> Result<(), Refusal> {
        match self.credits.iter_mut().find(|(known, _)| *known == account) {
            Some((_, sum)) => add(sum, amount)?,
            None => {
                let mut sum = self.state.credit(account);
                add(&mut sum, amount)?;
                self.credits.push((account, sum));
            }
        }
        add(&mut self.totals.credits, amount)
    }

    /// Stakes a part of `account`'s credit on a dispute; once in a draft, which credits it nothing.
    pub(crate) fn stake_credit(&mut self, account: Address, amount: Plancks) -> Result<(), Refusal> {
        let mut left = self.state.credit(account);
        take(&mut left, amount)?;
        take(&mut self.totals.credits, amount)?;
        self.credits.push((account, left));
        self.take_deposit(amount)
    }

    /// Empties `account`'s credit.
    pub(crate) fn empty_credit(&mut self, account: Address, amount: Plancks) -> Result<(), Refusal> {
        take(&mut self.totals.credits, amount)?;
        self.credits.push((account, Plancks::ZERO));
        Ok(())
    }

    /// Moves what a sponsor allows a user; once in a draft for each pair.
    pub(crate) fn move_allowance(
        &mut self,
        (sponsor, user): (Address, Address),
        job: Option<JobId>,
        movement: AllowanceMovement,
        amount: Plancks,
    ) -> Result<(), Refusal> {
        let mut left = self.state.allowance(sponsor, user);
        let change = if movement == AllowanceMovement::Added { add } else { take };
        change(&mut left, amount)?;
        change(&mut self.totals.allowances, amount)?;
        self.write(Write::Allowance(sponsor, user, left));
        self.emit(AllowanceMoved { sponsor, user, job, movement, amount });
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
        if is_nothing(movement, amount) {
            return Ok(());
        }
        let stake = Deposit { amount: worker.stake, locked: worker.stake_locked, leaving: worker.stake_leaving };
        let next = moved(stake, &mut self.totals.stakes, movement, amount)?;
        (worker.stake, worker.stake_locked, worker.stake_leaving) = (next.amount, next.locked, next.leaving);
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
        if is_nothing(movement, amount) {
            return Ok(());
        }
        let bond = Deposit { amount: model.bond, locked: model.bond_locked, leaving: model.bond_leaving };
        let next = moved(bond, &mut self.totals.bonds, movement, amount)?;
        (model.bond, model.bond_locked, model.bond_leaving) = (next.amount, next.locked, next.leaving);
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
