//! The tree over a session's jobs: as RFC 6962 shapes it, so that each voucher's goes on from the one before.

use super::{SessionLeaf, SessionRoot};
use crate::digest::keccak_256;
use alloc::vec::Vec;
use codec::{Decode, Encode};

/// Domain of a leaf's hash.
pub const LEAF_TAG: &[u8] = b"encompute/session-leaf/v1";
/// Domain of a node's hash: over its left and its right child.
pub const NODE_TAG: &[u8] = b"encompute/session-node/v1";

/// A leaf or node.
pub type TreeHash = [u8; 32];

/// Keccak-256(tag ‖ SCALE(leaf)).
pub fn leaf_hash(leaf: &SessionLeaf) -> TreeHash {
    keccak_256(&[LEAF_TAG, &leaf.encode()])
}

fn node(left: &TreeHash, right: &TreeHash) -> TreeHash {
    keccak_256(&[NODE_TAG, left, right])
}

/// A tree that grows: its complete subtrees, the largest first. Twenty hashes hold a million jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct SessionTree {
    count: u32,
    peaks: Vec<TreeHash>,
}

impl SessionTree {
    /// The tree over these leaves.
    pub fn of<'a>(leaves: impl IntoIterator<Item = &'a SessionLeaf>) -> Self {
        let mut tree = Self::default();
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }

    /// How many leaves there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: &SessionLeaf) {
        let mut hash = leaf_hash(leaf);
        // A subtree of each size that is full on the right is joined with the new one.
        for _ in 0..self.count.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.count = self.count.saturating_add(1);
    }

    /// The root; zero without leaves.
    pub fn root(&self) -> SessionRoot {
        let mut peaks = self.peaks.iter().rev();
        let last = peaks.next().copied().unwrap_or_default();
        SessionRoot(peaks.fold(last, |right, left| node(left, &right)))
    }
}

/// Where a tree of `count` > 1 leaves is cut: the largest power of two below it.
fn cut(count: usize) -> usize {
    1 << (usize::BITS - 1 - (count - 1).leading_zeros())
}

fn root_of(hashes: &[TreeHash]) -> TreeHash {
    match hashes {
        [] => TreeHash::default(),
        [only] => *only,
        _ => {
            let (left, right) = hashes.split_at(cut(hashes.len()));
            node(&root_of(left), &root_of(right))
        }
    }
}

/// What shows that a leaf is in a tree: the sisters on its way up, the lowest first.
pub fn path(leaves: &[SessionLeaf], index: u32) -> Option<Vec<TreeHash>> {
    let hashes: Vec<_> = leaves.iter().map(leaf_hash).collect();
    let (mut of, mut at) = (hashes.as_slice(), usize::try_from(index).ok().filter(|at| *at < leaves.len())?);
    let mut path = Vec::new();
    while of.len() > 1 {
        let (left, right) = of.split_at(cut(of.len()));
        let sister;
        (of, sister) = if at < left.len() {
            (left, right)
        } else {
            at -= left.len();
            (right, left)
        };
        path.push(root_of(sister));
    }
    path.reverse();
    Some(path)
}

/// The root of the tree of `count` leaves in which `leaf` is the one of `index` and `path` its way up; `None` where no
/// tree of that size has such a path.
pub fn root_by(leaf: &SessionLeaf, index: u32, count: u32, path: &[TreeHash]) -> Option<SessionRoot> {
    let (mut size, mut at) = (usize::try_from(count).ok()?, usize::try_from(index).ok()?);
    if at >= size {
        return None;
    }
    // True where the leaf is in the left part, from the top down.
    let mut turns = Vec::new();
    while size > 1 {
        let left = cut(size);
        let in_left = at < left;
        turns.push(in_left);
        (size, at) = if in_left { (left, at) } else { (size - left, at - left) };
    }
    if turns.len() != path.len() {
        return None;
    }
    let steps = turns.iter().rev().zip(path);
    let root = steps.fold(leaf_hash(leaf), |hash, (in_left, sister)| match in_left {
        true => node(&hash, sister),
        false => node(sister, &hash),
    });
    Some(SessionRoot(root))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{BlobDigest, JobId, ReceiptDigest, session::SessionOutcome};

    fn leaves(count: u32) -> Vec<SessionLeaf> {
        let leaf = |index: u32| SessionLeaf {
            job: JobId(u64::from(index) + 7),
            input: BlobDigest::of(&index.to_le_bytes()),
            receipt: ReceiptDigest([1; 32]),
            features: BlobDigest([2; 32]),
            result: BlobDigest([3; 32]),
            outcome: SessionOutcome::Settled,
        };
        (0..count).map(leaf).collect()
    }

    #[test]
    fn a_tree_that_grows_is_the_tree_over_all_its_leaves() {
        let all = leaves(67);
        let mut tree = SessionTree::default();
        assert_eq!(tree.root(), SessionRoot::default());
        for count in 1..=all.len() {
            tree.push(&all[count - 1]);
            let hashes: Vec<_> = all[..count].iter().map(leaf_hash).collect();
            assert_eq!(tree.root().0, root_of(&hashes), "{count} leaves");
        }
    }

    #[test]
    fn every_leaf_of_every_tree_has_a_way_up_and_no_other_leaf_takes_it() {
        for count in 1..=33 {
            let all = leaves(count);
            let root = SessionTree::of(&all).root();
            for index in 0..count {
                let leaf = &all[index as usize];
                let way = path(&all, index).unwrap();
                assert_eq!(root_by(leaf, index, count, &way), Some(root));
                let other = SessionLeaf { outcome: SessionOutcome::Refunded, ..*leaf };
                assert_ne!(root_by(&other, index, count, &way), Some(root));
                if count > 1 {
                    let beside = (index + 1) % count;
                    assert_ne!(root_by(leaf, beside, count, &way), Some(root), "{index} of {count} taken for {beside}");
                }
            }
        }
    }

    #[test]
    fn a_way_that_is_too_short_or_too_long_or_for_no_leaf_leads_nowhere() {
        let all = leaves(5);
        let way = path(&all, 2).unwrap();
        assert_eq!(root_by(&all[2], 2, 5, &way[1..]), None);
        assert_eq!(root_by(&all[2], 2, 5, &[way.as_slice(), &[[0; 32]]].concat()), None);
        assert_eq!(root_by(&all[2], 5, 5, &way), None);
        assert_eq!(path(&all, 5), None);
    }
}
