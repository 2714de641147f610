//! Compares an answer with what a script expects.

use model::{Labels, Timestamp};

use super::read::{Check, Times, Wanted};
use super::series::Item;
use crate::value::{MatrixSeries, Outcome, Value, VectorPoint};

/// Relative difference that rounding may make.
const TOLERANCE: f64 = 1e-6;

/// As Prometheus' tests compare: NaN equals NaN, and differences are relative.
pub(super) fn almost_equal(one: f64, two: f64) -> bool {
    if (one.is_nan() && two.is_nan()) || one == two {
        return true;
    }
    let sum = one.abs() + two.abs();
    let difference = (one - two).abs();
    if one == 0.0 || two == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

/// # Errors
/// How the answer differs.
pub(super) fn answer(check: &Check, value: &Value) -> Result<(), String> {
    match (value, &check.string, check.scalar) {
        (Value::String { text, .. }, Some(wanted), _) if text == wanted => Ok(()),
        (Value::String { text, .. }, _, _) => Err(format!("unexpected string {text:?}")),
        (Value::Scalar { value, .. }, None, Some(wanted)) if almost_equal(*value, wanted) => Ok(()),
        (Value::Scalar { value, .. }, _, Some(wanted)) => Err(format!("expected {wanted}, got {value}")),
        (Value::Scalar { value, .. }, _, None) => Err(format!("unexpected scalar {value}")),
        (_, Some(wanted), _) => Err(format!("expected string {wanted:?}, got {value:?}")),
        (_, _, Some(wanted)) => Err(format!("expected scalar {wanted}, got {value:?}")),
        (Value::Vector(points), None, None) => vector(check, points),
        (Value::Matrix(series), None, None) => {
            matrix(&check.series, check.range_vector.unwrap_or(check.span), series)
        }
    }
}

fn vector(check: &Check, points: &[VectorPoint]) -> Result<(), String> {
    if check.range_vector.is_some() {
        return Err("expected a range vector, got an instant vector".to_owned());
    }
    for (nth, point) in points.iter().enumerate() {
        let place = check
            .series
            .iter()
            .position(|(labels, _)| *labels == point.labels);
        let Some((place, (_, items))) = place.and_then(|place| Some((place, check.series.get(place)?)))
        else {
            return Err(format!("unexpected series {} {}", point.labels, point.value));
        };
        if check.ordered && place != nth {
            return Err(format!(
                "expected {} at position {}, got it at {}",
                point.labels,
                place + 1,
                nth + 1
            ));
        }
        match items.first() {
            Some(Item::Value(wanted)) if almost_equal(*wanted, point.value) => {}
            wanted => {
                return Err(format!(
                    "{}: expected {wanted:?}, got {}",
                    point.labels, point.value
                ));
            }
        }
    }
    all_there(&check.series, points.iter().map(|point| &point.labels))
}

fn matrix(wanted: &[(Labels, Vec<Item>)], times: Times, found: &[MatrixSeries]) -> Result<(), String> {
    let step = times.step.unwrap_or_default();
    for series in found {
        let Some((labels, items)) = wanted.iter().find(|(labels, _)| *labels == series.labels) else {
            return Err(format!("unexpected series {} {:?}", series.labels, series.points));
        };
        let moments = (0u32..).map(|nth| times.start + step.saturating_mul(nth));
        let wanted: Vec<(Timestamp, f64)> = moments
            .zip(items)
            .filter_map(|(time, item)| match item {
                Item::Value(value) => Some((time, *value)),
                _ => None,
            })
            .collect();
        let same = wanted.len() == series.points.len()
            && wanted
                .iter()
                .zip(&series.points)
                .all(|((time, value), point)| *time == point.time && almost_equal(*value, point.value));
        if !same {
            let shown = |points: &mut dyn Iterator<Item = (Timestamp, f64)>| {
                let points: Vec<String> = points
                    .map(|(time, value)| format!("{value}@{}", time.seconds()))
                    .collect();
                points.join(" ")
            };
            let got = shown(&mut series.points.iter().map(|point| (point.time, point.value)));
            return Err(format!(
                "{labels}: expected {}, got {got}",
                shown(&mut wanted.into_iter())
            ));
        }
    }
    let busy = wanted
        .iter()
        .filter(|(_, items)| items.iter().any(|item| *item != Item::Missing));
    all_there_of(busy, found.iter().map(|series| &series.labels))
}

fn all_there<'a>(
    wanted: &'a [(Labels, Vec<Item>)],
    found: impl Iterator<Item = &'a Labels> + Clone,
) -> Result<(), String> {
    all_there_of(wanted.iter(), found)
}

fn all_there_of<'a>(
    mut wanted: impl Iterator<Item = &'a (Labels, Vec<Item>)>,
    found: impl Iterator<Item = &'a Labels> + Clone,
) -> Result<(), String> {
    match wanted.find(|(labels, _)| !found.clone().any(|there| there == labels)) {
        Some((labels, items)) => Err(format!("expected series {labels} {items:?} is missing")),
        None => Ok(()),
    }
}

/// # Errors
/// Which annotation is missing or was not asked for.
pub(super) fn annotations(check: &Check, outcome: &Outcome) -> Result<(), String> {
    for (kind, wanted, forbidden, found) in [
        ("warning", &check.warn, check.no_warn, &outcome.warnings),
        ("info", &check.info, check.no_info, &outcome.infos),
    ] {
        if forbidden && !found.is_empty() {
            return Err(format!("unexpected {kind} annotations {found:?}"));
        }
        if let Some(missing) = wanted
            .iter()
            .find(|wanted| !found.iter().any(|text| accepts(wanted, text)))
        {
            return Err(format!("expected {kind} annotation {missing}, got {found:?}"));
        }
        let extra = found
            .iter()
            .find(|text| !wanted.iter().any(|wanted| accepts(wanted, text)));
        if let Some(extra) = extra.filter(|_| !wanted.is_empty()) {
            return Err(format!("unexpected {kind} annotation {extra:?}"));
        }
    }
    Ok(())
}

/// Older scripts write annotations without their place.
fn accepts(wanted: &Wanted, text: &str) -> bool {
    let bare = text.rsplit_once(" (").map_or(text, |(bare, _)| bare);
    wanted.accepts(text) || wanted.accepts(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_relatively() {
        assert!(almost_equal(f64::NAN, f64::NAN));
        assert!(almost_equal(1.0, 1.000_000_1));
        assert!(!almost_equal(1.0, 1.0001));
        assert!(!almost_equal(0.0, 1e-9));
        assert!(almost_equal(f64::INFINITY, f64::INFINITY));
        assert!(!almost_equal(f64::INFINITY, 1.0));
    }
}
