//! How near an expression is to being true: the worst series now, against the number it is compared with.

use std::time::Duration;

use model::view::Headroom;
use model::{Labels, Timestamp};

use crate::ast::{Expr, Kind, Op};
use crate::bounds::Bounds;
use crate::constant::{constant, swapped};
use crate::engine::{Engine, Options};
use crate::error::QueryError;
use crate::eval::{Eval, Steps};
use crate::value::{MatrixSeries, Value};

/// Beyond this, how far past the threshold something is no longer matters.
const SHARE_MAX: f64 = 10.0;

impl Engine {
    /// For expressions that are, within parentheses, `and` and `unless`, a comparison of a vector with a
    /// number. None for all others, without data, and when the query fails.
    #[must_use]
    pub fn headroom(&self, expr: &str, time: Timestamp) -> Option<Headroom> {
        let bounds = Bounds::at(time);
        let mut compared = (*self.parsed(expr, bounds).ok()?).clone();
        let (op, threshold) = opened(&mut compared)?;
        let query = self.query(expr, self.options(), bounds);
        let value = Eval::new(&query, Steps::once(time)).finished(&compared).ok()?;
        let grid = value.into_grid();
        let rows = grid
            .rows()
            .filter_map(|(head, cells)| Some((head, *cells.first()?)));
        let (head, value) = rows
            .filter(|(_, value)| !value.is_nan())
            .min_by(|(_, one), (_, two)| {
                distance(op, *one, threshold).total_cmp(&distance(op, *two, threshold))
            })?;
        Some(Headroom {
            labels: Labels::without_name(&head.labels),
            value,
            op: op.text(),
            threshold,
            share: share(op, value, threshold),
        })
    }

    /// The values that an alert's expression compares with a number, over time, whether they are past it or not; of
    /// expressions without such a comparison what they give themselves.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn compared(
        &self,
        expr: &str,
        times: (Timestamp, Timestamp),
        step: Duration,
        options: &Options,
    ) -> Result<Vec<MatrixSeries>, QueryError> {
        let mut compared = (*self.parsed(expr, Bounds::at(times.1))?).clone();
        let compared = match opened(&mut compared) {
            Some(_) => compared.to_string(),
            None => expr.to_owned(),
        };
        let outcome = self.range_with(&compared, times, step, options)?;
        Ok(match outcome.value {
            Value::Matrix(series) => series,
            _ => Vec::new(),
        })
    }
}

/// Replaces the comparison in `expr` by its vector, so that all series come through, and returns what it was.
fn opened(expr: &mut Expr) -> Option<(Op, f64)> {
    let Kind::Binary(binary) = &mut expr.kind else {
        return match &mut expr.kind {
            Kind::Paren(inner) => opened(inner),
            _ => None,
        };
    };
    match binary.op {
        Op::Unless => opened(&mut binary.left),
        Op::And => opened(&mut binary.left).or_else(|| {
            // `and` gives the values of its left side; the comparison's are wanted.
            std::mem::swap(&mut binary.left, &mut binary.right);
            opened(&mut binary.left)
        }),
        op if op.is_comparison() && !binary.as_bool => {
            let (op, threshold, vector) = match (constant(&binary.left), constant(&binary.right)) {
                (None, Some(threshold)) => (op, threshold, &binary.left),
                (Some(threshold), None) => (swapped(op), threshold, &binary.right),
                _ => return None,
            };
            *expr = vector.clone();
            Some((op, threshold))
        }
        _ => None,
    }
}

/// Smaller is nearer to being true.
pub(crate) fn distance(op: Op, value: f64, threshold: f64) -> f64 {
    match op {
        Op::Gt | Op::Ge => -value,
        Op::Lt | Op::Le => value,
        Op::Ne => -(value - threshold).abs(),
        _ => (value - threshold).abs(),
    }
}

/// 1 at the threshold, more past it; none where "how much of it" makes no sense.
fn share(op: Op, value: f64, threshold: f64) -> Option<f64> {
    // `v < t` is `-v > -t`.
    let (value, threshold) = match op {
        Op::Gt | Op::Ge => (value, threshold),
        Op::Lt | Op::Le => (-value, -threshold),
        _ => return None,
    };
    let share = if threshold > 0.0 {
        value.max(0.0) / threshold
    } else if threshold < 0.0 && value < 0.0 {
        threshold / value
    } else if threshold < 0.0 {
        SHARE_MAX
    } else {
        return None;
    };
    Some(share.min(SHARE_MAX))
}

#[cfg(test)]
mod tests {
    use model::Sample;

    use super::*;
    use crate::script::{Memory, line};

    fn engine(lines: &[&str]) -> Engine {
        let memory = Memory::shared();
        for text in lines {
            let (labels, items) = line(text).unwrap();
            memory.add_items(&labels, &items, Timestamp(0), std::time::Duration::from_secs(60));
        }
        Engine::new(memory, Options::default())
    }

    fn of(expr: &str) -> Option<(String, f64, &'static str, f64, Option<f64>)> {
        let lines = [
            "free{d=\"a\"} 40",
            "free{d=\"b\"} 25",
            "free{d=\"c\"} NaN",
            "ro{d=\"b\"} 1",
            "cpu 90",
        ];
        let found = engine(&lines).headroom(expr, Timestamp(0))?;
        Some((
            found.labels.to_string(),
            found.value,
            found.op,
            found.threshold,
            found.share,
        ))
    }

    #[test]
    fn the_worst_series_is_the_nearest() {
        assert_eq!(
            of("free < 10"),
            Some(("{d=\"b\"}".to_owned(), 25.0, "<", 10.0, Some(0.4)))
        );
        assert_eq!(of("10 > free"), of("free < 10"));
        assert_eq!(
            of("(cpu > 0.9 * 100)"),
            Some(("{}".to_owned(), 90.0, ">", 90.0, Some(1.0)))
        );
    }

    #[test]
    fn conditions_beside_the_comparison_count() {
        assert_eq!(of("free < 10 unless on (d) ro").map(|found| found.1), Some(40.0));
        assert_eq!(of("ro and on (d) (free < 10)").map(|found| found.1), Some(25.0));
        assert_eq!(
            of("free < 10 and on (d) ro == 1").map(|found| found.1),
            Some(25.0)
        );
        assert_eq!(of("free < 10 and on (d) ro == 2"), None);
    }

    #[test]
    fn what_is_compared_has_a_course_also_before_it_is_past_the_threshold() {
        let engine = engine(&["free{d=\"a\"} 40 30 20 5", "free{d=\"b\"} 50 50 50 50"]);
        let end = Timestamp(180_000);
        let course = |expr: &str| {
            let series = engine.compared(
                expr,
                (Timestamp(0), end),
                Duration::from_secs(60),
                engine.options(),
            );
            let series = series.unwrap().into_iter();
            let values = |series: MatrixSeries| series.points.iter().map(|point| point.value).collect();
            series.map(values).collect::<Vec<Vec<f64>>>()
        };
        assert_eq!(
            course("free < 10"),
            [[40.0, 30.0, 20.0, 5.0], [50.0, 50.0, 50.0, 50.0]]
        );
        assert_eq!(course("(free and free) > free + 1"), Vec::<Vec<f64>>::new());
        assert_eq!(course("free{d=\"a\"} * 2"), [[80.0, 60.0, 40.0, 10.0]]);
    }

    #[test]
    fn other_expressions_have_none() {
        for expr in [
            "free",
            "free < bool 10",
            "free < cpu",
            "absent(free)",
            "1 + 1",
            "none > 1",
            "free <",
        ] {
            assert_eq!(of(expr), None, "{expr}");
        }
        assert_eq!(of("cpu == 80").and_then(|found| found.4), None);
    }

    #[test]
    fn zero_and_below_have_a_share_that_is_bounded() {
        let memory = Memory::shared();
        let labels = Labels::from_pairs([("__name__", "up")]);
        memory.add(
            &labels,
            [Sample {
                time: Timestamp(0),
                value: 0.0,
            }],
        );
        let engine = Engine::new(memory, Options::default());
        let share = |expr: &str| engine.headroom(expr, Timestamp(0)).and_then(|found| found.share);
        assert_eq!(share("up < 1"), Some(SHARE_MAX));
        assert_eq!(share("up > 0"), None);
        assert_eq!(share("up > 5"), Some(0.0));
    }
}
