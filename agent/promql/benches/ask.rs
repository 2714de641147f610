//! How long usual questions take over 100,000 series: `cargo bench -p promql`.
//!
//! Samples lie as in the store: one column of times for all series of a target, values of each apart.

#![expect(clippy::print_stdout, reason = "a benchmark prints its numbers")]
#![expect(clippy::unwrap_used, reason = "a benchmark that fails has nothing to print")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::select::Last;
use model::{Labels, Matcher, Metadata, Select, SelectError, Series, TimeRange, Timestamp};
use promql::{Engine, Options};

const SERIES: usize = 100_000;
const SAMPLES: i64 = 40;
const INTERVAL_MS: i64 = 15_000;
const ROUNDS: usize = 10;

/// Answers every question with all it has, so that only the evaluator is measured.
struct Fixed(Vec<Series>);

impl Select for Fixed {
    fn select(&self, _: &[Matcher], _: TimeRange, _: usize) -> Result<Vec<Series>, SelectError> {
        Ok(self.0.clone())
    }

    fn labels(&self, _: &[Matcher], _: TimeRange) -> Result<Vec<Labels>, SelectError> {
        Ok(Vec::new())
    }

    fn metadata(&self) -> Vec<Metadata> {
        Vec::new()
    }

    fn last(&self, _: Option<&str>) -> Vec<Last> {
        Vec::new()
    }
}

fn series() -> Vec<Series> {
    let times: Arc<[Timestamp]> = (1..=SAMPLES).map(|nth| Timestamp(nth * INTERVAL_MS)).collect();
    (0..SERIES)
        .map(|nth| Series {
            labels: Labels::from_pairs([
                ("__name__", "http_requests_total".to_owned()),
                ("code", (nth % 10).to_string()),
                ("instance", format!("10.0.0.{}:8080", nth % 250)),
                ("job", "web".to_owned()),
                ("namespace", format!("ns{}", nth % 100)),
                ("pod", format!("web-{}", nth / 10)),
            ]),
            times: Arc::clone(&times),
            values: (0..SAMPLES)
                .map(|sample| (sample * (nth as i64 % 50)) as f64)
                .collect(),
            staleness: None,
        })
        .collect()
}

fn main() {
    let engine = Engine::new(Arc::new(Fixed(series())), Options::default());
    let end = Timestamp(SAMPLES * INTERVAL_MS);
    for expr in [
        "sum(rate(http_requests_total[5m]))",
        "sum by (namespace) (rate(http_requests_total[5m]))",
        "rate(http_requests_total[5m]) > 1e9",
        "http_requests_total > 1900",
        "topk by (namespace) (3, http_requests_total)",
        "http_requests_total / on (pod, code) http_requests_total",
    ] {
        print(expr, || drop(engine.instant(expr, end).unwrap()));
    }
    let expr = "sum by (namespace) (rate(http_requests_total[5m]))";
    let step = Duration::from_secs(5);
    print("the same by namespace, 61 steps", || {
        drop(engine.range(expr, Timestamp(end.0 - 300_000), end, step).unwrap());
    });
}

fn print(name: &str, run: impl Fn()) {
    run();
    let begun = Instant::now();
    (0..ROUNDS).for_each(|_| run());
    let each = begun.elapsed() / u32::try_from(ROUNDS).unwrap_or(1);
    let per_series = each.as_nanos() / SERIES as u128;
    println!("{name}: {each:.1?}, {per_series} ns a series");
}
