//! Matchers made ready to run: regular expressions compiled, the common simple ones recognised.
//!
//! As in Prometheus, a regular expression must match the whole value, its dot matches line ends too, and a
//! label that is absent has the empty value. What reads memory uses them as well as what reads blocks.

use model::{MatchOp, Matcher, SelectError};
use regex::{Regex, RegexBuilder};

/// Most memory a compiled expression may take.
const REGEX_BYTES_MAX: usize = 8 << 20;

#[derive(Debug)]
pub struct Ready {
    pub name: Box<str>,
    pub test: Test,
    /// For `!=` and `!~`.
    pub negated: bool,
}

#[derive(Debug)]
pub enum Test {
    /// `.*`
    Anything,
    /// `.+`
    Something,
    /// A value, or several as in `a|b|c`; sorted, each once.
    OneOf(Box<[Box<str>]>),
    Regex(Regex),
}

impl Ready {
    /// # Errors
    /// [`SelectError::BadRegex`] when an expression does not compile, or would take too much memory.
    pub fn new(matcher: &Matcher) -> Result<Self, SelectError> {
        let (test, negated) = match matcher.op {
            MatchOp::Equal => (Test::OneOf(Box::new([matcher.value.clone()])), false),
            MatchOp::NotEqual => (Test::OneOf(Box::new([matcher.value.clone()])), true),
            MatchOp::Matches => (Test::new(&matcher.value)?, false),
            MatchOp::NotMatches => (Test::new(&matcher.value)?, true),
        };
        Ok(Self {
            name: matcher.name.clone(),
            test,
            negated,
        })
    }

    /// One for each.
    ///
    /// # Errors
    /// [`SelectError::BadRegex`] for the first that does not compile.
    pub fn all(matchers: &[Matcher]) -> Result<Vec<Self>, SelectError> {
        matchers.iter().map(Self::new).collect()
    }

    #[must_use]
    pub fn accepts(&self, value: &str) -> bool {
        self.test.matches(value) != self.negated
    }
}

impl Test {
    fn new(pattern: &str) -> Result<Self, SelectError> {
        match pattern {
            ".*" => return Ok(Self::Anything),
            ".+" => return Ok(Self::Something),
            _ => {}
        }
        if let Some(values) = alternatives(pattern) {
            return Ok(Self::OneOf(values));
        }
        let bad = |why: &dyn std::fmt::Display| SelectError::BadRegex {
            pattern: pattern.to_owned(),
            why: why.to_string(),
        };
        // By itself first, so that a stray bracket cannot pair with those put around it.
        let build = |text: &str| RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build();
        build(pattern).map_err(|error| bad(&error))?;
        build(&format!("^(?s:{pattern})$"))
            .map(Self::Regex)
            .map_err(|error| bad(&error))
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Anything => true,
            Self::Something => !value.is_empty(),
            Self::OneOf(values) => values.binary_search_by(|known| (**known).cmp(value)).is_ok(),
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

/// The values of a pattern that is plain text, or plain texts with bars between them.
fn alternatives(pattern: &str) -> Option<Box<[Box<str>]>> {
    let inner = pattern.strip_prefix("(?:").or_else(|| pattern.strip_prefix('('));
    let pattern = inner.and_then(|inner| inner.strip_suffix(')')).unwrap_or(pattern);
    let mut values: Vec<Box<str>> = Vec::new();
    let mut value = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '|' => values.push(std::mem::take(&mut value).into()),
            // An escaped letter may be a class; escaped punctuation is itself.
            '\\' => value.push(letters.next().filter(char::is_ascii_punctuation)?),
            '.' | '+' | '*' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            plain => value.push(plain),
        }
    }
    values.push(value.into());
    values.sort_unstable();
    values.dedup();
    Some(values.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(op: MatchOp, pattern: &str, value: &str) -> bool {
        Ready::new(&Matcher::new("x", op, pattern))
            .expect("compiles")
            .accepts(value)
    }

    #[test]
    fn expressions_match_the_whole_value() {
        for (pattern, value, matches) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a.*", "abc", true),
            ("b", "abc", false),
            ("a|b", "b", true),
            ("a|b", "ab", false),
            ("(a|b)", "a", true),
            ("(?:a|b)", "b", true),
            ("(a|b)c", "bc", true),
            ("(a)|(b)", "b", true),
            ("a|", "", true),
            ("", "", true),
            ("", "a", false),
            (r"a\.b", "a.b", true),
            (r"a\.b", "axb", false),
            (r"\d+", "12", true),
            ("a.b", "a\nb", true),
            ("(?i)up", "UP", true),
            (r"a\|b", "a|b", true),
            (r"(a\)", "a)", false),
        ] {
            let Ok(ready) = Ready::new(&Matcher::new("x", MatchOp::Matches, pattern)) else {
                assert!(!matches, "{pattern} must compile");
                continue;
            };
            assert_eq!(ready.accepts(value), matches, "{pattern} on {value:?}");
            assert_eq!(
                accepts(MatchOp::NotMatches, pattern, value),
                !matches,
                "not {pattern} on {value:?}"
            );
        }
    }

    #[test]
    fn a_bad_expression_is_said_with_its_reason() {
        for pattern in ["(", "a)|(b", "[z-a]", "*"] {
            let error = Ready::new(&Matcher::new("x", MatchOp::Matches, pattern)).expect_err("bad");
            assert!(matches!(error, SelectError::BadRegex { .. }), "{pattern}");
        }
        let huge = "(?:a{1000}){1000}";
        assert!(Ready::new(&Matcher::new("x", MatchOp::Matches, huge)).is_err());
    }
}
