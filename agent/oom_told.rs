//! Kills as records and as changes, from the series that nodes make of them.
//!
//! Each kill once: what has been written is in the journal, which both replicas have, and one of them writes. A kill whose samples come
//! late is told with the time at which it was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::{ChangesHandle, Once};
use journal::Change as Entry;
use model::text::bytes;
use model::{Change, ChangeKind, Clock, Labels, Level, Note, Timestamp};
use promql::{Engine, Value};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(5);
/// What is older when it is seen first is not told: it was before our time.
const AGE: Duration = Duration::from_secs(900);
/// How long it is remembered that a kill was written, and how many.
const WRITTEN: Duration = Duration::from_secs(3600);
const WRITTEN_MAX: usize = 500;
/// Of the journal; both replicas have it.
const KEY: &str = "oom/written";
const LAST: &str = "skopos_oom_last_kill_timestamp_seconds";

/// What is asked, and who is told.
pub(crate) struct Near {
    engine: Arc<Engine>,
    /// None where there is no log of changes.
    changes: Option<ChangesHandle>,
    once: Once,
    /// What this machine is called: its own series do not say it.
    host: String,
}

impl Near {
    pub(crate) fn new(engine: &Arc<Engine>, changes: Option<&ChangesHandle>, once: Once, host: &str) -> Self {
        Self {
            engine: Arc::clone(engine),
            changes: changes.cloned(),
            once,
            host: host.to_owned(),
        }
    }
}

pub(crate) struct Teller {
    near: Near,
    clock: Arc<dyn Clock>,
    /// By place: the kill that was put among the changes last.
    seen: BTreeMap<String, i64>,
    is_troubled: bool,
}

/// By place: the last kill that was written, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Written(BTreeMap<String, i64>);

/// One kill, as its series have it.
#[derive(Clone, Debug, PartialEq)]
struct Kill {
    at: Timestamp,
    namespace: String,
    pod: String,
    container: String,
    process: String,
    node: String,
    usage_bytes: Option<f64>,
    limit_bytes: Option<f64>,
    pid: Option<f64>,
}

impl Kill {
    fn place(&self) -> String {
        let Self {
            namespace,
            pod,
            container,
            process,
            node,
            ..
        } = self;
        format!("{node}/{namespace}/{pod}/{container}/{process}")
    }

    /// `the kernel ended tail (process 412) of container main for want of memory: 31.9 MiB of 32.0 MiB were in use`
    fn text(&self) -> String {
        let process = match (self.process.as_str(), self.pid) {
            ("", _) => "a process".to_owned(),
            (name, Some(pid)) => format!("{name} (process {pid:.0})"),
            (name, None) => name.to_owned(),
        };
        let place = match self.container.as_str() {
            "" => String::new(),
            container => format!(" of container {container}"),
        };
        let figures = match (self.usage_bytes, self.limit_bytes) {
            (Some(usage), Some(limit)) => {
                format!(": {} of {} were in use", bytes(usage.min(limit)), bytes(limit))
            }
            (None, Some(limit)) => format!(": its limit is {}", bytes(limit)),
            (Some(usage), None) => format!(": {} were in use, without a limit", bytes(usage)),
            (None, None) => String::new(),
        };
        format!("the kernel ended {process}{place} for want of memory{figures}")
    }

    fn note(&self) -> Note {
        let source = match self.pod.as_str() {
            "" => format!("Node/{}/events", self.node),
            pod => format!("{}/{pod}/events", self.namespace),
        };
        let mut facts = vec![
            ("namespace", self.namespace.clone()),
            ("pod", self.pod.clone()),
            ("container", self.container.clone()),
            ("node", self.node.clone()),
            ("event.dataset", "kubernetes.oom_kills".to_owned()),
            ("event.reason", "OOMKilled".to_owned()),
            ("event.action", ChangeKind::OomKill.word().to_owned()),
            ("event.process", self.process.clone()),
        ];
        for (name, value) in [
            ("event.pid", self.pid),
            ("event.usage_bytes", self.usage_bytes),
            ("event.limit_bytes", self.limit_bytes),
        ] {
            facts.extend(value.map(|value| (name, format!("{value:.0}"))));
        }
        Note {
            nanos: self.at.millis().saturating_mul(1_000_000),
            level: Level::Error,
            source,
            facts,
            id: cluster::note_id(self.at.millis(), &self.place()),
            text: self.text(),
        }
    }

    fn change(&self) -> Option<Change> {
        (!self.pod.is_empty()).then(|| Change {
            time: self.at,
            kind: ChangeKind::OomKill,
            object: "Pod",
            namespace: self.namespace.clone(),
            name: self.pod.clone(),
            text: self.text(),
        })
    }
}

impl Teller {
    pub(crate) fn new(near: Near, clock: Arc<dyn Clock>) -> Self {
        Self {
            near,
            clock,
            seen: BTreeMap::new(),
            is_troubled: false,
        }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            self.look().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    async fn look(&mut self) {
        let now = self.clock.now();
        let kills = kills(&|expr| self.ask(expr, now), now, &self.near.host);
        for kill in &kills {
            let before = self.seen.insert(kill.place(), kill.at.millis());
            if before != Some(kill.at.millis())
                && let (Some(changes), Some(change)) = (&self.near.changes, kill.change())
            {
                changes.note(change);
            }
        }
        let oldest = (now - WRITTEN).millis();
        self.seen.retain(|_, at| *at >= oldest);
        if let Err(why) = self.write(&kills, oldest).await
            && !std::mem::replace(&mut self.is_troubled, true)
        {
            tracing::warn!(
                why,
                "kills for want of memory cannot be written; it is tried again"
            );
        }
    }

    async fn write(&mut self, kills: &[Kill], oldest: i64) -> Result<(), String> {
        let once = &self.near.once;
        let Some(notes) = once.notes.as_ref().filter(|_| once.is_ours()) else {
            return Ok(());
        };
        let mut written = once.journal.get::<Written>(KEY).unwrap_or_default();
        let new: Vec<&Kill> = kills
            .iter()
            .filter(|kill| written.0.get(&kill.place()) != Some(&kill.at.millis()))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        notes
            .keep(new.iter().map(|kill| kill.note()).collect(), None)
            .await?;
        written.0.retain(|_, at| *at >= oldest);
        for kill in new {
            written.0.insert(kill.place(), kill.at.millis());
        }
        while written.0.len() > WRITTEN_MAX {
            let first = written.0.iter().min_by_key(|(_, at)| **at);
            let first = first.map(|(place, _)| place.clone()).unwrap_or_default();
            written.0.remove(&first);
        }
        self.is_troubled = false;
        let kept = once.journal.write(vec![Entry::put(KEY, &written)]).await;
        kept.map_err(|error| error.to_string())
    }

    fn ask(&self, expr: &str, now: Timestamp) -> Vec<(Labels, f64)> {
        match self.near.engine.instant(expr, now).map(|outcome| outcome.value) {
            Ok(Value::Vector(points)) => points
                .into_iter()
                .map(|point| (point.labels, point.value))
                .collect(),
            Ok(_) => Vec::new(),
            Err(error) => {
                tracing::debug!(%error, expr, "kills for want of memory are not seen");
                Vec::new()
            }
        }
    }
}

/// The last kill of each place that is not old, oldest first.
fn kills(ask: &dyn Fn(&str) -> Vec<(Labels, f64)>, now: Timestamp, host: &str) -> Vec<Kill> {
    // Of the same node two replicas may have said it.
    const BY: &str = "max by (node, namespace, pod, container, process)";
    let since = (now - AGE).seconds();
    let last = ask(&format!("{BY} ({LAST}) > {since}"));
    if last.is_empty() {
        return Vec::new();
    }
    let figures = ["usage_bytes", "limit_bytes", "pid"].map(|name| {
        let answers = ask(&format!("{BY} (skopos_oom_last_kill_{name})")).into_iter();
        answers.collect::<BTreeMap<Labels, f64>>()
    });
    let mut kills: Vec<Kill> = last
        .into_iter()
        .map(|(labels, at)| {
            let [usage_bytes, limit_bytes, pid] =
                [0, 1, 2].map(|nth: usize| figures.get(nth).and_then(|of| of.get(&labels)).copied());
            let value = |name: &str| labels.value(name).to_owned();
            Kill {
                at: Timestamp((at * 1000.0).round() as i64),
                namespace: value("namespace"),
                pod: value("pod"),
                container: value("container"),
                process: value("process"),
                node: match labels.value("node") {
                    "" => host.to_owned(),
                    node => node.to_owned(),
                },
                usage_bytes,
                limit_bytes,
                pid,
            }
        })
        .collect();
    kills.sort_by_key(|kill| kill.at);
    kills
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(process: &str) -> Labels {
        let labels = [
            ("node", "n1"),
            ("namespace", "shop"),
            ("pod", "web-1"),
            ("container", "main"),
            ("process", process),
        ];
        Labels::from_pairs(labels.into_iter().filter(|(_, value)| !value.is_empty()))
    }

    #[test]
    fn a_kill_is_a_sentence_with_what_is_known_of_it() {
        let now = Timestamp(1_795_661_484_000);
        let ask = |expr: &str| -> Vec<(Labels, f64)> {
            let mib = f64::from(1 << 20);
            let of = |values: [f64; 2]| vec![(labels("tail"), values[0]), (labels(""), values[1])];
            match expr {
                _ if expr.contains(LAST) => {
                    assert!(expr.ends_with("> 1795660584"), "{expr}");
                    of([now.seconds(), now.seconds() - 60.5])
                }
                _ if expr.contains("usage") => vec![(labels("tail"), 32.1 * mib)],
                _ if expr.contains("limit") => of([32.0 * mib, 64.0 * mib]),
                _ => vec![(labels("tail"), 412.0)],
            }
        };
        let kills = kills(&ask, now, "here");
        let texts: Vec<String> = kills.iter().map(Kill::text).collect();
        assert_eq!(
            texts,
            [
                "the kernel ended a process of container main for want of memory: its limit is 64.0 MiB",
                "the kernel ended tail (process 412) of container main for want of memory: 32.0 MiB of 32.0 MiB were in use",
            ]
        );
        assert_eq!(kills[0].at, now - Duration::from_millis(60_500));
        let note = kills[1].note();
        assert_eq!(
            (note.source.as_str(), note.level),
            ("shop/web-1/events", Level::Error)
        );
        assert!(note.facts.contains(&("event.pid", "412".to_owned())), "{note:?}");
        assert_eq!(note, kills[1].note());
        assert_ne!(note.id, kills[0].note().id);
        let change = kills[1].change().unwrap();
        assert_eq!((change.object, change.name.as_str()), ("Pod", "web-1"));
        let bare = Kill {
            pod: String::new(),
            container: String::new(),
            usage_bytes: None,
            limit_bytes: None,
            ..kills[1].clone()
        };
        assert_eq!(
            bare.text(),
            "the kernel ended tail (process 412) for want of memory"
        );
        assert_eq!(bare.change(), None);
        assert_eq!(bare.note().source, "Node/n1/events");
    }
}
