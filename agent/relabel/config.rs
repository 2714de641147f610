//! A rule as it is written, and what no rule may say.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One rule of `relabel_configs`, `metric_relabel_configs` or `write_relabel_configs`, in Prometheus' words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Labels whose values are read, joined by `separator`. One that is not there is empty.
    pub source_labels: Vec<String>,
    /// `;` when left out.
    pub separator: Option<String>,
    /// An RE2 expression that has to match all of the text; `(.*)` when left out.
    pub regex: Option<String>,
    /// For `hashmod`: the hash is taken modulo this.
    pub modulus: u64,
    /// Where the result goes. With `replace` it may hold groups of the expression, such as `$1`.
    pub target_label: String,
    /// What the result is; may hold groups of the expression, such as `$1` or `${name}`. `$1` when left out.
    pub replacement: Option<String>,
    pub action: Action,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Sets `target_label` to `replacement` where the expression matches; an empty result removes it.
    #[default]
    Replace,
    /// Drops what does not match.
    Keep,
    /// Drops what matches.
    Drop,
    /// Sets `target_label` to a number below `modulus` that depends on the values alone.
    HashMod,
    /// Copies labels whose name matches to the name that `replacement` gives.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    Lowercase,
    Uppercase,
    /// Drops where `target_label` has another value than the source labels.
    KeepEqual,
    /// Drops where `target_label` has the value of the source labels.
    DropEqual,
}

impl Action {
    const ALL: [(&'static str, Self); 11] = [
        ("replace", Self::Replace),
        ("keep", Self::Keep),
        ("drop", Self::Drop),
        ("hashmod", Self::HashMod),
        ("labelmap", Self::LabelMap),
        ("labeldrop", Self::LabelDrop),
        ("labelkeep", Self::LabelKeep),
        ("lowercase", Self::Lowercase),
        ("uppercase", Self::Uppercase),
        ("keepequal", Self::KeepEqual),
        ("dropequal", Self::DropEqual),
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        let all = Self::ALL.iter();
        all.into_iter()
            .find(|(_, action)| *action == self)
            .map_or("", |(name, _)| name)
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// In letters of either case, as Prometheus reads it.
impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Action;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an action such as replace, keep or drop")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Action, E> {
                let wanted = text.to_lowercase();
                let known = Action::ALL.iter().find(|(name, _)| *name == wanted);
                known.map(|(_, action)| *action).ok_or_else(|| {
                    let names: Vec<&str> = Action::ALL.iter().map(|(name, _)| *name).collect();
                    E::custom(format!("no action: {text:?}; write one of {}", names.join(", ")))
                })
            }
        }
        deserializer.deserialize_str(Name)
    }
}

pub(crate) const SEPARATOR: &str = ";";
pub(crate) const REGEX: &str = "(.*)";
pub(crate) const REPLACEMENT: &str = "$1";

impl Config {
    pub(crate) fn separator(&self) -> &str {
        self.separator.as_deref().unwrap_or(SEPARATOR)
    }

    pub(crate) fn regex(&self) -> &str {
        self.regex.as_deref().unwrap_or(REGEX)
    }

    pub(crate) fn replacement(&self) -> &str {
        self.replacement.as_deref().unwrap_or(REPLACEMENT)
    }

    /// The first thing that is wrong beside the expression itself, beginning with `.` and its key.
    pub(crate) fn mistake(&self) -> Option<String> {
        let action = self.action.name();
        let (separates, replaces) = (self.separator() != SEPARATOR, self.replacement() != REPLACEMENT);
        if let Some(nth) = self.source_labels.iter().position(String::is_empty) {
            return Some(format!(
                ".source_labels[{nth}]: is empty; write the name of a label"
            ));
        }
        match self.action {
            Action::Keep | Action::Drop => None,
            Action::LabelMap => self
                .replacement()
                .is_empty()
                .then(|| ".replacement: is empty; labelmap needs the name of a label, such as $1".to_owned()),
            Action::LabelDrop | Action::LabelKeep => {
                let more = [
                    ("source_labels", !self.source_labels.is_empty()),
                    ("target_label", !self.target_label.is_empty()),
                    ("modulus", self.modulus != 0),
                    ("separator", separates),
                    ("replacement", replaces),
                ];
                more.into_iter().find(|(_, is_set)| *is_set).map(|(key, _)| {
                    format!(".{key}: is not for {action}, which looks at names alone; take it away and leave regex")
                })
            }
            _ if self.target_label.is_empty() => Some(format!(
                ".target_label: is missing; {action} needs the name of a label"
            )),
            Action::Replace => None,
            Action::HashMod => {
                (self.modulus == 0).then(|| ".modulus: is missing; hashmod needs a number above 0".to_owned())
            }
            Action::Lowercase | Action::Uppercase => replaces.then(|| {
                format!(".replacement: is not for {action}, which writes the value itself; take it away")
            }),
            Action::KeepEqual | Action::DropEqual => {
                let more = [
                    ("regex", self.regex.is_some()),
                    ("modulus", self.modulus != 0),
                    ("separator", separates),
                    ("replacement", replaces),
                ];
                more.into_iter().find(|(_, is_set)| *is_set).map(|(key, _)| {
                    format!(".{key}: is not for {action}, which has only source_labels and target_label; take it away")
                })
            }
        }
    }
}
