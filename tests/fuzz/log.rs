//! The write-ahead log: any bytes as a segment, bare or as records whose checksums are right.
//!
//! It opens, what was read reads the same after another start, and what is written then is there, too.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use model::histogram::{Buckets, CUSTOM, Span};
use model::{
    Column, Histogram, Histograms, Keep, Kind, Labels, Round, Select, SeriesDesc, SeriesRef, TargetDesc,
    TargetRef, TimeRange, Timestamp, Value,
};
use prometheus::Registry;
use store::{Append, Config, Disk, OpenError, Store};

use crate::clock::{NOW, Standing};

const FOLDER: &str = "metrics";
const HEADER_BYTES: usize = 16;

/// Files in memory; clones are the same disk.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<BTreeMap<PathBuf, Vec<u8>>>>);

struct File(Shelf, PathBuf);

impl Shelf {
    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Vec<u8>>> {
        self.0.lock().expect("no other panicked")
    }
}

impl Disk for Shelf {
    fn list(&self, _: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        let files = self.files();
        Ok(files
            .iter()
            .map(|(path, bytes)| (path.clone(), bytes.len() as u64))
            .collect())
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        let bytes = self.files().get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        self.files().insert(path.to_owned(), Vec::new());
        Ok(Box::new(File(self.clone(), path.to_owned())))
    }

    fn truncate(&self, path: &Path, length_bytes: u64) -> io::Result<()> {
        if let Some(bytes) = self.files().get_mut(path) {
            bytes.truncate(length_bytes as usize);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files().remove(path);
        Ok(())
    }
}

impl Append for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0
            .files()
            .entry(self.1.clone())
            .or_default()
            .extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The first byte says whether what follows is a file, or records of two bytes of length each.
fn segment(bytes: &[u8]) -> Vec<u8> {
    let Some((kind, rest)) = bytes.split_first() else {
        return Vec::new();
    };
    if kind % 2 == 0 {
        return rest.to_vec();
    }
    let format = u32::from(kind / 2 % 3) + 1;
    let mut out = b"SKOPSWAL".to_vec();
    out.extend(format.to_le_bytes());
    if format == 3 {
        out.extend(crc32fast::hash(&out).to_le_bytes());
    }
    let mut rest = rest;
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
        let (body, left) = after.split_at(length);
        out.extend((length as u32).to_le_bytes());
        out.extend(crc32fast::hash(body).to_le_bytes());
        out.extend_from_slice(body);
        rest = left;
    }
    out
}

fn open(disk: &Shelf) -> Result<Arc<Store>, OpenError> {
    let config = Config {
        series_max: 10_000,
        ..Config::default()
    };
    Store::open_on(
        Arc::new(disk.clone()),
        Path::new(FOLDER),
        config,
        Arc::new(Standing),
        &Registry::new(),
    )
}

/// Floats, and native histograms as a text.
type Shown = (BTreeMap<String, Vec<(i64, u64)>>, String);

fn shown(store: &Store) -> Shown {
    let all = store
        .select(&[], TimeRange::ALL, usize::MAX)
        .expect("no matcher is wrong");
    assert!(all.is_sorted_by(|a, b| a.labels < b.labels), "sorted, each once");
    let one = |series: &model::Series| {
        assert!(series.times.is_sorted_by(|a, b| a < b), "each time once");
        let samples = series.times.iter().zip(series.values.iter());
        (
            series.labels.to_string(),
            samples.map(|(time, value)| (time.0, value.to_bits())).collect(),
        )
    };
    let mixed = store
        .mixed(&[], TimeRange::ALL, usize::MAX)
        .expect("no matcher is wrong");
    for (_, value) in mixed.iter().flat_map(|one| &one.samples) {
        if let Value::Histogram(histogram) = value {
            assert_eq!(histogram.check(), Ok(()), "no block would have it");
        }
    }
    (all.iter().map(one).collect(), format!("{mixed:?}"))
}

/// A series of the target that commits.
fn series(store: &Store, name: &str) -> Option<(TargetRef, SeriesRef)> {
    let target = store.target(&TargetDesc {
        name: "ours".into(),
        page: None,
        staleness: None,
    });
    let desc = SeriesDesc {
        labels: Labels::from_pairs([("__name__", name)]),
        kind: Kind::Gauge,
        family: name.into(),
        help: "".into(),
        unit: "".into(),
    };
    Some((target, store.series(target, &desc).ok()?))
}

fn commit_histogram(store: &Store, name: &str, histogram: Histogram, time: i64) {
    if let Some((target, series)) = series(store, name) {
        store.histograms(Histograms {
            target,
            time: Timestamp(time),
            histograms: vec![(series, Arc::new(histogram))],
        });
    }
}

fn commit(store: &Store, name: &str, round: Round, time: i64) -> usize {
    let Some((target, series)) = series(store, name) else {
        return 0;
    };
    let column = Column {
        target,
        time: Timestamp(time),
        round,
        series: vec![series],
        values: vec![1.5],
    };
    store.commit(column).kept
}

fn distribution(integers: bool) -> Histogram {
    Histogram {
        count: 7.0,
        sum: 2.5,
        zero_threshold: 0.001,
        zero_count: 2.0,
        positive: Buckets {
            spans: vec![
                Span {
                    offset: -3,
                    length: 2,
                },
                Span { offset: 4, length: 1 },
            ],
            counts: vec![1.0, 0.0, 4.0],
        },
        integers,
        ..Histogram::default()
    }
}

pub(crate) fn run(bytes: &[u8]) {
    let disk = Shelf::default();
    let first = Path::new(FOLDER).join("log/00000001.wal");
    disk.files().insert(first, segment(bytes));
    let store = match open(&disk) {
        Ok(store) => store,
        Err(OpenError::Newer { .. }) => return,
        Err(error) => unreachable(&error),
    };
    let before = shown(&store);
    store.maintain();
    assert_eq!(shown(&store), before, "packed, it is the same");
    commit(&store, "ours_alone", Round::Whole, NOW);
    commit_histogram(&store, "ours_whole", distribution(true), NOW);
    let with = shown(&store);
    assert!(store.ledger().balances(), "{:?}", store.ledger());
    assert!(store.close());
    drop(store);
    let again = open(&disk).unwrap_or_else(|error| unreachable(&error));
    assert_eq!(shown(&again), with, "after another start");
    again.close();
}

#[expect(clippy::panic, reason = "a log is never a reason not to open")]
fn unreachable(error: &OpenError) -> ! {
    panic!("{error}")
}

/// A file as it is written, and its records.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let disk = Shelf::default();
    let store = open(&disk).expect("an empty folder");
    for nth in 0..4 {
        commit_histogram(
            &store,
            "h",
            distribution(nth % 2 == 0),
            NOW - 55_000 + nth * 1_000,
        );
        let classic = Histogram {
            count: 3.0,
            schema: CUSTOM,
            bounds: vec![0.1, 1.0],
            positive: Buckets {
                spans: vec![Span { offset: 1, length: 2 }],
                counts: vec![1.0, 2.0],
            },
            ..Histogram::default()
        };
        commit_histogram(&store, "k", classic, NOW - 54_000 + nth * 1_000);
        commit(&store, "a", Round::Whole, NOW - 60_000 + nth * 1_000);
        commit(
            &store,
            if nth % 2 == 0 { "b" } else { "c" },
            Round::Part,
            NOW - 50_000 + nth * 1_000,
        );
    }
    commit(&store, "a", Round::Provisional, NOW + 1_000);
    let target = store.target(&TargetDesc {
        name: "ours".into(),
        page: None,
        staleness: None,
    });
    store.retire(target, Timestamp(NOW));
    assert!(store.close());
    let file = disk.files().values().next().expect("a segment").clone();
    let bare = [&[0], file.as_slice()].concat();
    let mut records = vec![5];
    let mut rest = file.get(HEADER_BYTES..).expect("a header");
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_le_bytes(*length) as usize;
        let body = after.get(4..4 + length).expect("a whole record");
        records.extend((length as u16).to_le_bytes());
        records.extend_from_slice(body);
        rest = after.get(4 + length..).expect("the next");
    }
    vec![bare, records]
}
