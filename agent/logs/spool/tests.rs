//! The spool with a reader behind it, through deaths, full and failing disks, and sinks that are behind.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;

use super::*;
use crate::bell::Bell;
use crate::mark::Facts;
use crate::reader::tests::rig::Rig;

const BYTES_MAX: u64 = 64 << 20;

pub(crate) fn record(source: &str, text: &str) -> Record {
    Record {
        nanos: 1_700_000_000_123_456_789,
        facts: Arc::new(Facts::new(source, [("namespace", "shop".to_owned())])),
        stream: 2,
        text: text.into(),
        ..Record::default()
    }
}

fn open(folder: &Path, bytes_max: u64) -> Spool {
    Spool::open(folder, bytes_max, Metrics::new(&Registry::new())).unwrap()
}

fn append(spool: &Spool, records: &[Record]) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(spool.append(records, 1 << 20))
}

fn files(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut numbers: Vec<u64> = entries.filter_map(|entry| number_of(&entry.path())).collect();
    numbers.sort_unstable();
    numbers
}

/// A rig that reads a spool in its own folder.
fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.spool = Some(open(&rig.root().join("own/spool"), BYTES_MAX));
    rig.restart();
    rig
}

/// As after `kill -9`, the spool's thread included.
fn restart(rig: &mut Rig) {
    rig.kill();
    rig.spool = Some(open(&rig.root().join("own/spool"), BYTES_MAX));
    rig.start();
}

fn put(rig: &Rig, records: &[Record]) {
    append(rig.spool.as_ref().unwrap(), records).unwrap();
}

#[test]
fn a_record_of_the_spool_is_kept_with_what_its_giver_says() {
    let mut rig = rig();
    put(&rig, &[record("shop/cart/app", "ERROR no\nmore \u{1} \"room\"")]);
    rig.settle();
    let records = rig.records();
    let [kept] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(&*kept.source, "shop/cart/app");
    assert_eq!(kept.text, "ERROR no\nmore \u{1} \"room\"");
    assert_eq!(kept.time.0, 1_700_000_000_123);
    assert_eq!(&*kept.stream, "stderr");
    assert_eq!(kept.level, model::Level::Error);
    rig.stop();
}

#[test]
fn after_any_death_each_record_is_there_once_and_files_that_all_have_are_gone() {
    let mut rig = rig();
    for round in 0..6 {
        let records: Vec<Record> = (0..50)
            .map(|nth| record("a", &format!("round {round} nr {nth:02}")))
            .collect();
        put(&rig, &records);
        if round % 2 == 0 {
            rig.settle();
        } else {
            rig.turn();
        }
        restart(&mut rig);
    }
    rig.settle();
    let texts = rig.texts();
    assert_eq!(texts.len(), 300);
    assert!(texts.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(files(&rig.root().join("own/spool")), [0; 0]);
    rig.stop();
}

#[test]
fn a_file_stays_until_the_slowest_sink_has_it() {
    let mut rig = rig();
    let folder = rig.root().join("own/spool");
    put(&rig, &[record("a", "one")]);
    let spool = open(&folder, BYTES_MAX);
    rig.kill();
    rig.spool = Some(spool.clone());
    rig.start();
    let (_news, other) = spool.books().lane(Bell::default());
    rig.settle();
    assert_eq!(rig.texts(), ["one"]);
    assert_eq!(files(&folder), [1], "the other sink has not said that it has it");
    let end = fs::metadata(path(&folder, 1)).unwrap().len();
    let mark = |read| {
        let mut mark = crate::segment::tests::mark(1, read, false);
        mark.path = path(&folder, 1).to_string_lossy().into();
        mark
    };
    other.passed([mark(end - 1)].iter());
    assert_eq!(files(&folder), [1]);
    other.passed([mark(end)].iter());
    assert_eq!(files(&folder), [0; 0]);
    rig.stop();
}

#[test]
fn a_torn_end_is_no_record_and_a_damaged_line_is_counted() {
    let mut rig = rig();
    let folder = rig.root().join("own/spool");
    put(&rig, &[record("a", "whole")]);
    rig.kill();
    rig.spool = None;
    let mut file = OpenOptions::new().append(true).open(path(&folder, 1)).unwrap();
    file.write_all(b"{\"time\":1,\"from\":{}}\n{\"time\":17,\"from\":{\"sour")
        .unwrap();
    restart(&mut rig);
    put(&rig, &[record("a", "behind it")]);
    rig.settle();
    assert_eq!(rig.texts(), ["behind it", "whole"]);
    let ledger = rig.account.ledger();
    assert_eq!(ledger.dropped.get("damaged"), Some(&1));
    assert_eq!(
        files(&folder),
        [2],
        "the torn file is read to its last whole line"
    );
    rig.stop();
}

#[test]
fn a_full_spool_takes_nothing_until_sinks_have_caught_up_and_loses_nothing() {
    let mut rig = rig();
    let spool = rig.spool.clone().unwrap();
    let text = "x".repeat(1 << 20);
    let mut taken = 0;
    while append(&spool, &[record("a", &format!("{taken:05} {text}"))]).is_ok() {
        taken += 1;
        assert!(taken < 100);
    }
    assert!((55..=64).contains(&taken), "{taken}");
    assert!(matches!(append(&spool, &[record("a", &text)]), Err(Error::Full)));
    let (bytes, bytes_max) = spool.books().bytes();
    assert!(bytes <= bytes_max);
    rig.run(Duration::from_secs(10));
    append(&spool, &[record("a", "again")]).unwrap();
    rig.settle();
    assert_eq!(rig.records().len(), taken + 1);
    rig.stop();
}

#[test]
fn what_cannot_be_written_is_not_said_to_be_kept_and_no_reader_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let books = Arc::new(Books::new(
        folder.path().to_owned(),
        (Vec::new(), Places::default()),
        BYTES_MAX,
        Metrics::new(&Registry::new()),
    ));
    let (mut news, _cursor) = books.lane(Bell::default());
    let mut writer = write::Writer::new(Arc::clone(&books), 1);
    let write = |writer: &mut write::Writer, text: &str| {
        let (done, end) = oneshot::channel();
        let mut lines = Vec::new();
        record("a", text).write(&mut lines, 1 << 20);
        let request = Request {
            lines,
            records: 1,
            place: None,
            done,
        };
        writer.keep(vec![request]);
        end.blocking_recv().unwrap()
    };
    write(&mut writer, "one").unwrap();
    let before = news.take().unwrap();
    // Open for reading only: as a disk that takes nothing.
    *writer.tip().unwrap() = File::open(path(folder.path(), 1)).unwrap();
    assert!(matches!(write(&mut writer, "two"), Err(Error::Disk(_))));
    assert_eq!(news.take().unwrap_or_else(|| before.clone()), before);
    writer.close();
    write(&mut writer, "three").unwrap();
    let after = news.take().unwrap();
    assert_eq!(after[0].bytes, before[0].bytes);
    assert!(after[0].is_closed && after[1].number == 2);
}

#[test]
fn writers_at_once_share_a_sync_and_all_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), BYTES_MAX);
    let threads: Vec<_> = (0..16)
        .map(|thread| {
            let spool = spool.clone();
            std::thread::spawn(move || {
                for nth in 0..20 {
                    append(&spool, &[record("a", &format!("{thread} {nth}"))]).unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let text = fs::read_to_string(path(folder.path(), 1)).unwrap();
    assert_eq!(text.lines().count(), 1 + 320);
}

#[test]
fn a_long_text_is_cut_and_says_how_long_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = Vec::new();
    record("a", &"y".repeat(1_000)).write(&mut lines, 100);
    let line = line::Line::read(lines.strip_suffix(b"\n").unwrap()).unwrap();
    assert_eq!((line.text.len(), line.bytes), (100, Some(1_000)));
    drop(folder);
}

#[test]
fn a_file_of_a_newer_version_is_left_alone_and_its_number_not_used() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(path(folder.path(), 7), "skopos-spool 2 0000000007 1\n{}\n").unwrap();
    fs::write(path(folder.path(), 8), "skopos-sp").unwrap();
    let spool = open(folder.path(), BYTES_MAX);
    append(&spool, &[record("a", "one")]).unwrap();
    assert_eq!(files(folder.path()), [7, 9]);
    let (mut news, _cursor) = spool.books().lane(Bell::default());
    let numbers: Vec<u64> = news.take().unwrap().iter().map(|kept| kept.number).collect();
    assert_eq!(numbers, [9]);
}

fn placed(nth: usize) -> Record {
    Record {
        place: Some(Place {
            input: "journal",
            at: format!("s=a;i={nth}"),
        }),
        ..record(
            "a",
            &format!("nr {nth:04} says \\\"place\\\":[\"journal\",\"x\"]"),
        )
    }
}

fn append_whole(spool: &Spool, records: &[Record]) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(spool.append_whole(records, 1 << 20))
}

#[test]
fn a_place_is_that_of_the_last_record_that_is_on_the_disk_after_any_death() {
    let mut rig = rig();
    let folder = rig.root().join("own/spool");
    let spool = || open(&folder, BYTES_MAX);
    assert_eq!(spool().place("journal"), None);
    append_whole(&spool(), &[placed(1), placed(2)]).unwrap();
    assert_eq!(spool().place("journal").unwrap(), "s=a;i=2");
    // Torn in the middle of the third: its place goes with it.
    let mut lines = Vec::new();
    placed(3).write(&mut lines, 1 << 20);
    let tip = files(&folder).into_iter().max().unwrap();
    let mut file = OpenOptions::new().append(true).open(path(&folder, tip)).unwrap();
    file.write_all(&lines[..lines.len() - 1]).unwrap();
    assert_eq!(spool().place("journal").unwrap(), "s=a;i=2");
    // Whole, and its sender never heard so.
    file.write_all(b"\n").unwrap();
    assert_eq!(spool().place("journal").unwrap(), "s=a;i=3");
    // Every sink has it, and its file goes.
    restart(&mut rig);
    rig.settle();
    assert_eq!((rig.texts().len(), files(&folder)), (3, vec![]));
    assert_eq!(spool().place("journal").unwrap(), "s=a;i=3");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let place = placed(9).place.unwrap();
    runtime.block_on(spool().put_place(place)).unwrap();
    assert_eq!(spool().place("journal").unwrap(), "s=a;i=9");
    rig.stop();
}

#[test]
fn a_file_stays_while_its_places_cannot_be_written() {
    let mut rig = rig();
    let folder = rig.root().join("own/spool");
    append_whole(rig.spool.as_ref().unwrap(), &[placed(1)]).unwrap();
    // A folder where the places are to be written.
    fs::create_dir(folder.join("places.new")).unwrap();
    restart(&mut rig);
    rig.settle();
    assert_eq!((rig.texts().len(), files(&folder)), (1, vec![1]));
    fs::remove_dir(folder.join("places.new")).unwrap();
    restart(&mut rig);
    rig.settle();
    assert_eq!((rig.texts().len(), files(&folder)), (1, vec![]));
    assert_eq!(open(&folder, BYTES_MAX).place("journal").unwrap(), "s=a;i=1");
    rig.stop();
}

#[test]
fn places_of_another_version_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("places"), "skopos-places 2\n{}\n").unwrap();
    let opened = Spool::open(folder.path(), BYTES_MAX, Metrics::new(&Registry::new()));
    assert!(opened.is_err());
}
