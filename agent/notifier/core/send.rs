//! Sends what waits, and takes in what became of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use model::text::duration;
use tracing::{debug, info, warn};

use super::Core;
use crate::group::Key;
use crate::history::{self, End, Said};
use crate::lane::{Sending, Turn};
use crate::message::Message;
use crate::receiver::Receiver;
use crate::slack::Thread;
use crate::slack::upload::Fate;
use crate::storm::Digest;
use crate::verdict::Verdict;

/// A message to be handed over now.
pub(crate) struct Launch {
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) content: Content,
    /// Only if we still speak in this epoch.
    pub(crate) epoch: u64,
}

/// What a message is about.
pub(crate) enum Content {
    Group(Box<Message>),
    Storm(Box<Digest>),
}

/// What became of it.
pub(crate) struct Sent {
    pub(crate) receiver: Arc<str>,
    pub(crate) verdict: Verdict,
    /// Where a card about the group, or the storm, stands now.
    pub(crate) thread: Option<Thread>,
    /// Whether the receiver took log lines that followed the message; none where nothing followed.
    pub(crate) lines: Option<bool>,
    /// What became of a picture that followed.
    pub(crate) picture: Option<Fate>,
    pub(crate) took: Duration,
}

impl Core {
    pub(super) fn launch(&mut self, now: Timestamp) -> Vec<Launch> {
        let lanes = 0..self.lanes.len();
        lanes.filter_map(|nth| self.launch_one(nth, now)).collect()
    }

    fn launch_one(&mut self, nth: usize, now: Timestamp) -> Option<Launch> {
        while self.lanes.get(nth)?.due().is_some_and(|due| due <= now) {
            let key = match self.lanes.get(nth)?.turn(now)? {
                Turn::Group(key) => key,
                Turn::Storm => match self.launch_storm(nth, now) {
                    Some(launch) => return Some(launch),
                    None => continue,
                },
            };
            let Some(mut message) = self.compose(nth, &key, now) else {
                // What there was to tell is over: it fired and resolved before its turn came.
                self.unmark(nth, &key, "overtaken");
                continue;
            };
            let most = self.lanes.get(nth)?.receiver.changes_most();
            let is_part = message.limit_changes(most);
            return self.start(nth, message, is_part, now);
        }
        None
    }

    pub(super) fn compose(&self, nth: usize, key: &Key, now: Timestamp) -> Option<Message> {
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

    /// Writes down the intent and hands out the message. What is only a part of what there is to tell is followed by more.
    fn start(&mut self, nth: usize, message: Message, is_part: bool, now: Timestamp) -> Option<Launch> {
        let mut part = self.begin_part(nth, &message, false, now)?;
        part.again = is_part;
        let sending = Sending {
            summary: part.summary.clone(),
            labels: part.labels.clone(),
            row: part.waiting.row,
            parts: BTreeMap::from([(Arc::clone(&message.key), part)]),
            is_storm: false,
            epoch: self.epoch,
            is_outlived: false,
        };
        self.hand_out(nth, sending, Content::Group(Box::new(message)), now)
    }

    pub(super) fn hand_out(
        &mut self,
        nth: usize,
        sending: Sending,
        content: Content,
        now: Timestamp,
    ) -> Option<Launch> {
        let lane = self.lanes.get_mut(nth)?;
        lane.start(sending, now);
        Some(Launch {
            receiver: Arc::clone(&lane.receiver),
            content,
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
            self.held(nth, &sending);
            self.records.commit();
            return false;
        }
        lane.is_sharing = true;
        // Nobody else has been given the word since: then the result is for us to write, though not the next one.
        let is_last_word = !self.speaks && sending.epoch == self.leadership.epoch && !sending.is_outlived;
        if is_last_word {
            self.records.open();
        }
        self.judged(nth, &sending, sent, now);
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

    fn judged(&mut self, nth: usize, sending: &Sending, sent: Sent, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        let failure = match &sent.verdict {
            Verdict::Taken(_) | Verdict::Held => None,
            Verdict::Later { reason, .. } | Verdict::Never { reason, .. } => Some(*reason),
        };
        self.metrics
            .attempt(&lane.receiver, failure, sent.took.as_secs_f64());
        if let Some(fate) = sent.picture {
            self.metrics.pictures.with_label_values(&[fate.word()]).inc();
        }
        if sent.lines.is_some() || sent.picture == Some(Fate::Shown) {
            lane.spend(now);
        }
        if let Some(is_taken) = sent.lines {
            self.metrics.evidence_lost.inc_by(u64::from(!is_taken));
        }
        if sending.is_outlived {
            self.outlived(nth, sending, sent.verdict, sent.took, now);
            return;
        }
        match sent.verdict {
            Verdict::Held => {}
            Verdict::Taken(answer) => {
                self.stands(nth, sending, sent.thread);
                self.taken(nth, sending, &answer, sent.took, now);
            }
            later @ Verdict::Later { .. } => self.later(nth, sending, later, sent.took, now),
            Verdict::Never { words, .. } if sending.is_storm => {
                self.storm_refused(nth, sending, &words, sent.took, now);
            }
            Verdict::Never { words, .. } => self.never(nth, sending, &words, sent.took, now),
        }
        for key in sending.parts.keys() {
            self.settle(key);
        }
    }

    /// A card that was written in this attempt is edited by the next one; it is made durable with what was told.
    fn stands(&mut self, nth: usize, sending: &Sending, thread: Option<Thread>) {
        if thread.is_none() {
            return;
        }
        if sending.is_storm {
            let lane = self.lanes.get_mut(nth);
            if let Some(storm) = lane.and_then(|lane| lane.storm.as_mut()) {
                storm.thread = thread;
            }
            return;
        }
        for key in sending.parts.keys() {
            if let Some(delivered) = self.delivered(nth, key) {
                delivered.thread.clone_from(&thread);
            }
        }
    }

    /// It never left, so it waits for its turn, or for whoever speaks now.
    fn held(&mut self, nth: usize, sending: &Sending) {
        for (key, part) in &sending.parts {
            if !sending.is_outlived {
                self.part_undone(nth, key, part);
            }
            if !self.speaks || sending.is_outlived || !self.groups.contains_key(key) {
                self.drops("handed_over");
                continue;
            }
            self.requeue_part(nth, key, part, part.waiting.may_repeat, part.waiting.row);
        }
    }

    /// What became of a message from before we lost the word and took it back. Whether it arrived is part of the
    /// account and of the history; what the receiver knows was read anew from the journal, and as long as
    /// this result was out it counted as perhaps.
    fn outlived(&mut self, nth: usize, sending: &Sending, verdict: Verdict, took: Duration, now: Timestamp) {
        let drops = |reason| sending.parts.keys().for_each(|_| self.drops(reason));
        let (words, end) = match verdict {
            Verdict::Taken(answer) => {
                sending.parts.keys().for_each(|_| self.board.gave());
                (format!("{answer} in {} ms", took.as_millis()), End::Taken)
            }
            Verdict::Later { words, after, .. } => {
                drops("handed_over");
                self.failed(nth, &words);
                if let Some(lane) = self.lanes.get_mut(nth) {
                    lane.failed(after, now);
                }
                (words, End::Overtaken)
            }
            Verdict::Never { words, .. } => {
                drops("rejected");
                self.failed(nth, &words);
                (format!("{words}, given up"), End::GivenUp)
            }
            Verdict::Held => return,
        };
        self.write(nth, sending, &words, end, took, now);
    }

    fn taken(&mut self, nth: usize, sending: &Sending, answer: &str, took: Duration, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        lane.succeeded();
        let name = Arc::clone(&lane.receiver.name);
        if lane.failing.take().is_some() {
            info!(receiver = %name, "takes messages again");
        }
        self.metrics.sent.with_label_values(&[&*name]).inc();
        for (key, part) in &sending.parts {
            self.part_taken(nth, key, part, sending.is_storm, now);
            info!(receiver = %name, group = %key, message = part.summary, in_storm = sending.is_storm, "told");
        }
        let tries = sending.row.and_then(|row| self.board.row(row));
        let words = format!("{answer} in {} ms", took.as_millis());
        let words = match tries {
            Some(said) => format!("{}; then {words}", said.answer),
            None => words,
        };
        self.write(nth, sending, &words, End::Taken, took, now);
        if sending.is_storm {
            self.storm_taken(nth, sending, now);
        }
        for (key, part) in &sending.parts {
            self.part_again(nth, key, part, now);
        }
    }

    fn later(&mut self, nth: usize, sending: &Sending, verdict: Verdict, took: Duration, now: Timestamp) {
        let Verdict::Later {
            words, after, unsure, ..
        } = verdict
        else {
            return;
        };
        self.failed(nth, &words);
        for (key, part) in &sending.parts {
            if unsure {
                self.part_unsure(nth, key, part);
            } else {
                self.part_undone(nth, key, part);
            }
        }
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        let rest = lane.failed(after, now);
        if !self.speaks {
            let words = format!("{words}, left to the other replica");
            self.write(nth, sending, &words, End::Overtaken, took, now);
            sending.parts.keys().for_each(|_| self.drops("handed_over"));
            return;
        }
        debug!(
            receiver = lane.name(),
            message = sending.summary,
            ?rest,
            error = words,
            "not told; tried again later"
        );
        let words = format!("{words}, tried again after {}", spoken(rest));
        let mut row = self.write(nth, sending, &words, End::Waiting, took, now);
        if sending.is_storm {
            self.storm_waits(nth, row.take());
        }
        let fallback_after = self.plan.fallback.as_ref().map(|fallback| fallback.after);
        for (key, part) in &sending.parts {
            self.requeue_part(nth, key, part, part.waiting.may_repeat || unsure, row);
            if !self.groups.contains_key(key) {
                self.unmark(nth, key, "evicted");
            }
            let waits = now.since(part.waiting.marked);
            if fallback_after.is_some_and(|after| waits >= after) {
                self.fall_back(nth, key, now);
            }
        }
    }

    fn never(&mut self, nth: usize, sending: &Sending, words: &str, took: Duration, now: Timestamp) {
        self.failed(nth, words);
        for (key, part) in &sending.parts {
            self.part_undone(nth, key, part);
            self.part_refused(nth, key, part, words, now);
        }
        self.write(
            nth,
            sending,
            &format!("{words}, given up"),
            End::GivenUp,
            took,
            now,
        );
        for (key, part) in &sending.parts {
            self.part_again(nth, key, part, now);
            self.fall_back(nth, key, now);
        }
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
    pub(super) fn failed(&mut self, nth: usize, words: &str) {
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        if lane.failing.replace(words.to_owned()).is_none() {
            warn!(receiver = lane.name(), error = words, "does not take messages");
        }
    }

    /// Writes the message's row of the history, and keeps it once the message has come to an end.
    pub(super) fn write(
        &mut self,
        nth: usize,
        sending: &Sending,
        answer: &str,
        end: End,
        took: Duration,
        now: Timestamp,
    ) -> Option<u64> {
        let parts = sending.parts.values();
        let alerts = parts.flat_map(|part| part.firing.iter().chain(&part.resolved));
        let said = Said {
            nth: 0,
            time: now,
            receiver: self.lanes.get(nth)?.receiver.title(),
            group: sending.labels.clone(),
            message: sending.summary.clone(),
            answer: answer.to_owned(),
            end,
            took_millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            alerts: alerts.copied().take(history::ALERTS).collect(),
        };
        let said = self.board.said(sending.row, said);
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
