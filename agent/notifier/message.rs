//! What is told, before anybody has decided how it looks: one group as it stands, for one receiver.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Labels, Timestamp};

use crate::alert::Alert;
use crate::delivered::{Delivered, Reason};
use crate::group::{Group, Key};

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) reason: Reason,
    pub(crate) key: Key,
    pub(crate) group_labels: Labels,
    /// Firing ones, and those resolved since the receiver heard of them; in Alertmanager's order.
    pub(crate) alerts: Vec<Alert>,
    /// Firing alerts that the receiver has not been told about.
    pub(crate) added: BTreeSet<u64>,
    /// An earlier attempt may have arrived after all.
    pub(crate) may_repeat: bool,
    pub(crate) time: Timestamp,
    /// Without a slash at the end; empty when there is no page to link.
    pub(crate) external_url: Arc<str>,
}

impl Message {
    pub(crate) fn new(
        reason: Reason,
        key: &Key,
        group: &Group,
        delivered: &Delivered,
        (may_repeat, time): (bool, Timestamp),
        external_url: &Arc<str>,
    ) -> Self {
        let told = group.alerts.values();
        let told = told
            .filter(|alert| group.is_loud(alert) || !alert.firing() && delivered.knows(alert.fingerprint));
        let mut alerts: Vec<Alert> = told.cloned().collect();
        alerts.sort_by(|left, right| left.place().cmp(&right.place()));
        let firing = alerts.iter().filter(|alert| alert.firing());
        let added = firing
            .map(|alert| alert.fingerprint)
            .filter(|fingerprint| !delivered.firing.contains(fingerprint))
            .collect();
        Self {
            reason,
            key: Arc::clone(key),
            group_labels: group.labels.clone(),
            alerts,
            added,
            may_repeat,
            time,
            external_url: Arc::clone(external_url),
        }
    }

    /// Says that messages arrive. Its one alert is resolved already, so that nobody is paged for good.
    pub(crate) fn test(time: Timestamp, external_url: &Arc<str>) -> Self {
        let labels = Labels::from_pairs([(model::labels::ALERT_NAME, "SkoposTest")]);
        let summary = "This is a test message of Skopos; nothing is wrong.";
        let alert = Alert {
            fingerprint: labels.fingerprint(),
            annotations: Labels::from_pairs([("summary", summary)]),
            starts_at: time,
            resolved_at: Some(time),
            opened: time,
            heard_until: time,
            generator_url: String::new(),
            epoch: 0,
            heard_at: None,
            is_shared: false,
            labels: labels.clone(),
        };
        Self {
            reason: Reason::Test,
            key: format!("{{}}:{labels}").into(),
            group_labels: labels,
            alerts: vec![alert],
            added: BTreeSet::new(),
            may_repeat: false,
            time,
            external_url: Arc::clone(external_url),
        }
    }

    pub(crate) fn firing(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(|alert| alert.firing())
    }

    pub(crate) fn resolved(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(|alert| !alert.firing())
    }

    pub(crate) fn is_firing(&self) -> bool {
        self.firing().next().is_some()
    }

    /// `+2 new, 1 resolved, 5 unchanged`; parts that are zero are left out.
    pub(crate) fn difference(&self) -> String {
        let unchanged = self.firing().count() - self.added.len();
        let parts = [
            (self.added.len(), "+", "new"),
            (self.resolved().count(), "", "resolved"),
            (unchanged, "", "unchanged"),
        ];
        let parts = parts.iter().filter(|(count, ..)| *count > 0);
        let words: Vec<String> = parts
            .map(|(count, sign, word)| format!("{sign}{count} {word}"))
            .collect();
        words.join(", ")
    }

    /// One line for the page: `first message, 2 alerts`, `resolved`.
    pub(crate) fn summary(&self) -> String {
        match self.reason {
            Reason::First => format!("new message, {}", alerts(self.alerts.len())),
            Reason::New | Reason::SomeResolved => self.difference(),
            Reason::AllResolved => match self.alerts.len() {
                1 => "resolved".to_owned(),
                count => format!("resolved, {}", alerts(count)),
            },
            Reason::Repeat => format!("repeated, {}", alerts(self.alerts.len())),
            Reason::Test => "test message".to_owned(),
        }
    }
}

/// `1 alert`, `2 alerts`.
pub(crate) fn alerts(count: usize) -> String {
    format!("{count} alert{}", if count == 1 { "" } else { "s" })
}

/// The pairs that all of these have alike.
pub(crate) fn common<'a>(sets: impl Iterator<Item = &'a Labels> + Clone) -> Labels {
    let mut rest = sets.clone();
    let Some(first) = rest.next() else {
        return Labels::empty();
    };
    first.retain(|name| {
        let value = first.get(name);
        rest.clone().all(|labels| labels.get(name) == value)
    })
}
