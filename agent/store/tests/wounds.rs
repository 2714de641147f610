//! A damaged log: it opens, has all that stands before the damage, says and counts what is lost, and goes on.

use std::path::PathBuf;

use proptest::prelude::*;
use store::Config;

use crate::disk::Fake;
use crate::harness::{House, long, metric, segment};

type Files = Vec<(PathBuf, Vec<u8>)>;

const SEGMENTS: usize = 4;
const LOST: &str = "skopos_store_wal_lost_bytes_total";
const CORRUPT: &str = "skopos_store_wal_corrupt_total";
const MISSING: &str = "skopos_store_wal_missing_segments_total";

/// Some rounds in each segment, with a series that comes and goes.
fn written() -> Files {
    let mut house = House::new();
    for nth in 0..SEGMENTS as i64 {
        let node = house.target("node");
        let other = house.target("other");
        for round in 1..=4 {
            let time = nth * 1_000 + round * 10;
            let value = (nth * 7 + round) as f64 / 3.0;
            let coming = format!("coming x={}", (nth + round) % 3);
            house.whole(node, time, &[("a", value), ("b", 1.0), (&coming, -value)]);
            house.part(other, time - 500, &[("late", value)]);
        }
        house.restart();
    }
    let files = house.disk.files();
    assert_eq!(files.len(), SEGMENTS);
    files
}

fn opened(files: Files) -> House {
    House::on(Fake::holding(files), Config::default())
}

#[derive(Clone, Debug)]
enum Wound {
    /// The end is missing.
    Cut(usize),
    Flip(usize, u8),
    /// As after a power failure: the length is known, what stood there is not.
    ZeroTail(usize),
    /// A sector that was not written, or as another file has it.
    Tear(usize, u8),
    Grow(Vec<u8>),
    Missing,
}

fn any_wound() -> impl Strategy<Value = Wound> {
    prop_oneof![
        2 => any::<usize>().prop_map(Wound::Cut),
        4 => (any::<usize>(), 1..=255_u8).prop_map(|(at, bits)| Wound::Flip(at, bits)),
        1 => any::<usize>().prop_map(Wound::ZeroTail),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(at, with)| Wound::Tear(at, with)),
        1 => prop::collection::vec(any::<u8>(), 1..600).prop_map(Wound::Grow),
        1 => Just(Wound::Missing),
    ]
}

fn apply(bytes: &mut Vec<u8>, wound: &Wound) {
    let length = bytes.len();
    match wound {
        Wound::Cut(at) => bytes.truncate(at % length),
        Wound::Flip(at, bits) => bytes[at % length] ^= bits,
        Wound::ZeroTail(at) => bytes[at % length..].fill(0),
        Wound::Tear(at, with) => {
            let at = at % length;
            bytes[at..(at + 64).min(length)].fill(*with);
        }
        Wound::Grow(more) => bytes.extend_from_slice(more),
        Wound::Missing => {}
    }
}

/// Wounds one segment and opens what is left, twice.
fn suffer(whole: &Files, nth: usize, wound: &Wound) {
    let last = nth == whole.len() - 1;
    let (mut files, mut sound) = (whole.clone(), whole.clone());
    let mut harmed = true;
    let mut is_lost = true;
    if matches!(wound, Wound::Missing) {
        files.remove(nth);
        sound.remove(nth);
    } else {
        apply(&mut files[nth].1, wound);
        let (before, after) = (&whole[nth].1, &files[nth].1);
        let same = before
            .iter()
            .zip(after)
            .take_while(|(one, other)| one == other)
            .count();
        harmed = before != after;
        // Where a record ends, nobody can tell that more has followed.
        is_lost = harmed && same < after.len();
        sound[nth].1.truncate(same);
    }
    let mut house = opened(files);
    assert_eq!(
        house.all(),
        opened(sound).all(),
        "what stands before it, and in the others"
    );
    if matches!(wound, Wound::Missing) {
        let between = nth > 0 && !last;
        assert_eq!(house.metric(MISSING, None), f64::from(u8::from(between)));
    } else {
        let (lost, corrupt) = (house.metric(LOST, None), house.metric(CORRUPT, None));
        assert!(lost > 0.0 || !is_lost, "{lost} bytes are lost");
        assert!(corrupt <= 1.0 && (harmed || lost + corrupt == 0.0));
        assert!(
            last || corrupt > 0.0 || !is_lost,
            "only the end of the last may be torn"
        );
    }
    // It goes on, and the next start finds the last segment whole; the others are as they were.
    let node = house.target("node");
    house.whole(node, 9_000, &[("a", 1.0), ("new", 2.0)]);
    let (all, lost) = (house.all(), house.metric(LOST, None));
    for _ in 0..2 {
        house.restart();
        assert_eq!(house.all(), all);
        let (again, foreign) = (house.metric(LOST, None), house.metric(LOST, Some("foreign")));
        let expected = if last { foreign } else { lost };
        assert_eq!(again, expected, "{wound:?} of segment {nth}");
    }
}

#[test]
fn every_cut_of_every_segment_opens_and_goes_on() {
    let whole = written();
    let step = if long() { 1 } else { 13 };
    for nth in 0..SEGMENTS {
        for at in (0..whole[nth].1.len()).step_by(step) {
            suffer(&whole, nth, &Wound::Cut(at));
        }
        suffer(&whole, nth, &Wound::Missing);
    }
}

#[test]
fn every_byte_of_a_header_may_be_wrong() {
    let whole = written();
    for at in 0..16 {
        for bit in 0..8 {
            suffer(&whole, at % SEGMENTS, &Wound::Flip(at, 1 << bit));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if long() { 20_000 } else { 150 }, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_a_segment_the_rest_is_there(nth in 0..SEGMENTS, wound in any_wound()) {
        thread_local! {
            static WHOLE: Files = written();
        }
        WHOLE.with(|whole| suffer(whole, nth, &wound));
    }
}

#[test]
fn a_file_that_the_disk_does_not_give_is_left_alone_and_read_another_time() {
    let whole = written();
    for (nth, (path, bytes)) in whole.iter().enumerate() {
        for from in [0, 20, bytes.len() / 2] {
            let disk = Fake::holding(whole.clone());
            disk.set_unreadable(path.clone(), Some(from));
            let mut house = House::on(disk.clone(), Config::default());
            let mut sound = whole.clone();
            sound[nth].1.truncate(from);
            assert_eq!(house.all(), opened(sound).all());
            assert!(house.metric(LOST, Some("unreadable")) > 0.0);
            assert_eq!(&disk.files()[nth].1, bytes);
            disk.set_unreadable(path.clone(), None);
            house.restart();
            assert_eq!(house.all(), opened(whole.clone()).all());
            assert_eq!(house.metric(LOST, None), 0.0);
        }
    }
}

#[test]
fn a_torn_end_that_cannot_be_cut_stops_nothing() {
    let mut files = written();
    let (_, last) = files.last_mut().expect("segments");
    last.truncate(last.len() - 3);
    let disk = Fake::holding(files);
    disk.set_shrinking_fails(true);
    let mut house = House::on(disk, Config::default());
    let node = house.target("node");
    house.whole(node, 9_000, &[("a", 1.0)]);
    let all = house.all();
    for _ in 0..2 {
        house.restart();
        assert_eq!(house.all(), all);
        assert_eq!(house.metric(CORRUPT, None), 1.0, "it is no longer the last");
    }
}

#[test]
fn what_the_limits_no_longer_let_in_is_counted() {
    let house = House::new();
    let node = house.target("node");
    for nth in 1..=5 {
        house.whole(node, nth, &[("a", 1.0), ("b", 1.0), ("c", 1.0)]);
    }
    assert!(house.store.close());
    let config = Config {
        series_max: 2,
        ..Config::default()
    };
    let fewer = House::on(Fake::holding(house.disk.files()), config);
    assert_eq!(fewer.all().len(), 2);
    assert_eq!(
        metric(&fewer.registry, "skopos_store_wal_refused_samples_total", None),
        5.0
    );
    assert_eq!(fewer.disk.files()[0].0, segment(1));
}
