//! A disk in memory that can be full, die in the middle of a write, and lose what was not synced.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::outside::Files;
use parking_lot::Mutex;

#[derive(Default)]
pub(crate) struct Memory(Mutex<State>);

#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, Stored>,
    /// Nothing more can be written; a part of what is tried is.
    is_full: bool,
    /// Not even taking back is possible then.
    is_broken: bool,
    /// Writes until the process that uses it dies in the middle of one.
    life: Option<u32>,
    is_dead: bool,
    writes: u32,
}

#[derive(Clone, Default)]
struct Stored {
    bytes: Vec<u8>,
    synced: usize,
}

impl Memory {
    pub(crate) fn dying_after(writes: u32) -> Arc<Self> {
        let memory = Self::default();
        memory.0.lock().life = Some(writes);
        Arc::new(memory)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.lock().is_dead
    }

    pub(crate) fn set_full(&self, is_full: bool) {
        self.0.lock().is_full = is_full;
    }

    pub(crate) fn set_broken(&self, is_broken: bool) {
        let mut state = self.0.lock();
        (state.is_full, state.is_broken) = (is_broken, is_broken);
    }

    /// What the next process finds after `kill -9`.
    pub(crate) fn after_kill(&self) -> Arc<Self> {
        self.after(|stored| stored.bytes.len())
    }

    /// What the next process finds after a power failure.
    pub(crate) fn after_power_failure(&self) -> Arc<Self> {
        self.after(|stored| stored.synced)
    }

    fn after(&self, length: impl Fn(&Stored) -> usize) -> Arc<Self> {
        let files = self.0.lock().files.clone().into_iter();
        let files = files.map(|(path, stored)| {
            let bytes = stored.bytes[..length(&stored)].to_vec();
            let synced = bytes.len();
            (path, Stored { bytes, synced })
        });
        Arc::new(Self(Mutex::new(State {
            files: files.collect(),
            ..State::default()
        })))
    }

    pub(crate) fn content(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = self.0.lock().files.clone().into_iter();
        files.map(|(path, stored)| (path, stored.bytes)).collect()
    }

    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) {
        let stored = Stored {
            bytes: bytes.to_vec(),
            synced: bytes.len(),
        };
        self.0.lock().files.insert(path.to_owned(), stored);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0
            .lock()
            .files
            .values()
            .map(|stored| stored.bytes.len())
            .sum()
    }

    pub(crate) fn writes(&self) -> u32 {
        self.0.lock().writes
    }
}

impl State {
    /// Whether a write goes through whole.
    fn write(&mut self) -> bool {
        self.writes += 1;
        if let Some(life) = &mut self.life {
            self.is_dead |= *life == 0;
            *life = life.saturating_sub(1);
        }
        !self.is_dead && !self.is_full
    }

    fn error(&self) -> io::Error {
        io::Error::from(if self.is_dead {
            ErrorKind::Other
        } else {
            ErrorKind::StorageFull
        })
    }

    fn undo(&mut self) -> io::Result<()> {
        self.writes += 1;
        if let Some(life) = &mut self.life {
            self.is_dead |= *life == 0;
            *life = life.saturating_sub(1);
        }
        if self.is_dead || self.is_broken {
            Err(self.error())
        } else {
            Ok(())
        }
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().files.get(path).map(|stored| stored.bytes.clone()))
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.add(path, bytes)?;
        self.sync(path)
    }

    fn add(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock();
        let was_dead = state.is_dead;
        let is_whole = state.write();
        if was_dead {
            return Err(state.error());
        }
        let part = if is_whole { bytes.len() } else { bytes.len() / 2 };
        state
            .files
            .entry(path.to_owned())
            .or_default()
            .bytes
            .extend(&bytes[..part]);
        if is_whole { Ok(()) } else { Err(state.error()) }
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        if !state.write() {
            return Err(state.error());
        }
        let stored = state.files.get_mut(path).ok_or(ErrorKind::NotFound)?;
        stored.synced = stored.bytes.len();
        Ok(())
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock();
        if !state.write() {
            return Err(state.error());
        }
        let stored = Stored {
            bytes: bytes.to_vec(),
            synced: bytes.len(),
        };
        state.files.insert(path.to_owned(), stored);
        Ok(())
    }

    fn truncate(&self, path: &Path, length_bytes: u64) -> io::Result<()> {
        let mut state = self.0.lock();
        state.undo()?;
        let stored = state.files.get_mut(path).ok_or(ErrorKind::NotFound)?;
        stored.bytes.truncate(length_bytes as usize);
        stored.synced = stored.synced.min(stored.bytes.len());
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.undo()?;
        state.files.remove(path);
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.0.lock();
        let inside = state.files.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.cloned().collect())
    }

    fn is_instant(&self) -> bool {
        true
    }
}
