//! What EC2 announces of instances, as it comes: two minutes are not enough to be told with the next description.

use std::collections::VecDeque;

use super::{AGAIN, AGAIN_MAX, Arc, BTreeMap, KeepNotes, Labels, Timestamp, Watch};
use crate::events::note_of;
use crate::inventory::ask::Refused;
use crate::inventory::operations::{DELETE_MESSAGE, RECEIVE_MESSAGE, Service};
use crate::inventory::queue::{self, Kind, Message, Notice, Queue, Read};

/// Notices that are said at a time, and messages that are known when they come again.
const NOTICES_MAX: usize = 1_000;

/// What is announced, until it is over.
#[derive(Default)]
pub(super) struct Notices {
    /// By instance; until when.
    until: BTreeMap<(String, Kind), Timestamp>,
    /// Of messages, the ones that came last.
    seen: VecDeque<String>,
}

impl Notices {
    fn knows(&self, id: &str) -> bool {
        self.seen.iter().any(|seen| seen == id)
    }

    fn take(&mut self, notice: &Notice) {
        if self.seen.len() == NOTICES_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back(notice.id.clone());
        for instance in &notice.instances {
            if notice.kind == Kind::Gone {
                self.until.retain(|(of, _), _| of != instance);
            } else if self.until.len() < NOTICES_MAX {
                // Beyond that the record is what is left of it.
                let until = notice.at + notice.kind.lasts();
                self.until.insert((instance.clone(), notice.kind), until);
            }
        }
    }

    /// One series for each that is not over.
    pub(super) fn series(&mut self, place: &crate::inventory::Place, now: Timestamp) -> Vec<(Labels, f64)> {
        self.until.retain(|_, until| *until > now);
        let all = self.until.keys();
        all.map(|(instance, kind)| {
            let labels = Labels::from_pairs([
                ("__name__", "aws_ec2_instance_notice"),
                ("account_id", &*place.account),
                ("instance_id", instance),
                ("notice", kind.word()),
                ("region", &*place.region),
            ]);
            (labels, 1.0)
        })
        .collect()
    }
}

impl Watch {
    /// Takes what comes, as long as this one leads: whoever receives a message hides it from others.
    pub(super) async fn listen_on(&self) {
        let common = &self.common;
        let Some(queue) = self.queue.as_ref() else { return };
        let mut pause = AGAIN;
        loop {
            if !common.leads() {
                common.clock.sleep(AGAIN).await;
                continue;
            }
            match self.listen(queue).await {
                Ok(()) => pause = AGAIN,
                Err(refused) => {
                    self.refused(&mut self.state.lock(), &refused);
                    common.clock.sleep(pause).await;
                    pause = (pause * 2).min(AGAIN_MAX);
                }
            }
        }
    }

    async fn listen(&self, queue: &Queue) -> Result<(), Refused> {
        let metrics = &self.common.metrics;
        let messages = queue::receive(&self.ask, queue).await?;
        metrics.called(&self.place, RECEIVE_MESSAGE.name, "ok");
        self.state.lock().problems.remove(RECEIVE_MESSAGE.name);
        for message in messages {
            if self.hear(&message).await {
                queue::delete(&self.ask, queue, &message).await?;
                metrics.called(&self.place, DELETE_MESSAGE.name, "ok");
                self.state.lock().problems.remove(DELETE_MESSAGE.name);
            }
        }
        Ok(())
    }

    /// Whether a message has been dealt with: one that could not be kept comes again.
    async fn hear(&self, message: &Message) -> bool {
        let messages = &self.common.metrics.messages;
        let counted = |outcome: &str| messages.with_label_values(&[outcome]).inc();
        let notice = match queue::read(&message.body) {
            Read::Notice(notice) => notice,
            Read::Other => {
                counted("other");
                return true;
            }
            Read::Unreadable => {
                counted("unreadable");
                let front: String = message.body.chars().take(200).collect();
                tracing::warn!(
                    message = front,
                    "a message in the queue is none of EventBridge's; it is deleted"
                );
                return true;
            }
        };
        if self.state.lock().notices.knows(&notice.id) {
            counted("again");
            return true;
        }
        if let Some(notes) = self.common.notes.get()
            && !self.keep(notes, &notice).await
        {
            counted("not_kept");
            return false;
        }
        {
            let mut known = self.state.lock();
            known.notices.take(&notice);
            // Not with the next round: there are two minutes.
            known.facts_at = None;
        }
        counted("told");
        self.counted(Service::Sqs.word(), notice.instances.len());
        self.say_facts();
        true
    }

    async fn keep(&self, notes: &Arc<dyn KeepNotes>, notice: &Notice) -> bool {
        let told = notice
            .instances
            .iter()
            .map(|instance| note_of(&self.place, instance, notice));
        match notes.keep(told.collect(), None).await {
            Ok(()) => true,
            Err(why) => {
                tracing::warn!(why, "what EC2 announces cannot be kept; it is told again");
                false
            }
        }
    }
}
