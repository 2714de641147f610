//! Rule files: what Prometheus takes is taken, and every mistake is said with its place.

use std::time::Duration;

use model::Labels;

use crate::{Datapoints, Kind, OnMissing, load};

#[track_caller]
fn complaints(text: &str) -> Vec<String> {
    let complaints = load(&[("a.yaml", text)]).map_or_else(|complaints| complaints, |_| Vec::new());
    complaints.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let complaints = complaints(text);
    assert_eq!(complaints.len(), 1, "{complaints:#?}");
    assert!(complaints[0].contains(expected), "{}", complaints[0]);
}

const GOOD: &str = r#"
groups:
- name: g
  interval: 30s
  query_offset: 1m
  limit: 5
  labels: {team: a, tier: "1"}
  rules:
  - record: job:up:sum
    expr: sum by (job) (up)
    labels: {tier: "2"}
  - alert: Down
    expr: |
      up
        == 0
    for: 5m
    keep_firing_for: 1h
    labels: {severity: '{{ if gt $value 1.0 }}critical{{ else }}warning{{ end }}'}
    annotations:
      summary: "{{ $labels.instance }} is down"
- name: empty
"#;

#[test]
fn a_rule_file_is_read_as_prometheus_reads_it() {
    let groups = load(&[("a.yaml", GOOD)]).unwrap();
    assert_eq!(groups.len(), 2);
    let group = &groups[0];
    assert_eq!((group.interval, group.limit), (Some(Duration::from_secs(30)), 5));
    assert_eq!(group.query_offset, Some(Duration::from_secs(60)));
    let record = &group.rules[0];
    let labels = Labels::from_pairs([("team", "a"), ("tier", "2")]);
    assert_eq!(
        (&*record.name, &record.kind),
        (
            "job:up:sum",
            &Kind::Record {
                labels,
                without: Vec::new()
            }
        )
    );
    let Kind::Alert(alerting) = &group.rules[1].kind else {
        panic!("not an alert")
    };
    assert_eq!(alerting.hold, Duration::from_secs(300));
    assert_eq!(alerting.keep_firing, Duration::from_secs(3600));
    assert_eq!(group.rules[1].labels_written().len(), 3);
    assert_eq!(group.rules[1].expr.canonical(), "up == 0");
}

#[test]
fn an_empty_file_has_no_groups() {
    for text in ["", "groups:", "groups: []", "# nothing\n"] {
        assert_eq!(load(&[("a.yaml", text)]).unwrap().len(), 0, "{text:?}");
    }
}

#[test]
fn a_bad_expression_is_shown_where_it_stands() {
    let plain = "groups:\n- name: g\n  rules:\n  - record: r\n    expr: rtae(x[5m])\n";
    check(plain, "a.yaml:5:11: ");
    check(plain, "  5 |     expr: rtae(x[5m])\n    |           ^");
    check(plain, "did you mean \"rate\"?");
    let block =
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: |\n      up\n        and rtae(x[5m])\n";
    check(block, "a.yaml:7:13: ");
    let folded =
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: >-\n      up\n      and rtae(x[5m])\n";
    check(folded, "a.yaml:7:11: ");
    let quoted = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: \"up{a=\\\"b\\\"} + rtae(x[5m])\"\n";
    check(quoted, "a.yaml:5:26: ");
}

#[test]
fn a_bad_template_is_shown_where_it_stands() {
    let text = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up\n    annotations:\n      summary: 'x {{ humanise $value }}'\n";
    check(text, "a.yaml:7:22: function \"humanise\" not defined");
    let text = "groups:\n- name: g\n  labels: {a: '{{ .x'}\n  rules:\n  - {alert: A, expr: up}\n  - {alert: B, expr: up}\n";
    check(text, "unclosed action");
}

#[test]
fn what_prometheus_refuses_is_refused() {
    let rule = |rule: &str| format!("groups:\n- name: g\n  rules:\n  - {rule}\n");
    check(&rule("{expr: up}"), "needs the key record or alert");
    check(&rule("{record: a, alert: b, expr: up}"), "this one is both");
    check(&rule("{alert: a}"), "has no expr");
    check(&rule("{alert: a, expr: ''}"), "the expression is empty");
    check(&rule("{record: 'a{b=\"c\"}', expr: up}"), "is no metric name");
    check(
        &rule("{record: a, expr: up, for: 5m}"),
        "a recording rule has no for",
    );
    check(
        &rule("{record: a, expr: up, annotations: {a: b}}"),
        "a recording rule has no annotations",
    );
    check(
        &rule("{alert: a, expr: up, labels: {__name__: b}}"),
        "cannot be the name of a label",
    );
    check(&rule("{alert: a, expr: up, for: 5}"), "not a duration");
    check(&rule("{alert: a, expr: up, fro: 5m}"), "did you mean \"for\"?");
    check(
        &rule("{record: a, expr: up, datapoints: {m: 1, n: 2}}"),
        "a recording rule has no datapoints",
    );
    check("groups:\n- name: g\n- name: g\n", "already in this file");
    check("groups:\n- rules: []\n", "the group has no name");
    check("groups:\n- name: ''\n", "name is empty");
    check("group: []\n", "did you mean \"groups\"?");
}

#[test]
fn what_is_empty_is_none_as_in_prometheus() {
    let text = "
groups:
- null
- name: g
  interval: 0s
  limit: 5.7
  labels: {a: b, c: }
  rules:
  - {alert: A, record: '', expr: up}
  - null
  - {record: r, alert: ~, expr: up, for: 0s, keep_firing_for: 0, annotations: {}, labels: {a: ~}}
";
    let groups = load(&[("a.yaml", text)]).unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!((groups[0].interval, groups[0].limit), (None, 5));
    let rules = &groups[0].rules;
    let names: Vec<&str> = rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(names, ["A", "r"]);
    assert!(rules[0].alerting().is_some() && rules[1].alerting().is_none());
    check(
        "groups:\n- name: g\n  rules:\n  - {alert: '', record: '', expr: up}\n",
        "name is empty",
    );
}

#[test]
fn keys_of_our_own_are_read_and_their_mistakes_told() {
    let text = "
groups:
- name: g
  on_missing: alert
  rules:
  - {record: r, expr: up}
  - {alert: A, expr: up, datapoints: {m: 3, n: 5}}
  - {alert: B, expr: up, on_missing: resolve}
";
    let groups = load(&[("a.yaml", text)]).unwrap();
    let alerting = |nth: usize| groups[0].rules[nth].alerting().unwrap();
    assert_eq!(alerting(1).datapoints, Some(Datapoints { m: 3, n: 5 }));
    assert_eq!(alerting(1).on_missing, Some(OnMissing::Alert));
    assert_eq!(
        (alerting(2).datapoints, alerting(2).on_missing),
        (None, Some(OnMissing::Resolve))
    );
    let rule = |keys: &str| format!("groups:\n- name: g\n  rules:\n  - {{alert: a, expr: up, {keys}}}\n");
    check(
        &rule("for: 1m, datapoints: {m: 1, n: 2}"),
        "an alert has either for or datapoints, this one has both",
    );
    for wrong in ["{m: 0, n: 2}", "{m: 3, n: 2}", "{m: 3}", "{m: 1, n: 65}"] {
        check(&rule(&format!("datapoints: {wrong}")), "need 1 <= m <= n <= 64");
    }
    check(&rule("datapoints: {m: 1, n: 2, k: 3}"), "unknown key \"k\"");
    check(&rule("on_missing: no"), "a.yaml:4:");
    check(&rule("on_missing: keeps"), "did you mean \"keep\"?");
}

#[test]
fn all_mistakes_of_all_files_are_said() {
    let text = "groups:\n- name: g\n  rules:\n  - {alert: a, expr: 'up ==', for: 1m}\n  - {record: b}\n  - {alert: c, expr: sum(, annotations: {x: '{{'}}\n";
    let complaints = load(&[("a.yaml", text), ("b.yaml", "grups: []")]).unwrap_err();
    let places: Vec<_> = complaints.iter().map(|c| (c.file.as_str(), c.line)).collect();
    assert_eq!(
        places,
        [
            ("a.yaml", 4),
            ("a.yaml", 5),
            ("a.yaml", 6),
            ("a.yaml", 6),
            ("b.yaml", 1)
        ]
    );
}

#[test]
fn only_the_first_document_counts() {
    let groups = load(&[("a.yaml", "groups:\n- name: g\n---\nnonsense: [")]).unwrap();
    assert_eq!(groups.len(), 1);
}
