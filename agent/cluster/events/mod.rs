//! Events of Kubernetes as log records and as a counter: what happened to pods, nodes and workloads, by whom it is said.
//!
//! Each occurrence once, also those that an event counts up. Of two replicas one writes, the one that holds the lease. How far it has
//! come is in the spool beside the records, and in the journal, which both replicas have: whoever goes on lists all events and writes
//! those behind that place. What is written again has the same id.

mod desk;
mod read;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use journal::{Change, Journal};
use model::{Clock, KeepNotes, Leadership, Ledger, NotePlace, Object, Observe, Resource, Wanted};
use parking_lot::Mutex;
use prometheus::{IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counter, counters};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::Cluster;
use desk::{Cursor, Desk};
use read::Told;
pub use read::note_id;

/// Of the journal; both replicas have it.
const KEY: &str = "cluster/events";
/// Of the spool.
const INPUT: &str = "kubernetes_events";
/// Between two tries to write, and two looks at whether it is our turn.
const PAUSE: Duration = Duration::from_secs(1);
/// The place is written into the journal so often at most.
const SAVE: Duration = Duration::from_secs(10);
/// What the counter tells apart: reasons are whatever a controller calls them.
const REASONS_MAX: usize = 200;
const KINDS_MAX: usize = 100;
const NAMESPACES_MAX: usize = 1_000;
const SERIES_MAX: usize = 5_000;
/// In place of what is beyond that.
const OTHER: &str = "other";

/// What it takes to do once what two replicas could do.
#[derive(Clone)]
pub struct Once {
    /// Where places are kept.
    pub journal: Journal,
    /// Whether it is for this process to write.
    pub leadership: watch::Receiver<Leadership>,
    pub clock: Arc<dyn Clock>,
    /// Who keeps records; none where no log lines are kept, and then events are only counted.
    pub notes: Option<Arc<dyn KeepNotes>>,
}

impl Once {
    /// Whether this process is to do it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.leadership.borrow().may_lead(self.clock.running())
    }
}

/// Events, ready to be written.
pub struct Events {
    handle: EventsHandle,
    bell: Arc<Notify>,
    once: Once,
    counted: Counted,
    saved: Cursor,
    /// Said once, until it is well again.
    is_troubled: bool,
}

/// What the rest of the house asks; cheap to clone.
#[derive(Clone)]
pub struct EventsHandle(Arc<Mutex<Desk>>);

impl EventsHandle {
    /// Taken = on the disk + handed over to the other replica + waiting.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.0.lock().ledger()
    }
}

impl Events {
    /// Asks `cluster` for events; to be said before it runs.
    #[must_use]
    pub fn new(cluster: &Cluster, once: Once, registry: &Registry) -> Self {
        let desk = Arc::new(Mutex::new(Desk::default()));
        let bell = Arc::new(Notify::new());
        let observer = Observer {
            desk: Arc::clone(&desk),
            bell: Arc::clone(&bell),
            unread: counter(
                registry,
                "skopos_kubernetes_events_unread_total",
                "Events that could not be read: a mistake of ours.",
            ),
        };
        let resource = Resource::new("events.k8s.io", "v1", "Event", "events");
        cluster.observe(Wanted::all(resource), Box::new(observer));
        let mut events = Self {
            handle: EventsHandle(desk),
            bell,
            once,
            counted: Counted::new(registry),
            saved: Cursor::default(),
            is_troubled: false,
        };
        // Before the first list, so that it need not be asked for twice.
        events.take_turn();
        events
    }

    #[must_use]
    pub fn handle(&self) -> EventsHandle {
        self.handle.clone()
    }

    /// Writes until `stop`, and then what waits, if it can be written at once.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut save = Instant::now() + SAVE;
        loop {
            self.take_turn();
            let is_written = self.write().await;
            if save <= Instant::now() || stop.is_cancelled() {
                self.save().await;
                save = Instant::now() + SAVE;
            }
            if stop.is_cancelled() {
                return;
            }
            let heard = async {
                match is_written {
                    true => self.bell.notified().await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
                () = heard => {}
            }
        }
    }

    /// Begins or ends when the lease comes or goes.
    fn take_turn(&mut self) {
        let is_ours = self.once.is_ours();
        let mut desk = self.handle.0.lock();
        match (desk.leads(), is_ours) {
            (false, true) => {
                let written = self.once.journal.get::<Cursor>(KEY);
                let spooled = self.once.notes.as_ref().and_then(|notes| notes.place(INPUT));
                let spooled = spooled.and_then(|place| serde_json::from_str(&place).ok());
                // By when they were written: versions may have begun anew.
                let newest = [written, spooled, Some(desk.cursor())].into_iter().flatten();
                let newest = newest.max_by_key(|cursor: &Cursor| (cursor.at, cursor.version));
                desk.begin(newest.unwrap_or_default());
                self.saved = written.unwrap_or_default();
            }
            (true, false) => {
                desk.end();
                info!("events of Kubernetes are written by another");
            }
            _ => {}
        }
    }

    /// Whether nothing waits that could be written.
    async fn write(&mut self) -> bool {
        loop {
            let told = self.handle.0.lock().next();
            let Some(last) = told.last() else { return true };
            if !self.once.is_ours() {
                return true;
            }
            let cursor = Cursor {
                version: last.version,
                at: self.once.clock.now().millis(),
            };
            if let Err(why) = self.keep(&told, cursor).await {
                if !std::mem::replace(&mut self.is_troubled, true) {
                    warn!(why, "events of Kubernetes cannot be written; it is tried again");
                }
                return false;
            }
            self.is_troubled = false;
            self.handle.0.lock().written(&told, cursor);
            for one in &told {
                self.counted.count(one);
            }
        }
    }

    async fn keep(&self, told: &[Told], cursor: Cursor) -> Result<(), String> {
        let Some(notes) = &self.once.notes else {
            return Ok(());
        };
        let at = serde_json::to_string(&cursor).map_err(|error| error.to_string())?;
        let place = NotePlace { input: INPUT, at };
        let records = told.iter().map(|told| told.note.clone()).collect();
        notes.keep(records, Some(place)).await
    }

    /// For the other replica. What is not written is written again by whoever goes on, with the same ids.
    async fn save(&mut self) {
        let (leads, cursor) = {
            let desk = self.handle.0.lock();
            (desk.leads(), desk.cursor())
        };
        if !leads || cursor == self.saved {
            return;
        }
        match self.once.journal.write(vec![Change::put(KEY, &cursor)]).await {
            Ok(()) => self.saved = cursor,
            Err(error) => warn!(%error, "the place in events of Kubernetes cannot be written"),
        }
    }
}

struct Observer {
    desk: Arc<Mutex<Desk>>,
    bell: Arc<Notify>,
    unread: IntCounter,
}

impl Observe for Observer {
    fn begun(&mut self) {
        self.desk.lock().begun();
    }

    fn here(&mut self, object: &Object<'_>) {
        if !self.desk.lock().leads() {
            return;
        }
        match read::read(object.text) {
            Some(told) => {
                if self.desk.lock().here(told) {
                    self.bell.notify_one();
                }
            }
            None => self.unread.inc(),
        }
    }

    /// It is old.
    fn gone(&mut self, _: &Object<'_>) {}

    fn whole(&mut self) {
        self.desk.lock().whole();
        self.bell.notify_one();
    }

    fn wants_all(&mut self) -> bool {
        self.desk.lock().wants_all()
    }
}

/// The counter, with names from sets that end.
struct Counted {
    events: IntCounterVec,
    kinds: Names,
    namespaces: Names,
    reasons: Names,
    series: BTreeSet<[String; 4]>,
}

impl Counted {
    fn new(registry: &Registry) -> Self {
        Self {
            events: counters(
                registry,
                "skopos_kubernetes_events_total",
                "Events of Kubernetes that were written, by the kind of object that they are about.",
                &["kind", "namespace", "reason", "type"],
            ),
            kinds: Names::new(KINDS_MAX),
            namespaces: Names::new(NAMESPACES_MAX),
            reasons: Names::new(REASONS_MAX),
            series: BTreeSet::new(),
        }
    }

    fn count(&mut self, told: &Told) {
        let severity = match told.severity.as_str() {
            known @ ("Normal" | "Warning") => known,
            _ => OTHER,
        };
        let mut labels = [
            self.kinds.known(&told.kind),
            self.namespaces.known(&told.namespace),
            self.reasons.known(&told.reason),
            severity,
        ]
        .map(str::to_owned);
        if !self.series.contains(&labels) && self.series.len() >= SERIES_MAX {
            labels = [OTHER, OTHER, OTHER, severity].map(str::to_owned);
        }
        self.events.with_label_values(&labels).inc();
        self.series.insert(labels);
    }
}

/// The first names that came.
struct Names {
    known: BTreeSet<String>,
    most: usize,
}

impl Names {
    fn new(most: usize) -> Self {
        Self {
            known: BTreeSet::new(),
            most,
        }
    }

    fn known<'a>(&mut self, name: &'a str) -> &'a str {
        if self.known.contains(name) {
            return name;
        }
        if self.known.len() >= self.most {
            return OTHER;
        }
        self.known.insert(name.to_owned());
        name
    }
}

#[cfg(test)]
mod tests {
    use model::{Level, Note};

    use super::*;

    fn told(namespace: usize, reason: usize) -> Told {
        Told {
            version: 1,
            kind: "Pod".to_owned(),
            namespace: format!("n{namespace}"),
            reason: format!("r{reason}"),
            severity: "Odd".to_owned(),
            note: Note {
                nanos: 0,
                level: Level::Info,
                source: String::new(),
                facts: Vec::new(),
                id: String::new(),
                text: String::new(),
            },
        }
    }

    #[test]
    fn whatever_events_call_themselves_there_are_only_so_many_series() {
        let registry = Registry::new();
        let mut counted = Counted::new(&registry);
        for namespace in 0..100 {
            for reason in 0..REASONS_MAX + 5 {
                counted.count(&told(namespace, reason));
            }
        }
        let family = &registry.gather()[0];
        let series = family.get_metric();
        assert!(series.len() <= SERIES_MAX + 1, "{}", series.len());
        let counts = series.iter().map(|one| one.get_counter().get_value());
        assert_eq!(counts.sum::<f64>(), (100 * (REASONS_MAX + 5)) as f64);
        let has = |name: &str, want: &str| {
            series.iter().any(|one| {
                let mut pairs = one.get_label().iter();
                pairs.any(|pair| pair.name() == name && pair.value() == want)
            })
        };
        assert!(has("reason", "r7") && has("reason", OTHER) && has("type", OTHER));
        assert!(!has("reason", &format!("r{REASONS_MAX}")) && !has("type", "Odd"));
    }
}
