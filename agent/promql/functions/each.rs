//! Functions of one value.

use std::f64::consts::{LN_2, PI};

use crate::formula;

/// From here on the root of x² ± 1 is x, and twice x may be more than a number holds.
const LARGE: f64 = 268_435_456.0;

pub(super) fn acosh(value: f64) -> f64 {
    if value < LARGE {
        value.acosh()
    } else {
        value.ln() + LN_2
    }
}

pub(super) fn asinh(value: f64) -> f64 {
    match value.abs() {
        large if large >= LARGE => (large.ln() + LN_2).copysign(value),
        _ => value.asinh(),
    }
}

/// Multiplied first, as Prometheus does: the last digit is that of the order.
pub(super) fn deg(value: f64) -> f64 {
    value * 180.0 / PI
}

pub(super) fn rad(value: f64) -> f64 {
    value * PI / 180.0
}

/// -1, 0 or 1; NaN stays.
pub(super) fn sgn(value: f64) -> f64 {
    if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        value
    }
}

/// To the nearest multiple of the first argument, or of 1; ties go up.
pub(super) fn round(value: f64, args: &[f64]) -> Option<f64> {
    // Multiplying by the inverse is more exact for 0.1 and the like.
    let inverse = 1.0 / args.first().copied().unwrap_or(1.0);
    Some((value * inverse + 0.5).floor() / inverse)
}

pub(super) fn clamp(value: f64, args: &[f64]) -> Option<f64> {
    match *args {
        [least, most] => between(value, least, most),
        _ => None,
    }
}

pub(super) fn clamp_min(value: f64, args: &[f64]) -> Option<f64> {
    between(value, args.first().copied()?, f64::INFINITY)
}

pub(super) fn clamp_max(value: f64, args: &[f64]) -> Option<f64> {
    between(value, f64::NEG_INFINITY, args.first().copied()?)
}

/// Nothing when the bounds exclude everything.
fn between(value: f64, least: f64, most: f64) -> Option<f64> {
    if most < least {
        return None;
    }
    Some(formula::most(least, formula::least(most, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_ties_go_up() {
        let rounded: Vec<_> = [-0.5, 0.5, 1.5, 2.4].map(|value| round(value, &[])).into();
        assert_eq!(rounded, [Some(-0.0), Some(1.0), Some(2.0), Some(2.0)]);
        assert_eq!(round(0.123, &[0.1]), Some(0.1));
    }

    #[test]
    fn the_largest_numbers_have_an_area() {
        assert!((asinh(f64::MIN) + 710.475_860_073_943_9).abs() < 1e-9);
        assert!((acosh(f64::MAX) - 710.475_860_073_943_9).abs() < 1e-9);
        assert!((acosh(LARGE) - (LARGE - 1.0).acosh()).abs() < 1e-8);
        assert!(acosh(f64::NAN).is_nan() && asinh(f64::NAN).is_nan());
    }

    #[test]
    fn bounds_that_exclude_everything_leave_nothing() {
        assert_eq!(clamp(1.0, &[2.0, 1.0]), None);
        assert_eq!(clamp(5.0, &[1.0, 2.0]), Some(2.0));
        assert!(clamp_min(f64::NAN, &[1.0]).is_some_and(f64::is_nan));
    }
}
