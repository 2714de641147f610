//! The disk of one host, in memory: full, torn and emptied as the seed wishes.
//!
//! A handle belongs to one life of a process and has no effect once that has ended. Dying can be set off at a
//! write: then a part of it is on the disk and the process is no more.

use std::collections::BTreeMap;
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::outside::Files;
use parking_lot::Mutex;

use super::process::Gate;

/// What is written on it; outlives the process.
#[derive(Default)]
pub struct Shelf {
    files: BTreeMap<PathBuf, Stored>,
    full: bool,
    /// Writes until the process dies in the midst of one.
    fuse: Option<u32>,
    rng: fastrand::Rng,
}

#[derive(Clone, Default)]
struct Stored {
    bytes: Vec<u8>,
    /// So much of it survives a power failure.
    safe: usize,
}

/// One process's way to its disk.
#[derive(Clone)]
pub struct Disk {
    shelf: Arc<Mutex<Shelf>>,
    gate: Arc<Gate>,
    /// Called once when the fuse has burnt down.
    died: Arc<dyn Fn() + Send + Sync>,
}

struct Open {
    disk: Disk,
    path: PathBuf,
}

impl Shelf {
    pub fn new(seed: u64) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            rng: fastrand::Rng::with_seed(seed),
            ..Self::default()
        }))
    }

    pub fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// The process dies at the write after so many more.
    pub fn light(&mut self, writes: u32) {
        self.fuse = Some(writes);
    }

    pub fn unlight(&mut self) {
        self.fuse = None;
    }

    pub fn empty(&mut self) {
        self.files.clear();
    }

    /// What was written below `folder` survives from now on whatever happens.
    pub fn secure(&mut self, folder: &Path) {
        for (path, stored) in &mut self.files {
            if path.starts_with(folder) {
                stored.safe = stored.bytes.len();
            }
        }
    }

    /// The power fails: of what was not made safe an unknown part is gone.
    pub fn tear(&mut self) -> Vec<(PathBuf, usize)> {
        let mut torn = Vec::new();
        let Self { files, rng, .. } = self;
        for (path, stored) in files.iter_mut() {
            let loose = stored.bytes.len().saturating_sub(stored.safe);
            if loose > 0 {
                let lost = rng.usize(0..=loose);
                stored.bytes.truncate(stored.bytes.len() - lost);
                torn.push((path.clone(), lost));
            }
            stored.safe = stored.bytes.len();
        }
        torn
    }

    /// A write: how much of it arrives, and whether the process dies of it.
    fn write(&mut self, path: &Path, bytes: &[u8], is_safe: bool) -> (io::Result<()>, bool) {
        let dies = self.burn();
        let stored = self.files.entry(path.to_owned()).or_default();
        if self.full {
            // What a full disk still takes of a write is anybody's guess.
            let part = if self.rng.bool() {
                0
            } else {
                self.rng.usize(0..=bytes.len())
            };
            stored.bytes.extend_from_slice(&bytes[..part.min(bytes.len())]);
            return (Err(ErrorKind::StorageFull.into()), dies);
        }
        let part = if dies {
            self.rng.usize(0..=bytes.len())
        } else {
            bytes.len()
        };
        stored.bytes.extend_from_slice(&bytes[..part]);
        if is_safe && !dies {
            stored.safe = stored.bytes.len();
        }
        (Ok(()), dies)
    }

    fn burn(&mut self) -> bool {
        match self.fuse {
            Some(0) => {
                self.fuse = None;
                true
            }
            Some(left) => {
                self.fuse = Some(left - 1);
                false
            }
            None => false,
        }
    }
}

impl Disk {
    pub fn new(shelf: Arc<Mutex<Shelf>>, gate: Arc<Gate>, died: Arc<dyn Fn() + Send + Sync>) -> Arc<Self> {
        Arc::new(Self { shelf, gate, died })
    }

    fn alive(&self) -> io::Result<()> {
        if self.gate.is_dead() {
            Err(io::Error::other("the process is dead"))
        } else {
            Ok(())
        }
    }

    fn write(&self, path: &Path, bytes: &[u8], is_safe: bool) -> io::Result<()> {
        self.alive()?;
        let (written, dies) = self.shelf.lock().write(path, bytes, is_safe);
        if dies {
            (self.died)();
            return Err(io::Error::other("the process is dead"));
        }
        written
    }

    /// What another process wrote, or an earlier life of this one, is read as it is.
    fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let shelf = self.shelf.lock();
        shelf.files.get(path).map(|stored| stored.bytes.clone())
    }
}

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.alive()?;
        Ok(self.bytes(path))
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write(path, bytes, true)
    }

    fn add(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write(path, bytes, false)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.alive()?;
        let mut shelf = self.shelf.lock();
        if let Some(stored) = shelf.files.get_mut(path) {
            stored.safe = stored.bytes.len();
        }
        Ok(())
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.alive()?;
        let mut shelf = self.shelf.lock();
        let dies = shelf.burn();
        let full = shelf.full;
        let arrives = !full && (!dies || shelf.rng.bool());
        if arrives {
            let stored = Stored {
                bytes: bytes.to_vec(),
                safe: bytes.len(),
            };
            shelf.files.insert(path.to_owned(), stored);
        }
        drop(shelf);
        if dies {
            (self.died)();
            return Err(io::Error::other("the process is dead"));
        }
        if full {
            Err(ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn truncate(&self, path: &Path, length_bytes: u64) -> io::Result<()> {
        self.alive()?;
        let mut shelf = self.shelf.lock();
        let stored = shelf.files.get_mut(path).ok_or(ErrorKind::NotFound)?;
        stored
            .bytes
            .truncate(usize::try_from(length_bytes).unwrap_or(usize::MAX));
        stored.safe = stored.bytes.len();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.alive()?;
        self.shelf.lock().files.remove(path);
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.alive()?;
        let shelf = self.shelf.lock();
        let paths = shelf.files.keys().filter(|path| path.parent() == Some(folder));
        Ok(paths.cloned().collect())
    }

    fn is_instant(&self) -> bool {
        true
    }
}

/// The store's log is written by a thread of its own, so only what the simulator has secured counts as safe.
impl store::Disk for Disk {
    fn list(&self, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        self.alive()?;
        let shelf = self.shelf.lock();
        let files = shelf
            .files
            .iter()
            .filter(|(path, _)| path.parent() == Some(folder));
        Ok(files
            .map(|(path, stored)| (path.clone(), stored.bytes.len() as u64))
            .collect())
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        self.alive()?;
        let bytes = self.bytes(path).ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn store::Append>> {
        self.alive()?;
        let mut shelf = self.shelf.lock();
        if shelf.full {
            return Err(ErrorKind::StorageFull.into());
        }
        if shelf.files.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        shelf.files.insert(path.to_owned(), Stored::default());
        Ok(Box::new(Open {
            disk: self.clone(),
            path: path.to_owned(),
        }))
    }

    fn truncate(&self, path: &Path, length_bytes: u64) -> io::Result<()> {
        Files::truncate(self, path, length_bytes)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Files::remove(self, path)
    }
}

impl store::Append for Open {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.alive()?;
        let mut shelf = self.disk.shelf.lock();
        if shelf.full {
            return Err(ErrorKind::StorageFull.into());
        }
        let stored = shelf.files.get_mut(&self.path).ok_or(ErrorKind::NotFound)?;
        stored.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.alive()
    }
}
