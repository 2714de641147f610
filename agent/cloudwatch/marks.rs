//! Up to when everything is there: a watermark for each metric, by which rules know which minutes they can judge.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use model::late::{Late, Mark};
use parking_lot::RwLock;

/// Shared between the room and whoever judges.
#[derive(Debug, Default)]
pub struct Marks(RwLock<HashMap<Arc<str>, Mark>>);

impl Marks {
    /// In place of all that was known.
    pub(crate) fn set(&self, marks: HashMap<Arc<str>, Mark>) {
        *self.0.write() = marks;
    }

    /// Nothing is late any more: nobody here asks.
    pub(crate) fn clear(&self) {
        self.set(HashMap::new());
    }
}

impl Late for Marks {
    fn mark(&self, metric: &str) -> Option<Mark> {
        self.0.read().get(metric).copied()
    }
}

/// Until when a metric is complete: the earliest of its series. How long it may stay away is twice its interval and a quarter of an
/// hour.
#[derive(Debug, Default)]
pub(crate) struct Gathering(HashMap<Arc<str>, Mark>);

/// How long a metric may stay away that is asked for so often.
fn patience(interval: Duration) -> Duration {
    interval * 2 + Duration::from_secs(900)
}

impl Gathering {
    /// What is wanted and may come from `since` on.
    pub(crate) fn expect(&mut self, metric: &Arc<str>, since: Timestamp, interval: Duration) {
        let mark = Mark {
            complete: since,
            patience: patience(interval),
        };
        self.0.insert(Arc::clone(metric), mark);
    }

    /// Another replica has it.
    pub(crate) fn elsewhere(&mut self, metric: &Arc<str>) {
        self.0.insert(Arc::clone(metric), Mark::NEVER);
    }

    /// In place of what was only expected.
    pub(crate) fn over(mut self, known: Self) -> Self {
        self.0.extend(known.0);
        self
    }

    /// Is there until `complete`, and has been asked for since `since`: while nobody asked, it was nobody's fault that nothing came.
    pub(crate) fn add(&mut self, metric: &str, complete: Timestamp, interval: Duration, since: Timestamp) {
        let patience = patience(interval) + since.since(complete);
        match self.0.get_mut(metric) {
            Some(mark) => {
                mark.complete = mark.complete.min(complete);
                mark.patience = mark.patience.max(patience);
            }
            None => {
                let mark = Mark { complete, patience };
                self.0.insert(metric.into(), mark);
            }
        }
    }

    pub(crate) fn done(self) -> HashMap<Arc<str>, Mark> {
        self.0
    }
}
