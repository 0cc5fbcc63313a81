//! A sentence encoder from its published files: what numpy gives, in floats and as a head.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_model::{
    Bench, BenchError, InputError, Package, Preamble, SentenceEncoder, SentenceError, clear_features,
};
use encompute_protocol::{BlobDigest, ReleasePolicy, wire::Message};
use encompute_release::{CheckedPolicy, obfuscate};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{
    error::Error,
    path::{Path, PathBuf},
};

#[derive(serde::Deserialize)]
struct Expected {
    sentence: String,
    embedding: Vec<f64>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/sentence-encoder")
}

fn expected() -> Vec<Expected> {
    serde_json::from_slice(&std::fs::read(folder().join("expected.json")).unwrap()).unwrap()
}

fn cosine(one: &[f64], other: &[f64]) -> f64 {
    let dot = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f64>();
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
}

#[test]
fn the_float_encoder_gives_what_another_program_does_however_much_is_padded() {
    for tokens in [11, 12] {
        let encoder = SentenceEncoder::read(&folder(), tokens).unwrap();
        for Expected { sentence, embedding } in expected() {
            let found = encoder.embed(&encoder.sentence(&sentence).unwrap()).unwrap();
            assert_eq!(found.len(), embedding.len());
            let cosine = cosine(&found, &embedding);
            assert!(cosine > 1.0 - 1e-9, "{sentence} in {tokens} tokens: {cosine}");
        }
    }
}

#[test]
fn the_encoder_as_a_head_stays_close_to_the_float_model() {
    let encoder = SentenceEncoder::read(&folder(), 12).unwrap();
    let words = ["the patient", "a heart", "no disease", "lung scan", "the image is clear", "signs of a disease"];
    let calibration: Vec<_> = words.iter().map(|text| encoder.sentence(text).unwrap()).collect();
    let (preamble, lexicon) = encoder.preamble(&calibration);
    let reader = preamble.reader(Some(&lexicon)).unwrap();
    let tensor = |text: &str| reader.read(text.as_bytes()).unwrap().tensor;
    let tensors: Vec<_> = words.iter().map(|text| tensor(text)).collect();
    let head = encoder.compile(reader.preamble(), &tensors).unwrap();
    assert_eq!((head.plan().rounds().len(), head.plan().feature_count()), (8, 16));
    for Expected { sentence, embedding } in expected() {
        let features = clear_features(&head, &tensor(&sentence)).unwrap();
        let found: Vec<f64> = features.iter().map(|value| *value as f64).collect();
        let cosine = cosine(&found, &embedding);
        assert!(cosine > 0.995, "{sentence}: {cosine}");
    }
}

#[test]
fn files_that_are_no_encoders_are_refused_by_their_defect() {
    let copy = |change: &dyn Fn(&Path)| {
        let copy = tempfile::tempdir().unwrap();
        for name in ["config.json", "tokenizer.json", "model.safetensors"] {
            std::fs::copy(folder().join(name), copy.path().join(name)).unwrap();
        }
        change(copy.path());
        SentenceEncoder::read(copy.path(), 8).err().unwrap()
    };
    let write = |name: &'static str, bytes: &'static [u8]| {
        move |folder: &Path| std::fs::write(folder.join(name), bytes).unwrap()
    };
    assert!(matches!(copy(&write("config.json", b"{}")), SentenceError::Config(_)));
    assert!(matches!(copy(&write("tokenizer.json", b"{}")), SentenceError::Tokenizer(_)));
    assert!(matches!(copy(&write("model.safetensors", b"floats")), SentenceError::Weights(_)));
    let wider = |folder: &Path| {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text.replace("\"hidden_size\": 16", "\"hidden_size\": 20")).unwrap();
    };
    let found = copy(&wider);
    assert!(matches!(&found, SentenceError::Tensor { name, .. } if name == "embeddings.word_embeddings.weight"));
    let missing = |folder: &Path| std::fs::remove_file(folder.join("model.safetensors")).unwrap();
    assert!(matches!(copy(&missing), SentenceError::Read { .. }));
    let long = SentenceEncoder::read(&folder(), 13).err().unwrap();
    assert!(matches!(long, SentenceError::Tokens { found: 13, limit: 12 }));
}

#[test]
fn a_model_of_texts_is_packaged_with_the_lexicon_that_its_preamble_names() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut release = |policy: &ReleasePolicy, row: &[i64]| {
        let open = ReleasePolicy { information_millibits: 0, ..policy.clone() };
        obfuscate(row, &CheckedPolicy::new(open).unwrap(), &mut rng)
    };
    let package = Package::build(&folder().with_file_name("sentence-model"), &mut release).unwrap();
    let preamble = Preamble::from_wire(&package.preamble).unwrap();
    let lexicon = package.preamble_blob.unwrap();
    let wanted = preamble.wanted_blob().unwrap();
    assert_eq!((wanted.digest, wanted.bytes as usize), (BlobDigest::of(&lexicon), lexicon.len()));
    let split = &package.splits[0];
    // Four rounds a layer, and the projection, the last that runs under encryption.
    assert_eq!((split.plan.rounds().len(), split.plan.feature_count()), (9, 2));
    let accuracy = split.accuracy;
    assert_eq!(accuracy.samples, 36);
    assert!(accuracy.float.0 > 8_000 && accuracy.quantised.0 > 7_500, "{accuracy:?}");
    assert!(preamble.reader(Some(&lexicon)).unwrap().read(b"Is the heart clear?").is_ok());
}

#[test]
fn a_model_whose_encoder_is_not_there_says_what_brings_it() {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder().with_file_name("sentence-model")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let card = copy.path().join("model.toml");
    let text = std::fs::read_to_string(&card).unwrap();
    std::fs::write(&card, text.replace("tokens = 12", "tokens = 12\nfetch = \"bring-it\"")).unwrap();
    let error = Bench::open(copy.path()).err().unwrap();
    assert!(matches!(&error, BenchError::Input(InputError::NoEncoder { .. })));
    assert!(error.source().unwrap().to_string().ends_with("bring-it brings it"), "{error:?}");
}
