//! Every record fits its storage item; reasons keep their numbers.

use super::*;

#[test]
fn every_record_fits_one_storage_item() {
    let lengths = [
        ("params", Params::max_encoded_len()),
        ("announced params", AnnouncedParams::max_encoded_len()),
        ("model", ModelRecord::max_encoded_len()),
        ("version", VersionRecord::max_encoded_len()),
        ("split", SplitRecord::max_encoded_len()),
        ("worker", WorkerRecord::max_encoded_len()),
        ("terms", JobTerms::max_encoded_len()),
        ("progress", JobProgress::max_encoded_len()),
        ("pruned", crate::PrunedRecord::max_encoded_len()),
        ("platform", PlatformRecord::max_encoded_len()),
        ("attestation key", AttestationKeyRecord::max_encoded_len()),
    ];
    for (record, length) in lengths {
        assert!(length <= STORAGE_ITEM_LIMIT_BYTES, "{record} may have {length} bytes");
    }
}

#[test]
fn reasons_keep_their_numbers() {
    assert_eq!(Reason::NoWorker.number(), 10);
    assert_eq!(Reason::CreatorTimeout.number(), 30);
    assert_eq!(Reason::Paused.number(), 60);
}
