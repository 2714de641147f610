//! Puts a series' samples together from the blocks and rows of its target, and the provisional points behind them.
//!
//! Rows and blocks are held by their `Arc`s, so that reading takes no lock. Series that were written at the
//! same times get the very same time column.

use std::ops::Range;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hashbrown::HashMap;
use model::{Histogram, SeriesRef, TimeRange, Timestamp, is_stale};

use crate::block::{Block, Column};
use crate::histograms::HistogramRow;
use crate::row::{Row, Shaped};
use crate::tail::Tail;
use crate::target::Target;

/// What a target held when it was looked at.
#[derive(Debug)]
pub(crate) struct View {
    /// What was asked for, and before it what still answers at its start.
    pub(crate) range: TimeRange,
    pub(crate) staleness: Option<Duration>,
    pub(crate) blocks: Vec<Arc<Block>>,
    pub(crate) rows: Vec<Arc<Row>>,
    pub(crate) histograms: Vec<Arc<HistogramRow>>,
    tail: Arc<Tail>,
}

impl View {
    pub(crate) fn new(target: &Target, asked: TimeRange) -> Self {
        let staleness = target.state.lock().desc.staleness;
        let after = asked.after - staleness.unwrap_or_default();
        Self {
            staleness,
            ..Self::within(target, TimeRange { after, ..asked })
        }
    }

    fn within(target: &Target, range: TimeRange) -> Self {
        let state = target.state.lock();
        let overlaps = |block: &&Arc<Block>| block.first <= range.until && block.last > range.after;
        Self {
            range,
            staleness: None,
            tail: state.tail.clone(),
            blocks: state.blocks.iter().filter(overlaps).cloned().collect(),
            rows: state
                .rows
                .iter()
                .filter(|row| range.contains(row.time))
                .cloned()
                .collect(),
            histograms: state
                .histograms
                .iter()
                .filter(|row| range.contains(row.time))
                .cloned()
                .collect(),
        }
    }
}

impl View {
    /// Native histograms of a series, oldest first.
    pub(crate) fn histograms(&self, series: SeriesRef) -> impl Iterator<Item = (Timestamp, Histogram)> + '_ {
        let own = move |row: &Arc<HistogramRow>| Some((row.time, row.get(series)?));
        self.histograms.iter().filter_map(own)
    }

    /// Samples of just this range, and nothing that is still to be decided.
    pub(crate) fn samples(target: &Target, range: TimeRange) -> Self {
        let mut view = Self::within(target, range);
        view.tail = Arc::default();
        view
    }

    /// Provisional points of a series in the range; later than all of its samples.
    pub(crate) fn provisional(&self, series: SeriesRef) -> impl Iterator<Item = (Timestamp, f64)> + '_ {
        let any = (!self.tail.is_empty()).then(|| self.tail.of(series, self.range));
        any.into_iter().flatten()
    }
}

pub(crate) type Times = Arc<[Timestamp]>;
pub(crate) type Values = Arc<[f64]>;

pub(crate) struct Reader<'a> {
    view: &'a View,
    shaped: Shaped<'a>,
    /// Time columns by what decides them: the group in each block, which shapes hold the series, and the times of
    /// its provisional points.
    by_key: HashMap<Box<[u32]>, usize>,
    columns: Vec<Times>,
    key: Vec<u32>,
    /// The key and column of the series before, which are mostly those of the next.
    previous: Option<(Box<[u32]>, usize)>,
    positions: Vec<Option<usize>>,
    /// Of each block: which of a group's times are in the range.
    inside: Vec<(u32, Range<usize>)>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(view: &'a View) -> Self {
        Self {
            view,
            shaped: Shaped::new(view.rows.iter()),
            by_key: HashMap::new(),
            columns: Vec::new(),
            key: Vec::new(),
            previous: None,
            positions: Vec::new(),
            inside: vec![(u32::MAX, 0..0); view.blocks.len()],
        }
    }

    /// Adds the values in the range to `out`, and tells the number of their times; none when there are none.
    pub(crate) fn read(&mut self, series: SeriesRef, out: &mut Vec<f64>) -> Option<usize> {
        let before = out.len();
        self.key.clear();
        for (block, (group, inside_group)) in self.view.blocks.iter().zip(&mut self.inside) {
            let column = block.column(series);
            self.key
                .push(column.as_ref().map_or(u32::MAX, |column| column.group));
            if let Some(column) = column {
                if *group != column.group {
                    (*group, *inside_group) = (column.group, inside(&column, self.view.range));
                }
                column.read(inside_group.clone(), out);
            }
        }
        self.shaped.positions(series, &mut self.positions);
        self.key.extend(
            self.positions
                .iter()
                .map(|position| u32::from(position.is_some())),
        );
        self.shaped.values(&self.positions, out);
        for (time, value) in self.view.provisional(series) {
            let bits = time.0.cast_unsigned();
            self.key.extend([(bits >> 32) as u32, bits as u32]);
            out.push(value);
        }
        (out.len() > before).then(|| self.column(series))
    }

    /// Times by the number that [`Self::read`] told.
    pub(crate) fn times(&self, column: usize) -> &Times {
        static NONE: LazyLock<Times> = LazyLock::new(Times::default);
        self.columns.get(column).unwrap_or_else(|| &NONE)
    }

    /// How many such numbers there are.
    pub(crate) fn columns(&self) -> usize {
        self.columns.len()
    }

    fn column(&mut self, series: SeriesRef) -> usize {
        if let Some((_, column)) = self.previous.as_ref().filter(|(key, _)| **key == *self.key) {
            return *column;
        }
        let column = match self.by_key.get(self.key.as_slice()) {
            Some(known) => *known,
            None => {
                self.columns.push(self.new_times(series));
                self.columns.len() - 1
            }
        };
        let key: Box<[u32]> = self.key.as_slice().into();
        self.previous = Some((key.clone(), column));
        self.by_key.insert(key, column);
        column
    }

    fn new_times(&self, series: SeriesRef) -> Times {
        let mut times = Vec::new();
        for column in self.view.blocks.iter().filter_map(|block| block.column(series)) {
            times.extend_from_slice(
                column
                    .times
                    .get(inside(&column, self.view.range))
                    .unwrap_or_default(),
            );
        }
        times.extend(self.shaped.samples(&self.positions).map(|(time, _)| time));
        times.extend(self.view.provisional(series).map(|(time, _)| time));
        times.into()
    }

    /// Whether there is any sample in the range.
    pub(crate) fn any(&mut self, series: SeriesRef) -> bool {
        self.shaped.positions(series, &mut self.positions);
        // Every shape here is that of a row in the range.
        self.positions.iter().any(Option::is_some)
            || self.view.blocks.iter().any(|block| {
                block
                    .column(series)
                    .is_some_and(|column| !inside(&column, self.view.range).is_empty())
            })
            || self.view.provisional(series).next().is_some()
            || self.view.histograms(series).next().is_some()
    }
}

/// Which samples of a block's column lie in the range.
fn inside(column: &Column<'_>, range: TimeRange) -> Range<usize> {
    let start = column.times.partition_point(|time| *time <= range.after);
    let end = column.times.partition_point(|time| *time <= range.until);
    start..end.max(start)
}

/// One series from two targets that say the same labels: all times of both. At the same time a value goes
/// before a stale marker, and of two values the greater: any rule would do that a restart does not change.
pub(crate) fn join(one: &(Times, Values), other: &(Times, Values)) -> (Times, Values) {
    let pairs = |(times, values): &(Times, Values)| -> Vec<(Timestamp, f64)> {
        times.iter().copied().zip(values.iter().copied()).collect()
    };
    let mut all = pairs(one);
    all.extend(pairs(other));
    all.sort_by(|(a, x), (b, y)| {
        a.cmp(b)
            .then(is_stale(*x).cmp(&is_stale(*y)))
            .then(y.total_cmp(x))
    });
    all.dedup_by_key(|(time, _)| *time);
    (
        all.iter().map(|(time, _)| *time).collect(),
        all.iter().map(|(_, value)| *value).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::STALE;

    #[test]
    fn joined_series_have_every_time_once() {
        let side = |pairs: &[(i64, f64)]| -> (Times, Values) {
            (
                pairs.iter().map(|(time, _)| Timestamp(*time)).collect(),
                pairs.iter().map(|(_, value)| *value).collect(),
            )
        };
        let (times, values) = join(
            &side(&[(1, 1.0), (2, 2.0), (3, STALE)]),
            &side(&[(2, 20.0), (3, 30.0), (4, STALE)]),
        );
        assert_eq!(*times, [1, 2, 3, 4].map(Timestamp));
        assert_eq!(values.get(..3), Some([1.0, 20.0, 30.0].as_slice()));
        assert!(is_stale(values[3]));
    }
}
