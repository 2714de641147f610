//! The clock jumps an hour ahead and back, and over midnight: lines are there once, whatever it says.

use std::fs;
use std::time::Duration;

use opensearch_tests::{Fake, Fault, Plan};
use serde_json::json;
use telemetry::clock::RuntimeClock;

use super::generator::{Seen, Writer, finish, judge, wait, write_a_round};
use super::room::{Room, outside_at, sort};
use super::{entry, kills};

const HOUR_MILLIS: i64 = 3_600_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_ahead_and_back_no_line_is_lost_or_doubled() {
    let (fake, clock) = (Fake::start(), RuntimeClock::system());
    let entry = entry(&fake.url(), &json!({"wait": "50ms"}));
    let mut folder = tempfile::tempdir().unwrap();
    let (mut writers, mut plain) = (Vec::new(), 0);
    for jump in [0, HOUR_MILLIS, -2 * HOUR_MILLIS, HOUR_MILLIS] {
        let mut room = Room::start_in(folder, "opensearch", &entry, outside_at(clock.clone()), |_| {});
        if !writers.is_empty() {
            room.writers = writers;
        }
        for part in 0..2 {
            // Once before it jumps, once behind.
            if part == 1 {
                clock.skew(jump);
            }
            for _ in 0..3 {
                room.write(100);
                for writer in &mut room.writers {
                    writer.rotate(usize::MAX).unwrap();
                }
                room.write_plain(&format!("extra {plain}\n"));
                plain += 1;
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
        }
        // A restart may have to find what it has not seen yet.
        writers = std::mem::take(&mut room.writers);
        folder = room.stop().await;
    }
    let mut room = Room::start_in(folder, "opensearch", &entry, outside_at(clock), |_| {});
    room.writers = writers;
    let want = room.lines() + plain;
    let begun = std::time::Instant::now();
    while fake.count("logs-skopos-*") < want && begun.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let documents = fake.documents("logs-skopos-*").into_iter();
    let (seen, between, extra) =
        sort(documents.map(|(_, document)| document["message"].as_str().unwrap_or_default().to_owned()));
    judge(&seen, &room.written(), "an hour ahead and back");
    assert_eq!(between + room.written().iter().sum::<usize>(), room.lines());
    let mut want: Vec<String> = (0..plain).map(|nth| format!("extra {nth}")).collect();
    want.sort_unstable();
    let mut extra = extra;
    extra.sort_unstable();
    assert_eq!(extra, want);
    room.stop().await;
}

#[test]
fn a_process_whose_clock_jumps_over_midnight_and_back_and_is_killed_loses_and_doubles_nothing() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let Some(clock) = programs::clock::Clock::in_folder(folder.path()) else {
        return;
    };
    fs::create_dir(folder.path().join("plain")).unwrap();
    // Ten past the last midnight, for the process, so that an hour ago was yesterday; the files are younger than that.
    let ten_past = -(jiff::Timestamp::now().as_second() - 600).rem_euclid(86_400);
    clock.set(ten_past);
    let mut process =
        kills::Process::start_with(folder.path(), &fake.url(), "logs-skopos", &clock.variables());
    kills::wait_for_start(folder.path());
    let mut writers: Vec<Writer> = (0..4)
        .map(|number| Writer::plain(&folder.path().join("plain"), number).unwrap())
        .chain((4..8).map(|number| Writer::container(&folder.path().join("pods"), number).unwrap()))
        .collect();
    let mut chance = Writer::plain(&folder.path().join("chance"), 99).unwrap();
    for life in 0..3 {
        for seconds in [0, 3_600, -3_600] {
            clock.set(ten_past + seconds);
            for _ in 0..3 {
                write_a_round(&mut writers, &mut chance).unwrap();
                wait(Duration::from_millis(200));
            }
        }
        if life < 2 {
            // What is stored now nobody hears of, and so it is sent again by the next life.
            fake.plan(Plan::always(Fault::ResetAfter));
            write_a_round(&mut writers, &mut chance).unwrap();
            wait(Duration::from_millis(500));
            process.kill();
            fake.plan(Plan::well());
            clock.set(ten_past + if life == 0 { 3_600 } else { -3_600 });
            process.start_again();
        }
    }
    let written = finish(&mut writers).unwrap();
    let want = written.iter().sum::<usize>()
        + written
            .iter()
            .skip(4)
            .map(|lines| lines.div_ceil(7))
            .sum::<usize>();
    let begun = std::time::Instant::now();
    while fake.count("logs-skopos-*") < want && begun.elapsed() < Duration::from_secs(30) {
        wait(Duration::from_millis(100));
    }
    wait(Duration::from_secs(1));
    let mut seen = Seen::default();
    let mut between = 0;
    for (_, document) in fake.documents("logs-skopos-*") {
        match document["message"].as_str().unwrap() {
            "between" => between += 1,
            text => seen.add(text),
        }
    }
    judge(&seen, &written, "a process whose clock jumps over midnight");
    assert_eq!(between + written.iter().sum::<usize>(), want);
    // Lines without a time are of the day of their reading, each of one.
    for back in [0, 3_600] {
        let day = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ten_past - back);
        let index = format!("logs-skopos-{}", day.strftime("%Y.%m.%d"));
        assert!(fake.count(&index) > 0, "nothing in {index}");
    }
}
