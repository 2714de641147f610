//! Ranges with firm edges: `anchored` ones begin with the last sample before them, `smoothed` ones have a
//! value interpolated at both ends.
//!
//! The windows given here hold samples beyond the range, by the lookback.

use model::Timestamp;

use super::OverTime;
use super::over_time::{self, Window};
use crate::ast::Edges;

/// Which functions such ranges go with, sorted.
pub(crate) fn allowed(edges: Edges) -> &'static [&'static str] {
    match edges {
        Edges::Plain => &[],
        Edges::Anchored => &["changes", "delta", "increase", "rate", "resets"],
        Edges::Smoothed => &["delta", "increase", "rate"],
    }
}

/// The function of this name over such ranges.
pub(crate) fn edged(name: &str, edges: Edges) -> Option<OverTime> {
    let run: OverTime = match (name, edges) {
        ("changes", Edges::Anchored) => |window, args| over_time::changes(&anchored(window)?, args),
        ("resets", Edges::Anchored) => |window, args| over_time::resets(&anchored(window)?, args),
        ("delta", Edges::Anchored) => |window, _| growth(window, false, false),
        ("increase", Edges::Anchored) => |window, _| growth(window, false, true),
        ("rate", Edges::Anchored) => |window, _| Some(growth(window, false, true)? / window.seconds()),
        ("delta", Edges::Smoothed) => |window, _| growth(window, true, false),
        ("increase", Edges::Smoothed) => |window, _| growth(window, true, true),
        ("rate", Edges::Smoothed) => |window, _| Some(growth(window, true, true)? / window.seconds()),
        _ => return None,
    };
    Some(run)
}

/// The samples of a range with firm edges, one at each edge.
pub(crate) fn extended(window: &Window<'_>, edges: Edges) -> Option<(Vec<Timestamp>, Vec<f64>)> {
    let ends = ends(window, edges == Edges::Smoothed, false)?;
    let inner = window.times.get(ends.inner.clone())?;
    let mut times = vec![Timestamp(window.from)];
    times.extend_from_slice(inner);
    times.push(Timestamp(window.until));
    let mut values = vec![ends.left];
    values.extend_from_slice(window.values.get(ends.inner)?);
    values.push(ends.right);
    Some((times, values))
}

/// The window without what lies before the last sample before the range.
fn anchored<'w>(window: &Window<'w>) -> Option<Window<'w>> {
    let before = window.times.partition_point(|time| time.0 <= window.from);
    let first = before.saturating_sub(1);
    (before < window.times.len()).then(|| Window {
        times: window.times.get(first..).unwrap_or_default(),
        values: window.values.get(first..).unwrap_or_default(),
        ..*window
    })
}

/// Values at the edges of a range, and the samples between them.
struct Ends {
    left: f64,
    right: f64,
    inner: std::ops::Range<usize>,
}

fn ends(window: &Window<'_>, smoothed: bool, counter: bool) -> Option<Ends> {
    let (from, until) = (window.from, window.until);
    let time = |nth: usize| window.times.get(nth).map(|time| time.0);
    let value = |nth: usize| window.values.get(nth).copied();
    let last = window.times.len().checked_sub(1)?;
    let others = window.times.get(..last)?;
    let first = others.partition_point(|time| time.0 <= from).saturating_sub(1);
    let last = match smoothed {
        true => others.partition_point(|time| time.0 < until),
        false => last,
    };
    if time(last)? <= from {
        return None;
    }
    let left = match smoothed && time(first)? < from {
        true => between(window, first, from, counter)?,
        false => value(first)?,
    };
    let right = match last.checked_sub(1) {
        Some(before) if smoothed && time(last)? > until => between(window, before, until, counter)?,
        _ => value(last)?,
    };
    let first = first + usize::from(time(first)? <= from);
    let past = last + usize::from(time(last)? < until);
    let inner = first..past.max(first);
    Some(Ends { left, right, inner })
}

/// The value at `time` on the line from sample `nth` to the next. A counter that was reset comes from zero.
fn between(window: &Window<'_>, nth: usize, time: i64, counter: bool) -> Option<f64> {
    let (&[first_time, second_time], &[first, second]) =
        (window.times.get(nth..nth + 2)?, window.values.get(nth..nth + 2)?)
    else {
        return None;
    };
    Some(on_line((first_time, first), (second_time, second), time, counter))
}

/// Where a line through two samples is at `time`.
pub(crate) fn on_line(
    (first_time, first): (Timestamp, f64),
    (second_time, second): (Timestamp, f64),
    time: i64,
    counter: bool,
) -> f64 {
    let first = if counter && second < first { 0.0 } else { first };
    first + (second - first) * (time - first_time.0) as f64 / (second_time.0 - first_time.0) as f64
}

fn growth(window: &Window<'_>, smoothed: bool, counter: bool) -> Option<f64> {
    if smoothed && window.times.first()?.0 > window.until {
        return None;
    }
    let ends = ends(window, smoothed, counter)?;
    let mut grown = ends.right - ends.left;
    if counter {
        let mut before = ends.left;
        for value in window.values.get(ends.inner)?.iter().chain([&ends.right]) {
            if *value < before {
                grown += before;
            }
            before = *value;
        }
    }
    Some(grown)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over samples 1, 2, 3 and, after a reset, 1 at 0 s, 10 s, 20 s and 30 s.
    fn of(name: &str, edges: Edges, (from, until): (i64, i64)) -> Option<f64> {
        let times = [0, 10_000, 20_000, 30_000].map(Timestamp);
        let window = Window {
            times: &times,
            values: &[1.0, 2.0, 3.0, 1.0],
            from,
            until,
            now: until,
        };
        edged(name, edges)?(&window, &[])
    }

    #[test]
    fn an_anchor_is_the_last_sample_before() {
        assert_eq!(of("delta", Edges::Anchored, (15_000, 30_000)), Some(-1.0));
        assert_eq!(of("increase", Edges::Anchored, (15_000, 30_000)), Some(2.0));
        assert_eq!(of("changes", Edges::Anchored, (15_000, 30_000)), Some(2.0));
        assert_eq!(of("resets", Edges::Anchored, (20_000, 30_000)), Some(1.0));
        assert_eq!(of("resets", Edges::Anchored, (30_000, 40_000)), None);
    }

    #[test]
    fn smooth_edges_lie_on_the_line() {
        assert_eq!(of("delta", Edges::Smoothed, (5_000, 15_000)), Some(1.0));
        assert_eq!(of("rate", Edges::Smoothed, (5_000, 15_000)), Some(0.1));
        // Half of the way up from zero after the reset.
        assert_eq!(of("increase", Edges::Smoothed, (15_000, 25_000)), Some(1.0));
    }

    #[test]
    fn every_function_said_to_be_allowed_is() {
        for edges in [Edges::Anchored, Edges::Smoothed] {
            assert!(allowed(edges).iter().all(|name| edged(name, edges).is_some()));
        }
        assert!(edged("deriv", Edges::Anchored).is_none());
    }
}
