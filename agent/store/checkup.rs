//! What `skopos doctor` is told of the samples: whether they are taken, safe, and may stay as long as they are to.

use model::text::{bytes, duration};
use model::view::{Checkup, Kept};
use prometheus::IntCounterVec;
use prometheus::core::Collector;

use crate::store::Store;

const ROOM: &str = "store";
/// Share of the write-ahead log's queue from which on the disk is too slow.
const SLOW: f64 = 0.5;
/// Share of `retention.size` from which on blocks are about to go for it.
const NEARLY_FULL: f64 = 0.95;

/// The disk under the data directory.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub free_bytes: u64,
    pub all_bytes: u64,
}

/// What became of the write-ahead log and of blocks since the start.
#[derive(Clone, Copy, Default)]
struct Writing {
    /// Samples that wait for the log, and most that may.
    waiting: (usize, usize),
    /// Writes that failed, and samples that are missing in the log.
    failed: u64,
    missing: u64,
    /// Windows that could not become a block, compactions that failed.
    not_sealed: u64,
    not_compacted: u64,
}

impl Store {
    /// `disk` is none where it cannot be asked for its room.
    #[must_use]
    pub fn checkups(&self, disk: Option<Room>) -> Vec<Checkup> {
        let kept = self.view();
        let wal = &self.accounts.wal;
        let writing = Writing {
            waiting: self.log_waiting(),
            failed: wal.failures.get(),
            missing: total(&wal.dropped),
            not_sealed: self.accounts.sealing.failures.get(),
            not_compacted: self.accounts.sealing.compactions_failed.get(),
        };
        let mut checkups = vec![memory(&kept), log(&writing)];
        if kept.has_blocks {
            checkups.push(blocks(&kept, &writing));
            checkups.push(retention(&kept));
        }
        checkups.extend(disk.map(|disk| room(&kept, disk, self.config.wal_bytes_max)));
        checkups
    }
}

/// Over all reasons.
fn total(counters: &IntCounterVec) -> u64 {
    let families = counters.collect();
    let metrics = families.iter().flat_map(|family| family.get_metric());
    metrics
        .map(|metric| metric.get_counter().get_value() as u64)
        .sum()
}

/// Whether new series are taken.
fn memory(kept: &Kept) -> Checkup {
    const NAME: &str = "new series";
    let whose = match kept.guard_level {
        0 => "",
        1 => "of targets and writers",
        2 => "of targets, writers and machines",
        _ => "of everybody",
    };
    if kept.guard_level > 0 {
        return Checkup::fail(ROOM, NAME, format!("memory runs short: new series {whose} are refused"))
            .advise("give the process more memory, or drop metrics; /self#samples and /api/v1/status/tsdb say whose there are");
    }
    let refused: Vec<_> = kept.refused.iter().filter(|(_, count)| *count > 0).collect();
    if refused.is_empty() {
        return Checkup::ok(
            ROOM,
            NAME,
            format!("{} series, and none was refused", kept.series),
        );
    }
    let count: u64 = refused.iter().map(|(_, count)| count).sum();
    Checkup::warn(
        ROOM,
        NAME,
        format!("series were refused {count} times since the start"),
    )
    .advise("what they measure is not kept: raise the limit in store, or let the target say less")
    .list(refused.iter().map(|(reason, count)| format!("{reason}: {count}")))
}

/// Whether what is in memory is on the disk as well.
fn log(writing: &Writing) -> Checkup {
    const NAME: &str = "write-ahead log";
    let (waiting, most) = writing.waiting;
    let share = waiting as f64 / most.max(1) as f64;
    let advice = "make room on the disk, or a faster one: what is not in the log is lost when Skopos ends";
    if share >= SLOW {
        return Checkup::fail(
            ROOM,
            NAME,
            format!("{waiting} samples wait for the disk, of {most} that may"),
        )
        .advise(advice);
    }
    if writing.failed > 0 || writing.missing > 0 {
        let seen = format!(
            "{} writes failed since the start, and {} samples are missing in the log",
            writing.failed, writing.missing
        );
        return Checkup::warn(ROOM, NAME, seen).advise(advice);
    }
    Checkup::ok(ROOM, NAME, format!("{waiting} samples wait for the disk"))
}

fn blocks(kept: &Kept, writing: &Writing) -> Checkup {
    const NAME: &str = "blocks";
    let mut findings = Vec::new();
    if kept.broken > 0 {
        findings.push(format!("{} cannot be read and were left out", kept.broken));
    }
    if writing.not_sealed > 0 {
        findings.push(format!(
            "{} times since the start one could not be written",
            writing.not_sealed
        ));
    }
    if writing.not_compacted > 0 {
        findings.push(format!(
            "{} times since the start several could not be made one",
            writing.not_compacted
        ));
    }
    if findings.is_empty() {
        return Checkup::ok(
            ROOM,
            NAME,
            format!("{} on disk, all of them can be read", kept.blocks.len()),
        );
    }
    Checkup::warn(ROOM, NAME, "something is wrong with blocks on disk")
        .advise("the log names them; a disk that is full or broken is the usual reason")
        .list(findings)
}

/// Whether samples stay for as long as they are asked to.
fn retention(kept: &Kept) -> Checkup {
    const NAME: &str = "retention";
    let held: u64 = kept.blocks.iter().map(|block| block.bytes).sum();
    let time = duration::short(kept.retention);
    if kept.retention_bytes == 0 {
        return Checkup::ok(
            ROOM,
            NAME,
            format!("{} of blocks, kept for {time}", bytes(held as f64)),
        );
    }
    let (held_words, most) = (bytes(held as f64), bytes(kept.retention_bytes as f64));
    if held as f64 >= NEARLY_FULL * kept.retention_bytes as f64 {
        return Checkup::warn(
            ROOM,
            NAME,
            format!("{held_words} of blocks, of {most} that may be: the oldest go before {time} have passed"),
        )
        .advise("raise store.retention.size, or lower store.retention.time to what it comes to");
    }
    Checkup::ok(
        ROOM,
        NAME,
        format!("{held_words} of blocks, of {most} that may be, kept for {time}"),
    )
}

/// Whether the disk has room for what may be kept.
fn room(kept: &Kept, disk: Room, log_bytes_max: u64) -> Checkup {
    const NAME: &str = "disk";
    let held: u64 = kept.blocks.iter().map(|block| block.bytes).sum();
    let free = bytes(disk.free_bytes as f64);
    let share = disk.free_bytes as f64 / disk.all_bytes.max(1) as f64;
    if share < 0.02 || disk.free_bytes < 64 << 20 {
        return Checkup::fail(
            ROOM,
            NAME,
            format!("the disk of the data directory has {free} left"),
        )
        .advise("make room: samples, alert state and log lines are about to be no longer kept");
    }
    // The log is there already, in part; it counts in full, as one block more does that is being made of others.
    let still = kept
        .retention_bytes
        .saturating_sub(held)
        .saturating_add(log_bytes_max);
    if kept.has_blocks && kept.retention_bytes > 0 && disk.free_bytes < still {
        let seen = format!(
            "the disk has {free} left, and blocks and log may take {} more",
            bytes(still as f64)
        );
        return Checkup::warn(ROOM, NAME, seen).advise("lower store.retention.size");
    }
    if share < 0.1 {
        return Checkup::warn(
            ROOM,
            NAME,
            format!("the disk of the data directory has {free} left"),
        )
        .advise("make room, or lower store.retention.size and logs.retention.size");
    }
    Checkup::ok(ROOM, NAME, format!("the disk has {free} left"))
}

#[cfg(test)]
mod tests {
    use model::view::{Block, Verdict};

    use super::*;

    const GIB: u64 = 1 << 30;

    fn kept() -> Kept {
        Kept {
            series: 100,
            has_blocks: true,
            blocks: vec![Block {
                bytes: GIB,
                ..Block::default()
            }],
            retention: std::time::Duration::from_secs(15 * 86_400),
            retention_bytes: 10 * GIB,
            ..Kept::default()
        }
    }

    fn disk(free_gib: u64) -> Room {
        Room {
            free_bytes: free_gib * GIB,
            all_bytes: 200 * GIB,
        }
    }

    #[test]
    fn refused_series_are_bad_while_memory_is_short_and_a_warning_afterwards() {
        let mut kept = kept();
        assert_eq!(memory(&kept).verdict, Verdict::Ok);
        kept.refused = vec![("limit", 0), ("memory", 7)];
        let told = memory(&kept);
        assert_eq!(
            (told.verdict, told.findings.as_slice()),
            (Verdict::Warn, &["memory: 7".to_owned()][..])
        );
        kept.guard_level = 2;
        assert_eq!(memory(&kept).verdict, Verdict::Fail);
    }

    #[test]
    fn a_disk_that_takes_nothing_fails_before_samples_are_lost() {
        let at = |waiting| {
            log(&Writing {
                waiting: (waiting, 1000),
                ..Writing::default()
            })
        };
        assert_eq!(at(499).verdict, Verdict::Ok);
        assert_eq!(at(500).verdict, Verdict::Fail);
        let failed = Writing {
            failed: 1,
            waiting: (0, 1000),
            ..Writing::default()
        };
        assert_eq!(log(&failed).verdict, Verdict::Warn);
    }

    #[test]
    fn blocks_that_cannot_be_read_are_counted() {
        let mut kept = kept();
        assert_eq!(blocks(&kept, &Writing::default()).verdict, Verdict::Ok);
        kept.broken = 2;
        let told = blocks(&kept, &Writing::default());
        assert_eq!((told.verdict, told.findings.len()), (Verdict::Warn, 1));
    }

    #[test]
    fn a_retention_that_is_used_up_cuts_the_time() {
        let mut kept = kept();
        assert_eq!(retention(&kept).verdict, Verdict::Ok);
        kept.blocks[0].bytes = 10 * GIB - GIB / 4;
        assert_eq!(retention(&kept).verdict, Verdict::Warn);
        kept.retention_bytes = 0;
        assert_eq!(retention(&kept).verdict, Verdict::Ok);
    }

    #[test]
    fn a_disk_has_to_have_room_for_what_may_be_kept() {
        let kept = kept();
        assert_eq!(room(&kept, disk(30), GIB).verdict, Verdict::Ok);
        // 9 GiB of blocks are still to come, and a log of one.
        assert_eq!(room(&kept, disk(9), GIB).verdict, Verdict::Warn);
        assert_eq!(room(&kept, disk(3), GIB).verdict, Verdict::Fail);
        assert_eq!(
            room(&kept, disk(19), GIB).verdict,
            Verdict::Warn,
            "less than a tenth"
        );
    }
}
