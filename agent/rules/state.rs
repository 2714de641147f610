//! What a rule has come to: its alerts, its output, and how its last evaluation went.

use std::sync::Arc;
use std::time::Duration;

use journal::Change;
use model::{Keep, Timestamp};

use crate::alert::{Alert, State, Table};
use crate::group::{Group, Rule};
use crate::no_data::NO_DATA;
use crate::output::Output;
use crate::record::{Identity, Record};

/// Name of the alert that says a rule gave more alerts than its group's limit.
pub(crate) const LIMIT_EXCEEDED: &str = "RuleLimitExceeded";

/// Pending alerts are written anew this often, so that a restart knows when they were last seen.
const REWRITE_AFTER: Duration = Duration::from_secs(60);

/// Whether its last evaluation could change what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stuck {
    No,
    /// Alerts were left as they were, because nothing is known of them.
    Frozen,
    /// Its question had no answer.
    Unanswered,
}

pub(crate) struct RuleState {
    pub(crate) identity: Arc<Identity>,
    pub(crate) generator_url: String,
    pub(crate) alerts: Table,
    /// The alert about the rule itself, [`LIMIT_EXCEEDED`].
    pub(crate) overflow: Table,
    /// Alerts about what the rule would read and does not come; see `no_data.rs`.
    pub(crate) no_data: Table,
    pub(crate) output: Output,
    pub(crate) stuck: Stuck,
    /// When that was, by the clock.
    pub(crate) stuck_at: Timestamp,
    /// None: never evaluated.
    pub(crate) last_evaluation: Option<Timestamp>,
    pub(crate) last_duration: Duration,
    /// Empty after a success.
    pub(crate) last_error: String,
    /// Why a label or annotation could last not be expanded; the alert goes out all the same.
    pub(crate) template_error: Option<String>,
}

impl RuleState {
    pub(crate) fn new(identity: Identity, generator_url: String, keep: &dyn Keep) -> Self {
        Self {
            output: Output::open(keep, &identity.target()),
            identity: Arc::new(identity),
            generator_url,
            stuck: Stuck::No,
            stuck_at: Timestamp::default(),
            alerts: Table::default(),
            overflow: Table::default(),
            no_data: Table::default(),
            last_evaluation: None,
            last_duration: Duration::ZERO,
            last_error: String::new(),
            template_error: None,
        }
    }

    /// Takes up alerts of before, from the journal or from the group as it was.
    pub(crate) fn take_up(&mut self, alerts: impl IntoIterator<Item = Alert>) {
        for alert in alerts {
            let table = self.table_of(&alert);
            table.removed.remove(&alert.labels);
            table.alerts.insert(alert.labels.clone(), alert);
        }
    }

    fn table_of(&mut self, alert: &Alert) -> &mut Table {
        let about_limit = alert.labels.value(model::labels::ALERT_NAME) == LIMIT_EXCEEDED
            && *self.identity.rule != *LIMIT_EXCEEDED;
        if about_limit {
            &mut self.overflow
        } else if alert.source.name() == NO_DATA {
            &mut self.no_data
        } else {
            &mut self.alerts
        }
    }

    /// Takes up an alert that fires at the other replica, unless it fires here too, or has ended here since the
    /// other one saw it. Returns whether it did.
    pub(crate) fn inherit(&mut self, alert: &Alert, hold: Duration, at: Timestamp) -> bool {
        let known = self.table_of(alert).alerts.get(&alert.labels);
        let is_older = known.is_some_and(|known| match known.state {
            // The other replica told that it fires, so that somebody has to tell when it ends.
            State::Pending => false,
            State::Firing => true,
            State::Resolved => known.resolved_at >= Some(alert.seen_at),
        });
        if is_older {
            return false;
        }
        self.take_up([Alert {
            restored: Some(at),
            // It was true for long enough by the other clock.
            active_at: alert.active_at.min(at - hold),
            last_sent_at: None,
            ..alert.clone()
        }]);
        true
    }

    /// Goes on at `at` after an outage that ended at `since`, as if all had come from the journal.
    pub(crate) fn resume(&mut self, since: Timestamp, at: Timestamp, outage_tolerance: Duration) {
        let is_old = |alert: &Alert| alert.is_outdated(at, outage_tolerance);
        self.alerts.alerts.retain(|_, alert| !is_old(alert));
        self.all_mut().for_each(|alert| alert.restored = Some(since));
    }

    /// An evaluation without an answer would change nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.alerts.alerts.is_empty()
            && self.overflow.alerts.is_empty()
            && self.no_data.alerts.is_empty()
            && self.output.is_empty()
            && self.last_error.is_empty()
    }

    /// Notes how an evaluation went.
    pub(crate) fn ended(&mut self, at: Timestamp, took: Duration, error: Option<String>) {
        self.last_evaluation = Some(at);
        self.last_duration = took;
        self.last_error = error.unwrap_or_default();
    }

    pub(crate) fn health(&self) -> &'static str {
        match (self.last_evaluation, self.last_error.is_empty()) {
            (None, _) => "unknown",
            (_, true) => "ok",
            (_, false) => "err",
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Alert> {
        let tables = [&self.alerts, &self.overflow, &self.no_data];
        tables.into_iter().flat_map(|table| table.alerts.values())
    }

    pub(crate) fn active(&self) -> impl Iterator<Item = &Alert> {
        self.all().filter(|alert| alert.is_active())
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Alert> {
        let tables = self.tables_mut().into_iter();
        tables.flat_map(|table| table.alerts.values_mut())
    }

    pub(crate) fn tables_mut(&mut self) -> [&mut Table; 3] {
        [&mut self.alerts, &mut self.overflow, &mut self.no_data]
    }

    pub(crate) fn record(&self, alert: &Alert) -> Record {
        Record {
            rule: Identity::clone(&self.identity),
            generator_url: self.generator_url.clone(),
            alert: alert.clone(),
        }
    }

    /// What the journal does not say yet. It counts as said once [`Self::written`] is called.
    pub(crate) fn changes(&self, at: Timestamp) -> Vec<Change> {
        let stale = |alert: &&Alert| match alert.written_at {
            None => true,
            Some(written) => alert.state == State::Pending && written + REWRITE_AFTER <= at,
        };
        let put = self.all().filter(stale).map(|alert| self.record(alert).put());
        let tables = [&self.alerts, &self.overflow, &self.no_data];
        let removed = tables.into_iter().flat_map(|table| &table.removed);
        put.chain(removed.map(|labels| Change::remove(self.identity.key(labels))))
            .collect()
    }

    pub(crate) fn written(&mut self, at: Timestamp) {
        for alert in self.all_mut() {
            let fresh = alert
                .written_at
                .is_some_and(|written| written + REWRITE_AFTER > at);
            if !fresh {
                alert.written_at = Some(at);
            }
        }
        for table in self.tables_mut() {
            table.removed.clear();
        }
    }
}

/// The identities of a group's rules, in order.
pub(crate) fn identities(group: &Group) -> Vec<Identity> {
    let mut known: Vec<Identity> = Vec::with_capacity(group.rules.len());
    for rule in &group.rules {
        let mut identity = identity(group, rule);
        identity.nth = known.iter().filter(|other| other.is_like(&identity)).count();
        known.push(identity);
    }
    known
}

fn identity(group: &Group, rule: &Rule) -> Identity {
    Identity {
        file: Arc::clone(&group.file),
        group: Arc::clone(&group.name),
        rule: Arc::clone(&rule.name),
        labels: rule.labels_written(),
        nth: 0,
    }
}
