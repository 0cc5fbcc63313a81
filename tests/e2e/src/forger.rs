//! Somebody who has the attestation key of a listed machine, and no enclave: a worker that signs whatever it likes.

use crate::Court;
use encompute_attest::{
    ComposeHash, Evidence, HpkeKey, Register, bound,
    client::CollateralService,
    compact,
    pki::{DevelopmentPki, DevelopmentSeed, Platform, PlatformTraits, SEED_LABEL, development_measurement},
};
use encompute_chain::Account;
use encompute_envelope::RecipientSecret;
use encompute_kit::{Asked, Liar, Lie, blob_file, program};
use encompute_protocol::{
    BlobDigest, BlockNumber, Bytes, JobId, JobRequest, Nonce, Offer, Plancks, RegistrationStatement, RoundIndex,
    RoundReceipt, RoundReceiptDigest, Text, Transcript,
    call::{BeginRegistration, CertifyKey, ReadNonce, ReadParams, RegisterWorker},
    receipt::{OfferCall, RoundAnswer, RoundCall, SignedOffer},
    signing::SigningKey,
    statement::TeeKind,
    wire::Message,
};
use encompute_store::Blobs;
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

/// Stake of a forged worker: places for two jobs.
const STAKE: Plancks = Plancks(20_000_000_000_000);

/// A registered worker without an enclave. What it serves is made up here.
pub struct Forger {
    /// Its account.
    pub account: Account,
    key: SigningKey,
    nonce: Nonce,
    liar: Liar,
    given: Arc<Mutex<Vec<RoundAnswer>>>,
}

impl Forger {
    /// Registers a worker under the leaked key of `machine`: its quote says whatever the allow-list wants to read, and
    /// every check of contract, client and auditor holds.
    ///
    /// # Panics
    /// If anybody refuses it, which nobody can.
    pub async fn registered(court: &Court, suri: &str, machine: &str, capacity: u16) -> Self {
        let services = &court.services;
        services.fund(suri).await.unwrap();
        let (account, client) = (services.account(suri), services.client());
        let number = suri.bytes().fold(1_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte)) | 1;
        let key = SigningKey::from_secret(&[number; 32]).unwrap();
        let hpke_key = HpkeKey(RecipientSecret::from_seed(&[number; 32]).public().to_bytes());
        account.submit(BeginRegistration {}, Plancks::ZERO).await.unwrap();
        let nonce = client.read(ReadNonce { account: account.address() }).await.unwrap().unwrap();
        let limit = client.read(ReadParams {}).await.unwrap().registration_limit;
        let statement = RegistrationStatement {
            genesis: client.genesis(),
            contract: client.contract().unwrap(),
            account: account.address(),
            signing: key.address(),
            hpke: hpke_key.digest(),
            payout: account.address(),
            tee: TeeKind::Tdx,
            expires_at: client.head().await.unwrap().number.checked_add(limit).unwrap(),
        };
        let pki = DevelopmentPki::from_seed(DevelopmentSeed::from_label(SEED_LABEL)).unwrap();
        let leaked: Platform = pki.platform(machine, PlatformTraits::default()).unwrap();
        let honest_code = ComposeHash::of_file(&std::fs::read(program("encompute-worker")).unwrap());
        let measurement = development_measurement(honest_code);
        let quote = leaked.quote(&measurement, Register([0; 48]), bound(&statement, &nonce));
        let service = CollateralService::at(services.said("attestation", "listen").unwrap()).unwrap();
        let collateral = service.fetch(&quote).await.unwrap();
        let (parts, vouching) = compact(&quote).unwrap();
        account.submit(CertifyKey { key: vouching }, Plancks::ZERO).await.unwrap();
        let evidence = Evidence {
            quote: Bytes::new(quote).unwrap(),
            collateral: Bytes::new(collateral.to_json()).unwrap(),
            statement,
            nonce,
            hpke_key,
        };
        let liar = Liar::start().await.unwrap();
        let register = RegisterWorker {
            signing: statement.signing,
            hpke: statement.hpke,
            payout: statement.payout,
            tee: statement.tee,
            measurement: measurement.id(),
            quote: parts,
            evidence: court.store().put(evidence.to_wire().into()).await.unwrap(),
            expires_at: statement.expires_at,
            capacity,
            url: Text::new(liar.url()).unwrap(),
            signature: key.sign(&statement),
        };
        account.submit(register, STAKE).await.unwrap();
        Self { account, key, nonce, liar, given: Arc::default() }
    }

    /// Offers itself for every job, and answers every round with what another worker gave in another job, under receipts
    /// that hold.
    pub fn serves(&self, court: &Court, earlier: Vec<RoundAnswer>) {
        let secret = self.key.secret();
        let (worker, nonce, given) = (self.account.address(), self.nonce, self.given.clone());
        let (client, home) = (court.services.client(), court.services.home().to_owned());
        let (genesis, contract) = (client.genesis(), client.contract().unwrap());
        let input: Arc<Mutex<BlobDigest>> = Arc::default();
        self.liar.tell(move |asked| {
            let key = SigningKey::from_secret(&secret).unwrap();
            if asked.path == "/v1/offers" {
                let OfferCall { user, version, split, input: wanted, .. } = OfferCall::from_wire(&asked.body).unwrap();
                *input.lock().unwrap() = wanted;
                let expires_at = BlockNumber(u32::MAX);
                let custody = false;
                let offer =
                    Offer { genesis, contract, worker, user, version, split, input: wanted, expires_at, custody };
                return Lie::Body(SignedOffer { offer, signature: key.sign(&offer) }.to_wire());
            }
            let Some((job, round)) = job_and_round(asked) else { return Lie::Silence };
            let (request, previous) = match RoundCall::from_wire(&asked.body) {
                Ok(call) => (call.order.request, call.order.previous),
                Err(_) => (first_request(&home, &input.lock().unwrap()), RoundReceiptDigest::default()),
            };
            let response = earlier[usize::from(round)].response.clone();
            let receipt = RoundReceipt {
                job,
                round: RoundIndex(round),
                request,
                response: BlobDigest::of(&response),
                previous,
                registration_nonce: nonce,
                ..earlier[0].receipt
            };
            let answer = RoundAnswer { receipt, signature: key.sign(&receipt), response };
            let mut given = given.lock().unwrap();
            given.truncate(usize::from(round));
            given.push(answer.clone());
            Lie::Body(answer.to_wire())
        });
    }

    /// Commits what it gave, as every worker does: responses and transcript in the store, the receipt on chain.
    ///
    /// # Panics
    /// If the contract refuses, which it cannot.
    pub async fn commits(&self, court: &Court, job: JobId) {
        let given = self.given.lock().unwrap().clone();
        for answer in &given {
            court.store().put(answer.response.clone().into()).await.unwrap();
        }
        let transcript = Transcript { rounds: given.iter().map(|answer| (answer.receipt, answer.signature)).collect() };
        let output = court.store().put(transcript.to_wire().into()).await.unwrap();
        court.commit_as((&self.account, &self.key), job, output).await;
    }

    /// Everything that it was told.
    pub fn heard(&self) -> Vec<u8> {
        self.liar.heard().into_iter().flat_map(|(asked, _)| [asked.path.into_bytes(), asked.body].concat()).collect()
    }
}

fn job_and_round(asked: &Asked) -> Option<(JobId, u16)> {
    let (job, _) = asked.path.strip_prefix("/v1/jobs/")?.split_once('/')?;
    Some((JobId(job.parse().ok()?), asked.round()?))
}

/// Digest of the first round's request, which is in the job's blob.
fn first_request(home: &Path, input: &BlobDigest) -> BlobDigest {
    let request = JobRequest::from_wire(&std::fs::read(blob_file(home, input)).unwrap()).unwrap();
    BlobDigest::of(request.tensor.as_slice())
}
