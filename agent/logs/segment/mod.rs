//! Local segments: where lines and the watermarks of their files are kept, in files that are only ever appended to.
//!
//! A segment is a header and frames. The first frame of each is a checkpoint, the marks of all living files, so that
//! a start reads one segment only and retention forgets no file. Whatever follows a torn frame was never kept.

pub(crate) mod frame;
pub(crate) mod read;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod write;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::Timestamp;

pub(crate) const HEADER_BYTES: usize = 40;
const MAGIC: [u8; 8] = *b"skoplogs";
/// Format of the files that every version knows.
const VERSION: u32 = 1;
/// Format with marks of spool files, which is only begun where there are some.
const VERSION_SPOOL: u32 = 2;
const SUFFIX: &str = "segment";

/// One file of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// All segments, oldest first; none when there is no such folder.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<Segment>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut segments = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .and_then(|stem| stem.parse().ok());
        let (Some(number), Some(SUFFIX)) = (number, path.extension().and_then(|end| end.to_str())) else {
            continue;
        };
        // Retention can remove a segment between listing and looking at it.
        if let Ok(meta) = fs::metadata(&path) {
            segments.push(Segment {
                number,
                path,
                bytes: meta.len(),
            });
        }
    }
    segments.sort_unstable_by_key(|segment| segment.number);
    Ok(segments)
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.{SUFFIX}"))
}

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Title {
    pub(crate) version: u32,
    pub(crate) number: u64,
    pub(crate) created: Timestamp,
    /// When the first segment of all was begun here.
    pub(crate) first_start: Timestamp,
}

impl Title {
    fn new(version: u32, number: u64, created: Timestamp, first_start: Timestamp) -> Self {
        Self {
            version,
            number,
            created,
            first_start,
        }
    }

    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let parts: [(usize, &[u8]); 5] = [
            (0, &MAGIC),
            (8, &self.version.to_le_bytes()),
            (16, &self.number.to_le_bytes()),
            (24, &self.created.0.to_le_bytes()),
            (32, &self.first_start.0.to_le_bytes()),
        ];
        for (at, part) in parts {
            if let Some(place) = bytes.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
        }
        bytes
    }

    /// `None` when this is no segment.
    fn decode(header: &[u8; HEADER_BYTES]) -> Option<Self> {
        let rest = header.strip_prefix(&MAGIC)?;
        let (version, rest) = rest.split_first_chunk::<4>()?;
        let (_, rest) = rest.split_first_chunk::<4>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (created, rest) = rest.split_first_chunk::<8>()?;
        let (first_start, _) = rest.split_first_chunk::<8>()?;
        Some(Self {
            version: u32::from_le_bytes(*version),
            number: u64::from_le_bytes(*number),
            created: Timestamp(i64::from_le_bytes(*created)),
            first_start: Timestamp(i64::from_le_bytes(*first_start)),
        })
    }
}
