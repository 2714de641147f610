//! What a sample costs: CPU time on the way in and out, memory and disk when it is kept.
//!
//! `cargo bench -p store`; one line a number. CPU time, because other processes share the machine.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]
#![expect(clippy::expect_used, reason = "a bench that cannot go on says so by failing")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use model::{
    BoxFuture, Clock, Column, Keep, Kind, Labels, Matcher, Round, Select, SeriesDesc, SeriesRef, TargetDesc,
    TargetRef, TimeRange, Timestamp,
};
use prometheus::Registry;
use rustix::time::{ClockId, clock_gettime};
use store::{Config, Store};

struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn running(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

fn cpu_nanos(of: ClockId) -> f64 {
    let time = clock_gettime(of);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Nanoseconds of this thread's CPU time.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = cpu_nanos(ClockId::ThreadCPUTime);
    let done = work();
    (done, cpu_nanos(ClockId::ThreadCPUTime) - start)
}

fn anonymous_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let kilobytes = line
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|text| text.trim().parse().ok());
    kilobytes.map_or(f64::NAN, |kilobytes: f64| kilobytes * 1024.0)
}

fn desc(nth: usize) -> SeriesDesc {
    let pairs = [
        ("__name__", format!("node_something_bytes_total_{}", nth / 40)),
        ("device", format!("device-{}", nth % 40)),
        ("instance", "machine-17.example.net".to_owned()),
        ("job", "node".to_owned()),
    ];
    SeriesDesc {
        labels: Labels::from_pairs(pairs),
        kind: Kind::Counter,
        family: format!("node_something_bytes_total_{}", nth / 40).into(),
        help: "Something that is counted in bytes.".into(),
        unit: "bytes".into(),
    }
}

/// Values as a machine has them: of five series two stand still, one counts, one counts hundredths, one is noise.
fn value(series: usize, round: i64) -> f64 {
    match series % 5 {
        0 | 1 => series as f64,
        2 => (round * (series as i64 % 90_000)) as f64,
        3 => (round * (series as i64 % 1500)) as f64 / 100.0,
        _ => ((series as f64) * 0.37 + round as f64).sin(),
    }
}

struct Bench {
    store: Arc<Store>,
    registry: Registry,
    clock: Arc<HandClock>,
    target: TargetRef,
    refs: Vec<SeriesRef>,
    round: i64,
    /// CPU time that the bench itself took, making values.
    own_nanos: f64,
    maintain_nanos: f64,
}

impl Bench {
    fn round(&mut self) -> f64 {
        self.round += 1;
        let time = Timestamp(self.round * 15_000);
        self.clock.0.store(time.0, Ordering::Relaxed);
        let values: Vec<f64> = (0..self.refs.len())
            .map(|series| value(series, self.round))
            .collect();
        let series = self.refs.clone();
        let column = Column {
            target: self.target,
            time,
            round: Round::Whole,
            series,
            values,
        };
        let (kept, nanos) = timed(|| self.store.commit(column));
        assert_eq!(kept.kept, self.refs.len());
        if self.round % 4 == 0 {
            let ((), nanos) = timed(|| self.store.maintain());
            self.maintain_nanos += nanos;
            // As at 15 s a round, where each is safe long before the next.
            assert!(self.store.sync());
        }
        nanos
    }
}

fn run(series: usize, hours: i64) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let clock = Arc::new(HandClock(AtomicI64::new(0)));
    let registry = Registry::new();
    let before = anonymous_bytes();
    let store = Store::open(folder.path(), Config::default(), clock.clone(), &registry).expect("opens");
    let target = store.target(&TargetDesc {
        name: "node".into(),
        page: None,
        staleness: None,
    });
    let asking = anonymous_bytes();
    let (mut refs, mut asked, mut known) = (Vec::with_capacity(series), 0.0, 0.0);
    for start in (0..series).step_by(500) {
        let descs: Vec<SeriesDesc> = (start..series.min(start + 500)).map(desc).collect();
        let ask = |desc| store.series(target, desc).expect("within the limits");
        let (some, nanos) = timed(|| descs.iter().map(ask).collect::<Vec<_>>());
        asked += nanos;
        known += timed(|| descs.iter().map(ask).collect::<Vec<_>>()).1;
        refs.extend(some);
    }
    let asked_bytes = anonymous_bytes() - asking;
    let mut bench = Bench {
        store,
        registry,
        clock,
        target,
        refs,
        round: 0,
        own_nanos: 0.0,
        maintain_nanos: 0.0,
    };
    bench.round();
    bench.own_nanos = 0.0;
    let process = cpu_nanos(ClockId::ProcessCPUTime);
    let rounds = hours * 240;
    let nanos: f64 = (0..rounds).map(|_| bench.round()).sum();
    assert!(bench.store.sync());
    let process = cpu_nanos(ClockId::ProcessCPUTime) - process - bench.own_nanos;
    let samples = rounds as f64 * series as f64;
    println!("series {series}, {hours} h at 15 s");
    println!("  ask for a new series        {:8.0} ns", asked / series as f64);
    println!("  ask for a known series      {:8.0} ns", known / series as f64);
    println!("  commit                      {:8.2} ns/sample", nanos / samples);
    println!(
        "  sealing and forgetting      {:8.2} ns/sample",
        bench.maintain_nanos / samples
    );
    println!(
        "  all threads, with the log   {:8.2} ns/sample",
        process / samples
    );
    println!(
        "  labels and index            {:8.0} B/series",
        asked_bytes / series as f64
    );
    println!(
        "  log on disk                 {:8.2} B/sample",
        bench.store.bytes_on_disk() as f64 / samples
    );
    let families = bench.registry.gather();
    let kept = families
        .iter()
        .find(|family| family.name() == "skopos_store_samples_bytes");
    let kept = kept
        .and_then(|family| family.get_metric().first())
        .map_or(f64::NAN, |one| one.get_gauge().get_value());
    println!("  samples in memory           {:8.2} B/sample", kept / samples);
    let total = anonymous_bytes() - before;
    println!(
        "  anonymous memory            {:8.2} MB, {:.0} B/series",
        total / 1e6,
        total / series as f64
    );
    let gauge = bench.store.ledger();
    assert!(gauge.balances());
    read(&bench);
    let reopened = reopen(bench, folder.path());
    println!(
        "  read the log at start       {:8.2} ns/sample",
        reopened / samples
    );
}

fn read(bench: &Bench) {
    let until = Timestamp(bench.round * 15_000);
    let minutes = |count: i64| TimeRange {
        after: Timestamp(until.0 - count * 60_000),
        until,
    };
    let all = |range| bench.store.select(&[], range, usize::MAX).expect("reads").len() as f64;
    let (_, first) = timed(|| all(minutes(5)));
    println!(
        "  first select of all, 5 min  {:8.0} ns/series",
        first / bench.refs.len() as f64
    );
    for (name, count) in [("5 min", 5), ("1 h", 60), ("6 h", 360)] {
        let (found, nanos) = timed(|| all(minutes(count)));
        println!("  select all, {name:5}           {:8.0} ns/series", nanos / found);
    }
    let matcher = Matcher::equal("__name__", "node_something_bytes_total_7");
    let select = || {
        bench
            .store
            .select(std::slice::from_ref(&matcher), minutes(5), usize::MAX)
            .expect("reads")
    };
    select();
    let (found, nanos) = timed(select);
    println!(
        "  select {:2} by name, 5 min     {:8.0} ns/series",
        found.len(),
        nanos / found.len() as f64
    );
}

fn reopen(bench: Bench, folder: &std::path::Path) -> f64 {
    let Bench { store, clock, .. } = bench;
    assert!(store.close());
    drop(store);
    let open = || Store::open(folder, Config::default(), clock, &Registry::new()).expect("opens");
    let (store, nanos) = timed(open);
    assert!(store.series_count() > 0);
    nanos
}

/// What a receiver commits: one sender's series in parts of a few hundred, the same lists again and again.
fn parts(series: usize, part: usize) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let clock = Arc::new(HandClock(AtomicI64::new(0)));
    let open = || Store::open(folder.path(), Config::default(), clock.clone(), &Registry::new());
    let store = open().expect("opens");
    let target = store.target(&TargetDesc {
        name: "node".into(),
        page: None,
        staleness: None,
    });
    let ask = |nth| store.series(target, &desc(nth)).expect("within the limits");
    let refs: Vec<SeriesRef> = (0..series).map(ask).collect();
    let mut round = |nth: i64| -> f64 {
        let columns: Vec<Column> = refs
            .chunks(part)
            .enumerate()
            .map(|(chunk, refs)| Column {
                target,
                time: Timestamp(nth * 15_000),
                round: Round::Part,
                series: refs.to_vec(),
                values: (0..refs.len()).map(|at| value(chunk * part + at, nth)).collect(),
            })
            .collect();
        clock.0.store(nth * 15_000, Ordering::Relaxed);
        let (kept, nanos) = timed(|| {
            columns
                .into_iter()
                .map(|column| store.commit(column).kept)
                .sum::<usize>()
        });
        assert_eq!(kept, series);
        if nth % 4 == 0 {
            store.maintain();
            assert!(store.sync());
        }
        nanos
    };
    round(1);
    let rounds = 480;
    let nanos: f64 = (2..2 + rounds).map(&mut round).sum();
    println!(
        "  {series:6} series in parts of {part:5} {:8.2} ns/sample",
        nanos / (rounds as f64 * series as f64)
    );
}

fn main() {
    println!("commit of parts, the same again");
    for (series, part) in [(1_500, 1_500), (10_000, 10_000), (10_000, 2_000)] {
        parts(series, part);
    }
    run(1_500, 6);
    run(100_000, 1);
}
