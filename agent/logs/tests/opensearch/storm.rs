//! Rotation faster than anybody reads: nothing is lost as long as the disk keeps it, and beyond that what is lost is what was
//! counted as lost.

use std::sync::Arc;
use std::time::Duration;

use opensearch_tests::Node;
use serde_json::{Value, json};

use super::entry;
use super::load::{LINE_BYTES, Load, Report, Sink, Tally};
use super::room::{Room, outside};

const NONE: Report = Report {
    lost: 0,
    doubled: 0,
    reordered: 0,
    corrupt: 0,
};

fn is_long() -> bool {
    std::env::var_os("SKOPOS_TEST_LONG").is_some()
}

/// Containers, bytes a second in all, for so long.
fn size() -> (usize, usize, Duration) {
    if is_long() {
        (50, 20_000_000, Duration::from_secs(60))
    } else {
        (10, 1_500_000, Duration::from_secs(6))
    }
}

/// Runs the load beside the room; returns how many lines each container has written.
async fn write(
    room: &Room,
    keep: usize,
    in_pieces: bool,
    (containers, speed, time): (usize, usize, Duration),
) -> Vec<usize> {
    let mut load = Load::new(&room.folder().join("pods"), containers, keep, in_pieces);
    let running = tokio::task::spawn_blocking(move || {
        load.run(speed, Duration::from_millis(100), time);
        load.written()
    });
    running.await.unwrap()
}

fn sink(url: &str, more: &Value) -> Value {
    let mut sink = json!({"template": false});
    for (key, value) in more.as_object().unwrap() {
        sink[key] = value.clone();
    }
    entry(url, &sink)
}

fn lost_as_counted(room: &Room) -> f64 {
    room.counter("skopos_logs_unread_at_unlink_bytes_total", &[])
        + room.counter("skopos_logs_shed_bytes_total", &[])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_storm_loses_nothing() {
    let counting = Sink::start();
    let room = Room::start("opensearch", &sink(&counting.url(), &json!({})), outside());
    let written = write(&room, 5, true, size()).await;
    let lines = written.iter().sum();
    room.still(lines, Duration::from_secs(20)).await;
    let report = counting.tally.lock().unwrap().report(&written, "rotation storm");
    assert_eq!((report, lost_as_counted(&room)), (NONE, 0.0));
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_storm_loses_nothing_on_its_way_to_a_real_node() {
    let Some(node) = Node::shared() else { return };
    let room = Room::start(
        "opensearch",
        &sink(&node.url(), &json!({"index": "storm"})),
        outside(),
    );
    let (containers, speed, time) = size();
    // As much as deleted files may take meanwhile.
    let written = write(&room, 5, true, (containers, speed, time / 2)).await;
    let lines = written.iter().sum();
    room.still(lines, Duration::from_secs(60)).await;
    node.refresh("storm-*");
    let mut tally = Tally::default();
    for (id, document) in node.documents("storm-*") {
        tally.note(&id, document["message"].as_str().unwrap());
    }
    let report = tally.report(&written, "rotation storm, a real node");
    assert_eq!((report, lost_as_counted(&room)), (NONE, 0.0));
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_what_the_disk_keeps_exactly_that_is_lost_which_is_counted_as_lost() {
    let counting = Sink::start();
    let (containers, speed, time) = size();
    *counting.bytes_per_second.lock().unwrap() = speed / 10;
    let folder = tempfile::tempdir().unwrap();
    let entry = sink(&counting.url(), &json!({"requests_max": 1}));
    let room = Room::start_in(folder, "opensearch", &entry, outside(), |config| {
        config.pinned_bytes_max = speed as u64;
    });
    // Looked at every five seconds: long enough for a few of them.
    let time = time.max(Duration::from_secs(16));
    let written = write(&room, 2, false, (containers, speed, time)).await;
    *counting.bytes_per_second.lock().unwrap() = 0;
    let lines: usize = written.iter().sum();
    room.still(lines, Duration::from_secs(10)).await;
    let counted = lost_as_counted(&room);
    let tally = Arc::clone(&counting.tally);
    let report = tally.lock().unwrap().report(&written, "overload");
    println!(
        "{} bytes of lines lost, {counted} counted as lost ({} shed)",
        report.lost as u64 * LINE_BYTES,
        room.counter("skopos_logs_shed_bytes_total", &[])
    );
    assert!(report.lost > 0, "nothing is lost: this is no overload");
    assert_eq!(report.lost as f64 * LINE_BYTES as f64, counted);
    assert_eq!(Report { lost: 0, ..report }, NONE);
    room.stop().await;
}
