//! What has been done in a session so far: counted by the user, who signs it, and by those who are paid by it.

use super::{SessionLeaf, SignedVoucher, Voucher, tree::SessionTree};
use crate::{ContractAddress, GenesisHash, JobId, SessionId, SigningAddress};
use codec::{Decode, Encode};
use core::fmt;

/// Which session vouchers are of, and whose key signs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SessionName {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The session.
    pub session: SessionId,
    /// Signs its vouchers.
    pub key: SigningAddress,
    /// Jobs at most.
    pub jobs: u32,
}

/// The jobs of a session that are over, and the last voucher.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SessionCount {
    name: SessionName,
    tree: SessionTree,
    heads: u32,
    tails: u32,
    voucher: Option<SignedVoucher>,
}

/// A voucher that is not taken; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VoucherRefused {
    /// For another job than the next one.
    Job {
        /// Job named.
        found: JobId,
        /// The one that is next.
        wanted: Option<JobId>,
    },
    /// It is not what the jobs before and this one come to.
    Count {
        /// What it says.
        found: Voucher,
        /// What it should say.
        wanted: Voucher,
    },
    /// Not signed by the session's key.
    Signature,
}

impl fmt::Display for VoucherRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job { found, wanted: Some(wanted) } => write!(f, "the voucher is for job {found}, {wanted} is next"),
            Self::Job { found, wanted: None } => write!(f, "the voucher is for job {found}, all jobs are over"),
            Self::Count { found, wanted } => write!(
                f,
                "the voucher is for {} heads and {} tails of {} jobs under {}, it should be for {} and {} of {} under {}",
                found.heads, found.tails, found.done, found.root, wanted.heads, wanted.tails, wanted.done, wanted.root
            ),
            Self::Signature => f.write_str("the voucher is not signed by the session's key"),
        }
    }
}

impl core::error::Error for VoucherRefused {}

impl SessionCount {
    /// Nothing has been done.
    pub fn new(name: SessionName) -> Self {
        Self { name, tree: SessionTree::default(), heads: 0, tails: 0, voucher: None }
    }

    /// Which session it is of.
    pub fn name(&self) -> &SessionName {
        &self.name
    }

    /// Jobs that are over.
    pub fn done(&self) -> u32 {
        self.tree.count()
    }

    /// The next job; none once all are over.
    pub fn next(&self) -> Option<JobId> {
        if self.done() < self.name.jobs { self.name.session.job(self.done()) } else { None }
    }

    /// The last voucher; none before the first job is over.
    pub fn voucher(&self) -> Option<&SignedVoucher> {
        self.voucher.as_ref()
    }

    /// What is to be signed now: over all jobs that are over.
    pub fn present(&self) -> Voucher {
        let SessionName { genesis, contract, session, .. } = self.name;
        let (done, heads, tails, root) = (self.done(), self.heads, self.tails, self.tree.root());
        Voucher { genesis, contract, session, done, heads, tails, root }
    }

    /// The count with one job more.
    fn with(&self, leaf: &SessionLeaf) -> Self {
        let (mut next, (heads, tails)) = (self.clone(), leaf.outcome.pays());
        next.tree.push(leaf);
        next.heads = next.heads.saturating_add(heads);
        next.tails = next.tails.saturating_add(tails);
        next
    }

    /// What is to be signed once `leaf` is over, too.
    pub fn voucher_with(&self, leaf: &SessionLeaf) -> Voucher {
        self.with(leaf).present()
    }

    /// Takes the voucher for the next job. The same one again changes nothing: its answer may have been lost.
    ///
    /// # Errors
    /// [`VoucherRefused`] by the first check that fails.
    #[cfg(feature = "signing")]
    pub fn take(&mut self, call: &super::calls::VoucherCall) -> Result<(), VoucherRefused> {
        if self.voucher == Some(call.signed) {
            return Ok(());
        }
        let (found, wanted) = (call.leaf.job, self.next());
        if Some(found) != wanted {
            return Err(VoucherRefused::Job { found, wanted });
        }
        let next = self.with(&call.leaf);
        let (found, wanted) = (call.signed.voucher, next.present());
        if found != wanted {
            return Err(VoucherRefused::Count { found, wanted });
        }
        if !call.signed.signature.is_by(&self.name.key, &found) {
            return Err(VoucherRefused::Signature);
        }
        *self = Self { voucher: Some(call.signed), ..next };
        Ok(())
    }
}

#[cfg(all(test, feature = "signing"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        BlobDigest, ReceiptDigest,
        session::{SessionOutcome, calls::VoucherCall},
        signing::SigningKey,
    };

    fn key() -> SigningKey {
        SigningKey::from_secret(&[5; 32]).unwrap()
    }

    fn a_count(jobs: u32) -> SessionCount {
        let (genesis, contract) = (GenesisHash([1; 32]), ContractAddress([2; 20]));
        SessionCount::new(SessionName { genesis, contract, session: SessionId(7), key: key().address(), jobs })
    }

    fn leaf(count: &SessionCount, outcome: SessionOutcome) -> SessionLeaf {
        let job = count.next().unwrap();
        let (input, features, result) = (BlobDigest([1; 32]), BlobDigest([2; 32]), BlobDigest([3; 32]));
        SessionLeaf { job, input, receipt: ReceiptDigest([4; 32]), features, result, outcome }
    }

    fn call(count: &SessionCount, outcome: SessionOutcome) -> VoucherCall {
        let leaf = leaf(count, outcome);
        let voucher = count.voucher_with(&leaf);
        VoucherCall { signed: SignedVoucher { voucher, signature: key().sign(&voucher) }, leaf }
    }

    #[test]
    fn jobs_are_counted_in_order_and_each_as_it_ended() {
        let mut count = a_count(3);
        for outcome in [SessionOutcome::Settled, SessionOutcome::Refunded, SessionOutcome::HeadOnly] {
            let call = call(&count, outcome);
            count.take(&call).unwrap();
            count.take(&call).unwrap();
        }
        let voucher = count.voucher().unwrap().voucher;
        assert_eq!((voucher.done, voucher.heads, voucher.tails, count.next()), (3, 2, 1, None));
        assert_eq!(voucher, count.present());
    }

    #[test]
    fn a_voucher_for_other_jobs_numbers_roots_or_by_another_key_is_not_taken() {
        let mut count = a_count(3);
        count.take(&call(&count, SessionOutcome::Settled)).unwrap();
        let before = count.clone();
        let honest = call(&count, SessionOutcome::Settled);
        let mut refused = |alter: fn(&mut VoucherCall), sign: bool| {
            let mut altered = honest;
            alter(&mut altered);
            if sign {
                altered.signed.signature = key().sign(&altered.signed.voucher);
            }
            let refused = count.take(&altered).unwrap_err();
            assert_eq!(count, before);
            refused
        };
        assert!(matches!(refused(|call| call.leaf.job.0 += 1, true), VoucherRefused::Job { .. }));
        assert!(matches!(refused(|call| call.signed.voucher.heads -= 1, true), VoucherRefused::Count { .. }));
        assert!(matches!(refused(|call| call.leaf.receipt.0[0] ^= 1, true), VoucherRefused::Count { .. }));
        assert!(matches!(refused(|call| call.signed.voucher.session.0 += 1, true), VoucherRefused::Count { .. }));
        assert_eq!(refused(|call| call.signed.signature.0[3] ^= 1, false), VoucherRefused::Signature);
    }
}
