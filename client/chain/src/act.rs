//! Which messages read, which change something, and what came of a change.

use encompute_protocol::{
    Address, KeyDigest,
    call::{
        AcceptResult, ActivateVersion, AddBond, AddStake, AllowMeasurement, AllowPlatform, AnnounceParams,
        AppealRuling, AskBond, AskStake, BeginRegistration, Call, CancelJob, CertifyKey, ClaimJob, CloseSession,
        CommitHead, CommitResult, DeprecateVersion, EnactParams, EndSponsoring, ListModel, OpenDispute, OpenSession,
        PokeJob, PokeSession, PostBlob, PruneJob, PublishVersion, QuoteJob, RateJob, ReadAllowance,
        ReadAnnouncedParams, ReadAttestationKey, ReadCounts, ReadCredit, ReadDispute, ReadDraw, ReadGovernance,
        ReadJob, ReadMeasurement, ReadModel, ReadNonce, ReadParams, ReadPlatform, ReadPrunedJob, ReadRating,
        ReadSession, ReadSessionsTaken, ReadSplit, ReadTotals, ReadVersion, ReadWorker, ReadWorkerAt, RefuseFeatures,
        RegisterWorker, RequestJob, RevealVerdict, RevokeMeasurement, RevokePlatform, RevokeVersion, SealVerdict,
        SendFeatures, SetCapacity, SetGovernor, SetPaused, ShowQuote, SponsorUser, TakeBond, TakeSessions, TakeStake,
        WithdrawCredit, WithdrawParams,
    },
    event::{AllowanceMovement, Event, Movement},
};

/// A message that only reads.
pub trait Fact: Call<Answer: Send> + Send + Sync + 'static {}

/// A message that changes something.
pub trait Act: Call<Answer: Send> + Send + Sync + 'static {
    /// What the message answered, from the events of its transaction. A trial's answer is not good
    /// enough: between trial and block somebody else may have taken the next number.
    fn outcome(&self, caller: Address, events: &[Event]) -> Option<Self::Answer>;
}

macro_rules! facts {
    ($($name:ident),* $(,)?) => { $(impl Fact for $name {})* };
}

facts!(
    ReadParams,
    ReadAnnouncedParams,
    ReadTotals,
    ReadCounts,
    ReadGovernance,
    ReadModel,
    ReadVersion,
    ReadSplit,
    ReadWorker,
    ReadWorkerAt,
    ReadMeasurement,
    ReadPlatform,
    ReadAttestationKey,
    ReadJob,
    ReadDraw,
    ReadCredit,
    ReadAllowance,
    ReadNonce,
    QuoteJob,
    ReadDispute,
    ReadRating,
    ReadPrunedJob,
    ReadSession,
    ReadSessionsTaken,
);

/// Messages that answer nothing: success is their outcome.
macro_rules! silent_acts {
    ($($name:ident),* $(,)?) => { $(
        impl Act for $name {
            fn outcome(&self, _caller: Address, _events: &[Event]) -> Option<()> {
                Some(())
            }
        }
    )* };
}

silent_acts!(
    ClaimJob,
    CommitHead,
    SendFeatures,
    CommitResult,
    AcceptResult,
    CancelJob,
    RefuseFeatures,
    PokeJob,
    CloseSession,
    PokeSession,
    TakeSessions,
    SponsorUser,
    OpenDispute,
    AppealRuling,
    SealVerdict,
    RevealVerdict,
    PostBlob,
    ShowQuote,
    RateJob,
    PruneJob,
    ActivateVersion,
    DeprecateVersion,
    RevokeVersion,
    AddBond,
    AskBond,
    RegisterWorker,
    AddStake,
    AskStake,
    SetCapacity,
    AllowMeasurement,
    RevokeMeasurement,
    AllowPlatform,
    RevokePlatform,
    AnnounceParams,
    WithdrawParams,
    EnactParams,
    SetPaused,
    SetGovernor,
);

macro_rules! telling_acts {
    ($($name:ident: |$call:ident, $caller:ident| $pattern:pat $(if $condition:expr)? => $answer:expr;)*) => { $(
        impl Act for $name {
            fn outcome(&self, caller: Address, events: &[Event]) -> Option<Self::Answer> {
                let ($call, $caller) = (self, caller);
                let _ = ($call, $caller);
                events.iter().find_map(|event| match event {
                    $pattern $(if $condition)? => Some($answer),
                    _ => None,
                })
            }
        }
    )* };
}

telling_acts! {
    RequestJob: |call, caller| Event::JobRequested(said) if said.user == caller && said.input == call.input => said.job;
    OpenSession: |call, caller| Event::SessionOpened(said) if said.user == caller && said.key == call.offer.offer.key => said.session;
    EndSponsoring: |call, caller| Event::AllowanceMoved(said) if said.sponsor == caller && said.user == call.user && said.movement == AllowanceMovement::Ended => said.amount;
    WithdrawCredit: |call, caller| Event::Withdrawn(said) if said.account == caller => said.amount;
    ListModel: |call, caller| Event::ModelListed(said) if said.creator == caller => said.model;
    PublishVersion: |call, caller| Event::VersionPublished(said) if said.model == call.model && said.manifest == call.manifest => said.version;
    CertifyKey: |call, caller| Event::KeyCertified(said) if said.key == KeyDigest::of(&call.key.attestation_key.0) => said.platform;
    BeginRegistration: |call, caller| Event::NonceIssued(said) if said.worker == caller => said.nonce;
    TakeStake: |call, caller| Event::StakeMoved(said) if said.worker == caller && said.movement == Movement::Taken => said.amount;
    TakeBond: |call, caller| Event::BondMoved(said) if said.model == call.model && said.movement == Movement::Taken => said.amount;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use encompute_protocol::{
        BlobDigest, Fees, JobId, PolicyId, SplitIndex, VersionId,
        call::MESSAGES,
        event::{JobRequested, NonceIssued},
    };

    const ME: Address = Address([1; 20]);
    const OTHER: Address = Address([2; 20]);

    fn requested(job: u64, user: Address, input: BlobDigest) -> Event {
        let (version, split, policy) = (VersionId(1), SplitIndex(0), PolicyId(1));
        JobRequested { job: JobId(job), user, version, split, policy, input, fees: Fees::default(), sponsor: None }
            .into()
    }

    #[test]
    fn a_jobs_number_is_the_callers_own_not_that_of_a_neighbour_in_the_block() {
        let input = BlobDigest([7; 32]);
        let call = RequestJob {
            version: VersionId(1),
            split: SplitIndex(0),
            policy: PolicyId(1),
            input,
            tip: Default::default(),
            offer: None,
            sponsor: None,
        };
        let events = [requested(4, OTHER, input), requested(5, ME, BlobDigest([8; 32])), requested(6, ME, input)];
        assert_eq!(call.outcome(ME, &events), Some(JobId(6)));
        assert_eq!(call.outcome(ME, &events[..2]), None);
    }

    #[test]
    fn a_nonce_is_the_one_that_was_issued_to_the_caller() {
        let nonce = encompute_protocol::Nonce([3; 32]);
        let events = [NonceIssued { worker: ME, nonce }.into()];
        assert_eq!(BeginRegistration {}.outcome(ME, &events), Some(nonce));
        assert_eq!(BeginRegistration {}.outcome(OTHER, &events), None);
    }

    #[test]
    fn every_message_of_the_contract_is_a_fact_or_an_act() {
        // 24 facts (selectors from 0x80) and 48 acts are listed above.
        let facts = MESSAGES.iter().filter(|(_, selector, _)| selector.0[3] >= 0x80).count();
        assert_eq!((facts, MESSAGES.len() - facts), (24, 48));
    }
}
