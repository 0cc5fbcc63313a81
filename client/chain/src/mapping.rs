//! Accounts of contracts: pallet-revive names callers by 20 bytes of their 32, and has to know the way back.
//!
//! Chains that map every account by themselves have nothing to do here. On others an account that was never mapped can
//! call nothing, and what a contract pays to its 20 bytes does not arrive at its 32. Trying a call does not show it: the
//! node maps whoever tries.

use crate::{
    account::{Account, Submitted},
    account_id::AccountId,
    client::Client,
    error::{ReadError, SubmitError},
};
use subxt::dynamic::{self, Value};

const MESSAGE: &str = "map_account";

/// What came of mapping an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// It was mapped before; nothing was sent.
    Known,
    /// It is mapped now. Its deposit is held until it is unmapped.
    Made(Submitted<()>),
}

impl Client {
    /// True where contracts know the account, at the last finalized block: it may call them and be paid by them.
    ///
    /// # Errors
    /// [`ReadError::Fault`].
    pub async fn is_mapped(&self, account: &AccountId) -> Result<bool, ReadError> {
        const WHAT: &str = "say whether an account is mapped";
        if account.is_of_an_address() {
            return Ok(true);
        }
        self.within(WHAT, async {
            let at = self.at_head().await?;
            let address = dynamic::storage::<([u8; 20],), Value<()>>("Revive", "OriginalAccount");
            match at.storage().try_fetch(address, (account.address().0,)).await {
                Ok(found) => Ok(found.is_some()),
                Err(error) => Err(self.fault(WHAT, error).await.into()),
            }
        })
        .await
    }

    /// True for a chain that maps every account when it comes into being. Runtimes that do not say so do not.
    async fn maps_by_itself(&self) -> Result<bool, ReadError> {
        self.within("describe its chain", async {
            let at = self.at_head().await?;
            Ok(at.constants().entry(dynamic::constant::<bool>("Revive", "AutoMap")).unwrap_or(false))
        })
        .await
    }
}

impl Account {
    /// Makes contracts know the account, unless they do. Costs a fee, and a deposit for 52 bytes and an item.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn map(&self) -> Result<Mapping, SubmitError> {
        if self.client().is_mapped(&self.id()).await? {
            return Ok(Mapping::Known);
        }
        let included = self.send(&dynamic::transaction("Revive", MESSAGE, Vec::<Value<()>>::new())).await?;
        match included.succeeded(MESSAGE) {
            Ok(mapped) => Ok(Mapping::Made(mapped)),
            // Another program of the same account was first.
            Err(SubmitError::Overtaken { .. }) if self.client().is_mapped(&self.id()).await? => Ok(Mapping::Known),
            Err(error) => Err(error),
        }
    }

    /// What goes before everything that is sent to a contract. Asked once in the life of the account and its clones.
    pub(crate) async fn ensure_mapped(&self) -> Result<(), SubmitError> {
        let mapping = self.mapped.get_or_try_init(|| async {
            // Where accounts are mapped as they come into being, one that is not has no money: mapping it would only
            // hide that.
            if self.client().is_mapped(&self.id()).await? || self.client().maps_by_itself().await? {
                return Ok(());
            }
            if let Mapping::Made(mapped) = self.map().await? {
                tracing::info!(account = %self.id(), block = mapped.block.number.0, fee = %mapped.fee, "mapped for contracts");
            }
            Ok::<_, SubmitError>(())
        });
        mapping.await.copied()
    }
}
