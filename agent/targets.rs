//! All targets of this process, and how those are that agents read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::labels::METRIC_NAME;
use model::view::{Health, Target, View};
use model::{Clock, Labels, Matcher, Select, TimeRange, Timestamp, is_stale};
use scrape::Pool;

/// As far as a question looks back.
const LOOKBACK: Duration = Duration::from_secs(300);
const SAMPLES_MAX: usize = 5_000_000;

/// Of the machine, of the cluster's objects, and of the pool.
pub(crate) fn targets(
    node: Option<node::Handle>,
    state: Option<kubestate::KubeState>,
    pool: &Arc<Pool>,
    store: &Arc<store::Store>,
    clock: Arc<dyn Clock>,
) -> View<Vec<Target>> {
    let (pool, store) = (Arc::clone(pool), Arc::clone(store));
    Arc::new(move || {
        let node = node.iter().map(node::Handle::view);
        let mut all: Vec<Target> = node
            .chain(state.iter().map(kubestate::KubeState::view))
            .chain(pool.view())
            .collect();
        if all.iter().any(|target| target.read_by.is_some()) {
            fill(&mut all, &*store, clock.now());
        }
        all
    })
}

/// What agents send of the targets that they read.
fn fill(targets: &mut [Target], select: &dyn Select, now: Timestamp) {
    let up = last(select, "up", now);
    let took = last(select, "scrape_duration_seconds", now);
    let samples = last(select, "scrape_samples_scraped", now);
    let value = |of: &HashMap<Labels, (Timestamp, f64)>, labels| of.get(labels).map(|(_, value)| *value);
    for target in targets.iter_mut().filter(|target| target.read_by.is_some()) {
        let Some((time, up)) = up.get(&target.labels) else {
            continue;
        };
        target.last_scrape = Some(*time);
        target.health = if *up == 1.0 { Health::Good } else { Health::Bad };
        if *up != 1.0 {
            target.last_error = "the agent of its node cannot read it; its own page says why".to_owned();
        }
        let seconds = value(&took, &target.labels).unwrap_or_default();
        target.last_duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        target.samples = value(&samples, &target.labels).unwrap_or_default() as usize;
    }
}

/// The last value of each series of this name, by the labels of its target.
fn last(select: &dyn Select, name: &str, now: Timestamp) -> HashMap<Labels, (Timestamp, f64)> {
    let range = TimeRange {
        after: now - LOOKBACK,
        until: now,
    };
    let found = select.select(&[Matcher::equal(METRIC_NAME, name)], range, SAMPLES_MAX);
    let found = found.unwrap_or_default().into_iter();
    let last = found.filter_map(|series| {
        let (time, value) = (*series.times.last()?, *series.values.last()?);
        (!is_stale(value)).then(|| (series.labels.without_name(), (time, value)))
    });
    last.collect()
}
