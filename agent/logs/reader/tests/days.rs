//! Midnight: what may have been sent has the same day when it is sent again.

use std::time::Duration;

use model::Timestamp;

use super::rig::{Rig, append};
use crate::days::{DAY_MS, day_of};

const MIDNIGHT: Timestamp = Timestamp(1_717_200_000_000);

/// A moment before midnight, lines have been read of a file.
fn before_midnight() -> Rig {
    let mut rig = Rig::new();
    rig.wall = Timestamp(MIDNIGHT.0 - 60_000);
    // The files are newer than the first start.
    append(&rig.path("a.log"), "known\n");
    rig.settle();
    rig
}

/// Days of the lines that were sent since the last start, from that before midnight on.
fn sent(rig: &mut Rig) -> Vec<(String, i64)> {
    let sent = rig.reader().outlet().sent.iter();
    sent.map(|(text, time)| (text.clone(), day_of(*time) - day_of(MIDNIGHT)))
        .collect()
}

fn days(pairs: &[(&str, i64)]) -> Vec<(String, i64)> {
    pairs
        .iter()
        .map(|(text, day)| ((*text).to_owned(), *day))
        .collect()
}

#[test]
fn what_was_lost_before_midnight_keeps_its_day_and_what_is_new_does_not() {
    let mut rig = before_midnight();
    rig.reader().outlet().lost = true;
    append(&rig.path("a.log"), "one\n");
    append(&rig.path("b.log"), "two\n2024-03-01T10:00:00Z timed\n");
    rig.settle();
    rig.wall = Timestamp(MIDNIGHT.0 + 60_000);
    rig.restart();
    rig.settle();
    let mut seen = sent(&mut rig);
    seen.sort_unstable();
    let timed = day_of(Timestamp(1_709_287_200_000)) - day_of(MIDNIGHT);
    assert_eq!(seen, days(&[("one", -1), ("timed", timed), ("two", -1)]));
    append(&rig.path("a.log"), "three\n");
    rig.settle();
    assert_eq!(sent(&mut rig).last(), days(&[("three", 0)]).first());
}

#[test]
fn lines_on_both_sides_of_midnight_that_are_lost_keep_both_days() {
    let mut rig = before_midnight();
    rig.reader().outlet().lost = true;
    for (text, after) in [
        ("one\n", -60_000),
        ("two\n", 60_000),
        ("three\n", DAY_MS),
        ("back\n", -1),
    ] {
        rig.wall = Timestamp(MIDNIGHT.0 + after);
        append(&rig.path("a.log"), text);
        rig.settle();
    }
    let want = days(&[("one", -1), ("two", 0), ("three", 1), ("back", -1)]);
    assert_eq!(sent(&mut rig)[1..], want);
    // Also when they are lost once more.
    for _ in 0..2 {
        rig.wall = Timestamp(MIDNIGHT.0 + 2 * DAY_MS);
        rig.restart();
        rig.reader().outlet().lost = true;
        rig.settle();
        assert_eq!(sent(&mut rig), want);
    }
}

#[test]
fn a_quiet_file_is_not_of_the_day_on_which_it_was_written_to_last() {
    let mut rig = before_midnight();
    for _ in 0..20 {
        rig.wall = Timestamp(rig.wall.0 + DAY_MS);
        rig.settle();
    }
    rig.kill();
    append(&rig.path("a.log"), "new\n");
    rig.start();
    rig.settle();
    assert_eq!(sent(&mut rig), days(&[("new", 19)]));
}

#[test]
fn a_long_line_and_a_malformed_one_keep_their_day_as_well() {
    let mut rig = before_midnight();
    rig.reader().outlet().lost = true;
    let long = "x".repeat(300 << 10);
    append(&rig.path("a.log"), &format!("{long}\n"));
    append(&rig.container("0.log"), "no time at all\n");
    // Until its folder is found.
    rig.run(Duration::from_secs(8));
    assert_eq!(sent(&mut rig).len(), 3);
    rig.wall = Timestamp(MIDNIGHT.0 + 60_000);
    rig.restart();
    rig.run(Duration::from_secs(3));
    let seen = sent(&mut rig);
    let seen: Vec<_> = seen.iter().map(|(text, day)| (text.len(), *day)).collect();
    assert_eq!(seen, [(14, -1), (long.len(), -1)]);
}
