//! `skopos test rules`: exit codes, counts, what is printed and what is written for machines.

use std::fs;

use crate::harness::components::run;
use crate::harness::{root, skopos::command};

const TESTS: &str = "
rule_files: [rules.yml]
tests:
  - {name: good, promql_expr_test: [{expr: 'one', exp_samples: [{labels: 'one', value: 1}]}]}
  - {name: bad, promql_expr_test: [{expr: 'one', exp_samples: [{labels: 'one', value: 2}]}]}
";
const RULES: &str = "groups: [{name: a, rules: [{record: one, expr: vector(1)}]}]";

#[test]
fn the_tests_of_the_shipped_rules_pass() {
    let mut test = command(root());
    test.args(["test", "rules", "--failures"]);
    for entry in fs::read_dir(root().join("rules/tests")).unwrap().flatten() {
        test.arg(entry.path());
    }
    let (code, text) = run(&mut test);
    assert_eq!(code, 0, "{text}");
    assert!(text.ends_with(" test groups passed, 0 failed\n"), "{text}");
}

#[test]
fn a_failure_is_told_and_ends_with_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yml"), RULES).unwrap();
    fs::write(folder.path().join("test.yml"), TESTS).unwrap();
    let test = |arguments: &[&str]| run(command(folder.path()).args(["test", "rules"]).args(arguments));

    let (code, text) = test(&["test.yml", "--junit", "junit.xml"]);
    let failed =
        "FAILED  test.yml: bad\n    test.yml:5:36: expression one at 0s\n      one: expected 2, got 1\n";
    assert_eq!(code, 1, "{text}");
    assert_eq!(
        text,
        format!("SUCCESS test.yml: good\n{failed}1 test group passed, 1 failed\n")
    );
    let written = fs::read_to_string(folder.path().join("junit.xml")).unwrap();
    assert!(
        written.contains("tests=\"2\" failures=\"1\" errors=\"0\""),
        "{written}"
    );

    let (code, text) = test(&["--failures", "test.yml"]);
    assert_eq!(
        (code, text),
        (1, format!("{failed}1 test group passed, 1 failed\n"))
    );
    let (code, text) = test(&["--run", "none", "--run", "^go", "test.yml"]);
    assert_eq!(
        (code, text.as_str()),
        (0, "SUCCESS test.yml: good\n1 test group passed, 0 failed\n")
    );
}

#[test]
fn a_test_says_who_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "rules.yml",
        "groups: [{name: a, rules: [{alert: Full, expr: free < 1, labels: {team: db}}]}]",
    );
    write(
        "routes.yml",
        "route:\n  receiver: all\n  routes:\n  - {matchers: [team=db], receiver: db, continue: true}\n  \
         - {matchers: [cluster=prod], receiver: night}\n\
         receivers: [{name: all}, {name: db}, {name: night}]\n",
    );
    let test = |receivers: &str, routing: &str| {
        write(
            "test.yml",
            &format!(
                "rule_files: [rules.yml]\n{routing}tests:\n- name: told\n  external_labels: {{cluster: prod}}\n  \
                 input_series: [{{series: free, values: 0}}]\n  alert_rule_test:\n  - eval_time: 1m\n    \
                 alertname: Full\n    exp_alerts: [{{exp_labels: {{team: db}}, exp_receivers: {receivers}}}]\n"
            ),
        );
        run(command(folder.path()).args(["test", "rules", "test.yml"]))
    };
    let named = "routing_file: routes.yml\n";
    assert_eq!(test("[night, db]", named).0, 0);
    let (code, text) = test("[db]", named);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("expected \"db\"") && text.contains("got \"db, night\""),
        "{text}"
    );
    let (code, text) = test("[db]", "");
    assert!(code == 1 && text.contains("needs a routing_file"), "{text}");
    let (code, text) = test("[db]", "routing_file: none.yml\n");
    assert!(code == 1 && text.contains("none.yml: cannot be read"), "{text}");
}

#[test]
fn routes_say_where_an_alert_goes_and_whether_it_is_as_expected() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "routes.yml",
        "route:\n  receiver: all\n  group_by: [alertname]\n  routes:\n  - {matchers: [team=db], receiver: db, continue: true, \
         group_wait: 0s}\n  - {matchers: [team=~\"db|web\"], receiver: night, mute_time_intervals: [day], group_by: [...]}\n\
         receivers:\n- {name: all}\n- {name: night}\n- {name: db, webhook_configs: [{url: 'http://127.0.0.1:9/'}]}\n\
         time_intervals: [{name: day, time_intervals: [{times: [{start_time: '06:00', end_time: '20:00'}]}]}]\n",
    );
    write(
        "skopos.yaml",
        "notifier: {config_file: routes.yml, fallback: all}\n",
    );
    let routes = |arguments: &[&str]| run(command(folder.path()).arg("routes").args(arguments));
    let (code, tree) = routes(&["routes.yml"]);
    assert_eq!(code, 0, "{tree}");
    assert!(
        tree.starts_with(
            "{} → all (nobody is told)\n    one message for each alertname; first told 30 s after it fires"
        ) && tree.contains("\n  {team=\"db\"} → db (db/webhook[0]), and on to the next\n")
            && tree.contains("\n      hours: "),
        "{tree}"
    );
    let noon = ["--at", "2026-01-05T12:00:00Z"];
    let (code, ways) = routes(&[
        "skopos.yaml",
        "alertname=Down",
        "team=db",
        noon[0],
        noon[1],
        "--expect",
        "db,night",
    ]);
    assert_eq!(code, 0, "{ways}");
    assert!(
        ways.starts_with("{alertname=\"Down\", team=\"db\"}\n  → db (db/webhook[0]) by {team=\"db\"}\n")
            && ways.contains(
                "    first told at once, of more alerts every 5 min, again every 4 h while it fires, and "
            )
            && ways.contains("    kept back at this time by day\n")
            && ways.ends_with("told to all\n"),
        "{ways}"
    );
    let (code, text) = routes(&["routes.yml", "team=web", "--expect", "db", "--json"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("{team=\"web\"} goes to night, and not to db"),
        "{text}"
    );
    let (_, night) = routes(&["routes.yml", "team=web", "--at", "2026-01-05T22:00:00Z"]);
    assert!(!night.contains("kept back"), "{night}");
    write("bad.yml", "route: {receiver: none}\nreceivers: []\n");
    let (code, text) = routes(&["bad.yml"]);
    assert!(code == 64 && text.contains("bad.yml:1"), "{code} {text}");
    let (code, text) = run(command(folder.path()).args(["check", "routes.yml"]));
    assert!(
        code == 0 && text.starts_with("routes.yml: ok, 3 routes, 1 receiver"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_read_is_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.yml"), "test: []\n").unwrap();
    let test = |arguments: &[&str]| run(command(folder.path()).args(["test", "rules"]).args(arguments));
    let (code, text) = test(&["bad.yml", "none.yml"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.starts_with("0 test groups passed, 0 failed, 2 of 2 files not readable\n")
            && text.contains("bad.yml:1:1: unknown key \"test\"")
            && text.contains("did you mean \"tests\"?")
            && text.contains("none.yml: cannot be read: "),
        "{text}"
    );
    let (code, text) = test(&["--run", "(", "bad.yml"]);
    assert_eq!(code, 64, "{text}");
    let (code, text) = test(&[]);
    assert_eq!(code, 64, "{text}");
}
