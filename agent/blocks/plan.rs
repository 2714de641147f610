//! Which blocks are made one next, and which are kept no longer. Pure thought: blocks are known by their numbers.
//!
//! Small blocks become longer ones in steps of three, and those that overlap become one, by the rules of Prometheus'
//! leveled compaction (prometheus/prometheus tsdb/compact.go), so that either of the two finds the other's folder in
//! order.

use std::time::Duration;

use model::Timestamp;
use model::time::millis;

use crate::meta::Span;

/// Blocks that come from memory are so long, and begin at a multiple of it.
pub const SPAN: Duration = Duration::from_hours(2);
const SPAN_MAX: Duration = Duration::from_hours(31 * 24);
const STEP: i64 = 3;

/// What is to be known of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sketch {
    pub(crate) span: Span,
    pub(crate) bytes: u64,
    pub(crate) series: u64,
    /// Deletions that still take their place on disk.
    pub(crate) tombstones: u64,
    /// It could not be compacted.
    pub(crate) failed: bool,
}

/// Lengths of blocks, shortest first: a tenth of the retention at most, and never more than 31 days.
pub(crate) fn lengths(retention: Duration) -> Vec<i64> {
    let most = millis(SPAN_MAX.min(retention / 10).max(SPAN));
    std::iter::successors(Some(millis(SPAN)), |length| length.checked_mul(STEP))
        .take_while(|length| *length <= most)
        .collect()
}

/// The blocks that are to become one, by their places in `blocks`, which begin in order. Empty when all is well.
pub(crate) fn next(blocks: &[Sketch], lengths: &[i64]) -> Vec<usize> {
    let able: Vec<usize> = (0..blocks.len())
        .filter(|at| !blocks.get(*at).is_some_and(|block| block.failed))
        .collect();
    let overlapping = overlapping(blocks, &able);
    if !overlapping.is_empty() {
        return overlapping;
    }
    // The newest is left alone: somebody may be copying it, and more may come to it.
    let Some((_, older)) = able.split_last() else {
        return Vec::new();
    };
    let adjacent = adjacent(blocks, older, lengths);
    if adjacent.is_empty() {
        deleted(blocks, older, lengths)
    } else {
        adjacent
    }
}

fn span(blocks: &[Sketch], at: usize) -> Span {
    let none = Span {
        start: Timestamp(0),
        end: Timestamp(0),
    };
    blocks.get(at).map_or(none, |block| block.span)
}

/// The oldest blocks that overlap each other, in a chain.
fn overlapping(blocks: &[Sketch], able: &[usize]) -> Vec<usize> {
    let mut chain: Vec<usize> = Vec::new();
    let mut end = Timestamp::MIN;
    for at in able {
        let Span { start, end: ends } = span(blocks, *at);
        if start >= end {
            if chain.len() > 1 {
                return chain;
            }
            chain.clear();
        }
        chain.push(*at);
        end = end.max(ends);
    }
    if chain.len() > 1 { chain } else { Vec::new() }
}

/// The first blocks that fill a longer one, or that lie before the newest of them in one that will not fill.
fn adjacent(blocks: &[Sketch], older: &[usize], lengths: &[i64]) -> Vec<usize> {
    let Some(newest) = older.last().map(|at| span(blocks, *at).start) else {
        return Vec::new();
    };
    for length in lengths.iter().skip(1) {
        for group in grouped(blocks, older, *length) {
            let (Some(first), Some(last)) = (group.first(), group.last()) else {
                continue;
            };
            let (start, end) = (span(blocks, *first).start, span(blocks, *last).end);
            let whole = end.0.saturating_sub(start.0) == *length;
            if group.len() > 1 && (whole || end <= newest) {
                return group;
            }
        }
    }
    Vec::new()
}

/// Blocks that lie within the same multiple of a length, for each that has any.
fn grouped(blocks: &[Sketch], older: &[usize], length: i64) -> Vec<Vec<usize>> {
    let mut groups: Vec<(i64, Vec<usize>)> = Vec::new();
    for at in older {
        let Span { start, end } = span(blocks, *at);
        let slot = start.0.div_euclid(length);
        if end.0 > slot.saturating_add(1).saturating_mul(length) {
            continue;
        }
        match groups.last_mut().filter(|(known, _)| *known == slot) {
            Some((_, group)) => group.push(*at),
            None => groups.push((slot, vec![*at])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// A long block of which much is deleted, or one of which all is.
fn deleted(blocks: &[Sketch], older: &[usize], lengths: &[i64]) -> Vec<usize> {
    let long = lengths.get(lengths.len() / 2).copied().unwrap_or(i64::MAX);
    for at in older.iter().rev() {
        let Some(block) = blocks.get(*at) else { continue };
        if block.span.length() < long {
            if block.tombstones > 0 && block.tombstones >= block.series {
                return vec![*at];
            }
            return Vec::new();
        }
        if block.tombstones.saturating_mul(20) > block.series.saturating_add(1) {
            return vec![*at];
        }
    }
    Vec::new()
}

/// Blocks that go, oldest first: all of whose samples are older than the retention, and then as many as are too many
/// bytes. The newest always stays, however old and large: its end is rounded, and a clock may be wrong.
pub(crate) fn expired(
    blocks: &[Sketch],
    now: Timestamp,
    retention: Duration,
    bytes_max: Option<u64>,
) -> Vec<usize> {
    let newest = (0..blocks.len()).max_by_key(|at| span(blocks, *at).end);
    // Counted from the newest sample: a clock that jumps ahead takes no history with it.
    let newest_end = newest.map_or(now, |at| span(blocks, at).end);
    let cutoff = now.min(newest_end) - retention;
    let mut oldest: Vec<usize> = (0..blocks.len()).filter(|at| Some(*at) != newest).collect();
    oldest.sort_by_key(|at| (span(blocks, *at).end, span(blocks, *at).start));
    let mut total: u64 = blocks.iter().map(|block| block.bytes).sum();
    let mut gone = Vec::new();
    for at in oldest {
        let Some(block) = blocks.get(at) else { continue };
        let old = block.span.end <= cutoff;
        if old || bytes_max.is_some_and(|most| total > most) {
            total -= block.bytes;
            gone.push(at);
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn block(start: i64, end: i64) -> Sketch {
        Sketch {
            span: Span {
                start: Timestamp(start * HOUR),
                end: Timestamp(end * HOUR),
            },
            bytes: 100,
            series: 10,
            tombstones: 0,
            failed: false,
        }
    }

    fn planned(blocks: &[(i64, i64)]) -> Vec<usize> {
        let blocks: Vec<_> = blocks.iter().map(|(start, end)| block(*start, *end)).collect();
        next(&blocks, &lengths(Duration::from_hours(15 * 24)))
    }

    #[test]
    fn blocks_are_a_tenth_of_the_retention_at_most() {
        let hours = |retention: u64| -> Vec<i64> {
            let all = lengths(Duration::from_hours(retention));
            all.iter().map(|length| length / HOUR).collect()
        };
        assert_eq!(hours(6), [2]);
        assert_eq!(hours(60), [2, 6]);
        assert_eq!(hours(15 * 24), [2, 6, 18]);
        assert_eq!(hours(3650 * 24), [2, 6, 18, 54, 162, 486]);
    }

    #[test]
    fn three_blocks_become_one_once_a_newer_is_there() {
        assert!(planned(&[(0, 2), (2, 4), (4, 6)]).is_empty());
        assert_eq!(planned(&[(0, 2), (2, 4), (4, 6), (6, 8)]), [0, 1, 2]);
        assert!(
            planned(&[(2, 4), (4, 6), (6, 8)]).is_empty(),
            "another may come between"
        );
        assert_eq!(planned(&[(2, 4), (4, 6), (6, 8), (8, 10)]), [0, 1], "with a gap");
        assert_eq!(
            planned(&[(0, 6), (6, 12), (12, 18), (18, 20), (20, 22)]),
            [0, 1, 2]
        );
        assert!(planned(&[(0, 18), (18, 20)]).is_empty());
        assert!(planned(&[]).is_empty());
    }

    #[test]
    fn blocks_that_overlap_become_one_first() {
        assert_eq!(planned(&[(0, 2), (2, 4), (3, 5)]), [1, 2]);
        assert_eq!(planned(&[(0, 2), (0, 2)]), [0, 1]);
        assert_eq!(planned(&[(0, 10), (1, 2), (3, 4), (12, 14)]), [0, 1, 2]);
    }

    #[test]
    fn what_failed_is_left_alone() {
        let mut blocks: Vec<_> = [(0, 2), (1, 4), (4, 6), (6, 8), (8, 10)]
            .map(|(start, end)| block(start, end))
            .to_vec();
        blocks[0].failed = true;
        assert_eq!(next(&blocks, &lengths(Duration::from_hours(360))), [1, 2]);
    }

    #[test]
    fn what_is_deleted_gives_its_room_back() {
        let mut blocks: Vec<_> = [(0, 18), (18, 24), (24, 26)]
            .map(|(start, end)| block(start, end))
            .to_vec();
        let lengths = lengths(Duration::from_hours(360));
        assert!(next(&blocks, &lengths).is_empty());
        blocks[0].tombstones = 1;
        assert_eq!(next(&blocks, &lengths), [0]);
    }

    #[test]
    fn the_oldest_go_and_the_newest_stays() {
        let blocks: Vec<_> = [(0, 2), (2, 4), (4, 6)]
            .map(|(start, end)| block(start, end))
            .to_vec();
        let gone = |now: i64, hours, bytes_max| {
            expired(
                &blocks,
                Timestamp(now * HOUR),
                Duration::from_hours(hours),
                bytes_max,
            )
        };
        assert!(gone(6, 5, None).is_empty());
        assert_eq!(gone(6, 4, None), [0]);
        assert_eq!(gone(1_000_000, 1, None), [0, 1]);
        assert!(gone(1_000_000, 100, None).is_empty(), "the clock jumped");
        assert_eq!(gone(6, 100, Some(200)), [0]);
        assert_eq!(gone(6, 100, Some(10)), [0, 1]);
    }
}
