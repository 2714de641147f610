//! Takes the compared value out of a rule's expression: `a / b` of `a / b > 0.9 and on () c`.

use promql::{Kind, parse};

/// The side of the first comparison that is not a plain number; nothing when the rule compares nothing.
pub(super) fn compared(expr: &str) -> Option<String> {
    let tree = parse(expr).ok()?;
    let mut at = tree.bare();
    while let Kind::Binary(binary) = &at.kind {
        if binary.op.is_comparison() {
            let plain = matches!(binary.left.bare().kind, Kind::Number(_));
            let side = if plain { &binary.right } else { &binary.left };
            return Some(side.span.of(expr).to_owned());
        }
        if !binary.op.is_set() {
            return None;
        }
        at = binary.left.bare();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compared_value_is_what_stands_beside_the_limit() {
        for (expr, value) in [
            ("a / b > 0.9", Some("a / b")),
            (
                "1 - (a{x=\"<\"} / b) >= bool 0.9 and c > 1",
                Some("1 - (a{x=\"<\"} / b)"),
            ),
            ("up == 0", Some("up")),
            ("((up) == 0)", Some("(up)")),
            ("0.9 < a", Some("a")),
            ("absent(up)", None),
            ("a and b > 1", None),
            ("sum(a > 1)", None),
            ("((", None),
            ("", None),
        ] {
            assert_eq!(compared(expr).as_deref(), value, "{expr}");
        }
    }
}
