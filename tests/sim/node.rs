//! One node: reads its truth every fifteen seconds into its store, from where it is sent to both replicas.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::outside::{Client, Files};
use model::{
    Clock, Column, Feed, Keep, Kind, Labels, Ledger, Round, SeriesDesc, SeriesRef, TargetDesc, TargetRef,
    Timestamp,
};
use parking_lot::Mutex;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use super::faults::REPLICAS;
use super::machine::Outside;
use super::process::{SimClock, Tasks};
use super::world::Log;

pub const INTERVAL: Duration = Duration::from_secs(15);

/// What is so on the node, as the simulator wishes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    pub load: f64,
    /// Whether a job is there that should be.
    pub job: bool,
}

/// One round as the node read and kept it.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// By the simulator's time.
    pub at: Duration,
    /// By the node's clock.
    pub time: Timestamp,
    pub facts: Facts,
}

/// What is so, and what was read of it: outlives the process.
pub struct Ground {
    pub name: &'static str,
    pub facts: Mutex<Facts>,
    pub reads: Mutex<Vec<Read>>,
    /// When a replica took something that it sent.
    pub heard: Mutex<Vec<Duration>>,
}

impl Ground {
    pub fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self {
            name,
            facts: Mutex::new(Facts { load: 0.0, job: true }),
            reads: Mutex::default(),
            heard: Mutex::default(),
        })
    }
}

/// The rooms of the node role.
pub struct Node {
    store: Arc<store::Store>,
    sender: remote::SenderHandle,
    pub tasks: Tasks,
}

const SOURCE: usize = 0;
const SENDER: usize = 1;

impl Node {
    /// # Errors
    /// A room cannot start.
    pub fn start(outside: &Outside, ground: &Arc<Ground>) -> Result<Self, String> {
        let registry = Registry::new();
        let clock = Arc::clone(&outside.clock) as Arc<dyn Clock>;
        let config = store::Config {
            history: store::History::None,
            ..store::Config::default()
        };
        let disk = Arc::clone(&outside.disk) as Arc<dyn store::Disk>;
        let store = store::Store::open_on(disk, Path::new("metrics"), config, Arc::clone(&clock), &registry);
        let store = store.map_err(|error| error.to_string())?;
        let destinations = REPLICAS.map(|replica| remote::Destination {
            config: remote::Config {
                url: format!("http://{replica}/api/v1/write"),
                ..remote::Config::default()
            },
            external_labels: Labels::empty(),
        });
        let sender = remote::Sender::open(
            &destinations,
            remote::Limits::default(),
            Arc::clone(&outside.disk) as Arc<dyn Files>,
            Path::new(""),
            &(Arc::clone(&outside.wire) as Arc<dyn Client>),
            clock,
            &registry,
        );
        let sender = sender.map_err(|error| error.to_string())?;
        let handle = sender.handle();
        store.feed_to(Arc::new(handle.clone()) as Arc<dyn Feed>);
        let source = Source {
            ground: Arc::clone(ground),
            clock: Arc::clone(&outside.clock),
            store: Arc::clone(&store),
            log: Arc::clone(&outside.around.log),
        };
        let mut tasks = Tasks::new(2);
        tasks.spawn(SOURCE, |stop| source.run(stop));
        tasks.spawn(SENDER, {
            let store = Arc::clone(&store);
            |stop| sender.run(store, stop)
        });
        Ok(Self {
            store,
            sender: handle,
            tasks,
        })
    }

    pub fn ledgers(&self) -> Vec<(&'static str, Ledger)> {
        vec![("store", self.store.ledger()), ("remote", self.sender.ledger())]
    }
}

struct Source {
    ground: Arc<Ground>,
    clock: Arc<SimClock>,
    store: Arc<store::Store>,
    log: Arc<Log>,
}

impl Source {
    async fn run(self, stop: CancellationToken) {
        let target = self.store.target(&TargetDesc {
            name: "sim".into(),
            page: None,
            staleness: None,
        });
        loop {
            let now = self.clock.now();
            let millis = model::time::millis(INTERVAL);
            let next = Timestamp(now.0 - now.0.rem_euclid(millis) + millis);
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(next) => self.round(target),
            }
        }
    }

    fn series(&self, target: TargetRef, name: &str) -> Option<SeriesRef> {
        let labels = [("__name__", name), ("job", "sim"), ("instance", self.ground.name)];
        let desc = SeriesDesc {
            labels: Labels::from_pairs(labels),
            kind: Kind::Gauge,
            family: name.into(),
            help: "Made up.".into(),
            unit: "".into(),
        };
        self.store.series(target, &desc).ok()
    }

    fn round(&self, target: TargetRef) {
        let facts = *self.ground.facts.lock();
        let time = self.clock.now();
        let mut all = vec![("up", 1.0), ("sim_load", facts.load)];
        if facts.job {
            all.push(("sim_job", 1.0));
        }
        let all = all
            .into_iter()
            .filter_map(|(name, value)| Some((self.series(target, name)?, value)));
        let (series, values): (Vec<_>, Vec<_>) = all.unzip();
        let length = series.len();
        let kept = self.store.commit(Column {
            target,
            time,
            round: Round::Whole,
            series,
            values,
        });
        if kept.kept == length {
            self.ground.reads.lock().push(Read {
                at: self.log.now(),
                time,
                facts,
            });
        }
    }
}
