//! All that a replica knows and decides, behind one lock; it does no I/O and never waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use journal::{Entry, FORMAT_HIGHEST, FORMAT_LOWEST, Journal};
use model::{Leadership, Timestamp, view};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::beat::{Ack, Beat, Formats, Fullness, HEARD_MAX, Last, MAP_BYTES, Part, WORDS_BYTES};
use crate::config::{Config, Keys};
use crate::elector::{Elector, Stand};
use crate::isolation::Isolation;
use crate::peer::{Got, Order, Peer};
use crate::speech::{self, Scene};
use crate::start::{Copied, Other, Start};
use crate::words::Words;

/// How often senders are named in a beat.
const HEARD_EVERY: Duration = Duration::from_secs(2);
/// How often the table of words is looked through.
const TIDY_EVERY: Duration = Duration::from_secs(5);
/// How long what an earlier life of the peer left is kept, so that rules can adopt it.
pub(crate) const SWEEP_PAUSE: Duration = Duration::from_secs(120);
/// Pause before rules are asked again to adopt what nobody vouches for.
const INHERIT_PAUSE: Duration = Duration::from_secs(60);

/// How long before it has to a holder that cannot renew ceases to lead, so that what follows is said in time.
const MARGIN: Duration = Duration::from_millis(100);

pub(crate) struct Core {
    config: Config,
    name: Arc<str>,
    keys: Arc<Keys>,
    journal: Journal,
    formats: Formats,
    incarnation: u64,
    nth: u64,
    pub(crate) elector: Elector,
    pub(crate) start: Start,
    pub(crate) words: Words,
    pub(crate) peer: Peer,
    /// The highest seen anywhere.
    epoch: u64,
    last: Last,
    leadership: Leadership,
    isolation: Isolation,
    /// What our rules said before this process stood still may still be on its way.
    has_woken: bool,
    quiet_since: Duration,
    ticked_at: Duration,
    was_in_step: bool,
    in_step_at: Option<Duration>,
    unshared: usize,
    /// For which numbers that was counted.
    counted: (u64, u64, u64),
    /// How far the last beat reached, and how far there was to reach.
    sent: Got,
    there_was: Got,
    /// What we say of ourselves has changed since.
    has_claims: bool,
    heard_told_at: Option<Duration>,
    /// The last sender named.
    named: Option<Arc<str>>,
    /// When what earlier lives of the peer left may go: its present one has told all.
    sweep_at: Option<Duration>,
    tidied_at: Duration,
    inherited_at: Option<Duration>,
    inherit_due: bool,
    stopping: bool,
    /// Knows enough to act; as of the last tick.
    open: bool,
    /// There is neither another replica nor anybody to ask.
    alone: bool,
    /// Both disks were lost, and what is known is what was written down elsewhere: the last of it may be missing.
    has_forgotten: bool,
    pub(crate) arbiter_error: String,
    old_epochs: u64,
}

/// Where what is known of epochs lies in the journal.
pub(crate) const KEPT: &str = "pair/epoch";

/// What outlives the process: the highest epoch seen, and who held the lease last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) epoch: u64,
    pub(crate) last: Last,
}

/// What has to be done outside of the lock with a beat that was heard.
pub(crate) struct Heard {
    pub(crate) incarnation: u64,
    pub(crate) entries: Vec<Entry>,
    /// Not to be written: none of the sender's business.
    pub(crate) refused: usize,
    /// From where to where it reaches, and how much there is.
    pub(crate) stretch: Option<(u64, u64, u64)>,
    /// By our clock.
    pub(crate) senders: Option<BTreeMap<Arc<str>, Timestamp>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It bears our own name.
    Namesake,
    /// There is no format that both read.
    Format,
}

impl Core {
    pub(crate) fn new(config: Config, keys: Arc<Keys>, journal: Journal, now: Duration) -> Self {
        let name: Arc<str> = config.name.as_str().into();
        let Kept { epoch, last } = journal.get(KEPT).unwrap_or_default();
        let epoch = epoch.max(journal.epoch());
        let alone = config.peer.is_none() && config.lease_file.is_none();
        journal.set_author(Arc::clone(&name), epoch);
        journal.set_shared(keys.prefixes());
        Self {
            elector: Elector::new(Arc::clone(&name), &config),
            start: Start::new(now, true, &config),
            words: Words::default(),
            peer: Peer::default(),
            formats: Formats {
                lowest: FORMAT_LOWEST,
                highest: FORMAT_HIGHEST,
            },
            // 0 is nobody.
            incarnation: fastrand::u64(1..),
            nth: 0,
            epoch,
            last,
            leadership: if alone {
                Leadership::standalone()
            } else {
                Leadership::unknown()
            },
            isolation: Isolation::default(),
            has_woken: false,
            quiet_since: now,
            ticked_at: now,
            was_in_step: false,
            in_step_at: None,
            unshared: 0,
            counted: (u64::MAX, 0, 0),
            sent: Got::default(),
            there_was: Got::default(),
            has_claims: false,
            heard_told_at: None,
            named: None,
            sweep_at: None,
            tidied_at: now,
            inherited_at: None,
            inherit_due: true,
            stopping: false,
            open: false,
            alone,
            has_forgotten: false,
            arbiter_error: String::new(),
            old_epochs: 0,
            config,
            name,
            keys,
            journal,
        }
    }

    /// Begins: what there is of data is known now.
    pub(crate) fn begin(&mut self, now: Duration, fullness: Fullness, has_arbiter: bool) {
        self.alone = self.config.peer.is_none() && !has_arbiter;
        // Alerts that were written down elsewhere are no data of this replica's.
        let has_data = match self.has_forgotten {
            true => fullness.oldest.is_some(),
            false => !fullness.is_empty(),
        };
        self.start = Start::new(now, has_data, &self.config);
        self.start.has_forgotten = self.has_forgotten;
        (self.ticked_at, self.quiet_since) = (now, now);
    }

    pub(crate) fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys)
    }

    /// Not all that was told before is known.
    pub(crate) fn forgets(&mut self) {
        self.has_forgotten = true;
    }

    /// Looks at everything as it stands; what follows for who leads and who speaks.
    /// `deaf`: there are senders, and none is heard here.
    pub(crate) fn tick(&mut self, now: Duration, deaf: bool) -> Leadership {
        if self.alone {
            self.tidy(now);
            self.inherit_due = false;
            self.leadership = Leadership::standalone();
            return self.leadership.clone();
        }
        if now.saturating_sub(self.ticked_at) > self.config.retry * 2 {
            self.woke(now);
        }
        self.ticked_at = now;
        self.see_lease();
        self.count(now);
        let other = Other {
            heard: self.is_heard(now) && self.peer.heard_at >= Some(self.start.since),
            is_full: self.peer.ready && !self.peer.fullness.is_empty(),
            holds: self.peer.holds || self.other_holds(now),
        };
        self.open = self.start.is_open(now, other) && !self.stopping;
        if self.start.is_over(now) && self.start.copied == Copied::Wanted {
            self.start.copied = Copied::Done;
        }
        let isolated = deaf && self.config.peer.is_some() && !self.is_heard(now);
        if self.isolation.look(now, isolated) {
            warn!("neither the other replica nor any sender is heard here: the other gets the time to lead");
        }
        let here = self.open && self.holds(now);
        let speaks = self.open && speech::speaks(&self.scene(now, here));
        if speaks {
            self.start.speaks();
        }
        if speaks || (self.is_heard(now) && self.peer.speaks) {
            self.quiet_since = now;
        }
        let horizon = now + self.config.retry * 2;
        let good_until = self.elector.good_until().filter(|_| here);
        self.lead(Leadership {
            holder: self.holder(now, here),
            here,
            speaks,
            epoch: self.epoch,
            until: Some(good_until.map_or(horizon, |good| good.min(horizon))),
            unaware: speaks && self.start.is_unaware(now),
        });
        self.leadership.clone()
    }

    /// When to look again at the latest.
    pub(crate) fn wait(&self, now: Duration) -> Duration {
        let good_until = self.elector.good_until().filter(|_| self.leadership.here);
        let ends = good_until.map(|good| good.saturating_sub(now + MARGIN));
        // A round of the clock later it is looked at whatever was due.
        let least = Duration::from_millis(1);
        ends.map_or(self.config.beat, |ends| self.config.beat.min(ends.max(least)))
    }

    pub(crate) fn stand(&self, now: Duration) -> Stand {
        let yields = self.yields(now);
        Stand {
            may: self.open && !yields,
            yields,
            peer_holds: self.is_heard(now) && self.peer.holds,
            peer_is_free: self.config.peer.is_none()
                || (self.peer.heard_within(now, self.config.out_of_step_after) && !self.peer.holds),
            epoch: self.epoch,
        }
    }

    /// Nothing is done any more; whoever reads this is told.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
    }

    /// Whether rules should adopt now what the peer's rules said.
    pub(crate) fn takes_inherit(&mut self, now: Duration) -> bool {
        let due = std::mem::take(&mut self.inherit_due);
        if due {
            self.inherited_at = Some(now);
        }
        due
    }

    /// Whether what our rules said until now is of before this process stood still.
    pub(crate) fn takes_woken(&mut self) -> bool {
        std::mem::take(&mut self.has_woken)
    }

    /// Whether a peer should be copied from, and now.
    pub(crate) fn wants_copy(&self, now: Duration) -> bool {
        self.start.copied == Copied::Wanted
            && self.is_heard(now)
            && self.peer.ready
            && !self.peer.fullness.is_empty()
    }

    /// What is kept on the disk.
    pub(crate) fn kept(&self) -> Kept {
        Kept {
            epoch: self.epoch,
            last: self.last.clone(),
        }
    }

    /// A lease was taken, or a later one was heard of.
    pub(crate) fn learn(&mut self, last: &Last) {
        if last.holder.is_some() && *last > self.last {
            self.last = last.clone();
        }
        if last.epoch > self.epoch {
            self.epoch = last.epoch;
            self.journal.set_author(Arc::clone(&self.name), self.epoch);
        }
    }

    /// Whether there is something that the peer should hear before the next beat is due.
    pub(crate) fn has_news(&self, now: Duration) -> bool {
        let (map, words) = (self.journal.seq(), self.words.seq());
        let news = |all: u64, there_was: u64, sent: u64, acked: u64| {
            all > there_was || (acked >= sent && sent < all)
        };
        let Got {
            map: acked,
            words: acked_words,
        } = self.peer.acked;
        self.peer.heard_within(now, self.config.out_of_step_after)
            && (self.has_claims
                || (self.unshared() > 0 && news(map, self.there_was.map, self.sent.map, acked))
                || news(words, self.there_was.words, self.sent.words, acked_words))
    }

    pub(crate) fn compose(&mut self, now: Duration, wall: Timestamp, fullness: Fullness) -> Beat {
        self.nth += 1;
        self.has_claims = false;
        let keys = Arc::clone(&self.keys);
        let Got {
            map: since,
            words: words_since,
        } = self.peer.acked;
        let (entries, upto) = self
            .journal
            .changed_since(since, self.peer.incarnation, MAP_BYTES, |key| keys.is_shared(key));
        let map = Part {
            since,
            upto,
            all: self.journal.seq(),
            items: entries,
        };
        let (said, words_upto) = self.words.since(words_since, WORDS_BYTES);
        let words = Part {
            since: words_since,
            upto: words_upto,
            all: self.words.seq(),
            items: said,
        };
        self.sent = Got {
            map: map.upto,
            words: words.upto,
        };
        self.there_was = Got {
            map: map.all,
            words: words.all,
        };
        Beat {
            format: self.formats,
            replica: Arc::clone(&self.name),
            incarnation: self.incarnation,
            nth: self.nth,
            now: wall,
            epoch: self.epoch,
            holds: !self.stopping && self.holds(now),
            speaks: self.leadership.may_speak(now),
            in_step: self.peer.follows(now, self.config.out_of_step_after),
            last: self.last.clone(),
            fullness,
            aware: !self.start.is_unaware(now),
            ready: !matches!(self.start.copied, Copied::Wanted | Copied::Running(_)),
            heard: None,
            map,
            words,
            ack: (self.peer.incarnation != 0).then_some(Ack {
                incarnation: self.peer.incarnation,
                map: self.peer.got.map,
                words: self.peer.got.words,
            }),
        }
    }

    /// Whether senders are to be named in this beat.
    pub(crate) fn names_senders(&mut self, now: Duration) -> bool {
        let due = self
            .heard_told_at
            .is_none_or(|at| now.saturating_sub(at) >= HEARD_EVERY);
        if due {
            self.heard_told_at = Some(now);
        }
        due
    }

    /// As many of them as go into a beat; the rest is named in the next ones.
    pub(crate) fn some_of(
        &mut self,
        senders: BTreeMap<Arc<str>, Timestamp>,
    ) -> BTreeMap<Arc<str>, Timestamp> {
        if senders.len() <= HEARD_MAX {
            return senders;
        }
        let after = self.named.take();
        let rest = senders
            .into_iter()
            .filter(|(name, _)| after.as_ref().is_none_or(|after| name > after));
        let some: BTreeMap<_, _> = rest.take(HEARD_MAX).collect();
        if some.len() == HEARD_MAX {
            self.named = some.keys().next_back().cloned();
        }
        some
    }

    /// Whose leavings may go now: all but those of this life of the peer.
    pub(crate) fn takes_sweep(&mut self, now: Duration) -> Option<u64> {
        self.sweep_at
            .take_if(|at| now >= *at)
            .map(|_| self.peer.incarnation)
    }

    /// Takes in a beat, but for the map, which has to be on the disk first: see [`Self::took`].
    pub(crate) fn hear(&mut self, beat: Beat, now: Duration, wall: Timestamp) -> Result<Heard, Refusal> {
        if beat.replica == self.name {
            return Err(Refusal::Namesake);
        }
        let format = self.formats.agree(beat.format).ok_or(Refusal::Format)?;
        self.journal.set_format(format);
        let followed = self.peer.follows(now, self.config.out_of_step_after);
        if !self.is_heard(now) {
            self.peer.named = false;
        }
        let order = self.peer.hear(&beat, now, wall);
        if order == Order::New {
            info!(peer = &*beat.replica, "the other replica is heard");
            // What its last life had firing is nobody's now, unless it says so again.
            self.inherit_due |= self.words.peer_is_new();
            self.sweep_at = None;
            (self.sent, self.there_was) = (Got::default(), Got::default());
        }
        self.claims(&beat, order, now);
        self.learn(&Last {
            epoch: beat.epoch,
            ..Last::default()
        });
        self.learn(&beat.last);
        // What was meant for an earlier life of ours leaves out what that one knew.
        let to_us = beat.ack.is_none_or(|ack| ack.incarnation == self.incarnation);
        if let Some(ack) = beat.ack.filter(|ack| ack.incarnation == self.incarnation) {
            self.peer.acknowledge(ack, now);
        }
        if self.peer.follows(now, self.config.out_of_step_after) != followed {
            // The other would like to hear that it is heard.
            self.has_claims = true;
        }
        let Part {
            since, upto, items, ..
        } = beat.words;
        if to_us && since <= self.peer.got.words && upto > self.peer.got.words {
            for event in items {
                self.words.peers(event, now, beat.now);
            }
            self.peer.got.words = upto;
        }
        let Part {
            since,
            upto,
            all,
            items,
        } = beat.map;
        let sent = items.len();
        let keys = Arc::clone(&self.keys);
        let kept = |entry: Entry| keys.kept_as(entry.key()).map(|key| entry.under(&key));
        let entries: Vec<Entry> = items.into_iter().filter_map(kept).collect();
        let ahead = wall.0.saturating_sub(beat.now.0);
        let ours = |(name, at): (Arc<str>, Timestamp)| (name, Timestamp(at.0.saturating_add(ahead)));
        Ok(Heard {
            incarnation: beat.incarnation,
            refused: sent - entries.len(),
            entries,
            stretch: to_us.then_some((since, upto, all)),
            senders: beat
                .heard
                .filter(|_| order != Order::Late)
                .map(|heard| heard.into_iter().take(HEARD_MAX).map(ours).collect()),
        })
    }

    /// What the peer said of its senders has been handed on.
    pub(crate) fn named(&mut self, incarnation: u64) {
        self.peer.named |= incarnation == self.peer.incarnation;
    }

    /// A stretch of the peer's map is on our disk; `asked`: when what it answers was.
    pub(crate) fn took(
        &mut self,
        incarnation: u64,
        (since, upto, all): (u64, u64, u64),
        asked: Option<Duration>,
        now: Duration,
    ) {
        if incarnation != self.peer.incarnation {
            return;
        }
        let got = &mut self.peer.got.map;
        if since <= *got && upto > *got {
            *got = upto;
        }
        let whole = *got >= all;
        if whole {
            self.start
                .heard_all(asked, self.peer.began_empty, self.peer.aware);
        }
        if whole && self.peer.is_new {
            self.peer.is_new = false;
            self.sweep_at = Some(now + SWEEP_PAUSE);
        }
    }

    /// What the peer says about leading.
    fn claims(&mut self, beat: &Beat, order: Order, now: Duration) {
        if order == Order::Late {
            return;
        }
        (self.peer.holds, self.peer.speaks) = (beat.holds, beat.speaks);
        if beat.epoch < self.epoch && (beat.holds || beat.speaks) {
            // It will hear of ours with our answer.
            self.old_epochs += 1;
            (self.peer.holds, self.peer.speaks) = (false, false);
        }
        if let Some((epoch, _)) = self.elector.held()
            && beat.epoch > epoch
        {
            if beat.holds {
                self.elector.depose(now);
            } else {
                self.elector.ask_soon(now);
            }
        }
    }

    /// This process stood still, and the world went on.
    fn woke(&mut self, now: Duration) {
        let stood = now.saturating_sub(self.ticked_at);
        warn!(
            seconds = stood.as_secs(),
            "this process stood still; it looks again before it acts"
        );
        self.start.again(now);
        self.words.doubt_own();
        self.has_woken = true;
        self.elector.ask_soon(now);
        self.leadership = Leadership {
            here: false,
            speaks: false,
            ..self.leadership.clone()
        };
        self.quiet_since = now;
    }

    fn see_lease(&mut self) {
        let Some(lease) = self.elector.lease() else {
            return;
        };
        let seen = Last {
            epoch: lease.epoch,
            holder: lease.holder.clone(),
        };
        self.learn(&seen);
    }

    fn count(&mut self, now: Duration) {
        let numbers = (self.journal.seq(), self.peer.acked.map, self.peer.incarnation);
        if self.counted != numbers {
            self.counted = numbers;
            let keys = &self.keys;
            let (_, acked, incarnation) = numbers;
            self.unshared = self
                .journal
                .count_since(acked, incarnation, |key| keys.is_shared(key));
        }
        self.peer.lacks(self.unshared, now);
        let in_step = self.is_in_step(now);
        if in_step != std::mem::replace(&mut self.was_in_step, in_step) {
            if in_step {
                info!("in step with the other replica");
            } else {
                warn!("out of step with the other replica: nobody waits for the other any more");
            }
        }
        if in_step {
            self.in_step_at = Some(now);
        }
        let counted = self.words.counts_peer();
        let counts = self
            .in_step_at
            .is_some_and(|at| now.saturating_sub(at) < self.config.lease_duration);
        self.words.count_peer(counts);
        self.inherit_due |= counted && !counts;
        self.tidy(now);
    }

    fn tidy(&mut self, now: Duration) {
        if now.saturating_sub(self.tidied_at) >= TIDY_EVERY {
            self.tidied_at = now;
            self.words.tidy(now);
            let rested = self
                .inherited_at
                .is_none_or(|at| now.saturating_sub(at) >= INHERIT_PAUSE);
            self.inherit_due |= rested && self.words.has_orphans();
        }
    }

    fn lead(&mut self, next: Leadership) {
        let was = &self.leadership;
        if (was.here, was.speaks, &was.holder) != (next.here, next.speaks, &next.holder) {
            info!(
                here = next.here,
                speaks = next.speaks,
                holder = next.holder.as_deref().unwrap_or("nobody known"),
                epoch = next.epoch,
                "who leads"
            );
        }
        self.has_claims |= (was.here, was.speaks) != (next.here, next.speaks);
        self.leadership = next;
    }

    fn scene(&self, now: Duration, here: bool) -> Scene<'_> {
        let since = self.start.since;
        let look = self.elector.look().filter(|look| look.at >= since);
        Scene {
            lease_duration: self.config.lease_duration,
            renew_deadline: self.config.renew_deadline,
            out_of_step_after: self.config.out_of_step_after,
            name: &self.name,
            peer: self.peer.name.as_deref(),
            last_holder: self.last.holder.as_deref(),
            here,
            held_for: self
                .elector
                .held()
                .map_or(Duration::ZERO, |(_, at)| now.saturating_sub(at)),
            looked_ago: look.map(|look| now.saturating_sub(look.at)),
            other_holds: look.is_some_and(|look| look.other),
            up_for: now.saturating_sub(since),
            heard_ago: self.peer.heard_at.map(|at| now.saturating_sub(at)),
            peer_holds: self.peer.holds,
            peer_speaks: self.peer.speaks,
            quiet_for: now.saturating_sub(self.quiet_since),
            speaking: self.leadership.speaks,
            yields: self.yields(now),
        }
    }

    fn yields(&self, now: Duration) -> bool {
        self.isolation.yields(now, self.config.lease_duration * 2)
    }

    /// Whether what we do not hear may be said to be silent: not while the other may well hear it, and speaks or could.
    /// One that has just come back has to say first whom it hears.
    pub(crate) fn judges(&self, now: Duration) -> bool {
        let knows = self.is_heard(now) && self.peer.named;
        self.config.peer.is_none() || knows || self.leadership.speaks
    }

    /// Whether we hold the lease, with the latest epoch that anybody has seen.
    fn holds(&self, now: Duration) -> bool {
        let epoch = self.elector.held().map(|(epoch, _)| epoch);
        self.elector.here(now + MARGIN) && epoch >= Some(self.epoch)
    }

    fn other_holds(&self, now: Duration) -> bool {
        let fresh = |at: Duration| now.saturating_sub(at) < self.config.renew_deadline;
        self.elector
            .look()
            .is_some_and(|look| look.other && fresh(look.at))
    }

    fn holder(&self, now: Duration, here: bool) -> Option<Arc<str>> {
        if here {
            Some(Arc::clone(&self.name))
        } else if self.is_heard(now) && self.peer.holds {
            self.peer.name.clone()
        } else {
            let lease = self.elector.lease().filter(|_| self.other_holds(now));
            lease.and_then(|lease| lease.holder.clone())
        }
    }

    fn is_heard(&self, now: Duration) -> bool {
        self.peer.heard_within(now, self.config.lease_duration)
    }

    pub(crate) fn is_in_step(&self, now: Duration) -> bool {
        self.peer.is_in_step(now, self.config.out_of_step_after)
    }

    /// Entries that the peer does not have, as of the last look.
    pub(crate) fn unshared(&self) -> usize {
        self.unshared
    }

    /// Whether the peer has everything up to a number of the journal's.
    pub(crate) fn has_shared(&mut self, upto: u64, now: Duration) -> bool {
        self.count(now);
        self.peer.acked.map >= upto || self.unshared == 0
    }

    /// Whether a person's write belongs here rather than with the peer.
    pub(crate) fn takes_writes(&self, now: Duration) -> bool {
        self.leadership.may_lead(now) || self.leadership.may_speak(now)
    }

    /// Whether the peer is known to lead, or to act.
    pub(crate) fn peer_takes_writes(&self, now: Duration) -> bool {
        let acts = self.is_heard(now) && (self.peer.holds || self.peer.speaks);
        acts || self.other_holds(now)
    }

    pub(crate) fn old_epochs(&self) -> u64 {
        self.old_epochs
    }

    pub(crate) fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    pub(crate) fn view(&self, now: Duration) -> view::Pair {
        let known = &self.leadership;
        view::Pair {
            name: self.name.to_string(),
            peer: match (&self.peer.name, &self.config.peer) {
                (Some(name), _) => name.to_string(),
                (None, Some(url)) => url.clone(),
                (None, None) => String::new(),
            },
            holder: known.holder.as_deref().map(str::to_owned),
            here: known.may_lead(now),
            speaks: known.may_speak(now),
            epoch: known.epoch,
            in_step: self.is_in_step(now),
            peer_heard: self.peer.heard,
            peer_speaks: self.is_heard(now) && self.peer.speaks,
            arbiter_error: self.arbiter_error.clone(),
            unshared: self.unshared,
            state: self.start.word(),
        }
    }
}
