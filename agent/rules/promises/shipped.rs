//! The rules that ship: read without complaint, and judged by us as promtool judges them.
//!
//! Their unit tests are promtool's; this runs the same files over our own evaluator, state machine and
//! templates, annotations compared letter by letter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::{Ask, Labels, Select, Timestamp};
use promql::script::{Memory, labels, values};
use serde::Deserialize;

use crate::alert::{Alert, Found, State, Table};
use crate::expand::Expander;
use crate::{Alerting, Group, Kind, Options, load};

const FILES: [(&str, &str, &str); 4] = [
    (
        "targets.yaml",
        include_str!("../../../rules/targets.yaml"),
        include_str!("../../../rules/tests/targets.yaml"),
    ),
    (
        "node.yaml",
        include_str!("../../../rules/node.yaml"),
        include_str!("../../../rules/tests/node.yaml"),
    ),
    (
        "pair.yaml",
        include_str!("../../../rules/pair.yaml"),
        include_str!("../../../rules/tests/pair.yaml"),
    ),
    (
        "skopos.yaml",
        include_str!("../../../rules/skopos.yaml"),
        include_str!("../../../rules/tests/skopos.yaml"),
    ),
];
const RUNBOOKS: &str = include_str!("../../../rules/runbooks.md");
const MINUTE: Duration = Duration::from_secs(60);

fn shipped() -> Vec<Group> {
    load(&FILES.map(|(name, rules, _)| (name, rules))).unwrap()
}

#[test]
fn every_alert_says_what_it_is_how_grave_and_what_to_do() {
    let mut names = BTreeSet::new();
    for rule in shipped().iter().flat_map(|group| &group.rules) {
        assert!(
            rule.alerting().is_some(),
            "{} is recorded; nothing needs it",
            rule.name
        );
        assert!(
            names.insert(rule.name.to_string()),
            "{} is there twice",
            rule.name
        );
        let severity = rule.labels_written();
        assert!(
            ["critical", "warning", "info"].contains(&severity.value("severity")),
            "{}",
            rule.name
        );
        let annotations = rule.annotations_written();
        for name in ["summary", "description"] {
            assert!(!annotations.value(name).is_empty(), "{} has no {name}", rule.name);
        }
        let url = format!("{{{{ $externalURL }}}}/alerts/{}#runbook", rule.name);
        assert_eq!(annotations.value("runbook_url"), url);
        let section = RUNBOOKS
            .split("\n## ")
            .find(|section| section.lines().next() == Some(&rule.name));
        let section = section.unwrap_or_else(|| panic!("{} has no runbook", rule.name));
        for part in [
            "**Means**",
            "**Feels it**",
            "\n1. ",
            "\n2. ",
            "\n3. ",
            "**Causes**",
        ] {
            assert!(
                section.contains(part),
                "the runbook of {} has no {part}",
                rule.name
            );
        }
    }
    let sections = RUNBOOKS.matches("\n## ").count();
    assert_eq!(sections, names.len(), "a runbook without an alert");
}

#[derive(Deserialize)]
struct File {
    #[expect(dead_code, reason = "promtool reads it; the rules are already here")]
    rule_files: Vec<String>,
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    evaluation_interval: Duration,
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    name: String,
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    interval: Duration,
    #[serde(default)]
    external_url: String,
    input_series: Vec<Input>,
    #[serde(default)]
    alert_rule_test: Vec<AlertTest>,
    #[serde(default)]
    promql_expr_test: Vec<ExprTest>,
}

#[derive(Deserialize)]
struct Input {
    series: String,
    values: String,
}

#[derive(Deserialize)]
struct AlertTest {
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    eval_time: Duration,
    alertname: String,
    exp_alerts: Vec<Expected>,
}

#[derive(Deserialize)]
struct ExprTest {
    expr: String,
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    eval_time: Duration,
}

#[derive(Deserialize)]
struct Expected {
    exp_labels: Labels,
    exp_annotations: Labels,
}

/// One test file's rules, evaluated each minute.
struct Bench<'a> {
    groups: &'a [Group],
    engine: promql::Engine,
    options: Options,
    tables: BTreeMap<String, Table>,
}

impl Bench<'_> {
    async fn round(&mut self, at: Timestamp, wanted: impl Fn(&str) -> bool) {
        let rules = self.groups.iter().flat_map(|group| &group.rules);
        for rule in rules.filter(|rule| wanted(&rule.name)) {
            let Kind::Alert(alerting) = &rule.kind else {
                continue;
            };
            let answer = self.engine.ask(rule.expr.written(), at).await;
            let answer = answer.unwrap_or_else(|error| panic!("{} at {at:?}: {error}", rule.name));
            let mut found = BTreeMap::new();
            for point in &answer.points {
                let (labels, one) = self.expand(&rule.name, alerting, point, at).await;
                assert!(
                    found.insert(labels, one).is_none(),
                    "{} gives the same labels twice",
                    rule.name
                );
            }
            let table = self.tables.entry(rule.name.to_string()).or_default();
            table.step(at, alerting.times(), found, &BTreeSet::new());
        }
    }

    async fn expand(
        &self,
        name: &str,
        alerting: &Alerting,
        point: &model::Point,
        at: Timestamp,
    ) -> (Labels, Found) {
        let mut expander = Expander::new(&self.engine, &self.options, at);
        let mut labels = point.labels.without_name().to_builder();
        for (label, text) in &alerting.labels {
            labels.set(label, &expander.expand(&text.0, &point.labels, point.value).await);
        }
        labels.set("alertname", name);
        let mut annotations = Vec::new();
        for (name, text) in &alerting.annotations {
            annotations.push((name, expander.expand(&text.0, &point.labels, point.value).await));
        }
        let annotations = Labels::from_pairs(annotations);
        (
            labels.build(),
            Found {
                annotations,
                value: point.value,
                source: point.labels.clone(),
            },
        )
    }

    fn firing(&self, name: &str) -> Vec<(Labels, Labels)> {
        let alerts = self
            .tables
            .get(name)
            .into_iter()
            .flat_map(|table| table.alerts.values());
        let firing = alerts.filter(|alert| alert.state == State::Firing);
        firing
            .map(|alert| {
                (
                    alert.labels.retain(|name| name != "alertname"),
                    alert.annotations.clone(),
                )
            })
            .collect()
    }
}

async fn check(file: &str, groups: &[Group], test: &Test) -> usize {
    let memory = Memory::shared();
    for input in &test.input_series {
        let items = values(&input.values).unwrap();
        memory.add_items(
            &labels(&input.series).unwrap(),
            &items,
            Timestamp(0),
            test.interval,
        );
    }
    let mut bench = Bench {
        groups,
        engine: promql::Engine::new(memory as Arc<dyn Select>, promql::Options::default()),
        options: Options {
            external_url: test.external_url.clone(),
            ..Options::default()
        },
        tables: BTreeMap::new(),
    };
    let times = test.alert_rule_test.iter().map(|t| t.eval_time);
    let last = times
        .chain(test.promql_expr_test.iter().map(|t| t.eval_time))
        .max()
        .unwrap_or_default();
    let mut checked = 0;
    for minute in 0..=u32::try_from(last.as_secs() / 60).unwrap() {
        let at = Timestamp(0) + MINUTE * minute;
        // A healthy day is looked at where the test looks; an alert's own test needs every minute.
        let looks = test
            .promql_expr_test
            .iter()
            .any(|test| Timestamp(0) + test.eval_time == at);
        let named = |name: &str| test.alert_rule_test.iter().any(|test| test.alertname == name);
        bench.round(at, |name| looks || named(name)).await;
        for expected in test
            .alert_rule_test
            .iter()
            .filter(|test| Timestamp(0) + test.eval_time == at)
        {
            let alerts = expected.exp_alerts.iter();
            let want: Vec<_> = alerts
                .map(|alert| (alert.exp_labels.clone(), alert.exp_annotations.clone()))
                .collect();
            assert_eq!(
                bench.firing(&expected.alertname),
                want,
                "{file}: {} at minute {minute}",
                test.name
            );
            checked += 1;
        }
        for expected in test
            .promql_expr_test
            .iter()
            .filter(|test| Timestamp(0) + test.eval_time == at)
        {
            assert_eq!(expected.expr, "ALERTS");
            let active: Vec<&Alert> = bench.tables.values().flat_map(Table::active).collect();
            assert!(
                active.is_empty(),
                "{file}: {} at minute {minute}: {active:?}",
                test.name
            );
            checked += 1;
        }
    }
    checked
}

#[tokio::test]
async fn our_verdict_on_every_unit_test_is_promtools() {
    let mut checked = 0;
    for (name, rules, tests) in FILES {
        let groups = load(&[(name, rules)]).unwrap();
        let file: File = yaml::read(name, tests).unwrap();
        assert_eq!(file.evaluation_interval, MINUTE);
        for test in &file.tests {
            checked += check(name, &groups, test).await;
        }
    }
    assert!(checked > 100, "{checked}");
}
