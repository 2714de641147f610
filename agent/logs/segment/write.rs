//! Appends batches to the newest segment, and finds at start what was kept before.
//!
//! Exactly once: a frame holds records and watermarks together, so after any death the resume offsets are those of
//! the last frame that is whole. A frame that could not be written in full is overwritten by the next try.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use parking_lot::Mutex;
use tracing::{info, warn};

use super::frame::{self, Frame, Kind};
use super::read::Reader;
use super::{HEADER_BYTES, Segment, Title, VERSION, VERSION_SPOOL, list, path};
use crate::batch::Batch;
use crate::config::Retention;
use crate::mark::{FileId, FileMark, Form, renew};
use crate::spool::Cursor;

/// Even a quiet segment is closed in time for retention to be exact to about a quarter.
const AGE_MAX: Duration = Duration::from_secs(86_400);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) segment_bytes: u64,
    pub(crate) retention: Retention,
    pub(crate) compress: bool,
}

/// What a start finds.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) marks: Vec<FileMark>,
    /// When the very first segment was begun here: now, if this is the first start.
    pub(crate) first_start: Timestamp,
    /// Whether this is the first start.
    pub(crate) fresh: bool,
}

pub(crate) struct Writer {
    folder: PathBuf,
    limits: Arc<Mutex<Limits>>,
    file: File,
    version: u32,
    number: u64,
    created: Timestamp,
    first_start: Timestamp,
    /// End of the last whole frame. What lies behind it is what a failed write left.
    bytes: u64,
    checkpoint_bytes: u64,
    unsynced: bool,
    marks: HashMap<FileId, FileMark>,
    /// Closed segments with the time they were closed, oldest first.
    closed: VecDeque<(Segment, Timestamp)>,
    frame: Vec<u8>,
    /// Who is told how far the spool's files are kept for good.
    spool: Option<Cursor>,
    /// Marks of the spool's files that are not on the disk for sure.
    passed: HashMap<FileId, FileMark>,
}

impl Writer {
    /// Opens the folder, cutting off a torn end.
    ///
    /// # Errors
    /// The disk's own.
    pub(crate) fn open(
        folder: &Path,
        limits: Arc<Mutex<Limits>>,
        now: Timestamp,
    ) -> io::Result<(Self, Kept)> {
        fs::create_dir_all(folder)?;
        let mut segments = list(folder)?;
        let mut kept = Kept {
            first_start: now,
            fresh: true,
            ..Kept::default()
        };
        let mut newest = None;
        while let Some(segment) = segments.pop() {
            if let Some(found) = Found::in_segment(&segment)? {
                newest = Some((segment, found));
                break;
            }
            set_aside(&segment)?;
        }
        let mut writer = Self {
            folder: folder.to_owned(),
            limits,
            file: File::open(folder)?,
            version: VERSION,
            number: 0,
            created: now,
            first_start: now,
            bytes: 0,
            checkpoint_bytes: 0,
            unsynced: false,
            marks: HashMap::new(),
            closed: VecDeque::new(),
            frame: Vec::new(),
            spool: None,
            passed: HashMap::new(),
        };
        for pair in segments.windows(2) {
            if let [segment, next] = pair {
                writer
                    .closed
                    .push_back((segment.clone(), created_of(&next.path).unwrap_or(now)));
            }
        }
        match newest {
            None => writer.begin(1, VERSION, now)?,
            Some((segment, found)) => {
                if let Some(before) = segments.pop() {
                    writer.closed.push_back((before, found.title.created));
                }
                kept.fresh = false;
                kept.first_start = found.title.first_start;
                kept.marks = found.marks.values().cloned().collect();
                writer.resume(&segment, found)?;
            }
        }
        Ok((writer, kept))
    }

    fn resume(&mut self, segment: &Segment, found: Found) -> io::Result<()> {
        self.file = OpenOptions::new().write(true).open(&segment.path)?;
        if segment.bytes > found.bytes {
            warn!(path = %segment.path.display(), bytes = segment.bytes - found.bytes, "torn end of a segment cut off");
            self.file.set_len(found.bytes)?;
            self.file.sync_all()?;
        }
        self.version = found.title.version;
        self.number = segment.number;
        self.created = found.title.created;
        self.first_start = found.title.first_start;
        self.bytes = found.bytes;
        self.checkpoint_bytes = found.checkpoint_bytes;
        self.marks = found.marks;
        Ok(())
    }

    /// Keeps a batch: all of it or, when this fails, nothing. Trying again is safe.
    ///
    /// # Errors
    /// The disk's own, for example when it is full.
    pub(crate) fn append(&mut self, batch: &Batch, now: Timestamp) -> io::Result<()> {
        let limits = *self.limits.lock();
        let age_max = AGE_MAX.min(limits.retention.time / 4);
        let content = self.bytes.saturating_sub(self.checkpoint_bytes);
        // Against the content, so that many files' marks cannot make every segment be closed at once.
        if content >= limits.segment_bytes || (content > 0 && now.since(self.created) >= age_max) {
            self.roll(self.version, now)?;
        }
        if self.version < VERSION_SPOOL && batch.marks.iter().any(|mark| mark.form == Form::Spool) {
            // An older version must not take these marks for damage.
            self.roll(VERSION_SPOOL, now)?;
        }
        let mut frame = std::mem::take(&mut self.frame);
        frame::encode(&mut frame, Kind::Records, batch, now, limits.compress);
        let result = self.write(&frame);
        self.frame = frame;
        result?;
        for mark in &batch.marks {
            if mark.gone {
                self.marks.remove(&mark.id);
            } else {
                renew(&mut self.marks, mark.bare());
            }
        }
        self.passed.extend(
            batch
                .marks
                .iter()
                .filter(|mark| mark.form == Form::Spool)
                .map(|mark| (mark.id, mark.bare())),
        );
        Ok(())
    }

    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all_at(frame, self.bytes) {
            // If this fails too, a search stops at the torn frame and the next try overwrites it.
            _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += frame.len() as u64;
        self.unsynced = true;
        Ok(())
    }

    /// # Errors
    /// The disk's own.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.file.sync_data()?;
            self.unsynced = false;
        }
        let passed = std::mem::take(&mut self.passed);
        if let Some(spool) = self.spool.as_ref().filter(|_| !passed.is_empty()) {
            spool.passed(passed.values());
        }
        Ok(())
    }

    /// How far a file is kept.
    pub(crate) fn mark(&self, id: FileId) -> Option<&FileMark> {
        self.marks.get(&id)
    }

    pub(crate) fn tell(&mut self, spool: Cursor) {
        self.spool = Some(spool);
    }

    pub(crate) fn bytes_on_disk(&self) -> u64 {
        let closed: u64 = self.closed.iter().map(|(segment, _)| segment.bytes).sum();
        closed + self.bytes
    }

    pub(crate) fn segments(&self) -> usize {
        self.closed.len() + 1
    }

    #[cfg(test)]
    pub(crate) fn replace_file(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }

    fn roll(&mut self, version: u32, now: Timestamp) -> io::Result<()> {
        // A segment is followed by another only when it is on the disk, so that only the last one can be torn.
        self.sync()?;
        let closed = Segment {
            number: self.number,
            path: path(&self.folder, self.number),
            bytes: self.bytes,
        };
        self.begin(self.number + 1, version, now)?;
        self.closed.push_back((closed, now));
        self.retain(now)
    }

    fn begin(&mut self, number: u64, version: u32, now: Timestamp) -> io::Result<()> {
        let checkpoint = Batch {
            marks: self.marks.values().cloned().collect(),
            ..Batch::default()
        };
        let mut bytes = Vec::new();
        frame::encode(&mut bytes, Kind::Checkpoint, &checkpoint, now, false);
        let path = path(&self.folder, number);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        let written = file
            .write_all_at(&Title::new(version, number, now, self.first_start).encode(), 0)
            .and_then(|()| file.write_all_at(&bytes, HEADER_BYTES as u64))
            .and_then(|()| file.sync_all())
            .and_then(|()| File::open(&self.folder)?.sync_all());
        if let Err(error) = written {
            _ = fs::remove_file(&path);
            return Err(error);
        }
        self.file = file;
        self.version = version;
        self.number = number;
        self.created = now;
        self.bytes = HEADER_BYTES as u64 + bytes.len() as u64;
        self.checkpoint_bytes = self.bytes;
        self.unsynced = false;
        Ok(())
    }

    /// Drops the oldest segments until the rest is small and young enough. The one being written always stays.
    pub(crate) fn retain(&mut self, now: Timestamp) -> io::Result<()> {
        let Retention { size, time } = self.limits.lock().retention;
        while let Some((segment, closed)) = self.closed.front() {
            if self.bytes_on_disk() <= size && now.since(*closed) <= time {
                break;
            }
            match fs::remove_file(&segment.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => drop(self.closed.pop_front()),
            }
        }
        Ok(())
    }
}

/// What one segment holds.
struct Found {
    title: Title,
    marks: HashMap<FileId, FileMark>,
    bytes: u64,
    checkpoint_bytes: u64,
}

impl Found {
    /// `None` when not even the checkpoint is whole.
    fn in_segment(segment: &Segment) -> io::Result<Option<Self>> {
        let Some(mut reader) = Reader::open(&segment.path)? else {
            return Ok(None);
        };
        let mut frame = Frame::default();
        let mut found: Option<Self> = None;
        while let Some(header) = reader.header()? {
            if !reader.body(reader.at, &header, &mut frame)? {
                break;
            }
            let Ok(marks) = frame.marks() else { break };
            reader.skip(&header);
            let title = reader.title;
            let found = match header.kind {
                Kind::Checkpoint => found.get_or_insert(Self {
                    title,
                    marks: HashMap::new(),
                    bytes: reader.at,
                    checkpoint_bytes: reader.at,
                }),
                Kind::Records => match &mut found {
                    Some(found) => found,
                    None => return Ok(None),
                },
            };
            for mark in marks {
                if mark.gone {
                    found.marks.remove(&mark.id);
                } else {
                    renew(&mut found.marks, mark);
                }
            }
            found.bytes = reader.at;
        }
        Ok(found)
    }
}

/// A segment without a whole checkpoint: either we were killed while it was being made, and nothing was ever
/// appended to it, or the disk has damaged it, and a person may want to see it.
fn set_aside(segment: &Segment) -> io::Result<()> {
    let unfinished = match Reader::open(&segment.path)? {
        None => segment.bytes < HEADER_BYTES as u64,
        Some(reader) => match reader.header()? {
            None => segment.bytes < (HEADER_BYTES + frame::HEADER_BYTES) as u64,
            Some(header) => reader.at + header.frame_bytes() > segment.bytes,
        },
    };
    if unfinished {
        info!(path = %segment.path.display(), "segment that was never finished removed");
        return fs::remove_file(&segment.path);
    }
    let aside = segment.path.with_extension("damaged");
    warn!(path = %aside.display(), "damaged segment set aside; its lines cannot be searched");
    fs::rename(&segment.path, aside)
}

fn created_of(path: &Path) -> Option<Timestamp> {
    Reader::open(path)
        .ok()
        .flatten()
        .map(|reader| reader.title.created)
}
