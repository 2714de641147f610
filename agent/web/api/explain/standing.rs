//! What becomes of an alert: who is told of it, and what keeps it quiet.

use std::collections::HashMap;

use model::explanation::{Silencer, Standing};
use model::view::{Alert, Rule};
use model::{AlertState, Labels};
use serde::Deserialize;

use super::super::rules::moment;
use super::has;
use crate::Rooms;

/// An alert as Alertmanager's API shows it.
#[derive(Deserialize)]
struct Shown {
    fingerprint: String,
    labels: Labels,
    status: Status,
    receivers: Vec<Named>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    inhibited_by: Vec<String>,
    muted_by: Vec<String>,
    silenced_by: Vec<String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Alerts as the notifier has them.
pub(super) struct Standings {
    alerts: Vec<Shown>,
    silences: HashMap<String, Silencer>,
}

impl Standings {
    /// Where nobody is told, or nobody answers, nothing is known.
    pub(super) async fn ask(rooms: &Rooms) -> Self {
        let mut alerts: Vec<Shown> = Vec::new();
        if let Some(alerting) = &rooms.alerting
            && let Ok(text) = (alerting.list)("alerts", &[]).await
        {
            alerts = serde_json::from_str(&text)
                .inspect_err(|error| tracing::warn!(%error, "reading the notifier's alerts"))
                .unwrap_or_default();
        }
        let ids = alerts.iter().flat_map(|alert| &alert.status.silenced_by);
        let silences = ids.filter_map(|id| {
            let text = (rooms.silences.as_ref()?.get)(id)?;
            Some((id.clone(), serde_json::from_str(&text).ok()?))
        });
        Self {
            silences: silences.collect(),
            alerts,
        }
    }

    pub(super) fn of(&self, alert: &Alert, rule: &Rule) -> Standing {
        let is_pending = alert.state == AlertState::Pending;
        let mut standing = Standing {
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            state: match alert.state {
                AlertState::Pending => "pending",
                AlertState::Firing => "firing",
                AlertState::Resolved => "resolved",
            }
            .to_owned(),
            value: model::text::float::api(alert.value),
            active_at: moment(Some(alert.active_at)),
            fires_at: (is_pending && rule.datapoints.is_none())
                .then(|| moment(Some(alert.active_at + rule.hold))),
            fired_at: alert.fired_at.map(|time| moment(Some(time))),
            resolved_at: alert.resolved_at.map(|time| moment(Some(time))),
            keep_firing_since: alert.keep_firing_since.map(|time| moment(Some(time))),
            unknown: alert.unknown,
            ..Standing::default()
        };
        let fingerprint = format!("{:016x}", alert.fingerprint);
        let known = self.alerts.iter().find(|shown| shown.fingerprint == fingerprint);
        // External labels make it another there.
        let known = known.or_else(|| self.alerts.iter().find(|shown| has(&shown.labels, &alert.labels)));
        if let Some(shown) = known {
            let silences = shown.status.silenced_by.iter();
            standing.silenced_by = silences
                .map(|id| {
                    self.silences.get(id).cloned().unwrap_or_else(|| Silencer {
                        id: id.clone(),
                        ..Silencer::default()
                    })
                })
                .collect();
            let sources = shown.status.inhibited_by.iter();
            standing.inhibited_by = sources
                .filter_map(|source| self.alerts.iter().find(|shown| shown.fingerprint == *source))
                .map(|shown| shown.labels.clone())
                .collect();
            standing.muted_by.clone_from(&shown.status.muted_by);
            standing.receivers = shown
                .receivers
                .iter()
                .map(|receiver| receiver.name.clone())
                .collect();
        }
        standing
    }
}
