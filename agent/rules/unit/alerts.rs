//! The alerts that are there against those that a test expects.

use std::collections::BTreeMap;
use std::fmt::Write;

use model::labels::ALERT_NAME;
use model::text::quote;

use super::bench::Seen;

type Pairs = BTreeMap<String, String>;

/// An alert that a test expects.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) labels: Pairs,
    pub(super) annotations: Pairs,
    /// Whether it may have more labels and annotations than these.
    pub(super) partial: bool,
    /// Who is to be told of it, if that is looked at.
    pub(super) receivers: Option<Vec<String>>,
}

impl Wanted {
    fn is(&self, seen: &Seen) -> bool {
        let (labels, annotations) = (&seen.labels, &seen.annotations);
        if self.partial {
            contains(labels, &self.labels) && contains(annotations, &self.annotations)
        } else {
            *labels == self.labels && *annotations == self.annotations
        }
    }

    /// How much it has in common with an alert that it is not.
    fn nearness(&self, seen: &Seen) -> usize {
        let alike = |wanted: &Pairs, seen: &Pairs| {
            let pairs = wanted.iter().filter(|(name, _)| *name != ALERT_NAME);
            pairs
                .filter(|(name, value)| seen.get(*name) == Some(value))
                .count()
        };
        // Labels say which alert it is.
        alike(&self.labels, &seen.labels) * 100 + alike(&self.annotations, &seen.annotations)
    }
}

fn contains(all: &Pairs, some: &Pairs) -> bool {
    some.iter().all(|(name, value)| all.get(name) == Some(value))
}

/// Lines that say where alerts go otherwise than a test expects. `goes` says where one does.
pub(super) fn astray(wanted: &[Wanted], seen: &[Seen], goes: impl Fn(&Seen) -> Vec<String>) -> Vec<String> {
    let mut lines = Vec::new();
    for (seen, taken) in seen.iter().zip(matched(wanted, seen)) {
        let Some(expected) = taken.and_then(|nth| wanted.get(nth)?.receivers.as_ref()) else {
            continue;
        };
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names.join(", ")
        };
        let (expected, got) = (sorted(expected), sorted(&goes(seen)));
        if expected != got {
            lines.push(format!("{} goes to other receivers", shown(&seen.labels)));
            lines.push(format!("  expected {expected:?}"));
            lines.push(format!("       got {got:?}"));
        }
    }
    lines
}

/// Lines that say how the two sides differ. Each alert that is there needs one expected for it, and the other way
/// round. `state` is what they are expected to be.
pub(super) fn differences(wanted: &[Wanted], seen: &[Seen], state: &str) -> Vec<String> {
    let taken = matched(wanted, seen);
    let mut missing: Vec<&Wanted> = Vec::new();
    for (nth, wanted) in wanted.iter().enumerate() {
        if !taken.contains(&Some(nth)) {
            missing.push(wanted);
        }
    }
    let free = seen.iter().zip(&taken).filter(|(_, taken)| taken.is_none());
    let mut extra: Vec<&Seen> = free.map(|(seen, _)| seen).collect();
    extra.sort_by(|one, other| one.labels.cmp(&other.labels));
    let mut lines = Vec::new();
    for wanted in missing {
        let near = (0..extra.len()).max_by_key(|nth| wanted.nearness(extra[*nth]));
        // Two that are the only ones left are meant for each other.
        let near =
            near.filter(|nth| wanted.nearness(extra[*nth]) > 0 || (wanted_alone(wanted) && extra.len() == 1));
        let also = if wanted.partial { " and more" } else { "" };
        match near {
            Some(nth) => {
                lines.push(format!(
                    "expected {}{also}; {state} is instead:",
                    shown(&wanted.labels)
                ));
                let seen = extra.remove(nth);
                changes("label", &wanted.labels, &seen.labels, wanted.partial, &mut lines);
                changes(
                    "annotation",
                    &wanted.annotations,
                    &seen.annotations,
                    wanted.partial,
                    &mut lines,
                );
            }
            None => {
                lines.push(format!(
                    "expected {}{also}; it is not {state}",
                    shown(&wanted.labels)
                ));
            }
        }
    }
    for seen in extra {
        lines.push(format!("not expected, and {state}: {}", shown(&seen.labels)));
        for (name, value) in &seen.annotations {
            lines.push(format!("  annotation {name}: {}", quote(value)));
        }
    }
    lines
}

/// A test that names no label is about its only alert.
fn wanted_alone(wanted: &Wanted) -> bool {
    wanted.labels.len() == 1
}

fn changes(what: &str, wanted: &Pairs, seen: &Pairs, partial: bool, lines: &mut Vec<String>) {
    for (name, value) in wanted {
        match seen.get(name) {
            Some(got) if got == value => {}
            Some(got) => {
                lines.push(format!("  {what} {name}: expected {}", quote(value)));
                lines.push(format!(
                    "  {:>1$} {2}",
                    "got",
                    what.len() + name.len() + 11,
                    quote(got)
                ));
            }
            None => lines.push(format!("  {what} {name}: expected {}, got none", quote(value))),
        }
    }
    for (name, got) in seen
        .iter()
        .filter(|(name, _)| !partial && !wanted.contains_key(*name))
    {
        lines.push(format!("  {what} {name}: expected none, got {}", quote(got)));
    }
}

fn shown(labels: &Pairs) -> String {
    let mut text = "{".to_owned();
    for (name, value) in labels.iter().filter(|(name, _)| *name != ALERT_NAME) {
        let comma = if text.len() > 1 { ", " } else { "" };
        // Writing to a string cannot fail.
        _ = write!(text, "{comma}{name}={}", quote(value));
    }
    text.push('}');
    text
}

/// For each alert the expected one that is matched with it, so that as many as can be are.
fn matched(wanted: &[Wanted], seen: &[Seen]) -> Vec<Option<usize>> {
    let mut taken = vec![None; seen.len()];
    for nth in 0..wanted.len() {
        place(nth, wanted, seen, &mut taken, &mut vec![false; seen.len()]);
    }
    taken
}

/// Finds an alert for the `nth` expected one, moving others to another of theirs if need be.
fn place(
    nth: usize,
    wanted: &[Wanted],
    seen: &[Seen],
    taken: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for (at, alert) in seen.iter().enumerate() {
        if tried[at] || !wanted[nth].is(alert) {
            continue;
        }
        tried[at] = true;
        if taken[at].is_none_or(|other| place(other, wanted, seen, taken, tried)) {
            taken[at] = Some(nth);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Pairs {
        let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn seen(labels: &str, annotations: &str) -> Seen {
        Seen {
            labels: pairs(labels),
            annotations: pairs(annotations),
        }
    }

    fn wanted(labels: &str, annotations: &str) -> Wanted {
        Wanted {
            labels: pairs(labels),
            annotations: pairs(annotations),
            partial: false,
            receivers: None,
        }
    }

    fn partly(labels: &str) -> Wanted {
        Wanted {
            partial: true,
            ..wanted(labels, "")
        }
    }

    #[test]
    fn all_labels_and_annotations_count() {
        let there = [seen("alertname=A i=1 s=page", "summary=x text=y")];
        assert_eq!(
            differences(
                &[wanted("alertname=A i=1 s=page", "summary=x text=y")],
                &there,
                "firing"
            ),
            [""; 0]
        );
        assert_eq!(
            differences(
                &[wanted("alertname=A i=1 s=ticket z=1", "summary=z")],
                &there,
                "firing"
            ),
            [
                "expected {i=\"1\", s=\"ticket\", z=\"1\"}; firing is instead:",
                "  label s: expected \"ticket\"",
                "                got \"page\"",
                "  label z: expected \"1\", got none",
                "  annotation summary: expected \"z\"",
                "                           got \"x\"",
                "  annotation text: expected none, got \"y\"",
            ]
        );
    }

    #[test]
    fn what_is_missing_and_what_is_too_much_is_named() {
        let there = [seen("alertname=A i=1", "summary=x")];
        assert_eq!(
            differences(&[wanted("alertname=A i=2", "")], &there, "pending"),
            [
                "expected {i=\"2\"}; it is not pending",
                "not expected, and pending: {i=\"1\"}",
                "  annotation summary: \"x\"",
            ]
        );
    }

    #[test]
    fn a_partial_one_takes_what_an_exact_one_leaves() {
        let there = [seen("alertname=A i=1", ""), seen("alertname=A i=2", "summary=x")];
        // The partial one matches both alerts; the exact one needs the first.
        let both = [partly("alertname=A"), wanted("alertname=A i=1", "")];
        assert_eq!(differences(&both, &there, "firing"), [""; 0]);
        assert_eq!(
            differences(&[partly("alertname=A i=2")], &there[1..], "firing"),
            [""; 0]
        );
        // Each alert needs one of its own.
        assert_eq!(
            differences(&both[..1], &there, "firing")[0],
            "not expected, and firing: {i=\"2\"}"
        );
        assert_eq!(
            differences(&[partly("alertname=A i=3")], &there[1..], "firing")[0],
            "expected {i=\"3\"} and more; it is not firing"
        );
    }
}
