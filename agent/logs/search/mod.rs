//! Searches local segments, also while another process writes them.
//!
//! Newest frames first, until enough has been looked at. A torn end is the end: what follows was never kept.

mod around;
mod matching;
mod page;
#[cfg(test)]
pub(crate) mod tests;

use std::io;
use std::path::Path;

use model::Timestamp;
use model::view::{LogPage, LogQuery};

use crate::Error;
use crate::segment::frame::{Frame, Header, Kind};
use crate::segment::list;
use crate::segment::read::Reader;

pub use around::{around, line};
pub(crate) use matching::{Files, Matching};
use page::Page;

/// Bytes of frames looked at in one search; older lines are left out, and the answer says so.
const SCAN_BYTES_MAX: u64 = 2 << 30;

/// Answers a question from the segments in `folder`; a missing folder is an empty answer.
///
/// Blocks while it reads from the disk: call it from a thread that may.
///
/// # Errors
/// The segments cannot be read.
pub fn search(folder: &Path, query: &LogQuery) -> Result<LogPage, Error> {
    search_up_to(folder, query, None, SCAN_BYTES_MAX).map_err(|source| Error::Search {
        folder: folder.to_owned(),
        source,
    })
}

/// A place in the segments: number of the segment and offset in it.
pub(crate) type Place = (u64, u64);

/// Searches what lies in front of `end`.
pub(crate) fn search_up_to(
    folder: &Path,
    query: &LogQuery,
    end: Option<Place>,
    scan_bytes_max: u64,
) -> io::Result<LogPage> {
    let matching = Matching::new(query)?;
    let times = if query.from.0 <= 0 || query.to == Timestamp::MAX {
        kept_times(folder)?
    } else {
        Some((query.from.0, query.to.0))
    };
    let mut page = Page::new(query, times);
    let mut frame = Frame::default();
    let mut scanned = 0;
    for segment in list(folder)?.into_iter().rev() {
        if end.is_some_and(|(number, _)| segment.number > number) {
            continue;
        }
        let Some(reader) = open(&segment.path)? else {
            continue;
        };
        let end = end
            .filter(|(number, _)| *number == segment.number)
            .map(|(_, at)| at);
        let frames = headers(reader, end)?;
        for (at, header) in frames.frames.iter().rev() {
            if !matching.may_match(header) {
                continue;
            }
            if page.counts_whole(&matching, header) {
                page.count(header);
                continue;
            }
            scanned += header.frame_bytes();
            if scanned > scan_bytes_max {
                page.cut(header);
                return Ok(page.finish());
            }
            if frames.reader.body(*at, header, &mut frame)? {
                page.add(&matching, &frame, (segment.number, *at));
            }
        }
    }
    Ok(page.finish())
}

/// Earliest and latest time of all that is kept: for questions without a beginning or an end.
fn kept_times(folder: &Path) -> io::Result<Option<(i64, i64)>> {
    let mut times: Option<(i64, i64)> = None;
    for segment in list(folder)? {
        let Some(reader) = open(&segment.path)? else {
            continue;
        };
        for (_, header) in headers(reader, None)?.frames {
            let (earliest, latest) = times.unwrap_or((i64::MAX, i64::MIN));
            times = Some((earliest.min(header.earliest.0), latest.max(header.latest.0)));
        }
    }
    Ok(times)
}

struct Frames {
    reader: Reader,
    frames: Vec<(u64, Header)>,
}

/// Retention can remove a segment between listing and opening it.
fn open(path: &Path) -> io::Result<Option<Reader>> {
    match Reader::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other,
    }
}

/// The frames of a segment that hold records.
fn headers(mut reader: Reader, end: Option<u64>) -> io::Result<Frames> {
    let mut frames = Vec::new();
    while end.is_none_or(|end| reader.at < end)
        && let Some(header) = reader.header()?
    {
        if header.kind == Kind::Records && header.records > 0 {
            frames.push((reader.at, header));
        }
        reader.skip(&header);
    }
    Ok(Frames { reader, frames })
}
