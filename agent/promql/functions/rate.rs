//! `rate` and its kin: differences over a window, extrapolated as Prometheus does.

use super::over_time::Window;

/// Change of a gauge over the window.
pub(super) fn delta(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    extrapolated(window, false, 1.0)
}

/// Growth of a counter over the window.
pub(super) fn increase(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    extrapolated(window, true, 1.0)
}

/// Growth of a counter per second.
pub(super) fn rate(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    extrapolated(window, true, window.seconds())
}

/// Growth of a counter per second, by its last two samples.
pub(super) fn irate(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    let (seconds, before, last) = last_two(window)?;
    // After a reset the counter began again at zero.
    let growth = if last < before { last } else { last - before };
    Some(growth / seconds)
}

/// Change between the last two samples.
pub(super) fn idelta(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    let (_, before, last) = last_two(window)?;
    Some(last - before)
}

fn last_two(window: &Window<'_>) -> Option<(f64, f64, f64)> {
    let [.., first_time, last_time] = window.times else {
        return None;
    };
    let [.., before, last] = window.values else {
        return None;
    };
    let millis = last_time.0 - first_time.0;
    (millis > 0).then_some((millis as f64 / 1000.0, *before, *last))
}

/// The change between first and last sample, stretched to the window's edges: all the way to an edge that
/// is not farther than 1.1 times the mean distance of samples, else by half that distance; never to below
/// a counter's zero. It is divided by `per`, before the product of the two can leave what a number holds.
fn extrapolated(window: &Window<'_>, counter: bool, per: f64) -> Option<f64> {
    let (first, last) = (*window.values.first()?, *window.values.last()?);
    let gaps = window.values.len() - 1;
    if gaps == 0 {
        return None;
    }
    let (first_time, last_time) = (window.times.first()?.0, window.times.last()?.0);
    let mut change = last - first;
    if counter {
        let mut before = first;
        for value in window.values {
            if *value < before {
                change += before;
            }
            before = *value;
        }
    }
    let seconds = |millis: i64| millis as f64 / 1000.0;
    let sampled = seconds(last_time - first_time);
    let distance = sampled / gaps as f64;
    let far = distance * 1.1;
    let mut to_start = seconds(first_time - window.from);
    if to_start >= far {
        to_start = distance / 2.0;
    }
    if counter && change > 0.0 && first >= 0.0 {
        let to_zero = sampled * (first / change);
        to_start = if to_zero < to_start { to_zero } else { to_start };
    }
    let mut to_end = seconds(window.until - last_time);
    if to_end >= far {
        to_end = distance / 2.0;
    }
    Some(change * ((sampled + to_start + to_end) / sampled / per))
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    /// Samples every 10 s, the first at 10 s, in the window (0 s, 60 s].
    fn of(values: &[f64], function: fn(&Window<'_>, &[f64]) -> Option<f64>) -> Option<f64> {
        let times: Vec<_> = (1..=values.len() as i64)
            .map(|nth| Timestamp(nth * 10_000))
            .collect();
        let window = Window {
            times: &times,
            values,
            from: 0,
            until: 60_000,
            now: 60_000,
        };
        function(&window, &[])
    }

    #[test]
    fn an_increase_reaches_both_edges() {
        // 50 in 50 s, and the first sample is one distance after the start.
        assert_eq!(
            of(&[100.0, 110.0, 120.0, 130.0, 140.0, 150.0], increase),
            Some(60.0)
        );
        assert_eq!(of(&[100.0, 110.0, 120.0, 130.0, 140.0, 150.0], rate), Some(1.0));
    }

    #[test]
    fn a_counter_is_not_taken_below_zero() {
        // Zero was 5 s before the first sample: 50 s and 5 s, not 60 s.
        assert_eq!(
            of(&[5.0, 15.0, 25.0, 35.0, 45.0, 55.0], increase),
            Some(55.000_000_000_000_01)
        );
    }

    #[test]
    fn a_far_edge_is_met_half_a_distance_away() {
        // Last sample at 30 s, 30 s before the end: 20 s of samples, 10 s before them and 5 s behind.
        assert_eq!(of(&[100.0, 110.0, 120.0], delta), Some(35.0));
    }

    #[test]
    fn a_reset_counts_from_zero() {
        assert_eq!(
            of(&[100.0, 110.0, 3.0, 13.0, 23.0, 33.0], increase),
            Some((33.0 - 100.0 + 110.0) * 60.0 / 50.0)
        );
        assert_eq!(of(&[9.0, 4.0], irate), Some(0.4));
        assert_eq!(of(&[9.0, 4.0], idelta), Some(-5.0));
    }

    #[test]
    fn one_sample_says_nothing() {
        assert_eq!(of(&[1.0], rate), None);
        assert_eq!(of(&[1.0], irate), None);
    }
}
