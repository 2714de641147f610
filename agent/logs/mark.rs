//! How far a file has been kept, and how that file is known again: the watermark beside the records.
//!
//! A mark is written in the same frame as the records it covers, so that both are on the disk or neither is.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::days::Days;

/// Bytes at the front of a file that tell it from another one; fewer while it is shorter.
pub(crate) const HEAD_BYTES: usize = 256;
/// Bytes in front of the place reached that must still be there when reading goes on.
pub(crate) const CHECK_BYTES: usize = 32;

/// Names a file's content: another inode, or the same one begun anew, is another id. Part of a record's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct FileId(pub(crate) u64);

/// Where a file lies on its disk, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Inode {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    /// When it was made, in nanoseconds, where the filesystem knows: an inode number used again has another.
    pub(crate) born: i64,
}

/// How the lines of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    Plain,
    Cri,
    /// Of our own spool: records of inputs that cannot be read again.
    Spool,
}

/// Who has given a record, where its file does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Short name shown with the record.
    pub(crate) source: Arc<str>,
    /// `namespace`, `pod`, `pod_uid`, `container`, `host`, and what else its input says: names of a closed set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) more: BTreeMap<String, String>,
}

/// A file, and the place in it up to which every record is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileMark {
    pub(crate) id: FileId,
    pub(crate) form: Form,
    /// Short name shown with each record.
    pub(crate) source: Arc<str>,
    /// Name the writer uses; a rotated file keeps it.
    pub(crate) base: Arc<str>,
    /// Name it has now.
    pub(crate) path: Arc<str>,
    pub(crate) inode: Inode,
    /// Rises when the same inode is begun anew (copytruncate).
    pub(crate) generation: u32,
    pub(crate) head: Print,
    /// Where reading stands: the first byte of the first line that has not been looked at.
    pub(crate) read: u64,
    /// Of the bytes in front of `read`.
    pub(crate) check: Print,
    /// Per stream (neither, stdout, stderr): records that begin before this are kept. Behind `read` while a partial
    /// record of the stream is open.
    pub(crate) done: [u64; 3],
    /// A copy that a copytruncate has made of lines that were read: it is known in order not to be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) copy: bool,
    /// The file is packed: all places are those in what it holds, and it is never written to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) packed: bool,
    /// The file is no more, and so need not be remembered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) gone: bool,
    /// Of the records of a spool that go under this mark; a batch has a mark for each. Nothing that is kept of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) facts: Option<Arc<Facts>>,
    /// Of lines that do not say when they were written; empty where there are none.
    #[serde(default, skip_serializing_if = "Days::is_empty")]
    pub(crate) days: Days,
}

impl FileMark {
    /// What is to be remembered of the file.
    pub(crate) fn bare(&self) -> Self {
        Self {
            facts: None,
            ..self.clone()
        }
    }

    /// Takes the front that another mark of the file has, if that tells more.
    ///
    /// Marks overtake each other: a file is noted before its first line is sent, and may be in the log before what was
    /// said of it when it was empty. Packed, it is only known by its front.
    pub(crate) fn know_front(&mut self, other: Print) {
        if other.bytes > self.head.bytes {
            self.head = other;
        }
    }

    /// Where reading has to begin again.
    pub(crate) fn resume_bytes(&self) -> u64 {
        self.done.iter().copied().fold(self.read, u64::min)
    }

    /// Whether `file` still holds what was read of it.
    ///
    /// The device number is not asked for: it may change when the machine starts anew.
    pub(crate) fn is_of(&self, file: &File, inode: Inode) -> io::Result<bool> {
        let same = self.inode.ino == inode.ino && self.inode.born == inode.born;
        if same && (self.copy || self.packed) {
            return Ok(true);
        }
        if !same || file.metadata()?.len() < self.read {
            return Ok(false);
        }
        let start = self.read - u64::from(self.check.bytes).min(self.read);
        Ok(self.head.is_of(file, 0)? && self.check.is_of(file, start)?)
    }
}

/// Puts a mark in the place of an older one of its file.
pub(crate) fn renew(marks: &mut HashMap<FileId, FileMark>, mut mark: FileMark) {
    if let Some(older) = marks.get(&mark.id) {
        mark.know_front(older.head);
        mark.days.know(older.days.clone());
    }
    marks.insert(mark.id, mark);
}

/// The hash of a few bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Print {
    pub(crate) bytes: u16,
    pub(crate) hash: u64,
}

impl Print {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: u16::try_from(bytes.len()).unwrap_or(u16::MAX),
            hash: xxh3_64(bytes),
        }
    }

    /// Of the front of a file of which `read` bytes have been read. Taken anew only until it has its full length.
    pub(crate) fn grow(&mut self, file: &File, read: u64) {
        let want = usize::try_from(read).unwrap_or(HEAD_BYTES).min(HEAD_BYTES);
        if usize::from(self.bytes) >= want {
            return;
        }
        let mut head = [0; HEAD_BYTES];
        if let Some(head) = head.get_mut(..want)
            && file.read_exact_at(head, 0).is_ok()
        {
            *self = Self::new(head);
        }
    }

    /// Whether these bytes begin with it; false for one of nothing.
    pub(crate) fn is_front_of(self, bytes: &[u8]) -> bool {
        let front = bytes.get(..usize::from(self.bytes));
        self.bytes > 0 && front.is_some_and(|front| xxh3_64(front) == self.hash)
    }

    /// Whether these are the bytes that tell a file, or all that it has; it is that of a whole front.
    pub(crate) fn is_front(self, bytes: &[u8]) -> bool {
        usize::from(self.bytes) == bytes.len() && self.is_front_of(bytes)
    }

    pub(crate) fn is_of(self, file: &File, start: u64) -> io::Result<bool> {
        let mut bytes = vec![0; usize::from(self.bytes)];
        match file.read_exact_at(&mut bytes, start) {
            Ok(()) => Ok(self.bytes == 0 || xxh3_64(&bytes) == self.hash),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Inode {
    pub(crate) fn of(meta: &std::fs::Metadata) -> Self {
        let born = meta
            .created()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
        Self {
            dev: meta.dev(),
            ino: meta.ino(),
            born,
        }
    }

    /// The id of this file's content. `front` is its first bytes, as many as there are when it is first seen; they count
    /// only where the filesystem does not know when a file was made, so that the id is the same whenever it is seen.
    pub(crate) fn id(self, generation: u32, front: &[u8]) -> FileId {
        let mut bytes = Vec::with_capacity(28 + front.len());
        bytes.extend_from_slice(&self.dev.to_le_bytes());
        bytes.extend_from_slice(&self.ino.to_le_bytes());
        bytes.extend_from_slice(&self.born.to_le_bytes());
        bytes.extend_from_slice(&generation.to_le_bytes());
        if self.born == 0 {
            bytes.extend_from_slice(front);
        }
        FileId(xxh3_64(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn mark(file: &File, content: &[u8]) -> FileMark {
        let inode = Inode::of(&file.metadata().unwrap());
        let mut head = Print::default();
        head.grow(file, content.len() as u64);
        FileMark {
            id: inode.id(0, b""),
            form: Form::Plain,
            source: "x".into(),
            base: "/x".into(),
            path: "/x".into(),
            inode,
            generation: 0,
            head,
            read: content.len() as u64,
            check: Print::new(&content[content.len() - CHECK_BYTES..]),
            done: [content.len() as u64; 3],
            copy: false,
            packed: false,
            gone: false,
            facts: None,
            days: Days::default(),
        }
    }

    #[test]
    fn a_file_is_known_again_until_its_content_is_another() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..1000u32).flat_map(u32::to_le_bytes).collect();
        file.write_all(&content).unwrap();
        let mark = mark(&file, &content);
        assert!(mark.is_of(&file, mark.inode).unwrap());
        file.write_all(b"more").unwrap();
        assert!(mark.is_of(&file, mark.inode).unwrap());

        file.write_all_at(b"x", 0).unwrap();
        assert!(!mark.is_of(&file, mark.inode).unwrap(), "another front");
        file.write_all_at(&content, 0).unwrap();
        file.write_all_at(b"x", 3999).unwrap();
        assert!(!mark.is_of(&file, mark.inode).unwrap(), "another end");
        file.set_len(3999).unwrap();
        assert!(!mark.is_of(&file, mark.inode).unwrap(), "shorter");
    }
}
