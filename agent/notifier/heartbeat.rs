//! A dead man's switch: pings an address as long as everything from samples to messages goes on.
//!
//! Somebody outside (a healthcheck service, another Skopos) expects the pings and alarms when they stay away. So a ping is
//! withheld as soon as anything stands still: nothing is scraped, rules are late, the notifier does not turn, or no
//! receiver takes messages. A process that is dead sends none anyway. Of a pair only the one that speaks pings.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::outside::{Client, Method, Request};
use model::{BoxFuture, Clock, Leadership};
use net::{HttpConfig, Reach, Secret};
use prometheus::{Gauge, IntCounterVec, Registry};
use serde::Deserialize;
use telemetry::metrics::{counters, gauge};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::board::Board;
use crate::checkup::Beat;
use crate::config::{address, complain_of_http, patience};
use crate::handle::Handle;
use crate::receiver::{Place, place};
use crate::verdict::{Verdict, judge};

/// Answers are read and thrown away.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where to ping while everything goes on.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Asked with `GET`; the path of most services holds a secret, so it may be `${NAME}` from the environment.
    pub url: Option<Secret>,
    /// File that holds the URL; read before each ping.
    pub url_file: Option<PathBuf>,
    /// Time between pings; the service should wait for several of them.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub interval: Duration,
    /// Longest wait for an answer.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub timeout: Duration,
    /// How it is reached; left out: as `notifier.http_config` says.
    pub http_config: Option<HttpConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            http_config: None,
        }
    }
}

impl Config {
    pub(crate) fn complain(&self, wrong: &mut Vec<String>) {
        const PATH: &str = "notifier.heartbeat";
        address(
            PATH,
            ("url", self.url.as_ref()),
            ("url_file", self.url_file.as_ref()),
            wrong,
        );
        patience(PATH, self.timeout, wrong);
        complain_of_http(PATH, self.http_config.as_ref(), None, wrong);
        if self.interval < Duration::from_secs(1) {
            wrong.push(format!("{PATH}.interval: must be at least 1s"));
        }
    }

    fn place(&self) -> Option<Place> {
        place(self.url.as_ref(), self.url_file.as_ref())
    }
}

/// What stands still, if anything does; asked before each ping.
pub type Progress = dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync;

pub struct Heartbeat {
    config: watch::Receiver<Option<Config>>,
    /// How it is reached, and the words that say so: a token that was fetched is kept as long as they are the same.
    reach: (Option<HttpConfig>, Reach),
    leadership: watch::Receiver<Leadership>,
    client: Arc<dyn Client>,
    clock: Arc<dyn Clock>,
    progress: Arc<Progress>,
    pings: IntCounterVec,
    last: Gauge,
    /// Why the last ping stayed away, so that it is said once.
    withheld: Option<String>,
    /// Where it is shown what became of the last ping.
    board: Option<Arc<Board>>,
}

impl Heartbeat {
    /// Shows how it does beside the notifier.
    #[must_use]
    pub fn beside(mut self, notifier: &Handle) -> Self {
        self.board = Some(Arc::clone(&notifier.board));
        self
    }

    #[must_use]
    pub fn new(
        config: watch::Receiver<Option<Config>>,
        leadership: watch::Receiver<Leadership>,
        client: Arc<dyn Client>,
        clock: Arc<dyn Clock>,
        progress: Arc<Progress>,
        registry: &Registry,
    ) -> Self {
        let pings = counters(
            registry,
            "skopos_heartbeat_pings_total",
            "Pings of the heartbeat by what became of them; withheld: something stood still.",
            &["outcome"],
        );
        for outcome in ["taken", "failed", "withheld"] {
            pings.with_label_values(&[outcome]);
        }
        let last = gauge(
            registry,
            "skopos_heartbeat_last_success_timestamp_seconds",
            "When a ping of the heartbeat was last taken; 0 for never.",
        );
        Self {
            config,
            reach: (None, Reach::default()),
            leadership,
            client,
            clock,
            progress,
            pings,
            last,
            withheld: None,
            board: None,
        }
    }

    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let config = self.config.borrow_and_update().clone();
            let wait = match &config {
                Some(config) => self.clock.sleep(config.interval),
                None => Box::pin(std::future::pending()),
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = self.config.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = wait => {
                    if let Some(config) = config {
                        self.beat(&config).await;
                    }
                }
            }
        }
    }

    async fn beat(&mut self, config: &Config) {
        let speaks = self.leadership.borrow().may_speak(self.clock.running());
        if !speaks {
            return;
        }
        let (outcome, shown) = match (self.progress)().await {
            Err(why) => {
                if self.withheld.as_ref() != Some(&why) {
                    warn!(%why, "the heartbeat is withheld");
                }
                self.withheld = Some(why.clone());
                ("withheld", Err(format!("it was withheld, because {why}")))
            }
            Ok(()) => {
                if self.withheld.take().is_some() {
                    info!("the heartbeat goes on");
                }
                match self.ping(config).await {
                    Ok(()) => ("taken", Ok(())),
                    Err(why) => ("failed", Err(why)),
                }
            }
        };
        if let Some(board) = &self.board {
            board.beats(Beat {
                at: self.clock.now(),
                outcome: shown,
            });
        }
        self.pings.with_label_values(&[outcome]).inc();
    }

    async fn ping(&mut self, config: &Config) -> Result<(), String> {
        let Some(place) = config.place() else {
            return Err("there is no address".to_owned());
        };
        let url = match place.read().await {
            Ok(url) => url,
            Err(error) => {
                warn!(%error, "the heartbeat's address cannot be read");
                return Err(error.to_string());
            }
        };
        let request = Request {
            method: Method::Get,
            url: url.expose().to_owned(),
            headers: Vec::new(),
            body: Vec::new().into(),
            timeout: config.timeout,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        if self.reach.0 != config.http_config {
            let words = config.http_config.clone().unwrap_or_default();
            self.reach = (config.http_config.clone(), words.read(Path::new(""))?);
        }
        let (leadership, clock) = (self.leadership.clone(), &self.clock);
        let may = move || leadership.borrow().may_speak(clock.running());
        let via = self.reach.1.open(&*self.client, &may).await?;
        match judge(&via.send(request).await) {
            Verdict::Taken(_) => {
                self.last.set(self.clock.now().seconds());
                Ok(())
            }
            Verdict::Later { words, .. } | Verdict::Never { words, .. } => {
                warn!(error = words, "a ping of the heartbeat was not taken");
                Err(words)
            }
            Verdict::Held => Err("it was not sent".to_owned()),
        }
    }
}
