//! How far back the alerts of an objective look: the pairs of the SRE workbook, scaled with the objective's window.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The window that the workbook's numbers are for.
const WORKBOOK: Duration = Duration::from_secs(30 * 24 * 3600);
pub(super) const WINDOW_MIN: Duration = Duration::from_secs(7 * 24 * 3600);
pub(super) const WINDOW_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Shorter ones have no rate where samples come once a minute.
const SHORT_MIN: Duration = Duration::from_secs(300);

/// Two windows over both of which errors come so many times faster than the budget allows. The long one says that it
/// matters, the short one that it still goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pair {
    pub(super) short: Duration,
    pub(super) long: Duration,
    pub(super) factor: f64,
    /// Worth waking somebody up.
    pub(super) is_fast: bool,
}

/// The long window for 30 days in hours, and the share of the budget that may be gone within it.
const PAIRS: [(u64, f64, bool); 4] = [
    (1, 0.02, true),
    (6, 0.05, true),
    (24, 0.10, false),
    (72, 0.10, false),
];

/// The shortest windows first.
pub(super) fn pairs(window: Duration) -> Vec<Pair> {
    let scale = window.as_secs_f64() / WORKBOOK.as_secs_f64();
    let pair = |(hours, share, is_fast): (u64, f64, bool)| {
        let long = rounded(Duration::from_secs(hours * 3600).mul_f64(scale));
        Pair {
            short: (long / 12).max(SHORT_MIN),
            long,
            factor: significant(share * window.as_secs_f64() / long.as_secs_f64()),
            is_fast,
        }
    };
    PAIRS.into_iter().map(pair).collect()
}

/// The time between two evaluations: a tenth of the shortest window.
pub(super) fn interval(pairs: &[Pair]) -> Duration {
    let shortest = pairs.iter().map(|pair| pair.short).min().unwrap_or(DAY);
    let quarter_minutes = (shortest.as_secs() / 10 / 15).clamp(1, 4);
    Duration::from_secs(quarter_minutes * 15)
}

/// To a length that has a short name.
fn rounded(length: Duration) -> Duration {
    let seconds = length.as_secs();
    let step = match seconds {
        0..3600 => 15 * 60,
        3600..14_400 => 1800,
        14_400..36_000 => 3600,
        36_000..129_600 => 6 * 3600,
        _ => 12 * 3600,
    };
    Duration::from_secs(((seconds + step / 2) / step).max(1) * step)
}

/// To four digits.
fn significant(number: f64) -> f64 {
    let scale = 10_f64.powi(3 - number.abs().log10().floor() as i32);
    (number * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use model::text::duration::{parse, short};

    use super::*;

    #[track_caller]
    fn check(window: &str, expected: [&str; 4], between: &str) {
        let pairs = pairs(parse(window).unwrap());
        let found: Vec<String> = pairs
            .iter()
            .map(|pair| format!("{}/{} {}", short(pair.short), short(pair.long), pair.factor))
            .collect();
        assert_eq!(found, expected, "{window}");
        assert_eq!(short(interval(&pairs)), between, "{window}");
    }

    #[test]
    fn thirty_days_are_those_of_the_workbook() {
        check("30d", ["5m/1h 14.4", "30m/6h 6", "2h/1d 3", "6h/3d 1"], "30s");
    }

    #[test]
    fn other_windows_scale() {
        check(
            "28d",
            ["5m/1h 13.44", "30m/6h 5.6", "2h/1d 2.8", "6h/3d 0.9333"],
            "30s",
        );
        check(
            "7d",
            [
                "5m/15m 13.44",
                "7m30s/1h30m 5.6",
                "30m/6h 2.8",
                "1h30m/18h 0.9333",
            ],
            "30s",
        );
        check(
            "14d",
            ["5m/30m 13.44", "15m/3h 5.6", "1h/12h 2.8", "3h/36h 0.9333"],
            "30s",
        );
        check("90d", ["15m/3h 14.4", "1h30m/18h 6", "6h/3d 3", "18h/9d 1"], "1m");
    }
}
