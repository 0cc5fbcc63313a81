//! A scan as a hospital has it: answered, and nothing of it but its pixels, encrypted, goes anywhere.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::{Court, Secrets, files};
use encompute_kit::root;
use encompute_protocol::{JobId, Stage};
use std::collections::BTreeSet;

const SCAN: &str = "tests/fixtures/scans/MR_small.dcm";
/// The patient's name in that file.
const NAME: &[u8] = b"CompressedSamples";

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_is_answered_and_who_was_scanned_is_in_no_file_log_or_memory_of_anybody() {
    let court = Court::over("brain-regions", SCAN).await;
    let ran = court.submit().finish().done();
    assert_eq!(court.job(JobId(1)).await.1.stage, Stage::Settled);

    let scan = std::fs::read(root().join(SCAN)).unwrap();
    let mut secrets = Secrets::none();
    secrets.add_whole("the patient's name", NAME);
    secrets.add("the scan's numbers", &scan[scan.len() - 2 * 64 * 64..], 24);
    secrets.add_picture(&root().join("scripts/models/brain-regions"), &root().join(SCAN));
    assert!(secrets.found_in(&scan).contains("the patient's name"), "the search is blind");

    let said = [ran.stdout.as_bytes(), ran.stderr.as_bytes()].concat();
    assert_eq!(secrets.found_in(&said), BTreeSet::new(), "{ran:?}");
    for file in files(court.services.home()) {
        let found = secrets.found_in(&std::fs::read(&file).unwrap()).into_iter().collect::<Vec<_>>();
        assert!(found.is_empty(), "{found:?} in {}", file.display());
    }
    for name in ["chain", "gateway", "attestation", "worker-1", "creator-1"] {
        let (found, read) = secrets.found_in_memory_of(court.services.id(name).unwrap());
        assert!(read > 1_000_000, "only {read} bytes of {name} were read");
        assert_eq!(found, BTreeSet::new(), "in the memory of {name}");
    }
}
