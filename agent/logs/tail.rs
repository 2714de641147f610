//! One file being read: where reading stands, and that the file is still the same.
//!
//! Holds no text. An unfinished line is read again from its beginning when more of it has come, and each read begins a
//! few bytes early, on bytes that must not have changed: a file that was truncated or written anew is seen for free.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use model::Timestamp;
use rustix::fs::OFlags;

use crate::days::{Days, day_of, within};
use crate::folders::FolderId;
use crate::mark::{CHECK_BYTES, Facts, FileId, FileMark, Form, Inode, Print};
use crate::source;

/// Read at a time, into one buffer for all files.
pub(crate) const BUFFER_BYTES: usize = 256 << 10;
/// An unfinished line longer than this is not read again each time it grows.
const REREAD_BYTES: u64 = 64 << 10;
/// First bytes that go into a file's id.
const ID_BYTES: usize = 64;

/// What has become of the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has the name its writer uses.
    Live,
    /// It was renamed and lies in a folder we look into.
    Rotated(Instant),
    /// It is nowhere to be seen, but has not been deleted.
    Away(Instant),
    /// No name is left; only our descriptor keeps it.
    Deleted(Instant),
}

pub(crate) struct Tail {
    pub(crate) id: FileId,
    pub(crate) form: Form,
    pub(crate) source: Arc<str>,
    pub(crate) base: Arc<str>,
    pub(crate) path: Arc<str>,
    pub(crate) folder: FolderId,
    pub(crate) name: OsString,
    pub(crate) inode: Inode,
    pub(crate) generation: u32,
    /// None once all of a rotated file was read, or while it cannot be opened.
    pub(crate) file: Option<File>,
    pub(crate) phase: Phase,
    head: Print,
    /// Everything in front of this has been made into records.
    pub(crate) start: u64,
    /// No line ends between `start` and here.
    scanned: u64,
    /// Where the bytes in the buffer end.
    filled: u64,
    /// The bytes in front of `start`.
    before: Vec<u8>,
    /// Per stream: records that begin before this were kept by an earlier run.
    pub(crate) skip: [u64; 3],
    pub(crate) size: u64,
    /// Whether it waits to be read.
    pub(crate) dirty: bool,
    /// Whether the last read reached the end.
    pub(crate) at_end: bool,
    pub(crate) grown: Instant,
    /// Since when it is followed.
    pub(crate) entered: Instant,
    /// The name that it was rotated to, where only what it was packed into was seen of it.
    pub(crate) packed_name: Option<OsString>,
    /// Of a packed file, when its content was last written, in nanoseconds.
    pub(crate) written: i64,
    pub(crate) last: Option<Timestamp>,
    /// See [`FileMark::copy`].
    pub(crate) copy: bool,
    /// Of a packed file, how many bytes it holds; `file` has them unpacked.
    pub(crate) packed: Option<u64>,
    /// To be let go with the next batch.
    pub(crate) end: Option<End>,
    /// Nothing behind this is read: it may not be on the disk for good. Only for the spool's own files.
    pub(crate) limit: u64,
    /// What is to be noted of it before its first line is sent.
    pub(crate) first: Option<Box<FileMark>>,
    /// Whose lines these are, where the path does not say it all.
    pub(crate) facts: Option<Arc<Facts>>,
    days: Days,
    /// Whether the newest day is noted, or goes out to be.
    is_noted: bool,
    /// Whether lines were read that do not say when they were written.
    pub(crate) has_undated: bool,
    /// What begins before this may have been sent by an earlier run, and keeps its day.
    sent_until: u64,
}

/// How a file is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is no more: its mark goes too.
    Gone,
    /// It may come back: its mark stays.
    Released,
}

/// What a read has put into the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Whole lines from `from` up to `until`, the last line feed included.
    Lines { from: usize, until: usize },
    /// The first `bytes` of one line of `length` bytes, the buffer being too small for it.
    Long { from: usize, bytes: usize, length: u64 },
    /// No whole line yet.
    Nothing,
    /// The file does not hold any more what was read of it.
    Rewritten,
}

/// What is known when a file is first seen.
pub(crate) struct Origin {
    pub(crate) form: Form,
    pub(crate) source: Arc<str>,
    pub(crate) base: Arc<str>,
    pub(crate) path: Arc<str>,
    pub(crate) folder: FolderId,
    pub(crate) name: OsString,
    pub(crate) inode: Inode,
    pub(crate) generation: u32,
    pub(crate) facts: Option<Arc<Facts>>,
}

/// Opens a file for reading without being held up by it, whatever it is. Where we may, reading leaves its time of access as it
/// is: of a file that is written to all the time, each read would be a write to its inode.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let open = |flags: OFlags| {
        OpenOptions::new()
            .read(true)
            .custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
            .open(path)
    };
    match open(flags | OFlags::NOATIME) {
        // It is somebody else's, and we are not root.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => open(flags),
        opened => opened,
    }
}

impl Tail {
    /// A file that is new to us, read from `start` on.
    pub(crate) fn new(file: File, origin: Origin, start: u64, now: Instant) -> io::Result<Self> {
        let mut front = [0; ID_BYTES];
        let length = file.read_at(&mut front, 0)?;
        let id = origin
            .inode
            .id(origin.generation, front.get(..length).unwrap_or_default());
        let mut tail = Self {
            id,
            form: origin.form,
            source: origin.source,
            base: origin.base,
            path: origin.path,
            folder: origin.folder,
            name: origin.name,
            inode: origin.inode,
            generation: origin.generation,
            file: Some(file),
            phase: Phase::Live,
            head: Print::default(),
            start,
            scanned: start,
            filled: start,
            before: Vec::new(),
            skip: [start; 3],
            size: start,
            dirty: false,
            at_end: false,
            grown: now,
            entered: now,
            packed_name: None,
            written: i64::MAX,
            last: None,
            copy: false,
            packed: None,
            end: None,
            limit: u64::MAX,
            first: None,
            facts: origin.facts,
            days: Days::default(),
            is_noted: true,
            has_undated: false,
            sent_until: 0,
        };
        tail.remember_before()?;
        Ok(tail)
    }

    /// A file that an earlier run has read a part of.
    pub(crate) fn resume(file: File, origin: Origin, mark: &FileMark, now: Instant) -> io::Result<Self> {
        let mut tail = Self::new(file, origin, mark.resume_bytes(), now)?;
        tail.id = mark.id;
        tail.generation = mark.generation;
        tail.head = mark.head;
        tail.skip = mark.done;
        if !mark.days.is_empty() {
            tail.sent_until = tail.length()?;
            tail.days = mark.days.clone();
            tail.has_undated = true;
        }
        if mark.copy {
            tail.make_copy();
        }
        Ok(tail)
    }

    /// Gives the descriptor back, and keeps what tells the file.
    pub(crate) fn close(&mut self) {
        self.head = self.front();
        self.file = None;
    }

    /// It is new: before its first line is sent it has to be noted, so that it is known again.
    pub(crate) fn begin(&mut self) {
        self.first = Some(Box::new(self.mark([None; 3], false)));
    }

    /// What is to be noted now that lines of it are sent.
    pub(crate) fn begun(&mut self) -> Option<FileMark> {
        if self.first.as_ref().is_none_or(|first| first.read == self.start) {
            return None;
        }
        let front = self.front();
        let first = *self.first.take()?;
        Some(FileMark { head: front, ..first })
    }

    /// The time of lines from this place on that have none of their own, read now, and up to where it holds.
    pub(crate) fn date(&mut self, offset: u64, now: Timestamp) -> (Timestamp, u64) {
        let today = day_of(now);
        let is_fresh = offset >= self.sent_until;
        if is_fresh && self.days.newest() != Some(today) {
            self.days.turn(offset, today);
            self.is_noted = false;
        }
        let (day, until) = self.days.at(offset).unwrap_or((today, u64::MAX));
        let until = if is_fresh {
            until
        } else {
            until.min(self.sent_until)
        };
        (within(day, now), until)
    }

    /// At midnight: what is read from now on is of this day. True when that has to be noted.
    pub(crate) fn turn_day(&mut self, now: Timestamp) -> bool {
        if self.has_undated && self.start >= self.sent_until {
            self.date(self.start, now);
        }
        self.has_undated && !self.is_noted
    }

    /// What is to be noted of its days now that lines of the newest are sent.
    pub(crate) fn turned(&mut self) -> Option<Days> {
        let is_due = self.has_undated && !self.is_noted;
        is_due.then(|| {
            self.is_noted = true;
            self.days.clone()
        })
    }

    /// Not to be read, see [`FileMark::copy`].
    pub(crate) fn make_copy(&mut self) {
        self.close();
        self.copy = true;
    }

    /// Begins anew at the first byte, as another file under the same inode.
    pub(crate) fn restart(&mut self, now: Instant) -> io::Result<()> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let origin = Origin {
            form: self.form,
            source: Arc::clone(&self.source),
            base: Arc::clone(&self.base),
            path: Arc::clone(&self.path),
            folder: self.folder,
            name: self.name.clone(),
            inode: self.inode,
            generation: self.generation.wrapping_add(1),
            facts: self.facts.clone(),
        };
        let (phase, last, limit) = (self.phase, self.last, self.limit);
        *self = Self::new(file, origin, 0, now)?;
        (self.phase, self.last, self.limit) = (phase, last, limit);
        Ok(())
    }

    /// Reads on. Bytes are only taken by [`Self::advance`].
    pub(crate) fn fill(
        &mut self,
        buffer: &mut Vec<u8>,
        line_bytes_max: usize,
        now: Instant,
    ) -> io::Result<Filled> {
        buffer.resize(BUFFER_BYTES, 0);
        let pending = self.scanned - self.start;
        if pending > REREAD_BYTES {
            return self.fill_long(buffer, line_bytes_max, now);
        }
        let early = self.before.len();
        let count = self.read(buffer, self.start - early as u64)?;
        if buffer.get(..early) != Some(&self.before) || count < early {
            return Ok(Filled::Rewritten);
        }
        self.at_end = count < buffer.len();
        let scanned = early + usize::try_from(pending).unwrap_or(usize::MAX);
        let Some(fresh) = buffer.get(scanned..count).filter(|fresh| !fresh.is_empty()) else {
            self.scanned = self.start + (count - early) as u64;
            return Ok(Filled::Nothing);
        };
        self.grown = now;
        self.filled = self.start + (count - early) as u64;
        if let Some(last) = memchr::memrchr(b'\n', fresh) {
            let (from, until) = (early, scanned + last + 1);
            return Ok(Filled::Lines { from, until });
        }
        self.scanned = self.filled;
        Ok(Filled::Nothing)
    }

    /// Looks for the end of a long line; only then is its beginning read again.
    fn fill_long(&mut self, buffer: &mut Vec<u8>, line_bytes_max: usize, now: Instant) -> io::Result<Filled> {
        let count = self.read(buffer, self.scanned)?;
        self.at_end = count < buffer.len();
        if count == 0 {
            let cut = self.length()? < self.scanned;
            return Ok(if cut { Filled::Rewritten } else { Filled::Nothing });
        }
        self.grown = now;
        match memchr::memchr(b'\n', buffer.get(..count).unwrap_or_default()) {
            Some(end) => {
                let length = self.scanned + end as u64 - self.start;
                self.at_end = false;
                self.fill_front(buffer, line_bytes_max, length)
            }
            None => {
                self.scanned += count as u64;
                Ok(Filled::Nothing)
            }
        }
    }

    /// What stands behind the last line feed, as a line: for a file that nobody writes to any more.
    pub(crate) fn fill_rest(&mut self, buffer: &mut Vec<u8>, line_bytes_max: usize) -> io::Result<Filled> {
        match self.scanned - self.start {
            0 => Ok(Filled::Nothing),
            length => self.fill_front(buffer, line_bytes_max, length),
        }
    }

    fn fill_front(&mut self, buffer: &mut Vec<u8>, line_bytes_max: usize, length: u64) -> io::Result<Filled> {
        let early = self.before.len();
        let bytes = usize::try_from(length).map_or(line_bytes_max, |length| length.min(line_bytes_max));
        buffer.resize(early + bytes, 0);
        let count = self.read(buffer, self.start - early as u64)?;
        if count < buffer.len() || buffer.get(..early) != Some(&self.before) {
            return Ok(Filled::Rewritten);
        }
        Ok(Filled::Long {
            from: early,
            bytes,
            length,
        })
    }

    /// Takes `bytes` of the lines in `buffer`, which begin at `from`; `all` when no whole line is left there.
    pub(crate) fn advance(&mut self, buffer: &[u8], from: usize, bytes: usize, all: bool) {
        let until = from + bytes;
        let taken = buffer.get(until.saturating_sub(CHECK_BYTES)..until);
        self.before.clear();
        self.before.extend_from_slice(taken.unwrap_or_default());
        self.start += bytes as u64;
        self.scanned = if all { self.filled } else { self.start };
    }

    /// Takes a long line of `length` bytes and, if there is one, its line feed.
    pub(crate) fn advance_long(&mut self, length: u64, line_feed: bool) -> io::Result<()> {
        self.start += length + u64::from(line_feed);
        self.scanned = self.start;
        self.remember_before()
    }

    fn remember_before(&mut self) -> io::Result<()> {
        let early = self.start.min(CHECK_BYTES as u64);
        let mut before = vec![0; usize::try_from(early).unwrap_or(0)];
        if let Some(file) = &self.file {
            file.read_exact_at(&mut before, self.start - early)?;
        }
        self.before = before;
        Ok(())
    }

    fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let room = usize::try_from(self.limit.saturating_sub(at)).unwrap_or(usize::MAX);
        let most = room.min(buffer.len());
        match &self.file {
            Some(file) => file.read_at(buffer.get_mut(..most).unwrap_or_default(), at),
            None => Ok(0),
        }
    }

    pub(crate) fn length(&self) -> io::Result<u64> {
        match &self.file {
            Some(file) => Ok(file.metadata()?.len().min(self.limit)),
            None => Ok(self.size),
        }
    }

    /// Bytes that are not yet records.
    pub(crate) fn unread(&self) -> u64 {
        self.size.saturating_sub(self.start)
    }

    /// Looks at the size, and whether a name is left. True when there is something to read.
    pub(crate) fn look(&mut self, now: Instant) -> bool {
        let Some(meta) = self.file.as_ref().and_then(|file| file.metadata().ok()) else {
            return false;
        };
        self.size = meta.len().min(self.limit);
        if self.packed.is_none() && meta.nlink() == 0 && !matches!(self.phase, Phase::Deleted(_)) {
            self.phase = Phase::Deleted(now);
        }
        self.size != self.scanned
    }

    /// The front of the file, read or not.
    pub(crate) fn front(&self) -> Print {
        let mut front = self.head;
        if let (Some(file), Ok(length)) = (&self.file, self.length()) {
            front.grow(file, length);
        }
        front
    }

    /// Whether what is in it was written after what is in a packed file of this name, which was last written to then.
    pub(crate) fn is_younger_than(&self, packed: &str, written: i64) -> bool {
        let name = self.packed_name.as_ref().unwrap_or(&self.name).to_string_lossy();
        // It has been rotated away, and nobody has seen to which name.
        let is_nameless = self.phase != Phase::Live && source::container_base(&name) == Some(&*name);
        match is_nameless && self.inode.born > 0 {
            true => self.inode.born > written,
            false => source::age(&name) > source::age(packed),
        }
    }

    /// When the phase began, or the file last grew, whichever is later.
    pub(crate) fn quiet_since(&self) -> Instant {
        match self.phase {
            Phase::Live => self.grown,
            Phase::Rotated(since) | Phase::Away(since) | Phase::Deleted(since) => self.grown.max(since),
        }
    }

    /// The watermark. `open` has, per stream, where a record begins that is not finished.
    pub(crate) fn mark(&mut self, open: [Option<u64>; 3], gone: bool) -> FileMark {
        // Of a file of which nothing was read its front may be taken as it is now.
        let known = match self.start {
            0 => self.length().unwrap_or(0),
            start => start,
        };
        if let Some(file) = &self.file {
            self.head.grow(file, known);
        }
        let mut done = [0; 3];
        for ((done, skip), open) in done.iter_mut().zip(self.skip).zip(open) {
            *done = open.unwrap_or_else(|| self.start.max(skip));
        }
        FileMark {
            id: self.id,
            form: self.form,
            source: Arc::clone(&self.source),
            base: Arc::clone(&self.base),
            path: Arc::clone(&self.path),
            inode: self.inode,
            generation: self.generation,
            head: self.head,
            read: self.start,
            check: Print::new(&self.before),
            done,
            // Nothing in it will be read again.
            copy: self.copy
                || self
                    .packed
                    .is_some_and(|length| done.iter().all(|done| *done >= length)),
            packed: self.packed.is_some(),
            gone,
            facts: self.facts.clone(),
            days: match self.has_undated {
                true => self.days.clone(),
                false => Days::default(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn reading_leaves_the_time_of_access_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        std::fs::write(&path, "one\n").unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let times = FileTimes::new().set_accessed(long_ago);
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_times(times)
            .unwrap();
        let mut bytes = [0; 4];
        let file = open(&path).unwrap();
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!((&bytes, file.metadata().unwrap().atime()), (b"one\n", 1_000));
    }
}
