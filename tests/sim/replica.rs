//! One replica of the cluster role: the rooms of the hall, with the simulator's clock, network and disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use journal::Journal;
use model::outside::{Call, Client, Files, Response, Serve};
use model::{AlertEvent, BoxFuture, Clock, Ledger, MatchOp, Matcher, Select, TimeRange, Timestamp};
use prometheus::Registry;
use remote::receive::Receiver;
use skopos::relay;
use tokio::sync::mpsc;

use super::faults::REPLICAS;
use super::machine::Outside;
use super::node::Ground;
use super::process::Tasks;
use super::trace;
use super::world::{BASE, Log};

/// Stages in which a replica stops, as the hall has them.
const SOURCES: usize = 0;
const RULES: usize = 1;
const PAIR: usize = 2;
const NOTIFIER: usize = 3;
const STORE: usize = 4;

const RULE_FILE: &str = r#"
groups:
- name: sim
  interval: 15s
  rules:
  - alert: LoadHigh
    expr: sim_load > 0.5
    for: 1m
    annotations: { summary: 'sim/LoadHigh/{{ $labels.node }}' }
  - alert: ManyLoaded
    expr: count(sim_load > 0.5) >= 2
    for: 30s
    annotations: { summary: 'sim/ManyLoaded' }
  - alert: AgentSilent
    expr: skopos_sender_up == 0
    annotations: { summary: 'sim/AgentSilent/{{ $labels.node }}' }
  - alert: JobGone
    expr: absent(sim_job{node="n1"})
    for: 30s
    annotations: { summary: 'sim/JobGone/n1' }
"#;

const WEBHOOK: &str = "slack: { webhook_url: 'http://slack/services/T/B/x' }";
/// It edits its cards and replies to them.
const APP: &str = "slack: { bot_token: 'xoxb-not-a-secret', channel: '#ops', api_url: 'http://slack/api/chat.postMessage' }";
const NOTIFIER_CONFIG: &str = "
pagerduty: { routing_key: '0123456789abcdef0123456789abcdef', url: 'http://pager/v2/enqueue' }
group_by: ['...']
group_wait: 5s
group_interval: 1m
resolve_wait: 5s
external_url: 'http://skopos'
";

/// So few that runs have storms; usually there are not groups enough for one.
const STORMS: &str = "storm_groups: 2\n";

pub struct Replica {
    pub store: Arc<store::Store>,
    engine: Arc<promql::Engine>,
    pub pair: pair::Handle,
    receiver: Arc<Receiver>,
    rules: rules::Manager,
    notifier: notifier::Handle,
    grounds: Vec<Arc<Ground>>,
    log: Arc<Log>,
    pub tasks: Tasks,
}

impl Replica {
    /// # Errors
    /// A room cannot start.
    pub fn start(outside: &Outside, grounds: &[Arc<Ground>]) -> Result<Self, String> {
        let registry = Registry::new();
        let clock = Arc::clone(&outside.clock) as Arc<dyn Clock>;
        let client = Arc::clone(&outside.wire) as Arc<dyn Client>;
        let files = Arc::clone(&outside.disk) as Arc<dyn Files>;
        let journal = Journal::open(files, Path::new("alerts")).map_err(words)?;
        let store = store::Store::open_on(
            Arc::clone(&outside.disk) as Arc<dyn store::Disk>,
            Path::new("metrics"),
            store::Config::default(),
            Arc::clone(&clock),
            &registry,
        )
        .map_err(words)?;
        let engine = Arc::new(promql::Engine::new(store.clone(), promql::Options::default()));
        let receiver = Receiver::new(
            remote::receive::Config::default(),
            store.clone(),
            journal.clone(),
            Arc::clone(&clock),
            &registry,
        );

        let peer = REPLICAS.iter().find(|name| **name != outside.name);
        let config = pair::Config {
            name: outside.name.to_owned(),
            peer: peer.map(|peer| format!("http://{peer}")),
            ..pair::Config::default()
        };
        let keys = pair::Keys::default();
        let (pair, pair_handle) =
            pair::Pair::new(config, keys, journal.clone(), Arc::clone(&clock), &registry);
        let leads = pair_handle.leadership();
        receiver.epochs_from(Arc::new(move || leads.borrow().epoch));

        let (said, events) = mpsc::channel(1024);
        let (merged, inbox) = mpsc::channel(1024);
        let slack = if outside.around.has_app { APP } else { WEBHOOK };
        let storms = if outside.around.has_storms { STORMS } else { "" };
        let config = format!("{slack}{NOTIFIER_CONFIG}{storms}");
        let config: notifier::Config = yaml::read("notifier.yaml", &config).map_err(words)?;
        let (notifier, notifier_handle) = notifier::Notifier::new(
            &config,
            inbox,
            journal.clone(),
            Arc::clone(&client),
            Arc::clone(&clock),
            pair_handle.leadership(),
            Arc::new(pair_handle.clone()),
            &registry,
        );
        let said = heard(said, "rules", outside);
        let merged = heard(merged, "pair", outside);
        let near = rules::Neighbours {
            ask: engine.clone(),
            keep: store.clone(),
            journal,
            events: said,
            leadership: pair_handle.leadership(),
            clock: Arc::clone(&clock),
            presence: receiver.clone(),
            late: Arc::new(model::late::Never),
        };
        let rules = rules::Manager::new(near, &registry, rules::Options::default());
        let groups = rules::load(&[("sim.yaml", RULE_FILE)]).map_err(|wrong| format!("{wrong:?}"))?;
        rules.apply(groups);
        let near = relay::neighbours(relay::Around {
            client,
            arbiter: Some(
                outside
                    .around
                    .office
                    .way(outside.name.into(), Arc::clone(&outside.gate)),
            ),
            events,
            merged,
            rules: rules.clone(),
            notifier: notifier_handle.clone(),
            receiver: receiver.clone(),
            store: store.clone(),
            clock: Arc::clone(&clock),
        });
        let mut tasks = Tasks::new(5);
        tasks.spawn(SOURCES, {
            let receiver = receiver.clone();
            |stop| receiver.run(stop)
        });
        tasks.spawn(RULES, {
            let rules = rules.clone();
            |stop| rules.run(stop)
        });
        tasks.spawn(PAIR, |stop| pair.run(near, stop));
        tasks.spawn(NOTIFIER, |stop| notifier.run(stop));
        tasks.spawn(STORE, {
            let store = store.clone();
            |stop| async move {
                loop {
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        () = clock.sleep(Duration::from_secs(60)) => store.maintain(),
                    }
                }
            }
        });
        Ok(Self {
            store,
            engine,
            pair: pair_handle,
            receiver,
            rules,
            notifier: notifier_handle,
            grounds: grounds.to_vec(),
            log: Arc::clone(&outside.around.log),
            tasks,
        })
    }

    /// What answers the others.
    pub fn serve(&self) -> Arc<dyn Serve> {
        Arc::new(Desk {
            receiver: self.receiver.clone(),
            store: self.store.clone(),
            pair: self.pair.clone(),
            grounds: self.grounds.clone(),
            log: Arc::clone(&self.log),
        })
    }

    /// What it has of a node's load.
    pub fn samples(&self, node: &str) -> BTreeMap<Timestamp, f64> {
        let matchers = [("__name__", "sim_load"), ("node", node)];
        let matchers = matchers.map(|(name, value)| Matcher::new(name, MatchOp::Equal, value));
        let found = self
            .store
            .select(&matchers, TimeRange::ALL, usize::MAX)
            .unwrap_or_default();
        let samples = found
            .iter()
            .flat_map(|series| series.times.iter().zip(series.values.iter()));
        let samples = samples.filter(|(_, value)| !model::is_stale(**value));
        samples.map(|(time, value)| (*time, *value)).collect()
    }

    /// What it answers to `sim_load` minute by minute, by node.
    pub fn answers(&self, end: Duration) -> BTreeMap<(String, Timestamp), f64> {
        let minute = Duration::from_secs(60);
        let outcome = self.engine.range("sim_load", BASE, BASE + end, minute);
        let Ok(promql::Value::Matrix(found)) = outcome.map(|outcome| outcome.value) else {
            return BTreeMap::new();
        };
        let points = found.iter().flat_map(|series| {
            let node = series.labels.value("node").to_owned();
            series
                .points
                .iter()
                .map(move |point| ((node.clone(), point.time), point.value))
        });
        points.collect()
    }

    pub fn ledgers(&self) -> Vec<(&'static str, Ledger)> {
        vec![
            ("receiver", self.receiver.ledger()),
            ("store", self.store.ledger()),
            ("rules", self.rules.ledger()),
            ("pair", self.pair.ledger()),
            ("notifier", self.notifier.ledger()),
        ]
    }
}

/// In the place of the web server: who calls is known already.
struct Desk {
    receiver: Arc<Receiver>,
    store: Arc<store::Store>,
    pair: pair::Handle,
    grounds: Vec<Arc<Ground>>,
    log: Arc<Log>,
}

impl Serve for Desk {
    fn serve(&self, call: Call) -> BoxFuture<'static, Response> {
        if pair::PATHS.contains(&call.path.as_str()) {
            return self.pair.serve(call);
        }
        let response = if call.path == "/peer/v1/head" {
            self.receiver.head(&*self.store, &call.query)
        } else if call.path == "/api/v1/write" {
            let response = self.receiver.write(&call);
            self.store.written();
            let node = call.from.map(|from| from.name).unwrap_or_default();
            if let Some(ground) = self.grounds.iter().find(|ground| *ground.name == *node)
                && (200..300).contains(&response.status)
            {
                ground.heard.lock().push(self.log.now());
            }
            response
        } else {
            status(404)
        };
        Box::pin(std::future::ready(response))
    }
}

/// Writes what goes through a channel of alerts into the run's log, where it is asked for. The way is the same where
/// it is not, so that the run is the same too.
fn heard(to: mpsc::Sender<AlertEvent>, who: &'static str, outside: &Outside) -> mpsc::Sender<AlertEvent> {
    let (log, name) = (Arc::clone(&outside.around.log), outside.name);
    let (from, mut events) = mpsc::channel::<AlertEvent>(1024);
    tokio::spawn(async move {
        let mut last = BTreeMap::new();
        while let Some(event) = events.recv().await {
            let what = (event.state, event.known);
            if trace::is_on() && last.insert(event.fingerprint, what) != Some(what) {
                let known = if event.known { "" } else { ", not known" };
                log.say(|| {
                    let subject = event.annotations.value("summary");
                    format!("  {name} {who}: {subject} {:?}{known}", event.state)
                });
            }
            // Full: as for whoever sends here, the state comes again.
            _ = to.try_send(event);
        }
    });
    from
}

fn status(status: u16) -> Response {
    Response {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
