//! What a room needs, and whether it has it: the words of `skopos doctor`.
//!
//! A room says them from what it knows anyway; nothing is asked of anybody outside unless somebody wants it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Findings of one check that are listed; of the others there is only their number.
pub const FINDINGS_MAX: usize = 10;

/// How a check came out, by gravity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Not part of this process, or not asked for.
    #[default]
    Off,
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// Something is not seen, kept, judged or told.
    Fail,
}

impl Verdict {
    /// Gravest first, as they are counted.
    pub const ALL: [Self; 4] = [Self::Fail, Self::Warn, Self::Ok, Self::Off];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One check of one room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkup {
    pub room: Cow<'static, str>,
    /// What is looked at, in one or two words; `doctor.md` has a line on each.
    pub name: Cow<'static, str>,
    pub verdict: Verdict,
    /// One sentence of what was seen.
    pub seen: String,
    /// What to do; empty where nothing is to be done.
    pub advice: String,
    /// The first few things that were found, each with its own words.
    pub findings: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

impl Checkup {
    #[must_use]
    pub fn new(room: &'static str, name: &'static str, verdict: Verdict, seen: impl Into<String>) -> Self {
        Self {
            room: room.into(),
            name: name.into(),
            verdict,
            seen: seen.into(),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn off(room: &'static str, name: &'static str, seen: impl Into<String>) -> Self {
        Self::new(room, name, Verdict::Off, seen)
    }

    #[must_use]
    pub fn ok(room: &'static str, name: &'static str, seen: impl Into<String>) -> Self {
        Self::new(room, name, Verdict::Ok, seen)
    }

    #[must_use]
    pub fn warn(room: &'static str, name: &'static str, seen: impl Into<String>) -> Self {
        Self::new(room, name, Verdict::Warn, seen)
    }

    #[must_use]
    pub fn fail(room: &'static str, name: &'static str, seen: impl Into<String>) -> Self {
        Self::new(room, name, Verdict::Fail, seen)
    }

    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    /// Lists the first [`FINDINGS_MAX`] and counts the others.
    #[must_use]
    pub fn list(mut self, findings: impl IntoIterator<Item = String>) -> Self {
        for finding in findings {
            if self.findings.len() < FINDINGS_MAX {
                self.findings.push(finding);
            } else {
                self.more += 1;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_listed_up_to_a_bound_and_counted_beyond_it() {
        let checkup = Checkup::fail("scrape", "targets", "25 targets are down");
        let checkup = checkup.list((0..25).map(|nth| format!("target {nth}")));
        assert_eq!((checkup.findings.len(), checkup.more), (10, 15));
        assert_eq!(checkup.findings[9], "target 9");
    }

    #[test]
    fn a_failure_is_graver_than_a_warning_and_off_is_the_least() {
        let mut all = Verdict::ALL;
        all.sort();
        assert_eq!(all, [Verdict::Off, Verdict::Ok, Verdict::Warn, Verdict::Fail]);
    }
}
