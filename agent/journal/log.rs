//! The journal: the map, its append-only file, and what replicas need to keep theirs alike.
//!
//! A change is written, then in force. When the file has grown past the live map by a factor it is written anew
//! beside and renamed. Readers never wait for the disk.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use model::BoxFuture;
use model::outside::Files;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::entry::{Entry, Rest, Version};
use crate::map::Map;
use crate::{Change, JournalError, frame};

/// Written until both replicas read the higher one.
pub const FORMAT_LOWEST: u32 = 1;
/// From 2 on, whoever writes the file anew keeps the removals that are marked to count, and the fields of a line
/// that it does not know. The lines themselves are the same, so that 1 may hold them too.
pub const FORMAT_HIGHEST: u32 = 2;
/// Rewritten when larger than this and than four times what is alive.
const REWRITE_BYTES: usize = 256 * 1024;

/// Cheap to clone; all clones are one map.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    /// Held while the disk works: one change after the other.
    writer: Mutex<Writer>,
    map: RwLock<Map>,
    author: RwLock<Author>,
    rose: watch::Sender<u64>,
    is_instant: bool,
}

struct Writer {
    files: Arc<dyn Files>,
    path: PathBuf,
    /// For the next rewrite.
    format: u32,
    file_bytes: usize,
    /// After a failed write nobody knows how the file ends, or which of two it is: the next change writes it anew.
    torn: bool,
}

struct Author {
    replica: Arc<str>,
    epoch: u64,
    /// Keys under these are known to others, so their removal must be too.
    shared: Vec<String>,
}

/// What became of entries that another replica sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    pub taken: usize,
    /// Something newer was there.
    pub old: usize,
    /// This very entry was there.
    pub same: usize,
}

impl Journal {
    /// Opens or creates `<folder>/journal`.
    ///
    /// # Errors
    /// The disk cannot be read or written, or the file is not ours to read.
    pub fn open(files: Arc<dyn Files>, folder: &Path) -> Result<Self, JournalError> {
        let path = folder.join("journal");
        let is_instant = files.is_instant();
        let bytes = files.read(&path).map_err(|source| JournalError::Read {
            path: path.clone(),
            source,
        })?;
        let mut writer = Writer {
            files,
            path,
            format: FORMAT_LOWEST,
            file_bytes: 0,
            torn: false,
        };
        let mut map = Map::default();
        match bytes {
            Some(bytes) if bytes.len() >= frame::HEAD_BYTES => writer.replay(&bytes, &mut map)?,
            // A crash while the file was being created left less than a head: nothing was promised yet.
            _ => writer.rewrite(&map)?,
        }
        let rose = watch::Sender::new(map.seq);
        Ok(Self(Arc::new(Inner {
            writer: Mutex::new(writer),
            map: RwLock::new(map),
            author: RwLock::new(Author {
                replica: Arc::default(),
                epoch: 1,
                shared: Vec::new(),
            }),
            rose,
            is_instant,
        })))
    }

    /// The value, if it is there and reads as a `T`.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let entry = self.read(|map| map.known(key).cloned())?;
        entry.read()
    }

    /// All keys that begin with `prefix`, sorted; values that do not read as a `T` are left out and said.
    #[must_use]
    pub fn entries<T: DeserializeOwned>(&self, prefix: &str) -> Vec<(String, T)> {
        let alike: Vec<Entry> = self.read(|map| map.alike(prefix).cloned().collect());
        let read = alike
            .iter()
            .filter_map(|entry| Some((entry.key.to_string(), entry.read()?)));
        read.collect()
    }

    /// A number that changes with every write to a key that begins with `prefix`, whoever wrote it: whoever keeps
    /// something made of these values can tell cheaply that it is out of date.
    #[must_use]
    pub fn digest(&self, prefix: &str) -> u64 {
        self.read(|map| {
            let mut hash = DefaultHasher::new();
            for entry in map.alike(prefix) {
                (&entry.key, &entry.version).hash(&mut hash);
            }
            hash.finish()
        })
    }

    /// # Errors
    /// See [`JournalError`]; the old value stands.
    pub fn put(&self, key: &str, value: &impl Serialize) -> Result<(), JournalError> {
        self.change(vec![Change::put(key, value)])
    }

    /// All changes together, or none.
    ///
    /// # Errors
    /// See [`JournalError`]; the map is as it was.
    pub fn change(&self, changes: Vec<Change>) -> Result<(), JournalError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut writer = self.writer();
        let (epoch, version) = self.read(|map| (map.epoch, map.version));
        let author = self.0.author.read().unwrap_or_else(PoisonError::into_inner);
        let version = Version {
            // What was heard of a later epoch came before this, so this is of that epoch at least.
            epoch: author.epoch.max(epoch),
            version: version.saturating_add(1),
            replica: Arc::clone(&author.replica),
        };
        let mut fresh = BTreeMap::new();
        for Change { key, value } in changes {
            let value = value.transpose().map_err(|error| JournalError::Value {
                key: key.clone(),
                source: serde::ser::Error::custom(error.to_string()),
            })?;
            let key: Arc<str> = key.into();
            let was = self.read(|map| map.known(&key).is_some_and(|known| !known.is_removal()));
            if value.is_none() && !was {
                fresh.remove(&key);
                continue;
            }
            let entry = Entry {
                key: Arc::clone(&key),
                version: version.clone(),
                grave: value.is_none() && author.shared.iter().any(|prefix| key.starts_with(prefix)),
                value: value.map(Arc::from),
                rest: Rest::new(),
            };
            fresh.insert(key, entry);
        }
        drop(author);
        self.keep(&mut writer, fresh, 0)
    }

    /// As [`Self::change`], without holding up the runtime while the disk works.
    pub fn write(&self, changes: Vec<Change>) -> BoxFuture<'static, Result<(), JournalError>> {
        self.aside(move |journal| journal.change(changes))
    }

    /// Takes what another replica says, as far as it is newer than what is known, in one durable write. `origin`
    /// names who told us (not 0), so that it need not be told the same; see [`Self::changed_since`].
    ///
    /// # Errors
    /// See [`JournalError`]; the map is as it was.
    pub fn merge(&self, entries: Vec<Entry>, origin: u64) -> Result<Merged, JournalError> {
        let mut merged = Merged::default();
        let mut writer = self.writer();
        let mut fresh: BTreeMap<Arc<str>, Entry> = BTreeMap::new();
        let mut same = Vec::new();
        self.read(|map| {
            for mut entry in entries {
                entry.grave = entry.is_removal();
                let known = fresh.get(&entry.key).or_else(|| map.known(&entry.key));
                match known.map_or(Ordering::Greater, |known| entry.compare(known)) {
                    Ordering::Less => merged.old += 1,
                    Ordering::Equal => {
                        merged.same += 1;
                        same.push(entry.key);
                    }
                    Ordering::Greater => {
                        merged.taken += 1;
                        fresh.insert(Arc::clone(&entry.key), entry);
                    }
                }
            }
        });
        self.keep(&mut writer, fresh, origin)?;
        let mut map = self.0.map.write().unwrap_or_else(PoisonError::into_inner);
        for key in same {
            map.confirm(&key, origin);
        }
        Ok(merged)
    }

    /// As [`Self::merge`], without holding up the runtime while the disk works.
    pub fn merge_aside(
        &self,
        entries: Vec<Entry>,
        origin: u64,
    ) -> BoxFuture<'static, Result<Merged, JournalError>> {
        self.aside(move |journal| journal.merge(entries, origin))
    }

    /// What was learned after `seq`, in that order and as it is now, up to about `bytes_max` (but one at least);
    /// and the number up to which that is everything. Left out is what is not `wanted`, and what came from
    /// `origin` itself. Numbers are this process's own and begin anew with it.
    #[must_use]
    pub fn changed_since(
        &self,
        seq: u64,
        origin: u64,
        bytes_max: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> (Vec<Entry>, u64) {
        self.read(|map| {
            let (mut changed, mut bytes) = (Vec::new(), 0);
            let mut upto = seq;
            for (seq, entry) in map.since(seq, origin) {
                if wanted(&entry.key) {
                    bytes += entry.bytes();
                    if bytes > bytes_max && !changed.is_empty() {
                        return (changed, upto);
                    }
                    changed.push(entry.clone());
                }
                upto = seq;
            }
            (changed, map.seq)
        })
    }

    /// How many entries [`Self::changed_since`] would give without a limit.
    #[must_use]
    pub fn count_since(&self, seq: u64, origin: u64, wanted: impl Fn(&str) -> bool) -> usize {
        self.read(|map| {
            let later = map.since(seq, origin);
            later.filter(|(_, entry)| wanted(&entry.key)).count()
        })
    }

    /// Keys under a prefix that are not known from `origin`: of what somebody keeps there, these are no more.
    #[must_use]
    pub fn not_from(&self, prefix: &str, origin: u64) -> Vec<String> {
        self.read(|map| map.not_from(prefix, origin))
    }

    /// The number of the newest change.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.read(|map| map.seq)
    }

    /// The epoch that the next change is of: the highest of what was written here, heard of or set.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        let author = self.0.author.read().unwrap_or_else(PoisonError::into_inner);
        author.epoch.max(self.read(|map| map.epoch))
    }

    /// Says when [`Self::seq`] has risen.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.rose.subscribe()
    }

    /// Who writes from now on. The epoch never falls.
    pub fn set_author(&self, replica: Arc<str>, epoch: u64) {
        let mut author = self.0.author.write().unwrap_or_else(PoisonError::into_inner);
        author.replica = replica;
        author.epoch = author.epoch.max(epoch);
    }

    /// Keys under these prefixes are shared: when one is removed, that is remembered.
    pub fn set_shared(&self, prefixes: Vec<String>) {
        let mut author = self.0.author.write().unwrap_or_else(PoisonError::into_inner);
        author.shared = prefixes;
    }

    /// The format that the next rewrite of the file has: the highest that everybody reads who may open it.
    pub fn set_format(&self, format: u32) {
        self.writer().format = format.clamp(FORMAT_LOWEST, FORMAT_HIGHEST);
    }

    fn keep(
        &self,
        writer: &mut Writer,
        fresh: BTreeMap<Arc<str>, Entry>,
        origin: u64,
    ) -> Result<(), JournalError> {
        if fresh.is_empty() {
            return Ok(());
        }
        let frame = frame::frame(fresh.values());
        if writer.is_due(frame.len(), self.read(|map| map.live_bytes)) {
            let mut map = self.read(Map::clone);
            for entry in fresh.into_values() {
                map.apply(entry, origin);
            }
            writer.rewrite(&map)?;
            *self.0.map.write().unwrap_or_else(PoisonError::into_inner) = map;
        } else {
            writer.append(&frame)?;
            let mut map = self.0.map.write().unwrap_or_else(PoisonError::into_inner);
            for entry in fresh.into_values() {
                map.apply(entry, origin);
            }
        }
        self.0.rose.send_replace(self.seq());
        Ok(())
    }

    fn read<T>(&self, look: impl FnOnce(&Map) -> T) -> T {
        look(&self.0.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Work that waits for the disk, where there is anything to wait for.
    fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, JournalError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, JournalError>> {
        let journal = self.clone();
        if self.0.is_instant {
            return Box::pin(async move { work(&journal) });
        }
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || work(&journal)).await;
            done.unwrap_or_else(|error| Err(JournalError::Stopped(error.to_string())))
        })
    }
}

impl Writer {
    fn is_due(&self, more_bytes: usize, live_bytes: usize) -> bool {
        self.torn || self.file_bytes + more_bytes > REWRITE_BYTES.max(4 * live_bytes)
    }

    fn append(&mut self, frame: &[u8]) -> Result<(), JournalError> {
        if let Err(source) = self.files.append(&self.path, frame) {
            self.torn = true;
            return Err(self.failed(source));
        }
        self.file_bytes += frame.len();
        Ok(())
    }

    fn rewrite(&mut self, map: &Map) -> Result<(), JournalError> {
        let mut bytes = frame::head(self.format);
        bytes.extend(frame::frame(map.all()));
        if let Err(source) = self.files.replace(&self.path, &bytes) {
            // It may be done later all the same.
            self.torn = true;
            return Err(self.failed(source));
        }
        self.file_bytes = bytes.len();
        self.torn = false;
        Ok(())
    }

    /// Takes all whole frames, and cuts off what follows the last of them.
    fn replay(&mut self, bytes: &[u8], map: &mut Map) -> Result<(), JournalError> {
        let path = || self.path.clone();
        let (format, mut rest) = frame::open(bytes).ok_or_else(|| JournalError::Foreign { path: path() })?;
        if format > FORMAT_HIGHEST {
            return Err(JournalError::Newer {
                path: path(),
                found: format,
                known: FORMAT_HIGHEST,
            });
        }
        self.format = format.max(FORMAT_LOWEST);
        while let Some((body, tail)) = frame::next(rest) {
            for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                match serde_json::from_slice(line) {
                    Ok(entry) => map.apply(entry, 0),
                    Err(error) => {
                        tracing::warn!(%error, path = %self.path.display(), "journal line passed over")
                    }
                }
            }
            rest = tail;
        }
        self.file_bytes = bytes.len() - rest.len();
        if !rest.is_empty() {
            tracing::warn!(path = %self.path.display(), bytes = rest.len(), "unfinished end of the journal cut off");
            let cut = self.files.truncate(&self.path, self.file_bytes as u64);
            cut.map_err(|source| self.failed(source))?;
        }
        Ok(())
    }

    fn failed(&self, source: std::io::Error) -> JournalError {
        JournalError::Write {
            path: self.path.clone(),
            source,
        }
    }
}
