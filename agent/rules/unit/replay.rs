//! A test file that expects nothing yet: what comes of it, for whoever writes a test from what happened.

use std::collections::BTreeMap;

use tokio::runtime::Builder;

use super::Read;
use super::run::fired;
use crate::load::load;

/// An alert that fires, with every annotation of its rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fired {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// Runs the first test group of a test file by the rules that are given in its place, and returns what fires whenever
/// the test looks at alerts, by time; what it expects does not matter.
///
/// # Errors
/// What is wrong with test or rules, in sentences.
///
/// # Panics
/// Within an asynchronous runtime: it brings its own.
pub fn replay(test: &str, rules: &str) -> Result<Vec<Vec<Fired>>, String> {
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let file = yaml::read("test", test).map_err(|complaint| complaint.to_string())?;
    let groups = load(&[("rules".to_owned(), rules.to_owned())]).map_err(|complaints| {
        let complaints: Vec<String> = complaints.iter().map(ToString::to_string).collect();
        complaints.join("\n")
    })?;
    let read = Read::of("test".to_owned(), test.to_owned(), file, groups);
    let Some(test) = read.file.tests.first() else {
        return Ok(Vec::new());
    };
    let all = runtime.block_on(fired(&read, test))?;
    let seen = all.into_iter().map(|seen| {
        let each = seen.into_iter().map(|seen| Fired {
            labels: seen.labels,
            annotations: seen.annotations,
        });
        each.collect()
    });
    Ok(seen.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fires_is_told_whatever_is_expected() {
        let rules = "groups: [{name: g, rules: [{alert: High, expr: x > 1, for: 1m, annotations: {v: '{{ $value }}'}}]}]";
        let test = "\
evaluation_interval: 30s
tests:
- interval: 30s
  input_series: [{series: 'x{i=\"a\"}', values: '2+0x9'}]
  alert_rule_test:
  - {eval_time: 1m, alertname: High, exp_alerts: []}
  - {eval_time: 30s, alertname: High, exp_alerts: []}
";
        let all = replay(test, rules).unwrap();
        let count: Vec<usize> = all.iter().map(Vec::len).collect();
        assert_eq!(count, [0, 1], "by time");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            all[1][0],
            Fired {
                labels: [pair("alertname", "High"), pair("i", "a")].into(),
                annotations: [pair("v", "2")].into(),
            }
        );
        assert!(replay(test, "groups: [{}]").unwrap_err().contains("name"));
        assert!(replay("tests: 3", rules).is_err());
    }
}
