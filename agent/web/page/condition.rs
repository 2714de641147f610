//! What a rule compares: the value, what it counts, and the number where it begins to be true.

use model::view::{Headroom, Rule};
use promql::{Expr, Kind, Op, parse};

use super::unit::Unit;
use super::words;

/// The comparison of a rule, as far as it is one of a vector with a number.
pub(super) struct Condition {
    /// Text of what is compared; empty when the expression is not understood.
    pub(super) value: String,
    pub(super) unit: Unit,
    pub(super) limit: Option<(&'static str, f64)>,
}

impl Condition {
    /// Of the value that an alert of this rule carries: what stands leftmost.
    pub(super) fn of(rule: &Rule) -> Self {
        read(&rule.expr, |expr| Some(leftmost(expr)))
    }

    /// Of the comparison whose nearness is told; `and` may have put it further right.
    pub(super) fn near(rule: &Rule) -> Self {
        read(&rule.expr, first_comparison)
    }

    /// How full of 1 something is when the rule begins to be true: of a value in per cent, of one beside a part of its limit, or
    /// of what is left of it.
    pub(super) fn fill(rule: &Rule) -> Option<f64> {
        let tree = parse(&rule.expr).ok()?;
        let Kind::Binary(binary) = &first_comparison(&tree)?.kind else {
            return None;
        };
        let part = match (number(&binary.right), &binary.right.bare().kind) {
            (Some(percent), _) => percent / 100.0,
            (None, Kind::Binary(product)) if product.op == Op::Mul => {
                number(&product.left).or_else(|| number(&product.right))?
            }
            (None, _) => 1.0,
        };
        match binary.op {
            Op::Gt | Op::Ge => Some(part),
            Op::Lt | Op::Le => Some(1.0 - part),
            _ => None,
        }
    }

    /// Where the line of a graph crosses, and what happens there.
    pub(super) fn threshold(&self) -> Option<(f64, String)> {
        let (_, limit) = self.limit?;
        Some((limit, format!("fires {}", self.fires()?)))
    }

    pub(super) fn write(&self, value: f64) -> String {
        self.unit.write(value)
    }

    /// `above 90 %`.
    pub(super) fn fires(&self) -> Option<String> {
        self.limit
            .map(|(op, limit)| words::condition(op, &self.write(limit)))
    }
}

/// `81 %` and `90 %` of one rule's nearest series.
pub(super) fn figures(rule: &Rule, headroom: &Headroom) -> (String, String) {
    let condition = Condition::near(rule);
    (
        condition.write(headroom.value),
        condition.write(headroom.threshold),
    )
}

fn read(text: &str, find: impl Fn(&Expr) -> Option<&Expr>) -> Condition {
    let nothing = Condition {
        value: String::new(),
        unit: Unit::Plain,
        limit: None,
    };
    let Ok(tree) = parse(text) else { return nothing };
    let Some(found) = find(&tree) else { return nothing };
    let (value, limit) = sides(found);
    // `absent` says that nothing is there, so there is nothing to draw.
    let absent = matches!(&value.kind, Kind::Call { function, .. } if function.name.starts_with("absent"));
    Condition {
        value: if absent {
            String::new()
        } else {
            value.span.of(text).to_owned()
        },
        unit: Unit::of(value, limit.map(|(_, limit)| limit)),
        limit,
    }
}

/// Down the left sides of `and`, `or` and `unless`.
fn leftmost(expr: &Expr) -> &Expr {
    let mut at = expr.bare();
    while let Kind::Binary(binary) = &at.kind {
        if !binary.op.is_set() {
            break;
        }
        at = binary.left.bare();
    }
    at
}

/// The first comparison with a number, left sides first.
fn first_comparison(expr: &Expr) -> Option<&Expr> {
    let expr = expr.bare();
    match &expr.kind {
        Kind::Binary(binary) if binary.op.is_set() => {
            first_comparison(&binary.left).or_else(|| first_comparison(&binary.right))
        }
        Kind::Binary(binary) if binary.op.is_comparison() => Some(expr),
        _ => None,
    }
}

/// The vector of a comparison, and how it must stand to which number.
fn sides(expr: &Expr) -> (&Expr, Option<(&'static str, f64)>) {
    let Kind::Binary(binary) = &expr.kind else {
        return (expr, None);
    };
    if !binary.op.is_comparison() {
        return (expr, None);
    }
    match (number(&binary.left), number(&binary.right)) {
        (_, Some(limit)) => (&binary.left, Some((binary.op.text(), limit))),
        (Some(limit), None) => (&binary.right, Some((swapped(binary.op).text(), limit))),
        (None, None) => (&binary.left, None),
    }
}

fn swapped(op: Op) -> Op {
    match op {
        Op::Lt => Op::Gt,
        Op::Le => Op::Ge,
        Op::Gt => Op::Lt,
        Op::Ge => Op::Le,
        other => other,
    }
}

/// The value of what holds only numbers: `20 * 1024 ^ 3`.
fn number(expr: &Expr) -> Option<f64> {
    match &expr.bare().kind {
        Kind::Number(number) => Some(*number),
        Kind::Unary { negative, expr } => number(expr).map(|number| if *negative { -number } else { number }),
        Kind::Binary(binary) => {
            let (left, right) = (number(&binary.left)?, number(&binary.right)?);
            match binary.op {
                Op::Add => Some(left + right),
                Op::Sub => Some(left - right),
                Op::Mul => Some(left * right),
                Op::Div => Some(left / right),
                Op::Pow => Some(left.powf(right)),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compared_value_is_what_stands_beside_the_limit() {
        for (expr, value, limit) in [
            ("a / b > 0.9", "a / b", Some((">", 0.9))),
            (
                "1 - (a{x=\"<\"} / b) >= bool 0.9 and c > 1",
                "1 - (a{x=\"<\"} / b)",
                Some((">=", 0.9)),
            ),
            ("up == 0", "up", Some(("==", 0.0))),
            ("((up) == 0)", "(up)", Some(("==", 0.0))),
            ("0.9 < a", "a", Some((">", 0.9))),
            ("a < 20 * 1024 ^ 3", "a", Some(("<", 21_474_836_480.0))),
            ("(a > 0.05 and b) or (a < -0.05)", "a", Some((">", 0.05))),
            ("time() - a > 10 * b", "time() - a", None),
            ("a and b > 1", "a", None),
            ("absent(up)", "", None),
            ("sum(a > 1)", "sum(a > 1)", None),
            ("((", "", None),
            ("", "", None),
        ] {
            let found = read(expr, |expr| Some(leftmost(expr)));
            assert_eq!((found.value.as_str(), found.limit), (value, limit), "{expr}");
        }
    }

    #[test]
    fn nearness_is_told_of_the_first_comparison_wherever_it_stands() {
        let found = read(
            "a and predict_linear(b_bytes[1h], 3600) < 0 and c > 1",
            first_comparison,
        );
        assert_eq!(
            (found.value.as_str(), found.unit),
            ("predict_linear(b_bytes[1h], 3600)", Unit::Bytes)
        );
    }
}
