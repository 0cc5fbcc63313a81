//! What belongs to the user alone is nowhere else: not in a file, a log, what a crash leaves, or the memory of
//! another process.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::{Court, DIGIT, Secrets, files};
use encompute_kit::{
    Asked,
    Between::{GatewayAndCreator, WorkerAndClient},
    Lie, Ran, root, signal,
};
use encompute_protocol::{JobId, Stage};
use std::{
    collections::BTreeSet,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

const OTHERS: [&str; 5] = ["chain", "gateway", "attestation", "worker-1", "creator-1"];

/// Whoever asks for this round is not answered.
fn hold_at(court: &Court, round: &'static str) {
    court.liar(WorkerAndClient).tell(move |asked| match asked.path.ends_with(round) {
        true => Lie::Silence,
        false => Lie::Truth,
    });
}

/// Waits until a liar was asked something.
async fn is_asked(heard: impl Fn() -> Vec<Asked>, what: impl Fn(&Asked) -> bool) {
    while !heard().iter().any(&what) {
        tokio::task::yield_now().await;
    }
}

fn asked_of_the_worker(court: &Court) -> Vec<Asked> {
    court.liar(WorkerAndClient).heard().into_iter().map(|(asked, _)| asked).collect()
}

/// The files that may hold a key in clear, each its owner's alone.
fn kept(court: &Court) -> Vec<PathBuf> {
    let (home, user) = (court.services.home(), court.home());
    let keys = ["machine.secret", "release.secret"].map(|name| user.join(name));
    let others = ["worker-1/keys", "creator-1/creator-key"].map(|name| home.join(name));
    let jobs = files(&user.join("jobs")).into_iter().filter(|file| file.ends_with("secrets"));
    keys.into_iter().chain(others).chain(jobs).collect()
}

/// Everything that the user's home alone may know, and the keys of the others for all but themselves.
fn secrets_of(court: &Court) -> Secrets {
    let (mut secrets, user) = (Secrets::none(), court.home());
    secrets.add_picture(&root().join("scripts/models/digits"), &root().join(DIGIT));
    for file in files(&user.join("jobs")).iter().filter(|file| file.ends_with("fhe.key")) {
        secrets.add_fhe_key(&user, file.parent().unwrap());
    }
    for file in kept(court).iter().filter(|file| file.starts_with(&user)) {
        secrets.add_with_hex(
            &file.strip_prefix(&user).unwrap().display().to_string(),
            &std::fs::read(file).unwrap(),
            24,
        );
    }
    secrets
}

/// None of it is in the memory of the other processes.
fn others_know_nothing(court: &Court, secrets: &Secrets, when: &str) {
    for name in OTHERS {
        let (found, read) = secrets.found_in_memory_of(court.services.id(name).unwrap());
        assert!(read > 1_000_000, "{when}: only {read} bytes of {name} were read");
        assert_eq!(found, BTreeSet::new(), "{when}: in the memory of {name}");
    }
}

fn nothing_in_words(secrets: &Secrets, ran: &Ran, when: &str) {
    let said = [ran.stdout.as_bytes(), ran.stderr.as_bytes()].concat();
    assert!(!said.is_empty(), "{when}: it said nothing");
    assert_eq!(secrets.found_in(&said), BTreeSet::new(), "{when}: {ran:?}");
}

/// Ends a service as a crash does, with everything that it says of it, and starts it again.
async fn abort(court: &mut Court, service: &str) {
    signal("ABRT", court.services.id(service).unwrap());
    court.services.kill(service).await;
    court.services.restart(service).await.unwrap();
}

/// The numbers that were released, as only the creator may have them in clear.
async fn released(court: &Court, job: JobId) -> Vec<u8> {
    court.codes(job).await.iter().flat_map(|code| code.to_le_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_pixels_and_decrypted_numbers_are_in_no_file_log_crash_or_memory_but_the_users_own() {
    let mut court = Court::over("digits", DIGIT).await;
    hold_at(&court, "/rounds/0");
    let job = JobId(1);
    let mut client = court.submit();
    is_asked(|| asked_of_the_worker(&court), |asked| asked.path.ends_with("/rounds/0")).await;
    let secrets = secrets_of(&court);

    for what in
        ["pixels", "pixels as integers", "pixels in words", "the FHE key", "the FHE key in digits", "machine.secret"]
            .into_iter()
            .map(str::to_owned)
            .chain((0..3).map(|round| format!("decrypted sums of round {round} as integers")))
    {
        assert!(secrets.kinds().contains(what.as_str()), "{what} is not looked for: {:?}", secrets.kinds());
    }

    // The search finds in the client's memory what it must find nowhere else.
    let (found, _) = secrets.found_in_memory_of(client.pid());
    for what in ["pixels", "the FHE key, a word a bit"] {
        assert!(found.contains(what), "the search is blind: {what} is not in the client's own memory ({found:?})");
    }
    others_know_nothing(&court, &secrets, "before the first round");

    hold_at(&court, "/rounds/2");
    client.until(&["round 2 of 3"]);
    is_asked(|| asked_of_the_worker(&court), |asked| asked.path.ends_with("/rounds/2")).await;
    others_know_nothing(&court, &secrets, "between rounds");
    signal("ABRT", client.pid());
    nothing_in_words(&secrets, &client.finish(), "the client that crashed");
    abort(&mut court, "worker-1").await;

    // The creator, with the job's features before it.
    court.repent();
    court.liar(GatewayAndCreator).tell(|asked| if asked.method == "GET" { Lie::Silence } else { Lie::Truth });
    let client = court.start_resume(job);
    court.until(job, "features sent", |progress| progress.stage == Stage::FeaturesSent).await;
    let heard = || court.liar(GatewayAndCreator).heard().into_iter().map(|(asked, _)| asked).collect();
    is_asked(heard, |asked| asked.method == "GET").await;
    abort(&mut court, "creator-1").await;
    court.repent();
    let ran = client.finish().done();
    assert!(ran.stdout.contains('7'), "{ran:?}");
    nothing_in_words(&secrets, &ran, "the client");
    others_know_nothing(&court, &secrets, "after the job");
    nothing_is_written_down(&court, &secrets, job).await;
}

/// Nothing of it is in a file of anybody's, besides the few that are for it; and what was released is the
/// creator's alone.
async fn nothing_is_written_down(court: &Court, secrets: &Secrets, job: JobId) {
    let (home, kept) = (court.services.home(), kept(court));
    assert_eq!(kept.len(), 5, "{kept:?}");
    let searched: Vec<PathBuf> = files(home).into_iter().filter(|file| !kept.contains(file)).collect();
    for part in ["worker-1.log", "creator-1.log", "chain", "blobs", "worker-1", "creator-1", "user/jobs", "user/ledger"]
    {
        assert!(searched.iter().any(|file| file.starts_with(home.join(part))), "{part} was not searched");
    }
    let mut all = Secrets::none();
    for (name, of) in [("worker-1/keys", "the worker's keys"), ("creator-1/creator-key", "the creator's key")] {
        all.add_with_hex(of, &std::fs::read(home.join(name)).unwrap()[1..], 24);
    }
    let codes = released(court, job).await;
    assert!(codes.len() >= 16, "{} bytes of codes", codes.len());
    all.add_whole("released codes", &codes);
    for file in &searched {
        let bytes = std::fs::read(file).unwrap();
        let found: BTreeSet<&str> = secrets.found_in(&bytes).union(&all.found_in(&bytes)).copied().collect();
        assert_eq!(found, BTreeSet::new(), "in {}", file.display());
    }
    for service in ["chain", "gateway", "attestation", "worker-1"] {
        let (found, _) = all.found_in_memory_of(court.services.id(service).unwrap());
        let found: BTreeSet<&str> =
            found.into_iter().filter(|what| (service, *what) != ("worker-1", "the worker's keys")).collect();
        assert_eq!(found, BTreeSet::new(), "in the memory of {service}");
    }
    for file in &kept {
        assert!(is_private(file), "{} is not its owner's alone", file.display());
        let bytes = std::fs::read(file).unwrap();
        let found: BTreeSet<&str> = secrets.found_in(&bytes).union(&all.found_in(&bytes)).copied().collect();
        assert_ne!(found, BTreeSet::new(), "the search is blind: nothing in {}", file.display());
    }
    for key in files(&court.home().join("jobs")).iter().filter(|file| file.ends_with("fhe.key")) {
        assert!(is_private(key), "{} is not its owner's alone", key.display());
    }
}

fn is_private(file: &Path) -> bool {
    std::fs::metadata(file).unwrap().permissions().mode() & 0o077 == 0
}
