//! Who wants which series, and how often: rules, recordings, dashboards and the list of the configuration.

use std::sync::Arc;
use std::time::Duration;

use model::{MatchOp, Matcher};
use regex::Regex;

/// Nothing is asked for more often unless something is close to happening.
pub const INTERVAL_MIN: Duration = Duration::from_secs(300);
/// And nothing that somebody is woken by less often.
pub const INTERVAL_MAX: Duration = Duration::from_secs(3_600);
/// Intervals that fall together, so that series share a call.
const STEPS: [u64; 6] = [300, 450, 600, 900, 1_800, 3_600];

/// Who it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum By {
    Alert { group: Arc<str>, name: Arc<str> },
    Record { group: Arc<str>, name: Arc<str> },
    Dashboard { title: Arc<str> },
    List,
}

impl By {
    /// As a table names it.
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Self::Alert { name, .. } => format!("alert {name}"),
            Self::Record { name, .. } => format!("record {name}"),
            Self::Dashboard { title } => format!("dashboard {title}"),
            Self::List => "cloudwatch.metrics".to_owned(),
        }
    }

    #[must_use]
    pub fn is_dashboard(&self) -> bool {
        matches!(self, Self::Dashboard { .. })
    }
}

/// One selector of an expression.
#[derive(Clone, Debug)]
pub struct Need {
    /// The name of the series it wants.
    pub name: Arc<str>,
    tests: Vec<Test>,
    /// None: whenever somebody looks, and once an hour.
    pub interval: Option<Duration>,
    pub by: By,
}

#[derive(Clone, Debug)]
struct Test {
    label: Arc<str>,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Is(Arc<str>),
    IsNot(Arc<str>),
    Like(Regex),
    Unlike(Regex),
}

impl Need {
    /// Of a selector; a value with a dashboard's variable in it may be anything.
    #[must_use]
    pub fn new(name: &str, matchers: &[Matcher], interval: Option<Duration>, by: By) -> Self {
        let tests = matchers
            .iter()
            .filter(|matcher| &*matcher.name != model::labels::METRIC_NAME && !matcher.value.contains('$'));
        Self {
            name: name.into(),
            tests: tests.filter_map(Test::new).collect(),
            interval: interval.map(step),
            by,
        }
    }

    /// Whether it wants a series with these labels; only those are judged that are known beforehand.
    pub fn wants<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.tests.iter().all(|test| test.holds(&label))
    }
}

impl Test {
    fn new(matcher: &Matcher) -> Option<Self> {
        let anchored = || Regex::new(&format!("^(?s:{})$", matcher.value)).ok();
        let value = match matcher.op {
            MatchOp::Equal => Value::Is(matcher.value.as_ref().into()),
            MatchOp::NotEqual => Value::IsNot(matcher.value.as_ref().into()),
            MatchOp::Matches => Value::Like(anchored()?),
            MatchOp::NotMatches => Value::Unlike(anchored()?),
        };
        Some(Self {
            label: matcher.name.as_ref().into(),
            value,
        })
    }

    fn holds<'a>(&self, label: &impl Fn(&str) -> Option<&'a str>) -> bool {
        let said = label(&self.label).unwrap_or_default();
        match &self.value {
            Value::Is(wanted) => said == &**wanted,
            Value::IsNot(unwanted) => said != &**unwanted,
            Value::Like(wanted) => wanted.is_match(said),
            Value::Unlike(unwanted) => !unwanted.is_match(said),
        }
    }
}

/// How often a rule's series are asked for: twice within its `for`, and every five minutes at the most.
#[must_use]
pub fn interval(hold: Duration) -> Duration {
    step((hold / 2).clamp(INTERVAL_MIN, INTERVAL_MAX))
}

/// The longest of the usual ones that is not longer.
fn step(wanted: Duration) -> Duration {
    let seconds = wanted.as_secs();
    if seconds < STEPS[0] {
        // Somebody has asked for that: it is a whole number of minutes, and one at least.
        return Duration::from_secs((seconds / 60).max(1) * 60);
    }
    let step = STEPS.iter().rev().find(|step| **step <= seconds);
    Duration::from_secs(*step.unwrap_or(&STEPS[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_looked_at_twice_within_its_for() {
        for (minutes, seconds) in [
            (0, 300),
            (5, 300),
            (10, 300),
            (15, 450),
            (20, 600),
            (40, 900),
            (60, 1_800),
            (600, 3_600),
        ] {
            let hold = Duration::from_secs(minutes * 60);
            assert_eq!(interval(hold), Duration::from_secs(seconds), "{minutes}m");
        }
        assert_eq!(step(Duration::from_secs(10)), Duration::from_secs(60));
    }

    #[test]
    fn a_need_wants_what_its_selector_takes() {
        let matchers = [
            Matcher::new("dimension_DBInstanceIdentifier", MatchOp::Matches, "orders.*"),
            Matcher::new("region", MatchOp::NotEqual, "us-east-1"),
            Matcher::new("dimension_x", MatchOp::Matches, "$instance"),
        ];
        let need = Need::new("aws_rds_x_average", &matchers, None, By::List);
        let wants = |id: &'static str, region: &'static str| {
            need.wants(|label| match label {
                "dimension_DBInstanceIdentifier" => Some(id),
                "region" => Some(region),
                _ => None,
            })
        };
        assert!(wants("orders-1", "eu-west-1"));
        assert!(!wants("orders-1", "us-east-1") && !wants("my-orders", "eu-west-1"));
    }
}
