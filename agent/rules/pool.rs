//! Alerts between two lives of their rule: from the journal after a start, from the groups that a reload
//! ended, or from rules that are gone. What no rule takes up is retired: it has ended, and that is told.

use std::sync::Arc;
use std::time::Duration;

use journal::{Change, Journal};
use model::Timestamp;

use crate::alert::{Alert, State};
use crate::record::{self, Identity, Record};
use crate::runner::Running;
use crate::state::RuleState;

/// The alerts of one rule.
struct Left {
    identity: Identity,
    generator_url: String,
    alerts: Vec<Alert>,
}

#[derive(Default)]
pub(crate) struct Pool {
    left: Vec<Left>,
    /// What has to become durable together with the taking up.
    pub(crate) changes: Vec<Change>,
}

impl Pool {
    /// Everything that the journal knows. A pending alert that nobody has seen for longer than
    /// `outage_tolerance` begins anew.
    pub(crate) fn restore(&mut self, journal: &Journal, at: Timestamp, outage_tolerance: Duration) {
        for mut record in record::all(journal) {
            if record.alert.is_outdated(at, outage_tolerance) {
                self.changes.push(record.remove());
                continue;
            }
            record.alert.restored = Some(at);
            record.alert.written_at = Some(at);
            self.add(record);
        }
    }

    /// Rules whose group has ended.
    pub(crate) fn harvest(&mut self, running: &Running) {
        for state in &running.states {
            let mut state = state.lock();
            let tables = state.tables_mut().map(std::mem::take);
            for table in tables {
                let removed = table
                    .removed
                    .iter()
                    .map(|labels| Change::remove(state.identity.key(labels)));
                self.changes.extend(removed);
                for alert in table.alerts.into_values() {
                    self.add(Record {
                        rule: Identity::clone(&state.identity),
                        generator_url: state.generator_url.clone(),
                        alert,
                    });
                }
            }
        }
    }

    pub(crate) fn add(&mut self, record: Record) {
        let known = self.left.iter_mut().find(|left| left.identity == record.rule);
        match known {
            Some(left) => left.alerts.push(record.alert),
            None => self.left.push(Left {
                identity: record.rule,
                generator_url: record.generator_url,
                alerts: vec![record.alert],
            }),
        }
    }

    /// Gives the alerts to the rules they belong to: to the same rule at the same place first, then to
    /// one with the same name and labels that has moved.
    pub(crate) fn give<'s>(&mut self, states: impl Iterator<Item = &'s mut RuleState>) {
        let mut empty = Vec::new();
        for state in states {
            match self.left.iter().position(|left| left.identity == *state.identity) {
                Some(at) => state.take_up(self.left.swap_remove(at).alerts),
                None => empty.push(state),
            }
        }
        for state in empty {
            let like = self
                .left
                .iter()
                .position(|left| left.identity.is_like(&state.identity));
            if let Some(at) = like {
                let moved = self.left.swap_remove(at);
                for alert in &moved.alerts {
                    self.changes
                        .push(Change::remove(moved.identity.key(&alert.labels)));
                    self.changes.push(state.record(alert).put());
                }
                state.take_up(moved.alerts);
            }
        }
    }

    /// What nobody took: it ends at `at`, and is to be told for as long as any end is.
    pub(crate) fn retire(&mut self, at: Timestamp) -> Vec<Record> {
        let mut retired = Vec::new();
        for left in std::mem::take(&mut self.left) {
            let rule = Arc::new(left.identity);
            for alert in left.alerts {
                let mut record = Record {
                    rule: Identity::clone(&rule),
                    generator_url: left.generator_url.clone(),
                    alert,
                };
                match (record.alert.state, record.alert.resolved_at) {
                    (State::Pending, None) => {
                        self.changes.push(record.remove());
                        continue;
                    }
                    (State::Firing, _) => record.alert.resolve(at),
                    (_, _) => record.alert.state = State::Resolved,
                }
                self.changes.push(record.put());
                retired.push(record);
            }
        }
        retired
    }
}
