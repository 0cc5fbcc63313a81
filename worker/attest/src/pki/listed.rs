//! How a contract lists a pretended machine.

use super::{Platform, development_measurement};
use crate::claims::ReportData;
use crate::compact::compact;
use crate::measurement::{ComposeHash, Register};
use crate::refusal::Refusal;
use encompute_protocol::PlatformId;

impl Platform {
    /// The identity under which contracts list it: that of any quote it makes.
    ///
    /// # Errors
    /// [`Refusal`] if its own quote cannot be read.
    pub fn platform_id(&self) -> Result<PlatformId, Refusal> {
        let measurement = development_measurement(ComposeHash([0; 32]));
        let quote = self.quote(&measurement, Register([0; 48]), ReportData([0; 64]));
        compact(&quote).map(|(_, key)| key.platform())
    }
}
