//! Who pays for another: an account allows a user some money, and the user's jobs are paid for out of it.
//!
//! An allowance is between two accounts and changes in three ways alone: the sponsor adds to it, a job of the user that
//! names the sponsor spends a whole escrow of it, the sponsor ends it. What the job is and what it costs is the user's to
//! say. Of a job the sponsor has what comes back of the escrow ([`crate::outcome::Party::Payer`]), as a credit: an
//! allowance never grows but by its sponsor's word. Everything else of the job is the user's.

use crate::{
    command::{Decide, Decision, Scene},
    context::Host,
    draft::Draft,
    refusal::{Field, Refusal},
    state::ReadState,
};
use encompute_protocol::{
    Address, Plancks,
    call::{EndSponsoring, SponsorUser},
    event::AllowanceMovement,
};

impl Decide for SponsorUser {
    /// Anybody but the user itself, with some money.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let (sponsor, value) = (scene.at.caller, scene.at.value);
        must_be_another(self.user, Field::User, sponsor)?;
        if value.is_zero() {
            return Err(Refusal::Missing { field: Field::Value });
        }
        let mut draft = Draft::new(scene.state);
        draft.move_allowance((sponsor, self.user), None, AllowanceMovement::Added, value)?;
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for EndSponsoring {
    /// Whoever allows the user something: all that is left becomes its credit. Jobs that were paid for go on.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<Plancks>, Refusal> {
        let (sponsor, user) = (scene.at.caller, self.user);
        must_be_another(user, Field::User, sponsor)?;
        let left = scene.state.allowance(sponsor, user);
        if left.is_zero() {
            return Err(Refusal::NothingAllowed { user });
        }
        let mut draft = Draft::new(scene.state);
        draft.move_allowance((sponsor, user), None, AllowanceMovement::Ended, left)?;
        draft.owe(sponsor, left)?;
        Ok(Decision { changes: draft.finish(), answer: left })
    }
}

/// Refuses a request whose escrow, `wanted`, is not paid: it is sent, to the planck; or nothing is sent, and the sponsor
/// allows the caller as much.
pub(crate) fn must_be_paid<S: ReadState, H>(
    scene: &Scene<'_, S, H>,
    sponsor: Option<Address>,
    wanted: Plancks,
) -> Result<(), Refusal> {
    let (user, sent) = (scene.at.caller, scene.at.value);
    let Some(sponsor) = sponsor else {
        return if sent == wanted { Ok(()) } else { Err(Refusal::EscrowMismatch { found: sent, wanted }) };
    };
    must_be_another(sponsor, Field::Sponsor, user)?;
    if !sent.is_zero() {
        return Err(Refusal::SponsorPays { found: sent });
    }
    let found = scene.state.allowance(sponsor, user);
    if found < wanted { Err(Refusal::AllowanceTooSmall { found, wanted }) } else { Ok(()) }
}

/// Refuses nobody and the caller itself where another is named.
fn must_be_another(named: Address, field: Field, caller: Address) -> Result<(), Refusal> {
    if named == Address::default() {
        Err(Refusal::Missing { field })
    } else if named == caller {
        Err(Refusal::SponsorsItself)
    } else {
        Ok(())
    }
}
