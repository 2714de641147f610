//! The texts of labels by their numbers.

use hashbrown::HashMap;

use crate::bytes::Cursor;
use crate::error::Error;
use crate::read::index::SPARSE;
use crate::read::source::{Source, Stream};

/// Where every 32nd symbol is, counted from the first.
#[derive(Default)]
pub(crate) struct Symbols {
    count: u32,
    start: u64,
    end: u64,
    known: Box<[u32]>,
}

impl Symbols {
    pub(crate) fn open(source: &Source, at: u64) -> Result<Self, Error> {
        if at == 0 {
            return Ok(Self::default());
        }
        let mut stream = Stream::section(source, at)?;
        let count = stream.be32()?;
        let (start, mut known) = (stream.position(), Vec::new());
        for nth in 0..count {
            if nth.is_multiple_of(SPARSE) {
                known.push(u32::try_from(stream.position() - start).unwrap_or(u32::MAX));
            }
            let length = stream.uvarint()?;
            stream.take(length)?;
        }
        let end = stream.position();
        stream.check()?;
        Ok(Self {
            count,
            start,
            end,
            known: known.into(),
        })
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.known.len() * size_of::<u32>()
    }
}

/// Symbols met while one question is answered. The pages they were found on stay for a while, as many series ask
/// for symbols close to each other.
pub(crate) struct Lookup<'a> {
    source: &'a Source,
    symbols: &'a Symbols,
    met: HashMap<u32, Box<str>>,
    pages: Vec<Page>,
}

#[derive(Clone, Default)]
struct Page {
    /// Which of the known symbols it begins with, counted from one.
    group: usize,
    bytes: Vec<u8>,
}

/// A page is 32 symbols, mostly below 1 KiB.
const PAGES: usize = 512;
/// A longer page does not stay.
const PAGE_BYTES_MAX: usize = 16 << 10;
/// Symbols remembered; beyond it they are looked up again.
const MET_MAX: usize = 100_000;

impl<'a> Lookup<'a> {
    pub(crate) fn new(source: &'a Source, symbols: &'a Symbols) -> Self {
        Self {
            source,
            symbols,
            met: HashMap::new(),
            pages: Vec::new(),
        }
    }

    /// The text, once it was met.
    pub(crate) fn get(&self, number: u32) -> &str {
        self.met.get(&number).map(|text| &**text).unwrap_or_default()
    }

    pub(crate) fn meet(&mut self, number: u32) -> Result<(), Error> {
        if self.met.contains_key(&number) {
            return Ok(());
        }
        let source = self.source;
        if number >= self.symbols.count {
            return Err(source.broken(format!("a series speaks of symbol {number}, which there is not")));
        }
        let page = self.page((number / SPARSE) as usize)?;
        let mut cursor = Cursor(&page.bytes);
        let mut text = None;
        for _ in 0..=number % SPARSE {
            text = cursor.uvarint().and_then(|length| cursor.take(length as usize));
        }
        let text = text.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let text = text.ok_or_else(|| source.broken(format!("symbol {number} is not a text")))?;
        let text: Box<str> = text.into();
        if page.bytes.len() > PAGE_BYTES_MAX {
            *page = Page::default();
        }
        self.met.insert(number, text);
        Ok(())
    }

    fn page(&mut self, group: usize) -> Result<&mut Page, Error> {
        if self.pages.is_empty() {
            self.pages = vec![Page::default(); PAGES];
        }
        let symbols = self.symbols;
        let place = |group: usize| {
            let offset = symbols
                .known
                .get(group)
                .map(|offset| symbols.start + u64::from(*offset));
            offset.unwrap_or(symbols.end)
        };
        let (start, end) = (place(group), place(group + 1));
        let source = self.source;
        let slot = self.pages.get_mut(group % PAGES);
        let page = slot.ok_or_else(|| source.broken("has no symbols"))?;
        if page.group != group + 1 {
            page.group = 0;
            source.read(start, end.saturating_sub(start), &mut page.bytes)?;
            page.group = group + 1;
        }
        Ok(page)
    }

    /// Between series: what was met is let go when it is much.
    pub(crate) fn breathe(&mut self) {
        if self.met.len() > MET_MAX {
            self.met.clear();
        }
    }
}
