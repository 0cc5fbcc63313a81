//! Quotes that are demanded for the world's jobs, and shown.

use super::*;
use encompute_protocol::{Nonce, call::ShowQuote, dispute::Proceeding};

/// What a demand's nonce is made with.
pub const UNGUESSED: BlobDigest = BlobDigest([0x5b; 32]);

impl World {
    /// A job of the first user at a stage, for which a stranger demands a quote.
    pub fn demanded(&mut self, from: Stage) -> JobId {
        // Of a job that is drawn an audit would come first.
        self.until_drawn(false);
        let job = self.at_stage(from);
        self.block = self.block.max(self.progress(job).committed_at.0 + 2);
        self.open_dispute(STRANGER, job, DisputeKind::Quote).unwrap();
        job
    }

    /// The nonce that a quote for the job must answer.
    pub fn nonce_of(&self, job: JobId) -> Nonce {
        match self.market.dispute(job).map(|record| record.proceeding) {
            Some(Proceeding::Quoting { nonce, .. }) => nonce,
            _ => Nonce::default(),
        }
    }

    /// A quote by some code on some machine with this report data.
    pub fn quote_with(&mut self, (machine, code): (usize, usize), job: JobId, report_data: &[u8; 64]) -> ShowQuote {
        let quote = MACHINES[machine].sign(quotes::signed(code, report_data));
        ShowQuote { job, quote, evidence: self.digest() }
    }

    /// What the job's receipt and the demand's nonce make the report data be.
    pub fn wanted_report_data(&self, job: JobId) -> [u8; 64] {
        let receipt = self.market.job_progress(job).and_then(|progress| progress.receipt).unwrap_or_default();
        [receipt.0, self.nonce_of(job).0].concat().try_into().unwrap()
    }

    /// The quote that the job's worker shows.
    pub fn quote_for(&mut self, job: JobId) -> ShowQuote {
        let worker = self.market.job_progress(job).and_then(|progress| progress.worker);
        let worker = WORKERS.iter().position(|account| Some(*account) == worker).unwrap_or(0);
        self.quote_with((worker, worker % 2), job, &self.wanted_report_data(job))
    }
}
