//! Which blobs the chain's facts name: what a gateway that forgets the others has to know.

use encompute_chain::{BlockEvents, Client};
use encompute_model::Preamble;
use encompute_protocol::event::Event;
use encompute_protocol::manifest::VersionManifest;
use encompute_protocol::receipt::Transcript;
use encompute_protocol::wire::Message;
use encompute_protocol::{BlobDigest, BlockNumber, DisputeKind};
use encompute_store::{BlobStore, Blobs, ByteLimit, GetError, Names};
use std::{error::Error, sync::Arc};

/// Reads every event from block `from` on, for ever, and names the blobs that they name: requests, transcripts and
/// the rounds in them, features, results, evidence, manifests and the weights, lexicons, reports and attacks that those
/// name.
/// `names` is whole as long as the newest block has been read and every event was understood.
pub async fn follow(client: Client, store: BlobStore, names: Arc<Names>, from: BlockNumber) {
    let (mut follow, mut head, mut understood) = (client.follow(from), BlockNumber(0), true);
    loop {
        let block = match follow.next().await {
            Ok(block) => block,
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "the chain cannot be followed; no blob is forgotten");
                continue;
            }
        };
        if block.unread > 0 && understood {
            understood = false;
            tracing::error!(
                block = block.block.number.0,
                "the contract says what this program cannot read; no blob is forgotten any more"
            );
        }
        name_all(&block, &store, &names).await;
        let number = block.block.number;
        if number >= head {
            head = client.head().await.map_or(head, |block| block.number);
        }
        if understood && number >= head {
            names.whole();
        }
    }
}

async fn name_all(block: &BlockEvents, store: &BlobStore, names: &Names) {
    for emitted in &block.events {
        match &emitted.event {
            Event::JobRequested(requested) => names.name(requested.input),
            Event::FeaturesSent(sent) => names.name(sent.features),
            Event::ResultCommitted(committed) => names.name(committed.result),
            Event::WorkerRegistered(registered) => names.name(registered.evidence),
            Event::HeadCommitted(committed) => {
                names.name(committed.output);
                if let Some(transcript) = read::<Transcript>(store, committed.output).await {
                    for (receipt, _) in &transcript.rounds {
                        names.name(receipt.request);
                        names.name(receipt.response);
                    }
                }
            }
            Event::QuoteShown(shown) => names.name(shown.evidence),
            // Of a demanded quote these are bytes that nobody could guess, and no blob's name.
            Event::DisputeOpened(opened) if opened.kind != DisputeKind::Quote => {
                opened.evidence.into_iter().for_each(|evidence| names.name(evidence));
            }
            Event::VersionPublished(published) => {
                let digest = BlobDigest(published.manifest.0);
                names.name(digest);
                if let Some(manifest) = read::<VersionManifest>(store, digest).await {
                    manifest.splits.iter().for_each(|split| names.name(split.sealed_weights));
                    let preamble = Preamble::from_wire(manifest.preamble.as_slice()).ok();
                    let wanted = preamble.and_then(|preamble| preamble.wanted_blob());
                    wanted.into_iter().for_each(|wanted| names.name(wanted.digest));
                    if let Some(told) = &manifest.disclosure {
                        names.name(told.report.digest());
                        told.attack.iter().for_each(|attack| names.name(attack.digest()));
                    }
                }
            }
            _ => {}
        }
    }
}

/// A message in the store; none if it is not there or is no such message: whoever had it named then named nothing else.
async fn read<M: Message>(store: &BlobStore, digest: BlobDigest) -> Option<M> {
    match store.get(digest, ByteLimit(M::LIMIT_BYTES as u64)).await {
        Ok(bytes) => M::from_wire(&bytes).ok(),
        Err(GetError::NotFound { .. }) => None,
        Err(error) => {
            tracing::warn!(%digest, error = &error as &dyn Error, "a named blob cannot be read for the blobs it names");
            None
        }
    }
}
