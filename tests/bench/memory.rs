//! Memory of a node's series with an hour of history, what a sample costs on its way in, and the start from a full log.

use std::path::Path;
use std::time::Duration;

use model::column::Keep;
use model::{Column, Labels, Round, SeriesRef, TargetDesc, TargetRef, Timestamp};
use programs::usage::memory_bytes;
use programs::write::Written;
use prometheus::Registry;
use store::Store;

use crate::Sizes;
use crate::data::{INTERVAL_MS, Values, described, node};
use crate::hand_clock::{HandClock, now};
use crate::peer::{Peer, Program};
use crate::process::{Figures, give_back, own_cpu_seconds, rest, timed};
use crate::table::{Better, Table};

/// Rounds in a quarter of an hour.
const QUARTER: usize = 60;
/// Where the peer's memory is looked at.
const INTO_QUARTER: usize = 30;
/// Where ours is, in rounds after that quarter's begin: it grows until rows are packed, and again until what was packed
/// becomes one, and all of that is taken together.
const LOOKS: [usize; 6] = [5, 24, 43, 62, 81, 100];

pub(crate) fn compare(table: &mut Table, program: Option<&Program>, sizes: Sizes) {
    let folder = tempfile::tempdir().unwrap();
    let mut ours = Figures::of_child("memory", folder.path(), sizes.is_small());
    let started = Figures::of_child("start", folder.path(), sizes.is_small());
    for name in ["start cpu", "start wall"] {
        ours.set(&name.replace(' ', "_"), started.get(&name.replace(' ', "_")));
    }
    drop(folder);
    let theirs = program.map(|program| theirs(program, sizes));
    let (series, minutes) = (sizes.series, sizes.quarters.0 * 15);
    let hours = sizes.quarters.1 as f64 / 4.0;
    let mut line = |what: String, name: &str, goal| {
        let theirs = theirs
            .as_ref()
            .map(|theirs| theirs.get(name))
            .filter(|number| !number.is_nan());
        table.add(what, ours.get(name), theirs, Better::Less, goal);
    };
    line("CPU ns a sample, commit".to_owned(), "commit", "");
    line(
        "CPU ns a sample, all of the store with its log".to_owned(),
        "all",
        "",
    );
    line(
        format!("RSS bytes a series, {series} with {minutes} min at 15 s"),
        "resident",
        "1000",
    );
    line(format!("RSS MB of the process, {series} series"), "megabytes", "");
    line(
        format!("start CPU s, log of {series} series x {hours} h"),
        "start_cpu",
        "",
    );
    line("start s by the clock".to_owned(), "start_wall", "");
}

/// Series of a target, in the order of their values.
struct Held {
    target: TargetRef,
    refs: Vec<SeriesRef>,
}

pub(crate) fn ours(folder: &Path, sizes: Sizes) -> Figures {
    let clock = HandClock::at(begin());
    let store = Store::open(folder, store::Config::default(), clock.clone(), &Registry::new()).unwrap();
    let held: Vec<Held> = node(sizes.series)
        .into_iter()
        .enumerate()
        .map(|(nth, all)| {
            let target = store.target(&TargetDesc {
                name: format!("scrape/node/{nth}").into(),
                page: None,
                staleness: None,
            });
            let ask = |labels| store.series(target, &described(labels)).unwrap();
            Held {
                target,
                refs: all.into_iter().map(ask).collect(),
            }
        })
        .collect();
    let mut values = Values::of(sizes.series);
    let mut figures = Figures::default();
    let (mut committing, mut all) = (0.0, 0.0);
    let mut looks = Vec::new();
    let rounds = (sizes.quarters.1 * QUARTER).max((sizes.quarters.0 + 2) * QUARTER);
    for round in 0..rounds {
        let time = time_of(round);
        clock.set(time);
        let mut left = values.next();
        let columns: Vec<Column> = held
            .iter()
            .map(|held| {
                let (own, rest) = left.split_at(held.refs.len());
                left = rest;
                Column {
                    target: held.target,
                    time,
                    round: Round::Whole,
                    series: held.refs.clone(),
                    values: own.to_vec(),
                }
            })
            .collect();
        let (_, cpu, _) = timed(own_cpu_seconds, || {
            let commit = || {
                columns
                    .into_iter()
                    .map(|column| store.commit(column).kept)
                    .sum::<usize>()
            };
            let (kept, cpu, _) = timed(own_cpu_seconds, commit);
            assert_eq!(kept, sizes.series);
            committing += cpu;
            if round % 4 == 3 {
                store.maintain();
                store.seal();
                // As at 15 s a round, where each is safe long before the next.
                assert!(store.sync());
            }
        });
        all += cpu;
        if LOOKS
            .into_iter()
            .any(|after| round == sizes.quarters.0 * QUARTER + after)
        {
            give_back();
            let own = (sizes.series * 8) as f64;
            looks.push(memory_bytes(std::process::id(), "VmRSS") as f64 - own);
        }
    }
    let bytes = looks.iter().sum::<f64>() / looks.len() as f64;
    figures.set("resident", bytes / sizes.series as f64);
    figures.set("megabytes", bytes / 1e6);
    let samples = (rounds * sizes.series) as f64;
    figures.set("commit", committing * 1e9 / samples);
    figures.set("all", all * 1e9 / samples);
    assert!(store.close());
    figures
}

/// Opens what the child before has left.
pub(crate) fn start(folder: &Path) -> Figures {
    let clock = HandClock::at(Timestamp(begin().0 + 7_200_000));
    let open = || Store::open(folder, store::Config::default(), clock, &Registry::new()).unwrap();
    let (store, cpu, wall) = timed(own_cpu_seconds, open);
    assert!(store.series_count() > 0);
    let mut figures = Figures::default();
    figures.set("start_cpu", cpu);
    figures.set("start_wall", wall);
    figures
}

fn theirs(program: &Program, sizes: Sizes) -> Figures {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.yml"), "").unwrap();
    let peer = Peer::start(program, folder.path());
    let labels: Vec<Labels> = node(sizes.series).into_iter().flatten().collect();
    let mut values = Values::of(sizes.series);
    let mut figures = Figures::default();
    let look_at = sizes.quarters.0 * QUARTER + INTO_QUARTER;
    let rounds = (sizes.quarters.1 * QUARTER).max(look_at);
    for first in (0..rounds).step_by(INTO_QUARTER) {
        let some: Vec<Vec<f64>> = (0..INTO_QUARTER).map(|_| values.next().to_vec()).collect();
        for (part, labels) in labels.chunks(1_000).enumerate() {
            let all = labels.iter().enumerate().map(|(nth, labels)| Written {
                labels,
                samples: some
                    .iter()
                    .enumerate()
                    .map(|(round, values)| (time_of(first + round), values[part * 1_000 + nth]))
                    .collect(),
            });
            peer.write(&all.collect::<Vec<_>>());
        }
        if first + INTO_QUARTER == look_at {
            // What it collects of its own accord, it has collected by then.
            rest(Duration::from_secs(if sizes.is_small() { 1 } else { 10 }));
            let bytes = peer.resident_bytes();
            figures.set("resident", bytes / sizes.series as f64);
            figures.set("megabytes", bytes / 1e6);
        }
    }
    drop(peer);
    let (peer, _, wall) = timed(|| 0.0, || Peer::start(program, folder.path()));
    figures.set("start_cpu", peer.cpu_seconds());
    figures.set("start_wall", wall);
    figures
}

/// Where a window of two hours begins, not long ago.
fn begin() -> Timestamp {
    Timestamp((now().0 / 7_200_000 - 2) * 7_200_000)
}

fn time_of(round: usize) -> Timestamp {
    Timestamp(begin().0 + (round as i64 + 1) * INTERVAL_MS - 1_000)
}
