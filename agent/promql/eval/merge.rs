//! No vector holds two series of the same labels at one time.

use super::grid::{Grid, Names, is_hole};
use super::key::{Interner, Key};
use crate::error::QueryError;

/// Whether rows of equal labels are a mistake even when they never meet in a step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meeting {
    /// They become one row.
    Allowed,
    Forbidden,
}

pub(crate) fn duplicate() -> QueryError {
    QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned())
}

/// Makes rows of equal labels one.
pub(crate) fn merged(grid: Grid, names: Names, meeting: Meeting) -> Result<Grid, QueryError> {
    let key = Key::whole();
    let mut interner = Interner::new(&key, names);
    let numbers: Vec<usize> = grid.heads().iter().map(|head| interner.number(head)).collect();
    let unique = interner.first().len();
    if unique == grid.len() {
        return Ok(grid);
    }
    if meeting == Meeting::Forbidden || grid.steps() == 1 {
        return Err(duplicate());
    }
    let mut rows: Vec<Option<(usize, Vec<f64>)>> = vec![None; unique];
    for (nth, number) in numbers.iter().enumerate() {
        let Some(slot) = rows.get_mut(*number) else {
            continue;
        };
        let row = grid.row(nth);
        let Some((_, cells)) = slot else {
            *slot = Some((nth, row.to_vec()));
            continue;
        };
        for (cell, more) in cells.iter_mut().zip(row) {
            if is_hole(*more) {
                continue;
            }
            if !is_hole(*cell) {
                return Err(duplicate());
            }
            *cell = *more;
        }
    }
    let mut merged = Grid::with_capacity(grid.steps(), unique);
    for (nth, cells) in rows.into_iter().flatten() {
        if let Some(head) = grid.heads().get(nth) {
            merged.push(head.clone(), cells);
        }
    }
    Ok(merged)
}
