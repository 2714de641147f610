//! Follows local segments: the newest matching lines, and then each new one as it is kept.

use std::io;
use std::path::{Path, PathBuf};

use model::LogRecord;
use model::Timestamp;
use model::view::LogQuery;

use crate::Error;
use crate::search::{Files, Matching, Place, search_up_to};
use crate::segment::frame::{Frame, Kind};
use crate::segment::read::Reader;
use crate::segment::{Segment, list};

/// Frames read in one call, in bytes, so that no call takes long.
const POLL_BYTES_MAX: u64 = 16 << 20;
/// Looked at for the lines to begin with.
const SCAN_BYTES_MAX: u64 = 1 << 30;

pub struct Follower {
    folder: PathBuf,
    query: LogQuery,
    /// Everything in front of this has been handed out.
    place: Place,
    begun: bool,
    frame: Frame,
}

impl Follower {
    /// Begins where the segments end now. The first [`Self::poll`] gives the newest `query.lines_max` lines from in
    /// front of there; `query.to` is not heeded.
    ///
    /// # Errors
    /// The segments cannot be read.
    pub fn open(folder: &Path, query: LogQuery) -> Result<Self, Error> {
        let place = end(folder).map_err(|source| failed(folder, source))?;
        Ok(Self {
            folder: folder.to_owned(),
            query: LogQuery {
                to: Timestamp::MAX,
                ..query
            },
            place,
            begun: false,
            frame: Frame::default(),
        })
    }

    /// The lines that have come since the last call, in the order in which they were read. Blocks only while it reads
    /// from the disk; when nothing has come, wait a little before the next call.
    ///
    /// # Errors
    /// The segments cannot be read.
    pub fn poll(&mut self) -> Result<Vec<LogRecord>, Error> {
        let lines = if std::mem::replace(&mut self.begun, true) {
            self.new_lines()
        } else {
            search_up_to(&self.folder, &self.query, Some(self.place), SCAN_BYTES_MAX).map(|page| page.lines)
        };
        lines.map_err(|source| failed(&self.folder, source))
    }

    fn new_lines(&mut self) -> io::Result<Vec<LogRecord>> {
        let matching = Matching::new(&self.query)?;
        let mut lines = Vec::new();
        let mut left = POLL_BYTES_MAX;
        for segment in list(&self.folder)? {
            let (number, at) = self.place;
            if segment.number < number || left == 0 {
                continue;
            }
            if segment.number > number {
                self.place = (segment.number, 0);
            } else if segment.bytes <= at {
                continue;
            }
            self.read(&segment, &matching, &mut left, &mut lines)?;
        }
        Ok(lines)
    }

    fn read(
        &mut self,
        segment: &Segment,
        matching: &Matching,
        left: &mut u64,
        lines: &mut Vec<LogRecord>,
    ) -> io::Result<()> {
        let Some(mut reader) = Reader::open(&segment.path)? else {
            return Ok(());
        };
        reader.at = reader.at.max(self.place.1);
        while *left > 0
            && let Some(header) = reader.header()?
        {
            let wanted = header.kind == Kind::Records && matching.may_match(&header);
            if wanted {
                // Not whole: it is being written at this moment.
                if !reader.body(reader.at, &header, &mut self.frame)? {
                    break;
                }
                let mut files = Files::new(&self.frame);
                for nth in matching.rows(&self.frame, &mut files) {
                    lines.push(files.record(nth));
                }
            } else if reader.at + header.frame_bytes() > segment.bytes {
                break;
            }
            *left = left.saturating_sub(header.frame_bytes());
            reader.skip(&header);
            self.place = (segment.number, reader.at);
        }
        Ok(())
    }
}

/// Where the segments end now.
fn end(folder: &Path) -> io::Result<Place> {
    let Some(newest) = list(folder)?.pop() else {
        return Ok((0, 0));
    };
    let Some(mut reader) = Reader::open(&newest.path)? else {
        return Ok((newest.number, 0));
    };
    while let Some(header) = reader.header()?
        && reader.at + header.frame_bytes() <= newest.bytes
    {
        reader.skip(&header);
    }
    Ok((newest.number, reader.at))
}

fn failed(folder: &Path, source: io::Error) -> Error {
    Error::Search {
        folder: folder.to_owned(),
        source,
    }
}
