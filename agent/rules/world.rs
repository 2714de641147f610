//! What every group needs of the world around the room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use journal::{Change, Journal};
use model::late::Late;
use model::{AlertEvent, AlertState, Answer, Ask, Clock, Keep, Labels, Leadership, Presence, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use crate::alert::{Alert, State};
use crate::config::Options;
use crate::expr::{Expr, Read};
use crate::group::{Group, Kind, OnMissing};
use crate::metrics::Metrics;
use crate::silence::{Doubted, Silence};

/// The rooms beside this one, as the hall connects them.
pub struct Neighbours {
    pub ask: Arc<dyn Ask>,
    pub keep: Arc<dyn Keep>,
    pub journal: Journal,
    /// Full: the event is left out and counted, and the state is sent again in the next round.
    pub events: mpsc::Sender<AlertEvent>,
    pub leadership: watch::Receiver<Leadership>,
    pub clock: Arc<dyn Clock>,
    /// Which senders are heard.
    pub presence: Arc<dyn Presence>,
    /// Which series come late, and until when they are there.
    pub late: Arc<dyn Late>,
}

pub(crate) struct World {
    pub(crate) near: Neighbours,
    pub(crate) options: Options,
    pub(crate) metrics: Metrics,
    pub(crate) silence: Silence,
    /// For rules whose files do not say it.
    pub(crate) on_missing: OnMissing,
    /// What recorded metrics are made from, by their names.
    pub(crate) recorded: Mutex<BTreeMap<Arc<str>, Vec<Expr>>>,
    /// Why the journal did not take what was written to it last.
    pub(crate) not_durable: Mutex<Option<String>>,
}

impl World {
    pub(crate) fn new(near: Neighbours, options: Options, metrics: Metrics) -> Self {
        Self {
            near,
            options,
            metrics,
            silence: Silence::default(),
            on_missing: OnMissing::Keep,
            recorded: Mutex::default(),
            not_durable: Mutex::default(),
        }
    }

    /// # Errors
    /// There is no answer, or none in time.
    pub(crate) async fn ask(&self, expr: &str, at: Timestamp) -> Result<Answer, String> {
        let question = self.near.ask.ask(expr, at);
        match tokio::time::timeout(self.options.config.query_timeout, question).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("the query timed out".to_owned()),
        }
    }

    /// Whether it is durable now; if not, that is counted and said.
    pub(crate) async fn save(&self, changes: Vec<Change>) -> bool {
        if changes.is_empty() {
            return true;
        }
        let written = self.near.journal.write(changes).await;
        if let Err(error) = &written {
            self.metrics.journal_failures.inc();
            tracing::error!(%error, "alert state is not durable");
        }
        *self.not_durable.lock() = written.as_ref().err().map(ToString::to_string);
        written.is_ok()
    }

    /// Senders that are silent, or were a moment ago.
    pub(crate) fn doubted(&self) -> Vec<Doubted> {
        self.silence.look(&*self.near.presence, self.near.clock.running())
    }

    pub(crate) fn note_recorded(&self, groups: &[Group]) {
        let mut recorded: BTreeMap<Arc<str>, Vec<Expr>> = BTreeMap::new();
        for rule in groups.iter().flat_map(|group| &group.rules) {
            if matches!(rule.kind, Kind::Record { .. }) {
                recorded
                    .entry(Arc::clone(&rule.name))
                    .or_default()
                    .push(rule.expr.clone());
            }
        }
        *self.recorded.lock() = recorded;
    }

    /// What an expression reads, and what the recorded metrics that it reads are made from.
    pub(crate) fn reads(&self, expr: &Expr) -> Vec<Read> {
        let recorded = self.recorded.lock();
        let mut reads = expr.reads().to_vec();
        let mut seen = BTreeSet::new();
        let mut next = 0;
        while let Some(read) = reads.get(next).cloned() {
            next += 1;
            let Some((name, makers)) = read.metric().and_then(|name| recorded.get_key_value(name)) else {
                continue;
            };
            if seen.insert((Arc::clone(name), read.excludes)) {
                let deeper = makers.iter().flat_map(|maker| maker.reads().iter());
                reads.extend(deeper.map(|deep| deep.inside(&read)));
            }
        }
        reads
    }

    /// Hands an alert to the notifier. Returns whether there was room.
    pub(crate) fn tell(&self, alert: &Alert, generator_url: &str, valid_until: Timestamp) -> bool {
        let sent = self
            .near
            .events
            .try_send(self.event(alert, generator_url, valid_until))
            .is_ok();
        self.metrics.event(sent);
        sent
    }

    fn event(&self, alert: &Alert, generator_url: &str, valid_until: Timestamp) -> AlertEvent {
        let labels = self.with_external_labels(&alert.labels);
        // A pending alert is told only to end what was firing before.
        let (state, ends_at) = match (alert.state, alert.resolved_at) {
            (State::Firing, _) => (AlertState::Firing, valid_until),
            (_, resolved_at) => (AlertState::Resolved, resolved_at.unwrap_or(valid_until)),
        };
        AlertEvent {
            fingerprint: labels.fingerprint(),
            labels,
            annotations: alert.annotations.clone(),
            state,
            active_at: alert.active_at,
            starts_at: alert.fired_at.unwrap_or(alert.active_at),
            ends_at,
            value: alert.value,
            generator_url: generator_url.to_owned(),
            epoch: self.near.leadership.borrow().epoch,
            known: alert.is_known(),
        }
    }

    /// Only where the alert has no such label, as in Prometheus.
    fn with_external_labels(&self, labels: &Labels) -> Labels {
        if self.options.external_labels.is_empty() {
            return labels.clone();
        }
        Labels::from_pairs(self.options.external_labels.iter().chain(labels.iter()))
    }

    /// Where the page shows an expression.
    pub(crate) fn generator_url(&self, expr: &str) -> String {
        format!("{}{}", self.options.external_url, template::table_link(expr))
    }
}
