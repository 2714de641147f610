//! What has changed in the cluster: deploys, scalings, nodes that come, go or are cordoned; kept for a day, written as log records.
//!
//! Told are differences only: nothing of what is there at the start, and nothing of status but what an autoscaler wants. Both replicas
//! keep what they see; one writes, and what the other may not have written is written again with the same id.

mod spec;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use model::{Change, Clock, Ledger, Level, Note, Object, Observe, Resource, Timestamp, Wanted};
use parking_lot::Mutex;
use prometheus::{GaugeVec, IntCounter, Registry};
use serde::Deserialize;
use telemetry::metrics::{counter, gauges};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::Cluster;
use crate::events::{Once, note_id};
use spec::Spec;

/// Changes that are kept, and for how long.
const KEPT_MAX: usize = 1_000;
const KEPT: Duration = Duration::from_hours(24);
/// Whoever does not write keeps for so long what the other one may not have written.
const DOUBT: Duration = Duration::from_secs(60);
/// Changes that wait to be written. Beyond it the oldest go.
const UNWRITTEN_MAX: usize = 1_000;
/// Between two tries to write, and two looks at whether it is our turn.
const PAUSE: Duration = Duration::from_secs(1);
/// Workloads that have a series.
const SERIES_MAX: usize = 1_000;

/// Changes, ready to be written.
pub struct Changes {
    handle: ChangesHandle,
    bell: Arc<Notify>,
    once: Once,
    is_troubled: bool,
}

/// What the rest of the house asks; cheap to clone.
#[derive(Clone)]
pub struct ChangesHandle(Arc<Mutex<Log>>);

/// The last changes, and those that no record tells yet.
#[derive(Default)]
struct Log {
    kept: VecDeque<Change>,
    unwritten: VecDeque<(Change, String)>,
    taken: u64,
    given: u64,
    /// Not written: nobody keeps records here, or the other replica has.
    left: u64,
    /// Let go of.
    lost: u64,
}

impl Log {
    fn keep(&mut self, change: Change) {
        let oldest = change.time - KEPT;
        self.kept.retain(|kept| kept.time >= oldest);
        if self.kept.len() >= KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(change);
    }

    /// Others are not written by us.
    fn leave(&mut self, is_ours: impl Fn(&Change) -> bool) {
        let before = self.unwritten.len();
        self.unwritten.retain(|(change, _)| is_ours(change));
        self.left += (before - self.unwritten.len()) as u64;
    }
}

impl ChangesHandle {
    /// Oldest first.
    #[must_use]
    pub fn since(&self, time: Timestamp) -> Vec<Change> {
        let log = self.0.lock();
        let lately = log.kept.iter().filter(|change| change.time >= time);
        lately.cloned().collect()
    }

    /// Keeps one that somebody else has seen, and writes.
    pub fn note(&self, change: Change) {
        self.0.lock().keep(change);
    }

    /// Taken = on the disk + left to the other replica + let go of + waiting.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        let log = self.0.lock();
        let dropped = [("handed_over", log.left), ("overflow", log.lost)];
        Ledger {
            things: "changes",
            taken: log.taken,
            given: log.given,
            dropped: dropped.into_iter().filter(|(_, count)| *count > 0).collect(),
            in_flight: log.unwritten.len() as u64,
        }
    }
}

impl Changes {
    /// Asks `cluster` for what may change; to be said before it runs.
    #[must_use]
    pub fn new(cluster: &Cluster, watches_configmaps: bool, once: Once, registry: &Registry) -> Self {
        let handle = ChangesHandle(Arc::default());
        let bell = Arc::new(Notify::new());
        let told = Told {
            log: Arc::clone(&handle.0),
            bell: Arc::clone(&bell),
            clock: Arc::clone(&once.clock),
            seen: gauges(
                registry,
                "skopos_last_change_timestamp_seconds",
                "When a workload or node changed last, since the start of this process.",
                &["kind", "namespace", "workload"],
            ),
            series: Arc::default(),
            lost: counter(
                registry,
                "skopos_changes_unwritten_total",
                "Changes that were let go of before they could be written as log records.",
            ),
        };
        let mut kinds: Vec<(&'static str, Resource, Read)> = vec![
            (
                "Deployment",
                Resource::new("apps", "v1", "Deployment", "deployments"),
                spec::workload,
            ),
            (
                "StatefulSet",
                Resource::new("apps", "v1", "StatefulSet", "statefulsets"),
                spec::workload,
            ),
            (
                "DaemonSet",
                Resource::new("apps", "v1", "DaemonSet", "daemonsets"),
                spec::workload,
            ),
            (
                "HorizontalPodAutoscaler",
                Resource::new(
                    "autoscaling",
                    "v2",
                    "HorizontalPodAutoscaler",
                    "horizontalpodautoscalers",
                ),
                spec::scaler,
            ),
            ("Node", Resource::new("", "v1", "Node", "nodes"), spec::node),
        ];
        if watches_configmaps {
            let resource = Resource::new("", "v1", "ConfigMap", "configmaps");
            kinds.push(("ConfigMap", resource, spec::config));
        }
        for (object, resource, read) in kinds {
            let wanted = Wanted {
                is_metadata: object == "ConfigMap",
                ..Wanted::all(resource)
            };
            let observer = Observer {
                object,
                read,
                told: told.clone(),
                known: HashMap::new(),
                round: 0,
                is_known: false,
            };
            cluster.observe(wanted, Box::new(observer));
        }
        Self {
            handle,
            bell,
            once,
            is_troubled: false,
        }
    }

    #[must_use]
    pub fn handle(&self) -> ChangesHandle {
        self.handle.clone()
    }

    /// Writes until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            self.write().await;
            if stop.is_cancelled() {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
                () = self.bell.notified(), if !self.is_troubled => {}
            }
        }
    }

    async fn write(&mut self) {
        let Some(notes) = self.once.notes.clone() else {
            self.handle.0.lock().leave(|_| false);
            return;
        };
        let waiting: Vec<Note> = {
            let mut log = self.handle.0.lock();
            if !self.once.is_ours() {
                let since = self.once.clock.now() - DOUBT;
                log.leave(|change| change.time >= since);
                return;
            }
            log.unwritten
                .iter()
                .map(|(change, id)| note(change, id))
                .collect()
        };
        if waiting.is_empty() {
            return;
        }
        let ids: Vec<String> = waiting.iter().map(|note| note.id.clone()).collect();
        match notes.keep(waiting, None).await {
            Ok(()) => {
                self.is_troubled = false;
                let mut log = self.handle.0.lock();
                let before = log.unwritten.len();
                log.unwritten.retain(|(_, id)| !ids.contains(id));
                log.given += (before - log.unwritten.len()) as u64;
            }
            Err(why) => {
                if !std::mem::replace(&mut self.is_troubled, true) {
                    warn!(why, "changes in the cluster cannot be written; it is tried again");
                }
            }
        }
    }
}

fn note(change: &Change, id: &str) -> Note {
    let node = match change.object {
        "Node" => change.name.clone(),
        _ => String::new(),
    };
    let source = match change.namespace.as_str() {
        "" => format!("{}/{}/changes", change.object, change.name),
        namespace => format!("{namespace}/{}/{}/changes", change.object, change.name),
    };
    Note {
        nanos: change.time.millis().saturating_mul(1_000_000),
        level: Level::Info,
        source,
        facts: vec![
            ("namespace", change.namespace.clone()),
            ("node", node),
            ("object.kind", change.object.to_owned()),
            ("object.name", change.name.clone()),
            ("event.dataset", "kubernetes.changes".to_owned()),
            ("event.action", change.kind.word().to_owned()),
        ],
        id: id.to_owned(),
        text: change.to_string(),
    }
}

type Read = fn(&str) -> Option<Spec>;

/// Where changes go.
#[derive(Clone)]
struct Told {
    log: Arc<Mutex<Log>>,
    bell: Arc<Notify>,
    clock: Arc<dyn Clock>,
    seen: GaugeVec,
    series: Arc<Mutex<std::collections::BTreeSet<[String; 3]>>>,
    lost: IntCounter,
}

impl Told {
    /// `version` is the same for whoever sees the change.
    fn tell(&self, change: Change, version: &str) {
        let labels = [
            change.kind.word().to_owned(),
            change.namespace.clone(),
            change.name.clone(),
        ];
        {
            let mut series = self.series.lock();
            if series.len() < SERIES_MAX || series.contains(&labels) {
                self.seen.with_label_values(&labels).set(change.time.seconds());
                series.insert(labels);
            }
        }
        // Without one it is the same for nobody else.
        let version = match version {
            "" => change.time.millis().to_string(),
            version => version.to_owned(),
        };
        let rising = version.parse().unwrap_or(0);
        let name = format!("{}/{}/{}/{version}", change.object, change.namespace, change);
        let mut log = self.log.lock();
        log.keep(change.clone());
        if log.unwritten.len() >= UNWRITTEN_MAX {
            log.unwritten.pop_front();
            log.lost += 1;
            self.lost.inc();
        }
        log.taken += 1;
        log.unwritten.push_back((change, note_id(rising, &name)));
        drop(log);
        self.bell.notify_one();
    }
}

/// What is remembered of an object.
struct Known {
    spec: Spec,
    round: u64,
}

/// Looks for differences of one kind.
struct Observer {
    object: &'static str,
    read: Read,
    told: Told,
    /// By namespace and name.
    known: HashMap<(String, String), Known>,
    round: u64,
    /// A list has been whole: what comes now is new.
    is_known: bool,
}

impl Observer {
    fn tell(
        &self,
        (namespace, name): &(String, String),
        spec: &Spec,
        what: (model::ChangeKind, String),
        version: &str,
    ) {
        let change = Change {
            time: self.told.clock.now(),
            kind: what.0,
            object: self.object,
            namespace: namespace.clone(),
            name: spec.target().unwrap_or(name).to_owned(),
            text: what.1,
        };
        self.told.tell(change, version);
    }

    fn went(&mut self, key: &(String, String), version: &str) {
        if let Some(known) = self.known.remove(key)
            && let Some(what) = known.spec.went()
        {
            self.tell(key, &known.spec, what, version);
        }
    }
}

#[derive(Deserialize)]
struct Head {
    metadata: HeadMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeadMeta {
    resource_version: String,
}

fn version(text: &str) -> String {
    let head = serde_json::from_str::<Head>(text);
    head.map(|head| head.metadata.resource_version)
        .unwrap_or_default()
}

impl Observe for Observer {
    fn begun(&mut self) {
        self.round += 1;
    }

    fn here(&mut self, object: &Object<'_>) {
        let Some(spec) = (self.read)(object.text) else {
            return;
        };
        let key = (object.namespace.to_owned(), object.name.to_owned());
        let round = self.round;
        let before = self.known.insert(
            key.clone(),
            Known {
                spec: spec.clone(),
                round,
            },
        );
        let changes = match before {
            Some(before) => spec.since(&before.spec),
            None if self.is_known => spec.came().into_iter().collect(),
            None => Vec::new(),
        };
        for change in changes {
            self.tell(&key, &spec, change, &version(object.text));
        }
    }

    fn gone(&mut self, object: &Object<'_>) {
        let key = (object.namespace.to_owned(), object.name.to_owned());
        self.went(&key, &version(object.text));
    }

    fn whole(&mut self) {
        let round = self.round;
        let gone = self.known.iter().filter(|(_, known)| known.round != round);
        let gone: Vec<(String, String)> = gone.map(|(key, _)| key.clone()).collect();
        for key in gone {
            // Nobody says at which version it went.
            self.went(&key, "");
        }
        self.is_known = true;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use telemetry::clock::RuntimeClock;

    use super::*;

    fn observer() -> (Observer, ChangesHandle) {
        let registry = Registry::new();
        let handle = ChangesHandle(Arc::default());
        let told = Told {
            log: Arc::clone(&handle.0),
            bell: Arc::default(),
            clock: RuntimeClock::system(),
            seen: gauges(&registry, "seen", "x", &["kind", "namespace", "workload"]),
            series: Arc::default(),
            lost: counter(&registry, "lost", "x"),
        };
        let observer = Observer {
            object: "Deployment",
            read: spec::workload,
            told,
            known: HashMap::new(),
            round: 0,
            is_known: false,
        };
        (observer, handle)
    }

    fn here(observer: &mut Observer, name: &str, version: u64, replicas: u64) {
        let text = json!({
            "metadata": {"resourceVersion": version.to_string()},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "app", "image": "web:1"}]}}}
        });
        observer.here(&Object {
            namespace: "shop",
            name,
            uid: "u",
            text: &text.to_string(),
        });
    }

    fn told(handle: &ChangesHandle) -> Vec<String> {
        let all = handle.since(Timestamp::MIN);
        all.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn what_is_there_at_the_start_is_not_told_and_what_changed_unseen_is() {
        let (mut observer, handle) = observer();
        observer.begun();
        for name in ["web", "api", "cart"] {
            here(&mut observer, name, 1, 2);
        }
        observer.whole();
        assert_eq!(told(&handle), [""; 0]);
        here(&mut observer, "web", 2, 2);
        here(&mut observer, "web", 3, 3);
        // While nobody watched, one went, one grew and one came.
        observer.begun();
        here(&mut observer, "web", 3, 3);
        here(&mut observer, "api", 4, 1);
        here(&mut observer, "new", 5, 1);
        observer.whole();
        assert_eq!(
            told(&handle),
            [
                "web: replicas 2 → 3",
                "api: replicas 2 → 1",
                "new: created, image web:1",
                "cart: deleted"
            ]
        );
    }

    #[tokio::test]
    async fn a_change_has_the_same_id_for_whoever_sees_it_and_only_so_many_are_kept() {
        let ids = [(); 2].map(|()| {
            let (mut observer, handle) = observer();
            observer.begun();
            here(&mut observer, "web", 1, 1);
            observer.whole();
            for version in 2..UNWRITTEN_MAX as u64 + 12 {
                here(&mut observer, "web", version, version);
            }
            assert_eq!(told(&handle).len(), KEPT_MAX);
            assert_eq!(observer.told.lost.get(), 10);
            let ledger = handle.ledger();
            assert!(
                ledger.balances() && ledger.dropped["overflow"] == 10,
                "{ledger:?}"
            );
            let log = handle.0.lock();
            log.unwritten.iter().map(|(_, id)| id.clone()).collect::<Vec<_>>()
        });
        assert_eq!(ids[0], ids[1]);
        let mut once = ids[0].clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), UNWRITTEN_MAX);
    }
}
