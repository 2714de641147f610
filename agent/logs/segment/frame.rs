//! A frame: records and the watermarks of their files, appended and read back as one.
//!
//! Layout, little-endian: a header of 64 bytes with a checksum of its own; then the marks as JSON; then a row of 24
//! bytes for each record and all texts one after the other, which together may be compressed. Rows and texts lie apart
//! so that a search runs over nothing but text.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use model::Timestamp;

use crate::batch::{Batch, Row};
use crate::mark::FileMark;

pub(crate) const HEADER_BYTES: usize = 64;
const ROW_BYTES: usize = 24;
/// No file is longer than 256 TiB.
const OFFSET_BITS: u32 = 48;
const OFFSET_MASK: u64 = (1 << OFFSET_BITS) - 1;
const MAGIC: [u8; 4] = *b"frm1";
/// No frame is longer, so that a damaged length cannot ask for all memory.
const BODY_BYTES_MAX: u32 = 256 << 20;

/// Levels, as rows have them, from which on a record is grave, and an error.
pub(crate) const GRAVE: u8 = 3;
pub(crate) const ERROR: u8 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Records,
    /// The marks of all living files: the first frame of each segment.
    Checkpoint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    packed: bool,
    /// The gravest record's.
    pub(crate) level_max: u8,
    /// All behind the header.
    pub(crate) body_bytes: u32,
    body_crc: u32,
    marks_bytes: u32,
    text_bytes: u32,
    pub(crate) records: u32,
    /// Records that are warnings or worse.
    pub(crate) grave: u32,
    /// Of these, errors and worse; 0 where nobody counted them.
    errors: u32,
    pub(crate) earliest: Timestamp,
    pub(crate) latest: Timestamp,
    pub(crate) written: Timestamp,
}

/// A frame as read, in buffers that are used again for the next one.
#[derive(Default)]
pub(crate) struct Frame {
    raw: Vec<u8>,
    unpacked: Vec<u8>,
    marks_bytes: usize,
    rows_bytes: usize,
    packed: bool,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("frame header is damaged")]
    Header,
    #[error("frame body is damaged")]
    Body,
}

/// Writes a batch as a frame into `frame`, which is emptied first.
pub(crate) fn encode(frame: &mut Vec<u8>, kind: Kind, batch: &Batch, written: Timestamp, pack: bool) {
    frame.clear();
    frame.resize(HEADER_BYTES, 0);
    // Marks are plain structs with string keys: serialising them cannot fail.
    _ = serde_json::to_writer(&mut *frame, &batch.marks);
    let marks_bytes = frame.len() - HEADER_BYTES;
    // Small frames would only grow.
    let packed = pack && batch.text.len() > 512;
    if packed {
        pack_into(frame, batch);
    } else {
        rows_into(frame, &batch.rows);
        frame.extend_from_slice(&batch.text);
    }
    let (earliest, latest) = batch.times().unwrap_or_default();
    let (_, body) = frame.split_at(HEADER_BYTES);
    let header = Header {
        kind,
        packed,
        level_max: batch.rows.iter().map(|row| row.level).max().unwrap_or(0),
        body_bytes: short(body.len()),
        body_crc: crc32fast::hash(body),
        marks_bytes: short(marks_bytes),
        text_bytes: short(batch.text.len()),
        records: short(batch.rows.len()),
        grave: short(batch.rows.iter().filter(|row| row.level >= GRAVE).count()),
        errors: short(batch.rows.iter().filter(|row| row.level >= ERROR).count()),
        earliest,
        latest,
        written,
    };
    if let Some(front) = frame.first_chunk_mut::<HEADER_BYTES>() {
        *front = header.encode();
    }
}

fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn rows_into(frame: &mut Vec<u8>, rows: &[Row]) {
    frame.reserve(rows.len() * ROW_BYTES);
    for row in rows {
        let mut bytes = [0; ROW_BYTES];
        put(&mut bytes, 0, row.time.0.to_le_bytes());
        put(&mut bytes, 8, place(row).to_le_bytes());
        put(&mut bytes, 16, row.end.to_le_bytes());
        put(&mut bytes, 20, row.file.to_le_bytes());
        put(&mut bytes, 22, [row.stream, row.level]);
        frame.extend_from_slice(&bytes);
    }
}

/// The offset, and above it how many lines of the file the record is made of, where they are several.
fn place(row: &Row) -> u64 {
    let lines = u64::from(row.lines.min(u32::from(u16::MAX)));
    (row.offset & OFFSET_MASK) | lines << OFFSET_BITS
}

fn pack_into(frame: &mut Vec<u8>, batch: &Batch) {
    let mut rows = Vec::new();
    rows_into(&mut rows, &batch.rows);
    let mut encoder = DeflateEncoder::new(frame, Compression::new(1));
    // Writing to memory cannot fail.
    _ = encoder
        .write_all(&rows)
        .and_then(|()| encoder.write_all(&batch.text));
    _ = encoder.finish();
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..at + N) {
        place.copy_from_slice(&value);
    }
}

fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .copied()
        .unwrap_or([0; N])
}

impl Header {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let kind = match self.kind {
            Kind::Records => 1,
            Kind::Checkpoint => 2,
        };
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 4, [kind, u8::from(self.packed), self.level_max, 0]);
        put(&mut bytes, 8, self.body_bytes.to_le_bytes());
        put(&mut bytes, 12, self.body_crc.to_le_bytes());
        put(&mut bytes, 16, self.marks_bytes.to_le_bytes());
        put(&mut bytes, 20, self.text_bytes.to_le_bytes());
        put(&mut bytes, 24, self.records.to_le_bytes());
        put(&mut bytes, 28, self.grave.to_le_bytes());
        put(&mut bytes, 32, self.earliest.0.to_le_bytes());
        put(&mut bytes, 40, self.latest.0.to_le_bytes());
        put(&mut bytes, 48, self.written.0.to_le_bytes());
        // The first version has zeros here, whatever errors there are.
        put(&mut bytes, 56, self.errors.to_le_bytes());
        let crc = crc32fast::hash(bytes.get(..60).unwrap_or_default());
        put(&mut bytes, 60, crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        let word = |at| u32::from_le_bytes(get(bytes, at));
        let time = |at| Timestamp(i64::from_le_bytes(get(bytes, at)));
        let crc = crc32fast::hash(bytes.get(..60).unwrap_or_default());
        let [kind, packed, level_max, _] = get(bytes, 4);
        let kind = match kind {
            1 => Kind::Records,
            2 => Kind::Checkpoint,
            _ => return Err(FrameError::Header),
        };
        let header = Self {
            kind,
            packed: packed != 0,
            level_max,
            body_bytes: word(8),
            body_crc: word(12),
            marks_bytes: word(16),
            text_bytes: word(20),
            records: word(24),
            grave: word(28),
            errors: word(56),
            earliest: time(32),
            latest: time(40),
            written: time(48),
        };
        let sound = get(bytes, 0) == MAGIC
            && word(60) == crc
            && header.body_bytes <= BODY_BYTES_MAX
            && header.marks_bytes <= header.body_bytes
            && header.text_bytes <= BODY_BYTES_MAX;
        sound.then_some(header).ok_or(FrameError::Header)
    }

    /// Records that are errors or worse; none where only the records themselves tell.
    pub(crate) fn errors(&self) -> Option<u32> {
        (self.errors > 0 || self.level_max < ERROR).then_some(self.errors)
    }

    /// Header and body together.
    pub(crate) fn frame_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.body_bytes)
    }
}

impl Frame {
    /// Where the body that belongs to `header` is to be read into.
    pub(crate) fn body(&mut self, header: &Header) -> &mut [u8] {
        self.raw.resize(header.body_bytes as usize, 0);
        &mut self.raw
    }

    /// Checks the body just read and unpacks it.
    pub(crate) fn open(&mut self, header: &Header) -> Result<(), FrameError> {
        if crc32fast::hash(&self.raw) != header.body_crc {
            return Err(FrameError::Body);
        }
        self.marks_bytes = header.marks_bytes as usize;
        self.rows_bytes = header.records as usize * ROW_BYTES;
        self.packed = header.packed;
        let want = self.rows_bytes + header.text_bytes as usize;
        if self.packed {
            self.unpacked.clear();
            let packed = self.raw.get(self.marks_bytes..).unwrap_or_default();
            DeflateDecoder::new(packed)
                .take(want as u64 + 1)
                .read_to_end(&mut self.unpacked)
                .map_err(|_| FrameError::Body)?;
        }
        (self.data().len() == want).then_some(()).ok_or(FrameError::Body)
    }

    pub(crate) fn marks(&self) -> Result<Vec<FileMark>, FrameError> {
        let json = self.raw.get(..self.marks_bytes).unwrap_or_default();
        serde_json::from_slice(json).map_err(|_| FrameError::Body)
    }

    fn data(&self) -> &[u8] {
        if self.packed {
            &self.unpacked
        } else {
            self.raw.get(self.marks_bytes..).unwrap_or_default()
        }
    }

    /// All texts, a line feed between any two.
    pub(crate) fn text(&self) -> &[u8] {
        self.data().get(self.rows_bytes..).unwrap_or_default()
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows_bytes / ROW_BYTES
    }

    pub(crate) fn row(&self, nth: usize) -> Row {
        let bytes = self
            .data()
            .get(nth * ROW_BYTES..(nth + 1) * ROW_BYTES)
            .unwrap_or_default();
        let [stream, level] = get(bytes, 22);
        Row {
            time: Timestamp(i64::from_le_bytes(get(bytes, 0))),
            nanos: 0,
            is_timed: false,
            offset: u64::from_le_bytes(get(bytes, 8)) & OFFSET_MASK,
            lines: u32::from(u16::from_le_bytes(get(bytes, 14))),
            end: u32::from_le_bytes(get(bytes, 16)),
            file: u16::from_le_bytes(get(bytes, 20)),
            stream,
            level,
            given: 0,
        }
    }

    /// Where the text of a row begins.
    pub(crate) fn start(&self, nth: usize) -> usize {
        nth.checked_sub(1)
            .map_or(0, |before| self.row(before).end as usize + 1)
    }

    pub(crate) fn text_of(&self, nth: usize) -> &[u8] {
        self.text()
            .get(self.start(nth)..self.row(nth).end as usize)
            .unwrap_or_default()
    }

    /// The row whose text holds the byte `at`, looked for from row `from` on.
    pub(crate) fn row_at(&self, at: usize, from: usize) -> usize {
        let (mut low, mut high) = (from, self.rows());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.row(middle).end as usize <= at {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn batch(texts: &[&str]) -> Batch {
        let mut batch = Batch::default();
        for (nth, text) in texts.iter().enumerate() {
            if nth > 0 {
                batch.text.push(b'\n');
            }
            batch.text.extend_from_slice(text.as_bytes());
            batch.rows.push(Row {
                time: Timestamp(1000 + nth as i64),
                offset: nth as u64,
                end: batch.text.len() as u32,
                file: 0,
                stream: 1,
                level: 2,
                ..Row::default()
            });
        }
        batch
    }

    fn read(bytes: &[u8]) -> Result<Frame, FrameError> {
        let header = Header::decode(bytes.first_chunk().ok_or(FrameError::Header)?)?;
        let mut frame = Frame::default();
        let body = bytes
            .get(HEADER_BYTES..HEADER_BYTES + header.body_bytes as usize)
            .ok_or(FrameError::Body)?;
        frame.body(&header).copy_from_slice(body);
        frame.open(&header)?;
        Ok(frame)
    }

    #[test]
    fn a_frame_reads_back_packed_or_not() {
        let long = "long ".repeat(300);
        let batch = batch(&["one", "", &long, "four"]);
        for pack in [false, true] {
            let mut bytes = Vec::new();
            encode(&mut bytes, Kind::Records, &batch, Timestamp(5), pack);
            let frame = read(&bytes).unwrap();
            let texts: Vec<&[u8]> = (0..frame.rows()).map(|nth| frame.text_of(nth)).collect();
            assert_eq!(texts, [&b"one"[..], b"", long.as_bytes(), b"four"]);
            assert_eq!(frame.row(3), batch.rows[3]);
            assert_eq!(frame.row_at(frame.start(3), 0), 3);
            assert_eq!(frame.row_at(0, 0), 0);
        }
    }

    #[test]
    fn errors_are_counted_and_an_older_frame_does_not_pretend_to_have_none() {
        let mut batch = batch(&["one", "two", "three"]);
        let header = |batch: &Batch| {
            let mut bytes = Vec::new();
            encode(&mut bytes, Kind::Records, batch, Timestamp(5), false);
            Header::decode(bytes.first_chunk().unwrap()).unwrap()
        };
        assert_eq!(header(&batch).errors(), Some(0));
        for (row, level) in batch.rows.iter_mut().zip([3, 4, 5]) {
            row.level = level;
        }
        assert_eq!((header(&batch).grave, header(&batch).errors()), (3, Some(2)));
        let old = Header {
            errors: 0,
            ..header(&batch)
        };
        assert_eq!(Header::decode(&old.encode()).unwrap().errors(), None);
    }

    #[test]
    fn no_damaged_byte_goes_unseen() {
        let mut bytes = Vec::new();
        encode(
            &mut bytes,
            Kind::Records,
            &batch(&["one", "two"]),
            Timestamp(5),
            false,
        );
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(read(&damaged).is_err(), "byte {at}");
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
