//! Decides about a target's provisional points, as samples proper come and as its source says.
//!
//! Every point is later than the newest sample of its series; what a commit makes of them is entered before the
//! commit's own samples, so that each series' samples stay in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::column::{GAP, Kept};
use model::{Column, SeriesRef, Timestamp, is_stale};

use crate::row::Row;
use crate::tail::Said;
use crate::target::{Points, State, Written};

/// Points that become samples, by time.
type Settling = BTreeMap<Timestamp, (Vec<SeriesRef>, Vec<f64>)>;

impl State {
    pub(crate) fn commit_provisional(&mut self, column: Column) -> Written {
        let time = column.time;
        let (mut kept, mut points) = (Kept::default(), Points::default());
        let (mut refs, mut values) = (Vec::new(), Vec::new());
        self.next_stamp();
        for (series, value) in column.series.into_iter().zip(column.values) {
            if !self.is_first(series, &mut kept) {
                continue;
            }
            if time <= self.slots.last(series).0 {
                self.count_late(series, time, value, &mut kept);
                continue;
            }
            match Arc::make_mut(&mut self.tail).say(series, time, value) {
                Said::Full => kept.refused += 1,
                Said::Again => kept.duplicate += 1,
                said => {
                    points.replaced += usize::from(said == Said::Replaced);
                    refs.push(series);
                    values.push(value);
                }
            }
        }
        kept.kept = refs.len();
        points.said = refs.len();
        let said = (!refs.is_empty()).then(|| {
            Arc::new(Row {
                time,
                shape: self.shape(&refs),
                live: None,
                values: values.into(),
            })
        });
        Written {
            kept,
            points,
            said,
            ..Written::default()
        }
    }

    /// Samples proper of these series are about to come, with `time`: what was said before it becomes a sample or
    /// goes, what was said for the same time goes.
    pub(crate) fn make_way(
        &mut self,
        present: &[SeriesRef],
        missing: &[SeriesRef],
        time: Timestamp,
    ) -> (Vec<Arc<Row>>, Points) {
        let (mut settling, mut points) = (Settling::new(), Points::default());
        if self.tail.first().is_none_or(|first| first > time) {
            return (Vec::new(), points);
        }
        for series in present.iter().chain(missing) {
            for (at, value) in Arc::make_mut(&mut self.tail).take(*series, time) {
                if at == time {
                    points.replaced += 1;
                } else {
                    self.decide((at, *series, value), &mut settling, &mut points);
                }
            }
        }
        (self.enter(settling, &mut points), points)
    }

    /// The target goes at `time`: what was said before it is decided, the rest goes with it.
    pub(crate) fn decide_all(&mut self, time: Timestamp) -> (Vec<Arc<Row>>, Points) {
        let (mut settling, mut points) = (Settling::new(), Points::default());
        for point in self.take_before(time) {
            self.decide(point, &mut settling, &mut points);
        }
        points.retired = self.tail.len();
        self.tail = Arc::default();
        (self.enter(settling, &mut points), points)
    }

    /// What was said for times before `before` stands.
    pub(crate) fn settle(&mut self, before: Timestamp) -> (Vec<Arc<Row>>, Points) {
        let (mut settling, mut points) = (Settling::new(), Points::default());
        for (at, series, value) in self.take_before(before) {
            let (refs, values) = settling.entry(at).or_default();
            refs.push(series);
            values.push(value);
        }
        (self.enter(settling, &mut points), points)
    }

    pub(crate) fn take_before(&mut self, time: Timestamp) -> Vec<(Timestamp, SeriesRef, f64)> {
        if self.tail.first().is_none_or(|first| first >= time) {
            return Vec::new();
        }
        Arc::make_mut(&mut self.tail).take_before(time)
    }

    /// From the log: what the store had decided then stands there as rows of its own.
    pub(crate) fn clear_way(&mut self, series: &[SeriesRef], time: Timestamp) {
        if self.tail.first().is_some_and(|first| first <= time) {
            let tail = Arc::make_mut(&mut self.tail);
            series.iter().for_each(|series| drop(tail.take(*series, time)));
        }
    }

    /// A point claims that nothing was there before it; samples that came late may have shown otherwise. Measured
    /// against what was there before this decision: points said one after the other stand or fall alone.
    fn decide(
        &self,
        (at, series, value): (Timestamp, SeriesRef, f64),
        settling: &mut Settling,
        points: &mut Points,
    ) {
        if self.slots.last(series).0 < at - GAP {
            let (refs, values) = settling.entry(at).or_default();
            refs.push(series);
            values.push(value);
        } else {
            points.filled += 1;
        }
    }

    fn enter(&mut self, settling: Settling, points: &mut Points) -> Vec<Arc<Row>> {
        let mut rows = Vec::with_capacity(settling.len());
        for (time, (refs, values)) in settling {
            points.settled += refs.len();
            let ends = refs.iter().zip(&values);
            points.ended += ends
                .filter(|(series, value)| is_stale(**value) && self.lives(**series))
                .count();
            let shape = self.shape(&refs);
            self.slots.advance(&shape, time, &values);
            self.newest = self.newest.max(time);
            rows.push(self.push(Row {
                time,
                shape,
                live: None,
                values: values.into(),
            }));
        }
        rows
    }
}
