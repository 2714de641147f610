//! The notifier's mind: everything it knows and decides, without waiting for anything.
//!
//! Invariants:
//! * An alert is kept until every receiver that knows of it has been told that it resolved.
//! * Nothing is sent before the journal holds the intent, and no result is used before the journal has it.
//! * Of each receiver at most one message is on its way, and none leaves before the other replica knows what
//!   became of the last one, or cannot be told.
//! * Who does not speak writes nothing: what it knows is older than what the speaker knows.

mod doubt;
mod ends;
mod flush;
mod hear;
mod lead;
mod part;
mod peer;
mod posted;
mod reconcile;
mod restore;
mod send;
mod silence;
mod storm;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use journal::Journal;
use model::{Labels, Leadership, Timestamp};

use crate::alert::Alert;
use crate::board::{Board, Doing};
use crate::config::Config;
use crate::delivered::Delivered;
use crate::group::{Group, Key};
use crate::inhibit::Inhibitions;
use crate::lane::Lane;
use crate::metrics::Metrics;
use crate::plan::Plan;
use crate::receiver::Receiver;
use crate::records::Records;
use crate::silences::{Quiet, State};

pub(crate) use send::{Content, Launch, Sent};

/// Groups at once; beyond, the group that resolved longest ago goes.
pub(crate) const GROUPS_MAX: usize = 1_000;
/// Alerts at once, over all groups.
pub(crate) const ALERTS_MAX: usize = 20_000;
/// How long what has resolved is remembered although nobody has to be told: as long as rules speak of it.
const KEEPS: Duration = Duration::from_secs(15 * 60);
/// Rules speak of what fires, and of what has ended, once a minute.
const CONFIRMED: Duration = Duration::from_secs(75);
/// Longest sleep, so that a wall clock set back is noticed.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Longest sleep of one of a pair: what the other writes is seen within it.
const LOOK_AT_PEER: Duration = Duration::from_secs(1);

pub(crate) struct Core {
    plan: Plan,
    inhibitions: Inhibitions,
    /// Whether alerts that mute others began or ended since that was last looked at.
    is_stirred: bool,
    /// The minute in which routes' hours were last looked at.
    minute: i64,
    /// When the next of those ends that others posted, unless it is said again.
    expiry: Timestamp,
    external_url: Arc<str>,
    groups: BTreeMap<Key, Group>,
    lanes: Vec<Lane>,
    alerts: Holders,
    /// Groups in which something ended since the last step.
    ended: BTreeSet<Key>,
    leadership: Leadership,
    /// Whether it is for us to tell people; as of the last step.
    speaks: bool,
    /// In which epoch we took that over.
    epoch: u64,
    /// When we took it over from somebody else.
    since: Option<Timestamp>,
    /// When we last let go of something that the disk had not taken.
    forgot_at: Option<Timestamp>,
    /// Until when what is only known from the journal waits for rules to speak of it.
    doubts_until: Option<Timestamp>,
    /// Alerts that are over, which the other replica may not have heard of yet.
    over: BTreeMap<u64, Over>,
    /// When what is over was last let go of.
    tidied: Timestamp,
    quiet: Quiet,
    records: Records,
    metrics: Metrics,
    board: Arc<Board>,
    last: Timestamp,
}

/// An alert that is over and not kept any more.
#[derive(Clone, Copy)]
struct Over {
    at: Timestamp,
    /// We held it, and everybody we told of it knows its end; else we have only heard of the end.
    is_done: bool,
}

/// Alerts over all groups: one that several routes take is in a group of each.
#[derive(Debug, Default)]
struct Holders {
    by_alert: HashMap<u64, usize>,
    count: usize,
}

impl Holders {
    fn count(&self) -> usize {
        self.count
    }

    fn hold(&mut self, fingerprint: u64) {
        *self.by_alert.entry(fingerprint).or_default() += 1;
        self.count += 1;
    }

    /// Whether no group holds it any more.
    fn let_go(&mut self, fingerprint: u64) -> bool {
        let Some(held) = self.by_alert.get_mut(&fingerprint) else {
            return true;
        };
        self.count -= 1;
        *held -= 1;
        let is_last = *held == 0;
        if is_last {
            self.by_alert.remove(&fingerprint);
        }
        is_last
    }
}

/// What is to be done after a step.
pub(crate) struct Step {
    pub(crate) launches: Vec<Launch>,
    /// Running time until there is something to do again.
    pub(crate) wait: Duration,
}

impl Core {
    pub(crate) fn new(
        config: &Config,
        journal: Journal,
        leadership: Leadership,
        metrics: Metrics,
        board: Arc<Board>,
        (now, running): (Timestamp, Duration),
    ) -> Self {
        let plan = Plan::of(config);
        let mut core = Self {
            inhibitions: Inhibitions::new(plan.inhibitions.clone()),
            plan,
            is_stirred: false,
            minute: 0,
            expiry: Timestamp::MAX,
            external_url: config.external_url.trim_end_matches('/').into(),
            groups: BTreeMap::new(),
            lanes: Vec::new(),
            alerts: Holders::default(),
            ended: BTreeSet::new(),
            speaks: false,
            epoch: leadership.epoch,
            since: None,
            forgot_at: None,
            doubts_until: None,
            over: BTreeMap::new(),
            tidied: now,
            leadership: Leadership::unknown(),
            quiet: Quiet::new(journal.clone()),
            records: Records::new(journal, metrics.journal_failures.clone()),
            metrics,
            board,
            last: now,
        };
        core.lead(leadership);
        core.restore(now, running);
        core.show();
        core
    }

    /// Decides what is due. With `launch` off nothing new is sent.
    pub(crate) fn step(&mut self, now: Timestamp, running: Duration, launch: bool) -> Step {
        self.notice_clock(now);
        self.notice_silences(now);
        self.notice_hours(now);
        self.expire(now);
        self.notice_leadership(now, running);
        for key in std::mem::take(&mut self.ended) {
            self.settle(&key);
        }
        let mut launches = Vec::new();
        if self.speaks {
            self.believe_in_time(now);
            self.flush(now);
            self.notice_storms(now);
            if launch {
                launches = self.launch(now);
            }
        }
        self.records.commit();
        self.show();
        let mut wait = if self.speaks {
            self.wait(now, launch)
        } else {
            LOOK_AGAIN
        };
        if self.is_paired() {
            wait = wait.min(LOOK_AT_PEER);
        }
        // Once it has passed there is nothing to wait for but another word on who speaks.
        if let Some(until) = self.leadership.until.filter(|_| self.speaks) {
            wait = wait.min(until.saturating_sub(running));
        }
        Step { launches, wait }
    }

    fn wait(&self, now: Timestamp, launch: bool) -> Duration {
        let mut due = self.quiet.turn().min(now + LOOK_AGAIN).min(self.expiry);
        due = due.min(self.doubts_until.unwrap_or(due));
        for (key, group) in &self.groups {
            let open = |lane: usize| self.lanes.get(lane).is_some_and(|lane| lane.is_open(key));
            due = due.min(group.due(open));
        }
        if launch {
            due = self.lanes.iter().filter_map(Lane::due).fold(due, Timestamp::min);
        }
        // Whatever is due now has been done; a mistake there must not become a busy loop.
        due.since(now).max(Duration::from_millis(1))
    }

    /// All receivers; a message past the queue takes its share of the rate.
    pub(crate) fn test_receivers(&mut self, now: Timestamp) -> Vec<Arc<Receiver>> {
        let lanes = self.lanes.iter_mut();
        lanes
            .map(|lane| {
                lane.spend(now);
                Arc::clone(&lane.receiver)
            })
            .collect()
    }

    /// Messages that wait or are on their way.
    pub(crate) fn in_flight(&self) -> usize {
        self.lanes.iter().map(Lane::in_flight).sum()
    }

    pub(crate) fn external_url(&self) -> &Arc<str> {
        &self.external_url
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// Whom routes lead an alert with these labels to.
    pub(crate) fn receivers_of(&self, labels: &Labels) -> Vec<&str> {
        let routes = self.plan.tree.routes_of(labels).into_iter();
        routes.map(|route| &*route.receiver).collect()
    }

    pub(crate) fn silences_of(&self, labels: &Labels) -> Vec<String> {
        self.quiet.covering(labels)
    }

    pub(crate) fn inhibited_by(&self, labels: &Labels) -> Vec<u64> {
        self.inhibitions.muted_by(labels).collect()
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether a message is on its way.
    pub(crate) fn is_sending(&self) -> bool {
        self.lanes.iter().any(|lane| lane.sending.is_some())
    }

    /// Whether a message is on its way, or what became of one.
    pub(crate) fn is_busy(&self) -> bool {
        self.lanes.iter().any(Lane::is_busy)
    }

    /// Deadlines that lie in memory move with a wall clock that was set back, or they would wait twice.
    fn notice_clock(&mut self, now: Timestamp) {
        if now < self.last {
            let by = self.last.since(now);
            tracing::info!(?by, "the clock was set back; what is due stays due");
            self.groups
                .values_mut()
                .for_each(|group| group.clock_went_back(by));
            self.lanes.iter_mut().for_each(|lane| lane.clock_went_back(by));
        }
        self.last = now;
    }

    /// Lets go of resolved alerts that nobody has to be told about, and of the group once it is empty.
    fn settle(&mut self, key: &Key) {
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        for (lane, delivered) in self.lanes.iter().zip(&mut group.delivered) {
            if lane.receiver.send_resolved || lane.is_sending(key) {
                continue;
            }
            let before = delivered.firing.len() + delivered.maybe.len();
            for alert in group.alerts.values().filter(|alert| !alert.firing()) {
                delivered.forget(alert.fingerprint);
            }
            if delivered.firing.len() + delivered.maybe.len() != before {
                self.records.told(lane.name(), key, delivered);
            }
        }
        // Who does not speak cannot know what has been told; it keeps ends for a while.
        let (speaks, now) = (self.speaks, self.last);
        // A message may still speak of it.
        let waits = group.timing().tells_lone_ends && group.resolve_due.is_some();
        let is_over = |alert: &&Alert| match alert.resolved_at {
            Some(ended) if speaks && !waits || ended + KEEPS < now => {
                let mut knows = group.delivered.iter().map(|delivered| {
                    delivered.knows(alert.fingerprint) || delivered.untold.contains(&alert.fingerprint)
                });
                !knows.any(|knows| knows)
            }
            _ => false,
        };
        let over = group.alerts.values().filter(is_over);
        let over: Vec<u64> = over.map(|alert| alert.fingerprint).collect();
        for fingerprint in &over {
            group.remove(*fingerprint);
            if self.alerts.let_go(*fingerprint) {
                self.records.no_alert(*fingerprint);
            }
        }
        if group.alerts.is_empty() {
            self.drop_group(key, "overtaken");
        }
        for fingerprint in over.into_iter().filter(|_| speaks) {
            self.remember(fingerprint, now, true);
        }
    }

    /// Full: at worst, after both have spoken, an end is told once more.
    fn remember(&mut self, fingerprint: u64, at: Timestamp, is_done: bool) {
        if self.is_paired() && (self.over.len() < ALERTS_MAX || self.over.contains_key(&fingerprint)) {
            self.over.insert(fingerprint, Over { at, is_done });
        }
    }

    /// Hours have begun or ended for some routes; their ticks go on meanwhile.
    fn notice_hours(&mut self, now: Timestamp) {
        const MINUTE: i64 = 60_000;
        if std::mem::replace(&mut self.minute, now.0.div_euclid(MINUTE)) == self.minute {
            return;
        }
        for group in self.groups.values_mut().filter(|group| group.route.has_hours()) {
            group.is_muted = group.route.is_muted(now);
        }
    }

    /// Forgets a group and everything about it; what still waited to be told is counted under `reason`.
    fn drop_group(&mut self, key: &Key, reason: &'static str) {
        let Some(group) = self.groups.remove(key) else {
            return;
        };
        for fingerprint in group.alerts.keys() {
            if self.alerts.let_go(*fingerprint) {
                self.records.no_alert(*fingerprint);
            }
        }
        self.records.no_group(key);
        for (nth, delivered) in group.delivered.iter().enumerate() {
            self.unmark(nth, key, reason);
            let Some(lane) = self.lanes.get_mut(nth) else {
                continue;
            };
            if delivered.at.is_some() || !delivered.is_empty() {
                self.records.not_told(lane.name(), key);
            }
            lane.suspects.remove(key);
            if lane.dead.remove(key).is_some() {
                self.records.not_dead(lane.name(), key);
            }
        }
    }

    /// What the receiver of this lane knows of a group.
    fn delivered(&mut self, lane: usize, key: &Key) -> Option<&mut Delivered> {
        self.groups.get_mut(key)?.delivered.get_mut(lane)
    }

    fn drops(&self, reason: &'static str) {
        self.board.dropped(reason);
        self.metrics.dropped.with_label_values(&[reason]).inc();
    }

    /// Brings what others see up to date.
    fn show(&self) {
        let in_flight = self.in_flight();
        self.metrics.queue_groups.set(in_flight as f64);
        self.metrics.groups.set(self.groups.len() as f64);
        let suppressed = self.groups.values().flat_map(Group::silenced);
        let suppressed = suppressed.collect::<BTreeSet<_>>().len();
        let active = self.alerts.by_alert.len() - suppressed;
        for (state, count) in [("active", active), ("suppressed", suppressed)] {
            self.metrics.alerts.with_label_values(&[state]).set(count as f64);
        }
        for state in State::ALL {
            let gauge = self.metrics.silences.with_label_values(&[state.word()]);
            gauge.set(self.quiet.count(state) as f64);
        }
        let failing = self.lanes.iter().filter_map(|lane| {
            let error = lane.failing.clone()?;
            Some((lane.receiver.title(), error))
        });
        let waiting = self.lanes.iter().map(|lane| lane.waiting.len()).sum();
        let waits = self.lanes.iter().flat_map(|lane| lane.waiting.values());
        let doing = Doing {
            oldest: waits.map(|waiting| waiting.marked).min(),
            is_durable: self.records.are_durable(),
            speaks: self.speaks,
        };
        self.board
            .stands(in_flight as u64, waiting, failing.collect(), doing, self.storms());
    }
}
