//! One replica of the cluster role: the rooms of the hall, with the simulator's clock, network and disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use journal::Journal;
use model::outside::{Call, Response, Serve};
use model::{BoxFuture, Clock, Keep, Leadership, Ledger};
use prometheus::Registry;
use tokio::sync::{mpsc, watch};

use super::disk::Disk;
use super::net::Wire;
use super::node;
use super::process::{SimClock, Tasks};

/// Stages in which a replica stops, as the hall has them.
const RULES: usize = 0;
const NOTIFIER: usize = 1;
const STORE: usize = 2;

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
"#;

const NOTIFIER_CONFIG: &str = "
slack: { webhook_url: 'http://slack/services/T/B/x' }
group_by: ['...']
group_wait: 5s
group_interval: 1m
resolve_wait: 5s
external_url: 'http://skopos'
";

/// What it is made of.
pub struct Outside {
    pub name: Arc<str>,
    pub clock: Arc<SimClock>,
    pub disk: Arc<Disk>,
    pub wire: Arc<Wire>,
}

pub struct Replica {
    pub store: Arc<store::Store>,
    pub engine: Arc<promql::Engine>,
    rules: rules::Manager,
    notifier: notifier::Handle,
    pub tasks: Tasks,
}

impl Replica {
    /// # Errors
    /// A room cannot start.
    pub fn start(outside: &Outside) -> Result<Self, String> {
        let Outside {
            clock, disk, wire, ..
        } = outside;
        let registry = Registry::new();
        let files = Arc::clone(disk) as Arc<dyn model::outside::Files>;
        let journal = Journal::open(files, Path::new("alerts")).map_err(words)?;
        let (_lead, leadership) = watch::channel(Leadership::standalone());
        let store = store::Store::open_on(
            Arc::clone(disk) as Arc<dyn store::Disk>,
            Path::new("metrics"),
            store::Config::default(),
            Arc::clone(clock) as Arc<dyn Clock>,
            &registry,
        )
        .map_err(words)?;
        let engine = Arc::new(promql::Engine::new(store.clone(), promql::Options::default()));
        let (alerts, inbox) = mpsc::channel(1024);
        let config: notifier::Config = yaml::read("notifier.yaml", NOTIFIER_CONFIG).map_err(words)?;
        let (notifier, notifier_handle) = notifier::Notifier::new(
            &config,
            inbox,
            journal.clone(),
            Arc::clone(wire) as Arc<dyn model::outside::Client>,
            Arc::clone(clock) as Arc<dyn Clock>,
            leadership.clone(),
            &registry,
        );
        let near = rules::Neighbours {
            ask: engine.clone(),
            keep: store.clone(),
            journal,
            events: alerts,
            leadership,
            clock: Arc::clone(clock) as Arc<dyn Clock>,
        };
        let rules = rules::Manager::new(near, &registry, rules::Options::default());
        let groups = rules::load(&[("sim.yaml", RULE_FILE)]).map_err(|wrong| format!("{wrong:?}"))?;
        rules.apply(groups);
        let mut tasks = Tasks::new(3);
        tasks.spawn(RULES, {
            let rules = rules.clone();
            |stop| rules.run(stop)
        });
        tasks.spawn(NOTIFIER, |stop| notifier.run(stop));
        tasks.spawn(STORE, {
            let (store, clock) = (store.clone(), Arc::clone(clock));
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
            rules,
            notifier: notifier_handle,
            tasks,
        })
    }

    /// What answers the others.
    pub fn serve(&self) -> Arc<dyn Serve> {
        Arc::new(Desk {
            store: self.store.clone(),
        })
    }

    pub fn ledgers(&self) -> Vec<(&'static str, Ledger)> {
        vec![
            ("store", self.store.ledger()),
            ("rules", self.rules.ledger()),
            ("notifier", self.notifier.ledger()),
        ]
    }
}

struct Desk {
    store: Arc<store::Store>,
}

impl Serve for Desk {
    fn serve(&self, call: Call) -> BoxFuture<'static, Response> {
        let status = if call.path == node::PATH {
            let text = String::from_utf8_lossy(&call.body).into_owned();
            node::keep(&*self.store as &dyn Keep, &text);
            204
        } else {
            404
        };
        Box::pin(std::future::ready(Response {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }))
    }
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
