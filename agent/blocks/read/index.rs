//! The index of a block: what is kept in memory of it, and what is looked up in the file.
//!
//! In memory is the place of every 32nd symbol and of every 32nd value of each label, a byte or two for a series.
//! The format is version 2 of prometheus/prometheus tsdb/docs/format/index.md.

use std::collections::BTreeMap;
use std::path::Path;

use crate::bytes::{Cursor, be32};
use crate::error::Error;
use crate::read::source::{Source, Stream, Window};
use crate::read::symbols::Symbols;
use crate::write::index::{ALL, FILE, MAGIC, VERSION};

/// One of so many is remembered.
pub(crate) const SPARSE: u32 = 32;
const CONTENTS_BYTES: u64 = 6 * 8;
/// Read at a time when a value is looked up: what lies between two that are remembered.
const LOOKUP_BYTES: u64 = 2 << 10;

pub(crate) struct Index {
    pub(crate) source: Source,
    pub(crate) symbols: Symbols,
    /// Where the list of all series is.
    all: Option<u64>,
    names: BTreeMap<Box<str>, Values>,
    /// Of the table that says where lists are.
    table: (u64, u64),
}

/// What is remembered of the values of a label.
#[derive(Default)]
struct Values {
    count: u32,
    /// Every so many, and where in the table its entry begins.
    known: Vec<(Box<str>, u32)>,
}

/// Where the parts of an index begin; the others follow from these.
struct Contents {
    symbols: u64,
    table: u64,
}

impl Contents {
    fn read(source: &Source) -> Result<Self, Error> {
        let Some(start) = source.bytes.checked_sub(CONTENTS_BYTES + 4) else {
            return Err(source.broken("is too short"));
        };
        let bytes = source.take(start, CONTENTS_BYTES + 4)?;
        let (contents, crc) = bytes
            .split_at_checked(CONTENTS_BYTES as usize)
            .unwrap_or_default();
        if be32(crc) != crc32c::crc32c(contents) {
            return Err(source.broken("its table of contents has a wrong checksum"));
        }
        let mut cursor = Cursor(contents);
        let mut place = || match cursor.be64() {
            Some(place) if place <= start => Ok(place),
            _ => Err(source.broken("its table of contents points beyond its end")),
        };
        // Symbols, series, label values, their table, lists, their table.
        let (symbols, ..) = (place()?, place()?, place()?);
        let (.., table) = (place()?, place()?, place()?);
        Ok(Self { symbols, table })
    }
}

impl Index {
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let source = Source::open(&folder.join(FILE))?;
        source.begins(MAGIC, VERSION)?;
        let contents = Contents::read(&source)?;
        let symbols = Symbols::open(&source, contents.symbols)?;
        let mut index = Self {
            source,
            symbols,
            all: None,
            names: BTreeMap::new(),
            table: (0, 0),
        };
        if contents.table > 0 {
            index.read_table(contents.table)?;
        }
        Ok(index)
    }

    fn read_table(&mut self, at: u64) -> Result<(), Error> {
        let mut stream = Stream::section(&self.source, at)?;
        let start = stream.position();
        let count = stream.be32()?;
        let (mut name, mut values) = (String::new(), Values::default());
        let mut last = String::new();
        for nth in 0..count {
            let at = u32::try_from(stream.position() - start).unwrap_or(u32::MAX);
            two_texts(&self.source, &mut stream)?;
            let first = nth == 0;
            let entry_name = stream.text()?;
            let same = !first && *entry_name == *name;
            if !first && !same && entry_name < name.as_str() {
                return Err(self.source.broken("its table of lists is not in order"));
            }
            if !same {
                self.names
                    .insert(name.as_str().into(), std::mem::take(&mut values));
                name.clear();
                name.push_str(entry_name);
            }
            let value = stream.text()?;
            if same && value <= last.as_str() {
                return Err(self.source.broken("its table of lists is not in order"));
            }
            if values.count.is_multiple_of(SPARSE) {
                values.known.push((value.into(), at));
            }
            values.count += 1;
            last.clear();
            last.push_str(value);
            let place = stream.uvarint()?;
            if (name.as_str(), last.as_str()) == ALL {
                self.all = Some(place);
            }
        }
        self.names.insert(name.into(), values);
        self.names.remove(ALL.0);
        self.table = (start, stream.position());
        stream.check()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(|name| &**name)
    }

    /// How many values a label has.
    pub(crate) fn value_count(&self, name: &str) -> u32 {
        self.names.get(name).map_or(0, |values| values.count)
    }

    /// Gives each value of a label, in order, with the place of its list; until told false.
    pub(crate) fn each_value(
        &self,
        name: &str,
        from: &str,
        mut take: impl FnMut(&str, u64) -> bool,
    ) -> Result<(), Error> {
        let Some(values) = self.names.get(name) else {
            return Ok(());
        };
        let nth = values
            .known
            .partition_point(|(value, _)| **value <= *from)
            .saturating_sub(1);
        let Some((_, at)) = values.known.get(nth) else {
            return Ok(());
        };
        let (start, end) = self.table;
        let mut stream = Stream::new(&self.source, start + u64::from(*at), end, LOOKUP_BYTES);
        let mut value = String::new();
        for _ in nth as u32 * SPARSE..values.count {
            two_texts(&self.source, &mut stream)?;
            let length = stream.uvarint()?;
            stream.take(length)?;
            value.clear();
            value.push_str(stream.text()?);
            let place = stream.uvarint()?;
            if *value >= *from && !take(&value, place) {
                break;
            }
        }
        Ok(())
    }

    /// Where the list of the series with this label is.
    pub(crate) fn place(&self, name: &str, value: &str) -> Result<Option<u64>, Error> {
        let mut found = None;
        self.each_value(name, value, |known, place| {
            found = (known == value).then_some(place);
            false
        })?;
        Ok(found)
    }

    pub(crate) fn all(&self) -> Result<Vec<u32>, Error> {
        let mut ids = Vec::new();
        if let Some(place) = self.all {
            read_list(&mut Window::new(&self.source), place, &mut ids)?;
        }
        Ok(ids)
    }

    /// Bytes in memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        let known = |values: &Values| -> usize {
            let texts = values.known.iter().map(|(value, _)| value.len());
            texts.sum::<usize>() + values.known.capacity() * size_of::<(Box<str>, u32)>()
        };
        let names = self
            .names
            .iter()
            .map(|(name, values)| name.len() + size_of::<Values>() + known(values));
        names.sum::<usize>() + self.symbols.memory_bytes()
    }
}

fn two_texts(source: &Source, stream: &mut Stream<'_>) -> Result<(), Error> {
    match stream.uvarint()? {
        2 => Ok(()),
        _ => Err(source.broken("its table of lists has keys that are not of two texts")),
    }
}

/// Adds the series of a list to `ids`.
pub(crate) fn read_list(window: &mut Window<'_>, at: u64, ids: &mut Vec<u32>) -> Result<(), Error> {
    let source = window.source();
    let length = u64::from(be32(window.exact(at, 4)?));
    let bytes = window.exact(at + 4, length + 4)?;
    let (list, crc) = bytes.split_at_checked(length as usize).unwrap_or_default();
    if be32(crc) != crc32c::crc32c(list) {
        return Err(source.broken(format!("the list at {at} has a wrong checksum")));
    }
    let (count, list) = list.split_at_checked(4).unwrap_or_default();
    if list.len() as u64 != 4 * u64::from(be32(count)) {
        return Err(source.broken(format!("the list at {at} has a wrong length")));
    }
    ids.extend(list.chunks_exact(4).map(be32));
    Ok(())
}
