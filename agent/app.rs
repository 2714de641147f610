//! The one meeting place of all rooms, in start order; stopping walks the data flow.
//!
//! It is long on purpose: a straight line in which every queue stands with its answer to being full.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use journal::{Disk, Journal, Patient};
use model::outside::{Client, Files, Serve};
use model::view::{ConfigState, LogState, View};
use model::{AllHere, Clock, Feed, Presence};
use net::{HttpClient, Mailer};
use parking_lot::{Mutex, RwLock};
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::accounts::{self, ledger_of};
use crate::afar::Afar;
use crate::checkups::{self, Jumps};
use crate::cli::{Role, RunArgs};
use crate::config::Config;
use crate::daemon::{
    Aside, Wishes, asked_again, build_info, external_url, first_look, follow, maintain, own_target,
    reachable, serve,
};
use crate::discovery::ObjectDiscovery;
use crate::evidence::Witness;
use crate::looks::{look_around, look_at_objects};
use crate::missed::Missed;
use crate::monitors::{Following, RuleBook};
use crate::oom::{self, Oom};
use crate::paired::Paired;
use crate::progress::Progress;
use crate::reload::{self, Reloader};
use crate::replicas::Replicas;
use crate::stages::Stages;
use crate::views::{Headrooms, Process};
use crate::{
    bought, control_plane, graph, handing, inventory, kubernetes, lock, looked, memory, relay, shipped,
    targets, trial, views,
};

/// Threads of the main runtime; pages and probes have one of their own, node and logs theirs.
const WORKERS: usize = 2;
/// For a write of the journal; then what it is about goes on without, and is written later.
const DISK_PATIENCE: Duration = Duration::from_secs(2);

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
    let role = arguments.role;
    // What a role is made of: reading one machine, and thinking about what was read.
    let (reads, thinks) = (role != Role::Cluster, role != Role::Node);
    let document = config.document.clone();
    let data = arguments.data_dir.clone();
    let server = web::Server::bind(&document.web, config.listen).map_err(|error| anyhow!("{error}"))?;
    let address = server.local_addr();
    let _lock = lock::take(&data)?;

    // Tools.
    let registry = Registry::new();
    telemetry::process::register(&registry, clock.now().seconds());
    build_info(&registry, role.word());
    let files = Disk::new(&data);
    let patient = Patient::new(files.clone(), DISK_PATIENCE).context("starting the journal's thread")?;
    let journal = Journal::open(patient, Path::new("alerts")).with_context(|| {
        let path = data.join("alerts").join("journal");
        format!(
            "opening {}; move it away to start without the alerts and messages it remembers",
            path.display()
        )
    })?;
    let failed = |error| anyhow!("starting the HTTP client: {error}");
    let plain = HttpClient::new().map_err(failed)?;
    // Who we are to AWS; whoever sends by a client of these may have its requests signed.
    let aws = aws::Aws::new(document.aws.clone(), plain.clone(), clock.clone(), &registry);
    let aws = aws.map_err(anyhow::Error::msg)?;
    for account in document.accounts() {
        // From now on they are kept, and a place that has none is said at once.
        drop(aws.credentials(&account));
    }
    let client: Arc<dyn Client> = aws::Signing::new(plain, &aws);
    // Our own may have an authority of their own.
    let to_ours: Arc<dyn Client> = match &document.remote.ca_file {
        Some(file) => {
            let ours = HttpClient::with_ca(file).map_err(|error| anyhow!("remote.ca_file: {error}"))?;
            aws::Signing::new(ours, &aws)
        }
        None => client.clone(),
    };
    let tokens = match &document.web.tokens_file {
        Some(file) => net::Tokens::open(file).map_err(|mistakes| {
            let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            anyhow!("{}", mistakes.join("\n"))
        })?,
        None => net::Tokens::none(),
    };
    let mut house = graph::House::new(role);

    // Engines.
    let mut storing = document.store.clone();
    if role == Role::Node {
        storing.history = store::History::None;
    }
    storing.budget_bytes = memory::budget(storing.budget_bytes);
    let is_bounded = storing.budget_bytes > 0;
    let store = store::Store::open(&data.join("metrics"), storing, clock.clone(), &registry);
    let store =
        store.with_context(|| format!("opening the samples in {}", data.join("metrics").display()))?;
    let engine = Arc::new(promql::Engine::new(store.clone(), promql::Options::default()));

    // The Kubernetes API, where there is one: the pods of this node, and who leads.
    let host = kubernetes::host(&document.kubernetes, role);
    let cluster = kubernetes::cluster(&document.kubernetes, role, &host, clock.clone(), &registry).await?;

    // The other replica, if there is one: who leads, and what both know.
    let mut paired = Paired::of(
        role,
        &document,
        cluster.as_ref(),
        &journal,
        &(clock.clone() as Arc<dyn Clock>),
        &registry,
    )
    .await?;
    let (pairing, pair_handle) = (paired.config.clone(), paired.handle.clone());
    let (is_paired, leadership, share) = (pair_handle.is_some(), paired.leadership.clone(), paired.share());

    // AWS, whose metrics are bought by who leads.
    let bought = (thinks && document.cloudwatch.enabled).then(|| {
        let around = bought::Around {
            config: document.cloudwatch.clone(),
            aws: aws.clone(),
            client: client.clone(),
            keep: store.clone(),
            clock: clock.clone(),
            journal: journal.clone(),
            leadership: leadership.clone(),
        };
        bought::open(around, &registry)
    });
    let (cloudwatch, needing) = bought.unzip();

    // Samples that others send.
    let receiving = remote::receive::Config {
        instance: host.as_str().into(),
        ..document.remote.receive.clone()
    };
    let receiver = thinks.then(|| {
        remote::receive::Receiver::new(
            receiving,
            store.clone(),
            journal.clone(),
            clock.clone(),
            &registry,
        )
    });
    let missed = Missed::of(role, cluster.as_ref(), receiver.as_ref(), &tokens);
    let presence: Arc<dyn Presence> = match &receiver {
        Some(receiver) => receiver.clone(),
        None => Arc::new(AllHere),
    };
    if let (Some(receiver), true) = (&receiver, is_paired) {
        let leadership = leadership.clone();
        receiver.epochs_from(Arc::new(move || leadership.borrow().epoch));
    }

    // Samples that go to others: everything to whom the configuration names, and to the other replica what only the
    // holder of the lease sees.
    let mut feeds: Vec<Arc<dyn Feed>> = Vec::new();
    let sender = relay::sender(
        &config,
        files.clone(),
        Path::new("remote"),
        to_ours.clone(),
        clock.clone(),
        &registry,
    )?;
    let sender_handle = sender.as_ref().map(remote::Sender::handle);
    let to_peer = match pairing.peer.as_ref().filter(|_| is_paired) {
        Some(peer) => {
            let whom = relay::replica(peer, pairing.token_file.as_ref());
            let limits = document.remote.queue;
            let sender = remote::Sender::open(
                &[whom],
                limits,
                files.clone(),
                Path::new("peer"),
                &to_ours,
                clock.clone(),
                &relay::beside(&registry)?,
            );
            Some(sender.context("opening the queue to the other replica")?)
        }
        None => None,
    };
    let to_peer_handle = to_peer.as_ref().map(remote::Sender::handle);
    if let Some(handle) = &sender_handle {
        let feed: Arc<dyn Feed> = Arc::new(handle.clone());
        feeds.push(if role == Role::Cluster {
            Arc::new(relay::Made(feed))
        } else {
            feed
        });
    }
    if let Some(handle) = &to_peer_handle {
        feeds.push(Arc::new(relay::Seen(Arc::new(handle.clone()))));
    }
    if !feeds.is_empty() {
        store.feed_to(Arc::new(relay::Fork(feeds)));
    }

    // Rooms, downstream first, so that whoever sends finds its receiver.
    let scheme = if document.web.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let external_url = external_url(&document.web.external_url, scheme, address);
    // Full: rules go on evaluating; firing alerts come again in a minute, resolved ones for 15 minutes.
    let (alerts, inbox) = mpsc::channel(1024);
    // Between rules and notifier stands the pair, which says what either replica says.
    let (told, words) = if is_paired {
        // Full: said again each minute.
        let (merged, telling) = mpsc::channel(1024);
        house.channel("rules", "pair", &alerts, "events");
        house.channel("pair", "notifier", &merged, "events");
        (telling, Some((inbox, merged)))
    } else {
        house.channel("rules", "notifier", &alerts, "events");
        (inbox, None)
    };
    let mut notifying = document.notifier.clone();
    reload::name_page(&mut notifying, &external_url);
    let to_outside = client.clone();
    let notifier = thinks.then(|| {
        notifier::Notifier::new(
            &notifying,
            told,
            journal.clone(),
            client.clone(),
            clock.clone(),
            leadership.clone(),
            share,
            &registry,
        )
    });
    let mut notifier = notifier.map(|(notifier, handle)| (notifier.with_mail(Arc::new(Mailer)), handle));
    let notifier_handle = notifier.as_ref().map(|(_, handle)| handle.clone());
    let options = rules::Options {
        external_url: external_url.clone(),
        external_labels: document.global.external_labels.clone(),
        evaluation_interval: document.global.evaluation_interval,
        config: document.rules.clone(),
        ..rules::Options::default()
    };
    let near = rules::Neighbours {
        ask: match &document.rules.datasource {
            Some(elsewhere) => Arc::new(rules::Datasource::new(
                elsewhere.clone(),
                client.clone(),
                &registry,
            )),
            None => Arc::new(Aside(engine.clone())),
        },
        keep: store.clone(),
        journal: journal.clone(),
        events: alerts,
        leadership: leadership.clone(),
        clock: clock.clone(),
        presence,
        late: bought::late(cloudwatch.as_ref()),
    };
    let evaluating = options.clone();
    let rules = thinks.then(|| rules::Manager::new(near, &registry, options));
    // With an authority of its own, https in this house is https of that authority.
    let reading = if document.web.tls.is_some() {
        to_ours.clone()
    } else {
        client.clone()
    };
    let pool = scrape::Pool::new(reading, store.clone(), clock.clone(), &registry);
    let node = (reads && document.node.enabled).then(|| {
        node::Node::new(
            node::Config {
                nodename: cluster.as_ref().map(|_| host.clone()),
                ..document.node.clone()
            },
            host.clone(),
            store.clone(),
            clock.clone(),
            &registry,
        )
    });
    let node_handle = node.as_ref().map(node::Node::handle);
    let machine = node_handle
        .as_ref()
        .map(node::Handle::machine)
        .unwrap_or_default();
    let state = cluster
        .as_ref()
        .filter(|_| thinks && document.kube_state.enabled.unwrap_or(true));
    let state = state.map(|cluster| {
        kubernetes::state(
            cluster,
            &document.kube_state,
            store.clone(),
            clock.clone(),
            &registry,
        )
    });
    let keeps_notes = cloudwatch.is_some() || thinks && cluster.is_some() && document.kubernetes.writes();
    let logs = if document.logs.reads(reads, thinks, keeps_notes) {
        let outside = logs::Outside {
            clock: clock.clone(),
            client: client as Arc<dyn Client>,
            aws: aws.clone(),
            host: host.clone(),
            pods: cluster.as_ref().filter(|_| reads).map(cluster::Cluster::pods),
            once: thinks.then(|| logs::Once {
                journal: journal.clone(),
                leadership: leadership.clone(),
            }),
        };
        let logging = document.logs.narrowed(reads, thinks);
        let logs = logs::Logs::new(&logging, data.join("logs"), &data, outside, &registry);
        Some(logs.context("opening the log segments")?)
    } else {
        None
    };
    let logs_handle = logs.as_ref().map(logs::Logs::handle);
    bought::note(cloudwatch.as_ref(), logs_handle.as_ref());
    let log_files = logs_handle.clone();
    let once = cluster::Once {
        journal: journal.clone(),
        leadership: leadership.clone(),
        clock: clock.clone(),
        notes: logs_handle.as_ref().map(logs::Handle::notes),
    };
    let happened = cluster
        .as_ref()
        .filter(|_| thinks && document.kubernetes.wants_events())
        .map(|cluster| cluster::Events::new(cluster, once.clone(), &registry));
    let changed = cluster
        .as_ref()
        .filter(|_| thinks && document.kubernetes.wants_changes())
        .map(|cluster| {
            let configmaps = document.kubernetes.changes.configmaps;
            cluster::Changes::new(cluster, configmaps, once.clone(), &registry)
        });
    let changes = changed.as_ref().map(cluster::Changes::handle);
    let oom = Oom::new(oom::Around {
        node: (reads && document.node.enabled).then_some(&document.node),
        cluster: cluster.as_ref(),
        thinks: thinks.then(|| oom::Near::new(&engine, changes.as_ref(), once, &host)),
        clock: clock.clone(),
        registry: &registry,
    });
    let happened_handle = happened.as_ref().map(cluster::Events::handle);
    let afar = thinks.then(|| {
        let found = kubernetes::agents(cluster.as_ref(), &document.kubernetes);
        let nodes = logs::Nodes::new(&document.logs.nodes, found, to_outside.clone());
        Afar::new(nodes, Handle::current())
    });
    let witness = rules.as_ref().map(|rules| {
        Arc::new(Witness::new(
            rules,
            logs_handle.as_ref(),
            afar.as_ref(),
            changes.as_ref(),
            // What is kept here says nothing about rules that ask elsewhere.
            document.rules.datasource.is_none().then_some(&engine),
            &document.global.external_labels,
            &host,
        ))
    });
    if let (Some((notifier, _)), Some(witness)) = (&mut notifier, &witness) {
        notifier.evidence_from(Arc::clone(witness) as _);
    }

    let book = rules.clone().map(RuleBook::new);
    let observing = cluster.as_ref().filter(|_| thinks);
    let (led, disk) = (&leadership, &(files.clone() as Arc<dyn Files>));
    let monitors = Following::of(observing, &document, &pool, book.as_ref(), led, disk, &registry);
    let handing = handing::Side::of(handing::Around {
        role,
        cluster: cluster.as_ref(),
        document: &document,
        host: &host,
        pool: &pool,
        client: &to_ours,
        files: disk,
        leadership: led,
        receiver: receiver.as_ref(),
        is_whole: monitors.as_ref().map(Following::is_whole),
        clock: clock.clone(),
        registry: &registry,
    });
    let control_plane = cluster
        .as_ref()
        .filter(|_| thinks)
        .and_then(|cluster| control_plane::Sections::new(cluster, &document.kubernetes));
    let reloading = reload::Rooms {
        pool: pool.clone(),
        rules: book,
        notifier: notifier_handle.clone(),
        logs: logs_handle.clone(),
        nodes: afar.as_ref().map(Afar::nodes),
        reads,
        thinks,
        external_url,
        self_scrape: own_target(scheme, address),
        control_plane: control_plane::Sections::told_by(control_plane.as_ref()),
        leadership: leadership.clone(),
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

    let mut ledgers: accounts::Accounts = Vec::new();
    let mut account = |room: &'static str, ledger: Option<accounts::Account>| {
        ledgers.extend(ledger.map(|ledger| (room, ledger)));
    };
    account("node", ledger_of(&node_handle, node::Handle::ledger));
    account("kubestate", ledger_of(&state, kubestate::KubeState::ledger));
    account("scrape", ledger_of(&Some(pool.clone()), |pool| pool.ledger()));
    account("receiver", ledger_of(&receiver, |receiver| receiver.ledger()));
    account("store", ledger_of(&Some(store.clone()), |store| store.ledger()));
    account("rules", ledger_of(&rules, rules::Manager::ledger));
    account("pair", ledger_of(&pair_handle, pair::Handle::ledger));
    account("notifier", ledger_of(&notifier_handle, notifier::Handle::ledger));
    account("logs", ledger_of(&logs_handle, logs::Handle::ledger));
    let input = logs_handle.as_ref().and_then(logs::Handle::input);
    account("forward", ledger_of(&input, logs::Input::ledger));
    let journal = logs_handle.as_ref().and_then(logs::Handle::journal);
    account("journald", ledger_of(&journal, logs::Journal::ledger));
    let groups = logs_handle.as_ref().and_then(logs::Handle::groups);
    account("log_groups", ledger_of(&groups, logs::Groups::ledger));
    account(
        "events",
        ledger_of(&happened_handle, cluster::EventsHandle::ledger),
    );
    account("changes", ledger_of(&changes, cluster::ChangesHandle::ledger));
    account(
        "cloudwatch",
        ledger_of(&cloudwatch, cloudwatch::CloudWatch::ledger),
    );
    account("sender", ledger_of(&sender_handle, remote::SenderHandle::ledger));
    account(
        "to_peer",
        ledger_of(&to_peer_handle, remote::SenderHandle::ledger),
    );
    accounts::register(&registry, ledgers.clone())?;
    look_at_objects(&mut house, cluster.as_ref(), state.is_some());
    look_around(
        &mut house,
        &store,
        logs_handle.as_ref(),
        node_handle.is_some(),
        pair_handle.as_ref(),
        notifier_handle.as_ref(),
        sender_handle.as_ref(),
    );

    // What the pages and the API may ask.
    let process = Process {
        role: role.word(),
        name: if is_paired {
            pairing.name.clone()
        } else {
            host.clone()
        },
        machine,
        started: clock.now(),
        data_dir: data,
        accounts: ledgers,
        series: {
            let store = store.clone();
            Arc::new(move || store.series_count() as u64)
        },
    };
    let main = Handle::current();
    let jumps = Arc::new(Jumps::default());
    let datasource: Option<Arc<str>> = document
        .rules
        .datasource
        .as_ref()
        .map(|elsewhere| elsewhere.shown().into());
    let discovery = cluster.as_ref().filter(|_| reads).and_then(|cluster| {
        let global = document.scrape_global();
        kubernetes::Discovery::new(cluster, &document.kubernetes, global, &pool)
    });
    let objects = cluster
        .as_ref()
        .map(|cluster| ObjectDiscovery::new(cluster, role, &host, &pool));
    let senders = [("sender", &sender_handle), ("to_peer", &to_peer_handle)];
    let doctor = checkups::doctor(
        checkups::Around {
            clock: clock.clone(),
            data_dir: process.data_dir.clone(),
            config: config_state.clone(),
            accounts: process.accounts.clone(),
            jumps: jumps.clone(),
            cluster: cluster.clone(),
            state: state.clone(),
            discovery: discovery.as_ref().map(kubernetes::Discovery::checkup),
            monitors: monitors.as_ref().map(Following::checkup),
            handing: handing.checkup(),
            oom: oom.checkup(),
            node: node_handle.clone(),
            pool: pool.clone(),
            receiver: receiver.clone(),
            store: store.clone(),
            logs: logs_handle.clone(),
            nodes: afar.as_ref().map(Afar::nodes),
            rules: rules.clone(),
            datasource: datasource.clone(),
            notifier: notifier_handle.clone(),
            pair: pair_handle.clone(),
            aws: aws.clone(),
            cloudwatch: cloudwatch.clone(),
            senders: senders
                .into_iter()
                .filter_map(|(room, handle)| Some((room, handle.clone()?)))
                .collect(),
        },
        to_outside.clone(),
        main.clone(),
    );
    let serving = Arc::new(AtomicBool::new(false));
    let targets = targets::targets(node_handle, state.clone(), &pool, &store, clock.clone());
    let log_state: View<LogState> = {
        let (handle, afar) = (logs_handle.clone(), afar.clone());
        Arc::new(move || LogState {
            nodes: afar.as_ref().map_or(0, Afar::count),
            ..handle.as_ref().map(logs::Handle::state).unwrap_or_default()
        })
    };
    let rule_groups: View<Vec<model::view::RuleGroup>> = {
        let rules = rules.clone();
        Arc::new(move || rules.as_ref().map(rules::Manager::view).unwrap_or_default())
    };
    let evaluated = rule_groups.clone();
    let headrooms = Headrooms::new(engine.clone(), clock.clone());
    let rooms = web::Rooms {
        clock: clock.clone(),
        select: store.clone(),
        exemplars: store.clone(),
        engine: looked::engine(&engine, &store, cloudwatch.as_ref()),
        registry: registry.clone(),
        targets: targets.clone(),
        pools: {
            let pool = pool.clone();
            Arc::new(move || pool.sifted())
        },
        sources: {
            let (logs, has_cluster, bought) = (log_state.clone(), cluster.is_some(), cloudwatch.clone());
            Arc::new(move || views::sources(&targets(), &logs(), has_cluster, bought.as_ref()))
        },
        rules: {
            let groups = rule_groups.clone();
            // What is kept here says nothing about how near rules are that ask elsewhere.
            let headrooms = document.rules.datasource.is_none().then_some(headrooms);
            Arc::new(move || {
                let mut groups = groups();
                if let Some(headrooms) = &headrooms {
                    headrooms.fill(&mut groups);
                }
                groups
            })
        },
        datasource,
        why: {
            let (engine, clock) = (engine.clone(), clock.clone());
            Arc::new(move |file, group, rule, fingerprint| {
                views::why(
                    &engine,
                    &rule_groups(),
                    clock.now(),
                    (file, group, rule),
                    fingerprint,
                )
            })
        },
        try_rule: rules.clone().map(|rules| {
            let trials = trial::Trials {
                select: store.clone(),
                groups: Arc::new(move || rules.groups()),
                options: evaluating,
                busy: Mutex::default(),
            };
            let make = move |trial: &model::view::Trial, stop: &promql::Stop| trials.make(trial, stop);
            Arc::new(make) as _
        }),
        kept: {
            let store = store.clone();
            Arc::new(move || store.view())
        },
        cardinality: {
            let store = store.clone();
            Arc::new(move |most| store.cardinality(most))
        },
        routing: {
            let handle = notifier_handle.clone();
            Arc::new(move |labels, now| {
                let handle = handle.as_ref();
                handle
                    .map(|handle| handle.routing(labels, now))
                    .unwrap_or_default()
            })
        },
        telling: {
            let handle = notifier_handle.clone();
            Arc::new(move || handle.as_ref().map(notifier::Handle::view).unwrap_or_default())
        },
        own_lines: Arc::new(move |labels, now, most| witness.as_ref()?.lines(labels, now, most)),
        around: {
            let logs = logs_handle.clone();
            Arc::new(move |time, identity, most| {
                let found = logs.as_ref()?.context(time, identity, most);
                found
                    .inspect_err(|error| tracing::error!(%error, "lines around one"))
                    .ok()
                    .flatten()
            })
        },
        tail: logs_handle.as_ref().filter(|_| reads).map(logs::Handle::door),
        logs: Arc::new(move |query| {
            let page = logs_handle.as_ref().map(|logs| logs.search(query));
            let page = page
                .transpose()
                .inspect_err(|error| tracing::error!(%error, "log search"))
                .ok()
                .flatten()
                .unwrap_or_default();
            match &afar {
                Some(afar) => afar.add(query, page),
                None => page,
            }
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
        reload: reload::by(reload),
        doctor,
        send_test: relay::send_test(notifier_handle.clone(), main.clone()),
        runbook: Arc::new(shipped::runbook),
        write: receiver.clone().map(|receiver| {
            let intake = relay::Intake {
                receiver,
                store: store.clone(),
                main: main.clone(),
            };
            Arc::new(intake) as Arc<dyn Serve>
        }),
        handed: handing.door(),
        peer: pair_handle.clone().zip(receiver.clone()).map(|(pair, receiver)| {
            let door = relay::PeerDoor {
                pair,
                receiver,
                store: store.clone(),
                main: main.clone(),
            };
            Arc::new(door) as Arc<dyn Serve>
        }),
        reserved: role == Role::Node,
        identify: kubernetes::guests(tokens, cluster.as_ref(), role, address, &registry),
        silences: {
            let external_labels = &document.global.external_labels;
            notifier_handle
                .as_ref()
                .map(|handle| relay::silences(handle, external_labels))
        },
        alerting: notifier_handle.as_ref().map(relay::alerting),
        forward: {
            let (handle, main) = (pair_handle.clone(), main.clone());
            Arc::new(move |call| relay::forward(handle.clone(), &main, call))
        },
        graph: Arc::new(move || house.graph()),
        pair: {
            let handle = pair_handle.clone();
            Arc::new(move || handle.as_ref().map(pair::Handle::view))
        },
        senders: {
            let receiver = receiver.clone();
            Arc::new(move || {
                receiver
                    .as_ref()
                    .map(|receiver| receiver.senders())
                    .unwrap_or_default()
            })
        },
        destinations: {
            let handles = [sender_handle, to_peer_handle];
            Arc::new(move || {
                handles
                    .iter()
                    .flatten()
                    .flat_map(remote::SenderHandle::view)
                    .collect()
            })
        },
        objects: inventory::objects(
            cluster.is_some() && thinks,
            changes.as_ref(),
            &engine,
            clock.clone(),
        ),
        aws: crate::estate::of(cloudwatch.as_ref(), &engine, clock.clone()),
    };

    // Tasks, each in the stage in which it stops.
    let mut stages = Stages::new(&["sources", "rules", "notifier", "pair", "senders", "store"]);
    stages.room("sources", "cluster", cluster.clone(), cluster::Cluster::run);
    stages.room("sources", "missed", missed, Missed::run);
    let replicas = Replicas::of(role, cluster.as_ref());
    stages.room("sources", "replicas", replicas, Replicas::run);
    stages.room("sources", "changes", changed, cluster::Changes::run);
    stages.room("sources", "events", happened, cluster::Events::run);
    oom.spawn(&mut stages);
    stages.room("sources", "node", node, node::Node::run);
    stages.room("sources", "kubestate", state, kubestate::KubeState::run);
    if let Some(discovery) = discovery {
        stages.spawn("sources", "discovery", |stop| discovery.run(stop));
    }
    if let Some(control_plane) = control_plane {
        stages.spawn("sources", "control_plane", |stop| control_plane.run(stop));
    }
    if let Some(objects) = objects {
        stages.spawn("sources", "objects", |stop| objects.run(stop));
    }
    if let Some(monitors) = monitors {
        stages.spawn("sources", "monitors", |stop| monitors.run(stop));
    }
    stages.spawn("sources", "handing", |stop| handing.run(stop));
    if let (Some(cloudwatch), Some(needing), Some(rules)) = (cloudwatch, needing, rules.clone()) {
        let following = needing.of(rules, engine);
        stages.spawn("sources", "cloudwatch", |stop| cloudwatch.run(stop));
        stages.spawn("sources", "needs", |stop| following.run(stop));
    }
    stages.spawn("sources", "scrape", |stop| pool.run(stop));
    if let Some(receiver) = receiver.clone() {
        stages.spawn("sources", "receiver", |stop| receiver.run(stop));
    }
    if let Some(logs) = logs {
        stages.spawn("sources", "logs", |stop| logs.run(stop));
    }
    stages.spawn("sources", "reload", |stop| reloader.run(reload_requests, stop));
    if let (Some(pair), Some((events, merged)), Some(rules), Some(notifier), Some(receiver)) = (
        paired.pair.take(),
        words,
        rules.clone(),
        notifier_handle,
        receiver.clone(),
    ) {
        let near = relay::neighbours(relay::Around {
            client: to_ours,
            arbiter: paired.arbiter.clone(),
            events,
            merged,
            rules,
            notifier,
            receiver,
            store: store.clone(),
            clock: clock.clone(),
        });
        stages.spawn("pair", "pair", |stop| pair.run(near, stop));
        paired.remember(&mut stages);
    }
    if let Some(rules) = rules {
        stages.spawn("rules", "rules", |stop| rules.run(stop));
    }
    if let Some((notifier, handle)) = notifier {
        stages.spawn("notifier", "notifier", |stop| notifier.run(stop));
        let shown = handle.clone();
        let heartbeat = notifier::heartbeat::Heartbeat::new(
            handle.heartbeat(),
            leadership,
            to_outside,
            clock.clone(),
            Progress::of(&store, evaluated, handle, clock.clone()),
            &registry,
        )
        .beside(&shown);
        stages.spawn("notifier", "heartbeat", |stop| heartbeat.run(stop));
    }
    for (name, sender) in [("sender", sender), ("to_peer", to_peer)] {
        if let Some(sender) = sender {
            let describe = store.clone();
            stages.spawn("senders", name, |stop| sender.run(describe, stop));
        }
    }
    stages.spawn("store", "store", {
        let store = store.clone();
        |stop| maintain(store, stop)
    });
    stages.spawn("store", "aws", {
        let renewer = aws.renewer();
        |stop| renewer.run(stop)
    });
    stages.spawn("store", "clock", |stop| follow(clock, registry, jumps, stop));
    if is_bounded {
        let store = store.clone();
        stages.spawn("store", "guard", |stop| memory::guard(store, stop));
    }
    if role == Role::Node {
        stages.spawn("store", "memory", memory::stay_small);
    }
    let web_stop = CancellationToken::new();
    let web = serve(server, rooms, web_stop.clone())?;

    if let Some(log_files) = log_files {
        first_look(&log_files).await;
    }
    // Whoever reads the line may ask for the end in the next moment.
    let mut wishes = Wishes::listen();
    // The one line on standard output; nobody may be reading it.
    _ = writeln!(
        std::io::stdout(),
        "Skopos {}; its page is {scheme}://{}/",
        match role {
            Role::All => "watches this machine",
            Role::Node => "reads this machine and sends what it reads",
            Role::Cluster => "receives, evaluates and tells",
        },
        reachable(address)
    );
    serving.store(true, Ordering::Relaxed);
    let ended = tokio::select! {
        ended = stages.any_ended() => Some(ended),
        signal = wishes.one() => {
            tracing::info!("{signal} received, stopping");
            None
        }
    };
    serving.store(false, Ordering::Relaxed);
    // What is sent from now on waits with its sender.
    if let Some(receiver) = &receiver {
        receiver.hold(true);
    }
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
