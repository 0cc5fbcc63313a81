//! Disputes: what one is about, where it stands, what a re-executor says.

use crate::{
    Address, BlobDigest, BlockNumber, Blocks, ContractAddress, GenesisHash, JobId, Nonce, Plancks, Signed, Stage,
    blake2b::Blake2b,
};
use codec::{Decode, Encode, Error, Input, MaxEncodedLen};
use core::{fmt, str::FromStr};
use scale_info::TypeInfo;

/// What a user says is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum DisputeKind {
    /// The committed transcript is not what the head gives: a committee runs it again.
    #[codec(index = 0)]
    Head,
    /// What was committed, transcript or sealed result, is in no store: who committed it must post it on chain.
    #[codec(index = 1)]
    Missing,
    /// The sealed result opens to nothing: its creator must post it on chain, or has no tail fee.
    #[codec(index = 2)]
    Result,
    /// The worker's code or machine was revoked since it committed: the chain knows at once.
    #[codec(index = 3)]
    Attestation,
    /// Nothing is said to be wrong: before the user decrypts, three workers on machines of their own run the head again.
    #[codec(index = 4)]
    Witness,
    /// Nobody says that anything is wrong: the job was drawn, and a committee runs its head again at the treasury's cost.
    #[codec(index = 5)]
    Audit,
    /// Nobody says that anything is wrong: the job's worker must show a quote that was made since, over its receipt.
    #[codec(index = 6)]
    Quote,
}

impl DisputeKind {
    /// True for what anybody opens, so that it may interrupt a job at any moment.
    pub fn is_anybodys(self) -> bool {
        matches!(self, Self::Audit | Self::Quote)
    }

    /// Its bit among the disputes that a job has had, each of which may be opened once at a stage.
    pub fn bit(self, from: Stage) -> u8 {
        match (self, from) {
            (Self::Head, _) => 1,
            (Self::Missing, Stage::ResultCommitted) => 4,
            (Self::Missing, _) => 2,
            (Self::Result, _) => 8,
            (Self::Attestation, _) => 16,
            (Self::Witness, _) => 32,
            (Self::Audit, _) => 64,
            (Self::Quote, _) => 128,
        }
    }
}

/// Members of a committee. Odd, so that two who agree are most of them.
pub const COMMITTEE: usize = 3;
/// How many of them must agree.
pub const MAJORITY: usize = 2;
/// How many of three witnesses must find what the worker committed: two or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode)]
pub struct Witnesses(u8);

/// A number of witnesses that nobody can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WitnessCountError;

impl fmt::Display for WitnessCountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of three witnesses {MAJORITY} or {COMMITTEE} can be asked for")
    }
}

impl core::error::Error for WitnessCountError {}

impl Witnesses {
    /// So many of three.
    ///
    /// # Errors
    /// [`WitnessCountError`] for less than two and more than three.
    pub fn new(count: u8) -> Result<Self, WitnessCountError> {
        if (MAJORITY..=COMMITTEE).contains(&usize::from(count)) { Ok(Self(count)) } else { Err(WitnessCountError) }
    }

    /// How many.
    pub fn count(self) -> u8 {
        self.0
    }
}

impl Decode for Witnesses {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        Self::new(input.read_byte()?).map_err(|_| "a number of witnesses that nobody can ask for".into())
    }
}

impl FromStr for Witnesses {
    type Err = WitnessCountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map_err(|_| WitnessCountError).and_then(Self::new)
    }
}

impl fmt::Display for Witnesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An audit is opened within so many blocks of the commitment: the platform knows the hash that draws it for 256.
pub const AUDIT_BLOCKS: Blocks = Blocks(200);
/// Most bytes of one part of a posted blob: what takes less than a fortieth of a block's time to hash.
pub const PART_LIMIT_BYTES: usize = 8_192;

/// What a re-executor found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Verdict {
    /// True where the transcript is not what the head gives.
    pub wrong: bool,
    /// Digest of what it computed, which nobody can know without computing it.
    pub output: BlobDigest,
}

impl Verdict {
    /// A witness's that was not shown everything that the head was run on: nobody has witnessed anything then.
    pub const NOTHING_SHOWN: Self = Self { wrong: false, output: BlobDigest([0; 32]) };
}

/// A verdict as it is sealed: Keccak-256 of it, tagged, goes on chain before anybody's verdict is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct VerdictStatement {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The disputed job.
    pub job: JobId,
    /// Whose verdict: a seal that somebody copies is none of theirs.
    pub juror: Address,
    /// The verdict.
    pub verdict: Verdict,
    /// Keeps the seal from being guessed.
    pub salt: [u8; 32],
}

impl Signed for VerdictStatement {
    const TAG: &'static [u8] = b"encompute/verdict/v1";
}

/// One member of a committee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Juror {
    /// The worker that runs the head again; the job's stake is locked of its own.
    pub account: Address,
    /// What it has sealed.
    pub seal: Option<[u8; 32]>,
    /// What it has revealed.
    pub verdict: Option<Verdict>,
}

/// What a member of a committee that found a head wrong had found itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum Opinion {
    /// It revealed nothing.
    #[codec(index = 0)]
    Silent,
    /// That the head is right.
    #[codec(index = 1)]
    Right,
    /// What most did: that it is wrong.
    #[codec(index = 2)]
    Wrong,
    /// That it is wrong, and something else than most did.
    #[codec(index = 3)]
    WrongOtherwise,
}

impl Opinion {
    /// That of a member which revealed `verdict`, where most revealed `agreed`.
    pub fn of(verdict: Option<Verdict>, agreed: Verdict) -> Self {
        match verdict {
            None => Self::Silent,
            Some(found) if found == agreed => Self::Wrong,
            Some(Verdict { wrong: true, .. }) => Self::WrongOtherwise,
            Some(_) => Self::Right,
        }
    }
}

/// One member of a committee that found a head wrong; the job's stake is locked of its own until the job goes on or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct FormerJuror {
    /// The worker.
    pub account: Address,
    /// What it found.
    pub opinion: Opinion,
}

/// Where a dispute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum Proceeding {
    /// Its committee is to be drawn by the hash of a block that was not known when it was opened.
    #[codec(index = 0)]
    Drawing,
    /// Verdicts are sealed.
    #[codec(index = 1)]
    Sealing([Juror; COMMITTEE]),
    /// Verdicts are revealed.
    #[codec(index = 2)]
    Revealing([Juror; COMMITTEE]),
    /// A blob is to be posted; the digest of what has been posted so far.
    #[codec(index = 3)]
    Posting(Blake2b),
    /// A quote is to be shown.
    #[codec(index = 4)]
    Quoting {
        /// What it must answer.
        nonce: Nonce,
        /// Who demanded it, and staked the deposit.
        by: Address,
    },
    /// Most of its committee found the head wrong. Until the deadline the job's worker may appeal, then that holds.
    #[codec(index = 5)]
    Ruled([FormerJuror; COMMITTEE]),
}

/// An open dispute. Its deadline is the job's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct DisputeRecord {
    /// What is said to be wrong.
    pub kind: DisputeKind,
    /// The stage that the job goes back to if it is not.
    pub from: Stage,
    /// What was left of that stage's window.
    pub left: Blocks,
    /// What is staked on it: by the user, for an audit by the treasury, for a quote by whoever demands it.
    pub deposit: Plancks,
    /// Block in which it was opened, or its ruling appealed: the hash of the next draws the committee.
    pub opened_at: BlockNumber,
    /// A blob for the committee: receipts that the worker signed and committed otherwise. Of a quote the bytes that its
    /// nonce was made with.
    pub evidence: Option<BlobDigest>,
    /// Where it stands.
    pub proceeding: Proceeding,
    /// The committee whose ruling was appealed, while a second one hears the head: what that rules is final.
    pub appealed: Option<[FormerJuror; COMMITTEE]>,
}

impl DisputeRecord {
    /// The committee that seals and reveals, once it is drawn.
    pub fn jurors(&self) -> &[Juror] {
        match &self.proceeding {
            Proceeding::Sealing(jurors) | Proceeding::Revealing(jurors) => jurors,
            Proceeding::Drawing | Proceeding::Posting(_) | Proceeding::Quoting { .. } | Proceeding::Ruled(_) => &[],
        }
    }

    /// The committee that has found the head wrong, whether its ruling was appealed or not.
    pub fn former_jurors(&self) -> &[FormerJuror] {
        match (&self.proceeding, &self.appealed) {
            (Proceeding::Ruled(jurors), _) | (_, Some(jurors)) => jurors,
            (_, None) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dispute_fits_one_storage_item() {
        let length = DisputeRecord::max_encoded_len();
        assert!(length <= crate::market::STORAGE_ITEM_LIMIT_BYTES, "{length} bytes");
    }

    #[test]
    fn an_opinion_is_held_against_what_most_found_word_for_word() {
        let verdict = |wrong, byte| Verdict { wrong, output: BlobDigest([byte; 32]) };
        let agreed = verdict(true, 1);
        for (found, opinion) in [
            (None, Opinion::Silent),
            (Some(agreed), Opinion::Wrong),
            (Some(verdict(true, 2)), Opinion::WrongOtherwise),
            (Some(verdict(false, 1)), Opinion::Right),
            (Some(Verdict::NOTHING_SHOWN), Opinion::Right),
        ] {
            assert_eq!(Opinion::of(found, agreed), opinion);
        }
    }

    #[test]
    fn every_dispute_of_every_stage_has_its_own_bit() {
        let kinds = [
            (DisputeKind::Head, Stage::HeadCommitted),
            (DisputeKind::Missing, Stage::HeadCommitted),
            (DisputeKind::Missing, Stage::ResultCommitted),
            (DisputeKind::Result, Stage::ResultCommitted),
            (DisputeKind::Attestation, Stage::HeadCommitted),
            (DisputeKind::Witness, Stage::HeadCommitted),
            (DisputeKind::Audit, Stage::FeaturesSent),
            (DisputeKind::Quote, Stage::FeaturesSent),
        ];
        let all = kinds.iter().fold(0, |all, (kind, from)| {
            assert_eq!(all & kind.bit(*from), 0, "{kind:?}");
            all | kind.bit(*from)
        });
        assert_eq!(all, 255);
    }

    #[test]
    fn only_two_or_three_witnesses_can_be_asked_for() {
        assert_eq!(["2", "3"].map(|text| text.parse::<Witnesses>().map(Witnesses::count)), [Ok(2), Ok(3)]);
        for text in ["", "0", "1", "4", "-2", "two", "258"] {
            assert_eq!(text.parse::<Witnesses>(), Err(WitnessCountError), "{text}");
        }
        assert_eq!(alloc::format!("{WitnessCountError}"), "of three witnesses 2 or 3 can be asked for");
    }
}
