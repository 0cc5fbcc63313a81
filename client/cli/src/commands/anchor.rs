//! `encompute worker anchor`: a worker's account that is a contract. Its owner stakes; the worker needs no money.

use crate::{
    args::{Common, Identity},
    context::Context,
    deployment::parse_address,
    failure::{Doing, Exit, Failure, Outcome, exit_of_chain},
    output,
};
use clap::{Args, Subcommand};
use codec::Encode;
use encompute_chain::{Account, OtherCall, OtherError};
use encompute_protocol::{
    Address, ContractAddress, Plancks,
    call::{AddStake, AskStake, Call, TakeStake},
};
use encompute_rollup::{
    RollupError,
    call::{ActAsWorker, AnchorCall, AnchorRecord, CONSTRUCTOR, DropKey, NameKey, Withdraw, answer},
};
use serde_json::json;

/// The code that the test suite rebuilds and compares.
pub const CODE: &[u8] = include_bytes!("../../../../contracts/anchor/artifacts/anchor.polkavm");

/// An anchor: a worker's account that speaks the off-chain rollup protocol, so that the worker needs no money
#[derive(Subcommand)]
pub enum Anchor {
    /// Deploys one and puts the stake of its worker into it
    #[command(after_help = "Examples:\n  encompute worker anchor new 50 --suri //Bob")]
    New(New),
    /// Names the key of its worker, as `encompute-worker key` prints it
    #[command(
        after_help = "Examples:\n  encompute worker anchor name 0x5fbdb2315678afecb367f032d93f642f64180aa3 0x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798 --suri //Bob"
    )]
    Name(OfKey),
    /// Takes a key's name away: what it signed before holds no more
    #[command(
        after_help = "Examples:\n  encompute worker anchor drop 0x5fbdb2315678afecb367f032d93f642f64180aa3 0x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798 --suri //Bob"
    )]
    Drop(OfKey),
    /// Adds to the stake of its registered worker
    #[command(
        after_help = "Examples:\n  encompute worker anchor add 0x5fbdb2315678afecb367f032d93f642f64180aa3 20 --suri //Bob"
    )]
    Add(Amount),
    /// Asks some of the stake back
    #[command(
        after_help = "Examples:\n  encompute worker anchor ask 0x5fbdb2315678afecb367f032d93f642f64180aa3 20 --suri //Bob"
    )]
    Ask(Amount),
    /// Takes what was asked back, once its time has come, and what else the anchor holds
    #[command(
        after_help = "Examples:\n  encompute worker anchor take 0x5fbdb2315678afecb367f032d93f642f64180aa3 --suri //Bob"
    )]
    Take(Of),
}

/// How to make one.
#[derive(Args)]
pub struct New {
    /// Stake, in the network's token: the contract's floor and a job's stake for each place
    stake: String,
    /// Who is credited for its jobs, for good [default: whoever signs]
    #[arg(long, value_name = "ADDRESS|//NAME")]
    payout: Option<String>,
    /// Who signs, and owns it
    #[command(flatten)]
    identity: Identity,
}

/// One's own anchor.
#[derive(Args)]
pub struct Of {
    /// The anchor
    anchor: ContractAddress,
    /// Its owner
    #[command(flatten)]
    identity: Identity,
}

/// A key of an anchor's worker.
#[derive(Args)]
pub struct OfKey {
    /// The anchor
    anchor: ContractAddress,
    /// The key: 0x and 66 hexadecimal digits
    key: String,
    /// Its owner
    #[command(flatten)]
    identity: Identity,
}

/// How much.
#[derive(Args)]
pub struct Amount {
    /// The anchor
    anchor: ContractAddress,
    /// In the network's token
    amount: String,
    /// Its owner
    #[command(flatten)]
    identity: Identity,
}

impl Anchor {
    /// Runs it.
    ///
    /// # Errors
    /// When chain, anchor or market refuse; nothing has moved then.
    pub async fn run(self, context: &Context, common: &Common) -> Outcome {
        match self {
            Self::New(New { stake, payout, identity }) => {
                let stake = context.amount("the stake", &stake)?;
                let account = context.account(&identity).await?;
                let payout = payout.as_deref().map(parse_address).transpose()?.unwrap_or(account.address());
                let anchor = deploy(&account, payout, stake).await?;
                if common.json {
                    return output::json(&json!({ "anchor": anchor.to_string(), "payout": payout.to_string() }));
                }
                output::text(&format!("anchor {anchor}, with {}", context.token().show(stake)))
            }
            Self::Name(OfKey { anchor, key, identity }) => {
                let (key, account) = (parse_key(&key)?, context.account(&identity).await?);
                name(&account, anchor, key).await
            }
            Self::Drop(OfKey { anchor, key, identity }) => {
                let from = encompute_rollup::ForwardRequest::sender(&parse_key(&key)?);
                let account = context.account(&identity).await?;
                told(&account, anchor, &DropKey { from }, Plancks::ZERO).await
            }
            Self::Add(Amount { anchor, amount, identity }) => {
                let (value, account) = (context.amount("the stake", &amount)?, context.account(&identity).await?);
                told(&account, anchor, &ActAsWorker { message: AddStake {}.calldata() }, value).await
            }
            Self::Ask(Amount { anchor, amount, identity }) => {
                let amount = context.amount("the stake to ask back", &amount)?;
                let (account, message) = (context.account(&identity).await?, AskStake { amount }.calldata());
                told(&account, anchor, &ActAsWorker { message }, Plancks::ZERO).await
            }
            Self::Take(Of { anchor, identity }) => {
                let (account, message) = (context.account(&identity).await?, TakeStake {}.calldata());
                told(&account, anchor, &ActAsWorker { message }, Plancks::ZERO).await?;
                told(&account, anchor, &Withdraw {}, Plancks::ZERO).await
            }
        }
    }
}

/// Deploys an anchor that `account` owns.
///
/// # Errors
/// As the chain refuses.
pub async fn deploy(account: &Account, payout: Address, stake: Plancks) -> Outcome<ContractAddress> {
    let market = account.client().contract();
    let market = market.ok_or_else(|| Failure::new(Exit::Usage, "the network names no contract"))?;
    let record = AnchorRecord { owner: account.address(), payout, market, genesis: account.client().genesis() };
    let deployed = account.deploy(CODE.to_vec(), (CONSTRUCTOR.0, record).encode(), stake, None).await;
    let deployed = deployed.map_err(|error| Failure::of(exit_of_chain(error.class()), "deploy the anchor", &error))?;
    Ok(deployed.answer)
}

/// Names a worker's key.
///
/// # Errors
/// As anchor and chain refuse.
pub async fn name(account: &Account, anchor: ContractAddress, key: [u8; 33]) -> Outcome {
    told(account, anchor, &NameKey { key }, Plancks::ZERO).await
}

/// A compressed key in hexadecimal digits.
///
/// # Errors
/// Usage.
pub fn parse_key(text: &str) -> Outcome<[u8; 33]> {
    let bytes = hex::decode(text.trim().trim_start_matches("0x")).doing(Exit::Usage, "read the key")?;
    bytes.try_into().map_err(|_| Failure::new(Exit::Usage, "a compressed key has 33 bytes"))
}

async fn told<C, T>(account: &Account, anchor: ContractAddress, call: &C, value: Plancks) -> Outcome
where
    C: AnchorCall<Answer = Result<T, RollupError>>,
{
    let other = OtherCall { contract: anchor, message: C::NAME, calldata: call.calldata() };
    match account.call(&other, value).await {
        Ok(_) => Ok(()),
        Err(OtherError::Submit(error)) => Err(Failure::of(exit_of_chain(error.class()), "call the anchor", &error)),
        Err(error) => match &error {
            OtherError::Refused { data, .. } => match answer::<C>(data) {
                Some(Err(refused)) => Err(Failure::of(Exit::Failed, "call the anchor", &refused)),
                _ => Err(Failure::of(Exit::Failed, "call the anchor", &error)),
            },
            _ => Err(Failure::of(Exit::Failed, "call the anchor", &error)),
        },
    }
}
