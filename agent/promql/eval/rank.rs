//! `topk`, `bottomk`, `limitk`: of each group some series, as they are.

use std::cmp::Ordering;

use super::Eval;
use super::aggregate::Groups;
use super::binary::present;
use super::grid::{Grid, HOLE};
use crate::ast::{Aggregate, Aggregation};
use crate::error::QueryError;
use crate::stats::nan_first;

impl Eval<'_> {
    pub(super) fn ranked(
        self,
        aggregate: &Aggregate,
        grid: Grid,
        counts: &[f64],
    ) -> Result<Grid, QueryError> {
        if counts.iter().all(|count| *count < 1.0) {
            return Ok(Grid::new(self.steps.count));
        }
        if counts.iter().any(|count| count.is_nan()) {
            return Err(QueryError::Execution("Parameter value is NaN".to_owned()));
        }
        let members = Groups::seen(&grid, &aggregate.grouping, self.query).members();
        let steps = self.steps.count;
        let mut kept = vec![false; grid.cells()];
        // For an instant query the order of the answer is the ranking.
        let mut order = Vec::new();
        for step in 0..steps {
            let count = counts.get(step).copied().unwrap_or(f64::NAN);
            let count = whole(count)?;
            if count == 0 {
                continue;
            }
            for rows in &members {
                self.query.worked(rows.len())?;
                for row in best(aggregate.op, &grid, rows, step, count) {
                    order.push(row);
                    if let Some(slot) = kept.get_mut(row * steps + step) {
                        *slot = true;
                    }
                }
            }
        }
        if steps == 1 {
            return Ok(grid.in_order(order));
        }
        let mut result = Grid::with_capacity(steps, grid.len());
        result.one_name = grid.one_name;
        for ((head, cells), kept) in grid.rows().zip(kept.chunks_exact(steps)) {
            let cells = cells.iter().zip(kept);
            result.push(
                head.clone(),
                cells.map(|(cell, kept)| if *kept { *cell } else { HOLE }),
            );
        }
        Ok(result)
    }
}

/// How many are asked for; fewer than one is none.
fn whole(count: f64) -> Result<usize, QueryError> {
    // The largest float below 2^63.
    const MOST: f64 = 9_223_372_036_854_774_784.0;
    if count.abs() > MOST {
        let flows = if count > 0.0 { "overflows" } else { "underflows" };
        let count = model::text::float::go(count);
        return Err(QueryError::Execution(format!(
            "Scalar value {count} {flows} int64"
        )));
    }
    Ok(count.max(0.0) as usize)
}

/// The rows of a group to keep at a step, best first; NaN is worse than anything.
fn best(op: Aggregation, grid: &Grid, rows: &[usize], step: usize, count: usize) -> Vec<usize> {
    let there = rows.iter().copied().filter(|row| present(grid.row(*row), step));
    if op == Aggregation::Limitk {
        return there.take(count).collect();
    }
    let value = |row: usize| grid.row(row).get(step).copied().unwrap_or(HOLE);
    let better = |one: f64, two: f64| match op {
        Aggregation::Topk => one > two,
        _ => one < two,
    };
    let mut heap = Heap {
        rows: Vec::with_capacity(count.min(rows.len())),
        worse: |one: usize, two: usize| value(one).is_nan() || better(value(two), value(one)),
    };
    for row in there {
        match heap.rows.first() {
            _ if heap.rows.len() < count => heap.push(row),
            Some(worst) if better(value(row), value(*worst)) => heap.replace(row),
            Some(worst) if value(*worst).is_nan() && !value(row).is_nan() => heap.replace(row),
            _ => {}
        }
    }
    let compare = |one: &usize, two: &usize| -> Ordering {
        let (one, two) = (value(*one), value(*two));
        match op {
            Aggregation::Topk => nan_first(two, one),
            // Ascending, but NaN still last.
            _ => one.is_nan().cmp(&two.is_nan()).then(nan_first(one, two)),
        }
    };
    heap.rows.sort_by(compare);
    heap.rows
}

/// The worst is first. Which of equal rows stay follows from how it is kept, so that is as Prometheus keeps it.
struct Heap<W> {
    rows: Vec<usize>,
    worse: W,
}

impl<W: Fn(usize, usize) -> bool> Heap<W> {
    fn push(&mut self, row: usize) {
        self.rows.push(row);
        let mut at = self.rows.len() - 1;
        while at > 0 && self.is_worse(at, (at - 1) / 2) {
            self.rows.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    /// In place of the worst.
    fn replace(&mut self, row: usize) {
        if let Some(worst) = self.rows.first_mut() {
            *worst = row;
        }
        let mut at = 0;
        loop {
            let mut child = 2 * at + 1;
            if self.is_worse(child + 1, child) {
                child += 1;
            }
            if !self.is_worse(child, at) {
                return;
            }
            self.rows.swap(child, at);
            at = child;
        }
    }

    fn is_worse(&self, one: usize, two: usize) -> bool {
        match (self.rows.get(one), self.rows.get(two)) {
            (Some(one), Some(two)) => (self.worse)(*one, *two),
            _ => false,
        }
    }
}
