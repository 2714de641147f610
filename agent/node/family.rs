//! What the collectors know of a metric before they read a value: name, type, help, names of its labels.

use model::Kind;

/// Written once as a `static`; its address tells it from all others.
pub(crate) struct Family {
    /// The whole name, or its beginning when `rest` is given.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
    /// Label names, in the order in which a collector gives the values.
    pub(crate) labels: &'static [&'static str],
    /// Completes the name from the kernel's own words, when these are what a collector gives.
    pub(crate) rest: Option<fn(&[&str]) -> String>,
}

impl Family {
    pub(crate) const fn gauge(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self::of(Kind::Gauge, name, help, labels)
    }

    pub(crate) const fn counter(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self::of(Kind::Counter, name, help, labels)
    }

    /// Named by the kernel's words after `prefix`.
    pub(crate) const fn named(
        kind: Kind,
        prefix: &'static str,
        help: &'static str,
        rest: fn(&[&str]) -> String,
    ) -> Self {
        Self::named_with(kind, prefix, help, &[], rest)
    }

    /// The same with labels, whose values come before the kernel's words.
    pub(crate) const fn named_with(
        kind: Kind,
        prefix: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        rest: fn(&[&str]) -> String,
    ) -> Self {
        Self {
            rest: Some(rest),
            ..Self::of(kind, prefix, help, labels)
        }
    }

    const fn of(kind: Kind, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self {
            name,
            kind,
            help,
            labels,
            rest: None,
        }
    }

    /// Name and help of the series that has these values.
    pub(crate) fn text(&self, values: &[&str]) -> (String, String) {
        match self.rest {
            None => (self.name.to_owned(), self.help.to_owned()),
            Some(rest) => (
                format!("{}{}", self.name, rest(values)),
                format!(
                    "{} {}.",
                    self.help,
                    values.get(self.labels.len()..).unwrap_or_default().join(" ")
                ),
            ),
        }
    }
}

/// Words joined as node_exporter does, with `_` for what a metric name cannot hold.
pub(crate) fn joined(words: &[&str]) -> String {
    let name = words.join("_");
    name.chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '_'
            }
        })
        .collect()
}
