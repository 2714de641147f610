//! Blocks: any bytes in place of one of the four kinds of files, with checksums made right where asked.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use blocks::{Block, Blocks, Limits, SPAN, Samples, Span};
use model::histogram::{Buckets, CUSTOM, Histogram};
use model::time::millis;
use model::{Labels, MatchOp, Matcher, Series, TimeRange, Timestamp, Value};
use tempfile::TempDir;

use crate::clock::{NOW, Standing};

const FILES: [&str; 4] = ["index", "chunks/000001", "tombstones", "meta.json"];
/// Of the first byte: which file, and whether its checksums are to be right.
const MENDED: u8 = 4;

struct Sound {
    _folder: TempDir,
    path: PathBuf,
    files: [Vec<u8>; 4],
}

thread_local! {
    static SOUND: Sound = sound();
}

fn sound() -> Sound {
    let folder = TempDir::new().expect("a folder");
    let limits = Limits {
        retention: Duration::from_hours(24),
        bytes_max: None,
    };
    let blocks = Blocks::open(folder.path(), limits, Arc::new(Standing)).expect("opens");
    let start = NOW - NOW % millis(SPAN);
    let span = Span {
        start: Timestamp(start),
        end: Timestamp(start + millis(SPAN)),
    };
    let one = |nth: i64| Series {
        labels: Labels::from_pairs([
            ("__name__", if nth % 2 == 0 { "x" } else { "y" }),
            ("n", &nth.to_string()),
        ]),
        times: (0..140).map(|at| Timestamp(start + at * 15_000 + nth)).collect(),
        values: (0..140).map(|at| (at * nth) as f64 / 3.0).collect(),
        staleness: None,
    };
    let mut all: Vec<Series> = (0..4).map(one).collect();
    all.sort_by(|one, other| one.labels.cmp(&other.labels));
    let mut all: Vec<Samples> = all.into_iter().map(Samples::from).collect();
    all.extend(histograms(start));
    let meta = blocks.write(span, all).expect("written").expect("a block");
    let path = folder.path().join(meta.ulid.to_string());
    let files = FILES.map(|name| fs::read(path.join(name)).expect("there"));
    Sound {
        _folder: folder,
        path,
        files,
    }
}

/// Of whole and of other counts, with bounds that follow and with given ones; behind the others, whose places stay as
/// they were.
fn histograms(start: i64) -> Vec<Samples> {
    let side = |offset: i32, counts: &[f64]| Buckets {
        spans: vec![model::histogram::Span {
            offset,
            length: counts.len() as u32,
        }],
        counts: counts.to_vec(),
    };
    let one = |nth: i64| {
        let samples = (0..10).map(move |at| {
            let count = (at * nth) as f64 / if nth % 2 == 0 { 1.0 } else { 3.0 };
            let custom = nth > 1;
            let histogram = Histogram {
                count: count * 4.0,
                sum: count / 7.0,
                schema: if custom { CUSTOM } else { 2 },
                positive: side(if custom { 0 } else { -3 }, &[count, 0.0, count]),
                negative: if custom {
                    Buckets::default()
                } else {
                    side(1, &[count])
                },
                bounds: if custom { vec![0.1, 0.25, 1e9] } else { Vec::new() },
                integers: nth % 2 == 0,
                ..Histogram::default()
            };
            (Timestamp(start + at * 15_000), Arc::new(histogram))
        });
        Samples {
            series: Series {
                labels: Labels::from_pairs([("__name__", "z"), ("n", &nth.to_string())]),
                times: Arc::default(),
                values: Arc::default(),
                staleness: None,
            },
            histograms: samples.collect(),
        }
    };
    (0..4).map(one).collect()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    SOUND.with(|sound| {
        let bare = (0..).zip(&sound.files);
        bare.flat_map(|(kind, file)| [kind, kind | MENDED].map(|kind| [&[kind], file.as_slice()].concat()))
            .collect()
    })
}

pub(crate) fn run(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    let nth = usize::from(kind % MENDED);
    let mut bytes = bytes.to_vec();
    if kind & MENDED != 0 {
        [mend_index, mend_chunks, mend_tombstones, |_: &mut [u8]| {}][nth](&mut bytes);
    }
    SOUND.with(|sound| {
        let path = sound.path.join(FILES[nth]);
        fs::write(&path, &bytes).expect("written");
        if let Ok(block) = Block::open(&sound.path) {
            ask(&block);
        }
        fs::write(&path, &sound.files[nth]).expect("written");
    });
}

fn ask(block: &Block) {
    let all = TimeRange::ALL;
    let some = TimeRange {
        after: Timestamp(NOW - NOW % millis(SPAN) + 60_000),
        until: Timestamp(NOW),
    };
    let questions = [
        vec![],
        vec![
            Matcher::equal("__name__", "x"),
            Matcher::new("n", MatchOp::Matches, "[0-2]"),
        ],
        vec![
            Matcher::new("n", MatchOp::NotMatches, "1|2"),
            Matcher::new("z", MatchOp::Equal, ""),
        ],
    ];
    for matchers in questions {
        for range in [all, some] {
            // Whether it is an error depends on what was hit.
            if let Ok(found) = block.select(&matchers, range, 100_000) {
                for series in found {
                    assert_eq!(series.times.len(), series.values.len());
                }
            }
            if let Ok(found) = block.mixed(&matchers, range, 100_000) {
                for mixed in found {
                    let is_histogram = |(_, value): &(_, Value)| matches!(value, Value::Histogram(_));
                    assert!(mixed.samples.iter().any(is_histogram));
                }
            }
            drop(block.labels(&matchers, range));
        }
    }
    drop(block.verify());
}

fn put(bytes: &mut [u8], from: usize, to: usize) {
    let Some(section) = bytes.get(from..to) else {
        return;
    };
    let checksum = crc32c::crc32c(section).to_be_bytes();
    if let Some(place) = bytes.get_mut(to..to + 4) {
        place.copy_from_slice(&checksum);
    }
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    let length = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*length) as usize)
}

/// A length in groups of seven bits, and where it ends.
fn short(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut length = 0_usize;
    for nth in 0..5 {
        let byte = *bytes.get(at + nth)?;
        length |= usize::from(byte & 0x7f) << (7 * nth);
        if byte < 0x80 {
            return Some((length, at + nth + 1));
        }
    }
    None
}

/// The table of contents, the tables it names, every list of postings and every series.
fn mend_index(bytes: &mut [u8]) {
    let Some(start) = bytes.len().checked_sub(52) else {
        return;
    };
    put(bytes, start, start + 48);
    let place = |bytes: &[u8], nth: usize| {
        let place = bytes.get(start + nth * 8..)?.first_chunk()?;
        usize::try_from(u64::from_be_bytes(*place))
            .ok()
            .filter(|place| *place < start)
    };
    for nth in [0, 3, 5] {
        let Some(at) = place(bytes, nth) else { continue };
        if let Some(length) = long(bytes, at) {
            put(bytes, at + 4, at + 4 + length);
        }
    }
    if let (Some(mut at), Some(end)) = (place(bytes, 1), place(bytes, 2)) {
        while at < end {
            let Some((length, from)) = short(bytes, at) else {
                break;
            };
            put(bytes, from, from + length);
            at = (from + length + 4).next_multiple_of(16);
        }
    }
    if let (Some(mut at), Some(end)) = (place(bytes, 4), place(bytes, 5)) {
        while at < end {
            let Some(length) = long(bytes, at) else { break };
            put(bytes, at + 4, at + 4 + length);
            at = (at + length + 8).next_multiple_of(4);
        }
    }
}

fn mend_chunks(bytes: &mut [u8]) {
    let mut at = 8;
    while let Some((length, from)) = short(bytes, at) {
        put(bytes, from, from + 1 + length);
        at = from + 1 + length + 4;
    }
}

fn mend_tombstones(bytes: &mut [u8]) {
    if let Some(end) = bytes.len().checked_sub(4) {
        put(bytes, 5, end);
    }
}
