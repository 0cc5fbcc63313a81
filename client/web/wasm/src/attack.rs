//! What a creator could rebuild of an input, for its user to see before anything is sent.
//!
//! Shown is a function of released codes, of the input that the user gave, and of a blob that the version pins: no
//! decrypted number comes here but through the releaser.

use crate::{
    failure::{Doing, Outcome, words},
    page::Page,
};
use encompute_job::market::Listing;
use encompute_model::{LinearMap, Preamble, PublishedAttack};
use encompute_protocol::{PolicyId, SplitIndex, wire::Message};
use encompute_release::InputIdentity;
use encompute_store::{Blobs, ByteLimit};
use js_sys::{Function, Promise};
use send_wrapper::SendWrapper;
use serde_json::{Value, json};
use std::{future::Future, rc::Rc};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use zeroize::Zeroizing;

/// What is tried on a release before it is sent, and who says whether it is.
pub struct Look {
    attack: Attack,
    preamble: Preamble,
    /// What was encrypted, where this tab still knows it.
    input: Option<Zeroizing<Vec<u8>>>,
    /// A function of JavaScript that gives a promise of the user's answer; none where nobody is asked.
    ask: Option<SendWrapper<Function>>,
}

/// The best linear attack on a release.
enum Attack {
    /// As its creator publishes it.
    Published(LinearMap),
    /// Its creator publishes one, and it cannot be had.
    Unknown(String),
}

impl Look {
    /// What the attack makes of these codes, as the page shows it.
    pub fn preview(&self, codes: &[i16]) -> Value {
        let map = match &self.attack {
            Attack::Published(map) => map,
            Attack::Unknown(fault) => return json!({ "event": "preview", "fault": fault }),
        };
        let Some(rebuilt) = map.rebuilt(codes) else {
            return json!({ "event": "preview", "fault": "the attack that its creator publishes is of another number of features" });
        };
        let input = self.input.as_ref().map(|input| input.as_slice());
        let rows = match &self.preamble {
            Preamble::Table(table) => {
                let names = table.columns.iter().map(|column| column.name.as_str());
                Some(rows(names, &self.preamble, input, &rebuilt, map.usual_errors()))
            }
            Preamble::Image(_) | Preamble::Text(_) => None,
        };
        let apart = input.map(|input| {
            let differences: Vec<u8> = input.iter().zip(&rebuilt).map(|(one, other)| one.abs_diff(*other)).collect();
            root_mean_square(&differences)
        });
        json!({
            "event": "preview", "fault": null, "shape": self.preamble.shape(), "input": input, "rebuilt": rebuilt, "rows": rows,
            "apart": apart, "usual": root_mean_square(map.usual_errors()),
        })
    }

    /// Whether the release may be sent: the user's answer, or yes where nobody is asked.
    pub fn consents(&self) -> impl Future<Output = bool> + Send + use<> {
        let asked = self.ask.as_ref().map(|ask| ask.call0(&JsValue::NULL));
        SendWrapper::new(async move {
            let Some(asked) = asked else { return true };
            // Who cannot be asked has not consented.
            match asked.and_then(|answer| answer.dyn_into::<Promise>()) {
                Ok(promise) => JsFuture::from(promise).await.is_ok_and(|answer| answer == JsValue::TRUE),
                Err(_) => false,
            }
        })
    }
}

#[wasm_bindgen]
impl Page {
    /// True where the file that was read last is what a job of this home encrypted.
    ///
    /// # Errors
    /// For a job that this home does not have.
    pub fn is_input_of(&self, name: &str) -> Outcome<bool> {
        let record = self.record(name)?;
        let input = self.input.borrow();
        Ok(input.as_ref().is_some_and(|input| InputIdentity::of_tensor(&input.values).to_bytes() == record.identity))
    }
}

impl Page {
    /// What is tried on a release of a version that publishes an attack; none for others. That an attack cannot be had is
    /// said in the preview.
    ///
    /// # Errors
    /// For a preamble that is none.
    pub(crate) async fn look(
        &self,
        listing: &Listing,
        release: (SplitIndex, PolicyId),
        input: Option<Zeroizing<Vec<u8>>>,
        ask: Option<Function>,
    ) -> Outcome<Option<Look>> {
        let Some(attack) = self.attack_on(listing, release).await else { return Ok(None) };
        let preamble = Preamble::from_wire(listing.manifest.preamble.as_slice()).told()?;
        let attack = match attack {
            Ok(map) => Attack::Published(map),
            Err(fault) => Attack::Unknown(fault),
        };
        Ok(Some(Look { attack, preamble, input, ask: ask.map(SendWrapper::new) }))
    }

    /// The attack on a release, or why it cannot be had; none where its creator publishes none.
    pub(crate) async fn attack_on(
        &self,
        listing: &Listing,
        (split, policy): (SplitIndex, PolicyId),
    ) -> Option<Result<LinearMap, String>> {
        let named = listing.manifest.disclosure.as_ref()?.attack.as_ref()?;
        let known = self.attacks.borrow().get(&named.digest()).cloned();
        let attack = match known {
            Some(known) => known,
            None => match self.blobs.get(named.digest(), ByteLimit(named.bytes().into())).await {
                Err(fault) => return Some(Err(words(&fault))),
                Ok(bytes) => match PublishedAttack::from_wire(&bytes) {
                    Err(fault) => return Some(Err(words(&fault))),
                    Ok(attack) => Rc::new(attack),
                },
            },
        };
        self.attacks.borrow_mut().insert(named.digest(), attack.clone());
        let index = listing.manifest.release_index(split, policy);
        let map = index.and_then(|index| attack.release(index).cloned());
        let inputs = match Preamble::from_wire(listing.manifest.preamble.as_slice()) {
            Err(fault) => return Some(Err(words(&fault))),
            Ok(preamble) => preamble.shape().iter().product::<usize>(),
        };
        let map = map.filter(|map| map.usual_errors().len() == inputs);
        Some(map.ok_or_else(|| "the attack that its creator publishes is not one of this release".to_owned()))
    }
}

fn root_mean_square(values: &[u8]) -> f64 {
    let squares: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
    (squares / values.len().max(1) as f64).sqrt()
}

/// The values of a table's row, in the units of its file.
fn rows<'a>(
    names: impl Iterator<Item = &'a str>,
    preamble: &Preamble,
    input: Option<&[u8]>,
    rebuilt: &[u8],
    errors: &[u8],
) -> Value {
    let grid = preamble.grid();
    let steps = grid.offset.iter().zip(&grid.step);
    let row = |(at, (name, (offset, step))): (usize, (&str, (&f64, &f64)))| {
        let value = |byte: Option<&u8>| byte.map(|byte| offset + step * f64::from(*byte));
        json!({
            "name": name, "value": value(input.and_then(|input| input.get(at))), "rebuilt": value(rebuilt.get(at)),
            "off": errors.get(at).map(|error| step * f64::from(*error)),
        })
    };
    names.zip(steps).enumerate().map(row).collect()
}
