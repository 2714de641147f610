//! Kills on this node, as series: what the kernel counts and says, and what the states of pods say of containers that ended with it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use model::pods::Ended;
use model::{Clock, Pods, Timestamp};
use node::oom::{Kill, Watch};
use parking_lot::Mutex;
use prometheus::{GaugeVec, IntCounterVec, Registry};
use telemetry::metrics::{counters, gauges};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(2);
/// A pod's state says a moment later what the kernel's log may have said with a name.
const STATE_PAUSE: Duration = Duration::from_secs(4);
/// How long a kill waits for its pod to be known.
const POD_PATIENCE: Duration = Duration::from_secs(10);
/// What ended before we began is told, if it was not long before: an agent that restarts loses none.
const BEFORE: Duration = Duration::from_secs(600);
/// Containers and processes that have series, and for how long after their last kill.
const SERIES_MAX: usize = 200;
const KEPT: Duration = Duration::from_hours(24);
/// As a container's end is called that the kernel brought about.
const REASON: &str = "OOMKilled";
const LABELS: [&str; 4] = ["namespace", "pod", "container", "process"];

/// For doctor.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) containers: usize,
    pub(crate) log_error: String,
    pub(crate) has_pods: bool,
}

pub(crate) type View = Arc<Mutex<State>>;

pub(crate) struct Seer {
    watch: Watch,
    pods: Option<watch::Receiver<Arc<Pods>>>,
    clock: Arc<dyn Clock>,
    state: View,
    desk: Desk,
}

impl Seer {
    pub(crate) fn new(
        config: &node::Config,
        pods: Option<watch::Receiver<Arc<Pods>>>,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Self {
        let watch = Watch::new(&config.sysfs, &config.kernel_log);
        let state = State {
            containers: 0,
            log_error: watch.log_error().to_owned(),
            has_pods: pods.is_some(),
        };
        Self {
            watch,
            pods,
            state: Arc::new(Mutex::new(state)),
            desk: Desk::new(clock.now(), Series::new(registry)),
            clock,
        }
    }

    pub(crate) fn view(&self) -> View {
        Arc::clone(&self.state)
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let mut watch = self.watch;
            let looked = tokio::task::spawn_blocking(move || {
                let kills = watch.look();
                (watch, kills)
            });
            let Ok((watch, kills)) = looked.await else {
                tracing::error!("kills for want of memory are not looked for any more");
                return stop.cancelled().await;
            };
            self.watch = watch;
            self.state.lock().containers = self.watch.containers();
            let (now, running) = (self.clock.now(), self.clock.running());
            let pods = self
                .pods
                .as_mut()
                .map(|pods| Arc::clone(&pods.borrow_and_update()));
            for kill in kills {
                self.desk.kernel(kill, now, running);
            }
            self.desk.settle(pods.as_deref(), now, running);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }
}

/// What waits to be told, and what has been.
struct Desk {
    began: Timestamp,
    series: Series,
    /// When it may be told without its pod, in running time.
    waiting: Vec<(Duration, Timestamp, Kill)>,
    /// Ends that pods tell of, and when they are due.
    ended: Vec<(Duration, Ended)>,
    /// Containers of which such an end was heard, and those whose kills the kernel's log named.
    heard: HashSet<String>,
    named: HashSet<String>,
}

impl Desk {
    fn new(began: Timestamp, series: Series) -> Self {
        Self {
            began,
            series,
            waiting: Vec::new(),
            ended: Vec::new(),
            heard: HashSet::new(),
            named: HashSet::new(),
        }
    }

    fn kernel(&mut self, kill: Kill, now: Timestamp, running: Duration) {
        if kill.process.is_some() && !kill.container_id.is_empty() {
            self.named.insert(kill.container_id.clone());
        }
        self.waiting.push((running + POD_PATIENCE, now, kill));
    }

    fn settle(&mut self, pods: Option<&Pods>, now: Timestamp, running: Duration) {
        for ended in pods.into_iter().flat_map(ends) {
            if self.heard.insert(ended.container_id.clone()) && ended.at >= self.began - BEFORE {
                self.ended.push((running + STATE_PAUSE, ended.clone()));
            }
        }
        for (until, at, kill) in std::mem::take(&mut self.waiting) {
            // Without a cluster, containers of one are nobody's.
            if pods.is_none() && !kill.container_id.is_empty() {
                continue;
            }
            let place = place(pods, &kill);
            let is_due = running >= until || kill.container_id.is_empty();
            match place {
                Some(place) => self.series.tell(&place, &kill, at),
                None if is_due => self.series.tell(&Place::unknown(&kill), &kill, at),
                None => self.waiting.push((until, at, kill)),
            }
        }
        for (due, ended) in std::mem::take(&mut self.ended) {
            if running < due {
                self.ended.push((due, ended));
                continue;
            }
            if self.named.contains(&ended.container_id) {
                continue;
            }
            let kill = Kill {
                container_id: ended.container_id.clone(),
                count: 1,
                ..Kill::default()
            };
            if let Some(place) = place(pods, &kill) {
                self.series.tell(&place, &kill, ended.at);
            }
        }
        let there = |id: &String| {
            pods.is_none_or(|pods| {
                let containers = pods.by_uid.values().flat_map(|pod| &pod.containers);
                containers.into_iter().any(|container| container.is(id))
            })
        };
        // Of those that nobody names any more nothing comes.
        if self.heard.len() + self.named.len() > 10 * SERIES_MAX {
            self.heard.retain(there);
            self.named.retain(there);
        }
        self.series.forget(now);
    }
}

/// All ends for want of memory that pods tell of.
fn ends(pods: &Pods) -> impl Iterator<Item = &Ended> {
    let containers = pods.by_uid.values().flat_map(|pod| &pod.containers);
    let ended = containers.filter_map(|container| container.ended.as_ref());
    ended.filter(|ended| ended.reason == REASON)
}

/// Where a kill was.
struct Place {
    namespace: String,
    pod: String,
    container: String,
    limit_bytes: Option<u64>,
}

impl Place {
    /// A process in no container, or one in a container of nobody.
    fn unknown(kill: &Kill) -> Self {
        let short = kill.container_id.get(..12).unwrap_or_default();
        Self {
            namespace: String::new(),
            pod: String::new(),
            container: short.to_owned(),
            limit_bytes: None,
        }
    }
}

fn place(pods: Option<&Pods>, kill: &Kill) -> Option<Place> {
    if kill.container_id.is_empty() {
        return None;
    }
    pods?.by_uid.values().find_map(|pod| {
        let container = pod
            .containers
            .iter()
            .find(|container| container.is(&kill.container_id))?;
        Some(Place {
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            container: container.name.clone(),
            limit_bytes: container.memory_limit_bytes,
        })
    })
}

/// Of each container and process: how often, and what is known of the last time.
struct Series {
    kills: IntCounterVec,
    last: GaugeVec,
    usage: GaugeVec,
    limit: GaugeVec,
    pid: GaugeVec,
    /// When each was told of last.
    known: BTreeMap<[String; 4], Timestamp>,
}

impl Series {
    fn new(registry: &Registry) -> Self {
        let of_last =
            |name: &str, help: &str| gauges(registry, &format!("skopos_oom_last_kill_{name}"), help, &LABELS);
        Self {
            kills: counters(
                registry,
                "skopos_oom_kills_total",
                "Processes that the kernel ended for want of memory; process is empty where its name is not known.",
                &LABELS,
            ),
            last: of_last(
                "timestamp_seconds",
                "When the kernel last ended a process of it for want of memory.",
            ),
            usage: of_last("usage_bytes", "What the container used then, or at most before."),
            limit: of_last("limit_bytes", "What the container was allowed then."),
            pid: of_last("pid", "The number of the process that was ended."),
            known: BTreeMap::new(),
        }
    }

    fn tell(&mut self, place: &Place, kill: &Kill, at: Timestamp) {
        let process = kill.process.as_ref();
        let labels = [
            place.namespace.clone(),
            place.pod.clone(),
            place.container.clone(),
            process.map(|process| process.name.clone()).unwrap_or_default(),
        ];
        let limit = kill.limit_bytes.or(place.limit_bytes);
        tracing::warn!(
            namespace = place.namespace,
            pod = place.pod,
            container = place.container,
            process = labels[3],
            count = kill.count,
            usage_bytes = kill.usage_bytes,
            limit_bytes = limit,
            "the kernel ended a process for want of memory"
        );
        self.kills.with_label_values(&labels).inc_by(kill.count);
        self.last.with_label_values(&labels).set(at.seconds());
        for (gauge, value) in [
            (&self.usage, kill.usage_bytes.map(|bytes| bytes as f64)),
            (&self.limit, limit.map(|bytes| bytes as f64)),
            (&self.pid, process.map(|process| f64::from(process.pid))),
        ] {
            match value {
                Some(value) => gauge.with_label_values(&labels).set(value),
                // Whatever it was the time before.
                None => drop(gauge.remove_label_values(&labels)),
            }
        }
        self.known.insert(labels, at);
    }

    fn forget(&mut self, now: Timestamp) {
        let oldest = now - KEPT;
        loop {
            let first = self.known.iter().min_by_key(|(_, at)| **at);
            let Some((labels, at)) = first.map(|(labels, at)| (labels.clone(), *at)) else {
                return;
            };
            if at >= oldest && self.known.len() <= SERIES_MAX {
                return;
            }
            drop(self.kills.remove_label_values(&labels));
            for gauge in [&self.last, &self.usage, &self.limit, &self.pid] {
                drop(gauge.remove_label_values(&labels));
            }
            self.known.remove(&labels);
        }
    }
}

#[cfg(test)]
mod tests {
    use model::pods::{Container, Pod};
    use node::oom::Process;

    use super::*;

    const START: Timestamp = Timestamp(1_795_661_484_000);

    struct World {
        desk: Desk,
        registry: Registry,
        pods: Pods,
        passed: Duration,
    }

    impl World {
        fn new() -> Self {
            let registry = Registry::new();
            Self {
                desk: Desk::new(START, Series::new(&registry)),
                registry,
                pods: Pods::default(),
                passed: Duration::ZERO,
            }
        }

        fn pod(&mut self, id: &str, ended: Option<(&str, &str, Timestamp)>) {
            let container = Container {
                name: "main".to_owned(),
                id: id.to_owned(),
                memory_limit_bytes: Some(64 << 20),
                ended: ended.map(|(id, reason, at)| Ended {
                    container_id: id.to_owned(),
                    reason: reason.to_owned(),
                    exit_code: 137,
                    at,
                }),
                ..Container::default()
            };
            let pod = Pod {
                uid: "u".to_owned(),
                namespace: "shop".to_owned(),
                name: "web-1".to_owned(),
                containers: vec![container],
                ..Pod::default()
            };
            self.pods.by_uid.insert("u".to_owned(), Arc::new(pod));
        }

        fn kernel(&mut self, id: &str, process: Option<&str>) {
            let kill = Kill {
                container_id: id.to_owned(),
                count: 1,
                process: process.map(|name| Process {
                    name: name.to_owned(),
                    pid: 412,
                    own_bytes: None,
                }),
                usage_bytes: Some(32 << 20),
                limit_bytes: Some(32 << 20),
                ..Kill::default()
            };
            self.desk.kernel(kill, START + self.passed, self.passed);
        }

        fn pass(&mut self, seconds: u64) {
            for _ in 0..seconds {
                self.passed += Duration::from_secs(1);
                self.desk
                    .settle(Some(&self.pods), START + self.passed, self.passed);
            }
        }

        /// `pod/container process count limit in MiB`
        fn told(&self) -> Vec<String> {
            let limit = |labels: &[&str]| {
                let limit = self
                    .desk
                    .series
                    .limit
                    .get_metric_with_label_values(labels)
                    .unwrap();
                limit.get() / 1_048_576.0
            };
            let told = self.desk.series.known.keys().map(|labels| {
                let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
                let count = self.desk.series.kills.with_label_values(&labels).get();
                format!(
                    "{}/{} {:?} {count} {}",
                    labels[1],
                    labels[2],
                    labels[3],
                    limit(&labels)
                )
            });
            told.collect()
        }
    }

    #[test]
    fn a_child_is_told_of_with_its_name_and_its_pod_once_that_is_known() {
        let mut world = World::new();
        world.kernel("a", Some("tail"));
        world.pass(3);
        assert_eq!(world.told(), [""; 0], "its pod may still come");
        world.pod("a", None);
        world.pass(1);
        world.kernel("a", Some("tail"));
        world.kernel("a", None);
        world.pass(1);
        assert_eq!(world.told(), ["web-1/main \"\" 1 32", "web-1/main \"tail\" 2 32"]);
        // One that belongs to nobody is told of all the same.
        world.kernel(&"c".repeat(64), Some("x"));
        world.pass(11);
        assert_eq!(world.told()[0], "/cccccccccccc \"x\" 1 32");
        assert!(!world.registry.gather().is_empty());
    }

    #[test]
    fn an_end_is_told_by_the_kernel_or_by_the_pods_state_and_not_by_both() {
        let mut world = World::new();
        let at = START + Duration::from_secs(1);
        // Without the kernel's log.
        world.pod("b", Some(("a", "OOMKilled", at)));
        world.pass(3);
        assert_eq!(world.told(), [""; 0]);
        world.pass(2);
        assert_eq!(world.told(), ["web-1/main \"\" 1 64"]);
        assert_eq!(world.desk.series.known.values().collect::<Vec<_>>(), [&at]);
        world.pass(20);
        assert_eq!(world.told(), ["web-1/main \"\" 1 64"]);
        // With it.
        world.kernel("b", Some("java"));
        world.pass(1);
        world.pod("c", Some(("b", "OOMKilled", START + Duration::from_secs(27))));
        world.pass(10);
        assert_eq!(world.told(), ["web-1/main \"\" 1 64", "web-1/main \"java\" 1 32"]);
        // Another end, and one of long ago.
        world.pod("d", Some(("c", "Error", START + Duration::from_secs(40))));
        world.pass(10);
        world.pod("e", Some(("d", "OOMKilled", START - Duration::from_secs(700))));
        world.pass(10);
        assert_eq!(world.told().len(), 2);
    }

    #[test]
    fn series_go_a_day_after_their_last_kill_and_the_oldest_of_too_many() {
        let mut world = World::new();
        world.pod("a", None);
        world.kernel("a", Some("tail"));
        world.pass(1);
        assert_eq!(world.told().len(), 1);
        world.passed += KEPT;
        world.pass(1);
        assert!(
            world.told().is_empty()
                && world
                    .registry
                    .gather()
                    .iter()
                    .all(|one| one.get_metric().is_empty())
        );
        for nth in 0..SERIES_MAX + 5 {
            world.kernel("a", Some(&format!("p{nth}")));
            world.pass(1);
        }
        assert_eq!(world.desk.series.known.len(), SERIES_MAX);
    }
}
