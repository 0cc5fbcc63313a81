//! Models and versions: listing, publishing, the life of a version, the bond.

use crate::{
    command::{Decide, Decision, Scene},
    context::Host,
    draft::Draft,
    refusal::{Field, Refusal},
    state::{ReadState, Write},
};
use encompute_protocol::{
    Address, BlockNumber, ModelId, ModelRecord, Params, Plancks, Ratings, SplitIndex, SplitRecord, VersionId,
    VersionRecord, VersionStatus,
    call::{
        ActivateVersion, AddBond, AskBond, DeprecateVersion, ListModel, PublishVersion, RevokeVersion, SPLITS_LIMIT,
        SplitOffer, TakeBond,
    },
    event::{ModelListed, Movement, VersionPublished, VersionStatusChanged},
};

/// Refuses a job that the model's bond does not cover.
pub(crate) fn must_cover(model: &ModelRecord, params: &Params, job_bond: Plancks) -> Result<(), Refusal> {
    let staying = model.bond.checked_sub(model.bond_leaving).ok_or(Refusal::Inconsistent)?;
    if staying < params.model_bond_floor {
        return Err(Refusal::BondBelowFloor { found: staying, wanted: params.model_bond_floor });
    }
    let free = staying.checked_sub(model.bond_locked).ok_or(Refusal::Inconsistent)?;
    if free < job_bond { Err(Refusal::FreeBondTooSmall { found: free, wanted: job_bond }) } else { Ok(()) }
}

fn load<S: ReadState>(state: &S, id: ModelId) -> Result<ModelRecord, Refusal> {
    state.model(id).ok_or(Refusal::UnknownModel { model: id })
}

fn load_own<S: ReadState>(state: &S, id: ModelId, caller: Address) -> Result<ModelRecord, Refusal> {
    let model = load(state, id)?;
    let wanted = model.creator;
    if caller == wanted { Ok(model) } else { Err(Refusal::NotYourModel { caller, wanted }) }
}

fn load_version<S: ReadState>(state: &S, id: VersionId) -> Result<VersionRecord, Refusal> {
    state.version(id).ok_or(Refusal::UnknownVersion { version: id })
}

impl Decide for ListModel {
    /// Anybody; the value sent is the bond, at least the floor.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<ModelId>, Refusal> {
        let (state, at) = (scene.state, scene.at);
        if self.name.as_str().is_empty() {
            return Err(Refusal::Missing { field: Field::Name });
        }
        let wanted = state.params().model_bond_floor;
        if at.value < wanted {
            return Err(Refusal::BondBelowFloor { found: at.value, wanted });
        }
        let mut counts = state.counts();
        counts.models = counts.models.checked_add(1).ok_or(Refusal::NumbersExhausted)?;
        let (id, creator) = (ModelId(counts.models), at.caller);
        let mut model = ModelRecord {
            creator,
            bond: Plancks::ZERO,
            bond_locked: Plancks::ZERO,
            bond_leaving: Plancks::ZERO,
            bond_leaves_at: BlockNumber(0),
            open_jobs: 0,
            current: None,
            ratings: Ratings::default(),
        };
        let mut draft = Draft::new(state);
        draft.emit(ModelListed { model: id, creator });
        draft.move_bond(id, &mut model, None, Movement::Added, at.value)?;
        draft.write(Write::Counts(counts));
        draft.write(Write::Model(id, model));
        draft.write(Write::ModelName(id, self.name.clone()));
        Ok(Decision { changes: draft.finish(), answer: id })
    }
}

impl Decide for PublishVersion {
    /// The model's creator. What is published never changes.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<VersionId>, Refusal> {
        let (state, block) = (scene.state, scene.at.block);
        load_own(state, self.model, scene.at.caller)?;
        if self.manifest.is_zero() {
            return Err(Refusal::Missing { field: Field::Manifest });
        }
        let found = self.splits.len();
        if found == 0 || found > SPLITS_LIMIT {
            let found = u32::try_from(found).unwrap_or(u32::MAX);
            return Err(Refusal::SplitCount { found, limit: SPLITS_LIMIT as u32 });
        }
        self.splits.iter().try_for_each(check_split)?;
        let mut counts = state.counts();
        counts.versions = counts.versions.checked_add(1).ok_or(Refusal::NumbersExhausted)?;
        let id = VersionId(counts.versions);
        let version = VersionRecord {
            model: self.model,
            manifest: self.manifest,
            splits: found as u8, // at most SPLITS_LIMIT
            status: VersionStatus::Draft,
            published_at: block,
            changed_at: block,
        };
        let mut draft = Draft::new(state);
        draft.emit(VersionPublished { version: id, model: self.model, manifest: self.manifest });
        draft.write(Write::Counts(counts));
        draft.write(Write::Version(id, version));
        for (index, split) in (0..).zip(&self.splits) {
            draft.write(Write::Split(id, SplitIndex(index), record(split)));
        }
        Ok(Decision { changes: draft.finish(), answer: id })
    }
}

fn check_split(split: &SplitOffer) -> Result<(), Refusal> {
    if split.head.is_zero() {
        return Err(Refusal::Missing { field: Field::Head });
    }
    if split.policies == 0 { Err(Refusal::Missing { field: Field::Policies }) } else { Ok(()) }
}

fn record(split: &SplitOffer) -> SplitRecord {
    let SplitOffer { mode, head, tail, cost, tail_fee, policies } = *split;
    SplitRecord { mode, head, tail, cost, tail_fee, policies }
}

impl Decide for ActivateVersion {
    /// The model's creator, from draft, while the bond is at least the floor.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let version = load_version(scene.state, self.version)?;
        let mut model = load_own(scene.state, version.model, scene.at.caller)?;
        must_have(&version, VersionStatus::Draft)?;
        must_cover(&model, &scene.state.params(), Plancks::ZERO)?;
        model.current = Some(self.version);
        let mut draft = Draft::new(scene.state);
        draft.write(Write::Model(version.model, model));
        change_status(&mut draft, self.version, version, VersionStatus::Active, scene.at.block);
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for DeprecateVersion {
    /// The model's creator, from active.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let version = load_version(scene.state, self.version)?;
        load_own(scene.state, version.model, scene.at.caller)?;
        must_have(&version, VersionStatus::Active)?;
        let mut draft = Draft::new(scene.state);
        change_status(&mut draft, self.version, version, VersionStatus::Deprecated, scene.at.block);
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for RevokeVersion {
    /// The model's creator or the governor, at any time, once.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let version = load_version(scene.state, self.version)?;
        if scene.at.caller != scene.state.governor() {
            load_own(scene.state, version.model, scene.at.caller)?;
        }
        if version.status == VersionStatus::Revoked {
            return Err(Refusal::VersionRevoked { revoked_at: version.changed_at });
        }
        let mut draft = Draft::new(scene.state);
        change_status(&mut draft, self.version, version, VersionStatus::Revoked, scene.at.block);
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

fn must_have(version: &VersionRecord, wanted: VersionStatus) -> Result<(), Refusal> {
    let found = version.status;
    if found == wanted { Ok(()) } else { Err(Refusal::WrongVersionStatus { found, wanted }) }
}

fn change_status<S: ReadState>(
    draft: &mut Draft<'_, S>,
    id: VersionId,
    version: VersionRecord,
    status: VersionStatus,
    block: BlockNumber,
) {
    draft.emit(VersionStatusChanged { version: id, status });
    draft.write(Write::Version(id, VersionRecord { status, changed_at: block, ..version }));
}

impl Decide for AddBond {
    /// Anybody may add to a model's bond; it becomes the creator's.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let mut model = load(scene.state, self.model)?;
        if scene.at.value.is_zero() {
            return Err(Refusal::Missing { field: Field::Value });
        }
        let mut draft = Draft::new(scene.state);
        draft.move_bond(self.model, &mut model, None, Movement::Added, scene.at.value)?;
        draft.write(Write::Model(self.model, model));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for AskBond {
    /// The model's creator; no more than jobs do not hold.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<()>, Refusal> {
        let mut model = load_own(scene.state, self.model, scene.at.caller)?;
        let free = model.bond.checked_sub(model.bond_locked).ok_or(Refusal::Inconsistent)?;
        if self.amount > free {
            return Err(Refusal::AskedTooMuch { found: self.amount, free });
        }
        let unbonding = scene.state.params().unbonding;
        model.bond_leaves_at = scene.at.block.checked_add(unbonding).ok_or(Refusal::NumbersExhausted)?;
        let mut draft = Draft::new(scene.state);
        draft.move_bond(self.model, &mut model, None, Movement::Asked, self.amount)?;
        draft.write(Write::Model(self.model, model));
        Ok(Decision { changes: draft.finish(), answer: () })
    }
}

impl Decide for TakeBond {
    /// The model's creator, once the unbonding time is over.
    fn decide<S: ReadState, H: Host>(&self, scene: &Scene<'_, S, H>) -> Result<Decision<Plancks>, Refusal> {
        let mut model = load_own(scene.state, self.model, scene.at.caller)?;
        let amount = model.bond_leaving;
        must_have_left(amount, model.bond_leaves_at, scene.at.block)?;
        let mut draft = Draft::new(scene.state);
        draft.move_bond(self.model, &mut model, None, Movement::Taken, amount)?;
        draft.pay(scene.at.caller, amount);
        draft.write(Write::Model(self.model, model));
        Ok(Decision { changes: draft.finish(), answer: amount })
    }
}

/// Refuses to pay out what was not asked back, or not long enough ago.
pub(crate) fn must_have_left(amount: Plancks, leaves_at: BlockNumber, block: BlockNumber) -> Result<(), Refusal> {
    if amount.is_zero() {
        return Err(Refusal::NothingLeaving);
    }
    if block < leaves_at { Err(Refusal::NotYetLeaving { leaves_at, block }) } else { Ok(()) }
}
