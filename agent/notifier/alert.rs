//! An alert as the notifier keeps it, in memory and in the journal.

use model::{AlertEvent, AlertState, Labels, Timestamp};
use serde::{Deserialize, Serialize};

/// What was last heard of one alert. It is firing until rules say that it resolved: silence only makes it
/// unknown, which is shown, and never resolves it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alert {
    pub(crate) fingerprint: u64,
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    pub(crate) starts_at: Timestamp,
    /// When it resolved; none while it fires.
    pub(crate) resolved_at: Option<Timestamp>,
    /// When the notifier first heard of it since it last began to fire.
    pub(crate) opened: Timestamp,
    /// Rules promised to speak again before this.
    pub(crate) heard_until: Timestamp,
    pub(crate) generator_url: String,
    pub(crate) epoch: u64,
}

impl Alert {
    pub(crate) fn new(event: AlertEvent, now: Timestamp) -> Self {
        let resolved = event.state == AlertState::Resolved;
        Self {
            fingerprint: event.fingerprint,
            labels: event.labels,
            annotations: event.annotations,
            starts_at: event.starts_at,
            resolved_at: resolved.then_some(event.ends_at),
            opened: now,
            heard_until: event.ends_at,
            generator_url: event.generator_url,
            epoch: event.epoch,
        }
    }

    pub(crate) fn firing(&self) -> bool {
        self.resolved_at.is_none()
    }

    /// Fires as far as is known, but rules have not spoken of it for longer than they promised.
    pub(crate) fn unknown(&self, now: Timestamp) -> bool {
        self.firing() && self.heard_until < now
    }

    pub(crate) fn name(&self) -> &str {
        self.labels.value(model::labels::ALERT_NAME)
    }

    /// Alertmanager's order: by `job`, then `instance`, then all labels; who lacks one comes last.
    pub(crate) fn place(&self) -> (bool, &str, bool, &str, &Labels) {
        let (job, instance) = (self.labels.get("job"), self.labels.get("instance"));
        (
            job.is_none(),
            job.unwrap_or_default(),
            instance.is_none(),
            instance.unwrap_or_default(),
            &self.labels,
        )
    }
}
