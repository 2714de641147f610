//! Keeps records of inputs that cannot be read again until every sink has them.
//!
//! A record is on the disk here before its sender hears so. Its file is a log file like any other: each sink's reader
//! follows it at its own speed, and what it has sent again after a death has the same ids. A file goes when every
//! sink's watermark behind its end is on the disk. Nothing is dropped: when the spool is full, nothing more is taken.

mod books;
pub(crate) mod line;
mod places;
#[cfg(test)]
mod tests;
mod write;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prometheus::{Gauge, IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counter, counters, gauge};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

pub(crate) use books::{Books, Cursor, Kept, News};
pub(crate) use line::{Place, Record};
use places::Places;

/// Size at which a file is closed and the next one begun.
pub(crate) const FILE_BYTES: u64 = 16 << 20;
/// Of one write, beyond which an append is several.
const WRITE_BYTES: usize = 4 << 20;
/// Writes that wait for the one under way.
const QUEUE: usize = 32;
/// The first line of a file is this, the file's number and a number by chance: no two files have the same front.
const MAGIC: &str = "skopos-spool ";
const VERSION: &str = "1 ";
const SUFFIX: &str = "spool";

/// Why records were not taken. The sender keeps them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the spool is full: sinks are behind, and logs.spool_bytes_max is reached")]
    Full,
    #[error("writing to the spool")]
    Disk(#[source] io::Error),
    #[error("the spool is closed")]
    Closed,
}

/// Where inputs put records; cheap to clone.
#[derive(Clone)]
pub(crate) struct Spool {
    requests: mpsc::Sender<Request>,
    books: Arc<Books>,
}

/// Lines that go to the disk together.
struct Request {
    lines: Vec<u8>,
    records: u64,
    /// How far their input has come with them.
    place: Option<Place>,
    done: oneshot::Sender<Result<(), Error>>,
}

/// What the spool counts.
#[derive(Clone)]
pub(crate) struct Metrics {
    records: IntCounter,
    refused: IntCounterVec,
    torn: IntCounter,
    bytes: Gauge,
    bytes_max: Gauge,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            records: counter(
                registry,
                "skopos_logs_spool_records_total",
                "Records put on the disk before their sender was told that they are kept.",
            ),
            refused: counters(
                registry,
                "skopos_logs_spool_refused_total",
                "Writes not taken, so that the sender keeps its records, by reason.",
                &["reason"],
            ),
            torn: counter(
                registry,
                "skopos_logs_spool_torn_bytes_total",
                "Bytes at the end of spool files that no record ends, found at a start; no sender was told that they are kept.",
            ),
            bytes: gauge(
                registry,
                "skopos_logs_spool_bytes",
                "Size of the spool: records that not every sink has.",
            ),
            bytes_max: gauge(
                registry,
                "skopos_logs_spool_bytes_max",
                "Size at which the spool takes nothing more.",
            ),
        }
    }
}

impl Spool {
    /// Opens the spool in `folder`, which is made with the first record.
    ///
    /// # Errors
    /// The disk's own.
    pub(crate) fn open(folder: &Path, bytes_max: u64, metrics: Metrics) -> io::Result<Self> {
        let (found, next) = look(folder, &metrics)?;
        let places = Places::find(folder, &found)?;
        let books = Books::new(folder.to_owned(), (found, places), bytes_max, metrics);
        let books = Arc::new(books);
        let (requests, inbox) = mpsc::channel(QUEUE); // full: inputs wait, and so do their senders
        let writer = write::Writer::new(Arc::clone(&books), next);
        std::thread::Builder::new()
            .name("logs-spool".to_owned())
            .spawn(move || writer.run(inbox))?;
        Ok(Self { requests, books })
    }

    pub(crate) fn books(&self) -> &Arc<Books> {
        &self.books
    }

    /// Puts records on the disk; the text of each is cut at `text_bytes_max`, and says so.
    ///
    /// # Errors
    /// Not all of them are on the disk: the sender must not hear that they are. Some may be, and come twice when they
    /// are sent again.
    pub(crate) async fn append(&self, records: &[Record], text_bytes_max: usize) -> Result<(), Error> {
        let mut written = Vec::new();
        let (mut lines, mut count) = (Vec::new(), 0);
        for (nth, record) in records.iter().enumerate() {
            record.write(&mut lines, text_bytes_max);
            count += 1;
            if lines.len() >= WRITE_BYTES || nth + 1 == records.len() {
                let (done, end) = oneshot::channel();
                let request = Request {
                    lines: std::mem::take(&mut lines),
                    records: std::mem::take(&mut count),
                    place: None,
                    done,
                };
                self.requests.send(request).await.map_err(|_| Error::Closed)?;
                written.push(end);
            }
        }
        for end in written {
            end.await.map_err(|_| Error::Closed)??;
        }
        Ok(())
    }

    /// Likewise all of them or none, so that they can be given again after an error; they must fit into memory twice. Each
    /// says the place of its input behind it, and the last one's counts from now on.
    ///
    /// # Errors
    /// None of them is kept.
    pub(crate) async fn append_whole(&self, records: &[Record], text_bytes_max: usize) -> Result<(), Error> {
        let mut lines = Vec::new();
        for record in records {
            record.write(&mut lines, text_bytes_max);
        }
        let place = records.last().and_then(|record| record.place.clone());
        self.write(lines, records.len() as u64, place).await
    }

    /// An input has come so far, without a record.
    ///
    /// # Errors
    /// It is not on the disk.
    pub(crate) async fn put_place(&self, place: Place) -> Result<(), Error> {
        self.write(Vec::new(), 0, Some(place)).await
    }

    /// How far an input has come, of what is on the disk for good.
    pub(crate) fn place(&self, input: &str) -> Option<String> {
        self.books.place(input)
    }

    async fn write(&self, lines: Vec<u8>, records: u64, place: Option<Place>) -> Result<(), Error> {
        let (done, end) = oneshot::channel();
        let request = Request {
            lines,
            records,
            place,
            done,
        };
        self.requests.send(request).await.map_err(|_| Error::Closed)?;
        end.await.map_err(|_| Error::Closed)?
    }
}

/// The files an earlier run has left, all of them closed, and the number of the next one.
fn look(folder: &Path, metrics: &Metrics) -> io::Result<(Vec<(u64, u64)>, u64)> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 1)),
        Err(error) => return Err(error),
    };
    let (mut found, mut next) = (Vec::new(), 1);
    for entry in entries {
        let path = entry?.path();
        let Some(number) = number_of(&path) else { continue };
        next = next.max(number + 1);
        let file = File::open(&path)?;
        let bytes = file.metadata()?.len();
        let mut front = [0; 64];
        let count = file.read_at(&mut front, 0)?;
        let front = front.get(..count).unwrap_or_default();
        let end = end_of_lines(&file, bytes)?;
        match front.strip_prefix(MAGIC.as_bytes()) {
            Some(rest) if rest.starts_with(VERSION.as_bytes()) && end > 0 => {
                if end < bytes {
                    info!(path = %path.display(), bytes = bytes - end, "the end of a spool file is torn; its sender was not told that it is kept");
                    metrics.torn.inc_by(bytes - end);
                }
                found.push((number, end));
            }
            // Killed while it was begun: nothing was ever put into it.
            _ if end == 0 && bytes < 64 => fs::remove_file(&path)?,
            _ => {
                warn!(path = %path.display(), "not a spool file of a known version; it is left alone and not read");
            }
        }
    }
    found.sort_unstable();
    Ok((found, next))
}

/// Behind the last line feed of a file.
fn end_of_lines(file: &File, bytes: u64) -> io::Result<u64> {
    let mut block = vec![0; 64 << 10];
    let mut end = bytes;
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let length = usize::try_from(end - start).unwrap_or(0);
        let part = block.get_mut(..length).unwrap_or_default();
        file.read_exact_at(part, start)?;
        if let Some(last) = memchr::memrchr(b'\n', part) {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

pub(crate) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.{SUFFIX}"))
}

/// Of a file's path; none when it is no file of a spool.
pub(crate) fn number_of(path: &Path) -> Option<u64> {
    (path.extension()? == SUFFIX)
        .then(|| path.file_stem()?.to_str()?.parse().ok())
        .flatten()
}

/// Whether a line is the first of a file.
pub(crate) fn is_title(line: &[u8]) -> bool {
    line.starts_with(MAGIC.as_bytes())
}
