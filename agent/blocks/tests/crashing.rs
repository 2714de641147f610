//! A stop between any two steps: each state that the disk can be found in ends in order.

use std::fs;
use std::path::Path;

use crate::harness::{House, counters, everything, hours, write};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[test]
fn what_was_half_written_or_half_deleted_goes() {
    let house = House::new();
    let meta = write(&house.open(), 0..=2, counters(5, hours(0, 2), 15_000));
    let before = everything(&house.open());
    let whole = house.path().join(meta.ulid.to_string());
    let other = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for ending in ["tmp-for-creation", "tmp-for-deletion"] {
        for missing in [
            None,
            Some("meta.json"),
            Some("index"),
            Some("chunks"),
            Some("tombstones"),
        ] {
            let half = house.path().join(format!("{other}.{ending}"));
            copy(&whole, &half);
            if let Some(name) = missing {
                let path = half.join(name);
                _ = fs::remove_file(&path);
                _ = fs::remove_dir_all(&path);
            }
            assert_eq!(everything(&house.open()), before);
            assert_eq!(house.names(), [meta.ulid.to_string()], "without {missing:?}");
        }
    }
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let house = House::new();
    fs::write(house.path().join("00000001.wal"), "log").expect("written");
    fs::create_dir(house.path().join("chunks_head")).expect("made");
    fs::create_dir(house.path().join("x.tmp-for-deletion")).expect("made");
    fs::write(house.path().join("01ARZ3NDEKTSV4RRFFQ69G5FAV"), "a file").expect("written");
    house.open();
    assert_eq!(house.names().len(), 4);
    assert_eq!(house.open().counts().broken, 0);
}

/// All blocks before a compaction, and the one after it.
fn both_sides() -> (House, Vec<String>, String) {
    let house = House::new();
    let aside = tempfile::tempdir().expect("a folder");
    let blocks = house.open();
    for start in [0, 2, 4, 6] {
        write(
            &blocks,
            start..=start + 2,
            counters(3, hours(start, start + 2), 15_000),
        );
    }
    copy(house.path(), aside.path());
    let compacted = blocks.maintain().compacted.expect("planned");
    let parents: Vec<String> = compacted.parents.iter().map(ToString::to_string).collect();
    for parent in &parents {
        copy(&aside.path().join(parent), &house.path().join(parent));
    }
    (house, parents, compacted.made.expect("a block").ulid.to_string())
}

#[test]
fn between_the_new_block_and_the_end_of_the_old_ones() {
    let (house, parents, made) = both_sides();
    let blocks = house.open();
    assert_eq!(blocks.all().len(), 2);
    let names = house.names();
    assert!(names.contains(&made) && !parents.iter().any(|parent| names.contains(parent)));
    let samples: usize = everything(&blocks).values().map(Vec::len).sum();
    assert_eq!(samples, 3 * 4 * 480);
}

#[test]
fn a_broken_new_block_leaves_the_old_ones_in_place() {
    let (house, parents, made) = both_sides();
    let index = house.path().join(&made).join("index");
    let bytes = fs::read(&index).expect("an index");
    fs::write(&index, &bytes[..bytes.len() - 1]).expect("cut");
    let blocks = house.open();
    assert_eq!(blocks.all().len(), 4);
    let names = house.names();
    assert!(parents.iter().all(|parent| names.contains(parent)));
    assert!(names.contains(&format!("{made}.broken")));
    assert_eq!(blocks.counts().broken, 1);
    let again = house.open().counts();
    assert_eq!((again.broken, again.aside), (0, 1), "said once, and counted");
}

#[test]
fn a_block_without_one_of_its_files_is_set_aside() {
    for missing in ["meta.json", "index", "chunks/000001", "chunks"] {
        let house = House::new();
        let meta = write(&house.open(), 0..=2, counters(2, hours(0, 2), 15_000));
        write(&house.open(), 2..=4, counters(2, hours(2, 4), 15_000));
        let path = house.path().join(meta.ulid.to_string()).join(missing);
        _ = fs::remove_file(&path);
        _ = fs::remove_dir_all(&path);
        let blocks = house.open();
        assert_eq!((blocks.all().len(), blocks.counts().broken), (1, 1), "{missing}");
        assert!(!everything(&blocks).is_empty());
    }
}

#[test]
fn a_block_under_another_name_is_set_aside() {
    let house = House::new();
    let meta = write(&house.open(), 0..=2, counters(2, hours(0, 2), 15_000));
    let other = house.path().join("01ARZ3NDEKTSV4RRFFQ69G5FAV");
    fs::rename(house.path().join(meta.ulid.to_string()), other).expect("renamed");
    assert_eq!(house.open().counts().broken, 1);
}

/// Sets a block of these two hours aside, and gives what its folder is called then.
fn broken(house: &House, start: i64) -> String {
    house.clock.set(start + 3);
    let meta = write(
        &house.open(),
        start..=start + 2,
        counters(2, hours(start, start + 2), 60_000),
    );
    fs::remove_file(house.path().join(meta.ulid.to_string()).join("index")).expect("removed");
    assert_eq!(house.open().counts().broken, 1);
    format!("{}.broken", meta.ulid)
}

#[test]
fn of_the_blocks_set_aside_three_stay_and_none_longer_than_the_retention() {
    let mut house = House::new();
    house.limits.retention = std::time::Duration::from_hours(100);
    let mut names: Vec<String> = [0, 2, 4].map(|start| broken(&house, start)).into();
    assert_eq!(house.names(), names);
    names.push(broken(&house, 6));
    assert_eq!(house.names(), names[1..], "the oldest went");
    // A clock that jumps takes none of them, newer samples do.
    write(&house.open(), 8..=10, counters(1, hours(8, 10), 60_000));
    house.clock.set(10_000);
    let blocks = house.open();
    blocks.maintain();
    assert_eq!((blocks.counts().aside, blocks.counts().aside_removed), (3, 0));
    write(&blocks, 106..=108, counters(1, hours(106, 108), 60_000));
    blocks.maintain();
    assert_eq!((blocks.counts().aside, blocks.counts().aside_removed), (1, 2));
    assert!(house.names().contains(&names[3]));
}
