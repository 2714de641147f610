//! What a source said just before and after a line.

use std::path::Path;
use std::time::Duration;

use model::view::{LogPage, LogQuery};
use model::{LogRecord, Timestamp};

use super::search;
use crate::Error;

/// How far lines may lie from the one they are shown with, the nearest first looked at.
const SPANS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(20),
    Duration::from_secs(600),
    Duration::from_secs(6 * 3_600),
];
/// Lines of one source looked at in a span.
const LINES_MAX: usize = 20_000;

/// Up to `before` lines of the same source in front of a line and `after` behind it, oldest first.
///
/// Blocks while it reads from the disk: call it from a thread that may.
///
/// # Errors
/// The segments cannot be read.
pub fn around(
    folder: &Path,
    line: &LogRecord,
    before: usize,
    after: usize,
) -> Result<[Vec<LogRecord>; 2], Error> {
    let mut front = side(before, |span| {
        let query = LogQuery {
            from: line.time - span,
            to: line.time,
            ..of_source(line)
        };
        Ok(split(search(folder, &query)?, line).map(|(front, _)| front))
    })?;
    let mut behind = side(after, |span| {
        let query = LogQuery {
            from: line.time,
            to: line.time + span,
            ..of_source(line)
        };
        Ok(split(search(folder, &query)?, line).map(|(_, behind)| behind))
    })?;
    front.drain(..front.len().saturating_sub(before));
    behind.truncate(after);
    Ok([front, behind])
}

/// The line of that time with that identity; none when it is no longer kept.
///
/// Blocks while it reads from the disk: call it from a thread that may.
///
/// # Errors
/// The segments cannot be read.
pub fn line(folder: &Path, time: Timestamp, identity: u64) -> Result<Option<LogRecord>, Error> {
    let query = LogQuery {
        from: time,
        to: time,
        lines_max: LINES_MAX,
        ..LogQuery::default()
    };
    let mut lines = search(folder, &query)?.lines;
    let at = lines.iter().position(|line| line.identity() == identity);
    Ok(at.map(|at| lines.swap_remove(at)))
}

/// The widest span that is needed and can be looked through.
fn side(
    count: usize,
    mut look: impl FnMut(Duration) -> Result<Option<Vec<LogRecord>>, Error>,
) -> Result<Vec<LogRecord>, Error> {
    let mut found = Vec::new();
    for span in SPANS {
        if found.len() >= count {
            break;
        }
        // In a busy source the line itself is no longer among the newest of a wide span.
        let Some(lines) = look(span)? else {
            break;
        };
        found = lines;
    }
    Ok(found)
}

fn of_source(line: &LogRecord) -> LogQuery {
    LogQuery {
        source: line.source.to_string(),
        lines_max: LINES_MAX,
        ..LogQuery::default()
    }
}

fn split(page: LogPage, line: &LogRecord) -> Option<(Vec<LogRecord>, Vec<LogRecord>)> {
    let mut lines = page.lines;
    lines.retain(|other| other.source == line.source);
    let at = lines
        .iter()
        .position(|other| other.file == line.file && other.offset_bytes == line.offset_bytes)?;
    let behind = lines.split_off(at + 1);
    lines.truncate(at);
    Some((lines, behind))
}
