//! What a worker promises, and how it is asked to.

use super::*;

pub fn offer() -> Offer {
    Offer {
        genesis: GenesisHash(b32(1)),
        contract: ContractAddress(b20(2)),
        worker: Address(b20(3)),
        user: Address(b20(4)),
        version: VersionId(5),
        split: SplitIndex(1),
        input: BlobDigest(b32(6)),
        expires_at: BlockNumber(1_000),
        custody: true,
    }
}

pub fn offer_call() -> OfferCall {
    OfferCall {
        user: Address(b20(4)),
        version: VersionId(5),
        split: SplitIndex(1),
        policy: PolicyId(2),
        input: BlobDigest(b32(6)),
    }
}

pub fn custody_call() -> CustodyCall {
    CustodyCall { call: offer_call(), envelope: Bytes::new(vec![1, 2, 3]).unwrap() }
}

pub fn signed_offer() -> SignedOffer {
    SignedOffer { offer: offer(), signature: signature() }
}
