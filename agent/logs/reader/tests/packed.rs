//! Rotated files that are packed, while they are followed and while nobody looks.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::rig::{Rig, append, cri, lines_of, numbered, pack};

/// `numbered` as a container runtime writes it.
fn container(name: &str, numbers: std::ops::Range<usize>) -> String {
    numbered(name, numbers)
        .lines()
        .map(|line| cri("stdout", "F", line))
        .collect()
}

fn rotate(rig: &Rig, time: usize) -> PathBuf {
    let to = rig.container(&format!("0.log.20240301-{time:06}"));
    fs::rename(rig.container("0.log"), &to).unwrap();
    append(&rig.container("0.log"), "");
    to
}

#[test]
fn a_file_that_is_followed_and_packed_is_read_once_over_restarts() {
    let mut rig = Rig::new();
    let mut want = String::new();
    for round in 0..8 {
        let name = format!("round {round}");
        append(&rig.container("0.log"), &container(&name, 0..500));
        want.push_str(&numbered(&name, 0..500));
        if round % 2 == 0 {
            rig.settle();
        }
        let rotated = rotate(&rig, round);
        if round % 3 == 0 {
            rig.run(Duration::from_secs(5));
        }
        pack(&rotated);
        rig.run(Duration::from_secs(4));
        rig.restart();
    }
    rig.run(Duration::from_secs(15));
    assert_eq!(rig.texts(), lines_of(&want));
    assert_eq!(rig.account.unread_at_unlink.get(), 0);
}

#[test]
fn what_was_not_read_of_a_file_packed_while_nobody_looked_is_read_as_of_that_file() {
    let mut rig = Rig::new();
    append(&rig.container("0.log"), &container("a", 0..1000));
    append(&rig.container("0.log"), &cri("stdout", "P", "be"));
    rig.settle();
    let id = rig.reader().tails[0].as_ref().unwrap().id;
    rig.kill();
    append(&rig.container("0.log"), &cri("stdout", "P", "gun and "));
    append(&rig.container("0.log"), &container("b", 0..0));
    append(&rig.container("0.log"), &cri("stderr", "F", "meanwhile"));
    let length = fs::metadata(rig.container("0.log")).unwrap().len();
    let rotated = rotate(&rig, 1);
    append(&rig.container("0.log"), &cri("stdout", "F", "ended"));
    pack(&rotated);
    rig.start();
    rig.turn();
    let tails = rig.reader().tails.iter().flatten();
    let unpacked: Vec<_> = tails
        .filter_map(|tail| tail.packed.map(|bytes| (tail.id, bytes)))
        .collect();
    assert_eq!(unpacked, [(id, length)]);
    rig.run(Duration::from_millis(500));
    rig.restart();
    rig.run(Duration::from_secs(5));
    let mut want = lines_of(&numbered("a", 0..1000));
    want.extend(["begun and ended", "meanwhile"].map(str::to_owned));
    assert_eq!(rig.texts(), want);
    let place = rig.page("begun").lines[0].offset_bytes;
    assert_eq!(place, container("a", 0..1000).len() as u64);
    rig.restart();
    rig.run(Duration::from_secs(5));
    assert_eq!(rig.texts(), want);
    let tails = rig.reader().tails.iter().flatten();
    assert_eq!(
        tails.filter(|tail| tail.packed.is_some()).count(),
        0,
        "it is not unpacked again"
    );
}

#[test]
fn files_that_were_made_and_packed_while_nobody_looked_are_read_whole_and_in_order() {
    let mut rig = Rig::new();
    append(&rig.container("0.log"), &container("first", 0..10));
    rig.settle();
    rig.kill();
    append(&rig.container("0.log"), &cri("stdout", "P", "0 "));
    for round in 1..6 {
        let rotated = rotate(&rig, round);
        append(&rig.container("0.log"), &cri("stdout", "P", &format!("{round} ")));
        pack(&rotated);
    }
    append(&rig.container("0.log"), &cri("stdout", "F", "end"));
    rig.start();
    rig.run(Duration::from_millis(100));
    rig.restart();
    rig.run(Duration::from_secs(20));
    rig.restart();
    rig.run(Duration::from_secs(20));
    let mut want = vec!["0 1 2 3 4 5 end".to_owned()];
    want.extend(lines_of(&numbered("first", 0..10)));
    assert_eq!(rig.texts(), want);
}

#[test]
fn a_record_goes_on_in_files_that_were_made_and_packed_between_two_looks() {
    for packed in 1..4 {
        let mut rig = Rig::new();
        append(&rig.container("0.log"), &container("first", 0..10));
        append(&rig.container("0.log"), &cri("stdout", "P", "0 "));
        rig.settle();
        let mut want = String::from("0 ");
        for round in 1..6 {
            let rotated = rotate(&rig, round);
            append(&rig.container("0.log"), &cri("stdout", "P", &format!("{round} ")));
            want.push_str(&format!("{round} "));
            if round <= packed {
                pack(&rotated);
            }
        }
        append(&rig.container("0.log"), &cri("stdout", "F", "end"));
        rig.run(Duration::from_secs(20));
        rig.restart();
        rig.run(Duration::from_secs(5));
        let mut all = vec![format!("{want}end")];
        all.extend(lines_of(&numbered("first", 0..10)));
        assert_eq!(rig.texts(), all, "{packed} packed");
    }
}

#[test]
fn what_is_not_packed_well_is_waited_for_or_left_alone() {
    let mut rig = Rig::new();
    append(&rig.path("a.log"), "one\n");
    rig.settle();
    rig.kill();
    append(&rig.path("b.log.1.gz"), "no such thing\n");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(numbered("packed", 0..500).as_bytes()).unwrap();
    let bytes = encoder.finish().unwrap();
    fs::write(rig.path("c.log.1.gz"), &bytes[..bytes.len() / 2]).unwrap();
    rig.start();
    rig.run(Duration::from_secs(6));
    assert_eq!(rig.texts(), ["one"]);
    fs::write(rig.path("c.log.1.gz"), &bytes).unwrap();
    rig.run(Duration::from_secs(6));
    assert_eq!(rig.texts().len(), 501);
}

#[test]
fn packed_files_that_are_older_than_the_first_start_are_not_read() {
    let mut rig = Rig::new();
    rig.kill();
    fs::remove_dir_all(rig.segments()).unwrap();
    let past = std::mem::replace(&mut rig.wall, model::Timestamp(4_000_000_000_000));
    append(&rig.path("a.log"), "a\n");
    let rotated = rig.path("a.log.1");
    append(&rotated, "old\n");
    pack(&rotated);
    rig.start();
    rig.wall = past;
    rig.settle();
    assert_eq!(rig.texts(), ["a"]);
}

#[test]
fn what_would_take_too_much_room_unpacked_is_counted_and_let_go() {
    let mut rig = Rig::with(|config| config.pinned_bytes_max = 10_000);
    append(&rig.path("a.log"), &numbered("a", 0..10));
    rig.settle();
    rig.kill();
    let unread = numbered("a", 10..5000);
    append(&rig.path("a.log"), &unread);
    fs::rename(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    pack(&rig.path("a.log.1"));
    rig.start();
    rig.run(Duration::from_secs(70));
    assert_eq!(rig.account.shed.get(), unread.len() as u64);
    rig.restart();
    rig.run(Duration::from_secs(70));
    assert_eq!((rig.texts().len(), rig.account.shed.get()), (10, 0));
}

#[test]
fn a_file_that_was_packed_before_it_was_read_and_we_died_is_read() {
    let mut rig = Rig::new();
    append(&rig.container("0.log"), &container("a", 0..10));
    rig.settle();
    rig.full(true);
    append(&rig.container("0.log"), &container("b", 0..1));
    rig.settle();
    append(&rig.container("0.log"), &container("b", 1..500));
    append(&rig.container("0.log"), &cri("stdout", "P", "be"));
    let rotated = rotate(&rig, 1);
    append(&rig.container("0.log"), &cri("stdout", "F", "gun"));
    rig.run(Duration::from_secs(1));
    // It is seen to be packed, and known not to be read: the file itself is followed.
    pack(&rotated);
    rig.run(Duration::from_secs(1));
    rig.full(false);
    rig.turn();
    // Half of it, at most, was read when we died.
    for _ in 0..3 {
        rig.restart();
        rig.run(Duration::from_secs(3));
    }
    let mut want = lines_of(&(numbered("a", 0..10) + &numbered("b", 0..500)));
    want.push("begun".to_owned());
    want.sort_unstable();
    assert_eq!(rig.texts(), want);
}

#[test]
fn a_packed_file_that_is_only_being_made_is_not_taken_for_an_empty_one() {
    let mut rig = Rig::new();
    append(&rig.container("0.log"), &container("a", 0..10));
    rig.settle();
    rig.full(true);
    append(&rig.container("0.log"), &container("b", 0..100));
    let rotated = rotate(&rig, 1);
    // As gzip does: the file is there before anything is in it.
    append(&rig.container("0.log.20240301-000001.gz"), "");
    rig.settle();
    rig.kill();
    pack(&rotated);
    rig.start();
    rig.run(Duration::from_secs(3));
    assert_eq!(
        rig.texts(),
        lines_of(&(numbered("a", 0..10) + &numbered("b", 0..100)))
    );
}

#[test]
fn the_first_bytes_of_a_new_file_do_not_make_a_packed_one_of_the_same_beginning_known() {
    let mut rig = Rig::new();
    append(&rig.container("0.log"), &container("a", 0..10));
    rig.settle();
    rig.kill();
    let rotated = rotate(&rig, 1);
    pack(&rotated);
    append(&rig.container("0.log"), &container("b", 0..100));
    let rotated = rotate(&rig, 2);
    pack(&rotated);
    let next = container("b", 100..200);
    append(&rig.container("0.log"), &next[..40]);
    rig.start();
    rig.turn();
    append(&rig.container("0.log"), &next[40..]);
    rig.run(Duration::from_secs(15));
    let want = numbered("a", 0..10) + &numbered("b", 0..200);
    assert_eq!(rig.texts(), lines_of(&want));
}
