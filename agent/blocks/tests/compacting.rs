//! Blocks become longer ones, and nothing of them is lost or doubled.

use std::time::Duration;

use model::{STALE, TimeRange, Timestamp};

use crate::harness::{HOUR, House, counters, everything, hours, labels, series, write};

#[test]
fn three_blocks_become_one_that_takes_their_place() {
    let house = House::new();
    let blocks = house.open();
    let parents: Vec<_> = [0, 2, 4, 6]
        .map(|start| {
            write(
                &blocks,
                start..=start + 2,
                counters(5, hours(start, start + 2), 15_000),
            )
        })
        .to_vec();
    let before = everything(&blocks);
    let done = blocks.maintain();
    let compacted = done.compacted.expect("planned");
    let made = compacted.made.expect("a block");
    assert_eq!(made.span(), hours(0, 6));
    assert_eq!(made.compaction.level, 2);
    let sources: Vec<_> = made.compaction.sources.clone();
    let mut wanted: Vec<_> = parents[..3].iter().map(|meta| meta.ulid).collect();
    assert_eq!(compacted.parents, wanted);
    assert!(wanted.iter().all(|ulid| blocks.holds(*ulid)));
    wanted.sort();
    assert_eq!(sources, wanted);
    assert_eq!(everything(&blocks), before);
    assert_eq!(house.names().len(), 2);
    assert!(blocks.maintain().compacted.is_none(), "nothing more to do");
    assert_eq!(everything(&house.open()), before);
    for block in blocks.all() {
        block.verify().expect("whole");
    }
    assert_eq!(made.stats.num_samples, 5 * 3 * 480);
    assert_eq!(made.stats.num_chunks, 5 * 3 * 4);
}

#[test]
fn a_long_history_ends_in_long_blocks() {
    let house = House::new();
    let blocks = house.open();
    for start in (0..38).step_by(2) {
        write(
            &blocks,
            start..=start + 2,
            counters(2, hours(start, start + 2), 300_000),
        );
        while blocks.maintain().compacted.is_some() {}
    }
    let spans: Vec<_> = blocks.all().iter().map(|block| block.meta().span()).collect();
    assert_eq!(spans, [hours(0, 18), hours(18, 36), hours(36, 38)]);
    let oldest = &blocks.all()[0].meta().clone();
    assert_eq!((oldest.compaction.level, oldest.compaction.sources.len()), (3, 9));
    // 24 samples of two hours are less than half a chunk, and put together; 72 of six hours are not.
    assert_eq!(oldest.stats.num_chunks, 2 * 3);
    assert_eq!(
        everything(&blocks).values().map(Vec::len).sum::<usize>(),
        2 * 19 * 24
    );
}

#[test]
fn blocks_that_overlap_become_one_without_doubles() {
    let house = House::new();
    let blocks = house.open();
    let one = |name: &str, samples: &[(i64, f64)]| series(labels(&[("a", name)]), samples.iter().copied());
    write(
        &blocks,
        0..=2,
        vec![one("a", &[(1, 1.0), (3, STALE)]), one("c", &[(9, 9.0)])],
    );
    write(
        &blocks,
        0..=2,
        vec![one("a", &[(2, 2.0), (3, 3.0)]), one("b", &[(9, 9.0)])],
    );
    let before = everything(&blocks);
    let made = blocks
        .maintain()
        .compacted
        .expect("planned")
        .made
        .expect("a block");
    assert_eq!(made.stats.num_samples, 5);
    assert_eq!(everything(&blocks), before);
    assert_eq!(before.len(), 3);
}

#[test]
fn short_retention_leaves_blocks_as_they_are() {
    let mut house = House::new();
    house.limits.retention = Duration::from_hours(12);
    let blocks = house.open();
    for start in [0, 2, 4, 6] {
        write(
            &blocks,
            start..=start + 2,
            counters(1, hours(start, start + 2), 60_000),
        );
    }
    assert!(blocks.maintain().compacted.is_none());
}

#[test]
fn a_block_that_rotted_stops_only_its_own_compaction() {
    let house = House::new();
    let blocks = house.open();
    for start in [0, 2, 4, 6, 8, 10, 12] {
        write(
            &blocks,
            start..=start + 2,
            counters(3, hours(start, start + 2), 15_000),
        );
    }
    let path = blocks.all()[1].path().join("chunks/000001");
    let mut bytes = std::fs::read(&path).expect("chunks");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("damaged");
    let done = blocks.maintain();
    let error = done.failed.expect("does not read").to_string();
    assert!(error.contains("chunks/000001: the chunk at"), "{error}");
    assert_eq!(blocks.all().len(), 7);
    let made = blocks
        .maintain()
        .compacted
        .expect("the others")
        .made
        .expect("a block");
    assert_eq!(made.span(), hours(6, 12));
    assert_eq!(blocks.counts().compactions_failed, 1);
    assert!(
        !house.names().iter().any(|name| name.contains("tmp")),
        "{:?}",
        house.names()
    );
    let range = model::TimeRange {
        after: Timestamp(6 * HOUR),
        ..TimeRange::ALL
    };
    assert_eq!(
        blocks.select(&[], range, usize::MAX).expect("not touched").len(),
        3
    );
    assert!(blocks.select(&[], TimeRange::ALL, usize::MAX).is_err());
}
