//! What stands in the log: records, each with its length and checksum.
//!
//! A segment begins with magic, format and a checksum of both. A record is `length u32, crc32 u32`, then `length` bytes whose
//! first says what it is; numbers are little-endian, texts have their length before them. Whatever a record
//! refers to was said earlier in the same segment, so that any segment can be the first.

use std::io::{self, Read};

use model::{Labels, LabelsBuilder, Metadata, SeriesRef, Timestamp};

use crate::families::{kind_code, kind_of};
use crate::histograms::Packed;

pub(crate) const MAGIC: &[u8; 8] = b"SKOPSWAL";
/// Format 1 had no provisional points, and before format 3 there was no checksum of the header; both are read as well.
pub(crate) const FORMAT: u32 = 3;
const FORMAT_CHECKED: u32 = 3;
const HEADER_BYTES: usize = BARE_BYTES + 4;
/// Of a header without its checksum.
const BARE_BYTES: usize = 12;
const FRAME_BYTES: usize = 8;
/// No record is longer, so that a broken length cannot ask for all memory.
pub(crate) const RECORD_BYTES_MAX: usize = 64 << 20;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    Target {
        id: u32,
        staleness_millis: Option<u64>,
        name: String,
    },
    Family {
        id: u32,
        metadata: Metadata,
    },
    Series {
        series: SeriesRef,
        family: u32,
        labels: Labels,
    },
    Shape {
        id: u64,
        target: u32,
        refs: Vec<SeriesRef>,
    },
    Row {
        shape: u64,
        live: Option<u64>,
        time: Timestamp,
        values: Vec<f64>,
    },
    Retired {
        target: u32,
    },
    /// Provisional points.
    Said {
        shape: u64,
        time: Timestamp,
        values: Vec<f64>,
    },
    Histograms {
        shape: u64,
        time: Timestamp,
        packed: Packed,
    },
}

pub(crate) fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let (bare, checksum) = header.split_at_mut(BARE_BYTES);
    let (magic, format) = bare.split_at_mut(MAGIC.len());
    magic.copy_from_slice(MAGIC);
    format.copy_from_slice(&FORMAT.to_le_bytes());
    checksum.copy_from_slice(&crc32fast::hash(bare).to_le_bytes());
    header
}

/// Writes records to the end of a buffer, without a copy of what they hold.
pub(crate) struct Writing<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Writing<'a> {
    fn new(out: &'a mut Vec<u8>, kind: u8) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; FRAME_BYTES]);
        out.push(kind);
        Self { out, start }
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.out.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.out.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.out.extend_from_slice(text.as_bytes());
        self
    }

    fn refs(&mut self, refs: &[SeriesRef]) -> &mut Self {
        self.u32(u32::try_from(refs.len()).unwrap_or(u32::MAX));
        self.words(refs.iter().map(|series| series.0))
    }

    fn values(&mut self, values: &[f64]) -> &mut Self {
        self.u32(u32::try_from(values.len()).unwrap_or(u32::MAX));
        self.words(values.iter().map(|value| value.to_bits()))
    }

    fn words(&mut self, words: impl ExactSizeIterator<Item = u64>) -> &mut Self {
        self.out.reserve(words.len() * 8);
        words.for_each(|word| self.out.extend_from_slice(&word.to_le_bytes()));
        self
    }

    /// Fills in length and checksum.
    fn end(&mut self) {
        let Some((frame, body)) = self
            .out
            .get_mut(self.start..)
            .and_then(|record| record.split_at_mut_checked(FRAME_BYTES))
        else {
            return;
        };
        let (length, checksum) = frame.split_at_mut(4);
        length.copy_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
        checksum.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    }
}

/// Stands for "none" where a duration or a shape may be missing; neither is ever this.
const NONE: u64 = u64::MAX;

pub(crate) fn target(out: &mut Vec<u8>, id: u32, staleness_millis: Option<u64>, name: &str) {
    Writing::new(out, 1)
        .u32(id)
        .u64(staleness_millis.unwrap_or(NONE))
        .text(name)
        .end();
}

pub(crate) fn family(out: &mut Vec<u8>, id: u32, metadata: &Metadata) {
    let mut writing = Writing::new(out, 2);
    writing.u32(id).u32(u32::from(kind_code(metadata.kind)));
    writing
        .text(&metadata.family)
        .text(&metadata.help)
        .text(&metadata.unit)
        .end();
}

pub(crate) fn series(out: &mut Vec<u8>, series: SeriesRef, family: u32, labels: &Labels) {
    let mut writing = Writing::new(out, 3);
    writing
        .u64(series.0)
        .u32(family)
        .u32(u32::try_from(labels.len()).unwrap_or(u32::MAX));
    for (name, value) in labels.iter() {
        writing.text(name).text(value);
    }
    writing.end();
}

pub(crate) fn shape(out: &mut Vec<u8>, id: u64, target: u32, refs: &[SeriesRef]) {
    Writing::new(out, 4).u64(id).u32(target).refs(refs).end();
}

pub(crate) fn row(out: &mut Vec<u8>, shape: u64, live: Option<u64>, time: Timestamp, values: &[f64]) {
    let mut writing = Writing::new(out, 5);
    writing
        .u64(shape)
        .u64(live.unwrap_or(NONE))
        .u64(time.0.cast_unsigned())
        .values(values)
        .end();
}

pub(crate) fn retired(out: &mut Vec<u8>, target: u32) {
    Writing::new(out, 6).u32(target).end();
}

pub(crate) fn said(out: &mut Vec<u8>, shape: u64, time: Timestamp, values: &[f64]) {
    let mut writing = Writing::new(out, 7);
    writing
        .u64(shape)
        .u64(time.0.cast_unsigned())
        .values(values)
        .end();
}

pub(crate) fn histograms(out: &mut Vec<u8>, shape: u64, time: Timestamp, packed: &Packed) {
    let mut writing = Writing::new(out, 8);
    writing.u64(shape).u64(time.0.cast_unsigned());
    writing.u32(u32::try_from(packed.len()).unwrap_or(u32::MAX));
    writing.out.extend_from_slice(packed.bytes());
    writing.end();
}

/// Why reading stops.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The segment is whole.
    Whole,
    /// It ends within a record, as when a process dies while it writes.
    Torn,
    /// From here on it cannot be read.
    Broken(&'static str),
}

/// Records of a segment one by one, after its header.
pub(crate) struct Reading<R> {
    from: R,
    left: u64,
    buffer: Vec<u8>,
    /// Where the last whole record ended.
    pub(crate) good_bytes: u64,
}

impl<R: Read> Reading<R> {
    /// Reads the header; `size_bytes` is the file's.
    pub(crate) fn new(mut from: R, size_bytes: u64) -> io::Result<Result<Self, HeaderError>> {
        let mut bare = [0; BARE_BYTES];
        if size_bytes < BARE_BYTES as u64 {
            return Ok(Err(HeaderError::Short));
        }
        from.read_exact(&mut bare)?;
        let (magic, format) = bare.split_at(MAGIC.len());
        let format = format.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if magic != MAGIC || format == 0 {
            return Ok(Err(HeaderError::Foreign));
        }
        let mut good_bytes = BARE_BYTES as u64;
        if format >= FORMAT_CHECKED {
            let mut checksum = [0; HEADER_BYTES - BARE_BYTES];
            if size_bytes < HEADER_BYTES as u64 {
                return Ok(Err(HeaderError::Short));
            }
            from.read_exact(&mut checksum)?;
            // A wrong bit is no newer version, which would be left alone and stop the store from opening.
            if u32::from_le_bytes(checksum) != crc32fast::hash(&bare) {
                return Ok(Err(HeaderError::Foreign));
            }
            good_bytes = HEADER_BYTES as u64;
        }
        if format > FORMAT {
            return Ok(Err(HeaderError::Newer(format)));
        }
        Ok(Ok(Self {
            from,
            left: size_bytes - good_bytes,
            buffer: Vec::new(),
            good_bytes,
        }))
    }

    /// Records of a kind that this version does not know are passed over.
    pub(crate) fn next(&mut self) -> io::Result<Result<Record, End>> {
        loop {
            match self.frame()? {
                Err(end) => return Ok(Err(end)),
                Ok(length) => {
                    let record = parse(&self.buffer);
                    let Some(record) = record else {
                        return Ok(Err(End::Broken("a record says something impossible")));
                    };
                    self.good_bytes += length;
                    if let Some(record) = record {
                        return Ok(Ok(record));
                    }
                }
            }
        }
    }

    /// Brings one record's body into the buffer.
    fn frame(&mut self) -> io::Result<Result<u64, End>> {
        if self.left == 0 {
            return Ok(Err(End::Whole));
        }
        if self.left < FRAME_BYTES as u64 {
            return Ok(Err(End::Torn));
        }
        let mut frame = [0; FRAME_BYTES];
        self.from.read_exact(&mut frame)?;
        let (length, checksum) = frame.split_at(4);
        let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let (length, checksum) = (number(length), number(checksum));
        self.left -= FRAME_BYTES as u64;
        if u64::from(length) > self.left || length as usize > RECORD_BYTES_MAX {
            return Ok(Err(End::Torn));
        }
        self.buffer.resize(length as usize, 0);
        self.from.read_exact(&mut self.buffer)?;
        self.left -= u64::from(length);
        if crc32fast::hash(&self.buffer) != checksum {
            return Ok(Err(End::Broken("a checksum is wrong")));
        }
        Ok(Ok(FRAME_BYTES as u64 + u64::from(length)))
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    Short,
    Foreign,
    Newer(u32),
}

struct Parse<'a>(&'a [u8]);

impl<'a> Parse<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?
            .first_chunk()
            .map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?
            .first_chunk()
            .map(|bytes| u64::from_le_bytes(*bytes))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.u32()? as usize;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn words<T>(&mut self, of: impl Fn(u64) -> T) -> Option<Vec<T>> {
        let count = self.u32()? as usize;
        let bytes = self.take(count.checked_mul(8)?)?;
        Some(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|bytes| of(u64::from_le_bytes(*bytes)))
                .collect(),
        )
    }
}

/// None: broken. `Some(None)`: of a kind not known here.
fn parse(body: &[u8]) -> Option<Option<Record>> {
    let mut parse = Parse(body);
    let kind = *parse.take(1)?.first()?;
    let known = |number: u64| (number != NONE).then_some(number);
    Some(Some(match kind {
        1 => Record::Target {
            id: parse.u32()?,
            staleness_millis: known(parse.u64()?),
            name: parse.text()?.to_owned(),
        },
        2 => {
            let (id, kind) = (parse.u32()?, parse.u32()?);
            let (family, help, unit) = (parse.text()?.into(), parse.text()?.into(), parse.text()?.into());
            let kind = kind_of(u8::try_from(kind).ok()?);
            Record::Family {
                id,
                metadata: Metadata {
                    family,
                    kind,
                    help,
                    unit,
                },
            }
        }
        3 => {
            let (series, family, count) = (SeriesRef(parse.u64()?), parse.u32()?, parse.u32()?);
            let mut labels = LabelsBuilder::default();
            for _ in 0..count {
                labels.set(parse.text()?, parse.text()?);
            }
            Record::Series {
                series,
                family,
                labels: labels.build(),
            }
        }
        4 => Record::Shape {
            id: parse.u64()?,
            target: parse.u32()?,
            refs: parse.words(SeriesRef)?,
        },
        5 => Record::Row {
            shape: parse.u64()?,
            live: known(parse.u64()?),
            time: Timestamp(parse.u64()?.cast_signed()),
            values: parse.words(f64::from_bits)?,
        },
        6 => Record::Retired { target: parse.u32()? },
        7 => Record::Said {
            shape: parse.u64()?,
            time: Timestamp(parse.u64()?.cast_signed()),
            values: parse.words(f64::from_bits)?,
        },
        8 => {
            let (shape, time) = (parse.u64()?, Timestamp(parse.u64()?.cast_signed()));
            let count = parse.u32()? as usize;
            Record::Histograms {
                shape,
                time,
                packed: Packed::read(parse.0, count)?,
            }
        }
        _ => return Some(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Histogram, Kind, STALE};

    fn packed() -> Packed {
        let one = Histogram {
            count: 3.0,
            sum: 0.5,
            integers: true,
            ..Histogram::default()
        };
        let other = Histogram {
            count: 0.25,
            ..Histogram::default()
        };
        Packed::of([&one, &other].into_iter())
    }

    fn segment() -> Vec<u8> {
        let mut out = header().to_vec();
        target(&mut out, 3, Some(600_000), "scrape/shop");
        let metadata = Metadata {
            family: "x".into(),
            kind: Kind::Counter,
            help: "Things.".into(),
            unit: "".into(),
        };
        family(&mut out, 1, &metadata);
        series(
            &mut out,
            SeriesRef(9),
            1,
            &Labels::from_pairs([("__name__", "x_total"), ("é", "ü\n")]),
        );
        shape(&mut out, 4, 3, &[SeriesRef(9), SeriesRef(1)]);
        row(&mut out, 4, Some(4), Timestamp(-5), &[STALE, f64::NAN]);
        retired(&mut out, 3);
        said(&mut out, 4, Timestamp(7), &[1.5, STALE]);
        histograms(&mut out, 4, Timestamp(8), &packed());
        out
    }

    fn read(bytes: &[u8]) -> (Vec<Record>, End, u64) {
        let mut reading = Reading::new(bytes, bytes.len() as u64)
            .expect("memory")
            .expect("header");
        let mut records = Vec::new();
        loop {
            match reading.next().expect("memory") {
                Ok(record) => records.push(record),
                Err(end) => return (records, end, reading.good_bytes),
            }
        }
    }

    #[test]
    fn records_come_back_as_they_were_written() {
        let bytes = segment();
        let (records, end, good) = read(&bytes);
        assert_eq!((records.len(), end, good), (8, End::Whole, bytes.len() as u64));
        let Some(Record::Row { values, time, .. }) = records.get(4) else {
            panic!("{records:?}")
        };
        assert!(model::is_stale(values[0]) && values[1].is_nan() && *time == Timestamp(-5));
        assert!(
            matches!(&records[6], Record::Said { shape: 4, time: Timestamp(7), values } if model::is_stale(values[1]))
        );
        assert!(
            matches!(&records[7], Record::Histograms { time: Timestamp(8), packed: read, .. } if *read == packed())
        );
        assert!(matches!(&records[2], Record::Series { labels, .. } if labels.value("é") == "ü\n"));
    }

    #[test]
    fn the_formats_before_are_read_too() {
        for format in [1, 2] {
            let mut bytes = segment();
            bytes[MAGIC.len()] = format;
            bytes.drain(BARE_BYTES..HEADER_BYTES);
            assert_eq!(read(&bytes).0.len(), 8);
        }
    }

    #[test]
    fn a_changed_bit_makes_no_newer_version() {
        let bytes = segment();
        for bit in 0..32 {
            let mut broken = bytes.clone();
            broken[MAGIC.len() + bit / 8] ^= 1 << (bit % 8);
            let header = Reading::new(broken.as_slice(), broken.len() as u64).expect("memory");
            assert!(!matches!(header, Err(HeaderError::Newer(_))), "bit {bit}");
        }
        let mut newer = bytes;
        newer[MAGIC.len()] = 9;
        let checksum = crc32fast::hash(&newer[..BARE_BYTES]).to_le_bytes();
        newer[BARE_BYTES..HEADER_BYTES].copy_from_slice(&checksum);
        let header = Reading::new(newer.as_slice(), newer.len() as u64).expect("memory");
        assert_eq!(header.err(), Some(HeaderError::Newer(9)));
    }

    #[test]
    fn a_changed_bit_is_noticed_and_what_comes_before_is_kept() {
        let bytes = segment();
        for at in HEADER_BYTES..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0x10;
            let (records, end, good) = read(&broken);
            assert!(matches!(end, End::Broken(_) | End::Torn), "at {at}");
            assert!(records.len() < 8 && good as usize <= at, "at {at}");
        }
    }

    #[test]
    fn a_kind_of_a_later_version_is_passed_over() {
        let mut bytes = header().to_vec();
        Writing::new(&mut bytes, 77).text("who knows").end();
        retired(&mut bytes, 1);
        assert_eq!(read(&bytes).0, [Record::Retired { target: 1 }]);
    }
}
