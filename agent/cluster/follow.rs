//! One kind that is watched: its list and then every change, through expired versions, refusals and connections that break.

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use kube::core::Status;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use parking_lot::Mutex;
use prometheus::{Gauge, IntCounterVec, Registry};
use serde::de::DeserializeOwned;
use telemetry::metrics::{counters, gauges};
use tokio::time::Instant;
use tracing::{info, warn};

/// A watch is begun anew after so many seconds, so that a connection that has silently died is seen.
const WATCH_SECONDS: u32 = 120;
/// Failures in a row after which the connection is made anew: the cluster may have another certificate.
const FAILURES_MAX: u32 = 8;

pub(crate) enum Change<K> {
    /// All of them follow.
    Begun,
    Listed(K),
    /// What was not among those that were listed is no more.
    Whole,
    Here(K),
    Gone(K),
}

/// Whoever keeps what is watched.
pub(crate) trait Keep<K> {
    fn take(&mut self, change: Change<K>, now: Instant);

    /// When there is something to tell others.
    fn due(&self) -> Option<Instant>;

    fn tell(&mut self, now: Instant);

    fn count(&self) -> usize;
}

/// How it goes with a kind; for doctor and the page.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) is_whole: bool,
    pub(crate) count: usize,
    /// Why it cannot be watched; empty when it can.
    pub(crate) error: String,
}

pub(crate) struct Watched {
    resource: &'static str,
    state: Mutex<State>,
    events: IntCounterVec,
    failures: prometheus::IntCounter,
    synced: Gauge,
    objects: Gauge,
}

/// The series of all kinds.
pub(crate) struct Metrics {
    events: IntCounterVec,
    failures: IntCounterVec,
    synced: prometheus::GaugeVec,
    objects: prometheus::GaugeVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            events: counters(
                registry,
                "skopos_kubernetes_watch_events_total",
                "Objects that the API server told of, by what became of them.",
                &["resource", "event"],
            ),
            failures: counters(
                registry,
                "skopos_kubernetes_watch_failures_total",
                "Lists and watches that failed or were refused.",
                &["resource"],
            ),
            synced: gauges(
                registry,
                "skopos_kubernetes_watch_synced",
                "Whether all objects of a kind are known.",
                &["resource"],
            ),
            objects: gauges(
                registry,
                "skopos_kubernetes_objects",
                "Objects of a kind that are known.",
                &["resource"],
            ),
        }
    }

    pub(crate) fn watched(&self, resource: &'static str) -> Arc<Watched> {
        Arc::new(Watched {
            resource,
            state: Mutex::default(),
            events: self.events.clone(),
            failures: self.failures.with_label_values(&[resource]),
            synced: self.synced.with_label_values(&[resource]),
            objects: self.objects.with_label_values(&[resource]),
        })
    }
}

impl Watched {
    pub(crate) fn state(&self) -> State {
        self.state.lock().clone()
    }

    fn count(&self, event: &str) {
        self.events.with_label_values(&[self.resource, event]).inc();
    }

    fn is_whole(&self, count: usize) {
        self.synced.set(1.0);
        self.objects.set(count as f64);
        let mut state = self.state.lock();
        if !state.error.is_empty() || !state.is_whole {
            info!(resource = self.resource, count, "watched");
        }
        *state = State {
            is_whole: true,
            count,
            error: String::new(),
        };
    }

    fn failed(&self, error: &str) {
        self.failures.inc();
        let mut state = self.state.lock();
        if state.error != error {
            warn!(
                resource = self.resource,
                error, "cannot be watched now; tried again"
            );
            error.clone_into(&mut state.error);
        }
    }

    /// What was known stands; whether it still holds is not known.
    fn changed(&self, count: usize) {
        self.objects.set(count as f64);
        let mut state = self.state.lock();
        state.count = count;
        state.error.clear();
    }
}

/// Follows until too many failures come in a row.
pub(crate) async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    watched: &Watched,
    keep: &mut impl Keep<K>,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    let changes = watcher(api, config.timeout(WATCH_SECONDS)).default_backoff();
    follow_changes(changes.boxed(), watched, keep).await;
}

async fn follow_changes<K>(
    mut changes: BoxStream<'_, watcher::Result<Event<K>>>,
    watched: &Watched,
    keep: &mut impl Keep<K>,
) {
    let mut failures = 0;
    loop {
        let due = keep.due();
        let wait = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let change = tokio::select! {
            biased;
            () = wait => {
                keep.tell(Instant::now());
                continue;
            }
            change = changes.next() => change,
        };
        let now = Instant::now();
        match change {
            None => return,
            Some(Err(error)) => {
                watched.failed(&plain(&error));
                failures += 1;
                if failures >= FAILURES_MAX {
                    return;
                }
                continue;
            }
            Some(Ok(event)) => {
                failures = 0;
                match event {
                    Event::Init => keep.take(Change::Begun, now),
                    Event::InitApply(object) => {
                        watched.count("listed");
                        keep.take(Change::Listed(object), now);
                    }
                    Event::InitDone => {
                        keep.take(Change::Whole, now);
                        watched.is_whole(keep.count());
                    }
                    Event::Apply(object) => {
                        watched.count("changed");
                        keep.take(Change::Here(object), now);
                        watched.changed(keep.count());
                    }
                    Event::Delete(object) => {
                        watched.count("gone");
                        keep.take(Change::Gone(object), now);
                        watched.changed(keep.count());
                    }
                }
            }
        }
    }
}

/// The reason at the end of an error's chain, which says more than its beginning.
pub(crate) fn plain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        let boxed = source.downcast_ref::<Box<Status>>().map(|status| &**status);
        if let Some(status) = source.downcast_ref::<Status>().or(boxed) {
            return format!("{} ({})", status.message, status.code);
        }
        last = source;
    }
    last.to_string()
}
