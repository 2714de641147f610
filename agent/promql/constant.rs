//! Expressions that are a number whatever the samples say.

use crate::ast::{Expr, Kind, Op};
use crate::eval::computed;
use crate::functions::Run;

/// The number, if it is one.
pub(crate) fn constant(expr: &Expr) -> Option<f64> {
    match &expr.kind {
        Kind::Number(number) => Some(*number),
        Kind::Paren(inner) => constant(inner),
        Kind::Unary { negative, expr } => {
            constant(expr).map(|number| if *negative { -number } else { number })
        }
        Kind::Binary(binary) => Some(computed(
            binary.op,
            constant(&binary.left)?,
            constant(&binary.right)?,
        )),
        Kind::Call { function, .. } if matches!(function.run, Run::Pi) => Some(std::f64::consts::PI),
        _ => None,
    }
}

/// The comparison that says the same with its sides swapped.
pub(crate) fn swapped(op: Op) -> Op {
    match op {
        Op::Lt => Op::Gt,
        Op::Le => Op::Ge,
        Op::Gt => Op::Lt,
        Op::Ge => Op::Le,
        same => same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_of_numbers_is_a_number() {
        let number = |text: &str| constant(&crate::parse(text).unwrap());
        assert_eq!(number("-(2 * 60) + 1h"), Some(3480.0));
        assert_eq!(number("time() - 60"), None);
        assert_eq!(number("up"), None);
    }
}
