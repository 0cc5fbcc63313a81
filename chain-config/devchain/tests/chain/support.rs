//! What the tests share: one chain for all that only use it, clients, and calls.

use encompute_devchain::{Config, DevChain, Running};
use std::{collections::BTreeSet, sync::LazyLock};
use subxt::{
    OnlineClient, SubstrateConfig,
    config::SubstrateExtrinsicParamsBuilder,
    dynamic::{self, Value},
    ext::scale_value::Composite,
    rpcs::RpcClient,
    tx::DynamicPayload,
};
use subxt_signer::sr25519::Keypair;

pub type Client = OnlineClient<SubstrateConfig>;
pub type Params = <<SubstrateConfig as subxt::Config>::TransactionExtensions as subxt::config::TransactionExtensions<
    SubstrateConfig,
>>::Params;

pub const UNIT: u128 = 1_000_000_000_000;

/// Used by every test that neither counts methods nor stops it.
static SHARED: LazyLock<Running> = LazyLock::new(|| DevChain::start(Config::in_memory()).unwrap());

pub fn shared() -> &'static Running {
    &SHARED
}

pub async fn client(chain: &Running) -> Client {
    Client::from_insecure_url(chain.url()).await.unwrap()
}

pub async fn raw(chain: &Running) -> RpcClient {
    RpcClient::from_insecure_url(chain.url()).await.unwrap()
}

pub fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test)
}

pub fn transfer(to: &Keypair, plancks: u128) -> DynamicPayload<Composite<()>> {
    let to = Value::unnamed_variant("Id", [Value::from_bytes(to.public_key().0)]);
    dynamic::tx("Balances", "transfer_keep_alive", Composite::unnamed([to, Value::u128(plancks)]))
}

pub fn with_nonce(nonce: u64) -> Params {
    SubstrateExtrinsicParamsBuilder::new().nonce(nonce).mortal(1024).build()
}

/// Free balance at the newest block.
pub async fn balance(client: &Client, account: &Keypair) -> u128 {
    balance_at(&client.at_current_block().await.unwrap(), account).await
}

pub type AtBlock = subxt::OnlineClientAtBlock<SubstrateConfig>;

pub async fn balance_at(at: &AtBlock, account: &Keypair) -> u128 {
    use subxt::dynamic::At;
    let entry = dynamic::storage::<([u8; 32],), Value>("System", "Account");
    let value = at.storage().fetch(entry, (account.public_key().0,)).await.unwrap().decode().unwrap();
    value.at("data").and_then(|data| data.at("free")).and_then(|free| free.as_u128()).unwrap()
}

/// The methods called so far, but for those that end a subscription: whether a client still sends one when the server
/// has ended it already is a matter of microseconds.
pub fn called_methods(chain: &Running) -> BTreeSet<String> {
    let ends = |name: &String| name.contains("_unsubscribe") || name.contains("_unwatch");
    chain.method_counts().snapshot().into_keys().filter(|name| !ends(name)).collect()
}
