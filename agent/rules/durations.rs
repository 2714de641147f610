//! How long things took, as a summary: count, sum, and the quantiles that Prometheus shows of its rules.
//!
//! Quantiles are those of the last ten minutes, of the newest 1,024 at most; of none they are NaN, as in Prometheus.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily, MetricType, Quantile, Summary};
use tokio::time::Instant;

/// As long as Prometheus' own summaries remember.
const AGE: Duration = Duration::from_secs(10 * 60);
const MOST: usize = 1_024;

#[derive(Clone)]
pub(crate) struct Durations {
    name: &'static str,
    help: &'static str,
    quantiles: &'static [f64],
    /// By which a registry tells metrics apart.
    desc: Option<Desc>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    count: u64,
    sum: f64,
    newest: VecDeque<(Instant, f64)>,
}

impl Durations {
    pub(crate) fn new(
        registry: &Registry,
        name: &'static str,
        help: &'static str,
        quantiles: &'static [f64],
    ) -> Self {
        let made = Self {
            name,
            help,
            quantiles,
            desc: Desc::new(name.to_owned(), help.to_owned(), Vec::new(), HashMap::new()).ok(),
            seen: Arc::default(),
        };
        telemetry::metrics::register(registry, name, made)
    }

    pub(crate) fn observe(&self, took: Duration) {
        let mut seen = self.seen.lock();
        let seconds = took.as_secs_f64();
        seen.count += 1;
        seen.sum += seconds;
        if seen.newest.len() == MOST {
            seen.newest.pop_front();
        }
        seen.newest.push_back((Instant::now(), seconds));
    }
}

impl Collector for Durations {
    fn desc(&self) -> Vec<&Desc> {
        self.desc.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut seen = self.seen.lock();
        while seen.newest.front().is_some_and(|(at, _)| at.elapsed() > AGE) {
            seen.newest.pop_front();
        }
        let mut sorted: Vec<f64> = seen.newest.iter().map(|(_, seconds)| *seconds).collect();
        sorted.sort_by(f64::total_cmp);
        let quantile = |share: &f64| {
            let mut quantile = Quantile::default();
            quantile.set_quantile(*share);
            quantile.set_value(at(&sorted, *share));
            quantile
        };
        let mut summary = Summary::default();
        summary.set_sample_count(seen.count);
        summary.set_sample_sum(seen.sum);
        summary.set_quantile(self.quantiles.iter().map(quantile).collect());
        let mut metric = Metric::from_label(Vec::new());
        metric.set_summary(summary);
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(MetricType::SUMMARY);
        family.set_metric(vec![metric]);
        vec![family]
    }
}

/// The value that so large a share does not exceed.
fn at(sorted: &[f64], share: f64) -> f64 {
    let nth = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(nth.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(registry: &Registry) -> String {
        prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn quantiles_are_those_of_the_last_ten_minutes_and_the_sum_is_of_all() {
        let registry = Registry::new();
        let durations = Durations::new(&registry, "took_seconds", "How long.", &[0.5, 0.99]);
        assert!(text(&registry).contains("took_seconds{quantile=\"0.5\"} NaN\n"));
        for nth in 1..=100 {
            durations.observe(Duration::from_secs(nth));
        }
        let shown = "# HELP took_seconds How long.\n# TYPE took_seconds summary\n\
                     took_seconds{quantile=\"0.5\"} 50\ntook_seconds{quantile=\"0.99\"} 99\n\
                     took_seconds_sum 5050\ntook_seconds_count 100\n";
        assert_eq!(text(&registry), shown);
        tokio::time::sleep(AGE + Duration::from_secs(1)).await;
        durations.observe(Duration::from_secs(7));
        assert!(text(&registry).contains("took_seconds{quantile=\"0.99\"} 7\ntook_seconds_sum 5057\n"));
        for _ in 0..2 * MOST {
            durations.observe(Duration::from_secs(1));
        }
        assert_eq!(durations.seen.lock().newest.len(), MOST);
    }
}
