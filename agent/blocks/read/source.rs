//! A file of a block, read by place, and three ways to walk through it.
//!
//! Every length that a file says is held against its size before anything is made that long.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::bytes::{Cursor, be32};
use crate::error::{At, Error};

pub(crate) struct Source {
    pub(crate) path: PathBuf,
    file: File,
    pub(crate) bytes: u64,
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::broken(path, "is missing"));
            }
            opened => opened.at("opening", path)?,
        };
        let about = file.metadata().at("opening", path)?;
        if !about.is_file() {
            return Err(Error::broken(path, "is not a file"));
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            bytes: about.len(),
        })
    }

    pub(crate) fn broken(&self, what: impl Into<String>) -> Error {
        Error::broken(&self.path, what)
    }

    /// Puts just these bytes into `out`.
    pub(crate) fn read(&self, at: u64, length: u64, out: &mut Vec<u8>) -> Result<(), Error> {
        let length = match at.checked_add(length) {
            Some(end) if end <= self.bytes => length as usize,
            _ => return Err(self.broken(format!("{length} bytes at {at} are beyond its end"))),
        };
        out.resize(length, 0);
        match self.file.read_exact_at(out, at) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Err(self.broken("was cut while it was open"))
            }
            read => read.at("reading", &self.path),
        }
    }

    pub(crate) fn take(&self, at: u64, length: u64) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        self.read(at, length, &mut out)?;
        Ok(out)
    }

    /// Checks the magic and the version that the file begins with.
    pub(crate) fn begins(&self, magic: u32, version: u8) -> Result<(), Error> {
        if self.bytes < 5 {
            return Err(self.broken("is too short"));
        }
        let head = self.take(0, 5)?;
        let mut cursor = Cursor(&head);
        if cursor.be32() != Some(magic) {
            return Err(self.broken("does not begin with its magic number"));
        }
        match cursor.byte() {
            Some(known) if known == version => Ok(()),
            other => Err(self.broken(format!("version {} is not known", other.unwrap_or_default()))),
        }
    }
}

/// Walks from a place to an end, a piece in memory at a time.
pub(crate) struct Stream<'a> {
    source: &'a Source,
    /// What has not been loaded yet.
    next: u64,
    end: u64,
    piece: u64,
    buffer: Vec<u8>,
    used: usize,
    /// Of all that was loaded.
    crc: u32,
    scratch: Vec<u8>,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(source: &'a Source, start: u64, end: u64, piece: u64) -> Self {
        Self {
            source,
            next: start,
            end: end.min(source.bytes),
            piece,
            buffer: Vec::new(),
            used: 0,
            crc: 0,
            scratch: Vec::new(),
        }
    }

    /// Of a section that says its length in front and its checksum behind.
    pub(crate) fn section(source: &'a Source, at: u64) -> Result<Self, Error> {
        const PIECE: u64 = 64 << 10;
        let length = u64::from(be32(&source.take(at, 4)?));
        let start = at + 4;
        if start + length + 4 > source.bytes {
            return Err(source.broken(format!("the section at {at} ends beyond its end")));
        }
        Ok(Self::new(source, start, start + length, PIECE))
    }

    /// Where the next byte is.
    pub(crate) fn position(&self) -> u64 {
        self.next - (self.buffer.len() - self.used) as u64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.position() >= self.end
    }

    /// Loads until so many bytes are there, or all that are left.
    fn load(&mut self, wanted: usize) -> Result<(), Error> {
        while self.buffer.len() - self.used < wanted && self.next < self.end {
            let missing = (wanted - (self.buffer.len() - self.used)) as u64;
            let length = missing.max(self.piece).min(self.end - self.next);
            self.buffer.drain(..self.used);
            self.used = 0;
            self.source.read(self.next, length, &mut self.scratch)?;
            self.crc = crc32c::crc32c_append(self.crc, &self.scratch);
            self.buffer.extend_from_slice(&self.scratch);
            self.next += length;
        }
        Ok(())
    }

    fn cut(&self) -> Error {
        self.source
            .broken(format!("ends in the middle of something before {}", self.end))
    }

    pub(crate) fn uvarint(&mut self) -> Result<u64, Error> {
        self.load(10)?;
        let mut cursor = Cursor(self.buffer.get(self.used..).unwrap_or_default());
        let number = cursor.uvarint();
        self.used = self.buffer.len() - cursor.0.len();
        number.ok_or_else(|| self.cut())
    }

    pub(crate) fn be32(&mut self) -> Result<u32, Error> {
        self.take(4).map(be32)
    }

    pub(crate) fn take(&mut self, length: u64) -> Result<&[u8], Error> {
        if length > self.end.saturating_sub(self.position()) {
            return Err(self.cut());
        }
        let length = length as usize;
        self.load(length)?;
        let start = self.used;
        self.used += length;
        Ok(self.buffer.get(start..start + length).unwrap_or_default())
    }

    /// Its length in front.
    pub(crate) fn text(&mut self) -> Result<&str, Error> {
        let length = self.uvarint()?;
        let source = self.source;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| source.broken("holds text that is not UTF-8"))
    }

    /// Reads the rest of a section and holds all of it against its checksum.
    pub(crate) fn check(mut self) -> Result<(), Error> {
        while self.next < self.end {
            self.used = self.buffer.len();
            self.load(1)?;
        }
        let wanted = be32(&self.source.take(self.end, 4)?);
        if wanted == self.crc {
            return Ok(());
        }
        let at = self.end;
        Err(self
            .source
            .broken(format!("the section before {at} has a wrong checksum")))
    }
}

/// Reads at rising places, the more ahead the closer they follow each other.
pub(crate) struct Window<'a> {
    source: &'a Source,
    start: u64,
    bytes: Vec<u8>,
    ahead: u64,
}

const AHEAD_MIN: u64 = 4 << 10;
const AHEAD_MAX: u64 = 256 << 10;

impl<'a> Window<'a> {
    pub(crate) fn new(source: &'a Source) -> Self {
        Self {
            source,
            start: 0,
            bytes: Vec::new(),
            ahead: AHEAD_MIN,
        }
    }

    pub(crate) fn source(&self) -> &'a Source {
        self.source
    }

    /// So many bytes, or what the file has of them.
    pub(crate) fn some(&mut self, at: u64, length: u64) -> Result<&[u8], Error> {
        let length = length.min(self.source.bytes.saturating_sub(at));
        self.exact(at, length)
    }

    pub(crate) fn exact(&mut self, at: u64, length: u64) -> Result<&[u8], Error> {
        let end = self.start + self.bytes.len() as u64;
        let inside = at >= self.start && at.checked_add(length).is_some_and(|to| to <= end);
        if !inside {
            let follows = !self.bytes.is_empty() && (self.start..=end + AHEAD_MIN).contains(&at);
            self.ahead = if follows {
                AHEAD_MAX.min(self.ahead * 2)
            } else {
                AHEAD_MIN
            };
            let left = self.source.bytes.saturating_sub(at);
            let wanted = length.max(self.ahead.min(left));
            let read = self.source.read(at, wanted, &mut self.bytes);
            if read.is_err() {
                self.bytes.clear();
            }
            read?;
            self.start = at;
        }
        let from = (at - self.start) as usize;
        Ok(self.bytes.get(from..from + length as usize).unwrap_or_default())
    }
}
