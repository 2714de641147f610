//! Types, as Prometheus checks them: what may stand where.

use model::labels::METRIC_NAME;

use super::Parser;
use crate::ast::{Aggregate, Binary, Expr, Kind, Matching, Selector, Type};
use crate::error::Mistake;
use crate::filter;
use crate::functions::{Function, Run};
use crate::span::Span;

impl Parser<'_> {
    fn expect_type(&self, expr: &Expr, wanted: Type, place: &str) -> Result<(), Mistake> {
        let found = expr.returns();
        if found == wanted {
            return Ok(());
        }
        let message = format!(
            "expected type {} in {place}, got {}",
            wanted.words(),
            found.words()
        );
        Err(self.fail(expr.span, message))
    }

    pub(super) fn checked_unary(&self, expr: &Expr) -> Result<(), Mistake> {
        match expr.returns() {
            Type::Scalar | Type::Vector => Ok(()),
            other => {
                let message = format!(
                    "unary expression only allowed on expressions of type scalar or instant vector, got {:?}",
                    other.words()
                );
                Err(self.fail(expr.span, message))
            }
        }
    }

    pub(super) fn checked_binary(&self, mut binary: Binary, op_span: Span) -> Result<Binary, Mistake> {
        let (left, right) = (binary.left.returns(), binary.right.returns());
        for (side, found) in [(&binary.left, left), (&binary.right, right)] {
            if !matches!(found, Type::Scalar | Type::Vector) {
                let message = "binary expression must contain only scalar and instant vector types";
                return Err(self.fail(side.span, message));
            }
        }
        let vectors = left == Type::Vector && right == Type::Vector;
        if binary.op.is_set() && !vectors {
            let message = format!(
                "set operator {:?} not allowed in binary scalar expression",
                binary.op.text()
            );
            return Err(self.fail(op_span, message));
        }
        let scalars = left == Type::Scalar && right == Type::Scalar;
        if binary.op.is_trim() && scalars {
            let message = format!(
                "operator {:?} not allowed for Scalar operations",
                binary.op.text()
            );
            return Err(self.fail(op_span, message));
        }
        if binary.op.is_comparison() && scalars && !binary.as_bool {
            return Err(self.fail(op_span, "comparisons between scalars must use BOOL modifier"));
        }
        binary.matching = match binary.matching.take() {
            matching if vectors => Some(matching.unwrap_or_default()),
            Some(Matching { fill, .. }) if fill.is_set() => {
                let message = "filling in missing series only allowed between instant vectors";
                return Err(self.fail(op_span, message));
            }
            Some(Matching { labels, .. }) if !labels.is_empty() => {
                return Err(self.fail(op_span, "vector matching only allowed between instant vectors"));
            }
            _ => None,
        };
        Ok(binary)
    }

    pub(super) fn checked_subquery(&self, expr: &Expr, span: Span) -> Result<(), Mistake> {
        match expr.returns() {
            Type::Vector => Ok(()),
            other => {
                let message = format!(
                    "subquery is only allowed on instant vector, got {} instead",
                    other.words()
                );
                Err(self.fail(span, message))
            }
        }
    }

    pub(super) fn checked_aggregate(&self, aggregate: &Aggregate) -> Result<(), Mistake> {
        self.expect_type(&aggregate.expr, Type::Vector, "aggregation expression")?;
        match (&aggregate.param, aggregate.op.param()) {
            (Some(param), Some(wanted)) => self.expect_type(param, wanted, "aggregation parameter"),
            _ => Ok(()),
        }
    }

    pub(super) fn checked_call(&self, function: &Function, args: &[Expr], span: Span) -> Result<(), Mistake> {
        let (least, most) = function.arguments();
        let (name, count) = (function.name, args.len());
        let message = if least == most && count != least {
            format!("expected {least} argument(s) in call to {name:?}, got {count}")
        } else if count < least {
            format!("expected at least {least} argument(s) in call to {name:?}, got {count}")
        } else if count > most {
            format!("expected at most {most} argument(s) in call to {name:?}, got {count}")
        } else {
            let place = format!("call to function {name:?}");
            let last = function.args.last().copied().unwrap_or(Type::Scalar);
            for (nth, arg) in args.iter().enumerate() {
                let wanted = function.args.get(nth).copied().unwrap_or(last);
                self.expect_type(arg, wanted, &place)?;
            }
            return match args.get(1) {
                Some(labels) if matches!(function.run, Run::Info) => self.checked_labels(labels),
                _ => Ok(()),
            };
        };
        Err(self.fail(span, message))
    }

    /// The second argument of `info`: braces alone.
    fn checked_labels(&self, expr: &Expr) -> Result<(), Mistake> {
        let message = match &expr.kind {
            Kind::Selector(_) if expr.span.of(self.text).starts_with('{') => return Ok(()),
            Kind::Selector(_) => "expected label selectors only, got vector selector instead",
            _ => "expected label selectors only",
        };
        Err(self.fail(expr.span, message))
    }

    /// A selector that would match everything is more likely a slip than a wish.
    pub(super) fn checked_selector(&self, selector: &Selector, span: Span) -> Result<(), Mistake> {
        if let Some(name) = &selector.name {
            let twice = selector
                .matchers
                .iter()
                .find(|matcher| &*matcher.name == METRIC_NAME);
            return match twice {
                None => Ok(()),
                Some(matcher) => {
                    let message = format!(
                        "metric name must not be set twice: {name:?} or {:?}",
                        matcher.value
                    );
                    Err(self.fail(span, message))
                }
            };
        }
        if selector.matchers.iter().all(filter::accepts_nothing) {
            let message = "vector selector must contain at least one non-empty matcher";
            return Err(self.fail(span, message));
        }
        Ok(())
    }
}
