//! How everybody gets out of the world.

use super::*;
use encompute_protocol::call::EndSponsoring;

impl World {
    /// Once no job runs: everybody leaves with everything.
    pub fn everybody_leaves(&mut self) {
        for worker in self.workers() {
            assert_eq!(self.worker(worker).stake_locked, Plancks::ZERO);
            let amount = self.worker(worker).stake;
            self.call(account(worker), AskStake { amount }).unwrap();
        }
        let models = CREATORS.into_iter().zip((1..).map(ModelId));
        for (creator, model) in models.clone() {
            let record = self.market.model(model).unwrap();
            assert_eq!((record.bond_locked, record.open_jobs), (Plancks::ZERO, 0));
            self.call(creator, AskBond { model, amount: record.bond }).unwrap();
        }
        self.block += self.market.params().unbonding.0;
        for worker in self.workers() {
            if self.worker(worker).stake_leaving > Plancks::ZERO {
                self.call(account(worker), TakeStake {}).unwrap();
            }
        }
        for (creator, model) in models {
            if self.market.model(model).unwrap().bond_leaving > Plancks::ZERO {
                self.call(creator, TakeBond { model }).unwrap();
            }
        }
        for ((sponsor, user), amount) in self.market.allowances().collect::<Vec<_>>() {
            assert_eq!(self.call(sponsor, EndSponsoring { user }), Ok(amount));
        }
        let creditors: Vec<_> = self.market.credits().collect();
        for (account, amount) in creditors {
            assert_eq!(self.call(account, WithdrawCredit { to: None }), Ok(amount));
        }
    }
}
