//! What every group needs of the world around the room.

use std::sync::Arc;

use journal::Journal;
use model::{AlertEvent, AlertState, Ask, Clock, Keep, Labels, Leadership, Timestamp};
use tokio::sync::{mpsc, watch};

use crate::alert::{Alert, State};
use crate::config::Options;
use crate::metrics::Metrics;

/// The rooms beside this one, as the hall connects them.
pub struct Neighbours {
    pub ask: Arc<dyn Ask>,
    pub keep: Arc<dyn Keep>,
    pub journal: Journal,
    /// Full: the event is left out and counted, and the state is sent again in the next round.
    pub events: mpsc::Sender<AlertEvent>,
    pub leadership: watch::Receiver<Leadership>,
    pub clock: Arc<dyn Clock>,
}

pub(crate) struct World {
    pub(crate) near: Neighbours,
    pub(crate) options: Options,
    pub(crate) metrics: Metrics,
    /// When this process began to evaluate.
    pub(crate) started_at: Timestamp,
}

impl World {
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
            known: !alert.restored,
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
