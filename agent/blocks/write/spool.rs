//! Series on their way to the index: it begins with all symbols in order, which are known after the last series.
//!
//! What will be an entry of the index waits in a file beside it, with symbols numbered as they came.

use std::path::Path;

use hashbrown::HashMap;
use model::Labels;

use crate::bytes::{Cursor, put_uvarint, put_varint};
use crate::chunk::Place;
use crate::durable::Out;
use crate::error::Error;
use crate::read::source::{Source, Stream};

pub(crate) struct Spool {
    out: Out,
    numbers: HashMap<Box<str>, u32>,
    /// Labels of all series together.
    pub(crate) pairs: usize,
    entry: Vec<u8>,
    scratch: Vec<u8>,
}

impl Spool {
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            out: Out::create(path)?,
            numbers: HashMap::new(),
            pairs: 0,
            entry: Vec::new(),
            scratch: Vec::new(),
        })
    }

    pub(crate) fn put(&mut self, labels: &Labels, places: &[Place]) -> Result<(), Error> {
        self.entry.clear();
        put_uvarint(&mut self.entry, labels.len() as u64);
        for (name, value) in labels.iter() {
            for text in [name, value] {
                let number = self.number(text)?;
                put_uvarint(&mut self.entry, u64::from(number));
            }
        }
        self.pairs += labels.len();
        put_places(&mut self.entry, places);
        self.scratch.clear();
        put_uvarint(&mut self.scratch, self.entry.len() as u64);
        self.out.put(&self.scratch)?;
        self.out.put(&self.entry)
    }

    fn number(&mut self, text: &str) -> Result<u32, Error> {
        if let Some(known) = self.numbers.get(text) {
            return Ok(*known);
        }
        let number =
            u32::try_from(self.numbers.len()).map_err(|_| Error::Unfit("too many symbols".into()))?;
        self.numbers.insert(text.into(), number);
        Ok(number)
    }

    /// All symbols in order, and the entries to be read again.
    pub(crate) fn close(self) -> Result<(Symbols, Entries), Error> {
        let mut sorted: Vec<(Box<str>, u32)> = self.numbers.into_iter().collect();
        sorted.sort_unstable();
        let mut ranks = vec![0; sorted.len()];
        for (rank, (_, number)) in (0..).zip(&sorted) {
            if let Some(place) = ranks.get_mut(*number as usize) {
                *place = rank;
            }
        }
        let symbols = Symbols {
            sorted: sorted.into_iter().map(|(text, _)| text).collect(),
            ranks,
        };
        let source = Source::open(&self.out.close_unsynced()?)?;
        Ok((symbols, Entries { source }))
    }
}

pub(crate) struct Symbols {
    pub(crate) sorted: Vec<Box<str>>,
    /// By the number in the spool, the place among the sorted.
    ranks: Vec<u32>,
}

impl Symbols {
    pub(crate) fn rank(&self, number: u64) -> u32 {
        self.ranks.get(number as usize).copied().unwrap_or_default()
    }
}

pub(crate) struct Entries {
    source: Source,
}

impl Entries {
    /// Gives each entry, in the order they were put in: ranks of names and values, and what follows them.
    pub(crate) fn each(
        &self,
        symbols: &Symbols,
        mut take: impl FnMut(&[(u32, u32)], &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        const PIECE: u64 = 256 << 10;
        let mut stream = Stream::new(&self.source, 0, self.source.bytes, PIECE);
        let mut pairs = Vec::new();
        while !stream.is_empty() {
            let length = stream.uvarint()?;
            let mut cursor = Cursor(stream.take(length)?);
            pairs.clear();
            for _ in 0..cursor.uvarint().unwrap_or_default() {
                if let (Some(name), Some(value)) = (cursor.uvarint(), cursor.uvarint()) {
                    pairs.push((symbols.rank(name), symbols.rank(value)));
                }
            }
            take(&pairs, cursor.0)?;
        }
        Ok(())
    }
}

/// The end of a series' entry in the index.
fn put_places(out: &mut Vec<u8>, places: &[Place]) {
    put_uvarint(out, places.len() as u64);
    let step = |from: i64, to: i64| to.wrapping_sub(from).cast_unsigned();
    let mut before: Option<&Place> = None;
    for place in places {
        match before {
            None => put_varint(out, place.min.0),
            Some(before) => put_uvarint(out, step(before.max.0, place.min.0)),
        }
        put_uvarint(out, step(place.min.0, place.max.0));
        match before {
            None => put_uvarint(out, place.reference),
            Some(before) => {
                put_varint(out, place.reference.wrapping_sub(before.reference).cast_signed());
            }
        }
        before = Some(place);
    }
}
