//! Segments over their whole life: begun, torn, damaged, full, rolled, dropped.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use parking_lot::Mutex;

use super::list;
use super::write::{Kept, Limits, Writer};
use crate::batch::{Batch, Row};
use crate::config::Retention;
use crate::mark::{FileId, FileMark, Form, Inode, Print};

fn limits(size: u64, time: u64) -> Arc<Mutex<Limits>> {
    Arc::new(Mutex::new(Limits {
        segment_bytes: 64 << 10,
        retention: Retention {
            size,
            time: Duration::from_secs(time),
        },
        compress: false,
    }))
}

fn open(folder: &Path) -> (Writer, Kept) {
    Writer::open(folder, limits(1 << 30, 1 << 30), Timestamp(1)).unwrap()
}

pub(crate) fn mark(id: u64, read: u64, gone: bool) -> FileMark {
    FileMark {
        id: FileId(id),
        form: Form::Plain,
        source: "a.log".into(),
        base: "/a.log".into(),
        path: "/a.log".into(),
        inode: Inode {
            dev: 1,
            ino: id,
            born: 0,
        },
        generation: 0,
        head: Print::default(),
        read,
        check: Print::default(),
        done: [read; 3],
        copy: false,
        packed: false,
        gone,
        facts: None,
        days: crate::days::Days::default(),
    }
}

/// A record of `bytes` bytes of file `id`, read up to `read`.
fn batch(id: u64, read: u64, bytes: usize) -> Batch {
    Batch {
        text: vec![b'x'; bytes],
        rows: vec![Row {
            time: Timestamp(i64::try_from(read).unwrap()),
            end: u32::try_from(bytes).unwrap(),
            ..Row::default()
        }],
        marks: vec![mark(id, read, false)],
        new_files: Vec::new(),
        days: Vec::new(),
        ids: Vec::new(),
        plans: Vec::new(),
    }
}

fn reads(kept: &Kept) -> Vec<(u64, u64)> {
    let mut reads: Vec<(u64, u64)> = kept.marks.iter().map(|mark| (mark.id.0, mark.read)).collect();
    reads.sort_unstable();
    reads
}

#[test]
fn marks_are_those_of_the_last_whole_frame_wherever_the_end_is_torn() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, kept) = open(folder.path());
    assert!(kept.fresh);
    writer.append(&batch(1, 10, 100), Timestamp(2)).unwrap();
    let path = list(folder.path()).unwrap()[0].path.clone();
    let before = fs::read(&path).unwrap().len();
    writer.append(&batch(1, 20, 100), Timestamp(2)).unwrap();
    drop(writer);
    let whole = fs::read(&path).unwrap();
    for end in before..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let (mut writer, kept) = open(folder.path());
        assert_eq!(reads(&kept), [(1, 10)], "torn at {end}");
        assert_eq!(fs::metadata(&path).unwrap().len(), before as u64);
        writer.append(&batch(1, 15, 10), Timestamp(2)).unwrap();
        let (_, kept) = open(folder.path());
        assert_eq!(reads(&kept), [(1, 15)]);
    }
}

#[test]
fn retention_drops_old_segments_and_forgets_no_living_file() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(folder.path(), limits(256 << 10, 1 << 30), Timestamp(1)).unwrap();
    writer.append(&batch(7, 77, 1), Timestamp(2)).unwrap();
    writer.append(&batch(8, 88, 1), Timestamp(2)).unwrap();
    for read in 0..100 {
        writer.append(&batch(1, read, 10 << 10), Timestamp(3)).unwrap();
        assert!(writer.bytes_on_disk() < (256 + 128) << 10);
        if read == 50 {
            let gone = Batch {
                marks: vec![mark(8, 88, true)],
                ..Batch::default()
            };
            writer.append(&gone, Timestamp(3)).unwrap();
        }
    }
    let segments = list(folder.path()).unwrap();
    assert!(segments[0].number > 5 && segments.len() == writer.segments());
    let (writer, kept) = open(folder.path());
    assert_eq!(reads(&kept), [(1, 99), (7, 77)]);
    assert_eq!(kept.first_start, Timestamp(1));
    assert_eq!(
        writer.bytes_on_disk(),
        segments.iter().map(|segment| segment.bytes).sum::<u64>()
    );
}

#[test]
fn segments_are_dropped_by_age_too() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(1 << 30, 400);
    let (mut writer, _) = Writer::open(folder.path(), Arc::clone(&limits), Timestamp(0)).unwrap();
    for second in 0..2_000i64 {
        writer.append(&batch(1, 1, 1), Timestamp(second * 1000)).unwrap();
    }
    let kept = writer.segments();
    assert!((4..=6).contains(&kept), "{kept} segments of 100 s each");
    drop(writer);
    let (mut writer, _) = Writer::open(folder.path(), limits, Timestamp(9_000_000)).unwrap();
    writer.retain(Timestamp(9_000_000)).unwrap();
    assert_eq!(writer.segments(), 1);
}

#[test]
fn a_death_while_a_segment_is_begun_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(folder.path());
    writer.append(&batch(1, 10, 100), Timestamp(2)).unwrap();
    drop(writer);
    let first = fs::read(&list(folder.path()).unwrap()[0].path).unwrap();
    let next = folder.path().join("0000000002.segment");
    for end in [0, 1, 39, 40, 41, 103] {
        fs::write(&next, &first[..end]).unwrap();
        let (_, kept) = open(folder.path());
        assert_eq!(reads(&kept), [(1, 10)], "{end} bytes");
        assert!(!next.exists());
    }
}

#[test]
fn a_damaged_segment_is_set_aside_and_a_newer_format_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let path = list(folder.path()).unwrap()[0].path.clone();
    let mut bytes = fs::read(&path).unwrap();
    bytes[50] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (_, kept) = open(folder.path());
    assert!(kept.fresh && path.with_extension("damaged").exists());

    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 3;
    fs::write(&path, &bytes).unwrap();
    let refused = Writer::open(folder.path(), limits(1 << 30, 100), Timestamp(1))
        .err()
        .unwrap();
    assert!(refused.to_string().contains("format 3"), "{refused}");
    assert!(path.exists());
}

#[test]
fn the_first_mark_of_a_spool_begins_a_segment_that_an_older_version_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let format = |nth: usize| fs::read(&list(folder.path()).unwrap()[nth].path).unwrap()[8];
    {
        let (mut writer, _) = open(folder.path());
        writer.append(&batch(1, 10, 100), Timestamp(2)).unwrap();
        let mut spooled = batch(2, 10, 100);
        spooled.marks[0].form = Form::Spool;
        writer.append(&spooled, Timestamp(2)).unwrap();
        writer.append(&spooled, Timestamp(2)).unwrap();
    }
    assert_eq!((format(0), format(1)), (1, 2));
    assert_eq!(list(folder.path()).unwrap().len(), 2);
    let (_, kept) = open(folder.path());
    assert_eq!(kept.marks.len(), 2);
}

#[test]
fn a_write_that_fails_half_way_is_made_good_by_the_next_try() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(folder.path());
    writer.append(&batch(1, 10, 100), Timestamp(2)).unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let real = writer.replace_file(full);
    let error = writer.append(&batch(1, 20, 5000), Timestamp(2)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    // Half of it reached the disk.
    let path = list(folder.path()).unwrap()[0].path.clone();
    OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(&[b'x'; 2500])
        .unwrap();
    writer.replace_file(real);
    writer.append(&batch(1, 20, 5000), Timestamp(2)).unwrap();
    writer.append(&batch(1, 30, 10), Timestamp(2)).unwrap();
    writer.sync().unwrap();
    let (_, kept) = open(folder.path());
    assert_eq!(reads(&kept), [(1, 30)]);
}
