//! One value of everything about sessions.

use super::*;
use encompute_protocol::session::{calls::*, *};

pub const SESSION: SessionId = SessionId(17);

pub fn session_offer() -> SessionOffer {
    SessionOffer {
        genesis: GenesisHash(b32(1)),
        contract: ContractAddress(b20(2)),
        worker: Address(b20(3)),
        user: Address(b20(4)),
        version: VersionId(5),
        split: SplitIndex(1),
        key: SigningAddress(b20(40)),
        jobs: 1_000,
        length: Blocks(600),
        expires_at: BlockNumber(1_000),
    }
}

pub fn signed_session_offer() -> SignedSessionOffer {
    SignedSessionOffer { offer: session_offer(), signature: signature() }
}

pub fn voucher() -> Voucher {
    Voucher {
        genesis: GenesisHash(b32(1)),
        contract: ContractAddress(b20(2)),
        session: SESSION,
        done: 9,
        heads: 8,
        tails: 7,
        root: SessionRoot(b32(41)),
    }
}

pub fn signed_voucher() -> SignedVoucher {
    SignedVoucher { voucher: voucher(), signature: signature() }
}

pub fn session_leaf() -> SessionLeaf {
    SessionLeaf {
        job: JobId(25),
        input: BlobDigest(b32(6)),
        receipt: ReceiptDigest(b32(31)),
        features: BlobDigest(b32(26)),
        result: BlobDigest(b32(29)),
        outcome: SessionOutcome::HeadOnly,
    }
}

pub fn session_order() -> SessionOrder {
    SessionOrder {
        genesis: GenesisHash(b32(1)),
        contract: ContractAddress(b20(2)),
        session: SESSION,
        job: JobId(25),
        input: BlobDigest(b32(6)),
    }
}

pub fn session_features() -> SessionFeatures {
    SessionFeatures {
        genesis: GenesisHash(b32(1)),
        contract: ContractAddress(b20(2)),
        session: SESSION,
        job: JobId(25),
        input: BlobDigest(b32(6)),
        receipt: ReceiptDigest(b32(31)),
        features: BlobDigest(b32(26)),
    }
}

pub fn session_call() -> SessionCall {
    SessionCall {
        user: Address(b20(4)),
        version: VersionId(5),
        split: SplitIndex(1),
        policy: PolicyId(2),
        key: SigningAddress(b20(40)),
        jobs: 1_000,
        length: Blocks(600),
    }
}

pub fn session_records() -> SessionRecords {
    let (genesis, contract) = (GenesisHash(b32(1)), ContractAddress(b20(2)));
    SessionRecords { genesis, contract, session: SESSION, record: session_record() }
}

pub fn session_record() -> SessionRecord {
    SessionRecord {
        user: Address(b20(4)),
        version: VersionId(5),
        model: ModelId(3),
        split: SplitIndex(1),
        policy: PolicyId(2),
        worker: Address(b20(3)),
        key: SigningAddress(b20(40)),
        jobs: 1_000,
        fees: fees(),
        protocol_fee: BasisPoints(250),
        challenge: Blocks(50),
        opened_at: BlockNumber(700),
        stage: SessionStage::Closing,
        deadline: BlockNumber(900),
        done: 9,
        heads: 8,
        tails: 7,
        root: SessionRoot(b32(41)),
        changed_at: BlockNumber(850),
    }
}

/// One of every call about sessions.
pub fn session_calls() -> Vec<(&'static str, Vec<u8>)> {
    let (version, split, policy) = (VersionId(5), SplitIndex(1), PolicyId(2));
    vec![
        one(TakeSessions { version, jobs: 1_000 }),
        one(OpenSession { version, split, policy, offer: signed_session_offer() }),
        one(CloseSession { signed: signed_voucher(), agreed: None }),
        one(CloseSession { signed: signed_voucher(), agreed: Some(signature()) }),
        one(PokeSession { session: SESSION }),
        one(ReadSession { session: SESSION }),
        one(ReadSessionsTaken { version }),
    ]
}

/// One of every event about sessions.
pub fn session_events() -> Vec<Event> {
    let (session, by, root) = (SESSION, Address(b20(4)), SessionRoot(b32(41)));
    vec![
        SessionsTaken { version: VersionId(5), jobs: 1_000 }.into(),
        SessionOpened {
            session,
            user: by,
            version: VersionId(5),
            split: SplitIndex(1),
            policy: PolicyId(2),
            worker: Address(b20(3)),
            key: SigningAddress(b20(40)),
            jobs: 1_000,
            fees: fees(),
            deadline: BlockNumber(900),
        }
        .into(),
        SessionClosing { session, by, done: 9, heads: 8, tails: 7, root, deadline: BlockNumber(900) }.into(),
        SessionClosed { session, by, done: 9, heads: 8, tails: 7, root }.into(),
    ]
}
