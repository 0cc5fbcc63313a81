//! A worker that lies, between honest processes: in its offers, its answers, its commitments; and one that
//! offers and does nothing. Its enclave is broken: it signs with the registered key whatever it likes.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_drill::Outcome;
use encompute_e2e::{Court, DIGIT, refusal};
use encompute_kit::{Asked, Between::WorkerAndClient, Lie, Ran};
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, HeadDigest, JobId, Nonce, Offer, RoundIndex, RoundReceipt, RoundReceiptDigest,
    Signature, Stage, Transcript,
    receipt::{OfferCall, RoundAnswer, RoundCall, SignedOffer},
    signing::SigningKey,
    wire::Message,
};
use encompute_store::Blobs;
use std::sync::{Arc, Mutex};

/// A lie about the length of an answer.
type OfLength = fn(Vec<u8>) -> Lie;

/// What a worker has at hand when it lies about a round: its key, what it should say, what it said of this
/// job before, what it said in another job.
struct Desk {
    key: SigningKey,
    honest: RoundAnswer,
    before: Option<RoundAnswer>,
    earlier: Vec<RoundAnswer>,
}

impl Desk {
    /// Another receipt than the honest one, signed.
    fn signed(&self, alter: impl FnOnce(&mut RoundReceipt)) -> Vec<u8> {
        let mut answer = self.honest.clone();
        alter(&mut answer.receipt);
        answer.signature = self.key.sign(&answer.receipt);
        answer.to_wire()
    }

    /// Another response than the honest one, under a receipt that names it.
    fn responded(&self, response: Vec<u8>) -> Vec<u8> {
        let mut answer = self.honest.clone();
        answer.receipt.response = BlobDigest::of(&response);
        (answer.signature, answer.response) = (self.key.sign(&answer.receipt), response);
        answer.to_wire()
    }
}

/// One lie about one round: its name, the round, what is said instead, what the user's command says of it.
type Row = (&'static str, u16, fn(&Desk) -> Vec<u8>, &'static str);

const ANSWERS: [Row; 14] = [
    ("bytes that are no answer", 0, |_| b"an answer".to_vec(), "the worker's answer was refused"),
    ("the answer of another job", 0, |desk| desk.earlier[0].to_wire(), "receipt of round 0: job is 1, it should be"),
    (
        "the answer of the round before",
        1,
        |desk| desk.before.clone().unwrap().to_wire(),
        "the worker's answer was refused: ",
    ),
    (
        "the answer of a round to come",
        0,
        |desk| desk.earlier[1].to_wire(),
        "receipt of round 0: job is 1, it should be",
    ),
    (
        "a receipt for a round to come, signed",
        0,
        |desk| desk.signed(|receipt| receipt.round = RoundIndex(1)),
        "receipt of round 0: round is 1, it should be 0",
    ),
    (
        "the response of another round, signed for this one",
        0,
        |desk| desk.responded(desk.earlier[2].response.clone()),
        "response of round 0 was refused, nothing was decrypted",
    ),
    (
        "another response than the receipt names",
        0,
        |desk| RoundAnswer { response: desk.earlier[0].response.clone(), ..desk.honest.clone() }.to_wire(),
        "receipt of round 0: response is",
    ),
    (
        "ciphertexts that are none, signed",
        0,
        |desk| desk.responded(vec![7; desk.honest.response.len()]),
        "response of round 0 was refused",
    ),
    (
        "ciphertexts cut in half, signed",
        0,
        |desk| desk.responded(desk.honest.response[..desk.honest.response.len() / 2].to_vec()),
        "response of round 0 was refused",
    ),
    (
        "a receipt signed with another key",
        0,
        |desk| {
            let signature = SigningKey::from_secret(&[7; 32]).unwrap().sign(&desk.honest.receipt);
            RoundAnswer { signature, ..desk.honest.clone() }.to_wire()
        },
        "receipt of round 0 is not signed by the registered key",
    ),
    (
        "a receipt for another head, signed",
        0,
        |desk| desk.signed(|receipt| receipt.head = HeadDigest([7; 32])),
        "receipt of round 0: head is",
    ),
    (
        "a receipt for another request, signed",
        1,
        |desk| desk.signed(|receipt| receipt.request = BlobDigest([7; 32])),
        "receipt of round 1: request is",
    ),
    (
        "a receipt that does not follow the one before, signed",
        1,
        |desk| desk.signed(|receipt| receipt.previous = RoundReceiptDigest([7; 32])),
        "receipt of round 1: previous is",
    ),
    (
        "a receipt of a registration before, signed",
        2,
        |desk| desk.signed(|receipt| receipt.registration_nonce = Nonce([7; 32])),
        "receipt of round 2: registration nonce is",
    ),
];

/// Runs an honest job and gives back what the worker answered in it, round by round.
async fn an_honest_job(court: &Court) -> Vec<RoundAnswer> {
    let done = court.submit().finish().done();
    assert!(done.stdout.contains('7'), "{done:?}");
    let heard = court.liar(WorkerAndClient).heard();
    let answers = heard.iter().filter(|(asked, _)| asked.round().is_some());
    let answers: Vec<_> = answers.filter_map(|(_, told)| RoundAnswer::from_wire(&told.as_ref()?.body).ok()).collect();
    assert_eq!(answers.len(), 3, "{heard:?}");
    answers
}

/// Orders of rounds after this one, which need what this one gives in clear.
fn orders_after(court: &Court, round: u16) -> usize {
    let heard = court.liar(WorkerAndClient).heard();
    heard.iter().filter(|(asked, _)| asked.method == "POST" && asked.round() > Some(round)).count()
}

/// Files of the user's ledger: a page an input.
fn pages(court: &Court) -> Vec<Vec<u8>> {
    let pages = std::fs::read_dir(court.home().join("ledger")).unwrap().map(|entry| entry.unwrap().path());
    pages.filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap()).collect()
}

fn is_refused(row: &str, ran: &Ran, code: i32, says: &str) {
    assert_eq!(refusal(ran), (code, true), "{row}: {ran:?}");
    assert!(ran.stderr.contains(says), "{row}: {says:?} is not in {}", ran.stderr);
}

/// After a lie: nothing was decrypted of that round or released, and with the truth the job goes on and is paid.
async fn a_lie_changed_nothing(court: &Court, row: &str, job: JobId, round: u16, pages_before: &[Vec<u8>]) {
    assert_eq!(orders_after(court, round), 0, "{row}: a round was ordered after the lie");
    let record = court.record(job);
    assert_eq!((record.rounds.len(), record.features), (usize::from(round), None), "{row}");
    assert_eq!(pages(court), pages_before, "{row}: something was released");
    court.repent();
    let done = court.resume(job).done();
    assert!(done.stdout.contains('7'), "{row}: {done:?}");
    court.judge(row, job, Outcome::Settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_about_a_round_is_named_and_nothing_of_it_is_decrypted() {
    let court = Court::over("digits", DIGIT).await;
    let earlier = an_honest_job(&court).await;
    let pages_before = pages(&court);
    for (row, round, lie, says) in ANSWERS {
        court.repent();
        let (key, earlier) = (Arc::new(court.workers_key()), earlier.clone());
        let said: Arc<Mutex<Option<RoundAnswer>>> = Arc::default();
        court.liar(WorkerAndClient).tell(move |asked| {
            let (key, said, earlier) = (key.clone(), said.clone(), earlier.clone());
            match asked.round() {
                Some(asked) => Lie::Altered(Box::new(move |told| {
                    let Ok(honest) = RoundAnswer::from_wire(&told.body) else { return told.body };
                    let before = said.lock().unwrap().replace(honest.clone());
                    let key = SigningKey::from_secret(&key.secret()).unwrap();
                    if asked == round { lie(&Desk { key, honest, before, earlier }) } else { told.body }
                })),
                None => Lie::Truth,
            }
        });
        let ran = court.submit().finish();
        is_refused(row, &ran, 5, says);
        a_lie_changed_nothing(&court, row, court.jobs().await, round, &pages_before).await;
    }

    let lengths: [(&str, OfLength, &str); 3] = [
        ("a body without an end", |_| Lie::Endless, "are allowed"),
        ("a body of a terabyte", |body| Lie::Announced(1 << 40, body), "1099511627776 bytes, at most"),
        ("a body longer than announced", |body| Lie::Announced(body.len() as u64 - 1, body), "bytes are not a value"),
    ];
    for (row, lie, says) in lengths {
        court.repent();
        let answer = earlier[0].to_wire();
        court.liar(WorkerAndClient).tell(move |asked| match asked.round() {
            Some(0) => lie(answer.clone()),
            _ => Lie::Truth,
        });
        let ran = court.submit().finish();
        is_refused(row, &ran, 5, says);
        a_lie_changed_nothing(&court, row, court.jobs().await, 0, &pages_before).await;
    }

    // What breaks off may have been cut by anybody: it is asked for again.
    court.repent();
    let (answer, mut left) = (earlier[0].to_wire(), 3);
    court.liar(WorkerAndClient).tell(move |asked| match asked.round() {
        Some(0) if left > 0 => {
            left -= 1;
            if left == 1 { Lie::Silence } else { Lie::Announced(answer.len() as u64 + 1, answer.clone()) }
        }
        _ => Lie::Truth,
    });
    let done = court.submit().finish().done();
    assert!(done.stdout.contains('7'), "{done:?}");
    court.judge("a body shorter than announced", court.jobs().await, Outcome::Settled).await;
}

/// What a worker says of a job on chain: the transcript's bytes, and whether anybody can fetch them.
type Told = (&'static str, bool, fn(&Transcript, &Transcript) -> Vec<u8>, i32, &'static str);

const COMMITMENTS: [Told; 6] = [
    ("a transcript that is in no store", false, |own, _| own.to_wire(), 3, "fetch the transcript"),
    ("bytes that are no transcript", true, |_, _| b"a transcript".to_vec(), 5, "the transcript cannot be read"),
    (
        "a round too few",
        true,
        |own, _| Transcript { rounds: own.rounds[..2].to_vec() }.to_wire(),
        5,
        "the transcript has 2 rounds, the head has 3",
    ),
    ("another job's transcript", true, |_, earlier| earlier.to_wire(), 5, "for round 0, the client was given"),
    (
        "another last answer than it gave",
        true,
        |own, earlier| Transcript { rounds: [&own.rounds[..2], &earlier.rounds[2..]].concat() }.to_wire(),
        5,
        "for round 2, the client was given",
    ),
    (
        "the right last receipt over another first one",
        true,
        |own, earlier| Transcript { rounds: [&earlier.rounds[..1], &own.rounds[1..]].concat() }.to_wire(),
        5,
        "for round 0, the client was given",
    ),
];

/// A liar that passes two rounds on and answers the third itself, well signed; gives back what it signs.
fn answers_the_last_round_itself(court: &Court, earlier: &[RoundAnswer]) -> Arc<Mutex<Vec<(RoundReceipt, Signature)>>> {
    let (key, response) = (Arc::new(court.workers_key()), earlier[2].response.clone());
    let signed: Arc<Mutex<Vec<(RoundReceipt, Signature)>>> = Arc::default();
    let saw = signed.clone();
    court.liar(WorkerAndClient).tell(move |asked| match asked.round() {
        Some(2) => {
            let order = RoundCall::from_wire(&asked.body).unwrap().order;
            let first: RoundReceipt = saw.lock().unwrap().first().unwrap_or_else(|| panic!("round 2 came first")).0;
            let receipt = RoundReceipt {
                round: RoundIndex(2),
                request: order.request,
                response: BlobDigest::of(&response),
                previous: order.previous,
                ..first
            };
            let signature = key.sign(&receipt);
            saw.lock().unwrap().push((receipt, signature));
            Lie::Body(RoundAnswer { receipt, signature, response: response.clone() }.to_wire())
        }
        Some(_) => {
            let saw = saw.clone();
            Lie::Altered(Box::new(move |told| {
                let answer = RoundAnswer::from_wire(&told.body).unwrap();
                saw.lock().unwrap().push((answer.receipt, answer.signature));
                told.body
            }))
        }
        None => Lie::Truth,
    });
    signed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commitment_to_other_rounds_than_were_answered_is_named_and_the_last_answer_is_never_decrypted() {
    let court = Court::over("digits", DIGIT).await;
    let earlier = an_honest_job(&court).await;
    let history = Transcript { rounds: earlier.iter().map(|answer| (answer.receipt, answer.signature)).collect() };
    let pages_before = pages(&court);
    for (row, stored, lie, code, says) in COMMITMENTS {
        court.repent();
        let signed = answers_the_last_round_itself(&court, &earlier);
        let job = JobId(court.jobs().await.0 + 1);
        let mut client = court.submit();
        client.until(&["round 3 of 3"]);
        let own = Transcript { rounds: signed.lock().unwrap().clone() };
        assert_eq!(own.rounds.len(), 3, "{row}");
        let told = lie(&own, &history);
        if stored {
            court.store().put(told.clone().into()).await.unwrap();
        }
        court.commit(job, BlobDigest::of(&told)).await;
        let ran = client.finish();
        is_refused(row, &ran, code, says);
        assert_eq!(court.record(job).features, None, "{row}");
        assert_eq!(pages(&court), pages_before, "{row}: something was released");
        // It is no better the next time, and the user goes.
        let again = court.resume(job);
        is_refused(row, &again, code, says);
        court.cancel(job).done();
        court.judge(row, job, Outcome::Refunded).await;
    }
}

/// One lie in an offer: what is said instead of the honest one, and why the worker is passed over.
type Promise = (&'static str, fn(&SigningKey, SignedOffer) -> Lie, &'static str);

fn resigned(key: &SigningKey, mut signed: SignedOffer, alter: impl FnOnce(&mut Offer)) -> Lie {
    alter(&mut signed.offer);
    Lie::Body(SignedOffer { signature: key.sign(&signed.offer), ..signed }.to_wire())
}

const OTHER_TERMS: &str = "its offer is for something else or not signed by its registered key";
const OFFERS: [Promise; 7] = [
    ("an offer for another input", |key, signed| resigned(key, signed, |offer| offer.input.0[0] ^= 1), OTHER_TERMS),
    (
        "an offer to another user",
        |key, signed| resigned(key, signed, |offer| offer.user = Address([7; 20])),
        OTHER_TERMS,
    ),
    (
        "an offer that has run out",
        |key, signed| resigned(key, signed, |offer| offer.expires_at = BlockNumber(1)),
        OTHER_TERMS,
    ),
    (
        "an offer with another key's signature",
        |_, signed| resigned(&SigningKey::from_secret(&[7; 32]).unwrap(), signed, |_| ()),
        OTHER_TERMS,
    ),
    ("bytes that are no offer", |_, _| Lie::Body(b"an offer".to_vec()), "offer: "),
    ("an offer without an end", |_, _| Lie::Endless, "bytes or more, 4096 are allowed"),
    ("no answer", |_, _| Lie::Silence, "worker passed over"),
];

/// The offer that a worker makes for a call, of which it is told nothing by anybody.
fn promise(court: &Court, asked: &Asked) -> SignedOffer {
    let OfferCall { user, version, split, input, .. } = OfferCall::from_wire(&asked.body).unwrap();
    let (client, worker) = (court.services.client(), court.worker().address());
    let (genesis, contract) = (client.genesis(), client.contract().unwrap());
    let (expires_at, custody) = (BlockNumber(u32::MAX), false);
    let offer = Offer { genesis, contract, worker, user, version, split, input, expires_at, custody };
    SignedOffer { offer, signature: court.workers_key().sign(&offer) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_for_other_terms_is_passed_over_and_one_that_nobody_keeps_costs_the_worker_its_stake() {
    let court = Arc::new(Court::over("digits", DIGIT).await);
    for (row, lie, says) in OFFERS {
        court.repent();
        let made = court.clone();
        court.liar(WorkerAndClient).tell(move |asked| match asked.path.as_str() {
            "/v1/offers" => lie(&made.workers_key(), promise(&made, asked)),
            _ => Lie::Truth,
        });
        // It is bought openly, and the worker that lied claims it as everybody may.
        let done = court.submit().finish().done();
        assert!(done.stderr.contains(says), "{row}: {says:?} is not in {}", done.stderr);
        assert!(done.stdout.contains('7'), "{row}: {done:?}");
        court.judge(row, court.jobs().await, Outcome::Settled).await;
    }

    // It promises, so the job is claimed with the request; then it does nothing, and nobody else is there.
    court.repent();
    court.freeze("worker-1");
    let made = court.clone();
    court.liar(WorkerAndClient).tell(move |asked| match asked.path.as_str() {
        "/v1/offers" => Lie::Body(promise(&made, asked).to_wire()),
        _ => Lie::Silence,
    });
    let job = JobId(court.jobs().await.0 + 1);
    let client = court.submit();
    court.until(job, "claimed with the request", |progress| progress.stage == Stage::Claimed).await;
    court.pass_window(job).await;
    court.until(job, "offered again", |progress| progress.stage == Stage::Requested).await;
    court.pass_window(job).await;
    let ran = client.finish();
    is_refused("a promise that is not kept", &ran, 1, "no worker claimed it in time");
    court.judge("a promise that is not kept", job, Outcome::Refunded).await;
    court.thaw("worker-1");
    // What is said holds the market, which holds who says it.
    court.repent();
}
