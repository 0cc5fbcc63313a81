//! `encompute govern inspect`: what a quote attests, before its machine or its code is announced.

use crate::{
    args::Common,
    context::Context,
    failure::{Doing, Exit, Failure, Outcome},
    output,
};
use clap::Args;
use encompute_attest::{Claims, UnixSeconds, authenticate, client::CollateralService, compact, network::root_of};
use encompute_protocol::PlatformId;
use serde_json::json;
use std::path::PathBuf;

/// Most bytes of a file with a quote, in whatever form.
const FILE_LIMIT_BYTES: u64 = 64 * 1024;

/// One quote.
#[derive(Args)]
pub struct Inspect {
    /// File with a quote: its bytes, their hexadecimal digits, or what the guest agent's GetQuote answers
    quote: PathBuf,
}

impl Inspect {
    /// Follows the quote's signatures to the network's root and names what is to be announced.
    pub async fn run(self, common: &Common) -> Outcome {
        let context = Context::load(common)?;
        let quote = self.read()?;
        let trust = &context.network().trust;
        let root = root_of(trust).doing(Exit::Usage, "read the network's trust")?;
        let collateral =
            CollateralService::at(trust.collateral.as_str()).doing(Exit::Usage, "read the network's trust")?;
        let collateral = collateral.fetch(&quote).await.doing(Exit::Unreachable, "fetch collateral")?;
        let (_, key) = compact(&quote).doing(Exit::Verification, "read the quote")?;
        let claims = authenticate(&quote, &collateral, &root, UnixSeconds::now());
        let claims = claims.doing(Exit::Verification, "verify the quote")?;
        show(key.platform(), &claims, common)
    }

    fn read(&self) -> Outcome<Vec<u8>> {
        let path = self.quote.display();
        let found = std::fs::metadata(&self.quote).doing(Exit::NotFound, &format!("read {path}"))?.len();
        if found > FILE_LIMIT_BYTES {
            let text = format!("{path} has {found} bytes, a quote has at most {FILE_LIMIT_BYTES} in any form");
            return Err(Failure::new(Exit::Usage, text));
        }
        std::fs::read(&self.quote).map(quote_in).doing(Exit::NotFound, &format!("read {path}"))
    }
}

/// The quote in a file: the answer of a guest agent, hexadecimal digits, or the bytes themselves.
fn quote_in(bytes: Vec<u8>) -> Vec<u8> {
    let answer = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
    let digits = answer.as_ref().and_then(|answer| answer["quote"].as_str());
    let digits = digits.or_else(|| std::str::from_utf8(&bytes).ok()).map(str::trim);
    let quote = digits.and_then(|digits| hex::decode(digits.trim_start_matches("0x")).ok());
    quote.unwrap_or(bytes)
}

fn show(platform: PlatformId, claims: &Claims, common: &Common) -> Outcome {
    let measurement = claims.measurement.id();
    let advisories: Vec<_> = claims.advisories.iter().map(ToString::to_string).collect();
    let settings: Vec<_> = claims.settings.iter().map(ToString::to_string).collect();
    if common.json {
        return output::json(&json!({
            "platform": platform.to_string(), "measurement": measurement.to_string(), "root": claims.root.to_string(),
            "ppid": claims.ppid.to_string(), "fmspc": claims.fmspc.to_string(),
            "tcb_status": claims.tcb_status.to_string(), "advisories": advisories, "settings": settings,
        }));
    }
    let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    output::text(&format!(
        "platform     {platform}\nmeasurement  {measurement}\nroot         {}\nmachine      PPID {}, FMSPC {}\n\
         patch level  {}\nadvisories   {}\nsettings     {}",
        claims.root,
        claims.ppid,
        claims.fmspc,
        claims.tcb_status,
        list(&advisories),
        list(&settings),
    ))
}

#[cfg(test)]
mod tests {
    use super::quote_in;

    #[test]
    fn a_quote_is_found_in_whatever_form_it_comes() {
        let quote = vec![4, 0, 2, 0, 0x81, 0];
        for file in
            [&b"\x04\x00\x02\x00\x81\x00"[..], b"040002008100\n", b"0x040002008100", b"{\"quote\": \"040002008100\"}"]
        {
            assert_eq!(quote_in(file.to_vec()), quote);
        }
    }
}
