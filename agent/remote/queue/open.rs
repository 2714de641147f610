//! Finding what an earlier process left: whole frames are taken over, a torn end is cut.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::outside::Files;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::queue::index::{Index, Place, Segment};
use crate::queue::segment::{Cursor, FORMAT, Frames, HEAD_BYTES, Head, behind_segment_head};
use crate::queue::{Disk, Queue};

/// Why the queue cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("reading {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} was written by a newer version of Skopos (format {found}, this one reads up to {known})")]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("{path} is not a segment of Skopos' remote queue")]
    Foreign { path: PathBuf },
}

impl Queue {
    /// Opens or creates the queue in `<folder>/remote`. A destination that is new is sent all that is still there.
    ///
    /// # Errors
    /// A file cannot be read or is not ours to read; nothing has been changed then.
    pub(crate) fn open(
        files: Arc<dyn Files>,
        folder: &Path,
        names: Vec<String>,
        bytes_max: u64,
        tail_bytes_max: u64,
    ) -> Result<Self, OpenError> {
        let folder = folder.join("remote");
        let read = |path: &Path| {
            files.read(path).map_err(|source| OpenError::Read {
                path: path.to_owned(),
                source,
            })
        };
        let list = files.list(&folder).map_err(|source| OpenError::Read {
            path: folder.clone(),
            source,
        })?;
        let mut saved = BTreeMap::new();
        let (mut segments, mut orphans) = (Vec::new(), Vec::new());
        for path in list {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if let Some(number) = name
                .strip_prefix("segment-")
                .and_then(|text| text.parse::<u64>().ok())
            {
                segments.push((number, path));
            } else if name.starts_with("cursor-") {
                match Cursor::from_bytes(&read(&path)?.unwrap_or_default()) {
                    Some(cursor) if names.contains(&cursor.name) => {
                        drop(saved.insert(cursor.name.clone(), cursor))
                    }
                    _ => orphans.push(path),
                }
            }
        }
        segments.sort_unstable();
        let cursors: Vec<Option<&Cursor>> = names.iter().map(|name| saved.get(name)).collect();
        let mut found = Found::new(&cursors);
        let mut cuts = Vec::new();
        for (number, path) in segments {
            let bytes = read(&path)?.unwrap_or_default();
            match behind_segment_head(&bytes) {
                Head::Ours(rest) => {
                    let whole = found.take(number, rest);
                    if whole == HEAD_BYTES as u64 {
                        orphans.push(path);
                    } else if whole < bytes.len() as u64 {
                        cuts.push((path, whole));
                    }
                }
                Head::Torn => {
                    found.number(number);
                    orphans.push(path);
                }
                Head::Newer(format) => {
                    return Err(OpenError::Newer {
                        path,
                        found: format,
                        known: FORMAT,
                    });
                }
                Head::Foreign => return Err(OpenError::Foreign { path }),
            }
        }
        // Where these fail the same is found, and passed over, next time.
        for (path, whole) in cuts {
            tracing::warn!(path = %path.display(), "unfinished end of a segment cut off");
            if let Err(error) = files.truncate(&path, whole) {
                tracing::warn!(%error, path = %path.display(), "the end cannot be cut off");
            }
        }
        for path in orphans {
            if let Err(error) = files.remove(&path) {
                tracing::warn!(%error, path = %path.display(), "a file that nobody needs cannot be removed");
            }
        }
        let index = Index::new(
            found.segments,
            found.places,
            found.next_number,
            bytes_max,
            tail_bytes_max,
        );
        Ok(Self {
            files,
            folder,
            ends: names.iter().map(|_| watch::Sender::new(index.end())).collect(),
            names,
            index: Mutex::new(index),
            disk: Mutex::new(Disk {
                saved,
                ..Disk::default()
            }),
        })
    }
}

/// What is there, segment by segment, and where in it each destination is.
struct Found<'a> {
    cursors: &'a [Option<&'a Cursor>],
    segments: VecDeque<Segment>,
    places: Vec<Place>,
    frames: u64,
    /// Above that of every file and every cursor, so that no old cursor can point into a new file.
    next_number: u64,
}

impl<'a> Found<'a> {
    fn new(cursors: &'a [Option<&'a Cursor>]) -> Self {
        let newest = cursors.iter().flatten().map(|cursor| cursor.segment + 1).max();
        Self {
            cursors,
            segments: VecDeque::new(),
            places: cursors.iter().map(|_| Place::at_start()).collect(),
            frames: 0,
            next_number: newest.unwrap_or(1),
        }
    }

    fn number(&mut self, number: u64) {
        self.next_number = self.next_number.max(number + 1);
    }

    /// The next segment; returns how many bytes of the file are whole.
    fn take(&mut self, number: u64, bytes: &[u8]) -> u64 {
        self.number(number);
        let mut segment = Segment::new(number, self.frames);
        for frame in Frames(bytes) {
            segment.add(frame.bytes(), frame.samples, frame.oldest);
            self.frames += 1;
            for (place, cursor) in self.places.iter_mut().zip(self.cursors) {
                let Some(cursor) = cursor else { continue };
                if cursor.segment == number && cursor.offset >= segment.bytes {
                    place.next = self.frames;
                    place.offset = segment.bytes;
                    place.passed = segment.samples;
                } else if cursor.segment > number {
                    place.next = self.frames;
                }
            }
        }
        let whole = segment.bytes;
        if segment.frames > 0 {
            self.segments.push_back(segment);
        }
        whole
    }
}
