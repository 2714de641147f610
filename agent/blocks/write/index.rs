//! Writes the index of a block from its spooled series.
//!
//! The format is version 2 of prometheus/prometheus tsdb/docs/format/index.md. Sections of label values are left
//! out, as Prometheus does: their places in the table of contents are empty, and nobody has read them since 2.15.

use std::path::Path;

use super::spool::{Entries, Spool, Symbols};
use crate::bytes::{put_text, put_uvarint};
use crate::durable::Out;
use crate::error::Error;

pub(crate) const FILE: &str = "index";
pub(crate) const MAGIC: u32 = 0xbaaa_d700;
pub(crate) const VERSION: u8 = 2;
/// Entries of series begin at multiples of it, and are known by their place divided by it.
pub(crate) const SERIES_ALIGN: usize = 16;
const POSTINGS_ALIGN: usize = 4;
/// As Prometheus writes it: the pair that every series has.
pub(crate) const ALL: (&str, &str) = ("", "");

/// One label of one series: ranks of its name and value, and the series' number.
type Pair = (u32, u32, u32);

pub(crate) fn write(path: &Path, spool: Spool) -> Result<(), Error> {
    let pairs = spool.pairs;
    let (symbols, entries) = spool.close()?;
    let mut out = Out::create(path)?;
    out.put(&MAGIC.to_be_bytes())?;
    out.put(&[VERSION])?;
    let symbols_at = out.bytes;
    put_symbols(&mut out, &symbols)?;
    let series_at = out.bytes;
    let (all, mut pairs) = put_series(&mut out, &symbols, &entries, pairs)?;
    let values_at = out.bytes;
    pairs.sort_unstable();
    out.pad(POSTINGS_ALIGN)?;
    let postings_at = out.bytes;
    let table = put_postings(&mut out, &symbols, &all, &pairs)?;
    let table_at = out.bytes;
    put_section(&mut out, &table)?;
    put_contents(
        &mut out,
        [symbols_at, series_at, values_at, table_at, postings_at, table_at],
    )?;
    out.close().map(drop)
}

fn put_symbols(out: &mut Out, symbols: &Symbols) -> Result<(), Error> {
    let mut entry = Vec::new();
    let length = |text: &str| text.len() + uvarint_length(text.len() as u64);
    let bytes: usize = 4 + symbols.sorted.iter().map(|text| length(text)).sum::<usize>();
    out.put(&be32(bytes)?)?;
    let count = be32(symbols.sorted.len())?;
    let mut crc = crc32c::crc32c(&count);
    out.put(&count)?;
    for text in &symbols.sorted {
        entry.clear();
        put_text(&mut entry, text);
        crc = crc32c::crc32c_append(crc, &entry);
        out.put(&entry)?;
    }
    out.put(&crc.to_be_bytes())
}

fn put_series(
    out: &mut Out,
    symbols: &Symbols,
    entries: &Entries,
    count: usize,
) -> Result<(Vec<u32>, Vec<Pair>), Error> {
    let (mut all, mut pairs) = (Vec::new(), Vec::with_capacity(count));
    let (mut entry, mut length) = (Vec::new(), Vec::new());
    entries.each(symbols, |labels, places| {
        out.pad(SERIES_ALIGN)?;
        let number = u32::try_from(out.bytes / SERIES_ALIGN as u64).map_err(|_| too_large())?;
        all.push(number);
        pairs.extend(labels.iter().map(|(name, value)| (*name, *value, number)));
        entry.clear();
        put_uvarint(&mut entry, labels.len() as u64);
        for (name, value) in labels {
            put_uvarint(&mut entry, u64::from(*name));
            put_uvarint(&mut entry, u64::from(*value));
        }
        entry.extend_from_slice(places);
        length.clear();
        put_uvarint(&mut length, entry.len() as u64);
        out.put(&length)?;
        out.put(&entry)?;
        out.put(&crc32c::crc32c(&entry).to_be_bytes())
    })?;
    Ok((all, pairs))
}

/// Gives the table that says where each list is.
fn put_postings(out: &mut Out, symbols: &Symbols, all: &[u32], pairs: &[Pair]) -> Result<Vec<u8>, Error> {
    let text = |rank: u32| {
        symbols
            .sorted
            .get(rank as usize)
            .map(|text| &**text)
            .unwrap_or_default()
    };
    let (mut table, mut count) = (vec![0; 4], 1u32);
    put_entry(&mut table, ALL, out.bytes);
    put_list(out, all.iter().copied())?;
    for list in pairs.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let Some((name, value, _)) = list.first() else {
            continue;
        };
        out.pad(POSTINGS_ALIGN)?;
        put_entry(&mut table, (text(*name), text(*value)), out.bytes);
        put_list(out, list.iter().map(|(_, _, series)| *series))?;
        count += 1;
    }
    if let Some(place) = table.first_chunk_mut() {
        *place = count.to_be_bytes();
    }
    Ok(table)
}

fn put_entry(table: &mut Vec<u8>, (name, value): (&str, &str), at: u64) {
    // Two texts make the key.
    put_uvarint(table, 2);
    put_text(table, name);
    put_text(table, value);
    put_uvarint(table, at);
}

fn put_list(out: &mut Out, series: impl ExactSizeIterator<Item = u32>) -> Result<(), Error> {
    let mut bytes = Vec::with_capacity(4 + 4 * series.len());
    bytes.extend_from_slice(&be32(series.len())?);
    series.for_each(|number| bytes.extend_from_slice(&number.to_be_bytes()));
    put_section(out, &bytes)
}

fn put_section(out: &mut Out, bytes: &[u8]) -> Result<(), Error> {
    out.put(&be32(bytes.len())?)?;
    out.put(bytes)?;
    out.put(&crc32c::crc32c(bytes).to_be_bytes())
}

fn put_contents(out: &mut Out, places: [u64; 6]) -> Result<(), Error> {
    let bytes = places.map(u64::to_be_bytes).concat();
    out.put(&bytes)?;
    out.put(&crc32c::crc32c(&bytes).to_be_bytes())
}

fn be32(length: usize) -> Result<[u8; 4], Error> {
    u32::try_from(length)
        .map(u32::to_be_bytes)
        .map_err(|_| too_large())
}

fn too_large() -> Error {
    Error::Unfit("its index would be larger than the format allows".into())
}

fn uvarint_length(number: u64) -> usize {
    (64 - number.leading_zeros()).div_ceil(7).max(1) as usize
}
