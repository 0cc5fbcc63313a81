//! Keys that sign, in encrypted files: no market is needed for them.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_e2e::refusal;
use encompute_kit::{Ran, encompute, root};
use std::path::{Path, PathBuf};

/// A phrase that everybody knows, and the account that it gives on any network.
const PHRASE: &str = "bottom drive obey lake curtain smoke basket hold race lonely fit walk";
const ACCOUNT: &str = "5DfhGyQdFobKM8NsWvEeAKk5EQQgYe9AydgJ7rMB6E1EqRzV";

/// A home with two password files.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        std::fs::write(home.file("right"), "correct horse\n").unwrap();
        std::fs::write(home.file("wrong"), "battery staple\n").unwrap();
        home
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A wallet verb, the password from a file.
    fn wallet(&self, arguments: &[&str], password: &str) -> Ran {
        let password = self.file(password).display().to_string();
        encompute(self.path(), &[&["wallet"], arguments, &["--password-file", &password, "--json"]].concat())
    }
}

#[test]
fn a_new_wallet_shows_its_account_and_never_its_key_and_is_never_overwritten() {
    let home = Home::new();
    let made = home.wallet(&["new", "anna"], "right").done();
    let file = home.file("wallets").join("anna.json");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(made.json()["path"].as_str().unwrap(), file.display().to_string());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let shown = encompute(home.path(), &["wallet", "show", "--json"]).done().json();
    assert_eq!(shown["wallets"][0]["account"], made.json()["account"]);
    let said = format!("{made:?}{shown}");
    assert!(!said.contains("phrase") && !said.contains("seed"), "{said}");

    let again = home.wallet(&["new", "anna"], "wrong");
    assert!(refusal(&again) == (1, true) && again.stderr.contains("never overwritten"), "{again:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), kept);
    let odd = home.wallet(&["new", "../anna"], "right");
    assert_eq!(refusal(&odd), (2, true), "{odd:?}");
    let missing = encompute(home.path(), &["wallet", "show", "bruno"]);
    assert_eq!(refusal(&missing), (3, true), "{missing:?}");
}

#[test]
fn a_phrase_and_a_seed_give_the_accounts_that_they_give_everywhere() {
    let home = Home::new();
    std::fs::write(home.file("words"), format!("{PHRASE}\n")).unwrap();
    let words = home.file("words").display().to_string();
    let imported = home.wallet(&["import", "known", "--phrase-file", &words], "right").done().json();
    assert_eq!(imported["account"], ACCOUNT);
    // The seed of Substrate's //Alice.
    std::fs::write(home.file("seed"), "0xe5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a").unwrap();
    let seed = home.file("seed").display().to_string();
    let imported = home.wallet(&["import", "alice", "--phrase-file", &seed], "right").done().json();
    assert_eq!(imported["account"], "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");

    std::fs::write(home.file("words"), "bottom drive obey lake").unwrap();
    let short = home.wallet(&["import", "short", "--phrase-file", &words], "right");
    assert_eq!(refusal(&short), (2, true), "{short:?}");
    assert!(!short.stderr.contains("bottom"), "words of a phrase are not repeated: {short:?}");
    let nowhere = home.wallet(&["import", "short", "--phrase-file", "/nowhere/words"], "right");
    assert_eq!(refusal(&nowhere), (3, true), "{nowhere:?}");
    let empty = home.file("empty").display().to_string();
    std::fs::write(&empty, "\n").unwrap();
    let open = encompute(home.path(), &["wallet", "new", "open", "--password-file", &empty]);
    assert_eq!(refusal(&open), (2, true), "{open:?}");
}

#[test]
fn an_ethereum_wallets_phrase_key_and_keystore_give_the_account_that_they_give_there() {
    let home = Home::new();
    let alith = "0xf24ff3a9cf04c71dbc94d0b566f7a27b94566cac";
    let written = |name: &str, text: &str| {
        std::fs::write(home.file(name), text).unwrap();
        home.file(name).display().to_string()
    };
    let recorded = std::fs::read_to_string(root().join("tests/vectors/ethereum/transactions.json")).unwrap();
    let recorded: serde_json::Value = serde_json::from_str(&recorded).unwrap();
    let (words, key) = (written("words", PHRASE), written("key", &format!("0x{}", recorded["key"].as_str().unwrap())));
    let keystore = root().join("tests/vectors/ethereum/keystore.json").display().to_string();
    for (name, from) in [
        ("words", &["--ethereum", "--phrase-file", &words][..]),
        ("key", &["--phrase-file", &key, "--ethereum"]),
        ("file", &["--ethereum-keystore", &keystore]),
    ] {
        let imported = home.wallet(&[&["import", name], from].concat(), "right").done().json();
        assert_eq!(imported["account"], alith, "{name}");
    }
    let made = home.wallet(&["new", "erin", "--ethereum"], "right").done().json();
    let account = made["account"].as_str().unwrap();
    assert!(account.starts_with("0x") && account.len() == 42 && account != alith, "{account}");
    let shown = encompute(home.path(), &["wallet", "show", "--json"]).done().json();
    assert_eq!(shown["wallets"].as_array().map(Vec::len), Some(4), "{shown}");

    let wrong = home.wallet(&["import", "other", "--ethereum-keystore", &keystore], "wrong");
    assert!(refusal(&wrong) == (1, true) && wrong.stderr.contains("password does not open"), "{wrong:?}");
    let none = home.wallet(&["import", "other", "--ethereum-keystore", &words], "right");
    assert!(refusal(&none) == (1, true) && none.stderr.contains("no keystore of an Ethereum wallet"), "{none:?}");
    assert!(!none.stderr.contains("bottom"), "what a file holds is not repeated: {none:?}");
    let both = home.wallet(&["import", "other", "--ethereum-keystore", &keystore, "--phrase-file", &words], "right");
    assert_eq!(both.code, 2, "{both:?}");
}
