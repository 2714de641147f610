//! Parts of a range query that are the same at every step are computed once.

use super::grid::Grid;
use super::{Eval, Value};
use crate::ast::{Expr, Kind};
use crate::error::QueryError;
use crate::functions::Run;

impl Eval<'_> {
    /// Whether it pays to compute `expr` for one step and repeat it.
    pub(super) fn once_is_enough(self, expr: &Expr) -> bool {
        // Without an `@` in the text only constants are alike everywhere, and those are cheap.
        self.steps.count > 1
            && !matches!(expr.kind, Kind::Number(_) | Kind::Text(_))
            && self.query.text.contains('@')
            && same_everywhere(expr)
    }

    pub(super) fn spread(self, once: Value) -> Result<Value, QueryError> {
        let count = self.steps.count;
        let grid = match once {
            Value::Text(_) => return Ok(once),
            Value::Scalar(numbers) => {
                let number = numbers.first().copied().unwrap_or(f64::NAN);
                return Ok(Value::Scalar(vec![number; count]));
            }
            Value::Vector(grid) => grid,
        };
        self.query.hold(grid.len().saturating_mul(count))?;
        let mut wide = Grid::with_capacity(count, grid.len());
        wide.one_name = grid.one_name;
        for (head, cells) in grid.rows() {
            self.query.worked(count)?;
            let cell = cells.first().copied();
            wide.push(head.clone(), cell.into_iter().cycle().take(count));
        }
        Ok(Value::Vector(wide))
    }
}

fn same_everywhere(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Number(_) | Kind::Text(_) => true,
        Kind::Selector(selector) | Kind::Range { selector, .. } => selector.when.at.is_some(),
        Kind::Subquery(subquery) => subquery.when.at.is_some(),
        Kind::Unary { expr, .. } | Kind::Paren(expr) => same_everywhere(expr),
        Kind::Binary(binary) => same_everywhere(&binary.left) && same_everywhere(&binary.right),
        Kind::Aggregate(aggregate) => {
            same_everywhere(&aggregate.expr) && aggregate.param.iter().all(same_everywhere)
        }
        Kind::Call { function, args } => {
            let by_the_clock = match function.run {
                Run::Time | Run::Timestamp => true,
                // A date of its argument is as fixed as that; without one it is the step's.
                Run::Date(_) => args.is_empty(),
                _ => function.name == "predict_linear",
            };
            !by_the_clock && args.iter().all(same_everywhere)
        }
    }
}
