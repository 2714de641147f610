//! An alert as the notifier keeps it, in memory and in the journal.

use std::cmp::Ordering;

use model::{AlertEvent, AlertState, Labels, Timestamp};
use serde::{Deserialize, Serialize};

/// Longest annotation kept: a screen of text, not a log file.
const ANNOTATION_BYTES_MAX: usize = 16 * 1024;

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
    /// Somebody posts it; it ends at `heard_until` unless it is said again.
    #[serde(default)]
    pub(crate) is_posted: bool,
    /// When rules last spoke of it here; none if it is only known from the journal.
    #[serde(skip)]
    pub(crate) heard_at: Option<Timestamp>,
    /// Whether the journal has been seen to hold it: then it goes from there when whoever speaks is done with it.
    #[serde(skip)]
    pub(crate) is_shared: bool,
}

impl Alert {
    pub(crate) fn new(event: AlertEvent, now: Timestamp) -> Self {
        let resolved = event.state == AlertState::Resolved;
        Self {
            fingerprint: event.fingerprint,
            labels: event.labels,
            annotations: bounded(&event.annotations),
            starts_at: event.starts_at,
            resolved_at: resolved.then_some(event.ends_at),
            opened: now,
            heard_until: event.ends_at,
            generator_url: event.generator_url,
            epoch: event.epoch,
            is_posted: false,
            heard_at: Some(now),
            is_shared: false,
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

    /// About how many bytes it takes in a body; text counts double for what JSON escapes.
    pub(crate) fn weight(&self) -> usize {
        let pairs = self.labels.iter().chain(self.annotations.iter());
        let text: usize = pairs.map(|(name, value)| name.len() + value.len() + 6).sum();
        256 + 2 * (text + self.generator_url.len())
    }

    /// Alertmanager's order: by `job`, then `instance`, then all labels; who lacks one comes last.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let of = |name: &str| {
            let (left, right) = (self.labels.get(name), other.labels.get(name));
            (left.is_none(), left).cmp(&(right.is_none(), right))
        };
        of("job")
            .then_with(|| of("instance"))
            .then_with(|| compare(&self.labels, &other.labels))
    }
}

/// Alertmanager's order of label sets: the one with fewer labels comes first, then the one that lacks the first name
/// that not both have, then the one with the lower value.
pub(crate) fn compare(left: &Labels, right: &Labels) -> Ordering {
    let length = |labels: &Labels| labels.iter().count();
    length(left).cmp(&length(right)).then_with(|| {
        for ((name, value), (others, other)) in left.iter().zip(right.iter()) {
            // The higher name lacks the lower one.
            let differs = others.cmp(name).then_with(|| value.cmp(other));
            if differs.is_ne() {
                return differs;
            }
        }
        Ordering::Equal
    })
}

/// The same annotations, with those that are far too long cut.
fn bounded(annotations: &Labels) -> Labels {
    if annotations
        .iter()
        .all(|(_, text)| text.len() <= ANNOTATION_BYTES_MAX)
    {
        return annotations.clone();
    }
    let pairs = annotations.iter().map(|(name, text)| {
        let end = text.floor_char_boundary(ANNOTATION_BYTES_MAX);
        (name, text.get(..end).unwrap_or_default())
    });
    Labels::from_pairs(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_sets_are_ordered_as_by_alertmanager() {
        let set = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        let sorted = [
            set(&[]),
            set(&[("z", "z")]),
            set(&[("a", "1"), ("c", "1")]),
            set(&[("a", "1"), ("b", "1")]),
            set(&[("a", "1"), ("b", "2")]),
            set(&[("a", "0"), ("b", "1"), ("c", "1")]),
        ];
        for pair in sorted.windows(2) {
            assert_eq!(compare(&pair[0], &pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(&pair[1], &pair[0]), Ordering::Greater, "{pair:?}");
        }
    }

    #[test]
    fn an_endless_annotation_is_cut_at_a_letter() {
        let long = "é".repeat(ANNOTATION_BYTES_MAX);
        let cut = bounded(&Labels::from_pairs([
            ("a", format!("x{long}").as_str()),
            ("b", "short"),
        ]));
        assert_eq!(
            (cut.value("a").len(), cut.value("b")),
            (ANNOTATION_BYTES_MAX - 1, "short")
        );
    }
}
