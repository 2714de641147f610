//! Whoever leads hands out targets, and goes on reading those that no agent has.
//!
//! It answers an agent only while it may lead, and only once it knows of everything that is to be read: a list that lacks something is
//! taken at its word, and what is missing from it would be read by nobody.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use model::outside::{Call, Response, Role, Serve};
use model::view::Checkup;
use model::{BoxFuture, Clock, Leadership};
use parking_lot::Mutex;
use prometheus::{Gauge, GaugeVec, Registry};
use scrape::{Pool, Reason, TARGETS_MAX};
use telemetry::metrics::{gauge, gauges};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::handing::{Around, EPOCH, HELD, ROOM};

/// How often it is looked whether an agent has fallen silent.
const LOOK: Duration = Duration::from_secs(1);
/// … and how soon again after somebody has asked: at a start all of them do.
const GATHER: Duration = Duration::from_millis(50);
/// So long what is to be read is gathered after the lead was taken, before anybody is told a list.
const SETTLE: Duration = Duration::from_secs(3);
/// What is not known by then is not waited for: there may be no right to ask for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Who has lost the lead stops reading in this time, and forgets only then who has what.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// A question waits so long at most until what it says is heeded.
const HEEDED: Duration = Duration::from_secs(1);

pub(crate) struct Handing {
    pool: Arc<Pool>,
    leadership: watch::Receiver<Leadership>,
    /// Nodes that send their samples here.
    senders: Arc<dyn Fn() -> Vec<Arc<str>> + Send + Sync>,
    /// Whether all is known of what is to be read, beside what the pool knows.
    is_whole: Arc<dyn Fn() -> bool + Send + Sync>,
    clock: Arc<dyn Clock>,
    /// Running time since which this process leads, and since when all has been known.
    since: Mutex<Option<Duration>>,
    missing_since: Mutex<Option<Duration>>,
    asked: watch::Sender<u64>,
    heeded: watch::Sender<u64>,
    wake: Notify,
    metrics: Metrics,
}

struct Metrics {
    agents: Gauge,
    targets: Gauge,
    epoch: Gauge,
    kept: GaugeVec,
}

impl Metrics {
    fn new(registry: &Registry) -> Self {
        Self {
            agents: gauge(
                registry,
                "skopos_scrape_handed_agents",
                "Agents of nodes that ask for targets.",
            ),
            targets: gauge(
                registry,
                "skopos_scrape_handed_targets",
                "Targets that agents of nodes read in place of this process.",
            ),
            epoch: gauge(
                registry,
                "skopos_scrape_handed_epoch",
                "Epoch in which targets are handed out or taken; 0 while they are not.",
            ),
            kept: gauges(
                registry,
                "skopos_scrape_kept_targets",
                "Targets that are read by this process although there may be an agent on their node, by reason.",
                &["reason"],
            ),
        }
    }
}

impl Handing {
    pub(crate) fn new(around: Around<'_>) -> Arc<Self> {
        around.pool.hand_out();
        let receiver = around.receiver.cloned();
        if let Some(receiver) = &receiver {
            let pool = Arc::clone(around.pool);
            // What is read here again is not down because its agent is silent.
            receiver.read_here(Arc::new(move || {
                let here = pool.view().into_iter().filter(|target| target.read_by.is_none());
                let good = here.filter(|target| target.health == model::view::Health::Good);
                good.map(|target| target.labels).collect()
            }));
        }
        let senders = move || {
            let all = receiver.as_ref().map(|receiver| receiver.senders());
            let heard = all.into_iter().flatten().filter(|sender| !sender.silent);
            let nodes = heard.filter(|sender| sender.role == Role::Node.word());
            nodes.map(|sender| sender.name.into()).collect()
        };
        // Of a kind that the cluster does not have nothing more becomes known.
        let (cluster, is_whole) = (around.cluster.cloned(), around.is_whole);
        let is_whole = is_whole.unwrap_or_else(|| Arc::new(|| true));
        Arc::new(Self {
            pool: Arc::clone(around.pool),
            leadership: around.leadership.clone(),
            senders: Arc::new(senders),
            is_whole: Arc::new(move || {
                is_whole() || cluster.as_ref().is_none_or(|all| all.watching().is_ok())
            }),
            clock: around.clock,
            since: Mutex::default(),
            missing_since: Mutex::default(),
            asked: watch::Sender::new(0),
            heeded: watch::Sender::new(0),
            wake: Notify::new(),
            metrics: Metrics::new(around.registry),
        })
    }

    pub(crate) async fn run(&self, stop: CancellationToken) {
        let mut leadership = self.leadership.clone();
        let mut led = false;
        loop {
            let leads = leadership.borrow_and_update().here;
            if leads && !led {
                self.pool.lead((self.senders)());
                *self.since.lock() = Some(self.clock.running());
            } else if led && !leads {
                *self.since.lock() = None;
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.clock.sleep(AFTERWARDS) => {}
                }
                self.pool.follow();
            }
            led = leads;
            let asked = *self.asked.borrow();
            if leads {
                self.look();
                self.pool.look_again();
            }
            self.heeded.send_replace(asked);
            self.show(leads);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep(GATHER) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = self.clock.sleep(LOOK) => {}
                Ok(()) = leadership.changed() => {}
            }
        }
    }

    /// Notes since when something is not known that is to be read.
    fn look(&self) {
        let is_whole = (self.is_whole)() && self.pool.is_whole();
        let mut missing = self.missing_since.lock();
        match is_whole {
            true => *missing = None,
            false => _ = missing.get_or_insert_with(|| self.clock.running()),
        }
    }

    fn show(&self, leads: bool) {
        let shown = self.pool.handed();
        self.metrics.agents.set(shown.agents as f64);
        self.metrics.targets.set(shown.targets as f64);
        let epoch = if leads { self.leadership.borrow().epoch } else { 0 };
        self.metrics.epoch.set(epoch as f64);
        for reason in Reason::ALL {
            let count = shown.kept.get(&reason).copied().unwrap_or_default();
            self.metrics
                .kept
                .with_label_values(&[reason.word()])
                .set(count as f64);
        }
    }

    /// Why nobody is told a list now.
    fn closed(&self) -> Result<u64, String> {
        let (leadership, running) = (self.leadership.borrow().clone(), self.clock.running());
        if !leadership.may_lead(running) {
            let holder = leadership.holder.as_deref().filter(|_| !leadership.here);
            return Err(match holder {
                Some(holder) => format!("{holder} leads, and hands out targets"),
                None => "this replica does not lead, and hands out no targets".to_owned(),
            });
        }
        let since = *self.since.lock();
        let missing = *self.missing_since.lock();
        let is_settled = since.is_some_and(|since| running >= since + SETTLE);
        let is_known = missing.is_none_or(|missing| running >= missing + PATIENCE);
        match is_settled && is_known {
            true => Ok(leadership.epoch),
            false => Err("what is to be read is not all known yet".to_owned()),
        }
    }

    async fn answer(&self, call: &Call) -> Response {
        let Some(from) = call.from.as_ref().filter(|from| from.role == Role::Node) else {
            return said(403, Vec::new(), "only the agent of a node is told its targets");
        };
        let (leadership, running) = (self.leadership.borrow().clone(), self.clock.running());
        if leadership.may_lead(running) {
            let held = call.header(HELD).map(held).unwrap_or_default();
            self.pool.heard(&from.name, held);
            self.heed().await;
        }
        // Asked again: the process may have stood still meanwhile.
        let epoch = match self.closed() {
            Ok(epoch) => epoch,
            Err(why) => return said(503, vec![("retry-after", "1".to_owned())], &why),
        };
        let list = self.pool.list(&from.name, call.header("if-none-match"));
        let headers = vec![("etag", list.tag), (EPOCH, epoch.to_string())];
        match list.body {
            None => said(304, headers, ""),
            Some(body) => {
                let json = ("content-type", "application/json".to_owned());
                said(200, headers.into_iter().chain([json]).collect(), &body)
            }
        }
    }

    /// Waits until what an agent has said that it has is no longer read here.
    async fn heed(&self) {
        let mut asked = 0;
        self.asked.send_modify(|count| {
            *count += 1;
            asked = *count;
        });
        let mut heeded = self.heeded.subscribe();
        self.wake.notify_one();
        let done = heeded.wait_for(|heeded| *heeded >= asked);
        // Who waited in vain is told all the same: the next look heeds it.
        _ = tokio::time::timeout(HEEDED, done).await;
    }

    pub(crate) fn checkup(&self) -> Checkup {
        const NAME: &str = "handing";
        if !self.leadership.borrow().here {
            return Checkup::off(ROOM, NAME, "the other replica leads, and hands out targets");
        }
        let shown = self.pool.handed();
        let kept: usize = shown.kept.values().sum();
        let seen = format!(
            "{} agents read {} targets, and this process {kept}",
            shown.agents, shown.targets
        );
        let reasons = shown
            .kept
            .iter()
            .map(|(reason, count)| format!("{count}: {}", reason.sentence()));
        match shown.kept.get(&Reason::Many) {
            None => Checkup::ok(ROOM, NAME, seen).list(reasons),
            Some(_) => Checkup::warn(ROOM, NAME, seen)
                .advise(&format!(
                    "an agent takes {TARGETS_MAX} targets: see which monitor makes so many on one node"
                ))
                .list(reasons),
        }
    }
}

/// What an agent says that it has: numbers in hexadecimal, with commas between.
fn held(text: &str) -> HashSet<u64> {
    text.split(',')
        .filter_map(|id| u64::from_str_radix(id.trim(), 16).ok())
        .take(TARGETS_MAX)
        .collect()
}

fn said(status: u16, headers: Vec<(&str, String)>, body: &str) -> Response {
    let headers = headers.into_iter();
    Response {
        status,
        headers: headers.map(|(name, value)| (name.to_owned(), value)).collect(),
        body: body.as_bytes().to_vec(),
    }
}

/// The handing, as it is asked from outside.
pub(crate) struct Door(pub(crate) Arc<Handing>);

impl Serve for Door {
    fn serve(&self, call: Call) -> BoxFuture<'static, Response> {
        let handing = Arc::clone(&self.0);
        Box::pin(async move { handing.answer(&call).await })
    }
}
