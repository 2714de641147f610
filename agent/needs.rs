//! What rules and dashboards read of AWS, and how often they need it: nothing else is bought.

use std::sync::Arc;
use std::time::Duration;

use cloudwatch::fetch::PERIOD;
use cloudwatch::plan::need::{By, INTERVAL_MIN, Need, interval};
use model::Matcher;
use model::labels::METRIC_NAME;

use crate::{shipped, used};

/// What names of AWS' series begin with.
const PREFIX: &str = "aws_";

/// Of these rules, the shipped dashboards, and the list of the configuration.
pub fn gather(groups: &[rules::Group], config: &cloudwatch::Config) -> Arc<[Need]> {
    let mut needs = of_rules(groups);
    for (name, expressions) in shipped::dashboards() {
        let by = By::Dashboard { title: name.into() };
        for expression in expressions {
            needs.extend(of_expression(&used::durations(&expression), None, &by));
        }
    }
    needs.extend(cloudwatch::listed_needs(config));
    needs.into()
}

fn of_rules(groups: &[rules::Group]) -> Vec<Need> {
    let rules = groups
        .iter()
        .flat_map(|group| group.rules.iter().map(move |rule| (group, rule)));
    rules
        .flat_map(|(group, rule)| {
            let every = group.interval.unwrap_or(PERIOD);
            let (group, name) = (Arc::clone(&group.name), Arc::clone(&rule.name));
            let (wanted, by) = match &rule.kind {
                rules::Kind::Record { .. } => (INTERVAL_MIN, By::Record { group, name }),
                rules::Kind::Alert(alerting) => (interval(held(alerting, every)), By::Alert { group, name }),
            };
            of_expression(rule.expr.written(), Some(wanted), &by)
        })
        .collect()
}

/// How long a condition has to be true.
fn held(alerting: &rules::Alerting, every: Duration) -> Duration {
    match &alerting.datapoints {
        Some(points) => every * points.n,
        None => alerting.hold,
    }
}

fn of_expression(expression: &str, interval: Option<Duration>, by: &By) -> Vec<Need> {
    let Ok(expr) = promql::parse(expression) else {
        return Vec::new();
    };
    let selectors = promql::selectors(&expr);
    let needs = selectors.iter().filter_map(|(matchers, _)| {
        let name = name(matchers).filter(|name| name.starts_with(PREFIX))?;
        Some(Need::new(name, matchers, interval, by.clone()))
    });
    needs.collect()
}

fn name(matchers: &[Matcher]) -> Option<&str> {
    let is_name = |matcher: &&Matcher| &*matcher.name == METRIC_NAME && matcher.op == model::MatchOp::Equal;
    matchers.iter().find(is_name).map(|matcher| &*matcher.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_needs_its_series_twice_within_its_for() {
        let text = "groups: [{ name: a, rules: [\
            { alert: X, expr: 'aws_rds_database_connections_average / on (dimension_DBInstanceIdentifier) aws_rds_max_connections > 0.9', for: 20m },\
            { alert: Y, expr: 'up == 0' }] }]";
        let groups = rules::load(&[("r.yaml".to_owned(), text.to_owned())]).unwrap();
        let needs = of_rules(&groups);
        let said: Vec<(&str, u64)> = needs
            .iter()
            .map(|need| (&*need.name, need.interval.unwrap_or_default().as_secs()))
            .collect();
        // The second is a fact, which nobody has to pay for.
        assert_eq!(
            said,
            [
                ("aws_rds_database_connections_average", 600),
                ("aws_rds_max_connections", 600)
            ]
        );
    }
}
