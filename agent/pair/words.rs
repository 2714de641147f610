//! The table of words: what each replica last said of every alert, and what both together have still to say.
//!
//! Bounded: beyond that the oldest is forgotten, resolved ones first, and counted; a firing one comes again within
//! a minute. Nothing waits in a queue but the newest state of an alert.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{AlertEvent, AlertState, Ledger, Timestamp};

use crate::merge::{Word, judge};

pub(crate) const WORDS_MAX: usize = 20_000;
/// Shortest time that a firing word stands without being said again: rules say it each minute.
const LIFE_MIN: Duration = Duration::from_secs(300);
/// How long a resolved alert is remembered; rules speak of it for a quarter of an hour.
const RESOLVED_KEPT: Duration = Duration::from_secs(20 * 60);
/// How long what nobody says any more is kept up.
const FIRING_KEPT: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub(crate) struct Words {
    own: BTreeMap<u64, Word>,
    peer: BTreeMap<u64, Word>,
    /// In which order ours were last said: number → fingerprint, and back.
    order: BTreeMap<u64, u64>,
    numbers: BTreeMap<u64, u64>,
    seq: u64,
    /// What was last handed on.
    told: BTreeMap<u64, AlertState>,
    waiting: BTreeSet<u64>,
    counts: bool,
    taken: u64,
    given: u64,
    coalesced: u64,
    nothing_new: u64,
    forgotten: u64,
}

impl Words {
    /// Our own rules say something.
    pub(crate) fn own(&mut self, event: AlertEvent, now: Duration, wall: Timestamp) {
        let fingerprint = event.fingerprint;
        self.seq += 1;
        if let Some(number) = self.numbers.insert(fingerprint, self.seq) {
            self.order.remove(&number);
        }
        self.order.insert(self.seq, fingerprint);
        put(&mut self.own, event, now, wall);
        self.mark(fingerprint);
        if self.own.len() > WORDS_MAX
            && let Some(oldest) = oldest(&self.own)
        {
            self.forget_own(oldest);
            self.forgotten += 1;
        }
    }

    /// The other replica's rules say something; `wall` is its clock.
    pub(crate) fn peers(&mut self, event: AlertEvent, now: Duration, wall: Timestamp) {
        let fingerprint = event.fingerprint;
        put(&mut self.peer, event, now, wall);
        self.mark(fingerprint);
        if self.peer.len() > WORDS_MAX
            && let Some(oldest) = oldest(&self.peer)
        {
            self.peer.remove(&oldest);
            self.forgotten += 1;
        }
    }

    /// Another life of the peer: what the last one knew is no evidence any more, until it is said again.
    /// True if there is anything left of it.
    pub(crate) fn peer_is_new(&mut self) -> bool {
        self.peer.retain(|_, word| word.fires());
        for word in self.peer.values_mut() {
            word.event.known = false;
        }
        let all: Vec<u64> = self.peer.keys().copied().collect();
        for fingerprint in &all {
            self.mark(*fingerprint);
        }
        !all.is_empty()
    }

    /// This process stood still: what its rules said before is no evidence any more, until they say it again.
    pub(crate) fn doubt_own(&mut self) {
        let firing = self
            .own
            .iter()
            .filter(|(_, word)| word.fires() && word.event.known);
        let firing: Vec<u64> = firing.map(|(fingerprint, _)| *fingerprint).collect();
        for fingerprint in firing {
            self.seq += 1;
            if let Some(number) = self.numbers.insert(fingerprint, self.seq) {
                self.order.remove(&number);
            }
            self.order.insert(self.seq, fingerprint);
            if let Some(word) = self.own.get_mut(&fingerprint) {
                word.event.known = false;
            }
            self.mark(fingerprint);
        }
    }

    /// Whether what the peer said counts; what it alone said is told again when that changes.
    pub(crate) fn count_peer(&mut self, counts: bool) {
        if std::mem::replace(&mut self.counts, counts) == counts {
            return;
        }
        if !counts {
            // When it is heard again, only what it says then counts.
            for word in self.peer.values_mut().filter(|word| word.fires()) {
                word.event.known = false;
            }
        }
        let firing = self.peer.iter().filter(|(_, word)| word.fires());
        let firing: Vec<u64> = firing.map(|(fingerprint, _)| *fingerprint).collect();
        for fingerprint in firing {
            self.mark(fingerprint);
        }
    }

    pub(crate) fn counts_peer(&self) -> bool {
        self.counts
    }

    /// Whether the peer keeps something up without evidence of which our rules know nothing, or only that it ended some
    /// time before: they should adopt it.
    pub(crate) fn has_orphans(&self) -> bool {
        let mut firing = self.peer.iter().filter(|(_, word)| word.fires());
        firing.any(|(fingerprint, word)| {
            let own = self.own.get(fingerprint);
            let knows = own.is_some_and(|own| own.fires() || own.since >= word.since);
            (!word.event.known || !self.counts) && !knows
        })
    }

    /// What both together say of the next alert that waits; the caller hands it on and says so, or leaves it.
    pub(crate) fn next(&mut self, now: Duration, epoch: u64) -> Option<AlertEvent> {
        while let Some(fingerprint) = self.waiting.first().copied() {
            let was = self.told.get(&fingerprint).copied();
            let (own, peer) = (self.own.get(&fingerprint), self.peer.get(&fingerprint));
            if let Some(event) = judge(own, peer, self.counts, was, now) {
                return Some(AlertEvent { epoch, ..event });
            }
            self.waiting.remove(&fingerprint);
            self.nothing_new += 1;
        }
        None
    }

    pub(crate) fn handed_on(&mut self, fingerprint: u64, state: AlertState) {
        if self.waiting.remove(&fingerprint) {
            self.given += 1;
            self.told.insert(fingerprint, state);
        }
    }

    /// What our rules said after number `since`, at most about `bytes_max` (but one at least), and up to which number
    /// that is everything.
    pub(crate) fn since(&self, since: u64, bytes_max: usize) -> (Vec<AlertEvent>, u64) {
        let (mut said, mut bytes, mut upto) = (Vec::new(), 0, since);
        for (number, fingerprint) in self.order.range(since + 1..) {
            let Some(word) = self.own.get(fingerprint) else {
                continue;
            };
            bytes += size(&word.event);
            if bytes > bytes_max && !said.is_empty() {
                return (said, upto);
            }
            said.push(word.event.clone());
            upto = *number;
        }
        (said, self.seq)
    }

    /// The number of the newest of our words.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// Lets go of what is over.
    pub(crate) fn tidy(&mut self, now: Duration) {
        let over = |word: &Word| {
            let (said, kept) = if word.fires() {
                (word.heard_at + word.life, FIRING_KEPT)
            } else {
                (word.since, RESOLVED_KEPT)
            };
            now > said + kept
        };
        let both = self.own.keys().chain(self.peer.keys());
        let all: BTreeSet<u64> = both.copied().collect();
        for fingerprint in all {
            let words = [self.own.get(&fingerprint), self.peer.get(&fingerprint)];
            if !words.into_iter().flatten().all(over) {
                continue;
            }
            self.forget_own(fingerprint);
            self.peer.remove(&fingerprint);
            self.told.remove(&fingerprint);
            if self.waiting.remove(&fingerprint) {
                self.nothing_new += 1;
            }
        }
        let (own, peer, waiting) = (&self.own, &self.peer, &self.waiting);
        let is_known = |fingerprint: &u64| {
            own.contains_key(fingerprint) || peer.contains_key(fingerprint) || waiting.contains(fingerprint)
        };
        self.told.retain(|fingerprint, _| is_known(fingerprint));
    }

    /// Words of our own and of the peer.
    pub(crate) fn lengths(&self) -> [usize; 2] {
        [self.own.len(), self.peer.len()]
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// `taken` counts each time that there was something to say of an alert.
    pub(crate) fn ledger(&self) -> Ledger {
        Ledger {
            things: "alert events",
            taken: self.taken,
            given: self.given,
            dropped: [("coalesced", self.coalesced), ("nothing_new", self.nothing_new)].into(),
            in_flight: self.waiting.len() as u64,
        }
    }

    fn mark(&mut self, fingerprint: u64) {
        self.taken += 1;
        if !self.waiting.insert(fingerprint) {
            self.coalesced += 1;
        }
    }

    fn forget_own(&mut self, fingerprint: u64) {
        self.own.remove(&fingerprint);
        if let Some(number) = self.numbers.remove(&fingerprint) {
            self.order.remove(&number);
        }
    }
}

fn put(words: &mut BTreeMap<u64, Word>, event: AlertEvent, now: Duration, wall: Timestamp) {
    let fires = event.state == AlertState::Firing;
    let was = words.get(&event.fingerprint);
    let same = was.filter(|was| was.event.state == event.state);
    let since = match same.filter(|was| fires || was.event.ends_at == event.ends_at) {
        // What is found again fires anew: meanwhile the other may have found that it had ended.
        Some(was) if was.event.known || !event.known => was.since,
        // Taken over and never found out: that it fires is no news since any moment.
        None if fires && !event.known => Duration::ZERO,
        // After a restart ends are said again that have been known for long.
        None if !fires => now.saturating_sub(wall.since(event.ends_at)),
        _ => now,
    };
    let word = Word {
        heard_at: now,
        since,
        life: event.ends_at.since(wall).max(LIFE_MIN),
        event,
    };
    words.insert(word.event.fingerprint, word);
}

/// Resolved ones first.
fn oldest(words: &BTreeMap<u64, Word>) -> Option<u64> {
    let oldest = words.iter().min_by_key(|(_, word)| (word.fires(), word.heard_at));
    oldest.map(|(fingerprint, _)| *fingerprint)
}

/// About how long it is when written.
fn size(event: &AlertEvent) -> usize {
    let pairs = event.labels.iter().chain(event.annotations.iter());
    let pairs: usize = pairs.map(|(name, value)| name.len() + value.len() + 8).sum();
    pairs + event.generator_url.len() + 300
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;

    fn event(nth: usize, state: AlertState, known: bool) -> AlertEvent {
        let labels = Labels::from_pairs([("alertname", format!("A{nth}"))]);
        AlertEvent {
            fingerprint: labels.fingerprint(),
            labels,
            annotations: Labels::empty(),
            state,
            active_at: Timestamp(0),
            starts_at: Timestamp(0),
            ends_at: Timestamp(0),
            value: 0.0,
            generator_url: String::new(),
            epoch: 1,
            known,
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Hands everything on.
    fn hand_on(words: &mut Words, now: Duration) -> Vec<AlertEvent> {
        let mut said = Vec::new();
        while let Some(event) = words.next(now, 7) {
            words.handed_on(event.fingerprint, event.state);
            said.push(event);
        }
        assert!(words.ledger().balances(), "{:?}", words.ledger());
        said
    }

    #[test]
    fn what_waits_is_the_newest_state_and_carries_the_epoch() {
        let mut words = Words::default();
        words.own(event(1, AlertState::Firing, true), seconds(0), Timestamp(0));
        words.own(event(1, AlertState::Resolved, true), seconds(60), Timestamp(0));
        let said = hand_on(&mut words, seconds(60));
        assert_eq!(
            (said.len(), said[0].state, said[0].epoch),
            (1, AlertState::Resolved, 7)
        );
        assert_eq!(words.ledger().dropped["coalesced"], 1);
    }

    #[test]
    fn what_only_a_lost_peer_said_goes_on_until_it_is_adopted_and_found_out() {
        let mut words = Words::default();
        words.count_peer(true);
        words.peers(event(1, AlertState::Firing, true), seconds(0), Timestamp(0));
        assert!(hand_on(&mut words, seconds(0))[0].known);
        assert!(!words.has_orphans());
        words.count_peer(false);
        assert!(words.has_orphans());
        let said = hand_on(&mut words, seconds(20));
        assert_eq!(
            (said.len(), said[0].state, said[0].known),
            (1, AlertState::Firing, false)
        );
        words.own(event(1, AlertState::Firing, false), seconds(30), Timestamp(0));
        assert!(!words.has_orphans());
        assert!(!hand_on(&mut words, seconds(30))[0].known);
        words.own(event(1, AlertState::Resolved, true), seconds(90), Timestamp(0));
        assert_eq!(hand_on(&mut words, seconds(90))[0].state, AlertState::Resolved);
    }

    #[test]
    fn an_end_from_before_it_was_found_again_ends_nothing_once_it_is_not_known_again() {
        let mut words = Words::default();
        words.count_peer(true);
        let wall = |seconds: i64| Timestamp(seconds * 1000);
        let fires = |known| event(1, AlertState::Firing, known);
        words.own(fires(true), seconds(100), wall(100));
        words.own(fires(false), seconds(200), wall(200));
        let ended = AlertEvent {
            ends_at: wall(210),
            ..event(1, AlertState::Resolved, true)
        };
        words.peers(ended, seconds(210), wall(210));
        assert_eq!(hand_on(&mut words, seconds(210))[0].state, AlertState::Resolved);
        // The peer is away, and ours find that it fires; then they know no more.
        words.own(fires(true), seconds(300), wall(300));
        assert_eq!(hand_on(&mut words, seconds(300))[0].state, AlertState::Firing);
        words.own(fires(false), seconds(400), wall(400));
        let said = hand_on(&mut words, seconds(400));
        assert!(
            said.iter().all(|said| said.state == AlertState::Firing),
            "{said:?}"
        );
    }

    #[test]
    fn an_end_from_before_a_restart_ends_nothing_that_began_since() {
        let mut words = Words::default();
        words.count_peer(true);
        let wall = |seconds: i64| Timestamp(seconds * 1000);
        words.peers(event(1, AlertState::Firing, true), seconds(100), wall(100));
        hand_on(&mut words, seconds(100));
        // The peer no longer knows, and our rules are back and say what they knew.
        words.peers(event(1, AlertState::Firing, false), seconds(200), wall(200));
        let ended = |at: i64| AlertEvent {
            ends_at: wall(at),
            ..event(1, AlertState::Resolved, true)
        };
        words.own(ended(50), seconds(201), wall(201));
        assert!(words.has_orphans());
        let said = hand_on(&mut words, seconds(201));
        assert!(
            said.iter().all(|said| said.state == AlertState::Firing),
            "{said:?}"
        );
        words.own(ended(50), seconds(261), wall(261));
        assert!(
            hand_on(&mut words, seconds(261))
                .iter()
                .all(|said| said.state == AlertState::Firing)
        );
        // An end that they have found out since is one.
        words.own(ended(270), seconds(271), wall(271));
        assert!(!words.has_orphans());
        assert_eq!(hand_on(&mut words, seconds(271))[0].state, AlertState::Resolved);
    }

    #[test]
    fn another_life_of_the_peer_knows_nothing_until_it_speaks() {
        let mut words = Words::default();
        words.count_peer(true);
        words.peers(event(1, AlertState::Firing, true), seconds(0), Timestamp(0));
        words.peers(event(2, AlertState::Resolved, true), seconds(0), Timestamp(0));
        hand_on(&mut words, seconds(0));
        words.peer_is_new();
        assert!(!hand_on(&mut words, seconds(1))[0].known);
        assert_eq!(words.lengths(), [0, 1]);
    }

    #[test]
    fn words_go_out_in_the_order_last_said_in_parts() {
        let mut words = Words::default();
        for nth in 0..10 {
            words.own(event(nth, AlertState::Firing, true), seconds(0), Timestamp(0));
        }
        words.own(event(0, AlertState::Resolved, true), seconds(1), Timestamp(0));
        let (mut since, mut names, mut parts) = (0, Vec::new(), 0);
        while since < words.seq() {
            let (said, upto) = words.since(since, 1_000);
            names.extend(
                said.iter()
                    .map(|event| event.labels.value("alertname").to_owned()),
            );
            (since, parts) = (upto, parts + 1);
        }
        assert_eq!(
            names,
            ["A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "A0"]
        );
        assert!(parts > 2);
        assert!(words.since(since, 1_000).0.is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_what_is_over_goes() {
        let mut words = Words::default();
        for nth in 0..WORDS_MAX + 10 {
            let state = if nth < 5 {
                AlertState::Resolved
            } else {
                AlertState::Firing
            };
            words.own(event(nth, state, true), seconds(nth as u64 / 100), Timestamp(0));
        }
        assert_eq!(words.lengths(), [WORDS_MAX, 0]);
        assert_eq!(words.forgotten(), 10);
        hand_on(&mut words, seconds(200));
        let mut words = Words::default();
        words.own(event(1, AlertState::Resolved, true), seconds(0), Timestamp(0));
        words.own(event(2, AlertState::Firing, true), seconds(0), Timestamp(0));
        words.tidy(seconds(20 * 60 + 1));
        assert_eq!(words.lengths(), [1, 0]);
        words.tidy(seconds(2 * 3600));
        assert_eq!(words.lengths(), [0, 0]);
        assert!(words.ledger().balances());
    }
}
