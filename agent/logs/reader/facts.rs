//! Whose lines they are, from whoever watches pods: asked for when a file is first read, and again when there is news.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::Pods;
use tokio::sync::watch;

use super::{Outlet, Reader};
use crate::plan::Planner;

/// A new container's lines wait so long for somebody to say whose they are; then they go with what their path says.
const PATIENCE: Duration = Duration::from_secs(5);
/// News may ring no bell here.
const LOOK: Duration = Duration::from_millis(100);

impl<O: Outlet> Reader<O> {
    /// Learns of pods from now on.
    pub(crate) fn hear_of(&mut self, pods: watch::Receiver<Arc<Pods>>) {
        self.planner = Planner::new(&self.config, Some(pods));
        self.plan_anew();
    }

    /// Plans for one source, when it comes up.
    pub(super) fn plan_for(&mut self, file: usize) {
        let Some(tail) = self.tails.get(file).and_then(Option::as_ref) else {
            return;
        };
        let plan = self.planner.plan(tail.form, &tail.base, tail.facts.as_deref());
        if let Some(source) = self.sources.get_mut(&tail.base) {
            source.plan = plan;
        }
    }

    pub(super) fn plan_anew(&mut self) {
        for file in 0..self.tails.len() {
            self.plan_for(file);
        }
    }

    pub(super) fn look_at_pods(&mut self, now: Instant) {
        if self.planner.has_news() {
            self.plan_anew();
            for file in std::mem::take(&mut self.waiting).into_keys() {
                self.wake(file);
            }
            return;
        }
        let due: Vec<usize> = self
            .waiting
            .iter()
            .filter(|(_, due)| **due <= now)
            .map(|(file, _)| *file)
            .collect();
        for file in due {
            self.waiting.remove(&file);
            self.wake(file);
        }
    }

    /// Whether a file is better read a little later.
    pub(super) fn waits_for_facts(&mut self, file: usize, now: Instant) -> bool {
        let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) else {
            return false;
        };
        let patience = tail.entered + PATIENCE;
        if patience <= now
            || !self
                .planner
                .may_hear_of(tail.form, &tail.base, tail.facts.as_deref())
        {
            return false;
        }
        self.waiting.insert(file, patience.min(now + LOOK));
        true
    }
}
