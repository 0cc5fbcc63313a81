//! Images of the machine's operating system: which registers a domain has that booted one, by name.
//!
//! A measurement on the contract's list is a digest: it says that the code is the one that was listed, not what it is.
//! Whoever builds an image again, or believes who did, writes its registers down here, and audits name it.

use crate::error::NetworkError;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Longest name, in bytes.
const NAME_LIMIT_BYTES: usize = 64;
/// Most images of one file, and most shapes of machine of one image.
const LIMIT: usize = 256;

/// One register: SHA-384 of what was measured.
pub type RegisterBytes = [u8; 48];

/// One image, and what a domain measures that booted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OsImage {
    /// Its name, e.g. `dstack-0.5.4`.
    pub name: String,
    /// Firmware.
    pub mr_td: RegisterBytes,
    /// Virtual hardware, one for each shape of machine: it differs with processors and memory.
    pub rtmr0: Vec<RegisterBytes>,
    /// Kernel.
    pub rtmr1: RegisterBytes,
    /// Command line, initrd and root file system.
    pub rtmr2: RegisterBytes,
}

impl OsImage {
    /// True for a domain with these registers.
    pub fn is_of(&self, mr_td: &RegisterBytes, rtmrs: [&RegisterBytes; 3]) -> bool {
        let [rtmr0, rtmr1, rtmr2] = rtmrs;
        self.mr_td == *mr_td && self.rtmr0.contains(rtmr0) && self.rtmr1 == *rtmr1 && self.rtmr2 == *rtmr2
    }

    /// The images in a file of their own: a table `[[images]]` for each, as a network file has them below `trust`.
    ///
    /// # Errors
    /// [`NetworkError`], with the file and, where it has one, the key.
    pub fn load(file: &Path) -> Result<Vec<Self>, NetworkError> {
        let written: ImagesFile = crate::file::shaped(&crate::file::read_text(file)?, file)?;
        if written.images.is_empty() {
            return Err(NetworkError::value(file, "images", "none", "one table [[images]] at least"));
        }
        images(written.images, "images", file)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImagesFile {
    #[serde(default)]
    images: Vec<ImageFile>,
}

/// One image as it is written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageFile {
    name: String,
    mr_td: String,
    rtmr0: Vec<String>,
    rtmr1: String,
    rtmr2: String,
}

impl ImageFile {
    pub fn of(image: &OsImage) -> Self {
        Self {
            name: image.name.clone(),
            mr_td: hex::encode(image.mr_td),
            rtmr0: image.rtmr0.iter().map(hex::encode).collect(),
            rtmr1: hex::encode(image.rtmr1),
            rtmr2: hex::encode(image.rtmr2),
        }
    }
}

/// Images as they are meant. Two of one name, or one without registers, are refused: nothing is ever called by two names.
pub(crate) fn images(found: Vec<ImageFile>, key: &'static str, file: &Path) -> Result<Vec<OsImage>, NetworkError> {
    let refuse = |found: String, allowed: &str| NetworkError::value(file, key, found, allowed);
    let register = |found: &str| {
        let mut bytes = [0; 48];
        match hex::decode_to_slice(found.trim_start_matches("0x"), &mut bytes) {
            Ok(()) if bytes != [0; 48] => Ok(bytes),
            _ => Err(refuse(found.to_owned(), "registers of 96 hexadecimal digits, not all of them zero")),
        }
    };
    if found.len() > LIMIT {
        return Err(refuse(format!("{} images", found.len()), "256 at most"));
    }
    let mut images: Vec<OsImage> = Vec::with_capacity(found.len());
    for image in found {
        let fits = |c: char| c.is_ascii_graphic() || c == ' ';
        if !(1..=NAME_LIMIT_BYTES).contains(&image.name.len()) || !image.name.chars().all(fits) {
            return Err(refuse(image.name, "names of 1 to 64 printable letters"));
        }
        if images.iter().any(|known| known.name == image.name) {
            return Err(refuse(image.name, "each name once"));
        }
        if image.rtmr0.is_empty() || image.rtmr0.len() > LIMIT {
            return Err(refuse(format!("{} with {} rtmr0", image.name, image.rtmr0.len()), "1 to 256 of each image"));
        }
        images.push(OsImage {
            mr_td: register(&image.mr_td)?,
            rtmr0: image.rtmr0.iter().map(|found| register(found)).collect::<Result<_, _>>()?,
            rtmr1: register(&image.rtmr1)?,
            rtmr2: register(&image.rtmr2)?,
            name: image.name,
        });
    }
    Ok(images)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn table(name: &str, rtmr0: &[u8]) -> String {
        let hex = |byte: u8| format!("\"{}\"", hex::encode([byte; 48]));
        let rtmr0: Vec<String> = rtmr0.iter().map(|byte| hex(*byte)).collect();
        format!(
            "[[images]]\nname = \"{name}\"\nmr_td = {}\nrtmr0 = [{}]\nrtmr1 = {}\nrtmr2 = {}\n",
            hex(1),
            rtmr0.join(", "),
            hex(3),
            hex(4)
        )
    }

    fn read(text: &str) -> Result<Vec<OsImage>, NetworkError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("images.toml");
        std::fs::write(&file, text).unwrap();
        OsImage::load(&file)
    }

    #[test]
    fn an_image_is_that_of_its_registers_alone_in_any_shape_that_it_lists() {
        let images = read(&table("dstack-0.5.4", &[2, 9])).unwrap();
        let image = &images[0];
        let is = |mr_td: u8, rtmrs: [u8; 3]| {
            let [rtmr0, rtmr1, rtmr2] = rtmrs.map(|byte| [byte; 48]);
            image.is_of(&[mr_td; 48], [&rtmr0, &rtmr1, &rtmr2])
        };
        assert!(is(1, [2, 3, 4]) && is(1, [9, 3, 4]));
        assert!(!is(7, [2, 3, 4]) && !is(1, [7, 3, 4]) && !is(1, [2, 7, 4]) && !is(1, [2, 3, 7]));
    }

    #[test]
    fn every_table_that_names_nothing_or_two_things_is_refused_by_what_is_wrong() {
        let refused = |text: &str| read(text).unwrap_err().to_string();
        let good = table("dstack", &[2]);
        for (text, says) in [
            (String::new(), "images is \"none\", allowed is one table [[images]] at least"),
            (format!("{good}{good}"), "images is \"dstack\", allowed is each name once"),
            (table("", &[2]), "names of 1 to 64 printable letters"),
            (table(&"n".repeat(65), &[2]), "names of 1 to 64 printable letters"),
            (table("dstack", &[]), "dstack with 0 rtmr0"),
            (table("dstack", &[0]), "not all of them zero"),
            (good.replace(&hex::encode([3; 48]), "0303"), "images is \"0303\", allowed is registers of 96"),
            (good.replace("rtmr2", "rtmr3"), "rtmr3"),
        ] {
            assert!(refused(&text).contains(says), "{says}: {}", refused(&text));
        }
    }
}
