//! Reads the log at start, segment by segment, and gives the store what is inside the retention.
//!
//! The end of the last segment may be torn: it is cut at the first record that is not whole. A broken place
//! further back costs the rest of its segment, and reading goes on with the next one. What cannot be read never
//! stops the store from opening; it is said and counted, in bytes, since nobody knows what stood there.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::{Column, Labels, Metadata, Round, SeriesDesc, SeriesRef, TargetDesc, Timestamp};

use super::disk::Disk;
use super::record::{End, HeaderError, Reading, Record};
use super::segment::Closed;
use super::{Found, find};
use crate::histograms::Packed;
use crate::store::{OpenError, Store};
use crate::target::Target;

/// # Errors
/// The folder cannot be read, or holds what a newer version wrote.
pub(crate) fn replay(
    store: &Store,
    disk: &dyn Disk,
    folder: &Path,
    cutoff: Timestamp,
) -> Result<Found, OpenError> {
    let segments = find(disk, folder)?;
    let last = segments.last().map(|(number, ..)| *number);
    let mut next_number = segments.first().map_or(1, |(number, ..)| *number);
    let mut closed = VecDeque::new();
    for (number, path, bytes) in segments {
        if number > next_number {
            let missing = number - next_number;
            tracing::warn!(missing, before = %path.display(), "segments of the log are missing");
            store.accounts.wal.missing_segments.inc_by(missing);
        }
        let found = one(store, disk, path, bytes, Some(number) == last, cutoff)?;
        next_number = number + u64::from(found.is_some());
        closed.extend(found);
    }
    let refused = store.accounts.wal.refused.get();
    if refused > 0 {
        tracing::warn!(
            refused,
            "samples of the log are of series that the limits no longer let in"
        );
    }
    Ok(Found { closed, next_number })
}

/// Reads one segment; none when nothing is left of it.
fn one(
    store: &Store,
    disk: &dyn Disk,
    path: PathBuf,
    bytes: u64,
    last: bool,
    cutoff: Timestamp,
) -> Result<Option<Closed>, OpenError> {
    let mut segment = Segment {
        store,
        cutoff,
        newest: Timestamp::MIN,
        known: Known::default(),
    };
    let read = segment.read(disk, &path, bytes);
    let newest = segment.newest;
    let closed = |path, bytes| Closed {
        path,
        bytes,
        newest,
        last: 0,
    };
    let (why, good_bytes) = match read {
        Ok(Stop::Whole) => return Ok(Some(closed(path, bytes))),
        Ok(Stop::Newer(format)) => return Err(OpenError::Newer { path, format }),
        Ok(Stop::Broken(why, good_bytes)) => (why, good_bytes),
        Err(source) => return Err(OpenError::Read { path, source }),
    };
    let lost_bytes = bytes - good_bytes;
    let accounts = &store.accounts.wal;
    accounts
        .lost
        .with_label_values(&[why.reason()])
        .inc_by(lost_bytes);
    if !(last && matches!(why, Why::Torn)) {
        accounts.corrupt.inc();
    }
    tracing::warn!(path = %path.display(), lost_bytes, "a log segment cannot be read to its end: {why}");
    if !(last && why.is_cut()) {
        return Ok(Some(closed(path, bytes)));
    }
    // What follows is written to the next segment; this one is then no longer the last, and must be whole.
    let cut = if good_bytes == 0 {
        disk.remove(&path)
    } else {
        disk.truncate(&path, good_bytes)
    };
    if let Err(error) = cut {
        tracing::warn!(%error, path = %path.display(), "a log segment keeps its broken end");
        return Ok(Some(closed(path, bytes)));
    }
    Ok((good_bytes > 0).then(|| closed(path, good_bytes)))
}

enum Stop {
    Whole,
    /// Why, and how many bytes before are good.
    Broken(Why, u64),
    Newer(u32),
}

/// Why the rest of a segment is not read.
#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("it ends within a record")]
    Torn,
    #[error("{0}")]
    Broken(&'static str),
    #[error("it does not begin as a segment does")]
    Foreign,
    #[error("the disk does not give it: {0}")]
    Unreadable(io::Error),
}

impl Why {
    fn reason(&self) -> &'static str {
        match self {
            Self::Torn => "torn",
            Self::Broken(_) => "broken",
            Self::Foreign => "foreign",
            Self::Unreadable(_) => "unreadable",
        }
    }

    /// Else it stays as it is: it may not be ours, or be readable another time.
    fn is_cut(&self) -> bool {
        matches!(self, Self::Torn | Self::Broken(_))
    }
}

struct Segment<'a> {
    store: &'a Store,
    cutoff: Timestamp,
    newest: Timestamp,
    known: Known,
}

/// What the segment has said so far, under its own numbers.
#[derive(Default)]
struct Known {
    targets: HashMap<u32, Named>,
    families: HashMap<u32, Metadata>,
    series: HashMap<SeriesRef, (Labels, u32)>,
    shapes: HashMap<u64, Shape>,
}

struct Named {
    desc: TargetDesc,
    /// In the store, once it is needed.
    target: Option<Arc<Target>>,
}

struct Shape {
    target: u32,
    refs: Vec<SeriesRef>,
    /// The same series in the store, once they are needed.
    placed: Option<Vec<Option<SeriesRef>>>,
    /// Those of which the log has no labels: they were forgotten before it came to them, with all they had on disk.
    forgotten: usize,
}

/// A shape in the store.
struct Placed<'a> {
    target: Arc<Target>,
    series: &'a [Option<SeriesRef>],
    forgotten: usize,
}

impl Segment<'_> {
    fn read(&mut self, disk: &dyn Disk, path: &Path, bytes: u64) -> io::Result<Stop> {
        let mut reading = match Reading::new(disk.read(path)?, bytes) {
            Ok(Ok(reading)) => reading,
            Ok(Err(HeaderError::Short)) => return Ok(Stop::Broken(Why::Torn, 0)),
            Ok(Err(HeaderError::Foreign)) => return Ok(Stop::Broken(Why::Foreign, 0)),
            Ok(Err(HeaderError::Newer(format))) => return Ok(Stop::Newer(format)),
            Err(error) => return Ok(Stop::Broken(Why::Unreadable(error), 0)),
        };
        let why = loop {
            match reading.next() {
                Ok(Ok(record)) => self.take(record),
                Ok(Err(End::Whole)) => return Ok(Stop::Whole),
                Ok(Err(End::Torn)) => break Why::Torn,
                Ok(Err(End::Broken(why))) => break Why::Broken(why),
                Err(error) => break Why::Unreadable(error),
            }
        };
        Ok(Stop::Broken(why, reading.good_bytes))
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Target {
                id,
                staleness_millis,
                name,
            } => {
                let staleness = staleness_millis.map(Duration::from_millis);
                let desc = TargetDesc {
                    name: name.into(),
                    page: None,
                    staleness,
                };
                self.known.targets.insert(id, Named { desc, target: None });
            }
            Record::Family { id, metadata } => _ = self.known.families.insert(id, metadata),
            Record::Series {
                series,
                family,
                labels,
            } => {
                self.known.series.insert(series, (labels, family));
            }
            Record::Shape { id, target, refs } => {
                self.known.shapes.insert(
                    id,
                    Shape {
                        target,
                        refs,
                        placed: None,
                        forgotten: 0,
                    },
                );
            }
            Record::Row {
                shape,
                live,
                time,
                values,
            } => self.row(shape, live, time, &values),
            Record::Said { shape, time, values } => self.said(shape, time, &values),
            Record::Histograms { shape, time, packed } => self.histograms(shape, time, &packed),
            Record::Retired { target } => {
                if let Some(target) = self.known.target(self.store, target) {
                    target.state.lock().restore_retired();
                }
            }
        }
    }

    /// Values of a shape as the store has it, without those of series it refuses; none when they are too old or their
    /// target is not known.
    fn column(
        &mut self,
        shape: u64,
        time: Timestamp,
        round: Round,
        values: &[f64],
    ) -> Option<(Arc<Target>, Column)> {
        self.newest = self.newest.max(time);
        if time < self.cutoff {
            return None;
        }
        let refused = &self.store.accounts.wal.refused;
        let Some(placed) = self.known.place(self.store, shape) else {
            refused.inc_by(values.len() as u64);
            return None;
        };
        let pairs = placed
            .series
            .iter()
            .zip(values)
            .filter_map(|(series, value)| Some(((*series)?, *value)));
        let (series, taken): (Vec<_>, Vec<_>) = pairs.unzip();
        refused.inc_by((values.len() - taken.len()).saturating_sub(placed.forgotten) as u64);
        let column = Column {
            target: placed.target.id,
            time,
            round,
            series,
            values: taken,
        };
        Some((placed.target, column))
    }

    fn said(&mut self, shape: u64, time: Timestamp, values: &[f64]) {
        if let Some((target, column)) = self.column(shape, time, Round::Provisional, values) {
            target.state.lock().commit_provisional(column);
        }
    }

    fn histograms(&mut self, shape: u64, time: Timestamp, packed: &Packed) {
        self.newest = self.newest.max(time);
        if time < self.cutoff {
            return;
        }
        let accounts = &self.store.accounts.wal;
        let Some(placed) = self.known.place(self.store, shape) else {
            accounts.refused.inc_by(packed.len() as u64);
            return;
        };
        let pairs = placed.series.iter().zip(packed.iter());
        let taken: Vec<_> = pairs
            .filter_map(|(series, histogram)| (*series).zip(histogram))
            .filter(|(_, histogram)| histogram.check().is_ok())
            .collect();
        let refused = (packed.len() - taken.len()).saturating_sub(placed.forgotten);
        accounts.refused.inc_by(refused as u64);
        let kept = placed.target.state.lock().restore_histograms(time, taken);
        accounts.restored.inc_by(kept as u64);
        if kept > 0 {
            self.store.any_histograms.store(true, Ordering::Relaxed);
        }
    }

    fn row(&mut self, shape: u64, live: Option<u64>, time: Timestamp, values: &[f64]) {
        let Some((target, column)) = self.column(shape, time, Round::Part, values) else {
            return;
        };
        let live: Option<Vec<SeriesRef>> = live
            .and_then(|live| self.known.place(self.store, live))
            .map(|placed| placed.series.iter().flatten().copied().collect());
        let kept = target.state.lock().restore(column, live.as_deref());
        self.store.accounts.wal.restored.inc_by(kept as u64);
    }
}

impl Known {
    fn target(&mut self, store: &Store, id: u32) -> Option<Arc<Target>> {
        let named = self.targets.get_mut(&id)?;
        let target = named
            .target
            .get_or_insert_with(|| store.restore_target(&named.desc));
        Some(target.clone())
    }

    /// The series of a shape in the store, and how many are forgotten; these, and those that the store refuses, are none.
    fn place(&mut self, store: &Store, id: u64) -> Option<Placed<'_>> {
        let target = self.shapes.get(&id)?.target;
        let target = self.target(store, target)?;
        let Self {
            families,
            series,
            shapes,
            ..
        } = self;
        let shape = shapes.get_mut(&id)?;
        let placed = shape.placed.get_or_insert_with(|| {
            let refs = std::mem::take(&mut shape.refs);
            let is_forgotten = |reference: &&SeriesRef| !series.contains_key(*reference);
            shape.forgotten = refs.iter().filter(is_forgotten).count();
            let place = |reference: &SeriesRef| {
                let (labels, family) = series.get(reference)?;
                store.restore_series(&target, &desc(labels, families.get(family)?))
            };
            refs.iter().map(place).collect()
        });
        Some(Placed {
            target,
            series: placed,
            forgotten: shape.forgotten,
        })
    }
}

fn desc(labels: &Labels, family: &Metadata) -> SeriesDesc {
    let Metadata {
        family,
        kind,
        help,
        unit,
    } = family.clone();
    SeriesDesc {
        labels: labels.clone(),
        kind,
        family,
        help,
        unit,
    }
}
