//! Retention: the oldest go, the newest stays, and who reads goes on reading.

use std::time::Duration;

use model::{TimeRange, Timestamp};

use crate::harness::{HOUR, House, counters, hours, range, write};

fn three(house: &House) -> blocks::Blocks {
    let blocks = house.open();
    for start in [0, 2, 4] {
        write(
            &blocks,
            start..=start + 2,
            counters(2, hours(start, start + 2), 60_000),
        );
    }
    blocks
}

#[test]
fn what_is_wholly_older_than_the_retention_goes() {
    let mut house = House::new();
    house.limits.retention = Duration::from_hours(4);
    let blocks = three(&house);
    let dropped = blocks.maintain().dropped;
    assert_eq!(dropped.len(), 1);
    assert_eq!(dropped[0].span(), hours(0, 2));
    assert_eq!(blocks.counts().dropped, 1);
    assert_eq!((house.names().len(), blocks.span()), (2, Some(hours(2, 6))));
    house.clock.set(1_000_000);
    assert!(
        blocks.maintain().dropped.is_empty(),
        "a clock that jumps takes no history with it"
    );
}

#[test]
fn what_is_too_much_goes_and_the_newest_stays() {
    let mut house = House::new();
    house.limits.bytes_max = Some(1);
    let blocks = three(&house);
    assert_eq!(blocks.maintain().dropped.len(), 2);
    assert_eq!(blocks.span(), Some(hours(4, 6)));
    let whole = blocks.counts().bytes;
    let file = |name: &str| {
        std::fs::metadata(blocks.all()[0].path().join(name))
            .expect("a file")
            .len()
    };
    let files = ["index", "meta.json", "tombstones", "chunks/000001"].map(file);
    assert_eq!(whole, files.iter().sum::<u64>());
}

#[test]
fn who_holds_a_block_reads_it_to_the_end() {
    let mut house = House::new();
    house.limits.bytes_max = Some(1);
    let blocks = three(&house);
    let held = blocks.all()[0].clone();
    blocks.maintain();
    assert!(!held.path().exists());
    let found = held.select(&[], TimeRange::ALL, usize::MAX).expect("still open");
    assert_eq!(found.len(), 2);
}

#[test]
fn reading_goes_on_while_blocks_come_and_go() {
    let mut house = House::new();
    house.limits.retention = Duration::from_hours(60);
    let blocks = house.open();
    write(&blocks, 0..=2, counters(20, hours(0, 2), 60_000));
    std::thread::scope(|scope| {
        let readers = [0, 1].map(|_| {
            scope.spawn(|| {
                let (mut newest, mut rounds) = (Timestamp(0), 0);
                while newest < Timestamp(29 * HOUR) {
                    let all = blocks
                        .select(&[], range(-1, i64::MAX), usize::MAX)
                        .expect("always read");
                    assert_eq!(all.len(), 20);
                    let last = *all[7].times.last().expect("samples");
                    assert_eq!(
                        all[7].times.len() as i64 * 60_000,
                        last.0 + 60_000,
                        "no gap, no double"
                    );
                    assert!(last >= newest);
                    (newest, rounds) = (last, rounds + 1);
                }
                rounds
            })
        });
        for start in (2..30).step_by(2) {
            write(
                &blocks,
                start..=start + 2,
                counters(20, hours(start, start + 2), 60_000),
            );
            assert!(blocks.maintain().failed.is_none());
        }
        assert!(
            readers
                .into_iter()
                .all(|reader| reader.join().is_ok_and(|rounds| rounds > 0))
        );
    });
    assert!(blocks.counts().compacted >= 4, "{:?}", blocks.counts());
}
