//! What a storm's message says, before anybody has decided how it looks: a line for each of its groups, and sums.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::labels::ALERT_NAME;
use model::text::duration::spoken;
use model::{Labels, Timestamp};

use super::Storm;
use crate::alert::Alert;
use crate::delivered::Reason;
use crate::group::Group;
use crate::message::{Message, alerts};
use crate::slack::{Thread, gravity, is_grave};

/// Labels of which the values in common are named.
const PLACES: [&str; 4] = ["cluster", "namespace", "node", ALERT_NAME];

#[derive(Clone, Debug)]
pub(crate) struct Digest {
    pub(crate) began: Timestamp,
    pub(crate) time: Timestamp,
    pub(crate) thread: Option<Thread>,
    /// Whether phones ring for it once more.
    pub(crate) rings: bool,
    /// An earlier attempt may have arrived after all.
    pub(crate) may_repeat: bool,
    /// Without a slash at the end; empty when there is no page to link.
    pub(crate) external_url: Arc<str>,
    /// What is news first, of these the gravest first.
    pub(crate) lines: Vec<Line>,
    /// Alerts that fire.
    pub(crate) firing: usize,
    /// Groups that were told to be over by earlier messages.
    pub(crate) ended: usize,
    /// Groups beside these that fire, and have a message of their own.
    pub(crate) own: usize,
    severities: BTreeMap<String, usize>,
    places: BTreeMap<(usize, String), usize>,
}

/// What is to be said of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    New,
    Changed,
    /// Nothing is new, but it is time to tell it again.
    Again,
    Over,
    Same,
}

/// Where alerts fire, by one label.
pub(crate) struct Place<'a> {
    pub(crate) name: &'static str,
    /// Its values and how many alerts have each, the most frequent first.
    pub(crate) values: Vec<(&'a str, usize)>,
    /// How many values are not among them.
    pub(crate) left_out: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) standing: Standing,
    /// What it says of itself, or its name and how many fire.
    pub(crate) title: String,
    /// The gravest that fires.
    pub(crate) severity: String,
    /// Labels that tell it from others of the same name.
    pub(crate) place: String,
    /// `+2 new, 1 resolved`, `resolved after 3 min`.
    pub(crate) note: String,
    /// Rules have not spoken of it lately.
    pub(crate) is_unknown: bool,
}

impl Digest {
    pub(crate) fn new(storm: &Storm, time: Timestamp, external_url: &Arc<str>) -> Self {
        Self {
            began: storm.began,
            time,
            thread: storm.thread.clone(),
            rings: storm.rings,
            may_repeat: false,
            external_url: Arc::clone(external_url),
            lines: Vec::new(),
            firing: 0,
            ended: storm.ended,
            own: 0,
            severities: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }

    /// A group of which something is told.
    pub(crate) fn tell(&mut self, message: &Message) {
        let standing = match message.reason {
            Reason::First => Standing::New,
            Reason::New | Reason::SomeResolved => Standing::Changed,
            Reason::Repeat | Reason::Test => Standing::Again,
            Reason::AllResolved => Standing::Over,
        };
        let began = message.alerts.iter().map(|alert| alert.starts_at).min();
        let ended = message.alerts.iter().filter_map(|alert| alert.resolved_at).max();
        let note = match (standing, ended.zip(began)) {
            (Standing::Changed, _) => message.difference(),
            (Standing::Over, Some((ended, began))) => {
                format!("resolved after {}", spoken(ended.since(began)))
            }
            _ => String::new(),
        };
        let told: Vec<&Alert> = message
            .alerts
            .iter()
            .filter(|alert| alert.firing() || standing == Standing::Over)
            .collect();
        self.may_repeat |= message.may_repeat;
        // By no other message would anybody hear of it.
        let is_news = |alert: &Alert| message.added.contains(&alert.fingerprint);
        self.rings |= message
            .firing()
            .any(|alert| is_news(alert) && is_grave(&alert.labels));
        self.rings |= standing == Standing::Again || message.grew_worse();
        self.add(&message.group_labels, &told, standing, note);
    }

    /// A group of the storm of which nothing is new: as it was told.
    pub(crate) fn stands(&mut self, group: &Group, told: &BTreeSet<u64>) {
        let alerts = group.alerts.values().filter(|alert| {
            told.contains(&alert.fingerprint) && !group.silenced().contains(&alert.fingerprint)
        });
        let alerts: Vec<&Alert> = alerts.collect();
        if !alerts.is_empty() {
            self.add(&group.labels, &alerts, Standing::Same, String::new());
        }
    }

    fn add(&mut self, labels: &Labels, told: &[&Alert], standing: Standing, note: String) {
        let severities = told.iter().map(|alert| alert.labels.value("severity"));
        let gravest = severities.max_by_key(|word| gravity(word)).unwrap_or_default();
        let title = match told {
            [only] => match only.annotations.value("summary").trim() {
                "" => only.name().to_owned(),
                summary => summary.to_owned(),
            },
            several => format!("{}: {}", name(labels, several), alerts(several.len())),
        };
        let own = labels
            .iter()
            .filter(|(name, _)| *name != ALERT_NAME && *name != "severity");
        let place: Vec<String> = own
            .take(3)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        self.lines.push(Line {
            standing,
            title,
            severity: gravest.to_owned(),
            place: place.join(", "),
            note,
            is_unknown: told.iter().any(|alert| alert.unknown(self.time)),
        });
        if standing == Standing::Over {
            return;
        }
        self.firing += told.len();
        for alert in told {
            *self
                .severities
                .entry(alert.labels.value("severity").to_owned())
                .or_default() += 1;
            for (nth, name) in PLACES.iter().enumerate() {
                if let Some(value) = alert.labels.get(name) {
                    *self.places.entry((nth, value.to_owned())).or_default() += 1;
                }
            }
        }
    }

    /// Puts what matters first; to be called once all are there.
    pub(crate) fn sort(&mut self) {
        self.lines
            .sort_by_key(|line| (line.standing, std::cmp::Reverse(gravity(&line.severity))));
    }

    pub(crate) fn count(&self, standing: Standing) -> usize {
        self.lines.iter().filter(|line| line.standing == standing).count()
    }

    /// Groups that fire.
    pub(crate) fn groups(&self) -> usize {
        self.lines.len() - self.count(Standing::Over)
    }

    /// Groups that are over.
    pub(crate) fn over(&self) -> usize {
        self.ended + self.count(Standing::Over)
    }

    pub(crate) fn lasted(&self) -> Duration {
        self.time.since(self.began)
    }

    pub(crate) fn gravity(&self) -> u8 {
        self.severities
            .keys()
            .map(|word| gravity(word))
            .max()
            .unwrap_or(0)
    }

    /// `42 groups, 57 alerts firing`.
    pub(crate) fn extent(&self) -> String {
        format!("{}, {} firing", groups(self.groups()), alerts(self.firing))
    }

    /// `5 critical, 30 warning, 2 without severity`, the gravest first.
    pub(crate) fn severities(&self) -> String {
        let mut counts: Vec<(&str, usize)> = self
            .severities
            .iter()
            .map(|(word, count)| (word.as_str(), *count))
            .collect();
        counts.sort_by_key(|(word, _)| std::cmp::Reverse(gravity(word)));
        let words = counts.into_iter().map(|(word, count)| match word {
            "" => format!("{count} without severity"),
            word => format!("{count} {word}"),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// `+12 new, 3 resolved, 27 unchanged`, in groups; parts that are zero are left out.
    pub(crate) fn difference(&self) -> String {
        let parts = [
            (Standing::New, "+", "new"),
            (Standing::Changed, "", "changed"),
            (Standing::Over, "", "resolved"),
            (Standing::Again, "", "told again"),
            (Standing::Same, "", "unchanged"),
        ];
        let words = parts.iter().filter_map(|(standing, sign, word)| {
            let count = self.count(*standing);
            (count > 0).then(|| format!("{sign}{count} {word}"))
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// Of each label that tells where: its most frequent values among the alerts that fire.
    pub(crate) fn places(&self, most: usize) -> Vec<Place<'_>> {
        let mut found = Vec::new();
        for (nth, name) in PLACES.into_iter().enumerate() {
            let values = self.places.iter().filter(|((place, _), _)| *place == nth);
            let mut values: Vec<(&str, usize)> = values
                .map(|((_, value), count)| (value.as_str(), *count))
                .collect();
            // By name where equally frequent: they come sorted.
            values.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            let left_out = values.len().saturating_sub(most);
            values.truncate(most);
            if !values.is_empty() {
                found.push(Place {
                    name,
                    values,
                    left_out,
                });
            }
        }
        found
    }

    /// One line for the page.
    pub(crate) fn summary(&self) -> String {
        if self.firing == 0 {
            return format!("within a storm that is over: {} resolved", groups(self.over()));
        }
        format!("within a storm: {} ({})", self.extent(), self.difference())
    }
}

/// `1 group`, `2 groups`.
pub(crate) fn groups(count: usize) -> String {
    format!("{count} group{}", if count == 1 { "" } else { "s" })
}

/// The name that all have, else the group's labels.
fn name(labels: &Labels, told: &[&Alert]) -> String {
    let first = told.first().map(|alert| alert.name()).unwrap_or_default();
    if !first.is_empty() && told.iter().all(|alert| alert.name() == first) {
        return first.to_owned();
    }
    let values: Vec<&str> = labels.iter().map(|(_, value)| value).collect();
    if values.is_empty() {
        "all".to_owned()
    } else {
        values.join(" ")
    }
}
