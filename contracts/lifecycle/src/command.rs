//! Messages that change the market, and how each is decided.

use crate::{
    context::{Context, Host},
    refusal::Refusal,
    state::{Changes, ReadState},
};
use encompute_protocol::call::{self, Call, Selector};

/// Everything that a rule may look at.
#[derive(Debug)]
pub struct Scene<'a, S, H> {
    /// The market before the call.
    pub state: &'a S,
    /// The platform's cryptography.
    pub host: &'a H,
    /// The call.
    pub at: &'a Context,
}

/// What a command does and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<A> {
    /// Its effects.
    pub changes: Changes,
    /// What the caller gets back.
    pub answer: A,
}

/// A message that changes the market.
pub trait Decide: Call {
    /// What the message does in `scene`, or why it is refused. Reads only.
    ///
    /// # Errors
    /// [`Refusal`]; each message's rules are in its module.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<Self::Answer>, Refusal>;

    /// [`Decide::decide`] after the check that holds for all: no money to a message that takes none.
    ///
    /// # Errors
    /// [`Refusal::ValueNotTaken`], then those of the message.
    fn run<S: ReadState, H: Host>(&self, state: &S, host: &H, at: &Context) -> Result<Decision<Self::Answer>, Refusal> {
        if !Self::PAYABLE && !at.value.is_zero() {
            return Err(Refusal::ValueNotTaken { found: at.value });
        }
        self.decide(&Scene { state, host, at })
    }
}

macro_rules! commands {
    ($($name:ident),* $(,)?) => {
        /// Any message that changes the market.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(clippy::large_enum_variant, reason = "commands are few and short-lived")]
        pub enum Command {
            $(#[doc = concat!("[`call::", stringify!($name), "`].")] $name(call::$name)),*
        }

        $(impl From<call::$name> for Command {
            fn from(message: call::$name) -> Self {
                Self::$name(message)
            }
        })*

        impl Command {
            /// The command in `calldata`: selector, argument, nothing after it. `None` for anything else.
            pub fn from_calldata(calldata: &[u8]) -> Option<Self> {
                let (selector, argument) = calldata.split_first_chunk::<4>()?;
                $(if Selector(*selector) == <call::$name as Call>::SELECTOR {
                    return encompute_protocol::wire::decode_exact(argument, argument.len()).ok().map(Self::$name);
                })*
                None
            }

            /// Selector and argument.
            pub fn calldata(&self) -> alloc::vec::Vec<u8> {
                match self { $(Self::$name(message) => message.calldata()),* }
            }

            /// The message's name.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => <call::$name as Call>::NAME),* }
            }

            /// What the command does, or why it is refused.
            ///
            /// # Errors
            /// Those of [`Decide::run`].
            pub fn run<S: ReadState, H: Host>(&self, state: &S, host: &H, at: &Context) -> Result<Changes, Refusal> {
                match self { $(Self::$name(message) => message.run(state, host, at).map(|decision| decision.changes)),* }
            }
        }
    };
}

commands! {
    RequestJob, ClaimJob, CommitHead, SendFeatures, CommitResult, AcceptResult, CancelJob, RefuseFeatures, PokeJob, OpenSession, CloseSession, PokeSession, TakeSessions,
        WithdrawCredit, SponsorUser, EndSponsoring, OpenDispute, SealVerdict, RevealVerdict, AppealRuling, PostBlob, ShowQuote, RateJob, PruneJob, ListModel, PublishVersion, ActivateVersion, DeprecateVersion, RevokeVersion, AddBond, AskBond, TakeBond, BeginRegistration, RegisterWorker, AddStake, AskStake, TakeStake, SetCapacity, AllowMeasurement, RevokeMeasurement, AnnounceParams, WithdrawParams, EnactParams, SetPaused, SetGovernor, CertifyKey, AllowPlatform, RevokePlatform,
}
