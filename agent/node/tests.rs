//! The room as a whole, over made-up machines and over the one that runs the test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::view::Health;
use model::{Clock, Labels, Timestamp};
use proptest::prelude::*;
use rustix::time::{ClockId, clock_gettime};
use telemetry::clock::RuntimeClock;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::reader::{Reader, State};
use crate::recorder::Recorder;
use crate::{Config, Node};

const NOW: Timestamp = Timestamp(1_795_661_484_250);

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn over(folder: &Path) -> Config {
    Config {
        procfs: folder.join("proc"),
        sysfs: folder.join("sys"),
        rootfs: folder.join("root"),
        ..Config::default()
    }
}

fn reader(config: &Config, keep: &Arc<Recorder>) -> Reader {
    let labels = Labels::from_pairs([("job", "node"), ("instance", "here")]);
    let metrics = Metrics::new(&prometheus::Registry::new());
    Reader::new(config, labels, keep.clone(), metrics, Arc::default())
}

/// What differs from machine to machine and from run to run.
fn is_steady(line: &&String) -> bool {
    let of_this_machine = [
        "node_uname_info",
        "node_scrape_collector_duration_seconds",
        "node_sockstat_TCP_mem_bytes",
        "node_timex_",
        // A sandbox may forbid the question.
        "node_scrape_collector_success{collector=\"timex\"}",
    ];
    let sizes = line.starts_with("node_filesystem_") && line.contains("mountpoint=\"/\"");
    !sizes && !of_this_machine.iter().any(|name| line.starts_with(name))
}

/// Rewritten by running the tests with `UPDATE_GOLDEN=1`.
#[test]
fn a_machine_is_read_as_the_golden_file_says() {
    let keep = Arc::new(Recorder::default());
    reader(&over(&fixtures()), &keep).round(NOW);
    let lines: Vec<String> = keep.lines("node").iter().filter(is_steady).cloned().collect();
    let text = lines.join("\n") + "\n";
    let path = fixtures().join("expected.txt");
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&path).unwrap());
}

#[test]
fn a_broken_file_costs_its_collector_only_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixtures(), folder.path(), &|_, bytes| bytes.to_vec());
    let keep = Arc::new(Recorder::default());
    let mut reader = reader(&over(folder.path()), &keep);
    let meminfo = folder.path().join("proc/meminfo");
    let good = fs::read(&meminfo).unwrap();
    let seen = |line: &str| keep.lines("node").iter().any(|known| known.starts_with(line));

    fs::write(&meminfo, "MemTotal: 5 kB\nMemFree: many kB\n").unwrap();
    reader.round(NOW);
    assert!(seen("node_scrape_collector_success{collector=\"meminfo\"} 0"));
    assert!(!seen("node_memory_"), "a collector gives all or nothing");
    assert!(seen("node_load1 1.77"));

    fs::write(&meminfo, good).unwrap();
    reader.round(NOW + Duration::from_secs(15));
    assert!(seen("node_scrape_collector_success{collector=\"meminfo\"} 1"));
    assert!(seen("node_memory_MemTotal_bytes"));
}

#[test]
fn a_device_that_goes_takes_its_series_along() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixtures(), folder.path(), &|_, bytes| bytes.to_vec());
    let keep = Arc::new(Recorder::default());
    let mut reader = reader(&over(folder.path()), &keep);
    reader.round(NOW);
    assert!(keep.lines("node").iter().any(|line| line.contains("down0")));
    fs::remove_dir_all(folder.path().join("sys/class/net/down0")).unwrap();
    reader.round(NOW + Duration::from_secs(15));
    assert!(!keep.lines("node").iter().any(|line| line.contains("down0")));
}

#[test]
fn this_machine_has_what_the_rules_ask_for() {
    let keep = Arc::new(Recorder::default());
    reader(&Config::default(), &keep).round(NOW);
    let families: BTreeSet<String> = keep.kinds().into_iter().map(|(family, _)| family).collect();
    for family in [
        "node_cpu_seconds_total",
        "node_memory_MemAvailable_bytes",
        "node_load1",
        "node_filesystem_avail_bytes",
        "node_network_receive_bytes_total",
        "node_procs_running",
        "node_vmstat_pgmajfault",
        "node_filefd_allocated",
        "node_uname_info",
        "node_time_seconds",
        "up",
        "scrape_samples_scraped",
    ] {
        assert!(families.contains(family), "{family}");
    }
}

#[test]
fn series_have_one_set_of_labels_and_the_targets_own() {
    let keep = Arc::new(Recorder::default());
    let mut reader = reader(&over(&fixtures()), &keep);
    reader.round(NOW);
    let asked = keep.asked();
    reader.round(NOW + Duration::from_secs(15));
    assert_eq!(keep.asked(), asked, "a warm round asks for no series");
    let labels = keep.labels();
    assert!(
        labels
            .iter()
            .all(|labels| labels.value("job") == "node" && labels.value("instance") == "here")
    );
    let column = keep.now_of("node").pop().unwrap();
    let unique: BTreeSet<_> = column.series.iter().collect();
    assert_eq!(unique.len(), column.series.len(), "no series twice in a column");
}

#[tokio::test(start_paused = true)]
async fn rounds_come_soon_after_the_start_and_then_at_the_interval() {
    let keep = Arc::new(Recorder::default());
    let clock = RuntimeClock::starting_at(NOW);
    let registry = prometheus::Registry::new();
    let node = Node::new(
        over(&fixtures()),
        "here".to_owned(),
        keep.clone(),
        clock.clone(),
        &registry,
    );
    let handle = node.handle();
    assert_eq!(handle.view().health, Health::Unknown);
    assert!(
        handle.machine().starts_with("Example 12.3.4, Linux "),
        "{}",
        handle.machine()
    );
    assert!(
        handle.machine().ends_with(", 2 cores, 24 GiB"),
        "{}",
        handle.machine()
    );
    let stop = CancellationToken::new();
    let running = tokio::spawn(node.run(stop.clone()));
    let columns = keep.columns_of("node", 7).await;
    let seconds: Vec<i64> = columns
        .iter()
        .map(|column| (column.time.0 - NOW.0) / 1000)
        .collect();
    assert_eq!(seconds, [0, 1, 2, 5, 15, 30, 45]);
    stop.cancel();
    running.await.unwrap();
    let view = handle.view();
    assert_eq!((view.health, view.http), (Health::Good, false));
    assert_eq!(view.samples, columns[0].series.len());
    assert!(handle.ledger().balances());
    assert!(handle.ledger().given > 0);
    assert!(clock.now() >= NOW);
}

#[test]
fn samples_that_the_store_refuses_are_counted() {
    let keep = Arc::new(Recorder::default());
    keep.limit(20);
    let state: Arc<parking_lot::Mutex<State>> = Arc::default();
    let metrics = Metrics::new(&prometheus::Registry::new());
    let labels = Labels::from_pairs([("job", "node")]);
    Reader::new(&over(&fixtures()), labels, keep, metrics, Arc::clone(&state)).round(NOW);
    let ledger = state.lock().ledger.clone();
    assert!(ledger.balances());
    assert!(ledger.dropped["refused"] > 100, "{ledger:?}");
}

#[test]
fn series_that_the_store_forgot_are_asked_for_again() {
    let keep = Arc::new(Recorder::default());
    let mut reader = reader(&over(&fixtures()), &keep);
    reader.round(NOW);
    let asked = keep.asked();
    keep.forget();
    for seconds in [15, 30] {
        reader.round(NOW + Duration::from_secs(seconds));
    }
    assert_eq!(keep.asked(), 2 * asked);
    let first = &keep.now_of("node")[0];
    let last = keep.now_of("node").pop().unwrap();
    assert_eq!(first.series.len(), last.series.len());
    assert!(first.series.iter().max() < last.series.iter().min());
    assert!(
        keep.now_of("node/report")[0].series.iter().max() < keep.now_of("node/report")[2].series.iter().min()
    );
}

/// A guard against a slip by a factor, not a benchmark: unoptimised, over this machine.
#[test]
fn a_round_is_cheap() {
    const ROUNDS: u32 = 100;
    let keep = Arc::new(Recorder::default());
    let mut reader = reader(&Config::default(), &keep);
    reader.round(NOW);
    let cpu = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(
            u64::try_from(time.tv_sec).unwrap(),
            u32::try_from(time.tv_nsec).unwrap(),
        )
    };
    let began = cpu();
    for nth in 0..ROUNDS {
        reader.round(NOW + Duration::from_secs(15) * (nth + 1));
    }
    let each = (cpu() - began) / ROUNDS;
    let samples = keep.now_of("node").pop().unwrap().series.len();
    println!("{each:?} of CPU a round, {samples} samples");
    assert!(each < Duration::from_millis(20), "{each:?}");
}

fn copy(from: &Path, to: &Path, change: &dyn Fn(&Path, &[u8]) -> Vec<u8>) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target, change);
        } else {
            fs::write(target, change(&path, &fs::read(&path).unwrap())).unwrap();
        }
    }
}

/// A file as it might be: cut off, with bytes changed, or with others in between.
fn damaged(bytes: &[u8], cut: usize, place: usize, junk: &[u8], overwrite: bool) -> Vec<u8> {
    let mut bytes = bytes
        .get(..bytes.len() - cut % (bytes.len() + 1))
        .unwrap()
        .to_vec();
    let at = place % (bytes.len() + 1);
    let end = if overwrite {
        (at + junk.len()).min(bytes.len())
    } else {
        at
    };
    bytes.splice(at..end, junk.iter().copied());
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_however_damaged_takes_the_room_down(
        cut in prop_oneof![Just(0_usize), any::<usize>()],
        place in any::<usize>(),
        junk in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            Just(b"\n".to_vec()),
            Just(b":".to_vec()),
            Just(b" 18446744073709551616 -1 0x 1e999".to_vec()),
        ],
        overwrite in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        copy(&fixtures(), folder.path(), &|_, bytes| damaged(bytes, cut, place, &junk, overwrite));
        let keep = Arc::new(Recorder::default());
        let mut reader = reader(&over(folder.path()), &keep);
        reader.round(NOW);
        reader.round(NOW + Duration::from_secs(1));
        let lines = keep.lines("node");
        let count = |name: &str| lines.iter().filter(|line| line.starts_with(name)).count();
        prop_assert_eq!(count("node_scrape_collector_success"), 25);
    }
}
