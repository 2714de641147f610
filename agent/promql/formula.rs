//! Durations that are computed: `x[2 * step()]`, `x offset (1h - 5m)`.
//!
//! The parser works out what they give in an instant query. Where `step()` or `range()` stand in one, each
//! query works it out again.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use model::text;

use crate::ast::{Expr, Kind as ExprKind, Op};
use crate::bounds::Bounds;
use crate::span::Span;

/// More seconds do not fit 64 bits of nanoseconds, which is Prometheus' limit.
const SECONDS_MAX: f64 = 9_223_372_036.0;

/// An arithmetic expression that gives a duration.
#[derive(Clone, Debug)]
pub struct Formula {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
    /// Levels from here down; bounded by the parser.
    height: u16,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Seconds, written without a unit.
    Number(f64),
    /// Milliseconds, written with one.
    Duration(i64),
    Step,
    Range,
    Negative(Box<Formula>),
    /// `+(…)`, where it matters: an offset ends behind it, but not behind parentheses alone.
    Positive(Box<Formula>),
    Paren(Box<Formula>),
    /// By one of the arithmetic operators.
    Binary(Op, Box<(Formula, Formula)>),
    Least(Box<(Formula, Formula)>),
    Most(Box<(Formula, Formula)>),
}

/// The formulas of a selector or subquery; none where a plain duration is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Formulas {
    pub range: Option<Formula>,
    pub step: Option<Formula>,
    pub offset: Option<Formula>,
}

/// What is wrong with a duration, and where.
pub(crate) type Wrong = (Span, &'static str);

/// The wording is Prometheus'.
pub(crate) const NOT_POSITIVE: &str = "duration must be greater than 0";
pub(crate) const OUT_OF_RANGE: &str = "duration out of range";
pub(crate) const DIVISION_BY_ZERO: &str = "division by zero";
pub(crate) const MODULO_BY_ZERO: &str = "modulo by zero";

impl Formula {
    pub(crate) fn new(kind: Kind, span: Span) -> Self {
        let below = match &kind {
            Kind::Number(_) | Kind::Duration(_) | Kind::Step | Kind::Range => 0,
            Kind::Negative(inner) | Kind::Positive(inner) | Kind::Paren(inner) => inner.height,
            Kind::Binary(_, sides) | Kind::Least(sides) | Kind::Most(sides) => {
                sides.0.height.max(sides.1.height)
            }
        };
        let height = below.saturating_add(1);
        Self { kind, span, height }
    }

    pub(crate) fn height(&self) -> u16 {
        self.height
    }

    /// Whether it gives something else in every query.
    pub(crate) fn is_of_query(&self) -> bool {
        match &self.kind {
            Kind::Number(_) | Kind::Duration(_) => false,
            Kind::Step | Kind::Range => true,
            Kind::Negative(inner) | Kind::Positive(inner) | Kind::Paren(inner) => inner.is_of_query(),
            Kind::Binary(_, sides) | Kind::Least(sides) | Kind::Most(sides) => {
                sides.0.is_of_query() || sides.1.is_of_query()
            }
        }
    }

    /// A range or step: more than nothing.
    pub(crate) fn length(&self, bounds: Bounds) -> Result<Duration, Wrong> {
        match self.millis(bounds)? {
            millis if millis > 0 => Ok(Duration::from_millis(millis.unsigned_abs())),
            _ => Err((self.span, NOT_POSITIVE)),
        }
    }

    /// An offset, of whole milliseconds: what is less is cut.
    pub(crate) fn millis(&self, bounds: Bounds) -> Result<i64, Wrong> {
        let seconds = self.seconds(bounds)?;
        if !seconds.is_finite() {
            return Err((self.span, "duration is NaN or infinite"));
        }
        if seconds.abs() > SECONDS_MAX {
            return Err((self.span, OUT_OF_RANGE));
        }
        Ok((seconds * 1000.0) as i64)
    }

    fn seconds(&self, bounds: Bounds) -> Result<f64, Wrong> {
        Ok(match &self.kind {
            Kind::Number(seconds) => *seconds,
            Kind::Duration(millis) => *millis as f64 / 1000.0,
            Kind::Step => bounds.step_seconds(),
            Kind::Range => bounds.range_seconds(),
            Kind::Negative(inner) => -inner.seconds(bounds)?,
            Kind::Positive(inner) | Kind::Paren(inner) => inner.seconds(bounds)?,
            Kind::Least(sides) => least(sides.0.seconds(bounds)?, sides.1.seconds(bounds)?),
            Kind::Most(sides) => most(sides.0.seconds(bounds)?, sides.1.seconds(bounds)?),
            Kind::Binary(op, sides) => {
                let (left, right) = (sides.0.seconds(bounds)?, sides.1.seconds(bounds)?);
                match op {
                    Op::Div if right == 0.0 => return Err((sides.1.span, DIVISION_BY_ZERO)),
                    Op::Mod if right == 0.0 => return Err((sides.1.span, MODULO_BY_ZERO)),
                    op => crate::eval::computed(*op, left, right),
                }
            }
        })
    }
}

/// The smaller number; NaN if one is NaN, but for negative infinity, below which there is nothing.
pub(crate) fn least(left: f64, right: f64) -> f64 {
    if left == f64::NEG_INFINITY || right == f64::NEG_INFINITY {
        return f64::NEG_INFINITY;
    }
    if left.is_nan() || right.is_nan() {
        return f64::NAN;
    }
    left.min(right)
}

/// The greater number; NaN if one is NaN, but for infinity, above which there is nothing.
pub(crate) fn most(left: f64, right: f64) -> f64 {
    -least(-left, -right)
}

impl Expr {
    /// Whether a duration in it is not the same in every query.
    pub(crate) fn has_durations_of_query(&self) -> bool {
        let mut found = false;
        self.walk(&mut |node| {
            let formulas = match &node.kind {
                ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => {
                    selector.formulas.as_deref()
                }
                ExprKind::Subquery(subquery) => subquery.formulas.as_deref(),
                _ => None,
            };
            found |= formulas.is_some_and(|formulas| {
                let all = [&formulas.range, &formulas.step, &formulas.offset];
                all.into_iter().flatten().any(Formula::is_of_query)
            });
        });
        found
    }

    /// Works out all durations for one query.
    pub(crate) fn work_out_durations(&mut self, bounds: Bounds) -> Result<(), Wrong> {
        match &mut self.kind {
            ExprKind::Selector(selector) => selector.offset_by_formula(bounds)?,
            ExprKind::Range { selector, range } => {
                selector.offset_by_formula(bounds)?;
                if let Some(formula) = selector.formulas.as_ref().and_then(|all| all.range.as_ref()) {
                    *range = formula.length(bounds)?;
                }
            }
            ExprKind::Subquery(subquery) => subquery.work_out(bounds)?,
            _ => {}
        }
        let mut result = Ok(());
        self.kind.each_child_mut(&mut |child| {
            if result.is_ok() {
                result = child.work_out_durations(bounds);
            }
        });
        result
    }
}

impl crate::ast::Selector {
    fn offset_by_formula(&mut self, bounds: Bounds) -> Result<(), Wrong> {
        if let Some(formula) = self.formulas.as_ref().and_then(|all| all.offset.as_ref()) {
            self.when.offset = formula.millis(bounds)?;
        }
        Ok(())
    }
}

impl crate::ast::Subquery {
    fn work_out(&mut self, bounds: Bounds) -> Result<(), Wrong> {
        let Some(formulas) = &self.formulas else {
            return Ok(());
        };
        if let Some(formula) = &formulas.range {
            self.range = formula.length(bounds)?;
        }
        if let Some(formula) = &formulas.step {
            self.step = Some(formula.length(bounds)?);
        }
        if let Some(formula) = &formulas.offset {
            self.when.offset = formula.millis(bounds)?;
        }
        Ok(())
    }
}

impl PartialEq for Formula {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Number(seconds) => f.write_str(&text::float::api(*seconds)),
            Kind::Duration(millis) => {
                let sign = if *millis < 0 { "-" } else { "" };
                let length = Duration::from_millis(millis.unsigned_abs());
                write!(f, "{sign}{}", text::duration::short(length))
            }
            Kind::Step => f.write_str("step()"),
            Kind::Range => f.write_str("range()"),
            Kind::Negative(inner) => {
                f.write_char('-')?;
                inner.fmt(f)
            }
            Kind::Positive(inner) => write!(f, "+{inner}"),
            Kind::Paren(inner) => write!(f, "({inner})"),
            Kind::Binary(op, sides) => write!(f, "{} {} {}", sides.0, op.text(), sides.1),
            Kind::Least(sides) => write!(f, "min_of({}, {})", sides.0, sides.1),
            Kind::Most(sides) => write!(f, "max_of({}, {})", sides.0, sides.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worked_out(text: &str, step: u64) -> Result<String, Wrong> {
        let mut expr = crate::parse(text).unwrap();
        expr.work_out_durations(Bounds {
            start: model::Timestamp(0),
            end: model::Timestamp(3_600_000),
            step: Duration::from_secs(step),
        })?;
        Ok(match &expr.kind {
            ExprKind::Range { range, .. } => format!("{range:?}"),
            ExprKind::Selector(selector) => format!("{}", selector.when.offset),
            ExprKind::Subquery(subquery) => format!("{:?} {:?}", subquery.range, subquery.step),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn a_query_says_how_long_its_steps_are() {
        for (text, wanted) in [
            ("x[step() + 1ms]", "15.001s"),
            ("x[range() / 4]", "900s"),
            ("x[max_of(min_of(step(), 10s), 2)]", "10s"),
            ("x offset -step()", "-15000"),
            ("x offset (step() ^ 2 % 60)", "45000"),
            ("x[2 * step():step() / 3]", "30s Some(5s)"),
        ] {
            assert_eq!(worked_out(text, 15).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_in_a_query_is_refused_by_it() {
        for (text, wanted) in [
            ("x[step()]", NOT_POSITIVE),
            ("x[1m / step()]", DIVISION_BY_ZERO),
            ("x[1m % step()]", MODULO_BY_ZERO),
            ("x[1m:step()]", NOT_POSITIVE),
            ("x offset ((step() - 1) ^ 0.5)", "duration is NaN or infinite"),
            ("x offset (1y * 300 * range())", OUT_OF_RANGE),
        ] {
            assert_eq!(
                worked_out(text, 0).map_err(|(_, what)| what),
                Err(wanted),
                "{text}"
            );
        }
    }
}
