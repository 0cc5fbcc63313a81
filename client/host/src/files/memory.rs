//! Files of a tab: in memory, each change handed to whoever keeps them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

/// Keeps changes of a tab's files beyond the tab.
pub trait Sink {
    /// A file has these bytes from now on. Returns when they are kept.
    ///
    /// # Errors
    /// When they are not; the file stays as it was.
    fn keep(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// A file is not there from now on. Returns when that is kept.
    ///
    /// # Errors
    /// As [`Sink::keep`].
    fn forget(&mut self, path: &Path) -> io::Result<()>;
}

#[derive(Default)]
struct Home {
    files: BTreeMap<PathBuf, Vec<u8>>,
    locks: BTreeSet<PathBuf>,
    sink: Option<Box<dyn Sink>>,
}

thread_local! {
    static HOME: RefCell<Home> = RefCell::default();
}

/// Held for as long as nobody else may hold the same.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        HOME.with_borrow_mut(|home| home.locks.remove(&self.path));
    }
}

/// Begins with these files; every change goes to `sink`.
pub fn mount(files: BTreeMap<PathBuf, Vec<u8>>, sink: Box<dyn Sink>) {
    HOME.with_borrow_mut(|home| *home = Home { files, locks: BTreeSet::new(), sink: Some(sink) });
}

/// Forgets all files: whoever kept them still does. Nothing can be written until the next [`mount`].
pub fn unmount() {
    HOME.with_borrow_mut(|home| *home = Home::default());
}

/// All bytes of a file.
///
/// # Errors
/// [`io::ErrorKind::NotFound`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    HOME.with_borrow(|home| home.files.get(path).cloned()).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The first `limit_bytes` of a file, or all of a shorter one.
///
/// # Errors
/// [`io::ErrorKind::NotFound`].
pub fn read_at_most(path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = read(path)?;
    bytes.truncate(usize::try_from(limit_bytes).unwrap_or(usize::MAX));
    Ok(bytes)
}

/// Writes a file that was not there before.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`]; that file stays as it is.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match HOME.with_borrow(|home| home.files.contains_key(path)) {
        true => Err(io::ErrorKind::AlreadyExists.into()),
        false => replace(path, bytes),
    }
}

/// Writes a file that was not there before, whole or not at all.
///
/// # Errors
/// As [`create`].
pub fn create_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    create(path, bytes)
}

/// Writes a file: all of it appears at once, or what was there stays.
///
/// # Errors
/// As the sink has them; [`io::ErrorKind::NotConnected`] where nothing is mounted.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    HOME.with_borrow_mut(|home| {
        home.sink.as_mut().ok_or(io::ErrorKind::NotConnected)?.keep(path, bytes)?;
        home.files.insert(path.to_owned(), bytes.to_vec());
        Ok(())
    })
}

/// Gives a file a second name, unless that is taken.
///
/// # Errors
/// As [`read`] and [`replace`].
pub fn share(file: &Path, path: &Path) -> io::Result<()> {
    match create(path, &read(file)?) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        shared => shared,
    }
}

/// Takes a file away.
///
/// # Errors
/// [`io::ErrorKind::NotFound`]; as the sink has them.
pub fn remove(path: &Path) -> io::Result<()> {
    HOME.with_borrow_mut(|home| {
        if !home.files.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        home.sink.as_mut().ok_or(io::ErrorKind::NotConnected)?.forget(path)?;
        home.files.remove(path);
        Ok(())
    })
}

/// Does nothing: folders are the beginnings of names.
///
/// # Errors
/// None.
pub fn make_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Does nothing: a folder is gone with its last file.
///
/// # Errors
/// None.
pub fn remove_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// What is in a folder, files and folders.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] for a folder in which nothing is.
pub fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let within = |path: &PathBuf| {
        let rest = path.strip_prefix(folder).ok()?;
        Some(folder.join(rest.components().next()?))
    };
    let found: BTreeSet<PathBuf> = HOME.with_borrow(|home| home.files.keys().filter_map(within).collect());
    match found.is_empty() {
        true => Err(io::ErrorKind::NotFound.into()),
        false => Ok(found.into_iter().collect()),
    }
}

/// The lock. A tab has one thread, so one that is held will not be free while it waits.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] where it is held.
pub fn lock(path: &Path) -> io::Result<Lock> {
    try_lock(path)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
}

/// The lock; none while somebody else holds it.
///
/// # Errors
/// None.
pub fn try_lock(path: &Path) -> io::Result<Option<Lock>> {
    let free = HOME.with_borrow_mut(|home| home.locks.insert(path.to_owned()));
    Ok(free.then(|| Lock { path: path.to_owned() }))
}
