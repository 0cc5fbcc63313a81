//! `encompute config`: what is configured, and where it comes from.

use crate::{args::Common, context::Context, failure::Outcome, output};
use clap::Subcommand;
use serde_json::json;

/// What is configured, and where it comes from
#[derive(Subcommand)]
pub enum Config {
    /// Every setting with its value and origin: flag, environment, file or default
    #[command(after_help = "Examples:\n  encompute config show\n  encompute config show --network paseo-hub --json")]
    Show,
}

impl Config {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        let Self::Show = self;
        let settings = Context::load(common)?.settings;
        if common.json {
            return output::json(&json!({ "settings": settings.entries }));
        }
        let head = ["setting", "value", "from"].map(String::from).to_vec();
        let rows = settings
            .entries
            .iter()
            .map(|entry| vec![entry.key.to_owned(), entry.value.clone(), entry.origin.to_string()]);
        output::text(&output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))
    }
}
