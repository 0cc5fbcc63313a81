//! The worker and the creator's service as processes, asked by somebody who does not play fair.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_attest::client::{CollateralService, GuestAgent};
use encompute_attest::network::root_of;
use encompute_attest::pki::{DevelopmentPki, DevelopmentSeed, PlatformTraits, development_measurement};
use encompute_attest::{ComposeHash, HeadKeyEvidence, Register, bound};
use encompute_chain::{Account, Client, Signer};
use encompute_envelope::RecipientSecret;
use encompute_fhe::{BlindingKey, EncryptedTensor, MaskSeed};
use encompute_head::HeadPlan;
use encompute_kit::Market;
use encompute_networks::Network;
use encompute_node::keys::WorkerKeys;
use encompute_node::registration::Wish;
use encompute_node::voice::Voice;
use encompute_node::world::World;
use encompute_protocol::call::{QuoteJob, ReadCounts, ReadVersion, ReadWorker, RequestJob};
use encompute_protocol::event::Event;
use encompute_protocol::receipt::{OfferCall, RoundAnswer, RoundCall, RoundOrder, SignedOffer};
use encompute_protocol::signing::SigningKey;
use encompute_protocol::wire::Message;
use encompute_protocol::{
    BlobDigest, Bytes, HeadKeyCall, HeadKeyStatement, JobId, JobRequest, Mode, Nonce, PolicyId, RoundIndex,
    RoundReceipt, SplitIndex, Text, VersionHash, VersionId, VersionManifest,
};
use encompute_store::{Blobs, ByteLimit, GatewayClient, StateDir};

/// The label from which `encompute dev attest` derives its keys.
const SEED_LABEL: &str = "encompute development attestation v1";

/// A stranger on a running market, with a client of each service.
struct Stranger {
    network: Network,
    account: Account,
    gateway: GatewayClient,
    http: reqwest::Client,
    version: VersionId,
    hash: VersionHash,
    manifest: VersionManifest,
}

fn said(market: &Market, service: &str, key: &str) -> String {
    let services = market.ready["services"].as_array().unwrap();
    let found = services.iter().find(|found| found["name"] == service).unwrap();
    found["ready"][key].as_str().unwrap().to_owned()
}

impl Stranger {
    /// Somebody with a funded account, looking at the model that runs in rounds.
    async fn on(market: &Market) -> Self {
        let network = Network::load(&market.home().join("networks/local.toml")).unwrap();
        let account = Client::connect(&network).await.unwrap().signed_by(Signer::from_suri("//Ferdie").unwrap());
        let gateway = GatewayClient::new(network.gateway.as_ref().unwrap().as_str()).unwrap();
        let http = encompute_store::http_client().unwrap();
        let versions = account.client().read(ReadCounts {}).await.unwrap().versions;
        for version in (1..=versions).map(VersionId) {
            let hash = account.client().read(ReadVersion { version }).await.unwrap().unwrap().manifest;
            let bytes = gateway.get(BlobDigest(hash.0), ByteLimit(8 << 20)).await.unwrap();
            let manifest = VersionManifest::from_wire(&bytes).unwrap();
            if manifest.splits[0].mode == Mode::Rounds {
                return Self { network, account, gateway, http, version, hash, manifest };
            }
        }
        panic!("no model runs in rounds");
    }

    /// Ciphertexts of the right shape for a round; what they would decrypt to does not matter.
    fn tensor(&self, round: usize, seed: u8) -> Vec<u8> {
        let plan = HeadPlan::from_bytes(self.manifest.splits[0].plan.as_slice()).unwrap();
        let set = plan.parameter_set();
        let layout = plan.rounds()[round].input_layout(set).unwrap();
        let bodies = vec![1 << 40; layout.ciphertext_count() * set.polynomial_size().0];
        EncryptedTensor::from_bodies_at(set, layout.upload_bits(), MaskSeed([seed; 16]), &bodies).unwrap().to_bytes()
    }

    fn request(&self, session: &SigningKey) -> JobRequest {
        let plan = HeadPlan::from_bytes(self.manifest.splits[0].plan.as_slice()).unwrap();
        let set = plan.parameter_set();
        let body = vec![1 << 40; set.polynomial_size().0];
        JobRequest {
            genesis: self.account.client().genesis(),
            contract: self.network.chain.contract.unwrap(),
            user: self.account.address(),
            manifest: self.hash,
            split: SplitIndex(0),
            policy: PolicyId(1),
            session_key: session.public_key(),
            result_key: Bytes::new(RecipientSecret::generate().public().to_bytes()).unwrap(),
            rerandomisation: Bytes::new(BlindingKey::from_body(set, MaskSeed([9; 16]), &body).unwrap().to_bytes())
                .unwrap(),
            salt: [1; 32],
            evaluation_key: Vec::new(),
            tensor: Bytes::new(self.tensor(0, 1)).unwrap(),
        }
    }

    async fn post(&self, url: String, body: Vec<u8>) -> (u16, Vec<u8>) {
        let answer = self.http.post(url).body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
    }
}

/// The code of a refusal.
fn code(body: &[u8]) -> String {
    let refusal: serde_json::Value = serde_json::from_slice(body).unwrap();
    refusal["error"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_answers_each_round_once_and_only_to_the_jobs_own_session() {
    let market = Market::up();
    let stranger = Stranger::on(&market).await;
    let worker = said(&market, "worker", "listen");
    let (session, other) = (SigningKey::from_secret(&[3; 32]).unwrap(), SigningKey::from_secret(&[4; 32]).unwrap());
    let offers = format!("{worker}/v1/offers");
    let bytes = stranger.request(&session).to_wire();
    let input = stranger.gateway.put(bytes.into()).await.unwrap();
    let (user, version) = (stranger.account.address(), stranger.version);
    let call = OfferCall { user, version, split: SplitIndex(0), policy: PolicyId(1), input };

    // Requests that say something else than the call, or that nobody can read, get no offer.
    let mut altered = stranger.request(&session);
    altered.manifest = VersionHash([7; 32]);
    let altered = stranger.gateway.put(altered.to_wire().into()).await.unwrap();
    let mut misfit = stranger.request(&session);
    misfit.tensor = Bytes::new(
        EncryptedTensor::from_bodies(encompute_fhe::ParameterSet::Glwe2048V1, MaskSeed([1; 16]), &[1; 8 * 2048])
            .unwrap()
            .to_bytes(),
    )
    .unwrap();
    let misfit = stranger.gateway.put(misfit.to_wire().into()).await.unwrap();
    for (call, wanted) in [
        (OfferCall { input: altered, ..call }, "request"),
        (OfferCall { input: misfit, ..call }, "request"),
        (OfferCall { user: encompute_protocol::Address([9; 20]), ..call }, "request"),
        (OfferCall { input: BlobDigest([9; 32]), ..call }, "no-request"),
    ] {
        let (status, body) = stranger.post(offers.clone(), call.to_wire()).await;
        assert_eq!((status, code(&body).as_str()), (400, wanted));
    }
    let (status, body) = stranger.post(offers.clone(), vec![1; 300]).await;
    assert_eq!((status, code(&body).as_str()), (413, "too-long"));

    let (status, body) = stranger.post(offers, call.to_wire()).await;
    assert_eq!(status, 200);
    let offer = SignedOffer::from_wire(&body).unwrap();
    let (record, _) = stranger.account.client().read(ReadWorker { worker: offer.offer.worker }).await.unwrap().unwrap();
    assert!(offer.signature.is_by(&record.signing, &offer.offer));

    let (fees, _) = stranger.account.client().read(QuoteJob { version, split: SplitIndex(0) }).await.unwrap().unwrap();
    let (policy, tip) = (PolicyId(1), encompute_protocol::Plancks::ZERO);
    let request = RequestJob { version, split: SplitIndex(0), policy, input, tip, offer: Some(offer), sponsor: None };
    let paid = stranger.account.submit(request, fees.total().unwrap()).await.unwrap();
    let job = paid.answer;

    let rounds = format!("{worker}/v1/jobs/{job}/rounds");
    let first = stranger.http.get(format!("{rounds}/0")).send().await.unwrap().bytes().await.unwrap();
    let first = RoundAnswer::from_wire(&first).unwrap();
    assert!(first.signature.is_by(&record.signing, &first.receipt));
    assert_eq!(first.receipt.response, BlobDigest::of(&first.response));

    let order = |round: u16, before: &RoundReceipt, key: &SigningKey, tensor: &[u8]| {
        let order = RoundOrder {
            genesis: before.genesis,
            contract: before.contract,
            job,
            round: RoundIndex(round),
            request: BlobDigest::of(tensor),
            previous: before.link(),
        };
        RoundCall { signature: key.sign(&order), order, request: tensor.to_vec() }
    };
    let (second, third) = (stranger.tensor(1, 2), stranger.tensor(2, 3));
    let early = order(2, &first.receipt, &session, &third);
    assert_eq!(stranger.post(format!("{rounds}/2"), early.to_wire()).await.0, 409, "round 2 before round 1");
    let foreign = order(1, &first.receipt, &other, &second);
    assert_eq!(stranger.post(format!("{rounds}/1"), foreign.to_wire()).await.0, 403, "another session key");
    let unlinked = RoundReceipt { round: RoundIndex(5), ..first.receipt };
    let unlinked = order(1, &unlinked, &session, &second);
    assert_eq!(stranger.post(format!("{rounds}/1"), unlinked.to_wire()).await.0, 409, "another receipt before it");

    let honest = order(1, &first.receipt, &session, &second).to_wire();
    let (status, answer) = stranger.post(format!("{rounds}/1"), honest.clone()).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer[..answer.len().min(200)]));
    assert_eq!(
        stranger.post(format!("{rounds}/1"), honest).await,
        (200, answer.clone()),
        "a repeat gives the same bytes"
    );
    let another = order(1, &first.receipt, &session, &stranger.tensor(1, 8));
    assert_eq!(
        stranger.post(format!("{rounds}/1"), another.to_wire()).await.0,
        409,
        "another tensor for an answered round"
    );

    let answer = RoundAnswer::from_wire(&answer).unwrap();
    let last = order(2, &answer.receipt, &session, &third);
    assert_eq!(stranger.post(format!("{rounds}/2"), last.to_wire()).await.0, 200);
    let mut follow = stranger.account.client().follow(paid.block.number);
    let committed = |event: &Event| matches!(event, Event::HeadCommitted(head) if head.job == job);
    while !follow.next().await.unwrap().events.iter().any(|emitted| committed(&emitted.event)) {}
    assert_eq!(
        stranger.http.get(format!("{worker}/v1/jobs/{}/rounds/0", JobId(99))).send().await.unwrap().status(),
        404
    );
}

/// A worker of our own on the market, whose keys and quotes are ours to misuse.
async fn registered_worker(market: &Market, stranger: &Stranger, state: &std::path::Path) -> World {
    let state = StateDir::hold(state).unwrap();
    let world = World {
        root: root_of(&stranger.network.trust).unwrap(),
        voice: Voice::Account(stranger.account.clone()),
        contract: stranger.network.chain.contract.unwrap(),
        gateway: stranger.gateway.clone(),
        guest: GuestAgent::at(&said(market, "attestation", "listen")).unwrap(),
        collateral: CollateralService::at(stranger.network.trust.collateral.as_str()).unwrap(),
        http: stranger.http.clone(),
        keys: WorkerKeys::open(&state).unwrap().into(),
        network: stranger.network.clone(),
    };
    let (url, payout) = (Text::new("http://127.0.0.1:1").unwrap(), world.address());
    world.ensure_registered(&Wish { capacity: 1, stake: None, url, payout }).await.unwrap();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heads_key_is_released_only_to_a_registered_worker_with_a_fresh_quote_of_listed_code() {
    let market = Market::up();
    let stranger = Stranger::on(&market).await;
    let creator = said(&market, "creator", "listen");
    let name = (stranger.version, SplitIndex(0));
    let nonce = async || {
        let answer = stranger.http.get(format!("{creator}/v1/head-key/nonce")).send().await.unwrap();
        Nonce(answer.bytes().await.unwrap().as_ref().try_into().unwrap())
    };
    let ask = async |evidence: HeadKeyEvidence, signature| {
        let call = HeadKeyCall { evidence: Bytes::new(evidence.to_wire()).unwrap(), signature };
        let (status, body) = stranger.post(format!("{creator}/v1/head-key"), call.to_wire()).await;
        (status, if status == 200 { String::new() } else { code(&body) })
    };
    let state = tempfile::tempdir().unwrap();
    let world = {
        // Not registered yet: the statement is honest, the quote is fresh, the chain does not know it.
        let folder = tempfile::tempdir().unwrap();
        let held = StateDir::hold(folder.path()).unwrap();
        let keys = WorkerKeys::open(&held).unwrap();
        let guest = GuestAgent::at(&said(&market, "attestation", "listen")).unwrap();
        let statement = HeadKeyStatement {
            genesis: stranger.account.client().genesis(),
            contract: stranger.network.chain.contract.unwrap(),
            account: stranger.account.address(),
            signing: keys.signing_address(),
            hpke: keys.hpke_key().digest(),
            version: stranger.version,
            manifest: stranger.hash,
            split: SplitIndex(0),
        };
        let nonce = nonce().await;
        let quote = guest.quote(bound(&statement, &nonce)).await.unwrap().quote;
        let collateral =
            CollateralService::at(stranger.network.trust.collateral.as_str()).unwrap().fetch(&quote).await.unwrap();
        let (quote, collateral) = (Bytes::new(quote).unwrap(), Bytes::new(collateral.to_json()).unwrap());
        let evidence = HeadKeyEvidence { quote, collateral, statement, nonce, hpke_key: keys.hpke_key() };
        assert_eq!(ask(evidence, keys.sign(&statement)).await, (403, "not-registered".to_owned()));
        registered_worker(&market, &stranger, state.path()).await
    };

    // The same worker, registered: its key opens what the service seals.
    assert!(world.head_key(name, stranger.hash, &creator).await.is_ok());

    let statement = HeadKeyStatement {
        genesis: world.genesis(),
        contract: world.contract,
        account: world.address(),
        signing: world.keys.signing_address(),
        hpke: world.keys.hpke_key().digest(),
        version: stranger.version,
        manifest: stranger.hash,
        split: SplitIndex(0),
    };
    let (invented, _) = world.evidence(statement, Nonce([7; 32])).await.unwrap();
    assert_eq!(ask(invented, world.keys.sign(&statement)).await, (403, "nonce".to_owned()), "an invented nonce");

    let (honest, _) = world.evidence(statement, nonce().await).await.unwrap();
    let forged = SigningKey::from_secret(&[5; 32]).unwrap().sign(&statement);
    assert_eq!(ask(honest.clone(), forged).await, (403, "signature".to_owned()), "another signing key");
    assert_eq!(ask(honest.clone(), world.keys.sign(&statement)).await.0, 200);
    assert_eq!(ask(honest, world.keys.sign(&statement)).await, (403, "nonce".to_owned()), "a nonce used before");

    // Other code on the same development platform: the quote is genuine, the measurement is not listed.
    let pki = DevelopmentPki::from_seed(DevelopmentSeed::from_label(SEED_LABEL)).unwrap();
    let platform = pki.platform("default", PlatformTraits::default()).unwrap();
    let (mut other, _) = world.evidence(statement, nonce().await).await.unwrap();
    let measurement = development_measurement(ComposeHash([0x42; 32]));
    let quote = platform.quote(&measurement, Register([0; 48]), bound(&statement, &other.nonce));
    other.quote = Bytes::new(quote).unwrap();
    assert_eq!(ask(other, world.keys.sign(&statement)).await, (403, "evidence".to_owned()), "other code");
}
