//! What is known of a list of series, as bytes: only values and a time are missing.
//!
//! A request holds one time of one list, at most [`SERIES_MAX`] of it, and is the same from round to round but for
//! times and values: a receiver knows it again by comparing bytes, and neither side touches a label.

use std::sync::Arc;

use hashbrown::HashTable;
use model::{Kind, SeriesDesc, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use crate::wire::encode::{SampleField, put_bytes, put_number, put_varint, tag, type_number, varint_bytes};

/// Most series in one request.
pub(crate) const SERIES_MAX: usize = 5_000;

pub(crate) struct Template {
    pub(crate) parts: Vec<Part>,
    /// Series that the store has forgotten; they are in no part.
    pub(crate) forgotten: usize,
}

impl Template {
    /// Series in all parts.
    pub(crate) fn series(&self) -> usize {
        self.parts.iter().map(|part| part.count).sum()
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.iter().map(Part::bytes).sum()
    }
}

/// One request without its values.
pub(crate) struct Part {
    /// The symbols table, encoded.
    symbols: Box<[u8]>,
    /// Of each series: how many bytes its label references are, how many its metadata is, and these.
    series: Box<[u8]>,
    pub(crate) count: usize,
    /// Bytes of label references and metadata, without what says how many they are.
    content_bytes: usize,
    rows: Rows,
}

/// Where the values of a part are in a row.
enum Rows {
    From(usize),
    At(Box<[u32]>),
}

impl Part {
    fn bytes(&self) -> usize {
        let rows = match &self.rows {
            Rows::From(_) => 0,
            Rows::At(rows) => rows.len() * size_of::<u32>(),
        };
        size_of::<Self>() + self.symbols.len() + self.series.len() + rows
    }

    /// Writes the whole request behind what is in `out`.
    pub(crate) fn fill(&self, time: Timestamp, values: &[f64], out: &mut Vec<u8>) {
        let sample = SampleField::at(time);
        // A tag, and a length of at most three bytes for as many labels as anybody has.
        out.reserve(self.symbols.len() + self.content_bytes + self.count * (sample.bytes() + 4));
        out.extend_from_slice(&self.symbols);
        let mut rest = &*self.series;
        for nth in 0..self.count {
            let row = match &self.rows {
                Rows::From(first) => first + nth,
                Rows::At(rows) => rows.get(nth).map_or(usize::MAX, |row| *row as usize),
            };
            let (labels_bytes, metadata_bytes) = (take_varint(&mut rest), take_varint(&mut rest));
            let Some((labels, after)) = rest.split_at_checked(labels_bytes) else {
                return;
            };
            let Some((metadata, after)) = after.split_at_checked(metadata_bytes) else {
                return;
            };
            rest = after;
            out.push(tag::SERIES);
            put_varint(out, (labels_bytes + sample.bytes() + metadata_bytes) as u64);
            out.extend_from_slice(labels);
            sample.put(out, values.get(row).copied().unwrap_or(f64::NAN));
            out.extend_from_slice(metadata);
        }
    }
}

/// Of our own writing, so never cut short.
fn take_varint(rest: &mut &[u8]) -> usize {
    let (mut number, mut shift) = (0, 0);
    while let Some((byte, tail)) = rest.split_first() {
        *rest = tail;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    number
}

/// Makes a template, series by series.
#[derive(Default)]
pub(crate) struct Maker {
    parts: Vec<Part>,
    forgotten: usize,
    row: usize,
    symbols: Symbols,
    /// Encoded label references of the series of this part, one after another.
    labels: Vec<u8>,
    series: Vec<Draft>,
    scratch: Vec<u8>,
}

struct Draft {
    row: u32,
    labels_bytes: usize,
    kind: Kind,
    help: Arc<str>,
    unit: Arc<str>,
}

impl Maker {
    /// The next series of the row; what is not wanted is in no part.
    pub(crate) fn add(&mut self, desc: Option<SeriesDesc>, wanted: impl FnOnce(&str) -> bool) {
        let row = self.row;
        self.row += 1;
        let Some(desc) = desc else {
            self.forgotten += 1;
            return;
        };
        if !wanted(desc.labels.name()) {
            return;
        }
        self.scratch.clear();
        for (name, value) in desc.labels.iter() {
            for text in [name, value] {
                let symbol = self.symbols.of(text.as_bytes());
                put_varint(&mut self.scratch, u64::from(symbol));
            }
        }
        let before = self.labels.len();
        put_bytes(&mut self.labels, tag::LABEL_REFS, &self.scratch);
        self.series.push(Draft {
            row: u32::try_from(row).unwrap_or(u32::MAX),
            labels_bytes: self.labels.len() - before,
            kind: desc.kind,
            help: desc.help,
            unit: desc.unit,
        });
        if self.series.len() == SERIES_MAX {
            self.close_part();
        }
    }

    pub(crate) fn finish(mut self) -> Template {
        self.close_part();
        Template {
            parts: self.parts,
            forgotten: self.forgotten,
        }
    }

    /// Help and unit come behind all labels in the table, so that label references stay short.
    fn close_part(&mut self) {
        if self.series.is_empty() {
            return;
        }
        let (mut packed, mut labels) = (Vec::new(), &*self.labels);
        let mut content_bytes = 0;
        for draft in &self.series {
            self.scratch.clear();
            put_metadata(&mut self.scratch, draft, &mut self.symbols);
            let metadata_bytes = if self.scratch.is_empty() {
                0
            } else {
                1 + varint_bytes(self.scratch.len() as u64) + self.scratch.len()
            };
            let (own, rest) = labels.split_at_checked(draft.labels_bytes).unwrap_or_default();
            labels = rest;
            put_varint(&mut packed, own.len() as u64);
            put_varint(&mut packed, metadata_bytes as u64);
            packed.extend_from_slice(own);
            if metadata_bytes > 0 {
                put_bytes(&mut packed, tag::METADATA, &self.scratch);
            }
            content_bytes += own.len() + metadata_bytes;
        }
        let first = self.series.first().map_or(0, |draft| draft.row as usize);
        let whole = self.series.last().map(|draft| draft.row as usize) == Some(first + self.series.len() - 1);
        let rows = if whole {
            Rows::From(first)
        } else {
            Rows::At(self.series.iter().map(|draft| draft.row).collect())
        };
        self.parts.push(Part {
            symbols: std::mem::take(&mut self.symbols).encoded.into(),
            series: packed.into(),
            count: self.series.len(),
            content_bytes,
            rows,
        });
        self.series.clear();
        self.labels.clear();
    }
}

fn put_metadata(out: &mut Vec<u8>, draft: &Draft, symbols: &mut Symbols) {
    put_number(out, tag::TYPE, u64::from(type_number(draft.kind)));
    put_number(out, tag::HELP_REF, u64::from(symbols.of(draft.help.as_bytes())));
    put_number(out, tag::UNIT_REF, u64::from(symbols.of(draft.unit.as_bytes())));
}

/// The table of a request as it is being made; the first symbol is the empty text.
pub(crate) struct Symbols {
    pub(crate) encoded: Vec<u8>,
    /// Where each symbol's text is in `encoded`.
    places: Vec<(u32, u32)>,
    known: HashTable<u32>,
}

impl Default for Symbols {
    fn default() -> Self {
        let mut symbols = Self {
            encoded: Vec::new(),
            places: Vec::new(),
            known: HashTable::new(),
        };
        symbols.of(b"");
        symbols
    }
}

impl Symbols {
    pub(crate) fn of(&mut self, text: &[u8]) -> u32 {
        let Self {
            encoded,
            places,
            known,
        } = self;
        let text_at = |nth: u32, encoded: &[u8], places: &[(u32, u32)]| -> u64 {
            let (from, to) = places.get(nth as usize).copied().unwrap_or_default();
            xxh3_64(encoded.get(from as usize..to as usize).unwrap_or_default())
        };
        let is_text = |nth: &u32| {
            places
                .get(*nth as usize)
                .and_then(|(from, to)| encoded.get(*from as usize..*to as usize))
                == Some(text)
        };
        let hash = xxh3_64(text);
        if let Some(nth) = known.find(hash, is_text) {
            return *nth;
        }
        let nth = places.len() as u32;
        put_bytes(encoded, tag::SYMBOLS, text);
        let end = encoded.len();
        places.push(((end - text.len()) as u32, end as u32));
        known.insert_unique(hash, nth, |nth| text_at(*nth, encoded, places));
        nth
    }
}

#[cfg(test)]
mod tests {
    use model::{Labels, STALE};

    use super::*;
    use crate::wire::encode_plain::{PlainSeries, plain_two};

    fn desc(nth: usize) -> SeriesDesc {
        let kinds = [
            Kind::Counter,
            Kind::Gauge,
            Kind::Unknown,
            Kind::Summary,
            Kind::Histogram,
        ];
        SeriesDesc {
            labels: Labels::from_pairs([
                ("__name__", format!("metric_{}_total", nth / 7)),
                ("instance", "a.example".to_owned()),
                ("job", "node".to_owned()),
                ("part", format!("{}", nth % 7)),
            ]),
            kind: kinds[nth % kinds.len()],
            family: "metric".into(),
            help: if nth.is_multiple_of(3) {
                "".into()
            } else {
                format!("Help of {}.", nth / 7).into()
            },
            unit: if nth.is_multiple_of(2) {
                "bytes".into()
            } else {
                "".into()
            },
        }
    }

    fn template(series: usize) -> Template {
        let mut maker = Maker::default();
        for nth in 0..series {
            maker.add(Some(desc(nth)), |_| true);
        }
        maker.finish()
    }

    fn filled(part: &Part, time: i64, values: &[f64]) -> Vec<u8> {
        let mut out = Vec::new();
        part.fill(Timestamp(time), values, &mut out);
        out
    }

    fn expected(nth: usize, value: f64, time: i64) -> PlainSeries {
        let desc = desc(nth);
        PlainSeries {
            labels: desc
                .labels
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            samples: vec![(value.to_bits(), time)],
            metadata: (
                u64::from(type_number(desc.kind)),
                desc.help.to_string(),
                desc.unit.to_string(),
            ),
        }
    }

    #[test]
    fn what_a_stranger_reads_is_what_was_said() {
        let values: Vec<f64> = (0..400).map(|nth| f64::from(nth) / 3.0 - 9.0).collect();
        let template = template(400);
        assert_eq!(template.parts.len(), 1);
        for time in [1_790_000_000_123, 0, -5, i64::MAX] {
            let read = plain_two(&filled(&template.parts[0], time, &values));
            let wanted: Vec<_> = (0..400).map(|nth| expected(nth, values[nth], time)).collect();
            assert_eq!(read, wanted);
        }
    }

    #[test]
    fn values_keep_their_bits() {
        let values = [
            STALE,
            f64::NAN,
            -0.0,
            f64::INFINITY,
            f64::from_bits(0x7ff8_dead_beef_0001),
            0.0,
        ];
        let read = plain_two(&filled(&template(values.len()).parts[0], 1_000, &values));
        let bits: Vec<u64> = read.iter().map(|series| series.samples[0].0).collect();
        assert_eq!(bits, values.map(f64::to_bits));
        assert_eq!(bits[0], 0x7ff0_0000_0000_0002);
    }

    #[test]
    fn requests_of_two_rounds_differ_in_nothing_but_values_and_times() {
        let template = template(3);
        let first = filled(&template.parts[0], 1_790_000_000_000, &[1.0, 2.0, 3.0]);
        let second = filled(&template.parts[0], 1_790_000_015_000, &[-1.0, 0.0, STALE]);
        assert_eq!(first.len(), second.len());
        let differing = first
            .iter()
            .zip(&second)
            .filter(|(one, other)| one != other)
            .count();
        assert!(differing <= 3 * (8 + 6), "{differing} bytes differ");
    }

    #[test]
    fn a_long_list_is_cut_into_parts_that_each_read_alone() {
        let count = 2 * SERIES_MAX + 1;
        let values: Vec<f64> = (0..count).map(|nth| nth as f64).collect();
        let template = template(count);
        let counts: Vec<usize> = template.parts.iter().map(|part| part.count).collect();
        assert_eq!(
            (counts, template.series()),
            (vec![SERIES_MAX, SERIES_MAX, 1], count)
        );
        let parts = template.parts.iter();
        let read: Vec<_> = parts
            .flat_map(|part| plain_two(&filled(part, 5, &values)))
            .collect();
        assert!((0..count).all(|nth| read[nth] == expected(nth, values[nth], 5)));
    }

    #[test]
    fn forgotten_and_unwanted_series_leave_the_others_their_own_values() {
        let mut maker = Maker::default();
        for nth in 0..30 {
            let known = (nth % 4 != 0).then(|| desc(nth));
            maker.add(known, |name| name != "metric_2_total");
        }
        let template = maker.finish();
        assert_eq!(template.forgotten, 8);
        let values: Vec<f64> = (0..30).map(f64::from).collect();
        let wanted = (0..30).filter(|nth| nth % 4 != 0 && nth / 7 != 2);
        let wanted: Vec<_> = wanted.map(|nth| expected(nth, nth as f64, 9)).collect();
        assert_eq!(plain_two(&filled(&template.parts[0], 9, &values)), wanted);
    }

    #[test]
    fn a_list_of_nothing_makes_no_request() {
        let mut maker = Maker::default();
        maker.add(None, |_| true);
        maker.add(Some(desc(1)), |_| false);
        assert!(maker.finish().parts.is_empty());
    }
}
