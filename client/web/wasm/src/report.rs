//! What a version's creator published of its splits: figures, grades, and what attacks made of held-out pictures.

use crate::{
    failure::{Doing, Outcome},
    page::Page,
};
use encompute_audit::PublishedReport;
use encompute_store::{Blobs, ByteLimit};
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
impl Page {
    /// The report that a version's manifest names; `null` where it names none.
    ///
    /// # Errors
    /// When the store does not have it, or it is no report.
    pub async fn report(&self, version: u32) -> Outcome {
        let listing = self.listing(version).await?;
        let Some(told) = &listing.manifest.disclosure else { return Ok("null".into()) };
        // The blob's name is its digest, and the manifest's is on chain: the store cannot hand out another.
        let limit = ByteLimit(told.report.bytes().into());
        let bytes = self.blobs.get(told.report.digest(), limit).await.told()?;
        serde_json::to_string(&PublishedReport::from_json(&bytes).told()?).told()
    }
}
