//! `histogram_quantiles`: several quantiles of classic histograms, told apart by a label.

use super::Eval;
use super::grid::{Grid, HOLE, Head};
use super::merge::{Meeting, merged};
use crate::ast::{Expr, Kind};
use crate::error::QueryError;

impl Eval<'_> {
    pub(super) fn histogram_quantiles(
        self,
        (args, scalars): (&[Expr], &[Vec<f64>]),
        (arg, grid): (&Expr, &Grid),
    ) -> Result<Grid, QueryError> {
        let label = match args.get(1).map(|arg| &arg.bare().kind) {
            Some(Kind::Text(label)) if !label.is_empty() => label,
            _ => return Err(QueryError::Execution("invalid label name \"\"".to_owned())),
        };
        let mut all = Grid::new(self.steps.count);
        for (column, written) in scalars.iter().zip(args.iter().skip(2)) {
            for q in distinct(column) {
                let same = vec![q; self.steps.count];
                let found = self.histogram_quantile((written, &same), (arg, grid))?;
                for (head, cells) in found.rows() {
                    let meant = |wanted: &f64| wanted.to_bits() == q.to_bits();
                    let cells = cells.iter().zip(column);
                    let cells = cells.map(|(cell, wanted)| if meant(wanted) { *cell } else { HOLE });
                    all.push(named(head, label, q), cells);
                }
            }
        }
        merged(all, self.query.names(), Meeting::Allowed)
    }
}

/// The quantiles asked for at any step, each once.
fn distinct(column: &[f64]) -> Vec<f64> {
    let mut found: Vec<f64> = Vec::new();
    for q in column {
        if !found.iter().any(|known| known.to_bits() == q.to_bits()) {
            found.push(*q);
        }
    }
    found
}

fn named(head: &Head, label: &str, q: f64) -> Head {
    let mut text = model::text::float::go(q);
    if q.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    let mut labels = head.labels.to_builder();
    labels.set(label, &text);
    Head {
        labels: labels.build(),
        nameless: head.nameless,
    }
}
