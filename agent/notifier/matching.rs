//! Matchers ready to run: regular expressions compiled, anchored at both ends.

use model::{Labels, MatchOp, Matcher};
use regex::{Regex, RegexBuilder};

/// Most memory a compiled expression may take.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// One matcher's question to a value.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Equal(Box<str>),
    NotEqual(Box<str>),
    Matches(Regex),
    NotMatches(Regex),
}

impl Test {
    /// What is wrong with it is said as Alertmanager does.
    pub(crate) fn new(matcher: &Matcher) -> Result<Self, String> {
        let compile = || {
            let anchored = format!("^(?:{})$", matcher.value);
            let regex = RegexBuilder::new(&anchored).size_limit(REGEX_BYTES_MAX).build();
            regex.map_err(|error| {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().to_owned();
                format!("invalid regular expression {:?}: {why}", matcher.value)
            })
        };
        Ok(match matcher.op {
            MatchOp::Equal => Self::Equal(matcher.value.clone()),
            MatchOp::NotEqual => Self::NotEqual(matcher.value.clone()),
            MatchOp::Matches => Self::Matches(compile()?),
            MatchOp::NotMatches => Self::NotMatches(compile()?),
        })
    }

    pub(crate) fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Equal(wanted) => **wanted == *value,
            Self::NotEqual(wanted) => **wanted != *value,
            Self::Matches(regex) => regex.is_match(value),
            Self::NotMatches(regex) => !regex.is_match(value),
        }
    }
}

/// Matchers of which every one has to be true; a label that is not there is empty. None is always true.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tests(Vec<(Box<str>, Test)>);

impl Tests {
    /// # Errors
    /// A regular expression does not compile.
    pub(crate) fn new(matchers: &[Matcher]) -> Result<Self, String> {
        let tests = matchers
            .iter()
            .map(|matcher| Ok((matcher.name.clone(), Test::new(matcher)?)));
        tests.collect::<Result<_, String>>().map(Self)
    }

    pub(crate) fn accept(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(name, test)| test.accepts(labels.value(name)))
    }
}
