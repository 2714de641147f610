//! Functions of one value.

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

/// Nothing when the bounds exclude everything; NaN wherever one is NaN.
fn between(value: f64, least: f64, most: f64) -> Option<f64> {
    if most < least {
        return None;
    }
    if value.is_nan() || least.is_nan() || most.is_nan() {
        return Some(f64::NAN);
    }
    Some(value.min(most).max(least))
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
    fn bounds_that_exclude_everything_leave_nothing() {
        assert_eq!(clamp(1.0, &[2.0, 1.0]), None);
        assert_eq!(clamp(5.0, &[1.0, 2.0]), Some(2.0));
        assert!(clamp_min(f64::NAN, &[1.0]).is_some_and(f64::is_nan));
    }
}
