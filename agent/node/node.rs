//! The room's task: keeps time, and lets its thread read the machine when a round is due.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use model::view::{Health, Target};
use model::{Clock, Keep, Labels, Ledger, Timestamp};
use parking_lot::Mutex;
use prometheus::{IntCounter, Registry};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::machine;
use crate::metrics::Metrics;
use crate::reader::{Reader, State};
use crate::slots::Slots;

const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// How long a stop waits for a round that is under way.
const GRACE: Duration = Duration::from_secs(2);

/// Reads the machine until it is stopped.
pub struct Node {
    reader: Reader,
    clock: Arc<dyn Clock>,
    missed: IntCounter,
    handle: Handle,
}

/// What the room shows; cheap to clone, and good for as long as the process runs.
#[derive(Clone)]
pub struct Handle(Arc<Shown>);

struct Shown {
    config: Config,
    labels: Labels,
    machine: String,
    state: Arc<Mutex<State>>,
}

impl Node {
    /// `instance` is the label of that name on every series: the host's name, or the node's.
    pub fn new(
        config: Config,
        instance: String,
        keep: Arc<dyn Keep>,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Self {
        let labels = Labels::from_pairs([("job", config.job.as_str()), ("instance", instance.as_str())]);
        let metrics = Metrics::new(registry);
        let state = Arc::new(Mutex::new(State::default()));
        Self {
            missed: metrics.missed.clone(),
            reader: Reader::new(&config, labels.clone(), keep, metrics, Arc::clone(&state)),
            clock,
            handle: Handle(Arc::new(Shown {
                machine: machine::summary(&config),
                config,
                labels,
                state,
            })),
        }
    }

    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Returns when stopped, or when no thread can be had.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            mut reader,
            clock,
            missed,
            handle,
        } = self;
        let (rounds, inbox) = sync_channel::<Timestamp>(1);
        let (done, mut finished) = tokio::sync::mpsc::channel::<()>(1);
        let read = move || {
            while let Ok(now) = inbox.recv() {
                reader.round(now);
                if done.blocking_send(()).is_err() {
                    return;
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("node".to_owned()).spawn(read) {
            tracing::error!(%error, "no thread to read the machine");
            return;
        }
        let mut slots = Slots::new(clock.now(), handle.0.config.interval.max(INTERVAL_MIN));
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = clock.sleep(slots.wait(clock.now())) => {}
            }
            let due = slots.due(clock.now());
            missed.inc_by(due.missed);
            if rounds.send(due.time).is_err() {
                tracing::error!("the thread that reads the machine has ended");
                return;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = finished.recv() => {}
            }
        }
        // The thread ends with its inbox, after the round in hand.
        drop(rounds);
        tokio::select! {
            () = clock.sleep(GRACE) => tracing::warn!("left a round of reading the machine behind"),
            () = async { while finished.recv().await.is_some() {} } => {}
        }
    }
}

impl Handle {
    /// The machine as a target like any other.
    #[must_use]
    pub fn view(&self) -> Target {
        let Shown {
            config,
            labels,
            state,
            ..
        } = &*self.0;
        let state = state.lock();
        let health = match (state.last, state.good, state.failing.is_empty()) {
            (None, ..) => Health::Unknown,
            (_, 0, _) => Health::Bad,
            (.., true) => Health::Good,
            (.., false) => Health::Pending,
        };
        let sentence = |(collector, error): (&&str, &String)| format!("{collector}: {error}");
        let errors: Vec<String> = state.failing.iter().map(sentence).collect();
        Target {
            job: config.job.clone(),
            url: format!("{} and {}", config.procfs.display(), config.sysfs.display()),
            discovered: labels.clone(),
            labels: labels.clone(),
            health,
            last_error: errors.join("; "),
            last_scrape: state.last,
            last_duration: state.duration,
            interval: config.interval,
            timeout: config.interval,
            samples: state.samples,
            http: false,
            read_by: None,
        }
    }

    /// `Debian 12, Linux 6.18, 2 cores, 24 GiB`, as it was at the start.
    #[must_use]
    pub fn machine(&self) -> String {
        self.0.machine.clone()
    }

    /// Where the samples went.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.0.state.lock().ledger.clone()
    }
}
