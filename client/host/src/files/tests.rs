#![allow(clippy::unwrap_used)]
use super::*;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

type Kept = Rc<RefCell<Vec<(PathBuf, Vec<u8>)>>>;

/// Keeps what it is given until it is full.
struct Shelf {
    kept: Kept,
    room: usize,
}

impl memory::Sink for Shelf {
    fn keep(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if self.kept.borrow().len() == self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.kept.borrow_mut().push((path.to_owned(), bytes.to_vec()));
        Ok(())
    }

    fn forget(&mut self, path: &Path) -> io::Result<()> {
        self.kept.borrow_mut().retain(|(kept, _)| kept != path);
        Ok(())
    }
}

fn mounted(room: usize) -> Kept {
    let kept = Kept::default();
    memory::mount(BTreeMap::new(), Box::new(Shelf { kept: kept.clone(), room }));
    kept
}

/// What journal, ledger and secrets rely on, of either kind of files.
macro_rules! keeps_its_promises {
    ($files:ident, $folder:expr) => {
        let folder: &Path = $folder;
        let path = folder.join("jobs/one/record");
        assert_eq!($files::read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!($files::list(&folder.join("jobs")).unwrap_err().kind(), io::ErrorKind::NotFound);
        $files::make_folder(&folder.join("jobs/one")).unwrap();
        $files::create(&path, b"first").unwrap();
        for again in [$files::create(&path, b"no"), $files::create_whole(&path, b"no")] {
            assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
        assert_eq!($files::read(&path).unwrap(), b"first");
        $files::replace(&path, b"second").unwrap();
        assert_eq!($files::read_at_most(&path, 3).unwrap(), b"sec");
        let other = folder.join("jobs/one/other");
        $files::create_whole(&other, b"whole").unwrap();
        $files::share(&path, &other).unwrap();
        assert_eq!($files::read(&other).unwrap(), b"whole");
        let third = folder.join("jobs/one/third");
        $files::share(&path, &third).unwrap();
        assert_eq!($files::read(&third).unwrap(), b"second");
        assert_eq!($files::list(&folder.join("jobs")).unwrap(), [folder.join("jobs/one")]);
        assert_eq!($files::list(&folder.join("jobs/one")).unwrap().len(), 3);
        $files::remove(&third).unwrap();
        assert_eq!($files::remove(&third).unwrap_err().kind(), io::ErrorKind::NotFound);
        let gone = folder.join("jobs/two");
        $files::make_folder(&gone).unwrap();
        $files::create(&gone.join("record"), b"gone").unwrap();
        $files::remove(&gone.join("record")).unwrap();
        $files::remove_folder(&gone).unwrap();
        assert_eq!($files::list(&gone).unwrap_err().kind(), io::ErrorKind::NotFound);
        let name = folder.join("lock");
        let held = $files::try_lock(&name).unwrap();
        assert!(held.is_some() && $files::try_lock(&name).unwrap().is_none());
        drop(held);
        assert!($files::lock(&name).is_ok());
    };
}

#[test]
fn a_disk_keeps_its_promises() {
    let folder = tempfile::tempdir().unwrap();
    keeps_its_promises!(disk, folder.path());
}

#[cfg(unix)]
#[test]
fn files_of_a_disk_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["made", "whole", "replaced", "lock"].map(|name| folder.path().join(name));
    disk::create(&paths[0], b"1").unwrap();
    disk::create_whole(&paths[1], b"1").unwrap();
    disk::replace(&paths[2], b"1").unwrap();
    drop(disk::lock(&paths[3]).unwrap());
    for path in paths {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn a_tab_keeps_its_promises_and_hands_every_change_on() {
    let kept = mounted(usize::MAX);
    keeps_its_promises!(memory, Path::new("/home"));
    let kept = kept.borrow();
    let (last, first) = (kept.last().unwrap(), kept.first().unwrap());
    assert_eq!((first.1.as_slice(), last.1.as_slice()), (&b"first"[..], &b"whole"[..]));
    assert_eq!(kept.len(), 3);
}

#[test]
fn a_change_that_nobody_keeps_is_not_made() {
    mounted(1);
    let path = Path::new("/home/record");
    memory::replace(path, b"kept").unwrap();
    assert_eq!(memory::replace(path, b"lost").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(memory::read(path).unwrap(), b"kept");
    memory::unmount();
    assert_eq!(memory::replace(path, b"nowhere").unwrap_err().kind(), io::ErrorKind::NotConnected);
    assert_eq!(memory::read(path).unwrap_err().kind(), io::ErrorKind::NotFound);
}
