//! Entries of series in the index: their labels, and where their chunks are.

use model::{Labels, Timestamp};

use crate::bytes::{Cursor, be32};
use crate::chunk::Place;
use crate::error::Error;
use crate::read::index::Index;
use crate::read::source::Window;
use crate::read::symbols::Lookup;
use crate::write::index::SERIES_ALIGN;

/// Reads series of one block one after the other.
pub(crate) struct SeriesReader<'a> {
    window: Window<'a>,
    symbols: Lookup<'a>,
    /// Numbers of names and values of the series that was read last.
    pairs: Vec<(u32, u32)>,
    pub(crate) places: Vec<Place>,
}

impl<'a> SeriesReader<'a> {
    pub(crate) fn new(index: &'a Index) -> Self {
        Self {
            window: Window::new(&index.source),
            symbols: Lookup::new(&index.source, &index.symbols),
            pairs: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Leaves the places of its chunks in `places`.
    pub(crate) fn read(&mut self, series: u32) -> Result<(), Error> {
        let source = self.window.source();
        let bad = |what: &str| source.broken(format!("series {series} {what}"));
        let at = u64::from(series) * SERIES_ALIGN as u64;
        let head = self.window.some(at, 10)?;
        let mut cursor = Cursor(head);
        let length = cursor.uvarint().ok_or_else(|| bad("is not there"))?;
        let start = at + (head.len() - cursor.0.len()) as u64;
        if length >= source.bytes {
            return Err(bad("is too long"));
        }
        let bytes = self.window.exact(start, length + 4)?;
        let (entry, crc) = bytes.split_at_checked(length as usize).unwrap_or_default();
        if be32(crc) != crc32c::crc32c(entry) {
            return Err(bad("has a wrong checksum"));
        }
        let mut cursor = Cursor(entry);
        read_pairs(&mut cursor, &mut self.pairs).ok_or_else(|| bad("has broken labels"))?;
        read_places(&mut cursor, &mut self.places).ok_or_else(|| bad("has broken places of chunks"))
    }

    /// Of the series that was read last.
    pub(crate) fn labels(&mut self) -> Result<Labels, Error> {
        self.symbols.breathe();
        for (name, value) in &self.pairs {
            self.symbols.meet(*name)?;
            self.symbols.meet(*value)?;
        }
        let symbols = &self.symbols;
        let pairs = || {
            let all = self.pairs.iter();
            all.map(|(name, value)| (symbols.get(*name), symbols.get(*value)))
        };
        let filled = pairs().all(|(_, value)| !value.is_empty());
        if !filled || !pairs().map(|(name, _)| name).is_sorted_by(|a, b| a < b) {
            return Err(self.window.source().broken("a series has labels out of order"));
        }
        Ok(Labels::from_sorted(pairs()))
    }
}

fn read_pairs(cursor: &mut Cursor<'_>, pairs: &mut Vec<(u32, u32)>) -> Option<()> {
    pairs.clear();
    for _ in 0..cursor.uvarint()? {
        let mut number = || u32::try_from(cursor.uvarint()?).ok();
        pairs.push((number()?, number()?));
    }
    Some(())
}

fn read_places(cursor: &mut Cursor<'_>, places: &mut Vec<Place>) -> Option<()> {
    places.clear();
    for _ in 0..cursor.uvarint()? {
        let place = match places.last().copied() {
            None => {
                let min = cursor.varint()?;
                Place {
                    min: Timestamp(min),
                    max: later(min, cursor.uvarint()?),
                    reference: cursor.uvarint()?,
                }
            }
            Some(Place { max, reference, .. }) => {
                let min = later(max.0, cursor.uvarint()?);
                Place {
                    min,
                    max: later(min.0, cursor.uvarint()?),
                    reference: reference.wrapping_add(cursor.varint()?.cast_unsigned()),
                }
            }
        };
        places.push(place);
    }
    Some(())
}

fn later(time: i64, by: u64) -> Timestamp {
    Timestamp(time.wrapping_add(by.cast_signed()))
}
