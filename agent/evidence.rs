//! What this process knows about an alert beside what the alert says: its lines in the local log segments and on the node
//! that has its pod, what Kubernetes warned of, and how its value went over the last hour.
//!
//! A line belongs to an alert only if a label of the alert says so: by pod, or by file. A value only if one rule has this
//! alert, and one series of its expression is the alert's. Where that is not certain there is nothing. A few questions
//! at a time; the next ones are told to go without.

use std::sync::Arc;
use std::time::Duration;

use model::view::{Asked, LogQuery, OwnLines};
use model::{
    BoxFuture, Change, Evidence, Findings, Inquiry, Labels, Level, LogRecord, Overloaded, TailQuery,
    Timestamp, Trend,
};
use promql::{Engine, MatrixSeries, Options};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::afar::{Afar, VIEW_PATIENCE};

/// Questions answered at the same time; each reads from the disk.
const AT_ONCE: usize = 2;
/// How old a line may be.
const LINES_AGE: Duration = Duration::from_secs(15 * 60);
/// How old a change may be.
const CHANGES_AGE: Duration = Duration::from_secs(30 * 60);
/// Labels that name a workload.
const WORKLOADS: [&str; 4] = ["deployment", "statefulset", "daemonset", "workload"];
/// Lines read to find those of one alert, where names of others contain its own.
const LINES_READ: usize = 500;
/// Warnings of Kubernetes among the lines of an alert on the page.
const EVENTS_SHOWN: usize = 3;
/// Labels that name an object other than a pod, and its kind.
const OBJECTS: [(&str, &str); 8] = [
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("job_name", "Job"),
    ("cronjob", "CronJob"),
    ("horizontalpodautoscaler", "HorizontalPodAutoscaler"),
    ("persistentvolumeclaim", "PersistentVolumeClaim"),
    ("node", "Node"),
];
const SPAN: Duration = Duration::from_hours(1);
const STEPS: u32 = 30;
/// Samples that a course may hold at a time: a rule over thousands of series is not worth it.
const SAMPLES_MAX: usize = 2_000_000;
/// Kept of the deadline for handing over what was found.
const RESERVE: Duration = Duration::from_millis(200);
/// Likewise of the time that nodes may take, for what comes after.
const NODES_RESERVE: Duration = Duration::from_millis(500);
/// Labels that name a file as the log room does.
const FILES: [&str; 3] = ["filename", "path", "file"];

pub(crate) struct Witness {
    own: Arc<Own>,
    places: Arc<Semaphore>,
}

struct Own {
    rules: rules::Manager,
    logs: Option<logs::Handle>,
    /// Nodes that have the lines of their pods.
    afar: Option<Afar>,
    /// None where rules ask elsewhere.
    engine: Option<Arc<Engine>>,
    /// None where there is no cluster to ask.
    changes: Option<cluster::ChangesHandle>,
    external_labels: Labels,
    host: String,
}

impl Witness {
    pub(crate) fn new(
        rules: &rules::Manager,
        logs: Option<&logs::Handle>,
        afar: Option<&Afar>,
        changes: Option<&cluster::ChangesHandle>,
        engine: Option<&Arc<Engine>>,
        external_labels: &Labels,
        host: &str,
    ) -> Self {
        Self {
            own: Arc::new(Own {
                rules: rules.clone(),
                logs: logs.cloned(),
                afar: afar.cloned(),
                engine: engine.cloned(),
                changes: changes.cloned(),
                external_labels: external_labels.clone(),
                host: host.to_owned(),
            }),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Witness {
    /// The last lines of what an alert with these labels is about, oldest first, and among them what Kubernetes warned of;
    /// none where no label says which these are. Reads the disk and waits for nodes.
    pub(crate) fn lines(&self, labels: &Labels, now: Timestamp, most: usize) -> Option<OwnLines> {
        let own = self.own.lines(labels, now, most, VIEW_PATIENCE);
        let events = self.own.events(labels, now, EVENTS_SHOWN.min(most));
        if events.is_empty() {
            return own;
        }
        let mut own = own.unwrap_or_default();
        let skipped = (own.lines.len() + events.len()).saturating_sub(most);
        own.lines.drain(..skipped.min(own.lines.len()));
        own.lines.extend(events);
        own.lines.sort_by_key(|line| line.time);
        Some(own)
    }
}

impl Evidence for Witness {
    fn gather(&self, inquiry: Inquiry) -> BoxFuture<'static, Result<Findings, Overloaded>> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Box::pin(std::future::ready(Err(Overloaded)));
        };
        // Reading goes on after nobody waits for it, and holds the place until it ends.
        let (place, inquiry) = (Arc::new(place), Arc::new(inquiry));
        let changes = self.own.changes(&inquiry);
        let end = Instant::now() + inquiry.deadline.saturating_sub(RESERVE);
        let lines = tokio::task::spawn_blocking({
            let (own, place, inquiry) = (Arc::clone(&self.own), Arc::clone(&place), Arc::clone(&inquiry));
            move || {
                let _place = place;
                let (labels, most) = (&inquiry.labels, inquiry.lines_max);
                let patience = inquiry.deadline.saturating_sub(NODES_RESERVE);
                own.lines(labels, inquiry.now, most, patience).unwrap_or_default()
            }
        });
        let events = tokio::task::spawn_blocking({
            let (own, place, inquiry) = (Arc::clone(&self.own), Arc::clone(&place), Arc::clone(&inquiry));
            move || {
                let _place = place;
                own.events(&inquiry.labels, inquiry.now, inquiry.events_max)
            }
        });
        let own = Arc::clone(&self.own);
        let trend = tokio::task::spawn_blocking(move || {
            let _place = place;
            own.trend(&inquiry)
        });
        Box::pin(async move {
            let (lines, events, trend) =
                tokio::join!(in_time(lines, end), in_time(events, end), in_time(trend, end));
            let is_late = lines.is_none() || events.is_none() || trend.is_none();
            let own: OwnLines = lines.unwrap_or_default();
            Ok(Findings {
                is_partial: is_late || !own.nodes.unheard.is_empty(),
                silent: own.nodes.unheard.iter().map(|one| one.node.to_string()).collect(),
                lines: own.lines,
                events: events.unwrap_or_default(),
                trend: trend.flatten(),
                changes,
            })
        })
    }
}

async fn in_time<T>(found: JoinHandle<T>, end: Instant) -> Option<T> {
    timeout_at(end, found).await.ok()?.ok()
}

impl Own {
    fn lines(&self, labels: &Labels, now: Timestamp, most: usize, patience: Duration) -> Option<OwnLines> {
        let writer = Writer::of(labels, &self.host).filter(|_| most > 0)?;
        let afar = self.afar.as_ref().filter(|afar| afar.count() > 0);
        let asked = afar.and_then(|afar| Some((afar, writer.asked(now, most)?)));
        if self.logs.is_none() && asked.is_none() {
            return None;
        }
        let mut own = OwnLines {
            lines: self.kept(&writer, now),
            nodes: Asked::default(),
        };
        if let Some((afar, query)) = asked {
            let node = labels.get("node").filter(|node| !node.is_empty());
            let found = afar.ask(query, node, patience);
            own.lines
                .extend(found.lines.into_iter().filter(|line| writer.wrote(line)));
            own.lines.sort_by_key(|line| line.time);
            own.nodes = Asked {
                heard: found.heard,
                unheard: found.unheard,
                known: found.known,
            };
        }
        own.lines = own.lines.split_off(own.lines.len().saturating_sub(most));
        Some(own)
    }

    /// The writer's lines in the segments.
    fn kept(&self, writer: &Writer<'_>, now: Timestamp) -> Vec<LogRecord> {
        let Some(logs) = &self.logs else {
            return Vec::new();
        };
        let query = LogQuery {
            source: writer.source(),
            from: now - LINES_AGE,
            to: now,
            lines_max: LINES_READ,
            ..LogQuery::default()
        };
        let page = logs.search(&query);
        let page = page.inspect_err(|error| tracing::warn!(%error, "log lines of an alert"));
        let mut lines = page.unwrap_or_default().lines;
        lines.retain(|line| writer.wrote(line) && !is_event(line));
        lines
    }

    /// What Kubernetes warned of, each warning as it was said last, oldest first: one that comes back every ten seconds would
    /// leave no place for others.
    fn events(&self, labels: &Labels, now: Timestamp, most: usize) -> Vec<LogRecord> {
        let (Some(logs), Some(source)) = (&self.logs, events_of(labels).filter(|_| most > 0)) else {
            return Vec::new();
        };
        let query = LogQuery {
            source: source.clone(),
            level: Some(Level::Warn),
            from: now - LINES_AGE,
            to: now,
            lines_max: LINES_READ,
            ..LogQuery::default()
        };
        let page = logs.search(&query);
        let page = page.inspect_err(|error| tracing::warn!(%error, "events of an alert"));
        let lines = page.unwrap_or_default().lines;
        let mut events: Vec<LogRecord> = Vec::new();
        for line in lines.into_iter().rev().filter(is_event) {
            let is_known = events.iter().any(|known| known.text == line.text);
            if *line.source == source && !is_known && events.len() < most {
                events.push(line);
            }
        }
        events.reverse();
        events
    }

    fn changes(&self, inquiry: &Inquiry) -> Vec<Change> {
        let Some(changes) = &self.changes else {
            return Vec::new();
        };
        let mut changes = changes.since(inquiry.now - CHANGES_AGE);
        changes.retain(|change| concerns(change, &inquiry.labels));
        changes.split_off(changes.len().saturating_sub(inquiry.changes_max))
    }

    fn trend(&self, inquiry: &Inquiry) -> Option<Trend> {
        let engine = self.engine.as_ref().filter(|_| inquiry.trend)?;
        let told = |labels: &Labels| Labels::from_pairs(self.external_labels.iter().chain(labels.iter()));
        let groups = self.rules.view();
        let rules = groups.iter().flat_map(|group| {
            let offset = group.query_offset;
            group.rules.iter().map(move |rule| (rule, offset))
        });
        let mut found = rules.filter_map(|(rule, offset)| {
            let alert = rule
                .alerts
                .iter()
                .find(|alert| told(&alert.labels) == inquiry.labels)?;
            Some((rule, offset, alert))
        });
        // Two rules with the same alert: nobody knows whose value it is.
        let (Some((rule, offset, alert)), None) = (found.next(), found.next()) else {
            return None;
        };
        let step = SPAN / STEPS;
        let end = inquiry.now - offset;
        let start = end - step * (STEPS - 1);
        let options = Options {
            timeout: inquiry.deadline.saturating_sub(RESERVE),
            samples_max: SAMPLES_MAX.min(engine.options().samples_max),
            ..engine.options().clone()
        };
        let series = engine.compared(&rule.expr, (start, end), step, &options).ok()?;
        let mut series = series
            .into_iter()
            .filter(|series| is_of(&series.labels, &alert.labels, &rule.labels));
        let (Some(series), None) = (series.next(), series.next()) else {
            return None;
        };
        Some(Trend {
            span: SPAN,
            values: in_steps(&series, start, step),
        })
    }
}

/// A line of a container has a stream, whatever the container is called.
fn is_event(line: &LogRecord) -> bool {
    line.source.ends_with("/events") && line.stream.is_empty()
}

/// By whom the events of what an alert is about are said, as the records of events have it; none where no label names it.
fn events_of(labels: &Labels) -> Option<String> {
    let label = |name: &str| labels.get(name).filter(|value| !value.is_empty());
    let namespace = label("namespace");
    if let (Some(namespace), Some(pod)) = (namespace, label("pod")) {
        return Some(format!("{namespace}/{pod}/events"));
    }
    OBJECTS.iter().find_map(|(name, kind)| match (namespace, *kind) {
        (_, "Node") => Some(format!("Node/{}/events", label(name)?)),
        (Some(namespace), kind) => Some(format!("{namespace}/{kind}/{}/events", label(name)?)),
        (None, _) => None,
    })
}

/// Whether a change is of the node, the workload, or, where none of these is named, of the namespace of an alert.
fn concerns(change: &Change, labels: &Labels) -> bool {
    let label = |name: &str| labels.get(name).filter(|value| !value.is_empty());
    if change.object == "Node" {
        return label("node") == Some(&change.name);
    }
    if change.namespace.is_empty() || label("namespace") != Some(&change.namespace) {
        return false;
    }
    // What reads a ConfigMap is not known.
    if change.object == "ConfigMap" {
        return true;
    }
    let workload = WORKLOADS.iter().find_map(|name| label(name));
    if change.object == "Pod" {
        return match (label("pod"), workload) {
            (Some(pod), _) => pod == change.name,
            (None, Some(workload)) => {
                let rest = change.name.strip_prefix(workload);
                rest.is_some_and(|rest| rest.starts_with('-'))
            }
            (None, None) => true,
        };
    }
    match (workload, label("pod")) {
        (Some(workload), _) => workload == change.name,
        (None, Some(pod)) => is_pod_of(pod, change),
        (None, None) => true,
    }
}

/// By the names that controllers give: `<deployment>-<hash>-<five letters>`, `<set>-<number>`, `<daemon set>-<five letters>`.
fn is_pod_of(pod: &str, change: &Change) -> bool {
    let rest = pod
        .strip_prefix(change.name.as_str())
        .and_then(|rest| rest.strip_prefix('-'));
    let parts = rest.map(|rest| rest.split('-').count());
    match change.object {
        "Deployment" => parts == Some(2),
        // It is told of under the name of what it scales.
        "HorizontalPodAutoscaler" => parts == Some(2) || parts == Some(1),
        _ => parts == Some(1),
    }
}

/// Whether a series of a rule's expression is that of an alert: alike but for what the rule itself adds.
fn is_of(series: &Labels, alert: &Labels, added: &Labels) -> bool {
    let own = |labels: &Labels| {
        labels.retain(|name| {
            name != model::labels::METRIC_NAME
                && name != model::labels::ALERT_NAME
                && added.get(name).is_none()
        })
    };
    own(series) == own(alert)
}

fn in_steps(series: &MatrixSeries, start: Timestamp, step: Duration) -> Vec<Option<f64>> {
    let mut points = series.points.iter().peekable();
    let times = (0..STEPS).map(|nth| start + step * nth);
    let value = |time| {
        points
            .next_if(|point| point.time == time)
            .map(|point| point.value)
    };
    times.map(value).collect()
}

/// Who writes the lines that belong to an alert.
enum Writer<'a> {
    /// Parts that are not known match any.
    Pod {
        namespace: Option<&'a str>,
        pod: Option<&'a str>,
        container: Option<&'a str>,
    },
    File(&'a str),
}

impl<'a> Writer<'a> {
    /// None if no label says which lines are the alert's own.
    fn of(labels: &'a Labels, host: &str) -> Option<Self> {
        let label = |name: &str| labels.get(name).filter(|value| !value.is_empty());
        let (namespace, pod, container) = (label("namespace"), label("pod"), label("container"));
        // A container's name alone, or a namespace's, is that of many.
        if pod.is_some() || namespace.is_some() && container.is_some() {
            return Some(Self::Pod {
                namespace,
                pod,
                container,
            });
        }
        // The same path is another file on another machine.
        let places = ["instance", "node"].into_iter().filter_map(label);
        if places.into_iter().any(|place| !is_here(place, host)) {
            return None;
        }
        let mut paths = FILES.iter().filter_map(|name| label(name));
        paths.find(|path| path.starts_with('/')).map(Self::File)
    }

    /// What the names of all its sources contain.
    fn source(&self) -> String {
        match self {
            Self::Pod {
                namespace,
                pod,
                container,
            } => match (namespace, pod, container) {
                (Some(namespace), Some(pod), container) => {
                    format!("{namespace}/{pod}/{}", container.unwrap_or_default())
                }
                (None, Some(pod), container) => format!("/{pod}/{}", container.unwrap_or_default()),
                (namespace, None, _) => format!("{}/", namespace.unwrap_or_default()),
            },
            Self::File(path) => path.rsplit('/').next().unwrap_or_default().to_owned(),
        }
    }

    /// What a node is asked; none where namespace and pod are not both known.
    fn asked(&self, now: Timestamp, most: usize) -> Option<TailQuery> {
        let Self::Pod {
            namespace,
            pod,
            container,
        } = self
        else {
            return None;
        };
        Some(TailQuery {
            namespace: (*namespace)?.to_owned(),
            pod: (*pod)?.to_owned(),
            container: container.unwrap_or_default().to_owned(),
            text: String::new(),
            level: None,
            from: now - LINES_AGE,
            to: Timestamp::MAX,
            lines: most,
        })
    }

    fn wrote(&self, line: &LogRecord) -> bool {
        match self {
            Self::Pod {
                namespace,
                pod,
                container,
            } => {
                let parts: Vec<&str> = line.source.split('/').collect();
                let wanted = [namespace, pod, container];
                let mut pairs = wanted.into_iter().zip(&parts);
                parts.len() == wanted.len()
                    && pairs.all(|(wanted, part)| wanted.is_none_or(|wanted| wanted == *part))
            }
            Self::File(path) => &*line.file == *path,
        }
    }
}

/// Whether `instance` or `node` means this machine.
fn is_here(place: &str, host: &str) -> bool {
    let name = match place.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|letter| letter.is_ascii_digit()) => name,
        _ => place,
    };
    name == host || ["localhost", "127.0.0.1", "[::1]"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied())
    }

    fn line(source: &str, file: &str) -> LogRecord {
        LogRecord {
            time: Timestamp(0),
            level: model::Level::Info,
            source: source.into(),
            stream: "".into(),
            text: String::new(),
            file: file.into(),
            offset_bytes: 0,
        }
    }

    fn owns(pairs: &[(&str, &str)], source: &str, file: &str) -> bool {
        let labels = labels(pairs);
        let writer = Writer::of(&labels, "web-1");
        let line = line(source, file);
        writer.is_some_and(|writer| {
            assert!(
                !writer.wrote(&line) || source.contains(&writer.source()),
                "{source}"
            );
            writer.wrote(&line)
        })
    }

    #[test]
    fn a_line_is_an_alerts_own_only_by_pod_or_file() {
        let cart = [("namespace", "shop"), ("pod", "cart-1")];
        assert!(owns(&cart, "shop/cart-1/app", "/x"));
        assert!(!owns(&cart, "shop/cart-12/app", "/x") && !owns(&cart, "myshop/cart-1/app", "/x"));
        assert!(owns(&[("pod", "cart-1")], "shop/cart-1/app", "/x"));
        assert!(!owns(
            &[("pod", "cart-1"), ("container", "db")],
            "shop/cart-1/app",
            "/x"
        ));
        let tier = [("namespace", "shop"), ("container", "app")];
        assert!(owns(&tier, "shop/cart-1/app", "/x") && !owns(&tier, "shop/cart-1/apple", "/x"));
        for vague in [[("namespace", "shop")], [("container", "app")], [("job", "app")]] {
            assert!(!owns(&vague, "shop/cart-1/app", "/app"), "{vague:?}");
        }
        let file = [("filename", "/var/log/app.log"), ("instance", "web-1:9464")];
        assert!(owns(&file, "app.log", "/var/log/app.log"));
        assert!(!owns(&file, "app.log", "/srv/app.log"));
        let elsewhere = [("filename", "/var/log/app.log"), ("instance", "web-2:9464")];
        assert!(!owns(&elsewhere, "app.log", "/var/log/app.log"));
        assert!(!owns(&[("file", "app.log")], "app.log", "app.log"));
    }

    #[test]
    fn events_are_those_of_the_pod_or_else_of_the_object_that_a_label_names() {
        let pod = [("namespace", "shop"), ("pod", "cart-1"), ("container", "app")];
        for (pairs, want) in [
            (&pod[..], Some("shop/cart-1/events")),
            (
                &[("namespace", "shop"), ("deployment", "cart")],
                Some("shop/Deployment/cart/events"),
            ),
            (&[("node", "n1")], Some("Node/n1/events")),
            (
                &[("namespace", "shop"), ("node", "n1"), ("pod", "cart-1")],
                Some("shop/cart-1/events"),
            ),
            (&[("pod", "cart-1")], None),
            (&[("deployment", "cart")], None),
            (&[("namespace", "shop")], None),
        ] {
            assert_eq!(events_of(&labels(pairs)).as_deref(), want, "{pairs:?}");
        }
        // Also a container may be called so.
        let said = LogRecord {
            stream: "stdout".into(),
            ..line("shop/cart-1/events", "/x")
        };
        assert!(!is_event(&said) && is_event(&line("shop/cart-1/events", "/x")));
    }

    #[test]
    fn a_change_is_an_alerts_own_by_node_workload_or_namespace() {
        let change = |object, namespace: &str, name: &str| Change {
            time: Timestamp(0),
            kind: model::ChangeKind::Deploy,
            object,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            text: String::new(),
        };
        let web = change("Deployment", "shop", "web");
        for (pairs, want) in [
            (vec![("namespace", "shop")], true),
            (vec![("namespace", "pay")], false),
            (vec![("pod", "web-7d9f-x2x4z")], false),
            (vec![("namespace", "shop"), ("pod", "web-7d9f-x2x4z")], true),
            (vec![("namespace", "shop"), ("pod", "web-api-7d9f-x2x4z")], false),
            (vec![("namespace", "shop"), ("pod", "cart-0")], false),
            (vec![("namespace", "shop"), ("deployment", "web")], true),
            (vec![("namespace", "shop"), ("deployment", "cart")], false),
        ] {
            assert_eq!(concerns(&web, &labels(&pairs)), want, "{pairs:?}");
        }
        let set = change("StatefulSet", "shop", "cart");
        assert!(concerns(
            &set,
            &labels(&[("namespace", "shop"), ("pod", "cart-0")])
        ));
        let node = change("Node", "", "n1");
        assert!(concerns(&node, &labels(&[("node", "n1"), ("namespace", "shop")])));
        assert!(!concerns(&node, &labels(&[("namespace", "shop")])));
    }

    #[test]
    fn a_series_is_an_alerts_but_for_what_the_rule_adds() {
        let added = labels(&[("severity", "page")]);
        let alert = labels(&[("alertname", "Full"), ("disk", "a"), ("severity", "page")]);
        let of = |pairs: &[(&str, &str)]| is_of(&labels(pairs), &alert, &added);
        assert!(of(&[("__name__", "used"), ("disk", "a")]));
        assert!(of(&[("disk", "a"), ("severity", "of the series")]));
        assert!(!of(&[("disk", "b")]) && !of(&[("disk", "a"), ("job", "x")]) && !of(&[]));
    }

    #[test]
    fn a_missing_value_is_a_gap_in_its_place() {
        let step = SPAN / STEPS;
        let point = |nth: u32| model::Sample {
            time: Timestamp(0) + step * nth,
            value: f64::from(nth),
        };
        let series = MatrixSeries {
            labels: Labels::empty(),
            points: vec![point(1), point(29)],
        };
        let values = in_steps(&series, Timestamp(0), step);
        assert_eq!(values.len(), 30);
        assert_eq!(
            (values[0], values[1], values[28], values[29]),
            (None, Some(1.0), None, Some(29.0))
        );
    }
}
