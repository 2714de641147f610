//! What the address of `/logs` asks for, and the addresses that ask for a little more or less.

use model::Level;
use model::Timestamp;
use model::view::{LogQuery, PodQuery};

use crate::page::link;
use crate::page::visit::Visit;
use crate::page::when::Range;

/// Lines of one view; the time narrows it further.
const LINES_MAX: usize = 300;

/// In the address, as the form says it, and on a button.
pub(super) const LEVELS: [(&str, &str, &str, Option<Level>); 4] = [
    ("", "every level", "all", None),
    ("info", "info and worse", "info", Some(Level::Info)),
    ("warn", "warnings and worse", "warnings", Some(Level::Warn)),
    ("error", "errors", "errors", Some(Level::Error)),
];

/// Every parameter that a link keeps.
const NAMES: [&str; 10] = [
    "q",
    "level",
    "ns",
    "pod",
    "container",
    "source",
    "from",
    "to",
    "order",
    "around",
];
/// Lines shown on either side of one, and the most of them.
const AROUND: usize = 20;
pub(super) const AROUND_MAX: usize = 200;

/// All that is asked, but the time.
pub(super) struct Asked<'a> {
    visit: &'a Visit,
    pub(super) text: &'a str,
    pub(super) level: &'static str,
    pub(super) namespace: &'a str,
    pub(super) pod: &'a str,
    pub(super) container: &'a str,
    pub(super) source: &'a str,
    pub(super) is_oldest_first: bool,
}

impl<'a> Asked<'a> {
    pub(super) fn read(visit: &'a Visit) -> Self {
        let level = visit.asked("level").to_lowercase();
        let level = LEVELS.iter().find(|(name, ..)| *name == level);
        Self {
            text: visit.asked("q").trim(),
            level: level.map_or("", |(name, ..)| name),
            namespace: visit.asked("ns").trim(),
            pod: visit.asked("pod").trim(),
            container: visit.asked("container").trim(),
            source: visit.asked("source").trim(),
            is_oldest_first: visit.asked("order") == "old",
            visit,
        }
    }

    pub(super) fn query(&self, range: &Range) -> LogQuery {
        let level = LEVELS.iter().find(|(name, ..)| *name == self.level);
        LogQuery {
            text: self.text.to_owned(),
            level: level.and_then(|(.., level)| *level),
            source: self.source.to_owned(),
            pods: PodQuery {
                namespace: self.namespace.to_owned(),
                pod: self.pod.to_owned(),
                container: self.container.to_owned(),
            },
            from: range.from,
            to: range.to,
            lines_max: LINES_MAX,
            ..LogQuery::default()
        }
    }

    /// Whether anything but the time is asked for.
    pub(super) fn is_narrow(&self) -> bool {
        let words = [self.text, self.level, self.source];
        words.iter().any(|word| !word.is_empty()) || self.minds_pod()
    }

    pub(super) fn minds_pod(&self) -> bool {
        let names = [self.namespace, self.pod, self.container];
        names.iter().any(|name| !name.is_empty())
    }

    /// The address with some of its parameters changed; an empty value leaves one out.
    pub(super) fn with(&self, changed: &[(&str, &str)]) -> String {
        let value = |name: &str| {
            let new = changed.iter().find(|(known, _)| *known == name);
            new.map_or_else(|| self.visit.asked(name), |(_, value)| *value)
        };
        let mut pairs: Vec<(&str, &str)> = NAMES.iter().map(|name| (*name, value(name))).collect();
        pairs.extend(changed.iter().filter(|(name, _)| !NAMES.contains(name)));
        link::to("/logs", &pairs)
    }

    /// One line with what is around it: its time and its identity, as the address has them.
    pub(super) fn line(&self) -> Option<(Timestamp, u64)> {
        let (time, identity) = self.visit.asked("line").split_once('-')?;
        let time = time.parse().ok().filter(|time| *time > 0)?;
        Some((Timestamp(time), u64::from_str_radix(identity, 16).ok()?))
    }

    pub(super) fn around(&self) -> usize {
        let wanted = self.visit.asked("around").parse().unwrap_or(AROUND);
        wanted.clamp(1, AROUND_MAX)
    }
}
