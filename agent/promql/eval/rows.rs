//! Rows that are computed one after the other, for whoever folds them and needs none of them twice: most rules are a sum
//! over a rate, and a vector of the rates would be the largest thing in the query.

use std::sync::Arc;

use super::Eval;
use super::aggregate::Groups;
use super::grid::Grid;
use super::range::{Over, Ranged, Scalars};
use super::select::{self, Lookback};
use crate::ast::{Edges, Expr, Grouping, Kind as ExprKind};
use crate::error::QueryError;
use crate::functions::{Kind, Run};

pub(super) enum Rows<'q> {
    /// Computed already.
    Vector(Grid),
    /// Of an instant selector.
    Looks(Lookback<'q>),
    /// Of a function over a range selector; all are of one metric, so that they stay apart without its name.
    Windows(Over, Ranged<'q>),
}

impl Rows<'_> {
    /// Whether all are of one metric.
    pub(super) fn one_name(&self) -> bool {
        match self {
            Self::Vector(grid) => grid.one_name,
            Self::Looks(found) => found.one_name,
            Self::Windows(..) => true,
        }
    }
}

impl<'q> Eval<'q> {
    /// The rows of an instant vector.
    pub(super) fn rows(self, expr: &Expr) -> Result<Rows<'q>, QueryError> {
        let bare = expr.bare();
        if !self.once_is_enough(bare) {
            self.query.look()?;
            match &bare.kind {
                ExprKind::Selector(selector) if selector.edges != Edges::Smoothed => {
                    return self.lookback(selector).map(Rows::Looks);
                }
                ExprKind::Call { function, args } => {
                    if let Run::OverTime(run, kind) = function.run
                        && let [first, ..] = args.as_slice()
                        && let Some(ranged) = self.range_of(args)?
                    {
                        let over = Over {
                            run: ranged.runs(function, run)?,
                            kind,
                            scalars: self.scalars_of(args)?,
                            span: first.span,
                        };
                        let apart = ranged.one_name && kind != Kind::KeepsName;
                        return match apart && !self.query.names().delayed {
                            true => Ok(Rows::Windows(over, ranged)),
                            false => self.over_time(&over, &ranged).map(Rows::Vector),
                        };
                    }
                }
                _ => {}
            }
        }
        self.vector(expr).map(Rows::Vector)
    }

    /// The range selector among some arguments.
    fn range_of(self, args: &[Expr]) -> Result<Option<Ranged<'q>>, QueryError> {
        let is_range = |arg: &&Expr| matches!(arg.kind, ExprKind::Range { .. });
        args.iter()
            .map(Expr::bare)
            .find(is_range)
            .map(|arg| self.ranged(arg))
            .transpose()
    }

    fn scalars_of(self, args: &[Expr]) -> Result<Scalars, QueryError> {
        let is_range = |arg: &&Expr| !matches!(arg.kind, ExprKind::Range { .. });
        let scalars = args
            .iter()
            .map(Expr::bare)
            .filter(is_range)
            .map(|arg| self.scalar(arg));
        Ok(Scalars::new(
            &scalars.collect::<Result<Vec<_>, _>>()?,
            self.steps.count,
        ))
    }

    /// The groups of all rows there may be.
    pub(super) fn groups(self, rows: &Rows<'_>, grouping: &Grouping) -> Arc<Groups> {
        let nobody = Arc::default();
        let (labels, nameless) = match rows {
            Rows::Vector(grid) => return Groups::seen(grid, grouping, self.query),
            Rows::Looks(found) => (found.series.candidates(), false),
            Rows::Windows(_, ranged) => (ranged.found().map_or(&nobody, |found| found.candidates()), true),
        };
        Groups::of_list(labels, nameless, grouping, self.query)
    }

    /// Calls `visit` with the place of each row among those that have groups, and its cells.
    pub(super) fn each_row(
        self,
        rows: &Rows<'_>,
        mut visit: impl FnMut(usize, &[f64]),
    ) -> Result<(), QueryError> {
        let mut visit = |row: usize, cells: &[f64]| {
            visit(row, cells);
            Ok(())
        };
        match rows {
            Rows::Vector(grid) => {
                self.query.worked(grid.cells())?;
                let mut all = grid.rows().map(|(_, cells)| cells).enumerate();
                all.try_for_each(|(nth, cells)| visit(nth, cells))
            }
            Rows::Looks(found) => self.each_looked_up(found, select::value, visit),
            Rows::Windows(over, ranged) => self.each_over_time(over, ranged, visit),
        }
    }
}
