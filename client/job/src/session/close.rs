//! The end: at once where all agree, by the chain's windows where somebody is silent.

use super::{
    Book,
    mail::{Addresses, insist},
};
use crate::{driver::Runner, error::JobError};
use encompute_chain::SubmitJob;
use encompute_host::clock::Instant;
use encompute_protocol::{
    Plancks, SessionRecord,
    call::{CloseSession, PokeSession},
    session::{
        SessionEnd, SessionStage, SignedVoucher,
        calls::{AgreedEnd, EndCall},
    },
    wire::Message,
};
use std::time::Duration;

/// Where a session stands after it was asked to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEnding {
    /// The session.
    pub record: SessionRecord,
    /// Why it could not end at once; none if it did.
    pub waits: Option<String>,
}

impl<M: SubmitJob> Runner<M> {
    /// Ends a session: what was not used comes back. With everybody's agreement that is at once; otherwise the last
    /// voucher is shown, and the same call after the deadline ends it.
    ///
    /// # Errors
    /// [`JobError`].
    pub async fn close_session(&self, book: &mut Book, patience: Duration) -> Result<SessionEnding, JobError> {
        let until = Instant::now() + patience;
        let record = self.session_of(book).await?;
        let head = self.services.market.head().await.map_err(JobError::Read)?.number;
        match record.stage {
            SessionStage::Closed => return Ok(SessionEnding { record, waits: None }),
            _ if head > record.deadline => {
                self.submit_end(book, record.stage, PokeSession { session: book.session() }, "end the session").await?;
                return self.ended(book, None).await;
            }
            SessionStage::Closing => {
                let waits = format!("a higher voucher may be shown until block {}", record.deadline);
                return Ok(SessionEnding { record, waits: Some(waits) });
            }
            SessionStage::Open => {}
        }
        let manifest = self.manifest_of(book).await?;
        let addresses = self.addresses(book, &manifest).await?;
        if let Some(leaf) = self.given_up(book, &record, &addresses).await? {
            book.sign(leaf)?;
        }
        let last = book.last()?;
        if last.voucher.tails == record.jobs {
            // Nothing can be higher: nobody has to agree.
            self.submit_end(book, record.stage, CloseSession { signed: last, agreed: None }, "close the session")
                .await?;
            return self.ended(book, None).await;
        }
        let behind = self.deliver(book, &addresses, until).await?;
        let agreed = match behind.first() {
            Some((payee, found)) => Err(format!("the {payee:?} does not take the last voucher: {found}")),
            None => self.agree_to_end(book, &addresses, last, until).await,
        };
        match agreed {
            Ok(()) => self.ended(book, None).await,
            Err(found) => {
                tracing::info!(found, "the session is closed without agreement");
                self.submit_end(book, record.stage, CloseSession { signed: last, agreed: None }, "close the session")
                    .await?;
                self.ended(book, Some(found)).await
            }
        }
    }

    /// Asks the worker to agree, and the creator to close with it.
    async fn agree_to_end(
        &self,
        book: &Book,
        addresses: &Addresses,
        signed: SignedVoucher,
        until: Instant,
    ) -> Result<(), String> {
        let path = format!("/v1/sessions/{}/end", book.session());
        let http = &self.services.http;
        let body = insist(http, &addresses.worker, &path, Some(&EndCall { signed }.to_wire()), until).await;
        let body = body.map_err(|found| format!("the worker does not agree: {found}"))?;
        let agreed = AgreedEnd::from_wire(&body).map_err(|error| format!("the worker's agreement: {error}"))?;
        if agreed.signed != signed || agreed.agreed.signer_over(&SessionEnd { voucher: signed.voucher }).is_none() {
            return Err("the worker agrees to something else".into());
        }
        let closed = insist(http, &addresses.creator, &path, Some(&agreed.to_wire()), until).await;
        closed.map(drop).map_err(|found| format!("the creator does not close: {found}"))
    }

    /// Moves a session on from a stage. Somebody who is paid may have been faster; it is then where it was to go.
    async fn submit_end<C: encompute_chain::Act>(
        &self,
        book: &Book,
        from: SessionStage,
        call: C,
        doing: &'static str,
    ) -> Result<(), JobError>
    where
        M: encompute_chain::Submit<C>,
    {
        match self.services.market.submit(call, Plancks::ZERO).await {
            Ok(_) => Ok(()),
            Err(_) if self.session_of(book).await?.stage > from => Ok(()),
            Err(source) => Err(JobError::Submit { doing, source }),
        }
    }

    async fn ended(&self, book: &Book, waits: Option<String>) -> Result<SessionEnding, JobError> {
        let record = self.session_of(book).await?;
        let waits = (record.stage != SessionStage::Closed).then(|| waits.unwrap_or_default());
        Ok(SessionEnding { record, waits })
    }
}
