//! Rules for a second of CPU time: the same rule files in both managers, over the same series.
//!
//! Each kind runs for some of its intervals; what the process uses while it has no rules is taken off. What comes out
//! is written, by both. Times go on a little after now, so that nothing goes stale while it is looked at.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::column::Keep;
use model::{AllHere, Clock, Column, Leadership, Round, SeriesRef, TargetDesc, TargetRef, Timestamp};
use programs::write::Written;
use prometheus::Registry;
use rules::{Manager, Neighbours};
use store::Store;
use telemetry::clock::RuntimeClock;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::Sizes;
use crate::data::{INTERVAL_MS, NAMESPACE_PODS, POD_SERIES, described, requests, requests_value};
use crate::peer::{Peer, Program};
use crate::process::{Figures, own_cpu_seconds};
use crate::table::{Better, Table};

/// Rounds before now, and after it.
const BEFORE: i64 = 24;
const AFTER: i64 = 20;
/// Until a change of rules, or of data, has settled.
const SETTLE: Duration = Duration::from_secs(2);
/// Until a manager that gets nowhere is no longer waited for; samples go on for a little longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rules of one kind.
struct Lot {
    series: usize,
    what: &'static str,
    interval: Duration,
    rules: u32,
    text: String,
}

fn lots(sizes: Sizes) -> Vec<Lot> {
    let all = sizes.pods * POD_SERIES;
    let code = |nth: usize| {
        format!(
            "code=\"c{}\",pod=\"shop-7d9f8b6c5-{}\"",
            nth % 10,
            nth / 10 % sizes.pods
        )
    };
    let small = (0..400).map(|nth| {
        let selector = code(nth);
        format!("  - alert: A{nth}\n    expr: rate(http_requests_total{{{selector}}}[5m]) > 1e9\n")
    });
    let namespaces = sizes.pods / NAMESPACE_PODS;
    let middle = (0..namespaces.min(40)).map(|nth| {
        format!(
            "  - record: n{nth}\n    expr: sum by (pod) (rate(http_requests_total{{namespace=\"ns{nth}\"}}[5m]))\n"
        )
    });
    let large = "  - record: all\n    expr: sum by (pod) (rate(http_requests_total[5m]))\n".to_owned();
    let lot = |series, what, seconds, rules: String| Lot {
        series,
        what,
        interval: Duration::from_secs(seconds),
        rules: u32::try_from(rules.matches("expr:").count()).unwrap(),
        text: format!("groups:\n- name: lot\n  interval: {seconds}s\n  rules:\n{rules}"),
    };
    vec![
        lot(10, "alert on a rate", 1, small.collect()),
        lot(1_000, "sum by(pod)(rate(x[5m]))", 1, middle.collect()),
        lot(all, "sum by(pod)(rate(x[5m]))", 2, large),
    ]
}

pub(crate) fn compare(table: &mut Table, program: Option<&Program>, sizes: Sizes) {
    let folder = tempfile::tempdir().unwrap();
    let ours = Figures::of_child("rules", folder.path(), sizes.is_small());
    let theirs = program.map(|program| theirs(program, sizes));
    for lot in lots(sizes) {
        let name = lot.series.to_string();
        let what = format!("rules per CPU second, {} over {} series", lot.what, lot.series);
        let theirs = theirs.as_ref().map(|theirs| theirs.get(&name));
        table.add(what, ours.get(&name), theirs, Better::More, "5x, then 15x");
    }
}

/// Counts rules of each lot for a second of CPU time.
fn count(sizes: Sizes, cpu: impl Fn() -> f64, evaluated: impl Fn() -> f64, apply: impl Fn(&str)) -> Figures {
    std::thread::sleep(SETTLE);
    let idle = Duration::from_secs(if sizes.is_small() { 1 } else { 5 });
    let before = cpu();
    std::thread::sleep(idle);
    let idle = (cpu() - before) / idle.as_secs_f64();
    let mut figures = Figures::default();
    for lot in lots(sizes) {
        apply(&lot.text);
        // The first evaluation is within an interval, and is not counted: it finds its series for the first time.
        std::thread::sleep(lot.interval + SETTLE);
        let (counted, used, begun) = (evaluated(), cpu(), Instant::now());
        std::thread::sleep(lot.interval * sizes.evaluations);
        // Where others leave it little of the machine, it takes longer.
        let wanted = f64::from(lot.rules * sizes.evaluations.div_ceil(2));
        while evaluated() - counted < wanted && begun.elapsed() < PATIENCE {
            std::thread::sleep(lot.interval);
        }
        let used = cpu() - used - idle * begun.elapsed().as_secs_f64();
        let rules = evaluated() - counted;
        figures.set(&lot.series.to_string(), rules / used.max(1e-6));
    }
    figures
}

fn theirs(program: &Program, sizes: Sizes) -> Figures {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yml");
    std::fs::write(&rules, "").unwrap();
    let peer = Peer::start(program, folder.path());
    let now = crate::hand_clock::now();
    for pods in (0..sizes.pods).collect::<Vec<_>>().chunks(20) {
        let series = pods
            .iter()
            .flat_map(|pod| (0..POD_SERIES).map(move |nth| (*pod, nth)));
        let series: Vec<_> = series.map(|(pod, nth)| (pod, nth, requests(pod, nth))).collect();
        let all = series.iter().map(|(pod, nth, labels)| Written {
            labels,
            samples: rounds()
                .map(|round| (at(now, round), requests_value(*pod, *nth, round + BEFORE)))
                .collect(),
        });
        peer.write(&all.collect::<Vec<_>>());
    }
    count(
        sizes,
        || peer.cpu_seconds(),
        || peer.evaluations(),
        |text| {
            std::fs::write(&rules, text).unwrap();
            peer.reload();
        },
    )
}

fn rounds() -> impl Iterator<Item = i64> {
    -BEFORE..AFTER
}

fn at(now: Timestamp, round: i64) -> Timestamp {
    Timestamp(now.0 + round * INTERVAL_MS)
}

pub(crate) fn ours(folder: &Path, sizes: Sizes) -> Figures {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let (clock, registry) = (RuntimeClock::system(), Registry::new());
    let open = Store::open(folder, store::Config::default(), clock.clone(), &registry);
    let store = open.unwrap();
    fill(&store, clock.now(), sizes);
    store.maintain();
    let journal = journal::Journal::open(journal::Disk::new(folder), Path::new("alerts")).unwrap();
    let (events, _inbox) = mpsc::channel(64);
    let near = Neighbours {
        ask: Arc::new(promql::Engine::new(store.clone(), promql::Options::default())),
        keep: store,
        journal,
        events,
        leadership: watch::channel(Leadership::standalone()).1,
        clock,
        presence: Arc::new(AllHere),
        late: Arc::new(model::late::Never),
    };
    let manager = Manager::new(near, &registry, rules::Options::default());
    manager.apply(Vec::new());
    let stop = CancellationToken::new();
    let task = runtime.spawn(manager.clone().run(stop.clone()));
    let evaluated = || {
        let families = registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == "prometheus_rule_evaluations_total");
        let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
        metrics
            .iter()
            .map(|metric| metric.get_counter().get_value())
            .sum()
    };
    let apply = |text: &str| manager.apply(rules::load(&[("rules.yml", text)]).unwrap());
    let figures = count(sizes, own_cpu_seconds, evaluated, apply);
    stop.cancel();
    runtime.block_on(task).unwrap();
    figures
}

/// A target for each pod, as whoever reads pods has them.
fn fill(store: &Store, now: Timestamp, sizes: Sizes) {
    let targets: Vec<(TargetRef, Vec<SeriesRef>)> = (0..sizes.pods)
        .map(|pod| {
            let target = store.target(&TargetDesc {
                name: format!("scrape/shop/{pod}").into(),
                page: None,
                staleness: None,
            });
            let ask = |nth| store.series(target, &described(requests(pod, nth))).unwrap();
            (target, (0..POD_SERIES).map(ask).collect())
        })
        .collect();
    for round in rounds() {
        for (pod, (target, series)) in targets.iter().enumerate() {
            store.commit(Column {
                target: *target,
                time: at(now, round),
                round: Round::Whole,
                series: series.clone(),
                values: (0..POD_SERIES)
                    .map(|nth| requests_value(pod, nth, round + BEFORE))
                    .collect(),
            });
        }
    }
    assert!(store.sync());
}
