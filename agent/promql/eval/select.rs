//! Instant selectors: the newest sample of each series, unless it is too old or the series has ended.

use std::rc::Rc;

use model::labels::METRIC_NAME;
use model::selection::One;
use model::{MatchOp, Matcher, Selection, TimeRange, Timestamp, is_stale};

use super::grid::{Grid, HOLE, Head, is_hole, is_typed};
use super::{Eval, Steps};
use crate::ast::{Edges, Selector, When};
use crate::error::QueryError;
use crate::functions::on_line;

/// The series of an instant selector, and where its steps look at them.
pub(super) struct Lookback {
    pub(super) series: Rc<Selection>,
    pub(super) one_name: bool,
    looks: Steps,
    /// How old a sample may be.
    reach: i64,
}

/// The value of a sample.
pub(super) fn value(series: &One<'_>, nth: usize) -> Option<f64> {
    series.values.get(nth).copied()
}

impl Eval<'_> {
    pub(super) fn selected(self, selector: &Selector) -> Result<Grid, QueryError> {
        if selector.edges == Edges::Smoothed {
            return self.smoothed(selector);
        }
        self.looked_up(selector, value)
    }

    /// The times of the samples instead of their values.
    pub(crate) fn stamped(self, selector: &Selector) -> Result<Grid, QueryError> {
        self.looked_up(selector, |series, nth| {
            series.times.get(nth).map(|time| time.seconds())
        })
    }

    fn looked_up(
        self,
        selector: &Selector,
        read: impl Fn(&One<'_>, usize) -> Option<f64>,
    ) -> Result<Grid, QueryError> {
        let found = self.lookback(selector)?;
        self.query
            .hold(found.series.len().saturating_mul(self.steps.count))?;
        let mut grid = Grid::with_capacity(self.steps.count, found.series.len());
        grid.one_name = found.one_name;
        self.each_looked_up(&found, read, |one, cells| {
            grid.push(Head::new(one.labels.clone()), cells.iter().copied());
        })?;
        Ok(grid)
    }

    /// What the steps of an instant selector may see.
    pub(super) fn lookback(self, selector: &Selector) -> Result<Lookback, QueryError> {
        let reach = model::time::millis(self.query.options.lookback);
        let series = self.read(selector, reach)?;
        Ok(Lookback {
            one_name: self.has_one_name(selector, &series),
            series,
            looks: self.steps.looks(selector.when, self.query),
            reach,
        })
    }

    /// Calls `visit` with each series and what `read` has of it at each step.
    pub(super) fn each_looked_up<'l>(
        self,
        found: &'l Lookback,
        read: impl Fn(&One<'_>, usize) -> Option<f64>,
        mut visit: impl FnMut(&One<'l>, &[f64]),
    ) -> Result<(), QueryError> {
        // Which sample is the newest at each step, of the times that the series before had too.
        let mut newest: Vec<Option<usize>> = Vec::new();
        let mut column = None;
        let mut cells = Vec::with_capacity(self.steps.count);
        for one in found.series.iter() {
            self.query.worked(self.steps.count)?;
            if column.replace(one.column) != Some(one.column) {
                let mut cursor = Cursor::default();
                newest.clear();
                newest.extend(found.looks.times().map(|look| cursor.newest(one.times, look)));
            }
            let reach = one
                .staleness
                .map_or(found.reach, |own| found.reach.max(model::time::millis(own)));
            cells.clear();
            cells.extend(found.looks.times().zip(&newest).map(|(look, nth)| {
                nth.filter(|nth| fresh(&one, *nth, look.saturating_sub(reach)))
                    .and_then(|nth| read(&one, nth))
                    .unwrap_or(HOLE)
            }));
            self.tally(&cells);
            visit(&one, &cells);
        }
        Ok(())
    }

    /// Values on the line between the samples around each step; behind the last one, that.
    fn smoothed(self, selector: &Selector) -> Result<Grid, QueryError> {
        let looks = self.steps.looks(selector.when, self.query);
        let lookback = model::time::millis(self.query.options.lookback);
        let all = self.read_around(selector, lookback, lookback)?;
        self.query.hold(all.len().saturating_mul(self.steps.count))?;
        let mut grid = Grid::with_capacity(self.steps.count, all.len());
        grid.one_name = self.has_one_name(selector, &all);
        for series in all.iter() {
            self.query.worked(self.steps.count + series.values.len())?;
            let samples = series.times.iter().copied().zip(series.values.iter().copied());
            let samples: Vec<(Timestamp, f64)> = samples.filter(|(_, value)| !is_stale(*value)).collect();
            let cells = looks.times().map(|look| smooth(&samples, look, lookback));
            let cells: Vec<f64> = cells.map(|cell| cell.unwrap_or(HOLE)).collect();
            self.tally(&cells);
            grid.push(Head::new(series.labels.clone()), cells);
        }
        Ok(grid)
    }

    /// Each cell is a sample that was seen.
    fn tally(self, cells: &[f64]) {
        if self.query.tally.is_wanted() {
            for (step, _) in cells.iter().enumerate().filter(|(_, cell)| !is_hole(**cell)) {
                self.query.tally.add(step, 1);
            }
        }
    }

    /// Whether all series of a selector are of one metric.
    pub(super) fn has_one_name(self, selector: &Selector, all: &Selection) -> bool {
        let named = |matcher: &Matcher| matcher.op == MatchOp::Equal && &*matcher.name == METRIC_NAME;
        let one = selector.name.is_some() || selector.matchers.iter().any(named);
        let labels = all.candidates();
        let typed = || labels.iter().any(is_typed);
        one && !*self.query.seen.typed.find_list("typed", labels, |_| true, typed)
    }

    /// All series of a selector, with the samples that any step may see through `reach` milliseconds.
    pub(super) fn read(self, selector: &Selector, reach: i64) -> Result<Rc<Selection>, QueryError> {
        self.read_around(selector, reach, 0)
    }

    /// The same, with what lies behind each step too.
    pub(super) fn read_around(
        self,
        selector: &Selector,
        before: i64,
        behind: i64,
    ) -> Result<Rc<Selection>, QueryError> {
        let mut range = self.seen(selector.when, before);
        range.until = Timestamp(range.until.0.saturating_add(behind));
        self.query.load(selector.all_matchers(), range)
    }

    fn seen(self, when: When, reach: i64) -> TimeRange {
        let looks = self.steps.looks(when, self.query);
        TimeRange {
            after: Timestamp(looks.start.saturating_sub(reach)),
            until: Timestamp(looks.last()),
        }
    }
}

/// The value at `look`, by the samples around it that are near enough.
fn smooth(samples: &[(Timestamp, f64)], look: i64, lookback: i64) -> Option<f64> {
    let next = samples.partition_point(|(time, _)| time.0 < look);
    let after = samples
        .get(next)
        .filter(|(time, _)| time.0 <= look.saturating_add(lookback));
    if let Some((_, value)) = after.filter(|(time, _)| time.0 == look) {
        return Some(*value);
    }
    let before = samples.get(next.checked_sub(1)?)?;
    if before.0.0 <= look.saturating_sub(lookback) {
        return None;
    }
    Some(after.map_or(before.1, |after| on_line(*before, *after, look, false)))
}

fn fresh(series: &One<'_>, nth: usize, after: i64) -> bool {
    let in_reach = series.times.get(nth).is_some_and(|time| time.0 > after);
    in_reach && series.values.get(nth).is_some_and(|value| !is_stale(*value))
}

/// A place among times that only moves on.
#[derive(Default)]
pub(super) struct Cursor {
    /// Times before here are not after the last look.
    passed: usize,
}

impl Cursor {
    /// How many of `times` are not after `look`; looks never go back.
    pub(super) fn passed(&mut self, times: &[Timestamp], look: i64) -> usize {
        let rest = times.get(self.passed..).unwrap_or_default();
        // Most steps move on by a few samples; the first may have far to go.
        const NEAR: usize = 8;
        let near = rest.iter().take(NEAR).take_while(|time| time.0 <= look).count();
        self.passed += if near < NEAR {
            near
        } else {
            rest.partition_point(|time| time.0 <= look)
        };
        self.passed
    }

    fn newest(&mut self, times: &[Timestamp], look: i64) -> Option<usize> {
        self.passed(times, look).checked_sub(1)
    }
}
