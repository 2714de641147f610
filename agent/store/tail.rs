//! Provisional points: what was said in a silent sender's place, or may still be said otherwise.
//!
//! They lie behind the samples proper, each later than its series' newest sample, until a sample proper or their
//! source decides about them. There are few of them: most targets have none at all.

use std::collections::BTreeMap;
use std::ops::Bound;

use model::{SeriesRef, TimeRange, Timestamp};

/// Most points of one series.
const POINTS_MAX: usize = 64;
/// What a point takes in memory, about.
const POINT_BYTES: usize = 40;

#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    points: BTreeMap<(SeriesRef, Timestamp), f64>,
    /// How many there are at each time; by it most commits see that nothing is to be decided.
    times: BTreeMap<Timestamp, usize>,
}

/// What became of a point that was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    New,
    /// Another value stood there.
    Replaced,
    /// It was there already.
    Again,
    /// The series has as many as it may.
    Full,
}

impl Tail {
    pub(crate) fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.points.len() * POINT_BYTES
    }

    /// Time of the oldest point of any series.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.times.first_key_value().map(|(time, _)| *time)
    }

    pub(crate) fn say(&mut self, series: SeriesRef, time: Timestamp, value: f64) -> Said {
        if let Some(known) = self.points.get_mut(&(series, time)) {
            let before = std::mem::replace(known, value);
            let again = before.to_bits() == value.to_bits();
            return if again { Said::Again } else { Said::Replaced };
        }
        if self.of(series, TimeRange::ALL).count() >= POINTS_MAX {
            return Said::Full;
        }
        self.points.insert((series, time), value);
        *self.times.entry(time).or_default() += 1;
        Said::New
    }

    /// Points of one series in a range, oldest first.
    pub(crate) fn of(
        &self,
        series: SeriesRef,
        range: TimeRange,
    ) -> impl Iterator<Item = (Timestamp, f64)> + '_ {
        let bounds = (
            Bound::Excluded((series, range.after)),
            Bound::Included((series, range.until.max(range.after))),
        );
        self.points
            .range(bounds)
            .map(|((_, time), value)| (*time, *value))
    }

    pub(crate) fn holds(&self, series: SeriesRef) -> bool {
        !self.is_empty() && self.of(series, TimeRange::ALL).next().is_some()
    }

    /// Takes the points of one series up to and at `time`, oldest first.
    pub(crate) fn take(&mut self, series: SeriesRef, time: Timestamp) -> Vec<(Timestamp, f64)> {
        let bounds = (series, Timestamp::MIN)..=(series, time);
        let taken: Vec<(Timestamp, f64)> = self
            .points
            .range(bounds)
            .map(|((_, time), value)| (*time, *value))
            .collect();
        for (time, _) in &taken {
            self.points.remove(&(series, *time));
            self.forget_time(*time);
        }
        taken
    }

    /// Takes all points before `time`, by time and then by series.
    pub(crate) fn take_before(&mut self, time: Timestamp) -> Vec<(Timestamp, SeriesRef, f64)> {
        let old = self.points.extract_if(.., |(_, at), _| *at < time);
        let mut taken: Vec<_> = old.map(|((series, at), value)| (at, series, value)).collect();
        taken.sort_unstable_by_key(|(at, series, _)| (*at, *series));
        self.times = self.times.split_off(&time);
        taken
    }

    fn forget_time(&mut self, time: Timestamp) {
        if let Some(count) = self.times.get_mut(&time) {
            *count -= 1;
            if *count == 0 {
                self.times.remove(&time);
            }
        }
    }
}
