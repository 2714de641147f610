//! Alerts, groups and receivers as Alertmanager's API shows them, and its filters.

use std::collections::BTreeMap;

use model::{Labels, Matcher, Timestamp};
use regex::Regex;
use serde::Serialize;

use crate::alert::{Alert, compare};
use crate::core::Core;
use crate::group::Group;
use crate::matchers;
use crate::matching::Tests;

/// A refusal of what was asked: 400, and a sentence in Alertmanager's words.
type Refusal = (u16, String);

/// Which alerts somebody wants to see.
#[derive(Debug)]
pub(crate) struct Wanted {
    active: bool,
    silenced: bool,
    inhibited: bool,
    unprocessed: bool,
    /// Groups in hours in which they are mute.
    muted: bool,
    filter: Tests,
    receiver: Option<Regex>,
}

impl Wanted {
    /// Reads the parameters of a request; those that are not known are passed over, as there.
    pub(crate) fn read(parameters: &[(String, String)]) -> Result<Self, Refusal> {
        let flag = |name: &str| match parameters.iter().find(|(known, _)| known == name) {
            None => Ok(true),
            Some((_, value)) => match value.as_str() {
                "true" | "1" | "" => Ok(true),
                "false" | "0" => Ok(false),
                other => Err((422, format!("{name} in query must be of type boolean: {other:?}"))),
            },
        };
        let filters = parameters.iter().filter(|(name, _)| name == "filter");
        let filters: Result<Vec<Matcher>, String> = filters.map(|(_, text)| matchers::one(text)).collect();
        let filter = filters.and_then(|filters| Tests::new(&filters));
        let receiver = parameters.iter().find(|(name, _)| name == "receiver");
        let receiver = receiver.map(|(_, pattern)| Regex::new(&format!("^(?:{pattern})$")));
        let receiver = receiver.transpose().map_err(|error| {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().to_owned();
            (400, format!("failed to parse receiver param: {why}"))
        })?;
        Ok(Self {
            active: flag("active")?,
            silenced: flag("silenced")?,
            inhibited: flag("inhibited")?,
            unprocessed: flag("unprocessed")?,
            muted: flag("muted")?,
            filter: filter.map_err(|why| (400, why))?,
            receiver,
        })
    }

    /// Whether this receiver is meant.
    fn names(&self, receiver: &str) -> bool {
        let pattern = self.receiver.as_ref();
        pattern.is_none_or(|pattern| pattern.is_match(receiver))
    }

    fn wants(&self, alert: &Alert, status: &Status, receivers: &[&str]) -> bool {
        let is_suppressed = status.state == "suppressed";
        (self.active || is_suppressed)
            && (self.silenced || status.silenced_by.is_empty())
            && (self.inhibited || status.inhibited_by.is_empty())
            && (self.unprocessed || status.state != "unprocessed")
            && self.filter.accept(&alert.labels)
            && receivers.iter().any(|name| self.names(name))
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Name<'a> {
    name: &'a str,
}

/// In the order in which Alertmanager's encoder writes them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    annotations: &'a Labels,
    ends_at: String,
    fingerprint: String,
    receivers: Vec<Name<'a>>,
    starts_at: String,
    status: Status,
    updated_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "str::is_empty")]
    generator_url: &'a str,
    labels: &'a Labels,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    inhibited_by: Vec<String>,
    muted_by: Vec<String>,
    silenced_by: Vec<String>,
    state: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownGroup<'a> {
    alerts: Vec<Shown<'a>>,
    labels: &'a Labels,
    receiver: Name<'a>,
    route_labels: Labels,
}

impl Core {
    /// The body of `GET /api/v2/alerts`: each alert once, by its fingerprint; those that are over are not shown.
    pub(crate) fn alerts_json(&self, wanted: &Wanted, now: Timestamp) -> String {
        let mut all: Vec<(&Group, &Alert)> = Vec::new();
        for group in self.groups() {
            all.extend(
                group
                    .alerts
                    .values()
                    .filter(|alert| alert.firing())
                    .map(|alert| (group, alert)),
            );
        }
        // Of several groups the one that has spoken.
        all.sort_by_key(|(group, alert)| (alert.fingerprint, group.first_flush.is_none()));
        all.dedup_by_key(|(_, alert)| alert.fingerprint);
        let shown = all
            .into_iter()
            .filter_map(|(group, alert)| self.shown(wanted, group, alert, now));
        json(&shown.collect::<Vec<_>>())
    }

    /// The body of `GET /api/v2/alerts/groups`.
    pub(crate) fn groups_json(&self, wanted: &Wanted, now: Timestamp) -> String {
        let mut groups = Vec::new();
        for group in self.groups() {
            if !wanted.names(&group.route.receiver) || group.is_muted && !wanted.muted {
                continue;
            }
            let mut firing: Vec<&Alert> = group.alerts.values().filter(|alert| alert.firing()).collect();
            firing.sort_by(|left, right| left.compare(right));
            let mut alerts: Vec<_> = firing
                .into_iter()
                .filter_map(|alert| self.shown(wanted, group, alert, now))
                .collect();
            for alert in &mut alerts {
                alert.receivers.retain(|receiver| wanted.names(receiver.name));
                alert.receivers.sort();
            }
            if !alerts.is_empty() {
                groups.push(ShownGroup {
                    alerts,
                    labels: &group.labels,
                    receiver: Name {
                        name: &group.route.receiver,
                    },
                    route_labels: Labels::empty(),
                });
            }
        }
        groups.sort_by(|left, right| {
            let by_name = || left.receiver.name.cmp(right.receiver.name);
            compare(left.labels, right.labels).then_with(by_name)
        });
        json(&groups)
    }

    fn shown<'a>(
        &'a self,
        wanted: &Wanted,
        group: &'a Group,
        alert: &'a Alert,
        now: Timestamp,
    ) -> Option<Shown<'a>> {
        let status = self.status(group, alert, now);
        let receivers = self.receivers_of(&alert.labels);
        if !wanted.wants(alert, &status, &receivers) {
            return None;
        }
        Some(Shown {
            annotations: &alert.annotations,
            ends_at: time(alert.heard_until),
            fingerprint: format!("{:016x}", alert.fingerprint),
            receivers: receivers.into_iter().map(|name| Name { name }).collect(),
            starts_at: time(alert.starts_at),
            status,
            updated_at: time(alert.heard_at.unwrap_or(alert.opened)),
            generator_url: &alert.generator_url,
            labels: &alert.labels,
        })
    }

    fn status(&self, group: &Group, alert: &Alert, now: Timestamp) -> Status {
        let silenced_by = self.silences_of(&alert.labels);
        let inhibited_by = self.inhibited_by(&alert.labels);
        let is_suppressed = !silenced_by.is_empty() || !inhibited_by.is_empty();
        let is_waiting = group.first_flush.is_none();
        Status {
            state: match (is_suppressed, is_waiting) {
                (true, _) => "suppressed",
                (false, true) => "unprocessed",
                (false, false) => "active",
            },
            inhibited_by: inhibited_by
                .into_iter()
                .map(|source| format!("{source:016x}"))
                .collect(),
            muted_by: group.route.muted_by(now),
            silenced_by,
        }
    }
}

/// The body of `GET /api/v2/receivers`.
pub(crate) fn receivers(teams: &BTreeMap<String, BTreeMap<String, String>>) -> String {
    #[derive(Serialize)]
    struct Receiver<'a> {
        labels: &'a BTreeMap<String, String>,
        name: &'a str,
    }
    let all = teams.iter().map(|(name, labels)| Receiver { labels, name });
    json(&all.collect::<Vec<_>>())
}

fn json(value: &impl Serialize) -> String {
    // Strings, numbers and lists of them always have a JSON form.
    serde_json::to_string(value).unwrap_or_default()
}

fn time(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(time.0).unwrap_or_default();
    format!("{time:.3}")
}
