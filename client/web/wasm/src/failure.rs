//! What went wrong, in one sentence for people.

use std::error::Error;
use wasm_bindgen::JsError;

/// What every call gives.
pub type Outcome<T = String> = Result<T, JsError>;

/// An error with its causes, each once.
pub fn words(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

/// Turns a library's error into one that JavaScript throws.
pub trait Doing<T> {
    /// With all its causes.
    fn told(self) -> Outcome<T>;
}

impl<T, E: Error + 'static> Doing<T> for Result<T, E> {
    fn told(self) -> Outcome<T> {
        self.map_err(|error| JsError::new(&words(&error)))
    }
}

/// A refusal in words of ours.
pub fn refused<T>(words: &str) -> Outcome<T> {
    Err(JsError::new(words))
}
