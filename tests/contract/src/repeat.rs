//! The same calls in memory and on chain.

use crate::{
    Chain, Said,
    chain::{self, BLOCKS_KNOWN},
    world::{self, GOVERNOR, STRANGER, USERS, World, sponsors::SPONSORS},
};
use encompute_lifecycle::{Command, Context, Look, Memory, ReadState, Refusal, Scene, Software, View};
use encompute_protocol::{
    Address, BlockNumber, JobId, KeyDigest, ModelId, Plancks, SessionId, SplitIndex, VersionId,
    call::{
        Call as _, ReadAllowance, ReadAnnouncedParams, ReadAttestationKey, ReadCounts, ReadCredit, ReadDispute,
        ReadDraw, ReadGovernance, ReadJob, ReadMeasurement, ReadModel, ReadNonce, ReadParams, ReadPlatform,
        ReadPrunedJob, ReadRating, ReadSession, ReadSessionsTaken, ReadSplit, ReadTotals, ReadVersion, ReadWorker,
        ReadWorkerAt,
    },
    event::Event,
};
use std::fmt::Debug;

/// Where contract and rules part.
#[derive(Debug)]
pub struct Difference {
    /// Which call, from 0.
    pub at: usize,
    /// What was called.
    pub call: Option<(Context, Command)>,
    /// What the rules say, what the contract says.
    pub words: String,
}

impl Chain {
    /// Makes every call that `world` made and compares answers, events and money after each, every
    /// record at the end. Gives the number of calls that were not refused.
    ///
    /// # Errors
    /// The first [`Difference`].
    pub fn repeat(&mut self, world: &World) -> Result<usize, Difference> {
        let mut rules = Memory::new(GOVERNOR, world::params(), Software).unwrap();
        self.go_on(&mut rules, world, 0)
    }

    /// The same for the calls of `world` from one on; `rules` are where they were before it.
    ///
    /// # Errors
    /// The first [`Difference`].
    pub fn go_on(&mut self, rules: &mut Memory<Software>, world: &World, from: usize) -> Result<usize, Difference> {
        let done = self.follow(rules, world, from)?;
        let all = world.calls.len();
        self.compare(rules, world).map_err(|words| Difference { at: all, call: None, words })?;
        Ok(done)
    }

    /// The same without the records at the end.
    ///
    /// # Errors
    /// The first [`Difference`].
    pub fn follow(&mut self, rules: &mut Memory<Software>, world: &World, from: usize) -> Result<usize, Difference> {
        let mut done = 0;
        for (at, (context, command)) in world.calls.iter().enumerate().skip(from) {
            let differs = |words| Difference { at, call: Some((*context, command.clone())), words };
            done += usize::from(self.repeat_one(rules, context, command).map_err(differs)?);
        }
        Ok(done)
    }

    fn repeat_one(&mut self, rules: &mut Memory<Software>, at: &Context, command: &Command) -> Result<bool, String> {
        let paid_before = self.free(at.caller);
        let decided = rules.execute_command(at, command);
        let outcome = self.send_at(at, command.calldata());
        let refused = match &outcome.said {
            Said::Returned(_) => None,
            // ink! stops money to a message that takes none, before the rules see it.
            Said::Stopped(_) if !at.value.is_zero() => Some(Refusal::ValueNotTaken { found: at.value }),
            said => chain::answer::<()>(said).err(),
        };
        same("refusal", &decided.as_ref().err().copied(), &refused)?;
        let events: &[Event] = decided.as_ref().map_or(&[], |changes| &changes.events);
        same("events", &events, &outcome.events.as_slice())?;
        same("balance", &rules.balance(), &self.balance())?;
        if refused.is_some() {
            same("the caller's money", &paid_before, &self.free(at.caller))?;
        }
        Ok(refused.is_none())
    }

    /// Every record, asked for as a client would.
    fn compare(&mut self, rules: &Memory<Software>, world: &World) -> Result<(), String> {
        self.ask(rules, &ReadParams {})?;
        self.ask(rules, &ReadAnnouncedParams {})?;
        self.ask(rules, &ReadTotals {})?;
        self.ask(rules, &ReadCounts {})?;
        self.ask(rules, &ReadGovernance {})?;
        let counts = rules.counts();
        for job in 1..=counts.jobs + 1 {
            self.ask(rules, &ReadJob { job: JobId(job) })?;
            self.ask_draw(rules, world, JobId(job))?;
            self.ask(rules, &ReadDispute { job: JobId(job) })?;
            self.ask(rules, &ReadRating { job: JobId(job) })?;
            self.ask(rules, &ReadPrunedJob { job: JobId(job) })?;
            self.ask(rules, &ReadSession { session: SessionId(job) })?;
        }
        for model in 1..=counts.models + 1 {
            self.ask(rules, &ReadModel { model: ModelId(model) })?;
        }
        for version in (1..=counts.versions + 1).map(VersionId) {
            self.ask(rules, &ReadVersion { version })?;
            self.ask(rules, &ReadSessionsTaken { version })?;
            for split in (0..3).map(SplitIndex) {
                self.ask(rules, &ReadSplit { version, split })?;
            }
        }
        for index in 0..=counts.workers {
            self.ask(rules, &ReadWorkerAt { index })?;
        }
        for measurement in *world::MEASUREMENTS {
            self.ask(rules, &ReadMeasurement { measurement })?;
        }
        for (platform, machine) in world::PLATFORMS.iter().zip(world::MACHINES.iter()) {
            self.ask(rules, &ReadPlatform { platform: *platform })?;
            self.ask(rules, &ReadAttestationKey { key: KeyDigest::of(&machine.parts.attestation_key.0) })?;
        }
        let accounts: std::collections::BTreeSet<Address> = world.calls.iter().map(|(at, _)| at.caller).collect();
        for account in accounts.into_iter().chain(world::PAYOUTS) {
            self.ask(rules, &ReadWorker { worker: account })?;
            self.ask(rules, &ReadCredit { account })?;
            self.ask(rules, &ReadNonce { account })?;
        }
        for (sponsor, user) in SPONSORS.into_iter().flat_map(|sponsor| USERS.map(|user| (sponsor, user))) {
            self.ask(rules, &ReadAllowance { sponsor, user })?;
        }
        Ok(())
    }

    /// Whose turn it is in the world's block.
    pub fn ask_draw(&mut self, rules: &Memory<Software>, world: &World, job: JobId) -> Result<(), String> {
        let (call, at) = (ReadDraw { job }, world.at(STRANGER, Plancks::ZERO));
        // The platform forgets hashes, the rules' own host here does not.
        let since = rules.job_progress(job).map_or(at.block, |progress| progress.changed_at);
        let at = Context { block: at.block.min(BlockNumber(since.0 + BLOCKS_KNOWN)), ..at };
        let draw = call.look(&Scene { state: rules, host: &Software, at: &at });
        self.at_block(at.block.0);
        same(ReadDraw::NAME, &draw, &self.read(&call))
    }

    fn ask<C>(&mut self, rules: &Memory<Software>, call: &C) -> Result<(), String>
    where
        C: View + Debug,
        C::Answer: PartialEq + Debug,
    {
        same(C::NAME, &call.view(rules), &self.read(call))
    }
}

fn same<T: PartialEq + Debug>(what: &str, rules: &T, contract: &T) -> Result<(), String> {
    if rules == contract { Ok(()) } else { Err(format!("{what}: the rules say {rules:?}, the contract {contract:?}")) }
}
