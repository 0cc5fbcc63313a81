//! One value of what is said about sponsors.

use super::*;

pub fn sponsor() -> Address {
    Address(b20(42))
}

/// One of every call about sponsors.
pub fn sponsor_calls(request: RequestJob) -> Vec<(&'static str, Vec<u8>)> {
    let (sponsor, user) = (sponsor(), Address(b20(4)));
    vec![
        one(RequestJob { sponsor: Some(sponsor), ..request }),
        one(SponsorUser { user }),
        one(EndSponsoring { user }),
        one(ReadAllowance { sponsor, user }),
    ]
}

/// One of every event about sponsors.
pub fn sponsor_events() -> Vec<Event> {
    let (sponsor, user, job) = (sponsor(), Address(b20(4)), Some(JobId(7)));
    vec![AllowanceMoved { sponsor, user, job, movement: AllowanceMovement::Spent, amount: Plancks(6) }.into()]
}
