//! From a message to the rules and back: the argument is all of the calldata, what the rules decide is done.

use crate::{events, host, storage::Market};
use encompute_lifecycle::{Decide, Look, Refusal, Scene, View};

/// Decides and does what `call` asks.
pub fn execute<C: Decide>(market: &mut Market, call: &C) -> Result<C::Answer, Refusal> {
    host::check_calldata(call)?;
    let context = host::context(market.genesis())?;
    let decision = call.run(market, &host::Platform, &context)?;
    for write in decision.changes.writes {
        market.write(write);
    }
    for event in decision.changes.events {
        events::emit(event);
    }
    // Last: whoever is paid runs its own code. The platform denies it to call back in.
    if let Some(payout) = decision.changes.pay {
        host::pay(payout)?;
    }
    Ok(decision.answer)
}

/// Answers `call` from storage.
pub fn answer<C: View>(market: &Market, call: &C) -> Result<C::Answer, Refusal> {
    host::check_calldata(call)?;
    Ok(call.view(market))
}

/// Answers `call` from storage, the block and its hash.
pub fn look<C: Look>(market: &Market, call: &C) -> Result<C::Answer, Refusal> {
    host::check_calldata(call)?;
    let context = host::context(market.genesis())?;
    Ok(call.look(&Scene { state: market, host: &host::Platform, at: &context }))
}
