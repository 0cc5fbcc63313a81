//! What is good enough: a list, never a default.

use crate::claims::{Claims, authenticate};
use crate::collateral::Collateral;
use crate::kind::QuoteKind;
use crate::platform::{AdvisoryId, PlatformSetting, TcbEvaluationNumber, TcbStatus, UnixSeconds};
use crate::refusal::Refusal;
use crate::root::{RootKind, TrustRoot};
use encompute_protocol::MeasurementId;
use std::collections::BTreeSet;

/// A policy's explicit word on one thing that weakens attestation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Refuse.
    Refused,
    /// Allow. Whoever writes this has to write down why.
    Allowed,
}

/// What a network accepts. Every field is explicit: there is no `Default`, because a policy that
/// nobody wrote is a policy that nobody thought about.
///
/// Debug mode, `Revoked` and a zero `MR_CONFIG_ID` are refused whatever a policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Kinds of quote accepted. An empty list accepts nothing.
    pub kinds: BTreeSet<QuoteKind>,
    /// Software and settings accepted. An empty list accepts nothing.
    pub measurements: BTreeSet<MeasurementId>,
    /// Patch levels accepted. An empty list accepts nothing.
    pub tcb_statuses: BTreeSet<TcbStatus>,
    /// Advisories that must not apply.
    pub denied_advisories: BTreeSet<AdvisoryId>,
    /// Oldest judgement accepted. Raise it after a TCB recovery, or a machine can go on showing
    /// collateral from before the attack for 30 days.
    pub min_tcb_evaluation: TcbEvaluationNumber,
    /// Platforms to which packages can be added later. All multi-socket cloud machines are such;
    /// refusing keeps an operator from adding a package after provisioning.
    pub dynamic_platform: Permission,
    /// Platforms whose root keys Intel's registration service holds. All multi-socket cloud
    /// machines again; allowing it adds Intel's key store to what is trusted.
    pub cached_keys: Permission,
    /// Hyperthreading. Allowing it accepts side channels between threads of one core; TDX gives
    /// sibling threads to one domain only, which is why clouds leave it on.
    pub smt: Permission,
    /// Development roots. [`Permission::Allowed`] belongs into networks whose tokens are worth
    /// nothing, and nowhere else.
    pub development_root: Permission,
}

/// Claims that a policy accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the quote says.
    pub claims: Claims,
    /// The entry of the policy's list that it matched.
    pub measurement_id: MeasurementId,
}

/// Judges a quote: signatures up to `root` first, then `policy`. A pure function of its arguments.
///
/// # Errors
/// A [`Refusal`]. It is an answer: the quote was read and does not count.
pub fn verify(
    quote: &[u8],
    collateral: &Collateral,
    root: &TrustRoot,
    policy: &Policy,
    now: UnixSeconds,
) -> Result<Verdict, Refusal> {
    policy.accepts_root(root.kind())?;
    policy.appraise(authenticate(quote, collateral, root, now)?)
}

impl Policy {
    /// Asks the policy about claims whose signatures hold.
    ///
    /// # Errors
    /// The first [`Refusal`] in this order: root, kind of quote, software named, measurement, patch level,
    /// advisories, age of the judgement, settings.
    pub fn appraise(&self, claims: Claims) -> Result<Verdict, Refusal> {
        self.accepts_root(claims.root.kind)?;
        if !self.kinds.contains(&claims.kind) {
            return Err(Refusal::Kind { found: claims.kind, allowed: self.kinds.iter().copied().collect() });
        }
        if claims.measurement.is_debug() {
            return Err(Refusal::Debug);
        }
        if claims.measurement.names_no_software() {
            return Err(Refusal::ZeroConfigId);
        }
        let measurement_id = claims.measurement.id();
        if !self.measurements.contains(&measurement_id) {
            return Err(Refusal::Measurement { found: measurement_id, listed: self.measurements.len() });
        }
        if !self.tcb_statuses.contains(&claims.tcb_status) {
            let allowed = self.tcb_statuses.iter().copied().collect();
            return Err(Refusal::TcbStatus { found: claims.tcb_status, allowed });
        }
        if let Some(denied) = claims.advisories.iter().find(|id| self.denied_advisories.contains(id)) {
            return Err(Refusal::Advisory(denied.clone()));
        }
        if claims.tcb_evaluation < self.min_tcb_evaluation {
            return Err(Refusal::TcbEvaluation { found: claims.tcb_evaluation, minimum: self.min_tcb_evaluation });
        }
        if let Some(setting) = claims.settings.iter().find(|setting| self.on(**setting) == Permission::Refused) {
            return Err(Refusal::Setting(*setting));
        }
        Ok(Verdict { claims, measurement_id })
    }

    fn accepts_root(&self, kind: RootKind) -> Result<(), Refusal> {
        match (kind, self.development_root) {
            (RootKind::Development, Permission::Refused) => Err(Refusal::DevelopmentRoot),
            (RootKind::Development, Permission::Allowed) | (RootKind::Intel, _) => Ok(()),
        }
    }

    fn on(&self, setting: PlatformSetting) -> Permission {
        match setting {
            PlatformSetting::DynamicPlatform => self.dynamic_platform,
            PlatformSetting::CachedKeys => self.cached_keys,
            PlatformSetting::Smt => self.smt,
        }
    }
}
