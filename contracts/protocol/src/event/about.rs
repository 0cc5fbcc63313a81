//! What an event is about.

use super::Event;
use crate::{JobId, SessionId};

impl Event {
    /// The job that the event is about; none for what happens outside of any.
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::JobRequested(event) => Some(event.job),
            Self::JobStageChanged(event) => Some(event.job),
            Self::HeadCommitted(event) => Some(event.job),
            Self::FeaturesSent(event) => Some(event.job),
            Self::ResultCommitted(event) => Some(event.job),
            Self::Credited(event) => Some(event.job),
            Self::DisputeOpened(event) => Some(event.job),
            Self::CreditStaked(event) => Some(event.job),
            Self::JurorDrawn(event) => Some(event.job),
            Self::VerdictSealed(event) => Some(event.job),
            Self::VerdictRevealed(event) => Some(event.job),
            Self::RulingAppealed(event) => Some(event.job),
            Self::BlobPosted(event) => Some(event.job),
            Self::QuoteDemanded(event) => Some(event.job),
            Self::QuoteShown(event) => Some(event.job),
            Self::Rated(event) => Some(event.job),
            Self::JobPruned(event) => Some(event.job),
            Self::StakeMoved(event) => event.job,
            Self::BondMoved(event) => event.job,
            Self::AllowanceMoved(event) => event.job,
            // All of them by name: a new event must say whether a job is its subject.
            Self::Withdrawn(_)
            | Self::ModelListed(_)
            | Self::VersionPublished(_)
            | Self::VersionStatusChanged(_)
            | Self::NonceIssued(_)
            | Self::WorkerRegistered(_)
            | Self::CapacityChanged(_)
            | Self::MeasurementAllowed(_)
            | Self::MeasurementRevoked(_)
            | Self::PlatformAllowed(_)
            | Self::PlatformRevoked(_)
            | Self::KeyCertified(_)
            | Self::ParamsAnnounced(_)
            | Self::ParamsWithdrawn(_)
            | Self::ParamsChanged(_)
            | Self::PausedChanged(_)
            | Self::GovernorChanged(_)
            | Self::SessionOpened(_)
            | Self::SessionClosing(_)
            | Self::SessionClosed(_)
            | Self::SessionsTaken(_) => None,
        }
    }

    /// The session that the event is about; none for what happens outside of any. Its credits name its first job.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::SessionOpened(event) => Some(event.session),
            Self::SessionClosing(event) => Some(event.session),
            Self::SessionClosed(event) => Some(event.session),
            _ => None,
        }
    }
}
