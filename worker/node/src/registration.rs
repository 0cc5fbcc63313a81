//! Being a registered worker: attest, register, renew before it runs out.

use crate::rollup::Subject;
use crate::voice::{SayError, Voice};
use crate::world::{AttestError, World};
use encompute_attest::Measurement;
use encompute_chain::ReadError;
use encompute_protocol::call::{
    AddStake, BeginRegistration, CertifyKey, ReadAttestationKey, ReadNonce, ReadParams, ReadWorker, RegisterWorker,
    SetCapacity,
};
use encompute_protocol::statement::TeeKind;
use encompute_protocol::wire::Message;
use encompute_protocol::{
    Address, BlockNumber, KeyDigest, KeyParts, Params, Plancks, RegistrationStatement, Text, WorkerRecord,
};
use encompute_store::{Blobs, PutError};
use tracing::{info, warn};

/// What the operator wants on chain.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Most jobs held at once.
    pub capacity: u16,
    /// Least stake; the contract's floor and one job's stake a place if none is given.
    pub stake: Option<Plancks>,
    /// Where clients reach the worker.
    pub url: Text<200>,
    /// Who is credited.
    pub payout: Address,
}

/// A worker that could not be registered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The chain could not be read.
    #[error("read the contract")]
    Read(#[from] ReadError),
    /// There is no evidence that would be accepted.
    #[error("attest")]
    Attest(#[from] AttestError),
    /// The evidence could not be uploaded.
    #[error("upload the evidence")]
    Upload(#[from] PutError),
    /// The chain refused a transaction.
    #[error("{doing}")]
    Submit {
        /// Which.
        doing: &'static str,
        /// Why.
        source: SayError,
    },
    /// Another worker's keys hold this account while it has jobs in hand.
    #[error(
        "account {account} is registered with other keys and holds {in_flight} jobs; use its state folder, or wait"
    )]
    OtherKeys {
        /// The account.
        account: Address,
        /// Jobs it holds.
        in_flight: u16,
    },
    /// A registration was begun, and the contract has no nonce for it.
    #[error("the nonce for the registration is not on chain")]
    NoNonce,
    /// It registered and is not there.
    #[error("the registration is not on chain")]
    Missing,
}

/// What a registration on chain calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It serves as it is.
    Keep,
    /// Attest and register.
    Register,
    /// It holds, but names another address, and jobs in hand forbid a change.
    KeepOldUrl,
    /// Somebody else's keys, with jobs in hand.
    Blocked,
}

impl World {
    /// The valid registration of these keys, made or renewed if needed.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn ensure_registered(&self, wish: &Wish) -> Result<WorkerRecord, RegisterError> {
        let client = self.client();
        let params = client.read(ReadParams {}).await?;
        let now = client.head().await?.number;
        let found = client.read(ReadWorker { worker: self.address() }).await?;
        let ours = |record: &WorkerRecord| {
            record.signing == self.keys.signing_address()
                && record.hpke == self.keys.hpke_key().digest()
                && record.payout == payout(wish, Some(record))
        };
        if let Some((record, _)) = found.as_ref().filter(|(record, _)| payout(wish, Some(record)) != wish.payout) {
            warn!(
                on_chain = %record.payout,
                here = %wish.payout,
                "jobs hold stake: the payout on chain changes with the first registration after they have ended"
            );
        }
        let step = match &found {
            None => Step::Register,
            Some((record, url)) => step(ours(record), *url == wish.url, is_due(record, &params, now), record.in_flight),
        };
        match (step, found) {
            (Step::Blocked, Some((record, _))) => {
                return Err(RegisterError::OtherKeys { account: self.address(), in_flight: record.in_flight });
            }
            (Step::KeepOldUrl, Some((_, url))) => {
                warn!(
                    on_chain = url.as_str(),
                    here = wish.url.as_str(),
                    "jobs in hand: the address on chain changes once they are done"
                );
            }
            (Step::Keep, _) => info!("the registration on chain serves"),
            (_, found) => self.register(wish, &params, now, found.map(|(record, _)| record)).await?,
        }
        self.adjust(wish, &params).await
    }

    async fn register(
        &self,
        wish: &Wish,
        params: &Params,
        now: BlockNumber,
        found: Option<WorkerRecord>,
    ) -> Result<(), RegisterError> {
        let submit = |doing| move |source| RegisterError::Submit { doing, source };
        let issued = self.say(Subject::registration(), BeginRegistration {}, Plancks::ZERO).await;
        issued.map_err(submit("begin the registration"))?;
        let nonce = self.client().read(ReadNonce { account: self.address() }).await?.ok_or(RegisterError::NoNonce)?;
        let expires_at = now.checked_add(params.registration_limit).unwrap_or(now);
        let statement = RegistrationStatement {
            genesis: self.genesis(),
            contract: self.contract,
            account: self.address(),
            signing: self.keys.signing_address(),
            hpke: self.keys.hpke_key().digest(),
            payout: payout(wish, found.as_ref()),
            tee: TeeKind::Tdx,
            expires_at,
        };
        let (evidence, verdict) = self.evidence(statement, nonce).await?;
        if !matches!(verdict.claims.measurement, Measurement::Tdx(_)) {
            warn!("the quote is no TDX quote, but the statement says so; verifiers will refuse it");
        }
        let (quote, key) = self.compact(&evidence).await?;
        self.certify(key).await?;
        let blob = self.gateway.put(evidence.to_wire().into()).await?;
        let call = RegisterWorker {
            signing: statement.signing,
            hpke: statement.hpke,
            payout: statement.payout,
            tee: statement.tee,
            measurement: verdict.measurement_id,
            quote,
            evidence: blob,
            expires_at,
            capacity: wish.capacity,
            url: wish.url.clone(),
            signature: self.keys.sign(&statement),
        };
        let staked = found.map_or(Plancks::ZERO, |record| record.stake);
        let value = wanted_stake(wish, params).checked_sub(staked).unwrap_or(Plancks::ZERO);
        self.say(Subject::registration(), call, value).await.map_err(submit("register"))?;
        info!(measurement = %verdict.measurement_id, root = %verdict.claims.root, %expires_at, "registered");
        Ok(())
    }

    /// Shows the contract what vouches for the machine's attestation key, unless it knows: once in months.
    pub(crate) async fn certify(&self, key: KeyParts) -> Result<(), RegisterError> {
        let (digest, platform) = (KeyDigest::of(&key.attestation_key.0), key.platform());
        let known = self.client().read(ReadAttestationKey { key: digest }).await?;
        if known.is_some_and(|known| known.platform == platform) {
            return Ok(());
        }
        let certified = self.say(Subject::registration(), CertifyKey { key }, Plancks::ZERO).await;
        certified.map_err(|source| RegisterError::Submit { doing: "certify the attestation key", source })?;
        info!(key = %digest, %platform, "the attestation key is certified");
        Ok(())
    }

    /// Brings stake and capacity to what was wished, without a new quote.
    async fn adjust(&self, wish: &Wish, params: &Params) -> Result<WorkerRecord, RegisterError> {
        let submit = |doing| move |source| RegisterError::Submit { doing, source };
        let read = || self.client().read(ReadWorker { worker: self.address() });
        let (record, _) = read().await?.ok_or(RegisterError::Missing)?;
        let missing = wanted_stake(wish, params).checked_sub(record.stake).unwrap_or(Plancks::ZERO);
        match &self.voice {
            Voice::Account(_) if missing > Plancks::ZERO => {
                self.say(Subject::worker(), AddStake {}, missing).await.map_err(submit("add stake"))?;
            }
            // Its owner's money is not this worker's to ask for.
            Voice::Anchor(_) if missing > Plancks::ZERO => {
                warn!(%missing, "the anchor's owner has staked less than all places need");
            }
            _ => {}
        }
        if record.capacity != wish.capacity {
            let call = SetCapacity { capacity: wish.capacity };
            self.say(Subject::worker(), call, Plancks::ZERO).await.map_err(submit("set the capacity"))?;
        }
        Ok(read().await?.ok_or(RegisterError::Missing)?.0)
    }
}

/// True in the last third of a registration's longest life, and once claims need a longer one.
pub fn is_due(record: &WorkerRecord, params: &Params, now: BlockNumber) -> bool {
    let left = record.expires_at.0.saturating_sub(now.0);
    left <= (params.registration_limit.0 / 3).max(params.windows.head.0 + 1)
}

fn step(ours: bool, same_url: bool, due: bool, in_flight: u16) -> Step {
    match (ours, in_flight) {
        (false, 0) => Step::Register,
        (false, _) => Step::Blocked,
        (true, 0) if due || !same_url => Step::Register,
        (true, _) if same_url => Step::Keep,
        (true, _) => Step::KeepOldUrl,
    }
}

/// Who is credited: whom the operator wants, but whom the chain names for as long as jobs hold stake, for it refuses a
/// change until then.
fn payout(wish: &Wish, found: Option<&WorkerRecord>) -> Address {
    found.filter(|record| !record.stake_locked.is_zero()).map_or(wish.payout, |record| record.payout)
}

fn wanted_stake(wish: &Wish, params: &Params) -> Plancks {
    wish.stake.unwrap_or_else(|| {
        let places = params.job_stake_floor.checked_mul(wish.capacity.into()).unwrap_or(Plancks::ZERO);
        params.worker_stake_floor.checked_add(places).unwrap_or(params.worker_stake_floor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_is_renewed_when_due_and_never_under_a_running_job() {
        assert_eq!(step(true, true, false, 0), Step::Keep);
        assert_eq!(step(true, true, true, 0), Step::Register);
        assert_eq!(step(true, true, true, 1), Step::Keep);
        assert_eq!(step(true, false, false, 0), Step::Register);
        assert_eq!(step(true, false, false, 1), Step::KeepOldUrl);
    }

    #[test]
    fn other_keys_replace_a_registration_only_when_it_is_idle() {
        assert_eq!(step(false, true, false, 0), Step::Register);
        assert_eq!(step(false, true, false, 1), Step::Blocked);
    }
}
