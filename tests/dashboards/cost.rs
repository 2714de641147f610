//! What rules and dashboards ask of CloudWatch, and what that costs where there are ten databases (four of them
//! replicas), ten cache nodes, three brokers with twenty topics and twenty pairs of group and topic, five load
//! balancers with ten target groups, and three NAT gateways.
//!
//! A metric is paid for each time it is asked for, whatever the number of points: $0.01 for a thousand. An input of a
//! rule is asked for every half of its `for`, from five minutes to an hour; what only a dashboard uses, each hour.

use std::collections::BTreeMap;
use std::fs;

use model::{MatchOp, Matcher};
use rules::Kind;
use serde_json::Value;

use super::build;
use crate::harness::root;

const MONTH_SECONDS: f64 = 30.0 * 86400.0;
const DOLLARS_EACH: f64 = 0.01 / 1000.0;
const SLOWEST_SECONDS: f64 = 3600.0;
const DOLLARS_MAX: f64 = 40.0;

/// How often what is asked for, and for whose sake; a metric whose dimensions differ is another one.
type Plan = BTreeMap<(String, Vec<String>), (f64, String)>;

#[test]
fn all_rules_and_dashboards_cost_less_than_forty_dollars_a_month() {
    let mut plan = Plan::new();
    for (file, alert, expr, hold_seconds) in rules_of_aws() {
        let interval = (hold_seconds / 2.0).clamp(300.0, SLOWEST_SECONDS);
        add(&mut plan, &expr, interval, &file);
        assert!(
            !expr.contains("latency_average"),
            "{alert}: an average hides who waits"
        );
    }
    let rules = dollars(&plan);
    for (name, dashboard) in build::all() {
        let mut expressions = Vec::new();
        collect(&dashboard, &mut expressions);
        for expr in expressions {
            add(&mut plan, &expr, SLOWEST_SECONDS, name);
        }
    }
    let all = dollars(&plan);
    let mut bill = BTreeMap::new();
    for ((metric, dimensions), (interval, whose)) in &plan {
        *bill.entry(whose.as_str()).or_insert(0.0) += each(metric, dimensions, *interval);
    }
    let text = format!("rules ${rules:.2}, with dashboards ${all:.2} a month: {bill:.2?}");
    println!("{text}");
    // Nothing at all would be cheap, too.
    assert!(rules > 10.0 && all > rules, "{text}");
    assert!(all <= DOLLARS_MAX, "{text}");
}

/// File, name and expression of every alert about AWS, and the seconds of its `for`.
fn rules_of_aws() -> Vec<(String, String, String, f64)> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(root().join("rules")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("aws-") {
            texts.push((name, fs::read_to_string(entry.path()).unwrap()));
        }
    }
    let mut found = Vec::new();
    for group in rules::load(&texts).unwrap() {
        for rule in &group.rules {
            let Kind::Alert(alerting) = &rule.kind else {
                continue;
            };
            found.push((
                group.file.to_string(),
                rule.name.to_string(),
                rule.expr.written().to_owned(),
                alerting.hold.as_secs_f64(),
            ));
        }
    }
    found
}

fn collect(part: &Value, found: &mut Vec<String>) {
    match part {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str().filter(|_| name == "expr") {
                    Some(expr) => found.push(expr.replace("$__rate_interval", "5m")),
                    None => collect(value, found),
                }
            }
        }
        Value::Array(parts) => parts.iter().for_each(|part| collect(part, found)),
        _ => {}
    }
}

/// A metric has its statistic at the end of its name; facts, which cost nothing, have none.
fn add(plan: &mut Plan, expr: &str, interval: f64, whose: &str) {
    let statistic = regex::Regex::new("^aws_.*_(average|maximum|minimum|sum|p[0-9]+)$").unwrap();
    for (matchers, _) in promql::selectors(&promql::parse(expr).unwrap()) {
        let metric = matchers
            .iter()
            .find(|matcher| &*matcher.name == "__name__" && matcher.op == MatchOp::Equal);
        let Some(metric) = metric.filter(|metric| statistic.is_match(&metric.value)) else {
            continue;
        };
        let mut dimensions: Vec<String> = matchers.iter().filter_map(wanted).collect();
        dimensions.sort();
        let key = (metric.value.to_string(), dimensions);
        let planned = plan.entry(key).or_insert((f64::INFINITY, String::new()));
        if interval < planned.0 {
            *planned = (interval, whose.to_owned());
        }
    }
}

/// A dimension that a selector says must be there.
fn wanted(matcher: &Matcher) -> Option<String> {
    let decides = ["dimension_ProxyName", "dimension_TargetGroup", "dimension_Topic"];
    (decides.contains(&&*matcher.name) && matcher.op == MatchOp::NotEqual && matcher.value.is_empty())
        .then(|| matcher.name.to_string())
}

fn dollars(plan: &Plan) -> f64 {
    plan.iter()
        .map(|((metric, dimensions), (interval, _))| each(metric, dimensions, *interval))
        .sum()
}

fn each(metric: &str, dimensions: &[String], interval: f64) -> f64 {
    series(metric, dimensions) * MONTH_SECONDS / interval * DOLLARS_EACH
}

/// How many series of a metric there are.
fn series(metric: &str, dimensions: &[String]) -> f64 {
    let of = |dimension: &str| dimensions.iter().any(|named| named == dimension);
    let part = |name: &str| metric.contains(name);
    match metric {
        _ if of("dimension_ProxyName") => 0.0,
        _ if part("aws_rds_replica_lag") => 4.0,
        _ if part("aws_rds_") || part("aws_elasticache_") => 10.0,
        _ if part("active_controller") || part("offline_partitions") => 1.0,
        _ if part("offset_lag") || part("time_lag") => 20.0,
        _ if part("aws_kafka_") && of("dimension_Topic") => 3.0 * 20.0,
        _ if part("aws_kafka_") || part("aws_natgateway_") => 3.0,
        _ if part("aws_applicationelb_") && of("dimension_TargetGroup") => 10.0,
        _ if part("aws_applicationelb_") => 5.0,
        // Instances, disks, groups and Network Load Balancers: the estate has none.
        _ => 0.0,
    }
}
