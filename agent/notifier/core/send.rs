//! Sends what waits, and takes in what became of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use model::text::duration;
use tracing::{debug, info, warn};

use super::Core;
use crate::delivered::Delivered;
use crate::group::Key;
use crate::history::{self, End, Said};
use crate::lane::{Sending, Waiting, content};
use crate::message::Message;
use crate::receiver::Receiver;
use crate::records::{Dead, Intent};
use crate::slack::Thread;
use crate::verdict::Verdict;

/// A message to be handed over now.
pub(crate) struct Launch {
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) message: Message,
    /// Only if we still speak in this epoch.
    pub(crate) epoch: u64,
}

/// What became of it.
pub(crate) struct Sent {
    pub(crate) receiver: Arc<str>,
    pub(crate) verdict: Verdict,
    /// Where a card about the group stands now.
    pub(crate) thread: Option<Thread>,
    /// Whether the receiver took log lines that followed the message; none where nothing followed.
    pub(crate) lines: Option<bool>,
    pub(crate) took: Duration,
}

impl Core {
    pub(super) fn launch(&mut self, now: Timestamp) -> Vec<Launch> {
        let lanes = 0..self.lanes.len();
        lanes.filter_map(|nth| self.launch_one(nth, now)).collect()
    }

    fn launch_one(&mut self, nth: usize, now: Timestamp) -> Option<Launch> {
        while self.lanes.get(nth)?.due().is_some_and(|due| due <= now) {
            let key = self.lanes.get(nth)?.first()?;
            let Some(message) = self.compose(nth, &key, now) else {
                // What there was to tell is over: it fired and resolved before its turn came.
                self.unmark(nth, &key, "overtaken");
                continue;
            };
            let mut message = message;
            let most = self.lanes.get(nth)?.receiver.changes_most();
            let is_part = message.limit_changes(most);
            let launch = self.start(nth, message, now);
            if let Some(sending) = self.lanes.get_mut(nth)?.sending.as_mut() {
                sending.again |= is_part;
            }
            return launch;
        }
        None
    }

    fn compose(&self, nth: usize, key: &Key, now: Timestamp) -> Option<Message> {
        let group = self.groups.get(key)?;
        let delivered = group.delivered.get(nth)?;
        let reason = delivered.owed(group, group.timing().repeat_interval, now)?;
        let may_repeat = self.lanes.get(nth)?.waiting.get(key)?.may_repeat;
        Some(Message::new(
            reason,
            key,
            group,
            delivered,
            (may_repeat, now),
            &self.external_url,
        ))
    }

    /// Writes down the intent and hands out the message.
    fn start(&mut self, nth: usize, message: Message, now: Timestamp) -> Option<Launch> {
        let lane = self.lanes.get_mut(nth)?;
        let group = self.groups.get_mut(&message.key)?;
        let delivered = group.delivered.get(nth)?;
        let content = content(group, delivered);
        let delivered = group.delivered.get_mut(nth)?;
        let waiting = lane.waiting.remove(&message.key)?;
        let firing: BTreeSet<u64> = message.firing().map(|alert| alert.fingerprint).collect();
        let intent = Intent {
            at: now,
            epoch: self.epoch,
            firing: firing.iter().copied().collect(),
            resolved: message.resolved().map(|alert| alert.fingerprint).collect(),
        };
        self.records
            .queue(&lane.record(&message.key, &waiting, Some(intent)));
        let sending = Sending {
            key: Arc::clone(&message.key),
            waiting,
            summary: message.summary(),
            labels: message.group_labels.clone(),
            resolved: message.resolved().map(|alert| alert.fingerprint).collect(),
            added: message.added.clone(),
            maybe_before: std::mem::take(&mut delivered.maybe),
            content,
            again: false,
            epoch: self.epoch,
            is_outlived: false,
            firing,
        };
        delivered.maybe = sending.maybe_before.union(&sending.firing).copied().collect();
        lane.start(sending, now);
        Some(Launch {
            receiver: Arc::clone(&lane.receiver),
            message,
            epoch: self.epoch,
        })
    }

    /// Takes in what became of a message and makes it durable. Whether the other replica has to know before the
    /// next one; then the lane stays closed until [`Self::shared`].
    pub(crate) fn sent(&mut self, sent: Sent, now: Timestamp) -> bool {
        let Some(nth) = self.lane(&sent.receiver) else {
            return false;
        };
        let Some(lane) = self.lanes.get_mut(nth) else {
            return false;
        };
        let Some(sending) = lane.sending.take() else {
            return false;
        };
        if sent.verdict == Verdict::Held {
            self.held(nth, sending);
            self.records.commit();
            return false;
        }
        lane.is_sharing = true;
        // Nobody else has been given the word since: then the result is for us to write, though not the next one.
        let is_last_word = !self.speaks && sending.epoch == self.leadership.epoch && !sending.is_outlived;
        if is_last_word {
            self.records.open();
        }
        self.judged(nth, sending, sent, now);
        if is_last_word {
            self.close_records();
        }
        self.records.commit();
        true
    }

    /// The other replica knows, or cannot be told.
    pub(crate) fn shared(&mut self, receiver: &str) {
        if let Some(lane) = self.lane(receiver).and_then(|nth| self.lanes.get_mut(nth)) {
            lane.is_sharing = false;
        }
    }

    fn judged(&mut self, nth: usize, sending: Sending, sent: Sent, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        let failure = match &sent.verdict {
            Verdict::Taken(_) | Verdict::Held => None,
            Verdict::Later { reason, .. } | Verdict::Never { reason, .. } => Some(*reason),
        };
        self.metrics
            .attempt(&lane.receiver, failure, sent.took.as_secs_f64());
        if let Some(is_taken) = sent.lines {
            lane.spend(now);
            self.metrics.evidence_lost.inc_by(u64::from(!is_taken));
        }
        let key = Arc::clone(&sending.key);
        if sending.is_outlived {
            self.outlived(nth, &sending, sent.verdict, sent.took, now);
            return;
        }
        match sent.verdict {
            Verdict::Held => {}
            Verdict::Taken(answer) => {
                self.stands(nth, &key, sent.thread);
                self.taken(nth, sending, &answer, sent.took, now);
            }
            Verdict::Later {
                words, after, unsure, ..
            } => {
                self.later(nth, sending, &words, after, unsure, sent.took, now);
            }
            Verdict::Never { words, .. } => self.never(nth, sending, words, sent.took, now),
        }
        self.settle(&key);
    }

    /// A card that was written in this attempt is edited by the next one; it is made durable with what was told.
    fn stands(&mut self, nth: usize, key: &Key, thread: Option<Thread>) {
        if let Some(delivered) = self.delivered(nth, key)
            && thread.is_some()
        {
            delivered.thread = thread;
        }
    }

    /// It never left, so it waits for its turn, or for whoever speaks now.
    fn held(&mut self, nth: usize, sending: Sending) {
        if !sending.is_outlived {
            self.undo(nth, &sending);
        }
        if !self.speaks || sending.is_outlived || !self.groups.contains_key(&sending.key) {
            self.drops("handed_over");
            return;
        }
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        let Waiting {
            marked,
            may_repeat,
            row,
            ..
        } = sending.waiting;
        lane.enqueue(Arc::clone(&sending.key), marked, may_repeat, row);
        if let Some(waiting) = lane.waiting.get(&sending.key) {
            self.records.queue(&lane.record(&sending.key, waiting, None));
        }
    }

    /// What became of a message from before we lost the word and took it back. Whether it arrived is part of the
    /// account and of the history; what the receiver knows was read anew from the journal, and as long as
    /// this result was out it counted as perhaps.
    fn outlived(&mut self, nth: usize, sending: &Sending, verdict: Verdict, took: Duration, now: Timestamp) {
        let (words, end) = match verdict {
            Verdict::Taken(answer) => {
                self.board.gave();
                (format!("{answer} in {} ms", took.as_millis()), End::Taken)
            }
            Verdict::Later { words, after, .. } => {
                self.failed(nth, &words);
                self.drops("handed_over");
                if let Some(lane) = self.lanes.get_mut(nth) {
                    lane.failed(after, now);
                }
                (words, End::Overtaken)
            }
            Verdict::Never { words, .. } => {
                self.failed(nth, &words);
                self.drops("rejected");
                (format!("{words}, given up"), End::GivenUp)
            }
            Verdict::Held => return,
        };
        self.write(nth, sending, &words, end, took, now);
    }

    fn taken(&mut self, nth: usize, sending: Sending, answer: &str, took: Duration, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        lane.succeeded();
        let (name, key) = (Arc::clone(&lane.receiver.name), Arc::clone(&sending.key));
        if lane.failing.take().is_some() {
            info!(receiver = %name, "takes messages again");
        }
        self.board.gave();
        self.metrics.sent.with_label_values(&[&*name]).inc();
        self.metrics
            .latency
            .observe(now.since(sending.waiting.marked).as_secs_f64());
        self.records.not_queued(&name, &key);
        if lane.dead.remove(&key).is_some() {
            self.records.not_dead(&name, &key);
        }
        let silenced = self.groups.get(&key).map(|group| group.silenced().clone());
        let silenced = silenced.unwrap_or_default();
        let group = self.groups.get(&key);
        let (tells_lone_ends, tells_muted_ends) = group.map_or((false, true), |group| {
            let timing = group.timing();
            (timing.tells_lone_ends, timing.tells_muted_ends)
        });
        if let Some(delivered) = self.delivered(nth, &key) {
            delivered
                .maybe
                .retain(|fingerprint| silenced.contains(fingerprint));
            delivered
                .firing
                .retain(|fingerprint| !sending.resolved.contains(fingerprint));
            delivered.firing.extend(&sending.firing);
            delivered.untold.clear();
            delivered.ended.clear();
            if tells_lone_ends {
                delivered.ended.extend(&sending.resolved);
            }
            delivered.at = Some(now);
            for fingerprint in silenced {
                if tells_muted_ends {
                    // Silenced while it was on its way, or before.
                    delivered.hush(fingerprint);
                } else if !sending.firing.contains(&fingerprint) {
                    delivered.forget(fingerprint);
                }
            }
            let delivered = delivered.clone();
            self.records.told(&name, &key, &delivered);
        }
        info!(receiver = %name, group = %key, message = sending.summary, "told");
        let tries = sending.waiting.row.and_then(|row| self.board.row(row));
        let words = format!("{answer} in {} ms", took.as_millis());
        let words = match tries {
            Some(said) => format!("{}; then {words}", said.answer),
            None => words,
        };
        let again = sending.again;
        self.write(nth, &sending, &words, End::Taken, took, now);
        if again && self.speaks && self.owes(nth, &key, now) {
            self.mark(nth, &key, now);
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one verdict, taken apart by its only caller"
    )]
    fn later(
        &mut self,
        nth: usize,
        sending: Sending,
        words: &str,
        after: Option<Duration>,
        unsure: bool,
        took: Duration,
        now: Timestamp,
    ) {
        self.failed(nth, words);
        if !unsure {
            self.undo(nth, &sending);
        } else if let Some(delivered) = self.delivered(nth, &sending.key) {
            for fingerprint in &sending.resolved {
                delivered.hush(*fingerprint);
            }
            let delivered = delivered.clone();
            let name = self.lanes.get(nth).map(|lane| Arc::clone(&lane.receiver.name));
            self.records
                .told(&name.unwrap_or_default(), &sending.key, &delivered);
        }
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        let rest = lane.failed(after, now);
        if !self.speaks {
            let words = format!("{words}, left to the other replica");
            self.write(nth, &sending, &words, End::Overtaken, took, now);
            self.drops("handed_over");
            return;
        }
        debug!(receiver = lane.name(), group = %sending.key, ?rest, error = words, "not told; tried again later");
        let words = format!("{words}, tried again after {}", spoken(rest));
        let row = self.write(nth, &sending, &words, End::Waiting, took, now);
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        let may_repeat = sending.waiting.may_repeat || unsure;
        let waits = now.since(sending.waiting.marked);
        lane.enqueue(Arc::clone(&sending.key), sending.waiting.marked, may_repeat, row);
        if let Some(waiting) = lane.waiting.get(&sending.key) {
            self.records.queue(&lane.record(&sending.key, waiting, None));
        }
        if !self.groups.contains_key(&sending.key) {
            self.unmark(nth, &sending.key, "evicted");
        }
        if self
            .plan
            .fallback
            .as_ref()
            .is_some_and(|fallback| waits >= fallback.after)
        {
            self.fall_back(nth, &sending.key, now);
        }
    }

    fn never(&mut self, nth: usize, sending: Sending, words: String, took: Duration, now: Timestamp) {
        self.failed(nth, &words);
        self.undo(nth, &sending);
        self.drops("rejected");
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        let dead = Dead {
            receiver: lane.name().to_owned(),
            group: sending.key.to_string(),
            labels: sending.labels.clone(),
            time: now,
            message: sending.summary.clone(),
            answer: words.clone(),
            content: sending.content,
        };
        self.records.not_queued(lane.name(), &sending.key);
        if self.groups.contains_key(&sending.key) {
            self.records.dead(&dead);
            lane.dead.insert(Arc::clone(&sending.key), dead);
        }
        let again = sending.again;
        let words = format!("{words}, given up");
        self.write(nth, &sending, &words, End::GivenUp, took, now);
        if again && self.speaks && self.owes(nth, &sending.key, now) {
            self.mark(nth, &sending.key, now);
        }
        self.fall_back(nth, &sending.key, now);
    }

    /// A receiver does not take what it should: somebody else is told of this group, from now on until it is over.
    fn fall_back(&mut self, nth: usize, key: &Key, now: Timestamp) {
        let Some(team) = self
            .plan
            .fallback
            .as_ref()
            .map(|fallback| Arc::clone(&fallback.team))
        else {
            return;
        };
        let is_last = self.lanes.get(nth).is_none_or(|lane| lane.receiver.team == team);
        let group = self.groups.get_mut(key).filter(|_| !is_last && self.speaks);
        let Some(group) = group.filter(|group| group.fallback.is_none()) else {
            return;
        };
        warn!(group = %key, fallback = %team, "not taken by its receiver: the fallback is told");
        group.fallback = Some(team);
        for lane in 0..self.lanes.len() {
            if self.owes(lane, key, now) && self.lanes.get(lane).is_some_and(|lane| lane.is_open(key)) {
                self.mark(lane, key, now);
            }
        }
    }

    /// Says once that a receiver does not take messages, not at each attempt.
    fn failed(&mut self, nth: usize, words: &str) {
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        if lane.failing.replace(words.to_owned()).is_none() {
            warn!(receiver = lane.name(), error = words, "does not take messages");
        }
    }

    /// The attempt certainly did not arrive.
    fn undo(&mut self, nth: usize, sending: &Sending) {
        if let Some(delivered) = self.delivered(nth, &sending.key) {
            let Delivered { firing, maybe, .. } = delivered;
            // What has been silenced meanwhile stays: it was told before.
            maybe.retain(|alert| !firing.contains(alert) && !sending.added.contains(alert));
            maybe.extend(&sending.maybe_before);
        }
    }

    /// Writes the message's row of the history, and keeps it once the message has come to an end.
    fn write(
        &mut self,
        nth: usize,
        sending: &Sending,
        answer: &str,
        end: End,
        took: Duration,
        now: Timestamp,
    ) -> Option<u64> {
        let alerts = sending.firing.iter().chain(&sending.resolved).copied();
        let said = Said {
            nth: 0,
            time: now,
            receiver: self.lanes.get(nth)?.receiver.title(),
            group: sending.labels.clone(),
            message: sending.summary.clone(),
            answer: answer.to_owned(),
            end,
            took_millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            alerts: alerts.take(history::ALERTS).collect(),
        };
        let said = self.board.said(sending.waiting.row, said);
        if end != End::Waiting {
            self.records.said(&said);
        }
        Some(said.nth)
    }

    /// What the row spoke of will not be told any more.
    pub(super) fn overtaken(&mut self, row: u64, words: &str) {
        if let Some(mut said) = self.board.row(row) {
            said.end = End::Overtaken;
            said.answer = format!("{}; {words}", said.answer);
            let said = self.board.said(Some(row), said);
            self.records.said(&said);
        }
    }
}

/// `850 ms`, `12 s`.
fn spoken(rest: Duration) -> String {
    if rest < Duration::from_secs(1) {
        format!("{} ms", rest.as_millis())
    } else {
        duration::spoken(rest)
    }
}
