use super::*;
use crate::{
    Address, BasisPoints, Blocks, ContractAddress, Fees, GenesisHash, ModelId, PolicyId, SessionId, SessionRoot,
    SigningAddress, SplitIndex, VersionId,
};

fn record(stage: SessionStage, heads: u32) -> SessionRecord {
    SessionRecord {
        user: Address([1; 20]),
        version: VersionId(1),
        model: ModelId(1),
        split: SplitIndex(0),
        policy: PolicyId(1),
        worker: Address([2; 20]),
        key: SigningAddress([3; 20]),
        jobs: 10,
        fees: Fees::default(),
        protocol_fee: BasisPoints(0),
        challenge: Blocks(50),
        opened_at: BlockNumber(100),
        stage,
        deadline: BlockNumber(500),
        done: heads,
        heads,
        tails: heads,
        root: SessionRoot::default(),
        changed_at: BlockNumber(100),
    }
}

fn best(heads: u32) -> Voucher {
    let (genesis, contract, session) = (GenesisHash([1; 32]), ContractAddress([2; 20]), SessionId(1));
    Voucher { genesis, contract, session, done: heads, heads, tails: heads, root: SessionRoot([1; 32]) }
}

#[test]
fn a_payee_shows_its_voucher_before_the_deadline_or_against_a_lower_one_and_pokes_after_it() {
    let (open, closing) = (record(SessionStage::Open, 0), record(SessionStage::Closing, 4));
    let asked =
        |record: &SessionRecord, heads: Option<u32>, now: u32| due(record, heads.map(best).as_ref(), BlockNumber(now));
    assert_eq!(closes_at(&open), BlockNumber(450));
    assert_eq!(asked(&open, Some(3), 449), None);
    assert_eq!(asked(&open, Some(3), 450), Some(SessionDue::Close));
    assert_eq!(asked(&open, None, 450), None, "whoever was promised nothing has nothing to show");
    assert_eq!(asked(&open, Some(10), 120), Some(SessionDue::Close), "all jobs are over");
    assert_eq!(asked(&closing, Some(4), 120), None);
    assert_eq!(asked(&closing, Some(5), 120), Some(SessionDue::Close));
    for session in [open, closing] {
        assert_eq!(asked(&session, Some(9), 501), Some(SessionDue::Poke));
    }
    assert_eq!(asked(&record(SessionStage::Closed, 4), Some(9), 501), None);
}
