//! Samples as they are committed: one time, and a value for each series of a shape.
//!
//! A row owns the column's values as the source gave them, and shares its list of series with all other rows
//! that have the same ones in the same order. In steady state a round costs 8 bytes a sample.

use std::sync::{Arc, OnceLock};

use model::{SeriesRef, Timestamp};

use crate::reference;

/// Which series a row holds, in the order the source committed them.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Unique in this process, from 1.
    pub(crate) id: u64,
    pub(crate) refs: Arc<[SeriesRef]>,
    /// Whether their places follow each other, as those of a source do that commits in the order it asked.
    pub(crate) is_run: bool,
    /// Positions sorted by ref, for whoever looks for one first; none when `refs` is sorted itself.
    sorted: OnceLock<Option<Box<[u32]>>>,
}

impl Shape {
    pub(crate) fn new(id: u64, refs: Arc<[SeriesRef]>) -> Self {
        let first = refs.first().map_or(0, |first| reference::slot(*first));
        let is_run = refs
            .iter()
            .zip(first..)
            .all(|(series, slot)| reference::slot(*series) == slot);
        Self {
            id,
            refs,
            is_run,
            sorted: OnceLock::new(),
        }
    }

    fn sorted(&self) -> Option<&[u32]> {
        let sort = || {
            (!self.refs.is_sorted()).then(|| {
                let mut sorted: Box<[u32]> =
                    (0..u32::try_from(self.refs.len()).unwrap_or(u32::MAX)).collect();
                sorted.sort_unstable_by_key(|at| self.refs.get(*at as usize));
                sorted
            })
        };
        self.sorted.get_or_init(sort).as_deref()
    }

    /// Where a series' value lies in the rows of this shape.
    pub(crate) fn position(&self, series: SeriesRef) -> Option<usize> {
        // Sources commit in the order in which they first asked, so that place and position are mostly one.
        let guess = reference::slot(series);
        if self.refs.get(guess) == Some(&series) {
            return Some(guess);
        }
        match self.sorted() {
            None => self.refs.binary_search(&series).ok(),
            Some(sorted) => {
                let found = sorted.binary_search_by(|at| self.refs.get(*at as usize).cmp(&Some(&series)));
                found.ok().and_then(|nth| sorted.get(nth)).map(|at| *at as usize)
            }
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let sorted = self.sorted.get().and_then(Option::as_ref);
        self.refs.len() * 8 + sorted.map_or(0, |sorted| sorted.len() * 4)
    }
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) time: Timestamp,
    pub(crate) shape: Arc<Shape>,
    /// Of a whole round, everything that was in it; the shape itself unless samples were refused.
    pub(crate) live: Option<Arc<Shape>>,
    /// One for each series of the shape.
    pub(crate) values: Arc<[f64]>,
}

/// Rows under the distinct shapes they have, so that a series is looked up once a shape and not once a row.
pub(crate) struct Shaped<'a> {
    pub(crate) shapes: Vec<&'a Arc<Shape>>,
    /// Each row with the index of its shape.
    pub(crate) rows: Vec<(usize, &'a Row)>,
    /// The values of each row.
    values: Vec<&'a [f64]>,
}

impl<'a> Shaped<'a> {
    pub(crate) fn new(rows: impl Iterator<Item = &'a Arc<Row>>) -> Self {
        let mut this = Self {
            shapes: Vec::new(),
            rows: Vec::new(),
            values: Vec::new(),
        };
        let mut known = hashbrown::HashMap::new();
        for row in rows {
            let last = this
                .rows
                .last()
                .filter(|(_, last)| Arc::ptr_eq(&last.shape, &row.shape));
            let at = last.map_or_else(
                || {
                    *known.entry(row.shape.id).or_insert_with(|| {
                        this.shapes.push(&row.shape);
                        this.shapes.len() - 1
                    })
                },
                |(at, _)| *at,
            );
            this.rows.push((at, row));
            this.values.push(&row.values);
        }
        this
    }

    /// Positions of one series in each shape.
    pub(crate) fn positions(&self, series: SeriesRef, positions: &mut Vec<Option<usize>>) {
        positions.clear();
        positions.extend(self.shapes.iter().map(|shape| shape.position(series)));
    }

    /// Adds the values of the series that `positions` belongs to, oldest first.
    pub(crate) fn values(&self, positions: &[Option<usize>], out: &mut Vec<f64>) {
        match positions {
            // Mostly all rows are alike.
            [Some(position)] => {
                // Every row of a shape has as many values as that.
                let value = |row: &&[f64]| row.get(*position).copied().unwrap_or_default();
                out.extend(self.values.iter().map(value));
            }
            _ => out.extend(self.samples(positions).map(|(_, value)| value)),
        }
    }

    /// Samples of the series that `positions` belongs to, oldest first.
    pub(crate) fn samples<'b>(
        &'b self,
        positions: &'b [Option<usize>],
    ) -> impl Iterator<Item = (Timestamp, f64)> + 'b {
        self.rows.iter().filter_map(|(at, row)| {
            let position = positions.get(*at).copied().flatten()?;
            Some((row.time, *row.values.get(position)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::TargetRef;

    #[test]
    fn a_series_is_found_wherever_it_was_committed() {
        let refs: Vec<SeriesRef> = [4, 0, 3, 9]
            .into_iter()
            .map(|slot| reference::make(TargetRef(1), 0, slot))
            .collect();
        let shape = Shape::new(1, refs.clone().into());
        for (at, series) in refs.iter().enumerate() {
            assert_eq!(shape.position(*series), Some(at));
        }
        assert_eq!(shape.position(reference::make(TargetRef(1), 1, 3)), None);
        assert_eq!(shape.position(reference::make(TargetRef(2), 0, 3)), None);
    }
}
