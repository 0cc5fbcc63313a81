//! Folders with a file system of their own, which a test fills to the last page.

use crate::process::KitError;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Room while it is not full. Memory is only taken for what is written.
const PLENTY: &str = "4g";
/// Tries to shrink a file system while programs write to it.
const TRIES: u32 = 50;

/// A folder on a file system in memory. Dropping it takes the file system away, with what it holds.
///
/// A full disk is this file system shrunk to what it holds: the next page that a program asks for is refused with
/// `ENOSPC`, whatever it has open. Files that do not grow can still be written, as on any disk.
pub struct Room {
    folder: PathBuf,
}

impl Room {
    /// True where this process may mount file systems: as root, or in a namespace of its own (`unshare -Urm`).
    pub fn can_be_made() -> bool {
        tempfile::tempdir().is_ok_and(|folder| Self::over(&folder.path().join("room")).is_ok())
    }

    /// Puts an empty file system over a folder, which is made if it is missing.
    ///
    /// # Errors
    /// [`KitError`] where this process may not mount.
    pub fn over(folder: &Path) -> Result<Self, KitError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| KitError::Start { what: format!("the room over {}", folder.display()), source })?;
        let options = format!("size={PLENTY},mode=0700");
        run("mount", &["-t", "tmpfs", "-o", &options, "encompute-room"], folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Puts an empty file system over a folder to which nobody can write, until it is dropped.
    ///
    /// # Errors
    /// [`KitError`] where this process may not mount.
    pub fn shut(folder: &Path) -> Result<Self, KitError> {
        run("mount", &["-t", "tmpfs", "-o", "ro,mode=0500", "encompute-shut"], folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Takes away all room that is left.
    ///
    /// # Errors
    /// [`KitError`] if programs write faster than this can follow.
    pub fn fill(&self) -> Result<(), KitError> {
        let mut tried = 0;
        loop {
            let filled = self.used_bytes().and_then(|used| self.resize(&used.to_string()));
            tried += 1;
            match filled {
                // Somebody wrote in between: a file system cannot be made smaller than what it holds.
                Err(_) if tried < TRIES => {}
                filled => return filled,
            }
        }
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// [`KitError`].
    pub fn empty(&self) -> Result<(), KitError> {
        self.resize(PLENTY)
    }

    fn resize(&self, size: &str) -> Result<(), KitError> {
        run("mount", &["-o", &format!("remount,size={size}")], &self.folder).map(drop)
    }

    fn used_bytes(&self) -> Result<u64, KitError> {
        let said = run("stat", &["--file-system", "--format", "%b %f %S"], &self.folder)?;
        let numbers: Vec<u64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match numbers[..] {
            [blocks, free, block_bytes] => Ok(blocks.saturating_sub(free) * block_bytes),
            _ => Err(KitError::Command { what: "reading a file system's size".to_owned(), why: said }),
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // A program that is being killed may have it open for a moment longer, hence lazily.
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).stderr(Stdio::null()).status();
    }
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> Result<String, KitError> {
    let failed = |why: String| KitError::Command { what: format!("{program} {}", folder.display()), why };
    let ran = Command::new(program).args(arguments).arg(folder).output().map_err(|error| failed(error.to_string()))?;
    match ran.status.success() {
        true => Ok(String::from_utf8_lossy(&ran.stdout).into_owned()),
        false => Err(failed(String::from_utf8_lossy(&ran.stderr).trim().to_owned())),
    }
}
