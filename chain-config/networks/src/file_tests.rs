#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;

fn public() -> String {
    Network::bundled("paseo-hub").unwrap().to_toml()
}

fn refusal(text: &str) -> String {
    Network::parse(text, Path::new("hub.toml")).unwrap_err().to_string()
}

#[test]
fn a_misspelt_key_is_refused_with_its_name_and_the_names_that_are_known() {
    let said = refusal(&public().replace("tcb_statuses", "tcb_status"));
    assert!(said.contains("hub.toml") && said.contains("tcb_status") && said.contains("tcb_statuses"), "{said}");
}

#[test]
fn a_value_that_is_not_allowed_is_refused_with_file_key_found_and_allowed() {
    let said = refusal(&public().replace("\"UpToDate\"", "\"Revoked\""));
    assert!(said.starts_with("hub.toml: trust.tcb_statuses is \"Revoked\", allowed is UpToDate"), "{said}");
}

#[test]
fn a_development_root_needs_the_words_that_nobody_writes_by_accident() {
    let text = public().replace("root = \"intel\"", "root = \"development\"");
    let said = refusal(&text);
    assert!(said.contains("trust.development_root is \"\"") && said.contains(DEVELOPMENT_WORDS), "{said}");
    let words = format!("root = \"development\"\ndevelopment_root = \"{DEVELOPMENT_WORDS}\"");
    let said = refusal(&public().replace("root = \"intel\"", &words));
    assert!(said.contains("trust.development_certificate"), "{said}");
}

#[test]
fn intels_root_takes_no_development_words() {
    let words = format!("root = \"intel\"\ndevelopment_root = \"{DEVELOPMENT_WORDS}\"");
    let said = refusal(&public().replace("root = \"intel\"", &words));
    assert!(said.contains("trust.development_root"), "{said}");
}

#[test]
fn parameters_that_protect_nothing_are_refused_off_development_networks() {
    let said = refusal(&public().replace("\"glwe-4096-v1\"", "\"toy-256-v1\""));
    assert!(said.contains("parameters.sets is \"toy-256-v1\""), "{said}");
}

#[test]
fn fees_and_windows_outside_their_bounds_are_refused() {
    let said = refusal(&public().replace("protocol_fee_bp = 250", "protocol_fee_bp = 1001"));
    assert!(said.contains("deployment.protocol_fee_bp is \"1001\", allowed is 0 to 1000 basis points"), "{said}");
    let said = refusal(&public().replace("claim_window_blocks = 10\n", "claim_window_blocks = 1\n"));
    assert!(said.contains("deployment.claim_window_blocks is \"1\", allowed is 2 to 100800 blocks"), "{said}");
}

#[test]
fn an_empty_list_of_patch_levels_is_refused_instead_of_accepting_nothing_silently() {
    let said = refusal(&public().replace("[\"UpToDate\"]", "[]"));
    assert!(said.contains("trust.tcb_statuses is \"[]\""), "{said}");
}

#[test]
fn a_certificate_file_is_found_beside_its_network_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("root.der"), [0x30, 0x82, 0, 1, 0]).unwrap();
    let words = format!(
        "root = \"development\"\ndevelopment_root = \"{DEVELOPMENT_WORDS}\"\ndevelopment_certificate = \"root.der\""
    );
    let file = folder.path().join("hub.toml");
    std::fs::write(&file, public().replace("root = \"intel\"", &words)).unwrap();
    let network = Network::load(&file).unwrap();
    assert!(matches!(network.trust.root, Root::Development { der, .. } if der == [0x30, 0x82, 0, 1, 0]));
}

#[test]
fn a_written_network_is_the_network_that_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("networks/paseo-hub.toml");
    let network = Network::bundled("paseo-hub").unwrap();
    network.write(&file).unwrap();
    network.write(&file).unwrap();
    assert_eq!(Network::load(&file).unwrap(), network);
    assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_file_of_a_gigabyte_is_refused_by_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("big.toml");
    std::fs::File::create(&file).unwrap().set_len(1 << 30).unwrap();
    assert!(matches!(Network::load(&file), Err(NetworkError::TooLong { .. })));
}

#[test]
fn a_file_that_names_no_kinds_of_quotes_takes_those_of_domains() {
    let silent = public().replace("quotes = [\"tdx-v4\", \"tdx-v5\"]\n", "");
    assert_ne!(silent, public());
    assert_eq!(Network::parse(&silent, Path::new("hub.toml")).unwrap().to_toml(), public());
    let said = refusal(&public().replace("\"tdx-v4\"", "\"tdx-v3\""));
    assert!(said.contains("trust.quotes is \"tdx-v3\", allowed is sgx-v3, tdx-v4 or tdx-v5"), "{said}");
}

#[test]
fn advisories_a_least_evaluation_and_images_are_read_and_written_and_files_without_them_mean_none() {
    let network = Network::bundled("paseo-hub").unwrap();
    let trust = &network.trust;
    assert_eq!((trust.denied_advisories.len(), trust.min_tcb_evaluation, trust.images.len()), (0, 0, 0));
    let registers = [1, 2, 3, 4].map(|byte: u8| hex::encode([byte; 48]));
    let [mr_td, rtmr0, rtmr1, rtmr2] = &registers;
    let image = format!(
        "[[trust.images]]\nname = \"dstack-0.5.4\"\nmr_td = \"{mr_td}\"\nrtmr0 = [\"{rtmr0}\"]\nrtmr1 = \"{rtmr1}\"\nrtmr2 = \"{rtmr2}\"\n"
    );
    let more = "measurements = []\ndenied_advisories = [\"INTEL-SA-00837\"]\nmin_tcb_evaluation = 18\n";
    let text = format!("{}\n{image}", public().replace("measurements = []\n", more));
    let read = Network::parse(&text, Path::new("hub.toml")).unwrap();
    assert_eq!(read.trust.denied_advisories[0].as_str(), "INTEL-SA-00837");
    assert_eq!((read.trust.min_tcb_evaluation, read.trust.images[0].name.as_str()), (18, "dstack-0.5.4"));
    assert_eq!(Network::parse(&read.to_toml(), Path::new("hub.toml")).unwrap(), read);
    let said = refusal(&text.replace("INTEL-SA-00837", "SA-837"));
    assert!(said.contains("trust.denied_advisories is \"SA-837\", allowed is INTEL-SA- and five digits"), "{said}");
    let said = refusal(&text.replace(rtmr1, "00"));
    assert!(said.contains("trust.images is \"00\""), "{said}");
}
