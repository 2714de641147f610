//! A log group and the place reached in it.
//!
//! Events are told apart by the ids that AWS gives them. Each look goes a little behind the place reached; now and then one
//! goes as far behind as late events are waited for. The place moves only behind a window that was read to its end.

use std::collections::HashMap;
use std::time::Duration;

use model::Timestamp;
use xxhash_rust::xxh3::xxh3_128;

/// How far behind the place reached each look begins.
const OVERLAP: Duration = Duration::from_secs(30);
/// Longest time that is read in one go, so that the place moves also while much is read.
const WINDOW: Duration = Duration::from_secs(3_600);
/// Ids remembered of a group; beyond it only those of the last looks.
const SEEN_MAX: usize = 200_000;
/// A quiet group is looked at so much more seldom.
const QUIET_MAX: u32 = 12;

/// From when until when a group is read in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    is_sweep: bool,
}

#[derive(Debug)]
pub(crate) struct Group {
    /// Everything that happened before this and was not late has been read.
    tip: Timestamp,
    lateness: Duration,
    /// When late events are looked for again.
    sweeps: Timestamp,
    /// Nothing before this is read again: its ids are not known any more.
    floor: Timestamp,
    /// Ids of what has been read, hashed, and when it happened.
    seen: HashMap<u128, Timestamp>,
    /// How many looks found nothing.
    quiet: u32,
}

impl Group {
    /// Goes on behind `tip`.
    pub(crate) fn new(tip: Timestamp, lateness: Duration) -> Self {
        Self {
            tip,
            lateness,
            sweeps: Timestamp::MIN,
            floor: Timestamp::MIN,
            seen: HashMap::new(),
            quiet: 0,
        }
    }

    /// One that nobody has read: everything since `since`.
    pub(crate) fn since(since: Timestamp, lateness: Duration) -> Self {
        Self::new(since + lateness, lateness)
    }

    pub(crate) fn tip(&self) -> Timestamp {
        self.tip
    }

    /// What is to be read now.
    pub(crate) fn window(&self, now: Timestamp) -> Window {
        let is_sweep = self.sweeps <= now;
        let behind = if is_sweep { self.lateness } else { OVERLAP };
        // A clock that went back may not make the window an empty one for good.
        let from = (self.tip.min(now) - behind).max(self.floor.min(now));
        Window {
            from,
            until: now.min(self.tip.max(from) + WINDOW),
            is_sweep,
        }
    }

    /// Whether an event has not been read before.
    pub(crate) fn is_new(&self, id: &str) -> bool {
        !self.seen.contains_key(&xxh3_128(id.as_bytes()))
    }

    /// An event has been kept.
    pub(crate) fn keep(&mut self, id: &str, time: Timestamp) {
        self.seen.insert(xxh3_128(id.as_bytes()), time);
    }

    /// A window has been read to its end, with so many new events.
    pub(crate) fn read(&mut self, window: Window, events: u64) {
        self.tip = window.until;
        if window.is_sweep {
            self.sweeps = window.until + self.lateness / 2;
        }
        self.quiet = match events {
            0 => (self.quiet + 1).min(QUIET_MAX),
            _ => 0,
        };
        let oldest = self.tip - self.lateness;
        self.seen.retain(|_, time| *time >= oldest);
        if self.seen.len() > SEEN_MAX {
            self.floor = self.tip - OVERLAP;
            let floor = self.floor;
            self.seen.retain(|_, time| *time >= floor);
        }
    }

    /// Until the next look.
    pub(crate) fn pause(&self, poll: Duration, now: Timestamp) -> Duration {
        // There is more to be read.
        if now.since(self.tip) > WINDOW {
            return Duration::ZERO;
        }
        poll * self.quiet.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATENESS: Duration = Duration::from_secs(300);

    fn at(second: i64) -> Timestamp {
        Timestamp(1_700_000_000_000 + second * 1_000)
    }

    #[test]
    fn windows_leave_no_gap_and_go_back_for_late_events() {
        let mut group = Group::since(at(0), LATENESS);
        let (mut read_until, mut sweeps) = (at(0), 0);
        let mut now = at(10_000);
        for _ in 0..200 {
            let window = group.window(now);
            assert!(
                window.from <= read_until && window.until >= window.from,
                "{window:?}"
            );
            assert!(window.until.since(window.from) <= WINDOW + LATENESS);
            sweeps += u32::from(window.from <= window.until - LATENESS);
            read_until = window.until;
            group.read(window, 1);
            now = now + Duration::from_secs(10);
        }
        assert_eq!(read_until, now - Duration::from_secs(10));
        assert!((10..=20).contains(&sweeps), "{sweeps} sweeps in 2,000 seconds");
    }

    #[test]
    fn an_event_is_new_once_for_as_long_as_it_may_be_read_again() {
        let mut group = Group::since(at(0), LATENESS);
        assert!(group.is_new("1"));
        group.keep("1", at(100));
        let mut now = at(110);
        while now < at(1_000) {
            let window = group.window(now);
            assert!(window.from > at(100) || !group.is_new("1"), "{window:?}");
            group.read(window, 0);
            now = now + Duration::from_secs(10);
        }
        assert!(group.seen.is_empty());
    }

    #[test]
    fn so_many_events_that_they_cannot_be_remembered_are_not_read_twice() {
        let mut group = Group::since(at(0), LATENESS);
        let window = group.window(at(300));
        for nth in 0..=SEEN_MAX {
            group.keep(&nth.to_string(), at(10));
        }
        group.read(window, 1);
        assert!(group.seen.is_empty());
        assert_eq!(group.window(at(900)).from, at(270));
    }

    #[test]
    fn a_quiet_group_is_looked_at_more_and_more_seldom_until_something_comes() {
        let poll = Duration::from_secs(10);
        let mut group = Group::since(at(0), LATENESS);
        for _ in 0..50 {
            let window = group.window(at(400));
            group.read(window, 0);
        }
        assert_eq!(group.pause(poll, at(400)), Duration::from_secs(120));
        let window = group.window(at(400));
        group.read(window, 3);
        assert_eq!(group.pause(poll, at(400)), poll);
        assert_eq!(group.pause(poll, at(10_000)), Duration::ZERO, "it is behind");
    }
}
