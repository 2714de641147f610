//! What becomes of lines: joined, cut, timed, each once.

use std::fs;
use std::time::Duration;

use model::{Level, Timestamp};

use super::rig::{Rig, append, cri, lines_of, numbered};
use crate::config::ReadFrom;

#[test]
fn lines_are_kept_once_over_restarts() {
    let mut rig = Rig::new();
    let text = numbered("a", 0..3000);
    append(&rig.path("a.log"), &text[..20_001]);
    rig.settle();
    rig.restart();
    append(&rig.path("a.log"), &text[20_001..]);
    rig.settle();
    rig.restart();
    rig.settle();
    assert_eq!(rig.texts(), lines_of(&text));
    assert!(rig.account.ledger().balances());
}

#[test]
fn what_was_read_but_not_kept_is_read_again() {
    let mut rig = Rig::new();
    append(&rig.path("a.log"), "one\n");
    rig.settle();
    rig.full(true);
    append(&rig.path("a.log"), "two\n");
    rig.settle();
    assert_eq!(rig.account.ledger().in_flight, 1);
    rig.restart();
    rig.settle();
    assert_eq!(rig.texts(), ["one", "two"]);
}

#[test]
fn time_level_source_and_offset_are_known() {
    let mut rig = Rig::new();
    append(
        &rig.path("a.log"),
        "x\r\n2024-03-01T10:00:00.5Z host app[1]: ERROR: no\n",
    );
    append(
        &rig.container("0.log"),
        &cri("stderr", "F", "level=warn msg=slow"),
    );
    rig.settle();
    let records = rig.records();
    let [warn, error, plain] = records.as_slice() else {
        panic!("{records:?}")
    };
    assert_eq!(
        (error.time, error.level),
        (Timestamp(1_709_287_200_500), Level::Error)
    );
    assert_eq!(
        (error.text.as_str(), error.offset_bytes),
        ("host app[1]: ERROR: no", 3)
    );
    assert_eq!((&*error.source, &*error.stream), ("a.log", ""));
    assert_eq!(*error.file, *rig.path("a.log").to_string_lossy());
    assert_eq!(
        (warn.time, warn.level),
        (Timestamp(1_709_287_200_123), Level::Warn)
    );
    assert_eq!((&*warn.source, &*warn.stream), ("ns/p/c", "stderr"));
    assert_eq!((plain.text.as_str(), plain.level), ("x", Level::Info));
}

#[test]
fn pieces_are_joined_over_rotation_and_restart_while_the_other_stream_goes_on() {
    let mut rig = Rig::new();
    let first = rig.container("0.log");
    append(&first, &cri("stdout", "F", "before"));
    append(&first, &cri("stdout", "P", "one-"));
    append(&first, &cri("stderr", "F", "err one"));
    rig.settle();
    rig.restart();
    append(&first, &cri("stdout", "P", "two-"));
    append(&first, &cri("stderr", "P", "err "));
    rig.settle();
    fs::rename(&first, rig.container("0.log.20240301-100000")).unwrap();
    append(&first, &cri("stderr", "F", "two"));
    append(&first, &cri("stdout", "P", "three-"));
    rig.run(Duration::from_secs(3));
    assert_eq!(rig.texts(), ["before", "err one", "err two"]);
    rig.restart();
    append(&first, &cri("stderr", "F", "err three"));
    append(&first, &cri("stdout", "F", "four"));
    rig.run(Duration::from_secs(3));
    rig.restart();
    rig.run(Duration::from_secs(3));
    let want = ["before", "err one", "err three", "err two", "one-two-three-four"];
    assert_eq!(rig.texts(), want);
    let joined = rig.page("one-two").lines;
    assert_eq!(joined[0].offset_bytes, cri("stdout", "F", "before").len() as u64);
    assert!(joined[0].file.ends_with("0.log.20240301-100000") || joined[0].file.ends_with("0.log"));
}

#[test]
fn an_open_record_is_kept_as_it_is_when_its_container_goes() {
    let mut rig = Rig::new();
    let path = rig.container("0.log");
    append(&path, &cri("stdout", "P", "last words"));
    rig.settle();
    assert_eq!(rig.texts(), [""; 0]);
    fs::remove_file(&path).unwrap();
    rig.run(Duration::from_secs(12));
    rig.restart();
    rig.settle();
    assert_eq!(rig.texts(), ["last words"]);
}

#[test]
fn lines_that_are_no_cri_are_kept_and_counted() {
    let mut rig = Rig::new();
    append(&rig.container("0.log"), "what is this\n");
    rig.settle();
    assert_eq!(rig.texts(), ["what is this"]);
    assert_eq!(rig.account.malformed.get(), 1);
}

#[test]
fn a_huge_line_is_cut_and_says_how_long_it_was() {
    let mut rig = Rig::new();
    let huge = "y".repeat(10 << 20);
    append(&rig.path("a.log"), &format!("before\n{huge}"));
    rig.settle();
    assert_eq!(rig.texts(), ["before"]);
    rig.restart();
    append(&rig.path("a.log"), "z\nafter\n");
    rig.settle();
    let texts = rig.texts();
    assert_eq!((texts[0].as_str(), texts[1].as_str()), ("after", "before"));
    assert_eq!(
        texts[2].len(),
        (1 << 20) + "… [cut, the line has 10485761 bytes]".len()
    );
    assert!(texts[2].ends_with("… [cut, the line has 10485761 bytes]"));
    assert_eq!((texts.len(), rig.account.cut.get()), (3, 1));
    assert!(rig.reader().buffer.capacity() < 512 << 10, "memory is given back");
}

#[test]
fn lines_around_every_limit_are_whole_or_cut() {
    let mut rig = Rig::with(|config| config.line_bytes_max = 300_000);
    let lengths = [
        65_535, 65_536, 65_537, 262_111, 262_112, 262_143, 262_144, 262_145, 299_999, 300_000, 300_001,
        600_000,
    ];
    let mut text = String::new();
    for length in lengths {
        text.push_str(&"x".repeat(length));
        text.push('\n');
    }
    // In pieces, so that lines are unfinished at every length.
    for piece in text.as_bytes().chunks(50_000) {
        append(&rig.path("a.log"), std::str::from_utf8(piece).unwrap());
        rig.run(Duration::from_millis(300));
    }
    rig.settle();
    let mut kept: Vec<usize> = rig
        .texts()
        .iter()
        .map(|text| match text.split_once("… [cut, the line has ") {
            Some((_, rest)) => rest.trim_end_matches(" bytes]").parse().unwrap(),
            None => text.len(),
        })
        .collect();
    kept.sort_unstable();
    assert_eq!(kept, lengths);
    assert_eq!(rig.account.cut.get(), 2);
}

#[test]
fn an_endless_line_costs_no_memory_and_does_not_stop_the_others() {
    let mut rig = Rig::new();
    for _ in 0..40 {
        append(&rig.path("endless.log"), &"z".repeat(1 << 20));
        rig.run(Duration::from_millis(100));
    }
    append(&rig.path("b.log"), "hello\n");
    rig.settle();
    assert_eq!(rig.texts(), ["hello"]);
    assert!(rig.reader().buffer.capacity() < 512 << 10);
    fs::remove_file(rig.path("endless.log")).unwrap();
    rig.run(Duration::from_secs(12));
    assert!(rig.texts()[1].ends_with("[cut, the line has 41943040 bytes]"));
}

#[test]
fn old_files_are_read_from_where_the_configuration_says() {
    let start = |read_from| {
        let mut rig = Rig::with(|config| config.read_from = read_from);
        rig.kill();
        fs::remove_dir_all(rig.segments()).unwrap();
        // A first start that is younger than the file.
        let past = std::mem::replace(&mut rig.wall, Timestamp(4_000_000_000_000));
        append(&rig.path("a.log"), &numbered("line-number", 0..100_000));
        append(&rig.path("a.log"), "unfinished");
        rig.start();
        rig.wall = past;
        rig.settle();
        append(&rig.path("a.log"), " business\n");
        append(&rig.path("b.log"), "new\n");
        rig.settle();
        rig.texts()
    };
    assert_eq!(start(ReadFrom::Beginning).len(), 100_002);
    assert_eq!(start(ReadFrom::End), ["new", "unfinished business"]);
    let recent = start(ReadFrom::Recent);
    assert_eq!(
        recent.len(),
        2 + ((1 << 20) - "unfinished".len()) / "line-number 00000\n".len()
    );
    assert!(
        recent
            .iter()
            .all(|text| text.len() == 17 || !text.starts_with("line"))
    );
}

#[test]
fn a_file_that_came_after_the_first_start_is_read_whole() {
    let mut rig = Rig::with(|config| config.read_from = ReadFrom::End);
    rig.settle();
    rig.kill();
    append(&rig.path("a.log"), "a\n");
    append(&rig.path("b.log"), "b\n");
    fs::rename(rig.path("b.log"), rig.path("b.log.1")).unwrap();
    rig.start();
    append(&rig.path("a.log"), "c\n");
    rig.settle();
    assert_eq!(rig.texts(), ["a", "b", "c"]);
}

#[test]
fn zeros_of_a_hole_are_let_go_and_counted() {
    let mut rig = Rig::new();
    append(
        &rig.path("a.log"),
        &format!("{}\n{}text\n", "\0".repeat(5000), "\0".repeat(70_000)),
    );
    rig.settle();
    assert_eq!(rig.texts(), ["text"]);
    assert_eq!(rig.account.ledger().dropped.get("hole"), Some(&1));
    assert!(rig.account.ledger().balances());
}
