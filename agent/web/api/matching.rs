//! `match[]`: selectors in parameters, and label sets held against them.

use model::{Labels, MatchOp, Matcher};
use regex::Regex;

use super::answer::Failure;
use super::bad_data;
use crate::form::Form;

/// One selector per `match[]`. None of them matches everything: the parser refuses that.
///
/// # Errors
/// Not a selector.
pub(crate) fn selectors(form: &Form) -> Result<Vec<Vec<Matcher>>, Failure> {
    form.all("match[]").map(selector).collect()
}

fn selector(text: &str) -> Result<Vec<Matcher>, Failure> {
    let expr = promql::parse(text).map_err(|error| bad_data(error.to_string()))?;
    match expr.kind {
        promql::Kind::Selector(selector) if selector.when == promql::When::default() => {
            Ok(selector.all_matchers())
        }
        _ => Err(bad_data(format!(
            "{} is not a selector; write for example up{{job=\"node\"}}",
            model::text::quote(text)
        ))),
    }
}

/// Whether label sets match any of several selectors; none at all matches everything.
pub(super) struct Tests(Vec<Vec<Test>>);

impl Tests {
    /// # Errors
    /// A regular expression does not compile.
    pub(super) fn new(selectors: &[Vec<Matcher>]) -> Result<Self, Failure> {
        selectors
            .iter()
            .map(|matchers| matchers.iter().map(Test::new).collect())
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) fn hold(&self, labels: &Labels) -> bool {
        let all = |tests: &Vec<Test>| {
            tests
                .iter()
                .all(|test| test.holds(labels.value(&test.matcher.name)))
        };
        self.0.is_empty() || self.0.iter().any(all)
    }
}

struct Test {
    matcher: Matcher,
    regex: Option<Regex>,
}

impl Test {
    fn new(matcher: &Matcher) -> Result<Self, Failure> {
        let regex = match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Matches | MatchOp::NotMatches => Some(
                Regex::new(&format!("^(?s:{})$", matcher.value))
                    .map_err(|error| bad_data(format!("regular expression {:?}: {error}", matcher.value)))?,
            ),
        };
        Ok(Self {
            matcher: matcher.clone(),
            regex,
        })
    }

    fn holds(&self, value: &str) -> bool {
        let matches = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => *self.matcher.value == *value,
        };
        matches == matches!(self.matcher.op, MatchOp::Equal | MatchOp::Matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_selector_with_all_its_matchers_is_enough() {
        let labels = Labels::from_pairs([("severity", "page"), ("team", "db")]);
        let hold = |selectors: &[&[(&str, MatchOp, &str)]]| {
            let selectors: Vec<Vec<Matcher>> = selectors
                .iter()
                .map(|set| {
                    set.iter()
                        .map(|(name, op, value)| Matcher::new(name, *op, value))
                        .collect()
                })
                .collect();
            Tests::new(&selectors).unwrap().hold(&labels)
        };
        use MatchOp::{Equal, Matches, NotEqual, NotMatches};
        assert!(hold(&[]));
        assert!(hold(&[&[("severity", Equal, "page"), ("team", Matches, "d.")]]));
        assert!(!hold(&[&[("severity", Equal, "page"), ("team", NotEqual, "db")]]));
        assert!(hold(&[&[("team", Equal, "web")], &[("none", Equal, "")]]));
        assert!(!hold(&[&[("team", Matches, "d")], &[("team", NotMatches, ".+")]]));
    }
}
