//! Matchers beside each other: whether some value satisfies both.

use model::{MatchOp, Matcher};
use promql::Filter;

/// Whether no value of a label satisfies both, as far as can be seen without trying all.
pub(super) fn apart(one: &Matcher, two: &Matcher) -> bool {
    let refuses = |equal: &Matcher, other: &Matcher| {
        equal.op == MatchOp::Equal
            && Filter::new(other).is_ok_and(|filter| !filter.accepts_value(&equal.value))
    };
    if one.op == MatchOp::Matches && two.op == MatchOp::Matches {
        let (one, two) = (branches(&one.value), branches(&two.value));
        return match (one, two) {
            (Some(one), Some(two)) => one.iter().all(|one| two.iter().all(|two| one.is_apart(two))),
            _ => false,
        };
    }
    refuses(one, two) || refuses(two, one)
}

/// How a branch of a regular expression begins.
struct Branch {
    text: String,
    /// It is nothing but that text.
    whole: bool,
}

impl Branch {
    fn is_apart(&self, other: &Self) -> bool {
        let begins = |one: &Self, two: &Self| match one.whole {
            true => one.text == two.text || (!two.whole && one.text.starts_with(&two.text)),
            false => one.text.starts_with(&two.text) && !two.whole || two.text.starts_with(&one.text),
        };
        !begins(self, other) && !begins(other, self)
    }
}

/// `None` where brackets or flags make it more than a list.
fn branches(pattern: &str) -> Option<Vec<Branch>> {
    if pattern.contains(['(', '[', '^', '$']) {
        return None;
    }
    Some(pattern.split('|').map(branch).collect())
}

fn branch(pattern: &str) -> Branch {
    let mut text = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(next) if next.is_ascii_punctuation() => text.push(next),
                _ => return Branch { text, whole: false },
            },
            // The letter before may be missing.
            '*' | '?' | '{' => {
                text.pop();
                return Branch { text, whole: false };
            }
            '.' | '+' => return Branch { text, whole: false },
            other => text.push(other),
        }
    }
    Branch { text, whole: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_value_satisfies_is_apart() {
        let matcher = |text: &str| {
            let (op, value) = match text.strip_prefix('~') {
                Some(value) => (MatchOp::Matches, value),
                None => match text.strip_prefix('!') {
                    Some(value) => (MatchOp::NotEqual, value),
                    None => (MatchOp::Equal, text),
                },
            };
            Matcher::new("a", op, value)
        };
        for (one, two) in [
            ("a", "b"),
            ("a", "~b|c"),
            ("a", "!a"),
            ("~2..", "~3.."),
            ("~LIST|GET", "~POST|PUT"),
            ("~ab.*", "~ac.*|b"),
            ("~a", "~ab.*"),
            ("~2\\.x", "~2-x"),
        ] {
            assert!(apart(&matcher(one), &matcher(two)), "{one} {two}");
            assert!(apart(&matcher(two), &matcher(one)), "{two} {one}");
        }
        for (one, two) in [
            ("a", "a"),
            ("a", "~a|b"),
            ("a", "!b"),
            ("!a", "!b"),
            ("~2..", "~.*"),
            ("~2..", "~20.|3.."),
            ("~ab?", "~a"),
            ("~ab*c", "~ac"),
            ("~(a|b)", "~c"),
            ("~a.*", "~ab"),
            ("~", "~.*"),
            ("~(?i)a", "~b"),
        ] {
            assert!(!apart(&matcher(one), &matcher(two)), "{one} {two}");
            assert!(!apart(&matcher(two), &matcher(one)), "{two} {one}");
        }
    }
}
