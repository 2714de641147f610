//! Chunks by their places, read in the order of the files.

use std::path::Path;

use crate::bytes::{Cursor, be32};
use crate::chunk::{Chunk, MAGIC, Place, VERSION};
use crate::error::Error;
use crate::read::source::{Source, Window};
use crate::write::CHUNKS;
use crate::write::chunks::path;

/// The files of chunks, which are numbered without a gap.
pub(crate) fn open(folder: &Path) -> Result<Vec<Source>, Error> {
    let folder = folder.join(CHUNKS);
    let mut files = Vec::new();
    loop {
        let path = path(&folder, files.len() as u64 + 1);
        if !files.is_empty() && !path.exists() {
            return Ok(files);
        }
        let source = Source::open(&path)?;
        source.begins(MAGIC, VERSION)?;
        files.push(source);
    }
}

pub(crate) struct ChunkReader<'a> {
    files: &'a [Source],
    current: Option<(usize, Window<'a>)>,
}

/// A chunk's encoding and data, checked.
pub(crate) type Raw<'a> = (u8, &'a [u8]);

impl<'a> ChunkReader<'a> {
    pub(crate) fn new(files: &'a [Source]) -> Self {
        Self { files, current: None }
    }

    pub(crate) fn read(&mut self, place: Place) -> Result<Raw<'_>, Error> {
        let wanted = place.file();
        let Some(source) = self.files.get(wanted) else {
            return Err(self.no_file(wanted));
        };
        self.current.take_if(|(file, _)| *file != wanted);
        let (_, window) = self.current.get_or_insert_with(|| (wanted, Window::new(source)));
        let at = place.offset();
        let bad = |what: &str| source.broken(format!("the chunk at {at} {what}"));
        let head = window.some(at, 5)?;
        let mut cursor = Cursor(head);
        let length = cursor.uvarint().ok_or_else(|| bad("is not there"))?;
        let start = at + (head.len() - cursor.0.len()) as u64;
        if length >= source.bytes {
            return Err(bad("is too long"));
        }
        let bytes = window.exact(start, 1 + length + 4)?;
        let (checked, crc) = bytes.split_at_checked(1 + length as usize).unwrap_or_default();
        if be32(crc) != crc32c::crc32c(checked) {
            return Err(bad("has a wrong checksum"));
        }
        let (encoding, data) = checked.split_first().ok_or_else(|| bad("is empty"))?;
        Ok((*encoding, data))
    }

    pub(crate) fn take(&mut self, place: Place) -> Result<Chunk, Error> {
        let (encoding, data) = self.read(place)?;
        Ok(Chunk {
            min: place.min,
            max: place.max,
            encoding,
            data: data.to_vec(),
        })
    }

    /// Says that the data of a chunk makes no sense.
    pub(crate) fn broken(&self, place: Place) -> Error {
        let at = place.offset();
        match self.files.get(place.file()) {
            Some(source) => source.broken(format!("the chunk at {at} does not decode")),
            None => self.no_file(place.file()),
        }
    }

    fn no_file(&self, number: usize) -> Error {
        let what = format!(
            "a chunk is said to be in file {}, which there is not",
            number.saturating_add(1)
        );
        match self.files.first() {
            Some(first) => first.broken(what),
            None => Error::broken(Path::new(CHUNKS), what),
        }
    }
}
