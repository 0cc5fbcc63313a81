//! Following sessions on chain: vouchers are shown in time, and what is over is put away.

use super::{Held, LIMIT_BYTES, SESSIONS, Shared, VERSION, folder, may_pass};
use crate::desk::Desk;
use encompute_protocol::call::{CloseSession, PokeSession, ReadSession};
use encompute_protocol::event::Event;
use encompute_protocol::session::due::{SessionDue, due};
use encompute_protocol::{BlockNumber, Plancks, SessionId, SessionStage, wire};
use std::error::Error;
use tracing::{debug, info, warn};

impl Desk {
    /// Takes up the sessions that a restart interrupted, as the chain has them now.
    pub(crate) async fn sessions_again(&self) {
        for name in self.state.list(SESSIONS).unwrap_or_default() {
            let Ok(session) = name.parse().map(SessionId) else { continue };
            let Some(mut held) = self.held_before(session) else {
                warn!(session = session.0, "the journal of a session cannot be read");
                continue;
            };
            // A chain that is away says nothing: the session is as it was, and blocks tell the rest.
            if let Ok(found) = self.account.client().read(ReadSession { session }).await {
                match found.filter(|record| record.stage != SessionStage::Closed) {
                    Some(record) => held.record = record,
                    None => {
                        self.forget_session(session);
                        continue;
                    }
                }
            }
            self.sessions.all().insert(session, held);
        }
    }

    fn held_before(&self, session: SessionId) -> Option<Held> {
        let bytes = self.state.read(&format!("{}/held", folder(session)), LIMIT_BYTES).ok()??;
        let (version, held) = wire::decode_exact::<(u8, Held)>(&bytes, LIMIT_BYTES).ok()?;
        (version == VERSION).then_some(held)
    }

    /// What the chain said about a session.
    pub(crate) fn session_said(&self, event: &Event) {
        match event {
            Event::SessionClosing(said) => {
                if let Some(held) = self.sessions.all().get_mut(&said.session) {
                    let record = &mut held.record;
                    (record.stage, record.deadline) = (SessionStage::Closing, said.deadline);
                    (record.done, record.heads) = (said.done, said.heads);
                    (record.tails, record.root) = (said.tails, said.root);
                }
            }
            Event::SessionClosed(said) => {
                let held = self.sessions.all().remove(&said.session);
                if held.is_some() {
                    info!(session = said.session.0, tails = said.tails, "session over");
                    self.forget_session(said.session);
                }
            }
            _ => {}
        }
    }

    fn forget_session(&self, session: SessionId) {
        if let Err(error) = self.state.forget(&folder(session)) {
            warn!(session = session.0, error = &error as &dyn Error, "journal of a session stays");
        }
    }
}

/// Shows vouchers and ends sessions whose time has come.
pub(crate) fn tend_sessions(desk: &Shared, now: BlockNumber) {
    let all = desk.sessions.all();
    let due_now = all.iter().filter_map(|(session, held)| {
        let best = held.count.voucher().copied();
        Some((*session, best, due(&held.record, best.as_ref().map(|signed| &signed.voucher), now)?))
    });
    for (session, best, due) in due_now.collect::<Vec<_>>() {
        let desk = desk.clone();
        tokio::spawn(async move {
            let none = Plancks::ZERO;
            let said = match (due, best) {
                (SessionDue::Close, Some(signed)) => {
                    desk.account.submit(CloseSession { signed, agreed: None }, none).await.map(drop)
                }
                _ => desk.account.submit(PokeSession { session }, none).await.map(drop),
            };
            match said {
                Ok(()) => info!(session = session.0, ?due, "session moved on"),
                Err(error) if may_pass(&error) => {
                    warn!(session = session.0, error = &error as &dyn Error, "session not moved on yet");
                }
                // Worker, user or anybody was faster.
                Err(error) => debug!(session = session.0, error = &error as &dyn Error, "not taken"),
            }
        });
    }
}
