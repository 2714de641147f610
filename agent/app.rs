//! The one meeting place of all rooms, in start order; stopping walks the data flow.
//!
//! It is long on purpose: a straight line in which every queue stands with its answer to being full.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use journal::{Disk, Journal};
use model::view::{ConfigState, LogState};
use model::{Answer, Ask, AskError, BoxFuture, Clock, Leadership, Timestamp};
use net::HttpClient;
use parking_lot::RwLock;
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::accounts;
use crate::cli::RunArgs;
use crate::config::Config;
use crate::reload::{self, Reloader};
use crate::stages::Stages;
use crate::views::{Headrooms, Process};
use crate::{graph, lock, shipped, views};

/// Threads of the main runtime; pages and probes have one of their own, node and logs theirs.
const WORKERS: usize = 2;

/// Runs until a signal asks it to stop.
///
/// # Errors
/// It could not start, or a part of it ended by itself.
pub fn run(arguments: RunArgs, config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build();
    let runtime = runtime.context("starting the runtime")?;
    let outcome = runtime.block_on(house(arguments, config));
    runtime.shutdown_timeout(Duration::from_millis(500));
    outcome
}

#[expect(clippy::too_many_lines, reason = "one straight line, in start order")]
async fn house(arguments: RunArgs, config: Config) -> anyhow::Result<()> {
    let clock = RuntimeClock::system();
    let document = config.document.clone();
    let data = arguments.data_dir.clone();
    let server = web::Server::bind(&document.web, config.listen).map_err(|error| anyhow!("{error}"))?;
    let address = server.local_addr();
    let _lock = lock::take(&data)?;

    // Tools.
    let registry = Registry::new();
    telemetry::process::register(&registry, clock.now().seconds());
    build_info(&registry, arguments.role.word());
    let journal = Journal::open(Disk::new(&data), Path::new("alerts")).with_context(|| {
        let path = data.join("alerts").join("journal");
        format!(
            "opening {}; move it away to start without the alerts and messages it remembers",
            path.display()
        )
    })?;
    let client = HttpClient::new().map_err(|error| anyhow!("starting the HTTP client: {error}"))?;
    let (_lead, leadership) = watch::channel(Leadership::standalone());

    // Engines.
    let store = store::Store::open(
        &data.join("metrics"),
        document.store.clone(),
        clock.clone(),
        &registry,
    );
    let store =
        store.with_context(|| format!("opening the samples in {}", data.join("metrics").display()))?;
    let engine = Arc::new(promql::Engine::new(store.clone(), promql::Options::default()));

    // Rooms, downstream first, so that whoever sends finds its receiver.
    let host = hostname();
    let external_url = external_url(&document.web.external_url, address);
    // Full: rules go on evaluating; firing alerts come again in a minute, resolved ones for 15 minutes.
    let (alerts, inbox) = mpsc::channel(1024);
    let mut notifying = document.notifier.clone();
    reload::name_page(&mut notifying, &external_url);
    let (notifier, notifier_handle) = notifier::Notifier::new(
        &notifying,
        inbox,
        journal.clone(),
        client.clone(),
        clock.clone(),
        leadership.clone(),
        Arc::new(model::Alone),
        &registry,
    );
    let options = rules::Options {
        external_url: external_url.clone(),
        external_labels: document.global.external_labels.clone(),
        evaluation_interval: document.global.evaluation_interval,
        config: document.rules.clone(),
        ..rules::Options::default()
    };
    let near = rules::Neighbours {
        ask: Arc::new(Aside(engine.clone())),
        keep: store.clone(),
        journal,
        events: alerts,
        leadership,
        clock: clock.clone(),
        presence: Arc::new(model::AllHere),
    };
    let rules = rules::Manager::new(near, &registry, options);
    let pool = scrape::Pool::new(client, store.clone(), clock.clone(), &registry);
    let node = node::Node::new(
        document.node.clone(),
        host.clone(),
        store.clone(),
        clock.clone(),
        &registry,
    );
    let node_handle = node.handle();
    let machine = node_handle.machine();
    let logs = if document.logs.enabled {
        let logs = logs::Logs::new(
            document.logs.clone(),
            data.join("logs"),
            data.clone(),
            clock.clone(),
            &registry,
        );
        Some(logs.context("opening the log segments")?)
    } else {
        None
    };
    let logs_handle = logs.as_ref().map(logs::Logs::handle);
    let log_files = logs_handle.clone();

    let reloading = reload::Rooms {
        pool: pool.clone(),
        rules: rules.clone(),
        notifier: notifier_handle.clone(),
        logs: logs_handle.clone(),
        external_url,
        self_scrape: own_target(address),
    };
    reloading
        .start(&config)
        .map_err(|mistakes| anyhow!("{}", mistakes.join("\n")))?;
    let config_state = Arc::new(RwLock::new(ConfigState {
        file: config.name(),
        loaded_at: clock.now(),
        refused: Vec::new(),
    }));
    let reloader = Reloader::new(reloading, config, config_state.clone(), clock.clone(), &registry);
    // Full: whoever asks for a reload waits for the one under way.
    let (reload, reload_requests) = mpsc::channel::<reload::Request>(4);

    let mut ledgers: accounts::Accounts = vec![
        ("node", {
            let node = node_handle.clone();
            Arc::new(move || node.ledger())
        }),
        ("scrape", {
            let pool = pool.clone();
            Arc::new(move || pool.ledger())
        }),
        ("store", {
            let store = store.clone();
            Arc::new(move || store.ledger())
        }),
        ("rules", {
            let rules = rules.clone();
            Arc::new(move || rules.ledger())
        }),
        ("notifier", {
            let handle = notifier_handle.clone();
            Arc::new(move || handle.ledger())
        }),
    ];
    if let Some(handle) = logs_handle.clone() {
        ledgers.push(("logs", Arc::new(move || handle.ledger())));
    }
    accounts::register(&registry, ledgers.clone())?;

    // What the pages and the API may ask.
    let process = Process {
        role: arguments.role.word(),
        name: host,
        machine,
        started: clock.now(),
        data_dir: data,
        accounts: ledgers,
        series: {
            let store = store.clone();
            Arc::new(move || store.series_count() as u64)
        },
    };
    let serving = Arc::new(AtomicBool::new(false));
    let targets: model::view::View<Vec<model::view::Target>> = {
        let pool = pool.clone();
        let node = document.node.enabled.then_some(node_handle);
        Arc::new(move || node.iter().map(node::Handle::view).chain(pool.view()).collect())
    };
    let log_state: model::view::View<LogState> = {
        let handle = logs_handle.clone();
        Arc::new(move || handle.as_ref().map(logs::Handle::state).unwrap_or_default())
    };
    let headrooms = Headrooms::new(engine.clone(), clock.clone());
    let main = Handle::current();
    let rooms = web::Rooms {
        clock: clock.clone(),
        select: store.clone(),
        engine: engine.clone(),
        registry: registry.clone(),
        targets: targets.clone(),
        sources: {
            let logs = log_state.clone();
            Arc::new(move || views::sources(&targets(), &logs()))
        },
        rules: {
            let rules = rules.clone();
            Arc::new(move || {
                let mut groups = rules.view();
                headrooms.fill(&mut groups);
                groups
            })
        },
        why: {
            let (rules, clock) = (rules.clone(), clock.clone());
            Arc::new(move |file, group, rule, fingerprint| {
                views::why(
                    &engine,
                    &rules.view(),
                    clock.now(),
                    (file, group, rule),
                    fingerprint,
                )
            })
        },
        telling: {
            let handle = notifier_handle.clone();
            Arc::new(move || handle.view())
        },
        logs: Arc::new(move |query| {
            let page = logs_handle.as_ref().map(|logs| logs.search(query));
            page.transpose()
                .inspect_err(|error| tracing::error!(%error, "log search"))
                .ok()
                .flatten()
                .unwrap_or_default()
        }),
        log_state,
        config: Arc::new(move || config_state.read().clone()),
        own: Arc::new(move || process.own()),
        ready: {
            let serving = serving.clone();
            Arc::new(move || {
                if serving.load(Ordering::Relaxed) {
                    Ok(())
                } else {
                    Err("starting or stopping".to_owned())
                }
            })
        },
        reload: Arc::new(move || {
            let reload = reload.clone();
            Box::pin(async move {
                let (answer, outcome) = oneshot::channel();
                let gone = |_| "stopping".to_owned();
                reload.send(answer).await.map_err(|_| "stopping".to_owned())?;
                outcome.await.map_err(gone)?
            })
        }),
        send_test: Arc::new(move || {
            // Connections belong to the runtime that opened them.
            let sent = main.spawn(notifier_handle.send_test());
            Box::pin(async move { sent.await.map_err(|error| error.to_string())? })
        }),
        runbook: Arc::new(shipped::runbook),
        write: None,
        peer: None,
        identify: net::Tokens::none(),
        silences: None,
        forward: Arc::new(|_| Box::pin(async { None })),
        graph: Arc::new(move || graph::plan(arguments.role)),
        pair: Arc::new(|| None),
        senders: Arc::new(Vec::new),
        destinations: Arc::new(Vec::new),
    };

    // Tasks, each in the stage in which it stops.
    let mut stages = Stages::new(&["sources", "rules", "notifier", "store"]);
    if document.node.enabled {
        stages.spawn("sources", "node", |stop| node.run(stop));
    }
    stages.spawn("sources", "scrape", |stop| pool.run(stop));
    if let Some(logs) = logs {
        stages.spawn("sources", "logs", |stop| logs.run(stop));
    }
    stages.spawn("sources", "reload", |stop| reloader.run(reload_requests, stop));
    stages.spawn("rules", "rules", |stop| rules.run(stop));
    stages.spawn("notifier", "notifier", |stop| notifier.run(stop));
    stages.spawn("store", "store", {
        let store = store.clone();
        |stop| maintain(store, stop)
    });
    stages.spawn("store", "clock", |stop| follow(clock, registry, stop));
    let web_stop = CancellationToken::new();
    let web = serve(server, rooms, web_stop.clone())?;

    if let Some(log_files) = log_files {
        first_look(&log_files).await;
    }
    // The one line on standard output; nobody may be reading it.
    _ = writeln!(
        std::io::stdout(),
        "Skopos watches this machine; its page is http://{}/",
        reachable(address)
    );
    serving.store(true, Ordering::Relaxed);
    let ended = tokio::select! {
        ended = stages.any_ended() => Some(ended),
        signal = asked_to_stop() => {
            tracing::info!("{signal} received, stopping");
            None
        }
    };
    serving.store(false, Ordering::Relaxed);
    let late = tokio::select! {
        late = stages.stop(document.shutdown_grace) => late,
        signal = asked_again() => anyhow::bail!("{signal} received again: stopped at once"),
    };
    if !late.is_empty() {
        tracing::warn!(
            "not finished within {:?}: {}",
            document.shutdown_grace,
            late.join(", ")
        );
    }
    store.close();
    web_stop.cancel();
    if tokio::task::spawn_blocking(move || web.join()).await.is_err() {
        tracing::warn!("the server's thread did not end");
    }
    ended.map_or(Ok(()), |ended| Err(anyhow!("{ended}")))
}

/// Evaluates on a thread that may be busy for long, so that no timer of the runtime waits for an expression.
struct Aside(Arc<promql::Engine>);

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
fn serve(
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

async fn asked_to_stop() -> &'static str {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be heard; only SIGKILL will stop this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

/// Whoever reads that Skopos watches may rotate a log file in the next moment, so it looks before it says so.
async fn first_look(logs: &logs::Handle) {
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
async fn asked_again() -> &'static str {
    tokio::time::sleep(Duration::from_secs(1)).await;
    asked_to_stop().await
}

async fn maintain(store: Arc<store::Store>, stop: CancellationToken) {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = minute.tick() => store.maintain(),
        }
    }
}

/// Keeps the wall clock at the system's, and says when that jumps.
async fn follow(clock: Arc<RuntimeClock>, registry: Registry, stop: CancellationToken) {
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
                tracing::warn!(seconds = millis as f64 / 1000.0, "the system clock jumped");
            },
        }
    }
}

fn build_info(registry: &Registry, role: &str) {
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
fn own_target(address: std::net::SocketAddr) -> scrape::ScrapeConfig {
    let own = scrape::config::StaticConfig {
        targets: vec![reachable(address)],
        ..scrape::config::StaticConfig::default()
    };
    scrape::ScrapeConfig {
        job_name: "skopos".to_owned(),
        static_configs: vec![own],
        ..scrape::ScrapeConfig::default()
    }
}

/// Where this process reaches itself: an address that means "all of them" is asked on loopback.
fn reachable(address: std::net::SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn external_url(configured: &str, address: std::net::SocketAddr) -> String {
    match configured {
        "" if address.ip().is_unspecified() => format!("http://{}:{}", hostname(), address.port()),
        "" => format!("http://{address}"),
        url => url.trim_end_matches('/').to_owned(),
    }
}
