//! One series over time: when it is asked for again, and which of its points may still change.

use std::collections::VecDeque;
use std::time::Duration;

use model::{SeriesRef, TargetRef, Timestamp};

use crate::fetch::{Got, PERIOD};

/// What has had no point for so long is asked for less often, and after the longer time less often still.
const QUIET: Duration = Duration::from_secs(3_600);
const SILENT: Duration = Duration::from_secs(6 * 3_600);
const QUIET_INTERVAL: Duration = Duration::from_secs(900);
const SILENT_INTERVAL: Duration = Duration::from_secs(3_600);

/// Why a minute is asked for again, and what that has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) new: u64,
    /// Other than when it was first there.
    pub(crate) revised: u64,
    /// Behind a later one.
    pub(crate) late: u64,
}

#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) target: TargetRef,
    pub(crate) series: SeriesRef,
    /// Nothing of this minute or before will be asked for again.
    settled: Option<Timestamp>,
    /// When it was last asked for, and answered.
    asked: Option<Timestamp>,
    /// Points that may still change.
    recent: VecDeque<(Timestamp, f64)>,
    /// Of its newest point.
    newest: Option<Timestamp>,
    /// Since when it has had none.
    empty_since: Option<Timestamp>,
    /// Somebody waits for it.
    pub(crate) is_urgent: bool,
}

/// Points to be kept, in the order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Points {
    pub(crate) proper: Vec<(Timestamp, f64)>,
    pub(crate) provisional: Vec<(Timestamp, f64)>,
}

/// What is true of every series of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// Minutes up to here no longer change.
    pub(crate) settled: Timestamp,
    /// Minutes up to here are there, if there is anything at all.
    pub(crate) complete: Timestamp,
}

impl Track {
    #[must_use]
    pub(crate) fn new(target: TargetRef, series: SeriesRef) -> Self {
        Self {
            target,
            series,
            settled: None,
            asked: None,
            recent: VecDeque::new(),
            newest: None,
            empty_since: None,
            is_urgent: false,
        }
    }

    #[must_use]
    pub(crate) fn asked(&self) -> Option<Timestamp> {
        self.asked
    }

    #[must_use]
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// Whether nobody expects anything of it at the moment.
    #[must_use]
    pub(crate) fn is_quiet(&self, now: Timestamp) -> bool {
        self.empty_since.is_some_and(|since| now.since(since) >= QUIET)
    }

    /// Its resource has changed: it may have come alive.
    pub(crate) fn rearm(&mut self) {
        self.empty_since = None;
    }

    /// With what is planned for it; what has long had no point can wait.
    #[must_use]
    pub(crate) fn interval(&self, planned: Duration, now: Timestamp) -> Duration {
        let quiet = self.empty_since.map(|since| now.since(since));
        match quiet {
            Some(quiet) if quiet >= SILENT => planned.max(SILENT_INTERVAL),
            Some(quiet) if quiet >= QUIET => planned.max(QUIET_INTERVAL),
            _ => planned,
        }
    }

    /// When it is asked for next: at the next whole interval, so that series of one interval are asked for together.
    #[must_use]
    pub(crate) fn due(&self, interval: Duration, phase: Duration, now: Timestamp) -> Timestamp {
        // The clock may have gone back since: how long ago that was nobody knows.
        let Some(asked) = self.asked.filter(|asked| *asked <= now) else {
            return Timestamp::MIN;
        };
        let (interval, phase) = (model::time::millis(interval).max(1), model::time::millis(phase));
        let nth = (asked.millis() - phase).div_euclid(interval) + 1;
        Timestamp(nth * interval + phase)
    }

    /// The first minute that is asked for.
    #[must_use]
    pub(crate) fn start(&self, earliest: Timestamp) -> Timestamp {
        self.settled
            .map_or(earliest, |settled| (settled + PERIOD).max(earliest))
    }

    /// Sorts what came into what stands and what may still change.
    pub(crate) fn take(&mut self, got: &Got, zero: bool, window: &Window, now: Timestamp) -> (Points, Seen) {
        let mut seen = Seen::default();
        let mut points = Points::default();
        let mut recent = VecDeque::with_capacity(self.recent.len());
        let before = |minute: Timestamp| self.settled.is_some_and(|settled| minute <= settled);
        for (minute, value) in filled(got, zero, window, self.settled) {
            if before(minute) {
                continue;
            }
            let known = self.recent.iter().find(|(known, _)| *known == minute);
            let is_new = match known {
                Some((_, was)) if was.to_bits() == value.to_bits() => false,
                Some(_) => {
                    seen.revised += 1;
                    true
                }
                None => {
                    seen.new += 1;
                    seen.late += u64::from(self.newest.is_some_and(|newest| minute < newest));
                    true
                }
            };
            if minute <= window.settled {
                points.proper.push((minute, value));
            } else {
                recent.push_back((minute, value));
                if is_new {
                    points.provisional.push((minute, value));
                }
            }
        }
        let last = recent.back().or(points.proper.last()).map(|(minute, _)| *minute);
        if last.is_some() {
            self.newest = self.newest.max(last);
            self.empty_since = None;
        } else if got.is_complete {
            self.empty_since.get_or_insert(now);
        }
        if got.is_complete {
            self.settled = self.settled.max(Some(window.settled.min(window.end - PERIOD)));
            self.asked = Some(now);
            self.recent = recent;
        } else {
            // What is not all there is asked for again, from the last minute that is.
            let certain = points.proper.last().map(|(minute, _)| *minute);
            self.settled = self.settled.max(certain);
            for point in recent {
                self.recent.retain(|(minute, _)| *minute != point.0);
                self.recent.push_back(point);
            }
        }
        self.is_urgent &= !got.is_complete;
        (points, seen)
    }
}

/// The points of an answer, and zeros where nothing was said of what counts.
fn filled<'a>(
    got: &'a Got,
    zero: bool,
    window: &Window,
    settled: Option<Timestamp>,
) -> Box<dyn Iterator<Item = (Timestamp, f64)> + 'a> {
    if !zero || !got.is_complete {
        return Box::new(got.points.iter().copied());
    }
    let first = settled.map_or(window.start, |settled| (settled + PERIOD).max(window.start));
    let last = window.complete.min(window.end - PERIOD);
    let mut minute = first;
    let mut given = got.points.iter().copied().peekable();
    Box::new(std::iter::from_fn(move || {
        if let Some(point) = given.next_if(|(time, _)| *time <= minute || minute > last) {
            if point.0 == minute {
                minute = minute + PERIOD;
            }
            return Some(point);
        }
        if minute > last {
            return None;
        }
        let empty = (minute, 0.0);
        minute = minute + PERIOD;
        Some(empty)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn at(minute: i64) -> Timestamp {
        Timestamp(minute * MINUTE)
    }

    fn got(points: &[(i64, f64)]) -> Got {
        Got {
            points: points
                .iter()
                .map(|(minute, value)| (at(*minute), *value))
                .collect(),
            is_complete: true,
            why: None,
        }
    }

    fn window(start: i64, now: i64) -> Window {
        Window {
            start: at(start),
            end: at(now),
            settled: at(now - 5),
            complete: at(now - 2),
        }
    }

    fn track() -> Track {
        Track::new(TargetRef(0), SeriesRef(0))
    }

    #[test]
    fn a_minute_may_change_until_it_is_settled_and_stands_then() {
        let mut track = track();
        let (points, seen) = track.take(
            &got(&[(3, 1.0), (8, 2.0), (9, 1.0)]),
            false,
            &window(0, 10),
            at(10),
        );
        assert_eq!(points.proper, [(at(3), 1.0)]);
        assert_eq!(points.provisional, [(at(8), 2.0), (at(9), 1.0)]);
        assert_eq!(
            seen,
            Seen {
                new: 3,
                ..Seen::default()
            }
        );
        assert_eq!(track.start(at(0)), at(6));
        // Nine is other now, seven has come late, and eight is settled.
        let again = got(&[(7, 4.0), (8, 2.0), (9, 3.0), (11, 5.0)]);
        let (points, seen) = track.take(&again, false, &window(6, 13), at(13));
        assert_eq!(points.proper, [(at(7), 4.0), (at(8), 2.0)]);
        assert_eq!(points.provisional, [(at(9), 3.0), (at(11), 5.0)]);
        assert_eq!((seen.new, seen.revised, seen.late), (2, 1, 1));
    }

    #[test]
    fn what_counts_is_zero_where_nothing_is_said_but_not_yet_in_the_newest_minutes() {
        let mut track = track();
        let (points, _) = track.take(&got(&[(2, 7.0), (9, 1.0)]), true, &window(0, 10), at(10));
        let minutes: Vec<(i64, f64)> = points
            .proper
            .iter()
            .chain(&points.provisional)
            .map(|(time, value)| (time.millis() / MINUTE, *value))
            .collect();
        assert_eq!(
            minutes,
            [
                (0, 0.0),
                (1, 0.0),
                (2, 7.0),
                (3, 0.0),
                (4, 0.0),
                (5, 0.0),
                (6, 0.0),
                (7, 0.0),
                (8, 0.0),
                (9, 1.0)
            ]
        );
    }

    #[test]
    fn an_answer_that_broke_off_settles_nothing_behind_its_last_point() {
        let mut track = track();
        let broken = Got {
            is_complete: false,
            ..got(&[(1, 1.0), (2, 2.0)])
        };
        let (points, _) = track.take(&broken, true, &window(0, 10), at(10));
        assert_eq!(points.proper.len(), 2);
        assert_eq!((track.start(at(0)), track.asked()), (at(3), None));
    }

    #[test]
    fn series_of_one_interval_are_due_together() {
        let mut track = track();
        let (five, phase) = (Duration::from_secs(300), Duration::from_secs(20));
        assert_eq!(track.due(five, phase, at(7)), Timestamp::MIN);
        track.take(&got(&[]), false, &window(0, 7), at(7));
        assert_eq!(track.due(five, phase, at(7)), at(10) + phase);
        assert_eq!(track.due(five, phase, at(6)), Timestamp::MIN);
        assert_eq!(track.interval(five, at(66)), five);
        assert_eq!(track.interval(five, at(68)), QUIET_INTERVAL);
        assert_eq!(track.interval(five, at(400)), SILENT_INTERVAL);
        track.rearm();
        assert_eq!(track.interval(five, at(400)), five);
    }
}
