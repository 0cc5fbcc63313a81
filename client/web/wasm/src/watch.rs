//! Tells JavaScript what a job is doing.

use crate::attack::Look;
use encompute_job::{Step, Watch, market::stage_name};
use encompute_protocol::{BlockNumber, JobId, Stage};
use js_sys::Function;
use send_wrapper::SendWrapper;
use serde_json::{Value, json};
use std::{future::Future, time::Duration};
use wasm_bindgen::JsValue;

/// Calls a function with one JSON text for everything that happens.
pub struct Teller {
    function: SendWrapper<Function>,
    look: Option<Look>,
}

impl Teller {
    /// Tells this function.
    pub fn new(function: Function) -> Self {
        Self { function: SendWrapper::new(function), look: None }
    }

    /// Tells what a release gives away, too, and asks before it is sent.
    pub fn looking(function: Function, look: Option<Look>) -> Self {
        Self { look, ..Self::new(function) }
    }

    fn tell(&self, event: &Value) {
        // Whoever watches cannot stop a job by failing.
        let _ = self.function.call1(&JsValue::NULL, &JsValue::from_str(&event.to_string()));
    }
}

impl Watch for Teller {
    fn begins(&mut self, step: Step) {
        self.tell(&json!({ "event": "begins", "step": step.name() }));
    }

    fn ended(&mut self, step: Step, took: Duration) {
        self.tell(&json!({ "event": "ended", "step": step.name(), "ms": took.as_secs_f64() * 1000.0 }));
    }

    fn uploaded(&mut self, done: usize, blobs: usize) {
        self.tell(&json!({ "event": "uploaded", "done": done, "of": blobs }));
    }

    fn round(&mut self, done: usize, rounds: usize) {
        self.tell(&json!({ "event": "round", "done": done, "of": rounds }));
    }

    fn consents(&mut self, codes: &[i16]) -> impl Future<Output = bool> + Send {
        let answer = self.look.as_ref().map(|look| {
            self.tell(&look.preview(codes));
            look.consents()
        });
        async move {
            match answer {
                Some(answer) => answer.await,
                None => true,
            }
        }
    }

    fn released(&mut self, codes: &[i16]) {
        self.tell(&json!({ "event": "released", "codes": codes }));
    }

    fn stage(&mut self, job: JobId, stage: Stage, since: BlockNumber, deadline: BlockNumber) {
        let stage = stage_name(stage);
        self.tell(&json!({ "event": "stage", "job": job.0, "stage": stage, "block": since.0, "deadline": deadline.0 }));
    }
}
