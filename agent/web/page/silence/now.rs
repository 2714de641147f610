//! Alerts that a silence can cover now: those the notifier has, others' among them, and those of the rules here.

use std::collections::HashSet;

use model::{AlertState, Labels};
use serde::Deserialize;

use crate::Rooms;
use crate::page::visit::Visit;

/// The notifier's alerts, asked for before a view is drawn.
pub(in crate::page) struct Told(Vec<Shown>);

#[derive(Clone, Deserialize)]
struct Shown {
    labels: Labels,
    status: Status,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    inhibited_by: Vec<String>,
    silenced_by: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Now {
    pub(super) labels: Labels,
    pub(super) state: AlertState,
    pub(super) is_silenced: bool,
    pub(super) is_inhibited: bool,
}

impl Told {
    /// Nothing where nobody is told, or nobody answers.
    pub(in crate::page) async fn ask(rooms: &Rooms) -> Self {
        let Some(alerting) = &rooms.alerting else {
            return Self(Vec::new());
        };
        let listed = (alerting.list)("alerts", &[]).await;
        let alerts = listed.map(|text| serde_json::from_str(&text));
        Self(match alerts {
            Ok(Ok(alerts)) => alerts,
            Ok(Err(error)) => {
                tracing::warn!(%error, "reading the notifier's alerts");
                Vec::new()
            }
            Err((_, error)) => {
                tracing::debug!(error, "asking for the notifier's alerts");
                Vec::new()
            }
        })
    }

    /// Firing ones first.
    pub(super) fn now(&self, visit: &Visit) -> Vec<Now> {
        let mut all: Vec<Now> = self
            .0
            .iter()
            .map(|shown| Now {
                labels: shown.labels.clone(),
                state: AlertState::Firing,
                is_silenced: !shown.status.silenced_by.is_empty(),
                is_inhibited: !shown.status.inhibited_by.is_empty(),
            })
            .collect();
        let known: HashSet<u64> = all.iter().map(|now| now.labels.fingerprint()).collect();
        for state in [AlertState::Firing, AlertState::Pending] {
            for standing in visit.standing(state) {
                let own = &standing.alert.labels;
                // External labels make it more there.
                let is_same = |known: &Now| own.iter().all(|(name, value)| known.labels.value(name) == value);
                if !known.contains(&own.fingerprint()) && !all.iter().any(is_same) {
                    all.push(Now {
                        labels: own.clone(),
                        state,
                        is_silenced: false,
                        is_inhibited: false,
                    });
                }
            }
        }
        all
    }
}
