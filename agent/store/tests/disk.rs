//! A disk in memory that can be full, fail, and lose what was not synced.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use store::{Append, Disk};

/// Clones are the same disk.
#[derive(Clone)]
pub(crate) struct Fake(Arc<Mutex<Shelf>>);

struct Shelf {
    files: BTreeMap<PathBuf, Stored>,
    room: usize,
    sync_fails: bool,
    creating_fails: bool,
    /// Neither cutting nor removing works.
    shrinking_fails: bool,
    /// From which byte on a file is not given.
    unreadable: BTreeMap<PathBuf, usize>,
}

#[derive(Clone, Default)]
struct Stored {
    bytes: Vec<u8>,
    /// So much of it survives a power failure.
    synced: usize,
}

struct FakeFile {
    disk: Fake,
    path: PathBuf,
}

struct BadSector;

impl Read for BadSector {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("a bad sector"))
    }
}

impl Shelf {
    fn may_shrink(&self) -> io::Result<()> {
        if self.shrinking_fails {
            Err(io::ErrorKind::ReadOnlyFilesystem.into())
        } else {
            Ok(())
        }
    }
}

impl Default for Fake {
    fn default() -> Self {
        Self::with_room(usize::MAX)
    }
}

impl Fake {
    pub(crate) fn with_room(room: usize) -> Self {
        Self(Arc::new(Mutex::new(Shelf {
            files: BTreeMap::new(),
            room,
            sync_fails: false,
            creating_fails: false,
            shrinking_fails: false,
            unreadable: BTreeMap::new(),
        })))
    }

    pub(crate) fn holding(files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>) -> Self {
        let fake = Self::default();
        let stored = |bytes: Vec<u8>| Stored {
            synced: bytes.len(),
            bytes,
        };
        fake.shelf()
            .files
            .extend(files.into_iter().map(|(path, bytes)| (path, stored(bytes))));
        fake
    }

    pub(crate) fn set_room(&self, room: usize) {
        self.shelf().room = room;
    }

    pub(crate) fn set_sync_fails(&self, fails: bool) {
        self.shelf().sync_fails = fails;
    }

    pub(crate) fn set_creating_fails(&self, fails: bool) {
        self.shelf().creating_fails = fails;
    }

    pub(crate) fn set_shrinking_fails(&self, fails: bool) {
        self.shelf().shrinking_fails = fails;
    }

    pub(crate) fn set_unreadable(&self, path: PathBuf, from: Option<usize>) {
        match from {
            Some(from) => _ = self.shelf().unreadable.insert(path, from),
            None => _ = self.shelf().unreadable.remove(&path),
        }
    }

    /// Whole contents, in the order of the names.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        self.shelf()
            .files
            .iter()
            .map(|(path, stored)| (path.clone(), stored.bytes.clone()))
            .collect()
    }

    /// What is left of it after a power failure now.
    pub(crate) fn after_power_failure(&self) -> Self {
        let shelf = self.shelf();
        let left = |stored: &Stored| stored.bytes[..stored.synced].to_vec();
        Self::holding(
            shelf
                .files
                .iter()
                .map(|(path, stored)| (path.clone(), left(stored))),
        )
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap()
    }
}

impl Disk for Fake {
    fn list(&self, _: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        let shelf = self.shelf();
        Ok(shelf
            .files
            .iter()
            .map(|(path, stored)| (path.clone(), stored.bytes.len() as u64))
            .collect())
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        let shelf = self.shelf();
        let mut bytes = shelf.files[path].bytes.clone();
        let Some(from) = shelf.unreadable.get(path) else {
            return Ok(Box::new(Cursor::new(bytes)));
        };
        bytes.truncate(*from);
        Ok(Box::new(Cursor::new(bytes).chain(BadSector)))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        let mut shelf = self.shelf();
        if shelf.creating_fails {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if shelf.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        shelf.files.insert(path.to_owned(), Stored::default());
        Ok(Box::new(FakeFile {
            disk: self.clone(),
            path: path.to_owned(),
        }))
    }

    fn truncate(&self, path: &Path, length_bytes: u64) -> io::Result<()> {
        let mut shelf = self.shelf();
        shelf.may_shrink()?;
        let stored = shelf.files.get_mut(path).expect("a file");
        stored.bytes.truncate(length_bytes as usize);
        stored.synced = stored.synced.min(stored.bytes.len());
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut shelf = self.shelf();
        shelf.may_shrink()?;
        shelf.files.remove(path);
        Ok(())
    }
}

impl Append for FakeFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut shelf = self.disk.shelf();
        let fits = bytes.len().min(shelf.room);
        shelf.room -= fits;
        shelf
            .files
            .get_mut(&self.path)
            .expect("a file")
            .bytes
            .extend_from_slice(&bytes[..fits]);
        if fits < bytes.len() {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut shelf = self.disk.shelf();
        if shelf.sync_fails {
            return Err(io::Error::other("broken"));
        }
        let stored = shelf.files.get_mut(&self.path).expect("a file");
        stored.synced = stored.bytes.len();
        Ok(())
    }
}
