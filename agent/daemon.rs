//! What the process does besides its rooms: signals, threads, the clock, its own names.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use model::{Answer, Ask, AskError, BoxFuture, Clock, Timestamp};
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::checkups::Jumps;

/// Evaluates on a thread that may be busy for long, so that no timer of the runtime waits for an expression.
pub(crate) struct Aside(pub(crate) Arc<promql::Engine>);

impl Ask for Aside {
    fn ask<'a>(&'a self, expr: &'a str, time: Timestamp) -> BoxFuture<'a, Result<Answer, AskError>> {
        let (engine, expr) = (self.0.clone(), expr.to_owned());
        Box::pin(async move {
            let handle = Handle::current();
            let asked = tokio::task::spawn_blocking(move || handle.block_on(engine.ask(&expr, time)));
            asked
                .await
                .unwrap_or_else(|error| Err(AskError::NoAnswer(error.to_string())))
        })
    }
}

/// Pages and probes answer from a thread of their own, however busy the rest is.
pub(crate) fn serve(
    server: web::Server,
    rooms: web::Rooms,
    stop: CancellationToken,
) -> anyhow::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(40)
        .build()?;
    let thread = std::thread::Builder::new().name("web".to_owned());
    let thread = thread.spawn(move || {
        if let Err(error) = runtime.block_on(server.run(rooms, stop)) {
            tracing::error!(%error, "the server ended");
        }
    });
    thread.context("starting the server's thread")
}

/// Wishes that the process should stop; none where signals cannot be heard.
pub(crate) struct Wishes(Option<(Signal, Signal)>);

impl Wishes {
    /// From now on a signal waits here, and no longer ends the process by itself.
    pub(crate) fn listen() -> Self {
        let both = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        let (Ok(terminate), Ok(interrupt)) = both else {
            tracing::error!("signals cannot be heard; only SIGKILL will stop this process");
            return Self(None);
        };
        Self(Some((terminate, interrupt)))
    }

    pub(crate) async fn one(&mut self) -> &'static str {
        let Some((terminate, interrupt)) = &mut self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    }
}

/// Whoever reads that Skopos watches may rotate a log file in the next moment, so it looks before it says so.
pub(crate) async fn first_look(logs: &logs::Handle) {
    const PATIENCE: Duration = Duration::from_secs(2);
    let looked = async {
        while !logs.looked() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, looked).await.is_err() {
        tracing::warn!("the folders of the log files have not answered for 2 s");
    }
}

/// A second wish, not the echo of the first: `timeout` and terminals signal a process and its group at once.
pub(crate) async fn asked_again() -> &'static str {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Wishes::listen().one().await
}

pub(crate) async fn maintain(store: Arc<store::Store>, stop: CancellationToken) {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = minute.tick() => {}
        }
        let tended = store.clone();
        // Writing a block takes as long as the disk does; what a stop leaves half-written goes at the next start.
        let tending = tokio::task::spawn_blocking(move || {
            tended.maintain();
            tended.seal()
        });
        tokio::select! {
            () = stop.cancelled() => return,
            sealed = tending => match sealed {
                Ok(sealed) => say_sealed(&sealed),
                Err(error) => tracing::error!(%error, "tending the samples"),
            }
        }
    }
}

fn say_sealed(sealed: &store::Sealed) {
    if let Some((span, samples)) = sealed.window {
        let (start, end) = (span.start.0, span.end.0);
        tracing::info!(start, end, samples, "samples went from memory to a block on disk");
    }
    if let Some(error) = &sealed.failed {
        tracing::warn!(%error, "a block cannot be written; its samples stay in memory and in the log");
    }
    if let Some(error) = &sealed.tended.failed {
        tracing::warn!(%error, "blocks cannot be made one, and stay as they are");
    }
}

/// Keeps the wall clock at the system's, and says when that jumps.
pub(crate) async fn follow(
    clock: Arc<RuntimeClock>,
    registry: Registry,
    jumped: Arc<Jumps>,
    stop: CancellationToken,
) {
    let jumps = telemetry::metrics::counter(
        &registry,
        "skopos_clock_jumps_total",
        "Times the system clock jumped by half a second or more.",
    );
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = second.tick() => if let Some(millis) = clock.follow_system() {
                jumps.inc();
                jumped.note(clock.now());
                tracing::warn!(seconds = millis as f64 / 1000.0, "the system clock jumped");
            },
        }
    }
}

pub(crate) fn build_info(registry: &Registry, role: &str) {
    let labels = ["version", "revision", "role"];
    let info = telemetry::metrics::gauges(
        registry,
        "skopos_build_info",
        "Always 1; what runs is in the labels.",
        &labels,
    );
    info.with_label_values(&[
        crate::cli::version(),
        option_env!("SKOPOS_REVISION").unwrap_or(""),
        role,
    ])
    .set(1.0);
    let limit = telemetry::metrics::gauge(
        registry,
        "skopos_memory_limit_bytes",
        "Memory this process may use, by its cgroup; 0 when there is no limit.",
    );
    limit.set(telemetry::process::memory_limit_bytes().unwrap_or(0) as f64);
}

/// Skopos is a target like any other, with the job name `skopos`.
pub(crate) fn own_target(scheme: &str, address: std::net::SocketAddr) -> scrape::ScrapeConfig {
    let own = scrape::config::StaticConfig {
        targets: vec![reachable(address)],
        ..scrape::config::StaticConfig::default()
    };
    scrape::ScrapeConfig {
        job_name: "skopos".to_owned(),
        scheme: scheme.to_owned(),
        static_configs: vec![own],
        ..scrape::ScrapeConfig::default()
    }
}

/// Where this process reaches itself: an address that means "all of them" is asked on loopback.
pub(crate) fn reachable(address: std::net::SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}

pub(crate) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

pub(crate) fn external_url(configured: &str, scheme: &str, address: std::net::SocketAddr) -> String {
    match configured {
        "" if address.ip().is_unspecified() => format!("{scheme}://{}:{}", hostname(), address.port()),
        "" => format!("{scheme}://{address}"),
        url => url.trim_end_matches('/').to_owned(),
    }
}
