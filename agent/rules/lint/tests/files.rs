//! Checks of what stands around an expression, and of rules beside each other.

use super::*;
use Severity::{Bug, Info, Warning};

/// An alert with these keys beside its name.
fn keys(keys: &str) -> String {
    format!("groups:\n- name: g\n  rules:\n  - {{alert: A, {keys}}}\n")
}

const GOOD: &str = "annotations: {summary: a, runbook_url: 'https://a'}";

#[test]
fn nothing_is_there_just_after_a_start() {
    let world = World::default();
    found_in(ABSENT, &[&keys("expr: absent(a)")], &world, Warning, "absent(a)");
    found_in(
        ABSENT,
        &[&keys("expr: absent(a), for: 20s")],
        &world,
        Warning,
        "absent(a)",
    );
    found_in(
        ABSENT,
        &[&keys("expr: a > 1 or absent(b)")],
        &world,
        Warning,
        "absent(b)",
    );
    for text in [
        "expr: absent(a), for: 30s",
        "expr: 'absent_over_time(a[5m])'",
        "expr: a > 1 unless on () absent(b)",
        "expr: a > 1",
    ] {
        clean_in(ABSENT, &[&keys(text)], &world);
    }
}

#[test]
fn an_alert_says_what_it_is_and_what_to_do() {
    let world = World::default();
    let all = |rest: &str| {
        of_check(ANNOTATION, &[&keys(&format!("expr: a > 1{rest}"))], &world)
            .into_iter()
            .map(|(severity, ..)| severity)
            .collect::<Vec<_>>()
    };
    assert_eq!(all(""), [Warning, Info]);
    assert_eq!(all(", annotations: {description: a}"), [Info, Info]);
    assert_eq!(all(", annotations: {summary: a}"), [Info]);
    assert_eq!(
        all(", annotations: {summary: a, runbook_url: see the wiki}"),
        [Warning]
    );
    assert_eq!(all(", annotations: {summary: a, runbook_url: ''}"), [Info]);
    assert_eq!(all(&format!(", {GOOD}")), []);
    assert_eq!(
        all(", annotations: {summary: a, runbook: '{{ $externalURL }}/a'}"),
        []
    );
    clean_in(ANNOTATION, &[&record("a")], &world);
}

#[test]
fn a_hold_shorter_than_the_interval_holds_nothing() {
    let world = World::default();
    found_in(FOR, &[&keys("expr: a > 1, for: 10s")], &world, Warning, "10s");
    found_in(FOR, &[&keys("expr: a > 1, for: 0s")], &world, Info, "0s");
    found_in(
        FOR,
        &[&keys("expr: a > 1, keep_firing_for: 0s")],
        &world,
        Info,
        "0s",
    );
    for text in [
        "expr: a > 1, for: 15s",
        "expr: a > 1, keep_firing_for: 1h",
        "expr: a > 1",
    ] {
        clean_in(FOR, &[&keys(text)], &world);
    }
    let slow = "groups:\n- name: g\n  interval: 5m\n  rules:\n  - {alert: A, expr: a > 1, for: 1m}\n";
    found_in(FOR, &[slow], &world, Warning, "1m");
}

#[test]
fn templates_take_what_there_is() {
    let world = World::default();
    let with = |expr: &str, keys: &str| {
        let expr = model::text::quote(expr);
        format!("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: {expr}\n    {keys}\n")
    };
    for (expr, keys, severity, place) in [
        ("a > 1", "labels: {x: '{{ $value }}'}", Bug, "$value"),
        ("a > 1", "labels: {x: 'v{{ .Value | humanize }}'}", Bug, ".Value"),
        (
            "sum by (job) (a) > 1",
            "annotations: {x: 'at {{ $labels.instance }}'}",
            Bug,
            "$labels.instance",
        ),
        (
            "sum by (job) (a) > 1",
            "labels: {x: '{{ .Labels.instance }}'}",
            Bug,
            ".Labels.instance",
        ),
        (
            "absent(a{job=\"x\"})",
            "annotations: {x: '{{ $labels.instance }}'}",
            Bug,
            "$labels",
        ),
        (
            "a > 1 or sum by (job) (b) > 1",
            "annotations: {x: '{{ $labels.instance }}'}",
            Warning,
            "$labels",
        ),
        (
            "a > 1",
            "annotations: {x: '{{ $labels.alertname }}'}",
            Bug,
            "$labels.alertname",
        ),
        (
            "sum(a) > 1",
            "labels: {severity: page}\n    annotations: {x: '{{ $labels.severity }}'}",
            Bug,
            "$labels.severity",
        ),
        (
            "a > 1",
            "annotations: {x: '{{ query \"sum(a\" | len }}'}",
            Bug,
            "\"sum(a\"",
        ),
        (
            "rate(a_total[5m]) > 1",
            "annotations: {x: '{{ $value }}'}",
            Info,
            "$value",
        ),
        (
            "a * on (job) sum by (job) (b) > 1",
            "annotations: {x: '{{ $labels.instance }}'}",
            Bug,
            "$labels",
        ),
    ] {
        found_in(TEMPLATE, &[&with(expr, keys)], &world, severity, place);
    }
    for (expr, keys) in [
        ("a > 1", "annotations: {x: '{{ $value }} {{ $labels.instance }}'}"),
        (
            "a > 1",
            "labels: {x: '{{ if gt $value 5.0 }}high{{ else }}low{{ end }}'}",
        ),
        ("sum by (job) (a) > 1", "annotations: {x: '{{ $labels.job }}'}"),
        ("absent(a{job=\"x\"})", "annotations: {x: '{{ $labels.job }}'}"),
        (
            "sum by (job) (a) > 1",
            "annotations: {x: '{{ range query \"up\" }}{{ .Labels.instance }}{{ end }}'}",
        ),
        ("ALERTS > 0", "annotations: {x: '{{ $labels.alertname }}'}"),
        (
            "rate(a_total[5m]) > 1",
            "annotations: {x: '{{ $value | humanize }}'}",
        ),
        (
            "count(rate(a_total[5m]) > 1) > 2",
            "annotations: {x: '{{ $value }}'}",
        ),
        (
            "a * on (job) group_left (team) b > 1",
            "annotations: {x: '{{ $labels.instance }} {{ $labels.team }}'}",
        ),
        (
            "count_values(\"v\", a) > 1",
            "annotations: {x: '{{ $labels.v }}'}",
        ),
    ] {
        clean_in(TEMPLATE, &[&with(expr, keys)], &world);
    }
}

#[test]
fn a_rule_stands_once() {
    let world = World::default();
    let file = |rules: &[&str]| format!("groups:\n- name: g\n  rules:\n{}", rules.concat());
    let one = "  - {alert: A, expr: 'a{b=\"c\"} > 1', labels: {x: y}}\n";
    let spaced = "  - {alert: A, expr: 'a{b=\"c\"}>1', labels: {x: y}, for: 5m}\n";
    found_in(
        DUPLICATE,
        &[&file(&[one]), &file(&[spaced])],
        &world,
        Bug,
        "A, expr: 'a{b=\"c\"}>1'",
    );
    found_in(DUPLICATE, &[&file(&[one, one])], &world, Bug, "A");
    let nearly = "  - {alert: A, expr: 'a > 2', labels: {x: y}}\n";
    found_in(
        DUPLICATE,
        &[&file(&[one, nearly])],
        &world,
        Warning,
        "A, expr: 'a > 2'",
    );
    for other in [
        "  - {alert: A, expr: 'a{b=\"c\"} > 1', labels: {x: z}}\n",
        "  - {alert: B, expr: 'a{b=\"c\"} > 1', labels: {x: y}}\n",
        "  - {alert: A, expr: 'a{b=\"d\"} > 2', labels: {x: y}}\n",
        "  - {alert: A, expr: 'b > 2', labels: {x: y}}\n",
    ] {
        clean_in(DUPLICATE, &[&file(&[one, other])], &world);
    }
}

#[test]
fn a_recorded_metric_has_a_name_of_its_own() {
    let world = World::default();
    let file = |one: &str, two: &str| {
        format!(
            "groups:\n- name: g\n  rules:\n  - {{record: 'a:b', expr: '{one}'}}\n  - {{record: 'a:b', expr: '{two}'}}\n"
        )
    };
    found_in(
        NAME,
        &[&file("sum by (job) (a)", "sum by (job) (b)")],
        &world,
        Warning,
        "'a:b', expr: 'sum by (job) (b)'",
    );
    for two in [
        "sum by (job) (b{job=\"y\"})",
        "sum by (job, instance) (b{instance=\"i\"})",
        "sum by (job) (b{job=~\"y.*|z\"})",
    ] {
        clean_in(NAME, &[&file("sum by (job) (a{job=\"x\"})", two)], &world);
    }
    let plain = "groups:\n- name: g\n  rules:\n  - {record: a, expr: b}\n";
    found_in(NAME, &[plain], &world, Info, "a, expr");
}

#[test]
fn what_is_read_is_recorded_before() {
    let world = World::default();
    let file = |rules: &str| format!("groups:\n- name: g\n  rules:\n{rules}");
    let reads = "  - {record: 'c:d', expr: 'sum(a:b)'}\n";
    let records = "  - {record: 'a:b', expr: 'sum by (job) (a)'}\n";
    found_in(DEPENDENCY, &[&file(reads)], &world, Warning, "a:b");
    found_in(
        DEPENDENCY,
        &[&file(&format!("{reads}{records}"))],
        &world,
        Warning,
        "a:b",
    );
    found_in(DEPENDENCY, &[&file(reads), &file(records)], &world, Info, "a:b");
    clean_in(DEPENDENCY, &[&file(&format!("{records}{reads}"))], &world);
    let alerts = "  - {alert: A, expr: 'a:b > 1'}\n";
    clean_in(DEPENDENCY, &[&file(alerts), &file(records)], &world);
    let about = "  - {alert: B, expr: 'ALERTS{alertname=\"Aa\"} > 0'}\n";
    let (_, _, text) = of_check(DEPENDENCY, &[&file(about), &file(alerts), &file(records)], &world).remove(0);
    assert!(text.contains("did you mean \"A\"?"), "{text}");
    let about = "  - {alert: B, expr: 'ALERTS{alertname=\"A\"} > 0'}\n";
    clean_in(DEPENDENCY, &[&file(about), &file(alerts), &file(records)], &world);
}

#[test]
fn what_is_recorded_is_known_where_it_is_read() {
    let world = World::default();
    let file = |expr: &str| {
        format!(
            "groups:\n- name: g\n  interval: 1m\n  rules:\n  - {{record: 'a:b', expr: 'sum by (job) (a)', labels: {{team: x}}}}\n  - {{record: 'c:d', expr: 'a:b > 5'}}\n  - alert: A\n    expr: {}\n    annotations: {{summary: 'at {{{{ $labels.instance }}}}'}}\n",
            model::text::quote(expr)
        )
    };
    found_in(TEMPLATE, &[&file("a:b > 1")], &world, Bug, "$labels.instance");
    found_in(TEMPLATE, &[&file("c:d")], &world, Bug, "$labels.instance");
    clean_in(TEMPLATE, &[&file("a:b * on (job) group_right b > 1")], &world);
    found_in(
        IMPOSSIBLE,
        &[&file("a:b * on (instance) b > 1")],
        &world,
        Bug,
        "instance) b",
    );
    found_in(
        IMPOSSIBLE,
        &[&file("a:b{instance=\\\"x\\\"} > 1".replace('\\', "").as_str())],
        &world,
        Bug,
        "instance=",
    );
    found_in(IMPOSSIBLE, &[&file("a:b{team=\"y\"} > 1")], &world, Bug, "team=");
    clean_in(IMPOSSIBLE, &[&file("a:b{team=\"x\"} > 1")], &world);
    found_in(COMPARISON, &[&file("a:b")], &world, Warning, "a:b");
    clean_in(COMPARISON, &[&file("c:d")], &world);
    found_in(RATE, &[&file("deriv(a:b[1m]) > 1")], &world, Bug, "a:b[1m]");
    clean_in(RATE, &[&file("deriv(a:b[5m]) > 1")], &world);
    let counter = "groups:\n- name: g\n  rules:\n  - {record: 'a:b', expr: sum(a_total)}\n  - {record: 'c:d', expr: 'rate(a:b[5m])'}\n";
    assert_eq!(
        of_check(COUNTER, &[counter], &world)
            .iter()
            .filter(|(severity, ..)| *severity == Bug)
            .count(),
        1
    );
}

#[test]
fn a_recorded_division_spoils_a_sum_too() {
    let world = World::default();
    let file = |ratio: &str| {
        format!(
            "groups:\n- name: g\n  rules:\n  - {{record: 'a:b', expr: '{ratio}'}}\n  - {{record: 'c:d', expr: 'sum(a:b)'}}\n"
        )
    };
    found_in(NAN, &[&file("a / b")], &world, Warning, "a:b)");
    found_in(NAN, &[&file("1 - (a / b)")], &world, Warning, "a:b)");
    for ratio in ["a / (b > 0)", "a / 60", "a * b", "(a / b) > 0"] {
        clean_in(NAN, &[&file(ratio)], &world);
    }
}

#[test]
fn rules_that_read_each_other_in_a_circle_end() {
    let text = "groups:\n- name: g\n  rules:\n  - {record: 'a:b', expr: 'c:d + 1'}\n  - {record: 'c:d', expr: 'a:b + e:f'}\n  - {record: 'e:f', expr: 'e:f or a'}\n";
    assert_eq!(lint_files(&[text], &World::default()).rules, 3);
}

#[test]
fn a_group_is_evaluated_often_enough() {
    let world = World::default();
    let file = |interval: &str, rule: &str| {
        format!("groups:\n- name: g\n  interval: {interval}\n  rules:\n  - {{{rule}}}\n")
    };
    found_in(
        INTERVAL,
        &[&file("6m", "record: 'a:b', expr: a")],
        &world,
        Warning,
        "6m",
    );
    clean_in(INTERVAL, &[&file("5m", "record: 'a:b', expr: a")], &world);
    clean_in(INTERVAL, &[&file("6m", "alert: A, expr: a > 1")], &world);
    found_in(
        INTERVAL,
        &[&file("5m", "record: 'a:b', expr: 'rate(a_total[1m])'")],
        &world,
        Warning,
        "a_total[1m]",
    );
    clean_in(
        INTERVAL,
        &[&file("5m", "record: 'a:b', expr: 'rate(a_total[5m])'")],
        &world,
    );
    clean_in(INTERVAL, &[&record("rate(a_total[1m])")], &world);
}

#[test]
fn labels_are_not_those_that_are_added() {
    let world = World {
        external_labels: Some((Labels::from_pairs([("cluster", "a")]), "http://a".to_owned())),
        ..World::default()
    };
    let text = |labels: &str| keys(&format!("expr: a > 1, labels: {{{labels}}}"));
    found_in(CONFLICT, &[&text("cluster: b")], &world, Warning, "cluster: b");
    found_in(CONFLICT, &[&text("cluster: a")], &world, Info, "cluster: a");
    clean_in(CONFLICT, &[&text("severity: page")], &world);
    let recorded = "groups:\n- name: g\n  labels: {cluster: a}\n  rules:\n  - {record: 'a:b', expr: a}\n";
    found_in(CONFLICT, &[recorded], &world, Warning, "cluster");
    clean_in(CONFLICT, &[recorded], &World::default());
}

#[test]
fn comments_silence_and_their_slips_are_told() {
    let world = World::default();
    let file = |comment: &str| {
        format!(
            "groups:\n- name: g\n  rules:\n  # {comment}\n  - {{alert: A, expr: a_total, {GOOD}, for: 5m}}\n"
        )
    };
    for comment in [
        "skopos: disable promql/counter",
        "pint disable promql/counter",
        "pint disable promql/counter(x)",
    ] {
        clean_in(COUNTER, &[&file(comment)], &world);
        found_in(COMPARISON, &[&file(comment)], &world, Warning, "a_total");
        assert_eq!(lint_files(&[&file(comment)], &world).silenced, 1);
    }
    for (comment, advice) in [
        ("skopos: disable promql/countr", "did you mean promql/counter?"),
        (
            "skopos: disbale promql/counter",
            "write `# skopos: disable CHECK`",
        ),
        ("skopos: disable", "write `# skopos: disable CHECK`"),
    ] {
        found_in(COMMENT, &[&file(comment)], &world, Warning, "# skopos");
        let (_, _, text) = of_check(COMMENT, &[&file(comment)], &world).remove(0);
        assert!(text.contains(advice), "{text}");
        assert_eq!(of_check(COUNTER, &[&file(comment)], &world).len(), 1);
    }
    clean_in(COMMENT, &[&file("pint disable query/cost")], &world);
}

#[test]
fn files_with_mistakes_are_left_out_and_told() {
    let good = record("a");
    let (sources, complaints) = Sources::read(&[
        ("a", good.as_str()),
        ("b", "grups: []"),
        ("c", "groups: [{name: a, rules: [{record: x, expr: 'sum('}]}]"),
    ]);
    assert_eq!(complaints.len(), 2);
    assert_eq!(lint(&sources, &World::default()).files, 1);
}
