//! What may be lost although nothing is lost yet: how long until the kubelet deletes what has not been read, and how
//! much room deleted files take that only we still hold.
//!
//! A deleted file is read to its end as long as this process lives. So that it cannot fill the disk, there is a budget:
//! beyond it the container that takes most of it loses its oldest file, and the bytes are counted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::{Outlet, Reader};
use crate::mark::Form;
use crate::tail::{End, Phase};

/// Below this nobody is behind.
const BACKLOG_BYTES_MIN: u64 = 1 << 20;
/// How fast is measured over about so long.
const SPEED_WINDOW: Duration = Duration::from_secs(60);

/// How fast a container writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speed {
    measured: Instant,
    written: u64,
    bytes_per_second: f64,
}

impl Speed {
    fn new(written: u64, now: Instant) -> Self {
        Self {
            measured: now,
            written,
            bytes_per_second: 0.0,
        }
    }

    /// `written` is all that was ever written, as far as is known; it may shrink when files go.
    fn measure(&mut self, written: u64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.measured).as_secs_f64();
        if elapsed < 1.0 {
            return;
        }
        let speed = written.saturating_sub(self.written) as f64 / elapsed;
        let weight = (elapsed / SPEED_WINDOW.as_secs_f64()).min(1.0);
        self.bytes_per_second += weight * (speed - self.bytes_per_second);
        (self.measured, self.written) = (now, written);
    }
}

/// What the files of a source come to.
#[derive(Default)]
struct Sum {
    size: u64,
    unread: u64,
    /// Of files that have no name any more.
    pinned: u64,
    /// These files, with how long each has been quiet and its size.
    pinned_files: Vec<(Instant, usize, u64)>,
}

/// Seconds until something unread is deleted, when `keeps` bytes are kept of each container.
fn seconds_until_loss(sum: &Sum, bytes_per_second: f64, keeps: u64) -> f64 {
    if !sum.pinned_files.is_empty() {
        return 0.0;
    }
    if sum.unread < BACKLOG_BYTES_MIN || bytes_per_second <= 0.0 {
        return f64::INFINITY;
    }
    keeps.saturating_sub(sum.unread) as f64 / bytes_per_second
}

impl<O: Outlet> Reader<O> {
    /// Looks at all containers, and lets go of what is beyond the budget.
    pub(super) fn look_for_danger(&mut self, now: Instant) {
        let mut sums: HashMap<Arc<str>, Sum> = HashMap::new();
        for (file, tail) in self.tails.iter().enumerate() {
            let Some(tail) = tail.as_ref().filter(|tail| tail.end.is_none() && !tail.copy) else {
                continue;
            };
            let sum = sums.entry(Arc::clone(&tail.base)).or_default();
            sum.size += tail.size;
            sum.unread += tail.unread();
            if matches!(tail.phase, Phase::Deleted(_)) && tail.unread() > 0 {
                sum.pinned += tail.size;
                sum.pinned_files.push((tail.quiet_since(), file, tail.size));
            }
        }
        let mut soonest = f64::INFINITY;
        for (base, sum) in &sums {
            let Some(source) = self.sources.get_mut(base) else {
                continue;
            };
            let speed = source.speed.get_or_insert_with(|| Speed::new(sum.size, now));
            speed.measure(sum.size, now);
            let is_container = source.files.iter().any(|file| {
                let tail = self.tails.get(*file).and_then(Option::as_ref);
                // Docker deletes what it was told to, each container otherwise, and by default nothing.
                tail.is_some_and(|tail| tail.form == Form::Cri && tail.facts.is_none())
            });
            if is_container {
                let seconds = seconds_until_loss(sum, speed.bytes_per_second, self.config.containers_keep);
                soonest = soonest.min(seconds);
            }
        }
        self.account.seconds_until_loss.set(soonest);
        for sum in sums.values_mut() {
            sum.pinned_files.sort_unstable_by(|left, right| right.cmp(left));
        }
        let mut pinned: u64 = sums.values().map(|sum| sum.pinned).sum();
        while pinned > self.config.pinned_bytes_max
            && let Some(noisiest) = sums.values_mut().max_by_key(|sum| sum.pinned)
            && let Some((_, file, size)) = noisiest.pinned_files.pop()
        {
            noisiest.pinned -= size;
            pinned -= size;
            self.shed(file, now);
        }
        self.account.pinned.set(pinned as f64);
    }

    /// Lets go of a deleted file that has not been read to its end.
    fn shed(&mut self, file: usize, now: Instant) {
        let Some(tail) = self.tail(file) else { return };
        let (unread, path) = (tail.unread(), Arc::clone(&tail.path));
        warn!(path = %path, bytes = unread, "deleted log file let go unread: deleted files take more room than logs.pinned_bytes_max");
        self.account.shed.inc_by(unread);
        // What is open in it cannot be ended by what comes after the hole.
        self.flush_open(file);
        let is_first = self
            .tails
            .get(file)
            .and_then(Option::as_ref)
            .and_then(|tail| self.sources.get(&tail.base))
            .is_some_and(|source| source.queue.front() == Some(&file));
        if is_first {
            self.next_file(file, now);
        } else {
            self.end(file, End::Gone, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_as_far_away_as_the_room_that_is_left_at_the_speed_of_writing() {
        let sum = |unread, pinned: Option<usize>| Sum {
            unread,
            pinned_files: pinned.map(|file| (Instant::now(), file, 1)).into_iter().collect(),
            ..Sum::default()
        };
        let keeps = 50 << 20;
        assert_eq!(
            seconds_until_loss(&sum(40 << 20, None), f64::from(1 << 20), keeps),
            10.0
        );
        assert_eq!(seconds_until_loss(&sum(60 << 20, None), 1.0, keeps), 0.0);
        assert_eq!(seconds_until_loss(&sum(0, None), 1e9, keeps), f64::INFINITY);
        assert_eq!(
            seconds_until_loss(&sum(40 << 20, None), 0.0, keeps),
            f64::INFINITY
        );
        assert_eq!(seconds_until_loss(&sum(10, Some(1)), 1.0, keeps), 0.0);
    }

    #[test]
    fn a_speed_follows_what_is_written_and_does_not_mind_files_that_go() {
        let start = Instant::now();
        let mut speed = Speed::new(0, start);
        for second in 1..=600u64 {
            speed.measure(second * 1_000, start + Duration::from_secs(second));
        }
        assert!((speed.bytes_per_second - 1_000.0).abs() < 1.0, "{speed:?}");
        speed.measure(0, start + Duration::from_secs(601));
        assert!((0.0..=1_000.0).contains(&speed.bytes_per_second), "{speed:?}");
    }
}
