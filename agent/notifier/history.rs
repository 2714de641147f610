//! What was said to whom and what they answered: the last messages, for the page.

use std::collections::VecDeque;
use std::time::Duration;

use model::view::{Health, Told};
use model::{Labels, Timestamp};
use serde::{Deserialize, Serialize};

/// Messages kept.
pub(crate) const ROWS: usize = 200;
/// Fingerprints kept of one message.
pub(crate) const ALERTS: usize = 500;

/// One message and how far it got.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Said {
    /// Counts up for ever.
    pub(crate) nth: u64,
    pub(crate) time: Timestamp,
    pub(crate) receiver: String,
    pub(crate) group: Labels,
    pub(crate) message: String,
    pub(crate) answer: String,
    pub(crate) end: End,
    pub(crate) took_millis: u64,
    pub(crate) alerts: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    Taken,
    /// Will be tried again.
    Waiting,
    /// Refused for good.
    GivenUp,
    /// Everything it would have said was over before it could be said.
    Overtaken,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    /// Oldest first.
    rows: VecDeque<Said>,
    next: u64,
}

impl History {
    pub(crate) fn restored(mut rows: Vec<Said>) -> Self {
        rows.sort_by_key(|said| said.nth);
        let next = rows.last().map_or(0, |said| said.nth + 1);
        Self {
            rows: rows.into(),
            next,
        }
    }

    /// Writes a message's newest state: the row `nth` if it is still there, else a new one. Returns the row.
    pub(crate) fn write(&mut self, nth: Option<u64>, mut said: Said) -> Said {
        let known = nth.and_then(|nth| self.rows.iter_mut().find(|row| row.nth == nth));
        if let Some(row) = known {
            said.nth = row.nth;
            row.clone_from(&said);
            return said;
        }
        if self.rows.len() >= ROWS {
            self.rows.pop_front();
        }
        said.nth = self.next;
        self.next += 1;
        self.rows.push_back(said.clone());
        said
    }

    pub(crate) fn row(&self, nth: u64) -> Option<&Said> {
        self.rows.iter().rev().find(|row| row.nth == nth)
    }

    /// Newest first.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.rows.iter().rev().map(Said::told).collect()
    }
}

impl Said {
    fn told(&self) -> Told {
        Told {
            time: self.time,
            receiver: self.receiver.clone(),
            group: self.group.clone(),
            message: self.message.clone(),
            answer: self.answer.clone(),
            health: match self.end {
                End::Taken => Health::Good,
                End::Waiting => Health::Pending,
                End::GivenUp => Health::Bad,
                End::Overtaken => Health::Unknown,
            },
            took: Duration::from_millis(self.took_millis),
            alerts: self.alerts.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str) -> Said {
        Said {
            nth: 0,
            time: Timestamp(0),
            receiver: "slack".to_owned(),
            group: Labels::empty(),
            message: message.to_owned(),
            answer: String::new(),
            end: End::Waiting,
            took_millis: 0,
            alerts: vec![],
        }
    }

    #[test]
    fn a_message_has_one_row_and_the_oldest_row_goes() {
        let mut history = History::default();
        let first = history.write(None, said("first")).nth;
        assert_eq!(history.write(Some(first), said("first, again")).nth, first);
        assert_eq!(history.told().len(), 1);
        for _ in 0..ROWS {
            history.write(None, said("later"));
        }
        assert_eq!(history.told().len(), ROWS);
        // Its row is gone, so it gets a new one.
        assert!(history.write(Some(first), said("first, at last")).nth > first);
        assert_eq!(history.told()[0].message, "first, at last");
    }
}
