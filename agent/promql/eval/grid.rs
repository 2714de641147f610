//! Vectors over all steps of a query at once: a row for each series, a cell for each step.

use model::labels::METRIC_NAME;
use model::{Labels, STALE, is_stale};

/// A cell without a value. No computation yields the bits of a stale marker, and selectors give none.
pub(crate) const HOLE: f64 = STALE;

pub(crate) fn is_hole(cell: f64) -> bool {
    is_stale(cell)
}

/// What a row is called.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) labels: Labels,
    /// Its values are no longer the metric's, so the name goes: at once, or at the end ([`Names`]).
    /// Until somebody needs to see the labels, the name is only ignored, which costs nothing.
    pub(crate) nameless: bool,
}

impl Head {
    pub(crate) fn new(labels: Labels) -> Self {
        Self {
            labels,
            nameless: false,
        }
    }
}

/// When the names of changed metrics go: `delayed` is Prometheus' feature of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) delayed: bool,
}

impl Names {
    pub(crate) fn hides(self, head: &Head) -> bool {
        head.nameless && !self.delayed
    }

    /// The labels as the rest of the expression sees them.
    pub(crate) fn labels(self, head: &Head) -> Labels {
        if self.hides(head) {
            unnamed(&head.labels)
        } else {
            head.labels.clone()
        }
    }

    pub(crate) fn value<'h>(self, head: &'h Head, label: &str) -> &'h str {
        if names_metric(label) && self.hides(head) {
            return "";
        }
        head.labels.value(label)
    }
}

/// Whether a label says what metric a series is of: its name, or its type or unit where they are labels.
pub(crate) fn names_metric(label: &str) -> bool {
    matches!(label, METRIC_NAME | "__type__" | "__unit__")
}

/// Whether any label but the name says what metric a series is of.
pub(crate) fn is_typed(labels: &Labels) -> bool {
    // Labels are sorted, and few sort before these.
    let few = labels.iter().take_while(|(label, _)| *label <= "__unit__");
    few.into_iter()
        .any(|(label, _)| label != METRIC_NAME && names_metric(label))
}

/// The labels of something that is no longer that metric.
pub(crate) fn unnamed(labels: &Labels) -> Labels {
    labels.retain(|label| !names_metric(label))
}

/// Rows of equally many cells, none of them all holes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grid {
    steps: usize,
    heads: Vec<Head>,
    cells: Vec<f64>,
    /// Whether all rows are of one metric, so that dropping the name cannot make two rows alike.
    pub(crate) one_name: bool,
}

impl Grid {
    pub(crate) fn new(steps: usize) -> Self {
        Self {
            steps,
            ..Self::default()
        }
    }

    pub(crate) fn with_capacity(steps: usize, rows: usize) -> Self {
        Self {
            steps,
            heads: Vec::with_capacity(rows),
            cells: Vec::with_capacity(rows.saturating_mul(steps)),
            one_name: false,
        }
    }

    /// A single row; none when it is all holes.
    pub(crate) fn of(head: Head, cells: Vec<f64>) -> Self {
        let mut grid = Self::new(cells.len());
        grid.push(head, cells);
        grid.one_name = true;
        grid
    }

    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    pub(crate) fn cells(&self) -> usize {
        self.cells.len()
    }

    pub(crate) fn heads(&self) -> &[Head] {
        &self.heads
    }

    pub(crate) fn heads_mut(&mut self) -> &mut [Head] {
        &mut self.heads
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = (&Head, &[f64])> {
        self.heads.iter().zip(self.cells.chunks_exact(self.steps.max(1)))
    }

    /// Whether any row has a value, for each step.
    pub(crate) fn busy(&self) -> Vec<bool> {
        let mut busy = vec![false; self.steps];
        for (_, cells) in self.rows() {
            for (busy, cell) in busy.iter_mut().zip(cells) {
                *busy |= !is_hole(*cell);
            }
        }
        busy
    }

    pub(crate) fn row(&self, nth: usize) -> &[f64] {
        let start = nth * self.steps;
        self.cells.get(start..start + self.steps).unwrap_or_default()
    }

    /// Appends a row; cells beyond the steps are left out, missing ones are holes.
    pub(crate) fn push(&mut self, head: Head, cells: impl IntoIterator<Item = f64>) {
        let start = self.cells.len();
        self.cells.extend(cells.into_iter().take(self.steps));
        self.cells.resize(start + self.steps, HOLE);
        if self.cells.iter().skip(start).all(|cell| is_hole(*cell)) {
            self.cells.truncate(start);
        } else {
            self.heads.push(head);
        }
    }

    /// Changes values in place; one that becomes `None` is a hole from then on.
    pub(crate) fn map(&mut self, change: impl Fn(usize, f64) -> Option<f64>) {
        let steps = self.steps.max(1);
        let mut holes = false;
        for row in self.cells.chunks_exact_mut(steps) {
            for (step, cell) in row.iter_mut().enumerate() {
                if !is_hole(*cell) {
                    *cell = change(step, *cell).unwrap_or(HOLE);
                    holes |= is_hole(*cell);
                }
            }
        }
        if holes {
            self.drop_empty_rows();
        }
    }

    /// The same rows, with the name of each dropped.
    pub(crate) fn nameless(mut self) -> Self {
        self.heads.iter_mut().for_each(|head| head.nameless = true);
        self
    }

    /// The rows in another order; rows not named in `order` are left out.
    pub(crate) fn in_order(self, order: impl IntoIterator<Item = usize>) -> Self {
        let mut sorted = Self::with_capacity(self.steps, self.len());
        sorted.one_name = self.one_name;
        for nth in order {
            if let Some(head) = self.heads.get(nth) {
                sorted.push(head.clone(), self.row(nth).iter().copied());
            }
        }
        sorted
    }

    fn drop_empty_rows(&mut self) {
        let kept: Vec<usize> = (0..self.len())
            .filter(|nth| self.row(*nth).iter().any(|cell| !is_hole(*cell)))
            .collect();
        if kept.len() < self.len() {
            *self = std::mem::take(self).in_order(kept);
        }
    }
}
