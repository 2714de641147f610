//! Takes native histograms, and gives them back with the floats of their series.
//!
//! A histogram is a sample like any other: strictly later than what its series had before, in the log, sealed with its
//! window, gone with the retention. Only it is no float, and so stands in rows of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use blocks::Blocks;
use model::column::Kept;
use model::{
    Histogram, Histograms, Labels, Matcher, Mixed, STALE, Select, SelectError, SeriesRef, TimeRange,
    Timestamp, Value,
};

use crate::config::History;
use crate::histograms::{HistogramRow, Packed};
use crate::read::View;
use crate::row::Row;
use crate::store::Store;
use crate::target::{State, Written};

/// What stands as the last value of a series whose last sample is a histogram: it lives, and is no float.
const HISTOGRAM: f64 = f64::from_bits(0x7ffc_0000_0000_0001);

fn is_histogram(last: f64) -> bool {
    last.to_bits() == HISTOGRAM.to_bits()
}

impl State {
    pub(crate) fn commit_histograms(&mut self, column: Histograms) -> Written {
        let length = column.histograms.len();
        if self.retired {
            let kept = Kept {
                unknown: length,
                ..Kept::default()
            };
            return Written {
                kept,
                ..Written::default()
            };
        }
        if self.history == History::None {
            let kept = Kept {
                refused: length,
                ..Kept::default()
            };
            return Written {
                kept,
                ..Written::default()
            };
        }
        self.heard = true;
        let mut kept = Kept::default();
        // No block would have one that contradicts itself, nor the rest of its window with it.
        let good = column
            .histograms
            .into_iter()
            .filter(|(_, one)| one.check().is_ok());
        let good: Vec<_> = good.collect();
        kept.refused = length - good.len();
        let sorted = self.later(column.time, good, &mut kept);
        if sorted.is_empty() {
            return Written {
                kept,
                ..Written::default()
            };
        }
        let refs: Vec<SeriesRef> = sorted.iter().map(|(series, _)| *series).collect();
        let (settled, points) = self.make_way(&refs, &[], column.time);
        let packed = Packed::of(sorted.iter().map(|(_, histogram)| &**histogram));
        let (row, added) = self.push_histograms(column.time, &refs, packed);
        kept.kept = refs.len();
        kept.added = added;
        Written {
            kept,
            points,
            settled,
            histograms: Some(row),
            ..Written::default()
        }
    }

    /// From the log: tells how many were new.
    pub(crate) fn restore_histograms(
        &mut self,
        time: Timestamp,
        histograms: Vec<(SeriesRef, Histogram)>,
    ) -> usize {
        let refs: Vec<SeriesRef> = histograms.iter().map(|(series, _)| *series).collect();
        self.clear_way(&refs, time);
        let new = self.later(time, histograms, &mut Kept::default());
        if new.is_empty() {
            return 0;
        }
        let refs: Vec<SeriesRef> = new.iter().map(|(series, _)| *series).collect();
        let packed = Packed::of(new.iter().map(|(_, histogram)| histogram));
        self.push_histograms(time, &refs, packed);
        refs.len()
    }

    /// Those of known series, each once and later than their last; the others are counted.
    fn later<T>(
        &mut self,
        time: Timestamp,
        all: Vec<(SeriesRef, T)>,
        kept: &mut Kept,
    ) -> Vec<(SeriesRef, T)> {
        self.next_stamp();
        let mut later = Vec::with_capacity(all.len());
        for (series, histogram) in all {
            if !self.is_first(series, kept) {
                continue;
            }
            if time > self.slots.last(series).0 {
                later.push((series, histogram));
            } else {
                self.count_late(series, time, HISTOGRAM, kept);
            }
        }
        later
    }

    fn push_histograms(
        &mut self,
        time: Timestamp,
        refs: &[SeriesRef],
        packed: Packed,
    ) -> (Arc<HistogramRow>, usize) {
        self.end_floats(time, refs);
        let shape = self.shape(refs);
        let added = self.slots.advance(&shape, time, &vec![HISTOGRAM; refs.len()]);
        self.newest = self.newest.max(time);
        let row = Arc::new(HistogramRow { time, shape, packed });
        self.histograms.push_back(row.clone());
        (row, added)
    }

    /// For those who read floats only, a series that has gone over to histograms has ended; who reads both finds the
    /// histogram in this marker's place. The log need not have it: it follows from the histogram.
    fn end_floats(&mut self, time: Timestamp, refs: &[SeriesRef]) {
        let is_float = |series: &SeriesRef| self.lives(*series) && !is_histogram(self.slots.last(*series).1);
        let floats: Vec<SeriesRef> = refs.iter().copied().filter(is_float).collect();
        if !floats.is_empty() {
            let (shape, values) = (self.shape(&floats), vec![STALE; floats.len()].into());
            self.push(Row {
                time,
                shape,
                live: None,
                values,
            });
        }
    }
}

/// What is found of one series.
#[derive(Default)]
struct Found {
    samples: BTreeMap<Timestamp, Value>,
    staleness: Option<Duration>,
}

impl Store {
    pub(crate) fn keep_histograms(&self, column: Histograms) -> Kept {
        let length = column.histograms.len();
        let Some(target) = self.target_of(column.target) else {
            let kept = Kept {
                unknown: length,
                ..Kept::default()
            };
            self.accounts.took(&kept, &crate::target::Points::default());
            return kept;
        };
        if let Some(wal) = &self.wal {
            wal.queue.await_room(length);
        }
        let mut state = target.state.lock();
        let written = state.commit_histograms(column);
        let kept = self.hand_on(&target, written);
        drop(state);
        if kept.kept > 0 {
            self.any_histograms.store(true, Ordering::Relaxed);
        }
        kept
    }

    pub(crate) fn mixed_of(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Vec<Mixed>, SelectError> {
        let mut found = self.histograms_in_memory(matchers, range, samples_max)?;
        if let Some(blocks) = self.blocks_behind(range) {
            for mixed in blocks.mixed(matchers, range, samples_max)? {
                let own = found.entry(mixed.labels).or_default();
                let histograms = mixed.samples.into_iter();
                // What goes from memory to a block meanwhile is seen twice.
                own.samples
                    .extend(histograms.filter(|(_, value)| matches!(value, Value::Histogram(_))));
            }
        }
        if found.is_empty() {
            return Ok(Vec::new());
        }
        for series in self.select(matchers, range, samples_max)? {
            let Some(own) = found.get_mut(&series.labels) else {
                continue;
            };
            own.staleness = own.staleness.max(series.staleness);
            // Of two targets with the same labels one may have said this and the other that: what says more stands.
            for (time, value) in series.times.iter().zip(series.values.iter()) {
                own.samples.entry(*time).or_insert(Value::Float(*value));
            }
        }
        let mixed = |(labels, own): (Labels, Found)| Mixed {
            labels,
            samples: own.samples.into_iter().collect(),
            staleness: own.staleness,
        };
        Ok(found.into_iter().map(mixed).collect())
    }

    /// False where there was never any, neither in memory nor in the blocks of the range.
    pub(crate) fn may_have_histograms(&self, range: TimeRange) -> bool {
        let sealed = || self.blocks_behind(range).is_some_and(Blocks::has_histograms);
        self.any_histograms.load(Ordering::Relaxed) || sealed()
    }

    pub(crate) fn any_mixed(&self, matchers: &[Matcher], range: TimeRange) -> Result<bool, SelectError> {
        let picked = self.selections.pick(&self.index, matchers)?;
        let mut found = false;
        self.each_target(&picked, |target, series| {
            let view = target.filter(|_| !found).map(|target| View::new(target, range));
            let has = |view: &View| {
                series
                    .iter()
                    .any(|spot| view.histograms(spot.series).next().is_some())
            };
            found |= view.is_some_and(|view| !view.histograms.is_empty() && has(&view));
            Ok(())
        })?;
        match self.blocks_behind(range).filter(|_| !found) {
            // The first one is more than nothing; nobody reads on.
            Some(blocks) => match blocks.mixed(matchers, range, 0) {
                Err(SelectError::TooMany { .. }) => Ok(true),
                other => other.map(|all| !all.is_empty()),
            },
            None => Ok(found),
        }
    }

    fn histograms_in_memory(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<BTreeMap<Labels, Found>, SelectError> {
        let picked = self.selections.pick(&self.index, matchers)?;
        let mut found: BTreeMap<Labels, Found> = BTreeMap::new();
        let mut left = samples_max;
        self.each_target(&picked, |target, series| {
            let Some(target) = target else { return Ok(()) };
            let view = View::new(target, range);
            if view.histograms.is_empty() {
                return Ok(());
            }
            for spot in series {
                let own: Vec<(Timestamp, Histogram)> = view.histograms(spot.series).collect();
                let weight = own.iter().map(|(_, one)| one.samples()).sum();
                left = left
                    .checked_sub(weight)
                    .ok_or(SelectError::TooMany { limit: samples_max })?;
                let labels = picked.labels.get(spot.place as usize);
                if let Some(labels) = labels.filter(|_| !own.is_empty()) {
                    let values = own
                        .into_iter()
                        .map(|(time, one)| (time, Value::Histogram(Arc::new(one))));
                    let found = found.entry(labels.clone()).or_default();
                    found.samples.extend(values);
                    found.staleness = found.staleness.max(view.staleness);
                }
            }
            Ok(())
        })?;
        Ok(found)
    }
}
