//! The user's home in this tab: files in memory, each change sealed and handed to JavaScript before it counts.

use crate::failure::{Doing, Outcome, refused};
use encompute_host::files::{self, Sink};
use encompute_keys::{HomeSeal, KdfCost, OpenedHome};
use js_sys::{Function, Uint8Array};
use std::{collections::BTreeMap, io, path::Path};
use wasm_bindgen::JsValue;

/// The folder that all of a home's files are under.
pub const ROOT: &str = "/home";

/// Fewest characters of a passphrase: what it seals lies on a disk that others may read.
const PASSPHRASE_CHARS: usize = 8;

/// Appends sealed changes to the home's file, by a function of JavaScript that returns once they are on the disk.
struct Append {
    seal: HomeSeal,
    append: Function,
}

impl Append {
    fn write(&mut self, path: &Path, bytes: Option<&[u8]>) -> io::Result<()> {
        let sealed = self.seal.change(path, bytes).map_err(io::Error::other)?;
        append(&self.append, &sealed).map_err(|error| io::Error::other(format!("{error:?}")))?;
        self.seal.written();
        Ok(())
    }
}

impl Sink for Append {
    fn keep(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write(path, Some(bytes))
    }

    fn forget(&mut self, path: &Path) -> io::Result<()> {
        self.write(path, None)
    }
}

fn append(function: &Function, bytes: &[u8]) -> Result<JsValue, JsValue> {
    let bytes = JsValue::from(Uint8Array::from(bytes));
    function.call1(&JsValue::NULL, &bytes)
}

/// Opens the home whose file has these bytes, or makes one where it has none; `append` adds bytes at its end. Gives how
/// many of the bytes count: the file is to be cut there before anything is appended.
///
/// # Errors
/// A passphrase that is too short for a new home or not the one of an old one; a home that was altered.
pub fn unlock(file: &[u8], passphrase: &str, function: Function) -> Outcome<usize> {
    if file.is_empty() {
        if passphrase.chars().count() < PASSPHRASE_CHARS {
            return refused(&format!("a passphrase has {PASSPHRASE_CHARS} characters or more"));
        }
        let (seal, first) = HomeSeal::create(passphrase, KdfCost::STANDARD).told()?;
        if append(&function, &first).is_err() {
            return refused("the browser does not let this page keep anything: leave private browsing, or free space");
        }
        files::mount(BTreeMap::new(), Box::new(Append { seal, append: function }));
        return Ok(first.len());
    }
    let OpenedHome { seal, files: kept, whole_bytes } = HomeSeal::open(file, passphrase).told()?;
    files::mount(kept, Box::new(Append { seal, append: function }));
    Ok(whole_bytes)
}

/// Forgets the home; its file stays.
pub fn lock() {
    files::unmount();
}
