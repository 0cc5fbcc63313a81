//! The governor: measurements, platforms, parameters, pause, succession. None of it touches a running job's
//! terms or keeps anybody from leaving.

use crate::{
    command::{Decide, Decision, Scene},
    context::Host,
    draft::Draft,
    price::check_change,
    refusal::{Field, Refusal},
    state::{ReadState, Write},
};
use encompute_protocol::{
    Address,
    call::{
        AllowMeasurement, AllowPlatform, AnnounceParams, EnactParams, RevokeMeasurement, RevokePlatform, SetGovernor,
        SetPaused, WithdrawParams,
    },
    event::{
        GovernorChanged, MeasurementAllowed, MeasurementRevoked, ParamsAnnounced, ParamsChanged, ParamsWithdrawn,
        PausedChanged, PlatformAllowed, PlatformRevoked,
    },
    market::{self, MeasurementRecord, PlatformRecord},
};

fn must_govern<S: ReadState, H>(scene: &Scene<'_, S, H>) -> Result<(), Refusal> {
    let (caller, wanted) = (scene.at.caller, scene.state.governor());
    if caller == wanted { Ok(()) } else { Err(Refusal::NotGovernor { caller, wanted }) }
}

impl Decide for AllowMeasurement {
    /// The governor. A measurement that was announced once, even one revoked since, is not announced
    /// again: code that was found bad stays bad.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        must_govern(scene)?;
        if self.measurement.is_zero() {
            return Err(Refusal::Missing { field: Field::Measurement });
        }
        if let Some(MeasurementRecord { valid_from, revoked_at }) = scene.state.measurement(self.measurement) {
            return Err(match revoked_at {
                Some(revoked_at) => Refusal::MeasurementRevoked { revoked_at },
                None => Refusal::MeasurementKnown { valid_from },
            });
        }
        let delay = scene.state.params().notice;
        let valid_from = scene.at.block.checked_add(delay).ok_or(Refusal::NumbersExhausted)?;
        let mut draft = Draft::new(scene.state);
        draft.emit(MeasurementAllowed { measurement: self.measurement, valid_from });
        draft.write(Write::Measurement(self.measurement, MeasurementRecord { valid_from, revoked_at: None }));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for RevokeMeasurement {
    /// The governor, at once and for good.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        must_govern(scene)?;
        let mut record = scene.state.measurement(self.measurement).ok_or(Refusal::UnknownMeasurement)?;
        if let Some(revoked_at) = record.revoked_at {
            return Err(Refusal::MeasurementRevoked { revoked_at });
        }
        record.revoked_at = Some(scene.at.block);
        let mut draft = Draft::new(scene.state);
        draft.emit(MeasurementRevoked { measurement: self.measurement });
        draft.write(Write::Measurement(self.measurement, record));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for AllowPlatform {
    /// The governor. A platform that was announced once, even one revoked since, is not announced again.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        must_govern(scene)?;
        if self.platform.is_zero() {
            return Err(Refusal::Missing { field: Field::Platform });
        }
        if let Some(PlatformRecord { valid_from, revoked_at }) = scene.state.platform(self.platform) {
            return Err(match revoked_at {
                Some(revoked_at) => Refusal::PlatformRevoked { revoked_at },
                None => Refusal::PlatformKnown { valid_from },
            });
        }
        let delay = scene.state.params().notice;
        let valid_from = scene.at.block.checked_add(delay).ok_or(Refusal::NumbersExhausted)?;
        let mut draft = Draft::new(scene.state);
        draft.emit(PlatformAllowed { platform: self.platform, valid_from });
        draft.write(Write::Platform(self.platform, PlatformRecord { valid_from, revoked_at: None }));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for RevokePlatform {
    /// The governor, at once and for good.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        must_govern(scene)?;
        let platform = self.platform;
        let mut record = scene.state.platform(platform).ok_or(Refusal::UnknownPlatform { platform })?;
        if let Some(revoked_at) = record.revoked_at {
            return Err(Refusal::PlatformRevoked { revoked_at });
        }
        record.revoked_at = Some(scene.at.block);
        let mut draft = Draft::new(scene.state);
        draft.emit(PlatformRevoked { platform });
        draft.write(Write::Platform(platform, record));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for AnnounceParams {
    /// The governor, within [`check_change`]. What was announced before is gone, and the notice begins anew.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        must_govern(scene)?;
        check_change(&self.params)?;
        let (params, notice) = (self.params, scene.state.params().notice);
        let valid_from = scene.at.block.checked_add(notice).ok_or(Refusal::NumbersExhausted)?;
        let mut draft = Draft::new(scene.state);
        draft.emit(ParamsAnnounced { params, valid_from });
        draft.write(Write::AnnouncedParams(Some(market::AnnouncedParams { params, valid_from })));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for WithdrawParams {
    /// The governor.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        must_govern(scene)?;
        let announced = scene.state.announced_params().ok_or(Refusal::NothingAnnounced)?;
        let mut draft = Draft::new(scene.state);
        draft.emit(ParamsWithdrawn { valid_from: announced.valid_from });
        draft.write(Write::AnnouncedParams(None));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for EnactParams {
    /// Anybody: what everybody has been told comes, whether or not the governor still wants it. New jobs alone have them.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let (announced, block) = (scene.state.announced_params().ok_or(Refusal::NothingAnnounced)?, scene.at.block);
        let valid_from = announced.valid_from;
        if block < valid_from {
            return Err(Refusal::NoticeRuns { valid_from, block });
        }
        let mut draft = Draft::new(scene.state);
        draft.emit(ParamsChanged { params: announced.params });
        draft.write(Write::Params(announced.params));
        draft.write(Write::AnnouncedParams(None));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for SetPaused {
    /// The governor. Stops requests only.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        must_govern(scene)?;
        let mut draft = Draft::new(scene.state);
        draft.emit(PausedChanged { paused: self.paused });
        draft.write(Write::Paused(self.paused));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for SetGovernor {
    /// The governor. Nobody, the zero address, cannot govern.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        must_govern(scene)?;
        if self.governor == Address::default() {
            return Err(Refusal::Missing { field: Field::Governor });
        }
        let mut draft = Draft::new(scene.state);
        draft.emit(GovernorChanged { governor: self.governor });
        draft.write(Write::Governor(self.governor));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}
