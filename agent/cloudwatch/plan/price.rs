//! What questions cost, in dollars. List prices of CloudWatch; they are the same in all regions but those of China and GovCloud.

use std::time::Duration;

/// For each metric that GetMetricData is asked for, however many points it gives.
pub const METRIC: f64 = 0.01 / 1_000.0;
/// For each ListMetrics and GetMetricStatistics behind the million that is free in a month.
pub const REQUEST: f64 = 0.01 / 1_000.0;
pub const REQUESTS_FREE: u64 = 1_000_000;
/// What is meant by a month where none is named.
pub const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// Of one series, in a month of 30 days.
#[must_use]
pub fn monthly(interval: Duration) -> f64 {
    MONTH.as_secs_f64() / interval.as_secs_f64().max(1.0) * METRIC
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_costs_what_the_price_list_says() {
        let cents = |seconds| (monthly(Duration::from_secs(seconds)) * 1e4).round() / 1e2;
        assert_eq!((cents(60), cents(300), cents(3_600)), (43.2, 8.64, 0.72));
    }
}
