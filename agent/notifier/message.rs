//! What is told, before anybody has decided how it looks: one group as it stands, for one receiver.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Labels, Timestamp};

use crate::alert::Alert;
use crate::config::is_http;
use crate::delivered::{Delivered, Reason};
use crate::evidence::Shown;
use crate::group::{Group, Key};
use crate::slack::{Thread, gravity};

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
    /// Where a card about this group stands already.
    pub(crate) thread: Option<Thread>,
    pub(crate) time: Timestamp,
    /// Without a slash at the end; empty when there is no page to link.
    pub(crate) external_url: Arc<str>,
    /// What others know about its gravest alert.
    pub(crate) evidence: Option<Arc<Shown>>,
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
        let told = told.filter(|alert| {
            group.may_tell(alert, delivered) || !alert.firing() && delivered.knows(alert.fingerprint)
        });
        let mut alerts: Vec<Alert> = told.cloned().collect();
        alerts.sort_by(Alert::compare);
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
            thread: delivered.thread.clone(),
            time,
            external_url: Arc::clone(external_url),
            evidence: None,
        }
    }

    /// With at most `most` of what the receiver does not know yet; whether something was left for another message.
    pub(crate) fn limit_changes(&mut self, most: usize) -> bool {
        let mut left = most;
        let before = self.alerts.len();
        let added = &self.added;
        self.alerts.retain(|alert| {
            let is_changed = !alert.firing() || added.contains(&alert.fingerprint);
            if is_changed && left == 0 {
                return false;
            }
            left -= usize::from(is_changed);
            true
        });
        let kept: BTreeSet<u64> = self.alerts.iter().map(|alert| alert.fingerprint).collect();
        self.added.retain(|fingerprint| kept.contains(fingerprint));
        self.alerts.len() < before
    }

    /// A message for each alert of which the receiver does not know how it stands, or, when they are told again, for at
    /// most `again` of all: the others are told already.
    pub(crate) fn each_changed(&self, again: usize) -> impl Iterator<Item = Self> {
        let is_repeat = self.reason == Reason::Repeat;
        let changed = self
            .alerts
            .iter()
            .filter(move |alert| is_repeat || !alert.firing() || self.added.contains(&alert.fingerprint));
        let most = if is_repeat { again } else { usize::MAX };
        changed.take(most).map(|alert| Self {
            key: format!("{}/{:016x}", self.key, alert.fingerprint).into(),
            alerts: vec![alert.clone()],
            ..self.clone()
        })
    }

    pub(crate) fn is_test(&self) -> bool {
        self.reason == Reason::Test
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
            is_posted: false,
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
            thread: None,
            time,
            external_url: Arc::clone(external_url),
            evidence: None,
        }
    }

    pub(crate) fn firing(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(|alert| alert.firing())
    }

    pub(crate) fn resolved(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(|alert| !alert.firing())
    }

    /// The alert's name if all have the same, else what the group has in common.
    pub(crate) fn name(&self) -> String {
        let labels = common(self.alerts.iter().map(|alert| &alert.labels));
        if let Some(name) = labels.get(model::labels::ALERT_NAME) {
            return name.to_owned();
        }
        let values: Vec<&str> = self.group_labels.iter().map(|(_, value)| value).collect();
        if values.is_empty() {
            alerts(self.alerts.len())
        } else {
            values.join(" ")
        }
    }

    /// Where to look next: why it fires, the runbook, the dashboard, the expression; and, while anything fires, where to
    /// silence the group. Nobody has looked at the addresses.
    pub(crate) fn links(&self) -> Vec<(String, &'static str)> {
        let links = [
            (self.page(), if self.has_own_page() { "Explain" } else { "Open" }),
            (self.linked(["runbook_url", "runbook"]), "Runbook"),
            (self.linked(["dashboard_url", "dashboard"]), "Dashboard"),
            (self.first(|alert| &alert.generator_url), "Expression"),
            (self.silence(), "Silence"),
        ];
        let known = links.into_iter().filter_map(|(url, words)| Some((url?, words)));
        known.collect()
    }

    /// The first address under one of these annotations. People also write names there, which are no address.
    fn linked(&self, names: [&str; 2]) -> Option<String> {
        let written = names.iter().flat_map(|name| {
            let alerts = self.alerts.iter();
            alerts.map(|alert| alert.annotations.value(name).trim())
        });
        let mut addresses = written.filter(|text| is_http(text));
        addresses.next().map(str::to_owned)
    }

    /// The form that silences the group, filled in. A group by no label is told by what its alerts have in common; where
    /// that is nothing there is no form, which would silence everything.
    fn silence(&self) -> Option<String> {
        let home = self.home().filter(|_| self.is_firing())?;
        let labels = if self.group_labels.is_empty() {
            common(self.alerts.iter().map(|alert| &alert.labels))
        } else {
            self.group_labels.clone()
        };
        let filter = encode(&labels.to_string());
        (!labels.is_empty()).then(|| format!("{home}/silences?filter={filter}"))
    }

    /// What the first alert says that says anything.
    fn first<'a>(&'a self, of: impl Fn(&'a Alert) -> &'a str) -> Option<String> {
        let mut said = self.alerts.iter().map(of);
        said.find(|text| !text.is_empty()).map(str::to_owned)
    }

    fn home(&self) -> Option<&str> {
        Some(&*self.external_url).filter(|url| !url.is_empty())
    }

    /// Whether it is about one alert, which the page shows.
    fn has_own_page(&self) -> bool {
        self.alerts.len() == 1 && !self.is_test()
    }

    /// The alert's own view; a group of several has the list.
    fn page(&self) -> Option<String> {
        let home = self.home()?;
        Some(match self.alerts.as_slice() {
            [alert] if self.has_own_page() => {
                format!(
                    "{home}/alerts/{}/{:016x}",
                    encode(alert.name()),
                    alert.fingerprint
                )
            }
            _ => format!("{home}/alerts"),
        })
    }

    /// Whether something graver has been added than fires already.
    pub(crate) fn grew_worse(&self) -> bool {
        let gravest = |is_added: bool| {
            let alerts = self.firing();
            let alerts = alerts.filter(move |alert| self.added.contains(&alert.fingerprint) == is_added);
            alerts.map(|alert| gravity(alert.labels.value("severity"))).max()
        };
        self.reason == Reason::New && gravest(true) > gravest(false)
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

/// For places that show text as it is: on one line, at most `most` long.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if length(&line) <= most {
        return line;
    }
    let mut clipped = String::new();
    let mut used = 1;
    for letter in line.chars() {
        used += letter.len_utf16();
        if used > most {
            break;
        }
        clipped.push(letter);
    }
    clipped + "…"
}

/// As the strictest reader counts it.
pub(crate) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// One part of a path, or one value of a query.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~:,".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_one_line_and_fits() {
        assert_eq!(one_line("a\n b", 150), "a b");
        let long = one_line(&"😀".repeat(200), 150);
        assert!(length(&long) <= 150 && long.ends_with('…'), "{long}");
    }
}
