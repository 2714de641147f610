//! What an expression gave against what a test expects of it.

use std::cmp::Ordering;

use model::Labels;
use model::text::float::go;

/// A sentence for each difference; the order of both sides means nothing.
pub(super) fn differences(
    mut expected: Vec<(Labels, f64)>,
    mut got: Vec<(Labels, f64)>,
    fuzzy: bool,
) -> Vec<String> {
    let by_labels = |one: &(Labels, f64), other: &(Labels, f64)| one.0.cmp(&other.0);
    expected.sort_by(by_labels);
    got.sort_by(by_labels);
    let mut differences = Vec::new();
    let (mut expected, mut got) = (expected.iter().peekable(), got.iter().peekable());
    loop {
        let order = match (expected.peek(), got.peek()) {
            (None, None) => return differences,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => by_labels(one, other),
        };
        let wanted = expected.next_if(|_| order.is_le());
        let found = got.next_if(|_| order.is_ge());
        differences.extend(difference(wanted, found, fuzzy));
    }
}

fn difference(wanted: Option<&(Labels, f64)>, found: Option<&(Labels, f64)>, fuzzy: bool) -> Option<String> {
    match (wanted, found) {
        (Some((labels, wanted)), Some((_, found))) if !equals(*wanted, *found, fuzzy) => {
            let hint = if wanted.is_nan() && found.is_nan() {
                "; NaN equals nothing here, as in promtool: ask whether x != x"
            } else {
                ""
            };
            Some(format!(
                "{labels}: expected {}, got {}{hint}",
                go(*wanted),
                go(*found)
            ))
        }
        (Some((labels, wanted)), None) => Some(format!("{labels}: expected {}, got nothing", go(*wanted))),
        (None, Some((labels, found))) => Some(format!("{labels}: expected nothing, got {}", go(*found))),
        _ => None,
    }
}

fn equals(wanted: f64, found: f64, fuzzy: bool) -> bool {
    wanted == found || fuzzy && (wanted.next_up() == found || wanted.next_down() == found)
}

#[cfg(test)]
mod tests {
    use promql::script::labels;

    use super::*;

    fn side(samples: &[(&str, f64)]) -> Vec<(Labels, f64)> {
        let samples = samples.iter();
        samples
            .map(|(text, value)| (labels(text).unwrap(), *value))
            .collect()
    }

    #[test]
    fn every_difference_is_said() {
        let expected = side(&[("b", 1.0), ("a{x=\"1\"}", 2.0), ("c", 3.0)]);
        assert_eq!(differences(expected.clone(), expected.clone(), false), [""; 0]);
        let got = side(&[("c", 4.0), ("b", 1.0), ("d", 5.0)]);
        assert_eq!(
            differences(expected, got, false),
            [
                "a{x=\"1\"}: expected 2, got nothing",
                "c: expected 3, got 4",
                "d: expected nothing, got 5",
            ]
        );
    }

    #[test]
    fn the_same_labels_twice_are_two() {
        let twice = side(&[("a", 1.0), ("a", 1.0)]);
        assert_eq!(
            differences(twice, side(&[("a", 1.0)]), false),
            ["a: expected 1, got nothing"]
        );
    }

    #[test]
    fn fuzzy_is_one_step_of_a_double() {
        let next = 3.0_f64.next_up();
        assert!(!equals(3.0, next, false) && equals(3.0, next, true) && !equals(3.0, next.next_up(), true));
        assert!(!equals(f64::NAN, f64::NAN, true));
        assert!(differences(side(&[("a", f64::NAN)]), side(&[("a", f64::NAN)]), false)[0].contains("x != x"));
    }
}
