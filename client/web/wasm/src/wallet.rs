//! Who signs: a wallet of the browser, an account exported by one, or a development account.

use crate::{
    failure::{Doing, Outcome, refused},
    page::Page,
};
use encompute_chain::{AccountId, Declined, Signer, Signing, Unsigned, Wallet};
use encompute_job::market::plancks;
use encompute_protocol::call::ReadCredit;
use js_sys::{Function, Promise};
use send_wrapper::SendWrapper;
use serde_json::json;
use std::{str::FromStr, sync::Arc};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
impl Page {
    /// Signs as a development account, on a development network alone.
    ///
    /// # Errors
    /// On another network; for a secret that is none.
    pub fn sign_as(&self, suri: &str) -> Outcome<()> {
        if !self.network.is_development() {
            return refused("development accounts are known to everybody: this is no development network");
        }
        self.signer.replace(Some(Signer::from_suri(suri).told()?));
        Ok(())
    }

    /// Signs as the account in a file that polkadot.js, its extension, Talisman or SubWallet exports.
    ///
    /// # Errors
    /// For another file or another password.
    pub fn sign_by_export(&self, json: &str, password: &str) -> Outcome<()> {
        self.signer.replace(Some(Signer::from_json(json, password).told()?));
        Ok(())
    }

    /// Signs as an account of a wallet of the browser's. `sign` takes the transaction as such wallets are asked, a
    /// `SignerPayloadJSON`, and gives a promise of the signature in hexadecimal.
    ///
    /// # Errors
    /// For an account that is none.
    pub fn sign_by_wallet(&self, account: &str, sign: Function) -> Outcome<()> {
        let account = AccountId::from_str(account).told()?;
        let wallet = Arc::new(Extension(SendWrapper::new(sign)));
        self.signer.replace(Some(Signer::outside(account, wallet)));
        Ok(())
    }

    /// Forgets who signs.
    pub fn sign_out(&self) {
        self.signer.replace(None);
    }

    /// Who signs, and what that account has; `null` when nobody does.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub async fn account(&self) -> Outcome {
        let Some(signer) = self.signer.borrow().clone() else { return Ok("null".into()) };
        let (id, address) = (signer.account(), signer.address());
        let has = self.client.balance(&id).await.told()?;
        let credit = self.client.read(ReadCredit { account: address }).await.told()?;
        Ok(json!({
            "account": id.to_string(), "address": address.to_string(), "development": signer.is_development(),
            "free": plancks(has.free), "credit": plancks(credit),
        })
        .to_string())
    }
}

/// A wallet of the browser's, behind a function of JavaScript.
struct Extension(SendWrapper<Function>);

impl Wallet for Extension {
    fn sign(&self, transaction: Unsigned) -> Signing {
        let asked = self.0.call1(&JsValue::NULL, &JsValue::from_str(&payload(&transaction)));
        Box::pin(SendWrapper::new(async move {
            let promise = asked.and_then(|answer| answer.dyn_into::<Promise>());
            let answer = match promise {
                Ok(promise) => JsFuture::from(promise).await,
                Err(fault) => Err(fault),
            };
            let signature = answer.map_err(|fault| Declined(words_of(&fault)))?;
            signature.as_string().as_deref().and_then(sr25519).ok_or_else(|| {
                Declined("what it gave is no sr25519 signature: choose an account of that kind".to_owned())
            })
        }))
    }
}

/// A transaction as wallets are asked to sign it.
fn payload(transaction: &Unsigned) -> String {
    let Unsigned {
        account,
        call,
        era,
        block,
        block_hash,
        genesis,
        number,
        spec_version,
        transaction_version,
        extensions,
    } = transaction;
    json!({
        "address": account.to_string(), "method": hex(call), "era": hex(era), "blockNumber": format!("0x{:08x}", block.0),
        "blockHash": hex(block_hash), "genesisHash": hex(&genesis.0), "nonce": format!("0x{number:08x}"),
        "specVersion": format!("0x{spec_version:08x}"), "transactionVersion": format!("0x{transaction_version:08x}"),
        "tip": format!("0x{:032x}", 0), "signedExtensions": extensions, "version": 4,
    })
    .to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// The signature in what a wallet gives: 0x, 01 for the kind, 64 bytes.
fn sr25519(text: &str) -> Option<[u8; 64]> {
    unhex(text.strip_prefix("0x01")?)
}

/// So many bytes, and no others, in hexadecimal digits.
pub fn unhex<const BYTES: usize>(digits: &str) -> Option<[u8; BYTES]> {
    if digits.len() != 2 * BYTES || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; BYTES];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn words_of(fault: &JsValue) -> String {
    match fault.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => fault.as_string().unwrap_or_else(|| "it gave no reason".to_owned()),
    }
}
