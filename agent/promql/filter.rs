//! Matchers ready to run: regular expressions compiled, anchored at both ends.

use model::{Labels, MatchOp, Matcher};
use regex::Regex;

/// A matcher, compiled.
pub struct Filter {
    name: Box<str>,
    test: Test,
}

enum Test {
    Equal(Box<str>, bool),
    Regex(Box<Regex>, bool),
}

impl Filter {
    /// # Errors
    /// A sentence: the regular expression does not compile.
    pub fn new(matcher: &Matcher) -> Result<Self, String> {
        let wanted = matches!(matcher.op, MatchOp::Equal | MatchOp::Matches);
        let test = match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => Test::Equal(matcher.value.clone(), wanted),
            MatchOp::Matches | MatchOp::NotMatches => {
                Test::Regex(Box::new(anchored(&matcher.value)?), wanted)
            }
        };
        Ok(Self {
            name: matcher.name.clone(),
            test,
        })
    }

    /// A label that is not there has the empty value.
    #[must_use]
    pub fn accepts(&self, labels: &Labels) -> bool {
        self.accepts_value(labels.value(&self.name))
    }

    #[must_use]
    pub fn accepts_value(&self, value: &str) -> bool {
        match &self.test {
            Test::Equal(text, wanted) => (**text == *value) == *wanted,
            Test::Regex(regex, wanted) => regex.is_match(value) == *wanted,
        }
    }
}

/// Whether the matcher also accepts a series without the label. A bad regular expression accepts nothing.
pub(crate) fn accepts_nothing(matcher: &Matcher) -> bool {
    Filter::new(matcher).is_ok_and(|filter| filter.accepts_value(""))
}

/// Compiles `pattern` as Prometheus does: it must match the whole text, and `.` any character.
///
/// # Errors
/// A sentence in one line.
pub(crate) fn anchored(pattern: &str) -> Result<Regex, String> {
    // The pattern alone is compiled first, so that `a)(b` does not slip through the anchors.
    Regex::new(pattern)
        .and_then(|_| Regex::new(&format!("^(?s:{pattern})$")))
        .map_err(|why| {
            let why = why.to_string();
            let reason = why.lines().last().unwrap_or_default();
            format!(
                "regular expression {pattern:?}: {}",
                reason.trim_start_matches("error: ")
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_expressions_match_whole_values() {
        let accepts = |op, value: &str, label: &str| {
            let filter = Filter::new(&Matcher::new("a", op, value)).unwrap();
            filter.accepts(&Labels::from_pairs([("a", label)]))
        };
        assert!(accepts(MatchOp::Matches, "b|c", "c"));
        assert!(!accepts(MatchOp::Matches, "b|c", "cc"));
        assert!(accepts(MatchOp::Matches, "b.c", "b\nc"));
        assert!(accepts(MatchOp::NotMatches, "b+", ""));
        assert!(accepts(MatchOp::NotEqual, "b", ""));
    }

    #[test]
    fn a_bad_pattern_is_a_sentence() {
        let why = anchored("a(b").unwrap_err();
        assert_eq!(why, "regular expression \"a(b\": unclosed group");
        assert!(anchored("a)(b").is_err());
    }
}
