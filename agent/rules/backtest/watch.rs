//! Watches one rule's alerts from evaluation to evaluation, and writes down their episodes.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{Labels, Timestamp};

use super::report::{Alert, Episode};
use crate::alert::State;
use crate::group::{Group, Rule};
use crate::state::RuleState;

/// Episodes of a rule that are listed; what comes after is counted only.
pub(super) const LISTED_MAX: usize = 10_000;

pub(super) struct Watch {
    open: BTreeMap<Labels, Open>,
    found: Alert,
    /// What is looked at.
    from: Timestamp,
    until: Timestamp,
}

#[derive(Clone)]
struct Open {
    active_at: Timestamp,
    fired_at: Option<Timestamp>,
    /// The last evaluation that found it.
    seen_at: Timestamp,
    /// It has fired and is pending again since, as it was found in some of its datapoints still.
    is_told: bool,
}

impl Watch {
    pub(super) fn new(group: &Group, rule: &Rule, (from, until): (Timestamp, Timestamp)) -> Self {
        Self {
            open: BTreeMap::new(),
            found: Alert {
                file: group.file.clone(),
                group: group.name.clone(),
                name: rule.name.clone(),
                fired: 0,
                firing: Duration::ZERO,
                longest: Duration::ZERO,
                first: None,
                last: None,
                at_once: 0,
                still_firing: 0,
                only_pending: 0,
                episodes: Vec::new(),
                unlisted: 0,
            },
            from,
            until,
        }
    }

    /// After an evaluation.
    pub(super) fn look(&mut self, state: &RuleState, at: Timestamp) {
        let (mut firing, mut over) = (0, Vec::new());
        for alert in state.all().filter(|alert| alert.is_active()) {
            let fires = alert.state == State::Firing;
            firing += usize::from(fires);
            let fired_at = alert.fired_at.filter(|_| fires);
            match self.open.get_mut(&alert.labels) {
                Some(open) => {
                    open.seen_at = at;
                    match open.fired_at {
                        Some(_) if !fires => {
                            over.push((alert.labels.clone(), open.clone()));
                            (open.fired_at, open.is_told) = (None, true);
                        }
                        known => open.fired_at = known.or(fired_at),
                    }
                }
                None => {
                    let open = Open {
                        active_at: alert.active_at,
                        fired_at,
                        seen_at: at,
                        is_told: false,
                    };
                    self.open.insert(alert.labels.clone(), open);
                }
            }
        }
        if at > self.from {
            self.found.at_once = self.found.at_once.max(firing);
        }
        let is_over = |_: &Labels, open: &mut Open| open.seen_at != at;
        over.extend(self.open.extract_if(.., is_over));
        for (labels, open) in over {
            self.note(labels, &open, Some(at));
        }
    }

    /// Nothing is open, and nothing can have changed when the table is empty, too.
    pub(super) fn is_quiet(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn done(mut self) -> Alert {
        for (labels, open) in std::mem::take(&mut self.open) {
            self.note(labels, &open, None);
        }
        self.found
    }

    fn note(&mut self, labels: Labels, open: &Open, ended_at: Option<Timestamp>) {
        let is_tail = open.is_told && open.fired_at.is_none();
        if is_tail || ended_at.is_some_and(|ended| ended <= self.from) {
            return;
        }
        let found = &mut self.found;
        match open.fired_at {
            None => found.only_pending += 1,
            Some(fired_at) => {
                let firing = ended_at.unwrap_or(self.until).since(fired_at.max(self.from));
                found.fired += 1;
                found.firing += firing;
                found.longest = found.longest.max(firing);
                found.first = Some(found.first.map_or(fired_at, |first| first.min(fired_at)));
                found.last = found.last.max(Some(fired_at));
                found.still_firing += u64::from(ended_at.is_none());
            }
        }
        if found.episodes.len() >= LISTED_MAX {
            found.unlisted += 1;
            return;
        }
        found.episodes.push(Episode {
            labels,
            active_at: open.active_at,
            fired_at: open.fired_at,
            ended_at,
        });
    }
}
