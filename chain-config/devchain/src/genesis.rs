//! Block 0: who owns what before the first transaction.

use crate::{
    runtime::{
        AccountId, Balance, BalancesConfig, BlockNumber, EXPLICIT_MAPPING_KEY, Hash, Header, RuntimeGenesisConfig, UNIT,
    },
    state::{Overlay, State},
    store::{Store, StoreError, StoredBlock},
};
use codec::{Decode, Encode};
use sp_core::storage::{StateVersion, Storage};
use sp_runtime::{BuildStorage, traits::BlakeTwo256};
use sp_state_machine::BackendTransaction;
use sp_trie::{LayoutV1, TrieConfiguration};
use std::collections::BTreeMap;

const ENDOWMENTS_KEY: &str = "endowments";
const MAPPING_KEY: &str = "explicit-mapping";
const SPEC_VERSION_KEY: &str = "spec-version";

/// What each development account owns at genesis: a million UNIT.
pub const DEV_ENDOWMENT: Balance = 1_000_000 * UNIT;

/// The well-known sr25519 development accounts `//Alice` … `//Ferdie`. Their secret keys are public.
pub const DEV_ACCOUNTS: [(&str, [u8; 32]); 6] = [
    ("Alice", hex_bytes(b"d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d")),
    ("Bob", hex_bytes(b"8eaf04151687736326c9fea17e25fc5287613693c912909cb226aa4794f26a48")),
    ("Charlie", hex_bytes(b"90b5ab205c6974c9ea841be688864633dc9ca8a357843eeacf2314649965fe22")),
    ("Dave", hex_bytes(b"306721211d5404bd9da88e0204360a1a9ab8b87c66c1bc2fcdd37f3c2222cc20")),
    ("Eve", hex_bytes(b"e659a7a1628cdd93febc04a4e0646ea20e9f5f0ce097d9a05290d4a9e054df4e")),
    ("Ferdie", hex_bytes(b"1cbd2d43530a44705ad088af313e18f80b53ef16b36177cd4b77b846f2a5f07c")),
];

/// The well-known development keys of Ethereum's kind, Alith to Faith: keys 0 to 5 of the same phrase, derived as
/// Ethereum's wallets do (m/44'/60'/0'/0/N). Their secret keys are public, too, and each owns as much.
pub const ETHEREUM_DEV_ACCOUNTS: [(&str, [u8; 20]); 6] = [
    ("Alith", hex_bytes(b"f24ff3a9cf04c71dbc94d0b566f7a27b94566cac")),
    ("Baltathar", hex_bytes(b"3cd0a705a2dc65e5b1e1205896baa2be8a07c6e0")),
    ("Charleth", hex_bytes(b"798d4ba9baf0064ec19eb4f0a1a45785ae9d6dfc")),
    ("Dorothy", hex_bytes(b"773539d4ac0e786233d90a233654ccee26a613d9")),
    ("Ethan", hex_bytes(b"ff64d3f6efe2317ee2807d223a0bdc4c0c49dfdb")),
    ("Faith", hex_bytes(b"c0f0f4ab324c46e55d02d0033343b4be8a55532d")),
];

/// Accounts and what they own at genesis. An account named twice owns the sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Endowments(BTreeMap<[u8; 32], Balance>);

/// Genesis could not be made, or the folder holds another one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The runtime refused the endowments.
    #[error("the runtime refuses the genesis endowments: {0}")]
    Refused(String),
    /// The folder's chain was started with other endowments.
    #[error("the state folder holds a chain that began with other endowments than asked for now")]
    OtherEndowments,
    /// The folder's chain maps accounts by itself.
    #[error("the state folder holds a chain that maps accounts by itself, and one that does not was asked for")]
    OtherMapping,
    /// The folder's chain was executed by another runtime.
    #[error("the state folder was written by runtime version {found:?}, this program runs version {supported}")]
    OtherRuntime {
        /// What the folder says, if anything readable.
        found: Option<u32>,
        /// What this program runs.
        supported: u32,
    },
}

impl Endowments {
    /// The development accounts and nothing else.
    #[must_use]
    pub fn development() -> Self {
        let mut endowments = Self::default();
        for (_, account) in DEV_ACCOUNTS {
            endowments.add(AccountId::new(account), DEV_ENDOWMENT);
        }
        for (_, address) in ETHEREUM_DEV_ACCOUNTS {
            endowments.add(account_of(address), DEV_ENDOWMENT);
        }
        endowments
    }

    /// Gives `account` `plancks` more.
    pub fn add(&mut self, account: AccountId, plancks: Balance) {
        let owned = self.0.entry(account.into()).or_default();
        *owned = owned.saturating_add(plancks);
    }

    fn pairs(&self) -> Vec<(AccountId, Balance)> {
        self.0.iter().map(|(account, plancks)| (AccountId::new(*account), *plancks)).collect()
    }
}

/// Under which account the chain keeps the money of an Ethereum address: its 20 bytes and twelve times 0xee.
fn account_of(address: [u8; 20]) -> AccountId {
    let mut bytes = [0xee; 32];
    bytes[..20].copy_from_slice(&address);
    AccountId::new(bytes)
}

/// Writes genesis into an empty store, or checks that a used one began the same way and under the same runtime.
pub(crate) fn ensure(store: &Store, asked: Option<&Endowments>, explicit_mapping: bool) -> Result<(), GenesisError> {
    let supported = crate::runtime::VERSION.spec_version;
    let reader = store.reader()?;
    if reader.newest()?.is_none() {
        drop(reader);
        let endowments = asked.cloned().unwrap_or_else(Endowments::development);
        // Facts first: a crash between the two leaves an empty chain, which the next start fills.
        store.note(ENDOWMENTS_KEY, &endowments.encode())?;
        store.note(SPEC_VERSION_KEY, &supported.encode())?;
        store.note(MAPPING_KEY, &explicit_mapping.encode())?;
        return write_genesis(store, &endowments, explicit_mapping);
    }
    let found = reader.noted(SPEC_VERSION_KEY)?.and_then(|bytes| u32::decode(&mut bytes.as_slice()).ok());
    if found != Some(supported) {
        return Err(GenesisError::OtherRuntime { found, supported });
    }
    if explicit_mapping && reader.noted(MAPPING_KEY)? != Some(true.encode()) {
        return Err(GenesisError::OtherMapping);
    }
    let began_with = reader.noted(ENDOWMENTS_KEY)?;
    match asked {
        Some(asked) if began_with.as_deref() != Some(asked.encode().as_slice()) => Err(GenesisError::OtherEndowments),
        _ => Ok(()),
    }
}

fn write_genesis(store: &Store, endowments: &Endowments, explicit_mapping: bool) -> Result<(), GenesisError> {
    let config = RuntimeGenesisConfig {
        balances: BalancesConfig { balances: endowments.pairs(), dev_accounts: None },
        ..Default::default()
    };
    let mut storage = Storage::default();
    if explicit_mapping {
        storage.top.insert(EXPLICIT_MAPPING_KEY.to_vec(), vec![1]);
    }
    config.assimilate_storage(&mut storage).map_err(GenesisError::Refused)?;
    let mut overlay = Overlay::default();
    for (key, value) in storage.top {
        overlay.set_storage(key, Some(value));
    }
    for child in storage.children_default.values() {
        for (key, value) in &child.data {
            overlay.set_child_storage(&child.child_info, key.clone(), Some(value.clone()));
        }
    }
    let empty = State::new(store.reader()?.into_nodes(), LayoutV1::<BlakeTwo256>::trie_root::<_, Vec<u8>, Vec<u8>>([]));
    let (root, nodes) = drain(&mut overlay, &empty).map_err(GenesisError::Refused)?;
    let header = Header {
        parent_hash: Hash::zero(),
        number: BlockNumber::MIN,
        state_root: root,
        extrinsics_root: LayoutV1::<BlakeTwo256>::ordered_trie_root::<_, Vec<u8>>([]),
        digest: Default::default(),
    };
    Ok(store.add_block(&StoredBlock { header, body: Vec::new() }, nodes, true)?)
}

/// The new root and the trie nodes that `overlay` makes on top of `state`.
pub(crate) fn drain(overlay: &mut Overlay, state: &State) -> Result<(Hash, BackendTransaction<BlakeTwo256>), String> {
    let changes = overlay.drain_storage_changes(state.backend(), StateVersion::V1)?;
    Ok((changes.transaction_storage_root, changes.transaction))
}

const fn hex_bytes<const DIGITS: usize, const BYTES: usize>(text: &[u8; DIGITS]) -> [u8; BYTES] {
    assert!(DIGITS == 2 * BYTES, "two digits a byte");
    let mut bytes = [0; BYTES];
    let mut at = 0;
    while at < BYTES {
        bytes[at] = nibble(text[2 * at]) << 4 | nibble(text[2 * at + 1]);
        at += 1;
    }
    bytes
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bip32::{DerivationPath, XPrv};
    use pallet_revive::evm::Account;
    use sp_core::{Pair, sr25519};
    use subxt_signer::{DEV_PHRASE, bip39::Mnemonic};

    #[test]
    fn the_development_accounts_are_the_well_known_keys() {
        for (name, account) in DEV_ACCOUNTS {
            let pair = sr25519::Pair::from_string(&format!("//{name}"), None).unwrap();
            assert_eq!(pair.public().0, account, "{name}");
        }
    }

    #[test]
    fn the_ethereum_development_accounts_are_what_a_wallet_derives_from_the_same_phrase() {
        let seed = DEV_PHRASE.parse::<Mnemonic>().unwrap().to_seed("");
        for (index, (name, address)) in ETHEREUM_DEV_ACCOUNTS.into_iter().enumerate() {
            let path: DerivationPath = format!("m/44'/60'/0'/0/{index}").parse().unwrap();
            let key = XPrv::derive_from_path(seed, &path).unwrap();
            assert_eq!(Account::from_secret_key(key.to_bytes()).address().0, address, "{name}");
        }
    }
}
