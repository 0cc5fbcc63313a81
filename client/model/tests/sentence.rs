//! A sentence encoder from its published files: what numpy gives, in floats and as a head.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_model::{SentenceEncoder, SentenceError, clear_features};
use std::path::{Path, PathBuf};

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
    let grid = encoder.grid(&calibration);
    let tensors: Vec<_> = calibration.iter().map(|sentence| encoder.tensor(sentence, &grid)).collect();
    let head = encoder.compile(&grid, &tensors).unwrap();
    assert_eq!((head.plan().rounds().len(), head.plan().feature_count()), (8, 16));
    for Expected { sentence, embedding } in expected() {
        let tensor = encoder.tensor(&encoder.sentence(&sentence).unwrap(), &grid);
        let features = clear_features(&head, &tensor).unwrap();
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
    assert!(matches!(copy(&write("tokenizer.json", b"{}")), SentenceError::Tokenize(_)));
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
