//! Making a metric and registering it, in one word.
//!
//! A name that is registered twice (a room restarted by a reload, a test) is written to the log and the
//! new metric counts unseen; nothing fails.

use prometheus::core::Collector;
use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts,
    Registry,
};

/// Registers one that is made already.
pub fn register<M: Collector + Clone + 'static>(registry: &Registry, name: &str, metric: M) -> M {
    if let Err(error) = registry.register(Box::new(metric.clone())) {
        tracing::error!(name, %error, "metric is not shown");
    }
    metric
}

/// The names are constants of ours, so making a metric cannot fail; if one is wrong every test fails.
fn made<M>(name: &str, metric: prometheus::Result<M>) -> M {
    #[expect(
        clippy::panic,
        reason = "a bad constant, found by the first test that starts the room"
    )]
    metric.unwrap_or_else(|error| panic!("metric {name}: {error}"))
}

#[must_use]
pub fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    register(registry, name, made(name, IntCounter::new(name, help)))
}

#[must_use]
pub fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(
        registry,
        name,
        made(name, IntCounterVec::new(Opts::new(name, help), labels)),
    )
}

/// What grows by other than whole numbers.
#[must_use]
pub fn sums(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> CounterVec {
    register(
        registry,
        name,
        made(name, CounterVec::new(Opts::new(name, help), labels)),
    )
}

#[must_use]
pub fn gauge(registry: &Registry, name: &str, help: &str) -> Gauge {
    register(registry, name, made(name, Gauge::new(name, help)))
}

#[must_use]
pub fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    register(
        registry,
        name,
        made(name, GaugeVec::new(Opts::new(name, help), labels)),
    )
}

#[must_use]
pub fn histogram(registry: &Registry, name: &str, help: &str) -> Histogram {
    register(
        registry,
        name,
        made(name, Histogram::with_opts(HistogramOpts::new(name, help))),
    )
}

#[must_use]
pub fn histograms(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    register(
        registry,
        name,
        made(name, HistogramVec::new(HistogramOpts::new(name, help), labels)),
    )
}
