//! Asking a creator's service for a head's key: its nonce, our fresh quote, its envelope.

use crate::heads::{HeadName, LoadError};
use crate::world::World;
use encompute_envelope::{ContentKey, Context, Subject};
use encompute_protocol::wire::{Message, decode_exact};
use encompute_protocol::{Bytes, HeadKeyAnswer, HeadKeyCall, HeadKeyStatement, Nonce, VersionHash};

/// Most bytes of an answer that are read: an envelope, or a sentence.
const ANSWER_LIMIT_BYTES: usize = HeadKeyAnswer::LIMIT_BYTES;

impl World {
    /// The content key of a head's weights, released to this worker's attested key alone.
    ///
    /// # Errors
    /// [`LoadError::Attest`], [`LoadError::Creator`], [`LoadError::Open`].
    pub async fn head_key(
        &self,
        name: HeadName,
        manifest: VersionHash,
        creator_url: &str,
    ) -> Result<ContentKey, LoadError> {
        let (version, split) = name;
        let base = creator_url.trim_end_matches('/');
        let refused = |reason: &str| LoadError::Creator { url: base.to_owned(), reason: reason.to_owned() };
        let nonce =
            self.ask(self.http.get(format!("{base}/v1/head-key/nonce"))).await.map_err(|reason| refused(&reason))?;
        let nonce: Nonce = decode_exact(&nonce, 32).map_err(|_| refused("it gave no nonce"))?;
        let statement = HeadKeyStatement {
            genesis: self.genesis(),
            contract: self.contract,
            account: self.address(),
            signing: self.keys.signing_address(),
            hpke: self.keys.hpke_key().digest(),
            version,
            manifest,
            split,
        };
        let (evidence, _) = self.evidence(statement, nonce).await?;
        let evidence = Bytes::new(evidence.to_wire()).map_err(|_| refused("the evidence is too long"))?;
        let call = HeadKeyCall { evidence, signature: self.keys.sign(&statement) };
        let request = self.http.post(format!("{base}/v1/head-key")).body(call.to_wire());
        let answer = self.ask(request).await.map_err(|reason| refused(&reason))?;
        let answer = HeadKeyAnswer::from_wire(&answer).map_err(|_| refused("it gave no envelope"))?;
        let context =
            Context { genesis: self.genesis(), contract: self.contract, subject: Subject::Head { version, split } };
        ContentKey::open_from(self.keys.recipient(), &context, answer.envelope.as_slice())
            .map_err(|source| LoadError::Open { what: "head's key", source })
    }

    /// A bounded answer, or one sentence about why there is none. The address comes from a
    /// manifest, that is from a stranger: nothing of what it says is believed before it opens.
    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<Vec<u8>, String> {
        let no_answer = |error: reqwest::Error| error.without_url().to_string();
        let mut response = request.timeout(std::time::Duration::from_secs(20)).send().await.map_err(no_answer)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            if body.len() + chunk.len() > ANSWER_LIMIT_BYTES {
                return Err(format!("its answer is longer than {ANSWER_LIMIT_BYTES} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(body);
        }
        let words: String = String::from_utf8_lossy(&body).chars().filter(|c| !c.is_control()).take(300).collect();
        Err(format!("status {}: {words}", status.as_u16()))
    }
}
