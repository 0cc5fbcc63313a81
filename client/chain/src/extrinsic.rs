//! Signs, sends and watches one transaction, and finds it again when the node was lost meanwhile.

use crate::{
    account::Account,
    carry::Order,
    client::{AtBlock, Block, BlockHash, ExtrinsicHash, block_of},
    contract::error_name,
    error::{Fault, SubmitError},
    events::{Said, said},
    outside::{Declined, Unsigned, era},
    signer::Key,
};
use core::time::Duration;
use encompute_host::clock::{self, Instant};
use encompute_protocol::{BlockNumber, ContractAddress, Plancks, event::Event};
use subxt::{
    SubstrateConfig,
    client::OnlineClientAtBlockImpl,
    config::DefaultExtrinsicParamsBuilder,
    dynamic::Value,
    error::{BackendError, ExtrinsicError, RpcError},
    events::Phase,
    ext::scale_decode::DecodeAsType,
    rpcs,
    transactions::{Payload, SubmittableTransaction, TransactionProgress, TransactionStatus},
    utils::{AccountId32, H256, MultiSignature},
};

/// For how many blocks a signed transaction may be included. The longest that chains with the
/// usual `BlockHashCount` of 4096 know, because a chain that seals blocks as transactions come
/// outruns a short era in seconds.
const ERA_BLOCKS: u64 = 4_096;
/// How long a transaction may take to become final. Parachains take under a minute.
const FINALITY_PATIENCE: Duration = Duration::from_secs(120);
/// How long the node may take to accept one into its pool.
const ACCEPT_PATIENCE: Duration = Duration::from_secs(20);
/// How often a transaction is numbered anew because another program of the same account was first.
const NUMBERINGS: u32 = 4;
/// How long to wait before a lost node is asked again.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) type Signed = SubmittableTransaction<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>;
type Progress = TransactionProgress<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>;

/// A transaction in a finalized block.
pub(crate) struct Included {
    pub(crate) block: Block,
    pub(crate) extrinsic: ExtrinsicHash,
    pub(crate) index: u32,
    pub(crate) fee: Plancks,
    pub(crate) events: Vec<Event>,
    /// Contracts that came into being.
    pub(crate) instantiated: Vec<ContractAddress>,
    /// The chain's name for the error, if it failed.
    pub(crate) failure: Option<String>,
}

/// Why a transaction was not accepted.
enum Refused {
    /// The node's word.
    Rejected { code: i32, reason: String },
    /// No word from the node: it may or may not have it.
    Fault(Fault),
}

/// How watching ended without the transaction being final.
enum Broken {
    Dropped(String),
    Fault(Fault),
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct FeePaid {
    actual_fee: u128,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct Failed {
    dispatch_error: Value<()>,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct Instantiated {
    contract: [u8; 20],
}

impl Account {
    /// Signs with the account's next number, sends, and waits until it is final.
    pub(crate) async fn send<O: Order>(&self, order: &O) -> Result<Included, SubmitError> {
        for attempt in 1.. {
            let numbered = self.numbering.lock().await;
            let numbering = async {
                let at = self.client().at_head().await?;
                Ok::<_, SubmitError>((block_of(&at).number, self.sign(&at, order).await?))
            };
            let (birth, signed) = match self.signer.key {
                Key::Here(_) | Key::Ethereum(_) => self.client().within("number a transaction", numbering).await?,
                // Its owner takes as long as reading takes.
                Key::Outside(_) => numbering.await?,
            };
            let accepted = self.hand_in(&signed).await;
            drop(numbered);
            match accepted {
                Ok(progress) => return self.watch(&signed, birth, Some(progress)).await,
                Err(Refused::Fault(fault)) => {
                    tracing::warn!(%fault, "node did not say whether it took a transaction");
                    return self.watch(&signed, birth, None).await;
                }
                Err(Refused::Rejected { code, reason }) if attempt < NUMBERINGS && is_number_taken(code, &reason) => {
                    tracing::debug!(code, reason, "transaction number was taken; numbering anew");
                }
                Err(Refused::Rejected { code, reason }) => return Err(self.rejected(code, reason).await),
            }
        }
        unreachable!("the last numbering returns; qed")
    }

    /// Signs with the account's next number, transactions in the node's pool counted.
    pub(crate) async fn sign<O: Order>(&self, at: &AtBlock, order: &O) -> Result<Signed, SubmitError> {
        let number = self.next_number().await?;
        match &self.signer.key {
            Key::Ethereum(key) => Ok(self.carry(at, (key, number), order).await?.signed),
            _ => self.sign_here_or_outside(at, number, order).await,
        }
    }

    /// The account's next number, transactions in the node's pool counted.
    pub(crate) async fn next_number(&self) -> Result<u64, SubmitError> {
        let client = self.client();
        match client.shared.legacy.system_account_next_index(&AccountId32(self.id().0)).await {
            Ok(number) => Ok(number),
            Err(error) => Err(client.fault("say the account's next number", error).await.into()),
        }
    }

    async fn sign_here_or_outside<P: Payload>(
        &self,
        at: &AtBlock,
        number: u64,
        payload: &P,
    ) -> Result<Signed, SubmitError> {
        let client = self.client();
        let params = DefaultExtrinsicParamsBuilder::<SubstrateConfig>::new()
            .nonce(number)
            .mortal_from_unchecked(ERA_BLOCKS, at.block_number(), at.block_hash())
            .build();
        let transactions = at.transactions();
        let mut signable =
            transactions.create_signable_offline(payload, params).map_err(|error| self.misunderstood(error))?;
        let wallet = match &self.signer.key {
            Key::Here(keypair) => {
                return signable.sign(&**keypair).map_err(|error| self.misunderstood(error));
            }
            Key::Outside(wallet) => wallet,
            Key::Ethereum(_) => return Err(self.misunderstood("a key of Ethereum's kind signs no such transaction")),
        };
        let call = transactions.call_data(payload).map_err(|error| self.misunderstood(error))?;
        let block = block_of(at);
        let extensions = at.metadata_ref().extrinsic().transaction_extensions_to_use_for_encoding();
        let unsigned = Unsigned {
            account: self.id(),
            call,
            era: era(ERA_BLOCKS, block.number),
            block: block.number,
            block_hash: block.hash.0,
            genesis: client.genesis(),
            number,
            spec_version: at.spec_version(),
            transaction_version: at.transaction_version(),
            extensions: extensions.map(|extension| extension.identifier().to_owned()).collect(),
        };
        let signature = wallet.sign(unsigned).await.map_err(|Declined(reason)| SubmitError::NotSigned { reason })?;
        signable
            .sign_with_account_and_signature(&AccountId32(self.id().0), &MultiSignature::Sr25519(signature))
            .map_err(|error| self.misunderstood(error))
    }

    async fn hand_in(&self, signed: &Signed) -> Result<Progress, Refused> {
        let what = "take a transaction";
        match clock::timeout(ACCEPT_PATIENCE, signed.submit_and_watch()).await {
            Ok(Ok(progress)) => Ok(progress),
            Ok(Err(ExtrinsicError::ErrorSubmittingTransaction(BackendError::Rpc(RpcError::ClientError(
                rpcs::Error::User(error),
            ))))) => {
                let detail = error.data.as_ref().map_or("", |data| data.get());
                let reason = format!("{} {}", error.message, detail.trim_matches('"'));
                Err(Refused::Rejected { code: error.code, reason: reason.trim().to_owned() })
            }
            Ok(Err(error)) => Err(Refused::Fault(self.client().fault(what, error).await)),
            Err(_) => {
                let url = self.client().shared.wire.url().to_owned();
                Err(Refused::Fault(Fault::TimedOut { url, what, after: ACCEPT_PATIENCE }))
            }
        }
    }

    async fn rejected(&self, code: i32, reason: String) -> SubmitError {
        let poor = ["Payment", "Inability to pay"].iter().any(|word| reason.contains(word));
        match self.client().balance(&self.id()).await {
            Ok(balance) if poor => {
                SubmitError::Funds { message: "a transaction", needed: Plancks::ZERO, free: balance.free }
            }
            _ => SubmitError::Rejected { code, reason },
        }
    }

    /// Waits until a transaction is final. If the node is lost meanwhile, hands the same bytes in
    /// again, which cannot be executed twice, and looks into the blocks since its birth.
    async fn watch(
        &self,
        signed: &Signed,
        birth: BlockNumber,
        mut progress: Option<Progress>,
    ) -> Result<Included, SubmitError> {
        let extrinsic = ExtrinsicHash(signed.hash().0);
        let deadline = Instant::now() + FINALITY_PATIENCE;
        let mut searched = birth;
        loop {
            let broken = match progress.take() {
                None => None,
                Some(progress) => {
                    match clock::timeout_at(deadline, final_block(self.client().shared.wire.url(), progress)).await {
                        Ok(Ok(block)) => match self.included(block, extrinsic).await {
                            Ok(Some(included)) => return Ok(included),
                            Ok(None) => None,
                            Err(fault) => Some(fault),
                        },
                        Ok(Err(Broken::Dropped(reason))) => return Err(SubmitError::Dropped { extrinsic, reason }),
                        Ok(Err(Broken::Fault(fault))) => Some(fault),
                        Err(_) => return Err(SubmitError::NotFinal { extrinsic, after: FINALITY_PATIENCE }),
                    }
                }
            };
            if Instant::now() >= deadline {
                return Err(match broken {
                    Some(fault) => SubmitError::Lost { extrinsic, fault },
                    None => SubmitError::NotFinal { extrinsic, after: FINALITY_PATIENCE },
                });
            }
            tracing::warn!(%extrinsic, fault = ?broken, "lost sight of a transaction; looking for it");
            clock::sleep(PAUSE).await;
            match self.search(extrinsic, &mut searched).await {
                Ok(Some(included)) => return Ok(included),
                Ok(None) => progress = self.hand_in(signed).await.ok(),
                Err(fault) if Instant::now() + PAUSE >= deadline => return Err(SubmitError::Lost { extrinsic, fault }),
                Err(_) => {}
            }
        }
    }

    /// Looks for a transaction in the blocks after `searched`, which moves on.
    async fn search(&self, extrinsic: ExtrinsicHash, searched: &mut BlockNumber) -> Result<Option<Included>, Fault> {
        let as_fault = |error| match error {
            crate::ReadError::Fault(fault) => fault,
            other => self.client().misread("look for a transaction", other),
        };
        let head = self.client().head().await.map_err(as_fault)?.number;
        while *searched < head {
            let number = BlockNumber(searched.0 + 1);
            let block = self.client().block(number).await.map_err(as_fault)?;
            let included = self.included(H256(block.hash.0), extrinsic).await?;
            *searched = number;
            if included.is_some() {
                return Ok(included);
            }
        }
        Ok(None)
    }

    /// The transaction and its events, if it is in the block.
    async fn included(&self, hash: H256, extrinsic: ExtrinsicHash) -> Result<Option<Included>, Fault> {
        let client = self.client();
        client
            .within("give a transaction's events", async {
                let what = "give a transaction's events";
                let at = match client.shared.online.at_block(hash).await {
                    Ok(at) => at,
                    Err(error) => return Err(client.fault(what, error).await),
                };
                let extrinsics = match at.extrinsics().fetch().await {
                    Ok(extrinsics) => extrinsics,
                    Err(error) => return Err(client.fault(what, error).await),
                };
                let mut index = None;
                for found in extrinsics.iter() {
                    let found = found.map_err(|error| client.misread(what, error))?;
                    if found.hash().0 == extrinsic.0 {
                        index = u32::try_from(found.index()).ok();
                    }
                }
                let Some(index) = index else { return Ok(None) };
                let events = match at.events().fetch().await {
                    Ok(events) => events,
                    Err(error) => return Err(client.fault(what, error).await),
                };
                let block = Block { number: block_of(&at).number, hash: BlockHash(hash.0) };
                let (fee, said, instantiated) = (Plancks::ZERO, Vec::new(), Vec::new());
                let mut included = Included { block, extrinsic, index, fee, events: said, instantiated, failure: None };
                for event in events.iter() {
                    let event = event.map_err(|error| client.misread(what, error))?;
                    if event.phase() == Phase::ApplyExtrinsic(index) {
                        included
                            .take_in(client.contract(), &at, &event)
                            .map_err(|error| client.misread(what, error))?;
                    }
                }
                Ok(Some(included))
            })
            .await
    }
}

impl Included {
    fn take_in(
        &mut self,
        contract: Option<ContractAddress>,
        at: &AtBlock,
        event: &subxt::events::Event<'_, SubstrateConfig>,
    ) -> Result<(), String> {
        let words = |error: subxt::error::EventsError| error.to_string();
        match (event.pallet_name(), event.event_name()) {
            ("TransactionPayment", "TransactionFeePaid") => {
                self.fee = Plancks(event.decode_fields_unchecked_as::<FeePaid>().map_err(words)?.actual_fee);
            }
            // What an Ethereum transaction carries may fail where the transaction itself never does: its receipt is kept.
            ("System", "ExtrinsicFailed") | ("Revive", "EthExtrinsicRevert") => {
                let failed = event.decode_fields_unchecked_as::<Failed>().map_err(words)?;
                self.failure = Some(error_name(&failed.dispatch_error, at.metadata_ref()));
            }
            ("Revive", "Instantiated") => {
                let made = event.decode_fields_unchecked_as::<Instantiated>().map_err(words)?;
                self.instantiated.push(ContractAddress(made.contract));
            }
            _ => {
                if let Some(contract) = contract
                    && let Said::Event(event) = said(contract, event)?
                {
                    self.events.push(event);
                }
            }
        }
        Ok(())
    }
}

/// The finalized block a watched transaction ends up in.
async fn final_block(url: &str, mut progress: Progress) -> Result<H256, Broken> {
    let lost = |reason: String| Fault::Unreachable { url: url.to_owned(), reason };
    loop {
        match progress.next().await {
            Some(Ok(TransactionStatus::InFinalizedBlock(found))) => return Ok(found.block_hash()),
            Some(Ok(
                TransactionStatus::Error { message }
                | TransactionStatus::Invalid { message }
                | TransactionStatus::Dropped { message },
            )) => return Err(Broken::Dropped(message)),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(Broken::Fault(lost(error.to_string()))),
            None => return Err(Broken::Fault(lost("the subscription ended".to_owned()))),
        }
    }
}

/// True where another transaction of the account has the number: 1014 is "priority is too low",
/// 1013 "already imported", and `Stale` a number that is in a block.
fn is_number_taken(code: i32, reason: &str) -> bool {
    matches!(code, 1013 | 1014) || (code == 1010 && (reason.contains("Stale") || reason.contains("outdated")))
}
