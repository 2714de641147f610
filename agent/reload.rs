//! Reading the configuration again: by SIGHUP, by `/-/reload`, or because a file has changed.
//!
//! A bad new file leaves the old one running and says so in the log, on the page and as a metric.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::view::ConfigState;
use model::{BoxFuture, Clock, Leadership};
use parking_lot::RwLock;
use prometheus::{Gauge, Registry};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::monitors::RuleBook;

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Somebody who wants to know how the reload went.
pub(crate) type Request = oneshot::Sender<Result<(), String>>;

/// What takes a new configuration while running.
pub(crate) struct Rooms {
    pub(crate) pool: Arc<scrape::Pool>,
    pub(crate) rules: Option<Arc<RuleBook>>,
    pub(crate) notifier: Option<notifier::Handle>,
    pub(crate) logs: Option<logs::Handle>,
    pub(crate) nodes: Option<Arc<logs::Nodes>>,
    /// What the role is made of.
    pub(crate) reads: bool,
    pub(crate) thinks: bool,
    pub(crate) external_url: String,
    pub(crate) self_scrape: scrape::ScrapeConfig,
    /// Scraped beside what the configuration names.
    pub(crate) control_plane: watch::Receiver<Arc<[scrape::ScrapeConfig]>>,
    /// Of a pair, only the holder of the lease scrapes what the configuration names, and the control plane.
    pub(crate) leadership: watch::Receiver<Leadership>,
}

impl Rooms {
    /// Targets and rules; the notifier starts with its configuration.
    pub(crate) fn start(&self, config: &Config) -> Result<(), Vec<String>> {
        self.aim(config)?;
        if let Some(rules) = &self.rules {
            rules.files(config.groups.clone());
        }
        Ok(())
    }

    /// Scrapes what is to be scraped here now.
    fn aim(&self, config: &Config) -> Result<(), Vec<String>> {
        let mut targets = config.document.scrape_configs.clone();
        for section in self.control_plane.borrow().iter() {
            // Whoever scrapes a job of that name himself knows why.
            if targets.iter().all(|known| known.job_name != section.job_name) {
                targets.push(section.clone());
            }
        }
        if !self.leadership.borrow().here {
            targets.retain(|known| known.job_name == self.self_scrape.job_name);
        }
        // A section of that name is the user's own word on how Skopos is read.
        if !targets
            .iter()
            .any(|known| known.job_name == self.self_scrape.job_name)
        {
            targets.push(self.self_scrape.clone());
        }
        self.pool.apply(&targets, &config.document.scrape_global())
    }

    async fn apply(&self, config: &Config) -> Result<(), Vec<String>> {
        self.start(config)?;
        let Some(notifier) = &self.notifier else {
            return Ok(());
        };
        let mut notifying = config.document.notifier.clone();
        name_page(&mut notifying, &self.external_url);
        notifier.apply(notifying).await.map_err(|why| vec![why])
    }
}

/// Asks for a reload, and waits until it is in force.
pub(crate) fn by(
    requests: mpsc::Sender<Request>,
) -> Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync> {
    Arc::new(move || {
        let requests = requests.clone();
        Box::pin(async move {
            let (answer, outcome) = oneshot::channel();
            requests.send(answer).await.map_err(|_| "stopping".to_owned())?;
            outcome.await.map_err(|_| "stopping".to_owned())?
        })
    })
}

/// Links lead to the page unless the file says where else.
pub(crate) fn name_page(notifying: &mut notifier::Config, external_url: &str) {
    if notifying.external_url.is_empty() {
        external_url.clone_into(&mut notifying.external_url);
    }
}

pub(crate) struct Reloader {
    pub(crate) rooms: Rooms,
    pub(crate) state: Arc<RwLock<ConfigState>>,
    pub(crate) clock: Arc<dyn Clock>,
    running: Config,
    seen: BTreeMap<PathBuf, Option<Seen>>,
    successful: Gauge,
    succeeded_at: Gauge,
}

/// What tells one state of a file from another.
struct Seen {
    modified: Option<std::time::SystemTime>,
    length: u64,
    inode: u64,
    /// Length of the content that is in force.
    in_force: u64,
}

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        (self.modified, self.length, self.inode) == (other.modified, other.length, other.inode)
    }
}

impl Reloader {
    /// `running` is in force already.
    pub(crate) fn new(
        rooms: Rooms,
        running: Config,
        state: Arc<RwLock<ConfigState>>,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Self {
        let successful = telemetry::metrics::gauge(
            registry,
            "skopos_config_last_reload_successful",
            "Whether the newest configuration file is in force (1) or was refused (0).",
        );
        let succeeded_at = telemetry::metrics::gauge(
            registry,
            "skopos_config_last_reload_success_timestamp_seconds",
            "When a configuration was last taken into force.",
        );
        successful.set(1.0);
        succeeded_at.set(clock.now().seconds());
        let seen = look(&running.read);
        Self {
            rooms,
            state,
            clock,
            running,
            seen,
            successful,
            succeeded_at,
        }
    }

    pub(crate) async fn run(mut self, mut requests: mpsc::Receiver<Request>, stop: CancellationToken) {
        let Ok(mut hangups) = signal(SignalKind::hangup()) else {
            tracing::error!("SIGHUP cannot be heard; use /-/reload");
            return stop.cancelled().await;
        };
        let mut moving = BTreeMap::new();
        let mut leadership = self.rooms.leadership.clone();
        let mut led = leadership.borrow_and_update().here;
        let mut control_plane = self.rooms.control_plane.clone();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Ok(()) = leadership.changed() => {
                    let leads = leadership.borrow_and_update().here;
                    if std::mem::replace(&mut led, leads) != leads {
                        self.aim_anew();
                    }
                }
                Ok(()) = control_plane.changed() => self.aim_anew(),
                _ = hangups.recv() => drop(self.reload("SIGHUP").await),
                Some(request) = requests.recv() => {
                    let outcome = self.reload("/-/reload").await;
                    // Whoever asked may have gone away.
                    _ = request.send(outcome);
                }
                () = self.clock.sleep(LOOK_INTERVAL) => {
                    // Whoever writes a file may be in the middle of it: it is read once it has stood still.
                    let now = look(&self.running.read);
                    if now != self.seen && now == moving {
                        drop(self.reload("a changed file").await);
                    }
                    moving = now;
                }
            }
        }
    }

    fn aim_anew(&self) {
        if let Err(mistakes) = self.rooms.aim(&self.running) {
            tracing::error!("the targets cannot be scraped: {}", mistakes.join("; "));
        }
    }

    async fn reload(&mut self, why: &str) -> Result<(), String> {
        let outcome = self.attempt().await;
        let before = std::mem::replace(&mut self.seen, look(&self.running.read));
        if outcome.is_err() {
            self.remember_lengths(&before);
        }
        self.successful.set(f64::from(u8::from(outcome.is_ok())));
        match outcome {
            Ok(later) => {
                self.succeeded_at.set(self.clock.now().seconds());
                let mut state = self.state.write();
                state.loaded_at = self.clock.now();
                state.refused.clear();
                tracing::info!(
                    config = self.running.name(),
                    "configuration read again because of {why}"
                );
                if !later.is_empty() {
                    tracing::warn!("changes in {} take effect at the next start", later.join(", "));
                }
                Ok(())
            }
            Err(complaints) => {
                let text = complaints.join("\n");
                tracing::error!("the new configuration is refused, the old one goes on:\n{text}");
                self.state.write().refused = complaints;
                Err(text)
            }
        }
    }

    /// What was in force goes on being what an emptied file is held against.
    fn remember_lengths(&mut self, before: &BTreeMap<PathBuf, Option<Seen>>) {
        for (path, seen) in &mut self.seen {
            if let (Some(now), Some(Some(old))) = (seen, before.get(path)) {
                now.in_force = old.in_force;
            }
        }
    }

    /// An empty file is a good one at the start, but not in place of one that said something: a writer that was
    /// interrupted, or a full disk, would end all rules and alerts with it.
    fn refuse_emptied(&self) -> Result<(), Vec<String>> {
        for (path, seen) in &self.seen {
            let emptied = std::fs::metadata(path).is_ok_and(|found| found.len() == 0);
            if emptied && seen.as_ref().is_some_and(|seen| seen.in_force > 0) {
                return Err(vec![format!(
                    "{}: is empty now and was not before",
                    path.display()
                )]);
            }
        }
        Ok(())
    }

    /// Returns the sections that have changed and cannot be taken while running.
    async fn attempt(&mut self) -> Result<Vec<&'static str>, Vec<String>> {
        self.refuse_emptied()?;
        let fresh = Config::load(self.running.file.as_deref(), Some(self.running.listen));
        let fresh = fresh.map_err(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        self.rooms.apply(&fresh).await?;
        let (old, new) = (&self.running.document, &fresh.document);
        let mut later = Vec::new();
        match &self.rooms.logs {
            Some(logs) => {
                let logging = new.logs.narrowed(self.rooms.reads, self.rooms.thinks);
                logs.apply(&logging).map_err(|error| vec![error.to_string()])?;
            }
            None if new.logs.reads(
                self.rooms.reads,
                self.rooms.thinks,
                self.rooms.thinks && new.kubernetes.writes(),
            ) =>
            {
                later.push("logs")
            }
            None => {}
        }
        if let Some(nodes) = &self.rooms.nodes {
            nodes.apply(&new.logs.nodes);
        }
        for (section, before, after) in [
            (
                "global.evaluation_interval",
                format!("{:?}", old.global.evaluation_interval),
                format!("{:?}", new.global.evaluation_interval),
            ),
            (
                "kubernetes.monitors",
                format!("{:?}", old.kubernetes.monitors),
                format!("{:?}", new.kubernetes.monitors),
            ),
            (
                "kubernetes.hand_out",
                format!("{:?}", old.kubernetes.hand_out),
                format!("{:?}", new.kubernetes.hand_out),
            ),
            ("node", format!("{:?}", old.node), format!("{:?}", new.node)),
            ("store", format!("{:?}", old.store), format!("{:?}", new.store)),
            ("web", format!("{:?}", old.web), format!("{:?}", new.web)),
            ("pair", format!("{:?}", old.pair), format!("{:?}", new.pair)),
            ("remote", format!("{:?}", old.remote), format!("{:?}", new.remote)),
            (
                "remote_write",
                format!("{:?}", old.remote_write),
                format!("{:?}", new.remote_write),
            ),
        ] {
            if before != after {
                later.push(section);
            }
        }
        self.running = fresh;
        Ok(later)
    }
}

fn look(files: &[PathBuf]) -> BTreeMap<PathBuf, Option<Seen>> {
    use std::os::unix::fs::MetadataExt;
    let seen = |path: &PathBuf| {
        let found = std::fs::metadata(path).ok()?;
        Some(Seen {
            modified: found.modified().ok(),
            length: found.len(),
            inode: found.ino(),
            in_force: found.len(),
        })
    };
    files.iter().map(|path| (path.clone(), seen(path))).collect()
}
