//! What a creator could rebuild, shown before anything is sent: of the very numbers that go.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::{Court, DIGIT};
use encompute_kit::root;
use encompute_model::{Bench, PublishedAttack, Tensor, preamble::side_by_side};
use encompute_protocol::{BlobDigest, JobId, Stage, VersionManifest, call::ReadVersion, wire::Message};
use encompute_store::{Blobs, ByteLimit};

/// The attack that the version of a job names.
async fn published(court: &Court, job: JobId) -> PublishedAttack {
    let version = court.job(job).await.0.version;
    let record = court.services.client().read(ReadVersion { version }).await.unwrap().unwrap();
    let limit = ByteLimit(VersionManifest::LIMIT_BYTES as u64);
    let manifest = court.store().get(BlobDigest(record.manifest.0), limit).await.unwrap();
    let named = VersionManifest::from_wire(&manifest).unwrap().disclosure.unwrap().attack.unwrap();
    let blob = court.store().get(named.digest(), ByteLimit(named.bytes().into())).await.unwrap();
    PublishedAttack::from_wire(&blob).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_of_the_very_numbers_that_the_creator_gets() {
    let court = Court::over("digits", DIGIT).await;
    let file = court.services.home().join("preview.png");
    let preview = ["--preview", file.to_str().unwrap()];

    let ran = court.submit_with(&preview).finish();
    assert!(ran.code == 3 && ran.stderr.contains("publishes no attack to try"), "{ran:?}");
    assert!(!file.exists() && court.jobs().await == JobId(0), "refused before anything is paid");

    court.publish_again(&["--publish-attack"]);
    court.submit_with(&preview).finish().done();
    let job = JobId(1);
    assert_eq!(court.job(job).await.1.stage, Stage::Settled);
    let attack = published(&court, job).await;
    let bench = Bench::open(&root().join("scripts/models/digits")).unwrap();
    let input = bench.preamble().read(&std::fs::read(root().join(DIGIT)).unwrap()).unwrap();
    let rebuilt = attack.release(0).unwrap().rebuilt(&court.codes(job).await).unwrap();
    let rebuilt = Tensor::new(input.shape(), rebuilt).unwrap();
    assert!(std::fs::read(&file).unwrap() == side_by_side(&[&input, &rebuilt]).unwrap());
    assert!(rebuilt != input);

    let ran = court.submit_with(&preview).finish();
    assert!(ran.code == 2 && ran.stderr.contains("exists already"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_resumed_shows_what_could_be_rebuilt_before_it_sends() {
    let court = Court::over("digits", DIGIT).await;
    court.publish_again(&["--publish-attack"]);
    let left = court.submit_with(&["--patience", "0"]).finish();
    assert_eq!(left.code, 6, "{left:?}");
    let job = JobId(1);

    let file = court.services.home().join("resumed.png");
    let preview = ["--preview", file.to_str().unwrap()];
    court.resume_with(job, &preview).done();
    assert_eq!(court.job(job).await.1.stage, Stage::Settled);
    // The journal keeps no input: the guess stands alone.
    let rebuilt = published(&court, job).await.release(0).unwrap().rebuilt(&court.codes(job).await).unwrap();
    let rebuilt = Tensor::new([1, 28, 28], rebuilt).unwrap();
    assert!(std::fs::read(&file).unwrap() == side_by_side(&[&rebuilt]).unwrap());

    std::fs::remove_file(&file).unwrap();
    let ran = court.resume_with(job, &preview);
    assert!(ran.code == 2 && ran.stderr.contains("nothing left to preview") && !file.exists(), "{ran:?}");
}
