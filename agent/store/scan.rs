//! Series read in the order in which they lie, each handed on before the next is read.

use std::ops::ControlFlow;
use std::sync::Arc;

use model::selection::{One, Scan};
use model::{Labels, SelectError};

use crate::picked::{Picked, Spot};
use crate::read::{Reader, View};

/// What of a question is in memory, where no two targets have a series of the same labels.
pub(crate) struct Scanned {
    picked: Arc<Picked>,
    /// What each target held, and how many series of it were picked.
    views: Vec<(Option<View>, usize)>,
    samples_max: usize,
}

impl Scanned {
    pub(crate) fn new(picked: Arc<Picked>, views: Vec<(Option<View>, usize)>, samples_max: usize) -> Self {
        Self {
            picked,
            views,
            samples_max,
        }
    }
}

impl Scan for Scanned {
    fn candidates(&self) -> &Arc<[Labels]> {
        &self.picked.labels
    }

    fn each(&mut self, visit: &mut dyn FnMut(One<'_>) -> ControlFlow<()>) -> Result<(), SelectError> {
        let mut left = self.samples_max;
        let mut rest: &[Spot] = &self.picked.series;
        let mut values = Vec::new();
        let mut columns = 0;
        for (view, count) in &self.views {
            let (series, others) = rest.split_at(*count);
            rest = others;
            let Some(view) = view else { continue };
            let mut reader = Reader::new(view);
            for spot in series {
                values.clear();
                let Some(column) = reader.read(spot.series, &mut values) else {
                    continue;
                };
                let Some(labels) = self.picked.labels.get(spot.place as usize) else {
                    continue;
                };
                left = left.checked_sub(values.len()).ok_or(SelectError::TooMany {
                    limit: self.samples_max,
                })?;
                let one = One {
                    candidate: spot.place as usize,
                    labels,
                    column: columns + column,
                    times: reader.times(column),
                    values: &values,
                    staleness: view.staleness,
                };
                if visit(one).is_break() {
                    return Ok(());
                }
            }
            columns += reader.columns();
        }
        Ok(())
    }
}
