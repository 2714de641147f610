//! Groups with one alert in another form: what somebody wants to try before it is written into a file.

use std::time::Duration;

use model::Labels;

use crate::expr::Expr;
use crate::group::{Group, Kind};

/// An alert among the groups. Several may have its name, so that labels and expression are of it, too.
#[derive(Clone, Copy, Debug)]
pub struct Which<'a> {
    pub file: &'a str,
    pub group: &'a str,
    pub name: &'a str,
    /// As written, the group's among them.
    pub labels: &'a Labels,
    pub expr: &'a str,
}

/// The same groups, in which the alert has this expression and waits so long; of other alerts of its name nothing is
/// left, so that what is found is its own. One that counts `datapoints` goes on counting them, if it waits for nothing.
///
/// # Errors
/// A sentence: the expression is none, or there is no such alert.
pub fn edited(groups: &[Group], which: Which<'_>, expr: &str, hold: Duration) -> Result<Vec<Group>, String> {
    let expr = Expr::read(expr).map_err(|mistake| {
        let advice = mistake
            .suggestion
            .map(|advice| format!("; {advice}"))
            .unwrap_or_default();
        format!(
            "line {}, column {}: {}{advice}",
            mistake.line, mistake.column, mistake.message
        )
    })?;
    let (mut groups, mut is_found) = (groups.to_vec(), false);
    for group in &mut groups {
        let is_here = *group.file == *which.file && *group.name == *which.group;
        group.rules.retain_mut(|rule| {
            if *rule.name != *which.name || rule.alerting().is_none() {
                return true;
            }
            let is_meant = is_here
                && !is_found
                && rule.expr.written() == which.expr
                && rule.labels_written() == *which.labels;
            if is_meant && let Kind::Alert(alerting) = &mut rule.kind {
                is_found = true;
                rule.expr = expr.clone();
                alerting.hold = hold;
                if !hold.is_zero() {
                    alerting.datapoints = None;
                }
            }
            is_meant
        });
    }
    if is_found {
        Ok(groups)
    } else {
        Err(format!("no alert {} is loaded in this form any more", which.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;

    const RULES: &str = "groups:
- name: a
  rules:
  - {alert: Full, expr: 'x > 1', for: 5m, labels: {severity: page}}
  - {alert: Full, expr: 'x > 0', labels: {severity: info}}
  - {record: y, expr: x}
- name: b
  rules: [{alert: Full, expr: 'x > 1', for: 5m, labels: {severity: page}}]";

    fn which(labels: &Labels) -> Which<'_> {
        Which {
            file: "a.yaml",
            group: "a",
            name: "Full",
            labels,
            expr: "x > 1",
        }
    }

    #[test]
    fn the_alert_is_changed_and_no_other_of_its_name_is_left() {
        let groups = load(&[("a.yaml", RULES)]).unwrap();
        let labels = Labels::from_pairs([("severity", "page")]);
        let changed = edited(&groups, which(&labels), "x > 7", Duration::from_secs(60)).unwrap();
        let left: Vec<(&str, &str)> = changed
            .iter()
            .flat_map(|group| &group.rules)
            .map(|rule| (&*rule.name, rule.expr.written()))
            .collect();
        assert_eq!(left, [("Full", "x > 7"), ("y", "x")]);
        let hold = changed[0].rules[0].alerting().map(|alerting| alerting.hold);
        assert_eq!(hold, Some(Duration::from_secs(60)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let groups = load(&[("a.yaml", RULES)]).unwrap();
        let labels = Labels::from_pairs([("severity", "page")]);
        let mistake = edited(&groups, which(&labels), "x >\n> 1", Duration::ZERO).unwrap_err();
        assert!(mistake.starts_with("line 2, column 1: "), "{mistake}");
        let gone = edited(&groups, which(&Labels::empty()), "x", Duration::ZERO).unwrap_err();
        assert!(gone.contains("no alert Full is loaded"), "{gone}");
    }
}
