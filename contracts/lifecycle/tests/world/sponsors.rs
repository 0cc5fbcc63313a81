//! Who pays for whom, and what always holds of it.

use super::*;
use encompute_protocol::{
    call::{EndSponsoring, SponsorUser},
    event::{Cause, Credited, Event},
};
use proptest::{prelude::*, test_runner::TestCaseResult};
use std::collections::BTreeSet;

/// Who pays for the first user's jobs in a sponsored world.
pub const SPONSOR: Address = Address([0x51; 20]);
/// What it allows at first: more than any job costs.
pub const ALLOWED: Plancks = Plancks(1_000_000);

impl World {
    /// A world in which the first user's jobs are paid for by a sponsor.
    pub fn sponsored() -> Self {
        Self::new().with_sponsor(SPONSOR)
    }

    pub fn with_sponsor(mut self, sponsor: Address) -> Self {
        self.allow(sponsor, USERS[0], ALLOWED).unwrap();
        self.sponsor = Some(sponsor);
        self
    }

    pub fn allow(&mut self, sponsor: Address, user: Address, amount: Plancks) -> Result<(), Refusal> {
        self.pay(sponsor, amount, SponsorUser { user })
    }

    pub fn end(&mut self, sponsor: Address, user: Address) -> Result<Plancks, Refusal> {
        self.call(sponsor, EndSponsoring { user })
    }

    pub fn allowance(&self, sponsor: Address) -> Plancks {
        self.market.allowance(sponsor, USERS[0])
    }

    /// What a step about allowances does: mostly one is added to, sometimes one that there is is ended.
    pub fn about_allowances(&mut self, what: u8, who: u8, amount: u16) -> Option<(Address, Plancks, Command)> {
        let user = USERS[usize::from(who / 8) % USERS.len()];
        Some(match what {
            0 => (self.who_pays_for(user, who).unwrap_or(SPONSOR), Plancks::ZERO, EndSponsoring { user }.into()),
            _ => (SPONSORS[usize::from(who % 8)], Plancks(amount.into()), SponsorUser { user }.into()),
        })
    }

    /// Whoever allows the user something, if there is anybody; every fourth time anybody who might.
    pub fn who_pays_for(&self, user: Address, number: u8) -> Option<Address> {
        let pays = |((sponsor, of), _): ((Address, Address), Plancks)| (of == user).then_some(sponsor);
        let paying: Vec<_> = self.market.allowances().filter_map(pays).collect();
        let all = if number.is_multiple_of(4) { &SPONSORS[..] } else { &paying };
        all.get(usize::from(number / 4) % all.len().max(1)).copied()
    }
}

/// Who may pay for others in random steps: mostly one that does nothing else, or a user, a creator, a worker.
pub const SPONSORS: [Address; 8] = [SPONSOR, SPONSOR, SPONSOR, SPONSOR, USERS[0], USERS[1], CREATORS[0], WORKERS[1]];

/// The sponsor adds to it, a job that its user asks for spends a whole escrow of it, the sponsor ends it into its credit.
pub fn an_allowance_changes_by_its_sponsors_word_and_its_users_jobs_alone(
    before: &World,
    world: &World,
) -> TestCaseResult {
    let pairs = before.market.allowances().chain(world.market.allowances()).map(|(pair, _)| pair);
    for (sponsor, user) in pairs.collect::<BTreeSet<_>>() {
        let (from, to) = (before.market.allowance(sponsor, user).0, world.market.allowance(sponsor, user).0);
        if from == to {
            continue;
        }
        let (at, command) = &world.calls[before.calls.len()..].last().unwrap();
        match command {
            Command::SponsorUser(message) => {
                prop_assert_eq!((at.caller, message.user, from + at.value.0), (sponsor, user, to));
            }
            Command::EndSponsoring(message) => {
                prop_assert_eq!((at.caller, message.user, to), (sponsor, user, 0));
                prop_assert_eq!(before.market.credit(sponsor).0 + from, world.market.credit(sponsor).0);
            }
            Command::RequestJob(message) => {
                prop_assert_eq!((at.caller, message.sponsor, at.value), (user, Some(sponsor), Plancks::ZERO));
                let terms = world.terms(JobId(world.market.counts().jobs));
                prop_assert_eq!((terms.user, terms.sponsor), (user, Some(sponsor)));
                prop_assert_eq!(from - terms.fees.total().unwrap().0, to);
            }
            other => prop_assert!(false, "{other:?} changes what {sponsor} allows {user}"),
        }
    }
    Ok(())
}

/// What comes back of a job's escrow is its payer's, whoever bought it.
pub fn a_refund_is_credited_to_whom_the_money_came_from(before: &World, world: &World) -> TestCaseResult {
    for (_, event) in &world.market.events()[before.market.events().len()..] {
        let Event::Credited(Credited { account, job, cause: Cause::Refund, .. }) = event else { continue };
        // Sessions have no sponsors.
        if let Some(terms) = before.market.job_terms(*job) {
            prop_assert_eq!(*account, terms.sponsor.unwrap_or(terms.user));
        }
    }
    Ok(())
}
