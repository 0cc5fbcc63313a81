//! Following the chain for features that come.

use crate::desk::Desk;
use crate::dispute::RESULTS;
use crate::sessions::tend_sessions;
use codec::{Decode, Encode};
use encompute_protocol::call::ReadParams;
use encompute_protocol::event::Event;
use encompute_protocol::{BlockNumber, DisputeKind, JobId, Stage, wire};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

const CURSOR: &str = "last-block";
const VERSION: u8 = 1;
/// The cursor is written at least this often, in blocks.
const CURSOR_EVERY: u32 = 32;
const RETRY: Duration = Duration::from_secs(1);

#[derive(Encode, Decode)]
struct Cursor(u8, BlockNumber);

/// Takes up every job whose features came, from the last block seen on, for ever.
pub(crate) async fn run(desk: Arc<Desk>) {
    desk.sessions_again().await;
    for name in desk.state.list("jobs").unwrap_or_default() {
        if let Ok(job) = name.parse() {
            desk.take_up(JobId(job), None);
        }
    }
    // A result is kept until its job has ended; one of them may be disputed while nobody was here.
    for name in desk.state.list(RESULTS).unwrap_or_default() {
        if let Ok(job) = name.parse() {
            desk.answer_for(JobId(job));
        }
    }
    let from = start(&desk).await;
    let mut follow = desk.account.client().follow(from);
    let mut written = from;
    loop {
        let block = match follow.next().await {
            Ok(block) => block,
            Err(error) => {
                warn!(error = &error as &dyn Error, "the chain cannot be followed at the moment");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        let number = block.block.number;
        desk.saw(number);
        tend_sessions(&desk, number);
        let mut taken = false;
        for emitted in &block.events {
            match &emitted.event {
                Event::FeaturesSent(sent) => {
                    desk.take_up(sent.job, Some(number));
                    taken = true;
                }
                event @ (Event::SessionClosing(_) | Event::SessionClosed(_)) => desk.session_said(event),
                Event::JobStageChanged(step) => match step.to {
                    Stage::Disputed(DisputeKind::Missing | DisputeKind::Result) => desk.answer_for(step.job),
                    // A dispute is over and the job waits for its creator again, with no other event to say so.
                    Stage::FeaturesSent if matches!(step.from, Some(Stage::Disputed(_))) => {
                        desk.take_up(step.job, Some(number));
                        taken = true;
                    }
                    stage if stage.is_terminal() => desk.put_away(step.job),
                    _ => {}
                },
                _ => {}
            }
        }
        if taken || number.0 >= written.0 + CURSOR_EVERY {
            written = number;
            // A job taken up is not yet done; taking it up twice changes nothing.
            let cursor = Cursor(VERSION, desk.oldest_at_work(number));
            if let Err(error) = desk.state.write(CURSOR, &cursor.encode()) {
                warn!(error = &error as &dyn Error, "last block seen is not written down");
            }
        }
    }
}

/// The first block to read. Features that came while the service was down lie behind the cursor, but within the
/// creator's window. Of those that came earlier only a job that a dispute suspends can still be answered: it is taken
/// up when the dispute ends, and has no more than the creator's window from then on either.
async fn start(desk: &Desk) -> BlockNumber {
    loop {
        let client = desk.account.client();
        match (client.head().await, client.read(ReadParams {}).await) {
            (Ok(head), Ok(params)) => {
                let reach = BlockNumber(head.number.0.saturating_sub(params.windows.creator.0 + 1));
                return last_seen(desk).map_or(reach, |seen| seen.max(reach)).min(head.number);
            }
            (Err(error), _) | (_, Err(error)) => {
                warn!(error = &error as &dyn Error, "the chain cannot be read at the moment");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

fn last_seen(desk: &Desk) -> Option<BlockNumber> {
    let bytes = desk.state.read(CURSOR, 16).ok()??;
    let Cursor(version, block) = wire::decode_exact(&bytes, 16).ok()?;
    (version == VERSION).then_some(block)
}
