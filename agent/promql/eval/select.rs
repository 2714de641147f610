//! Instant selectors: the newest sample of each series, unless it is too old or the series has ended.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use model::labels::METRIC_NAME;
use model::selection::{One, Scan};
use model::{Labels, MatchOp, Matcher, Selection, TimeRange, Timestamp, is_stale};

use super::grid::{Grid, HOLE, Head, is_hole, is_typed};
use super::{Eval, Steps};
use crate::ast::{Edges, Selector, When};
use crate::error::QueryError;
use crate::functions::on_line;

/// The series of an instant selector, and where its steps look at them.
pub(super) struct Lookback<'q> {
    pub(super) series: Found<'q>,
    pub(super) one_name: bool,
    looks: Steps,
    /// How old a sample may be.
    reach: i64,
}

/// What a selector reads. For one step every sample is needed once, and is not kept.
pub(super) enum Found<'q> {
    Kept(Rc<Selection>),
    Passing(RefCell<Box<dyn Scan + 'q>>, Arc<[Labels]>),
}

impl Found<'_> {
    pub(super) fn candidates(&self) -> &Arc<[Labels]> {
        match self {
            Self::Kept(series) => series.candidates(),
            Self::Passing(_, candidates) => candidates,
        }
    }

    /// Calls `visit` with each series, in the order of the candidates or, where they pass, in any.
    pub(super) fn each(
        &self,
        mut visit: impl FnMut(One<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        match self {
            Self::Kept(series) => series.iter().try_for_each(visit),
            Self::Passing(scan, _) => {
                let mut visited = Ok(());
                scan.borrow_mut().each(&mut |one| {
                    visited = visit(one);
                    match visited {
                        Ok(()) => ControlFlow::Continue(()),
                        Err(_) => ControlFlow::Break(()),
                    }
                })?;
                visited
            }
        }
    }
}

/// Is told the place of a row, and its cells.
pub(super) type Visit<'v> = dyn FnMut(usize, &[f64]) -> Result<(), QueryError> + 'v;

/// The value of a sample.
pub(super) fn value(series: &One<'_>, nth: usize) -> Option<f64> {
    series.values.get(nth).copied()
}

impl<'q> Eval<'q> {
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
        let candidates = found.series.candidates();
        let mut grid = Grid::with_capacity(self.steps.count, candidates.len());
        grid.one_name = found.one_name;
        self.each_looked_up(&found, read, |candidate, cells| {
            self.query.hold(self.steps.count)?;
            if let Some(labels) = candidates.get(candidate) {
                grid.push(Head::new(labels.clone()), cells.iter().copied());
            }
            Ok(())
        })?;
        Ok(grid)
    }

    /// What the steps of an instant selector may see.
    pub(super) fn lookback(self, selector: &Selector) -> Result<Lookback<'q>, QueryError> {
        let reach = model::time::millis(self.query.options.lookback);
        let series = self.find(selector, reach, 0)?;
        Ok(Lookback {
            one_name: self.has_one_name(selector, series.candidates()),
            series,
            looks: self.steps.looks(selector.when, self.query),
            reach,
        })
    }

    /// Calls `visit` with the place of each series among the candidates, and what `read` has of it at each step.
    pub(super) fn each_looked_up(
        self,
        found: &Lookback<'_>,
        read: impl Fn(&One<'_>, usize) -> Option<f64>,
        visit: impl FnMut(usize, &[f64]) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        // Which sample is the newest at each step, of the times that the series before had too.
        let mut newest: Vec<Option<usize>> = Vec::new();
        let mut column = None;
        let mut cells = Vec::with_capacity(self.steps.count);
        self.in_order(&found.series, visit, |visit| {
            found.series.each(|one| {
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
                visit(one.candidate, &cells)
            })
        })
    }

    /// Hands on what `each` tells of candidates, in their order: floating-point sums and answers do not depend on where
    /// samples lie.
    pub(super) fn in_order(
        self,
        found: &Found<'_>,
        mut visit: impl FnMut(usize, &[f64]) -> Result<(), QueryError>,
        each: impl FnOnce(&mut Visit<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let Found::Passing(_, candidates) = found else {
            return each(&mut visit);
        };
        let mut gathered = vec![HOLE; candidates.len()];
        each(&mut |candidate, cells| {
            if let (Some(slot), [cell]) = (gathered.get_mut(candidate), cells) {
                *slot = *cell;
            }
            Ok(())
        })?;
        let mut there = gathered.iter().enumerate().filter(|(_, cell)| !is_hole(**cell));
        there.try_for_each(|(candidate, cell)| visit(candidate, std::slice::from_ref(cell)))
    }

    /// The series of a selector: kept if there are several steps to look at them.
    pub(super) fn find(self, selector: &Selector, before: i64, behind: i64) -> Result<Found<'q>, QueryError> {
        if self.steps.count != 1 {
            return self.read_around(selector, before, behind).map(Found::Kept);
        }
        let range = self.seen_around(selector.when, before, behind);
        let matchers = selector.all_matchers();
        self.passes_over(selector, &matchers, range)?;
        let scan = self.query.scan(&matchers, range)?;
        let candidates = scan.candidates().clone();
        Ok(Found::Passing(RefCell::new(scan), candidates))
    }

    /// Values on the line between the samples around each step; behind the last one, that.
    fn smoothed(self, selector: &Selector) -> Result<Grid, QueryError> {
        let looks = self.steps.looks(selector.when, self.query);
        let lookback = model::time::millis(self.query.options.lookback);
        let all = self.read_around(selector, lookback, lookback)?;
        self.query.hold(all.len().saturating_mul(self.steps.count))?;
        let mut grid = Grid::with_capacity(self.steps.count, all.len());
        grid.one_name = self.has_one_name(selector, all.candidates());
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
    pub(super) fn has_one_name(self, selector: &Selector, labels: &Arc<[Labels]>) -> bool {
        let named = |matcher: &Matcher| matcher.op == MatchOp::Equal && &*matcher.name == METRIC_NAME;
        let one = selector.name.is_some() || selector.matchers.iter().any(named);
        let typed = || labels.iter().any(is_typed);
        one && !*self.query.seen.typed.find_list("typed", labels, |_| true, typed)
    }

    /// All series of a selector, with the samples that any step may see through `before` milliseconds, and what lies
    /// behind each step.
    fn read_around(self, selector: &Selector, before: i64, behind: i64) -> Result<Rc<Selection>, QueryError> {
        let range = self.seen_around(selector.when, before, behind);
        let matchers = selector.all_matchers();
        self.passes_over(selector, &matchers, range)?;
        self.query.load(matchers, range)
    }

    pub(super) fn seen_around(self, when: When, before: i64, behind: i64) -> TimeRange {
        let looks = self.steps.looks(when, self.query);
        TimeRange {
            after: Timestamp(looks.start.saturating_sub(before)),
            until: Timestamp(looks.last().saturating_add(behind)),
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

    pub(super) fn newest(&mut self, times: &[Timestamp], look: i64) -> Option<usize> {
        self.passed(times, look).checked_sub(1)
    }
}
