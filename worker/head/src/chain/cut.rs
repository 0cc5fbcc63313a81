//! Cutting a chain into segments, each a call of its own; and what is put aside between two.

use encompute_fhe::{BootstrapSet, LweCiphertext, Turns};

use super::check::Facts;
use super::{Chain, ChainError, ChainIndex, Step};

/// What of a tensor is put aside at a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aside {
    /// What the tables of the lookup behind the cut are turned by.
    Turns,
    /// Its values, rounded.
    Values,
}

impl Aside {
    /// Bytes of so many values.
    pub fn bytes(self, set: BootstrapSet, count: usize) -> usize {
        match self {
            Self::Turns => Turns::packed_bytes(set, count),
            Self::Values => LweCiphertext::packed_bytes(count),
        }
    }
}

/// The tensors that are read behind a cut in front of step `cut`, in order, and what of each is put aside.
pub(crate) fn put_aside(chain: &Chain, facts: &Facts, cut: usize) -> Vec<(usize, Aside)> {
    let looked_up = match chain.steps.get(cut) {
        Some(Step::Lookup { of, .. }) => of.place(),
        _ => usize::MAX,
    };
    let read_later = (0..=cut).filter(|tensor| facts.last_read.get(*tensor).is_some_and(|last| *last >= cut));
    let aside = |tensor: usize| match tensor == looked_up && facts.last_read[tensor] == cut {
        true => Aside::Turns,
        false => Aside::Values,
    };
    read_later.map(|tensor| (tensor, aside(tensor))).collect()
}

/// Bytes that are put aside at a cut.
pub(crate) fn put_aside_bytes(chain: &Chain, facts: &Facts, set: BootstrapSet, cut: usize) -> u64 {
    let bytes = |(tensor, aside): (usize, Aside)| aside.bytes(set, facts.shapes[tensor].len()) as u64;
    put_aside(chain, facts, cut).into_iter().map(bytes).sum()
}

/// Refuses cuts that a chain cannot be taken up again behind.
pub(crate) fn check(chain: &Chain, facts: &Facts, set: BootstrapSet) -> Result<(), (usize, ChainError)> {
    let (found, limit) = (chain.cuts.len() + 1, Chain::SEGMENT_LIMIT);
    if found > limit {
        return Err((0, ChainError::Segments { found, limit }));
    }
    let mut before = 0;
    for cut in &chain.cuts {
        if *cut <= before {
            return Err((usize::from(*cut), ChainError::CutOrder));
        }
        before = *cut;
        check_one(chain, facts, set, usize::from(*cut)).map_err(|error| (usize::from(*cut), error))?;
    }
    Ok(())
}

/// Refuses a cut in front of another step than a lookup, where the first sums are still read, or of too many bytes.
fn check_one(chain: &Chain, facts: &Facts, set: BootstrapSet, cut: usize) -> Result<(), ChainError> {
    if !matches!(chain.steps.get(cut), Some(Step::Lookup { .. })) {
        return Err(ChainError::CutStep);
    }
    if facts.last_read[ChainIndex::SUMS.place()] >= cut {
        return Err(ChainError::CutSums);
    }
    let (found, limit) = (put_aside_bytes(chain, facts, set, cut), Chain::STATE_LIMIT_BYTES as u64);
    if found > limit { Err(ChainError::TooMuch { what: "bytes put aside at a cut", found, limit }) } else { Ok(()) }
}

/// Why a chain cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uncut {
    /// However it is cut, the step brings its segment to so many bootstraps.
    Step { step: usize, found: u64 },
    /// It would have more segments than a chain may have.
    Segments { bootstraps: u64 },
}

/// The best way to a place between two steps, compared in this order, and the place before.
#[derive(Clone, Copy)]
struct Way {
    segments: usize,
    bytes: u64,
    most_bootstraps: u64,
    from: usize,
}

impl Way {
    fn is_better_than(self, other: Self) -> bool {
        let key = |way: Self| (way.segments, way.bytes, way.most_bootstraps);
        key(self) < key(other)
    }
}

/// Steps in front of which a chain is cut so that no segment has more than `limit` bootstraps: as few as will do, of
/// those the ones that put the fewest bytes aside, and of those the ones whose longest segment is the shortest.
pub(crate) fn cuts(chain: &Chain, facts: &Facts, set: BootstrapSet, limit: u32) -> Result<Vec<u16>, Uncut> {
    let bootstraps = |step: usize| match &chain.steps[step] {
        Step::Lookup { of, .. } => facts.shapes[of.place()].len() as u64,
        _ => 0,
    };
    let end = chain.steps.len();
    let mut ways: Vec<Option<Way>> = vec![Some(Way { segments: 0, bytes: 0, most_bootstraps: 0, from: 0 })];
    for place in 1..=end {
        let may_end = place == end || check_one(chain, facts, set, place).is_ok();
        let bytes = if place == end { 0 } else { put_aside_bytes(chain, facts, set, place) };
        let mut best: Option<Way> = None;
        let mut found = 0;
        for from in (0..place).rev() {
            found += bootstraps(from);
            if !may_end || found > u64::from(limit) {
                break;
            }
            let Some(before) = ways[from] else { continue };
            let (segments, bytes) = (before.segments + 1, before.bytes + bytes);
            let way = Way { segments, bytes, most_bootstraps: found.max(before.most_bootstraps), from };
            if best.is_none_or(|best| way.is_better_than(best)) {
                best = Some(way);
            }
        }
        ways.push(best);
    }
    match ways[end] {
        None => Err(breaking_step(&ways, bootstraps, limit)),
        Some(way) if way.segments > Chain::SEGMENT_LIMIT => {
            Err(Uncut::Segments { bootstraps: (0..end).map(bootstraps).sum() })
        }
        Some(_) => Ok(path(&ways)),
    }
}

/// The places of the best way to the end.
fn path(ways: &[Option<Way>]) -> Vec<u16> {
    let mut cuts = Vec::new();
    let mut at = ways.len() - 1;
    while let Some(way) = ways[at].filter(|way| way.from > 0) {
        cuts.push(way.from as u16);
        at = way.from;
    }
    cuts.reverse();
    cuts
}

/// The first step that is too much for a segment from the last place that can be reached.
fn breaking_step(ways: &[Option<Way>], bootstraps: impl Fn(usize) -> u64, limit: u32) -> Uncut {
    let from = ways.iter().rposition(Option::is_some).unwrap_or(0);
    let mut found = 0;
    for step in from..ways.len() - 1 {
        found += bootstraps(step);
        if found > u64::from(limit) {
            return Uncut::Step { step, found };
        }
    }
    Uncut::Step { step: from, found }
}
