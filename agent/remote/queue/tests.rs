//! The queue loses nothing that it took, whatever dies, and counts what it must let go.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use model::Timestamp;
use proptest::prelude::*;

use super::fake::Memory;
use super::*;

const NAMES: [&str; 2] = ["a", "b"];

/// A block that says which it is; as many samples as it wants.
fn block(id: u32, samples: u32, bytes: usize) -> Block {
    let mut content = id.to_le_bytes().to_vec();
    content.resize(bytes.max(4), id as u8);
    Block {
        samples,
        oldest: Timestamp(i64::from(id) * 1_000),
        newest: Timestamp(i64::from(id) * 1_000),
        bytes: content.into(),
    }
}

fn id(block: &Block) -> u32 {
    u32::from_le_bytes(block.bytes[..4].try_into().unwrap())
}

fn open_sized(memory: &Arc<Memory>, bytes_max: u64, tail_bytes_max: u64) -> Queue {
    let files: Arc<dyn Files> = Arc::<Memory>::clone(memory);
    let names = NAMES.map(str::to_owned).to_vec();
    Queue::open(files, Path::new("data"), names, bytes_max, tail_bytes_max).unwrap()
}

fn open(memory: &Arc<Memory>) -> Queue {
    open_sized(memory, 512 << 20, 8 << 20)
}

fn next(queue: &Queue, nth: usize) -> Option<Arc<Block>> {
    loop {
        match queue.take(nth) {
            Take::Block(block) => return Some(block),
            Take::Read(segment) => queue.load(nth, segment).unwrap(),
            Take::Nothing => return None,
        }
    }
}

/// Sends all there is to one destination.
fn send(queue: &Queue, nth: usize) -> Vec<u32> {
    let mut sent = Vec::new();
    while let Some(block) = next(queue, nth) {
        queue.passed(nth, u64::from(block.samples));
        sent.push(id(&block));
    }
    sent
}

/// Every account balances, and says what the frames say.
fn check(queue: &Queue) {
    let totals = queue.totals();
    let dropped: u64 = totals.dropped.values().sum();
    let counted: u64 = (0..NAMES.len()).map(|nth| queue.count(nth)).sum();
    assert_eq!(totals.waiting, counted, "waiting is not what is there");
    assert_eq!(
        totals.taken,
        totals.given + dropped + totals.forgotten + totals.waiting
    );
}

/// Samples that a destination lacks because there was no room for them.
fn lost(queue: &Queue, nth: usize) -> u64 {
    let dropped = queue.dropped(nth);
    let own = dropped.iter().filter(|(reason, _)| **reason != reason::REJECTED);
    own.map(|(_, samples)| samples).sum()
}

fn segments(memory: &Memory) -> usize {
    let content = memory.content();
    let names = content.keys().filter_map(|path| path.file_name()?.to_str());
    names.filter(|name| name.starts_with("segment")).count()
}

#[test]
fn each_destination_gets_every_block_in_order_at_its_own_pace() {
    let memory = Arc::new(Memory::default());
    let queue = open(&memory);
    // Nine segments; the slow one reads them back.
    let ids: Vec<u32> = (0..90).collect();
    for id in &ids {
        queue.push(vec![block(*id, 3, 100_000)], 0);
        if id % 2 == 0 {
            assert_eq!(
                next(&queue, 0).map(|block| super::tests::id(&block)),
                Some(id / 2)
            );
            queue.passed(0, 3);
        }
        check(&queue);
    }
    assert_eq!(queue.waiting(1).samples, 270);
    assert_eq!(queue.waiting(1).oldest, Some(Timestamp(0)));
    assert_eq!(send(&queue, 1), ids);
    assert_eq!(send(&queue, 0), ids[45..]);
    check(&queue);
    assert!(queue.is_empty());
    assert_eq!(queue.waiting(0).bytes, 0);
    queue.tidy();
    assert_eq!(segments(&memory), 1, "what everybody has is removed");
}

#[test]
fn a_written_block_survives_and_a_sent_one_is_not_sent_again() {
    let memory = Arc::new(Memory::default());
    let queue = open(&memory);
    queue.push((0..10).map(|id| block(id, 1, 50)).collect(), 0);
    for _ in 0..4 {
        next(&queue, 0).unwrap();
        queue.passed(0, 1);
    }
    queue.tidy();
    let queue = open(&memory.after_power_failure());
    check(&queue);
    assert_eq!(queue.totals().taken, 16);
    assert_eq!(send(&queue, 0), (4..10).collect::<Vec<_>>());
    assert_eq!(send(&queue, 1), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_cursor_that_is_ahead_of_a_lost_file_never_hides_a_new_block() {
    let memory = Arc::new(Memory::default());
    let queue = open(&memory);
    queue.push((0..10).map(|id| block(id, 1, 50)).collect(), 0);
    send(&queue, 0);
    send(&queue, 1);
    // Nobody waits, so nothing is synced; but the cursors are.
    queue.tidy();
    let mut memory = memory.after_power_failure();
    for round in 10..13 {
        let queue = open(&memory);
        queue.push(vec![block(round, 1, 50)], 0);
        assert_eq!(send(&queue, 0), [round]);
        check(&queue);
        queue.tidy();
        memory = memory.after_kill();
    }
    assert_eq!(send(&open(&memory), 1), [10, 11, 12]);
}

#[test]
fn wherever_the_last_file_is_cut_whole_blocks_come_back_and_new_ones_follow() {
    let memory = Arc::new(Memory::default());
    open(&memory).push((0..5).map(|id| block(id, 2, 30)).collect(), 0);
    let (path, whole) = memory.content().pop_last().unwrap();
    for length in 0..whole.len() {
        let memory = Arc::new(Memory::default());
        memory.put(&path, &whole[..length]);
        let queue = open(&memory);
        queue.push(vec![block(9, 2, 30)], 0);
        check(&queue);
        let memory = memory.after_kill();
        let sent = send(&open(&memory), 0);
        let kept: Vec<u32> = (0..5).take(length.saturating_sub(12) / 58).chain([9]).collect();
        assert_eq!(sent, kept, "cut at {length}");
    }
}

#[test]
fn a_block_that_was_taken_survives_a_kill_at_any_write() {
    for life in 0.. {
        let memory = Memory::dying_after(life);
        let queue = open(&memory);
        let (mut safe, mut passed) = (BTreeSet::new(), [Vec::new(), Vec::new()]);
        for round in 0..40_u32 {
            queue.push(vec![block(round, 1, 60_000)], 0);
            if !memory.is_dead() {
                safe.insert(round);
            }
            for (nth, passed) in passed.iter_mut().enumerate() {
                if (round as usize).is_multiple_of(nth + 1)
                    && let Some(block) = next(&queue, nth)
                {
                    queue.passed(nth, 1);
                    passed.push(id(&block));
                }
            }
            if round % 3 == 0 {
                queue.tidy();
            }
            if memory.is_dead() {
                break;
            }
        }
        check(&queue);
        let is_over = !memory.is_dead();
        let memory = memory.after_kill();
        let queue = open(&memory);
        check(&queue);
        for (nth, passed) in passed.iter().enumerate() {
            let again = send(&queue, nth);
            assert!(
                again.is_sorted_by(|one, other| one < other),
                "life {life}: {again:?}"
            );
            let seen: BTreeSet<u32> = passed.iter().chain(&again).copied().collect();
            let missing: Vec<_> = safe.difference(&seen).collect();
            assert!(missing.is_empty(), "life {life}, destination {nth}: {missing:?}");
        }
        queue.tidy();
        assert_eq!(segments(&memory), 0);
        if is_over {
            assert!(life > 60, "only {life} writes");
            break;
        }
    }
}

#[test]
fn a_full_disk_is_no_loss_while_there_is_room_in_memory() {
    for broken in [false, true] {
        let memory = Arc::new(Memory::default());
        let queue = open(&memory);
        queue.push(vec![block(0, 1, 1_000)], 0);
        if broken {
            memory.set_broken(true)
        } else {
            memory.set_full(true)
        }
        for id in 1..100 {
            queue.push(vec![block(id, 1, 1_000)], 0);
            check(&queue);
        }
        queue.tidy();
        assert_eq!(
            send(&queue, 0),
            (0..100).collect::<Vec<_>>(),
            "memory is sent as well"
        );
        memory.set_broken(false);
        queue.push(vec![block(100, 1, 1_000)], 0);
        queue.tidy();
        check(&queue);
        let again = open(&memory.after_kill());
        assert_eq!(send(&again, 0), [100]);
        assert_eq!(send(&again, 1), (0..=100).collect::<Vec<_>>());
        assert_eq!(send(&queue, 1), (0..=100).collect::<Vec<_>>());
        assert!(queue.failures() > 0);
    }
}

#[test]
fn what_has_no_room_in_memory_either_is_counted_for_whoever_lacks_it() {
    let memory = Arc::new(Memory::default());
    let queue = open_sized(&memory, 512 << 20, 100_000);
    memory.set_full(true);
    queue.push(vec![block(0, 7, 40_000)], 0);
    assert_eq!(send(&queue, 0), [0]);
    for id in 1..10 {
        queue.push(vec![block(id, 7, 40_000)], 0);
        check(&queue);
    }
    assert_eq!(queue.dropped(0)["disk"], 7 * 7);
    assert_eq!(queue.dropped(1)["disk"], 8 * 7);
    assert_eq!(send(&queue, 0), [8, 9]);
    memory.set_full(false);
    queue.tidy();
    check(&queue);
    assert_eq!(send(&queue, 1), [8, 9]);
    check(&queue);
}

#[test]
fn the_oldest_goes_when_the_queue_is_full_and_only_who_lacks_it_loses_it() {
    let memory = Arc::new(Memory::default());
    let bytes_max = 2 << 20;
    let queue = open_sized(&memory, bytes_max, 8 << 20);
    let mut sent = Vec::new();
    for id in 0..200 {
        queue.push(vec![block(id, 5, 50_000)], 0);
        sent.extend(send(&queue, 0));
        queue.tidy();
        check(&queue);
        assert!(memory.bytes() as u64 <= bytes_max + 1_000, "{}", memory.bytes());
    }
    assert_eq!(sent, (0..200).collect::<Vec<_>>());
    assert!(queue.dropped(0).is_empty());
    let kept = send(&queue, 1);
    assert!(kept.len() > 30 && kept.last() == Some(&199), "{kept:?}");
    assert!(kept.is_sorted_by(|one, other| one + 1 == *other));
    assert_eq!(queue.dropped(1)["queue_full"], 5 * (200 - kept.len() as u64));
    check(&queue);
}

#[test]
fn what_is_being_sent_when_its_segment_goes_is_given_or_dropped_but_not_both() {
    for arrives in [false, true] {
        let memory = Arc::new(Memory::default());
        let queue = open_sized(&memory, 1 << 20, 8 << 20);
        queue.push(vec![block(0, 5, 50_000)], 0);
        next(&queue, 0).unwrap();
        for id in 1..100 {
            queue.push(vec![block(id, 5, 50_000)], 0);
            check(&queue);
        }
        if arrives {
            queue.passed(0, 5);
        } else {
            assert!(!queue.is_wanted(0));
        }
        check(&queue);
        let kept = send(&queue, 0);
        assert_eq!(kept.last(), Some(&99));
        let lost = 100 - kept.len() as u64 - u64::from(arrives);
        assert_eq!(queue.dropped(0)["queue_full"], 5 * lost);
        check(&queue);
    }
}

#[test]
fn a_segment_that_changed_on_the_disk_is_passed_over_and_counted() {
    let memory = Arc::new(Memory::default());
    open(&memory).push((0..40).map(|id| block(id, 1, 100_000)).collect(), 0);
    let queue = open(&memory);
    let (path, mut bytes) = memory.content().into_iter().nth(1).unwrap();
    bytes[350_000] ^= 1;
    memory.put(&path, &bytes);
    let sent = send(&queue, 0);
    check(&queue);
    let lost = queue.dropped(0)["damaged"];
    assert_eq!(sent.len() as u64 + lost, 40);
    assert!(
        lost > 0 && sent.last() == Some(&39) && sent.first() == Some(&0),
        "{sent:?}"
    );
}

#[test]
fn files_of_others_and_of_newer_versions_are_refused_and_left_alone() {
    for (bytes, word) in [
        (&b"SKREMOTE\x02\0\0\0"[..], "newer version"),
        (b"hello, world", "not a segment"),
    ] {
        let memory = Arc::new(Memory::default());
        let path = Path::new("data/remote/segment-0000000000000001");
        memory.put(path, bytes);
        let files: Arc<dyn Files> = Arc::<Memory>::clone(&memory);
        let error = Queue::open(files, Path::new("data"), vec![], 1 << 20, 1 << 20)
            .err()
            .unwrap();
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(memory.content()[path], bytes);
    }
}

#[test]
fn who_is_no_longer_sent_to_holds_nothing_back_and_who_is_new_gets_what_is_there() {
    let memory = Arc::new(Memory::default());
    let queue = open(&memory);
    queue.push((0..3).map(|id| block(id, 1, 100)).collect(), 0);
    assert_eq!(send(&queue, 0), [0, 1, 2]);
    queue.tidy();
    let files: Arc<dyn Files> = Arc::<Memory>::clone(&memory);
    let names = vec!["a".to_owned(), "c".to_owned()];
    let queue = Queue::open(files, Path::new("data"), names, 1 << 20, 1 << 20).unwrap();
    assert_eq!(send(&queue, 0), Vec::<u32>::new());
    assert_eq!(send(&queue, 1), [0, 1, 2]);
    queue.tidy();
    assert_eq!(memory.content().len(), 2, "two cursors are left");
}

#[test]
fn a_healthy_queue_costs_one_write_a_block_and_few_bytes() {
    let memory = Arc::new(Memory::default());
    let queue = open(&memory);
    let before = memory.writes();
    for id in 0..1_000 {
        queue.push(vec![block(id, 1, 20_000)], 0);
        send(&queue, 0);
        send(&queue, 1);
    }
    assert_eq!(memory.writes() - before, 1_000);
    queue.tidy();
    assert!(memory.bytes() < 1_100_000, "{}", memory.bytes());
}

#[derive(Clone, Debug)]
enum Step {
    Push {
        samples: u32,
        bytes: usize,
    },
    /// The next is answered: all given, or a part.
    Answer {
        nth: usize,
        part: bool,
    },
    /// The attempt failed.
    Fail(usize),
    Tidy,
    Full(bool),
    Broken,
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..9_u32, 4..150_000_usize).prop_map(|(samples, bytes)| Step::Push { samples, bytes }),
        6 => (0..2_usize, any::<bool>()).prop_map(|(nth, part)| Step::Answer { nth, part }),
        2 => (0..2_usize).prop_map(Step::Fail),
        3 => Just(Step::Tidy),
        1 => any::<bool>().prop_map(Step::Full),
        1 => Just(Step::Broken),
        1 => Just(Step::Kill),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_uncounted_in_any_history(steps in steps()) {
        let mut memory = Arc::new(Memory::default());
        let mut queue = open_sized(&memory, 1 << 20, 200_000);
        let mut sizes: Vec<u32> = Vec::new();
        let mut healthy = true;
        // A disk that writes a part and cannot take it back may show it twice to the next process.
        let (mut was_broken, mut repeats) = (false, false);
        // Of each destination: answered, the last one answered in this life, samples dropped or killed.
        let mut answered = [BTreeSet::new(), BTreeSet::new()];
        let mut last = [None, None];
        let mut flying: [Option<Arc<Block>>; 2] = [None, None];
        let mut dropped = [0_u64; 2];
        let mut unsure = [0_u64; 2];
        for step in steps {
            match step {
                Step::Push { samples, bytes } => {
                    queue.push(vec![block(sizes.len() as u32, samples, bytes)], 0);
                    sizes.push(samples);
                }
                Step::Answer { nth, part } => {
                    let wanted = flying[nth].take().or_else(|| next(&queue, nth));
                    if let Some(block) = wanted {
                        let given = if part { u64::from(block.samples / 2) } else { u64::from(block.samples) };
                        queue.passed(nth, given);
                        prop_assert!(repeats || last[nth] < Some(id(&block)), "order");
                        last[nth] = Some(id(&block));
                        answered[nth].insert(id(&block));
                    }
                }
                Step::Fail(nth) => {
                    let block = flying[nth].take().or_else(|| next(&queue, nth));
                    if block.is_some() && queue.is_wanted(nth) {
                        flying[nth] = block;
                    }
                }
                Step::Tidy => queue.tidy(),
                Step::Full(is_full) => {
                    healthy = !is_full;
                    memory.set_broken(false);
                    memory.set_full(is_full);
                }
                Step::Broken => {
                    (healthy, was_broken) = (false, true);
                    memory.set_broken(true);
                }
                Step::Kill => {
                    memory.set_broken(false);
                    if healthy {
                        // All that is taken is written.
                        queue.tidy();
                    }
                    // An attempt that has no second one dies with the process.
                    let last_chance = [0, 1].map(|nth| queue.index.lock().last_chance_samples(nth));
                    let before = [0, 1].map(|nth| queue.count(nth) - last_chance[nth]);
                    let unwritten = queue.index.lock().tail_samples();
                    for (nth, dropped) in dropped.iter_mut().enumerate() {
                        *dropped += lost(&queue, nth);
                    }
                    memory = memory.after_kill();
                    queue = open_sized(&memory, 1 << 20, 200_000);
                    flying = [None, None];
                    last = [None, None];
                    for nth in 0..2 {
                        let there = queue.count(nth);
                        unsure[nth] += last_chance[nth];
                        if healthy {
                            prop_assert!(there >= before[nth], "{there} of {}", before[nth]);
                        } else {
                            unsure[nth] += unwritten;
                        }
                    }
                    healthy = true;
                    repeats |= was_broken;
                }
            }
            check(&queue);
        }
        memory.set_broken(false);
        queue.tidy();
        for nth in 0..2 {
            if flying[nth].is_some() && queue.is_wanted(nth) {
                let block = flying[nth].take().unwrap();
                queue.passed(nth, u64::from(block.samples));
                answered[nth].insert(id(&block));
            }
            let rest = send(&queue, nth);
            prop_assert!(repeats || rest.is_sorted_by(|one, other| one < other));
            answered[nth].extend(rest);
            dropped[nth] += lost(&queue, nth);
            let missing = sizes.iter().enumerate().filter(|(id, _)| !answered[nth].contains(&(*id as u32)));
            let missing: u64 = missing.map(|(_, samples)| u64::from(*samples)).sum();
            prop_assert!(missing <= dropped[nth] + unsure[nth], "{missing} missing, {} dropped", dropped[nth]);
        }
        check(&queue);
        prop_assert!(queue.is_empty());
    }
}
