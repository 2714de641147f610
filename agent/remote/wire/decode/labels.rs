//! Which label sets a series may have.

use model::labels::METRIC_NAME;

/// Why a series is refused; the rest of its request is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLabels {
    #[error("labels are not sorted by name")]
    Unsorted,
    #[error("a label is there twice")]
    Repeated,
    #[error("a label has an empty name or value")]
    Empty,
    #[error("a label is not UTF-8")]
    NotUtf8,
    #[error("a reference to the symbols leads nowhere")]
    BadSymbol,
    #[error("the metric has no name")]
    NoName,
}

impl BadLabels {
    /// A closed set, fit for a label.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unsorted => "unsorted_labels",
            Self::Repeated => "repeated_label",
            Self::Empty => "empty_label",
            Self::NotUtf8 => "not_utf8",
            Self::BadSymbol => "bad_symbol",
            Self::NoName => "no_name",
        }
    }
}

/// # Errors
/// See [`BadLabels`].
pub fn check(labels: &[(&str, &str)]) -> Result<(), BadLabels> {
    let mut named = false;
    let mut last: Option<&str> = None;
    for (name, value) in labels {
        if name.is_empty() || value.is_empty() {
            return Err(BadLabels::Empty);
        }
        match last.map(|last| last.cmp(name)) {
            Some(std::cmp::Ordering::Equal) => return Err(BadLabels::Repeated),
            Some(std::cmp::Ordering::Greater) => return Err(BadLabels::Unsorted),
            _ => last = Some(name),
        }
        named |= *name == METRIC_NAME;
    }
    if named { Ok(()) } else { Err(BadLabels::NoName) }
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, BadLabels> {
    std::str::from_utf8(bytes).map_err(|_| BadLabels::NotUtf8)
}
