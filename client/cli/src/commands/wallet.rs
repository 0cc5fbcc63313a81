//! `encompute wallet`: keys that sign, in encrypted files, and the money of their accounts.

use crate::{
    args::{Common, Identity},
    commands::{
        credit::{self, Withdraw},
        sponsor::{SPONSOR_HELP, Sponsor},
    },
    context::{Context, bare_home, password, under},
    ethereum_keystore,
    failure::{Doing, Exit, Failure, Outcome},
    output,
};
use bip39::Mnemonic;
use clap::{Args, Subcommand};
use encompute_chain::Signer;
use encompute_keys::{AccountLabel, KdfCost, KeyLock, Keystore, KeystoreError, WalletSecret};
use serde_json::json;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// First bytes of addresses that belong to no network in particular.
const ANY_NETWORK: u16 = 42;

/// Keys that sign, and the money of their accounts
#[derive(Subcommand)]
pub enum Wallet {
    /// Make a new key and keep it under a password
    #[command(
        after_help = "Examples:\n  encompute wallet new anna\n  encompute wallet new anna --password-file pw.txt --show-phrase\n  encompute wallet new erin --ethereum"
    )]
    New(New),
    /// Bring a key along: a phrase, a 32-byte seed, a polkadot.js JSON file, or an Ethereum wallet's phrase, key or
    /// keystore
    #[command(
        after_help = "Examples:\n  encompute wallet import anna --phrase-file words.txt\n  encompute wallet import anna --polkadot-js account.json\n  encompute wallet import erin --ethereum --phrase-file words.txt\n  encompute wallet import erin --ethereum-keystore UTC--2026.json"
    )]
    Import(Import),
    /// Show wallets and their accounts; never a key
    #[command(after_help = "Examples:\n  encompute wallet show\n  encompute wallet show anna --json")]
    Show {
        /// One wallet
        name: Option<String>,
    },
    /// What an account has, and what the contract owes it
    #[command(
        after_help = "Examples:\n  encompute wallet balance --suri //Dave\n  encompute wallet balance --wallet anna --json"
    )]
    Balance {
        /// Whose
        #[command(flatten)]
        identity: Identity,
    },
    /// Make contracts know an account, once for each chain that does not do so by itself; the first call does it, too
    #[command(
        after_help = "Examples:\n  encompute wallet map --suri //Dave\n  encompute wallet map --wallet anna --json"
    )]
    Map {
        /// Whose
        #[command(flatten)]
        identity: Identity,
    },
    /// Pay for another account's jobs, up to an amount, until you end it
    #[command(after_help = SPONSOR_HELP)]
    Sponsor(Sponsor),
    /// Take what the contract owes an account out of it: refunds, fees, shares of slashed deposits
    #[command(
        after_help = "Examples:\n  encompute wallet withdraw --suri //Dave\n  encompute wallet withdraw --wallet anna --to //Ferdie"
    )]
    Withdraw(Withdraw),
}

/// A new key.
#[derive(Args)]
pub struct New {
    /// What to call it: letters, digits, - and _
    name: String,
    /// File that holds the password, for use without a terminal
    #[arg(long, value_name = "FILE", env = "ENCOMPUTE_PASSWORD_FILE", hide_env = true)]
    password_file: Option<PathBuf>,
    /// Print the twelve words on stderr, once: whoever has them has the money
    #[arg(long)]
    show_phrase: bool,
    /// A key of Ethereum's kind; its words open the same account in any Ethereum wallet
    #[arg(long)]
    ethereum: bool,
}

/// A key from elsewhere.
#[derive(Args)]
pub struct Import {
    /// What to call it: letters, digits, - and _
    name: String,
    /// File with a phrase of 12 to 24 words, or a seed 0x… of 32 bytes
    #[arg(long, value_name = "FILE", required_unless_present_any = ["polkadot_js", "ethereum_keystore"])]
    phrase_file: Option<PathBuf>,
    /// Account file exported by polkadot.js; it keeps its own password
    #[arg(long, value_name = "FILE", conflicts_with_all = ["phrase_file", "ethereum_keystore", "ethereum"])]
    polkadot_js: Option<PathBuf>,
    /// The phrase or 0x… in --phrase-file is an Ethereum wallet's
    #[arg(long)]
    ethereum: bool,
    /// Keystore of an Ethereum wallet (version 3, scrypt); the copy is sealed anew under the same password
    #[arg(long, value_name = "FILE", conflicts_with = "phrase_file")]
    ethereum_keystore: Option<PathBuf>,
    /// File that holds the password, for use without a terminal
    #[arg(long, value_name = "FILE", env = "ENCOMPUTE_PASSWORD_FILE", hide_env = true)]
    password_file: Option<PathBuf>,
}

impl Wallet {
    /// Runs it.
    pub async fn run(self, common: &Common) -> Outcome {
        match self {
            Self::New(new) => new.run(&Shelf::of(common)?, common),
            Self::Import(import) => import.run(&Shelf::of(common)?, common),
            Self::Show { name } => show(&Shelf::of(common)?, name.as_deref(), common),
            Self::Balance { identity } => credit::balance(&Context::load(common)?, &identity, common).await,
            Self::Map { identity } => credit::map(&Context::load(common)?, &identity, common).await,
            Self::Sponsor(sponsor) => sponsor.run(&Context::load(common)?, common).await,
            Self::Withdraw(withdraw) => withdraw.run(&Context::load(common)?, common).await,
        }
    }
}

/// Where wallets lie, and how their accounts are written.
struct Shelf {
    home: PathBuf,
    ss58_prefix: u16,
}

impl Shelf {
    fn of(common: &Common) -> Outcome<Self> {
        match Context::load(common) {
            Ok(context) => {
                Ok(Self { home: context.home().to_owned(), ss58_prefix: context.network().token.ss58_prefix })
            }
            // A key needs no network. Where nobody has started one, accounts are written for any.
            Err(failure) if failure.exit == Exit::Unreachable => {
                Ok(Self { home: bare_home(common)?, ss58_prefix: ANY_NETWORK })
            }
            Err(failure) => Err(failure),
        }
    }
}

impl New {
    fn run(self, shelf: &Shelf, common: &Common) -> Outcome {
        let path = free_path(&shelf.home, &self.name)?;
        let password = new_password(self.password_file.as_deref())?;
        let secret = match self.ethereum {
            true => WalletSecret::new_ethereum_mnemonic(),
            false => WalletSecret::new_mnemonic(),
        };
        let account = store(shelf, &secret, &password, &path)?;
        if self.show_phrase
            && let WalletSecret::MnemonicEntropy(entropy) | WalletSecret::EthereumEntropy(entropy) = &secret
        {
            let phrase = phrase(entropy)?;
            output::say(&format!("Write these words down and keep them away from this machine:\n  {}", *phrase));
        }
        said(&self.name, &account, &path, common)
    }
}

impl Import {
    fn run(self, shelf: &Shelf, common: &Common) -> Outcome {
        let path = free_path(&shelf.home, &self.name)?;
        if let Some(file) = &self.polkadot_js {
            let text = std::fs::read_to_string(file).doing(Exit::NotFound, &format!("read {}", file.display()))?;
            let password = password(self.password_file.as_deref(), "Password of the file: ")?;
            let signer =
                Signer::from_json(&text, &password).doing(Exit::Failed, &format!("open {}", file.display()))?;
            write_new(&path, text.as_bytes())?;
            return said(&self.name, &label(shelf, &signer).0, &path, common);
        }
        if let Some(file) = &self.ethereum_keystore {
            let text = std::fs::read(file).doing(Exit::NotFound, &format!("read {}", file.display()))?;
            let password = password(self.password_file.as_deref(), "Password of the keystore: ")?;
            if password.is_empty() {
                return Err(Failure::new(Exit::Usage, "the password is empty"));
            }
            let secret = ethereum_keystore::open(&text, &password);
            let secret = WalletSecret::EthereumKey(*secret.doing(Exit::Failed, &format!("open {}", file.display()))?);
            let account = store(shelf, &secret, &password, &path)?;
            return said(&self.name, &account, &path, common);
        }
        let Some(file) = &self.phrase_file else {
            let words = "nothing to import: give --phrase-file, --polkadot-js or --ethereum-keystore";
            return Err(Failure::new(Exit::Usage, words));
        };
        let text = std::fs::read_to_string(file)
            .map(Zeroizing::new)
            .doing(Exit::NotFound, &format!("read {}", file.display()))?;
        let secret = secret_of(text.trim(), self.ethereum)
            .map_err(|failure| Failure { text: format!("{}: {}", file.display(), failure.text), ..failure })?;
        let password = new_password(self.password_file.as_deref())?;
        let account = store(shelf, &secret, &password, &path)?;
        said(&self.name, &account, &path, common)
    }
}

fn secret_of(text: &str, ethereum: bool) -> Outcome<WalletSecret> {
    if let Some(digits) = text.strip_prefix("0x") {
        let mut secret = Zeroizing::new([0; 32]);
        return match (hex::decode_to_slice(digits, &mut *secret), ethereum) {
            (Ok(()), true) => Ok(WalletSecret::EthereumKey(*secret)),
            (Ok(()), false) => Ok(WalletSecret::Seed(*secret)),
            (Err(_), true) => Err(Failure::new(Exit::Usage, "a key is 0x and 64 hexadecimal digits")),
            (Err(_), false) => Err(Failure::new(Exit::Usage, "a seed is 0x and 64 hexadecimal digits")),
        };
    }
    let mnemonic = Mnemonic::parse_normalized(text).doing(Exit::Usage, "not a phrase of 12 to 24 words")?;
    Ok(match ethereum {
        true => WalletSecret::EthereumEntropy(mnemonic.to_entropy()),
        false => WalletSecret::MnemonicEntropy(mnemonic.to_entropy()),
    })
}

fn phrase(entropy: &[u8]) -> Outcome<Zeroizing<String>> {
    let mnemonic = Mnemonic::from_entropy(entropy).doing(Exit::Failed, "read the key")?;
    Ok(Zeroizing::new(mnemonic.to_string()))
}

fn signer_of(secret: &WalletSecret) -> Outcome<Signer> {
    match secret {
        WalletSecret::MnemonicEntropy(entropy) => Signer::from_phrase(&phrase(entropy)?, None),
        WalletSecret::Seed(seed) => Signer::from_seed(*seed),
        WalletSecret::EthereumEntropy(entropy) => Signer::from_ethereum_phrase(&phrase(entropy)?),
        WalletSecret::EthereumKey(key) => Signer::from_ethereum_key(key),
    }
    .doing(Exit::Failed, "derive the account")
}

fn label(shelf: &Shelf, signer: &Signer) -> AccountLabel {
    AccountLabel(match signer.is_ethereum() {
        true => signer.address().to_string(),
        false => signer.account().to_ss58(shelf.ss58_prefix),
    })
}

fn store(shelf: &Shelf, secret: &WalletSecret, password: &str, path: &Path) -> Outcome<String> {
    let account = label(shelf, &signer_of(secret)?);
    let lock = KeyLock::Password(password, KdfCost::STANDARD);
    let keystore = Keystore::seal(secret, account.clone(), &lock).doing(Exit::Failed, "seal the key")?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).doing(Exit::Failed, &format!("make {}", folder.display()))?;
    }
    keystore.write_new(path).doing(Exit::Failed, &format!("write {}", path.display()))?;
    Ok(account.0)
}

fn write_new(path: &Path, bytes: &[u8]) -> Outcome {
    use std::io::Write;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).doing(Exit::Failed, &format!("make {}", folder.display()))?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(bytes));
    written.doing(Exit::Failed, &format!("write {}", path.display()))
}

fn new_password(file: Option<&Path>) -> Outcome<Zeroizing<String>> {
    let first = password(file, "New password: ")?;
    if file.is_none() && *password(None, "Again: ")? != *first {
        return Err(Failure::new(Exit::Usage, "the two passwords differ"));
    }
    if first.is_empty() {
        return Err(Failure::new(Exit::Usage, "the password is empty"));
    }
    Ok(first)
}

fn wallet_path(home: &Path, name: &str) -> Outcome<PathBuf> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    match !name.is_empty() && name.len() <= 64 && name.chars().all(plain) {
        true => Ok(under(home, &["wallets", &format!("{name}.json")])),
        false => Err(Failure::new(
            Exit::Usage,
            format!("wallet name {name:?}: 1 to 64 letters, digits, - and _ are allowed"),
        )),
    }
}

fn free_path(home: &Path, name: &str) -> Outcome<PathBuf> {
    let path = wallet_path(home, name)?;
    match path.exists() {
        true => Err(Failure::new(
            Exit::Failed,
            format!("wallet {name} exists already ({}); it is never overwritten", path.display()),
        )),
        false => Ok(path),
    }
}

/// The signer of a wallet, its password asked for or read from a file.
///
/// # Errors
/// [`Exit::NotFound`] without such a wallet, [`Exit::Failed`] for a wrong password.
pub fn open(home: &Path, name: &str, password_file: Option<&Path>) -> Outcome<Signer> {
    let path = wallet_path(home, name)?;
    if !path.exists() {
        return Err(Failure::new(Exit::NotFound, format!("there is no wallet {name}"))
            .hint(format!("make one: encompute wallet new {name}")));
    }
    let password = password(password_file, &format!("Password of {name}: "))?;
    match Keystore::read(&path) {
        Ok(keystore) => {
            let secret = keystore.open(&KeyLock::Password(&password, KdfCost::STANDARD));
            signer_of(&secret.doing(Exit::Failed, &format!("open wallet {name}"))?)
        }
        Err(KeystoreError::Malformed) => {
            let text = std::fs::read_to_string(&path).doing(Exit::Failed, &format!("read {}", path.display()))?;
            // Not ours: a file of polkadot.js, which carries its own sealing.
            if serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|json| json["encoded"].is_string()) {
                return Signer::from_json(&text, &password).doing(Exit::Failed, &format!("open wallet {name}"));
            }
            let words = format!("wallet {name} is damaged: {} is no keystore", path.display());
            Err(Failure::new(Exit::Failed, words)
                .hint("put a copy in its place, or import its phrase again: encompute wallet import --help"))
        }
        Err(error) => Err(Failure::of(Exit::Failed, &format!("open wallet {name}"), &error)),
    }
}

/// The wallets of a home and their accounts, without a password.
pub fn accounts(home: &Path) -> Vec<(String, String)> {
    let folder = under(home, &["wallets"]);
    let entries = std::fs::read_dir(&folder).into_iter().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    let named = |name: String| (account_of(&folder.join(format!("{name}.json"))), name);
    names.into_iter().map(named).map(|(account, name)| (name, account)).collect()
}

fn account_of(path: &Path) -> String {
    if let Ok(keystore) = Keystore::read(path) {
        return keystore.account().0.clone();
    }
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    json["address"].as_str().unwrap_or("unreadable").to_owned()
}

fn show(shelf: &Shelf, name: Option<&str>, common: &Common) -> Outcome {
    let mut wallets = accounts(&shelf.home);
    if let Some(wanted) = name {
        wallet_path(&shelf.home, wanted)?;
        wallets.retain(|(found, _)| found == wanted);
        if wallets.is_empty() {
            return Err(Failure::new(Exit::NotFound, format!("there is no wallet {wanted}")));
        }
    }
    if common.json {
        let list: Vec<_> = wallets.iter().map(|(name, account)| json!({ "name": name, "account": account })).collect();
        return output::json(&json!({ "wallets": list }));
    }
    if wallets.is_empty() {
        output::say("no wallets yet; make one: encompute wallet new NAME");
    }
    wallets.iter().try_for_each(|(name, account)| output::text(&format!("{name}  {account}")))
}

fn said(name: &str, account: &str, path: &Path, common: &Common) -> Outcome {
    if common.json {
        return output::json(&json!({ "name": name, "account": account, "path": path }));
    }
    output::text(&format!("wallet {name}: account {account}, in {}", path.display()))
}
