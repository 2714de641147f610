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
pub(crate) const WATCH_SECONDS: u32 = 120;
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

    /// It wants to be told all of them once more.
    fn wants_all(&mut self) -> bool {
        false
    }
}

/// How it goes with a kind; for doctor and the page.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) is_whole: bool,
    pub(crate) count: usize,
    /// Why it cannot be watched; empty when it can.
    pub(crate) error: String,
    /// … since the cluster has no such kind.
    pub(crate) is_absent: bool,
}

pub(crate) struct Watched {
    resource: Arc<str>,
    /// That this cluster has no such kind is nothing to tell anybody.
    is_optional: bool,
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

    /// Its objects are not watched any more.
    pub(crate) fn forget(&self, resource: &str) {
        _ = self.synced.remove_label_values(&[resource]);
        _ = self.objects.remove_label_values(&[resource]);
    }

    pub(crate) fn watched(&self, resource: &str, is_optional: bool) -> Arc<Watched> {
        Arc::new(Watched {
            resource: resource.into(),
            is_optional,
            state: Mutex::default(),
            events: self.events.clone(),
            failures: self.failures.with_label_values(&[resource]),
            synced: self.synced.with_label_values(&[resource]),
            objects: self.objects.with_label_values(&[resource]),
        })
    }
}

impl Watched {
    pub(crate) fn resource(&self) -> &str {
        &self.resource
    }

    pub(crate) fn is_optional(&self) -> bool {
        self.is_optional
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().clone()
    }

    fn count(&self, event: &str) {
        self.events.with_label_values(&[&*self.resource, event]).inc();
    }

    fn is_whole(&self, count: usize) {
        self.synced.set(1.0);
        self.objects.set(count as f64);
        let mut state = self.state.lock();
        if !state.error.is_empty() || !state.is_whole {
            info!(resource = &*self.resource, count, "watched");
        }
        *state = State {
            is_whole: true,
            count,
            ..State::default()
        };
    }

    fn failed(&self, error: &str, is_absent: bool) {
        self.failures.inc();
        let mut state = self.state.lock();
        state.is_absent = is_absent;
        if state.error != error {
            if !self.is_optional || !is_absent {
                warn!(
                    resource = &*self.resource,
                    error, "cannot be watched now; tried again"
                );
            }
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

/// Why a watch is at its end.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The API server answers, and says no.
    Refused(Box<Status>),
    /// It has not answered again and again.
    Failed,
    /// All objects are wanted once more.
    Asked,
}

/// Follows until too many failures come in a row.
pub(crate) async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    watched: &Watched,
    keep: &mut impl Keep<K>,
) -> Ended
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    let changes = watcher(api, config.timeout(WATCH_SECONDS)).default_backoff();
    follow_changes(changes.boxed(), watched, keep).await
}

pub(crate) async fn follow_changes<K>(
    mut changes: BoxStream<'_, watcher::Result<Event<K>>>,
    watched: &Watched,
    keep: &mut impl Keep<K>,
) -> Ended {
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
                if keep.wants_all() {
                    return Ended::Asked;
                }
                continue;
            }
            change = changes.next() => change,
        };
        let now = Instant::now();
        match change {
            None => return Ended::Failed,
            Some(Err(error)) => {
                let status = status_of(&error).cloned();
                watched.failed(
                    &plain(&error),
                    status.as_ref().is_some_and(|status| status.code == 404),
                );
                if let Some(status) = status.filter(is_refusal) {
                    return Ended::Refused(Box::new(status));
                }
                failures += 1;
                if failures >= FAILURES_MAX {
                    return Ended::Failed;
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

/// What will be said again however often it is asked; a version that has expired (410) is no such thing, nor is overload (429).
fn is_refusal(status: &Status) -> bool {
    matches!(status.code, 400 | 401 | 403 | 404 | 405 | 406 | 422)
}

/// What the API server said, where it was the one who said it.
fn status_of<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Status> {
    let mut next = error.source();
    while let Some(source) = next {
        let boxed = source.downcast_ref::<Box<Status>>().map(|status| &**status);
        if let Some(status) = source.downcast_ref::<Status>().or(boxed) {
            return Some(status);
        }
        next = source.source();
    }
    None
}

/// The reason at the end of an error's chain, which says more than its beginning.
pub(crate) fn plain(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(status) = status_of(error) {
        return format!("{} ({})", status.message, status.code);
    }
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
