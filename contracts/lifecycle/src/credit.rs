//! `withdraw_credit`: the one way out for money that was earned or refunded.

use crate::{
    command::{Decide, Decision, Scene},
    context::Host,
    draft::Draft,
    refusal::{Field, Refusal},
    state::ReadState,
};
use encompute_protocol::{Address, Plancks, call::WithdrawCredit, event::Withdrawn};

impl Decide for WithdrawCredit {
    /// Anybody with a credit; all of it, to the caller or where the caller says. If the platform cannot
    /// pay (a receiver below the existential deposit), the call fails and the credit stays.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<Plancks>, Refusal> {
        let account = scene.at.caller;
        let to = self.to.unwrap_or(account);
        if to == Address::default() {
            return Err(Refusal::Missing { field: Field::To });
        }
        // Money paid to itself would belong to nobody.
        if to.0 == scene.at.contract.0 {
            return Err(Refusal::PaymentFailed { to });
        }
        let amount = scene.state.credit(account);
        if amount.is_zero() {
            return Err(Refusal::NothingToWithdraw);
        }
        let mut draft = Draft::new(scene.state);
        draft.empty_credit(account, amount)?;
        draft.emit(Withdrawn { account, to, amount });
        draft.pay(to, amount);
        Ok(Decision { changes: draft.finish(), answer: amount })
    }
}
