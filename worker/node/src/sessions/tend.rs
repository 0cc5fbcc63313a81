//! Following sessions on chain: vouchers are shown in time, and what is over is put away.

use super::Held;
use crate::desk::{Desk, ServeError};
use crate::rollup::Subject;
use crate::watch::READ_RETRY;
use encompute_chain::{BlockEvents, Class};
use encompute_protocol::call::{CloseSession, PokeSession, ReadSession};
use encompute_protocol::event::Event;
use encompute_protocol::session::due::{SessionDue, due};
use encompute_protocol::{BlockNumber, Plancks, SessionId, SessionStage};
use std::sync::Arc;
use tracing::{debug, info, warn};

impl Desk {
    /// Takes up the sessions that a restart interrupted, as the chain has them now.
    pub(crate) async fn sessions_again(&self) {
        for session in self.journal.sessions().unwrap_or_default() {
            let Ok(Some(mut held)) = self.journal.session_of(session) else {
                warn!(session = session.0, "the journal of a session cannot be read");
                continue;
            };
            // A chain that is away says nothing: the session is as it was, and blocks tell the rest.
            if let Ok(found) = self.world.client().read(ReadSession { session }).await {
                match found.filter(|record| record.stage != SessionStage::Closed) {
                    Some(record) => held.record = record,
                    None => {
                        self.forget_session(session);
                        continue;
                    }
                }
            }
            self.places().claimed(session.first(), Default::default());
            self.sessions.all().insert(session, held);
        }
    }

    /// Takes a session in hand that the chain says is ours: it takes a place although nothing may ever be ordered in it, and
    /// somebody has to end it.
    pub(crate) fn hold_session(self: &Arc<Self>, session: SessionId) {
        let desk = self.clone();
        tokio::spawn(async move {
            while let Err(error) = desk.take_session(session).await {
                // One that is over already is nobody's.
                if !matches!(error, ServeError::Read(_)) {
                    return debug!(session = session.0, error = &error as &dyn std::error::Error, "session not taken");
                }
                tokio::time::sleep(READ_RETRY).await;
            }
        });
    }

    /// The same for those that opened in some blocks.
    pub(crate) fn hold_sessions(self: &Arc<Self>, blocks: &[BlockEvents]) {
        for emitted in blocks.iter().flat_map(|block| &block.events) {
            if let Event::SessionOpened(opened) = &emitted.event
                && opened.worker == self.world.address()
            {
                self.hold_session(opened.session);
            }
        }
    }

    /// What the chain said about a session of this worker; true if it was one.
    pub(crate) fn session_said(&self, event: &Event) -> bool {
        match event {
            Event::SessionClosing(said) => {
                let mut all = self.sessions.all();
                let Some(held) = all.get_mut(&said.session) else { return false };
                let record = &mut held.record;
                (record.stage, record.deadline) = (SessionStage::Closing, said.deadline);
                (record.done, record.heads, record.tails, record.root) = (said.done, said.heads, said.tails, said.root);
                true
            }
            Event::SessionClosed(said) => {
                let held = self.sessions.all().remove(&said.session);
                if let Some(held) = &held {
                    info!(session = said.session.0, heads = said.heads, "session over");
                    self.over(said.session, held);
                }
                held.is_some()
            }
            _ => false,
        }
    }

    fn over(&self, session: SessionId, held: &Held) {
        if let Some(inside) = held.job {
            self.put_away(inside.job);
        }
        self.places().done(session.first());
        self.forget_session(session);
    }

    fn forget_session(&self, session: SessionId) {
        if let Err(error) = self.journal.forget_session(session) {
            warn!(session = session.0, error = &error as &dyn std::error::Error, "journal of a session stays");
        }
    }

    /// Shows vouchers and ends sessions whose time has come.
    pub(crate) fn tend_sessions(self: &Arc<Self>, now: BlockNumber) {
        let all = self.sessions.all();
        let due_now = all.iter().filter_map(|(session, held)| {
            let best = held.count.voucher().copied();
            Some((*session, best, due(&held.record, best.as_ref().map(|signed| &signed.voucher), now)?))
        });
        for (session, best, due) in due_now.collect::<Vec<_>>() {
            let desk = self.clone();
            tokio::spawn(async move {
                let subject = Subject::job(session.first());
                let said = match (due, best) {
                    (SessionDue::Close, Some(signed)) => {
                        desk.world.say(subject, CloseSession { signed, agreed: None }, Plancks::ZERO).await
                    }
                    _ => desk.world.say(subject, PokeSession { session }, Plancks::ZERO).await,
                };
                match said {
                    Ok(()) => info!(session = session.0, ?due, "session moved on"),
                    // Creator, user or anybody was faster.
                    Err(error) if error.class() == Class::Refused => debug!(session = session.0, %error, "not taken"),
                    Err(error) => {
                        warn!(session = session.0, error = &error as &dyn std::error::Error, "not moved on yet")
                    }
                }
            });
        }
    }
}
