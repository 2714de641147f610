//! The map in memory and its append-only file.
//!
//! File: `SKJOURNL`, format (u32), then frames of length (u32), CRC-32 of the body (u32) and a body of
//! JSON lines, one per key; numbers are little-endian. A frame is one change: it counts whole or not at all.
//! When the file has grown past the live map by a factor it is written anew beside and renamed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::outside::Files;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::entry::Entry;
use crate::{Change, JournalError, Version};

const MAGIC: &[u8; 8] = b"SKJOURNL";
const FORMAT: u32 = 1;
const HEAD_BYTES: usize = 12;
const FRAME_BYTES: usize = 8;
/// Rewritten when larger than this and than four times what is alive.
const REWRITE_BYTES: usize = 256 * 1024;

/// Cheap to clone; all clones are one map.
#[derive(Clone)]
pub struct Journal(Arc<Mutex<Map>>);

struct Map {
    files: Arc<dyn Files>,
    path: PathBuf,
    entries: BTreeMap<String, (Version, Box<RawValue>)>,
    version: Version,
    file_bytes: usize,
    live_bytes: usize,
    /// After a failed append the end of the file is unknown: the next change writes the file anew.
    torn: bool,
}

impl Journal {
    /// Opens or creates `<folder>/journal`.
    ///
    /// # Errors
    /// The disk cannot be read or written, or the file is not ours to read.
    pub fn open(files: Arc<dyn Files>, folder: &Path) -> Result<Self, JournalError> {
        let path = folder.join("journal");
        let bytes = files.read(&path).map_err(|source| JournalError::Read {
            path: path.clone(),
            source,
        })?;
        let mut map = Map {
            files,
            path,
            entries: BTreeMap::new(),
            version: Version {
                epoch: 1,
                ..Version::default()
            },
            file_bytes: 0,
            live_bytes: 0,
            torn: false,
        };
        match bytes {
            Some(bytes) if bytes.len() >= HEAD_BYTES => map.replay(&bytes)?,
            // A crash while the file was being created left less than a head: nothing was promised yet.
            _ => map.rewrite()?,
        }
        Ok(Self(Arc::new(Mutex::new(map))))
    }

    /// The value, if it is there and reads as a `T`.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let map = self.lock();
        let (_, value) = map.entries.get(key)?;
        read(key, value)
    }

    /// All keys that begin with `prefix`, sorted; values that do not read as a `T` are left out and said.
    #[must_use]
    pub fn entries<T: DeserializeOwned>(&self, prefix: &str) -> Vec<(String, T)> {
        let map = self.lock();
        let range = map.entries.range(prefix.to_owned()..);
        let alike = range.take_while(|(key, _)| key.starts_with(prefix));
        alike
            .filter_map(|(key, (_, value))| Some((key.clone(), read(key, value)?)))
            .collect()
    }

    /// A number that changes with every write to a key that begins with `prefix`, whoever wrote it: whoever keeps
    /// something made of these values can tell cheaply that it is out of date.
    #[must_use]
    pub fn digest(&self, prefix: &str) -> u64 {
        let map = self.lock();
        let range = map.entries.range(prefix.to_owned()..);
        let mut hash = DefaultHasher::new();
        for (key, (version, _)) in range.take_while(|(key, _)| key.starts_with(prefix)) {
            (key, version.epoch, version.version, &version.replica).hash(&mut hash);
        }
        hash.finish()
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
            Ok(())
        } else {
            self.lock().change(changes)
        }
    }

    fn lock(&self) -> MutexGuard<'_, Map> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read<T: DeserializeOwned>(key: &str, value: &RawValue) -> Option<T> {
    let read = serde_json::from_str(value.get());
    read.inspect_err(|error| tracing::warn!(key, %error, "kept value cannot be read and is passed over"))
        .ok()
}

impl Map {
    fn change(&mut self, changes: Vec<Change>) -> Result<(), JournalError> {
        let version = Version {
            version: self.version.version + 1,
            ..self.version.clone()
        };
        let mut fresh = Vec::with_capacity(changes.len());
        for change in changes {
            let value = change.value.transpose().map_err(|error| JournalError::Value {
                key: change.key.clone(),
                source: serde::ser::Error::custom(error.to_string()),
            })?;
            fresh.push((change.key, value));
        }
        let mut body = Vec::new();
        for (key, value) in &fresh {
            line(&mut body, key, &version, value.clone());
        }
        let frame = frame(&body);
        let due = self.torn || self.file_bytes + frame.len() > REWRITE_BYTES.max(4 * self.live_bytes);
        if !due {
            if let Err(source) = self.files.append(&self.path, &frame) {
                self.torn = true;
                return Err(JournalError::Write {
                    path: self.path.clone(),
                    source,
                });
            }
            self.file_bytes += frame.len();
        }
        let before = due.then(|| (self.entries.clone(), self.version.clone()));
        self.version = version;
        for (key, value) in fresh {
            self.apply(key, self.version.clone(), value);
        }
        match before {
            Some((entries, version)) => self
                .rewrite()
                .inspect_err(|_| (self.entries, self.version) = (entries, version)),
            None => Ok(()),
        }
    }

    fn apply(&mut self, key: String, version: Version, value: Option<Box<RawValue>>) {
        let size = |key: &str, value: &RawValue| key.len() + value.get().len() + 64;
        if let Some((_, old)) = self.entries.get(&key) {
            self.live_bytes = self.live_bytes.saturating_sub(size(&key, old));
        }
        match value {
            Some(value) => {
                self.live_bytes += size(&key, &value);
                self.entries.insert(key, (version, value));
            }
            None => drop(self.entries.remove(&key)),
        }
    }

    /// Takes all whole frames, and cuts off what follows the last of them.
    fn replay(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        let (head, mut rest) = bytes.split_at(HEAD_BYTES);
        let (magic, format) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(JournalError::Foreign {
                path: self.path.clone(),
            });
        }
        let found = number(format).unwrap_or(0);
        if found > FORMAT {
            return Err(JournalError::Newer {
                path: self.path.clone(),
                found,
                known: FORMAT,
            });
        }
        while let Some((body, tail)) = next_frame(rest) {
            for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                match serde_json::from_slice::<Entry<'_>>(line) {
                    Ok(entry) => {
                        self.version = self.version.clone().max(entry.version.clone());
                        self.apply(entry.key.into_owned(), entry.version, entry.value);
                    }
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
            cut.map_err(|source| JournalError::Write {
                path: self.path.clone(),
                source,
            })?;
        }
        Ok(())
    }

    fn rewrite(&mut self) -> Result<(), JournalError> {
        let mut body = Vec::new();
        for (key, (version, value)) in &self.entries {
            line(&mut body, key, version, Some(value.clone()));
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(frame(&body));
        let written = self.files.replace(&self.path, &bytes);
        written.map_err(|source| JournalError::Write {
            path: self.path.clone(),
            source,
        })?;
        self.file_bytes = bytes.len();
        self.torn = false;
        Ok(())
    }
}

fn line(body: &mut Vec<u8>, key: &str, version: &Version, value: Option<Box<RawValue>>) {
    let entry = Entry {
        key: key.into(),
        version: version.clone(),
        value,
    };
    // Text and raw JSON always serialise, and a vector always grows.
    if serde_json::to_writer(&mut *body, &entry).is_ok() {
        body.push(b'\n');
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_BYTES + body.len());
    frame.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    frame.extend(crc32fast::hash(body).to_le_bytes());
    frame.extend(body);
    frame
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_le_bytes)
}

fn next_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(FRAME_BYTES)?;
    let (length, sum) = head.split_at(4);
    let (body, tail) = rest.split_at_checked(usize::try_from(number(length)?).ok()?)?;
    (crc32fast::hash(body) == number(sum)?).then_some((body, tail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Disk;

    fn open(folder: &Path) -> Journal {
        Journal::open(Disk::new(folder), Path::new("alerts")).unwrap()
    }

    #[test]
    fn what_was_put_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let journal = open(folder.path());
        journal.put("a/1", &7).unwrap();
        journal
            .change(vec![
                Change::put("a/2", &8),
                Change::put("b", &"x"),
                Change::remove("a/1"),
            ])
            .unwrap();
        drop(journal);
        let journal = open(folder.path());
        assert_eq!(journal.entries::<u32>("a/"), [("a/2".to_owned(), 8)]);
        assert_eq!(journal.get::<String>("b").as_deref(), Some("x"));
        assert_eq!(journal.get::<u32>("a/1"), None);
    }

    #[test]
    fn a_digest_tells_that_something_was_written_below_its_prefix() {
        let folder = tempfile::tempdir().unwrap();
        let journal = open(folder.path());
        journal.put("a/1", &7).unwrap();
        let before = journal.digest("a/");
        journal.put("b/1", &7).unwrap();
        assert_eq!(journal.digest("a/"), before);
        journal.put("a/1", &7).unwrap();
        let written = journal.digest("a/");
        assert_ne!(written, before);
        journal.change(vec![Change::remove("a/1")]).unwrap();
        assert_ne!(journal.digest("a/"), written);
        drop(journal);
        let reopened = open(folder.path());
        assert_eq!(reopened.digest("a/"), reopened.digest("c/"));
    }

    #[test]
    fn a_change_counts_whole_or_not_at_all_wherever_the_file_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let journal = open(folder.path());
        journal.put("a", &1).unwrap();
        journal
            .change(vec![Change::put("a", &2), Change::put("b", &2)])
            .unwrap();
        let path = folder.path().join("alerts/journal");
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let journal = open(folder.path());
            let (a, b) = (journal.get::<u32>("a"), journal.get::<u32>("b"));
            assert!(
                matches!((a, b), (None | Some(1), None)),
                "cut at {length}: {a:?} {b:?}"
            );
            journal.put("c", &3).unwrap();
            assert_eq!(open(folder.path()).get::<u32>("c"), Some(3), "cut at {length}");
        }
    }

    #[test]
    fn the_file_stays_small_however_often_a_key_changes() {
        let folder = tempfile::tempdir().unwrap();
        let journal = open(folder.path());
        let value = "x".repeat(10_000);
        for _ in 0..200 {
            journal.put("a", &value).unwrap();
        }
        assert!(
            std::fs::metadata(folder.path().join("alerts/journal"))
                .unwrap()
                .len()
                < 300_000
        );
        assert_eq!(open(folder.path()).get::<String>("a"), Some(value));
    }

    #[test]
    fn a_foreign_or_newer_file_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts/journal");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        for (bytes, word) in [
            (&b"something else altogether"[..], "not a journal"),
            (b"SKJOURNL\x09\0\0\0", "newer version"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = Journal::open(Disk::new(folder.path()), Path::new("alerts"))
                .err()
                .unwrap();
            assert!(error.to_string().contains(word), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }

    /// A disk that takes `left` writes and then is full.
    struct Full(Arc<Disk>, Mutex<usize>);

    impl Full {
        fn take(&self) -> std::io::Result<()> {
            let mut left = self.1.lock().unwrap();
            if *left == 0 {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            *left -= 1;
            Ok(())
        }
    }

    impl Files for Full {
        fn read(&self, path: &Path) -> std::io::Result<Option<Vec<u8>>> {
            self.0.read(path)
        }
        fn append(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
            // A full disk takes a part first.
            let part = self.take().map_or(bytes.len() / 2, |()| bytes.len());
            self.0.append(path, &bytes[..part])?;
            if part == bytes.len() {
                Ok(())
            } else {
                Err(std::io::ErrorKind::StorageFull.into())
            }
        }
        fn replace(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
            self.take()?;
            self.0.replace(path, bytes)
        }
        fn truncate(&self, path: &Path, length_bytes: u64) -> std::io::Result<()> {
            self.0.truncate(path, length_bytes)
        }
        fn remove(&self, path: &Path) -> std::io::Result<()> {
            self.0.remove(path)
        }
        fn list(&self, folder: &Path) -> std::io::Result<Vec<PathBuf>> {
            self.0.list(folder)
        }
    }

    #[test]
    fn a_full_disk_refuses_the_change_and_keeps_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let full = Arc::new(Full(Disk::new(folder.path()), Mutex::new(2)));
        let journal = Journal::open(full.clone(), Path::new("alerts")).unwrap();
        journal.put("a", &1).unwrap();
        for _ in 0..2 {
            assert!(journal.put("a", &2).is_err());
            assert_eq!(journal.get::<u32>("a"), Some(1));
        }
        assert_eq!(open(folder.path()).get::<u32>("a"), Some(1));
        *full.1.lock().unwrap() = 10;
        journal.put("b", &3).unwrap();
        assert_eq!(open(folder.path()).get::<u32>("b"), Some(3));
        assert_eq!(open(folder.path()).get::<u32>("a"), Some(1));
    }
}
