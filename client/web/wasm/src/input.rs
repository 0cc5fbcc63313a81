//! A user's file, read as a model's preamble says. It stays here.

use crate::{
    failure::{Doing, Outcome},
    page::Page,
};
use encompute_model::{Preamble, preamble::SliceNumber};
use encompute_protocol::{VersionId, wire::Message};
use encompute_store::{Blobs, ByteLimit};
use serde_json::json;
use wasm_bindgen::prelude::wasm_bindgen;
use zeroize::Zeroizing;

/// What will be encrypted, for which version.
pub struct Input {
    /// The version whose preamble read it.
    pub version: VersionId,
    /// The tensor's values.
    pub values: Zeroizing<Vec<u8>>,
}

#[wasm_bindgen]
impl Page {
    /// Reads a file for a version, of a scan the slice that is wanted or the middle one: the shape of what the model will
    /// see, what was left out of a long text, which slice of how many was read.
    ///
    /// # Errors
    /// For a file that the preamble refuses, in words that say what it reads.
    pub async fn read(&self, version: u32, file: Vec<u8>, slice: Option<u32>) -> Outcome {
        let file = Zeroizing::new(file);
        self.input.replace(None);
        let listing = self.listing(version).await?;
        let preamble = Preamble::from_wire(listing.manifest.preamble.as_slice()).told()?;
        let blob = match preamble.wanted_blob() {
            Some(wanted) => Some(self.blobs.get(wanted.digest, ByteLimit(wanted.bytes.into())).await.told()?),
            None => None,
        };
        let reader = preamble.reader(blob.as_deref()).told()?;
        let reading = match slice {
            Some(number) => reader.read_slice(&file, SliceNumber(number)).told()?,
            None => reader.read(&file).told()?,
        };
        let shape = reading.tensor.shape();
        let values = Zeroizing::new(reading.tensor.values().to_vec());
        self.input.replace(Some(Input { version: VersionId(version), values }));
        let slice = reading.slice.map(|read| json!({ "number": read.number.0, "of": read.slices }));
        Ok(json!({ "shape": shape, "left_out": reading.left_out, "slice": slice }).to_string())
    }

    /// The bytes that will be encrypted, channel by channel, row by row: for this tab's own screen.
    pub fn preview(&self) -> Vec<u8> {
        self.input.borrow().as_ref().map(|input| input.values.to_vec()).unwrap_or_default()
    }
}

/// How a version's inputs are read, in words of the page.
pub fn kind(preamble: &Preamble) -> serde_json::Value {
    let shape = preamble.shape();
    match preamble {
        Preamble::Image(_) => json!({ "kind": "image", "shape": shape }),
        Preamble::Table(table) => {
            let columns: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
            json!({ "kind": "table", "shape": shape, "columns": columns })
        }
        Preamble::Text(text) => json!({ "kind": "text", "shape": shape, "bytes": text.lexicon_bytes }),
    }
}
