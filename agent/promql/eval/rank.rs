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
    let compare = |one: &usize, two: &usize| -> Ordering {
        let (one, two) = (value(*one), value(*two));
        match op {
            Aggregation::Topk => nan_first(two, one),
            // Ascending, but NaN still last.
            _ => one.is_nan().cmp(&two.is_nan()).then(nan_first(one, two)),
        }
    };
    let mut rows: Vec<usize> = there.collect();
    rows.sort_by(compare);
    rows.truncate(count);
    rows
}
