//! One rule, ready to run, and the labels that it runs on.

use std::borrow::Cow;

use md5::{Digest, Md5};
use model::{Labels, LabelsBuilder};

use crate::config::{Action, Config};
use crate::expand::Template;
use crate::letters;
use crate::pattern::Pattern;

pub(crate) struct Rule {
    sources: Box<[Box<str>]>,
    separator: Box<str>,
    step: Step,
}

enum Step {
    Replace {
        pattern: Pattern,
        target: Template,
        replacement: Template,
    },
    /// Whether what matches is kept.
    Keep(Pattern, bool),
    /// Whether what is equal is kept.
    Equal(Box<str>, bool),
    HashMod(Box<str>, u64),
    Change(Box<str>, fn(&str) -> String),
    Map(Template, Pattern),
    /// Whether names that match stay.
    Names(Pattern, bool),
}

/// Labels on their way through the rules; a builder only once something has changed.
pub(crate) struct Work<'a> {
    given: &'a Labels,
    changed: Option<LabelsBuilder>,
}

impl<'a> Work<'a> {
    pub(crate) fn new(given: &'a Labels) -> Self {
        Self { given, changed: None }
    }

    pub(crate) fn done(self) -> Labels {
        match self.changed {
            Some(changed) => changed.build(),
            None => self.given.clone(),
        }
    }

    fn value(&self, name: &str) -> &str {
        match &self.changed {
            Some(changed) => changed.get(name).unwrap_or_default(),
            None => self.given.value(name),
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        if self.value(name) != value {
            let given = self.given;
            self.changed
                .get_or_insert_with(|| given.to_builder())
                .set(name, value);
        }
    }

    /// As they are now, in the order of their names.
    fn labels(&self) -> Labels {
        match &self.changed {
            Some(changed) => changed.clone().build(),
            None => self.given.clone(),
        }
    }
}

impl Rule {
    /// # Errors
    /// What is wrong, beginning with `.` and its key.
    pub(crate) fn new(config: &Config) -> Result<Self, String> {
        if let Some(mistake) = config.mistake() {
            return Err(mistake);
        }
        let pattern = Pattern::new(config.regex())
            .map_err(|why| format!(".regex: {:?} {why}; write an RE2 expression", config.regex()))?;
        let target = config.target_label.as_str();
        let step = match config.action {
            Action::Replace => Step::Replace {
                target: Template::new(target, &pattern),
                replacement: Template::new(config.replacement(), &pattern),
                pattern,
            },
            Action::Keep => Step::Keep(pattern, true),
            Action::Drop => Step::Keep(pattern, false),
            Action::KeepEqual => Step::Equal(target.into(), true),
            Action::DropEqual => Step::Equal(target.into(), false),
            Action::HashMod => Step::HashMod(target.into(), config.modulus),
            Action::Lowercase => Step::Change(target.into(), letters::lower),
            Action::Uppercase => Step::Change(target.into(), letters::upper),
            Action::LabelMap => Step::Map(Template::new(config.replacement(), &pattern), pattern),
            Action::LabelKeep => Step::Names(pattern, true),
            Action::LabelDrop => Step::Names(pattern, false),
        };
        Ok(Self {
            sources: config
                .source_labels
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            separator: config.separator().into(),
            step,
        })
    }

    /// Whether what has these labels is kept.
    pub(crate) fn apply(&self, work: &mut Work<'_>) -> bool {
        match &self.step {
            Step::Keep(pattern, is_kept) => pattern.matches(&self.text(work)) == *is_kept,
            Step::Equal(target, is_kept) => (*self.text(work) == *work.value(target)) == *is_kept,
            Step::Replace {
                pattern,
                target,
                replacement,
            } => {
                self.replace(work, pattern, target, replacement);
                true
            }
            Step::HashMod(target, modulus) => {
                let value = remainder(&self.text(work), *modulus).to_string();
                work.set(target, &value);
                true
            }
            Step::Change(target, change) => {
                let value = change(&self.text(work));
                work.set(target, &value);
                true
            }
            Step::Map(replacement, pattern) => {
                map(work, pattern, replacement);
                true
            }
            Step::Names(pattern, are_kept) => {
                // Mostly no name is concerned, and then nothing is copied.
                for (name, _) in work
                    .labels()
                    .iter()
                    .filter(|(name, _)| pattern.matches(name) != *are_kept)
                {
                    work.set(name, "");
                }
                true
            }
        }
    }

    fn text<'w>(&self, work: &'w Work<'_>) -> Cow<'w, str> {
        match &*self.sources {
            [] => Cow::Borrowed(""),
            [only] => Cow::Borrowed(work.value(only)),
            many => {
                let mut text = String::new();
                for (nth, name) in many.iter().enumerate() {
                    if nth > 0 {
                        text.push_str(&self.separator);
                    }
                    text.push_str(work.value(name));
                }
                Cow::Owned(text)
            }
        }
    }

    fn replace(&self, work: &mut Work<'_>, pattern: &Pattern, target: &Template, replacement: &Template) {
        let text = self.text(work);
        let Some(found) = pattern.find(&text) else {
            return;
        };
        let (mut name_room, mut value_room) = (String::new(), String::new());
        let name = target.expand(&found, &mut name_room);
        let value = replacement.expand(&found, &mut value_room);
        // A name that comes out empty is none.
        if name.is_empty() || work.value(name) == value {
            return;
        }
        let (name, value) = (name.to_owned(), value.to_owned());
        drop(found);
        drop(text);
        work.set(&name, &value);
    }
}

/// From the labels as they were: a copy is not copied again.
fn map(work: &mut Work<'_>, pattern: &Pattern, replacement: &Template) {
    let labels = work.labels();
    let mut room = String::new();
    for (name, value) in labels.iter() {
        let Some(found) = pattern.find(name) else {
            continue;
        };
        let copy = replacement.expand(&found, &mut room);
        if !copy.is_empty() {
            work.set(copy, value);
        }
    }
}

/// By the last eight bytes of MD5, as Prometheus does: both spread targets alike.
fn remainder(text: &str, modulus: u64) -> u64 {
    let hash = Md5::digest(text.as_bytes());
    let last = hash
        .iter()
        .skip(8)
        .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    last.checked_rem(modulus).unwrap_or_default()
}
