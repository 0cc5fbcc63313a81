//! Words and bytes that everyone shares: the contract, the worker, the client, the auditor.
//!
//! Nothing here computes a price, moves money or talks to anybody. It names things ([`ids`],
//! [`amount`], [`digest`]), gives them one encoding each, and refuses bytes that are not exactly
//! that encoding ([`wire::decode_exact`]). `SPEC.md` beside this file gives the bytes.
//!
//! The three types to know, and how they meet:
//!
//! * [`VersionManifest`] is what a creator publishes; its [`VersionHash`] is on chain.
//! * [`JobTerms`] is what a user bought: one split of one version, with every fee and window copied.
//! * [`Receipt`] is the worker's signed statement that it ran that head on that input.
//!
//! ```
//! use encompute_protocol::{BlobDigest, wire};
//! let digest = BlobDigest::of(b"a sealed envelope");
//! let bytes = wire::encode(&digest);
//! assert_eq!(wire::decode_exact::<BlobDigest>(&bytes, 32).unwrap(), digest);
//! assert!(wire::decode_exact::<BlobDigest>(&[bytes, vec![0]].concat(), 64).is_err());
//! ```
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod amount;
pub mod blake2b;
pub mod call;
pub mod digest;
pub mod disclosure;
pub mod dispute;
pub mod draw;
pub mod event;
pub mod headkey;
pub mod ids;
pub mod manifest;
pub mod market;
pub mod pruned;
pub mod quote;
pub mod rating;
pub mod reason;
pub mod receipt;
pub mod reputation;
pub mod session;
#[cfg(feature = "signing")]
pub mod signing;
pub mod statement;
pub mod text;
pub mod wire;

pub use amount::{BasisPoints, CostUnits, Plancks};
pub use digest::{
    BlobDigest, ContractAddress, GenesisHash, HeadDigest, KeyDigest, MeasurementId, Nonce, PlatformId, QuoteIdentity,
    ReceiptDigest, RecordsDigest, RoundReceiptDigest, SessionRoot, SigningAddress, TailDigest, VersionHash,
};
pub use disclosure::{Disclosure, Grade, Graded, NamedBlob};
pub use dispute::{DisputeKind, DisputeRecord, Verdict, Witnesses};
pub use draw::Draw;
pub use headkey::{HeadKeyAnswer, HeadKeyCall};
pub use ids::{Address, BlockNumber, Blocks, JobId, ModelId, PolicyId, RoundIndex, SessionId, SplitIndex, VersionId};
pub use manifest::{JobRequest, ReleasePolicy, SplitManifest, VersionManifest};
pub use market::{
    AnnouncedParams, Fees, JobProgress, JobTerms, Mode, ModelRecord, Params, SplitRecord, Stage, StoragePrice,
    VersionRecord, VersionStatus, Windows, WorkerRecord,
};
pub use pruned::{JobRecords, PrunedRecord, SessionRecords};
pub use quote::{KeyParts, QuoteParts};
pub use rating::{Rating, RatingReason, Ratings};
pub use reason::Reason;
pub use receipt::{Offer, Receipt, RoundReceipt, Signature, Signed, Transcript};
pub use reputation::Reputation;
pub use session::{SessionRecord, SessionStage, Voucher};
pub use statement::{HeadKeyStatement, RegistrationStatement};
pub use text::{Bytes, Text};
