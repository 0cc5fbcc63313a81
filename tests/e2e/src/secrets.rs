//! What must stay with the user, in every form that it has anywhere, and a search for it in files and memory.

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use codec::Decode;
use encompute_fhe::ParameterSet;
use encompute_head::{Backend, ClearBackend};
use encompute_model::Bench;
use memchr::memmem;
use std::{
    collections::BTreeSet,
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Header of a sealed file, as `encompute-keys` has it: magic, version, kind, cost, salt; then the nonce.
const HEADER_BYTES: usize = 58;
const NONCE_AT: usize = 34;
/// Most pieces of one secret in one form.
const PIECES: usize = 6;
const PAGE_BYTES: usize = 4096;

/// A piece of a secret, and what it is of.
struct Needle {
    what: String,
    bytes: Vec<u8>,
}

/// What is looked for.
#[derive(Default)]
pub struct Secrets(Vec<Needle>);

impl Secrets {
    /// Nothing yet.
    pub fn none() -> Self {
        Self::default()
    }

    /// Looks for pieces of these bytes, as they are. What says little, such as the ground of a picture, is left out.
    pub fn add(&mut self, what: &str, bytes: &[u8], piece: usize) {
        let telling = |piece: &&[u8]| piece.iter().collect::<BTreeSet<_>>().len() >= piece.len().min(8);
        let pieces: Vec<&[u8]> = bytes.windows(piece).filter(telling).collect();
        let step = (pieces.len() / PIECES).max(1);
        assert!(!pieces.is_empty(), "{what}: nothing in it is worth looking for");
        for piece in pieces.into_iter().step_by(step) {
            self.0.push(Needle { what: what.to_owned(), bytes: piece.to_vec() });
        }
    }

    /// Looks for all of these bytes in one piece, however little their variety is.
    pub fn add_whole(&mut self, what: &str, bytes: &[u8]) {
        self.0.push(Needle { what: what.to_owned(), bytes: bytes.to_vec() });
    }

    /// The same as [`Secrets::add`], and in hexadecimal of both cases.
    pub fn add_with_hex(&mut self, what: &str, bytes: &[u8], piece: usize) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.add(what, bytes, piece);
        self.add(&format!("{what} in words"), hex.to_uppercase().as_bytes(), 2 * piece);
        self.add(&format!("{what} in words"), hex.as_bytes(), 2 * piece);
    }

    /// Integers as 64-bit words, as bytes and in words.
    fn add_numbers(&mut self, what: &str, numbers: &[i64], piece: usize) {
        for at in (0..numbers.len().saturating_sub(piece)).step_by((numbers.len() / PIECES).max(1)) {
            let some = &numbers[at..at + piece];
            // Zeros and small numbers stand everywhere.
            if some.iter().filter(|number| number.abs() > 20).count() < piece / 2 {
                continue;
            }
            let words: Vec<u8> = some.iter().flat_map(|number| number.to_le_bytes()).collect();
            let text: Vec<String> = some.iter().map(i64::to_string).collect();
            self.0.push(Needle { what: format!("{what} as integers"), bytes: words });
            for joint in [",", ", "] {
                self.0.push(Needle { what: format!("{what} in words"), bytes: text.join(joint).into_bytes() });
            }
        }
    }

    /// The picture, and what is decrypted of it in each round.
    ///
    /// # Panics
    /// If the model's folder or the picture is not there.
    pub fn add_picture(&mut self, model: &Path, picture: &Path) {
        let bench = Bench::open(model).unwrap();
        let split = bench.split(0).unwrap();
        let input = bench.preamble().read(&std::fs::read(picture).unwrap()).unwrap();
        self.add_with_hex("pixels", input.values(), 16);
        let values: Vec<i64> = input.values().iter().map(|byte| i64::from(*byte)).collect();
        let middle = values.windows(8).position(|some| some.iter().filter(|value| **value > 20).count() >= 6).unwrap();
        self.add_numbers("pixels", &values[middle..middle + 9], 8);
        let mut run = split.compiled.plan().run(&values).unwrap();
        while let Some((round, values)) = run.request() {
            let sums = ClearBackend.evaluate(&split.compiled, round, &values.to_vec()).unwrap();
            self.add_numbers(&format!("decrypted sums of round {round}"), &sums, 3);
            run.answer(&sums).unwrap();
        }
    }

    /// The job's FHE key, opened as only its home can: packed, and as a bit a byte and a bit a word.
    ///
    /// # Panics
    /// If the files are not there or do not fit each other.
    pub fn add_fhe_key(&mut self, home: &Path, job: &Path) {
        let sealed = std::fs::read(job.join("fhe.key")).unwrap();
        let secret: [u8; 32] = std::fs::read(home.join("machine.secret")).unwrap().try_into().unwrap();
        let (header, ciphertext) = sealed.split_at(HEADER_BYTES);
        let aad = [header, b"encompute/fhe-key/v1"].concat();
        let nonce = XNonce::from_slice(&header[NONCE_AT..]);
        let cipher = XChaCha20Poly1305::new(&secret.into());
        let plain = cipher.decrypt(nonce, Payload { msg: ciphertext, aad: &aad }).unwrap();
        let (set, packed, _) = <(ParameterSet, Vec<u8>, Vec<u8>)>::decode(&mut plain.as_slice()).unwrap();
        let bits: Vec<u8> = packed.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1)).collect();
        assert_eq!(bits.len(), set.polynomial_size().0);
        let mirrored: Vec<u8> = packed.iter().map(|byte| byte.reverse_bits()).collect();
        self.add_with_hex("the FHE key", &packed, 16);
        self.add_with_hex("the FHE key", &mirrored, 16);
        // From the middle: the beginning may be overwritten by an allocator.
        for at in [256, 512, 1024, 1536] {
            let some = &bits[at..at + 64];
            let form = |width: usize| some.iter().flat_map(|bit| [vec![*bit], vec![0; width - 1]].concat()).collect();
            for (how, width) in [("byte", 1), ("half word", 4), ("word", 8)] {
                self.0.push(Needle { what: format!("the FHE key, a {how} a bit"), bytes: form(width) });
            }
            let digits = some.iter().map(|bit| bit.to_string()).collect::<Vec<_>>();
            for joint in ["", ",", ", "] {
                self.0.push(Needle { what: "the FHE key in digits".into(), bytes: digits.join(joint).into_bytes() });
            }
        }
    }

    /// Names of everything that is looked for.
    pub fn kinds(&self) -> BTreeSet<&str> {
        self.0.iter().map(|needle| needle.what.as_str()).collect()
    }

    /// Names of what is found in these bytes, each once.
    pub fn found_in(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let found = self.0.iter().filter(|needle| memmem::find(bytes, &needle.bytes).is_some());
        found.map(|needle| needle.what.as_str()).collect()
    }

    /// Names of what is found in what a process has in memory, besides its own text; and how many bytes were read
    /// that were not all zeros.
    ///
    /// # Panics
    /// If its memory may not be read.
    pub fn found_in_memory_of(&self, process: u32) -> (BTreeSet<&str>, usize) {
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        let memory = File::open(format!("/proc/{process}/mem")).unwrap();
        let (mut found, mut read) = (BTreeSet::new(), 0);
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let (range, rights, name) = (words.next().unwrap(), words.next().unwrap(), words.nth(3).unwrap_or(""));
            // A file that cannot be written holds what is in the file; the kernel's own pages cannot be read.
            if !rights.starts_with('r') || name.starts_with("[v") || (!rights.contains('w') && name.starts_with('/')) {
                continue;
            }
            let (from, to) = range.split_once('-').unwrap();
            let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
            let dense = without_zeros(&memory, from, to);
            read += dense.len();
            found.extend(self.found_in(&dense));
        }
        (found, read)
    }
}

/// A range of memory, without the pages that are all zeros. What was given back meanwhile is left out.
fn without_zeros(memory: &File, from: u64, to: u64) -> Vec<u8> {
    const MIB: u64 = 1024 * 1024;
    let mut kept = Vec::new();
    for at in (from..to).step_by(MIB as usize) {
        let mut piece = vec![0; MIB.min(to - at) as usize];
        if memory.read_exact_at(&mut piece, at).is_ok() {
            let telling = piece.chunks(PAGE_BYTES).filter(|page| **page != [0; PAGE_BYTES][..page.len()]);
            telling.for_each(|page| kept.extend_from_slice(page));
        }
    }
    kept
}

/// Every file below a folder.
///
/// # Panics
/// If it cannot be read.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
