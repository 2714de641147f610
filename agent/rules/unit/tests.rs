//! What a test file may say, and what is said about it.

use std::fs;
use std::path::Path;

use super::{Report, junit, run};

mod promtool;

const RULES: &str = r#"
groups:
  - name: down
    interval: 5m
    rules:
      - alert: Down
        expr: up == 0
        for: 2m
        labels: {severity: page, cluster: '{{ $externalLabels.cluster }}'}
        annotations:
          summary: '{{ $labels.instance }} is down, see {{ $externalURL }}'
  - name: sums
    rules:
      - {record: up:sum, expr: sum(up)}
      - {record: up:double, expr: up:sum * 2}
"#;

/// Runs a test file beside [`RULES`].
fn test(text: &str) -> Report {
    test_with(RULES, text, |_| true)
}

fn test_with(rules: &str, text: &str, is_wanted: impl Fn(&str) -> bool) -> Report {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yml"), rules).unwrap();
    let path = folder.path().join("test.yml");
    fs::write(&path, text).unwrap();
    run(&path, is_wanted, &|_| unreachable!())
}

/// All that is said, without the folder.
fn said(report: &Report) -> String {
    let mistakes = report.mistakes.iter().map(ToString::to_string);
    let groups = report.groups.iter().flat_map(|group| &group.failures);
    let all: Vec<String> = mistakes.chain(groups.map(ToString::to_string)).collect();
    let folder = Path::new(&report.file).parent().unwrap().display().to_string();
    all.join("\n").replace(&format!("{folder}/"), "")
}

#[track_caller]
fn passes(text: &str) {
    let report = test(text);
    assert!(
        report.has_passed() && !report.groups.is_empty(),
        "{}",
        said(&report)
    );
}

#[track_caller]
fn fails(text: &str, expected: &str) {
    let report = test(text);
    assert!(!report.has_passed());
    assert_eq!(said(&report), expected.trim_start_matches('\n'));
}

#[test]
fn alerts_fire_after_their_time_with_all_they_say() {
    passes(
        r#"
rule_files: [rules.yml]
tests:
  - name: down
    external_labels: {cluster: east}
    external_url: http://here
    input_series:
      - {series: 'up{instance="a"}', values: '1 0x10'}
      - {series: 'up{instance="b"}', values: '1x11'}
    alert_rule_test:
      - {eval_time: 2m, alertname: Down, exp_alerts: []}
      - {eval_time: 2m59s, alertname: Down}
      - eval_time: 3m
        alertname: Down
        exp_alerts:
          - exp_labels: {instance: a, severity: page, cluster: east}
            exp_annotations: {summary: 'a is down, see http://here'}
"#,
    );
}

#[test]
fn a_difference_is_shown_label_by_label() {
    fails(
        r#"
rule_files: [rules.yml]
tests:
  - input_series: [{series: 'up{instance="a"}', values: '0x10'}]
    alert_rule_test:
      - eval_time: 5m
        alertname: Down
        exp_alerts:
          - exp_labels: {instance: a, severity: ticket}
            exp_annotations: {summary: 'a is down'}
"#,
        r#"
test.yml:6:9: firing alerts Down at 5m
  expected {instance="a", severity="ticket"}; firing is instead:
    label severity: expected "ticket"
                         got "page"
    annotation summary: expected "a is down"
                             got "a is down, see ""#,
    );
}

#[test]
fn a_label_that_is_empty_is_none_and_an_annotation_that_is_empty_is_one() {
    let rules = r#"
groups:
  - name: a
    rules:
      - {alert: A, expr: vector(1), labels: {x: ''}, annotations: {summary: '{{ $labels.none }}'}}
"#;
    let verdict = |expected: &str| {
        let head = "rule_files: [rules.yml]\ntests: [{alert_rule_test: [{alertname: A, exp_alerts: [";
        test_with(rules, &format!("{head}{expected}]}}]}}]"), |_| true).has_passed()
    };
    assert!(verdict("{exp_annotations: {summary: ''}}"));
    assert!(!verdict("{}"));
    assert!(!verdict("{exp_labels: {x: ''}, exp_annotations: {summary: ''}}"));
}

#[test]
fn recorded_series_are_there_for_the_next_rule_and_end_with_their_source() {
    passes(
        r#"
rule_files: [rules.yml]
tests:
  - interval: 30s
    input_series: [{series: 'up{instance="a"}', values: '1x4 stale'}]
    promql_expr_test:
      - {expr: 'up:double', eval_time: 1m, exp_samples: [{labels: 'up:double', value: 2}]}
      - {expr: 'count_over_time(up:sum[10m])', eval_time: 2m, exp_samples: [{labels: '{}', value: 3}]}
      - {expr: 'up:double', eval_time: 3m, exp_samples: []}
      - {expr: '1 + 1', eval_time: 3m, exp_samples: [{value: 2}]}
"#,
    );
}

#[test]
fn what_an_expression_gives_is_said_beside_what_it_should() {
    fails(
        r#"
tests:
  - input_series:
      - {series: 'a{x="1"}', values: 1}
      - {series: 'a{x="2"}', values: 2}
    promql_expr_test:
      - expr: a
        exp_samples: [{labels: 'a{x="1"}', value: 1.5}, {labels: 'a{x="3"}', value: 3}]
      - {expr: 'a +', eval_time: 1m}
      - {expr: '"text"'}
"#,
        r#"
test.yml:7:9: expression a at 0s
  a{x="1"}: expected 1.5, got 1
  a{x="2"}: expected nothing, got 2
  a{x="3"}: expected 3, got nothing
test.yml:9:9: expression a + at 1m
  1:4: parse error: unexpected end of input, expected an expression
test.yml:10:9: expression "text" at 0s
  the answer is a text; only a vector or a number can be compared"#,
    );
}

#[test]
fn samples_of_later_are_not_there_yet() {
    passes(
        r#"
tests:
  - input_series: [{series: a, values: '1+1x10'}]
    promql_expr_test:
      - {expr: 'a offset -1m', eval_time: 2m, exp_samples: [{labels: a, value: 4}]}
      - {expr: 'a offset -5m', eval_time: 2m, exp_samples: [{labels: a, value: 5}]}
      - {expr: a, eval_time: 4m30s, exp_samples: [{labels: a, value: 5}]}
"#,
    );
}

#[test]
fn a_test_may_begin_at_any_time() {
    for start in ["1767225600", "'2026-01-01T00:00:00Z'", "1.7672256e9"] {
        passes(&format!(
            "
tests:
  - start_timestamp: {start}
    input_series: [{{series: a, values: 1 2}}]
    promql_expr_test:
      - {{expr: 'timestamp(a)', eval_time: 90s, exp_samples: [{{value: 1767225660}}]}}
      - {{expr: 'time()', eval_time: 90s, exp_samples: [{{value: 1767225690}}]}}
"
        ));
    }
    fails(
        "tests:\n  - start_timestamp: soon\n",
        "
test.yml:2:22: not a time: \"soon\"; write seconds since 1970 or for example 2026-01-31T06:00:00Z
  2 |   - start_timestamp: soon
    |                      ^",
    );
}

#[test]
fn groups_run_in_the_order_of_the_file_or_the_one_it_asks_for() {
    let rules = "
groups:
  - {name: late, rules: [{record: b, expr: a}]}
  - {name: early, rules: [{record: a, expr: vector(1)}]}
";
    let text = |order: &str| {
        format!(
            "
rule_files: [rules.yml]
{order}
tests:
  - promql_expr_test: [{{expr: b, exp_samples: [{{labels: b, value: 1}}]}}]
"
        )
    };
    assert!(!test_with(rules, &text(""), |_| true).has_passed());
    assert!(test_with(rules, &text("group_eval_order: [early, late]"), |_| true).has_passed());
    let twice = test_with(rules, &text("group_eval_order: [early, early]"), |_| true);
    assert!(
        said(&twice).starts_with("test.yml:3:27: group \"early\" stands twice in the order"),
        "{}",
        said(&twice)
    );
}

#[test]
fn an_interval_of_its_own_counts_only_where_that_is_asked_for() {
    let text = |own: &str, last: &str| {
        format!(
            "
rule_files: [rules.yml]
{own}
tests:
  - input_series: [{{series: up, values: 1 0x30}}]
    alert_rule_test:
      - {{eval_time: 9m, alertname: Down, exp_alerts: [{last}]}}
      - {{eval_time: 10m, alertname: Down, exp_alerts: [{{partial: true}}]}}
    promql_expr_test:
      - {{expr: 'count_over_time(up:sum[10m])', eval_time: 10m, exp_samples: [{{value: 10}}]}}
"
        )
    };
    passes(&text("", "{partial: true}"));
    // At 5m it is pending, at 10m it has been for longer than two minutes.
    passes(&text("use_group_interval: true", ""));
}

#[test]
fn datapoints_are_counted() {
    let rules = "groups: [{name: g, rules: [{alert: Bad, expr: bad == 1, datapoints: {m: 3, n: 5}}]}]";
    let text = "
rule_files: [rules.yml]
tests:
  - input_series: [{series: 'bad{i=\"a\"}', values: '1 0 1 0 1 0 0'}]
    alert_rule_test:
      - {eval_time: 3m, alertname: Bad, exp_pending: [{exp_labels: {i: a}}]}
      - {eval_time: 4m, alertname: Bad, exp_alerts: [{exp_labels: {i: a}}]}
      - {eval_time: 5m, alertname: Bad, exp_pending: [{exp_labels: {i: a}}]}
";
    let report = test_with(rules, text, |_| true);
    assert!(
        report.has_passed() && !report.groups.is_empty(),
        "{}",
        said(&report)
    );
}

#[test]
fn missing_data_is_what_the_rule_says_it_is() {
    let rules = "
groups:
- name: g
  rules:
  - {alert: Plain, expr: hot == 1}
  - {alert: Kept, expr: hot == 1, on_missing: keep}
  - {alert: Told, expr: hot == 1, on_missing: alert, for: 1m, annotations: {summary: hot, link: 'a'}}
";
    let text = "
rule_files: [rules.yml]
tests:
  - input_series:
      - {series: 'hot{job=\"j\", instance=\"a\"}', values: '1 1 stale _ _ 0'}
      - {series: 'up{job=\"j\", instance=\"a\"}', values: '1 1 0 0 0 1'}
    alert_rule_test:
      - {eval_time: 4m, alertname: Plain}
      - {eval_time: 4m, alertname: Kept, exp_alerts: [{exp_labels: {job: j, instance: a}}]}
      - eval_time: 4m
        alertname: Told
        exp_alerts:
          - {exp_labels: {job: j, instance: a}, exp_annotations: {summary: hot, link: a}}
          - exp_labels: {job: j, instance: a, reason: no_data}
            exp_annotations: {summary: 'Told gets no data from a (j)', link: a}
            partial: true
      - {eval_time: 5m, alertname: Kept}
      - {eval_time: 5m, alertname: Told}
";
    let report = test_with(rules, text, |_| true);
    assert!(
        report.has_passed() && !report.groups.is_empty(),
        "{}",
        said(&report)
    );
}

#[test]
fn pending_alerts_are_looked_at_where_they_are_expected() {
    let text = |pending: &str| {
        format!(
            "
rule_files: [rules.yml]
tests:
  - input_series: [{{series: 'up{{instance=\"a\"}}', values: '0x10'}}]
    alert_rule_test:
      - eval_time: 1m
        alertname: Down
        {pending}
"
        )
    };
    passes(&text("exp_pending: [{partial: true, exp_labels: {instance: a}}]"));
    passes(&text("exp_alerts: []"));
    fails(
        &text("exp_pending: []"),
        r#"
test.yml:6:9: pending alerts Down at 1m
  not expected, and pending: {instance="a", severity="page"}
    annotation summary: "a is down, see ""#,
    );
}

#[test]
fn a_partial_alert_needs_what_it_names_and_no_more() {
    let text = |expected: &str| {
        format!(
            "
rule_files: [rules.yml]
tests:
  - input_series:
      - {{series: 'up{{instance=\"a\"}}', values: '0x10'}}
      - {{series: 'up{{instance=\"b\"}}', values: '0x10'}}
    alert_rule_test:
      - {{eval_time: 5m, alertname: Down, exp_alerts: [{expected}]}}
"
        )
    };
    passes(&text(
        "{partial: true}, {partial: true, exp_labels: {instance: a}, exp_annotations: {summary: 'a is down, see '}}",
    ));
    fails(
        &text(
            "{partial: true, exp_labels: {instance: a}}, {partial: true, exp_labels: {instance: c, severity: page}}",
        ),
        r#"
test.yml:8:9: firing alerts Down at 5m
  expected {instance="c", severity="page"} and more; firing is instead:
    label instance: expected "c"
                         got "b""#,
    );
}

#[test]
fn a_rule_that_fails_ends_its_test_group() {
    let rules = "groups: [{name: a, rules: [{record: x, expr: 'up + on() up'}]}]";
    let report = test_with(
        rules,
        "
rule_files: [rules.yml]
tests:
  - {name: bad, input_series: [{series: 'up{i=\"1\"}', values: _ 1}, {series: 'up{i=\"2\"}', values: _ 1}], promql_expr_test: [{expr: x, eval_time: 5m, exp_samples: [{value: 7}]}]}
  - {name: good, promql_expr_test: [{expr: x}]}
",
        |_| true,
    );
    let verdicts: Vec<bool> = report.groups.iter().map(super::GroupReport::has_passed).collect();
    assert_eq!(verdicts, [false, true]);
    assert_eq!(report.groups[0].failures.len(), 1, "{}", said(&report));
    assert!(
        said(&report).starts_with("at 1m, rule x of group a: "),
        "{}",
        said(&report)
    );
}

#[test]
fn a_series_that_gets_two_values_at_once_ends_its_test_group() {
    let report = test(
        "
rule_files: [rules.yml]
tests:
  - input_series: [{series: up, values: 1x5}, {series: 'up:sum', values: _ 1 7}]
    promql_expr_test: [{expr: '1', eval_time: 5m, exp_samples: [{value: 1}]}]
",
    );
    // At one minute both say the same.
    assert_eq!(
        said(&report),
        "at 2m, group sums: up:sum has another value at this time already"
    );
}

#[test]
fn groups_are_chosen_by_their_names() {
    let text = "
tests:
  - {name: good}
  - {name: bad, promql_expr_test: [{expr: '1'}]}
  - promql_expr_test: [{expr: '1'}]
";
    let names = |report: &Report| {
        report
            .groups
            .iter()
            .map(|group| group.name.clone())
            .collect::<Vec<_>>()
    };
    let all = test_with(RULES, text, |_| true);
    assert_eq!(
        (names(&all), all.has_passed()),
        (vec!["good".into(), "bad".into(), "unnamed#2".into()], false)
    );
    let good = test_with(RULES, text, |name| name == "good");
    assert_eq!((names(&good), good.has_passed()), (vec!["good".into()], true));
}

#[test]
fn native_histograms_are_refused_with_a_word() {
    fails(
        "
tests:
  - input_series: [{series: a, values: '{{schema:0 sum:1 count:1 buckets:[1]}}x3'}]
  - promql_expr_test: [{expr: a, exp_samples: [{labels: a, histogram: '{{count:1}}'}]}]
",
        "
test.yml:3:40: native histograms are not evaluated in unit tests of rules
  3 |   - input_series: [{series: a, values: '{{schema:0 sum:1 count:1 buckets:[1]}}x3'}]
    |                                        ^
test.yml:4:71: native histograms are not evaluated in unit tests of rules
  4 |   - promql_expr_test: [{expr: a, exp_samples: [{labels: a, histogram: '{{count:1}}'}]}]
    |                                                                       ^",
    );
}

#[test]
fn mistakes_are_placed_and_mended() {
    for (text, expected) in [
        (
            "tests:\n  - input_serie: []\n",
            "
test.yml:2:5: unknown key \"input_serie\"
  2 |   - input_serie: []
    |     ^
  did you mean \"input_series\"?",
        ),
        (
            "tests:\n  - alert_rule_test: [{eval_time: soon, alertname: A}]\n",
            "
test.yml:2:35: not a duration: \"soon\"; write for example 15s, 5m or 1h30m
  2 |   - alert_rule_test: [{eval_time: soon, alertname: A}]
    |                                   ^",
        ),
        (
            "tests:\n  - alert_rule_test: [{eval_time: 1m}]\n    input_series: [{values: 1}, {series: 'a{', values: 1}, {series: a, values: 1 y}]\n",
            "
test.yml:3:20: an input series needs the key series
  3 |     input_series: [{values: 1}, {series: 'a{', values: 1}, {series: a, values: 1 y}]
    |                    ^
test.yml:3:42: \"a{\" is no metric; write for example up{job=\"a\"}
  3 |     input_series: [{values: 1}, {series: 'a{', values: 1}, {series: a, values: 1 y}]
    |                                          ^
test.yml:3:80: \"y\" is no value; write for example 5, 0+10x5, _, _x3 or stale
  3 |     input_series: [{values: 1}, {series: 'a{', values: 1}, {series: a, values: 1 y}]
    |                                                                                ^
test.yml:2:23: a test of alerts needs the key alertname
  2 |   - alert_rule_test: [{eval_time: 1m}]
    |                       ^",
        ),
        (
            "rule_files: ['[']\n",
            "
test.yml:1:14: \"[\" is no pattern; a [ has no ]
  1 | rule_files: ['[']
    |              ^",
        ),
    ] {
        fails(text, expected);
    }
    assert!(
        said(&run(Path::new("none/none.yml"), |_| true, &|_| unreachable!()))
            .contains("none.yml: cannot be read: ")
    );
    let rules = test_with("groups: [{nam: a}]", "rule_files: ['*.yml']", |_| true);
    assert!(
        said(&rules).contains("rules.yml:1:11: unknown key \"nam\""),
        "{}",
        said(&rules)
    );
}

#[test]
fn what_is_odd_and_no_mistake_is_noted() {
    let report = test(
        "rule_files: [none/*.yml]\ntests: [{input_series: [{series: a, values: 1}, {series: a, values: 2}]}]",
    );
    assert!(report.has_passed());
    assert!(
        report.warnings[0].contains("no rule file matches \"none/*.yml\""),
        "{:?}",
        report.warnings
    );
    assert_eq!(
        report.groups[0].notes,
        ["input series a is there twice; the last stands"]
    );
    let rules =
        "groups: [{name: a, rules: [{alert: A, expr: '1', annotations: {x: '{{ query \"a +\" }}'}}]}]";
    let report = test_with(rules, "rule_files: [rules.yml]\ntests: [{}]", |_| true);
    assert!(
        report.groups[0].notes[0].starts_with("rule A: a template cannot be expanded: "),
        "{:?}",
        report.groups[0].notes
    );
}

#[test]
fn junit_has_a_case_for_each_group_and_escapes_what_it_says() {
    let mut report = test(
        "
tests:
  - name: good & true
  - {name: bad, promql_expr_test: [{expr: 'a < 1', eval_time: 1m, exp_samples: [{labels: 'a{x=\"1\"}', value: 1}]}]}
",
    );
    let folder = Path::new(&report.file).parent().unwrap().display().to_string() + "/";
    report.file = report.file.replace(&folder, "");
    report.groups[1].failures[0].place = "test.yml:4:39".into();
    let broken = Report {
        file: "broken.yml".into(),
        mistakes: vec![model::Complaint::about("broken.yml", "unreadable")],
        ..Report::default()
    };
    let mut xml = Vec::new();
    junit(&[report, broken], &mut xml).unwrap();
    assert_eq!(
        String::from_utf8(xml).unwrap(),
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="test.yml" tests="2" failures="1" errors="0">
    <testcase classname="test.yml" name="good &amp; true"/>
    <testcase classname="test.yml" name="bad">
      <failure message="expression a &lt; 1 at 1m">test.yml:4:39: expression a &lt; 1 at 1m
  a{x=&quot;1&quot;}: expected 1, got nothing</failure>
    </testcase>
  </testsuite>
  <testsuite name="broken.yml" tests="0" failures="0" errors="1">
    <testcase name="reading the file">
      <error message="unreadable">broken.yml: unreadable</error>
    </testcase>
  </testsuite>
</testsuites>
"#
    );
}
