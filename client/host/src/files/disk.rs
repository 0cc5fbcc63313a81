//! Files on a disk.

use std::{
    fs, io,
    io::{Read, Write},
    path::{Path, PathBuf},
};

/// Held for as long as nobody else may hold the same.
#[derive(Debug)]
pub struct Lock {
    _file: fs::File,
}

/// All bytes of a file.
///
/// # Errors
/// As the file system has them; [`io::ErrorKind::NotFound`] without such a file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path)
}

/// The first `limit_bytes` of a file, or all of a shorter one.
///
/// # Errors
/// As [`read`].
pub fn read_at_most(path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit_bytes).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file that was not there before.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`]; that file stays as it is.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = private().create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Writes a file that was not there before: it appears whole or not at all, and of two processes one wins.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`]; that file stays as it is.
pub fn create_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    write(&draft, bytes)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    linked
}

/// Writes a file: all of it appears at once under its name, or what was there stays.
///
/// # Errors
/// As the file system has them.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    write(&draft, bytes)?;
    fs::rename(&draft, path)
}

/// Gives a file a second name, unless that is taken: without another copy where the disk allows it.
///
/// # Errors
/// As the file system has them.
pub fn share(file: &Path, path: &Path) -> io::Result<()> {
    if !path.exists() && fs::hard_link(file, path).is_err() {
        replace(path, &fs::read(file)?)?;
    }
    Ok(())
}

/// Takes a file away.
///
/// # Errors
/// As the file system has them; [`io::ErrorKind::NotFound`] without such a file.
pub fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// Makes a folder with all above it, where they are missing.
///
/// # Errors
/// As the file system has them.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Takes an empty folder away.
///
/// # Errors
/// As the file system has them.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    fs::remove_dir(folder)
}

/// What is in a folder, in no order.
///
/// # Errors
/// As the file system has them; [`io::ErrorKind::NotFound`] without such a folder.
pub fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

/// Waits until nobody else holds the lock.
///
/// # Errors
/// As the file system has them.
pub fn lock(path: &Path) -> io::Result<Lock> {
    let file = lock_file(path)?;
    file.lock()?;
    Ok(Lock { _file: file })
}

/// The lock; none while somebody else holds it.
///
/// # Errors
/// As the file system has them.
pub fn try_lock(path: &Path) -> io::Result<Option<Lock>> {
    let file = lock_file(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

fn lock_file(path: &Path) -> io::Result<fs::File> {
    private().create(true).truncate(false).open(path)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = private().create(true).truncate(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// For its owner alone.
fn private() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
