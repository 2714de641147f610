//! When a process that has just started, or stood still, knows enough to act. Pure.
//!
//! What the other replica did meanwhile is in the shared map, so that is heard first; and a replica without data
//! lets a fuller one lead, while it copies.

use std::time::Duration;

use crate::config::Config;

/// After this time the other replica is no longer taken for one that told something meanwhile.
const UNAWARE: Duration = Duration::from_secs(15 * 60);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Copied {
    /// There is data, or nobody to copy from.
    NotNeeded,
    /// No data, and nobody heard who has some.
    Wanted,
    /// The share that has been copied.
    Running(f64),
    /// Also when it failed or took too long: there is nothing more to wait for.
    Done,
}

#[derive(Clone, Debug)]
pub(crate) struct Start {
    lead_patience: Duration,
    copy_patience: Duration,
    /// There is nobody to wait for.
    alone: bool,
    pub(crate) since: Duration,
    /// The whole shared map of the other has been heard since.
    caught_up: bool,
    /// And with it we know all that either told: of two disks with data none is missing.
    aware: bool,
    /// We have spoken before that: what we wrote then hides what it knew.
    spoke_unaware: bool,
    has_data: bool,
    /// Something was told before both replicas lost their disks, and not all of it may be known.
    pub(crate) has_forgotten: bool,
    pub(crate) copied: Copied,
    /// This process stood still before `since`: what lay waiting for it may be old.
    stood: bool,
    is_open: bool,
}

/// What there is to know of the other replica.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Other {
    /// Since the start, and not too long ago.
    pub(crate) heard: bool,
    /// It has data, and has copied what it wanted.
    pub(crate) is_full: bool,
    pub(crate) holds: bool,
}

impl Start {
    pub(crate) fn new(now: Duration, has_data: bool, config: &Config) -> Self {
        Self {
            lead_patience: config.lead_patience,
            copy_patience: config.copy_patience,
            alone: config.peer.is_none(),
            since: now,
            caught_up: false,
            aware: false,
            spoke_unaware: false,
            has_data,
            has_forgotten: false,
            copied: if has_data {
                Copied::NotNeeded
            } else {
                Copied::Wanted
            },
            stood: false,
            is_open: false,
        }
    }

    /// This process stood still, and others may have acted.
    pub(crate) fn again(&mut self, now: Duration) {
        self.since = now;
        (self.caught_up, self.aware, self.spoke_unaware) = (false, false, false);
        self.stood = true;
        self.is_open = false;
    }

    /// The whole map of the other has been heard: in the answer to something asked at a time, or unasked.
    /// It may have begun without data, and may not know itself what we told in an earlier life.
    pub(crate) fn heard_all(&mut self, asked: Option<Duration>, began_empty: bool, aware: bool) {
        let counts = !self.stood || asked.is_some_and(|asked| asked >= self.since);
        self.caught_up |= counts;
        let knows_all = match (self.has_data, !began_empty) {
            (true, true) => true,
            (false, false) => !self.has_forgotten,
            (true, false) => false,
            (false, true) => aware,
        };
        self.aware |= counts && knows_all;
    }

    pub(crate) fn speaks(&mut self) {
        self.spoke_unaware |= !self.aware;
    }

    /// Whether samples have to wait, because older ones are still to come.
    pub(crate) fn holds_samples(&self) -> bool {
        !self.alone
            && match self.copied {
                Copied::Running(_) => true,
                Copied::Wanted => !self.is_open,
                Copied::NotNeeded | Copied::Done => false,
            }
    }

    /// Whether we may take a free lease, and act. Once it is so it stays so, until [`Self::again`].
    pub(crate) fn is_open(&mut self, now: Duration, other: Other) -> bool {
        if !self.is_open {
            self.is_open = self.opens(now.saturating_sub(self.since), other);
        }
        self.is_open
    }

    fn opens(&self, waited: Duration, other: Other) -> bool {
        if self.alone || waited >= self.copy_patience {
            return true;
        }
        if !other.heard {
            return waited >= self.lead_patience;
        }
        let copies = matches!(self.copied, Copied::Wanted | Copied::Running(_)) && other.is_full;
        let lets_lead = copies && (other.holds || waited < self.lead_patience);
        self.caught_up && !lets_lead
    }

    /// Whether the other replica may have told what this one does not know of.
    pub(crate) fn is_unaware(&self, now: Duration) -> bool {
        !self.alone && (self.spoke_unaware || !self.aware) && now.saturating_sub(self.since) < UNAWARE
    }

    /// Whether nothing is waited for any more.
    pub(crate) fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) >= self.copy_patience
    }

    /// For the page.
    pub(crate) fn word(&self) -> String {
        match (&self.copied, self.is_open) {
            (Copied::Running(share), _) => format!("copying {:.0} %", share * 100.0),
            (_, true) => "ready".to_owned(),
            (_, false) => "starting".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Other = Other {
        heard: false,
        is_full: false,
        holds: false,
    };
    const EMPTY: Other = Other {
        heard: true,
        ..NOBODY
    };
    const FULL: Other = Other {
        is_full: true,
        ..EMPTY
    };
    const LEADS: Other = Other { holds: true, ..FULL };

    fn opens(has_data: bool, other: Other, change: impl Fn(&mut Start)) -> Option<u64> {
        let config = Config {
            peer: Some("http://b".to_owned()),
            ..Config::default()
        };
        let mut start = Start::new(Duration::ZERO, has_data, &config);
        change(&mut start);
        (0..100).find(|second| start.is_open(Duration::from_secs(*second), other))
    }

    #[test]
    fn with_data_it_waits_for_the_map_of_the_other_or_for_nobody_to_speak() {
        assert_eq!(opens(true, NOBODY, |_| {}), Some(10));
        assert_eq!(opens(true, FULL, |start| start.caught_up = true), Some(0));
        assert_eq!(opens(true, FULL, |_| {}), Some(60));
    }

    #[test]
    fn without_data_it_lets_a_fuller_one_lead_and_copies() {
        let caught_up = |start: &mut Start| start.caught_up = true;
        assert_eq!(opens(false, EMPTY, caught_up), Some(0));
        assert_eq!(
            opens(false, FULL, caught_up),
            Some(10),
            "it had its time to take the lease"
        );
        assert_eq!(opens(false, LEADS, caught_up), Some(60), "copying takes too long");
        let copied = |start: &mut Start| (start.caught_up, start.copied) = (true, Copied::Done);
        assert_eq!(opens(false, LEADS, copied), Some(0));
    }

    #[test]
    fn after_standing_still_only_an_answer_to_a_new_question_counts() {
        let config = Config {
            peer: Some("http://b".to_owned()),
            ..Config::default()
        };
        let mut start = Start::new(Duration::ZERO, true, &config);
        start.heard_all(None, false, true);
        assert!(start.is_open(Duration::ZERO, FULL));
        let now = Duration::from_secs(100);
        start.again(now);
        start.heard_all(None, false, true);
        start.heard_all(Some(Duration::from_secs(39)), false, true);
        assert!(!start.is_open(now, FULL));
        start.heard_all(Some(now), false, true);
        assert!(start.is_open(now, FULL));
    }

    #[test]
    fn one_that_begins_without_the_other_knows_that_it_may_repeat_it() {
        let config = Config {
            peer: Some("http://b".to_owned()),
            ..Config::default()
        };
        let mut start = Start::new(Duration::ZERO, true, &config);
        let lead = config.lead_patience;
        assert!(start.is_open(lead, NOBODY) && start.is_unaware(lead));
        assert!(!start.is_unaware(UNAWARE));
        start.heard_all(None, true, true);
        assert!(start.is_unaware(lead), "its disk is gone");
        start.heard_all(None, false, true);
        assert!(!start.is_unaware(lead));
        start.again(UNAWARE);
        assert!(start.is_unaware(UNAWARE + lead));
        start.speaks();
        start.heard_all(Some(UNAWARE + lead), false, true);
        assert!(start.is_unaware(UNAWARE + lead), "it has spoken");
        assert!(!start.is_unaware(UNAWARE * 2));
        let mut fresh = Start::new(Duration::ZERO, false, &config);
        fresh.heard_all(None, true, true);
        assert!(!fresh.is_unaware(lead), "nobody can have told anything");
        let mut fresh = Start::new(Duration::ZERO, false, &config);
        fresh.heard_all(None, false, false);
        assert!(
            fresh.is_unaware(lead),
            "what this one told is gone, and the other was away"
        );
        fresh.heard_all(None, false, true);
        assert!(!fresh.is_unaware(lead));
        let mut fresh = Start::new(Duration::ZERO, false, &config);
        fresh.has_forgotten = true;
        fresh.heard_all(None, true, true);
        assert!(
            fresh.is_unaware(lead),
            "what was told last may not have been written down"
        );
    }

    #[test]
    fn samples_wait_for_older_ones_that_are_to_be_copied() {
        let config = Config {
            peer: Some("http://b".to_owned()),
            ..Config::default()
        };
        let holds = |has_data| Start::new(Duration::ZERO, has_data, &config).holds_samples();
        assert!(holds(false) && !holds(true));
        let mut start = Start::new(Duration::ZERO, false, &config);
        assert!(start.is_open(config.lead_patience, NOBODY) && !start.holds_samples());
        start.copied = Copied::Running(0.5);
        assert!(start.holds_samples());
        start.copied = Copied::Done;
        assert!(!start.holds_samples());
        assert!(!Start::new(Duration::ZERO, false, &Config::default()).holds_samples());
    }

    #[test]
    fn one_alone_waits_for_nobody() {
        let mut start = Start::new(Duration::ZERO, false, &Config::default());
        assert!(start.is_open(Duration::ZERO, NOBODY));
        assert!(!start.is_unaware(Duration::ZERO));
    }
}
