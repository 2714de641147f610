//! `kill -9` at full load: a child commits, seals and compacts as fast as it can, and says what it was told is written;
//! whoever opens the folder afterwards finds that, each sample once.
//!
//! `SKOPOS_TEST_LONG=1` kills a hundred times.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use model::{
    Clock, Column, Histograms, Keep, Labels, Round, STALE, Select, TargetRef, TimeRange, Timestamp, Value,
};
use prometheus::Registry;
use store::{Config, Retention, Store};

use crate::harness::{desc, histogram, long, metric, target};
use crate::sealing::{BEGUN, HOUR, MINUTE, TwoClocks};

const TEST: &str = "killing::what_was_written_survives_kill_9_and_is_there_once";
const FOLDER: &str = "SKOPOS_STORE_CHILD_FOLDER";
const FIRST_ROUND: &str = "SKOPOS_STORE_CHILD_ROUND";

const STEP: i64 = 30_000;
/// Long enough for blocks of six hours, short enough to be outlived within a second or two.
const RETENTION: Duration = Duration::from_hours(60);
/// The last has native histograms.
const TARGETS: [&str; 4] = ["steady", "coming", "late", "whole"];
const HISTOGRAMS: usize = 3;
/// Behind its end a window has been sealed already.
const LATE: i64 = 250 * MINUTE;

fn config() -> Config {
    Config {
        retention: Retention {
            time: RETENTION,
            size: 0,
        },
        wal_sync_interval: Duration::from_millis(20),
        ..Config::default()
    }
}

/// What a target says in a round, and whether that is all it has to say.
fn said(of: usize, nth: i64) -> (Round, i64, Vec<(String, f64)>) {
    let time = BEGUN + nth * STEP;
    let value = |series: i64| match series % 3 {
        0 => 1.0,
        1 => (nth * 7 + series) as f64,
        _ => ((nth * 31 + series * 7) % 10_007) as f64 / 3.0,
    };
    let named = |name: &str, series: i64| (format!("{name} x={series}"), value(series));
    match of {
        0 => (
            Round::Whole,
            time,
            (0..120).map(|series| named("steady", series)).collect(),
        ),
        1 => {
            let first = nth / 90;
            let coming = (first..first + 3).map(|series| named("coming", series % 40));
            (Round::Whole, time, coming.collect())
        }
        HISTOGRAMS => (
            Round::Part,
            time,
            // Each begins anew after some hours.
            (0..2)
                .map(|nth_series| (format!("whole x={nth_series}"), (nth % 997) as f64))
                .collect(),
        ),
        _ => (
            Round::Part,
            time - LATE,
            (0..5).map(|series| named("late", series)).collect(),
        ),
    }
}

/// The life of a child, which ends when it is killed.
fn live(folder: &Path, first: i64) {
    let clock = TwoClocks::at(BEGUN + first * STEP);
    let store = Store::open(folder, config(), clock.clone(), &Registry::new()).expect("opens");
    let tended = Arc::new(AtomicI64::new(clock.now().0));
    let tending = thread::spawn({
        let (store, clock, tended) = (store.clone(), clock.clone(), tended.clone());
        move || loop {
            let now = clock.now().0;
            store.maintain();
            let sealed = store.seal();
            assert!(
                sealed.failed.is_none() && sealed.tended.failed.is_none(),
                "{sealed:?}"
            );
            tended.store(now, Ordering::Relaxed);
        }
    });
    let mut random = fastrand::Rng::new();
    let mut out = std::io::stdout();
    for nth in first.. {
        clock.pass(STEP);
        for of in 0..TARGETS.len() {
            commit(&store, of, nth);
        }
        // Every window has its turn, as it has when there is a minute between two.
        while tended.load(Ordering::Relaxed) < clock.now().0 - 50 * MINUTE {
            assert!(!tending.is_finished(), "tending has failed");
            thread::yield_now();
        }
        if random.u8(..) < 16 {
            if random.bool() {
                assert!(store.sync());
            } else {
                store.written();
            }
            writeln!(out, "\nwritten {nth}")
                .and_then(|()| out.flush())
                .expect("somebody listens");
        }
    }
}

fn commit(store: &Store, of: usize, nth: i64) {
    let id: TargetRef = store.target(&target(TARGETS[of]));
    let (round, time, values) = said(of, nth);
    let series = values
        .iter()
        .map(|(text, _)| store.series(id, &desc(text)).expect("within the limits"));
    let kept = if of == HISTOGRAMS {
        let counts = values.iter().map(|(_, count)| Arc::new(histogram(*count as u32)));
        store.histograms(Histograms {
            target: id,
            time: Timestamp(time),
            histograms: series.zip(counts).collect(),
        })
    } else {
        store.commit(Column {
            target: id,
            time: Timestamp(time),
            round,
            series: series.collect(),
            values: values.iter().map(|(_, value)| *value).collect(),
        })
    };
    assert_eq!(
        kept.kept,
        values.len(),
        "{} in round {nth}: {kept:?}",
        TARGETS[of]
    );
}

/// Starts a child and kills it after some time; gives the last round that it was told is written, if any.
fn kill(folder: &Path, first: i64, after: Duration) -> Option<i64> {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args([TEST, "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env(FIRST_ROUND, first.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let reader = thread::spawn(move || {
        let written = lines.map_while(Result::ok);
        let written = written.filter_map(|line| line.strip_prefix("written ")?.parse().ok());
        written.last()
    });
    let until = Instant::now() + after;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
    end(&mut child);
    reader.join().expect("reads")
}

fn end(child: &mut Child) {
    child.kill().expect("killed");
    let status = child.wait().expect("its end");
    let mut text = String::new();
    let pipe = child.stderr.as_mut().expect("a pipe");
    pipe.read_to_string(&mut text).expect("reads");
    assert_eq!(status.signal(), Some(9), "the child ended by itself: {text}");
}

/// What is there of each target.
type Survived = [Life; TARGETS.len()];

#[derive(Debug, Default)]
struct Life {
    /// Whole rounds, from one to another.
    spans: Vec<(i64, i64)>,
    /// Rounds of which only the ends of series are there: the log has them first, and was cut off behind them.
    cut: Vec<i64>,
}

impl Life {
    /// Rounds in their order, from `oldest` on, and whether each is whole.
    fn rounds(&self, oldest: i64) -> Vec<(i64, bool)> {
        let whole = self
            .spans
            .iter()
            .flat_map(|(first, last)| (*first).max(oldest)..=*last);
        let cut = self.cut.iter().copied().filter(|nth| *nth >= oldest);
        let mut rounds: Vec<(i64, bool)> = whole
            .map(|nth| (nth, true))
            .chain(cut.map(|nth| (nth, false)))
            .collect();
        rounds.sort_unstable();
        rounds
    }
}

/// All that must be there later than `after`, by the text of the labels.
fn wanted(survived: &Survived, after: i64) -> BTreeMap<String, Vec<(i64, u64)>> {
    let mut wanted: BTreeMap<String, Vec<(i64, u64)>> = BTreeMap::new();
    for (of, life) in survived.iter().enumerate() {
        let mut before: Vec<String> = Vec::new();
        let oldest = (after - BEGUN) / STEP - 2;
        for (nth, is_whole) in life.rounds(oldest) {
            let (round, time, values) = said(of, nth);
            let names: Vec<String> = values.iter().map(|(text, _)| text.clone()).collect();
            // A series that a whole round leaves out has ended.
            if round == Round::Whole {
                for gone in before.iter().filter(|gone| !names.contains(gone)) {
                    wanted
                        .entry(gone.clone())
                        .or_default()
                        .push((time, STALE.to_bits()));
                }
                before = if is_whole {
                    names
                } else {
                    before.into_iter().filter(|name| names.contains(name)).collect()
                };
            }
            for (text, value) in values.into_iter().filter(|_| is_whole) {
                wanted.entry(text).or_default().push((time, value.to_bits()));
            }
        }
    }
    for samples in wanted.values_mut() {
        samples.retain(|(time, _)| *time > after);
    }
    wanted.retain(|_, samples| !samples.is_empty());
    wanted
}

/// What there is; of a histogram what it has counted.
fn found(store: &Store, range: TimeRange) -> BTreeMap<String, Vec<(i64, u64)>> {
    let text = |labels: &Labels| format!("{} x={}", labels.name(), labels.value("x"));
    let floats = store.select(&[], range, usize::MAX).expect("reads");
    let floats = floats.iter().map(|series| {
        let samples = series.times.iter().zip(series.values.iter());
        let samples: Vec<(i64, u64)> = samples.map(|(time, value)| (time.0, value.to_bits())).collect();
        (text(&series.labels), samples)
    });
    let mixed = store.mixed(&[], range, usize::MAX).expect("reads");
    let mixed = mixed.iter().map(|series| {
        let count = |value: &Value| match value {
            Value::Histogram(found) => found.positive.counts[0],
            Value::Float(value) => panic!("{} has the float {value}", series.labels),
        };
        let samples = series.samples.iter();
        let samples: Vec<(i64, u64)> = samples
            .map(|(time, value)| (time.0, count(value).to_bits()))
            .collect();
        (text(&series.labels), samples)
    });
    let all: BTreeMap<String, Vec<(i64, u64)>> = floats.chain(mixed).collect();
    for (text, samples) in &all {
        assert!(
            samples.is_sorted_by(|(a, _), (b, _)| a < b),
            "{text}: each time once"
        );
    }
    all
}

/// The newest round of each target in what was found, and that of the newest end of a series.
fn newest(found: &BTreeMap<String, Vec<(i64, u64)>>) -> [(Option<i64>, Option<i64>); TARGETS.len()] {
    TARGETS.map(|of| {
        let series = found.iter().filter(|(text, _)| text.starts_with(of));
        let samples = || series.clone().flat_map(|(_, samples)| samples);
        let late = if of == "late" { LATE } else { 0 };
        let round = |(time, _): &(i64, u64)| (time + late - BEGUN) / STEP;
        let is_end = |(_, bits): &&(i64, u64)| *bits == STALE.to_bits();
        (
            samples().filter(|one| !is_end(one)).map(round).max(),
            samples().filter(is_end).map(round).max(),
        )
    })
}

#[derive(Debug, Default)]
struct Figures {
    kills: usize,
    rounds: i64,
    samples_read: usize,
    /// Kills that left a block half-written, or half-deleted.
    half_written: usize,
    half_deleted: usize,
    torn_logs: usize,
    /// Kills between the ends of series and the round that ended them.
    cut_rounds: usize,
    blocks_most: usize,
    compacted: usize,
    expired_to: i64,
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect()
}

/// Opens what a killed child has left, and holds it against what the child was told. Gives the next round.
fn check(
    folder: &Path,
    first: i64,
    written: Option<i64>,
    survived: &mut Survived,
    figures: &mut Figures,
) -> i64 {
    let left = names(folder);
    let ends = |ending: &str| usize::from(left.iter().any(|name| name.ends_with(ending)));
    figures.half_written += ends(".tmp-for-creation");
    figures.half_deleted += ends(".tmp-for-deletion");

    let clock = TwoClocks::at(BEGUN + written.unwrap_or(first) * STEP);
    let registry = Registry::new();
    let store = Store::open(folder, config(), clock, &registry).expect("opens");
    for name in names(folder) {
        let known = ["wal", "log", "lock"].contains(&name.as_str()) || name.len() == 26;
        assert!(known, "{name} is left over");
    }
    let of = |name: &str| metric(&registry, name, None);
    assert_eq!(of("skopos_store_wal_corrupt_total"), 0.0);
    assert_eq!(of("skopos_store_wal_missing_segments_total"), 0.0);
    assert_eq!(of("skopos_store_wal_refused_samples_total"), 0.0);
    figures.torn_logs += usize::from(of("skopos_store_wal_lost_bytes_total") > 0.0);
    let blocks = store.blocks().expect("blocks");
    let counts = blocks.counts();
    assert_eq!((counts.broken, counts.unreadable, counts.aside), (0, 0, 0));
    figures.blocks_most = figures.blocks_most.max(blocks.all().len());
    let levels = blocks.all();
    let levels = levels.iter().filter(|block| block.meta().compaction.level > 1);
    figures.compacted = figures.compacted.max(levels.count());

    let all = found(&store, TimeRange::ALL);
    let newest = newest(&all);
    for (of, (life, (newest, ended))) in survived.iter_mut().zip(newest).enumerate() {
        let newest = newest.unwrap_or(-1);
        // The last round before a kill may be there of some targets only.
        let before = life.spans.last().map_or(-1, |(_, last)| *last);
        let must = written.unwrap_or(before);
        assert!(newest >= must, "{} has {newest} of {must}", TARGETS[of]);
        if newest >= first {
            life.spans.push((first, newest));
        }
        life.cut
            .extend(ended.filter(|nth| *nth > newest && *nth >= first));
    }
    figures.cut_rounds = survived.iter().map(|life| life.cut.len()).sum();
    let kept_since = blocks
        .span()
        .map_or(BEGUN - LATE, |span| (span.end - RETENTION).0);
    let after = TimeRange {
        after: Timestamp(kept_since),
        until: Timestamp::MAX,
    };
    let (there, must) = (found(&store, after), wanted(survived, kept_since));
    figures.samples_read += there.values().map(Vec::len).sum::<usize>();
    for (text, samples) in &must {
        assert_eq!(
            there.get(text),
            Some(samples),
            "{text}, rounds {first} to {newest:?}"
        );
    }
    assert_eq!(there.len(), must.len());
    let ever = wanted(survived, i64::MIN / 2);
    for (text, samples) in all.iter().filter(|(text, _)| text.starts_with("steady x=2")) {
        let known = samples
            .iter()
            .all(|sample| ever[text].binary_search(sample).is_ok());
        assert!(known, "{text} has what nobody wrote");
    }
    figures.expired_to = (kept_since - BEGUN) / HOUR;
    newest
        .into_iter()
        .filter_map(|(newest, _)| newest)
        .max()
        .map_or(first, |newest| newest + 1)
        .max(first)
}

/// Seals and compacts until nothing is left to do, and has promtool look at the blocks.
fn settle(folder: &Path, next: i64) {
    let clock = TwoClocks::at(BEGUN + next * STEP);
    let store = Store::open(folder, config(), clock.clone(), &Registry::new()).expect("opens");
    let mut idle = 0;
    while idle < 20 {
        clock.pass(MINUTE);
        store.maintain();
        let sealed = store.seal();
        assert!(
            sealed.failed.is_none() && sealed.tended.failed.is_none(),
            "{sealed:?}"
        );
        let busy = sealed.window.is_some() || sealed.tended.compacted.is_some();
        idle = if busy { 0 } else { idle + 1 };
    }
    let blocks = store.blocks().expect("blocks");
    let all = blocks.all();
    let apart = all
        .windows(2)
        .all(|pair| pair[0].meta().max_time <= pair[1].meta().min_time);
    assert!(apart, "blocks that overlap have become one");
    let samples = blocks.counts().samples;
    let read = blocks.select(&[], TimeRange::ALL, usize::MAX).expect("reads");
    let mixed = blocks.mixed(&[], TimeRange::ALL, usize::MAX).expect("reads");
    let histograms = mixed.iter().map(|series| series.samples.len()).sum::<usize>();
    assert!(histograms > 0);
    let read = histograms + read.iter().map(|series| series.values.len()).sum::<usize>();
    assert_eq!(samples, read as u64, "no sample is there twice, on disk neither");
    let count = all.len();
    drop((all, store));
    let Some(promtool) = programs::find("promtool") else {
        return;
    };
    let run = |command: &str| {
        let output = Command::new(&promtool)
            .args(["tsdb", command])
            .arg(folder)
            .output()
            .expect("runs");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "promtool tsdb {command}: {errors}");
        String::from_utf8(output.stdout).expect("text").lines().count()
    };
    assert_eq!(run("list"), count + 1, "a line for each, and one above");
    assert_eq!(run("dump"), read);
}

#[test]
fn what_was_written_survives_kill_9_and_is_there_once() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let first = std::env::var(FIRST_ROUND)
            .expect("given")
            .parse()
            .expect("a number");
        return live(Path::new(&folder), first);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = fastrand::Rng::new();
    let mut survived = Survived::default();
    let mut figures = Figures::default();
    let mut next = 0;
    for _ in 0..if long() { 100 } else { 6 } {
        // Some die while they open.
        let after = Duration::from_millis(random.u64(5..900));
        let written = kill(folder.path(), next, after);
        figures.kills += 1;
        next = check(folder.path(), next, written, &mut survived, &mut figures);
        figures.rounds = next;
        println!("{figures:?}");
    }
    settle(folder.path(), next);
}
