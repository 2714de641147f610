//! Questions over half a day, from blocks on disk: the same blocks for both, theirs a copy of ours.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use blocks::{Blocks, Limits, Span};
use model::{Series, Timestamp};
use prometheus::Registry;
use promql::{Engine, Value};
use store::Store;

use crate::Sizes;
use crate::data::{INTERVAL_MS, POD_SERIES, requests, requests_value};
use crate::hand_clock::{HandClock, now};
use crate::peer::{Peer, Program};
use crate::process::{Figures, own_cpu_seconds, timed};
use crate::table::{Better, Table};

const EXPR: &str = "sum by (pod) (rate(http_requests_total[5m]))";
const STEP: Duration = Duration::from_secs(60);
const HOURS_ASKED: i64 = 12;
const WINDOW_MS: i64 = 7_200_000;

pub(crate) fn compare(table: &mut Table, program: Option<&Program>, sizes: Sizes) {
    let folder = tempfile::tempdir().unwrap();
    let ours = Figures::of_child("blocks", folder.path(), sizes.is_small());
    let theirs = program.map(|program| theirs(program, folder.path(), sizes));
    if let Some(theirs) = &theirs {
        let (one, other) = (ours.get("total"), theirs.get("total"));
        assert!(
            (one / other - 1.0).abs() < 1e-9,
            "the answers differ: {one} and {other}"
        );
    }
    let mut line = |what: String, name: &str| {
        let theirs = theirs.as_ref().map(|theirs| theirs.get(name));
        table.add(what, ours.get(name), theirs, Better::Less, "");
    };
    let series = sizes.sealed.0;
    line(
        format!("CPU ms, 12 h of sum by(rate) over {series} series, blocks"),
        "cpu",
    );
    line("ms by the clock, the same".to_owned(), "wall");
}

/// The end of the last whole window, and the beginning of the first.
fn span(sizes: Sizes) -> (Timestamp, Timestamp) {
    let end = now().0 / WINDOW_MS * WINDOW_MS;
    (Timestamp(end - sizes.sealed.1 * WINDOW_MS), Timestamp(end))
}

fn asked(sizes: Sizes) -> (Timestamp, Timestamp) {
    let (_, end) = span(sizes);
    (
        Timestamp(end.0 - HOURS_ASKED * 3_600_000),
        Timestamp(end.0 - 60_000),
    )
}

pub(crate) fn ours(folder: &Path, sizes: Sizes) -> Figures {
    let (begin, end) = span(sizes);
    let clock = HandClock::at(end);
    fill(folder, clock.clone(), sizes, begin);
    let store = Store::open(folder, store::Config::default(), clock, &Registry::new()).unwrap();
    let engine = Engine::new(store, promql::Options::default());
    let (from, until) = asked(sizes);
    let ask = || engine.range(EXPR, from, until, STEP).unwrap().value;
    let Value::Matrix(series) = ask() else {
        panic!("no matrix")
    };
    let points = series.iter().flat_map(|series| &series.points);
    let total = points.map(|point| point.value).sum();
    let ((), cpu, wall) = timed(own_cpu_seconds, || (0..sizes.questions).for_each(|_| drop(ask())));
    figures(sizes, total, cpu, wall)
}

fn figures(sizes: Sizes, total: f64, cpu: f64, wall: f64) -> Figures {
    let mut figures = Figures::default();
    figures.set("total", total);
    figures.set("cpu", cpu * 1e3 / f64::from(sizes.questions));
    figures.set("wall", wall * 1e3 / f64::from(sizes.questions));
    figures
}

fn fill(folder: &Path, clock: Arc<HandClock>, sizes: Sizes, begin: Timestamp) {
    let limits = Limits {
        retention: Duration::from_hours(24 * 15),
        bytes_max: None,
    };
    let blocks = Blocks::open(folder, limits, clock).unwrap();
    let mut all: Vec<_> = (0..sizes.sealed.0)
        .map(|nth| (nth / POD_SERIES, nth % POD_SERIES))
        .map(|(pod, nth)| (requests(pod, nth), pod, nth))
        .collect();
    all.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let rounds = WINDOW_MS / INTERVAL_MS;
    for window in 0..sizes.sealed.1 {
        let start = Timestamp(begin.0 + window * WINDOW_MS);
        let span = Span {
            start,
            end: Timestamp(start.0 + WINDOW_MS),
        };
        let times: Arc<[Timestamp]> = (0..rounds)
            .map(|nth| Timestamp(start.0 + nth * INTERVAL_MS))
            .collect();
        let series = all.iter().map(|(labels, pod, nth)| Series {
            labels: labels.clone(),
            times: times.clone(),
            values: (0..rounds)
                .map(|round| requests_value(*pod, *nth, window * rounds + round))
                .collect(),
            staleness: None,
        });
        blocks.write(span, series).unwrap();
    }
}

fn theirs(program: &Program, blocks: &Path, sizes: Sizes) -> Figures {
    let folder = tempfile::tempdir().unwrap();
    copy(blocks, folder.path());
    std::fs::write(folder.path().join("rules.yml"), "").unwrap();
    let peer = Peer::start(program, folder.path());
    let (from, until) = asked(sizes);
    let path = format!(
        "/api/v1/query_range?query={}&start={}&end={}&step={}",
        EXPR.replace(' ', "%20"),
        from.0 / 1000,
        until.0 / 1000,
        STEP.as_secs()
    );
    let answer: serde_json::Value = serde_json::from_str(&peer.get(&path)).unwrap();
    let series = answer["data"]["result"].as_array().unwrap();
    let points = series
        .iter()
        .flat_map(|series| series["values"].as_array().unwrap());
    let total = points
        .map(|point| point[1].as_str().unwrap().parse::<f64>().unwrap())
        .sum();
    let cpu = || peer.cpu_seconds();
    let ((), cpu, wall) = timed(cpu, || (0..sizes.questions).for_each(|_| drop(peer.get(&path))));
    figures(sizes, total, cpu, wall)
}

/// The blocks only: a folder in a folder, and theirs alone have an index.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        if !entry.path().join("index").is_file() {
            continue;
        }
        let block = to.join(entry.file_name());
        std::fs::create_dir_all(block.join("chunks")).unwrap();
        for name in ["index", "meta.json", "tombstones"] {
            if entry.path().join(name).is_file() {
                std::fs::copy(entry.path().join(name), block.join(name)).unwrap();
            }
        }
        for chunk in std::fs::read_dir(entry.path().join("chunks")).unwrap().flatten() {
            std::fs::copy(chunk.path(), block.join("chunks").join(chunk.file_name())).unwrap();
        }
    }
}
